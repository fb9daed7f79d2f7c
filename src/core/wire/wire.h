/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__WIRE_H
#define CMT__WIRE_H

/* A wire profile: what packets look like on the stream and which rules pings
   follow, as one table.  Parser, channels and multiplexer are the same for
   all. */

#include "ping.h"

#include <cometp2p/mconn.h>

/* What the bytes at the start of a packet turn out to be. */
typedef enum cmt__header_kind {
  CMT__HEADER_MORE,    /* Too few bytes to tell. */
  CMT__HEADER_BAD,     /* No packet, or one over the limit. */
  CMT__HEADER_FOREIGN, /* No packet of this profile, but perhaps of another. */
  CMT__HEADER_GENERAL, /* Not the usual form; |body| bytes after |size|. */
  CMT__HEADER_PACKET,  /* |packet|, whose header takes |size| bytes. */
} cmt__header_kind;

typedef struct cmt__header {
  size_t size; /* Up to the body for CMT__HEADER_GENERAL. */
  size_t body; /* Announced bytes. */
  cmt__packet packet;
} cmt__header;

struct cmt__wire {
  cmt_bytes ping, pong; /* Whole packets. */
  /* A ping by which a peer of the other profile knows this one at once. */
  cmt_bytes parting;
  /* As those of packet.h, which are CometBFT's. */
  size_t (*msg_size)(uint8_t channel, bool eof, size_t len);
  void (*write_msg)(cmt__batch *r, uint8_t channel, bool eof, cmt_bytes data);
  size_t (*limit)(size_t payload_max);
  cmt_err (*decode)(cmt_bytes body, cmt__packet *out);
  /* Reads the header at |in|, of at least one byte; |limit| as above. */
  cmt__header_kind (*header)(cmt_bytes in, size_t limit, cmt__header *out);
  /* True when a stream that begins with |first| is of the other profile;
     |bad|: its first packet is none of this one.  NULL: its header tells. */
  bool (*is_foreign)(uint8_t first, bool bad);
  const cmt__ping_rules *pings;
};

extern const cmt__wire cmt__wire_cometbft, cmt__wire_legacy;

/* NULL: no profile. */
const cmt__wire *cmt__wire_of(cmt_wire wire);

void cmt__wire_parser_init(cmt__packet_parser *p, const cmt__wire *wire,
                           size_t payload_max);

/* ---- what the profiles share: the fields of a msg packet ---- */

/* Bytes of them. */
size_t cmt__msg_fields_size(uint8_t channel, bool eof, size_t len);
/* Writes all but the data, which ends them. */
void cmt__msg_fields_write(cmt__writer *w, uint8_t channel, bool eof,
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
cmt__peek cmt__peek_body(cmt_bytes in, const cmt__header *h);
/* Reads fields of |inner| bytes in their usual order.  The data, when there is
   any, ends the packet. */
cmt__header_kind cmt__peek_fields(cmt__peek *k, size_t inner, cmt__packet *out);
/* Settles what |kind|, found up to |k|, means for the header. */
cmt__header_kind cmt__peek_done(cmt_bytes in, const cmt__peek *k,
                                cmt__header_kind kind, cmt__header *h);

#endif
