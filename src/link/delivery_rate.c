/* SPDX-License-Identifier: Apache-2.0 */

/* The delivery rate of a connection is the lower of two rates.

   The rate of the path is the kernel's own measurement.  When the sender had
   too little to send, the measurement is a lower bound only.

   The rate of the reader is computed here.  When the receive window of the
   other side is full, the kernel measures the bursts in which the window opens,
   which say nothing about how fast the application behind it reads. */

#include "delivery_rate.h"

#include "base/base.h"

enum {
  BUSY_MIN_US = 10000,
  PIPE_BYTES = 128 << 10, /* Unsent bytes that are enough for a fast path. */
  PIPE_TARGETS = 10,      /* Most targets that unsent bytes are worth. */
  /* A last packet that does not fit leaves a part of the last frame empty,
     which is less than a hundredth of so long a batch. */
  BATCH_BYTES = 60 * 1044,
};

/* No target is longer than this, so the product below fits in 64 bits. */
#define TARGET_MAX_NS CMT_SECONDS(1)

void cmt__delivery_rate_init(cmt__delivery_rate *r) {
  *r = (cmt__delivery_rate){.reader = UINT64_MAX};
}

/* The rate of the reader is an average while a lack of room stops the sender
   for over a quarter of the time.  Otherwise it doubles with each sample, until
   it is no limit any more. */
static void note_reader(cmt__delivery_rate *r, const cmt__tcp_info *info) {
  uint64_t busy_us = (info->busy_ns - r->busy_ns) / 1000;
  uint64_t no_room_us = (info->no_room_ns - r->no_room_ns) / 1000;
  uint64_t acked = info->acked_bytes - r->acked_bytes, rate;

  if (busy_us < BUSY_MIN_US || acked == 0) {
    return; /* The interval is too short for a sample, and counts with the next
             one. */
  }
  rate = cmt__max64(acked * 1000000 / busy_us, 1);
  if (no_room_us <= busy_us / 4) {
    r->reader += cmt__min64(r->reader, UINT64_MAX - r->reader);
  } else if (r->reader == UINT64_MAX) {
    r->reader = rate;
  } else {
    r->reader = cmt__max64(r->reader / 4 * 3 + rate / 4, 1);
  }
  r->acked_bytes = info->acked_bytes;
  r->busy_ns = info->busy_ns;
  r->no_room_ns = info->no_room_ns;
}

static void note_path(cmt__delivery_rate *r, const cmt__tcp_info *info) {
  if (!info->app_limited || (r->path > 0 && info->delivery_rate > r->path)) {
    r->path = info->delivery_rate;
  }
}

void cmt__delivery_rate_note(cmt__delivery_rate *r, const cmt__tcp_info *info) {
  note_reader(r, info);
  note_path(r, info);
}

uint64_t cmt__delivery_rate_get(const cmt__delivery_rate *r) {
  if (r->reader == UINT64_MAX) {
    return r->path;
  }
  return r->path == 0 ? r->reader : cmt__min64(r->path, r->reader);
}

uint32_t cmt__delivery_bytes(uint64_t rate, uint64_t target_ns) {
  uint64_t target_us = cmt__min64(target_ns, TARGET_MAX_NS) / 1000;

  return (uint32_t)cmt__min64(rate / 1000 * target_us / 1000,
                              CMT__DELIVERY_BYTES_MAX);
}

uint32_t cmt__delivery_unsent(uint64_t rate, uint64_t target_ns,
                              uint64_t rtt_ns) {
  uint64_t target = cmt__min64(target_ns, TARGET_MAX_NS);
  uint64_t most = PIPE_TARGETS * target;
  uint64_t own = cmt__max64(target / 2, cmt__min64(rtt_ns / 8, most));

  return (uint32_t)cmt__max(
    cmt__delivery_bytes(rate, own),
    cmt__min(cmt__delivery_bytes(rate, most), PIPE_BYTES));
}

uint32_t cmt__delivery_batch(uint64_t rate, uint64_t target_ns) {
  uint64_t target = cmt__min64(target_ns, TARGET_MAX_NS);

  return (uint32_t)cmt__max(
    cmt__delivery_bytes(rate, target / 5),
    cmt__min(cmt__delivery_bytes(rate, PIPE_TARGETS * target), BATCH_BYTES));
}

bool cmt__delivery_bytes_changed(uint32_t before, uint32_t bytes) {
  return bytes > before + before / 4 || bytes < before - before / 4;
}
