/* SPDX-License-Identifier: Apache-2.0 */

/* What several connections write at a time: the bytes of each are those that it
   would have written alone. */

#include "conn_peer.h"

#include "core/conn/conn_impl.h"
#include "core/secret/secret_conn.h"

enum { CONNS = 6, ROOM = 64 };

#define S(n) CMT_SECONDS(n)

typedef struct fixture {
  conn_peer f[CONNS];
  cmt_conn_batch list[CONNS];
  uint8_t slots[ROOM * CMT_FRAME_SLOT];
} fixture;

static int init(void **state) {
  fixture *x = calloc(1, sizeof *x);

  assert_non_null(x);
  for (size_t i = 0; i < CONNS; i++) {
    conn_peer_init(&x->f[i], i % 2 == 0); /* The keys of the odd are others. */
  }
  *state = x;
  return 0;
}

static int fini(void **state) {
  fixture *x = *state;

  for (size_t i = 0; i < CONNS; i++) {
    conn_peer_fini(&x->f[i]);
  }
  free(x);
  return 0;
}

static void all_up(fixture *x) {
  for (size_t i = 0; i < CONNS; i++) {
    conn_peer_start(&x->f[i]);
    conn_peer_up(&x->f[i]);
  }
}

static size_t write_many(fixture *x, size_t count, size_t cap) {
  for (size_t i = 0; i < CONNS; i++) {
    x->list[i] = (cmt_conn_batch){.conn = x->f[i].c, .max = sizeof x->slots};
  }
  return cmt_conn_write_many(x->list, count, x->slots, cap, x->f[0].now_ns);
}

static void assert_lens(const fixture *x, const size_t frames[CONNS]) {
  const uint8_t *at = x->slots;

  for (size_t i = 0; i < CONNS; i++) {
    assert_int_equal(frames[i] * CMT_FRAME_SLOT, x->list[i].len);
    assert_ptr_equal(at, x->list[i].base);
    at += x->list[i].len;
  }
}

/* Compares what connection |i| wrote with what its twin writes alone. */
static void assert_as_alone(const fixture *x, size_t i, size_t len) {
  static uint8_t alone[ROOM * CMT_FRAME_SLOT];
  conn_peer twin;

  conn_peer_init(&twin, i % 2 == 0);
  conn_peer_start(&twin);
  conn_peer_up(&twin);
  assert_cmt(CMT_OK, conn_peer_queue(&twin, 0xff, len));
  assert_int_equal(x->list[i].len,
                   cmt_conn_write(twin.c, alone, sizeof alone, 0));
  assert_memory_equal(alone, x->list[i].base, x->list[i].len);
  conn_peer_fini(&twin);
}

/* Few frames of each, many of one, and nothing of another; with one kernel, and
   with two that alternate. */
static void each_writes_what_it_would_write_alone(void **state) {
  static const size_t lens[CONNS] = {10, 900, 20000, 5, 3000, 100};
  static const size_t frames[CONNS] = {1, 1, 20, 1, 3, 1};
  fixture *x = *state;

  for (int mixed = 0; mixed < 2; mixed++) {
    for (size_t i = 0; i < CONNS; i++) {
      x->f[i].t.env.aead =
        mixed && i % 3 == 0 ? &cmt__aead_libsodium : x->f[i].t.env.aead;
    }
    all_up(x);
    for (size_t i = 0; i < CONNS; i++) {
      assert_cmt(CMT_OK, conn_peer_queue(&x->f[i], 0xff, lens[i]));
    }
    assert_int_equal(CONNS, write_many(x, CONNS, sizeof x->slots));
    assert_lens(x, frames);
    for (size_t i = 0; i < CONNS; i++) {
      assert_as_alone(x, i, lens[i]);
    }
    assert_int_equal(0, fini(state));
    assert_int_equal(0, init(state));
    x = *state;
  }
}

static void each_keeps_to_its_own_bound(void **state) {
  fixture *x = *state;

  all_up(x);
  for (size_t i = 0; i < 2; i++) {
    assert_cmt(CMT_OK, conn_peer_queue(&x->f[i], 0xff, 20000));
    x->list[i] =
      (cmt_conn_batch){.conn = x->f[i].c, .max = (i + 3) * CMT_FRAME_SLOT};
  }
  assert_int_equal(
    2, cmt_conn_write_many(x->list, 2, x->slots, sizeof x->slots, 0));
  assert_int_equal(3 * CMT_FRAME_SLOT, x->list[0].len);
  assert_int_equal(4 * CMT_FRAME_SLOT, x->list[1].len);
}

/* Each needs room for two frames, and writes one. */
static void what_finds_no_room_is_left_as_it_was(void **state) {
  static const struct {
    size_t cap, written;
  } rows[] = {
    {2 * CMT_FRAME_SLOT, 1},
    {3 * CMT_FRAME_SLOT - 1, 1},
    {3 * CMT_FRAME_SLOT, 2},
    {4 * CMT_FRAME_SLOT - 1, 2},
  };
  fixture *x = *state;

  all_up(x);
  for (size_t i = 0; i < CONNS; i++) {
    assert_cmt(CMT_OK, conn_peer_queue(&x->f[i], 0xff, 900));
  }
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    size_t written = rows[i].written;

    assert_int_equal(2 * CMT_FRAME_SLOT, cmt_conn_write_min(x->f[0].c));
    assert_int_equal(written, write_many(x, CONNS, rows[i].cap));
    assert_null(x->list[written].base);
    assert_int_equal(0, x->list[written].len);
    assert_true(cmt_conn_wants_write(x->f[written].c, 0, NULL));
    for (size_t k = 0; k < written; k++) {
      assert_int_equal(CMT_FRAME_SLOT, x->list[k].len);
      cmt_conn_consume(x->f[k].c, CMT_FRAME_SLOT, 0);
      assert_cmt(CMT_OK, conn_peer_queue(&x->f[k], 0xff, 900));
    }
  }
}

static void none_of_no_connection_is_written(void **state) {
  fixture *x = *state;

  assert_int_equal(0, write_many(x, 0, sizeof x->slots));
}

/* An end, a batch that is not consumed, nothing queued, and the same once more:
   the others write all the same. */
static void who_has_nothing_to_write_is_passed_over(void **state) {
  static const size_t frames[CONNS] = {0, 1, 0, 0, 1, 0};
  fixture *x = *state;

  all_up(x);
  for (size_t i = 0; i < CONNS - 1; i++) {
    assert_cmt(CMT_OK, conn_peer_queue(&x->f[i], 0xff, i == 3 ? 0 : 900));
  }
  cmt_conn_stop(x->f[0].c, CMT_ECANCELED, 0, 0);
  assert_int_equal(CMT_FRAME_SLOT, conn_peer_output(&x->f[2], 65536, 0).len);
  assert_int_equal(CMT_FRAME_SLOT, conn_peer_output(&x->f[3], 65536, 0).len);
  assert_int_equal(CONNS, write_many(x, CONNS, sizeof x->slots));
  assert_lens(x, frames);
  assert_as_alone(x, 1, 900);
  assert_as_alone(x, 4, 900);
  assert_int_equal(CONNS, write_many(x, CONNS, sizeof x->slots));
  assert_lens(x, (const size_t[CONNS]){0});
}

/* Its nonces are used up, or memory for its node info lacks. */
static void one_that_fails_leaves_the_others(void **state) {
  static const size_t frames[CONNS] = {1, 0, 1, 0, 1, 1};
  fixture *x = *state;

  for (size_t i = 0; i < CONNS; i++) {
    conn_peer_start(&x->f[i]);
    if (i != 3) {
      conn_peer_up(&x->f[i]);
      assert_cmt(CMT_OK, conn_peer_queue(&x->f[i], 0xff, 900));
    }
  }
  conn_peer_hello(&x->f[3]);
  x->f[3].stalled = true;
  conn_peer_auth(&x->f[3]);
  x->f[1].c->secret->send_counter = UINT64_MAX;
  x->f[3].t.fail_at = x->f[3].t.allocs;
  assert_int_equal(CONNS, write_many(x, CONNS, sizeof x->slots));
  x->f[3].t.fail_at = SIZE_MAX;
  assert_lens(x, frames);
  for (size_t i = 0; i < CONNS; i++) {
    assert_int_equal(i == 1 || i == 3, cmt_conn_has_ended(x->f[i].c));
  }
  conn_peer_tick(&x->f[1], 0);
  assert_conn_events(&x->f[1], "CMT_ENONCE(up)");
  assert_as_alone(x, 0, 900);
  assert_as_alone(x, 5, 900);
}

#define MANY_TEST(f) cmocka_unit_test_setup_teardown(f, init, fini)

int main(void) {
  const struct CMUnitTest tests[] = {
    MANY_TEST(each_writes_what_it_would_write_alone),
    MANY_TEST(each_keeps_to_its_own_bound),
    MANY_TEST(what_finds_no_room_is_left_as_it_was),
    MANY_TEST(none_of_no_connection_is_written),
    MANY_TEST(who_has_nothing_to_write_is_passed_over),
    MANY_TEST(one_that_fails_leaves_the_others),
  };

  return cmocka_run_group_tests_name("conn_many", tests, NULL, NULL);
}
