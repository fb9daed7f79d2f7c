/* SPDX-License-Identifier: Apache-2.0 */
/* The ping rules of docs/LEGACY.md.  Whatever comes whole counts as a receipt,
   and a ping goes out only when none came for a while.  A message answers a
   ping as well as a pong does, both ways: we stop waiting when one comes, and a
   pong is owed only until a message, or the pong itself, was handed to the
   kernel.  A pong that waits for messages which do not move goes out all the
   same after a quarter of the timeout, well before the other side gives up. */

#include "ping.h"

#include "wire.h"

enum { OFTEN_MAX = 10 }; /* Pings that are too often, within one interval. */

/* Pings of ours may be switched off; those of others are still measured. */
static uint64_t interval(const cmt__ping *p) {
  return p->interval_ns == CMT_NEVER ? CMT_SECONDS(60) : p->interval_ns;
}

/* When a pong that is owed goes out whatever is queued. */
static uint64_t owed_until(const cmt__ping *p) {
  return p->pong == CMT__PONG_OWED
           ? cmt__after(p->legacy->owed_ns, p->timeout_ns / 4)
           : CMT_NEVER;
}

static bool ping_may_begin(const cmt__ping *p) {
  return p->state == CMT__PING_IDLE || p->state == CMT__PING_ANSWERED;
}

static uint64_t legacy_deadline(const cmt__ping *p) {
  return cmt__min64(owed_until(p), ping_may_begin(p) ? p->at_ns : CMT_NEVER);
}

static bool legacy_tick(cmt__ping *p, uint64_t now_ns) {
  if (now_ns >= owed_until(p)) {
    p->pong = CMT__PONG_DUE;
  }
  if (now_ns < p->at_ns || !ping_may_begin(p)) {
    return false;
  }
  return cmt__ping_ask(p, now_ns) == CMT_OK;
}

static void receipt(cmt__ping *p, uint64_t now_ns) {
  p->at_ns = cmt__after(now_ns, p->interval_ns);
}

/* Notes a ping that is too often; true: so were nine within one interval. */
static bool often(cmt__ping *p, uint64_t now_ns) {
  cmt__ping_legacy *l = p->legacy;
  uint64_t oldest_ns = l->often_ns[l->often_at];

  if (l->often_count == OFTEN_MAX - 1 &&
      cmt__since(now_ns, oldest_ns) <= interval(p)) {
    return true;
  }
  l->often_ns[l->often_at] = now_ns;
  l->often_at = (uint8_t)((l->often_at + 1) % (OFTEN_MAX - 1));
  l->often_count = (uint8_t)cmt__min(l->often_count + 1u, OFTEN_MAX - 1);
  return false;
}

static cmt_err legacy_ping_came(cmt__ping *p, uint64_t now_ns) {
  cmt__ping_legacy *l = p->legacy;
  bool close =
    l->came_ns != CMT_NEVER && cmt__since(now_ns, l->came_ns) < interval(p) / 2;

  receipt(p, now_ns);
  l->came_ns = now_ns;
  if (close) {
    return often(p, now_ns) ? CMT_EFLOOD : CMT_OK;
  }
  if (p->pong == CMT__PONG_NONE) {
    p->pong = CMT__PONG_OWED;
    l->owed_ns = now_ns;
    l->owed_from = p->taken;
  }
  return CMT_OK;
}

static void legacy_came(cmt__ping *p, uint64_t now_ns) {
  receipt(p, now_ns);
  if (p->state == CMT__PING_TAKEN) {
    p->state = CMT__PING_ANSWERED;
  }
}

/* Messages lie in packets end to end, so one of them ends within any
   |packet_max| bytes; the last one ends where they all do. */
static bool message_was_taken(const cmt__ping *p) {
  const cmt__ping_legacy *l = p->legacy;
  uint64_t from =
    l->messages_begin > l->owed_from ? l->messages_begin : l->owed_from;

  return p->taken >= l->messages_end ? l->messages_end > from
                                     : p->taken >= from + l->packet_max;
}

static void legacy_taken(cmt__ping *p, uint64_t now_ns) {
  if (p->pong == CMT__PONG_OWED && now_ns < owed_until(p) &&
      message_was_taken(p)) {
    p->pong = CMT__PONG_NONE;
  }
}

const cmt__ping_rules cmt__ping_legacy_rules = {
  .deadline = legacy_deadline,
  .tick = legacy_tick,
  .ping_came = legacy_ping_came,
  .came = legacy_came,
  .taken = legacy_taken,
};
