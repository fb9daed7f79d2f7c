/* SPDX-License-Identifier: Apache-2.0 */

/* The end of a world.  The faults are over, so what can go on must: nodes that
   are dialed for ever become peers, what was accepted arrives, pings are
   answered.  Then one link is filled to look at the shares of its channels, and
   at last peers and nodes stop gracefully. */

#include "check.h"

enum {
  MOVED_MIN = 1 << 20, /* Bytes of each seed. */
  SHARE_LEN = 4096,    /* Bytes of each message that fills the link. */
  SHARE_QUEUE = 16,    /* Both queues fit in a half of the least send total. */
  ALONE = 256 << 10,   /* Bytes of the one channel before the other wakes. */
  WARM = 100 << 10,    /* Bytes of both that are not counted. */
  SHARED = 500 << 10,  /* Bytes that are. */
  FLOOR_LAG = 65536,   /* docs/ARCHITECTURE.md, "The way of a byte". */
  SLACK = 65536,
};

#define TICK_NS CMT_MILLISECONDS(1)
#define PATIENCE_NS CMT_SECONDS(90)
#define QUIET_NS CMT_SECONDS(16)

static const sim_weather fair = {
  .latency_ns = CMT_MILLISECONDS(2),
  .buffer = 128 << 10,
};

/* A line that is slower than its sender, with little in it. */
static const sim_weather narrow = {
  .latency_ns = 100000,
  .bytes_per_s = 2000000,
  .buffer = 16 << 10,
};

static uint64_t now(const sim *s) { return sim_net_now(s->net); }

/* Passes time until |done|; a failure of liveness when that never comes. */
static void wait_for(sim *s, bool (*done)(sim *s), const char *what) {
  uint64_t end_ns = now(s) + PATIENCE_NS;

  while (!done(s)) {
    if (now(s) >= end_ns) {
      check_fail(s, s->minority.on ? CHECK_MINORITY : CHECK_LIVE,
                 "after %d s without faults: %s",
                 (int)(PATIENCE_NS / CMT_SECONDS(1)), what);
    }
    sim_pass(s, now(s) + CMT_MILLISECONDS(50));
  }
  check_held(s, s->minority.on ? CHECK_MINORITY : CHECK_LIVE);
}

/* ---- all become what they should ---- */

static void resume_all(sim *s) {
  for (size_t i = 0; i < s->node_count; i++) {
    for (sim_peer *p = s->nodes[i].peers; p != NULL; p = p->next) {
      while (p->pauses > 0) {
        sim_resume(p);
      }
    }
  }
}

static void feed_all(sim *s) {
  for (size_t i = 0; i < s->node_count; i++) {
    s->nodes[i].env.fail_at = SIZE_MAX;
  }
}

static bool all_up(sim *s) {
  for (size_t i = 0; i < s->node_count; i++) {
    if (s->nodes[i].state != SIM_UP && sim_is_sound(&s->nodes[i])) {
      return false;
    }
  }
  return true;
}

static bool has_peer(const sim_node *n, unsigned remote) {
  for (const sim_peer *p = n->peers; p != NULL; p = p->next) {
    if (sim_peer_is_live(p) && p->remote == remote) {
      return true;
    }
  }
  return false;
}

static bool may_refuse(const sim_node *from, const sim_node *to) {
  return from->options.outbound_peers_max < 40 ||
         to->options.inbound_peers_max < 40 ||
         to->options.inbound_peers_per_ip_max != 0;
}

static bool all_wanted(sim *s) {
  for (unsigned i = 0; i < s->node_count; i++) {
    for (unsigned k = 0; k < s->node_count; k++) {
      if (s->nodes[i].targets[k].wanted && sim_is_sound(&s->nodes[i]) &&
          sim_is_sound(&s->nodes[k]) &&
          !may_refuse(&s->nodes[i], &s->nodes[k]) &&
          !(has_peer(&s->nodes[i], k) && has_peer(&s->nodes[k], i))) {
        return false;
      }
    }
  }
  return true;
}

/* Both sides have it, and both can do something. */
static bool is_whole(const sim_peer *p) {
  const sim_peer *other = sim_peer_other(p);

  return sim_is_of_sound(p) && sim_peer_is_live(p) && other != NULL &&
         sim_peer_is_live(other);
}

/* Both sides have the same connection of each other, and neither got a report
   that it is closed. */
static bool all_agree(sim *s) {
  for (size_t i = 0; i < s->node_count; i++) {
    for (const sim_peer *p = s->nodes[i].peers; p != NULL; p = p->next) {
      if (sim_peer_is_live(p) && sim_is_of_sound(p) &&
          (!is_whole(p) || p->closed)) {
        return false;
      }
    }
  }
  return true;
}

/* ---- all arrives ---- */

static bool flow_is_empty(const sim_flow *f) {
  for (size_t i = f->first; i < f->count; i++) {
    if (f->list[i].state != SIM_MAYBE && !f->list[i].may_drop) {
      return false;
    }
  }
  return true;
}

static bool all_arrived(sim *s) {
  for (size_t i = 0; i < s->node_count; i++) {
    for (const sim_peer *p = s->nodes[i].peers; p != NULL; p = p->next) {
      for (size_t c = 0; c < s->channel_count && is_whole(p); c++) {
        if (!flow_is_empty(&p->flow[c])) {
          return false;
        }
      }
    }
  }
  return true;
}

static bool all_arrived_and_wanted(sim *s) {
  return all_arrived(s) && all_wanted(s) && all_agree(s);
}

static void check_losses(sim *s) {
  for (size_t i = 0; i < s->node_count; i++) {
    for (sim_peer *p = s->nodes[i].peers; p != NULL; p = p->next) {
      if (is_whole(p)) {
        check_flow_arrived(p, CHECK_LOSS);
      }
    }
  }
}

static void check_pongs(sim *s) {
  for (size_t i = 0; i < s->node_count; i++) {
    for (const sim_peer *p = s->nodes[i].peers; p != NULL; p = p->next) {
      cmt_peer_status st;

      if (!is_whole(p) || now(s) - p->up_ns < QUIET_NS) {
        continue;
      }
      cmt_peer_get_status(p->peer, &st);
      /* In the legacy profile a message answers as well. */
      CHECK(s, CHECK_PONG,
            (st.pongs_recv > 0 && st.pings_sent - st.pongs_recv <= 1) ||
              s->wire == CMT_WIRE_LEGACY,
            "n%u to n%u on c%u: %llu pings, %llu pongs", p->node->index,
            p->remote, p->conn->id, (unsigned long long)st.pings_sent,
            (unsigned long long)st.pongs_recv);
    }
  }
}

/* ---- both dial at once ---- */

static void stop_between(sim_node *a, const sim_node *b) {
  for (sim_peer *p = a->peers; p != NULL; p = p->next) {
    if (sim_peer_is_live(p) && p->remote == b->index) {
      sim_stop_peer(p, 0);
    }
  }
}

/* Long ways, so that each may decide before it hears of the other. */
static const sim_weather far = {
  .odds = {[SIM_LATENCY] = 65535},
  .latency_ns = CMT_MILLISECONDS(30),
  .bytes_per_s = 4000000,
  .buffer = 16384,
};

bool sim_waits_long(const sim_node *a, const sim_node *b) {
  return a->options.pong_timeout_ns >
         b->options.pong_timeout_ns / 3 + CMT_MILLISECONDS(300);
}

/* Two nodes that have no connection dial each other at the same time.  Whatever
   each of them saw first, one connection is left, and the same one. */
static void race(sim *s) {
  sim_node *a = &s->nodes[sim_below(&s->rng, s->node_count)];
  sim_node *b = &s->nodes[sim_below(&s->rng, s->node_count)];

  if (a == b || !sim_is_sound(a) || !sim_is_sound(b) || may_refuse(a, b) ||
      may_refuse(b, a) || !sim_waits_long(a, b) || !sim_waits_long(b, a) ||
      a->options.handshakes_max < 64 || b->options.handshakes_max < 64) {
    return;
  }
  stop_between(a, b);
  stop_between(b, a);
  sim_pass(s, now(s) + CMT_MILLISECONDS(100));
  sim_net_weather(s->net, &far);
  sim_dial(a, b, false);
  sim_pass(s, now(s) + sim_below(&s->rng, far.latency_ns));
  sim_dial(b, a, false);
  sim_pass(s, now(s) + CMT_MILLISECONDS(3500));
  sim_net_calm(s->net, &fair);
  CHECK(s, CHECK_ONE,
        has_peer(a, b->index) && has_peer(b, a->index) && all_agree(s),
        "n%u and n%u dialed each other, and are not left with one connection",
        a->index, b->index);
}

/* ---- shares ---- */

typedef struct share {
  sim_peer *p;
  size_t low, high; /* Channels: the priority of |low| is not the higher. */
  uint64_t low_last, high_at; /* When |low| had its last message. */
  uint64_t gap;               /* Most bytes of |high| in between. */
} share;

static uint64_t got(const share *h, size_t channel) {
  return h->p->flow[channel].received_bytes;
}

static void share_fill(const share *h, size_t channel) {
  const sim_flow *f = &h->p->flow[channel];
  size_t count = 0;

  for (size_t i = f->first; i < f->count; i++) {
    count += f->list[i].state == SIM_ACCEPTED;
  }
  while (count < SHARE_QUEUE && sim_try_send(h->p, channel, SHARE_LEN)) {
    count++;
  }
}

static void share_tick(sim *s, share *h, bool both) {
  if (!sim_peer_is_live(h->p)) {
    check_fail(s, CHECK_LIVE, "a peer ended although nothing happened");
  }
  share_fill(h, h->low);
  if (both) {
    share_fill(h, h->high);
  }
  sim_pass(s, now(s) + TICK_NS);
  if (got(h, h->low) != h->low_last) {
    h->low_last = got(h, h->low);
    h->high_at = got(h, h->high);
  }
  h->gap = h->gap > got(h, h->high) - h->high_at ? h->gap
                                                 : got(h, h->high) - h->high_at;
}

static uint64_t got_both(const share *h) {
  return got(h, h->low) + got(h, h->high);
}

static void share_until(sim *s, share *h, bool both, uint64_t bytes) {
  uint64_t end = got_both(h) + bytes, end_ns = now(s) + CMT_SECONDS(20);

  while (got_both(h) < end) {
    share_tick(s, h, both);
    if (now(s) > end_ns) {
      check_fail(s, CHECK_LIVE, "a full link moves nothing");
    }
  }
}

/* What |low| has sent recently, weighed, would let |high| have the whole link
   for as long as that took; the floor allows it FLOOR_LAG bytes. */
static void check_floor(sim *s, const share *h, uint64_t low, uint64_t high) {
  uint64_t allowed = FLOOR_LAG + SLACK + 2 * SHARE_LEN * (high / low + 1);

  CHECK(s, CHECK_FLOOR, h->gap <= allowed,
        "n0 to n1: %llu bytes of the channel that woke came between two "
        "messages of the other, allowed are %llu",
        (unsigned long long)h->gap, (unsigned long long)allowed);
}

static void check_share(sim *s, const share *h, uint64_t low_got,
                        uint64_t high_got) {
  const cmt_channel *channels = h->p->node->by_index;
  double low = channels[h->low].priority, high = channels[h->high].priority;
  double expected = low / (low + high);
  double found = (double)low_got / (double)(low_got + high_got);
  double off = found > expected ? found - expected : expected - found;

  CHECK(s, CHECK_SHARE, off <= 0.04,
        "n0 to n1: priorities %.0f and %.0f, shares %.3f and %.3f, expected "
        "%.3f",
        low, high, found, 1 - found, expected);
}

static void share_link(sim *s, sim_peer *p) {
  const cmt_channel *channels = p->node->by_index;
  bool swap = channels[0].priority > channels[1].priority;
  share h = {.p = p, .low = swap ? 1 : 0, .high = swap ? 0 : 1};
  uint64_t low_before, high_before;

  sim_trace(s->net, "n0 fills c%u to n1", p->conn->id);
  sim_conn_set(s->net, p->conn, &narrow);
  share_until(s, &h, false, ALONE);
  h.gap = 0;
  h.low_last = 0;
  share_until(s, &h, true, WARM);
  low_before = got(&h, h.low);
  high_before = got(&h, h.high);
  share_until(s, &h, true, SHARED);
  check_floor(s, &h, channels[h.low].priority, channels[h.high].priority);
  check_share(s, &h, got(&h, h.low) - low_before,
              got(&h, h.high) - high_before);
  sim_conn_set(s->net, p->conn, &fair);
}

static sim_peer *find_first_peer(const sim *s) {
  for (sim_peer *p = s->nodes[0].peers; p != NULL; p = p->next) {
    if (p->remote == 1 && is_whole(p)) {
      return p;
    }
  }
  return NULL;
}

static bool has_first_peer(sim *s) { return find_first_peer(s) != NULL; }

/* Strangers may have filled the node before. */
static sim_peer *first_peer(sim *s) {
  wait_for(s, has_first_peer, "n0 dials n1 for ever and has no peer");
  return find_first_peer(s);
}

static void move_enough(sim *s) {
  while (s->moved_bytes < MOVED_MIN) {
    sim_fill(first_peer(s), 0, 16000);
    sim_pass(s, now(s) + TICK_NS);
  }
}

/* ---- graceful ends ---- */

static void last_words(sim *s, sim_peer *p) {
  for (uint64_t i = sim_spread(&s->rng, 1, 8); i > 0; i--) {
    size_t channel = sim_below(&s->rng, s->channel_count);

    (void)sim_try_send(
      p, channel,
      cmt__min(sim_draw_len(s, p->node, channel),
               s->nodes[p->remote].by_index[channel].recv_message_max));
  }
}

static void stop_peers(sim *s) {
  for (uint64_t i = sim_below(&s->rng, 4); i > 0; i--) {
    sim_peer *p = sim_any_peer(s);

    if (p != NULL) {
      if (sim_one_in(&s->rng, 2)) {
        sim_conn_set(s->net, p->conn, &narrow);
      }
      last_words(s, p);
      if (is_whole(p) && sim_one_in(&s->rng, 2)) {
        last_words(s, sim_peer_other(p));
      }
      sim_stop_peer(p, CMT_SECONDS(20));
      sim_pass(s, now(s) + sim_spread(&s->rng, 1000, CMT_SECONDS(1)));
    }
  }
  sim_pass(s, now(s) + CMT_SECONDS(2));
}

static void stop_nodes(sim *s) {
  unsigned first = (unsigned)sim_below(&s->rng, s->node_count);

  for (unsigned i = 0; i < s->node_count; i++) {
    sim_node *n = &s->nodes[(first + i) % s->node_count];

    if (n->state != SIM_UP || !sim_is_sound(n)) {
      continue;
    }
    for (sim_peer *p = n->peers; p != NULL; p = p->next) {
      if (sim_peer_is_live(p) && !p->stopped) {
        last_words(s, p);
      }
    }
    sim_node_stop(n, sim_one_in(&s->rng, 4) ? 0 : CMT_SECONDS(20));
    sim_pass(s, now(s) + sim_spread(&s->rng, 1, CMT_SECONDS(2)));
  }
}

static bool all_down(sim *s) {
  for (size_t i = 0; i < s->node_count; i++) {
    if (s->nodes[i].state != SIM_DOWN && sim_is_sound(&s->nodes[i])) {
      return false;
    }
  }
  return true;
}

void sim_calm_down(sim *s) {
  sim_trace(s->net, "the faults are over");
  s->calm = true;
  s->odds_reactor = 0;
  feed_all(s);
  sim_hostile_leave(s);
  sim_habits_calm(s);
  sim_net_calm(s->net, &fair);
  resume_all(s);
  wait_for(s, all_up, "a node has not stopped");
  sim_dial(&s->nodes[0], &s->nodes[1], true);
  wait_for(s, all_wanted, "nodes that are dialed for ever are no peers");
  wait_for(s, all_arrived_and_wanted, "what was accepted has not arrived");
  check_losses(s);
  sim_pass(s, now(s) + QUIET_NS + CMT_SECONDS(1));
  check_pongs(s);
  check_broadcasts(s);
  sim_hostile_try(s);
  sim_minority_try(s);
  wait_for(s, all_wanted, "nodes that are dialed for ever are no peers");
  sim_crowd_try(s);
  wait_for(s, all_wanted, "nodes that are dialed for ever are no peers");
  race(s);
  wait_for(s, all_wanted, "nodes that are dialed for ever are no peers");
  share_link(s, first_peer(s));
  move_enough(s);
  wait_for(s, all_arrived, "what was accepted has not arrived");
  check_losses(s);
  stop_peers(s);
  s->ending = true;
  stop_nodes(s);
  wait_for(s, all_down, "a node has not stopped");
  if (s->minority.on) {
    sim_minority_mend(s);
    sim_net_calm(s->net, &fair);
    stop_nodes(s);
    wait_for(s, all_down, "a node that was broken has not stopped");
  }
}
