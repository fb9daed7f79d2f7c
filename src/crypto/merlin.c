/* SPDX-License-Identifier: Apache-2.0 */
/* Merlin v1.0: a transcript is a STROBE object, in which each message is framed
   by its label and its length.  docs/PROTOCOL.md 2.4. */

#include "merlin.h"

static cmt_bytes text_bytes(const char *text) {
  return (cmt_bytes){.base = (const uint8_t *)text, .len = strlen(text)};
}

static void frame(cmt__merlin *m, const char *label, size_t len) {
  uint8_t le[4];

  cmt__store_le32(le, (uint32_t)len);
  cmt__strobe_meta_ad(&m->strobe, text_bytes(label), false);
  cmt__strobe_meta_ad(&m->strobe, (cmt_bytes){.base = le, .len = sizeof le},
                      true);
}

void cmt__merlin_init(cmt__merlin *m, const char *label) {
  cmt__strobe_init(&m->strobe, text_bytes("Merlin v1.0"));
  cmt__merlin_append(m, "dom-sep", text_bytes(label));
}

void cmt__merlin_append(cmt__merlin *m, const char *label, cmt_bytes msg) {
  frame(m, label, msg.len);
  cmt__strobe_ad(&m->strobe, msg, false);
}

void cmt__merlin_challenge(cmt__merlin *m, const char *label, uint8_t *out,
                           size_t len) {
  frame(m, label, len);
  cmt__strobe_prf(&m->strobe, out, len);
}
