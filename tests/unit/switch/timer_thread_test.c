/* SPDX-License-Identifier: Apache-2.0 */

/* Timers and posts of the application on real threads. */

#include "sockets.h"

#include <sched.h>

static cmt_switch *switch_start(void) {
  const cmt_reactor reactor = {.name = "test"};
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  cmt_switch_options o;
  cmt_switch *sw;

  test_switch_options(&o, &reactor);
  test_switch_start(&o, &sw, addr);
  return sw;
}

/* ---- one cancel beside one callback ---- */

typedef struct meeting {
  test_watch watch;
  unsigned inside, called, returned, missed;
  cmt_switch *sw;
  cmt_timer timer;
} meeting;

/* Stays until the other thread has called, gives it every chance to come back
   too early, and sets itself again. */
static void on_timer_slow(void *arg, cmt_err status) {
  enum { CHANCES = 2000 };
  meeting *m = arg;

  (void)status;
  test_bump(&m->watch, &m->inside);
  test_await(&m->watch, &m->called, 1);
  for (int i = 0; i < CHANCES; i++) {
    sched_yield();
  }
  m->missed += test_counter(&m->watch, &m->returned);
  assert_cmt(CMT_OK, cmt_switch_timer(m->sw, &m->timer, 0));
}

static void *cancel_it(void *arg) {
  meeting *m = arg;

  test_await(&m->watch, &m->inside, 1);
  test_bump(&m->watch, &m->called);
  assert_true(cmt_switch_timer_cancel(m->sw, &m->timer));
  test_bump(&m->watch, &m->returned);
  return NULL;
}

static void a_cancel_waits_for_a_callback_that_runs(void **state) {
  meeting *m = calloc(1, sizeof *m);
  cmt_switch *sw = switch_start();
  pthread_t thread;

  (void)state;
  assert_non_null(m);
  test_watch_init(&m->watch);
  m->sw = sw;
  m->timer = (cmt_timer){.cb = on_timer_slow, .arg = m};
  assert_cmt(CMT_OK, cmt_switch_timer(sw, &m->timer, 0));
  assert_int_equal(0, pthread_create(&thread, NULL, cancel_it, m));
  pthread_join(thread, NULL);
  /* The loop may be quicker than this thread, and call it once more before the
     cancel has the lock. */
  assert_true(m->inside >= 1);
  assert_int_equal(0, m->missed);
  test_watch_fini(&m->watch);
  free(m); /* Nothing comes any more. */
  assert_cmt(CMT_OK, cmt_switch_delete(sw));
}

/* ---- many at once ---- */

enum { THREADS = 4, ROUNDS = 300 };

typedef struct worker {
  cmt_switch *sw;
  cmt_timer timer;
  cmt_post post;
  test_watch watch;
  unsigned timers, posts; /* Calls of each. */
} worker;

static void on_timer(void *arg, cmt_err status) {
  worker *w = arg;

  (void)status;
  test_bump(&w->watch, &w->timers);
}

static void on_post(void *arg, cmt_err status) {
  worker *w = arg;

  (void)status;
  test_bump(&w->watch, &w->posts);
}

/* Each time that it is set is cancelled or has its call. */
static void *set_and_cancel(void *arg) {
  worker *w = arg;
  unsigned expected = 0;

  for (unsigned i = 0; i < ROUNDS; i++) {
    assert_cmt(CMT_OK,
               cmt_switch_timer(w->sw, &w->timer, i % 3 == 0 ? 0 : i * 1000));
    assert_cmt(CMT_OK, cmt_switch_post(w->sw, &w->post));
    for (unsigned j = 0; j < i % 7; j++) {
      sched_yield();
    }
    if (i % 2 == 0) {
      expected += !cmt_switch_timer_cancel(w->sw, &w->timer);
      assert_int_equal(expected, test_counter(&w->watch, &w->timers));
    } else {
      test_await(&w->watch, &w->timers, ++expected);
    }
    test_await(&w->watch, &w->posts, i + 1);
  }
  return NULL;
}

static void many_threads_set_and_cancel(void **state) {
  cmt_switch *sw = switch_start();
  worker *workers = calloc(THREADS, sizeof *workers);
  pthread_t threads[THREADS];

  (void)state;
  assert_non_null(workers);
  for (unsigned i = 0; i < THREADS; i++) {
    worker *w = &workers[i];

    *w = (worker){.sw = sw,
                  .timer = {.cb = on_timer, .arg = w},
                  .post = {.cb = on_post, .arg = w}};
    test_watch_init(&w->watch);
    assert_int_equal(0, pthread_create(&threads[i], NULL, set_and_cancel, w));
  }
  for (unsigned i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
    test_watch_fini(&workers[i].watch);
  }
  assert_cmt(CMT_OK, cmt_switch_delete(sw));
  free(workers);
}

/* ---- beside the end of the switch ---- */

static void *set_until_closed(void *arg) {
  worker *w = arg;
  cmt_err err = CMT_OK;
  unsigned i = 0;

  for (; err == CMT_OK; i++) {
    err = cmt_switch_post(w->sw, &w->post);
    if (err == CMT_OK) {
      test_await(&w->watch, &w->posts, i + 1);
      err = cmt_switch_timer(w->sw, &w->timer, CMT_SECONDS(3600));
    }
  }
  assert_cmt(CMT_ECLOSED, err);
  return NULL;
}

static void each_has_its_call_beside_a_stop(void **state) {
  enum { TIMES = 30 };

  (void)state;
  for (int i = 0; i < TIMES; i++) {
    worker w = {
      .sw = switch_start(), .timer = {.cb = on_timer}, .post = {.cb = on_post}};
    pthread_t thread;

    w.timer.arg = &w;
    w.post.arg = &w;
    test_watch_init(&w.watch);
    assert_int_equal(0, pthread_create(&thread, NULL, set_until_closed, &w));
    test_await(&w.watch, &w.posts, 1);
    cmt_switch_stop(w.sw, 0);
    pthread_join(thread, NULL);
    assert_cmt(CMT_OK, cmt_switch_delete(w.sw));
    assert_in_range(w.timers, 0, 1);
    test_watch_fini(&w.watch);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_cancel_waits_for_a_callback_that_runs),
    cmocka_unit_test(many_threads_set_and_cancel),
    cmocka_unit_test(each_has_its_call_beside_a_stop),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
