/* SPDX-License-Identifier: Apache-2.0 */
/* Limits as far as they are a whole connection's. */

#include "packets.h"
#include "conn_peer.h"

#define S(n) CMT_SECONDS(n)

enum { EMPTY_FRAMES = 500 };

static void give_empty_frame(conn_peer *f) {
  uint8_t slot[CMT_FRAME_SLOT];

  secret_peer_seal_as(&f->peer, (cmt_bytes){.base = NULL}, 0, slot);
  conn_peer_raw(f, (cmt_bytes){slot, sizeof slot});
}

static void empty_frames_draw_on_the_flood_bucket(void **state) {
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  conn_peer_start(&f);
  conn_peer_up(&f);
  for (int i = 0; i < EMPTY_FRAMES; i++) {
    give_empty_frame(&f);
  }
  assert_conn_events(&f, "");
  f.now_ns = S(1);
  for (int i = 0; i < 50; i++) {
    give_empty_frame(&f);
  }
  assert_conn_events(&f, "");
  give_empty_frame(&f);
  assert_conn_events(&f, "CMT_EFLOOD(up)");
  conn_peer_fini(&f);
}

/* Many in one read count as many. */
static void empty_frames_count_one_by_one(void **state) {
  static uint8_t slots[(EMPTY_FRAMES + 1) * CMT_FRAME_SLOT];
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  conn_peer_start(&f);
  conn_peer_up(&f);
  for (int i = 0; i <= EMPTY_FRAMES; i++) {
    secret_peer_seal_as(&f.peer, (cmt_bytes){.base = NULL}, 0,
                        slots + i * CMT_FRAME_SLOT);
  }
  conn_peer_raw(&f, (cmt_bytes){slots, sizeof slots});
  assert_conn_events(&f, "CMT_EFLOOD(up)");
  conn_peer_fini(&f);
}

static void they_count_in_the_handshake_too(void **state) {
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  conn_peer_start(&f);
  conn_peer_hello(&f);
  conn_peer_auth(&f);
  for (int i = 0; i < EMPTY_FRAMES; i++) {
    give_empty_frame(&f);
  }
  assert_conn_events(&f, "");
  give_empty_frame(&f);
  assert_conn_events(&f, "CMT_EFLOOD(node_info)");
  conn_peer_fini(&f);
}

/* What a limit delays is not sent yet: a graceful stop waits for it. */
static void graceful_stop_flushes_what_a_limit_holds_back(void **state) {
  conn_peer f;
  cmt_bytes body;
  size_t packets = 0;

  (void)state;
  conn_peer_init(&f, true);
  f.o.send_rate = 10000;
  f.o.ping_interval_ns = CMT_NEVER;
  conn_peer_start(&f);
  conn_peer_up(&f);
  for (int i = 0; i < 4; i++) {
    assert_cmt(CMT_OK, conn_peer_queue(&f, 0x30, 5000));
  }
  conn_peer_stop(&f, CMT_ECANCELED, S(10));
  conn_peer_take(&f);
  assert_conn_events(&f, "");
  assert_in_range(cmt_conn_deadline(f.c), 1, S(1));
  /* Due now is its end. */
  while (cmt_conn_deadline(f.c) > f.now_ns) {
    conn_peer_tick(&f, cmt_conn_deadline(f.c));
    conn_peer_take(&f);
  }
  conn_peer_tick(&f, f.now_ns);
  assert_conn_events(&f, "CMT_ECANCELED(up)");
  assert_in_range(f.now_ns, CMT_MILLISECONDS(1800), CMT_MILLISECONDS(2100));
  while (conn_peer_next_packet(&f, &body)) {
    packets++;
  }
  assert_int_equal(20, packets);
  conn_peer_fini(&f);
}

static void graceful_stop_under_a_limit_has_its_deadline(void **state) {
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  f.o.send_rate = 1000;
  conn_peer_start(&f);
  conn_peer_up(&f);
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0x30, 50000));
  conn_peer_stop(&f, CMT_ECANCELED, S(3));
  conn_peer_tick(&f, S(3) - 1);
  assert_conn_events(&f, "");
  conn_peer_tick(&f, S(3));
  assert_conn_events(&f, "CMT_ECANCELED(up)");
  conn_peer_fini(&f);
}

static void receive_limit_is_reported(void **state) {
  static uint8_t packet[1100], data[1000];
  cmt__batch r = cmt__batch_plain(NULL, packet, sizeof packet);
  conn_peer f;

  (void)state;
  test_wire()->write_msg(&r, 0x30, true,
                         (cmt_bytes){.base = data, .len = sizeof data});
  conn_peer_init(&f, true);
  f.o.recv_rate = 8000; /* Burst 800, pieces of 125. */
  f.o.ping_interval_ns = CMT_NEVER;
  conn_peer_start(&f);
  assert_true(cmt_conn_wants_read(f.c));
  conn_peer_up(&f);
  assert_true(cmt_conn_wants_read(f.c));
  assert_int_equal(800, cmt_conn_read_max(f.c));
  conn_peer_send(&f, (cmt_bytes){packet, r.len});
  assert_conn_events(&f, "30.1000");
  assert_false(cmt_conn_wants_read(f.c));
  assert_int_equal((1012 - 800 + 125) * UINT64_C(1000000000) / 8000,
                   cmt_conn_deadline(f.c));
  conn_peer_tick(&f, cmt_conn_deadline(f.c));
  assert_true(cmt_conn_wants_read(f.c));
  assert_int_equal(125, cmt_conn_read_max(f.c));
  conn_peer_fini(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(empty_frames_draw_on_the_flood_bucket),
    cmocka_unit_test(empty_frames_count_one_by_one),
    cmocka_unit_test(they_count_in_the_handshake_too),
    cmocka_unit_test(graceful_stop_flushes_what_a_limit_holds_back),
    cmocka_unit_test(graceful_stop_under_a_limit_has_its_deadline),
    cmocka_unit_test(receive_limit_is_reported),
  };

  return cmocka_run_group_tests_name("conn_limits", tests, NULL, NULL);
}
