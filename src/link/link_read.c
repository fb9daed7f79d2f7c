/* SPDX-License-Identifier: Apache-2.0 */

/* How much may be under way to a link.  What lies in its socket was sent, so no
   message overtakes it; as long as the kernel alone bounds it, it is megabytes
   when the other side is the faster one.  The link measures how fast it reads
   while it reads, and bounds the receive window by that: see recv_window.h. */

#include "link_impl.h"

enum {
  READ_FIRST = 262144,   /* Read before it is worth the memory. */
  WAITING_BYTES = 16384, /* In the socket: the path is faster than we are. */
};

#define SAMPLE_NS CMT_MILLISECONDS(20)
/* How long the window is bounded after bytes have waited.  Where none wait the
   path is the bottleneck, and a bound would only cut its segments. */
#define WAITING_NS CMT_SECONDS(1)

void cmt__link_note_read(cmt__link *l, size_t len) {
  cmt__link_path *p = cmt__link_path_of(l);

  if (l->options->queue_delay_target_ns == 0 || l->recv_bytes < READ_FIRST ||
      (p == NULL && (p = cmt__link_path_new(l)) == NULL)) {
    return;
  }
  if (p->iteration_bytes == 0) {
    p->iteration_ns = cmt__loop_now(l->loop);
  }
  p->iteration_bytes += len;
}

static void link_window(cmt__link *l, cmt__link_path *p) {
  uint64_t target_ns = cmt__link_target_ns(l, p);
  uint64_t now_ns = cmt__loop_now(l->loop);
  cmt__tcp_info info;
  uint32_t max;

  if (!cmt__tcp_info_get(l->tcp, &info)) {
    return;
  }
  if (cmt__tcp_unread(l->tcp) >= WAITING_BYTES) {
    p->waiting_until_ns = cmt__after(now_ns, WAITING_NS);
  }
  max = cmt__recv_window_note(&p->window, &info, target_ns / 2);
  max = now_ns < p->waiting_until_ns ? max : 0;
  if (max > 0 || p->window_max > 0) {
    p->window_max = max;
    cmt__tcp_window_max(l->tcp, max);
  }
}

void cmt__link_sample_reads(cmt__link *l) {
  cmt__link_path *p = cmt__link_path_of(l);
  uint64_t now_ns = cmt__loop_now(l->loop);

  if (p == NULL || p->iteration_bytes == 0) {
    return;
  }
  cmt__recv_window_read(&p->window, p->iteration_bytes,
                        cmt__since(now_ns, p->iteration_ns));
  p->iteration_bytes = 0;
  if (now_ns >= p->window_at_ns && cmt__recv_window_is_due(&p->window)) {
    p->window_at_ns = cmt__after(now_ns, SAMPLE_NS);
    link_window(l, p);
  }
}
