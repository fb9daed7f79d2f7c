/* SPDX-License-Identifier: Apache-2.0 */

/* The messages that a link hands over in one iteration of its loop: their
   number is bounded, others are served between, and none is lost. */

#include "hostile.h"

#include "link/link.h"

#define S(n) CMT_SECONDS(n)

enum { FLOOD = 9000 };

typedef test_trio fixture;

/* What |b| received. */
typedef struct heard {
  size_t all;
  const cmt_peer *flooder;  /* Whoever sent the first. */
  size_t before_other;      /* Messages of the flooder before one of another. */
  size_t pause_at, stop_at; /* Then the peer is paused, or ended. */
  unsigned wrong;           /* Messages with another number than expected. */
} heard;

static void on_receive(test_part *part, cmt_peer *p, uint8_t channel,
                       cmt_buf *msg) {
  cmt_bytes b = cmt_buf_bytes(msg);
  heard *h = part->arg;

  (void)channel;
  if (h->flooder == NULL) {
    h->flooder = p;
  }
  if (p != h->flooder) {
    h->before_other = h->all;
    return;
  }
  h->wrong += b.len == 4 && cmt__load_le32(b.base) != h->all;
  h->all++;
  part->receive_err = h->all == h->stop_at ? CMT_EPROTO : CMT_OK;
  if (h->all == h->pause_at) {
    cmt_peer_pause(p);
  }
}

static void listen(fixture *f, heard *h) {
  *h = (heard){.all = 0};
  f->b.quiet = true;
  f->b.parts[0].on_receive = on_receive;
  f->b.parts[0].arg = h;
  test_node_start(&f->b);
}

static void come(fixture *f, hostile *h) {
  *h = (hostile){.tcp = NULL};
  hostile_dial(h, f->w.loop, f->b.addr);
  test_loop_run_until_idle(f->w.loop);
  assert_true(h->up && !h->ended);
}

/* |count| messages in as few frames as possible: empty ones, or of four bytes
   with their number. */
static void flood(hostile *h, uint32_t count, bool numbered) {
  static uint8_t bytes[65536];
  cmt__batch r = cmt__batch_plain(NULL, bytes, sizeof bytes);

  for (uint32_t i = 0; i < count; i++) {
    uint8_t number[4];

    cmt__store_le32(number, i);
    test_wire()->write_msg(
      &r, TEST_CHAT, true,
      (cmt_bytes){numbered ? number : NULL, numbered ? sizeof number : 0});
  }
  hostile_send(h, (cmt_bytes){bytes, r.len});
}

static void a_flood_of_empty_messages_is_cut_into_iterations(void **state) {
  fixture *f = *state;
  hostile a;
  heard h;
  size_t steps = 0;

  if (f->w.loop_count > 1) {
    return; /* It counts the iterations of one loop. */
  }
  listen(f, &h);
  come(f, &a);
  flood(&a, FLOOD, false);
  while (h.all < FLOOD) {
    size_t before = h.all;

    test_loop_step(f->w.loop);
    assert_in_range(h.all - before, 0, CMT__ITERATION_MESSAGES);
    assert_in_range(++steps, 1, 2 * (FLOOD / CMT__ITERATION_MESSAGES + 1));
  }
  assert_int_equal(FLOOD, h.all);
  hostile_fini(&a);
}

static void another_peer_is_heard_between(void **state) {
  fixture *f = *state;
  hostile a, c;
  heard h;

  if (f->w.loop_count > 1) {
    return; /* It counts the iterations of one loop. */
  }
  listen(f, &h);
  come(f, &a);
  come(f, &c);
  flood(&a, FLOOD, false);
  test_loop_step(f->w.loop);
  hostile_packet(&c, TEST_CHAT, 0, true);
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(FLOOD, h.all);
  assert_in_range(h.before_other, 1, 3 * CMT__ITERATION_MESSAGES);
  hostile_fini(&a);
  hostile_fini(&c);
}

/* Wherever a read is cut, and whatever the iterations leave of it. */
static void nothing_is_lost_between_the_iterations(void **state) {
  static const size_t reads[] = {65536, 60000, 20001, 5000, 1045, 700};
  fixture *f = *state;
  heard h;

  listen(f, &h);
  for (size_t i = 0; i < CMT__COUNT(reads); i++) {
    hostile a;

    test_loop_defaults(f->w.loop)->read_max = reads[i];
    h = (heard){.all = 0};
    come(f, &a);
    for (int k = 0; k < 3; k++) {
      h.all = 0;
      flood(&a, 4000, true);
      test_loop_run_until_idle(f->w.loop);
      assert_int_equal(4000, h.all);
      assert_int_equal(0, h.wrong);
    }
    hostile_fini(&a);
    test_loop_run_until_idle(f->w.loop);
  }
}

static void what_was_put_by_comes_before_the_end(void **state) {
  fixture *f = *state;
  hostile a;
  heard h;

  listen(f, &h);
  come(f, &a);
  (void)test_node_log(&f->b);
  flood(&a, FLOOD, false);
  cmt__tcp_close(a.tcp);
  a.tcp = NULL;
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(FLOOD, h.all);
  assert_string_equal("remove chat CMT_EEOF\n", test_node_log(&f->b));
  hostile_fini(&a);
}

static void an_error_ends_it_between_the_iterations_too(void **state) {
  fixture *f = *state;
  hostile a;
  heard h;

  listen(f, &h);
  h.stop_at = CMT__ITERATION_MESSAGES + 100;
  come(f, &a);
  (void)test_node_log(&f->b);
  flood(&a, FLOOD, false);
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(h.stop_at, h.all);
  assert_string_equal("remove chat CMT_EPROTO\n", test_node_log(&f->b));
  hostile_fini(&a);
}

/* A pause stops reading; what was read is handed over as before. */
static void a_pause_between_the_iterations_loses_nothing(void **state) {
  fixture *f = *state;
  cmt_peer *p;
  hostile a;
  heard h;

  listen(f, &h);
  h.pause_at = CMT__ITERATION_MESSAGES + 100;
  come(f, &a);
  flood(&a, 4000, true);
  flood(&a, 1, false);
  test_loop_run_until_idle(f->w.loop);
  assert_in_range(h.all, h.pause_at, 4000 + 1);
  p = test_node_peer(&f->b);
  cmt_peer_resume(p);
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(4001, h.all);
  assert_int_equal(0, h.wrong);
  hostile_fini(&a);
}

/* A pong that lies behind messages which wait for the next iteration is not
   late. */
static void a_pong_behind_what_was_put_by_is_in_time(void **state) {
  static const uint8_t pong[] = {2, 0x12, 0};
  fixture *f = *state;
  hostile a;
  heard h;

  f->b.options.ping_interval_ns = S(2);
  f->b.options.pong_timeout_ns = S(1);
  listen(f, &h);
  come(f, &a);
  (void)test_node_log(&f->b);
  test_loop_advance(f->w.loop, S(2));
  test_loop_advance(f->w.loop, S(1) - 1);
  flood(&a, FLOOD, false);
  hostile_send(&a, (cmt_bytes){pong, sizeof pong});
  test_loop_step(f->w.loop); /* A part of it is there when time goes on. */
  test_loop_step(f->w.loop);
  test_loop_advance(f->w.loop, S(1));
  assert_int_equal(FLOOD, h.all);
  assert_string_equal("", test_node_log(&f->b));
  hostile_fini(&a);
}

/* A peer that floods for ever and answers no ping ends all the same. */
static void a_flood_is_no_answer_to_a_ping(void **state) {
  fixture *f = *state;
  hostile a;
  heard h;

  f->b.options.ping_interval_ns = S(2);
  f->b.options.pong_timeout_ns = S(1);
  listen(f, &h);
  come(f, &a);
  (void)test_node_log(&f->b);
  for (int i = 0; i < 40 && !a.ended; i++) {
    flood(&a, FLOOD, false);
    test_loop_advance(f->w.loop, CMT_MILLISECONDS(100));
  }
  assert_string_equal("remove chat CMT_EPONG\n", test_node_log(&f->b));
  hostile_fini(&a);
}

static void without_memory_to_put_it_by_the_peer_ends(void **state) {
  fixture *f = *state;
  hostile a;
  heard h;

  if (f->w.loop_count > 1) {
    return; /* The peer would still have to move. */
  }
  listen(f, &h);
  come(f, &a);
  (void)test_node_log(&f->b);
  flood(&a, FLOOD, false);
  /* An empty message needs one allocation: the next is for the rest. */
  f->w.env.fail_at = f->w.env.allocs + CMT__ITERATION_MESSAGES;
  test_loop_run_until_idle(f->w.loop);
  assert_int_equal(CMT__ITERATION_MESSAGES, h.all);
  assert_string_equal("remove chat CMT_ENOMEM\n", test_node_log(&f->b));
  hostile_fini(&a);
}

int main(void) {
#define TEST(name)                                                             \
  cmocka_unit_test_setup_teardown(name, test_trio_setup, test_trio_teardown)
  const struct CMUnitTest tests[] = {
    TEST(a_flood_of_empty_messages_is_cut_into_iterations),
    TEST(another_peer_is_heard_between),
    TEST(nothing_is_lost_between_the_iterations),
    TEST(what_was_put_by_comes_before_the_end),
    TEST(an_error_ends_it_between_the_iterations_too),
    TEST(a_pause_between_the_iterations_loses_nothing),
    TEST(a_pong_behind_what_was_put_by_is_in_time),
    TEST(a_flood_is_no_answer_to_a_ping),
    TEST(without_memory_to_put_it_by_the_peer_ends),
  };
#undef TEST

  return cmocka_run_group_tests_name("turn", tests, NULL, NULL);
}
