/* SPDX-License-Identifier: Apache-2.0 */

/* The threads of costly calls, on a real loop. */

#include "net/uv/loop_uv.h"

#include "loop_parts.h"
#include "test.h"

#include <pthread.h>
#include <stdlib.h>

enum { CALLS = 64, ROUNDS = 200, THREADS = 4 };

typedef struct crowd {
  cmt__loop *loop;
  pthread_t own;
  struct call *calls;
  unsigned left; /* Calls that are to come back. */
  atomic_uint elsewhere, ran;
} crowd;

typedef struct call {
  cmt__costly costly;
  crowd *crowd;
  unsigned rounds; /* How often it is deferred again. */
  unsigned ran_as; /* The how manieth it was. */
} call;

static void on_run(cmt__costly *c) {
  call *k = (call *)c;

  k->ran_as = atomic_fetch_add(&k->crowd->ran, 1);
  if (!pthread_equal(pthread_self(), k->crowd->own)) {
    atomic_fetch_add(&k->crowd->elsewhere, 1);
  }
}

static void on_done(cmt__costly *c) {
  call *k = (call *)c;

  assert_true(pthread_equal(pthread_self(), k->crowd->own));
  if (k->rounds > 0) {
    k->rounds--;
    cmt__loop_defer_costly(k->crowd->loop, c);
  } else if (--k->crowd->left == 0) {
    cmt__loop_stop(k->crowd->loop);
  }
}

/* Until a thread has run enough of them. */
static void on_done_again(cmt__costly *c) {
  call *k = (call *)c;

  k->rounds = atomic_load(&k->crowd->elsewhere) < CALLS * ROUNDS;
  on_done(c);
}

static void crowd_init(crowd *x, size_t count, unsigned rounds,
                       unsigned threads) {
  *x = (crowd){.own = pthread_self(), .left = (unsigned)count};
  x->calls = test_resize(NULL, count * sizeof *x->calls);
  assert_cmt(CMT_OK, cmt__loop_uv_new(NULL, &x->loop));
  assert_cmt(CMT_OK,
             cmt__loop_set_help(
               x->loop, &(cmt__help_options){.threads = threads, .rate = 1}));
  for (size_t i = 0; i < count; i++) {
    x->calls[i] = (call){
      .costly = {.run = on_run, .done = on_done}, .crowd = x, .rounds = rounds};
  }
}

static void crowd_defer(crowd *x, size_t count) {
  for (size_t i = 0; i < count; i++) {
    cmt__loop_defer_costly(x->loop, &x->calls[i].costly);
  }
}

static void crowd_fini(crowd *x) {
  cmt__loop_delete(x->loop);
  free(x->calls);
}

static void all_calls_come_back(void **state) {
  crowd x;

  (void)state;
  crowd_init(&x, CALLS, ROUNDS, THREADS);
  crowd_defer(&x, CALLS);
  cmt__loop_run(x.loop);
  assert_int_equal(CALLS * (ROUNDS + 1), atomic_load(&x.ran));
  assert_true(atomic_load(&x.elsewhere) > 0);
  crowd_fini(&x);
}

/* The loop always has one of the two, and the thread sleeps until it gets the
   other one back. */
static void a_thread_that_sleeps_is_woken(void **state) {
  crowd x;

  (void)state;
  crowd_init(&x, 2, 0, 1);
  x.calls[0].costly.done = on_done_again;
  x.calls[1].costly.done = on_done_again;
  crowd_defer(&x, 2);
  cmt__loop_run(x.loop);
  assert_in_range(atomic_load(&x.elsewhere), CALLS * ROUNDS,
                  CALLS * ROUNDS + 1);
  crowd_fini(&x);
}

static void one_thread_keeps_the_order(void **state) {
  enum { COUNT = 1 + CMT__HELPER_CALLS };
  crowd x;

  (void)state;
  crowd_init(&x, COUNT, 0, 1);
  crowd_defer(&x, COUNT);
  cmt__loop_run(x.loop);
  assert_int_equal(CMT__HELPER_CALLS, atomic_load(&x.elsewhere));
  for (size_t i = 2; i < COUNT; i++) {
    assert_true(x.calls[i].ran_as > x.calls[i - 1].ran_as);
  }
  crowd_fini(&x);
}

static void a_loop_may_go_before_a_thread_was_needed(void **state) {
  crowd x;

  (void)state;
  crowd_init(&x, 1, 0, THREADS);
  crowd_defer(&x, 1);
  cmt__loop_run(x.loop);
  assert_int_equal(0, atomic_load(&x.elsewhere));
  crowd_fini(&x);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(all_calls_come_back),
    cmocka_unit_test(a_thread_that_sleeps_is_woken),
    cmocka_unit_test(one_thread_keeps_the_order),
    cmocka_unit_test(a_loop_may_go_before_a_thread_was_needed),
  };

  return cmocka_run_group_tests_name("costly_threads", tests, NULL, NULL);
}
