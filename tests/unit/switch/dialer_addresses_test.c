/* SPDX-License-Identifier: Apache-2.0 */

/* The addresses of a name, in virtual time: something else than the node lives
   at some of them, and every address has its turn. */

#include "loop_user.h"
#include "node.h"

#include "switch/dial.h"

#include <stdio.h>

typedef struct fixture {
  test_world w;
  test_node a, b, c; /* B is dialed, C is another node. */
  cmt_node_key *key; /* The key of B, whatever becomes of B. */
  char dialed[CMT_NET_ADDR_TEXT_SIZE];
  cmt__listener *other; /* Where no node lives. */
  test_users users;
  char lines[16384]; /* Lines of the log of A. */
} fixture;

static void on_log(void *arg, cmt_log_level level, const char *module,
                   const char *line) {
  fixture *f = arg;
  size_t len = strlen(f->lines);

  (void)module;
  if (level == CMT_LOG_INFO) {
    snprintf(f->lines + len, sizeof f->lines - len, "%s\n", line);
  }
}

static fixture *begin(void) {
  fixture *f = calloc(1, sizeof *f);
  cmt_node_id id;

  assert_non_null(f);
  test_world_init(&f->w);
  assert_cmt(CMT_OK, cmt_node_key_generate(NULL, &f->key));
  cmt_node_key_get_id(f->key, &id);
  snprintf(f->dialed, sizeof f->dialed, "%s@b.test:26656", id.text);
  f->w.env.env.log = on_log;
  f->w.env.env.log_arg = f;
  test_node_init(&f->a, &f->w);
  test_node_init(&f->b, &f->w);
  test_node_init(&f->c, &f->w);
  f->a.options.laddr = NULL;
  f->b.options.key = f->key;
  f->b.options.laddr = "10.0.0.2:26656";
  f->c.options.laddr = "10.0.0.3:26656";
  return f;
}

static void end(fixture *f) {
  test_node *nodes[] = {&f->a, &f->b, &f->c};

  for (size_t i = 0; i < CMT__COUNT(nodes); i++) {
    if (nodes[i]->sw != NULL) {
      test_node_fini(nodes[i]);
    }
  }
  for (size_t i = 0; i < TEST_USERS; i++) {
    test_user_close(&f->users.user[i]);
  }
  if (f->other != NULL) {
    cmt__listener_close(f->other);
  }
  test_loop_run_until_idle(f->w.loop);
  cmt_node_key_delete(f->key);
  test_world_fini(&f->w);
  free(f);
}

static int setup(void **state) {
  *state = begin();
  return 0;
}

static int teardown(void **state) {
  end(*state);
  return 0;
}

/* Something that is no node at 10.0.0.4, which does what |hook| does. */
static void other_listens(fixture *f,
                          void (*hook)(test_user *u, test_event event)) {
  cmt_net_addr at = {.host = "10.0.0.4", .port = 26656};

  f->users.hook = hook;
  assert_cmt(CMT_OK,
             cmt__loop_listen(test_loop_base(f->w.loop), &at, test_user_accept,
                              &f->users, &f->other, NULL));
}

static void hang_up(test_user *u, test_event event) {
  if (event == TEST_READ) {
    test_user_close(u);
  }
}

static void speak_http(test_user *u, test_event event) {
  static const char answer[] = "HTTP/1.1 400 Bad Request\r\n"
                               "Connection: close\r\n\r\n400 Bad Request";
  size_t taken;

  if (event == TEST_READ) {
    assert_cmt(CMT_OK, cmt__tcp_write(u->tcp, (const uint8_t *)answer,
                                      strlen(answer), &taken));
  }
}

static void is_named(fixture *f, const char *ips) {
  test_loop_set_host(f->w.loop, "b.test", ips);
}

static bool has_line(void *arg) { return ((test_node *)arg)->log_len > 0; }

/* Runs until the log of A has a line, and what follows from it. */
static const char *news(fixture *f) {
  test_loop_run_until(f->w.loop, has_line, &f->a, CMT_SECONDS(30));
  test_loop_run_until_idle(f->w.loop);
  return test_node_log(&f->a);
}

/* The host of each connection, in the order of the dials. */
static const char *dialed_hosts(fixture *f, size_t from) {
  static char out[2048];

  out[0] = '\0';
  for (size_t i = from; i < test_loop_conn_count(f->w.loop); i++) {
    const char *host = test_loop_conn(f->w.loop, i)->to.host;

    snprintf(out + strlen(out), sizeof out - strlen(out), "%s%s",
             i > from ? " " : "", host + strlen("10.0.0."));
  }
  return out;
}

static cmt_switch_status status_of(const test_node *n) {
  cmt_switch_status st;

  cmt_switch_get_status(n->sw, &st);
  return st;
}

#define ADDED "init chat\nadd chat outbound\n"

/* ---- another node ---- */

static void a_wrong_id_moves_on_within_the_attempt(void **state) {
  fixture *f = *state;
  cmt_switch_status st;

  is_named(f, "10.0.0.3,10.0.0.2");
  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_start(&f->c);
  test_node_dial(&f->a, f->dialed, CMT_DIAL_PERSISTENT);
  assert_string_equal(ADDED, test_node_log(&f->a));
  st = status_of(&f->a);
  assert_int_equal(1, st.dialed);
  assert_int_equal(1, st.added);
  assert_int_equal(0, st.rejected);
  assert_int_equal(0, st.handshakes);
  assert_non_null(strstr(f->lines, "dial of "));
  assert_non_null(strstr(f->lines, "; its next address is tried\n"));
}

static void a_dial_that_is_not_persistent_moves_on_too(void **state) {
  fixture *f = *state;

  is_named(f, "10.0.0.3,10.0.0.2");
  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_start(&f->c);
  test_node_dial(&f->a, f->dialed, 0);
  assert_string_equal(ADDED, test_node_log(&f->a));
}

static void wrong_ids_alone_are_one_outcome(void **state) {
  fixture *f = *state;
  cmt_switch_status st;
  cmt_node_id c;

  is_named(f, "10.0.0.3,10.0.0.9");
  test_node_start(&f->a);
  test_node_start(&f->c);
  cmt_switch_get_id(f->c.sw, &c);
  test_node_dial(&f->a, f->dialed, 0);
  assert_string_equal("rejected outbound secret_connection CMT_EWRONGID\n",
                      test_node_log(&f->a));
  assert_string_equal("10.0.0.3:26656",
                      f->a.remote); /* The error that explains more. */
  assert_string_equal(c.text, f->a.blamed.text);
  st = status_of(&f->a);
  assert_int_equal(st.dialed, st.rejected);
  assert_string_equal("3 9", dialed_hosts(f, 0));
}

/* Whoever refuses us is the node that was meant, at any of its addresses. */
static void the_node_itself_ends_the_attempt(void **state) {
  fixture *f = *state;

  is_named(f, "10.0.0.2,10.0.0.3");
  f->b.options.network = "another-net";
  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_start(&f->c);
  test_node_dial(&f->a, f->dialed, 0);
  assert_string_equal("rejected outbound node_info CMT_ENETWORK\n",
                      test_node_log(&f->a));
  assert_string_equal("2", dialed_hosts(f, 0));
}

/* Without an id whoever proves one is meant, as for a probe; here it hangs up,
   since it has banned us. */
static void any_node_ends_an_attempt_without_an_id(void **state) {
  fixture *f = *state;
  cmt_net_addr at = {.host = "b.test", .port = 26656};
  cmt_dial_options o;
  cmt_dial *dial;
  cmt_node_id a, b;
  cmt_ban ban;

  is_named(f, "10.0.0.2,10.0.0.3");
  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_start(&f->c);
  cmt_switch_get_id(f->a.sw, &a);
  cmt_switch_get_id(f->b.sw, &b);
  cmt_ban_init(&ban);
  memcpy(ban.subject, a.text, sizeof a.text);
  assert_cmt(CMT_OK, cmt_switch_ban(f->b.sw, &ban, NULL));
  cmt_dial_options_init(&o);
  assert_cmt(CMT_OK, cmt__switch_dial_at(f->a.sw, &at, &o, &dial, NULL));
  test_loop_run_until_idle(f->w.loop);
  assert_string_equal("rejected outbound node_info CMT_ERESET\n",
                      test_node_log(&f->a));
  assert_string_equal(b.text, f->a.blamed.text);
  assert_string_equal("2", dialed_hosts(f, 0));
  cmt_dial_cancel(dial);
}

/* ---- no node ---- */

static void next_attempt_begins_behind(fixture *f, const char *rejected) {
  is_named(f, "10.0.0.4,10.0.0.2");
  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_dial(&f->a, f->dialed, CMT_DIAL_PERSISTENT);
  assert_string_equal(rejected, news(f));
  assert_string_equal(ADDED, news(f));
  assert_string_equal("4 2", dialed_hosts(f, 0));
}

static void silence_at_the_first_address(void **state) {
  other_listens(*state, NULL);
  next_attempt_begins_behind(*state, "rejected outbound secret_connection "
                                     "CMT_EHANDSHAKE redials\n");
}

static void a_hang_up_at_the_first_address(void **state) {
  other_listens(*state, hang_up);
  next_attempt_begins_behind(*state, "rejected outbound secret_connection "
                                     "CMT_EEOF redials\n");
}

static void another_protocol_at_the_first_address(void **state) {
  other_listens(*state, speak_http);
  next_attempt_begins_behind(*state, "rejected outbound secret_connection "
                                     "CMT_EPROTO redials\n");
}

static void a_dial_of_one_attempt_goes_on_behind_silence(void **state) {
  fixture *f = *state;

  other_listens(f, NULL);
  is_named(f, "10.0.0.4,10.0.0.9,10.0.0.2");
  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_dial(&f->a, f->dialed, 0);
  assert_string_equal(ADDED, news(f));
  assert_string_equal("4 9 2", dialed_hosts(f, 0));
}

static void nothing_but_silence_has_one_outcome(void **state) {
  fixture *f = *state;
  cmt_switch_status st;

  other_listens(f, NULL);
  is_named(f, "10.0.0.4,10.0.0.9");
  test_node_start(&f->a);
  test_node_dial(&f->a, f->dialed, 0);
  assert_string_equal("rejected outbound secret_connection CMT_EHANDSHAKE\n",
                      news(f));
  assert_string_equal("10.0.0.4:26656", f->a.remote);
  st = status_of(&f->a);
  assert_int_equal(1, st.rejected);
  assert_int_equal(0, f->a.sw->session_count);
}

/* ---- what is remembered ---- */

/* The peer goes, and is back from the address that is dialed first. */
static void returns_from(fixture *f, const char *hosts) {
  size_t before = test_loop_conn_count(f->w.loop);

  cmt_peer_stop(test_node_peer(&f->a), CMT_ECANCELED, 0);
  test_loop_run_until_idle(f->w.loop);
  (void)test_node_log(&f->a);
  assert_string_equal(ADDED, news(f));
  assert_string_equal(hosts, dialed_hosts(f, before));
}

static void the_last_good_address_comes_first(void **state) {
  fixture *f = *state;

  is_named(f, "10.0.0.9,10.0.0.3,10.0.0.2,10.0.0.8");
  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_start(&f->c);
  test_node_dial(&f->a, f->dialed, CMT_DIAL_PERSISTENT);
  assert_string_equal(ADDED, news(f));
  assert_string_equal("9 3 2", dialed_hosts(f, 0));
  returns_from(f, "2");
  is_named(f, "10.0.0.3,10.0.0.7,10.0.0.2"); /* In any order of the answers. */
  returns_from(f, "2");
}

static void a_good_address_that_is_no_answer_any_more_is_left(void **state) {
  fixture *f = *state;

  is_named(f, "10.0.0.3,10.0.0.2");
  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_start(&f->c);
  test_node_dial(&f->a, f->dialed, CMT_DIAL_PERSISTENT);
  assert_string_equal(ADDED, test_node_log(&f->a));
  test_node_fini(&f->b);
  test_node_init(&f->b, &f->w);
  f->b.options.key = f->key;
  f->b.options.laddr = "10.0.0.5:26656";
  test_node_start(&f->b);
  is_named(f, "10.0.0.3,10.0.0.5");
  test_loop_run_until_idle(f->w.loop);
  (void)test_node_log(&f->a);
  assert_string_equal(ADDED, news(f));
  assert_string_equal("3 2 3 5", dialed_hosts(f, 0));
}

/* A good address that becomes silent does not stay the first. */
static void a_good_address_that_turned_bad_comes_last(void **state) {
  fixture *f = *state;

  f->b.options.laddr = "10.0.0.4:26656";
  is_named(f, "10.0.0.4,10.0.0.2");
  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_dial(&f->a, f->dialed, CMT_DIAL_PERSISTENT);
  assert_string_equal(ADDED, test_node_log(&f->a));
  test_node_fini(&f->b);
  test_node_init(&f->b, &f->w);
  f->b.options.key = f->key;
  f->b.options.laddr = "10.0.0.2:26656";
  test_node_start(&f->b);
  other_listens(f, NULL);
  test_loop_run_until_idle(f->w.loop);
  (void)test_node_log(&f->a);
  assert_string_equal("rejected outbound secret_connection CMT_EHANDSHAKE "
                      "redials\n",
                      news(f));
  assert_string_equal(ADDED, news(f));
  assert_string_equal("4 4 2", dialed_hosts(f, 0));
}

/* ---- many ---- */

/* An attempt tries eight; the next one begins behind them. */
static void every_address_of_many_has_its_turn(void **state) {
  fixture *f = *state;
  char ips[512] = "";
  size_t attempts = 1;

  f->b.options.laddr = "10.0.0.130:26656";
  for (int i = 100; i <= 130; i++) {
    snprintf(ips + strlen(ips), sizeof ips - strlen(ips), "%s10.0.0.%d",
             i > 100 ? "," : "", i);
  }
  is_named(f, ips);
  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_dial(&f->a, f->dialed, CMT_DIAL_PERSISTENT);
  while (strcmp(ADDED, news(f)) != 0) {
    attempts++;
    assert_true(attempts <= 4);
  }
  assert_int_equal(4, attempts);
  assert_int_equal(31, test_loop_conn_count(f->w.loop));
  returns_from(f, "130");
}

/* Three addresses share the three seconds of the dial; the time of a handshake
   is not of them. */
static void time_is_shared_by_the_addresses(void **state) {
  fixture *f = *state;
  uint64_t begun_ns = cmt__loop_now(test_loop_base(f->w.loop));

  other_listens(f, NULL);
  test_loop_set_connect(f->w.loop, "10.0.0.8:26656", CMT_EAGAIN);
  test_loop_set_connect(f->w.loop, "10.0.0.9:26656", CMT_EAGAIN);
  is_named(f, "10.0.0.8,10.0.0.4,10.0.0.9,10.0.0.2");
  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_dial(&f->a, f->dialed, 0);
  assert_string_equal(ADDED, news(f));
  assert_in_range(cmt__loop_now(test_loop_base(f->w.loop)) - begun_ns,
                  CMT_SECONDS(3), CMT_SECONDS(6));
}

/* ---- without memory ---- */

static bool has_ended(void *arg) {
  fixture *f = arg;

  return f->a.log_len > 0 || f->a.sw->dial_count == 0;
}

static bool fails_at(size_t at) {
  fixture *f = begin();
  cmt_switch_status st;
  bool failed;

  is_named(f, "10.0.0.3,10.0.0.2");
  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_start(&f->c);
  f->w.env.fail_at = f->w.env.allocs + at;
  if (cmt_switch_dial(f->a.sw, f->dialed, 0, NULL) == CMT_OK) {
    test_loop_run_until(f->w.loop, has_ended, f, CMT_SECONDS(60));
    test_loop_run_until_idle(f->w.loop);
    st = status_of(&f->a);
    assert_int_equal(1, st.added + st.rejected);
    assert_int_equal(0, f->a.sw->dial_count);
  }
  failed = f->w.env.allocs > f->w.env.fail_at;
  f->w.env.fail_at = SIZE_MAX;
  end(f);
  return failed;
}

static void any_allocation_may_fail(void **state) {
  size_t at = 0;

  (void)state;
  while (fails_at(at)) {
    at++;
  }
  assert_true(at > 20);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(a_wrong_id_moves_on_within_the_attempt),
    TEST(a_dial_that_is_not_persistent_moves_on_too),
    TEST(wrong_ids_alone_are_one_outcome),
    TEST(the_node_itself_ends_the_attempt),
    TEST(any_node_ends_an_attempt_without_an_id),
    TEST(silence_at_the_first_address),
    TEST(a_hang_up_at_the_first_address),
    TEST(another_protocol_at_the_first_address),
    TEST(a_dial_of_one_attempt_goes_on_behind_silence),
    TEST(nothing_but_silence_has_one_outcome),
    TEST(the_last_good_address_comes_first),
    TEST(a_good_address_that_is_no_answer_any_more_is_left),
    TEST(a_good_address_that_turned_bad_comes_last),
    TEST(every_address_of_many_has_its_turn),
    TEST(time_is_shared_by_the_addresses),
    cmocka_unit_test(any_allocation_may_fail),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
