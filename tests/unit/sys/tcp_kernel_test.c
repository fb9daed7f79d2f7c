/* SPDX-License-Identifier: Apache-2.0 */

/* What the kernel tells of TCP sockets on loopback. */

#include "sys/tcp_kernel.h"
#include "test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

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

  close(f->near);
  close(f->far);
  free(f);
  return 0;
}

/* Writes until the socket takes no more; how much it took. */
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

/* A reader that does not read leaves bytes unsent, as many as they may be and
   a write more. */
static void unsent_bytes_are_told_and_bounded(void **state) {
  fixture *f = *state;
  cmt__tcp_info info;

  cmt__tcp_kernel_unsent_max(f->near, 20000);
  assert_true(fill(f->near) > 20000);
  assert_true(cmt__tcp_kernel_info(f->near, &info));
  assert_in_range(info.unsent_bytes, 1, 20000 + 65536);
  assert_true(info.delivery_rate > 0);
  assert_in_range(info.rtt_ns, 1, CMT_SECONDS(10));
  assert_true(info.acked_bytes > 0);
}

static void a_higher_bound_takes_more(void **state) {
  fixture *f = *state;
  cmt__tcp_info before, after;

  cmt__tcp_kernel_unsent_max(f->near, 20000);
  (void)fill(f->near);
  assert_true(cmt__tcp_kernel_info(f->near, &before));
  cmt__tcp_kernel_unsent_max(f->near, 1000000);
  assert_true(fill(f->near) > 0);
  assert_true(cmt__tcp_kernel_info(f->near, &after));
  assert_true(after.unsent_bytes > before.unsent_bytes);
}

static void what_is_no_tcp_socket_tells_nothing(void **state) {
  int fds[2];
  cmt__tcp_info info;

  (void)state;
  assert_int_equal(0, pipe(fds));
  assert_false(cmt__tcp_kernel_info(fds[0], &info));
  close(fds[0]);
  close(fds[1]);
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

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(unsent_bytes_are_told_and_bounded),
    TEST(a_higher_bound_takes_more),
    TEST(what_is_no_tcp_socket_tells_nothing),
    TEST(congestion_control_is_set_by_name),
  };

  return cmocka_run_group_tests_name("tcp_kernel", tests, NULL, NULL);
}
