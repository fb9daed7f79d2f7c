/* SPDX-License-Identifier: Apache-2.0 */

/* Runs: what a worker takes of a mailbox at once, and who releases it. */

#include "mailbox_user.h"

enum { RUN = CMT__RUN_MESSAGES };

/* The worker goes on; returns what it is at, as next() does. */
static const char *go_on(fixture *f, cmt__run *r) {
  static char text[64];

  assert_cmt(CMT_OK, cmt__mailbox_done_and_next(f->mailbox, r));
  assert_int_equal(CMT_EVENT_MESSAGE, r->ev.kind);
  snprintf(text, sizeof text, "%d %02x %d", (int)(r->ev.peer - f->peers),
           r->ev.channel, cmt_buf_bytes(r->ev.msg).base[0]);
  return text;
}

static fixture *begin(void **state) {
  fixture *f = *state;

  f->queue = 100;
  f->queue_bytes = 1 << 20;
  start(f, 0);
  return f;
}

static void fill(fixture *f, size_t peer, size_t count, size_t len) {
  for (size_t k = 0; k < count; k++) {
    assert_cmt(CMT_OK, put_len(f, peer, k % 2 == 0 ? A : B, (uint8_t)k, len));
  }
}

/* How long the first run is. */
static void a_run_is_short_and_of_one_peer(void **state) {
  static const struct {
    size_t count, len, others;
    size_t run;
  } rows[] = {
    {1, 1, 0, 1},
    {32, 1, 0, 32},
    {33, 1, 0, 32},
    {32, 1, 1, 1}, /* Peers are served by turns. */
    {3, CMT__RUN_BYTES / 2 - COST, 0, 2},
    {3, CMT__RUN_BYTES / 2 - COST + 1, 0, 1},
    {3, 2 * CMT__RUN_BYTES, 0, 1},
  };

  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    fixture *f = begin(state);
    cmt__run r = {.count = 0};

    fill(f, 0, rows[i].count, rows[i].len);
    fill(f, 1, rows[i].others, 1);
    assert_string_equal("0 10 0", go_on(f, &r));
    assert_int_equal(rows[i].run, r.count);
    assert_int_equal(rows[i].count - r.count, f->inboxes[0]->queue.count);
    cmt__mailbox_refuse(f->mailbox, &r);
    assert_cmt(CMT_OK, put(f, 2, A, 9));
    while (strcmp("2 10 9", go_on(f, &r)) != 0) {
    }
    cmt_mailbox_done(f->mailbox, &r.ev);
    assert_int_equal(0, cmt__mailbox_bytes(f->mailbox));
    teardown(state);
    setup(state);
  }
  (void)begin(state);
}

/* All of a run counts until it ends, and nothing of the peer is out beside
   it. */
static void a_run_keeps_the_order_and_counts_whole(void **state) {
  fixture *f = begin(state);
  cmt__run r = {.count = 0};
  char text[64];

  fill(f, 0, 40, 1);
  for (int k = 0; k < 40; k++) {
    snprintf(text, sizeof text, "0 %02x %d", k % 2 == 0 ? A : B, k);
    assert_string_equal(text, go_on(f, &r));
    assert_string_equal("CMT_ETIMEDOUT", take(f));
    assert_int_equal((k < RUN ? 40 : 40 - RUN) * (COST + 1),
                     cmt__mailbox_bytes(f->mailbox));
  }
  assert_cmt(CMT_OK, put(f, 1, A, 9));
  assert_string_equal("1 10 9", go_on(f, &r));
  assert_int_equal(COST + 1, cmt__mailbox_bytes(f->mailbox));
  cmt_mailbox_done(f->mailbox, &r.ev);
}

/* The loop releases what a worker is done with while more waits, one for each
   message. */
static void spent_buffers_return_with_the_next_messages(void **state) {
  fixture *f = begin(state);
  cmt__run r = {.count = 0};
  size_t before;

  fill(f, 0, RUN + 24, 1);
  before = f->env.live;
  for (int k = 0; k < RUN + 1; k++) {
    (void)go_on(f, &r);
  }
  assert_int_equal(before, f->env.live);
  for (int k = 0; k < RUN; k++) {
    fill(f, 0, 1, 1);
    assert_int_equal(before, f->env.live);
  }
  fill(f, 0, 1, 1); /* Nothing is left to release. */
  assert_int_equal(before + 1, f->env.live);
  for (int k = 0; k < 24 + RUN; k++) { /* No message comes. */
    (void)go_on(f, &r);
  }
  assert_cmt(CMT_OK, put(f, 1, A, 9)); /* The last of the peer was received. */
  assert_string_equal("1 10 9", go_on(f, &r));
  assert_null(f->inboxes[0]->spent);
  assert_int_equal(before - (RUN + 24) + 2,
                   f->env.live); /* And a queue of the other peer. */
  cmt_mailbox_done(f->mailbox, &r.ev);
}

/* A buffer that the reactor keeps is released by whoever is last. */
static void a_buffer_that_is_kept_is_not_spent(void **state) {
  fixture *f = begin(state);
  cmt__run r = {.count = 0};
  cmt_buf *kept = NULL;

  fill(f, 0, RUN + 1, 1);
  for (int k = 0; k < RUN + 1; k++) {
    (void)go_on(f, &r);
    kept = k == 3 ? cmt_buf_ref(r.ev.msg) : kept;
  }
  fill(f, 0, 1, 1);
  assert_int_equal(3, cmt_buf_bytes(kept).base[0]);
  assert_non_null(cmt_buf_data(kept)); /* It has no other reference. */
  cmt_buf_unref(kept);
  assert_string_equal("0 10 0", go_on(f, &r));
  assert_cmt(CMT_OK, put(f, 1, A, 9));
  assert_string_equal("1 10 9", go_on(f, &r));
  cmt_mailbox_done(f->mailbox, &r.ev);
}

/* Neither what waits nor the rest of a run is delivered, and nothing is
   kept. */
static void a_hurry_ends_a_run(void **state) {
  fixture *f = begin(state);
  cmt__run r = {.count = 0};

  fill(f, 0, 2 * RUN + 8, 1);
  for (int k = 0; k < RUN + 1; k++) { /* The first of the second run. */
    (void)go_on(f, &r);
  }
  cmt__mailbox_discard(f->mailbox);
  assert_null(f->inboxes[0]->spent);
  cmt__mailbox_peer_gone(f->inboxes[0], CMT_EEOF);
  assert_cmt(CMT_OK, cmt__mailbox_done_and_next(f->mailbox, &r));
  assert_int_equal(CMT_EVENT_PEER_GONE, r.ev.kind);
  assert_int_equal(0, cmt__mailbox_bytes(f->mailbox));
  cmt_mailbox_done(f->mailbox, &r.ev);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(a_run_is_short_and_of_one_peer),
    TEST(a_run_keeps_the_order_and_counts_whole),
    TEST(spent_buffers_return_with_the_next_messages),
    TEST(a_buffer_that_is_kept_is_not_spent),
    TEST(a_hurry_ends_a_run),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
