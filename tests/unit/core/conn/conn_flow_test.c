/* SPDX-License-Identifier: Apache-2.0 */

/* Back pressure of a connection: what is written, what is read, and what its
   channels accept. */

#include "conn_peer.h"

#define S(n) CMT_SECONDS(n)

static void up_init(conn_peer *f) {
  conn_peer_init(f, true);
  conn_peer_start(f);
  conn_peer_up(f);
}

/* ---- writing ---- */

static void nothing_more_is_written_before_all_is_consumed(void **state) {
  static uint8_t out[CMT_CONN_WRITE_ROOM];
  conn_peer f;

  (void)state;
  up_init(&f);
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0xff, 3000));
  assert_int_equal(3 * CMT_FRAME_SLOT, cmt_conn_write(f.c, out, sizeof out, 0));
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0x30, 1));
  assert_true(cmt_conn_wants_write(f.c, 0, NULL));
  assert_int_equal(0, cmt_conn_write(f.c, out, sizeof out, 0));
  cmt_conn_consume(f.c, 3 * CMT_FRAME_SLOT - 1, 0);
  assert_int_equal(0, cmt_conn_write(f.c, out, sizeof out, 0));
  cmt_conn_consume(f.c, 1, 0);
  assert_int_equal(CMT_FRAME_SLOT, cmt_conn_write(f.c, out, sizeof out, 0));
  conn_peer_fini(&f);
}

/* With the longest packets and before it is up, too. */
static void the_room_for_any_connection_is_enough(void **state) {
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  f.o.send_packet_payload_max = CMT_PACKET_PAYLOAD_MAX;
  conn_peer_start(&f);
  assert_in_range(cmt_conn_write_min(f.c), 1, CMT_CONN_WRITE_ROOM);
  conn_peer_up(&f);
  assert_in_range(cmt_conn_write_min(f.c), 1, CMT_CONN_WRITE_ROOM);
  conn_peer_fini(&f);
}

/* No tick is needed in between. */
static void wanting_to_write_follows_the_instant(void **state) {
  static uint8_t out[CMT_CONN_WRITE_ROOM];
  uint64_t open_ns;
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  f.o.send_rate = 10000;
  conn_peer_start(&f);
  conn_peer_up(&f);
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0xff, 5000));
  while (cmt_conn_wants_write(f.c, 0, NULL)) {
    cmt_conn_consume(f.c, cmt_conn_write(f.c, out, sizeof out, 0), 0);
  }
  open_ns = cmt_conn_deadline(f.c);
  assert_in_range(open_ns, 1, S(1));
  assert_false(cmt_conn_wants_write(f.c, open_ns - 1, NULL));
  assert_true(cmt_conn_wants_write(f.c, open_ns, NULL));
  conn_peer_fini(&f);
}

/* Whatever the connection was called with before. */
static void what_a_message_waits_counts_from_its_send(void **state) {
  cmt_channel_status s[CONN_PEER_CHANNELS];
  static uint8_t out[CMT_CONN_WRITE_ROOM];
  conn_peer f;

  (void)state;
  up_init(&f);
  f.now_ns = S(3);
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0x30, 10));
  assert_int_equal(CMT_FRAME_SLOT, cmt_conn_write(f.c, out, sizeof out, S(5)));
  assert_int_equal(4, cmt_conn_get_status(f.c, s, 4));
  assert_int_equal(0x30, s[1].id);
  assert_int_equal(S(2), s[1].wait_last_ns);
  conn_peer_fini(&f);
}

/* ---- reading ---- */

static void nothing_is_to_be_read_while_events_are_left(void **state) {
  uint8_t slot[CMT_FRAME_SLOT];
  cmt_conn_event e;
  conn_peer f;

  (void)state;
  up_init(&f);
  assert_true(cmt_conn_wants_read(f.c));
  /* Two messages of one frame. */
  secret_peer_seal(&f.peer,
                   (cmt_bytes){(const uint8_t *)"\x06\x1a\x04\x08\x31\x10\x01"
                                                "\x06\x1a\x04\x08\x31\x10\x01",
                               14},
                   slot);
  assert_cmt(CMT_OK, cmt_conn_recv(f.c, slot, sizeof slot, 0));
  assert_false(cmt_conn_wants_read(f.c));
  assert_true(cmt_conn_next_event(f.c, &e));
  assert_false(cmt_conn_wants_read(f.c));
  assert_true(cmt_conn_next_event(f.c, &e));
  assert_false(cmt_conn_next_event(f.c, &e));
  assert_true(cmt_conn_wants_read(f.c));
  conn_peer_fini(&f);
}

static void a_pause_sends_pongs_and_suspends_the_timeouts(void **state) {
  conn_peer f;

  (void)state;
  up_init(&f);
  conn_peer_tick(&f, S(60));
  assert_conn_sent(&f, "0a00"); /* The pong to it is due at 105 s. */
  f.now_ns = S(61);
  cmt_conn_pause(f.c, S(61));
  cmt_conn_pause(f.c, S(61)); /* Calls do not count. */
  assert_false(cmt_conn_wants_read(f.c));
  conn_peer_tick(&f, S(76) - 1);
  assert_conn_sent(&f, "");
  assert_int_equal(S(76), cmt_conn_deadline(f.c));
  conn_peer_tick(&f, S(76));
  assert_conn_sent(&f, "1200");
  conn_peer_tick(&f, S(110));
  assert_conn_sent(&f, "1200");
  assert_conn_events(&f, "");
  cmt_conn_resume(f.c, S(110));
  assert_true(cmt_conn_wants_read(f.c));
  conn_peer_tick(&f, S(155) - 1);
  assert_conn_events(&f, "");
  conn_peer_tick(&f, S(155));
  assert_conn_events(&f, "CMT_EPONG(up)");
  conn_peer_fini(&f);
}

/* ---- room ---- */

static void room_counts_what_a_channel_still_takes(void **state) {
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  conn_peer_start(&f);
  assert_int_equal(0, cmt_conn_room(f.c, 0x30)); /* It is not up. */
  conn_peer_up(&f);
  f.stalled = true;
  assert_int_equal(0, cmt_conn_room(f.c, 0x77)); /* None of ours. */
  for (uint32_t left = 4; left > 0; left--) {
    assert_int_equal(left, cmt_conn_room(f.c, 0x30));
    assert_cmt(CMT_OK, conn_peer_queue(&f, 0x30, 10));
  }
  assert_int_equal(0, cmt_conn_room(f.c, 0x30));
  assert_cmt(CMT_EAGAIN, conn_peer_queue(&f, 0x30, 10));
  assert_int_equal(2, cmt_conn_room(f.c, 0x00));
  conn_peer_take(&f);
  assert_int_equal(4, cmt_conn_room(f.c, 0x30));
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0x30, 10));
  conn_peer_stop(&f, CMT_ECANCELED, S(1));
  assert_int_equal(0, cmt_conn_room(f.c, 0x30)); /* It is stopping. */
  conn_peer_fini(&f);
}

static void there_is_no_room_on_a_channel_that_the_peer_lacks(void **state) {
  cmt_node_info info = conn_peer_info;
  uint8_t out[512];
  conn_peer f;

  (void)state;
  info.channels = cmt_bytes_of("1");
  conn_peer_init(&f, true);
  conn_peer_start(&f);
  conn_peer_hello(&f);
  conn_peer_auth(&f);
  conn_peer_send(
    &f, (cmt_bytes){out, conn_peer_write_info(&f, &info, out, sizeof out)});
  assert_conn_events(&f, "info up");
  assert_int_equal(11, cmt_conn_room(f.c, 0x31)); /* '1'. */
  assert_int_equal(0, cmt_conn_room(f.c, 0x30));
  conn_peer_fini(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(nothing_more_is_written_before_all_is_consumed),
    cmocka_unit_test(the_room_for_any_connection_is_enough),
    cmocka_unit_test(wanting_to_write_follows_the_instant),
    cmocka_unit_test(what_a_message_waits_counts_from_its_send),
    cmocka_unit_test(nothing_is_to_be_read_while_events_are_left),
    cmocka_unit_test(a_pause_sends_pongs_and_suspends_the_timeouts),
    cmocka_unit_test(room_counts_what_a_channel_still_takes),
    cmocka_unit_test(there_is_no_room_on_a_channel_that_the_peer_lacks),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
