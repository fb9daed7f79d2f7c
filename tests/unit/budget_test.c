/* SPDX-License-Identifier: Apache-2.0 */

/* What connections share, alone and with threads that share it too. */

#include "core/budget.h"

#include "test.h"

#include <pthread.h>

enum { THREADS = 4, ROUNDS = 20000, HELD_MAX = 1000 };

static void what_is_left_is_taken(void **state) {
  cmt__budget b;
  size_t taken;

  (void)state;
  cmt__budget_init(&b, 100);
  assert_true(cmt__budget_take(&b, 10, 70, &taken));
  assert_int_equal(70, taken);
  assert_true(cmt__budget_take(&b, 10, 70, &taken));
  assert_int_equal(30, taken);
  assert_false(cmt__budget_take(&b, 1, 70, &taken));
  assert_true(cmt__budget_take(&b, 0, 0, &taken));
  cmt__budget_give(&b, 30);
  assert_false(cmt__budget_take(&b, 31, 40, &taken));
  assert_true(cmt__budget_take(&b, 30, 40, &taken));
  assert_int_equal(30, taken);
  assert_int_equal(100, atomic_load(&b.held));
}

/* ---- threads ---- */

typedef struct sharers {
  cmt__budget b;
  pthread_mutex_t lock;
  atomic_uint over;       /* More was held than there is. */
  _Atomic uint64_t taken; /* Of the send limit. */
} sharers;

static void lock(void *arg) { pthread_mutex_lock(arg); }

static void unlock(void *arg) { pthread_mutex_unlock(arg); }

static void sharers_init(sharers *s) {
  memset(s, 0, sizeof *s);
  pthread_mutex_init(&s->lock, NULL);
  cmt__budget_init(&s->b, HELD_MAX);
  s->b.threads = THREADS;
  s->b.lock = lock;
  s->b.unlock = unlock;
  s->b.lock_arg = &s->lock;
}

static void in_threads(sharers *s, void *(*run)(void *arg)) {
  pthread_t threads[THREADS];

  for (size_t i = 0; i < THREADS; i++) {
    assert_int_equal(0, pthread_create(&threads[i], NULL, run, s));
  }
  for (size_t i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
  }
  pthread_mutex_destroy(&s->lock);
}

static void *hold_and_count(void *arg) {
  sharers *s = arg;

  for (size_t i = 0; i < ROUNDS; i++) {
    size_t taken;

    if (cmt__budget_take(&s->b, 1, 1 + i % 600, &taken)) {
      atomic_fetch_add(&s->over, atomic_load(&s->b.held) > HELD_MAX);
      cmt__budget_give(&s->b, taken);
    }
    cmt__budget_count(&s->b, &s->b.send_waits);
  }
  return NULL;
}

static void threads_hold_no_more_than_there_is(void **state) {
  sharers s;

  (void)state;
  sharers_init(&s);
  in_threads(&s, hold_and_count);
  assert_int_equal(0, atomic_load(&s.over));
  assert_int_equal(0, atomic_load(&s.b.held));
  assert_int_equal(THREADS * ROUNDS, atomic_load(&s.b.send_waits));
}

/* All at one instant: each takes what it may, once. */
static void *take_once(void *arg) {
  sharers *s = arg;
  uint64_t share = cmt__budget_share(&s->b, &s->b.send, 0);

  atomic_fetch_add(&s->taken, share);
  (void)cmt__budget_charge(&s->b, &s->b.send, (size_t)share, 0, 0);
  return NULL;
}

static void threads_that_take_at_once_share_what_there_is(void **state) {
  sharers s;

  (void)state;
  sharers_init(&s);
  cmt__budget_limit(&s.b, 1000000, 0, 0);
  in_threads(&s, take_once);
  assert_in_range(atomic_load(&s.taken), 100000 / THREADS,
                  100000 + THREADS * s.b.send.quantum);
  assert_int_equal(100000 - (int64_t)atomic_load(&s.taken), s.b.send.level);
}

static void *charge_urgent(void *arg) {
  sharers *s = arg;

  for (size_t i = 0; i < ROUNDS; i++) {
    (void)cmt__budget_urgent_ns(&s->b);
    cmt__budget_urgent_charge(&s->b, 1, 0);
    (void)cmt__budget_charge(&s->b, &s->b.recv, 1, 0, 0);
  }
  return NULL;
}

static void every_charge_of_a_thread_counts(void **state) {
  sharers s;

  (void)state;
  sharers_init(&s);
  cmt__budget_limit(&s.b, 1000000, 2000000, 0);
  in_threads(&s, charge_urgent);
  assert_int_equal(125000 - THREADS * ROUNDS, s.b.urgent.level);
  assert_int_equal(200000 - THREADS * ROUNDS, s.b.recv.level);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_is_left_is_taken),
    cmocka_unit_test(threads_hold_no_more_than_there_is),
    cmocka_unit_test(threads_that_take_at_once_share_what_there_is),
    cmocka_unit_test(every_charge_of_a_thread_counts),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
