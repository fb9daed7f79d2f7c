/* SPDX-License-Identifier: Apache-2.0 */

/* In a part of the worlds a minority of the nodes breaks and stays broken, in
   the middle of the faults or after them.  What is asked of the others is what
   is asked of all nodes elsewhere: to reach each other, to deliver, to answer,
   and to stop in time. */

#include "check.h"

enum {
  ONE_IN = 4,
  FIRST = 2, /* The first two fill a link at the end. */
  SHORT = 100,
};

#define PATIENCE_NS CMT_SECONDS(10)
#define NOTICE_NS CMT_SECONDS(60)

const char *sim_broken_text(sim_broken b) {
  static const char *const texts[] = {
#define X(name, text) text,
    SIM_BROKEN_MAP(X)
#undef X
  };

  return texts[b];
}

/* From numbers of its own, as the crowd, which goes to a node that is sound. */
void sim_minority_init(sim *s) {
  sim_rng rng = sim_rng_of(s->seed, 6);
  sim_minority *m = &s->minority;
  size_t most = (s->node_count - 1) / 2, others = s->node_count - FIRST;
  size_t count, first;

  if (!sim_one_in(&rng, ONE_IN) || s->node_count <= FIRST) {
    return;
  }
  m->kind = (sim_broken)sim_below(&rng, SIM_BROKEN_KINDS);
  m->early = sim_one_in(&rng, 2);
  m->after = sim_below(&rng, SIM_ACTIONS);
  count = sim_between(&rng, 1, most);
  first = sim_below(&rng, others);
  for (size_t i = 0; i < others && m->count < count; i++) {
    sim_node *n = &s->nodes[FIRST + (first + i) % others];

    if (!s->without->broken[m->kind] && n != s->crowd.at) {
      n->weak = true;
      m->count++;
    }
  }
}

bool sim_is_sound(const sim_node *n) {
  return !n->weak || !n->sim->minority.on;
}

bool sim_is_of_sound(const sim_peer *p) {
  return sim_is_sound(p->node) && sim_is_sound(&p->node->sim->nodes[p->remote]);
}

/* ---- breaking ---- */

static void crash(sim_node *n) {
  if (n->state == SIM_UP) {
    sim_node_stop(n, 0);
  }
  n->start_ns = CMT_NEVER;
}

static void break_node(sim_node *n) {
  sim *s = n->sim;

  sim_trace(s->net, "n%u is of those that %s for good", n->index,
            sim_broken_text(s->minority.kind));
  switch (s->minority.kind) {
  case SIM_PARTED:
    sim_host_part(s->net, n->index);
    break;
  case SIM_HANGING:
    sim_host_hang(s->net, n->index);
    break;
  case SIM_CRASHED:
    crash(n);
    break;
  case SIM_BROKEN_KINDS:
    break;
  }
}

void sim_minority_break(sim *s) {
  sim_minority *m = &s->minority;

  if (m->count == 0 || m->on) {
    return;
  }
  m->on = true;
  m->since_ns = sim_net_now(s->net);
  for (size_t i = 0; i < s->node_count; i++) {
    if (s->nodes[i].weak) {
      break_node(&s->nodes[i]);
    }
  }
  sim_net_part(s->net);
  for (size_t i = 0; i < s->node_count; i++) {
    for (sim_peer *p = s->nodes[i].peers; p != NULL; p = p->next) {
      if (!sim_is_of_sound(p)) {
        sim_peer_end_broadcasts(p);
      }
    }
  }
}

void sim_minority_mend(sim *s) {
  if (!s->minority.on) {
    return;
  }
  s->minority.on = false;
  sim_net_rejoin(s->net);
  for (size_t i = 0; i < s->node_count; i++) {
    if (s->nodes[i].weak) {
      sim_host_go_on(s->net, s->nodes[i].index);
    }
  }
}

/* ---- the trial ---- */

static bool wait_for(sim *s, bool (*done)(const sim *s), uint64_t ns) {
  uint64_t end_ns = sim_net_now(s->net) + ns;

  while (!done(s) && sim_net_now(s->net) < end_ns) {
    sim_pass(s, sim_net_now(s->net) + CMT_MILLISECONDS(20));
  }
  return done(s);
}

/* All that they have room for waits for those that are broken. */
static void fill_weak(sim_node *n) {
  for (sim_peer *p = n->peers; p != NULL; p = p->next) {
    for (size_t c = 0; c < n->sim->channel_count; c++) {
      if (sim_peer_is_live(p) && !sim_is_of_sound(p)) {
        sim_fill(p, c, cmt__min(4096, n->by_index[c].send_message_max));
      }
    }
  }
}

static bool is_ready(const sim_peer *p) {
  const sim_peer *other = sim_peer_other(p);

  return sim_is_of_sound(p) && sim_peer_is_live(p) && other != NULL &&
         sim_peer_is_live(other);
}

static void try_broadcast(sim_node *n) {
  sim *s = n->sim;
  size_t ready = 0, queued;

  for (const sim_peer *p = n->peers; p != NULL; p = p->next) {
    ready += is_ready(p) && !p->doomed && p->flow[0].first == p->flow[0].count;
  }
  sim_broadcast_to(n, 0, SHORT);
  queued = s->broadcasts[s->broadcast_count - 1].queued;
  CHECK(s, CHECK_MINORITY, queued >= ready,
        "n%u: a broadcast was queued for %zu peers, %zu that are sound had "
        "room",
        n->index, queued, ready);
}

static bool all_came(const sim *s) {
  for (size_t i = 0; i < s->node_count; i++) {
    for (const sim_peer *p = s->nodes[i].peers; p != NULL; p = p->next) {
      const sim_flow *f = &p->flow[0];

      for (size_t k = f->first; is_ready(p) && k < f->count; k++) {
        if (f->list[k].state == SIM_ACCEPTED && !f->list[k].may_drop) {
          return false;
        }
      }
    }
  }
  return true;
}

static void try_messages(sim *s) {
  for (size_t i = 0; i < s->node_count; i++) {
    for (sim_peer *p = s->nodes[i].peers; p != NULL; p = p->next) {
      if (is_ready(p)) {
        (void)sim_try_send(p, 0, SHORT);
      }
    }
  }
  CHECK(s, CHECK_MINORITY, wait_for(s, all_came, PATIENCE_NS),
        "some %s: messages of others have not arrived after %llu ms",
        sim_broken_text(s->minority.kind),
        (unsigned long long)PATIENCE_NS / 1000000);
}

static bool none_has_weak(const sim *s) {
  for (size_t i = 0; i < s->node_count; i++) {
    for (const sim_peer *p = s->nodes[i].peers; p != NULL; p = p->next) {
      if (sim_peer_is_live(p) && sim_is_sound(p->node) && !sim_is_of_sound(p)) {
        return false;
      }
    }
  }
  return true;
}

void sim_minority_try(sim *s) {
  if (s->minority.count == 0) {
    return;
  }
  sim_minority_break(s);
  for (size_t i = 0; i < s->node_count; i++) {
    if (sim_is_sound(&s->nodes[i])) {
      fill_weak(&s->nodes[i]);
      try_broadcast(&s->nodes[i]);
    }
  }
  try_messages(s);
  CHECK(s, CHECK_MINORITY, wait_for(s, none_has_weak, NOTICE_NS),
        "some %s, and are peers of others after %llu ms",
        sim_broken_text(s->minority.kind),
        (unsigned long long)NOTICE_NS / 1000000);
}
