/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__MSG_READER_H
#define CMT__MSG_READER_H

/* Fields of a protobuf message, one after another, where the message lies.  It
   is as tolerant as the reference: unknown fields and groups are skipped, and
   surplus bits of a number are dropped. */

#include <cometp2p/buf.h>

enum {
  CMT__MSG_VARINT = 0,
  CMT__MSG_FIXED64 = 1,
  CMT__MSG_BYTES = 2,
  CMT__MSG_GROUP = 3, /* It was skipped. */
  CMT__MSG_GROUP_END = 4,
  CMT__MSG_FIXED32 = 5,
};

/* A field of a message. */
typedef struct cmt__msg_member {
  uint64_t number;
  unsigned type;
  uint64_t value;  /* What a CMT__MSG_VARINT has, */
  cmt_bytes bytes; /* and a CMT__MSG_BYTES, in the message. */
} cmt__msg_member;

/* Takes the next field from |rest|, which is not empty.  False: the message
   does not decode. */
bool cmt__msg_field(cmt_bytes *rest, cmt__msg_member *out);
/* As cmt__msg_field(); false also when a field up to |known| has another type
   than |types| gives its number, counted from 1. */
bool cmt__msg_known(cmt_bytes *rest, const unsigned *types, unsigned known,
                    cmt__msg_member *out);

#endif
