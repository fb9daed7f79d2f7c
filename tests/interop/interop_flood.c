/* SPDX-License-Identifier: Apache-2.0 */

/* The flood: each channel is kept full with numbered messages for a while, and
   what comes in is compared with its number.  The last message reports how many
   there were. */

#include "interop_peer.h"

#include <string.h>
#include <time.h>

static uint64_t clock_ns(void) {
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void store_le64(uint8_t *out, uint64_t value) {
  for (unsigned i = 0; i < 8; i++) {
    out[i] = (uint8_t)(value >> (8 * i));
  }
}

static uint64_t load_le64(const uint8_t *in) {
  uint64_t value = 0;

  for (unsigned i = 0; i < 8; i++) {
    value |= (uint64_t)in[i] << (8 * i);
  }
  return value;
}

static cmt_err flood_send_one(cmt_peer *p, uint8_t channel, uint64_t k,
                              flood_channel *f) {
  cmt_buf *msg = cmt_buf_new(NULL, opts.flood_size);

  if (msg == NULL) {
    return CMT_ENOMEM;
  }
  store_le64(cmt_buf_data(msg), k);
  pattern_fill(cmt_buf_data(msg) + FLOOD_HEADER, opts.flood_size - FLOOD_HEADER,
               k, channel);
  return send_patiently(p, channel, msg, &f->refused);
}

bool flood_send(cmt_peer *p, uint8_t channel, flood_channel *f) {
  uint64_t end_ns = clock_ns() + opts.flood_ns;
  uint64_t k = 0;
  cmt_buf *last;

  for (; clock_ns() < end_ns; k++) {
    if (flood_send_one(p, channel, k, f) != CMT_OK) {
      return false;
    }
  }
  last = cmt_buf_new(NULL, 2 * FLOOD_HEADER);
  if (last == NULL) {
    return false;
  }
  store_le64(cmt_buf_data(last), UINT64_MAX);
  store_le64(cmt_buf_data(last) + FLOOD_HEADER, k);
  f->sent = k;
  f->sent_bytes = k * opts.flood_size + 2 * FLOOD_HEADER;
  return send_patiently(p, channel, last, &f->refused) == CMT_OK;
}

void flood_receive(flood_channel *f, uint8_t channel, cmt_bytes data) {
  uint64_t k;

  f->received_bytes += data.len;
  if (data.len < FLOOD_HEADER) {
    f->wrong++;
    return;
  }
  k = load_le64(data.base);
  if (k == UINT64_MAX && data.len == 2 * FLOOD_HEADER) {
    f->lost += load_le64(data.base + FLOOD_HEADER) != f->received;
    f->end_received = true;
    return;
  }
  f->wrong += !pattern_equal(data.base + FLOOD_HEADER, data.len - FLOOD_HEADER,
                             k, channel);
  f->lost += k != f->received;
  f->received = k + 1;
}
