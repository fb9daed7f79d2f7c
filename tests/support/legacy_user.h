/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_LEGACY_USER_H
#define CMT_TEST_LEGACY_USER_H

/* The legacy profile as docs/LEGACY.md has it, read by a decoder that has
   nothing in common with the library: whole packets only, from memory in one
   piece.  And a multiplexer of that profile, whose output it reads. */

#include "mconn_user.h"

typedef enum legacy_how {
  LEGACY_PACKET,
  LEGACY_MORE,    /* It goes on behind the end. */
  LEGACY_BAD,     /* No packet, or one over the limit. */
  LEGACY_FOREIGN, /* A type byte over 3. */
} legacy_how;

typedef struct legacy_packet {
  uint8_t type, channel;
  bool eof;
  cmt_bytes data;
  size_t size;      /* Size of the packet. */
  size_t announced; /* Size of its fields, as far as known. */
} legacy_packet;

/* Bytes of the longest msgPacket, but for ids that cost one more. */
size_t legacy_limit(size_t payload_max);

/* The first packet of |in|, which is not empty. */
legacy_how legacy_read(cmt_bytes in, size_t payload_max, legacy_packet *out);

/* A multiplexer with the channels of mconn_user.h that started at 0, with the
   default times, 60 s and 45 s. */
mconn_user *legacy_user_new(void);
/* As legacy_user_new(), with the options that |change| sets. */
mconn_user *legacy_user_new_with(void (*change)(cmt_mconn_options *o));

/* Reads one batch of at most |max| bytes and compares its packets: "ping",
   "pong", "30.5!" with the length, and a mark for EOF. */
void assert_legacy_sent(mconn_user *f, size_t max, uint64_t now_ns,
                        const char *expected);
/* As above, the bytes in hex. */
void assert_legacy_bytes(mconn_user *f, uint64_t now_ns, const char *hex);
/* |in| as words like those; what is no packet ends them: "more", "bad",
   "foreign". */
void legacy_words(cmt_bytes in, size_t payload_max, char *out, size_t cap);

#endif
