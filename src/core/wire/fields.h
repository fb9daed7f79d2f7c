/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__FIELDS_H
#define CMT__FIELDS_H

/* What the wire profiles have in common: the fields of a msg packet, as they
   are written, as they are read in any legal form, and as a header that may be
   cut by the end of the input. */

#include "packet.h"

#include "base/bytes.h"

/* What the bytes at the start of a packet turn out to be. */
typedef enum cmt__header_kind {
  CMT__HEADER_MORE,    /* Too few bytes to decide. */
  CMT__HEADER_BAD,     /* No packet, or one over the limit. */
  CMT__HEADER_UNKNOWN, /* No packet of this profile begins like that. */
  CMT__HEADER_GENERAL, /* Not the usual form; |body| bytes after |size|. */
  CMT__HEADER_PACKET,  /* |packet|, whose header takes |size| bytes. */
} cmt__header_kind;

typedef struct cmt__header {
  size_t size; /* Up to the body for CMT__HEADER_GENERAL. */
  size_t body; /* Announced bytes. */
  cmt__packet packet;
} cmt__header;

/* Bytes of the fields of a msg packet with |len| data bytes. */
static inline size_t cmt__msg_fields_size(uint8_t channel, bool eof,
                                          size_t len) {
  return cmt__uint_size(1, channel) + (eof ? 2 : 0) +
         (len > 0 ? 1 + cmt__varint_size(len) + len : 0);
}

/* Lengths of less data than this, and of the fields around it, take 3 bytes. */
#define CMT__MSG_DATA_LIMIT ((size_t)2000000)
enum {
  CMT__MSG_FIELDS_MAX = 3 + 2 + 1 + 3, /* Without the data. */
  /* In any profile: two lengths and a tag besides. */
  CMT__MSG_HEADER_MAX = 3 + 1 + 3 + CMT__MSG_FIELDS_MAX,
};

/* Writes all but the data, which ends them, to |at|; returns the end. */
uint8_t *cmt__msg_fields_put(uint8_t *at, uint8_t channel, bool eof,
                             size_t len);

/* Decodes them in any legal form, but for channel and eof, whose low 32 bits
   the profile judges.  False: malformed. */
bool cmt__msg_fields_decode(cmt_bytes in, cmt__packet *out, uint32_t *channel,
                            uint32_t *eof);

/* A cursor over a body of which not all may be here. */
typedef struct cmt__peek {
  const uint8_t *at, *end;
} cmt__peek;

/* One over what |in| has of the body that |h| announces. */
static inline cmt__peek cmt__peek_body(cmt_bytes in, const cmt__header *h) {
  const uint8_t *at = in.base + h->size;

  return (cmt__peek){.at = at, .end = at + cmt__min(in.len - h->size, h->body)};
}

/* Reads fields of |inner| bytes in their usual order.  The data, when there is
   any, ends the packet. */
cmt__header_kind cmt__peek_fields(cmt__peek *k, size_t inner, cmt__packet *out);

/* Decides what |kind|, found up to |k|, means for the header.  What the whole
   packet or 24 bytes do not decide is none of the usual form. */
static inline cmt__header_kind cmt__peek_done(cmt_bytes in, const cmt__peek *k,
                                              cmt__header_kind kind,
                                              cmt__header *h) {
  if (kind == CMT__HEADER_PACKET) {
    h->size = (size_t)(k->at - in.base);
  }
  if (kind == CMT__HEADER_MORE &&
      (in.len - h->size >= h->body || in.len >= CMT__PACKET_HEADER_MAX)) {
    return CMT__HEADER_GENERAL;
  }
  return kind;
}

#endif
