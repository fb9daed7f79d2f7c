/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__MERLIN_H
#define CMT__MERLIN_H

/* Merlin v1.0 transcripts over STROBE-128 over Keccak-f[1600].
   docs/PROTOCOL.md 2.4. */

#include "base.h"

void cmt__keccak_f1600(uint8_t state[200]);

typedef struct cmt__strobe {
  uint8_t st[200];
  uint8_t pos, pos_begin, cur_flags;
} cmt__strobe;

/* |more| goes on with the call before, which was of the same function. */
void cmt__strobe_init(cmt__strobe *s, cmt_bytes label);
void cmt__strobe_meta_ad(cmt__strobe *s, cmt_bytes data, bool more);
void cmt__strobe_ad(cmt__strobe *s, cmt_bytes data, bool more);
void cmt__strobe_key(cmt__strobe *s, cmt_bytes data, bool more);
void cmt__strobe_prf(cmt__strobe *s, uint8_t *out, size_t len);

typedef struct cmt__merlin {
  cmt__strobe strobe;
} cmt__merlin;

/* Labels, messages and challenges have at most UINT32_MAX bytes. */
void cmt__merlin_init(cmt__merlin *m, const char *label);
void cmt__merlin_append(cmt__merlin *m, const char *label, cmt_bytes msg);
void cmt__merlin_challenge(cmt__merlin *m, const char *label, uint8_t *out,
                           size_t len);

#endif
