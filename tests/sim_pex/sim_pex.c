/* SPDX-License-Identifier: Apache-2.0 */

/* The simulation of peer exchange as a program: runs each scenario with some
   seeds, and reports in TAP. */

#include "eclipse.h"
#include "world.h"

#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { LIMIT_S = 120, PONG_S = 110 };

typedef struct setup {
  unsigned nodes, seeds, runs;
  uint64_t from;
  const char *only; /* A scenario, or NULL for all. */
} setup;

/* The seconds until all nodes had the peers that they want; more than LIMIT_S:
   some lacked peers. */
typedef unsigned (*scenario)(world *w);

static void start_all(world *w) {
  for (unsigned i = 0; i < w->count; i++) {
    node_start(&w->nodes[i]);
  }
}

static unsigned begin(world *w) {
  start_all(w);
  return world_seconds_to_target(w, LIMIT_S);
}

/* The seed is gone, and a fifth of the nodes begins anew with its book. */
static unsigned seed_dies(world *w) {
  if (begin(w) > LIMIT_S) {
    return LIMIT_S + 1;
  }
  world_pass(w, CMT_SECONDS(60));
  node_stop(&w->nodes[0]);
  for (unsigned i = 1; i < w->count; i += 5) {
    node_stop(&w->nodes[i]);
  }
  world_pass(w, CMT_SECONDS(5));
  for (unsigned i = 1; i < w->count; i += 5) {
    node_start(&w->nodes[i]);
  }
  return world_seconds_to_target(w, LIMIT_S);
}

/* Two halves for ten minutes.  Pings notice it, and each half fills up from its
   own. */
static unsigned partition(world *w) {
  unsigned taken = begin(w);

  if (taken > LIMIT_S) {
    return taken;
  }
  for (unsigned i = 0; i < w->count; i += 2) {
    sim_host_part(w->net, i);
  }
  sim_net_part(w->net);
  world_pass(w, CMT_SECONDS(PONG_S));
  taken = world_seconds_to_target(w, LIMIT_S);
  if (taken > LIMIT_S) {
    return taken;
  }
  world_pass(w, CMT_SECONDS(600));
  world_rejoin(w);
  return world_seconds_to_target(w, LIMIT_S);
}

static const struct {
  const char *name, *promise;
  unsigned liars;
  scenario run;
} scenarios[] = {
  {"start", "all nodes find their peers by one seed", 0, begin},
  {"liars", "all honest ones do while 30 % of the nodes lie", 30, begin},
  {"seed-dies", "and begin again without the seed", 0, seed_dies},
  {"partition", "each half of a partition does, and the whole after it", 0,
   partition},
};

static bool run_one(const setup *s, size_t which, uint64_t seed,
                    unsigned *taken) {
  world w;

  world_init(&w, seed, s->nodes, scenarios[which].liars);
  *taken = scenarios[which].run(&w);
  world_fini(&w);
  return *taken <= LIMIT_S;
}

static bool run(const setup *s, size_t which, size_t line) {
  unsigned most = 0, taken;
  uint64_t failed = 0;

  for (uint64_t i = 0; i < s->seeds && failed == 0; i++) {
    if (!run_one(s, which, s->from + i, &taken)) {
      failed = s->from + i;
    }
    most = taken > most ? taken : most;
  }
  printf("%s %zu - %u nodes: %s\n", failed == 0 ? "ok" : "not ok", line,
         s->nodes, scenarios[which].promise);
  if (failed != 0) {
    printf("# again: sim_pex --nodes %u --seeds 1 --from %" PRIu64
           " --scenario %s\n",
           s->nodes, failed, scenarios[which].name);
  } else {
    printf("# %u seeds, at most %u s\n", s->seeds, most);
  }
  fflush(stdout);
  return failed == 0;
}

/* One node against an attacker, many times; and the model of CometBFT's book
   against the same. */
static bool eclipse(const setup *s, size_t line) {
  unsigned lost = 0, lost_go = 0, hostile = 0, hostile_go = 0;
  bool passed;

  for (uint64_t i = 0; i < s->runs; i++) {
    eclipse_end ours = eclipse_run(s->from + i);
    eclipse_end go = eclipse_run_go(s->from + i);

    lost += ours.hostile == ours.outbound;
    hostile += ours.hostile;
    lost_go += go.hostile == go.outbound;
    hostile_go += go.hostile;
  }
  passed = lost * 100 < s->runs || s->runs == 0;
  printf("%s %zu - 5,000 hostile addresses in 20 groups are all peers in under "
         "1 %% of %u runs\n",
         passed ? "ok" : "not ok", line, s->runs);
  printf("# all in %u, of 10 peers %.1f on average; model of CometBFT: all in "
         "%u, %.1f\n",
         lost, (double)hostile / (s->runs > 0 ? s->runs : 1), lost_go,
         (double)hostile_go / (s->runs > 0 ? s->runs : 1));
  return passed;
}

static bool read_options(setup *s, int argc, char **argv) {
  static const struct option options[] = {
    {"nodes", required_argument, NULL, 'n'},
    {"seeds", required_argument, NULL, 's'},
    {"from", required_argument, NULL, 'f'},
    {"runs", required_argument, NULL, 'r'},
    {"scenario", required_argument, NULL, 'c'},
    {0},
  };
  int c;

  while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
    switch (c) {
    case 'n':
      s->nodes = (unsigned)strtoul(optarg, NULL, 10);
      break;
    case 's':
      s->seeds = (unsigned)strtoul(optarg, NULL, 10);
      break;
    case 'f':
      s->from = strtoull(optarg, NULL, 10);
      break;
    case 'r':
      s->runs = (unsigned)strtoul(optarg, NULL, 10);
      break;
    case 'c':
      s->only = optarg;
      break;
    default:
      return false;
    }
  }
  return s->nodes > 0 && s->nodes < WORLD_MAX && optind == argc;
}

int main(int argc, char **argv) {
  setup s = {.nodes = 100, .seeds = 2, .runs = 20, .from = 1};
  bool passed = true;
  size_t lines = 0;

  if (!read_options(&s, argc, argv)) {
    fprintf(stderr, "usage: sim_pex [--nodes N] [--seeds N] [--from N] "
                    "[--runs N] [--scenario NAME]\n");
    return 2;
  }
  for (size_t i = 0; i < CMT__COUNT(scenarios); i++) {
    if (s.only == NULL || strcmp(s.only, scenarios[i].name) == 0) {
      passed = run(&s, i, ++lines) && passed;
    }
  }
  if (s.only == NULL || strcmp(s.only, "eclipse") == 0) {
    passed = eclipse(&s, ++lines) && passed;
  }
  printf("1..%zu\n", lines);
  return passed ? 0 : 1;
}
