/* SPDX-License-Identifier: Apache-2.0 */

/* Metrics on real threads: some report, some ask for the page, and peers come
   and go meanwhile. */

#include "sockets.h"

#include <cometp2p/metrics.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 4, ROUNDS = 200, PEERS = 5 };

typedef struct fixture {
  cmt_metrics *m;
  test_watch watch;
  unsigned added, removed;
} fixture;

static void add_peer(void *self, cmt_peer *p) {
  fixture *f = self;

  cmt_metrics_added(f->m, p);
  test_bump(&f->watch, &f->added);
}

static void remove_peer(void *self, cmt_peer *p, cmt_err reason) {
  fixture *f = self;

  (void)p;
  (void)reason;
  test_bump(&f->watch, &f->removed);
}

static cmt_err page(fixture *f, char **out) {
  cmt_buf *b;
  cmt_err err = cmt_metrics_page(&f->m, 1, &b);

  if (err == CMT_OK) {
    *out = strndup((const char *)cmt_buf_bytes(b).base, cmt_buf_bytes(b).len);
    cmt_buf_unref(b);
  }
  return err;
}

static void *report_and_ask(void *arg) {
  static const uint8_t request[] = {0x0a, 0x00};
  const cmt_bytes message = {.base = request, .len = sizeof request};
  fixture *f = arg;

  for (unsigned i = 0; i < ROUNDS; i++) {
    char *text = NULL;

    cmt_metrics_add(f->m, CMT_METRIC_PEX_EVENTS, CMT_METRIC_PEX_ASKED, 2);
    cmt_metrics_set(f->m, CMT_METRIC_BOOK_ENTRIES, 0, i);
    cmt_metrics_observe(f->m, CMT_METRIC_SEED_PROOF_AGE, 0, CMT_SECONDS(i));
    cmt_metrics_message(f->m, 0x00, message, i % 2 == 0);
    if (i % 8 == 0 && page(f, &text) != CMT_OK) {
      return f;
    }
    free(text);
  }
  return NULL;
}

static void node_start(fixture *f, cmt_switch **sw, char *addr) {
  const cmt_reactor r = {.name = "test",
                         .self = f,
                         .add_peer = f != NULL ? add_peer : NULL,
                         .remove_peer = f != NULL ? remove_peer : NULL};
  cmt_switch_options o;

  test_switch_options(&o, &r);
  test_switch_start(&o, sw, addr);
}

/* A peer comes, and goes with its switch. */
static void visit(fixture *f, const char *to) {
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  unsigned added = test_counter(&f->watch, &f->added);
  cmt_switch *sw;

  node_start(NULL, &sw, addr);
  assert_cmt(CMT_OK, cmt_switch_dial(sw, to, 0, NULL));
  test_await(&f->watch, &f->added, added + 1);
  assert_cmt(CMT_OK, cmt_switch_delete(sw));
  test_await(&f->watch, &f->removed, added + 1);
}

static void assert_line(const char *text, const char *line) {
  if (strstr(text, line) == NULL) {
    fail_msg("no line %s in\n%s", line, text);
  }
}

static void threads_report_and_ask_for_the_page(void **state) {
  char addr[CMT_NET_ADDR_TEXT_SIZE], line[160], *text;
  fixture f = {.watch = TEST_WATCH_INITIALIZER};
  pthread_t threads[THREADS];
  cmt_metrics_options o;
  cmt_switch *sw;

  (void)state;
  node_start(&f, &sw, addr);
  cmt_metrics_options_init(&o);
  o.chain_id = "test-net";
  o.sw = sw;
  o.per_peer = true;
  assert_cmt(CMT_OK, cmt_metrics_new(&o, &f.m, NULL));
  for (unsigned i = 0; i < THREADS; i++) {
    assert_int_equal(0, pthread_create(&threads[i], NULL, report_and_ask, &f));
  }
  for (unsigned i = 0; i < PEERS; i++) {
    visit(&f, addr);
  }
  for (unsigned i = 0; i < THREADS; i++) {
    void *failed;

    pthread_join(threads[i], &failed);
    assert_null(failed);
  }
  assert_cmt(CMT_OK, page(&f, &text));
  snprintf(line, sizeof line,
           "\ncometp2p_pex_events_total{chain_id=\"test-net\",event=\"asked\"} "
           "%d\n",
           2 * THREADS * ROUNDS);
  assert_line(text, line);
  snprintf(line, sizeof line,
           "\ncometp2p_seed_proof_age_seconds_count{chain_id=\"test-net\"} "
           "%d\n",
           THREADS * ROUNDS);
  assert_line(text, line);
  free(text);
  cmt_metrics_delete(f.m);
  assert_cmt(CMT_OK, cmt_switch_delete(sw));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(threads_report_and_ask_for_the_page),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
