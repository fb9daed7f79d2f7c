/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_FUZZ_WIRE_H
#define CMT_FUZZ_WIRE_H

/* Reads what a connection with the null AEAD writes, by docs/PROTOCOL.md alone
   and without the library's decoders, and holds it to the forms that we
   promise: the key, frames with zero padding, the signature in a frame of its
   own, the node info, packets in their shortest form. */

#include "fuzz.h"

enum { WIRE_FRAME = 1044, WIRE_PACKET_MAX = 65536 + 24 };

typedef enum wire_stage {
  WIRE_KEY,
  WIRE_AUTH,
  WIRE_INFO,
  WIRE_PACKETS,
} wire_stage;

/* A part of a message: |data| of channel |id|, |eof| at its end. */
typedef void (*wire_part)(void *arg, uint8_t id, bool eof, cmt_bytes data);

typedef struct fuzz_wire {
  wire_stage stage;
  size_t payload_max;
  bool legacy;              /* docs/LEGACY.md instead. */
  uint8_t slot[WIRE_FRAME]; /* The key or the frame that is not complete. */
  size_t slot_len;
  uint8_t packet[WIRE_PACKET_MAX]; /* The node info or the packet. */
  size_t packet_len;
  uint64_t pings, pongs;
  wire_part part;
  void *arg;
} fuzz_wire;

void wire_take(fuzz_wire *w, cmt_bytes bytes);

#endif
