/* SPDX-License-Identifier: Apache-2.0 */

/* The simulation as a program: runs seeds, and reports in TAP how many passed,
   how often each checker looked and each fault happened. */

#include "check.h"

#include "marks.h"

#include <getopt.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum {
  BLOCK = 25,            /* Seeds of one line. */
  SEEDS_FOR_ALL = 200,   /* So many draw every fault and use every checker. */
  SEEDS_FOR_MARKS = 600, /* So many reach every mark. */
  SECONDS_MAX = 60,      /* A seed never ends after so much processor time. */
};

void __sanitizer_set_death_callback(void (*callback)(void))
  __attribute__((weak));

static uint64_t running;
static size_t lines;
static bool tap = true;
static sim_setup setup;
static bool complete = true; /* Nothing is left out. */

static void line(bool passed, const char *text) {
  printf("%s %zu - %s\n", passed ? "ok" : "not ok", ++lines, text);
}

static void report_failure(uint64_t seed, const char *check, const char *text) {
  char all[640];

  if (!setup.tell) {
    sim_print();
  }
  snprintf(all, sizeof all, "seed %" PRIu64 ": %s: %s", seed, check, text);
  if (tap) {
    line(false, all);
    printf("1..%zu\n", lines);
  } else {
    printf("FAILED %s\n", all);
  }
  printf("# again: ./dev sim --seed %" PRIu64 "\n", seed);
  if (tap) {
    printf("# and with \"--without NAME\" to narrow it down\n");
  }
  fflush(stdout);
}

void sim_failed(uint64_t seed, const char *check, const char *text) {
  report_failure(seed, check, text);
  _exit(1);
}

static void on_death(void) {
  report_failure(running, "sanitizer", "see the report of the sanitizer");
}

static void on_limit(int number) {
  static const char text[] = "# the seed that runs does not end\n";

  (void)number;
  (void)!write(STDOUT_FILENO, text, sizeof text - 1);
  report_failure(running, "liveness", "the seed does not end");
  _exit(1);
}

/* On a busy machine the time of day says nothing about a seed. */
static void limit_time(time_t seconds) {
  const struct itimerval limit = {.it_value.tv_sec = seconds};

  setitimer(ITIMER_PROF, &limit, NULL);
}

static void run(uint64_t seed, sim_tally *t) {
  running = seed;
  limit_time(SECONDS_MAX);
  sim_run(seed, &setup, t);
  limit_time(0);
}

static void run_block(uint64_t from, uint64_t count, sim_tally *t) {
  char text[128];

  for (uint64_t i = 0; i < count; i++) {
    run(from + i, t);
  }
  snprintf(text, sizeof text, "seeds %" PRIu64 " to %" PRIu64 " hold", from,
           from + count - 1);
  line(true, text);
  fflush(stdout);
}

/* Twice the same seed is the same run. */
static void run_again(uint64_t seed, sim_tally *t) {
  sim_tally first = {.seeds = 0};

  run(seed, &first);
  run(seed, t);
  if (first.digest != t->digest || first.steps_max > t->steps_max) {
    sim_failed(seed, check_name(CHECK_REPEAT), check_promise(CHECK_REPEAT));
  }
  t->checks[CHECK_REPEAT]++;
}

static void run_listed(const char *path, sim_tally *t) {
  FILE *file = fopen(path, "r");
  char text[256];
  size_t count = 0;

  if (file == NULL) {
    fprintf(stderr, "sim: cannot read %s\n", path);
    exit(2);
  }
  while (fgets(text, sizeof text, file) != NULL) {
    if (text[0] != '#' && text[0] != '\n') {
      run(strtoull(text, NULL, 10), t);
      count++;
    }
  }
  fclose(file);
  snprintf(text, sizeof text, "the %zu seeds that failed once hold", count);
  line(true, text);
}

/* ---- the report ---- */

static bool report_checks(const sim_tally *t, bool all) {
  bool passed = true;
  char text[256];

  for (size_t k = 0; k < CHECKS; k++) {
    bool used = t->checks[k] > 0 || !all;

    snprintf(text, sizeof text, "%s: %s (%" PRIu64 " checks)",
             check_name((check_kind)k), check_promise((check_kind)k),
             t->checks[k]);
    line(used, text);
    passed = passed && used;
  }
  return passed;
}

static bool report_faults(const sim_tally *t, bool all) {
  bool passed = true;
  char text[128];

  for (size_t f = 0; f < SIM_FAULTS; f++) {
    bool used = t->faults[f] > 0 || !all;

    snprintf(text, sizeof text, "fault %s: drawn %" PRIu64 " times",
             sim_fault_name((sim_fault)f), t->faults[f]);
    line(used, text);
    passed = passed && used;
  }
  return passed;
}

static bool report_move(const char *where, uint64_t count, bool all) {
  char text[128];

  snprintf(text, sizeof text, "peers moved to %s: %" PRIu64, where, count);
  line(count > 0 || !all, text);
  return count > 0 || !all;
}

static bool report_moves(const sim_tally *t, bool all) {
  bool away = report_move("another loop", t->moves.away, all);

  return report_move("the first loop, at their end", t->moves.home, all) &&
         away;
}

/* Reports in how many seeds |who| did |what|; in all of them somebody must. */
static bool report_who(const char *who, const char *what, uint64_t seeds,
                       bool all) {
  bool used = seeds > 0 || !all;
  char text[128];

  snprintf(text, sizeof text, "%s that %s: %" PRIu64 " seeds", who, what,
           seeds);
  line(used, text);
  return used;
}

static bool report_crowds(const sim_tally *t, bool all) {
  bool passed = true;

  for (size_t k = 0; k < SIM_CROWD_KINDS; k++) {
    passed = report_who("crowd of strangers", sim_crowd_text((sim_crowd_kind)k),
                        t->crowds[k], all) &&
             passed;
  }
  return passed;
}

static bool report_broken(const sim_tally *t, bool all) {
  bool passed = true;

  for (size_t k = 0; k < SIM_BROKEN_KINDS; k++) {
    passed = report_who("minority of nodes", sim_broken_text((sim_broken)k),
                        t->broken[k], all) &&
             passed;
  }
  return passed;
}

static bool report_habits(const sim_tally *t, bool all) {
  bool passed = true;

  for (size_t h = 0; h < SIM_HABITS; h++) {
    passed = report_who("application", sim_habit_text((sim_habit)h),
                        t->habits[h], all) &&
             passed;
  }
  return passed;
}

static bool report_hostile(const sim_tally *t, bool all) {
  bool passed = true;

  for (size_t k = 0; k < SIM_HOSTILE_KINDS; k++) {
    passed = report_who("hostile node", sim_hostile_text((sim_hostile_kind)k),
                        t->hostile[k], all) &&
             passed;
  }
  return passed;
}

/* The wait of the peer that is next ends by whoever makes room, so in worlds of
   a few nodes hardly anybody asks meanwhile; send_pool_test.c reaches it. */
static bool is_rare(const char *mark) {
  return strcmp(mark, "pool_kept_for_next_up") == 0;
}

static bool report_marks(bool all) {
  bool passed = true;
  char text[128];

  for (size_t i = 0; i < test_marks_count(); i++) {
    uint64_t reached;
    const char *name = test_marks_at(i, &reached);
    bool fine = reached > 0 || !all || is_rare(name);

    snprintf(text, sizeof text, "mark %s: reached %" PRIu64 " times", name,
             reached);
    line(fine, text);
    passed = passed && fine;
  }
  return passed;
}

static int report(const sim_tally *t) {
  bool all = t->seeds >= SEEDS_FOR_ALL && complete;
  bool checks = report_checks(t, all), faults = report_faults(t, all);
  bool moves = report_moves(t, all), crowds = report_crowds(t, all);
  bool broken = report_broken(t, all), enemy = report_hostile(t, all);
  bool habits = report_habits(t, all);
  bool marks = report_marks(all && t->seeds >= SEEDS_FOR_MARKS);
  char text[128];

  snprintf(text, sizeof text,
           "every seed moves at least 1 MiB (%" PRIu64 " bytes)", t->bytes_min);
  line(t->bytes_min >= 1 << 20, text);
  printf("1..%zu\n", lines);
  printf("# %" PRIu64 " seeds (%" PRIu64 " with real cryptography, %" PRIu64
         " with several loops): %" PRIu64 " MiB, %" PRIu64 " peers, %" PRIu64
         " steps, at most %" PRIu64 " in one seed\n",
         t->seeds, t->real, t->several, t->bytes >> 20, t->peers, t->steps,
         t->steps_max);
  return checks && faults && moves && crowds && broken && enemy && habits &&
             marks && t->bytes_min >= 1 << 20
           ? 0
           : 1;
}

static int usage(void) {
  fprintf(stderr, "usage: sim [--listed FILE] [--seeds N] [--from SEED]\n"
                  "           [--revision TEXT] [--without NAME]...\n"
                  "       sim --seed SEED [--quiet] [--without NAME]...\n");
  return 2;
}

static int run_one(uint64_t seed, bool quiet) {
  sim_tally t = {.seeds = 0};

  tap = false;
  setup.trace = !quiet;
  setup.tell = true;
  run(seed, &t);
  printf("seed %" PRIu64 " holds: %" PRIu64 " KiB, %" PRIu64 " peers, %" PRIu64
         " steps, digest %016" PRIx64 "\n",
         seed, t.bytes >> 10, t.peers, t.steps, t.digest);
  return 0;
}

static int run_many(uint64_t from, uint64_t seeds, const char *listed) {
  sim_tally t = {.seeds = 0};

  if (listed != NULL) {
    run_listed(listed, &t);
  }
  for (uint64_t done = 0; done < seeds; done += BLOCK) {
    run_block(from + done, cmt__min64(BLOCK, seeds - done), &t);
  }
  run_again(from, &t);
  return report(&t);
}

/* ---- the command line ---- */

/* Seeds of ten digits at most, which a person can copy. */
static uint64_t fresh_seed(void) {
  struct timespec now;

  clock_gettime(CLOCK_REALTIME, &now);
  return 1000 +
         sim_mix((uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec) %
           4000000000u;
}

static uint64_t number_of(const char *option, const char *text) {
  char *end;
  uint64_t value = strtoull(text, &end, 10);

  if (*text < '0' || *text > '9' || *end != '\0') {
    fprintf(stderr, "sim: --%s takes a number, found \"%s\"\n", option, text);
    exit(2);
  }
  return value;
}

static void leave_out(const char *name) {
  complete = false;
  if (!sim_without_add(&setup.without, name)) {
    fprintf(stderr, "sim: --without knows no \"%s\"; there are: ", name);
    sim_without_list(stderr, NULL);
    fprintf(stderr, "\n");
    exit(2);
  }
}

typedef struct arguments {
  uint64_t seeds, from, seed;
  bool one, fresh, quiet;
  const char *listed, *revision;
} arguments;

static int run_with_rights(const arguments *a) {
  if (a->one) {
    return run_one(a->seed, a->quiet);
  }
  if (a->fresh) {
    printf("# revision %s, first seed %" PRIu64 "; again: ./dev sim --from "
           "%" PRIu64 " --seeds %" PRIu64 "\n",
           a->revision, a->from, a->from, a->seeds);
    fflush(stdout);
  }
  return run_many(a->from, a->seeds, a->listed);
}

/* False: an option that is not known. */
static bool read_arguments(int argc, char **argv, arguments *a) {
  static const struct option options[] = {
    {"seeds", required_argument, NULL, 'n'},
    {"from", required_argument, NULL, 'f'},
    {"seed", required_argument, NULL, 's'},
    {"listed", required_argument, NULL, 'l'},
    {"revision", required_argument, NULL, 'r'},
    {"without", required_argument, NULL, 'w'},
    {"quiet", no_argument, NULL, 'q'},
    {NULL, 0, NULL, 0},
  };
  int c;

  while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
    switch (c) {
    case 'n':
      a->seeds = number_of("seeds", optarg);
      break;
    case 'f':
      a->from = number_of("from", optarg);
      a->fresh = false;
      break;
    case 's':
      a->seed = number_of("seed", optarg);
      a->one = true;
      break;
    case 'l':
      a->listed = optarg;
      break;
    case 'r':
      a->revision = optarg;
      break;
    case 'w':
      leave_out(optarg);
      break;
    case 'q':
      a->quiet = true;
      break;
    default:
      return false;
    }
  }
  return optind == argc && a->seeds > 0;
}

int main(int argc, char **argv) {
  arguments a = {
    .seeds = 100, .from = fresh_seed(), .fresh = true, .revision = "unknown"};

  if (!read_arguments(argc, argv, &a)) {
    return usage();
  }
  signal(SIGPROF, on_limit);
  if (__sanitizer_set_death_callback != NULL) {
    __sanitizer_set_death_callback(on_death);
  }
  return run_with_rights(&a);
}
