/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte of a handshake is the length of a message of fields, and the
   next one is the first field.  Behind "H" stands field 10 of a type that ends
   a group, and behind 0x15 field 0, so neither is ever one; what begins with
   "SSH-" or "<" could become a message with unknown fields. */

#include "foreign.h"

#include <string.h>

typedef struct protocol {
  const char *bytes;
  size_t len;
  bool certain;
  const char *text;
} protocol;

#define HTTP "this port speaks HTTP; p2p is usually 26656"
#define PROTOCOL(bytes_, certain_, text_)                                      \
  {                                                                            \
    .bytes = (bytes_), .len = sizeof(bytes_) - 1, .certain = (certain_),       \
    .text = (text_)                                                            \
  }

static const protocol protocols[] = {
  PROTOCOL("HTTP/", true, HTTP),
  /* A response of HTTP 0.9 has no status line; servers send one because they
     read our bytes as a request of that version. */
  PROTOCOL("<html", false, HTTP),
  PROTOCOL("<HTML", false, HTTP),
  PROTOCOL("<!DOC", false, HTTP),
  PROTOCOL("<!doc", false, HTTP),
  PROTOCOL("\x15\x03", true, "this port speaks TLS; p2p is usually 26656"),
  PROTOCOL("SSH-", false, "this port speaks SSH; p2p is usually 26656"),
};

const char *cmt__foreign(const uint8_t *first, size_t len, bool *certain) {
  for (size_t i = 0; i < sizeof protocols / sizeof *protocols; i++) {
    const protocol *p = &protocols[i];

    if (len >= p->len && memcmp(first, p->bytes, p->len) == 0) {
      *certain = p->certain;
      return p->text;
    }
  }
  *certain = false;
  return NULL;
}
