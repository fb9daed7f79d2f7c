/* SPDX-License-Identifier: Apache-2.0 */

/* Flags that one thread waits for and another raises. */

#include "sys/flag.h"
#include "test.h"

#include <dlfcn.h>
#include <errno.h>

/* ---- what the library calls ---- */

static bool no_mutex, no_condition;

int pthread_mutex_init(pthread_mutex_t *lock, const pthread_mutexattr_t *attr) {
  int (*init)(pthread_mutex_t *, const pthread_mutexattr_t *) =
    (int (*)(pthread_mutex_t *, const pthread_mutexattr_t *))dlsym(
      RTLD_NEXT, "pthread_mutex_init");

  return no_mutex ? ENOMEM : init(lock, attr);
}

int pthread_condattr_init(pthread_condattr_t *attr) {
  int (*init)(pthread_condattr_t *) =
    (int (*)(pthread_condattr_t *))dlsym(RTLD_NEXT, "pthread_condattr_init");

  return no_condition ? ENOMEM : init(attr);
}

/* ---- the tests ---- */

static void *raise_it(void *arg) {
  cmt__flag_raise(arg);
  return NULL;
}

static void a_flag_is_raised_before_or_after_the_wait(void **state) {
  (void)state;
  for (int i = 0; i < 100; i++) { /* Which of them differs. */
    cmt__flag f;
    pthread_t t;

    assert_true(cmt__flag_init(&f));
    assert_int_equal(0, pthread_create(&t, NULL, raise_it, &f));
    assert_true(cmt__flag_wait(&f, i % 2 == 0 ? CMT_NEVER : CMT_SECONDS(600)));
    cmt__flag_fini(&f);
    pthread_join(t, NULL);
  }
}

static void a_wait_ends_with_its_time(void **state) {
  cmt__flag f;

  (void)state;
  assert_true(cmt__flag_init(&f));
  assert_false(cmt__flag_wait(&f, 0));
  assert_false(cmt__flag_wait(&f, CMT_MILLISECONDS(1)));
  cmt__flag_raise(&f);
  assert_true(cmt__flag_wait(&f, 0));
  cmt__flag_fini(&f);
}

static void a_flag_without_memory_is_none(void **state) {
  cmt__flag f;

  (void)state;
  no_mutex = true;
  assert_false(cmt__flag_init(&f));
  no_mutex = false;
  no_condition = true;
  assert_false(cmt__flag_init(&f));
  no_condition = false;
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_flag_is_raised_before_or_after_the_wait),
    cmocka_unit_test(a_wait_ends_with_its_time),
    cmocka_unit_test(a_flag_without_memory_is_none),
  };

  return cmocka_run_group_tests_name("flag", tests, NULL, NULL);
}
