/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_FUZZ_PACKET_INPUT_H
#define CMT_FUZZ_PACKET_INPUT_H

/* An input of the target packet. */

#include <cometp2p/mconn.h>

enum { PACKET_INPUT_CHANNELS = 4, PACKET_INPUT_MESSAGE_MAX = 70000 };

/* 0x00: 100 bytes; 0x31: 5,000; 0x80: 20,000; 0xff: 70,000. */
extern const cmt_channel packet_input_channels[PACKET_INPUT_CHANNELS];

typedef struct packet_input {
  cmt_wire wire;
  uint32_t payload_max;
  uint32_t seed; /* Seed of the pieces; never 0. */
  cmt_bytes stream;
} packet_input;

packet_input packet_input_of(const uint8_t *data, size_t size);

/* The index of a channel; PACKET_INPUT_CHANNELS: none. */
size_t packet_input_channel(uint8_t id);

/* The length of the next piece of |left| bytes, from |*seed|, which moves on;
   all of them when it is 0. */
size_t packet_input_piece(uint32_t *seed, size_t left);

#endif
