/* SPDX-License-Identifier: Apache-2.0 */
#include "loop_uv_pair.h"

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

/* The port was free a moment ago, and nobody else would bind it. */
static void nobody_listening_is_refused(void **state) {
  pair *p = *state;
  test_users none = {.count = 0};
  cmt_net_addr at;

  cmt__listener_close(test_listen(p->loop, &none, &at));
  test_user_connect(&p->client, p->loop, &at);
  cmt__tcp_read(p->client.tcp, true);
  test_user_run(p->loop, client_has_outcome, p);
  assert_cmt(CMT_EREFUSED, p->client.connect_err);
  run_a_while(p); /* What was asked for before ends with the outcome, */
  cmt__tcp_read(p->client.tcp, true); /* and nothing begins after it. */
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

/* An iteration reads at most four buffers, and a short one ends it: calls
   without a result do not add up. */
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

/* Writes until neither kernel accepts more. */
static void fill(pair *p) {
  size_t before;

  do {
    before = p->client.writables;
    while (test_user_write(&p->client, 1 << 20) == 1 << 20) {
    }
    run_a_while(p);
    assert_in_range(p->client.writables, before, before + 1);
  } while (p->client.writables > before);
}

static void a_short_write_is_reported_once_when_there_is_room(void **state) {
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
  cmt__task task;
  cmt__loop *loop;
  uint64_t before, largest;
  const test_user *user;
} meter;

static void on_meter(cmt__task *t) {
  meter *m = (meter *)t;
  uint64_t now = m->user->bytes - m->before;

  m->largest = now > m->largest ? now : m->largest;
  m->before = m->user->bytes;
}

static void read_under_the_meter(test_user *u, test_event event) {
  if (event == TEST_READ) {
    cmt__loop_defer(((meter *)u->arg)->loop, &((meter *)u->arg)->task);
  }
}

/* Twelve kernel buffers' worth waits, and comes in portions. */
static void an_iteration_reads_a_bounded_part_of_what_waits(void **state) {
  pair *p = *state;
  meter m = {.task = {.cb = on_meter}, .loop = p->loop, .user = p->server};
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
  assert_true(p->client.sent > CMT__READ_ITERATION_MAX);
  while (cmt__tcp_unread(p->server->tcp) < CMT__READ_MAX) {
  }
  cmt__tcp_read(p->server->tcp, true);
  test_user_run(p->loop, server_has_read, p);
  run_a_while(p);
  assert_in_range(m.largest, CMT__READ_MAX, CMT__READ_ITERATION_MAX);
  assert_false(p->server->damaged);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    PAIR_TEST(both_ends_know_each_other),
    PAIR_TEST(sockets_have_their_options),
    PAIR_TEST(nobody_listening_is_refused),
    PAIR_TEST(a_connect_that_fails_at_once_reports_it_later),
    PAIR_TEST(a_connect_that_succeeds_at_once_reports_it_later),
    PAIR_TEST(an_outcome_does_not_come_to_a_closed_tcp),
    PAIR_TEST(a_socket_connected_to_itself_is_refused),
    PAIR_TEST(a_host_name_cannot_be_connected_to),
    PAIR_TEST(a_connect_without_memory_is_refused),
    PAIR_TEST(one_write_is_one_send_and_one_read_one_recv),
    PAIR_TEST(a_write_of_nothing_makes_no_call),
    PAIR_TEST(an_interrupted_call_is_made_again),
    PAIR_TEST(streams_flow_both_ways_in_few_calls),
    PAIR_TEST(a_short_write_is_reported_once_when_there_is_room),
    PAIR_TEST(reading_can_be_turned_off_inside_on_read),
    PAIR_TEST(an_iteration_reads_a_bounded_part_of_what_waits),
  };

  return cmocka_run_group_tests_name("loop_uv_tcp", tests, NULL, NULL);
}
