/* SPDX-License-Identifier: Apache-2.0 */

/* The receive window follows the speed at which this side reads while it reads,
   and not the rate at which bytes come.  So the window is no limit for a sender
   that has little to send, and cannot shrink because it was too small.  The
   round trip is the least of those lately, without queues; when the path gets
   longer, the system forgets it after some minutes. */

#include "recv_window.h"

#include "base/base.h"

enum {
  SAMPLE_BYTES = 256 << 10,
  WINDOW_MIN = 64 << 10,
  SEGMENTS_MIN = 4, /* The longest that came. */
  /* A path that needs more is the system's to find out about. */
  WINDOW_MAX = 4 << 20,
};

bool cmt__recv_window_is_due(const cmt__recv_window *w) {
  return w->read_bytes >= SAMPLE_BYTES && w->busy_ns >= 1000;
}

static void rate_note(cmt__recv_window *w) {
  uint64_t busy_us = cmt__max64(w->busy_ns / 1000, 1);
  uint64_t rate = cmt__max64(w->read_bytes * 1000000 / busy_us, 1);

  w->rate = w->rate == 0 ? rate : w->rate / 4 * 3 + rate / 4;
  w->read_bytes = 0;
  w->busy_ns = 0;
}

uint32_t cmt__recv_window_note(cmt__recv_window *w, const cmt__tcp_info *info,
                               uint64_t target_ns) {
  uint64_t rtt_ns = info->rtt_min_ns, delay_us, bytes;

  rate_note(w);
  if (rtt_ns == 0 || rtt_ns >= CMT_SECONDS(1)) {
    return 0;
  }
  delay_us = (cmt__min64(target_ns, CMT_SECONDS(1)) + 2 * rtt_ns) / 1000;
  bytes = w->rate / 1000 * delay_us / 1000;
  bytes = cmt__max64(bytes, WINDOW_MIN);
  bytes = cmt__max64(bytes, SEGMENTS_MIN * (uint64_t)info->recv_segment_bytes);
  return bytes > WINDOW_MAX ? 0 : (uint32_t)bytes;
}
