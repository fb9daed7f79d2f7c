/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__PROFILE_H
#define CMT__PROFILE_H

/* A wire profile: what packets look like on the stream and which rules pings
   follow, as one table.  Parser, channels and multiplexer are the same for all,
   and no profile knows of another.  Each has a file, and a row in wire.c. */

#include "fields.h"
#include "ping.h"
#include "batch.h"

typedef struct cmt__wire {
  /* Bytes of a msg packet with |len| data bytes, all included. */
  size_t (*msg_size)(uint8_t channel, bool eof, size_t len);
  void (*write_msg)(cmt__batch *r, uint8_t channel, bool eof, cmt_bytes data);
  /* The longest body of a packet that a node with this payload accepts; ids
     from 0x80 up may have one byte more. */
  size_t (*limit)(size_t payload_max);
  /* Decodes the body of a packet in any legal form. */
  cmt_err (*decode)(cmt_bytes body, cmt__packet *out);
  /* Reads the header at |in|, of at least one byte; |limit| as above. */
  cmt__header_kind (*header)(cmt_bytes in, size_t limit, cmt__header *out);
  /* True when a node of this profile may begin its stream with |first|. */
  bool (*opens)(uint8_t first);
  /* A ping by which a node of any other profile knows this one at once. */
  cmt_bytes parting;
  const cmt__ping_rules *pings;
} cmt__wire;

#endif
