/* SPDX-License-Identifier: Apache-2.0 */

/* Clocks and conditions with deadlines.  This program has its own functions of
   the C library: a clock that stands where a test puts it, and conditions that
   cannot be had. */

#include "sys/clock.h"
#include "sys/cond.h"
#include "test.h"

#include <dlfcn.h>
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- what the library calls ---- */

static struct {
  bool is_set; /* The clock |id| stands at |at|. */
  clockid_t id;
  struct timespec at;
} clock_double;

int clock_gettime(clockid_t id, struct timespec *out) {
  if (clock_double.is_set && id == clock_double.id) {
    *out = clock_double.at;
    return 0;
  }
  return (int)syscall(SYS_clock_gettime, id, out);
}

static struct {
  int attributes; /* How many are in use. */
  bool no_attribute, no_clock, no_condition;
} conditions;

int pthread_condattr_init(pthread_condattr_t *attr) {
  int (*init)(pthread_condattr_t *) =
    (int (*)(pthread_condattr_t *))dlsym(RTLD_NEXT, "pthread_condattr_init");

  if (conditions.no_attribute) {
    return ENOMEM;
  }
  conditions.attributes++;
  return init(attr);
}

int pthread_condattr_destroy(pthread_condattr_t *attr) {
  (void)attr; /* It has nothing that would be freed. */
  conditions.attributes--;
  return 0;
}

int pthread_condattr_setclock(pthread_condattr_t *attr, clockid_t clock) {
  int (*set)(pthread_condattr_t *, clockid_t) =
    (int (*)(pthread_condattr_t *, clockid_t))dlsym(
      RTLD_NEXT, "pthread_condattr_setclock");

  return conditions.no_clock ? EINVAL : set(attr, clock);
}

int pthread_cond_init(pthread_cond_t *cond, const pthread_condattr_t *attr) {
  int (*init)(pthread_cond_t *, const pthread_condattr_t *) =
    (int (*)(pthread_cond_t *, const pthread_condattr_t *))dlsym(
      RTLD_NEXT, "pthread_cond_init");

  return conditions.no_condition ? ENOMEM : init(cond, attr);
}

static int reset(void **state) {
  (void)state;
  clock_double.is_set = false;
  memset(&conditions, 0, sizeof conditions);
  return 0;
}

/* ---- clocks ---- */

static void the_coarse_clock_counts_nanoseconds(void **state) {
  static const struct {
    struct timespec at;
    uint64_t ns;
  } rows[] = {
    {{0, 0}, 0},
    {{0, 999999999}, 999999999},
    {{1, 0}, UINT64_C(1000000000)},
    {{123456789, 4000001}, UINT64_C(123456789004000001)},
  };

  (void)state;
  clock_double.is_set = true;
  clock_double.id = CLOCK_MONOTONIC_COARSE;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    clock_double.at = rows[i].at;
    assert_int_equal(rows[i].ns, cmt__clock_coarse_ns());
  }
}

/* ---- deadlines ---- */

static void a_deadline_is_that_much_after_now(void **state) {
  static const struct {
    struct timespec now;
    uint64_t delay_ns;
    struct timespec deadline;
  } rows[] = {
    {{7, 5}, 0, {7, 5}},
    {{7, 5}, 1, {7, 6}},
    {{7, 5}, 999999994, {7, 999999999}},
    {{7, 5}, 999999995, {8, 0}},
    {{7, 999999999}, 999999999, {8, 999999998}},
    {{7, 999999999}, UINT64_C(3000000001), {11, 0}},
    {{7, 0}, UINT64_C(86400000000002), {86407, 2}},
  };

  (void)state;
  clock_double.is_set = true;
  clock_double.id = CLOCK_MONOTONIC;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    struct timespec found;

    clock_double.at = rows[i].now;
    found = cmt__cond_deadline(rows[i].delay_ns);
    assert_int_equal(rows[i].deadline.tv_sec, found.tv_sec);
    assert_int_equal(rows[i].deadline.tv_nsec, found.tv_nsec);
  }
}

/* By the clock of the day the deadline would long be over. */
static void a_wait_ends_at_its_deadline_of_the_monotonic_clock(void **state) {
  pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  struct timespec deadline, now;
  pthread_cond_t cond;
  int error;

  (void)state;
  assert_true(cmt__cond_init(&cond));
  assert_int_equal(0, conditions.attributes);
  deadline = cmt__cond_deadline(CMT_MILLISECONDS(20));
  pthread_mutex_lock(&lock);
  do {
    error = pthread_cond_timedwait(&cond, &lock, &deadline);
  } while (error == 0);
  pthread_mutex_unlock(&lock);
  clock_gettime(CLOCK_MONOTONIC, &now);
  assert_int_equal(ETIMEDOUT, error);
  assert_true(
    now.tv_sec > deadline.tv_sec ||
    (now.tv_sec == deadline.tv_sec && now.tv_nsec >= deadline.tv_nsec));
  pthread_cond_destroy(&cond);
}

static void a_condition_that_cannot_be_had_is_reported(void **state) {
  bool *const faults[] = {&conditions.no_attribute, &conditions.no_clock,
                          &conditions.no_condition};
  pthread_cond_t cond;

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(faults); i++) {
    *faults[i] = true;
    assert_false(cmt__cond_init(&cond));
    assert_int_equal(0, conditions.attributes);
    *faults[i] = false;
  }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup(name, reset)
  const struct CMUnitTest tests[] = {
    TEST(the_coarse_clock_counts_nanoseconds),
    TEST(a_deadline_is_that_much_after_now),
    TEST(a_wait_ends_at_its_deadline_of_the_monotonic_clock),
    TEST(a_condition_that_cannot_be_had_is_reported),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
