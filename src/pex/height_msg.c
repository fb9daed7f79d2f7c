/* SPDX-License-Identifier: Apache-2.0 */

/* Messages are decoded as in the reference: the last member of the oneof
   counts, and in it the last field of each number. */

#include "height_msg.h"

#include "msg_reader.h"

enum {
  CONSENSUS_NEW_ROUND_STEP = 1,
  CONSENSUS_MEMBERS = 10,
  BLOCKSYNC_STATUS_RESPONSE = 5,
  BLOCKSYNC_MEMBERS = 5,
  STEP_MIN = 1,
  STEP_MAX = 8,
  NUMBERS = 5, /* Fields of a step. */
};

/* The content of the last member of |msg|, if its number is |wanted|. */
static bool find_member(cmt_bytes msg, unsigned wanted, unsigned members,
                        cmt_bytes *out) {
  bool found = false;
  cmt__msg_member f;

  while (msg.len > 0) {
    if (!cmt__msg_field(&msg, &f) ||
        (f.number <= members && f.type != CMT__MSG_BYTES)) {
      return false;
    }
    if (f.number <= members) {
      found = f.number == wanted;
      *out = f.bytes;
    }
  }
  return found;
}

static bool read_numbers(cmt_bytes content, unsigned known,
                         int64_t out[NUMBERS]) {
  static const unsigned types[NUMBERS] = {CMT__MSG_VARINT, CMT__MSG_VARINT,
                                          CMT__MSG_VARINT, CMT__MSG_VARINT,
                                          CMT__MSG_VARINT};
  cmt__msg_member f;

  while (content.len > 0) {
    if (!cmt__msg_known(&content, types, known, &f)) {
      return false;
    }
    if (f.number <= known) {
      out[f.number - 1] = (int64_t)f.value;
    }
  }
  return true;
}

/* { int64 height = 1; int64 base = 2 } */
static int64_t read_status(cmt_bytes content) {
  int64_t n[NUMBERS] = {0};

  return read_numbers(content, 2, n) && n[0] > 0 && n[1] >= 0 && n[1] <= n[0]
           ? n[0]
           : 0;
}

/* { int64 height = 1; int32 round = 2; uint32 step = 3;
     int64 seconds_since_start_time = 4; int32 last_commit_round = 5 }, of the
   block that is being made. */
static int64_t read_step(cmt_bytes content) {
  int64_t n[NUMBERS] = {0};

  return read_numbers(content, NUMBERS, n) && n[0] > 0 && (int32_t)n[1] >= 0 &&
             (uint32_t)n[2] >= STEP_MIN && (uint32_t)n[2] <= STEP_MAX &&
             (int32_t)n[4] >= -1
           ? n[0] - 1
           : 0;
}

int64_t cmt__height_read(uint8_t channel, cmt_bytes msg) {
  cmt_bytes content;

  if (msg.len > CMT__HEIGHT_MESSAGE_MAX) {
    return 0;
  }
  if (channel == CMT__HEIGHT_CHANNEL_BLOCKSYNC) {
    return find_member(msg, BLOCKSYNC_STATUS_RESPONSE, BLOCKSYNC_MEMBERS,
                       &content)
             ? read_status(content)
             : 0;
  }
  return channel == CMT__HEIGHT_CHANNEL_CONSENSUS &&
             find_member(msg, CONSENSUS_NEW_ROUND_STEP, CONSENSUS_MEMBERS,
                         &content)
           ? read_step(content)
           : 0;
}
