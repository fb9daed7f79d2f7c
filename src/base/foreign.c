/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte of a handshake is the length of a message of fields, and the
   next one is the first field.  Behind "H" stands field 10 of a type that ends
   a group, and behind 0x15 field 0, so neither is ever one; what begins with
   "SSH-" or "<" could become a message with unknown fields. */

#include "foreign.h"

#include <string.h>

const char *cmt__foreign(const uint8_t *first, size_t len, bool *certain) {
  static const char http[] = "this port speaks HTTP; p2p is usually 26656";
  static const struct {
    const char *bytes;
    size_t len;
    bool certain;
    const char *text;
  } rows[] = {
    {"HTTP/", 5, true, http},
    /* Version 0.9 has no status line, and servers take us for that. */
    {"<html", 5, false, http},
    {"<HTML", 5, false, http},
    {"<!DOC", 5, false, http},
    {"<!doc", 5, false, http},
    {"\x15\x03", 2, true, "this port speaks TLS; p2p is usually 26656"},
    {"SSH-", 4, false, "this port speaks SSH; p2p is usually 26656"},
  };

  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (len >= rows[i].len && memcmp(first, rows[i].bytes, rows[i].len) == 0) {
      *certain = rows[i].certain;
      return rows[i].text;
    }
  }
  *certain = false;
  return NULL;
}
