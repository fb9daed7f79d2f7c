/* SPDX-License-Identifier: Apache-2.0 */
/* STROBE-128, the operations that Merlin uses.  docs/PROTOCOL.md 2.4.  |pos| is
   always below RATE, and |pos_begin| is one more than the position at which the
   running operation began, 0 after a permutation. */

#include "strobe.h"

#include "keccak.h"

enum {
  RATE = 166,
  FLAG_I = 0x01,
  FLAG_A = 0x02,
  FLAG_C = 0x04,
  FLAG_M = 0x10,
};

static void run_f(cmt__strobe *s) {
  s->st[s->pos] ^= s->pos_begin;
  s->st[s->pos + 1] ^= 0x04;
  s->st[RATE + 1] ^= 0x80;
  cmt__keccak_f1600(s->st);
  s->pos = 0;
  s->pos_begin = 0;
}

static void advance(cmt__strobe *s) {
  if (++s->pos == RATE) {
    run_f(s);
  }
}

static void absorb(cmt__strobe *s, cmt_bytes data) {
  for (size_t i = 0; i < data.len; i++) {
    s->st[s->pos] ^= data.base[i];
    advance(s);
  }
}

/* |more| goes on with the operation before, which is of the same kind. */
static void begin(cmt__strobe *s, uint8_t flags, bool more) {
  uint8_t header[2] = {s->pos_begin, flags};

  if (more) {
    return;
  }
  s->pos_begin = (uint8_t)(s->pos + 1);
  absorb(s, (cmt_bytes){.base = header, .len = sizeof header});
  if ((flags & FLAG_C) != 0 && s->pos != 0) {
    run_f(s);
  }
}

void cmt__strobe_init(cmt__strobe *s, cmt_bytes label) {
  static const uint8_t header[] = {1, RATE + 2, 1, 0, 1, 96};
  static const char version[] = "STROBEv1.0.2";

  memset(s, 0, sizeof *s);
  memcpy(s->st, header, sizeof header);
  memcpy(s->st + sizeof header, version, sizeof version - 1);
  cmt__keccak_f1600(s->st);
  cmt__strobe_meta_ad(s, label, false);
}

void cmt__strobe_meta_ad(cmt__strobe *s, cmt_bytes data, bool more) {
  begin(s, FLAG_M | FLAG_A, more);
  absorb(s, data);
}

void cmt__strobe_ad(cmt__strobe *s, cmt_bytes data, bool more) {
  begin(s, FLAG_A, more);
  absorb(s, data);
}

void cmt__strobe_key(cmt__strobe *s, cmt_bytes data, bool more) {
  begin(s, FLAG_A | FLAG_C, more);
  for (size_t i = 0; i < data.len; i++) {
    s->st[s->pos] = data.base[i];
    advance(s);
  }
}

void cmt__strobe_prf(cmt__strobe *s, uint8_t *out, size_t len) {
  begin(s, FLAG_I | FLAG_A | FLAG_C, false);
  for (size_t i = 0; i < len; i++) {
    out[i] = s->st[s->pos];
    s->st[s->pos] = 0;
    advance(s);
  }
}
