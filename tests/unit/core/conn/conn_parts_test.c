/* SPDX-License-Identifier: Apache-2.0 */

/* Batches of several parts: each begins a frame, and as long as nothing of the
   batch was consumed there may be more. */

#include "conn_peer.h"

#include "core/conn/conn_impl.h"
#include "core/mux/mconn_impl.h"

enum { ROOM = 16 * CMT_FRAME_SLOT };

typedef struct fixture {
  conn_peer f;
  int credited;
  uint8_t slots[ROOM];
} fixture;

static void begin(fixture *x) {
  memset(x, 0, sizeof *x);
  conn_peer_init(&x->f, true);
  conn_peer_start(&x->f);
}

/* Before the frames of a message are sealed its credit is there. */
static void on_filled(void *arg) {
  fixture *x = arg;
  cmt_credits credits;

  if (cmt_conn_take_credits(x->f.c, &credits)) {
    x->credited++;
  }
}

static size_t write_more(fixture *x, size_t at, size_t cap) {
  return cmt_conn_write_part(x->f.c, x->slots + at, cap, x->f.now_ns, on_filled,
                             x);
}

static size_t write_first(fixture *x) { return write_more(x, 0, ROOM); }

static uint64_t taken(const fixture *x) { return x->f.c->mconn->ping.taken; }

/* The unused bytes of the frames between count for nothing. */
static void each_part_counts_when_its_frames_are_consumed(void **state) {
  fixture x;
  uint64_t start, first, second;

  (void)state;
  begin(&x);
  conn_peer_up(&x.f);
  start = cmt__mconn_filled(x.f.c->mconn);
  assert_cmt(CMT_OK, conn_peer_queue(&x.f, 0xff, 10));
  assert_int_equal(CMT_FRAME_SLOT, write_first(&x));
  first = cmt__mconn_filled(x.f.c->mconn);
  assert_in_range(first - start, 10, 40);
  assert_cmt(CMT_OK, conn_peer_queue(&x.f, 0xff, 900));
  assert_int_equal(CMT_FRAME_SLOT, write_more(&x, CMT_FRAME_SLOT, ROOM / 2));
  second = cmt__mconn_filled(x.f.c->mconn);
  assert_cmt(CMT_OK, conn_peer_queue(&x.f, 0xff, 100));
  assert_int_equal(CMT_FRAME_SLOT,
                   write_more(&x, 2 * CMT_FRAME_SLOT, ROOM / 2));
  assert_int_equal(start, taken(&x));
  assert_int_equal(3, x.credited);
  cmt_conn_consume(x.f.c, CMT_FRAME_SLOT, x.f.now_ns);
  assert_in_range(taken(&x), start, first);
  cmt_conn_consume(x.f.c, CMT_FRAME_SLOT, x.f.now_ns);
  assert_in_range(taken(&x), first, second);
  cmt_conn_consume(x.f.c, CMT_FRAME_SLOT, x.f.now_ns);
  assert_int_equal(cmt__mconn_filled(x.f.c->mconn), taken(&x));
  conn_peer_fini(&x.f);
}

static void a_batch_grows_only_while_it_is_whole(void **state) {
  fixture x;

  (void)state;
  begin(&x);
  assert_int_equal(0, write_first(&x)); /* In the handshake. */
  conn_peer_fini(&x.f);

  begin(&x);
  conn_peer_up(&x.f);
  assert_cmt(CMT_OK, conn_peer_queue(&x.f, 0xff, 900));
  assert_int_equal(CMT_FRAME_SLOT, write_first(&x));
  assert_int_equal(0, write_more(&x, CMT_FRAME_SLOT, ROOM / 2)); /* Nothing. */
  assert_cmt(CMT_OK, conn_peer_queue(&x.f, 0xff, 900));
  assert_int_equal(
    0, write_more(&x, CMT_FRAME_SLOT, cmt_conn_write_min(x.f.c) - 1));
  cmt_conn_consume(x.f.c, 1, x.f.now_ns);
  assert_int_equal(0, write_more(&x, CMT_FRAME_SLOT, ROOM / 2));
  cmt_conn_consume(x.f.c, CMT_FRAME_SLOT - 1, x.f.now_ns);
  assert_int_equal(CMT_FRAME_SLOT, write_first(&x));
  assert_cmt(CMT_OK, conn_peer_queue(&x.f, 0xff, 900));
  cmt_conn_stop(x.f.c, CMT_ECANCELED, 0, x.f.now_ns);
  assert_int_equal(0, write_more(&x, CMT_FRAME_SLOT, ROOM / 2));
  conn_peer_fini(&x.f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(each_part_counts_when_its_frames_are_consumed),
    cmocka_unit_test(a_batch_grows_only_while_it_is_whole),
  };

  return cmocka_run_group_tests_name("conn_parts", tests, NULL, NULL);
}
