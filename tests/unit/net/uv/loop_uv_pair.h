/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_LOOP_UV_PAIR_H
#define CMT_TEST_LOOP_UV_PAIR_H

/* Connections on real loopback, for the one test that includes this.  The
   system calls of the library end up in the ones below, which count them and
   can fail the next one. */

#include "net/uv/loop_uv.h"

#include "loop_user.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static struct {
  size_t recvs, sends;
  int recv_error, send_error, connect_error; /* For the next call. */
  bool connect_waits; /* The connection is there when the call returns. */
  bool connect_self;
  int connect_fd, accept_fd; /* The sockets of the last calls. */
} calls;

static inline bool take_error(int *error) {
  errno = *error;
  *error = 0;
  return errno != 0;
}

ssize_t recv(int fd, void *data, size_t len, int flags) {
  calls.recvs++;
  if (take_error(&calls.recv_error)) {
    return -1;
  }
  return syscall(SYS_recvfrom, fd, data, len, flags, NULL, NULL);
}

ssize_t send(int fd, const void *data, size_t len, int flags) {
  assert_int_equal(MSG_NOSIGNAL, flags & MSG_NOSIGNAL);
  calls.sends++;
  if (take_error(&calls.send_error)) {
    return -1;
  }
  return syscall(SYS_sendto, fd, data, len, flags, NULL, 0);
}

int connect(int fd, const struct sockaddr *to, socklen_t len) {
  struct pollfd wait = {.fd = fd, .events = POLLOUT};
  long result;

  calls.connect_fd = fd;
  if (take_error(&calls.connect_error)) {
    return -1;
  }
  if (calls.connect_self) {
    assert_int_equal(0, bind(fd, to, len));
  }
  result = syscall(SYS_connect, fd, to, len);
  if (calls.connect_waits && result != 0 && errno == EINPROGRESS) {
    return poll(&wait, 1, -1) == 1 ? 0 : -1;
  }
  return (int)result;
}

int accept4(int fd, struct sockaddr *from, socklen_t *len, int flags) {
  int accepted = (int)syscall(SYS_accept4, fd, from, len, flags);

  calls.accept_fd = accepted >= 0 ? accepted : calls.accept_fd;
  return accepted;
}

/* Waits without the loop until one of |events| has come to |fd|, which the
   kernel of a busy machine may bring late. */
static inline void await_events(int fd, short events) {
  struct pollfd wait = {.fd = fd, .events = events};

  do {
    assert_int_equal(1, poll(&wait, 1, -1));
  } while ((wait.revents & events) == 0);
}

/* One connection of two users on one loop. */
typedef struct pair {
  test_env env;
  cmt__loop *loop;
  cmt__listener *listener;
  cmt_net_addr at;
  test_user client;
  test_users servers;
  test_user *server; /* The first of them. */
} pair;

static inline bool is_connected(void *arg) {
  const pair *p = arg;

  return p->client.connects == 1 && p->servers.count == 1;
}

static pair the_pair;

static inline int init(void **state) {
  pair *p = &the_pair;

  memset(&calls, 0, sizeof calls);
  memset(p, 0, sizeof *p);
  test_env_init(&p->env);
  assert_cmt(CMT_OK, cmt__loop_uv_new(&p->env.env, &p->loop));
  assert_cmt(CMT_OK, cmt__loop_reserve_timers(p->loop, 16));
  p->listener = test_listen(p->loop, &p->servers, &p->at);
  p->server = &p->servers.user[0];
  *state = p;
  return 0;
}

static inline int fini(void **state) {
  pair *p = *state;

  test_user_close(&p->client);
  for (size_t i = 0; i < p->servers.count; i++) {
    test_user_close(&p->servers.user[i]);
  }
  cmt__listener_close(p->listener);
  cmt__loop_delete(p->loop);
  test_env_fini(&p->env);
  return 0;
}

/* Reading is on at both ends, or at neither. */
static inline void open_pair(pair *p, bool reading) {
  p->servers.paused = !reading;
  test_user_connect(&p->client, p->loop, &p->at);
  test_user_run(p->loop, is_connected, p);
  assert_cmt(CMT_OK, p->client.connect_err);
  cmt__tcp_read(p->client.tcp, reading);
}

static inline bool server_has_read(void *arg) {
  return ((pair *)arg)->server->bytes == ((pair *)arg)->client.sent;
}

static inline bool server_has_ended(void *arg) {
  return ((pair *)arg)->server->ends > 0;
}

static inline bool client_has_ended(void *arg) {
  return ((pair *)arg)->client.ends > 0;
}

static inline bool client_has_outcome(void *arg) {
  return ((pair *)arg)->client.connects > 0;
}

/* A few iterations in which whatever is due would come. */
typedef struct pause {
  cmt__timer timer;
  bool over;
} pause_timer;

static inline void on_pause(cmt__timer *t) {
  ((pause_timer *)t)->over = true;
  test_user_ask();
}

static inline bool is_over(void *arg) { return ((pause_timer *)arg)->over; }

static inline void run_a_while(pair *p) {
  pause_timer t = {.timer = {.cb = on_pause}};

  cmt__loop_timer(p->loop, &t.timer,
                  cmt__loop_now(p->loop) + CMT_MILLISECONDS(20));
  test_user_run(p->loop, is_over, &t);
}

#define PAIR_TEST(f) cmocka_unit_test_setup_teardown(f, init, fini)

#endif
