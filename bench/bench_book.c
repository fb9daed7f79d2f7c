/* SPDX-License-Identifier: Apache-2.0 */
/* An address book on disk and in answers:

     bench_book load --count N --rounds R   loads N entries, each of them proven
                                            and with both files
     bench_book save --count N --rounds R   the copy that a loop waits for, and
                                            the writing on its thread
     bench_book answer --count N --seconds S  answers of a seed, 250 addresses,
                                            spread over groups
   The files lie in the folder of TMPDIR, or /tmp. */

#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOW_NS CMT_SECONDS(1700000000)

static char folder[200], path[250];

static uint32_t draw(uint32_t *state) {
  *state = *state * 1664525 + 1013904223;
  return *state >> 8;
}

static cmt_net_addr make_node(uint32_t i, uint32_t *state) {
  cmt_net_addr a = {.port = 26656};

  snprintf(a.id.text, sizeof a.id.text, "%08x%032x", draw(state), i);
  snprintf(a.host, sizeof a.host, "%u.%u.%u.%u", 128 + draw(state) % 40,
           draw(state) % 256, draw(state) % 256, 1 + draw(state) % 250);
  return a;
}

/* Reports nodes until the book has |count|, and reaches each. */
static void fill(cmt_addrbook *b, size_t count) {
  cmt_addrbook_status status = {.entries = 0};
  uint32_t state = 1;

  for (uint32_t i = 1; status.entries < count && i < 100 * count; i++) {
    cmt_net_addr a = make_node(i, &state), src = make_node(i, &state);
    cmt_addrbook_proof p;

    (void)cmt_addrbook_add(b, &a, &src, NOW_NS);
    cmt_addrbook_proof_init(&p);
    p.addr = &a;
    p.version = "0.38.25";
    p.height = 1000 + i;
    if (cmt_addrbook_has(b, &a.id) &&
        cmt_addrbook_proved(b, &p, NOW_NS) == CMT_OK) {
      cmt_addrbook_good(b, &a.id, NOW_NS);
    }
    cmt_addrbook_get_status(b, &status);
  }
  fprintf(stderr, "%zu entries, %zu old, %zu bytes\n", status.entries,
          status.old_entries, status.bytes);
}

static cmt_addrbook_file *open_book(void) {
  cmt_addrbook_options o;
  cmt_addrbook_file *f;
  cmt_why why;

  cmt_addrbook_options_init(&o);
  o.env = bench_env();
  if (cmt_addrbook_file_open(path, &o, NOW_NS, &f, &why) != CMT_OK) {
    fprintf(stderr, "%s\n", why.text);
    exit(1);
  }
  return f;
}

static cmt_addrbook_file *make_book(size_t count) {
  const char *tmp = getenv("TMPDIR");
  cmt_addrbook_file *f;

  snprintf(folder, sizeof folder, "%s/bench_book-XXXXXX",
           tmp != NULL ? tmp : "/tmp");
  if (mkdtemp(folder) == NULL) {
    perror(folder);
    exit(1);
  }
  snprintf(path, sizeof path, "%s/addrbook.json", folder);
  f = open_book();
  fill(cmt_addrbook_file_book(f), count);
  return f;
}

static void remove_book(void) {
  char side[260];

  snprintf(side, sizeof side, "%s/addrbook.cometp2p.json", folder);
  unlink(path);
  unlink(side);
  rmdir(folder);
}

static void emit(const char *role, const char *name, uint64_t *times,
                 size_t count) {
  printf("{\"event\":\"result\",\"role\":\"%s\",\"what\":\"%s\"", role, name);
  bench_print_times(times, count);
  printf("}\n");
}

static uint64_t *make_times(size_t count) {
  uint64_t *times = calloc(count, sizeof *times);

  if (times == NULL) {
    perror("times");
    exit(1);
  }
  return times;
}

static int run_load(const bench_args *a) {
  size_t rounds = a->rounds > 0 ? a->rounds : 5;
  cmt_addrbook_file *f = make_book(a->count);
  uint64_t *times = make_times(rounds);

  cmt_ignore(cmt_addrbook_file_save(f, NOW_NS, NULL));
  cmt_addrbook_file_close(f);
  for (size_t i = 0; i < rounds; i++) {
    uint64_t begun_ns = bench_now_ns();

    f = open_book();
    times[i] = bench_now_ns() - begun_ns;
    cmt_addrbook_file_close(f);
  }
  emit("load", "both files", times, rounds);
  free(times);
  remove_book();
  return 0;
}

static int run_save(const bench_args *a) {
  size_t rounds = a->rounds > 0 ? a->rounds : 5;
  cmt_addrbook_file *f = make_book(a->count);
  uint64_t *pauses = make_times(rounds), *writes = make_times(rounds);
  cmt_addrbook_file_status status;

  for (size_t i = 0; i < rounds; i++) {
    uint64_t begun_ns = bench_now_ns();

    cmt_ignore(cmt_addrbook_file_save_begin(f, NOW_NS));
    pauses[i] = bench_now_ns() - begun_ns;
    if (cmt_addrbook_file_wait(f, NULL) != CMT_OK) {
      return 1;
    }
    cmt_addrbook_file_get_status(f, &status);
    writes[i] = status.took_ns;
  }
  emit("save", "pause of the loop", pauses, rounds);
  emit("save", "writing", writes, rounds);
  free(pauses);
  free(writes);
  cmt_addrbook_file_close(f);
  remove_book();
  return 0;
}

static int run_answer(const bench_args *a) {
  static cmt_net_addr out[CMT_ADDRBOOK_ANSWER_MAX];
  cmt_addrbook_file *f = make_book(a->count);
  uint64_t begun_ns = bench_now_ns(), now_ns = begun_ns;
  cmt_addrbook_query q;
  size_t answers = 0, addresses = 0;

  cmt_addrbook_query_init(&q);
  q.proven_within_ns = CMT_SECONDS(1800);
  q.per_16_max = 8;
  q.per_24_max = 2;
  q.fresh_percent = 20;
  while ((double)(now_ns - begun_ns) < a->seconds * 1e9) {
    addresses += cmt_addrbook_select(cmt_addrbook_file_book(f), &q, out,
                                     CMT_ADDRBOOK_ANSWER_MAX, NOW_NS);
    answers++;
    now_ns = bench_now_ns();
  }
  printf("{\"event\":\"result\",\"role\":\"answer\",\"answers\":%zu,"
         "\"addresses\":%zu,\"us_each\":%.2f}\n",
         answers, addresses,
         (double)(now_ns - begun_ns) / 1e3 / (double)answers);
  cmt_addrbook_file_close(f);
  remove_book();
  return 0;
}

int main(int argc, char **argv) {
  static const bench_verb verbs[] = {
    {"load", run_load}, {"save", run_save}, {"answer", run_answer}};

  return bench_main(argc, argv, verbs, sizeof verbs / sizeof verbs[0]);
}
