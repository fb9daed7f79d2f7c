/* SPDX-License-Identifier: Apache-2.0 */

/* The simulation of peer exchange as a program: runs each scenario with some
   seeds, and reports in TAP. */

#include "crawl.h"
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
  bool figures, help;
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
  w->others = w->count / 2 - 1; /* Nodes of a half; one has the seed too. */
  taken = world_seconds_to_target(w, LIMIT_S);
  if (taken > LIMIT_S) {
    return taken;
  }
  world_pass(w, CMT_SECONDS(600));
  world_rejoin(w);
  w->others = 0;
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

/* ---- what a seed serves ---- */

/* One figure over several seeds: the worst counts. */
typedef struct figure {
  const char *name, *promise, *unit;
  unsigned goal;
  bool least; /* The goal is the least, and not the most. */
  unsigned worst, sum;
} figure;

static figure figures[] = {
  {"seed_proven_after_180_s",
   "of 150 living of 1,200 addresses at least 140 are proven after 180 s",
   "addresses", CRAWL_PROVEN_MIN, .least = true},
  {"seed_served_living",
   "of what a seed serves 95 % answers a minute later, with 30 % churn an hour",
   "permille", CRAWL_LIVING_PERMILLE, .least = true},
  {"seed_dead_served", "no dead address is served for longer than ten minutes",
   "s", CRAWL_DEAD_MAX_S, .least = false},
};

static bool is_reached(const figure *f) {
  return f->least ? f->worst >= f->goal : f->worst <= f->goal;
}

static void figure_add(figure *f, unsigned value, bool first) {
  if (first || (f->least ? value < f->worst : value > f->worst)) {
    f->worst = value;
  }
  f->sum = (first ? 0 : f->sum) + value;
}

static void crawl_all(const setup *s) {
  for (unsigned i = 0; i < s->seeds; i++) {
    crawl_end start, churn;

    crawl_start(s->from + i, &start);
    crawl_churn(s->from + i, &churn);
    figure_add(&figures[0], start.proven, i == 0);
    figure_add(&figures[1], churn.living_permille, i == 0);
    figure_add(&figures[2], churn.dead_s, i == 0);
  }
}

static bool crawl(const setup *s, size_t *lines) {
  bool passed = true;

  crawl_all(s);
  for (size_t i = 0; i < CMT__COUNT(figures); i++) {
    const figure *f = &figures[i];

    passed = is_reached(f) && passed;
    printf("%s %zu - %s\n# at worst %u %s of %u seeds\n",
           is_reached(f) ? "ok" : "not ok", ++*lines, f->promise, f->worst,
           f->unit, s->seeds);
  }
  return passed;
}

static bool print_figures(const setup *s) {
  bool passed = true;

  crawl_all(s);
  for (size_t i = 0; i < CMT__COUNT(figures); i++) {
    const figure *f = &figures[i];

    passed = is_reached(f) && passed;
    printf("{\"figure\":\"%s\",\"unit\":\"%s\",\"mean\":%.1f,\"worst\":%u,"
           "\"goal\":%u,\"goal_is\":\"%s\",\"seeds\":%u}\n",
           f->name, f->unit, (double)f->sum / s->seeds, f->worst, f->goal,
           f->least ? "least" : "most", s->seeds);
  }
  return passed;
}

/* ---- options ---- */

static const char help[] =
  "usage: sim_pex [--nodes N] [--seeds N] [--from N] [--runs N]\n"
  "               [--scenario NAME]\n"
  "       sim_pex --figures [--seeds N] [--from N]\n"
  "\n"
  "Runs the simulation of peer exchange, and reports in TAP.  Scenarios are\n"
  "start, liars, seed-dies, partition, eclipse and crawl.\n"
  "\n"
  "--figures prints what a seed serves, a JSON object a line for each figure:\n"
  "  figure   its name: seed_proven_after_180_s, seed_served_living,\n"
  "           seed_dead_served\n"
  "  unit     addresses, permille, s\n"
  "  mean     over the seeds of the simulator\n"
  "  worst    of them\n"
  "  goal     what the worst one must reach\n"
  "  goal_is  \"least\" or \"most\"\n"
  "  seeds    how many there were\n"
  "\n"
  "The exit status is 1 when something failed, or a goal was missed.\n";

static bool read_options(setup *s, int argc, char **argv) {
  static const struct option options[] = {
    {"nodes", required_argument, NULL, 'n'},
    {"seeds", required_argument, NULL, 's'},
    {"from", required_argument, NULL, 'f'},
    {"runs", required_argument, NULL, 'r'},
    {"scenario", required_argument, NULL, 'c'},
    {"figures", no_argument, NULL, 'g'},
    {"help", no_argument, NULL, 'h'},
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
    case 'g':
      s->figures = true;
      break;
    case 'h':
      s->help = true;
      break;
    default:
      return false;
    }
  }
  return s->seeds > 0 && s->nodes > 0 && s->nodes < WORLD_MAX && optind == argc;
}

int main(int argc, char **argv) {
  setup s = {.nodes = 100, .seeds = 2, .runs = 20, .from = 1};
  bool passed = true;
  size_t lines = 0;

  if (!read_options(&s, argc, argv)) {
    fputs(help, stderr);
    return 2;
  }
  if (s.help) {
    fputs(help, stdout);
    return 0;
  }
  if (s.figures) {
    return print_figures(&s) ? 0 : 1;
  }
  for (size_t i = 0; i < CMT__COUNT(scenarios); i++) {
    if (s.only == NULL || strcmp(s.only, scenarios[i].name) == 0) {
      passed = run(&s, i, ++lines) && passed;
    }
  }
  if (s.only == NULL || strcmp(s.only, "eclipse") == 0) {
    passed = eclipse(&s, ++lines) && passed;
  }
  if (s.only == NULL || strcmp(s.only, "crawl") == 0) {
    passed = crawl(&s, &lines) && passed;
  }
  printf("1..%zu\n", lines);
  return passed ? 0 : 1;
}
