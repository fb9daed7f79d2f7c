/* SPDX-License-Identifier: Apache-2.0 */

/* What the kernel reports TCP sockets on loopback, and what is made of it:
   this program has a getsockopt() of its own. */

#include "sys/tcp_kernel.h"
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/tcp.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* What TCP_INFO gives, the first |reported_len| bytes; NULL: the kernel's. */
static const struct tcp_info *reported;
static size_t reported_len;

int getsockopt(int fd, int level, int name, void *value, socklen_t *len) {
  if (reported == NULL || level != IPPROTO_TCP || name != TCP_INFO) {
    return (int)syscall(SYS_getsockopt, fd, level, name, value, len);
  }
  *len = (socklen_t)cmt__min(*len, reported_len);
  memcpy(value, reported, *len);
  return 0;
}

typedef struct fixture {
  int near, far;
} fixture;

static int setup(void **state) {
  struct sockaddr_in at = {.sin_family = AF_INET,
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof at;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  fixture *f = calloc(1, sizeof *f);

  assert_int_equal(0, bind(listener, (struct sockaddr *)&at, sizeof at));
  assert_int_equal(0, listen(listener, 1));
  assert_int_equal(0, getsockname(listener, (struct sockaddr *)&at, &len));
  f->near = socket(AF_INET, SOCK_STREAM, 0);
  assert_int_equal(0, connect(f->near, (struct sockaddr *)&at, sizeof at));
  f->far = accept(listener, NULL, NULL);
  assert_true(f->far >= 0);
  close(listener);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;

  reported = NULL;
  close(f->near);
  close(f->far);
  free(f);
  return 0;
}

/* Writes until the socket accepts no more; how much it accepted. */
static uint64_t fill(int fd) {
  static const uint8_t data[65536];
  uint64_t taken = 0;
  ssize_t n;

  while ((n = send(fd, data, sizeof data, MSG_DONTWAIT | MSG_NOSIGNAL)) > 0) {
    taken += (uint64_t)n;
  }
  assert_int_equal(EAGAIN, errno);
  return taken;
}

/* Fills both kernels.  What the reader's has room for a busy machine may bring
   there late, and until then nothing was measured. */
static cmt__tcp_info fill_both(int fd) {
  cmt__tcp_info info;

  do {
    (void)fill(fd);
    assert_true(cmt__tcp_kernel_info(fd, &info));
  } while (info.acked_bytes == 0 || info.delivery_rate == 0 ||
           info.unsent_bytes == 0 || info.in_flight_bytes > 0);
  return info;
}

/* A reader that does not read leaves bytes unsent, as many as they may be and
   a write more. */
static void unsent_bytes_are_reported_and_bounded(void **state) {
  fixture *f = *state;
  cmt__tcp_info info;

  cmt__tcp_kernel_unsent_max(f->near, 20000);
  assert_true(fill(f->near) > 20000);
  info = fill_both(f->near);
  assert_in_range(info.unsent_bytes, 1, 20000 + 65536);
  assert_true(info.delivery_rate > 0);
  assert_in_range(info.rtt_ns, 1, CMT_SECONDS(10));
  assert_true(info.acked_bytes > 0);
}

static void a_higher_bound_takes_more(void **state) {
  fixture *f = *state;
  cmt__tcp_info before, after;

  cmt__tcp_kernel_unsent_max(f->near, 20000);
  before = fill_both(f->near);
  cmt__tcp_kernel_unsent_max(f->near, 1000000);
  assert_true(fill(f->near) > 0);
  assert_true(cmt__tcp_kernel_info(f->near, &after));
  assert_true(after.unsent_bytes > before.unsent_bytes);
}

static void what_is_no_tcp_socket_reports_nothing(void **state) {
  int fds[2];
  cmt__tcp_info info;

  (void)state;
  assert_int_equal(0, pipe(fds));
  assert_false(cmt__tcp_kernel_info(fds[0], &info));
  close(fds[0]);
  close(fds[1]);
}

static const struct tcp_info info_reported = {
  .tcpi_notsent_bytes = 11,
  .tcpi_bytes_sent = 5000,
  .tcpi_bytes_retrans = 700,
  .tcpi_bytes_acked = 4000,
  .tcpi_delivery_rate = 123456789012,
  .tcpi_delivery_rate_app_limited = 1,
  .tcpi_rtt = 4000000000,
  .tcpi_busy_time = 5000000007,
  .tcpi_rwnd_limited = 3000000009,
};

static void every_value_of_the_kernel_is_reported(void **state) {
  cmt__tcp_info info;

  (void)state;
  reported = &info_reported;
  reported_len = sizeof info_reported;
  assert_true(cmt__tcp_kernel_info(-1, &info));
  assert_int_equal(11, info.unsent_bytes);
  assert_int_equal(300, info.in_flight_bytes);
  assert_int_equal(123456789012, info.delivery_rate);
  assert_true(info.app_limited);
  assert_int_equal(4000000000000, info.rtt_ns);
  assert_int_equal(4000, info.acked_bytes);
  assert_int_equal(5000000007000, info.busy_ns);
  assert_int_equal(3000000009000, info.no_room_ns);
}

/* Between two counters that the kernel reads, and from a kernel that has no
   counter of what was sent. */
static void more_may_be_acknowledged_than_was_sent(void **state) {
  struct tcp_info more = info_reported;
  cmt__tcp_info info;

  (void)state;
  more.tcpi_bytes_acked = 4301;
  reported = &more;
  reported_len = sizeof more;
  assert_true(cmt__tcp_kernel_info(-1, &info));
  assert_int_equal(0, info.in_flight_bytes);
  reported_len = offsetof(struct tcp_info, tcpi_bytes_sent);
  assert_true(cmt__tcp_kernel_info(-1, &info));
  assert_int_equal(0, info.in_flight_bytes);
  assert_int_equal(4301, info.acked_bytes);
}

static void what_an_old_kernel_does_not_report_is_0(void **state) {
  cmt__tcp_info info;

  (void)state;
  reported = &info_reported;
  reported_len = offsetof(struct tcp_info, tcpi_pacing_rate);
  assert_true(cmt__tcp_kernel_info(-1, &info));
  assert_int_equal(0, info.unsent_bytes);
  assert_int_equal(0, info.in_flight_bytes);
  assert_int_equal(0, info.delivery_rate);
  assert_int_equal(0, info.acked_bytes);
  assert_int_equal(0, info.busy_ns);
  assert_int_equal(0, info.no_room_ns);
  assert_int_equal(4000000000000, info.rtt_ns);
}

static int option(int fd, int name) {
  int value = -1;
  socklen_t len = sizeof value;

  assert_int_equal(0, getsockopt(fd, IPPROTO_TCP, name, &value, &len));
  return value;
}

static void options_reach_the_kernel(void **state) {
  fixture *f = *state;

  cmt__tcp_kernel_unsent_max(f->near, 20001);
  assert_int_equal(20001, option(f->near, TCP_NOTSENT_LOWAT));
  cmt__tcp_kernel_unsent_max(f->near, SIZE_MAX);
  assert_int_equal(INT32_MAX, option(f->near, TCP_NOTSENT_LOWAT));
  cmt__tcp_kernel_user_timeout(f->near, 12345);
  assert_int_equal(12345, option(f->near, TCP_USER_TIMEOUT));
}

static void congestion_control_is_set_by_name(void **state) {
  fixture *f = *state;
  char name[16] = "";
  socklen_t len = sizeof name;

  assert_int_equal(0, cmt__tcp_kernel_congestion_check("reno"));
  assert_int_equal(ENOENT, cmt__tcp_kernel_congestion_check("no such"));
  assert_int_equal(ENOENT, cmt__tcp_kernel_congestion(f->near, "no such"));
  assert_int_equal(0, cmt__tcp_kernel_congestion(f->near, "reno"));
  assert_int_equal(
    0, getsockopt(f->near, IPPROTO_TCP, TCP_CONGESTION, name, &len));
  assert_string_equal("reno", name);
}

/* The lowest descriptor that is free. */
static int next_fd(void) {
  int fd = dup(STDOUT_FILENO);

  close(fd);
  return fd;
}

/* Where the socket is descriptor 0, and where there is none. */
static int check_congestion_control(void) {
  const struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};

  close(STDIN_FILENO);
  if (cmt__tcp_kernel_congestion_check("reno") != 0 || next_fd() != 0) {
    return 1;
  }
  if (setrlimit(RLIMIT_NOFILE, &none) != 0) {
    return 2;
  }
  return cmt__tcp_kernel_congestion_check("reno") == EMFILE ? 0 : 3;
}

static void a_check_leaves_no_descriptor_behind(void **state) {
  pid_t child = fork();
  int status;

  (void)state;
  if (child == 0) {
    _exit(check_congestion_control());
  }
  assert_true(child > 0);
  assert_int_equal(child, waitpid(child, &status, 0));
  assert_true(WIFEXITED(status));
  assert_int_equal(0, WEXITSTATUS(status));
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(unsent_bytes_are_reported_and_bounded),
    TEST(a_higher_bound_takes_more),
    TEST(what_is_no_tcp_socket_reports_nothing),
    TEST(every_value_of_the_kernel_is_reported),
    TEST(more_may_be_acknowledged_than_was_sent),
    TEST(what_an_old_kernel_does_not_report_is_0),
    TEST(options_reach_the_kernel),
    TEST(congestion_control_is_set_by_name),
    TEST(a_check_leaves_no_descriptor_behind),
  };

  return cmocka_run_group_tests_name("tcp_kernel", tests, NULL, NULL);
}
