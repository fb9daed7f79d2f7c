/* SPDX-License-Identifier: Apache-2.0 */

/* How the total of a mailbox is divided between its inboxes: each has its
   floor, and who uses most is stopped first. */

#include "mailbox_user.h"

enum {
  HOARDERS = 33,
  SHARE = 2000,
  LEN = 300, /* Bytes of a hoarder's message. */
};

/* Queues that only the total bounds. */
static void start_wide(fixture *f, size_t peers, size_t total) {
  f->peer_count = peers;
  f->queue = 100000;
  f->queue_bytes = 100000000;
  start(f, total);
}

static size_t reserved(const fixture *f, size_t peer) {
  return f->inboxes[peer]->usage.bytes;
}

/* Puts messages until the link is stopped. */
static void hoard(fixture *f, size_t peer) {
  while (!is_stopped(f, peer)) {
    assert_cmt(CMT_OK, put_len(f, peer, A, 0, LEN));
  }
}

static void hoard_all(fixture *f) {
  start_wide(f, HOARDERS + 1, (HOARDERS + 1) * SHARE);
  for (size_t i = 0; i < HOARDERS; i++) {
    hoard(f, i);
  }
  /* Each has its floor and more. */
  for (size_t i = 0; i < HOARDERS; i++) {
    assert_true(reserved(f, i) >= SHARE);
  }
}

static void a_peer_under_its_floor_is_never_stopped_by_the_total(void **state) {
  fixture *f = *state;
  size_t friend = HOARDERS;

  hoard_all(f);
  assert_cmt(CMT_OK, put_len(f, friend, A, 7, SHARE / 2 - COST));
  assert_false(is_stopped(f, friend));
  assert_cmt(CMT_OK, put_len(f, friend, B, 8, SHARE / 2 - 1 - COST));
  assert_false(is_stopped(f, friend));
  assert_int_equal(SHARE - 1, reserved(f, friend));
  assert_cmt(CMT_OK, put_len(f, friend, A, 9, 0)); /* It was read already. */
  assert_true(is_stopped(f, friend));
}

static void its_message_comes_in_its_own_turn(void **state) {
  fixture *f = *state;
  int turns = 1;

  hoard_all(f);
  assert_cmt(CMT_OK, put_len(f, HOARDERS, A, 7, 100));
  assert_false(is_stopped(f, HOARDERS));
  while (strcmp("33 10 7", take(f)) != 0) {
    turns++;
  }
  assert_in_range(turns, 1, HOARDERS + 1);
}

/* Nobody else's messages have to be done for it. */
static void a_peer_reads_on_when_its_own_are_done(void **state) {
  fixture *f = *state;
  cmt_mailbox_event others[HOARDERS], ev;

  hoard_all(f);
  for (size_t i = 0; i < HOARDERS; i++) {
    assert_true(next(f, &others[i])[0] != 'C');
  }
  hoard(f, HOARDERS);
  while (is_stopped(f, HOARDERS)) {
    assert_string_equal("33 10 0", next(f, &ev));
    cmt_mailbox_done(f->mailbox, &ev);
  }
  assert_in_range(reserved(f, HOARDERS), 1, SHARE / 2);
  for (size_t i = 0; i < HOARDERS; i++) {
    assert_true(is_stopped(f, i));
    cmt_mailbox_done(f->mailbox, &others[i]);
  }
}

static void who_holds_most_is_stopped_first(void **state) {
  fixture *f = *state;

  start_wide(f, 3, 12000);
  assert_cmt(CMT_OK, put_len(f, 0, A, 1, 5999 - COST));
  assert_false(is_stopped(f, 0)); /* There is as much left. */
  assert_cmt(CMT_OK, put_len(f, 0, A, 2, 0));
  assert_true(is_stopped(f, 0));
  assert_cmt(CMT_OK, put_len(f, 1, A, 3, 2000 - COST));
  assert_cmt(CMT_OK, put_len(f, 1, B, 4, 1999 - COST));
  assert_false(is_stopped(f, 1));
  assert_cmt(CMT_OK, put_len(f, 2, A, 5, 3999 - COST));
  assert_false(is_stopped(f, 2)); /* The total is full now. */
  assert_cmt(CMT_OK, put_len(f, 2, A, 6, 0));
  assert_true(is_stopped(f, 2));
  assert_false(is_stopped(f, 1));
}

/* A peer that is alone may have half: as much as is left then. */
static void what_is_left_is_for_those_who_hold_less(void **state) {
  fixture *f = *state;

  start_wide(f, 40, 40000);
  assert_cmt(CMT_OK, put_len(f, 0, A, 1, 19999 - COST));
  assert_false(is_stopped(f, 0));
  assert_cmt(CMT_OK, put_len(f, 0, A, 2, 0));
  assert_true(is_stopped(f, 0));
  assert_string_equal("0 10 1", take(f));
  assert_false(is_stopped(f, 0));
}

static void a_channel_that_drops_has_the_same_floors(void **state) {
  fixture *f = *state;

  start_wide(f, 3, 12000);
  assert_cmt(CMT_OK, put_len(f, 0, DROPS, 1, 6000 - COST));
  assert_cmt(CMT_EAGAIN, put_len(f, 0, DROPS, 2, 0));
  assert_cmt(CMT_OK, put_len(f, 1, DROPS, 3, 4000 - COST));
  assert_cmt(CMT_EAGAIN, put_len(f, 1, DROPS, 4, 0));
  assert_cmt(CMT_OK, put_len(f, 2, DROPS, 5, 3000 - COST)); /* Over it. */
  assert_cmt(CMT_OK, put_len(f, 2, DROPS, 6, 1000 - COST));
  assert_cmt(CMT_EAGAIN, put_len(f, 2, DROPS, 7, 0));
  assert_false(is_stopped(f, 0) || is_stopped(f, 1) || is_stopped(f, 2));
}

/* The first message of a peer always has room. */
static void a_message_longer_than_a_floor_has_room_alone(void **state) {
  fixture *f = *state;

  start_wide(f, 3, 3000);
  assert_cmt(CMT_OK, put_len(f, 0, DROPS, 1, 5000));
  assert_cmt(CMT_EAGAIN, put_len(f, 0, DROPS, 2, 0));
  assert_cmt(CMT_OK, put_len(f, 1, DROPS, 3, 5000));
  assert_cmt(CMT_OK, put_len(f, 2, A, 4, 5000));
  assert_true(is_stopped(f, 2));
  assert_string_equal("0 30 1", take(f));
  assert_string_equal("1 30 3", take(f));
  assert_true(is_stopped(f, 2));
  assert_string_equal("2 10 4", take(f));
  assert_false(is_stopped(f, 2));
}

/* ---- drawn ---- */

/* What is true at any time: a peer that has done half of its floor reads on,
   and all together are within what is promised. */
static void assert_shared(fixture *f, size_t most) {
  cmt_reactor r = {.recv_queue_bytes_total = f->mailbox->quota.bytes_max};
  size_t sum = 0;

  for (size_t i = 0; i < f->peer_count; i++) {
    sum += reserved(f, i);
    if (reserved(f, i) <= f->mailbox->quota.floor / 2) {
      assert_false(is_stopped(f, i));
    }
  }
  assert_int_equal(sum, f->mailbox->quota.bytes);
  assert_true(sum <=
              cmt__mailbox_memory(&r, f->peer_count) + f->peer_count * most);
}

static void a_step(fixture *f, uint64_t *drawn, size_t most) {
  size_t peer = test_below(drawn, f->peer_count);
  uint8_t channel = test_below(drawn, 3) == 0 ? DROPS : A;

  if (test_below(drawn, 100) < 30) {
    (void)take(f);
    return;
  }
  /* A link that is stopped is not read. */
  for (size_t i = test_below(drawn, 8); i > 0 && !is_stopped(f, peer); i--) {
    (void)put_len(f, peer, channel, 1, 1 + test_below(drawn, most - COST));
  }
}

static void nobody_is_left_stopped(void **state) {
  for (uint64_t seed = 1; seed <= 40; seed++) {
    uint64_t drawn = seed;
    size_t most = COST + 1 + test_below(&drawn, 3000);
    fixture *f = *state;

    start_wide(f, 1 + test_below(&drawn, 20), 1 + test_below(&drawn, 60000));
    for (int i = 0; i < 500; i++) {
      a_step(f, &drawn, most);
      assert_shared(f, most);
    }
    while (take(f)[0] != 'C') {
      assert_shared(f, most);
    }
    for (size_t i = 0; i < f->peer_count; i++) {
      assert_false(is_stopped(f, i));
    }
    teardown(state);
    setup(state);
  }
  start(*state, 0);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(a_peer_under_its_floor_is_never_stopped_by_the_total),
    TEST(its_message_comes_in_its_own_turn),
    TEST(a_peer_reads_on_when_its_own_are_done),
    TEST(who_holds_most_is_stopped_first),
    TEST(what_is_left_is_for_those_who_hold_less),
    TEST(a_channel_that_drops_has_the_same_floors),
    TEST(a_message_longer_than_a_floor_has_room_alone),
    TEST(nobody_is_left_stopped),
  };
#undef TEST

  return cmocka_run_group_tests_name("mailbox_share", tests, NULL, NULL);
}
