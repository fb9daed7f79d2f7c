/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__STROBE_H
#define CMT__STROBE_H

/* What Merlin needs of STROBE-128 over Keccak-f[1600].  docs/PROTOCOL.md 2.4.
 */

#include "base/base.h"

typedef struct cmt__strobe {
  uint8_t st[200];
  uint8_t pos, pos_begin;
} cmt__strobe;

/* |more| goes on with the call before, which was of the same function. */
void cmt__strobe_init(cmt__strobe *s, cmt_bytes label);
void cmt__strobe_meta_ad(cmt__strobe *s, cmt_bytes data, bool more);
void cmt__strobe_ad(cmt__strobe *s, cmt_bytes data, bool more);
void cmt__strobe_key(cmt__strobe *s, cmt_bytes data, bool more);
void cmt__strobe_prf(cmt__strobe *s, uint8_t *out, size_t len);

#endif
