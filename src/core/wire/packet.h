/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__PACKET_H
#define CMT__PACKET_H

/* Packets as every wire profile has them.  docs/PROTOCOL.md 4.1 to 4.3. */

#include <cometp2p/buf.h>

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

/* Bytes of a header in its usual form, at most. */
enum { CMT__PACKET_HEADER_MAX = 24 };

#endif
