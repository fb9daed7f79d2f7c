/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__PARSER_H
#define CMT__PARSER_H

/* The resumable parser of packets, for every wire profile. */

#include "profile.h"

/* The parser's place in the stream. */
typedef struct cmt__packet_parser {
  const cmt__wire *wire;
  size_t limit;
  uint8_t header[CMT__PACKET_HEADER_MAX]; /* What has come of a header that the
                                             input cuts. */
  cmt__packet msg;  /* The msg packet whose data is being given out. */
  size_t data_left; /* Its data that are still to come; |in_data| distinguishes
                       0 from none. */
  bool in_data;
  uint8_t header_len;
  uint8_t unknown;  /* The byte that it failed at, since no packet of its
                       profile begins so; 0: none. */
  uint8_t *scratch; /* Gathers a packet in any other legal form; NULL before one
                       came. */
  size_t scratch_len, scratch_need;
  uint64_t copied; /* Bytes that went into |header| or |scratch|. */
} cmt__packet_parser;

/* For the packets of |wire| from a node that we grant |payload_max|. */
void cmt__packet_parser_init(cmt__packet_parser *p, const cmt__wire *wire,
                             size_t payload_max);
void cmt__packet_parser_fini(cmt__packet_parser *p, const cmt_env *env);

/* The next packet, or part of one, from |*in|, which moves on.  CMT_EAGAIN:
   |*in| is used up; CMT_EPROTO; CMT_EUNKNOWNCHANNEL: an id over 255;
   CMT_ENOMEM. */
CMT_NODISCARD cmt_err cmt__packet_next(cmt__packet_parser *p,
                                       const cmt_env *env, cmt_bytes *in,
                                       cmt__packet *out);

#endif
