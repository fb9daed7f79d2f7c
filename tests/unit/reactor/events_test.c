/* SPDX-License-Identifier: Apache-2.0 */

/* Events in place of callbacks, several in one call, and mailboxes that are
   given up, in virtual time. */

#include "marks.h"
#include "node.h"

#include "switch/state.h"

#include <stdio.h>

#define AT "@10.0.0.9:26656"
#define NOWHERE "00112233445566778899aabbccddeeff00112233" AT
#define NOWHERE_EITHER "00112233445566778899aabbccddeeff00112234" AT

typedef test_trio fixture;

static void run_until_idle(fixture *f) { test_loop_run_until_idle(f->w.loop); }

static cmt_mailbox *mailbox(fixture *f) {
  return cmt_switch_mailbox(f->b.sw, "chat");
}

/* B reports all by events. */
static int setup(void **state) {
  fixture *f;

  test_trio_setup(state);
  f = *state;
  f->b.parts[0].delivery = CMT_DELIVER_MAILBOX;
  f->b.options.event_reactor = "chat";
  f->b.options.on_rejected = NULL;
  test_loop_set_connect(f->w.loop, "10.0.0.9:26656", CMT_EREFUSED);
  return 0;
}

/* Nobody receives what is left. */
static int teardown(void **state) {
  fixture *f = *state;

  if (f->b.sw != NULL) {
    cmt_mailbox_close(mailbox(f));
  }
  return test_trio_teardown(state);
}

/* The next event, of that kind and reason. */
static cmt_mailbox_event take(fixture *f, cmt_mailbox_event_kind kind,
                              cmt_err reason) {
  cmt_mailbox_event ev;

  assert_cmt(CMT_OK, cmt_mailbox_next(mailbox(f), &ev, 0));
  assert_int_equal(kind, ev.kind);
  assert_cmt(reason, ev.reason);
  return ev;
}

static void done(fixture *f, cmt_mailbox_event *ev) {
  cmt_mailbox_done(mailbox(f), ev);
  assert_null(ev->internal);
}

static void take_one(fixture *f, cmt_mailbox_event_kind kind, cmt_err reason) {
  cmt_mailbox_event ev = take(f, kind, reason);

  done(f, &ev);
}

static void assert_empty(fixture *f) {
  cmt_mailbox_event ev;

  assert_cmt(CMT_ETIMEDOUT, cmt_mailbox_next(mailbox(f), &ev, 0));
}

static uint64_t lost(fixture *f) {
  cmt_switch_status st;

  cmt_switch_get_status(f->b.sw, &st);
  return st.lost_events;
}

/* A and B are peers, and B has received the event of that. */
static void meet(fixture *f) {
  test_node_start(&f->b);
  test_node_start(&f->a);
  test_node_dial(&f->a, f->b.addr, 0);
  take_one(f, CMT_EVENT_PEER_UP, CMT_OK);
}

/* ---- dials ---- */

static void a_failed_dial_is_two_events(void **state) {
  fixture *f = *state;
  cmt_dial_options o;
  cmt_dial *d;
  cmt_mailbox_event ev;
  int arg;

  test_node_start(&f->b);
  cmt_dial_options_init(&o);
  o.arg = &arg;
  assert_cmt(CMT_OK, cmt_switch_dial_new(f->b.sw, NOWHERE, &o, &d, NULL));
  run_until_idle(f);
  ev = take(f, CMT_EVENT_REJECTED, CMT_EREFUSED);
  assert_string_equal(NOWHERE, ev.rejection->dialed);
  assert_true(ev.rejection->outbound);
  assert_null(ev.rejection->id);
  assert_null(ev.peer);
  done(f, &ev);
  ev = take(f, CMT_EVENT_OUTCOME, CMT_EREFUSED);
  assert_ptr_equal(&arg, ev.arg);
  assert_true(ev.outcome->attempt == 1);
  assert_false(ev.outcome->redials);
  done(f, &ev);
  assert_empty(f);
  cmt_dial_cancel(d);
}

static void an_outcome_has_the_id_of_the_peer(void **state) {
  fixture *f = *state;
  cmt_mailbox_event ev;
  cmt_node_id id;

  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_dial(&f->b, f->a.addr, 0);
  cmt_switch_get_id(f->a.sw, &id);
  for (int i = 0; i < 2; i++) { /* Sources and peers take turns. */
    assert_cmt(CMT_OK, cmt_mailbox_next(mailbox(f), &ev, 0));
    if (ev.kind == CMT_EVENT_OUTCOME) {
      assert_cmt(CMT_OK, ev.reason);
      assert_string_equal(id.text, ev.outcome->id->text);
    }
    done(f, &ev);
  }
  assert_empty(f);
}

static void a_cancelled_dial_has_no_outcome_left(void **state) {
  fixture *f = *state;
  cmt_dial *d[2];

  test_node_start(&f->b);
  assert_cmt(CMT_OK, cmt_switch_dial_new(f->b.sw, NOWHERE, NULL, &d[0], NULL));
  assert_cmt(CMT_OK,
             cmt_switch_dial_new(f->b.sw, NOWHERE_EITHER, NULL, &d[1], NULL));
  run_until_idle(f);
  cmt_dial_cancel(d[0]);
  take_one(f, CMT_EVENT_REJECTED, CMT_EREFUSED);
  take_one(f, CMT_EVENT_REJECTED, CMT_EREFUSED);
  take_one(f, CMT_EVENT_OUTCOME, CMT_EREFUSED);
  assert_empty(f);
  cmt_dial_cancel(d[1]);
}

static void reject(fixture *f, bool outbound) {
  cmt_rejection r = {.remote = "10.0.0.9:1",
                     .outbound = outbound,
                     .dialed = outbound ? NOWHERE : NULL};

  r.why.err = CMT_EREFUSED;
  cmt__switch_reject(f->b.sw, &r);
}

static void rejections_that_find_no_room_are_counted(void **state) {
  fixture *f = *state;
  cmt_mailbox_event ev;

  test_node_start(&f->b);
  for (int i = 0; i < CMT_EVENTS_ACCEPTED_MAX + 7; i++) {
    reject(f, false);
  }
  assert_int_equal(7, lost(f));
  reject(f, true); /* Strangers use no room of dials. */
  assert_int_equal(7, lost(f));
  ev = take(f, CMT_EVENT_REJECTED, CMT_EREFUSED);
  reject(f, false); /* An event that is out counts. */
  assert_int_equal(8, lost(f));
  done(f, &ev);
  reject(f, false);
  assert_int_equal(8, lost(f));
  for (int i = 0; i < CMT_EVENTS_ACCEPTED_MAX + 1; i++) {
    take_one(f, CMT_EVENT_REJECTED, CMT_EREFUSED);
  }
  assert_empty(f);
  for (int i = 0; i < CMT_EVENTS_DIALED_MAX + 1; i++) {
    reject(f, true);
  }
  assert_int_equal(9, lost(f));
}

static void without_memory_one_is_counted_too(void **state) {
  fixture *f = *state;

  test_node_start(&f->b);
  f->w.env.fail_at = f->w.env.allocs;
  reject(f, false);
  f->w.env.fail_at = SIZE_MAX;
  assert_int_equal(1, lost(f));
  assert_empty(f);
  reject(f, false);
  take_one(f, CMT_EVENT_REJECTED, CMT_EREFUSED);
}

/* ---- sends ---- */

static cmt_err send_async(fixture *f, cmt_peer *p, cmt_send_req *req) {
  cmt_buf *msg = cmt_buf_copy(&f->w.env.env, "hello", 5);
  cmt_err err;

  assert_non_null(msg);
  err = cmt_peer_send_async(p, TEST_CHAT, msg, req);
  if (err != CMT_OK) {
    cmt_buf_unref(msg);
  }
  return err;
}

static void a_send_is_answered_by_an_event(void **state) {
  fixture *f = *state;
  cmt_send_req req = CMT_SEND_REQ(CMT_NEVER, NULL, &req);
  cmt_mailbox_event ev;
  cmt_peer *p;

  meet(f);
  p = test_node_peer(&f->b);
  assert_cmt(CMT_OK, send_async(f, p, &req));
  run_until_idle(f);
  assert_cmt(CMT_EINVAL, send_async(f, p, &req)); /* It is under way. */
  assert_cmt(CMT_EBUSY, cmt_peer_send_cancel(p, &req));
  ev = take(f, CMT_EVENT_SENT, CMT_OK);
  assert_ptr_equal(&req, ev.arg);
  assert_ptr_equal(p, ev.peer);
  assert_null(ev.msg);
  assert_cmt(CMT_OK, send_async(f, p, &req)); /* It was taken. */
  done(f, &ev);
  run_until_idle(f);
  take_one(f, CMT_EVENT_SENT, CMT_OK);
  assert_empty(f);
}

static void the_end_of_a_peer_answers_its_sends(void **state) {
  fixture *f = *state;
  cmt_send_req reqs[4];
  cmt_mailbox_event ev;
  int failed = 0;

  meet(f);
  test_loop_conn(f->w.loop, 0)->dir[TEST_ACCEPTOR].cap = 0;
  for (int i = 0; i < 4; i++) {
    reqs[i] = (cmt_send_req)CMT_SEND_REQ(CMT_NEVER, NULL, NULL);
    assert_cmt(CMT_OK, send_async(f, test_node_peer(&f->b), &reqs[i]));
  }
  cmt_peer_stop(test_node_peer(&f->b), CMT_EREACTOR, 0);
  run_until_idle(f);
  while (cmt_mailbox_next(mailbox(f), &ev, 0) == CMT_OK) {
    if (ev.kind == CMT_EVENT_SENT && ev.reason != CMT_OK) {
      assert_cmt(CMT_ECLOSED, ev.reason);
      assert_int_equal(5, cmt_buf_bytes(ev.msg).len);
      failed++;
    }
    done(f, &ev);
  }
  assert_true(failed > 0);
  for (int i = 0; i < 4; i++) {
    assert_null(reqs[i].msg);
  }
}

/* ---- timers and posts ---- */

static void a_post_to_a_peer_is_an_event(void **state) {
  fixture *f = *state;
  cmt_mailbox_event ev;
  cmt_post post = {.arg = &post}, last = {.arg = &last};
  cmt_peer *p;

  meet(f);
  p = test_node_peer(&f->b);
  assert_cmt(CMT_OK, cmt_peer_post(p, &post));
  run_until_idle(f);
  assert_cmt(CMT_OK, cmt_peer_post(p, &post)); /* Once for both. */
  assert_cmt(CMT_EINVAL, cmt_switch_post(f->b.sw, &post));
  run_until_idle(f);
  ev = take(f, CMT_EVENT_POST, CMT_OK);
  assert_ptr_equal(&post, ev.arg);
  assert_ptr_equal(p, ev.peer);
  assert_empty(f);
  assert_cmt(CMT_OK, cmt_peer_post(p, &post)); /* It is ours again. */
  done(f, &ev);
  run_until_idle(f);
  take_one(f, CMT_EVENT_POST, CMT_OK);
  cmt_peer_stop(p, CMT_ECANCELED, 0);
  assert_cmt(CMT_OK, cmt_peer_post(p, &last));
  run_until_idle(f);
  take_one(f, CMT_EVENT_PEER_GONE, CMT_ECANCELED); /* They take turns. */
  run_until_idle(f);
  ev = take(f, CMT_EVENT_POST, CMT_ECLOSED);
  assert_ptr_equal(&last, ev.arg);
  assert_ptr_equal(p, ev.peer);
  assert_non_null(cmt_peer_id(ev.peer)); /* Its event keeps it. */
  done(f, &ev);
}

/* What nobody receives any more is dropped, and may be used again. */
static void a_closed_mailbox_drops_posts_to_peers(void **state) {
  fixture *f = *state;
  cmt_post before = {.arg = NULL}, after = {.arg = NULL};
  cmt_peer *p;

  meet(f);
  p = test_node_peer(&f->b);
  assert_cmt(CMT_OK, cmt_peer_post(p, &before));
  run_until_idle(f);
  cmt_mailbox_close(mailbox(f));
  assert_null(before.internal.owner);
  assert_cmt(CMT_OK, cmt_peer_post(p, &after));
  run_until_idle(f);
  assert_null(after.internal.owner);
}

static void a_timer_and_a_post_are_events(void **state) {
  fixture *f = *state;
  cmt_timer t = {.arg = &t};
  cmt_post p = {.arg = &p};
  cmt_mailbox_event ev;

  test_node_start(&f->b);
  run_until_idle(f);
  assert_cmt(CMT_OK, cmt_switch_timer(f->b.sw, &t, CMT_SECONDS(1)));
  assert_cmt(CMT_OK, cmt_switch_post(f->b.sw, &p));
  run_until_idle(f);
  ev = take(f, CMT_EVENT_POST, CMT_OK);
  assert_ptr_equal(&p, ev.arg);
  assert_cmt(CMT_OK, cmt_switch_post(f->b.sw, &p));
  done(f, &ev);
  run_until_idle(f);
  take_one(f, CMT_EVENT_POST, CMT_OK);
  assert_empty(f);
  test_loop_advance(f->w.loop, CMT_SECONDS(1));
  ev = take(f, CMT_EVENT_TIMER, CMT_OK);
  assert_ptr_equal(&t, ev.arg);
  done(f, &ev);
  assert_empty(f);
}

static void a_timer_whose_event_waits_is_cancelled_and_moved(void **state) {
  fixture *f = *state;
  cmt_timer t = {.arg = &t};

  test_node_start(&f->b);
  run_until_idle(f);
  assert_cmt(CMT_OK, cmt_switch_timer(f->b.sw, &t, 0));
  run_until_idle(f);
  assert_true(cmt_switch_timer_cancel(f->b.sw, &t));
  assert_empty(f);
  assert_cmt(CMT_OK, cmt_switch_timer(f->b.sw, &t, 0));
  run_until_idle(f);
  assert_cmt(CMT_OK, cmt_switch_timer(f->b.sw, &t, CMT_SECONDS(1)));
  run_until_idle(f);
  assert_empty(f);
  test_loop_advance(f->w.loop, CMT_SECONDS(1));
  take_one(f, CMT_EVENT_TIMER, CMT_OK);
  assert_false(cmt_switch_timer_cancel(f->b.sw, &t));
}

static void the_end_of_the_switch_is_reported_by_events(void **state) {
  fixture *f = *state;
  cmt_timer t[2] = {{.arg = &t[0]}, {.arg = &t[1]}};
  uint64_t before = test_mark("timer_events_wait");
  cmt_mailbox_event ev;

  test_node_start(&f->b);
  run_until_idle(f);
  assert_cmt(CMT_OK, cmt_switch_timer(f->b.sw, &t[0], CMT_NEVER));
  assert_cmt(CMT_OK, cmt_switch_timer(f->b.sw, &t[1], CMT_NEVER));
  cmt_switch_stop(f->b.sw, 0);
  run_until_idle(f);
  assert_mark("timer_events_wait", before, 1);
  take_one(f, CMT_EVENT_TIMER, CMT_ECANCELED);
  assert_true(cmt_switch_timer_cancel(f->b.sw, &t[0]) ||
              cmt_switch_timer_cancel(f->b.sw, &t[1]));
  assert_cmt(CMT_ECLOSED, cmt_mailbox_next(mailbox(f), &ev, 0));
}

/* What the event points to is the switch's, so that stays. */
static void a_switch_stays_until_its_events_are_done(void **state) {
  fixture *f = *state;
  cmt_timer t[2] = {{.arg = &t[0]}, {.arg = &t[1]}};
  cmt_mailbox_event ev[2];

  test_node_start(&f->b);
  run_until_idle(f);
  for (int i = 0; i < 2; i++) {
    assert_cmt(CMT_OK, cmt_switch_timer(f->b.sw, &t[i], 0));
    run_until_idle(f);
    ev[i] = take(f, CMT_EVENT_TIMER, CMT_OK);
  }
  cmt_switch_stop(f->b.sw, 0);
  run_until_idle(f);
  assert_false(cmt__switch_is_finished(f->b.sw));
  done(f, &ev[1]);
  run_until_idle(f);
  assert_false(cmt__switch_is_finished(f->b.sw));
  done(f, &ev[0]);
  run_until_idle(f);
  assert_true(cmt__switch_is_finished(f->b.sw));
}

/* ---- several at once ---- */

static void several_events_are_received_in_one_call(void **state) {
  fixture *f = *state;
  cmt_timer t[5] = {{.arg = NULL}};
  cmt_mailbox_event events[4];

  meet(f);
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "one"));
  run_until_idle(f);
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "two"));
  for (int i = 0; i < 5; i++) {
    assert_cmt(CMT_OK, cmt_switch_timer(f->b.sw, &t[i], 0));
  }
  run_until_idle(f);
  assert_int_equal(4, cmt_mailbox_next_many(mailbox(f), events, 4, 0));
  assert_int_equal(CMT_EVENT_MESSAGE, events[0].kind == CMT_EVENT_MESSAGE
                                        ? events[0].kind
                                        : events[1].kind);
  for (int i = 0; i < 4; i++) {
    done(f, &events[i]);
  }
  assert_int_equal(3, cmt_mailbox_next_many(mailbox(f), events, 4, 0));
  for (int i = 0; i < 3; i++) {
    done(f, &events[i]);
  }
  assert_int_equal(0, cmt_mailbox_next_many(mailbox(f), events, 4, 0));
  assert_int_equal(0, cmt_mailbox_next_many(mailbox(f), events, 0, 0));
  assert_int_equal(0, cmt_mailbox_next_many(NULL, events, 4, 0));
}

/* What lies behind the struct that the library knows is zero. */
static void elements_may_be_larger_than_ours(void **state) {
  struct {
    cmt_mailbox_event ev;
    uint64_t more;
  } events[2] = {{.more = 7}, {.more = 7}};
  fixture *f = *state;

  test_node_start(&f->b);
  reject(f, true);
  reject(f, false);
  assert_int_equal(2, cmt_mailbox_next_many_sized(mailbox(f), &events[0].ev, 2,
                                                  sizeof events[0], 0));
  for (int i = 0; i < 2; i++) {
    assert_true(events[i].more == 0);
    assert_int_equal(CMT_EVENT_REJECTED, events[i].ev.kind);
    done(f, &events[i].ev);
  }
  assert_cmt(CMT_EINVAL,
             cmt_mailbox_next_sized(mailbox(f), &events[0].ev, 8, 0));
}

/* ---- given up ---- */

static void a_switch_ends_when_its_mailbox_is_given_up(void **state) {
  fixture *f = *state;
  cmt_mailbox_event ev;

  meet(f);
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "nobody reads this"));
  reject(f, true);
  run_until_idle(f);
  cmt_switch_stop(f->b.sw, CMT_NEVER);
  test_loop_advance(f->w.loop, CMT_SECONDS(60));
  assert_false(cmt__switch_is_finished(f->b.sw));
  cmt_mailbox_close(mailbox(f));
  cmt_mailbox_close(mailbox(f));
  run_until_idle(f);
  assert_true(cmt__switch_is_finished(f->b.sw));
  assert_cmt(CMT_ECLOSED, cmt_mailbox_next(mailbox(f), &ev, 0));
}

static void what_comes_later_is_dropped(void **state) {
  fixture *f = *state;
  cmt_send_req req = CMT_SEND_REQ(CMT_NEVER, NULL, NULL);
  cmt_timer t = {.arg = NULL};
  cmt_mailbox_event ev;

  test_node_start(&f->b);
  test_node_start(&f->a);
  cmt_mailbox_close(mailbox(f));
  test_node_dial(&f->a, f->b.addr, 0);
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "nobody reads this"));
  assert_cmt(CMT_OK, send_async(f, test_node_peer(&f->b), &req));
  assert_cmt(CMT_OK, cmt_switch_timer(f->b.sw, &t, 0));
  reject(f, true);
  run_until_idle(f);
  assert_false(cmt_switch_timer_cancel(f->b.sw, &t));
  assert_cmt(CMT_OK, send_async(f, test_node_peer(&f->b), &req));
  assert_cmt(CMT_ECLOSED, cmt_mailbox_next(mailbox(f), &ev, 0));
  cmt_peer_stop(test_node_peer(&f->b), CMT_EREACTOR, 0);
  run_until_idle(f);
  assert_int_equal(0, cmt_switch_peers(f->b.sw, NULL, 0));
}

static void an_event_that_is_out_is_waited_for(void **state) {
  fixture *f = *state;
  cmt_mailbox_event ev;

  test_node_start(&f->b);
  test_node_start(&f->a);
  test_node_dial(&f->a, f->b.addr, 0);
  ev = take(f, CMT_EVENT_PEER_UP, CMT_OK);
  cmt_mailbox_close(mailbox(f));
  cmt_switch_stop(f->b.sw, 0);
  test_loop_advance(f->w.loop, CMT_SECONDS(60));
  assert_false(cmt__switch_is_finished(f->b.sw));
  done(f, &ev);
  run_until_idle(f);
  assert_true(cmt__switch_is_finished(f->b.sw));
}

static void events_not_received_go_with_the_switch(void **state) {
  fixture *f = *state;
  cmt_timer t = {.arg = NULL};

  test_node_start(&f->b);
  reject(f, true);
  assert_cmt(CMT_OK, cmt_switch_timer(f->b.sw, &t, 0));
  cmt_switch_stop(f->b.sw, 0);
  run_until_idle(f);
  assert_cmt(CMT_OK, cmt_switch_delete(f->b.sw));
  f->b.sw = NULL;
  assert_null(t.internal.owner);
}

static void a_wrong_name_is_reported(void **state) {
  fixture *f = *state;
  cmt_why why;

  f->b.options.event_reactor = "votes";
  assert_cmt(CMT_EINVAL, test_node_new(&f->b, &why));
  assert_string_equal("event_reactor is votes, allowed is the name of a "
                      "reactor with CMT_DELIVER_MAILBOX",
                      why.text);
  f->b.options.event_reactor = "chat";
}

int main(void) {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(a_failed_dial_is_two_events),
    TEST(an_outcome_has_the_id_of_the_peer),
    TEST(a_cancelled_dial_has_no_outcome_left),
    TEST(rejections_that_find_no_room_are_counted),
    TEST(without_memory_one_is_counted_too),
    TEST(a_send_is_answered_by_an_event),
    TEST(the_end_of_a_peer_answers_its_sends),
    TEST(a_post_to_a_peer_is_an_event),
    TEST(a_closed_mailbox_drops_posts_to_peers),
    TEST(a_timer_and_a_post_are_events),
    TEST(a_timer_whose_event_waits_is_cancelled_and_moved),
    TEST(the_end_of_the_switch_is_reported_by_events),
    TEST(a_switch_stays_until_its_events_are_done),
    TEST(several_events_are_received_in_one_call),
    TEST(elements_may_be_larger_than_ours),
    TEST(a_switch_ends_when_its_mailbox_is_given_up),
    TEST(what_comes_later_is_dropped),
    TEST(an_event_that_is_out_is_waited_for),
    TEST(events_not_received_go_with_the_switch),
    TEST(a_wrong_name_is_reported),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
