/* SPDX-License-Identifier: Apache-2.0 */

/* The log of a dial or an accept that yields no peer: why, at which stage, with
   whom; at info for our own dials, at debug for strangers. */

#include "node.h"

#include <stdio.h>
#include <stdlib.h>

#define SOME_ID "00112233445566778899aabbccddeeff00112233"

typedef struct fixture {
  test_trio trio;
  char lines[65536]; /* "LEVEL MODULE: LINE\n" of each. */
  size_t len, count;
} fixture;

static void on_log(void *arg, cmt_log_level level, const char *module,
                   const char *line) {
  static const char *const levels[] = {"error", "warn", "info", "debug"};
  fixture *f = arg;
  int n = snprintf(f->lines + f->len, sizeof f->lines - f->len, "%s %s: %s\n",
                   levels[level], module, line);

  assert_true(n > 0 && (size_t)n < sizeof f->lines - f->len);
  f->len += (size_t)n;
  f->count++;
}

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  test_trio *t = &f->trio;

  assert_non_null(f);
  test_world_init(&t->w);
  test_node_init(&t->a, &t->w);
  test_node_init(&t->b, &t->w);
  test_node_init(&t->c, &t->w);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  return test_trio_teardown(state); /* Its trio comes first. */
}

/* Only A writes a log. */
static void start_a(fixture *f) {
  cmt_env env = f->trio.w.env.env;

  env.log = on_log;
  env.log_arg = f;
  f->trio.a.options.env = &env;
  test_node_start(&f->trio.a);
  f->trio.a.options.env = NULL;
}

/* The lines since the last call. */
static const char *log_of(fixture *f) {
  static char taken[sizeof f->lines];

  memcpy(taken, f->lines, f->len);
  taken[f->len] = '\0';
  f->len = 0;
  return taken;
}

static void a_dial_that_fails_is_reported_at_info(void **state) {
  fixture *f = *state;

  start_a(f);
  test_node_dial(&f->trio.a, SOME_ID "@1.2.3.4:26656", 0);
  assert_string_equal("info switch: dial of " SOME_ID "@1.2.3.4:26656 at "
                      "1.2.3.4:26656 failed in stage transport: cannot connect "
                      "to 1.2.3.4:26656: connection refused\n",
                      log_of(f));
  test_node_dial(&f->trio.a, SOME_ID "@nowhere.test:1", CMT_DIAL_PERSISTENT);
  assert_string_equal("info switch: dial of " SOME_ID "@nowhere.test:1 failed "
                      "in stage transport: cannot resolve nowhere.test: the "
                      "host name has no address; it is dialed again later\n",
                      log_of(f));
}

static void a_handshake_that_was_dialed_is_reported_with_the_id(void **state) {
  fixture *f = *state;
  char dialed[CMT_NET_ADDR_TEXT_SIZE], expected[1024];
  cmt_node_id b;

  start_a(f);
  test_node_start(&f->trio.b);
  cmt_switch_get_id(f->trio.b.sw, &b);
  snprintf(dialed, sizeof dialed, "%s@%s", SOME_ID, f->trio.b.addr + 41);
  test_node_dial(&f->trio.a, dialed, 0);
  snprintf(expected, sizeof expected,
           "info switch: dial of %s at %s failed in stage secret_connection, "
           "node %s: %s\n",
           dialed, f->trio.b.addr + 41, b.text, f->trio.a.why.text);
  assert_string_equal(expected, log_of(f));
  assert_cmt(CMT_EWRONGID, f->trio.a.why.err);
}

static void a_stranger_is_reported_at_debug(void **state) {
  fixture *f = *state;
  char expected[1024];

  f->trio.b.options.network = "another-net";
  start_a(f);
  test_node_start(&f->trio.b);
  test_node_dial(&f->trio.b, f->trio.a.addr, 0);
  snprintf(expected, sizeof expected,
           "debug switch: connection from %s failed in stage node_info, node "
           "%s: %s\n",
           f->trio.a.remote, f->trio.a.blamed.text, f->trio.a.why.text);
  assert_string_equal(expected, log_of(f));
  assert_cmt(CMT_ENETWORK, f->trio.a.why.err);
}

static void a_peer_that_comes_is_no_failure(void **state) {
  fixture *f = *state;

  start_a(f);
  test_node_start(&f->trio.b);
  test_node_dial(&f->trio.a, f->trio.b.addr, 0);
  assert_string_equal("", log_of(f));
}

static void our_own_stop_is_no_news(void **state) {
  fixture *f = *state;

  start_a(f);
  test_loop_set_connect(f->trio.w.loop, "1.2.3.4:26656", CMT_EAGAIN);
  test_node_dial(&f->trio.a, SOME_ID "@1.2.3.4:26656", CMT_DIAL_PERSISTENT);
  cmt_switch_stop(f->trio.a.sw, 0);
  test_loop_run_until_idle(f->trio.w.loop);
  assert_non_null(strstr(f->lines, "debug switch: dial of " SOME_ID));
  assert_int_equal(1, f->count);
}

/* Accepts that the application's limit refuses, all within one second. */
static void a_crowd_of_strangers_has_few_lines_and_a_count(void **state) {
  fixture *f = *state;

  f->trio.a.options.inbound_peers_max = CMT_NO_PEERS;
  start_a(f);
  test_node_start(&f->trio.b);
  for (int i = 0; i < 200; i++) {
    test_node_dial(&f->trio.b, f->trio.a.addr, 0);
    (void)test_node_log(&f->trio.a);
    (void)test_node_log(&f->trio.b);
  }
  assert_int_equal(50, f->count);
  (void)log_of(f);
  test_loop_advance(f->trio.w.loop, CMT_SECONDS(1));
  test_node_dial(&f->trio.b, f->trio.a.addr, 0);
  assert_int_equal(52, f->count);
  assert_non_null(strstr(f->lines, "debug switch: 150 more connections from "
                                   "strangers failed and had no line\n"));
  for (int i = 0; i < 50; i++) { /* And now a single one. */
    test_node_dial(&f->trio.b, f->trio.a.addr, 0);
    (void)test_node_log(&f->trio.b);
  }
  test_loop_advance(f->trio.w.loop, CMT_SECONDS(1));
  test_node_dial(&f->trio.b, f->trio.a.addr, 0);
  assert_non_null(strstr(f->lines, "debug switch: 1 more connections from "
                                   "strangers failed and had no line\n"));
}

static void a_second_has_its_lines_to_the_nanosecond(void **state) {
  static const struct {
    uint64_t now_ns, missed;
    bool taken;
  } rows[] = {
    {CMT_SECONDS(5), 0, true},      {CMT_SECONDS(5), 0, true},
    {CMT_SECONDS(6) - 1, 0, false}, {CMT_SECONDS(6) - 1, 0, false},
    {CMT_SECONDS(6), 2, true},      {CMT_SECONDS(6), 0, true},
    {CMT_SECONDS(6), 0, false},     {CMT_SECONDS(9), 1, true},
    {CMT_SECONDS(10), 0, true},
  };
  cmt__log_limit limit = {.lines = 0};

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    uint64_t missed = 99;

    assert_int_equal(rows[i].taken,
                     cmt__log_limit_take(&limit, 2, rows[i].now_ns, &missed));
    assert_int_equal(rows[i].missed, missed);
  }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(a_dial_that_fails_is_reported_at_info),
    TEST(a_handshake_that_was_dialed_is_reported_with_the_id),
    TEST(a_stranger_is_reported_at_debug),
    TEST(a_peer_that_comes_is_no_failure),
    TEST(our_own_stop_is_no_news),
    TEST(a_crowd_of_strangers_has_few_lines_and_a_count),
    cmocka_unit_test(a_second_has_its_lines_to_the_nanosecond),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
