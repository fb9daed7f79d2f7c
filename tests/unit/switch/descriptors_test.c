/* SPDX-License-Identifier: Apache-2.0 */
/* A switch over libuv in a process with few descriptors, and more connections
   than that: handshakes of strangers give way to newcomers.  Where none is
   left, newcomers are accepted, closed and counted, and accepting goes on as
   soon as there are descriptors again. */

#include "child_process.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/socket.h>

enum {
  LIMIT = 48, /* Descriptors of the child. */
  CONNECTIONS = 80,
};

/* ---- the child, which reports by its exit code ---- */

static void child_report(int fd, uint64_t number) {
  test_child_check(write(fd, &number, sizeof number) == sizeof number, 10);
}

/* Takes what descriptors are left, or gives them back. */
static void child_eat(bool eats) {
  static int fds[LIMIT];
  static size_t count;

  if (eats) {
    while (count < LIMIT && (fds[count] = dup(0)) >= 0) {
      count++;
    }
    test_child_check(count > 0 && count < LIMIT, 16);
  }
  for (; !eats && count > 0; count--) {
    close(fds[count - 1]);
  }
}

static void child_rejected(void *arg, const cmt_rejection *r) {
  atomic_uint *given = arg;

  *given += strcmp(r->why.text,
                   "this process has no descriptor for a newer connection, and "
                   "this handshake gave way to it") == 0 &&
            r->why.err == CMT_ELIMIT;
}

static void child_run(int in, int out) {
  const struct rlimit limit = {.rlim_cur = LIMIT, .rlim_max = LIMIT};
  cmt_switch_options o;
  cmt_switch_status status;
  atomic_uint given = 0;
  cmt_switch *s;
  char byte;

  test_child_check(setrlimit(RLIMIT_NOFILE, &limit) == 0, 11);
  cmt_switch_options_init(&o);
  o.network = "test-net";
  o.laddr = "127.0.0.1:0";
  o.handshakes_max = 10 * CONNECTIONS;
  o.handshake_timeout_ns = CMT_SECONDS(TEST_WAIT_S);
  o.on_rejected = child_rejected;
  o.arg = &given;
  test_child_check(cmt_switch_new(&o, &s, NULL) == CMT_OK, 12);
  test_child_check(cmt_switch_start(s, NULL) == CMT_OK, 13);
  test_child_ready(s, out, 14);
  while (read(in, &byte, 1) == 1) {
    if (byte != '?') {
      child_eat(byte == 'e');
    }
    cmt_switch_get_status(s, &status);
    child_report(out, status.no_descriptors);
    child_report(out, status.handshakes);
    child_report(out, given);
  }
  test_child_check(cmt_switch_delete(s) == CMT_OK, 15);
  _exit(0);
}

static uint64_t child_reported(const test_child *c) {
  uint64_t number = 0;

  assert_int_equal(sizeof number, read(c->from, &number, sizeof number));
  return number;
}

typedef struct report {
  uint64_t dropped, handshakes, given; /* Closed at once; now; gave way. */
} report;

static report child_ask(const test_child *c, const char *command) {
  report r;

  assert_int_equal(1, write(c->to, command, 1));
  r.dropped = child_reported(c);
  r.handshakes = child_reported(c);
  r.given = child_reported(c);
  return r;
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
  assert_int_equal(
    1, poll(&p, 1, TEST_WAIT_S * 1000)); /* It is never left waiting. */
  if (recv(fd, hello, sizeof hello, 0) > 0) {
    return fd;
  }
  close(fd);
  return -1;
}

static uint16_t port_of(const char *addr) {
  cmt_net_addr at;

  assert_cmt(CMT_OK, cmt_net_addr_parse(addr, 0, &at, NULL));
  return at.port;
}

typedef struct friend {
  test_watch watch;
  unsigned added;
}
friend;

static void add_peer(void *self, cmt_peer *p) {
  friend *f = self;

  (void)p;
  test_bump(&f->watch, &f->added);
}

/* Silent strangers have every descriptor, and a friend comes nevertheless. */
static void handshakes_give_way_for_want_of_descriptors(void **state) {
  char own[CMT_NET_ADDR_TEXT_SIZE];
  friend f = {.watch = TEST_WATCH_INITIALIZER};
  const cmt_reactor r = {.name = "test", .self = &f, .add_peer = add_peer};
  int fds[CONNECTIONS];
  cmt_switch_options o;
  cmt_switch *sw;
  report now;
  test_child c;

  (void)state;
  test_child_start(&c, child_run);
  for (int i = 0; i < CONNECTIONS; i++) {
    fds[i] = greet(port_of(c.addr));
    assert_true(fds[i] >= 0);
  }
  now = child_ask(&c, "?");
  assert_int_equal(0, now.dropped);
  assert_in_range(now.handshakes, 10, LIMIT);
  assert_int_equal(CONNECTIONS, now.handshakes + now.given);
  test_switch_options(&o, &r);
  test_switch_start(&o, &sw, own);
  assert_cmt(CMT_OK, cmt_switch_dial(sw, c.addr, 0, NULL));
  test_await(&f.watch, &f.added, 1);
  assert_int_equal(0, child_ask(&c, "?").dropped);
  for (int i = 0; i < CONNECTIONS; i++) {
    close(fds[i]);
  }
  assert_cmt(CMT_OK, cmt_switch_delete(sw));
  test_child_end(&c);
}

static void want_of_descriptors_never_ends_accepting(void **state) {
  report now;
  test_child c;
  int fd = -1;

  (void)state;
  test_child_start(&c, child_run);
  (void)child_ask(&c, "e");
  for (int i = 0; i < CONNECTIONS; i++) {
    assert_int_equal(-1, greet(port_of(c.addr)));
  }
  now = child_ask(&c, "?");
  assert_int_equal(CONNECTIONS, now.dropped);
  assert_int_equal(0, now.handshakes + now.given);
  (void)child_ask(&c, "g");
  fd = greet(port_of(c.addr));
  assert_true(fd >= 0);
  close(fd);
  test_child_end(&c);
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
  test_child_check(cmt_switch_new(&o, &s, NULL) == CMT_OK, 12);
  for (int fd = 3; fd < 256; fd++) {
    close(fd);
  }
  next = dup(0);
  close(next);
  test_child_check(
    setrlimit(RLIMIT_NOFILE,
              &(struct rlimit){.rlim_cur = (rlim_t)next + left,
                               .rlim_max = (rlim_t)next + left}) == 0,
    11);
  if (cmt_switch_start(s, &why) == CMT_OK) {
    test_child_check(cmt_switch_delete(s) == CMT_OK, 15);
    _exit(STARTED);
  }
  test_child_check(why.err == CMT_EIO, 16);
  test_child_check(
    strcmp(why.text, "cannot make a loop: Too many open files") == 0, 17);
  test_child_check(cmt_switch_delete(s) == CMT_OK, 18);
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
    cmocka_unit_test(handshakes_give_way_for_want_of_descriptors),
    cmocka_unit_test(want_of_descriptors_never_ends_accepting),
  };

  signal(SIGPIPE, SIG_IGN);
  return cmocka_run_group_tests_name("descriptors", tests, NULL, NULL);
}
