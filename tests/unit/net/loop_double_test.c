/* SPDX-License-Identifier: Apache-2.0 */
#include "loop_double.h"

#include "loop_user.h"
#include "test.h"

typedef struct place {
  test_env env;
  test_loop *loop;
  cmt__loop *base;
  cmt__listener *listener; /* NULL: closed by the test. */
  cmt_net_addr at;
  test_user client;
  test_users servers;
  test_user *server; /* The first of them. */
  test_conn *conn;
} place;

static place the_place;

static int init(void **state) {
  place *p = &the_place;

  memset(p, 0, sizeof *p);
  test_env_init(&p->env);
  p->loop = test_loop_new(&p->env.env);
  p->base = test_loop_base(p->loop);
  assert_cmt(CMT_OK, cmt__loop_reserve_timers(p->base, 16));
  p->listener = test_listen(p->base, &p->servers, &p->at);
  p->server = &p->servers.user[0];
  *state = p;
  return 0;
}

static int fini(void **state) {
  place *p = *state;

  test_user_close(&p->client);
  for (size_t i = 0; i < p->servers.count; i++) {
    test_user_close(&p->servers.user[i]);
  }
  if (p->listener != NULL) {
    cmt__listener_close(p->listener);
  }
  cmt__loop_delete(p->base);
  test_env_fini(&p->env);
  return 0;
}

static void open_pair(place *p) {
  test_user_connect(&p->client, p->base, &p->at);
  test_loop_run_until_idle(p->loop);
  assert_int_equal(1, p->client.connects);
  assert_cmt(CMT_OK, p->client.connect_err);
  assert_int_equal(1, p->servers.count);
  cmt__tcp_read(p->client.tcp, true);
  p->conn = test_loop_conn(p->loop, test_loop_conn_count(p->loop) - 1);
}

static void both_ends_know_each_other(void **state) {
  place *p = *state;
  cmt_net_addr a;

  assert_string_equal("127.0.0.1", p->at.host);
  assert_int_equal(20000, p->at.port);
  test_loop_set_source(p->loop, "192.0.2.1");
  open_pair(p);
  cmt__tcp_remote(p->client.tcp, &a);
  assert_string_equal("127.0.0.1", a.host);
  assert_int_equal(20000, a.port);
  cmt__tcp_remote(p->server->tcp, &a);
  assert_string_equal("192.0.2.1", a.host);
  assert_int_equal(40000, a.port);
  assert_string_equal("192.0.2.1", p->conn->from.host);
  assert_null(test_loop_conn(p->loop, 1));
}

static void writes_are_taken_whole_and_read_in_buffers(void **state) {
  place *p = *state;
  test_dir *d;

  open_pair(p);
  d = &p->conn->dir[TEST_DIALER];
  assert_int_equal(1 << 20, test_user_write(&p->client, 1 << 20));
  assert_int_equal(1 << 20, d->in_flight);
  test_loop_step(p->loop);
  assert_int_equal(CMT__READ_ITERATION_MAX, p->server->bytes);
  test_loop_run_until_idle(p->loop);
  assert_int_equal(1 << 20, p->server->bytes);
  assert_int_equal(CMT__READ_MAX, p->server->read_largest);
  assert_int_equal(1, d->writes);
  assert_int_equal(16, d->reads);
  assert_int_equal(1 << 20, d->written);
  assert_int_equal(1 << 20, d->read);
  assert_false(p->server->damaged);
  assert_int_equal(0, p->client.writables);
}

static void a_cap_makes_writes_short_until_half_is_drained(void **state) {
  place *p = *state;

  open_pair(p);
  p->conn->dir[TEST_DIALER].cap = 1000;
  p->conn->dir[TEST_DIALER].read_max = 300;
  assert_int_equal(1000, test_user_write(&p->client, 1500));
  assert_int_equal(0, test_user_write(&p->client, 500));
  test_loop_step(p->loop);
  assert_int_equal(300, p->server->bytes);
  assert_int_equal(0, p->client.writables);
  test_loop_step(p->loop);
  test_loop_step(p->loop);
  assert_int_equal(1, p->client.writables);
  test_loop_run_until_idle(p->loop);
  assert_int_equal(1, p->client.writables);
  assert_int_equal(1000, p->server->bytes);
}

static void nothing_arrives_in_a_stalled_direction(void **state) {
  place *p = *state;

  open_pair(p);
  p->conn->dir[TEST_DIALER].stalled = true;
  test_user_write(&p->client, 100);
  test_user_write(p->server, 100);
  cmt__tcp_shutdown(p->client.tcp);
  test_loop_run_until_idle(p->loop);
  assert_int_equal(0, p->server->bytes);
  assert_int_equal(0, p->server->ends);
  assert_int_equal(100, p->client.bytes);
  p->conn->dir[TEST_DIALER].stalled = false;
  test_loop_run_until_idle(p->loop);
  assert_int_equal(100, p->server->bytes);
  assert_cmt(CMT_EEOF, p->server->end_err);
}

static void defaults_are_for_new_connections(void **state) {
  place *p = *state;

  test_loop_defaults(p->loop)->read_max = 1;
  open_pair(p);
  test_user_write(&p->client, 100);
  test_loop_run_until_idle(p->loop);
  assert_int_equal(100, p->server->reads);
}

static void turn_reading_off(test_user *u, test_event event) {
  if (event == TEST_READ) {
    cmt__tcp_read(u->tcp, false);
  }
}

static void reading_can_be_turned_off_inside_on_read(void **state) {
  place *p = *state;

  p->servers.hook = turn_reading_off;
  open_pair(p);
  test_user_write(&p->client, 200000);
  test_loop_run_until_idle(p->loop);
  assert_int_equal(CMT__READ_MAX, p->server->bytes);
  cmt__tcp_read(p->server->tcp, true);
  assert_int_equal(1, p->server->reads);
  test_loop_run_until_idle(p->loop);
  assert_int_equal(2, p->server->reads);
}

static void a_shutdown_is_eof_after_all_bytes(void **state) {
  place *p = *state;

  open_pair(p);
  test_user_write(&p->client, 100);
  cmt__tcp_shutdown(p->client.tcp);
  test_user_write(p->server, 50);
  test_loop_run_until_idle(p->loop);
  assert_int_equal(100, p->server->bytes);
  assert_cmt(CMT_EEOF, p->server->end_err);
  assert_int_equal(50, p->client.bytes);
  assert_int_equal(0, p->client.ends);
}

static void closing_with_unread_bytes_is_a_reset(void **state) {
  place *p = *state;

  open_pair(p);
  cmt__tcp_read(p->client.tcp, false);
  test_user_write(p->server, 1);
  test_user_write(&p->client, 100);
  test_user_close(&p->client);
  assert_false(p->conn->open[TEST_DIALER]);
  assert_true(p->conn->open[TEST_ACCEPTOR]);
  test_loop_run_until_idle(p->loop);
  assert_cmt(CMT_ERESET, p->server->end_err);
  assert_int_equal(0, p->server->bytes);
}

static void writing_to_a_closed_end_is_answered_with_a_reset(void **state) {
  place *p = *state;
  size_t taken;

  open_pair(p);
  test_user_write(&p->client, 100);
  test_user_close(&p->client);
  assert_int_equal(10, test_user_write(p->server, 10));
  assert_cmt(CMT_ERESET,
             cmt__tcp_write(p->server->tcp, (const uint8_t *)"x", 1, &taken));
  test_loop_run_until_idle(p->loop);
  assert_int_equal(100, p->server->bytes);
  assert_cmt(CMT_EEOF, p->server->end_err);
}

static void a_cut_resets_both_ends(void **state) {
  place *p = *state;
  size_t taken;

  open_pair(p);
  test_user_write(&p->client, 100);
  test_conn_cut(p->conn);
  assert_cmt(CMT_ERESET,
             cmt__tcp_write(p->client.tcp, (const uint8_t *)"x", 1, &taken));
  test_loop_run_until_idle(p->loop);
  assert_cmt(CMT_ERESET, p->client.end_err);
  assert_cmt(CMT_ERESET, p->server->end_err);
  assert_int_equal(0, p->server->bytes);
}

static void a_cut_ends_the_wait_for_room(void **state) {
  place *p = *state;

  test_loop_defaults(p->loop)->cap = 10;
  test_loop_defaults(p->loop)->stalled = true;
  open_pair(p);
  test_user_write(&p->client, 100);
  test_loop_run_until_idle(p->loop);
  assert_int_equal(0, p->client.writables);
  test_conn_cut(p->conn);
  test_loop_run_until_idle(p->loop);
  assert_int_equal(1, p->client.writables);
}

typedef struct tapped {
  uint64_t bytes[2];
  bool flips;
} tapped;

static void on_tap(void *arg, test_conn *conn, int from, uint8_t *data,
                   size_t len) {
  tapped *t = arg;

  assert_int_equal(20000, conn->to.port);
  t->bytes[from] += len;
  if (t->flips) {
    data[len - 1] ^= 1;
  }
}

static void a_tap_sees_and_changes_bytes_in_flight(void **state) {
  place *p = *state;
  tapped t = {.flips = false};

  test_loop_tap(p->loop, on_tap, &t);
  open_pair(p);
  test_user_write(&p->client, 1000);
  test_user_write(p->server, 7);
  test_loop_run_until_idle(p->loop);
  assert_int_equal(1000, t.bytes[TEST_DIALER]);
  assert_int_equal(7, t.bytes[TEST_ACCEPTOR]);
  assert_false(p->server->damaged);
  t.flips = true;
  test_user_write(&p->client, 1);
  test_loop_run_until_idle(p->loop);
  assert_true(p->server->damaged);
}

/* Connecting. */

static void try_connect(place *p) {
  p->client.connects = 0;
  test_user_connect(&p->client, p->base, &p->at);
  assert_int_equal(0, p->client.connects);
  test_loop_run_until_idle(p->loop);
}

static void connects_have_the_outcome_that_was_set(void **state) {
  place *p = *state;

  test_loop_set_connect(p->loop, "127.0.0.1:20000", CMT_EUNREACH);
  try_connect(p);
  assert_cmt(CMT_EUNREACH, p->client.connect_err);
  test_user_close(&p->client);
  test_loop_set_connect(p->loop, "127.0.0.1:20000", CMT_EAGAIN);
  try_connect(p);
  assert_int_equal(0, p->client.connects);
  test_loop_set_connect(p->loop, "127.0.0.1:20000", CMT_OK);
  test_loop_run_until_idle(p->loop);
  assert_cmt(CMT_OK, p->client.connect_err);
  assert_int_equal(1, p->servers.count);
}

static void nobody_listening_is_refused(void **state) {
  place *p = *state;

  cmt__listener_close(p->listener);
  p->listener = NULL;
  try_connect(p);
  assert_cmt(CMT_EREFUSED, p->client.connect_err);
}

static void wildcards_listen_on_every_address(void **state) {
  place *p = *state;
  cmt_net_addr any = {.host = "0.0.0.0", .port = 777};

  cmt__listener_close(p->listener);
  assert_cmt(CMT_OK, cmt__loop_listen(p->base, &any, test_user_accept,
                                      &p->servers, &p->listener, NULL));
  p->at = (cmt_net_addr){.host = "192.0.2.9", .port = 777};
  open_pair(p);
}

static void a_port_in_use_is_named(void **state) {
  place *p = *state;
  cmt__listener *second;
  cmt_why why;

  assert_cmt(CMT_EIO, cmt__loop_listen(p->base, &p->at, test_user_accept,
                                       &p->servers, &second, &why));
  assert_string_equal(
    "cannot listen on 127.0.0.1:20000: Address already in use", why.text);
}

static void without_descriptors_connections_are_dropped(void **state) {
  place *p = *state;

  test_loop_exhaust(p->loop, 1);
  try_connect(p);
  cmt__tcp_read(p->client.tcp, true);
  test_loop_run_until_idle(p->loop);
  assert_cmt(CMT_EEOF, p->client.end_err);
  assert_int_equal(1, cmt__listener_dropped(p->listener));
  test_user_close(&p->client);
  p->client = (test_user){.tcp = NULL};
  open_pair(p);
}

static void an_iteration_delivers_as_many_as_it_may(void **state) {
  place *p = *state;
  test_user more[3] = {{.tcp = NULL}};
  size_t last = 0;

  cmt__listener_accepts_max(p->listener, 1);
  for (size_t i = 0; i < CMT__COUNT(more); i++) {
    test_user_connect(&more[i], p->base, &p->at);
  }
  while (p->servers.count < CMT__COUNT(more)) {
    test_loop_step(p->loop);
    assert_in_range(p->servers.count - last, 0, 1);
    last = p->servers.count;
  }
  for (size_t i = 0; i < CMT__COUNT(more); i++) {
    test_user_close(&more[i]);
  }
}

static void a_closed_listener_resets_what_waits(void **state) {
  place *p = *state;

  test_user_connect(&p->client, p->base, &p->at);
  test_loop_step(p->loop);
  assert_int_equal(1, p->client.connects);
  cmt__tcp_read(p->client.tcp, true);
  cmt__listener_close(p->listener);
  p->listener = NULL;
  test_loop_run_until_idle(p->loop);
  assert_cmt(CMT_ERESET, p->client.end_err);
  assert_int_equal(0, p->servers.count);
}

static void objects_come_from_the_environment(void **state) {
  place *p = *state;
  cmt__tcp *tcp;
  cmt__resolve *resolve;
  cmt__listener *second;
  cmt_net_addr at = test_loopback();

  p->env.fail_at = p->env.allocs;
  assert_cmt(CMT_ENOMEM,
             cmt__loop_connect(p->base, &p->at, &test_user_callbacks, p, &tcp));
  p->env.fail_at = p->env.allocs;
  assert_cmt(CMT_ENOMEM, cmt__loop_resolve(p->base, "x", 1, NULL, p, &resolve));
  p->env.fail_at = p->env.allocs;
  assert_cmt(CMT_ENOMEM, cmt__loop_listen(p->base, &at, test_user_accept, p,
                                          &second, NULL));
  assert_int_equal(0, test_loop_conn_count(p->loop));
  open_pair(p);
  p->env.fail_at = p->env.allocs;
  test_user_write(&p->client, 1 << 20);
  test_loop_run_until_idle(p->loop);
  assert_int_equal(1 << 20, p->server->bytes);
}

static void close_itself(test_user *u, test_event event) {
  (void)event;
  test_user_close(u);
}

static void a_tcp_can_close_itself_in_each_callback(void **state) {
  place *p = *state;

  p->client.hook = close_itself;
  test_user_connect(&p->client, p->base, &p->at);
  test_loop_run_until_idle(p->loop);
  assert_null(p->client.tcp);
  p->client.hook = NULL;
  p->servers.count = 0;
  p->servers.hook = close_itself;
  test_user_close(p->server);
  *p->server = (test_user){.tcp = NULL};
  p->client.connects = 0;
  open_pair(p);
  test_user_write(&p->client, 200000);
  test_loop_run_until_idle(p->loop);
  assert_int_equal(1, p->server->reads);
  assert_null(p->server->tcp);
  assert_cmt(CMT_ERESET, p->client.end_err);
}

/* Names. */

typedef struct answer {
  size_t calls, count;
  cmt_err err;
  cmt_net_addr addrs[CMT__RESOLVE_MAX];
} answer;

static void on_answer(void *arg, cmt_err err, const cmt_net_addr *addrs,
                      size_t count) {
  answer *a = arg;

  a->calls++;
  a->err = err;
  a->count = count;
  memcpy(a->addrs, addrs, count * sizeof *addrs);
}

static answer resolve(place *p, const char *host) {
  answer a = {.calls = 0};
  cmt__resolve *r;

  assert_cmt(CMT_OK, cmt__loop_resolve(p->base, host, 7, on_answer, &a, &r));
  assert_int_equal(0, a.calls);
  test_loop_run_until_idle(p->loop);
  assert_int_equal(1, a.calls);
  return a;
}

static void names_resolve_as_scripted_at_the_time(void **state) {
  place *p = *state;
  answer a = resolve(p, "node.example");

  assert_cmt(CMT_ERESOLVE, a.err);
  test_loop_set_host(p->loop, "node.example", "192.0.2.1,2001:DB8::1");
  a = resolve(p, "node.example");
  assert_cmt(CMT_OK, a.err);
  assert_int_equal(2, a.count);
  assert_string_equal("192.0.2.1", a.addrs[0].host);
  assert_string_equal("2001:db8::1", a.addrs[1].host);
  assert_int_equal(7, a.addrs[1].port);
  test_loop_set_host(p->loop, "node.example", NULL);
  assert_cmt(CMT_ERESOLVE, resolve(p, "node.example").err);
  assert_int_equal(3, test_loop_resolves(p->loop));
  assert_string_equal("192.0.2.7", resolve(p, "192.0.2.7").addrs[0].host);
  assert_int_equal(3, test_loop_resolves(p->loop));
}

static void a_cancelled_resolve_does_not_answer(void **state) {
  place *p = *state;
  answer a = {.calls = 0};
  cmt__resolve *r;

  assert_cmt(CMT_OK, cmt__loop_resolve(p->base, "::1", 7, on_answer, &a, &r));
  cmt__resolve_cancel(r);
  test_loop_run_until_idle(p->loop);
  assert_int_equal(0, a.calls);
}

/* Time. */

typedef struct ticker {
  cmt__timer timer;
  cmt__loop *loop;
  uint64_t period_ns;
  int ticks, stops_at;
} ticker;

static void on_tick(cmt__timer *t) {
  ticker *k = (ticker *)t;

  assert_int_equal(t->at_ns, cmt__loop_now(k->loop));
  if (++k->ticks == k->stops_at) {
    cmt__loop_stop(k->loop);
  }
  cmt__loop_timer(k->loop, t, t->at_ns + k->period_ns);
}

static ticker ticker_of(place *p, uint64_t period_ns) {
  return (ticker){
    .timer = {.cb = on_tick}, .loop = p->base, .period_ns = period_ns};
}

static void start(ticker *k) {
  cmt__loop_timer(k->loop, &k->timer, cmt__loop_now(k->loop) + k->period_ns);
}

static void time_moves_only_as_asked(void **state) {
  place *p = *state;
  ticker k = ticker_of(p, CMT_SECONDS(3));

  assert_int_equal(CMT_SECONDS(1000), cmt__loop_now(p->base));
  start(&k);
  test_loop_run_until_idle(p->loop);
  assert_int_equal(CMT_SECONDS(1000), cmt__loop_now(p->base));
  test_loop_advance(p->loop, CMT_SECONDS(10));
  assert_int_equal(3, k.ticks);
  assert_int_equal(CMT_SECONDS(1010), cmt__loop_now(p->base));
  cmt__loop_timer(p->base, &k.timer, CMT_NEVER);
}

static bool has_ticked_5_times(void *arg) {
  return ((ticker *)arg)->ticks == 5;
}

static void a_run_until_jumps_from_timer_to_timer(void **state) {
  place *p = *state;
  ticker k = ticker_of(p, CMT_SECONDS(3600));

  start(&k);
  test_loop_run_until(p->loop, has_ticked_5_times, &k, CMT_SECONDS(18000));
  assert_int_equal(CMT_SECONDS(1000 + 18000), cmt__loop_now(p->base));
  cmt__loop_timer(p->base, &k.timer, CMT_NEVER);
}

static void a_run_ends_when_stopped_or_when_nothing_is_left(void **state) {
  place *p = *state;
  ticker k = ticker_of(p, CMT_SECONDS(1));

  k.stops_at = 7;
  start(&k);
  cmt__loop_run(p->base);
  assert_int_equal(7, k.ticks);
  cmt__loop_timer(p->base, &k.timer, CMT_NEVER);
  cmt__loop_run(p->base);
  assert_int_equal(7, k.ticks);
}

typedef struct call {
  cmt__post post;
  cmt__loop *loop;
  int runs;
} call;

static void on_call(cmt__post *p) {
  call *c = (call *)p;

  if (++c->runs < 3) {
    cmt__loop_post(c->loop, p);
  }
}

static void a_post_by_a_post_runs_in_a_later_iteration(void **state) {
  place *p = *state;
  call c = {.post = {.cb = on_call}, .loop = p->base};

  cmt__loop_post(p->base, &c.post);
  cmt__loop_post(p->base, &c.post);
  test_loop_step(p->loop);
  assert_int_equal(1, c.runs);
  test_loop_run_until_idle(p->loop);
  assert_int_equal(3, c.runs);
}

#define PLACE_TEST(f) cmocka_unit_test_setup_teardown(f, init, fini)

int main(void) {
  const struct CMUnitTest tests[] = {
    PLACE_TEST(both_ends_know_each_other),
    PLACE_TEST(writes_are_taken_whole_and_read_in_buffers),
    PLACE_TEST(a_cap_makes_writes_short_until_half_is_drained),
    PLACE_TEST(nothing_arrives_in_a_stalled_direction),
    PLACE_TEST(defaults_are_for_new_connections),
    PLACE_TEST(reading_can_be_turned_off_inside_on_read),
    PLACE_TEST(a_shutdown_is_eof_after_all_bytes),
    PLACE_TEST(closing_with_unread_bytes_is_a_reset),
    PLACE_TEST(writing_to_a_closed_end_is_answered_with_a_reset),
    PLACE_TEST(a_cut_resets_both_ends),
    PLACE_TEST(a_cut_ends_the_wait_for_room),
    PLACE_TEST(a_tap_sees_and_changes_bytes_in_flight),
    PLACE_TEST(connects_have_the_outcome_that_was_set),
    PLACE_TEST(nobody_listening_is_refused),
    PLACE_TEST(wildcards_listen_on_every_address),
    PLACE_TEST(a_port_in_use_is_named),
    PLACE_TEST(without_descriptors_connections_are_dropped),
    PLACE_TEST(an_iteration_delivers_as_many_as_it_may),
    PLACE_TEST(a_closed_listener_resets_what_waits),
    PLACE_TEST(objects_come_from_the_environment),
    PLACE_TEST(a_tcp_can_close_itself_in_each_callback),
    PLACE_TEST(names_resolve_as_scripted_at_the_time),
    PLACE_TEST(a_cancelled_resolve_does_not_answer),
    PLACE_TEST(time_moves_only_as_asked),
    PLACE_TEST(a_run_until_jumps_from_timer_to_timer),
    PLACE_TEST(a_run_ends_when_stopped_or_when_nothing_is_left),
    PLACE_TEST(a_post_by_a_post_runs_in_a_later_iteration),
  };

  return cmocka_run_group_tests_name("loop_double", tests, NULL, NULL);
}
