/* SPDX-License-Identifier: Apache-2.0 */

/* Peers that read nothing, for each of which the application queues all it can,
   beside one that reads: the sum stays within the total, and the friend gets
   its messages. */

#include "hostile.h"

#include <stdlib.h>

#define S(n) CMT_SECONDS(n)

enum {
  CROWD = 20,
  TOTAL = 2 << 20,
  FLOOR = TOTAL / 160, /* Floor of each of eighty peers. */
  LARGE = 900000,
  PIECE = 1000,
};

typedef struct fixture {
  test_trio t; /* |b| sends, |a| is its friend. */
  hostile crowd[CROWD];
  size_t small, large; /* Messages that |a| got. */
} fixture;

static void on_receive(test_part *part, cmt_peer *p, uint8_t channel,
                       cmt_buf *msg) {
  fixture *f = part->arg;
  size_t len = cmt_buf_bytes(msg).len;

  (void)p;
  (void)channel;
  f->large += len == LARGE;
  f->small += len != LARGE;
}

static void prepare(test_node *n) {
  n->quiet = true;
  n->parts[0].channels[0].send_queue = 10000;
  n->parts[0].channels[0].recv_message_max = LARGE;
  n->options.ping_interval_ns = S(60);
  n->options.pong_timeout_ns = S(45);
}

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  test_world_init(&f->t.w);
  test_node_init(&f->t.a, &f->t.w);
  test_node_init(&f->t.b, &f->t.w);
  prepare(&f->t.a);
  prepare(&f->t.b);
  f->t.b.options.send_bytes_total_max = TOTAL;
  f->t.a.parts[0].on_receive = on_receive;
  f->t.a.parts[0].arg = f;
  test_node_start(&f->t.b);
  for (int i = 0; i < CROWD; i++) {
    f->crowd[i] = (hostile){.deaf = true};
    hostile_dial(&f->crowd[i], f->t.w.loop, f->t.b.addr);
    test_loop_run_until_idle(f->t.w.loop);
    assert_true(f->crowd[i].up);
    /* What is written to it stays with the writer. */
    test_loop_conn(f->t.w.loop, test_loop_conn_count(f->t.w.loop) - 1)
      ->dir[TEST_ACCEPTOR]
      .cap = 0;
  }
  test_node_start(&f->t.a);
  test_node_dial(&f->t.a, f->t.b.addr, 0);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;

  for (int i = 0; i < CROWD; i++) {
    hostile_fini(&f->crowd[i]);
  }
  test_node_fini(&f->t.a);
  test_node_fini(&f->t.b);
  test_world_fini(&f->t.w);
  free(f);
  return 0;
}

static uint64_t queued(fixture *f) {
  cmt_switch_status status;

  cmt_switch_get_status(f->t.b.sw, &status);
  return status.send_queued_bytes;
}

/* The friend among the peers of |b|, with a reference. */
static cmt_peer *friend_of(fixture *f) {
  cmt_node_id id;
  cmt_peer *p;

  cmt_switch_get_id(f->t.a.sw, &id);
  p = cmt_switch_peer(f->t.b.sw, &id);
  assert_non_null(p);
  return p;
}

static cmt_err try_send(fixture *f, cmt_peer *p, size_t len) {
  cmt_buf *msg = cmt_buf_new(&f->t.w.env.env, len);
  cmt_err err;

  memset(cmt_buf_data(msg), 1, len);
  err = cmt_peer_try_send(p, TEST_CHAT, msg);
  if (err != CMT_OK) {
    cmt_buf_unref(msg);
  }
  return err;
}

/* All that the switch accepts for those that read nothing. */
static void fill_crowd(fixture *f) {
  cmt_peer *peers[CROWD + 1], *friend = friend_of(f);
  size_t count = cmt_switch_peers(f->t.b.sw, peers, CROWD + 1);

  for (size_t i = 0; i < count; i++) {
    while (peers[i] != friend && try_send(f, peers[i], PIECE) == CMT_OK) {
    }
    cmt_peer_unref(peers[i]);
  }
  cmt_peer_unref(friend);
  test_loop_run_until_idle(f->t.w.loop);
}

static void the_sum_stays_within_the_total(void **state) {
  fixture *f = *state;
  cmt_peer *friend = friend_of(f);

  for (int i = 0; i < 5; i++) {
    fill_crowd(f); /* A batch of frames waits for each socket, and then more. */
  }
  for (size_t i = 1; i <= 100; i++) {
    fill_crowd(f);
    assert_in_range(queued(f), TOTAL / 2, TOTAL);
    /* Its floor is there, and is not more than that. */
    for (size_t k = 0; k < FLOOR / PIECE; k++) {
      assert_cmt(CMT_OK, try_send(f, friend, PIECE));
    }
    test_loop_run_until_idle(f->t.w.loop);
    assert_int_equal(i * (FLOOR / PIECE), f->small);
  }
  cmt_peer_unref(friend);
}

static void a_broadcast_reports_who_is_full(void **state) {
  fixture *f = *state;
  cmt_broadcast counts;
  cmt_buf *msg;

  fill_crowd(f);
  do {
    msg = cmt_buf_new(&f->t.w.env.env, PIECE);
    memset(cmt_buf_data(msg), 1, PIECE);
    assert_cmt(CMT_OK,
               cmt_switch_broadcast(f->t.b.sw, TEST_CHAT, msg, &counts));
    test_loop_run_until_idle(f->t.w.loop);
  } while (counts.queued > 1);
  assert_int_equal(1, counts.queued);
  assert_int_equal(CROWD, counts.full);
  assert_true(queued(f) <= TOTAL);
}

typedef struct answer {
  cmt_send_req req;
  unsigned calls;
  cmt_err status;
} answer;

static void on_answer(void *arg, cmt_err status, cmt_buf *msg) {
  answer *a = arg;

  a->calls++;
  a->status = status;
  cmt_buf_unref(msg);
}

/* A message for which there is no room waits, and goes when others end. */
static void a_large_message_waits_for_the_ends_of_others(void **state) {
  fixture *f = *state;
  cmt_peer *friend = friend_of(f);
  answer a = {.req = CMT_SEND_REQ(CMT_NEVER, on_answer, &a)};
  cmt_buf *msg = cmt_buf_new(&f->t.w.env.env, LARGE);

  memset(cmt_buf_data(msg), 1, LARGE);
  fill_crowd(f);
  assert_cmt(CMT_OK, cmt_peer_send_async(friend, TEST_CHAT, msg, &a.req));
  test_loop_run_until_idle(f->t.w.loop);
  assert_int_equal(0, a.calls);
  for (int i = 0; i < CROWD; i++) {
    hostile_fini(&f->crowd[i]);
    test_loop_run_until_idle(f->t.w.loop);
  }
  assert_int_equal(1, a.calls);
  assert_cmt(CMT_OK, a.status);
  assert_int_equal(1, f->large);
  cmt_peer_unref(friend);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(the_sum_stays_within_the_total),
    TEST(a_broadcast_reports_who_is_full),
    TEST(a_large_message_waits_for_the_ends_of_others),
  };
#undef TEST

  return cmocka_run_group_tests_name("send_crowd", tests, NULL, NULL);
}
