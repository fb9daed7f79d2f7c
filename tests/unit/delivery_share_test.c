/* SPDX-License-Identifier: Apache-2.0 */

/* A friend beside a crowd that fills the queues of a slow reactor, as whole
   nodes on a loop double.  The test is the reactor, which is as slow as the
   test wants. */

#include "hostile.h"

#include <stdlib.h>

enum {
  HOARDERS = 33,
  TOTAL = 4 << 20, /* Of the queues: 80 peers share it. */
  MESSAGE = 1000,
  MESSAGES = 200, /* More than any may leave there. */
};

typedef struct fixture {
  test_trio t;
  hostile crowd[HOARDERS];
} fixture;

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  test_world_init(&f->t.w);
  test_node_init(&f->t.a, &f->t.w);
  test_node_init(&f->t.b, &f->t.w);
  f->t.a.parts[0].channels[0].send_queue = 10;
  f->t.b.quiet = true;
  f->t.b.parts[0].delivery = CMT_MAILBOX;
  f->t.b.parts[0].recv_queue_bytes_total = TOTAL;
  test_node_start(&f->t.a);
  test_node_start(&f->t.b);
  *state = f;
  return 0;
}

static cmt_mailbox *mailbox(fixture *f) {
  return cmt_switch_mailbox(f->t.b.sw, "chat");
}

static int teardown(void **state) {
  fixture *f = *state;
  cmt_event ev;

  for (size_t i = 0; i < HOARDERS; i++) {
    hostile_fini(&f->crowd[i]);
  }
  test_node_fini(&f->t.a);
  cmt_switch_stop(f->t.b.sw, 0);
  test_loop_settle(f->t.w.loop);
  while (cmt_mailbox_next(mailbox(f), &ev, 0) == CMT_OK) {
    cmt_mailbox_done(mailbox(f), &ev);
    test_loop_settle(f->t.w.loop);
  }
  test_node_fini(&f->t.b);
  test_world_fini(&f->t.w);
  free(f);
  return 0;
}

static size_t paused_peers(fixture *f) {
  cmt_peer *peers[HOARDERS + 1];
  size_t count = cmt_switch_peers(f->t.b.sw, peers, HOARDERS + 1), paused = 0;

  for (size_t i = 0; i < count; i++) {
    paused += peers[i]->link->paused;
    cmt_peer_unref(peers[i]);
  }
  return paused;
}

/* Each sends until it is not read any more. */
static void crowd_fills_the_queues(fixture *f) {
  for (size_t i = 0; i < HOARDERS; i++) {
    hostile_dial(&f->crowd[i], f->t.w.loop, f->t.b.addr);
    test_loop_settle(f->t.w.loop);
  }
  for (size_t k = 0; k < MESSAGES; k++) {
    for (size_t i = 0; i < HOARDERS; i++) {
      hostile_packet(&f->crowd[i], TEST_CHAT, MESSAGE, true);
    }
    test_loop_settle(f->t.w.loop);
  }
  assert_int_equal(HOARDERS, paused_peers(f));
}

static cmt_peer *friend_of(fixture *f) {
  cmt_node_id id;
  cmt_peer *p;

  cmt_switch_id(f->t.a.sw, &id);
  p = cmt_switch_peer(f->t.b.sw, &id);
  assert_non_null(p);
  cmt_peer_unref(p);
  return p;
}

/* How many events are taken until the next message of the friend is. */
static size_t turns_until_heard(fixture *f) {
  const cmt_peer *friend = friend_of(f);
  size_t turns = 0;
  bool heard = false;
  cmt_event ev;

  while (!heard) {
    assert_cmt(CMT_OK, cmt_mailbox_next(mailbox(f), &ev, 0));
    heard = ev.peer == friend && ev.kind == CMT_EVENT_MESSAGE;
    cmt_mailbox_done(mailbox(f), &ev);
    turns++;
  }
  return turns;
}

static void a_friend_is_heard_in_its_turn_beside_a_crowd_that_fills_the_queues(
  void **state) {
  fixture *f = *state;

  crowd_fills_the_queues(f);
  test_node_dial(&f->t.a, f->t.b.addr, 0);
  for (int i = 0; i < 5; i++) {
    assert_cmt(CMT_OK, test_node_say(&f->t.a, TEST_CHAT, "hello"));
    test_loop_settle(f->t.w.loop);
    assert_false(friend_of(f)->link->paused);
  }
  /* The first turn of the friend is that it is up. */
  assert_in_range(turns_until_heard(f), 1, 2 * (HOARDERS + 1));
  for (int i = 1; i < 5; i++) {
    assert_in_range(turns_until_heard(f), 1, HOARDERS + 1);
  }
  assert_in_range(paused_peers(f), 1, HOARDERS);
}

static void what_the_crowd_leaves_there_is_bounded(void **state) {
  fixture *f = *state;
  cmt_switch_status status;

  crowd_fills_the_queues(f);
  cmt_switch_get_status(f->t.b.sw, &status);
  assert_in_range(status.recv_queued_bytes, TOTAL / 2, TOTAL);
  /* No more than twice, with a friend that fills its share. */
  test_node_dial(&f->t.a, f->t.b.addr, 0);
  while (!friend_of(f)->link->paused) {
    assert_cmt(CMT_OK, test_node_say(&f->t.a, TEST_CHAT, "hello"));
    test_loop_settle(f->t.w.loop);
  }
  cmt_switch_get_status(f->t.b.sw, &status);
  assert_in_range(status.recv_queued_bytes, TOTAL / 2, 2 * TOTAL);
  assert_true(test_loop_conn_count(f->t.w.loop) == HOARDERS + 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(a_friend_is_heard_in_its_turn_beside_a_crowd_that_fills_the_queues),
    TEST(what_the_crowd_leaves_there_is_bounded),
  };

  return cmocka_run_group_tests_name("delivery_share", tests, NULL, NULL);
}
