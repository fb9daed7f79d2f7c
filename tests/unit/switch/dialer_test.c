/* SPDX-License-Identifier: Apache-2.0 */

/* Dials in virtual time: addresses in turn, and persistent peers for ever. */

#include "node.h"

#include <stdio.h>

#define SOME_ID "00112233445566778899aabbccddeeff00112233"

typedef struct fixture {
  test_world w;
  test_node a, b;
  cmt_node_key *key; /* The key of B, whatever becomes of B. */
  cmt_node_id id;
} fixture;

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  test_world_init(&f->w);
  assert_cmt(CMT_OK, cmt_node_key_generate(&f->w.env.env, &f->key));
  cmt_node_key_get_id(f->key, &f->id);
  test_node_init(&f->a, &f->w);
  test_node_init(&f->b, &f->w);
  f->b.options.key = f->key;
  f->b.options.laddr = "10.0.0.2:26656";
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;

  if (f->a.sw != NULL) {
    test_node_fini(&f->a);
  }
  if (f->b.sw != NULL) {
    test_node_fini(&f->b);
  }
  cmt_node_key_delete(f->key);
  test_world_fini(&f->w);
  free(f);
  return 0;
}

/* "ID of B@|host|". */
static const char *b_at(const fixture *f, const char *host) {
  static char addr[CMT_NET_ADDR_TEXT_SIZE];

  snprintf(addr, sizeof addr, "%s@%s", f->id.text, host);
  return addr;
}

static void b_returns(fixture *f, const char *laddr) {
  test_node_init(&f->b, &f->w);
  f->b.options.key = f->key;
  f->b.options.laddr = laddr;
  test_node_start(&f->b);
}

static bool has_line(void *arg) { return ((test_node *)arg)->log_len > 0; }

/* Runs until the log of A has a line; returns how long that took. */
static uint64_t until_news(fixture *f) {
  uint64_t before = cmt__loop_now(test_loop_base(f->w.loop));

  test_loop_run_until(f->w.loop, has_line, &f->a, CMT_SECONDS(30));
  return cmt__loop_now(test_loop_base(f->w.loop)) - before;
}

static void assert_gap(uint64_t gap_ns) {
  assert_in_range(gap_ns, CMT_SECONDS(5), CMT_SECONDS(8));
}

static void addresses_of_a_name_are_tried_in_turn(void **state) {
  fixture *f = *state;

  test_loop_set_host(f->w.loop, "b.test", "10.0.0.8,10.0.0.9,10.0.0.2");
  test_loop_set_connect(f->w.loop, "10.0.0.9:26656", CMT_EUNREACH);
  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_dial(&f->a, b_at(f, "b.test:26656"), 0);
  assert_string_equal("init chat\nadd chat outbound\n", test_node_log(&f->a));
  assert_int_equal(3, test_loop_conn_count(f->w.loop));
}

static void a_silent_address_leaves_time_for_the_next(void **state) {
  fixture *f = *state;

  test_loop_set_host(f->w.loop, "b.test", "10.0.0.8,10.0.0.2");
  test_loop_set_connect(f->w.loop, "10.0.0.8:26656", CMT_EAGAIN);
  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_dial(&f->a, b_at(f, "b.test:26656"), 0);
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(1500));
  assert_string_equal("init chat\nadd chat outbound\n", test_node_log(&f->a));
}

static void the_dial_timeout_holds_for_all_addresses_together(void **state) {
  fixture *f = *state;

  test_loop_set_host(f->w.loop, "b.test", "10.0.0.8,10.0.0.9");
  test_loop_set_connect(f->w.loop, "10.0.0.8:26656", CMT_EAGAIN);
  test_loop_set_connect(f->w.loop, "10.0.0.9:26656", CMT_EAGAIN);
  test_node_start(&f->a);
  test_node_dial(&f->a, b_at(f, "b.test:26656"), 0);
  assert_int_equal(CMT_SECONDS(3), until_news(f));
  assert_string_equal("rejected outbound transport CMT_EDIAL\n",
                      test_node_log(&f->a));
  assert_string_equal("10.0.0.9:26656", f->a.remote);
}

/* In the memory that the switch may use at most. */
static void a_dial_counts_until_it_has_ended(void **state) {
  fixture *f = *state;
  uint64_t before, one;

  test_node_start(&f->a);
  before = cmt_switch_memory_max(f->a.sw);
  assert_cmt(CMT_OK,
             cmt_switch_dial(f->a.sw, b_at(f, "10.0.0.2:26656"), 0, NULL));
  one = cmt_switch_memory_max(f->a.sw) - before;
  assert_true(one > 0);
  (void)until_news(f);
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(before, cmt_switch_memory_max(f->a.sw));
  test_node_dial(&f->a, b_at(f, "10.0.0.2:26656"), CMT_DIAL_PERSISTENT);
  assert_int_equal(before + one, cmt_switch_memory_max(f->a.sw));
}

static void a_persistent_peer_is_redialed_until_it_comes(void **state) {
  fixture *f = *state;

  test_node_start(&f->a);
  test_node_dial(&f->a, b_at(f, "10.0.0.2:26656"), CMT_DIAL_PERSISTENT);
  for (int i = 0; i < 20; i++) {
    assert_string_equal("rejected outbound transport CMT_EREFUSED redials\n",
                        test_node_log(&f->a));
    assert_gap(until_news(f));
  }
  test_node_start(&f->b);
  (void)test_node_log(&f->a);
  assert_gap(until_news(f));
  test_loop_run_until_idle(f->w.loop);
  assert_string_equal("init chat\nadd chat outbound\n", test_node_log(&f->a));
  assert_true(cmt_peer_is_persistent(test_node_peer(&f->a)));
}

static void the_gaps_are_drawn(void **state) {
  fixture *f = *state;
  uint64_t low = CMT_NEVER, high = 0;

  test_node_start(&f->a);
  test_node_dial(&f->a, b_at(f, "10.0.0.2:26656"), CMT_DIAL_PERSISTENT);
  for (int i = 0; i < 50; i++) {
    uint64_t gap;

    (void)test_node_log(&f->a);
    gap = until_news(f);
    low = gap < low ? gap : low;
    high = gap > high ? gap : high;
  }
  assert_in_range(low, CMT_SECONDS(5), CMT_MILLISECONDS(5500));
  assert_in_range(high, CMT_MILLISECONDS(7500), CMT_SECONDS(8));
}

static void a_listener_that_dies_and_returns_elsewhere(void **state) {
  fixture *f = *state;

  test_loop_set_host(f->w.loop, "b.test", "10.0.0.2");
  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_dial(&f->a, b_at(f, "b.test:26656"), CMT_DIAL_PERSISTENT);
  assert_string_equal("init chat\nadd chat outbound\n", test_node_log(&f->a));
  assert_int_equal(1, test_loop_resolves(f->w.loop));
  test_node_fini(&f->b);
  test_loop_run_until_idle(f->w.loop);
  assert_string_equal("remove chat CMT_EEOF\n", test_node_log(&f->a));
  assert_gap(until_news(f));
  assert_string_equal("rejected outbound transport CMT_EREFUSED redials\n",
                      test_node_log(&f->a));
  test_loop_set_host(f->w.loop, "b.test", "10.0.0.3");
  b_returns(f, "10.0.0.3:26656");
  assert_gap(until_news(f));
  test_loop_run_until_idle(f->w.loop);
  assert_string_equal("init chat\nadd chat outbound\n", test_node_log(&f->a));
  assert_int_equal(3, test_loop_resolves(f->w.loop));
}

static void a_peer_that_was_stopped_is_redialed(void **state) {
  fixture *f = *state;

  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_dial(&f->a, b_at(f, "10.0.0.2:26656"), CMT_DIAL_PERSISTENT);
  cmt_peer_stop(test_node_peer(&f->a), CMT_ECANCELED, 0);
  test_loop_run_until_idle(f->w.loop);
  (void)test_node_log(&f->a);
  assert_gap(until_news(f));
  test_loop_run_until_idle(f->w.loop);
  assert_string_equal("init chat\nadd chat outbound\n", test_node_log(&f->a));
}

static void an_inbound_peer_holds_a_persistent_dial_back(void **state) {
  fixture *f = *state;

  test_node_start(&f->a);
  test_node_dial(&f->a, b_at(f, "10.0.0.2:26656"), CMT_DIAL_PERSISTENT);
  test_node_start(&f->b);
  test_node_dial(&f->b, f->a.addr, 0);
  assert_string_equal("rejected outbound transport CMT_EREFUSED redials\n"
                      "init chat\nadd chat inbound\n",
                      test_node_log(&f->a));
  test_loop_advance(f->w.loop, CMT_SECONDS(50));
  assert_string_equal("", test_node_log(&f->a)); /* No rejection, no dial. */
  assert_int_equal(2, test_loop_conn_count(f->w.loop));
  cmt_peer_stop(test_node_peer(&f->b), CMT_ECANCELED, 0);
  test_loop_run_until_idle(f->w.loop);
  assert_string_equal("remove chat CMT_EEOF\n", test_node_log(&f->a));
  assert_gap(until_news(f));
  test_loop_run_until_idle(f->w.loop);
  assert_string_equal("init chat\nadd chat outbound\n", test_node_log(&f->a));
}

static void a_persistent_dial_of_a_peer_waits_for_its_end(void **state) {
  fixture *f = *state;

  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_dial(&f->b, f->a.addr, 0);
  (void)test_node_log(&f->a);
  test_node_dial(&f->a, b_at(f, "10.0.0.2:26656"), CMT_DIAL_PERSISTENT);
  assert_string_equal("rejected outbound filter CMT_EDUPLICATE redials\n",
                      test_node_log(&f->a));
  test_loop_advance(f->w.loop, CMT_SECONDS(50));
  assert_string_equal("", test_node_log(&f->a));
  cmt_peer_stop(test_node_peer(&f->b), CMT_ECANCELED, 0);
  test_loop_run_until_idle(f->w.loop);
  (void)test_node_log(&f->a);
  assert_gap(until_news(f));
}

static void the_gap_begins_with_the_end_of_the_peer(void **state) {
  fixture *f = *state;

  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_dial(&f->b, f->a.addr, 0);
  test_node_dial(&f->a, b_at(f, "10.0.0.2:26656"), CMT_DIAL_PERSISTENT);
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(4900));
  cmt_peer_stop(test_node_peer(&f->b), CMT_ECANCELED, 0);
  test_loop_run_until_idle(f->w.loop);
  (void)test_node_log(&f->a);
  assert_gap(until_news(f));
}

static void one_address_is_kept_once(void **state) {
  fixture *f = *state;

  test_node_start(&f->a);
  test_node_dial(&f->a, b_at(f, "10.0.0.2:26656"), CMT_DIAL_PERSISTENT);
  for (int i = 0; i < 5; i++) {
    assert_cmt(CMT_EDUPLICATE,
               cmt_switch_dial(f->a.sw, b_at(f, "10.0.0.2:26656"),
                               CMT_DIAL_PERSISTENT, NULL));
  }
  assert_string_equal("rejected outbound transport CMT_EREFUSED redials\n",
                      test_node_log(&f->a));
  assert_int_equal(1, f->a.sw->dial_count);
}

static void a_wrong_id_is_redialed_too(void **state) {
  fixture *f = *state;

  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_dial(&f->a, SOME_ID "@10.0.0.2:26656", CMT_DIAL_PERSISTENT);
  assert_string_equal("rejected outbound secret_connection CMT_EWRONGID "
                      "redials\n",
                      test_node_log(&f->a));
  assert_gap(until_news(f));
}

static cmt_node_id in_capitals(const cmt_node_id *id) {
  cmt_node_id out = *id;

  for (char *c = out.text; *c != '\0'; c++) {
    *c = *c >= 'a' && *c <= 'f' ? (char)(*c - 'a' + 'A') : *c;
  }
  return out;
}

static void an_id_in_capitals_is_the_same_node(void **state) {
  fixture *f = *state;
  cmt_node_id capitals = in_capitals(&f->id);
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  cmt_peer *p;

  test_node_start(&f->a);
  test_node_start(&f->b);
  snprintf(addr, sizeof addr, "%s@10.0.0.2:26656", capitals.text);
  test_node_dial(&f->a, addr, CMT_DIAL_PERSISTENT);
  assert_string_equal("init chat\nadd chat outbound\n", test_node_log(&f->a));
  p = cmt_switch_peer(f->a.sw, &capitals);
  assert_non_null(p);
  assert_string_equal(f->id.text, cmt_peer_id(p)->text);
  cmt_peer_unref(p);
  assert_cmt(CMT_EDUPLICATE, cmt_switch_dial(f->a.sw, b_at(f, "10.0.0.2:26656"),
                                             CMT_DIAL_PERSISTENT, NULL));
  cmt_peer_stop(test_node_peer(&f->a), CMT_ECANCELED, 0);
  test_loop_run_until_idle(f->w.loop);
  (void)test_node_log(&f->a);
  assert_gap(until_news(f));
}

static void two_spellings_of_an_id_are_dialed_one_at_a_time(void **state) {
  fixture *f = *state;
  cmt_node_id capitals = in_capitals(&f->id);
  char addr[CMT_NET_ADDR_TEXT_SIZE];

  test_loop_set_connect(f->w.loop, "10.0.0.2:26656", CMT_EAGAIN);
  test_node_start(&f->a);
  snprintf(addr, sizeof addr, "%s@10.0.0.2:26656", capitals.text);
  test_node_dial(&f->a, addr, 0);
  test_node_dial(&f->a, b_at(f, "10.0.0.3:26656"), 0);
  assert_string_equal("rejected outbound filter CMT_EDUPLICATE\n",
                      test_node_log(&f->a));
  assert_string_equal(b_at(f, "10.0.0.3:26656"), f->a.dialed);
}

static void dials_before_the_start_wait_for_it(void **state) {
  fixture *f = *state;

  test_node_start(&f->b);
  assert_cmt(CMT_OK, test_node_new(&f->a, NULL));
  assert_cmt(CMT_OK, cmt_switch_dial(f->a.sw, f->b.addr, 0, NULL));
  test_loop_run_until_idle(f->w.loop);
  assert_string_equal("", test_node_log(&f->a));
  assert_cmt(CMT_OK, cmt_switch_start(f->a.sw, NULL));
  test_loop_run_until_idle(f->w.loop);
  assert_string_equal("start chat\ninit chat\nadd chat outbound\n",
                      test_node_log(&f->a));
}

static void what_is_no_address_is_refused_at_once(void **state) {
  fixture *f = *state;

  test_node_start(&f->a);
  assert_cmt(CMT_EINVAL, cmt_switch_dial(f->a.sw, "10.0.0.2:26656", 0, NULL));
  assert_cmt(CMT_EINVAL, cmt_switch_dial(f->a.sw, "nonsense", 0, NULL));
  assert_cmt(CMT_EINVAL, cmt_switch_dial(f->a.sw, SOME_ID "@host", 0, NULL));
}

static void a_stop_leaves_no_dial(void **state) {
  fixture *f = *state;

  test_node_start(&f->a);
  test_node_dial(&f->a, b_at(f, "10.0.0.2:26656"), CMT_DIAL_PERSISTENT);
  (void)test_node_log(&f->a);
  cmt_switch_stop(f->a.sw, 0);
  test_loop_run_until_idle(f->w.loop);
  assert_string_equal("stop chat\n", test_node_log(&f->a));
  assert_true(cmt__loop_next_timer(test_loop_base(f->w.loop)) == CMT_NEVER);
}

/* An iteration before that of the answer, for which the loop was too busy. */
typedef struct busy {
  cmt__task task;
  cmt__loop *loop;
} busy;

static void on_busy(cmt__task *t) {
  ((busy *)t)->loop->now_ns += CMT_SECONDS(3);
}

static void an_answer_at_the_end_of_the_time_is_too_late(void **state) {
  fixture *f = *state;
  busy b = {.task = {.cb = on_busy}, .loop = test_loop_base(f->w.loop)};

  test_loop_set_host(f->w.loop, "b.example", "10.0.0.2");
  test_node_start(&f->a);
  cmt__loop_defer(b.loop, &b.task);
  test_node_dial(&f->a, b_at(f, "b.example:26656"), 0);
  assert_string_equal("rejected outbound transport CMT_EDIAL\n",
                      test_node_log(&f->a));
  assert_string_equal(
    "cannot resolve b.example: no answer within the dial timeout",
    f->a.why.text);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(addresses_of_a_name_are_tried_in_turn),
    TEST(a_silent_address_leaves_time_for_the_next),
    TEST(the_dial_timeout_holds_for_all_addresses_together),
    TEST(a_dial_counts_until_it_has_ended),
    TEST(a_persistent_peer_is_redialed_until_it_comes),
    TEST(the_gaps_are_drawn),
    TEST(a_listener_that_dies_and_returns_elsewhere),
    TEST(a_peer_that_was_stopped_is_redialed),
    TEST(an_inbound_peer_holds_a_persistent_dial_back),
    TEST(a_persistent_dial_of_a_peer_waits_for_its_end),
    TEST(the_gap_begins_with_the_end_of_the_peer),
    TEST(one_address_is_kept_once),
    TEST(a_wrong_id_is_redialed_too),
    TEST(an_id_in_capitals_is_the_same_node),
    TEST(two_spellings_of_an_id_are_dialed_one_at_a_time),
    TEST(dials_before_the_start_wait_for_it),
    TEST(what_is_no_address_is_refused_at_once),
    TEST(a_stop_leaves_no_dial),
    TEST(an_answer_at_the_end_of_the_time_is_too_late),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
