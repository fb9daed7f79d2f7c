/* SPDX-License-Identifier: Apache-2.0 */

/* Switches with several loops: where a peer lives, and that its move loses
   nothing.  The tests of what does not depend on the number of loops run once
   more with three; see tests/CMakeLists.txt. */

#include "loops_pair.h"
#include "marks.h"

enum { DRAWN = 300 };

/* ---- where it is ---- */

static void each_goes_to_the_loop_with_the_fewest(void **state) {
  static const size_t expected[] = {2, 1, 0, 2, 1};
  fixture *f = *state;
  test_node others[CMT__COUNT(expected)];
  cmt_peer *p;

  test_node_start(&f->b);
  for (size_t i = 0; i < CMT__COUNT(expected); i++) {
    test_node_init(&others[i], &f->w);
    test_node_start(&others[i]);
    test_node_dial(&others[i], f->b.addr, 0);
    p = cmt_switch_peer(f->b.sw, &others[i].sw->setup.id);
    assert_int_equal(expected[i], loop_of(&f->b, p));
    cmt_peer_unref(p);
  }
  test_node_fini(&others[1]);
  assert_int_equal(1, f->b.sw->threads[1].peers);
  test_node_init(&others[1], &f->w);
  test_node_start(&others[1]);
  test_node_dial(&others[1], f->b.addr, 0);
  assert_int_equal(2, f->b.sw->threads[1].peers);
  for (size_t i = 0; i < CMT__COUNT(expected); i++) {
    test_node_fini(&others[i]);
  }
  for (size_t i = 0; i < LOOPS; i++) {
    assert_int_equal(0, f->b.sw->threads[i].peers);
  }
  assert_int_equal(0, test_loop_base(f->w.loops[1])->reserved);
  assert_int_equal(0, test_loop_base(f->w.loops[2])->reserved);
}

static void with_one_loop_nothing_moves(void **state) {
  fixture *f = fixture_new(1);

  (void)state;
  test_pair(&f->w, &f->a, &f->b);
  assert_null(test_node_peer(&f->a)->link->migration);
  assert_ptr_equal(f->a.sw->loop, test_node_peer(&f->a)->link->loop);
  fixture_delete(f);
}

static void is_on_the_last(test_part *part, cmt_peer *p, uint8_t channel,
                           cmt_buf *msg) {
  const cmt__loop_thread *threads = part->node->sw->threads;

  (void)p;
  (void)channel;
  (void)msg;
  assert_null(cmt__callback_running(&threads[0].delivery.callbacks));
  assert_string_equal("chat",
                      cmt__callback_running(&threads[2].delivery.callbacks));
}

static void receive_is_called_on_the_loop_of_the_peer(void **state) {
  fixture *f = *state;

  f->b.parts[0].on_receive = is_on_the_last;
  test_pair(&f->w, &f->a, &f->b);
  assert_int_equal(2, loop_of(&f->a, test_node_peer(&f->a)));
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "hello"));
  for (int i = 0; i < 5; i++) {
    test_loop_step_one(f->w.loops[0]);
    test_loop_step_one(f->w.loops[1]);
  }
  assert_string_equal("", test_node_log(&f->b));
  test_loop_step_one(f->w.loops[2]);
  test_loop_step_one(f->w.loops[2]);
  assert_string_equal("receive chat 51 hello\n", test_node_log(&f->b));
}

static void remove_peer_is_called_on_the_first_loop(void **state) {
  fixture *f = *state;

  test_pair(&f->w, &f->a, &f->b);
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "last words"));
  test_loop_step_one(f->w.loops[2]);
  test_conn_cut(test_loop_conn(f->w.loop, 0));
  for (int i = 0; i < 5; i++) {
    test_loop_step_one(f->w.loops[2]);
  }
  assert_string_equal("", test_node_log(&f->a));
  test_loop_step_one(f->w.loops[0]);
  assert_string_equal("remove chat CMT_ERESET\n", test_node_log(&f->a));
}

static void what_came_with_the_node_info_is_heard_first(void **state) {
  fixture *f = *state;

  f->b.parts[0].on_receive = on_number;
  f->b.quiet = true;
  test_node_start(&f->a);
  test_node_start(&f->b);
  test_node_dial(&f->a, f->b.addr, 0);
  for (uint32_t i = 0; i < 20; i++) {
    uint8_t number[4];

    cmt__store_le32(number, i);
    while (cmt_switch_broadcast_bytes(f->a.sw, TEST_CHAT, number, 4, NULL) ==
             CMT_OK &&
           f->received[1] < i) {
      test_loop_step(f->w.loop);
    }
    run_until_idle(f);
  }
  assert_int_equal(20, f->received[1]);
}

/* They do it under a lock then, and with locked operations. */
static void what_they_share_is_shared_by_threads(void **state) {
  fixture *f = *state;

  test_node_start(&f->a);
  assert_int_equal(LOOPS, f->a.sw->setup.group->quota.threads);
  assert_non_null(f->a.sw->setup.group->quota.guard.lock);
}

/* ---- at any moment ---- */

static void messages_around_the_move_arrive_once_in_order(void **state) {
  unsigned moved = 0;
  uint64_t before = test_mark("moved_with_something_queued");

  (void)state;
  for (running = 1; running <= DRAWN; running++) {
    fixture *f = fixture_new((unsigned)(1 + running % LOOPS));

    prepare_numbers(f, running);
    assert_cmt(CMT_OK, cmt_switch_dial(f->a.sw, f->b.addr, 0, NULL));
    for (int i = 0; f->sent[0] < 30 || f->sent[1] < 30; i++) {
      assert_true(i < 100000);
      test_loop_step(f->w.loop);
      send_number(f, draw(f, 2) == 0 ? &f->a : &f->b);
    }
    run_until_idle(f);
    assert_int_equal(f->sent[0], f->received[0]);
    assert_int_equal(f->sent[1], f->received[1]);
    assert_int_equal(f->asked, f->answered);
    moved += loop_of(&f->a, test_node_peer(&f->a)) != 0;
    fixture_delete(f);
  }
  running = 0;
  assert_true(moved > DRAWN / 2);
  assert_mark_reached("moved_with_something_queued", before);
}

/* ---- memory ---- */

/* From the dial to messages both ways; allocation |fail| of that fails. */
static size_t run_out_of_memory(size_t fail, unsigned *ended_by_it) {
  fixture *f = fixture_new(2);
  size_t allocs;

  test_node_start(&f->a);
  test_node_start(&f->b);
  allocs = f->w.env.allocs;
  f->w.env.fail_at = fail == SIZE_MAX ? SIZE_MAX : allocs + fail;
  if (cmt_switch_dial(f->a.sw, f->b.addr, 0, NULL) == CMT_OK) {
    run_until_idle(f);
    (void)cmt_switch_broadcast_bytes(f->a.sw, TEST_CHAT, "hello", 5, NULL);
    (void)cmt_switch_broadcast_bytes(f->b.sw, TEST_CHAT, "hello", 5, NULL);
    run_until_idle(f);
    *ended_by_it +=
      (unsigned)(f->a.sw->status.removed + f->b.sw->status.removed) > 0;
    cmt_switch_stop(f->a.sw, CMT_SECONDS(1));
    run_until_idle(f);
  }
  f->w.env.fail_at = SIZE_MAX;
  allocs = f->w.env.allocs - allocs;
  cmt_switch_stop(f->a.sw, 0);
  cmt_switch_stop(f->b.sw, 0);
  run_until_idle(f);
  assert_balanced(&f->b);
  assert_int_equal(f->a.sw->status.added, f->a.sw->status.removed);
  fixture_delete(f);
  return allocs;
}

static void any_allocation_may_fail(void **state) {
  unsigned ended = 0;
  size_t count = run_out_of_memory(SIZE_MAX, &ended);

  (void)state;
  assert_int_equal(0, ended);
  for (size_t i = 0; i < count; i++) {
    run_out_of_memory(i, &ended);
  }
  printf("# %zu allocations, of which %u ended a peer\n", count, ended);
  assert_true(ended >= 4); /* The socket and the timer of each side. */
}

int main(void) {
  const struct CMUnitTest tests[] = {
    PAIR_TEST(each_goes_to_the_loop_with_the_fewest),
    cmocka_unit_test(with_one_loop_nothing_moves),
    PAIR_TEST(receive_is_called_on_the_loop_of_the_peer),
    PAIR_TEST(remove_peer_is_called_on_the_first_loop),
    PAIR_TEST(what_came_with_the_node_info_is_heard_first),
    PAIR_TEST(what_they_share_is_shared_by_threads),
    cmocka_unit_test_teardown(messages_around_the_move_arrive_once_in_order,
                              print_seed),
    cmocka_unit_test(any_allocation_may_fail),
    TEST_SHORTAGE(any_allocation_may_fail),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
