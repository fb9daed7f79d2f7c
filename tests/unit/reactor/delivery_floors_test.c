/* SPDX-License-Identifier: Apache-2.0 */

/* A friend beside a crowd that fills the queues of a slow reactor, as whole
   nodes on a loop double.  The test is the reactor, which is as slow as the
   test wants. */

#include "hostile.h"

#include <stdio.h>
#include <stdlib.h>

enum {
  HOARDERS = 33,
  TOTAL = 4 << 20, /* It is the total of 80 peers. */
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
  f->t.b.parts[0].delivery = CMT_DELIVER_MAILBOX;
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
  cmt_mailbox_event ev;

  for (size_t i = 0; i < HOARDERS; i++) {
    hostile_fini(&f->crowd[i]);
  }
  test_node_fini(&f->t.a);
  cmt_switch_stop(f->t.b.sw, 0);
  test_loop_run_until_idle(f->t.w.loop);
  while (cmt_mailbox_next(mailbox(f), &ev, 0) == CMT_OK) {
    cmt_mailbox_done(mailbox(f), &ev);
    test_loop_run_until_idle(f->t.w.loop);
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
    test_loop_run_until_idle(f->t.w.loop);
  }
  for (size_t k = 0; k < MESSAGES; k++) {
    for (size_t i = 0; i < HOARDERS; i++) {
      hostile_packet(&f->crowd[i], TEST_CHAT, MESSAGE, true);
    }
    test_loop_run_until_idle(f->t.w.loop);
  }
  assert_int_equal(HOARDERS, paused_peers(f));
}

static cmt_peer *friend_of(fixture *f) {
  cmt_node_id id;
  cmt_peer *p;

  cmt_switch_get_id(f->t.a.sw, &id);
  p = cmt_switch_peer(f->t.b.sw, &id);
  assert_non_null(p);
  cmt_peer_unref(p);
  return p;
}

/* How many events are received until the next message of the friend is. */
static size_t events_until_heard(fixture *f) {
  const cmt_peer *friend = friend_of(f);
  size_t turns = 0;
  bool heard = false;
  cmt_mailbox_event ev;

  while (!heard) {
    assert_cmt(CMT_OK, cmt_mailbox_next(mailbox(f), &ev, 0));
    heard = ev.peer == friend && ev.kind == CMT_EVENT_MESSAGE;
    cmt_mailbox_done(mailbox(f), &ev);
    turns++;
  }
  return turns;
}

static void a_friend_is_served_in_its_turn_beside_a_crowd_that_fills_the_queues(
  void **state) {
  fixture *f = *state;

  crowd_fills_the_queues(f);
  test_node_dial(&f->t.a, f->t.b.addr, 0);
  for (int i = 0; i < 5; i++) {
    assert_cmt(CMT_OK, test_node_send(&f->t.a, TEST_CHAT, "hello"));
    test_loop_run_until_idle(f->t.w.loop);
    assert_false(friend_of(f)->link->paused);
  }
  /* The first iteration of the friend is that it is up. */
  assert_in_range(events_until_heard(f), 1, 2 * (HOARDERS + 1));
  for (int i = 1; i < 5; i++) {
    assert_in_range(events_until_heard(f), 1, HOARDERS + 1);
  }
  assert_in_range(paused_peers(f), 1, HOARDERS);
}

static void what_the_crowd_leaves_there_is_bounded(void **state) {
  fixture *f = *state;
  cmt_switch_status status;

  crowd_fills_the_queues(f);
  cmt_switch_get_status(f->t.b.sw, &status);
  assert_in_range(status.recv_queued_bytes, TOTAL / 2, TOTAL);
  /* No more than twice, with a friend that fills its floor. */
  test_node_dial(&f->t.a, f->t.b.addr, 0);
  while (!friend_of(f)->link->paused) {
    assert_cmt(CMT_OK, test_node_send(&f->t.a, TEST_CHAT, "hello"));
    test_loop_run_until_idle(f->t.w.loop);
  }
  cmt_switch_get_status(f->t.b.sw, &status);
  assert_in_range(status.recv_queued_bytes, TOTAL / 2, 2 * TOTAL);
  assert_true(test_loop_conn_count(f->t.w.loop) == HOARDERS + 1);
}

/* ---- memory ---- */

enum { IDS = 8, VICTIM_TOTAL = 300000, VICTIM_MESSAGE = 40000 };

typedef struct victim {
  test_world w;
  test_env env; /* What it allocates. */
  test_node n;
  hostile ids[IDS];
  uint64_t drawn, max;
} victim;

/* Limits that are low, so that what waits for the reactor is most of all. */
static void victim_init(victim *v, uint64_t seed) {
  test_world_init(&v->w);
  test_env_init(&v->env);
  v->env.seed = 2;
  v->drawn = seed;
  test_node_init(&v->n, &v->w);
  v->n.quiet = true;
  v->n.options.env = &v->env.env;
  v->n.options.inbound_peers_max = IDS;
  v->n.options.outbound_peers_max = CMT_NO_PEERS;
  v->n.options.send_bytes_max = 50000;
  v->n.options.recv_bytes_max = 50000;
  v->n.options.handshakes_max = 4;
  v->n.parts[0].delivery = CMT_DELIVER_MAILBOX;
  v->n.parts[0].recv_queue_bytes_total = VICTIM_TOTAL;
  v->n.parts[0].channels[0].recv_message_max = VICTIM_MESSAGE;
  v->n.parts[0].channels[0].on_full =
    seed % 2 == 0 ? CMT_ON_FULL_DROP : CMT_ON_FULL_WAIT;
  test_node_start(&v->n);
  v->max = cmt_switch_memory_max(v->n.sw);
}

static void victim_take(victim *v, size_t count) {
  cmt_mailbox *m = cmt_switch_mailbox(v->n.sw, "chat");
  cmt_mailbox_event ev;

  while (count > 0 && cmt_mailbox_next(m, &ev, 0) == CMT_OK) {
    cmt_mailbox_done(m, &ev);
    test_loop_run_until_idle(v->w.loop);
    count--;
  }
}

static void victim_fini(victim *v) {
  for (size_t i = 0; i < IDS; i++) {
    hostile_fini(&v->ids[i]);
  }
  test_loop_run_until_idle(v->w.loop);
  victim_take(v, SIZE_MAX);
  test_node_fini(&v->n);
  test_env_fini(&v->env);
  test_world_fini(&v->w);
}

/* A message of a kind that fills queues: many that are empty, or of a packet,
   or long ones in several. */
static void send_something(victim *v, hostile *h, unsigned kind) {
  size_t packets =
    kind == 2 ? 1 + test_below(&v->drawn, VICTIM_MESSAGE / 1000) : 1;

  for (; packets > 0; packets--) {
    hostile_packet(h, TEST_CHAT, kind == 0 ? 0 : 1000, packets == 1);
  }
}

static void a_round(victim *v) {
  unsigned kind = (unsigned)test_below(&v->drawn, 3);

  for (size_t i = 0; i < IDS; i++) {
    hostile *h = &v->ids[i];

    if (test_below(&v->drawn, 6) == 0 || h->tcp == NULL || h->ended) {
      hostile_fini(h); /* What it sent still waits. */
      hostile_dial(h, v->w.loop, v->n.addr);
      test_loop_run_until_idle(v->w.loop);
    }
    for (size_t k = 0; h->up && !h->ended && k < 100; k++) {
      send_something(v, h, kind);
    }
    test_loop_run_until_idle(v->w.loop);
  }
  victim_take(v, test_below(&v->drawn, 60));
  (void)test_node_log(&v->n);
}

static void what_waits_for_a_slow_reactor_is_within_the_bound(void **state) {
  size_t most = 0;

  (void)state;
  for (uint64_t seed = 1; seed <= 8; seed++) {
    victim *v = calloc(1, sizeof *v);

    assert_non_null(v);
    victim_init(v, seed);
    for (int i = 0; i < 12; i++) {
      a_round(v);
      if (v->env.peak_bytes > v->max) {
        fail_msg("seed %llu: %zu bytes are more than %llu",
                 (unsigned long long)seed, v->env.peak_bytes,
                 (unsigned long long)v->max);
      }
    }
    most = cmt__max(most, (size_t)(v->env.peak_bytes * 100 / v->max));
    victim_fini(v);
    free(v);
  }
  printf("# at most %zu %% of the bound\n", most);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(a_friend_is_served_in_its_turn_beside_a_crowd_that_fills_the_queues),
    TEST(what_the_crowd_leaves_there_is_bounded),
    cmocka_unit_test(what_waits_for_a_slow_reactor_is_within_the_bound),
  };

  return cmocka_run_group_tests_name("delivery_share", tests, NULL, NULL);
}
