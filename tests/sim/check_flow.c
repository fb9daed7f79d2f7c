/* SPDX-License-Identifier: Apache-2.0 */

/* Order, once-only and loss.  Each channel of a peer has the list of what was
   accepted for it, in the order of the sends; each message that arrives must be
   the first of the list.  A message's bytes follow from its key, so nothing but
   that message fits.  Two kinds of entries may be passed over: a send that
   waited and was refused in the end, and a message of a broadcast, which does
   not report who accepted it. */

#include "check.h"

#include <stdlib.h>

#include "loop_parts.h"

void check_flow_fill(uint64_t key, uint8_t *out, size_t len) {
  sim_rng r = {.state = key};
  uint64_t x;

  for (; len >= sizeof x; len -= sizeof x, out += sizeof x) {
    x = sim_draw(&r);
    memcpy(out, &x, sizeof x);
  }
  x = sim_draw(&r);
  memcpy(out, &x, len);
}

static bool is_message(const sim_entry *e, cmt_bytes msg) {
  sim_rng r = {.state = e->key};
  uint64_t x, found;

  if (e->len != msg.len) {
    return false;
  }
  for (; msg.len >= sizeof x; msg.len -= sizeof x, msg.base += sizeof x) {
    x = sim_draw(&r);
    memcpy(&found, msg.base, sizeof found);
    if (found != x) {
      return false;
    }
  }
  x = sim_draw(&r);
  return msg.len == 0 || memcmp(msg.base, &x, msg.len) == 0;
}

void check_flow_add(sim_peer *p, size_t channel, const sim_entry *e) {
  sim_flow *f = &p->flow[channel];

  if (f->count == f->cap) {
    f->count -= f->first;
    if (f->first > 0) {
      memmove(f->list, f->list + f->first, f->count * sizeof *f->list);
    }
    f->first = 0;
    if (2 * f->count >= f->cap) {
      f->cap = f->cap > 0 ? 2 * f->cap : 16;
      f->list = test_resize(f->list, f->cap * sizeof *f->list);
    }
  }
  f->list[f->count++] = *e;
  f->waiting += e->state == SIM_WAITING;
}

void check_flow_answer(sim_peer *p, size_t channel, uint64_t key, bool queued) {
  sim *s = p->node->sim;
  sim_flow *f = &p->flow[channel];
  size_t i = f->first;

  while (i < f->count && f->list[i].key != key) {
    i++;
  }
  f->waiting--;
  if (i == f->count) { /* It arrived, and the entry went with it. */
    CHECK(s, CHECK_ORDER, queued,
          "n%u to n%u, channel %zu: a message arrived whose send was refused",
          p->node->index, p->remote, channel);
    return;
  }
  if (queued) {
    if (f->list[i].state == SIM_PASSED && !f->list[i].may_drop) {
      check_fail(s, CHECK_ORDER,
                 "n%u to n%u, channel %zu: a later message overtook one that "
                 "waited",
                 p->node->index, p->remote, channel);
    }
    if (f->list[i].state == SIM_WAITING) {
      f->list[i].state = SIM_ACCEPTED;
      return;
    }
  }
  memmove(f->list + i, f->list + i + 1, (f->count - i - 1) * sizeof *f->list);
  f->count--;
}

/* The message is not the first one; true: that one may be missing. */
static bool may_be_missing(sim_entry *e) {
  if (e->state == SIM_WAITING) {
    e->state = SIM_PASSED;
  }
  return e->state == SIM_PASSED || e->state == SIM_MAYBE || e->may_drop;
}

static _Noreturn void fail_flow(sim_peer *from, size_t channel, size_t at,
                                cmt_bytes msg) {
  const sim_flow *f = &from->flow[channel];
  size_t i = f->first;
  const char *what = "unknown to its sender";

  while (i < f->count && !is_message(&f->list[i], msg)) {
    i++;
  }
  if (i < f->count) {
    what = "ahead of others";
  }
  check_fail(from->node->sim, CHECK_ORDER,
             "n%u to n%u on c%u, channel %zu: message %llu of %zu bytes is %s; "
             "expected one of %zu bytes",
             from->node->index, from->remote, from->conn->id, channel,
             (unsigned long long)f->received, msg.len, what,
             at < f->count ? f->list[at].len : 0);
}

void check_flow_receive(sim_peer *p, size_t channel, cmt_bytes msg) {
  sim_peer *from = sim_peer_other(p);
  sim *s = p->node->sim;
  sim_flow *f;
  size_t at, kept = 0;

  if (from == NULL) {
    check_fail(s, CHECK_ORDER, "a message from a peer that was never added");
  }
  f = &from->flow[channel];
  for (at = f->first; at < f->count; at++) {
    if (is_message(&f->list[at], msg)) {
      break;
    }
    if (!may_be_missing(&f->list[at])) {
      fail_flow(from, channel, at, msg);
    }
    kept += f->list[at].state == SIM_PASSED;
  }
  if (at == f->count) {
    fail_flow(from, channel, at, msg);
  }
  if (f->list[at].state == SIM_MAYBE) {
    s->broadcasts[f->list[at].broadcast].matched++;
  }
  /* Messages that wait for their answer stay, before all others. */
  for (size_t i = at, to = at + 1; i > f->first && kept > 0; i--) {
    if (f->list[i - 1].state == SIM_PASSED) {
      f->list[--to] = f->list[i - 1];
    }
  }
  f->first = at + 1 - kept;
  f->received++;
  f->received_bytes += msg.len;
  s->moved_bytes += msg.len;
  check_held(s, CHECK_ORDER);
}

void check_flow_arrived(sim_peer *p, check_kind k) {
  sim *s = p->node->sim;

  for (size_t c = 0; c < s->channel_count; c++) {
    const sim_flow *f = &p->flow[c];

    for (size_t i = f->first; i < f->count; i++) {
      if (f->list[i].state == SIM_ACCEPTED && !f->list[i].may_drop) {
        check_fail(s, k,
                   "n%u to n%u on c%u, channel %zu: %zu messages did not "
                   "arrive, the first one of %zu bytes",
                   p->node->index, p->remote, p->conn->id, c, f->count - i,
                   f->list[i].len);
      }
    }
  }
  check_held(s, k);
}

void check_flow_free(sim_peer *p) {
  for (size_t c = 0; c < SIM_CHANNELS_MAX; c++) {
    free(p->flow[c].list);
    p->flow[c] = (sim_flow){.list = NULL};
  }
}
