/* SPDX-License-Identifier: Apache-2.0 */

/* The descriptors that have to be there, or to be free, before libuv starts;
   each case in a child, whose descriptors are its own. */

#include "sys/standard_fds.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FDS = CMT__LOOP_FDS };

/* What |check| returns in a child: 0, or the line that went wrong. */
static int in_child(int (*check)(unsigned arg), unsigned arg) {
  int status;
  pid_t child = fork();

  if (child == 0) {
    _exit(check(arg));
  }
  assert_true(child > 0);
  assert_int_equal(child, waitpid(child, &status, 0));
  assert_true(WIFEXITED(status));
  return WEXITSTATUS(status);
}

#define EXPECT(condition)                                                      \
  do {                                                                         \
    if (!(condition)) {                                                        \
      return __LINE__;                                                         \
    }                                                                          \
  } while (0)

/* The lowest free one. */
static int next_fd(void) {
  int fd = dup(STDOUT_FILENO);

  close(fd);
  return fd;
}

static bool is_the_null_device(int fd) {
  struct stat st, null;

  return fstat(fd, &st) == 0 && stat("/dev/null", &null) == 0 &&
         S_ISCHR(st.st_mode) && st.st_rdev == null.st_rdev;
}

/* |closed| has a bit for each of the standard descriptors. */
static int hold(unsigned closed) {
  int ends[2], before;

  EXPECT(pipe(ends) == 0);
  before = next_fd();
  for (int fd = 0; fd <= STDERR_FILENO; fd++) {
    EXPECT(dup2(ends[1], fd) == fd);
  }
  for (int fd = 0; fd <= STDERR_FILENO; fd++) {
    if ((closed >> fd & 1) != 0) {
      close(fd);
    }
  }
  errno = EBADMSG;
  cmt__standard_fds_hold();
  EXPECT(errno == EBADMSG);
  for (int fd = 0; fd <= STDERR_FILENO; fd++) {
    bool was_closed = (closed >> fd & 1) != 0;

    EXPECT(is_the_null_device(fd) == was_closed);
    EXPECT(fcntl(fd, F_GETFD) == (was_closed ? FD_CLOEXEC : 0));
  }
  EXPECT(next_fd() == before);
  return 0;
}

static void each_that_is_closed_is_the_null_device(void **state) {
  (void)state;
  for (unsigned closed = 0; closed < 8; closed++) {
    assert_int_equal(0, in_child(hold, closed));
  }
}

/* The process may open |left| more; the lowest free one is 0 or above 2. */
static int count_with(unsigned left) {
  struct rlimit limit;
  int first;

  if (left % 2 == 0) {
    close(STDIN_FILENO);
  }
  first = next_fd();
  EXPECT(getrlimit(RLIMIT_NOFILE, &limit) == 0);
  /* Others may be open behind a closed one. */
  for (int fd = first + 1; fd < 256; fd++) {
    if (fd > STDERR_FILENO) {
      close(fd);
    }
  }
  limit.rlim_cur = (rlim_t)(first == 0 ? 2 : first) + left;
  EXPECT(setrlimit(RLIMIT_NOFILE, &limit) == 0);
  errno = EBADMSG;
  EXPECT(cmt__fds_left(FDS) == (left < FDS ? left : FDS));
  EXPECT(errno == (left >= FDS ? EBADMSG : EMFILE));
  EXPECT(next_fd() == first);
  return 0;
}

static void those_that_are_left_are_counted(void **state) {
  (void)state;
  for (unsigned left = 1; left < FDS + 3; left++) {
    assert_int_equal(0, in_child(count_with, left));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(each_that_is_closed_is_the_null_device),
    cmocka_unit_test(those_that_are_left_are_counted),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
