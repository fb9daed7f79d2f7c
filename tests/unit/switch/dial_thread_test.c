/* SPDX-License-Identifier: Apache-2.0 */

/* Dials and their cancellation on real threads. */

#include "sockets.h"

#include <sched.h>
#include <stdio.h>

#define SOMEBODY "00112233445566778899aabbccddeeff0011"

static cmt_switch *switch_start(void) {
  const cmt_reactor reactor = {.name = "test"};
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  cmt_switch_options o;
  cmt_switch *sw;

  test_switch_options(&o, &reactor);
  test_switch_start(&o, &sw, addr);
  return sw;
}

/* No interface has that name, so each attempt fails at once. */
static cmt_dial *dial_nowhere(cmt_switch *sw, unsigned number,
                              void (*on_outcome)(void *arg, cmt_dial *dial,
                                                 const cmt_dial_outcome *o),
                              void *arg) {
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  cmt_dial_options o;
  cmt_dial *d;

  cmt_dial_options_init(&o);
  o.persistent = true;
  o.retry_delay_ns = CMT_MILLISECONDS(1);
  o.retry_jitter_ns = CMT_NO_JITTER;
  o.on_outcome = on_outcome;
  o.arg = arg;
  snprintf(addr, sizeof addr, SOMEBODY "%04x@[fe80::1%%nowhere]:1", number);
  assert_cmt(CMT_OK, cmt_switch_dial_new(sw, addr, &o, &d, NULL));
  return d;
}

/* ---- one cancel beside one outcome ---- */

typedef struct meeting {
  test_watch watch;
  unsigned inside, called, returned, missed;
  cmt_dial *dial;
} meeting;

/* Stays until the other thread has called, and gives it every chance to come
   back too early. */
static void on_outcome_slow(void *arg, cmt_dial *dial,
                            const cmt_dial_outcome *o) {
  enum { CHANCES = 2000 };
  meeting *m = arg;

  (void)dial;
  (void)o;
  test_bump(&m->watch, &m->inside);
  test_await(&m->watch, &m->called, 1);
  for (int i = 0; i < CHANCES; i++) {
    sched_yield();
  }
  m->missed += test_counter(&m->watch, &m->returned);
}

static void *cancel_it(void *arg) {
  meeting *m = arg;

  test_await(&m->watch, &m->inside, 1);
  test_bump(&m->watch, &m->called);
  cmt_dial_cancel(m->dial);
  test_bump(&m->watch, &m->returned);
  return NULL;
}

static void a_cancel_waits_for_an_outcome_that_runs(void **state) {
  cmt_switch *sw = switch_start();
  meeting *m = calloc(1, sizeof *m);
  pthread_t thread;

  (void)state;
  assert_non_null(m);
  test_watch_init(&m->watch);
  m->dial = dial_nowhere(sw, 0, on_outcome_slow, m);
  assert_int_equal(0, pthread_create(&thread, NULL, cancel_it, m));
  pthread_join(thread, NULL);
  assert_int_equal(1, m->inside);
  assert_int_equal(0, m->missed);
  test_watch_fini(&m->watch);
  free(m); /* Nothing comes any more. */
  assert_int_equal(0, cmt_switch_dials(sw, NULL, 0));
  assert_cmt(CMT_OK, cmt_switch_delete(sw));
}

/* ---- many at once ---- */

enum { THREADS = 4, ROUNDS = 100 };

typedef struct worker {
  cmt_switch *sw;
  unsigned number;
} worker;

static void on_outcome_count(void *arg, cmt_dial *dial,
                             const cmt_dial_outcome *o) {
  cmt_dial_status st;

  cmt_dial_get_status(dial, &st);
  *(uint64_t *)arg += o->attempt == st.attempts;
}

static void *dial_and_cancel(void *arg) {
  const worker *w = arg;

  for (unsigned i = 0; i < ROUNDS; i++) {
    uint64_t *count = calloc(1, sizeof *count);
    cmt_dial *d = dial_nowhere(w->sw, w->number, on_outcome_count, count);
    cmt_dial_status list[THREADS];

    for (unsigned j = 0; j < i % 7; j++) {
      assert_in_range(cmt_switch_dials(w->sw, list, THREADS), 1, THREADS);
      sched_yield();
    }
    cmt_dial_cancel(d);
    free(count);
  }
  return NULL;
}

static void run_workers(void *(*run)(void *worker)) {
  cmt_switch *sw = switch_start();
  worker workers[THREADS];
  pthread_t threads[THREADS];

  for (unsigned i = 0; i < THREADS; i++) {
    workers[i] = (worker){sw, i};
    assert_int_equal(0, pthread_create(&threads[i], NULL, run, &workers[i]));
  }
  for (unsigned i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
  }
  assert_int_equal(0, cmt_switch_dials(sw, NULL, 0));
  assert_cmt(CMT_OK, cmt_switch_delete(sw));
}

static void many_threads_dial_and_cancel(void **state) {
  (void)state;
  run_workers(dial_and_cancel);
}

static void on_outcome_unowned(void *arg, cmt_dial *dial,
                               const cmt_dial_outcome *o) {
  *(uint64_t *)arg += dial == NULL ? o->attempt : 0;
}

/* A dial that is not persistent may end by itself meanwhile. */
static void *dial_and_cancel_by_id(void *arg) {
  const worker *w = arg;
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  cmt_node_id id;

  snprintf(id.text, sizeof id.text, SOMEBODY "%04x", w->number);
  snprintf(addr, sizeof addr, "%s@[fe80::1%%nowhere]:1", id.text);
  for (unsigned i = 0; i < ROUNDS; i++) {
    uint64_t *count = calloc(1, sizeof *count);
    cmt_dial_options o;

    cmt_dial_options_init(&o);
    o.persistent = i % 3 > 0;
    o.retry_delay_ns = CMT_MILLISECONDS(1);
    o.retry_jitter_ns = CMT_NO_JITTER;
    o.on_outcome = on_outcome_unowned;
    o.arg = count;
    assert_cmt(CMT_OK, cmt_switch_dial_new(w->sw, addr, &o, NULL, NULL));
    for (unsigned j = 0; j < i % 7; j++) {
      sched_yield();
    }
    assert_in_range(cmt_switch_dial_cancel(w->sw, &id), o.persistent, 1);
    free(count);
  }
  return NULL;
}

static void many_threads_cancel_by_id(void **state) {
  (void)state;
  run_workers(dial_and_cancel_by_id);
}

/* ---- beside the end of the switch ---- */

static void *stop_it(void *arg) {
  cmt_switch_stop(arg, 0);
  return NULL;
}

static void a_cancel_beside_a_stop(void **state) {
  enum { TIMES = 50, DIALS = 4 };

  (void)state;
  for (int i = 0; i < TIMES; i++) {
    cmt_switch *sw = switch_start();
    cmt_dial *dials[DIALS];
    uint64_t counts[DIALS] = {0};
    pthread_t thread;

    for (unsigned d = 0; d < DIALS; d++) {
      dials[d] = dial_nowhere(sw, d, on_outcome_count, &counts[d]);
    }
    assert_int_equal(0, pthread_create(&thread, NULL, stop_it, sw));
    for (int d = 0; d < DIALS - 1; d++) {
      cmt_dial_cancel(dials[d]);
    }
    pthread_join(thread, NULL);
    assert_cmt(CMT_OK, cmt_switch_delete(sw)); /* With the last one. */
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_cancel_waits_for_an_outcome_that_runs),
    cmocka_unit_test(many_threads_dial_and_cancel),
    cmocka_unit_test(many_threads_cancel_by_id),
    cmocka_unit_test(a_cancel_beside_a_stop),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
