/* SPDX-License-Identifier: Apache-2.0 */

/* Deliveries of whole nodes on a loop double: reactors with a mailbox, which
   the test empties when it likes. */

#include "node.h"

#include <stdio.h>

static cmt_mailbox *mailbox(test_node *n) {
  cmt_mailbox *m = cmt_switch_mailbox(n->sw, "chat");

  assert_non_null(m);
  return m;
}

/* Receives the next event as "up", "message TEXT" or "gone REASON"; it is
   out. */
static const char *next(test_node *n, cmt_mailbox_event *ev) {
  static char text[96];
  cmt_err err = cmt_mailbox_next(mailbox(n), ev, 0);
  cmt_bytes b;

  if (err != CMT_OK) {
    return cmt_err_name(err);
  }
  switch (ev->kind) {
  case CMT_EVENT_PEER_UP:
    return "up";
  case CMT_EVENT_MESSAGE:
    b = cmt_buf_bytes(ev->msg);
    snprintf(text, sizeof text, "message %.*s", (int)cmt__min(b.len, 64),
             (const char *)b.base);
    break;
  case CMT_EVENT_PEER_GONE:
    snprintf(text, sizeof text, "gone %s", cmt_err_name(ev->reason));
    break;
  case CMT_EVENT_REJECTED:
  case CMT_EVENT_OUTCOME:
  case CMT_EVENT_SENT:
  case CMT_EVENT_TIMER:
  case CMT_EVENT_POST:
    return "another event";
  }
  return text;
}

static const char *take(test_node *n) {
  cmt_mailbox_event ev;
  const char *text = next(n, &ev);

  if (text[0] != 'C') {
    cmt_mailbox_done(mailbox(n), &ev);
    test_loop_run_until_idle(n->world->loop);
  }
  return text;
}

static size_t peer_count(test_node *n) {
  return cmt_switch_peers(n->sw, NULL, 0);
}

static int setup(void **state) {
  test_trio *t;

  test_trio_setup(state);
  t = *state;
  t->b.parts[0].delivery = CMT_DELIVER_MAILBOX;
  t->b.parts[0].channels[0].recv_queue = 4;
  t->a.parts[0].channels[0].send_queue = 100;
  return 0;
}

static int teardown(void **state) {
  test_trio *t = *state;
  test_node *nodes[] = {&t->a, &t->b, &t->c};

  for (size_t i = 0; i < CMT__COUNT(nodes); i++) {
    if (nodes[i]->sw != NULL) {
      cmt_switch_stop(nodes[i]->sw, 0);
    }
  }
  test_loop_run_until_idle(t->w.loop);
  while (t->b.sw != NULL && t->b.parts[0].delivery == CMT_DELIVER_MAILBOX &&
         take(&t->b)[0] != 'C') {
  }
  return test_trio_teardown(state);
}

/* A and b are connected; b has an event for it. */
static void meet(test_trio *t) {
  test_node_start(&t->b);
  test_node_start(&t->a);
  test_node_dial(&t->a, t->b.addr, 0);
  assert_string_equal("init chat\nadd chat outbound\n", test_node_log(&t->a));
  assert_string_equal("init chat\n", test_node_log(&t->b));
}

static void say(test_node *n, const char *text) {
  assert_cmt(CMT_OK, test_node_send(n, TEST_CHAT, text));
  test_loop_run_until_idle(n->world->loop);
}

/* ---- a peer's life ---- */

static void events_come_in_place_of_calls(void **state) {
  test_trio *t = *state;
  cmt_mailbox_event ev;

  meet(t);
  say(&t->a, "one");
  say(&t->a, "two");
  assert_string_equal("up", take(&t->b));
  assert_string_equal("message one", next(&t->b, &ev));
  assert_ptr_equal(test_node_peer(&t->b), ev.peer);
  assert_int_equal(TEST_CHAT, ev.channel);
  cmt_mailbox_done(mailbox(&t->b), &ev);
  assert_string_equal("message two", take(&t->b));
  assert_string_equal("CMT_ETIMEDOUT", take(&t->b));
  cmt_peer_stop(test_node_peer(&t->a), CMT_ECANCELED, 0);
  test_loop_run_until_idle(t->w.loop);
  assert_string_equal("gone CMT_EEOF", take(&t->b));
  assert_string_equal("", test_node_log(&t->b));
}

static void what_came_before_the_end_is_delivered_before_it(void **state) {
  test_trio *t = *state;

  meet(t);
  assert_cmt(CMT_OK, test_node_send(&t->a, TEST_CHAT, "one"));
  assert_cmt(CMT_OK, test_node_send(&t->a, TEST_CHAT, "two"));
  cmt_peer_stop(test_node_peer(&t->a), CMT_ECANCELED, CMT_SECONDS(1));
  test_loop_run_until_idle(t->w.loop);
  assert_int_equal(0, peer_count(&t->a));
  assert_string_equal("up", take(&t->b));
  assert_string_equal("message one", take(&t->b));
  assert_string_equal("message two", take(&t->b));
  assert_string_equal("gone CMT_EEOF", take(&t->b));
}

static void
a_peer_is_listed_until_its_last_reactor_has_let_it_go(void **state) {
  test_trio *t = *state;
  cmt_switch_status status;
  cmt_mailbox_event ev;

  meet(t);
  say(&t->a, "one");
  cmt_peer_stop(test_node_peer(&t->a), CMT_ECANCELED, 0);
  test_loop_run_until_idle(t->w.loop);
  assert_string_equal("up", take(&t->b));
  assert_string_equal("message one", take(&t->b));
  assert_string_equal("gone CMT_EEOF", next(&t->b, &ev));
  test_loop_run_until_idle(t->w.loop);
  assert_int_equal(1, peer_count(&t->b));
  assert_cmt(CMT_ECLOSED, test_node_send(&t->b, TEST_CHAT, "late"));
  cmt_switch_get_status(t->b.sw, &status);
  assert_int_equal(0, status.removed);
  cmt_mailbox_done(mailbox(&t->b), &ev);
  assert_int_equal(1, peer_count(&t->b)); /* The loop does it. */
  test_loop_run_until_idle(t->w.loop);
  assert_int_equal(0, peer_count(&t->b));
  cmt_switch_get_status(t->b.sw, &status);
  assert_int_equal(1, status.removed);
}

static void an_id_is_free_only_then(void **state) {
  test_trio *t = *state;

  meet(t);
  cmt_peer_stop(test_node_peer(&t->a), CMT_ECANCELED, 0);
  test_loop_run_until_idle(t->w.loop);
  (void)test_node_log(&t->a);
  test_node_dial(&t->a, t->b.addr, 0);
  assert_string_equal("", test_node_log(&t->b)); /* It waits. */
  assert_string_equal("up", take(&t->b));
  assert_string_equal("gone CMT_EEOF", take(&t->b));
  assert_string_equal("init chat\n", test_node_log(&t->b));
  assert_string_equal("up", take(&t->b));
  assert_int_equal(1, peer_count(&t->b));
}

static void nothing_of_a_refused_peer_is_queued(void **state) {
  test_trio *t = *state;

  test_node_part(&t->b, "second")->init_err = CMT_EREACTOR;
  test_node_start(&t->b);
  test_node_start(&t->a);
  test_node_dial(&t->a, t->b.addr, 0);
  assert_string_equal("init chat\ninit second\nremove chat CMT_EREACTOR\n"
                      "rejected inbound filter CMT_EREACTOR\n",
                      test_node_log(&t->b));
  assert_int_equal(0, peer_count(&t->b));
  assert_string_equal("CMT_ETIMEDOUT", take(&t->b));
}

static void the_id_of_a_refused_peer_is_free_at_once(void **state) {
  test_trio *t = *state;
  test_part *second = test_node_part(&t->b, "second");

  second->init_err = CMT_EREACTOR;
  test_node_start(&t->b);
  test_node_start(&t->a);
  test_node_dial(&t->a, t->b.addr, 0);
  (void)test_node_log(&t->b);
  second->init_err = CMT_OK;
  test_node_dial(&t->a, t->b.addr, 0);
  assert_string_equal("init chat\ninit second\nadd second inbound\n",
                      test_node_log(&t->b));
  assert_string_equal("up", take(&t->b));
}

static void inline_reactors_do_not_wait_for_the_others(void **state) {
  test_trio *t = *state;

  test_node_part(&t->b, "second");
  test_node_start(&t->b);
  test_node_start(&t->a);
  test_node_dial(&t->a, t->b.addr, 0);
  assert_string_equal("init chat\ninit second\nadd second inbound\n",
                      test_node_log(&t->b));
  cmt_peer_stop(test_node_peer(&t->a), CMT_ECANCELED, 0);
  test_loop_run_until_idle(t->w.loop);
  assert_string_equal("remove second CMT_EEOF\n", test_node_log(&t->b));
  assert_string_equal("up", take(&t->b));
  assert_string_equal("gone CMT_EEOF", take(&t->b));
}

/* ---- full queues ---- */

static void a_full_queue_loses_nothing_and_costs_no_peer(void **state) {
  enum { COUNT = 40 };
  test_trio *t = *state;
  cmt_peer_status status;
  char text[32];

  meet(t);
  test_loop_defaults(t->w.loop)->read_max = 100;
  test_loop_conn(t->w.loop, 0)->dir[TEST_DIALER].read_max = 100;
  for (int i = 0; i < COUNT; i++) {
    snprintf(text, sizeof text, "%d", i);
    say(&t->a, text);
  }
  assert_true(test_node_peer(&t->b)->link->paused);
  assert_true(test_node_peer(&t->b)->inboxes->list[0]->queue.count < 8);
  test_loop_advance(t->w.loop, CMT_SECONDS(200));
  assert_string_equal("up", take(&t->b));
  for (int i = 0; i < COUNT; i++) {
    snprintf(text, sizeof text, "message %d", i);
    assert_string_equal(text, take(&t->b));
  }
  assert_false(test_node_peer(&t->b)->link->paused);
  test_loop_advance(t->w.loop, CMT_SECONDS(60));
  cmt_peer_get_status(test_node_peer(&t->b), &status);
  assert_true(status.read_paused_ns == CMT_SECONDS(200));
  assert_int_equal(0, status.channels[0].dropped_messages);
  assert_string_equal("", test_node_log(&t->a));
}

/* Whichever allocation fails once the message is under way, it is queued or the
   peer ends: it is never lost beside a peer that goes on. */
static void a_message_without_memory_ends_the_peer(void **state) {
  size_t ended = 0;
  bool failed = true;

  for (size_t i = 0; failed; i++) {
    test_trio *t = *state;
    const char *text;

    meet(t);
    assert_cmt(CMT_OK, test_node_send(&t->a, TEST_CHAT, "one"));
    t->w.env.fail_at = t->w.env.allocs + i;
    test_loop_run_until_idle(t->w.loop);
    failed = t->w.env.allocs > t->w.env.fail_at;
    t->w.env.fail_at = SIZE_MAX;
    assert_string_equal("up", take(&t->b));
    text = take(&t->b);
    if (strcmp(text, "message one") != 0) {
      ended += strcmp(text, "gone CMT_ENOMEM") == 0;
      assert_true(strncmp(text, "gone ", 5) == 0);
    }
    teardown(state);
    setup(state);
  }
  assert_true(ended > 0);
}

static void a_channel_that_drops_counts(void **state) {
  test_trio *t = *state;
  cmt_switch_status of_all;
  cmt_peer_status status;

  t->b.parts[0].channels[0].on_full = CMT_ON_FULL_DROP;
  meet(t);
  for (int i = 0; i < 10; i++) {
    say(&t->a, "x");
  }
  assert_false(test_node_peer(&t->b)->link->paused);
  cmt_peer_get_status(test_node_peer(&t->b), &status);
  assert_int_equal(10, status.channels[0].recv_messages);
  assert_int_equal(6, status.channels[0].dropped_messages);
  cmt_switch_get_status(t->b.sw, &of_all);
  assert_int_equal(6, of_all.dropped_messages);
  assert_int_equal(0, status.read_paused_ns);
  assert_string_equal("up", take(&t->b));
  for (int i = 0; i < 4; i++) {
    assert_string_equal("message x", take(&t->b));
  }
  assert_string_equal("CMT_ETIMEDOUT", take(&t->b));
}

static void what_waits_is_in_the_status(void **state) {
  test_trio *t = *state;
  cmt_switch_status status;

  meet(t);
  say(&t->a, "12345678");
  cmt_switch_get_status(t->b.sw, &status);
  assert_int_equal(8 + CMT__ENTRY_COST, status.recv_queued_bytes);
  take(&t->b);
  take(&t->b);
  cmt_switch_get_status(t->b.sw, &status);
  assert_int_equal(0, status.recv_queued_bytes);
}

/* What the other side had sent lies unread when writing fails. */
static void
messages_are_read_behind_a_full_queue_though_writing_failed(void **state) {
  test_trio *t = *state;
  char text[32];

  meet(t);
  test_loop_conn(t->w.loop, 0)->dir[TEST_DIALER].read_max = 100;
  for (int i = 0; i < 20; i++) {
    snprintf(text, sizeof text, "%d", i);
    say(&t->a, text);
  }
  cmt_peer_stop(test_node_peer(&t->a), CMT_ECANCELED, CMT_SECONDS(1));
  test_loop_advance(t->w.loop, CMT_SECONDS(2));
  for (int i = 0; i < 3; i++) {
    (void)test_node_send(&t->b, TEST_CHAT, "anyone?");
    test_loop_run_until_idle(t->w.loop);
  }
  assert_cmt(CMT_ERESET, test_node_peer(&t->b)->link->write_err);
  test_loop_advance(t->w.loop, CMT_SECONDS(30));
  assert_string_equal("up", take(&t->b));
  for (int i = 0; i < 20; i++) {
    snprintf(text, sizeof text, "message %d", i);
    assert_string_equal(text, take(&t->b));
    test_loop_advance(t->w.loop, CMT_MILLISECONDS(1));
  }
  assert_memory_equal("gone ", take(&t->b), 5);
}

/* ---- the switch ---- */

static void a_switch_ends_when_its_mailboxes_have(void **state) {
  test_trio *t = *state;

  meet(t);
  say(&t->a, "one");
  cmt_switch_stop(t->b.sw, CMT_SECONDS(1));
  test_loop_advance(t->w.loop, CMT_MILLISECONDS(500));
  assert_false(cmt__switch_is_finished(t->b.sw));
  assert_string_equal("up", take(&t->b));
  assert_string_equal("message one", take(&t->b));
  assert_string_equal("", test_node_log(&t->b));
  assert_string_equal("gone CMT_ECANCELED", take(&t->b));
  assert_string_equal("CMT_ECLOSED", take(&t->b));
  assert_true(cmt__switch_is_finished(t->b.sw));
  assert_string_equal("stop chat\n", test_node_log(&t->b));
}

static void
events_not_received_in_the_time_of_the_stop_are_dropped(void **state) {
  test_trio *t = *state;

  meet(t);
  say(&t->a, "one");
  say(&t->a, "two");
  cmt_switch_stop(t->b.sw, CMT_SECONDS(1));
  test_loop_run_until_idle(t->w.loop);
  assert_string_equal("up", take(&t->b));
  assert_string_equal("message one", take(&t->b));
  test_loop_advance(t->w.loop, CMT_SECONDS(1));
  assert_string_equal("gone CMT_ECANCELED", take(&t->b));
  assert_string_equal("CMT_ECLOSED", take(&t->b));
}

static void only_a_reactor_that_wants_one_has_a_mailbox(void **state) {
  test_trio *t = *state;

  test_node_part(&t->b, "second");
  test_node_start(&t->b);
  test_node_start(&t->a);
  assert_non_null(cmt_switch_mailbox(t->b.sw, "chat"));
  assert_null(cmt_switch_mailbox(t->b.sw, "second"));
  assert_null(cmt_switch_mailbox(t->b.sw, "third"));
  assert_null(cmt_switch_mailbox(t->a.sw, "chat"));
}

static void options_out_of_range_are_refused(void **state) {
  test_trio *t = *state;
  cmt_channel *c = &t->b.parts[0].channels[0];
  cmt_why why;

  c->recv_queue = CMT_RECV_QUEUE_MAX + 1;
  assert_cmt(CMT_EINVAL, test_node_new(&t->b, &why));
  assert_string_equal("channel 0x51: recv_queue is 1000001, allowed is 1 to "
                      "1000000",
                      why.text);
  c->recv_queue = 0;
  c->on_full = (cmt_on_full)2;
  assert_cmt(CMT_EINVAL, test_node_new(&t->b, &why));
  assert_string_equal("channel 0x51: on_full is 2, allowed is 0 to 1",
                      why.text);
  c->on_full = CMT_ON_FULL_WAIT;
  t->b.parts[0].delivery = (cmt_delivery)3;
  assert_cmt(CMT_EINVAL, test_node_new(&t->b, &why));
  assert_string_equal("reactor chat: delivery is 3, allowed is 0 to 2",
                      why.text);
}

/* Every allocation from the meeting on fails once: the peer may be lost, but
   its events stay in order and nothing is left. */
static void without_memory_the_story_still_ends(void **state) {
  size_t at = 0, tried = 0;

  (void)state;
  for (bool reached = true; reached; at++, tried++) {
    test_trio t;
    const char *story;
    bool up = false;

    memset(&t, 0, sizeof t);
    test_world_init(&t.w);
    test_node_init(&t.a, &t.w);
    test_node_init(&t.b, &t.w);
    t.b.parts[0].delivery = CMT_DELIVER_MAILBOX;
    test_node_start(&t.b);
    test_node_start(&t.a);
    t.w.env.fail_at = t.w.env.allocs + at;
    if (cmt_switch_dial(t.a.sw, t.b.addr, 0, NULL) != CMT_OK) {
      assert_true(at == 0);
    }
    test_loop_run_until_idle(t.w.loop);
    if (peer_count(&t.a) > 0) {
      (void)test_node_send(&t.a, TEST_CHAT, "one");
    }
    test_loop_run_until_idle(t.w.loop);
    reached = t.w.env.allocs > t.w.env.fail_at;
    cmt_switch_stop(t.a.sw, 0);
    cmt_switch_stop(t.b.sw, CMT_SECONDS(1));
    test_loop_run_until_idle(t.w.loop);
    while ((story = take(&t.b))[0] != 'C') {
      assert_true(story[0] == 'u' ? !up : story[0] == 'g' || up);
      up = up || story[0] == 'u';
    }
    test_node_fini(&t.a);
    test_node_fini(&t.b);
    test_world_fini(&t.w);
  }
  assert_true(tried > 20);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(events_come_in_place_of_calls),
    TEST(what_came_before_the_end_is_delivered_before_it),
    TEST(a_peer_is_listed_until_its_last_reactor_has_let_it_go),
    TEST(an_id_is_free_only_then),
    TEST(nothing_of_a_refused_peer_is_queued),
    TEST(the_id_of_a_refused_peer_is_free_at_once),
    TEST(inline_reactors_do_not_wait_for_the_others),
    TEST(a_full_queue_loses_nothing_and_costs_no_peer),
    TEST(a_message_without_memory_ends_the_peer),
    TEST(a_channel_that_drops_counts),
    TEST(what_waits_is_in_the_status),
    TEST(messages_are_read_behind_a_full_queue_though_writing_failed),
    TEST(a_switch_ends_when_its_mailboxes_have),
    TEST(events_not_received_in_the_time_of_the_stop_are_dropped),
    TEST(only_a_reactor_that_wants_one_has_a_mailbox),
    TEST(options_out_of_range_are_refused),
    cmocka_unit_test(without_memory_the_story_still_ends),
    TEST_SHORTAGE(without_memory_the_story_still_ends),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
