/* SPDX-License-Identifier: Apache-2.0 */

/* Connections on real loopback.  The system calls of the library end up in
   the ones below, which count them and can fail the next one. */

#include "net/loop_uv.h"

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
  int recv_error, send_error, connect_error; /* Of the next call. */
  bool connect_waits; /* The connection is there when the call returns. */
  bool connect_self;
  int connect_fd; /* Of the last one. */
} calls;

static bool take_error(int *error) {
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

static bool is_connected(void *arg) {
  const pair *p = arg;

  return p->client.connects == 1 && p->servers.count == 1;
}

static pair the_pair;

static int init(void **state) {
  pair *p = &the_pair;

  memset(&calls, 0, sizeof calls);
  memset(p, 0, sizeof *p);
  test_env_init(&p->env);
  assert_cmt(CMT_OK, cmt__loop_uv_new(&p->env.env, &p->loop));
  p->listener = test_listen(p->loop, &p->servers, &p->at);
  p->server = &p->servers.user[0];
  *state = p;
  return 0;
}

static int fini(void **state) {
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
static void open_pair(pair *p, bool reading) {
  p->servers.paused = !reading;
  test_user_connect(&p->client, p->loop, &p->at);
  test_user_run(p->loop, is_connected, p);
  assert_cmt(CMT_OK, p->client.connect_err);
  cmt__tcp_read(p->client.tcp, reading);
}

static bool server_has_read(void *arg) {
  return ((pair *)arg)->server->bytes == ((pair *)arg)->client.sent;
}

static bool server_has_ended(void *arg) {
  return ((pair *)arg)->server->ends > 0;
}

static bool client_has_ended(void *arg) {
  return ((pair *)arg)->client.ends > 0;
}

static bool client_has_outcome(void *arg) {
  return ((pair *)arg)->client.connects > 0;
}

/* A few turns in which whatever is due would come. */
typedef struct pause {
  cmt__timer timer;
  bool over;
} pause_timer;

static void on_pause(cmt__timer *t) {
  ((pause_timer *)t)->over = true;
  test_user_ask();
}

static bool is_over(void *arg) { return ((pause_timer *)arg)->over; }

static void run_a_while(pair *p) {
  pause_timer t = {.timer = {.cb = on_pause}};

  assert_cmt(CMT_OK, cmt__loop_reserve_timers(p->loop, 16));
  cmt__loop_timer(p->loop, &t.timer,
                  cmt__loop_now(p->loop) + CMT_MILLISECONDS(20));
  test_user_run(p->loop, is_over, &t);
}

/* Connecting. */

static void both_ends_know_each_other(void **state) {
  pair *p = *state;
  struct sockaddr_in local;
  socklen_t len = sizeof local;
  cmt_net_addr a;

  open_pair(p, true);
  assert_int_equal(1, p->client.connects);
  assert_int_equal(0, p->server->connects);
  cmt__tcp_remote(p->client.tcp, &a);
  assert_string_equal("127.0.0.1", a.host);
  assert_int_equal(p->at.port, a.port);
  assert_string_equal("", a.id.text);
  assert_int_equal(0, getsockname(calls.connect_fd, (void *)&local, &len));
  cmt__tcp_remote(p->server->tcp, &a);
  assert_string_equal("127.0.0.1", a.host);
  assert_int_equal(ntohs(local.sin_port), a.port);
}

static int option(int level, int name) {
  int value = -1;
  socklen_t len = sizeof value;

  assert_int_equal(0, getsockopt(calls.connect_fd, level, name, &value, &len));
  return value;
}

static void sockets_have_their_options(void **state) {
  pair *p = *state;

  open_pair(p, true);
  assert_int_equal(1, option(IPPROTO_TCP, TCP_NODELAY));
  assert_int_equal(1, option(SOL_SOCKET, SO_KEEPALIVE));
  assert_int_equal(15, option(IPPROTO_TCP, TCP_KEEPIDLE));
  assert_int_equal(15, option(IPPROTO_TCP, TCP_KEEPINTVL));
  assert_int_equal(32768, option(IPPROTO_TCP, TCP_NOTSENT_LOWAT));
  assert_int_equal(FD_CLOEXEC, fcntl(calls.connect_fd, F_GETFD));
  assert_true((fcntl(calls.connect_fd, F_GETFL) & O_NONBLOCK) != 0);
}

/* The port was free a moment ago, and only we would take it. */
static void nobody_listening_is_refused(void **state) {
  pair *p = *state;
  test_users none = {.count = 0};
  cmt_net_addr at;

  cmt__listener_close(test_listen(p->loop, &none, &at));
  test_user_connect(&p->client, p->loop, &at);
  test_user_run(p->loop, client_has_outcome, p);
  assert_cmt(CMT_EREFUSED, p->client.connect_err);
  cmt__tcp_read(p->client.tcp, true);
  run_a_while(p);
  assert_int_equal(1, p->client.connects);
  assert_int_equal(0, p->client.ends);
}

static void a_connect_that_fails_at_once_reports_it_later(void **state) {
  static const struct {
    int error;
    cmt_err err;
  } rows[] = {
    {ECONNREFUSED, CMT_EREFUSED}, {EHOSTUNREACH, CMT_EUNREACH},
    {ENETUNREACH, CMT_EUNREACH},  {EADDRNOTAVAIL, CMT_EUNREACH},
    {ETIMEDOUT, CMT_EUNREACH},    {EACCES, CMT_EIO},
  };
  pair *p = *state;

  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    calls.connect_error = rows[i].error;
    p->client.connects = 0;
    test_user_connect(&p->client, p->loop, &p->at);
    assert_int_equal(0, p->client.connects);
    test_user_run(p->loop, client_has_outcome, p);
    assert_cmt(rows[i].err, p->client.connect_err);
    test_user_close(&p->client);
  }
}

static void a_connect_that_succeeds_at_once_reports_it_later(void **state) {
  pair *p = *state;

  calls.connect_waits = true;
  open_pair(p, true);
  test_user_write(&p->client, 1000);
  test_user_run(p->loop, server_has_read, p);
}

static void an_outcome_does_not_come_to_a_closed_tcp(void **state) {
  pair *p = *state;

  calls.connect_error = ENETUNREACH;
  test_user_connect(&p->client, p->loop, &p->at);
  test_user_close(&p->client);
  test_user_connect(&p->client, p->loop, &p->at);
  test_user_close(&p->client);
  run_a_while(p);
  assert_int_equal(0, p->client.connects);
}

static void a_socket_connected_to_itself_is_refused(void **state) {
  pair *p = *state;
  test_users none = {.count = 0};
  cmt_net_addr at;

  cmt__listener_close(test_listen(p->loop, &none, &at));
  calls.connect_self = true;
  test_user_connect(&p->client, p->loop, &at);
  test_user_run(p->loop, client_has_outcome, p);
  assert_cmt(CMT_EREFUSED, p->client.connect_err);
}

static void a_host_name_cannot_be_connected_to(void **state) {
  pair *p = *state;
  cmt_net_addr to = {.host = "localhost", .port = 1};
  cmt__tcp *tcp;

  assert_cmt(CMT_EINVAL, cmt__loop_connect(p->loop, &to, &test_user_callbacks,
                                           &p->client, &tcp));
}

static void a_connect_without_memory_is_refused(void **state) {
  pair *p = *state;
  cmt__tcp *tcp;

  p->env.fail_at = p->env.allocs;
  assert_cmt(
    CMT_ENOMEM,
    cmt__loop_connect(p->loop, &p->at, &test_user_callbacks, &p->client, &tcp));
}

/* Reading and writing. */

static void one_write_is_one_send_and_one_read_one_recv(void **state) {
  pair *p = *state;

  open_pair(p, true);
  for (size_t i = 1; i <= 10; i++) {
    assert_int_equal(1000, test_user_write(&p->client, 1000));
    test_user_run(p->loop, server_has_read, p);
    assert_int_equal(i, calls.sends);
    assert_int_equal(i, calls.recvs);
    assert_int_equal(i, p->server->reads);
  }
  assert_false(p->server->damaged);
}

static void a_write_of_nothing_makes_no_call(void **state) {
  pair *p = *state;
  size_t taken = 1;

  open_pair(p, true);
  assert_cmt(CMT_OK, cmt__tcp_write(p->client.tcp, NULL, 0, &taken));
  assert_int_equal(0, taken);
  assert_int_equal(0, calls.sends);
}

static void an_interrupted_call_is_made_again(void **state) {
  pair *p = *state;

  open_pair(p, true);
  calls.send_error = EINTR;
  assert_int_equal(1000, test_user_write(&p->client, 1000));
  calls.recv_error = EINTR;
  test_user_run(p->loop, server_has_read, p);
  assert_int_equal(2, calls.sends);
  assert_int_equal(2, calls.recvs);
}

enum { STREAM = 4 << 20, CHUNK = 100000 };

static void push(test_user *u) {
  while (u->sent < STREAM) {
    size_t len = cmt__min(CHUNK, STREAM - (size_t)u->sent);

    if (test_user_write(u, len) < len) {
      return;
    }
  }
}

static void push_when_writable(test_user *u, test_event event) {
  if (event == TEST_WRITABLE) {
    push(u);
  }
}

static bool both_streams_arrived(void *arg) {
  const pair *p = arg;

  return p->client.bytes == STREAM && p->server->bytes == STREAM;
}

/* A turn reads at most four buffers, and a short one ends it: calls without a
   result do not add up. */
static void streams_flow_both_ways_in_few_calls(void **state) {
  pair *p = *state;

  p->client.hook = push_when_writable;
  p->servers.hook = push_when_writable;
  open_pair(p, true);
  push(&p->client);
  push(p->server);
  test_user_run(p->loop, both_streams_arrived, p);
  assert_false(p->client.damaged || p->server->damaged);
  assert_in_range(p->server->read_largest, 1, CMT__READ_MAX);
  print_message("# %zu sends, %zu recvs, %zu reads, %zu writables\n",
                calls.sends, calls.recvs, p->client.reads + p->server->reads,
                p->client.writables + p->server->writables);
  assert_true(calls.recvs <= 2 * (p->client.reads + p->server->reads));
  assert_true(calls.sends <= 2 * (STREAM / CHUNK + 1) + p->client.writables +
                               p->server->writables);
}

/* Writes until neither kernel takes more. */
static void fill(pair *p) {
  size_t told;

  do {
    told = p->client.writables;
    while (test_user_write(&p->client, 1 << 20) == 1 << 20) {
    }
    run_a_while(p);
    assert_in_range(p->client.writables, told, told + 1);
  } while (p->client.writables > told);
}

static void a_short_write_is_told_once_when_there_is_room(void **state) {
  pair *p = *state;

  open_pair(p, false);
  fill(p);
  p->client.writables = 0;
  cmt__tcp_read(p->server->tcp, true);
  test_user_run(p->loop, server_has_read, p);
  run_a_while(p);
  assert_int_equal(1, p->client.writables);
  assert_false(p->server->damaged);
}

static void turn_reading_off(test_user *u, test_event event) {
  if (event == TEST_READ) {
    cmt__tcp_read(u->tcp, false);
  }
}

static bool server_has_read_once_more(void *arg) {
  pair *p = arg;

  return p->server->reads > *(size_t *)p->server->arg;
}

static void reading_can_be_turned_off_inside_on_read(void **state) {
  pair *p = *state;
  size_t reads = 0;

  p->servers.hook = turn_reading_off;
  open_pair(p, false);
  p->server->arg = &reads;
  test_user_write(&p->client, 300000);
  run_a_while(p);
  assert_int_equal(0, p->server->reads);
  for (reads = 0; p->server->bytes < p->client.sent; reads++) {
    p->server->inside = true; /* No read comes from inside the call. */
    cmt__tcp_read(p->server->tcp, true);
    p->server->inside = false;
    assert_int_equal(reads, p->server->reads);
    test_user_run(p->loop, server_has_read_once_more, p);
    run_a_while(p);
    assert_int_equal(reads + 1, p->server->reads);
  }
  assert_false(p->server->damaged);
}

typedef struct meter {
  cmt__turn turn;
  cmt__loop *loop;
  uint64_t before, largest;
  const test_user *user;
} meter;

static void on_meter(cmt__turn *t) {
  meter *m = (meter *)t;
  uint64_t now = m->user->bytes - m->before;

  m->largest = now > m->largest ? now : m->largest;
  m->before = m->user->bytes;
}

static void read_under_the_meter(test_user *u, test_event event) {
  if (event == TEST_READ) {
    cmt__loop_turn(((meter *)u->arg)->loop, &((meter *)u->arg)->turn);
  }
}

/* Twelve kernel buffers' worth waits, and comes in portions. */
static void a_turn_reads_a_bounded_part_of_what_waits(void **state) {
  pair *p = *state;
  meter m = {.turn = {.cb = on_meter}, .loop = p->loop, .user = p->server};
  int fd;

  p->servers.hook = read_under_the_meter;
  open_pair(p, false);
  p->server->arg = &m;
  fd = calls.connect_fd;
  assert_int_equal(0, setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT,
                                 &(int){8 << 20}, sizeof(int)));
  assert_int_equal(
    0, setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &(int){4 << 20}, sizeof(int)));
  test_user_write(&p->client, 4 << 20);
  assert_true(p->client.sent > CMT__READ_TURN_MAX);
  run_a_while(p);
  cmt__tcp_read(p->server->tcp, true);
  test_user_run(p->loop, server_has_read, p);
  run_a_while(p);
  assert_in_range(m.largest, CMT__READ_MAX, CMT__READ_TURN_MAX);
  assert_false(p->server->damaged);
}

/* Ends. */

static void a_shutdown_is_eof_after_all_bytes(void **state) {
  pair *p = *state;

  open_pair(p, true);
  test_user_write(&p->client, 100000);
  cmt__tcp_shutdown(p->client.tcp);
  test_user_run(p->loop, server_has_ended, p);
  assert_cmt(CMT_EEOF, p->server->end_err);
  assert_int_equal(p->client.sent, p->server->bytes);
  test_user_write(p->server, 5000);
  cmt__tcp_shutdown(p->server->tcp);
  test_user_run(p->loop, client_has_ended, p);
  assert_cmt(CMT_EEOF, p->client.end_err);
  assert_int_equal(5000, p->client.bytes);
  cmt__tcp_read(p->client.tcp, true);
  run_a_while(p);
  assert_int_equal(1, p->client.ends);
  assert_int_equal(1, p->server->ends);
}

static void a_close_is_eof(void **state) {
  pair *p = *state;

  open_pair(p, true);
  test_user_write(&p->client, 1000);
  test_user_close(&p->client);
  test_user_run(p->loop, server_has_ended, p);
  assert_cmt(CMT_EEOF, p->server->end_err);
  assert_int_equal(1000, p->server->bytes);
}

/* The client goes with a byte unread, which makes it a reset. */
static void reset_server(pair *p) {
  test_user_write(p->server, 1);
  run_a_while(p);
  test_user_close(&p->client);
}

static void a_reset_is_told_while_reading(void **state) {
  pair *p = *state;

  open_pair(p, true);
  cmt__tcp_read(p->client.tcp, false);
  reset_server(p);
  test_user_run(p->loop, server_has_ended, p);
  assert_cmt(CMT_ERESET, p->server->end_err);
  run_a_while(p);
  assert_int_equal(1, p->server->ends);
}

static void a_reset_is_told_after_the_bytes_before_it(void **state) {
  pair *p = *state;

  open_pair(p, false);
  test_user_write(&p->client, 20000);
  reset_server(p);
  run_a_while(p);
  assert_int_equal(0, p->server->ends);
  cmt__tcp_read(p->server->tcp, true);
  test_user_run(p->loop, server_has_ended, p);
  assert_cmt(CMT_ERESET, p->server->end_err);
  assert_int_equal(p->client.sent, p->server->bytes);
  assert_false(p->server->damaged);
}

static void a_write_after_a_reset_fails_and_so_does_reading(void **state) {
  pair *p = *state;
  size_t taken = 1;

  open_pair(p, false);
  reset_server(p);
  run_a_while(p);
  assert_cmt(CMT_ERESET,
             cmt__tcp_write(p->server->tcp, (const uint8_t *)"x", 1, &taken));
  assert_int_equal(0, taken);
  assert_cmt(CMT_ERESET,
             cmt__tcp_write(p->server->tcp, (const uint8_t *)"x", 1, &taken));
  cmt__tcp_read(p->server->tcp, true);
  test_user_run(p->loop, server_has_ended, p);
  assert_cmt(CMT_ERESET, p->server->end_err);
}

static bool server_is_writable(void *arg) {
  return ((pair *)arg)->server->writables > 0;
}

static void a_reset_ends_the_wait_for_room(void **state) {
  pair *p = *state;

  open_pair(p, false);
  while (test_user_write(p->server, 1 << 20) == 1 << 20) {
  }
  test_user_close(&p->client);
  test_user_run(p->loop, server_is_writable, p);
  run_a_while(p);
  assert_int_equal(1, p->server->writables);
}

static void other_errors_have_their_codes(void **state) {
  pair *p = *state;
  size_t taken;

  open_pair(p, true);
  calls.send_error = ENOBUFS;
  assert_cmt(CMT_EIO,
             cmt__tcp_write(p->client.tcp, (const uint8_t *)"x", 1, &taken));
  calls.send_error = EHOSTUNREACH;
  assert_cmt(CMT_EUNREACH,
             cmt__tcp_write(p->client.tcp, (const uint8_t *)"x", 1, &taken));
  calls.recv_error = ETIMEDOUT;
  test_user_write(&p->client, 1);
  test_user_run(p->loop, server_has_ended, p);
  assert_cmt(CMT_EUNREACH, p->server->end_err);
}

/* Closing from inside callbacks; the sanitizers watch. */

static void close_itself(test_user *u, test_event event) {
  (void)event;
  test_user_close(u);
}

static bool server_is_closed(void *arg) {
  return ((pair *)arg)->servers.count > 0 && ((pair *)arg)->server->tcp == NULL;
}

static bool client_is_closed(void *arg) {
  return ((pair *)arg)->client.tcp == NULL;
}

static void a_tcp_can_close_itself_in_on_connect(void **state) {
  pair *p = *state;

  p->client.hook = close_itself;
  test_user_connect(&p->client, p->loop, &p->at);
  test_user_run(p->loop, client_is_closed, p);
  calls.connect_error = ENETUNREACH;
  test_user_connect(&p->client, p->loop, &p->at);
  test_user_run(p->loop, client_is_closed, p);
  run_a_while(p);
  assert_int_equal(2, p->client.connects);
}

static void a_tcp_can_close_itself_in_on_read(void **state) {
  pair *p = *state;

  p->servers.hook = close_itself;
  open_pair(p, true);
  test_user_write(&p->client, 300000);
  test_user_run(p->loop, server_is_closed, p);
  run_a_while(p);
  assert_int_equal(1, p->server->reads);
  assert_int_equal(0, p->server->ends);
  assert_cmt(CMT_ERESET, p->client.end_err);
}

static void a_tcp_can_close_itself_in_on_end(void **state) {
  pair *p = *state;

  p->servers.hook = close_itself;
  open_pair(p, true);
  cmt__tcp_shutdown(p->client.tcp);
  test_user_run(p->loop, server_is_closed, p);
  run_a_while(p);
  assert_int_equal(1, p->server->ends);
}

static void a_tcp_can_close_itself_in_on_writable(void **state) {
  pair *p = *state;

  p->client.hook = close_itself;
  p->servers.paused = true;
  calls.connect_waits = true;
  p->client.hook = NULL;
  test_user_connect(&p->client, p->loop, &p->at);
  test_user_run(p->loop, is_connected, p);
  while (test_user_write(&p->client, 1 << 20) == 1 << 20) {
  }
  p->client.hook = close_itself;
  cmt__tcp_read(p->server->tcp, true);
  test_user_run(p->loop, client_is_closed, p);
  run_a_while(p);
  assert_int_equal(1, p->client.writables);
}

static void close_the_other(test_user *u, test_event event) {
  (void)event;
  test_user_close(u->arg);
}

static bool both_are_accepted(void *arg) {
  return ((pair *)arg)->servers.count == 2;
}

static bool one_has_read(void *arg) {
  return ((pair *)arg)->servers.user[0].reads +
           ((pair *)arg)->servers.user[1].reads >
         0;
}

/* Both are readable in one poll; the first closes the second. */
static void a_callback_can_close_another_tcp(void **state) {
  pair *p = *state;
  test_user second = {.tcp = NULL};
  test_user *s = p->servers.user;

  p->servers.hook = close_the_other;
  test_user_connect(&p->client, p->loop, &p->at);
  test_user_connect(&second, p->loop, &p->at);
  test_user_run(p->loop, both_are_accepted, p);
  run_a_while(p);
  s[0].arg = &s[1];
  s[1].arg = &s[0];
  test_user_write(&p->client, 10);
  test_user_write(&second, 10);
  test_user_run(p->loop, one_has_read, p);
  run_a_while(p);
  assert_int_equal(1, s[0].reads + s[1].reads);
  test_user_close(&second);
}

#define TCP_TEST(f) cmocka_unit_test_setup_teardown(f, init, fini)

int main(void) {
  const struct CMUnitTest tests[] = {
    TCP_TEST(both_ends_know_each_other),
    TCP_TEST(sockets_have_their_options),
    TCP_TEST(nobody_listening_is_refused),
    TCP_TEST(a_connect_that_fails_at_once_reports_it_later),
    TCP_TEST(a_connect_that_succeeds_at_once_reports_it_later),
    TCP_TEST(an_outcome_does_not_come_to_a_closed_tcp),
    TCP_TEST(a_socket_connected_to_itself_is_refused),
    TCP_TEST(a_host_name_cannot_be_connected_to),
    TCP_TEST(a_connect_without_memory_is_refused),
    TCP_TEST(one_write_is_one_send_and_one_read_one_recv),
    TCP_TEST(a_write_of_nothing_makes_no_call),
    TCP_TEST(an_interrupted_call_is_made_again),
    TCP_TEST(streams_flow_both_ways_in_few_calls),
    TCP_TEST(a_short_write_is_told_once_when_there_is_room),
    TCP_TEST(reading_can_be_turned_off_inside_on_read),
    TCP_TEST(a_turn_reads_a_bounded_part_of_what_waits),
    TCP_TEST(a_shutdown_is_eof_after_all_bytes),
    TCP_TEST(a_close_is_eof),
    TCP_TEST(a_reset_is_told_while_reading),
    TCP_TEST(a_reset_is_told_after_the_bytes_before_it),
    TCP_TEST(a_write_after_a_reset_fails_and_so_does_reading),
    TCP_TEST(a_reset_ends_the_wait_for_room),
    TCP_TEST(other_errors_have_their_codes),
    TCP_TEST(a_tcp_can_close_itself_in_on_connect),
    TCP_TEST(a_tcp_can_close_itself_in_on_read),
    TCP_TEST(a_tcp_can_close_itself_in_on_end),
    TCP_TEST(a_tcp_can_close_itself_in_on_writable),
    TCP_TEST(a_callback_can_close_another_tcp),
  };

  return cmocka_run_group_tests_name("loop_uv_tcp", tests, NULL, NULL);
}
