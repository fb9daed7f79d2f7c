/* SPDX-License-Identifier: Apache-2.0 */

/* Locks whose waiters spin for a moment. */

#include "sys/lock.h"
#include "test.h"

enum { THREADS = 4, ROUNDS = 20000 };

typedef struct shared {
  pthread_mutex_t lock;
  unsigned count; /* Under the lock. */
} shared;

static void *count_up(void *arg) {
  shared *s = arg;

  for (int i = 0; i < ROUNDS; i++) {
    cmt__lock(&s->lock);
    s->count++;
    cmt__unlock(&s->lock);
  }
  return NULL;
}

static void one_thread_at_a_time_has_a_brief_lock(void **state) {
  shared s = {.count = 0};
  pthread_t t[THREADS];

  (void)state;
  assert_true(cmt__lock_init_brief(&s.lock));
  for (int i = 0; i < THREADS; i++) {
    assert_int_equal(0, pthread_create(&t[i], NULL, count_up, &s));
  }
  for (int i = 0; i < THREADS; i++) {
    pthread_join(t[i], NULL);
  }
  assert_int_equal(THREADS * ROUNDS, s.count);
  pthread_mutex_destroy(&s.lock);
}

/* No call returns the type of a mutex. */
static void a_waiter_for_a_brief_lock_spins(void **state) {
#ifdef __GLIBC__
  pthread_mutex_t lock;

  assert_true(cmt__lock_init_brief(&lock));
  assert_int_equal(PTHREAD_MUTEX_ADAPTIVE_NP, lock.__data.__kind);
  pthread_mutex_destroy(&lock);
#endif
  (void)state;
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(one_thread_at_a_time_has_a_brief_lock),
    cmocka_unit_test(a_waiter_for_a_brief_lock_spins),
  };

  return cmocka_run_group_tests_name("lock", tests, NULL, NULL);
}
