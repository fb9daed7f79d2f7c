/* SPDX-License-Identifier: Apache-2.0 */

/* What may happen to a peer that is on its way between two loops, or about to
   be: above all its end. */

#include "loops_pair.h"
#include "marks.h"

enum { MOVE_STEPS = 12 };

/* ---- ends, at any moment ---- */

typedef enum ending {
  STOP_OF_THE_SWITCH,
  STOP_OF_THE_PEER,
  GRACEFUL_STOP,
  END_OF_FILE,
  RESET,
  ENDINGS,
} ending;

/* How |a| ends it. */
static void end_it(fixture *f, ending how) {
  cmt_peer *p = NULL;

  switch (how) {
  case STOP_OF_THE_SWITCH:
    cmt_switch_stop(f->a.sw, draw(f, 2) * CMT_SECONDS(1));
    break;
  case STOP_OF_THE_PEER:
  case GRACEFUL_STOP:
    if (cmt_switch_peers(f->a.sw, &p, 1) > 0) {
      cmt_peer_stop(p, CMT_ECANCELED,
                    how == GRACEFUL_STOP ? CMT_SECONDS(30) : 0);
      cmt_peer_unref(p);
    }
    break;
  case END_OF_FILE:
    cmt_switch_stop(f->b.sw, 0);
    break;
  case RESET:
    test_conn_cut(test_loop_conn(f->w.loop, 0));
    break;
  case ENDINGS:
    break;
  }
}

static void a_graceful_stop_lost_nothing(const fixture *f, ending how) {
  if (how == GRACEFUL_STOP && f->a.sw->status.removed == 1) {
    assert_int_equal(f->sent[1], f->received[1]);
  }
}

static void run_ending(ending how, unsigned steps) {
  fixture *f = fixture_new(2 + running % 2);

  prepare_numbers(f, running * 100 + steps);
  assert_cmt(CMT_OK, cmt_switch_dial(f->a.sw, f->b.addr, 0, NULL));
  while (cmt_switch_peers(f->a.sw, NULL, 0) == 0) {
    test_loop_step(f->w.loop);
  }
  for (unsigned i = 0; i < steps; i++) {
    send_number(f, draw(f, 2) == 0 ? &f->a : &f->b);
    test_loop_step(f->w.loop);
  }
  end_it(f, how);
  send_number(f, &f->b);
  run_until_idle(f);
  if (how == STOP_OF_THE_SWITCH) {
    test_loop_advance(f->w.loop, CMT_SECONDS(1));
    assert_true(cmt__switch_is_finished(f->a.sw));
  }
  a_graceful_stop_lost_nothing(f, how);
  assert_int_equal(0, cmt_switch_peers(f->a.sw, NULL, 0));
  cmt_switch_stop(f->a.sw, 0);
  cmt_switch_stop(f->b.sw, 0);
  run_until_idle(f);
  assert_int_equal(f->asked, f->answered);
  assert_balanced(&f->a);
  assert_balanced(&f->b);
  fixture_delete(f);
}

static void it_may_end_at_any_moment(void **state) {
  uint64_t before = test_mark("ended_away_from_home");

  (void)state;
  for (running = 1; running <= 20; running++) {
    for (int how = 0; how < ENDINGS; how++) {
      for (unsigned steps = 0; steps < MOVE_STEPS; steps++) {
        run_ending((ending)how, steps);
      }
    }
  }
  running = 0;
  assert_mark_reached("ended_away_from_home", before);
}

/* ---- while it moves ---- */

/* Until the link of |a| is between two loops, the other loops not having had an
   iteration. */
static cmt_peer *catch_it_moving(fixture *f) {
  cmt_peer *p = NULL;

  test_node_start(&f->a);
  test_node_start(&f->b);
  assert_cmt(CMT_OK, cmt_switch_dial(f->a.sw, f->b.addr, 0, NULL));
  while (cmt_switch_peers(f->a.sw, &p, 1) == 0) {
    test_loop_step_one(f->w.loop);
  }
  while (p->link->state != CMT__LINK_MOVING) {
    test_loop_step_one(f->w.loop);
  }
  cmt_peer_unref(p);
  return p;
}

static void a_pause_meanwhile_is_kept(void **state) {
  fixture *f = *state;
  cmt_peer *p = catch_it_moving(f);

  cmt_peer_pause(p);
  run_until_idle(f);
  (void)test_node_log(&f->a);
  (void)test_node_log(&f->b);
  assert_cmt(CMT_OK, test_node_send(&f->b, TEST_CHAT, "unheard"));
  run_until_idle(f);
  assert_string_equal("", test_node_log(&f->a));
  cmt_peer_resume(p);
  run_until_idle(f);
  assert_string_equal("receive chat 51 unheard\n", test_node_log(&f->a));
}

/* The new loop may not have looked at the clock for a while. */
static void time_does_not_go_back_for_it(void **state) {
  fixture *f = *state;
  cmt_peer *p = catch_it_moving(f);
  cmt__loop *first = test_loop_base(f->w.loops[0]);
  cmt__loop *last = test_loop_base(f->w.loops[2]);

  cmt__loop_catch_up(first, cmt__loop_now(first) + CMT_MILLISECONDS(1));
  assert_true(cmt__loop_now(last) < cmt__loop_now(first));
  run_until_idle(f);
  assert_ptr_equal(last, p->link->loop);
  assert_int_equal(cmt__loop_now(first), cmt__loop_now(last));
}

static void a_send_meanwhile_wakes_no_loop(void **state) {
  fixture *f = *state;
  cmt_peer *p = catch_it_moving(f);

  assert_cmt(CMT_OK, cmt_peer_try_send_bytes(p, TEST_CHAT, "early", 5));
  assert_false(p->send_queue.posted);
  run_until_idle(f);
  assert_non_null(strstr(test_node_log(&f->b), "receive chat 51 early\n"));
}

static void a_stop_of_the_switch_meanwhile_bounds_it(void **state) {
  fixture *f = *state;

  (void)catch_it_moving(f);
  test_loop_defaults(f->w.loop)->stalled = true;
  test_loop_conn(f->w.loop, 0)->dir[TEST_ACCEPTOR].stalled = true;
  cmt_switch_stop(f->a.sw, CMT_MILLISECONDS(500));
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(499));
  assert_false(cmt__switch_is_finished(f->a.sw));
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(1));
  assert_true(cmt__switch_is_finished(f->a.sw));
}

/* It has ended, flushed, and is on its way home to wait for the other side. */
static void a_stop_of_the_switch_hurries_one_on_its_way_home(void **state) {
  fixture *f = *state;
  cmt_peer *p;

  test_pair(&f->w, &f->a, &f->b);
  p = test_node_peer(&f->a);
  test_loop_conn(f->w.loop, 0)->dir[TEST_ACCEPTOR].stalled = true;
  cmt_peer_stop(p, CMT_ECANCELED, CMT_SECONDS(60));
  while (p->link->state != CMT__LINK_MOVING) {
    test_loop_step_one(f->w.loops[2]);
  }
  cmt_switch_stop(f->a.sw, CMT_MILLISECONDS(200));
  test_loop_step_one(f->w.loop);
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(200));
  assert_true(cmt__switch_is_finished(f->a.sw));
}

static void stop_slowly(test_part *part, cmt_peer *p) {
  (void)part;
  cmt_peer_stop(p, CMT_ECANCELED, CMT_SECONDS(60));
}

/* It ends before it has moved, and waits for the other side at home. */
static void one_that_never_left_is_hurried_too(void **state) {
  fixture *f = *state;

  f->a.parts[0].on_add = stop_slowly;
  test_node_start(&f->a);
  test_node_start(&f->b);
  assert_cmt(CMT_OK, cmt_switch_dial(f->a.sw, f->b.addr, 0, NULL));
  while (f->a.sw->status.added == 0) {
    test_loop_step_one(f->w.loop);
  }
  assert_int_equal(1, f->a.sw->status.removed);
  test_loop_conn(f->w.loop, 0)->dir[TEST_ACCEPTOR].stalled = true;
  cmt_switch_stop(f->a.sw, CMT_MILLISECONDS(200));
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(200));
  assert_true(cmt__switch_is_finished(f->a.sw));
}

/* ---- wake-ups under way ---- */

/* The wake-up comes in the iteration in which the connection ends, and its post
   only in the next. */
static void a_wake_up_under_way_is_waited_for(void **state) {
  fixture *f = *state;
  test_late_wake_up late = {.post = {.cb = test_wake_up_late}};

  test_pair(&f->w, &f->a, &f->b);
  late.peer = test_node_peer(&f->a);
  cmt__loop_post(test_loop_base(f->w.loops[2]), &late.post);
  test_conn_cut(test_loop_conn(f->w.loop, 0));
  test_loop_step_one(f->w.loops[2]);
  assert_true(late.peer->send_queue.posted);
  assert_true(late.peer->link->migration->end_due);
  assert_int_equal(CMT__LINK_OPEN, late.peer->link->state);
  test_loop_step_one(f->w.loops[2]);
  assert_false(late.peer->send_queue.posted);
  assert_int_equal(CMT__LINK_MOVING, late.peer->link->state);
  run_until_idle(f);
  assert_string_equal("remove chat CMT_ERESET\n", test_node_log(&f->a));
}

/* ---- memory ---- */

/* The other loop cannot take it over: its own peer alone ends, with that
   reason. */
static void a_loop_that_cannot_accept_a_peer_ends_it(void **state) {
  fixture *f = *state;
  cmt_peer *p = cmt_peer_ref(catch_it_moving(f));
  cmt_why why;

  test_loop_step_one(f->w.loop);
  f->w.env.fail_at = f->w.env.allocs;
  test_loop_step_one(f->w.loops[2]);
  f->w.env.fail_at = SIZE_MAX;
  run_until_idle(f);
  cmt_peer_get_why(p, &why);
  assert_cmt(CMT_EIO, why.err);
  assert_int_equal(0, cmt_switch_peers(f->a.sw, NULL, 0));
  cmt_peer_unref(p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown(it_may_end_at_any_moment, print_seed),
    PAIR_TEST(a_pause_meanwhile_is_kept),
    PAIR_TEST(time_does_not_go_back_for_it),
    PAIR_TEST(a_send_meanwhile_wakes_no_loop),
    PAIR_TEST(a_stop_of_the_switch_meanwhile_bounds_it),
    PAIR_TEST(a_stop_of_the_switch_hurries_one_on_its_way_home),
    PAIR_TEST(one_that_never_left_is_hurried_too),
    PAIR_TEST(a_wake_up_under_way_is_waited_for),
    PAIR_TEST(a_loop_that_cannot_accept_a_peer_ends_it),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
