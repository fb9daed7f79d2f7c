/* SPDX-License-Identifier: Apache-2.0 */
/* Messages that tell a height: the first byte is the channel.  A height is
   positive, only the two channels yield one, and fields that no release knows
   change nothing. */

#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "pex/height_msg.h"

/* The message with an unknown field behind it. */
static int64_t read_longer(uint8_t channel, const uint8_t *data, size_t size) {
  static const uint8_t unknown[] = {0xf8, 0x07, 0x01};
  uint8_t *longer = malloc(size + sizeof unknown);
  int64_t height;

  FUZZ_CHECK(longer != NULL);
  memcpy(longer, data, size);
  memcpy(longer + size, unknown, sizeof unknown);
  height = cmt__height_read(
    channel, (cmt_bytes){.base = longer, .len = size + sizeof unknown});
  free(longer);
  return height;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint8_t *copy;
  int64_t height;

  if (size == 0) {
    return 0;
  }
  copy = fuzz_copy((cmt_bytes){.base = data + 1, .len = size - 1});
  height =
    cmt__height_read(data[0], (cmt_bytes){.base = copy, .len = size - 1});
  FUZZ_CHECK(height >= 0);
  FUZZ_CHECK(height == 0 || data[0] == CMT__HEIGHT_CHANNEL_CONSENSUS ||
             data[0] == CMT__HEIGHT_CHANNEL_BLOCKSYNC);
  if (height > 0 && size + 3 < CMT__HEIGHT_MESSAGE_MAX) {
    FUZZ_CHECK(read_longer(data[0], copy, size - 1) == height);
  }
  free(copy);
  return 0;
}
