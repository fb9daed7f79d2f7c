/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__PACKET_H
#define CMT__PACKET_H

/* Packets on the stream: a writer that puts them straight into frames, and a
   resumable parser.  docs/PROTOCOL.md 4.1 to 4.3. */

#include "base/bytes.h"

typedef struct cmt__wire cmt__wire; /* wire.h */

/* Where packets are written: |cap| bytes of data, |segment| of them in each
   slot of |stride| bytes, from |offset| on. */
typedef struct cmt__batch {
  uint8_t *at; /* The next byte. */
  size_t left; /* Room from there to the end of the segment. */
  size_t segment, gap;
  size_t len, cap;
  const cmt_env *env; /* Hears of more than it has room for. */
} cmt__batch;

/* A run over |slots| frames at |base|; |env| outlives it. */
cmt__batch cmt__batch_frames(const cmt_env *env, uint8_t *base, size_t slots);
/* A run over |cap| bytes in one piece. */
cmt__batch cmt__batch_plain(const cmt_env *env, uint8_t *base, size_t cap);

static inline size_t cmt__batch_room(const cmt__batch *r) {
  return r->cap - r->len;
}
void cmt__batch_write(cmt__batch *r, const uint8_t *data, size_t len);

/* Bytes of CometBFT's msg packet with |len| data bytes, with its length prefix.
 */
size_t cmt__packet_msg_size(uint8_t channel, bool eof, size_t len);
void cmt__packet_write_msg(cmt__batch *r, uint8_t channel, bool eof,
                           cmt_bytes data);

enum { CMT__PACKET_PING_SIZE = 3 }; /* Of the profile's that is longest. */
void cmt__packet_write_ping(cmt__batch *r);
void cmt__packet_write_pong(cmt__batch *r);

/* The longest packet, without its prefix, that a node with this payload
   accepts; ids from 0x80 up may have one byte more. */
size_t cmt__packet_limit(size_t payload_max);

typedef enum cmt__packet_kind {
  CMT__PACKET_PING,
  CMT__PACKET_PONG,
  CMT__PACKET_MSG, /* A part of a msg packet's data. */
} cmt__packet_kind;

typedef struct cmt__packet {
  cmt__packet_kind kind;
  uint8_t channel;
  bool eof;       /* The packet's data ends a message. */
  bool first;     /* This part begins the packet. */
  bool last;      /* This part ends it. */
  size_t total;   /* Data bytes of the whole packet. */
  cmt_bytes data; /* Lent until the next call. */
} cmt__packet;

enum { CMT__PACKET_HEADER_MAX = 24 };

/* The parser's place in the stream. */
typedef struct cmt__packet_parser {
  const cmt__wire *wire;
  size_t limit;
  uint8_t header[CMT__PACKET_HEADER_MAX]; /* Of a header cut by the input. */
  size_t header_len;
  cmt__packet msg;  /* The msg packet whose data is being given out. */
  size_t data_left; /* Of it; |in_data| tells 0 from none. */
  bool in_data;
  bool foreign;     /* It failed at what may be of another profile. */
  uint8_t *scratch; /* Of a packet in any other legal form; NULL before one
                       came. */
  size_t scratch_len, scratch_need;
  uint64_t copied; /* Bytes that went into |header| or |scratch|. */
} cmt__packet_parser;

/* One of CometBFT's packets; wire.h has those of any profile. */
void cmt__packet_parser_init(cmt__packet_parser *p, size_t payload_max);
void cmt__packet_parser_fini(cmt__packet_parser *p, const cmt_env *env);

/* The next packet, or part of one, from |*in|, which moves on.  CMT_EAGAIN:
   |*in| is used up; CMT_EPROTO; CMT_EUNKNOWNCHANNEL: an id over 255;
   CMT_ENOMEM. */
CMT_NODISCARD cmt_err cmt__packet_next(cmt__packet_parser *p,
                                       const cmt_env *env, cmt_bytes *in,
                                       cmt__packet *out);

/* Decodes a whole packet of CometBFT without its prefix, in any legal form. */
CMT_NODISCARD cmt_err cmt__packet_decode(cmt_bytes body, cmt__packet *out);

#endif
