/* SPDX-License-Identifier: Apache-2.0 */

/* The second connection of a node id, in virtual time: what becomes of it, and
   of the first.  Those of two nodes that dial each other are in
   standby_both_test.c. */

#include "standby_user.h"
#include "marks.h"

#include <stdio.h>

/* ---- two in the same direction ---- */

static void a_first_that_answers_stays(void **state) {
  standby_user *f = *state;
  char text[128];
  uint64_t before = test_mark("newcomer_gives_way");

  standby_second_dials(f);
  standby_advance_ms(f, 999);
  assert_string_equal("", test_node_log(&f->b));
  standby_advance_ms(f, 1);
  assert_string_equal("rejected inbound filter CMT_EDUPLICATE\n",
                      test_node_log(&f->b));
  snprintf(text, sizeof text, "another connection with node %s stays",
           cmt_peer_id(test_node_peer(&f->b))->text);
  assert_string_equal(text, f->b.why.text);
  assert_string_equal("remove chat CMT_EEOF\n", test_node_log(&f->c));
  assert_int_equal(0, standby_handshakes(&f->b));
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "still here"));
  standby_run_until_idle(f);
  assert_string_equal("receive chat 51 still here\n", test_node_log(&f->b));
  assert_mark("newcomer_gives_way", before, 1);
}

static void a_silent_first_is_replaced_after_three_seconds(void **state) {
  standby_user *f = *state;
  uint64_t before = test_mark("first_gives_way");

  standby_first_is_there(f);
  standby_go_silent(f, 0, true);
  test_node_start(&f->c);
  test_node_dial(&f->c, f->b.addr, 0);
  assert_cmt(CMT_OK, test_node_send(&f->c, TEST_CHAT, "I am back"));
  standby_advance_ms(f, 2999);
  assert_string_equal("", test_node_log(&f->b));
  standby_advance_ms(f, 1);
  assert_string_equal("remove chat CMT_EDUPLICATE\n"
                      "init chat\nadd chat inbound\n"
                      "receive chat 51 I am back\n",
                      test_node_log(&f->b));
  assert_int_equal(0, standby_handshakes(&f->b));
  standby_go_silent(f, 0, false);
  standby_advance_ms(f, 1000);
  assert_string_equal("remove chat CMT_EEOF\n", test_node_log(&f->a));
  assert_string_equal("", test_node_log(&f->b));
  assert_mark("first_gives_way", before, 1);
}

static void an_answer_within_three_seconds_is_enough(void **state) {
  standby_user *f = *state;

  standby_first_is_there(f);
  standby_go_silent(f, 0, true);
  test_node_start(&f->c);
  test_node_dial(&f->c, f->b.addr, 0);
  standby_advance_ms(f, 2999);
  assert_string_equal("", test_node_log(&f->b));
  standby_go_silent(f, 0, false);
  standby_run_until_idle(f);
  standby_advance_ms(f, 1);
  assert_string_equal("rejected inbound filter CMT_EDUPLICATE\n",
                      test_node_log(&f->b));
}

static void an_answer_is_seen_soon(void **state) {
  standby_user *f = *state;

  standby_first_is_there(f);
  standby_go_silent(f, 0, true);
  test_node_start(&f->c);
  test_node_dial(&f->c, f->b.addr, 0);
  standby_advance_ms(f, 1501);
  standby_go_silent(f, 0, false);
  standby_advance_ms(f, 248);
  assert_string_equal("", test_node_log(&f->b));
  standby_advance_ms(f, 1);
  assert_string_equal("rejected inbound filter CMT_EDUPLICATE\n",
                      test_node_log(&f->b));
}

static void pause_peer(test_part *part, cmt_peer *p) {
  (void)part;
  cmt_peer_pause(p);
}

static void a_first_that_we_do_not_read_is_not_called_silent(void **state) {
  standby_user *f = *state;

  f->b.parts[0].on_add = pause_peer;
  standby_second_dials(f);
  standby_advance_ms(f, 3000);
  assert_string_equal("rejected inbound filter CMT_EDUPLICATE\n",
                      test_node_log(&f->b));
  cmt_peer_resume(test_node_peer(&f->b));
}

static void a_loop_that_is_always_late_decides_all_the_same(void **state) {
  standby_user *f = *state;

  standby_first_is_there(f);
  standby_go_silent(f, 0, true);
  test_node_start(&f->c);
  test_node_dial(&f->c, f->b.addr, 0);
  for (int i = 0; i < 20; i++) { /* Ten seconds. */
    test_loop_pass(f->w.loop, CMT_MILLISECONDS(500));
    standby_run_until_idle(f);
  }
  assert_string_equal("remove chat CMT_EDUPLICATE\n"
                      "init chat\nadd chat inbound\n",
                      test_node_log(&f->b));
}

static void one_look_that_is_late_does_not_count(void **state) {
  standby_user *f = *state;

  standby_first_is_there(f);
  standby_go_silent(f, 0, true);
  test_node_start(&f->c);
  test_node_dial(&f->c, f->b.addr, 0);
  standby_advance_ms(f, 2800);
  test_loop_pass(f->w.loop, CMT_SECONDS(5));
  standby_run_until_idle(f);
  assert_string_equal("", test_node_log(&f->b));
  standby_go_silent(f, 0, false);
  standby_run_until_idle(f);
  standby_advance_ms(f, 250);
  assert_string_equal("rejected inbound filter CMT_EDUPLICATE\n",
                      test_node_log(&f->b));
}

static void a_look_is_late_by_a_quarter_of_a_second(void **state) {
  for (int late = 0; late < 2; late++) {
    standby_user *f = *state;

    standby_first_is_there(f);
    standby_go_silent(f, 0, true);
    test_node_start(&f->c);
    test_node_dial(&f->c, f->b.addr, 0);
    standby_advance_ms(f, 2999); /* The last look is due at 3000. */
    test_loop_pass(f->w.loop, CMT_MILLISECONDS(251) - (late == 0));
    standby_run_until_idle(f);
    if (late == 1) {
      assert_string_equal("", test_node_log(&f->b));
      standby_advance_ms(f, 249);
      assert_string_equal("", test_node_log(&f->b));
      standby_advance_ms(f, 1);
    }
    assert_string_equal("remove chat CMT_EDUPLICATE\n"
                        "init chat\nadd chat inbound\n",
                        test_node_log(&f->b));
    standby_go_silent(f, 0, false);
    standby_teardown(state);
    standby_setup(state);
  }
}

/* ---- ends ---- */

static void the_end_of_the_first_makes_the_second_the_peer(void **state) {
  standby_user *f = *state;
  uint64_t before = test_mark("standby_promoted");

  standby_second_dials(f);
  assert_cmt(CMT_OK, test_node_send(&f->c, TEST_CHAT, "early"));
  standby_run_until_idle(f);
  assert_string_equal("", test_node_log(&f->b));
  test_node_fini(&f->a);
  standby_run_until_idle(f);
  assert_string_equal("remove chat CMT_EEOF\n"
                      "init chat\nadd chat inbound\nreceive chat 51 early\n",
                      test_node_log(&f->b));
  assert_cmt(CMT_OK, test_node_send(&f->c, TEST_CHAT, "later"));
  standby_run_until_idle(f);
  assert_string_equal("receive chat 51 later\n", test_node_log(&f->b));
  standby_advance_ms(f, 5000); /* Its timer went with the wait. */
  assert_string_equal("", test_node_log(&f->b));
  assert_mark("standby_promoted", before, 1);
}

static void a_second_that_ends_by_itself_has_its_own_error(void **state) {
  standby_user *f = *state;

  standby_second_dials(f);
  test_node_fini(&f->c);
  standby_run_until_idle(f);
  assert_string_equal("rejected inbound filter CMT_EEOF\n",
                      test_node_log(&f->b));
  assert_int_equal(0, standby_handshakes(&f->b));
  standby_advance_ms(f, 5000);
  assert_string_equal("", test_node_log(&f->b));
}

static void a_second_that_is_reset_has_its_own_error(void **state) {
  standby_user *f = *state;

  standby_second_dials(f);
  test_conn_cut(test_loop_conn(f->w.loop, 1));
  standby_run_until_idle(f);
  assert_string_equal("rejected inbound filter CMT_ERESET\n",
                      test_node_log(&f->b));
}

/* The last words of the second came with its end. */
static void second_reports_farewell(standby_user *f) {
  standby_second_dials(f);
  assert_cmt(CMT_OK, test_node_send(&f->c, TEST_CHAT, "farewell"));
  cmt_peer_stop(test_node_peer(&f->c), CMT_ECANCELED, CMT_SECONDS(1));
  standby_run_until_idle(f);
  assert_string_equal("", test_node_log(&f->b));
}

static void last_words_of_a_second_wait_for_the_first(void **state) {
  standby_user *f = *state;

  second_reports_farewell(f);
  cmt_peer_stop(test_node_peer(&f->a), CMT_ECANCELED, 0);
  standby_run_until_idle(f);
  assert_string_equal("remove chat CMT_EEOF\ninit chat\nadd chat inbound\n"
                      "receive chat 51 farewell\nremove chat CMT_EEOF\n",
                      test_node_log(&f->b));
}

static void a_second_that_has_ended_replaces_nobody(void **state) {
  standby_user *f = *state;

  standby_first_is_there(f);
  standby_go_silent(f, 0, true);
  test_node_start(&f->c);
  test_node_dial(&f->c, f->b.addr, 0);
  assert_cmt(CMT_OK, test_node_send(&f->c, TEST_CHAT, "farewell"));
  cmt_peer_stop(test_node_peer(&f->c), CMT_ECANCELED, CMT_SECONDS(1));
  standby_advance_ms(f, 999);
  assert_string_equal("", test_node_log(&f->b));
  standby_advance_ms(f, 1);
  assert_string_equal("rejected inbound filter CMT_EEOF\n",
                      test_node_log(&f->b));
  standby_go_silent(f, 0, false);
}

static void a_third_is_refused_at_once(void **state) {
  standby_user *f = *state;
  test_node d;

  standby_second_dials(f);
  standby_advance_ms(f, 100);
  test_node_init(&d, &f->w);
  d.options.key = f->small;
  test_node_start(&d);
  test_node_dial(&d, f->b.addr, 0);
  assert_string_equal("rejected inbound filter CMT_EDUPLICATE\n",
                      test_node_log(&f->b));
  assert_int_equal(1, standby_handshakes(&f->b));
  /* It sees our node info, and then the end. */
  assert_string_equal("init chat\nadd chat outbound\nremove chat CMT_EEOF\n",
                      test_node_log(&d));
  test_node_fini(&d);
}

/* |d| dials B, which has not yet read its node info, the last of the
   handshake. */
static void refused_dials(standby_user *f, test_node *d, test_conn **conn) {
  size_t count = test_loop_conn_count(f->w.loop);

  assert_cmt(CMT_OK, cmt_switch_dial(d->sw, f->b.addr, 0, NULL));
  while (test_loop_conn_count(f->w.loop) == count) {
    test_loop_step(f->w.loop);
  }
  *conn = test_loop_conn(f->w.loop, count);
  while ((*conn)->dir[TEST_ACCEPTOR].written < 35 + 1044) {
    test_loop_step(f->w.loop);
  }
  (*conn)->dir[TEST_DIALER].stalled = true;
  standby_run_until_idle(f);
}

/* A connection that is refused gets what the socket accepts at once: all of our
   node info and then the end, or it is cut. */
static void one_that_is_refused_gets_no_part_of_a_farewell(void **state) {
  static const struct {
    size_t cap;
    bool fails, stays;
  } rows[] = {
    {SIZE_MAX, false, true}, /* Until the other side has closed. */
    {0, false, false},
    {100, false, false},
    {SIZE_MAX, true, false},
  };
  standby_user *f = *state;

  standby_second_dials(f);
  standby_advance_ms(f, 100);
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    test_conn *conn;
    test_node d;

    test_node_init(&d, &f->w);
    d.options.key = f->small;
    test_node_start(&d);
    refused_dials(f, &d, &conn);
    conn->dir[TEST_ACCEPTOR].cap = rows[i].cap;
    if (rows[i].fails) {
      test_loop_fail(f->w.loop, TEST_CALL_WRITE,
                     test_loop_calls(f->w.loop, TEST_CALL_WRITE), CMT_EIO);
    }
    conn->dir[TEST_DIALER].stalled = false;
    test_loop_step(f->w.loop);
    assert_string_equal("rejected inbound filter CMT_EDUPLICATE\n",
                        test_node_log(&f->b));
    assert_int_equal(rows[i].stays, conn->open[TEST_ACCEPTOR]);
    test_node_fini(&d);
  }
}

static void a_first_that_stops_is_waited_for(void **state) {
  standby_user *f = *state;

  standby_second_dials(f);
  standby_go_silent(f, 0, true);
  test_loop_conn(f->w.loop, 0)->dir[TEST_ACCEPTOR].cap = 0;
  assert_cmt(CMT_OK, cmt_peer_try_send_bytes(test_node_peer(&f->b), TEST_CHAT,
                                             "never", 5));
  cmt_peer_stop(test_node_peer(&f->b), CMT_ECANCELED, CMT_SECONDS(9));
  standby_advance_ms(f, 8999);
  assert_string_equal("", test_node_log(&f->b));
  standby_advance_ms(f, 1);
  assert_string_equal("remove chat CMT_ECANCELED\n"
                      "init chat\nadd chat inbound\n",
                      test_node_log(&f->b));
  standby_go_silent(f, 0, false);
}

int main(void) {
#define TEST(name)                                                             \
  cmocka_unit_test_setup_teardown(name, standby_setup, standby_teardown)
  const struct CMUnitTest tests[] = {
    TEST(a_first_that_answers_stays),
    TEST(a_silent_first_is_replaced_after_three_seconds),
    TEST(an_answer_within_three_seconds_is_enough),
    TEST(an_answer_is_seen_soon),
    TEST(a_first_that_we_do_not_read_is_not_called_silent),
    TEST(a_loop_that_is_always_late_decides_all_the_same),
    TEST(one_look_that_is_late_does_not_count),
    TEST(a_look_is_late_by_a_quarter_of_a_second),
    TEST(the_end_of_the_first_makes_the_second_the_peer),
    TEST(a_second_that_ends_by_itself_has_its_own_error),
    TEST(a_second_that_is_reset_has_its_own_error),
    TEST(last_words_of_a_second_wait_for_the_first),
    TEST(a_second_that_has_ended_replaces_nobody),
    TEST(a_third_is_refused_at_once),
    TEST(one_that_is_refused_gets_no_part_of_a_farewell),
    TEST(a_first_that_stops_is_waited_for),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
