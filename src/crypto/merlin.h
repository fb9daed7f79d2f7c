/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__MERLIN_H
#define CMT__MERLIN_H

/* Merlin v1.0 transcripts over STROBE-128 over Keccak-f[1600].
   docs/PROTOCOL.md 2.4. */

#include "strobe.h"

typedef struct cmt__merlin {
  cmt__strobe strobe;
} cmt__merlin;

/* Labels, messages and challenges are limited to UINT32_MAX bytes. */
void cmt__merlin_init(cmt__merlin *m, const char *label);
void cmt__merlin_append(cmt__merlin *m, const char *label, cmt_bytes msg);
void cmt__merlin_challenge(cmt__merlin *m, const char *label, uint8_t *out,
                           size_t len);

#endif
