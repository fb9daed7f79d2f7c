/* SPDX-License-Identifier: Apache-2.0 */

/* Threads of the library: the signals that they block, and those that their
   maker still blocks afterwards. */

#include "sys/thread.h"
#include "test.h"

#include <signal.h>
#include <string.h>

/* The signals that a thread blocks, and what it was given. */
typedef struct seen {
  sigset_t blocked;
  bool ran;
} seen;

static void *look(void *arg) {
  seen *s = arg;

  pthread_sigmask(SIG_SETMASK, NULL, &s->blocked);
  s->ran = true;
  return s;
}

static bool is_blockable(int number) {
  sigset_t all;

  sigfillset(&all); /* All but those that the C library keeps for itself. */
  return number != SIGKILL && number != SIGSTOP &&
         sigismember(&all, number) == 1;
}

static void assert_blocks_all(const sigset_t *set) {
  for (int number = 1; number < NSIG; number++) {
    if (is_blockable(number)) {
      assert_int_equal(1, sigismember(set, number));
    }
  }
}

/* This thread blocks SIGUSR1 alone. */
static int block_one(void **state) {
  sigset_t one;

  (void)state;
  sigemptyset(&one);
  sigaddset(&one, SIGUSR1);
  return pthread_sigmask(SIG_SETMASK, &one, NULL);
}

static void assert_blocks_one(void) {
  sigset_t now;

  assert_int_equal(0, pthread_sigmask(SIG_SETMASK, NULL, &now));
  for (int number = 1; number < NSIG; number++) {
    if (is_blockable(number)) {
      assert_int_equal(number == SIGUSR1, sigismember(&now, number));
    }
  }
}

static void
a_thread_blocks_all_signals_and_its_maker_those_before(void **state) {
  pthread_t thread;
  seen s = {.ran = false};
  cmt_why why;
  void *result;

  (void)state;
  sigemptyset(&s.blocked);
  assert_cmt(CMT_OK, cmt__thread_start(&thread, look, &s, "a thread", &why));
  assert_int_equal(0, pthread_join(thread, &result));
  assert_ptr_equal(&s, result);
  assert_true(s.ran);
  assert_blocks_all(&s.blocked);
  assert_blocks_one();
}

/* No system has room for such a stack. */
static void a_thread_that_cannot_start_is_reported(void **state) {
  pthread_attr_t before, huge;
  pthread_t thread;
  seen s = {.ran = false};
  char text[200];
  cmt_why why;
  int error;

  (void)state;
  assert_int_equal(0, pthread_getattr_default_np(&before));
  assert_int_equal(0, pthread_attr_init(&huge));
  assert_int_equal(0, pthread_attr_setstacksize(&huge, (size_t)1 << 46));
  assert_int_equal(0, pthread_setattr_default_np(&huge));
  error = cmt__thread_try(&thread, look, &s);
  assert_int_not_equal(0, error); /* EAGAIN, but under valgrind. */
  assert_blocks_one();
  assert_cmt(CMT_EIO,
             cmt__thread_start(&thread, look, &s, "a thread of yours", &why));
  assert_blocks_one();
  assert_int_equal(0, pthread_setattr_default_np(&before));
  snprintf(text, sizeof text, "cannot start a thread of yours: %s",
           strerror(error));
  assert_string_equal(text, why.text);
  assert_cmt(CMT_EIO, why.err);
  assert_false(s.ran);
  pthread_attr_destroy(&huge);
  pthread_attr_destroy(&before);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup(name, block_one)
  const struct CMUnitTest tests[] = {
    TEST(a_thread_blocks_all_signals_and_its_maker_those_before),
    TEST(a_thread_that_cannot_start_is_reported),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
