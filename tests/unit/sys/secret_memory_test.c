/* SPDX-License-Identifier: Apache-2.0 */

/* The system's memory for secrets: whether it is locked, that nobody writes to
   it while it is protected, and that it is gone when it was given back. */

#include "sys/secret_memory.h"
#include "test.h"

#include <errno.h>
#include <signal.h>
#include <sodium.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { SIZE = 64, PAGE = 4096 };

static struct {
  int calls;
  size_t len;
  bool fails;
} locks;

/* What libsodium calls: the sanitizers' own does nothing and succeeds. */
__attribute__((visibility("default"))) int mlock(const void *p, size_t len);
int mlock(const void *p, size_t len) {
  (void)p;
  locks.calls++;
  locks.len = len;
  errno = ENOMEM;
  return locks.fails ? -1 : 0;
}

static int start(void **state) {
  (void)state;
  memset(&locks, 0, sizeof locks);
  return sodium_init() < 0;
}

/* The page at |p| belongs to the process. */
static bool is_mapped(const void *p) {
  uintptr_t page = (uintptr_t)p / PAGE * PAGE;

  return msync((void *)page, 1, MS_ASYNC) == 0;
}

/* Whether a child can write to |p|. */
static bool can_write(volatile uint8_t *p) {
  pid_t child = fork();
  int status;

  if (child == 0) {
    signal(SIGSEGV, SIG_DFL);
    *p = 1;
    _exit(0);
  }
  assert_true(child > 0);
  assert_int_equal(child, waitpid(child, &status, 0));
  assert_true(WIFEXITED(status) || WTERMSIG(status) == SIGSEGV);
  return WIFEXITED(status);
}

static void memory_is_allocated_protected_and_freed(void **state) {
  bool locked = false;
  uint8_t *p = cmt__secret_memory_alloc(NULL, SIZE, &locked);

  (void)state;
  assert_non_null(p);
  assert_true(locked);
  assert_int_equal(0, (uintptr_t)(p + SIZE) % PAGE);
  assert_true(can_write(p + SIZE - 1));
  assert_false(can_write(p + SIZE));
  cmt__secret_memory_protect(NULL, p, SIZE, true);
  assert_false(can_write(p));
  cmt__secret_memory_protect(NULL, p, SIZE, false);
  assert_true(can_write(p));
  memset(p, 7, SIZE);
  assert_true(is_mapped(p));
  cmt__secret_memory_free(NULL, p, SIZE);
  assert_false(is_mapped(p));
}

static void memory_that_may_not_be_locked_can_be_used(void **state) {
  bool locked = true;
  uint8_t *p;

  (void)state;
  locks.fails = true;
  p = cmt__secret_memory_alloc(NULL, SIZE, &locked);
  assert_non_null(p);
  assert_true(locks.calls > 0);
  assert_int_equal(SIZE, locks.len); /* The memory, when all is done. */
  assert_false(locked);
  memset(p, 7, SIZE);
  cmt__secret_memory_free(NULL, p, SIZE);
}

static void memory_that_is_not_there_is_not_locked(void **state) {
  bool locked = true;

  (void)state;
  assert_null(cmt__secret_memory_alloc(NULL, SIZE_MAX - 1, &locked));
  assert_false(locked);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup(name, start)
  const struct CMUnitTest tests[] = {
    TEST(memory_is_allocated_protected_and_freed),
    TEST(memory_that_may_not_be_locked_can_be_used),
    TEST(memory_that_is_not_there_is_not_locked),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
