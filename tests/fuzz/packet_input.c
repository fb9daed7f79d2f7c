/* SPDX-License-Identifier: Apache-2.0 */
#include "packet_input.h"

#include "fuzz.h"

const cmt_channel packet_input_channels[PACKET_INPUT_CHANNELS] = {
  {.id = 0x00, .priority = 1, .recv_message_max = 100},
  {.id = 0x31, .priority = 5, .recv_message_max = 5000},
  {.id = 0x80, .priority = 65535, .recv_message_max = 20000},
  {.id = 0xff, .priority = 10, .recv_message_max = PACKET_INPUT_MESSAGE_MAX},
};

size_t packet_input_channel(uint8_t id) {
  size_t i = 0;

  while (i < PACKET_INPUT_CHANNELS && packet_input_channels[i].id != id) {
    i++;
  }
  return i;
}

packet_input packet_input_of(const uint8_t *data, size_t size) {
  static const uint32_t payloads[] = {1400, 1, 2, 10, 127, 128, 1024, 65536};
  fuzz_input in = {.at = data, .left = size};
  packet_input out = {.payload_max =
                        payloads[fuzz_byte(&in) % CMT__COUNT(payloads)]};

  out.seed = 1 + (uint32_t)fuzz_byte(&in);
  out.stream = fuzz_take(&in, in.left);
  return out;
}

size_t packet_input_piece(uint32_t *seed, size_t left) {
  size_t n;

  if (*seed == 0 || left == 0) {
    return left;
  }
  *seed = *seed * 1103515245 + 12345;
  /* Mostly a few bytes, sometimes many. */
  n = 1 + (*seed >> 16 & 7);
  if ((*seed >> 20 & 3) == 0) {
    n += *seed >> 22;
  }
  return cmt__min(n, left);
}
