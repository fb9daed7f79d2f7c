/* SPDX-License-Identifier: Apache-2.0 */
#include "loop_uv_pair.h"

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
  await_events(calls.connect_fd, POLLIN);
  test_user_close(&p->client);
  await_events(calls.accept_fd, POLLERR | POLLHUP);
}

static void a_reset_is_reported_while_reading(void **state) {
  pair *p = *state;

  open_pair(p, true);
  cmt__tcp_read(p->client.tcp, false);
  reset_server(p);
  test_user_run(p->loop, server_has_ended, p);
  assert_cmt(CMT_ERESET, p->server->end_err);
  run_a_while(p);
  assert_int_equal(1, p->server->ends);
}

static void a_reset_is_reported_after_the_bytes_before_it(void **state) {
  pair *p = *state;

  open_pair(p, false);
  test_user_write(&p->client, 20000);
  while (cmt__tcp_unread(p->server->tcp) < p->client.sent) {
  }
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
  open_pair(p, false);
  cmt__tcp_read(p->client.tcp, true);
  test_user_write(&p->client, 300000);
  /* More than one read takes, so that the end of the server is a reset. */
  while (cmt__tcp_unread(p->server->tcp) <= CMT__READ_MAX) {
  }
  cmt__tcp_read(p->server->tcp, true);
  test_user_run(p->loop, server_is_closed, p);
  test_user_run(p->loop, client_has_ended, p);
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

int main(void) {
  const struct CMUnitTest tests[] = {
    PAIR_TEST(a_shutdown_is_eof_after_all_bytes),
    PAIR_TEST(a_close_is_eof),
    PAIR_TEST(a_reset_is_reported_while_reading),
    PAIR_TEST(a_reset_is_reported_after_the_bytes_before_it),
    PAIR_TEST(a_write_after_a_reset_fails_and_so_does_reading),
    PAIR_TEST(a_reset_ends_the_wait_for_room),
    PAIR_TEST(other_errors_have_their_codes),
    PAIR_TEST(a_tcp_can_close_itself_in_on_connect),
    PAIR_TEST(a_tcp_can_close_itself_in_on_read),
    PAIR_TEST(a_tcp_can_close_itself_in_on_end),
    PAIR_TEST(a_tcp_can_close_itself_in_on_writable),
    PAIR_TEST(a_callback_can_close_another_tcp),
  };

  return cmocka_run_group_tests_name("loop_uv_ends", tests, NULL, NULL);
}
