/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__HEIGHT_MSG_H
#define CMT__HEIGHT_MSG_H

/* The height of a node, as the messages tell it that a node sends to every new
   peer by itself: StatusResponse on channel 0x40 and NewRoundStep on 0x20.  The
   bytes are those of all releases from v0.34 to v1.  docs/PROTOCOL.md 9.3 and
   9.6. */

#include <cometp2p/buf.h>

enum {
  CMT__HEIGHT_CHANNEL_CONSENSUS = 0x20,
  CMT__HEIGHT_CHANNEL_BLOCKSYNC = 0x40,
  CMT__HEIGHT_MESSAGE_MAX = 4096, /* Longer ones are other messages. */
};

/* The last block of the node that sent |msg| on |channel|; 0: the message tells
   none, does not decode, or has values that no node sends. */
int64_t cmt__height_read(uint8_t channel, cmt_bytes msg);

#endif
