/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_PARSED_H
#define CMT_TEST_PARSED_H

/* Packets that came out of a parser, gathered whole. */

#include "core/wire/parser.h"
#include "packets.h"
#include "test.h"

enum { PARSED_PACKETS_MAX = 256, PARSED_BYTES_MAX = 1 << 16 };

typedef struct parsed {
  cmt__packet list[PARSED_PACKETS_MAX]; /* |data| points into |bytes|. */
  size_t count;
  uint8_t bytes[PARSED_BYTES_MAX];
  size_t len, begun; /* |begun|: where the data of the last packet begins. */
  cmt_err err;
  uint64_t copied, most_copied; /* In all, and for one packet. */
} parsed;

void parsed_init(parsed *p);

/* Consumes a part of a packet; |copied| is the parser's count so far. */
void parsed_part(parsed *p, const cmt__packet *k, uint64_t copied);

/* Whether both have the same packets in the same order. */
bool parsed_packets_same(const parsed *a, const parsed *b);

/* The length of the next piece. */
typedef size_t (*parsed_next)(void *arg);
size_t parsed_next_whole(void *arg);
size_t parsed_next_byte(void *arg);
/* |*arg| bytes, a size_t, and then the rest. */
size_t parsed_next_split(void *arg);

/* Parses |in| in pieces, from memory of exactly their length, with |p|, which
   has its end here. */
void parsed_run(parsed *out, cmt__packet_parser *p, cmt_bytes in,
                parsed_next next, void *arg);
/* As above, with a parser of CometBFT's packets. */
void parsed_cut(parsed *out, size_t payload_max, cmt_bytes in, parsed_next next,
                void *arg);

#endif
