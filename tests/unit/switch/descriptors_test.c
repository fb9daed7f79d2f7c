/* SPDX-License-Identifier: Apache-2.0 */
/* A switch over libuv in a process with few descriptors, and more connections
   than that: those without one are accepted, closed and counted, and accepting
   goes on as soon as there are descriptors again. */

#include "test.h"

#include <arpa/inet.h>
#include <cometp2p/switch.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
  LIMIT = 48, /* Descriptors of the child. */
  CONNECTIONS = 80,
  WAIT_MS = 20000,
};

typedef struct child {
  pid_t pid;
  int to, from; /* Pipes; each report is a uint64_t. */
} child;

/* ---- the child, which reports by its exit code ---- */

static void child_check(bool ok, int code) {
  if (!ok) {
    _exit(code);
  }
}

static void child_report(int fd, uint64_t number) {
  child_check(write(fd, &number, sizeof number) == sizeof number, 10);
}

static void child_run(int in, int out) {
  const struct rlimit limit = {.rlim_cur = LIMIT, .rlim_max = LIMIT};
  cmt_switch_options o;
  cmt_switch_status status;
  cmt_net_addr at;
  cmt_switch *s;
  char byte;

  child_check(setrlimit(RLIMIT_NOFILE, &limit) == 0, 11);
  cmt_switch_options_init(&o);
  o.network = "test-net";
  o.laddr = "127.0.0.1:0";
  o.handshakes_max = 10 * CONNECTIONS;
  o.handshake_timeout_ns = CMT_SECONDS(100);
  child_check(cmt_switch_new(&o, &s, NULL) == CMT_OK, 12);
  child_check(cmt_switch_start(s, NULL) == CMT_OK, 13);
  child_check(cmt_switch_get_laddr(s, &at) == CMT_OK, 14);
  child_report(out, at.port);
  while (read(in, &byte, 1) == 1) {
    cmt_switch_get_status(s, &status);
    child_report(out, status.no_descriptors);
    child_report(out, status.handshakes);
  }
  child_check(cmt_switch_delete(s) == CMT_OK, 15);
  _exit(0);
}

static void child_start(child *c) {
  int to[2], from[2];

  assert_int_equal(0, pipe(to));
  assert_int_equal(0, pipe(from));
  c->pid = fork();
  assert_true(c->pid >= 0);
  if (c->pid == 0) {
    close(to[1]);
    close(from[0]);
    child_run(to[0], from[1]);
  }
  close(to[0]);
  close(from[1]);
  c->to = to[1];
  c->from = from[0];
}

static uint64_t child_reported(const child *c) {
  uint64_t number = 0;

  assert_int_equal(sizeof number, read(c->from, &number, sizeof number));
  return number;
}

static void child_ask(const child *c, uint64_t *dropped, uint64_t *handshakes) {
  assert_int_equal(1, write(c->to, "?", 1));
  *dropped = child_reported(c);
  *handshakes = child_reported(c);
}

static void child_end(child *c) {
  int status = 0;

  close(c->to);
  assert_int_equal(c->pid, waitpid(c->pid, &status, 0));
  close(c->from);
  assert_true(WIFEXITED(status));
  assert_int_equal(0, WEXITSTATUS(status));
}

/* ---- connections to it ---- */

/* A descriptor when the switch began its handshake, -1 when it closed the
   connection. */
static int greet(uint16_t port) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  uint8_t hello[35];
  struct pollfd p;
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

  assert_true(fd >= 0);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  assert_int_equal(0, connect(fd, (struct sockaddr *)&to, sizeof to));
  p = (struct pollfd){.fd = fd, .events = POLLIN};
  assert_int_equal(1, poll(&p, 1, WAIT_MS)); /* It is never left waiting. */
  if (recv(fd, hello, sizeof hello, 0) > 0) {
    return fd;
  }
  close(fd);
  return -1;
}

static void want_of_descriptors_never_ends_accepting(void **state) {
  uint64_t dropped, handshakes, port;
  int fds[CONNECTIONS], accepted = 0, closed = 0, fd = -1;
  child c;

  (void)state;
  child_start(&c);
  port = child_reported(&c);
  for (int i = 0; i < CONNECTIONS; i++) {
    fds[i] = greet((uint16_t)port);
    accepted += fds[i] >= 0;
    closed += fds[i] < 0;
  }
  child_ask(&c, &dropped, &handshakes);
  assert_in_range(accepted, 10, LIMIT);
  assert_int_equal(closed, dropped);
  assert_int_equal(accepted, handshakes);
  for (int i = 0; i < CONNECTIONS; i++) {
    if (fds[i] >= 0) {
      close(fds[i]);
    }
  }
  /* As soon as it has seen that they are gone, it accepts others. */
  for (int i = 0; i < 10000 && fd < 0; i++) {
    fd = greet((uint16_t)port);
  }
  assert_true(fd >= 0);
  close(fd);
  child_end(&c);
}

/* ---- a start with few descriptors ---- */

enum { STARTED = 50, REFUSED = 51 };

/* Starts a switch when |left| more descriptors can be opened; libuv would abort
   when it gets some of its own and not the others. */
static void child_start_with(rlim_t left) {
  cmt_switch_options o;
  cmt_switch *s;
  cmt_why why;
  int next;

  cmt_switch_options_init(&o);
  o.network = "test-net";
  child_check(cmt_switch_new(&o, &s, NULL) == CMT_OK, 12);
  for (int fd = 3; fd < 256; fd++) {
    close(fd);
  }
  next = dup(0);
  close(next);
  child_check(setrlimit(RLIMIT_NOFILE,
                        &(struct rlimit){.rlim_cur = (rlim_t)next + left,
                                         .rlim_max = (rlim_t)next + left}) == 0,
              11);
  if (cmt_switch_start(s, &why) == CMT_OK) {
    child_check(cmt_switch_delete(s) == CMT_OK, 15);
    _exit(STARTED);
  }
  child_check(why.err == CMT_EIO, 16);
  child_check(strcmp(why.text, "cannot make a loop: Too many open files") == 0,
              17);
  child_check(cmt_switch_delete(s) == CMT_OK, 18);
  _exit(REFUSED);
}

static void a_start_without_descriptors_is_an_error(void **state) {
  bool started = false;

  (void)state;
  for (rlim_t left = 0; left < 24; left++) {
    pid_t pid = fork();
    int status;

    if (pid == 0) {
      child_start_with(left);
    }
    assert_true(pid > 0);
    assert_int_equal(pid, waitpid(pid, &status, 0));
    assert_true(WIFEXITED(status));
    assert_int_equal(started || WEXITSTATUS(status) == STARTED ? STARTED
                                                               : REFUSED,
                     WEXITSTATUS(status));
    started = started || WEXITSTATUS(status) == STARTED;
    /* The first ones are too few for libuv. */
    assert_true(left >= 6 || !started);
  }
  assert_true(started);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_start_without_descriptors_is_an_error),
    cmocka_unit_test(want_of_descriptors_never_ends_accepting),
  };

  signal(SIGPIPE, SIG_IGN);
  return cmocka_run_group_tests_name("descriptors", tests, NULL, NULL);
}
