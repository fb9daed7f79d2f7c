/* SPDX-License-Identifier: Apache-2.0 */

/* What applications do: they send, pause, stop, dial and break off, from their
   own thread, from inside of reactors, and in the middle of an iteration of a
   loop.
 */

#include "check.h"

enum { SENT_MAX = 1 << 20 }; /* Bytes while there are faults. */

static sim_node *any_node(sim *s) {
  return &s->nodes[sim_below(&s->rng, s->node_count)];
}

static size_t any_channel(sim *s) {
  return sim_below(&s->rng, s->channel_count);
}

static bool fits(const sim_peer *p, bool gone) {
  return gone ? p->gone : sim_peer_is_live(p);
}

/* A peer that lives, or rarely one that does not any more; NULL: none. */
sim_peer *sim_any_peer(sim *s) {
  bool gone = sim_one_in(&s->rng, 12) && !s->calm;
  sim_peer *found = NULL;
  size_t count = 0;

  for (size_t i = 0; i < s->node_count; i++) {
    for (sim_peer *p = s->nodes[i].peers; p != NULL; p = p->next) {
      if (fits(p, gone) && sim_one_in(&s->rng, ++count)) {
        found = p;
      }
    }
  }
  return found;
}

/* ---- peers ---- */

void sim_stop_peer(sim_peer *p, uint64_t flush_ns) {
  static const cmt_err reasons[] = {CMT_ECANCELED, CMT_EREACTOR, CMT_EIO};
  sim *s = p->node->sim;
  cmt_err reason = reasons[sim_below(&s->rng, CMT__COUNT(reasons))];

  sim_trace(s->net, "n%u stops n%u on c%u, flush %llu ms", p->node->index,
            p->remote, p->conn->id, (unsigned long long)flush_ns / 1000000);
  if (!p->stopped && p->node->state == SIM_UP) {
    check_grace_begin(p, flush_ns);
  } else if (flush_ns == 0) {
    p->grace.on = false;
  }
  if (!p->stopped && p->removed == 0) {
    p->stopped = true;
    p->stop_reason = reason;
  }
  cmt_peer_stop(p->peer, reason, flush_ns);
}

/* For a loop that was busy all the time one pause goes on. */
void sim_pause(sim_peer *p) {
  sim_trace(p->node->sim->net, "n%u pauses n%u", p->node->index, p->remote);
  if (p->pauses++ == 0 && sim_net_now(p->node->sim->net) >= p->unseen_ns) {
    p->paused_at_ns = sim_net_now(p->node->sim->net);
  }
  cmt_peer_pause(p->peer);
}

void sim_resume(sim_peer *p) {
  sim_trace(p->node->sim->net, "n%u resumes n%u", p->node->index, p->remote);
  if (--p->pauses == 0) {
    uint64_t ns = sim_net_now(p->node->sim->net) - p->paused_at_ns;

    p->paused_ns += ns;
    p->longest_pause_ns = cmt__max64(p->longest_pause_ns, ns);
    p->unseen_ns = sim_node_busy_until(p->node);
  }
  cmt_peer_resume(p->peer);
}

static void pause_or_resume(sim_peer *p) {
  if (p->pauses > 0 && !sim_one_in(&p->node->sim->rng, 4)) {
    sim_resume(p);
  } else {
    sim_pause(p);
  }
}

static void stop_somehow(sim_peer *p) {
  sim *s = p->node->sim;
  uint64_t flush_ns =
    sim_one_in(&s->rng, 3) ? 0 : sim_spread(&s->rng, 1000, CMT_SECONDS(20));

  if (flush_ns > 0 && sim_one_in(&s->rng, 2)) {
    sim_fill(p, any_channel(s), sim_below(&s->rng, 3000));
  }
  sim_stop_peer(p, flush_ns);
}

/* ---- sending ---- */

static size_t draw_len(sim_peer *p, size_t channel) {
  sim *s = p->node->sim;
  size_t len = sim_draw_len(s, p->node, channel);

  return s->sent_bytes < SENT_MAX ? len : len % 512;
}

static void send_one(sim_peer *p) {
  sim *s = p->node->sim;
  size_t channel = any_channel(s), len = draw_len(p, channel);
  static const uint64_t shortest_ns = 1000;

  switch (sim_below(&s->rng, 7)) {
  case 0:
    sim_send(p, channel, len, 0);
    break;
  case 1:
    sim_send(p, channel, len, CMT_NEVER);
    break;
  case 2:
    sim_send(p, channel, len, sim_spread(&s->rng, shortest_ns, CMT_SECONDS(4)));
    break;
  case 3:
    sim_cancel(s);
    break;
  default:
    (void)sim_try_send(p, channel, len);
    break;
  }
}

static void send_some(sim_peer *p) {
  for (uint64_t n = sim_spread(&p->node->sim->rng, 1, 24); n > 0; n--) {
    send_one(p);
  }
}

static void broadcast(sim *s) {
  sim_node *n = any_node(s);
  size_t channel = any_channel(s);

  if (n->sw != NULL) {
    size_t len = sim_draw_len(s, n, channel);

    sim_broadcast_to(n, channel, s->sent_bytes < SENT_MAX ? len : len % 512);
  }
}

/* ---- nodes and the network ---- */

static void stop_node(sim *s) {
  sim_node *n = any_node(s);
  uint64_t flush_ns =
    sim_one_in(&s->rng, 2) ? 0 : sim_spread(&s->rng, 1000, CMT_SECONDS(8));

  if (n->state == SIM_UP) {
    sim_node_stop(n, flush_ns);
    n->start_ns = sim_net_now(s->net) +
                  sim_spread(&s->rng, CMT_MILLISECONDS(1), CMT_SECONDS(4));
  }
}

static void partition(sim *s) {
  unsigned a = any_node(s)->index, b = any_node(s)->index;
  uint64_t ns = sim_spread(&s->rng, CMT_MILLISECONDS(10), CMT_SECONDS(10));

  if (a != b && s->partitions && !s->without->fault[SIM_PARTITION]) {
    sim_trace(s->net, "n%u and n%u are parted for %llu ms", a, b,
              (unsigned long long)ns / 1000000);
    sim_net_partition(s->net, a, b, ns);
  }
}

/* One of the next allocations of a node will fail, and sometimes those after
   it. */
static void starve(sim *s) {
  sim_node *n = any_node(s);

  if (sim_chance(&s->rng, s->odds_memory) &&
      !s->without->fault[SIM_NO_MEMORY]) {
    n->env.fail_at = n->env.allocs + sim_spread(&s->rng, 0, 100);
    n->env.shortage =
      sim_one_in(&s->shortages, 3) ? sim_spread(&s->shortages, 1, 60) : 0;
  }
}

/* ---- who does what ---- */

static void act_on_peer(sim_peer *p) {
  switch (sim_below(&p->node->sim->rng, 24)) {
  case 0:
    stop_somehow(p);
    break;
  case 1:
  case 2:
  case 3:
    pause_or_resume(p);
    break;
  case 4:
  case 5:
  case 6:
  case 7:
    send_one(p);
    break;
  default:
    send_some(p);
    break;
  }
}

void sim_act(sim *s) {
  sim_peer *p;

  starve(s);
  switch (sim_below(&s->rng, 40)) {
  case 0:
    stop_node(s);
    break;
  case 1:
  case 2:
    partition(s);
    break;
  case 3:
  case 4:
    broadcast(s);
    break;
  case 5:
  case 6:
  case 7:
  case 8:
    sim_dial_somehow(s);
    break;
  default:
    p = sim_any_peer(s);
    if (p != NULL) {
      act_on_peer(p);
    }
    break;
  }
}

void sim_act_in_reactor(sim_peer *p) {
  sim *s = p->node->sim;

  switch (sim_below(&s->rng, 24)) {
  case 0:
    stop_somehow(p);
    break;
  case 1:
    if (p->node->state == SIM_UP && sim_one_in(&s->rng, 8)) {
      sim_node_stop(p->node, sim_below(&s->rng, CMT_SECONDS(2)));
      p->node->start_ns = sim_net_now(s->net) + CMT_SECONDS(1);
    }
    break;
  case 2:
    pause_or_resume(p);
    break;
  case 3:
    sim_broadcast_to(p->node, any_channel(s), sim_below(&s->rng, 300));
    break;
  default:
    send_one(p);
    break;
  }
}

void sim_act_other_thread(void *sim_arg) {
  sim *s = sim_arg;
  sim_peer *p = sim_any_peer(s);

  sim_habits_act(s);
  if (p == NULL) {
    return;
  }
  switch (sim_below(&s->rng, 32)) {
  case 0:
    stop_somehow(p);
    break;
  case 1:
    pause_or_resume(p);
    break;
  case 2:
    broadcast(s);
    break;
  case 3:
    sim_dial_somehow(s);
    break;
  default:
    send_one(p);
    break;
  }
}
