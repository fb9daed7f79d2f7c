/* SPDX-License-Identifier: Apache-2.0 */

/* What a link does while it does not read by its own choice, in virtual time:
   the other side is the same program, and ends a peer that leaves its ping
   unanswered as CometBFT does. */

#include "node.h"
#include "marks.h"

#include <stdio.h>

enum { FRAME = 1044 };

static int setup(void **state) {
  test_trio *t;

  test_trio_setup(state);
  t = *state;
  t->a.parts[0].channels[0].send_queue = 100;
  t->b.parts[0].channels[0].recv_queue = 2;
  return 0;
}

/* A mailbox must be emptied for its switch to end. */
static int teardown(void **state) {
  test_trio *t = *state;
  cmt_mailbox_event ev;

  if (t->b.sw != NULL && t->b.parts[0].delivery == CMT_DELIVER_MAILBOX) {
    cmt_mailbox *m = cmt_switch_mailbox(t->b.sw, "chat");

    cmt_switch_stop(t->b.sw, 0);
    test_loop_run_until_idle(t->w.loop);
    while (cmt_mailbox_next(m, &ev, 0) == CMT_OK) {
      cmt_mailbox_done(m, &ev);
      test_loop_run_until_idle(t->w.loop);
    }
  }
  return test_trio_teardown(state);
}

static void advance_s(test_trio *t, uint64_t seconds) {
  test_loop_advance(t->w.loop, CMT_SECONDS(seconds));
}

/* Bytes that b has written. */
static uint64_t written(test_trio *t) {
  return test_loop_conn(t->w.loop, 0)->dir[TEST_ACCEPTOR].written;
}

static void pause_b(test_trio *t) {
  cmt_peer_pause(test_node_peer(&t->b));
  test_loop_run_until_idle(t->w.loop);
}

static void resume_b(test_trio *t) {
  cmt_peer_resume(test_node_peer(&t->b));
  test_loop_run_until_idle(t->w.loop);
}

/* Fills the queue of the mailbox of b. */
static void fill_b(test_trio *t) {
  t->b.parts[0].delivery = CMT_DELIVER_MAILBOX;
  test_node_start(&t->b);
  test_node_start(&t->a);
  test_node_dial(&t->a, t->b.addr, 0);
  for (int i = 0; i < 3; i++) {
    assert_cmt(CMT_OK, test_node_send(&t->a, TEST_CHAT, "x"));
    test_loop_run_until_idle(t->w.loop);
  }
  assert_true(test_node_peer(&t->b)->link->blocked);
  (void)test_node_log(&t->a);
  (void)test_node_log(&t->b);
}

/* ---- (a) it goes on sending ---- */

static void it_goes_on_sending(void **state) {
  test_trio *t = *state;

  test_pair(&t->w, &t->a, &t->b);
  pause_b(t);
  advance_s(t, 120);
  assert_cmt(CMT_OK, test_node_send(&t->b, TEST_CHAT, "one"));
  test_loop_run_until_idle(t->w.loop);
  assert_string_equal("receive chat 51 one\n", test_node_log(&t->a));
}

/* ---- (b) unsolicited pongs ---- */

static void a_pong_goes_out_every_third_of_the_timeout(void **state) {
  test_trio *t = *state;
  uint64_t before;

  t->b.options.ping_interval_ns = CMT_NEVER;
  test_pair(&t->w, &t->a, &t->b);
  advance_s(t, 7);
  pause_b(t);
  before = written(t);
  test_loop_advance(t->w.loop, CMT_SECONDS(15) - 1);
  assert_int_equal(before, written(t));
  for (uint64_t i = 1; i <= 20; i++) {
    test_loop_advance(t->w.loop, 1);
    assert_int_equal(before + i * FRAME, written(t));
    test_loop_advance(t->w.loop, CMT_SECONDS(15) - 1);
    assert_int_equal(before + i * FRAME, written(t));
  }
  resume_b(t);
  before = written(t); /* The pings that lay there have their one pong. */
  advance_s(t, 16);
  assert_int_equal(before, written(t));
}

static void the_other_side_does_not_give_up(void **state) {
  test_trio *t = *state;

  t->a.options.ping_interval_ns = CMT_SECONDS(46);
  test_pair(&t->w, &t->a, &t->b);
  pause_b(t);
  advance_s(t, 590);
  assert_string_equal("", test_node_log(&t->a));
  assert_cmt(CMT_OK, test_node_send(&t->a, TEST_CHAT, "one"));
  resume_b(t);
  assert_string_equal("receive chat 51 one\n", test_node_log(&t->b));
  advance_s(t, 200);
  assert_string_equal("", test_node_log(&t->a));
  assert_string_equal("", test_node_log(&t->b));
}

static void a_full_queue_sends_them_too(void **state) {
  test_trio *t = *state;

  fill_b(t);
  advance_s(t, 590);
  assert_string_equal("", test_node_log(&t->a));
  assert_int_equal(1, cmt_switch_peers(t->b.sw, NULL, 0));
}

static void the_legacy_profile_has_them_too(void **state) {
  test_trio *t = *state;

  t->a.options.wire = CMT_WIRE_LEGACY;
  t->b.options.wire = CMT_WIRE_LEGACY;
  test_pair(&t->w, &t->a, &t->b);
  pause_b(t);
  advance_s(t, 590);
  assert_string_equal("", test_node_log(&t->a));
  assert_string_equal("", test_node_log(&t->b));
}

/* ---- (c) time that does not count ---- */

static void the_own_pong_timeout_does_not_run(void **state) {
  test_trio *t = *state;

  test_pair(&t->w, &t->a, &t->b);
  advance_s(t, 59);
  pause_b(t); /* The pong to the ping at 60 s is not read. */
  advance_s(t, 500);
  resume_b(t);
  advance_s(t, 100);
  assert_string_equal("", test_node_log(&t->b));
}

static void the_time_of_a_partial_message_does_not_run(void **state) {
  test_trio *t = *state;
  test_dir *d;
  static uint8_t bytes[30000];

  memset(bytes, 'x', sizeof bytes);
  test_pair(&t->w, &t->a, &t->b);
  d = &test_loop_conn(t->w.loop, 0)->dir[TEST_DIALER];
  d->cap = 12000;
  d->read_max = 5000;
  assert_cmt(CMT_OK, cmt_peer_try_send_bytes(test_node_peer(&t->a), TEST_CHAT,
                                             bytes, sizeof bytes));
  test_loop_step(t->w.loop);
  test_loop_step(t->w.loop);
  pause_b(t);
  advance_s(t, 500);
  assert_string_equal("", test_node_log(&t->b));
  resume_b(t);
  advance_s(t, 1);
  assert_memory_equal("receive chat 51 xxx", test_node_log(&t->b), 19);
}

/* ---- (d) the end of it ---- */

static void a_pause_of_ten_minutes_ends_the_peer(void **state) {
  test_trio *t = *state;
  cmt_peer *p;
  cmt_why why;
  uint64_t before = test_mark("stall_timeout");

  test_pair(&t->w, &t->a, &t->b);
  p = cmt_peer_ref(test_node_peer(&t->b));
  pause_b(t);
  test_loop_advance(t->w.loop, CMT_SECONDS(600) - 1);
  assert_string_equal("", test_node_log(&t->b));
  test_loop_advance(t->w.loop, 1);
  assert_string_equal("remove chat CMT_ESTALLED\n", test_node_log(&t->b));
  cmt_peer_get_why(p, &why);
  assert_string_equal("nothing was read for 600 s: the application paused the "
                      "peer",
                      why.text);
  assert_int_equal(CMT_CLASS_LOCAL, cmt_err_class_of(why.err));
  cmt_peer_unref(p);
  assert_mark("stall_timeout", before, 1);
}

static void a_resume_begins_it_anew(void **state) {
  test_trio *t = *state;

  test_pair(&t->w, &t->a, &t->b);
  for (int i = 0; i < 3; i++) {
    pause_b(t);
    advance_s(t, 599);
    resume_b(t);
    pause_b(t);
    cmt_peer_pause(test_node_peer(&t->b)); /* Counted, one is enough. */
    advance_s(t, 599);
    resume_b(t);
    resume_b(t);
  }
  assert_string_equal("", test_node_log(&t->b));
}

static void a_queue_that_stays_full_ends_the_peer(void **state) {
  test_trio *t = *state;
  cmt_mailbox *m;
  cmt_mailbox_event ev;
  cmt_why why;

  t->b.options.stall_max_ns = CMT_SECONDS(100);
  fill_b(t);
  m = cmt_switch_mailbox(t->b.sw, "chat");
  advance_s(t, 100);
  for (int i = 0; i < 3; i++) { /* The queue has room for two messages. */
    assert_cmt(CMT_OK, cmt_mailbox_next(m, &ev, 0));
    assert_int_equal(i == 0 ? CMT_EVENT_PEER_UP : CMT_EVENT_MESSAGE, ev.kind);
    cmt_mailbox_done(m, &ev);
  }
  assert_cmt(CMT_OK, cmt_mailbox_next(m, &ev, 0));
  assert_int_equal(CMT_EVENT_PEER_GONE, ev.kind);
  assert_cmt(CMT_ESTALLED, ev.reason);
  cmt_peer_get_why(ev.peer, &why);
  assert_string_equal("nothing was read for 100 s: a reactor's queue is full",
                      why.text);
  cmt_mailbox_done(m, &ev);
}

static void it_can_be_switched_off(void **state) {
  test_trio *t = *state;

  t->b.options.stall_max_ns = CMT_NEVER;
  test_pair(&t->w, &t->a, &t->b);
  pause_b(t);
  advance_s(t, 10000);
  assert_string_equal("", test_node_log(&t->b));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(it_goes_on_sending),
    TEST(a_pong_goes_out_every_third_of_the_timeout),
    TEST(the_other_side_does_not_give_up),
    TEST(a_full_queue_sends_them_too),
    TEST(the_legacy_profile_has_them_too),
    TEST(the_own_pong_timeout_does_not_run),
    TEST(the_time_of_a_partial_message_does_not_run),
    TEST(a_pause_of_ten_minutes_ends_the_peer),
    TEST(a_resume_begins_it_anew),
    TEST(a_queue_that_stays_full_ends_the_peer),
    TEST(it_can_be_switched_off),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
