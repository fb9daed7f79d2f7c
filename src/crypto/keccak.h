/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__KECCAK_H
#define CMT__KECCAK_H

#include <stdint.h>

/* The permutation Keccak-f[1600].  docs/PROTOCOL.md 2.4. */
void cmt__keccak_f1600(uint8_t *state);

#endif
