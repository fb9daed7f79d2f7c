/* SPDX-License-Identifier: Apache-2.0 */
#include "ping.h"

void cmt__ping_start(cmt__ping *p, size_t packet_max, uint64_t now_ns) {
  p->at_ns = cmt__after(now_ns, p->interval_ns);
  p->watch_ns = CMT_NEVER;
  p->moved_ns = now_ns;
  if (p->rules->start != NULL) {
    p->rules->start(p, packet_max);
  }
}

uint64_t cmt__ping_late_ns(const cmt__ping *p) {
  return p->state == CMT__PING_TAKEN ? cmt__after(p->wait_ns, p->timeout_ns)
                                     : CMT_NEVER;
}

/* How long the other side may take too little.  Where no pings are sent but
   those that are asked for, the timeout has to do for the interval. */
static uint64_t stuck_max_ns(const cmt__ping *p) {
  uint64_t interval_ns =
    p->interval_ns == CMT_NEVER ? p->timeout_ns : p->interval_ns;

  return cmt__after(interval_ns, p->timeout_ns);
}

/* Where whatever comes puts off the next ping, no ping would ever be due
   to a peer that sends and never reads.  There an interval without progress
   counts as a ping that is due. */
uint64_t cmt__ping_stuck_since_ns(const cmt__ping *p) {
  uint64_t due_ns = p->watch_ns;

  if (p->rules->receipts_count) {
    due_ns = cmt__min64(due_ns, cmt__after(p->moved_ns, p->interval_ns));
  }
  return cmt__max64(due_ns, p->moved_ns);
}

bool cmt__ping_is_excused(const cmt__ping *p) {
  return p->unsolicited_ns > 0 && p->unsolicited_ns >= p->moved_ns;
}

uint64_t cmt__ping_stuck_ns(const cmt__ping *p) {
  uint64_t since_ns = cmt__ping_stuck_since_ns(p), max_ns = stuck_max_ns(p);
  uint64_t excused_ns = 0;

  if (since_ns == CMT_NEVER || (!p->behind && p->taken == p->filled)) {
    return CMT_NEVER;
  }
  if (cmt__ping_is_excused(p)) {
    uint64_t most_ns =
      max_ns < CMT_NEVER / CMT__UNREAD_MAX ? CMT__UNREAD_MAX * max_ns : max_ns;

    excused_ns = cmt__min64(cmt__after(p->unsolicited_ns, max_ns),
                            cmt__after(since_ns, most_ns));
  }
  return cmt__max64(cmt__after(since_ns, max_ns), excused_ns);
}

void cmt__ping_moved(cmt__ping *p, uint64_t now_ns) {
  p->moved_ns = now_ns;
  p->moved_from = (uint32_t)p->taken;
}

cmt_err cmt__ping_ask(cmt__ping *p, uint64_t now_ns) {
  if (p->state != CMT__PING_IDLE && p->state != CMT__PING_ANSWERED) {
    return CMT_EAGAIN;
  }
  p->state = CMT__PING_DUE;
  p->watch_ns = now_ns;
  return CMT_OK;
}

void cmt__ping_fill(cmt__ping *p, cmt__batch *r, bool messages,
                    uint64_t now_ns) {
  size_t before = r->len;

  cmt__ping_moved(p, now_ns);
  if (p->pong == CMT__PONG_DUE || (p->pong == CMT__PONG_OWED && !messages)) {
    cmt__batch_write(r, p->rules->pong.base, p->rules->pong.len);
    p->pong = CMT__PONG_NONE;
  }
  if (p->state == CMT__PING_DUE) {
    cmt__batch_write(r, p->rules->ping.base, p->rules->ping.len);
    p->state = CMT__PING_FILLED;
    p->end = p->filled + (r->len - before);
    p->sent++;
  }
}

void cmt__ping_taken(cmt__ping *p, uint64_t total, uint64_t now_ns) {
  if (p->state == CMT__PING_FILLED && total >= p->end) {
    p->state = CMT__PING_TAKEN;
    p->taken_ns = now_ns;
    p->wait_ns = now_ns;
    p->watch_ns = CMT_NEVER;
  }
  p->taken = total;
  if ((uint32_t)total - p->moved_from >= CMT__PROGRESS_MIN) {
    cmt__ping_moved(p, now_ns);
  }
  if (p->rules->taken != NULL) {
    p->rules->taken(p, now_ns);
  }
}

bool cmt__ping_pong_came(cmt__ping *p, uint64_t now_ns, uint64_t *rtt_ns) {
  bool asked = p->state == CMT__PING_TAKEN || p->state == CMT__PING_ANSWERED;

  if (asked) {
    p->state = CMT__PING_IDLE;
    *rtt_ns = cmt__since(now_ns, p->taken_ns);
  } else {
    p->unsolicited_ns = now_ns;
  }
  if (p->rules->came != NULL) {
    p->rules->came(p, now_ns);
  }
  return asked; /* Unsolicited: fine, and no news. */
}
