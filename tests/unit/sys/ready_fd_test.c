/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/ready_fd.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

static bool readable(const cmt__ready_fd *r) {
  struct pollfd p = {.fd = r->fd, .events = POLLIN};

  assert_in_range(poll(&p, 1, 0), 0, 1);
  assert_true(p.revents == 0 || p.revents == POLLIN);
  return p.revents != 0;
}

/* Twice the same changes nothing: the counter never passes 1. */
static void it_is_readable_as_long_as_it_is_set(void **state) {
  static const bool steps[] = {false, true, true, false, false, true, false};
  cmt__ready_fd r;
  cmt_env env;

  (void)state;
  assert_cmt(CMT_OK, cmt_env_init(&env));
  assert_true(cmt__ready_fd_open(&r));
  assert_int_equal(O_NONBLOCK, fcntl(r.fd, F_GETFL) & O_NONBLOCK);
  assert_int_equal(FD_CLOEXEC, fcntl(r.fd, F_GETFD));
  assert_false(readable(&r));
  for (size_t i = 0; i < CMT__COUNT(steps); i++) {
    cmt__ready_fd_set(&r, &env, steps[i]);
    assert_int_equal(steps[i], readable(&r));
  }
  cmt__ready_fd_set(&r, &env, true);
  cmt__ready_fd_set(&r, &env, true);
  assert_int_equal(sizeof(uint64_t), read(r.fd, &(uint64_t){0}, 8));
  assert_false(readable(&r));
  cmt__ready_fd_close(&r);
}

static void a_closed_one_stays_closed(void **state) {
  cmt__ready_fd r;
  cmt_env env;
  int fd;

  (void)state;
  assert_cmt(CMT_OK, cmt_env_init(&env));
  assert_true(cmt__ready_fd_open(&r));
  fd = r.fd;
  cmt__ready_fd_close(&r);
  assert_int_equal(-1, r.fd);
  assert_int_equal(-1, fcntl(fd, F_GETFD));
  assert_int_equal(EBADF, errno);
  cmt__ready_fd_set(&r, &env, true);
  cmt__ready_fd_close(&r);
  assert_int_equal(-1, r.fd);
}

/* Descriptor 0 is one as good as any. */
static void it_may_have_the_number_of_standard_input(void **state) {
  int saved = dup(STDIN_FILENO);
  cmt__ready_fd r;
  cmt_env env;
  bool seen[2];

  (void)state;
  assert_cmt(CMT_OK, cmt_env_init(&env));
  assert_true(saved > STDERR_FILENO);
  close(STDIN_FILENO);
  assert_true(cmt__ready_fd_open(&r));
  assert_int_equal(STDIN_FILENO, r.fd);
  cmt__ready_fd_set(&r, &env, true);
  seen[0] = readable(&r);
  cmt__ready_fd_close(&r);
  seen[1] = fcntl(STDIN_FILENO, F_GETFD) == 0;
  assert_int_equal(STDIN_FILENO, dup2(saved, STDIN_FILENO));
  close(saved);
  assert_true(seen[0]);
  assert_false(seen[1]);
}

static jmp_buf panicked;

static void on_panic(void *arg, const char *file, int line, const char *what) {
  (void)arg;
  (void)file;
  (void)line;
  (void)what;
  longjmp(panicked, 1);
}

/* Nobody else writes to it: a counter without room is a broken invariant. */
static void a_write_that_fails_is_a_panic(void **state) {
  uint64_t most = UINT64_MAX - 1;
  volatile bool returned = false;
  cmt__ready_fd r;
  cmt_env env;

  (void)state;
  assert_cmt(CMT_OK, cmt_env_init(&env));
  env.panic = on_panic;
  assert_true(cmt__ready_fd_open(&r));
  assert_int_equal(sizeof most, write(r.fd, &most, sizeof most));
  if (setjmp(panicked) == 0) {
    cmt__ready_fd_set(&r, &env, true);
    returned = true;
  }
  assert_false(returned);
  cmt__ready_fd_close(&r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(it_is_readable_as_long_as_it_is_set),
    cmocka_unit_test(a_closed_one_stays_closed),
    cmocka_unit_test(it_may_have_the_number_of_standard_input),
    cmocka_unit_test(a_write_that_fails_is_a_panic),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
