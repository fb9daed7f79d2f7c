/* SPDX-License-Identifier: Apache-2.0 */

/* Spinning before a thread blocks: when it is due, and when it ends. */

#include "sys/spin.h"
#include "test.h"

#include <pthread.h>
#include <sched.h>

/* How often |s| blocks at once before it spins again. */
static unsigned skips_of(cmt__spin *s) {
  unsigned skips = 0;

  while (!cmt__spin_is_due(s)) {
    skips++;
  }
  return skips;
}

/* Whether there are several processors is looked at the first time only. */
static void a_spin_in_vain_makes_the_next_ones_rarer(void **state) {
  static const unsigned skips[] = {3, 7, 15, 31, 63, 63, 63};
  cmt__spin s = {.skips = 1};

  (void)state;
  assert_int_equal(0, skips_of(&s));
  for (size_t i = 0; i < sizeof skips / sizeof *skips; i++) {
    cmt__spin_note(&s, false);
    assert_int_equal(skips[i], skips_of(&s));
  }
  cmt__spin_note(&s, true);
  assert_int_equal(0, skips_of(&s));
  assert_int_equal(0, skips_of(&s));
}

static void a_thread_with_one_processor_spins_no_second_time(void **state) {
  cmt__spin s = {.skips = 0};
  cpu_set_t all, one;

  (void)state;
  assert_int_equal(0, sched_getaffinity(0, sizeof all, &all));
  CPU_ZERO(&one);
  for (size_t i = 0; CPU_COUNT(&one) == 0; i++) {
    if (CPU_ISSET(i, &all)) {
      CPU_SET(i, &one);
    }
  }
  assert_int_equal(0, sched_setaffinity(0, sizeof one, &one));
  assert_true(cmt__spin_is_due(&s));
  cmt__spin_note(&s, false);
  for (int i = 0; i < 1000; i++) {
    assert_false(cmt__spin_is_due(&s));
  }
  assert_int_equal(0, sched_setaffinity(0, sizeof all, &all));
}

static void *change(void *arg) {
  atomic_fetch_add((atomic_uint *)arg, 1);
  return NULL;
}

static void a_spin_ends_with_what_it_waits_for_or_its_time(void **state) {
  atomic_uint word = 1;
  pthread_t t;

  (void)state;
  assert_true(cmt__spin_while(&word, 0, 0));
  assert_false(cmt__spin_while(&word, 1, 0));
  assert_false(cmt__spin_while(&word, 1, cmt__spin_end_ns(UINT64_MAX)));
  assert_int_equal(0, pthread_create(&t, NULL, change, &word));
  assert_true(cmt__spin_while(&word, 1, UINT64_MAX));
  pthread_join(t, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_spin_in_vain_makes_the_next_ones_rarer),
    cmocka_unit_test(a_thread_with_one_processor_spins_no_second_time),
    cmocka_unit_test(a_spin_ends_with_what_it_waits_for_or_its_time),
  };

  return cmocka_run_group_tests_name("spin", tests, NULL, NULL);
}
