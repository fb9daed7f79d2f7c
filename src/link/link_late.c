/* SPDX-License-Identifier: Apache-2.0 */

/* When the other side of a link is late.

   Design notes.  A deadline may be noticed late: a callback took its time, or
   the process was stopped.  What had come by the deadline is then in the
   socket, and the other side is late only when it is not among that.  So a
   deadline counts once the loop has looked at the sockets after it, and once as
   many bytes were read as lay in the socket when it was noticed.  What arrives
   later does not postpone it.  The same applies to what the other side
   acknowledges.  When that seems to be nothing, the socket is written to once
   more and sampled: a kernel that buffers megabytes makes room in large steps
   only.  The kernel has a timeout of the same length, for a host that
   disappears. */

#include "link_impl.h"

#include <cometp2p/secret_conn.h>

#include <errno.h>

/* The socket is sampled once in each of so many parts of the time. */
enum { LOOKS = 4 };

/* How long the other side may acknowledge nothing; as in core/wire/ping.c. */
static uint64_t link_span_ns(const cmt__link *l) {
  uint64_t interval_ns = l->options->ping_interval_ns;
  uint64_t timeout_ns = l->options->pong_timeout_ns;

  return interval_ns == CMT_NEVER ? CMT_NEVER
                                  : cmt__after(interval_ns, timeout_ns);
}

bool cmt__link_reads_first(cmt__link *l, uint64_t late_ns) {
  if (cmt__loop_now(l->loop) < late_ns || !l->reading || l->eof) {
    l->overdue = false;
    return false;
  }
  if (cmt__loop_polled(l->loop) < late_ns) {
    return true;
  }
  if (!l->overdue) {
    l->overdue = true;
    l->overdue_left = (uint32_t)cmt__min(cmt__tcp_unread(l->tcp), UINT32_MAX);
  }
  return l->overdue_left > 0;
}

/* Samples what was acknowledged; the baseline is current unless it is from an
   earlier watch.  Before much was written the socket is below its limit.
   Whatever the result, the next sample is later. */
static void link_ask(cmt__link *l, cmt__link_path *p) {
  uint64_t now_ns = cmt__loop_now(l->loop), look_ns = link_span_ns(l) / LOOKS;
  cmt__tcp_info info;
  bool is_fresh;

  if (p == NULL) {
    return;
  }
  is_fresh = now_ns < cmt__after(p->ask_at_ns, look_ns);
  p->ask_at_ns = cmt__after(now_ns, look_ns);
  if (cmt__tcp_info_get(l->tcp, &info) &&
      info.acked_bytes - p->asked_bytes >= CMT_FRAME_DATA) {
    p->asked_bytes = info.acked_bytes;
    if (is_fresh) {
      cmt_conn_acked(l->conn, now_ns);
    }
  }
}

static bool link_is_stuck(const cmt__link *l) {
  return cmt__loop_now(l->loop) >= cmt_conn_send_deadline(l->conn);
}

/* Whether the other side may still acknowledge something. */
static bool link_writes_first(cmt__link *l) {
  uint64_t stuck_ns = cmt_conn_send_deadline(l->conn);
  cmt__link_path *p = cmt__link_path_of(l);

  if (stuck_ns == CMT_NEVER) {
    return false;
  }
  if (p != NULL && cmt__loop_now(l->loop) >= p->ask_at_ns) {
    link_ask(l, p);
  }
  if (!link_is_stuck(l)) {
    return false;
  }
  if (cmt__loop_polled(l->loop) < stuck_ns) {
    return true;
  }
  cmt__link_write_rest(l);
  if (link_is_stuck(l)) {
    link_ask(l, p);
  }
  return false;
}

bool cmt__link_excuses(cmt__link *l) {
  bool reads = cmt__link_reads_first(
    l, cmt__min64(cmt_conn_recv_deadline(l->conn), l->give_up_ns));

  return link_writes_first(l) || reads;
}

/* While we do not read, the other side may wait for us before it reads, or it
   may not read by its own choice; then the kernel must not end the
   connection. */
void cmt__link_guard(cmt__link *l) {
  uint64_t now_ns = cmt__loop_now(l->loop), span_ns = link_span_ns(l);
  bool on =
    !cmt_conn_peer_is_paused(l->conn) &&
    (!l->paused || now_ns < cmt__after(l->paused_at_ns, span_ns / LOOKS));

  if (span_ns == CMT_NEVER || on == l->guarded) {
    return;
  }
  cmt__tcp_give_up(l->tcp, on ? span_ns : 0);
  l->guarded = on;
}

uint64_t cmt__link_look_ns(const cmt__link *l) {
  const cmt__link_path *p = cmt__link_path_of(l);
  uint64_t at_ns = CMT_NEVER;

  if (p != NULL && cmt_conn_send_deadline(l->conn) != CMT_NEVER) {
    at_ns = p->ask_at_ns;
  }
  return l->guarded && l->paused
           ? cmt__min64(at_ns,
                        cmt__after(l->paused_at_ns, link_span_ns(l) / LOOKS))
           : at_ns;
}

/* On a connection the system has no other cause for this errno, and it counts
   from the last acknowledgement: the progress that we saw may be later. */
cmt_err cmt__link_reason(cmt__link *l, cmt_err err) {
  cmt_why why;

  if (!l->guarded || l->error != ETIMEDOUT) {
    return err;
  }
  cmt__why(&why, CMT_EPONG, CMT_STAGE_UP,
           "the peer reads nothing: it acknowledged no data for %llu ms",
           (unsigned long long)(link_span_ns(l) / CMT_MILLISECONDS(1)));
  cmt__link_say(l, &why);
  return CMT_EPONG;
}
