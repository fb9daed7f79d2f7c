/* SPDX-License-Identifier: Apache-2.0 */

/* One seed, from nothing to nothing: a world is drawn, lives with its faults,
   comes to rest, and must leave nothing behind. */

#include "check.h"

#include <stdlib.h>

enum {
  STEPS_MAX = 50000,
  STILL_MAX = 20000,   /* Steps in one instant; crowds send as many messages. */
  REAL_ONE_IN = 10,    /* With the real cryptography. */
  SEVERAL_ONE_IN = 3,  /* With several loops. */
  COMPUTES_ONE_IN = 3, /* With handshakes that take time. */
};

/* ---- drawing ---- */

static void draw_odds(sim_rng *rng, sim_weather *w) {
  static const uint32_t range[SIM_FAULTS][2] = {
    [SIM_LATENCY] = {10000, 65535},
    [SIM_BANDWIDTH] = {10000, 65535},
    [SIM_SMALL_BUFFER] = {10000, 65535},
    [SIM_SPLIT] = {500, 40000},
    [SIM_COALESCE] = {500, 40000},
    [SIM_SHORT_WRITE] = {500, 30000},
    [SIM_STALL] = {60, 6000},
    [SIM_VANISH] = {5, 500},
    [SIM_HALF_CLOSE] = {10, 1500},
    [SIM_RESET] = {20, 2500},
    [SIM_FLIP] = {10, 1500},
    [SIM_REFUSED] = {2000, 30000},
    [SIM_UNREACHABLE] = {2000, 20000},
    [SIM_NO_ANSWER] = {2000, 20000},
    [SIM_NO_SOCKET] = {2000, 20000},
    [SIM_NO_DESCRIPTOR] = {2000, 30000},
    [SIM_SLOW_RESOLVE] = {10000, 60000},
    [SIM_RESOLVE_FAILS] = {5000, 30000},
    [SIM_NO_ATTACH] = {300, 20000},
    [SIM_BUSY] = {40, 3000},
    [SIM_STOPPED] = {4, 60},
    [SIM_OTHER_THREAD] = {1000, 30000},
    [SIM_LONG_WORK] = {200, 20000},
  };

  for (size_t f = 0; f < SIM_FAULTS; f++) {
    if (range[f][1] > 0 && sim_one_in(rng, 2)) {
      w->odds[f] = (uint32_t)sim_spread(rng, range[f][0], range[f][1]);
    }
  }
  w->latency_ns = sim_spread(rng, CMT_MILLISECONDS(2), CMT_MILLISECONDS(300));
  w->bytes_per_s = sim_spread(rng, 20000, 2000000);
  w->buffer = sim_spread(rng, 600, 8192);
}

static void draw_channels(sim *s) {
  s->channel_count = sim_between(&s->rng, 2, SIM_CHANNELS_MAX);
  s->reactor_count =
    cmt__min(sim_between(&s->rng, 1, SIM_REACTORS_MAX), s->channel_count);
  for (size_t c = 0; c < s->channel_count; c++) {
    do {
      s->ids[c] = (uint8_t)sim_draw(&s->rng);
    } while (memchr(s->ids, s->ids[c], c) != NULL);
    s->message_max[c] = c < 2 ? sim_spread(&s->rng, 16384, 300000)
                              : sim_spread(&s->rng, 1, 65536);
  }
  s->mismatch = sim_one_in(&s->rng, 4);
  s->wire = sim_one_in(&s->rng, 6) ? CMT_WIRE_LEGACY : CMT_WIRE_COMETBFT;
}

/* From numbers of its own, as draw_loops(). */
static void draw_several(sim *s) {
  sim_rng rng = sim_rng_of(s->seed, 2);

  s->several = sim_one_in(&rng, SEVERAL_ONE_IN);
  s->computes = sim_one_in(&rng, COMPUTES_ONE_IN);
}

static void draw_dials(sim *s) {
  for (unsigned i = 1; i < s->node_count; i++) {
    sim_dial(&s->nodes[i], &s->nodes[sim_below(&s->rng, i)],
             sim_one_in(&s->rng, 2));
  }
  for (uint64_t i = sim_below(&s->rng, s->node_count); i > 0; i--) {
    sim_dial(&s->nodes[sim_below(&s->rng, s->node_count)],
             &s->nodes[sim_below(&s->rng, s->node_count)],
             sim_one_in(&s->rng, 3));
  }
}

static void sim_init(sim *s, uint64_t seed, const sim_setup *setup) {
  memset(s, 0, sizeof *s);
  s->seed = seed;
  s->without = &setup->without;
  s->rng = sim_rng_of(seed, 0);
  s->shortages = sim_rng_of(seed, 5);
  s->aead = sim_crypto_use(sim_one_in(&s->rng, REAL_ONE_IN));
  s->net = sim_net_new(seed);
  sim_net_trace(s->net, setup->trace);
  sim_net_without(s->net, setup->without.fault);
  draw_odds(&s->rng, &s->weather);
  s->partitions = sim_one_in(&s->rng, 2);
  s->odds_reactor =
    sim_one_in(&s->rng, 4) ? 0 : (uint32_t)sim_spread(&s->rng, 500, 30000);
  s->odds_memory =
    sim_one_in(&s->rng, 2) ? 0 : (uint32_t)sim_spread(&s->rng, 500, 20000);
  s->node_count = sim_spread(&s->rng, 2, SIM_NODES_MAX);
  draw_channels(s);
  draw_several(s);
  for (unsigned i = 0; i < s->node_count; i++) {
    sim_node_init(&s->nodes[i], s, i);
  }
  sim_crowd_init(s);
  sim_minority_init(s);
  sim_hostile_init(s);
  sim_habits_init(s);
  if (setup->tell) {
    sim_world_print(s);
  }
  sim_net_weather(s->net, &s->weather);
  sim_net_other_thread(s->net, sim_act_other_thread, s);
  sim_net_on_write(s->net, check_write);
  for (unsigned i = 0; i < s->node_count; i++) {
    sim_node_start(&s->nodes[i]);
  }
  draw_dials(s);
}

static void sim_fini(sim *s) {
  sim_requests_free(s);
  sim_crowd_fini(s);
  sim_hostile_fini(s);
  for (size_t i = 0; i < s->node_count; i++) {
    sim_node_fini(&s->nodes[i]);
  }
  sim_net_delete(s->net);
  free(s->broadcasts);
}

/* ---- steps ---- */

static void check_node(sim_node *n) {
  sim *s = n->sim;
  uint64_t now_ns = sim_net_now(s->net);

  if (n->state == SIM_STOPPING) {
    uint64_t late_ns = sim_node_slow_ns(n) - n->stop_busy_ns;

    CHECK(s, CHECK_LIVE, now_ns <= n->stop_by_ns + late_ns,
          "n%u has not stopped %llu ms after its stop", n->index,
          (unsigned long long)(now_ns - n->stop_ns) / 1000000);
    (void)sim_node_run_until_idle(n);
  }
  if (n->state == SIM_DOWN && now_ns >= n->start_ns && !s->ending) {
    sim_node_start(n);
  }
  if (n->sw != NULL) {
    check_memory(n);
    if (s->steps % 16 == 0) {
      check_peers(n);
      check_limits(n);
      check_bans(n);
    }
  }
}

static void check_steps(sim *s, uint64_t before_ns) {
  s->still = sim_net_now(s->net) == before_ns ? s->still + 1 : 0;
  s->steps++;
  if (s->steps > STEPS_MAX || s->still > STILL_MAX) {
    check_fail(s, CHECK_LIVE, "%s: %llu steps",
               s->still > STILL_MAX ? "the world stands still"
                                    : "the world does not end",
               (unsigned long long)s->steps);
  }
}

/* An iteration, an event, or time goes on; false: |until_ns| is reached. */
static bool step(sim *s, uint64_t until_ns) {
  bool ran = sim_net_step(s->net, sim_net_now(s->net));

  if (!ran || sim_one_in(&s->rng, 4)) {
    ran = sim_mailboxes_take(s) || ran;
  }
  if (ran) {
    return true;
  }
  if (sim_net_now(s->net) >= until_ns) {
    return false;
  }
  (void)sim_net_step(s->net, cmt__min64(until_ns, sim_mailboxes_next(s)));
  return true;
}

void sim_pass(sim *s, uint64_t until_ns) {
  bool more = true;

  while (more) {
    uint64_t before_ns = sim_net_now(s->net);

    more = step(s, until_ns);
    check_steps(s, before_ns);
    for (size_t i = 0; i < s->node_count; i++) {
      check_node(&s->nodes[i]);
    }
  }
}

/* At least one fault, whatever was drawn. */
static void ensure_fault(sim *s) {
  const uint64_t *fired = sim_net_fired(s->net);

  for (size_t f = 0; f < SIM_FAULTS; f++) {
    if (fired[f] > 0 && f != SIM_OTHER_THREAD) {
      return;
    }
  }
  if (!s->without->fault[SIM_PARTITION]) {
    sim_net_partition(s->net, 0, 1, CMT_MILLISECONDS(50));
  }
}

static void sim_live(sim *s) {
  uint64_t mean_ns =
    sim_spread(&s->rng, CMT_MILLISECONDS(2), CMT_MILLISECONDS(150));

  for (int i = 0; i < SIM_ACTIONS; i++) {
    if (s->minority.early && (uint64_t)i == s->minority.after) {
      sim_minority_break(s);
    }
    sim_pass(s, sim_net_now(s->net) + sim_below(&s->rng, 2 * mean_ns));
    sim_act(s);
    sim_hostile_act(s);
    sim_habits_act(s);
    sim_requests_free(s);
  }
  ensure_fault(s);
}

static void add_up(const sim *s, sim_tally *t) {
  t->seeds++;
  t->real += s->aead != &sim_aead;
  t->several += s->several;
  t->crowds[s->crowd.kind] += s->crowd.count > 0;
  t->broken[s->minority.kind] += s->minority.count > 0;
  t->hostile[s->hostile.kind] += s->hostile.at != NULL;
  for (size_t h = 0; h < SIM_HABITS; h++) {
    t->habits[h] += s->has_habit[h];
  }
  t->moves.away += sim_net_moves(s->net).away;
  t->moves.home += sim_net_moves(s->net).home;
  for (size_t k = 0; k < CHECKS; k++) {
    t->checks[k] += s->checks[k];
  }
  t->checks[CHECK_INVARIANT]++;
  for (size_t f = 0; f < SIM_FAULTS; f++) {
    t->faults[f] += sim_net_fired(s->net)[f];
  }
  t->bytes += s->moved_bytes;
  t->bytes_min = t->bytes_min == 0 || s->moved_bytes < t->bytes_min
                   ? s->moved_bytes
                   : t->bytes_min;
  t->peers += s->peer_serial;
  t->steps += s->steps;
  t->steps_max = s->steps > t->steps_max ? s->steps : t->steps_max;
  t->digest = sim_net_digest(s->net);
}

static sim the_sim; /* A part of what a failure shows to a debugger. */

void sim_run(uint64_t seed, const sim_setup *setup, sim_tally *out) {
  sim *s = &the_sim;

  sim_init(s, seed, setup);
  sim_live(s);
  sim_calm_down(s);
  for (size_t i = 0; i < s->node_count; i++) {
    CMT_ASSERT(NULL, s->nodes[i].state == SIM_DOWN);
  }
  add_up(s, out);
  sim_fini(s);
  out->checks[CHECK_LEFT]++;
}

void sim_print(void) { sim_world_print(&the_sim); }
