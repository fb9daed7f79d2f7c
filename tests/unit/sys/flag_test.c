/* SPDX-License-Identifier: Apache-2.0 */

/* Flags that one thread waits for and another raises. */

#include "sys/flag.h"
#include "test.h"

#include <pthread.h>

static void *raise_it(void *arg) {
  cmt__flag_raise(arg);
  return NULL;
}

static void a_flag_is_raised_before_or_after_the_wait(void **state) {
  (void)state;
  for (int i = 0; i < 100; i++) { /* Which of them differs. */
    cmt__flag f = {.state = 0};
    pthread_t t;

    assert_int_equal(0, pthread_create(&t, NULL, raise_it, &f));
    assert_true(cmt__flag_wait(&f, i % 2 == 0 ? CMT_NEVER : CMT_SECONDS(600)));
    pthread_join(t, NULL);
  }
}

static void a_wait_ends_with_its_time(void **state) {
  cmt__flag f = {.state = 0};

  (void)state;
  assert_false(cmt__flag_wait(&f, 0));
  assert_false(cmt__flag_wait(&f, CMT_MILLISECONDS(1)));
  cmt__flag_raise(&f);
  assert_true(cmt__flag_wait(&f, 0));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_flag_is_raised_before_or_after_the_wait),
    cmocka_unit_test(a_wait_ends_with_its_time),
  };

  return cmocka_run_group_tests_name("flag", tests, NULL, NULL);
}
