/* SPDX-License-Identifier: Apache-2.0 */
/* What a connection carries once it is up: channels, batches of frames, pings
   in virtual time, bounds. */
#include "conn_peer.h"
#include "core/conn/conn_impl.h"
#include "packets.h"
#include "core/secret/secret_conn.h"

#include <stdlib.h>

#define S(n) CMT_SECONDS(n)

static void up_init(conn_peer *f) {
  conn_peer_init(f, true);
  conn_peer_start(f);
  conn_peer_up(f);
}

/* ---- channels ---- */

static void channel_that_either_side_lacks_is_distinguished(void **state) {
  cmt_node_info info = conn_peer_info;
  uint8_t out[512];
  conn_peer f;

  (void)state;
  info.channels = (cmt_bytes){(const uint8_t *)"\x31\x77", 2};
  conn_peer_init(&f, true);
  conn_peer_start(&f);
  conn_peer_hello(&f);
  conn_peer_auth(&f);
  conn_peer_send(
    &f, (cmt_bytes){out, conn_peer_write_info(&f, &info, out, sizeof out)});
  assert_conn_events(&f, "info up");
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0x31, 1));
  assert_cmt(CMT_EPEERCHANNEL, conn_peer_queue(&f, 0x30, 1));
  assert_cmt(CMT_ENOCHANNEL, conn_peer_queue(&f, 0x77, 1));
  assert_cmt(CMT_ENOCHANNEL, conn_peer_queue(&f, 0x78, 1));
  conn_peer_fini(&f);
}

static cmt_err queue_at(conn_peer *f, size_t at) {
  cmt_buf *msg = cmt_buf_new(&f->t.env, 0);
  cmt_err err;

  assert_non_null(msg);
  err = cmt_conn_try_send_at(f->c, at, msg, f->now_ns);
  if (err != CMT_OK) {
    cmt_buf_unref(msg);
  }
  return err;
}

static void place_stands_for_its_channel(void **state) {
  cmt_buf *msg;
  conn_peer f;

  (void)state;
  up_init(&f);
  assert_cmt(CMT_OK, queue_at(&f, 2));
  conn_peer_take(&f);
  assert_conn_sent(&f, "1a0408311001");
  assert_cmt(CMT_ENOCHANNEL, queue_at(&f, CONN_PEER_CHANNELS));
  assert_cmt(CMT_ENOCHANNEL, queue_at(&f, SIZE_MAX));
  assert_cmt(CMT_EINVAL, cmt_conn_try_send_at(f.c, 0, NULL, f.now_ns));
  msg = cmt_buf_new(&f.t.env, 0);
  assert_cmt(CMT_EINVAL, cmt_conn_try_send_at(NULL, 0, msg, f.now_ns));
  cmt_buf_unref(msg);
  conn_peer_fini(&f);
}

static void full_queue_and_long_message_are_refused(void **state) {
  conn_peer f;

  (void)state;
  up_init(&f);
  f.stalled = true;
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0x00, 3000));
  /* The first is being packetized, and the link accepts nothing more. */
  assert_int_equal(100, conn_peer_output(&f, 100, 0).len);
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0x00, 1));
  assert_cmt(CMT_EAGAIN, conn_peer_queue(&f, 0x00, 1));
  assert_cmt(CMT_ETOOBIG, conn_peer_queue(&f, 0x31, 5001));
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0x31, 5000));
  conn_peer_fini(&f);
}

static void one_run_holds_packets_of_several_channels(void **state) {
  conn_peer f;

  (void)state;
  up_init(&f);
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0x30, 1));
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0x31, 0));
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0xff, 2));
  assert_int_equal(CMT_FRAME_SLOT, conn_peer_output(&f, 99999, 0).len);
  conn_peer_take(&f);
  assert_conn_sent(&f, "1a07083010011a0130 1a0408311001 "
                       "1a0908ff0110011a02ffff");
  conn_peer_fini(&f);
}

static void status_counts_both_ways(void **state) {
  cmt_channel_status s[CONN_PEER_CHANNELS];
  conn_peer f;

  (void)state;
  up_init(&f);
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0x31, 1500));
  conn_peer_take(&f);
  conn_peer_send_hex(&f, "0b1a09083110011a03616263");
  assert_conn_events(&f, "31.3");
  assert_int_equal(4, cmt_conn_get_status(f.c, s, 4));
  assert_int_equal(0x31, s[2].id);
  assert_int_equal(1, s[2].sent_messages);
  assert_int_equal(1034 + 488, s[2].sent_bytes);
  assert_int_equal(1, s[2].recv_messages);
  assert_int_equal(3, s[2].recv_bytes);
  assert_int_equal(0, s[0].recv_messages);
  conn_peer_fini(&f);
}

static void memory_under_reassembly_is_bounded(void **state) {
  uint8_t zeros[1024] = {0}, out[1100];
  cmt_channel channels[CONN_PEER_CHANNELS];
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  memcpy(channels, f.o.channels, sizeof channels);
  for (size_t i = 0; i < CONN_PEER_CHANNELS; i++) {
    channels[i].recv_message_max = 10000;
  }
  f.o.channels = channels;
  f.o.recv_bytes_max = 10000;
  conn_peer_start(&f);
  conn_peer_up(&f);
  for (int i = 0; i < 9; i++) {
    cmt__batch r = cmt__batch_plain(NULL, out, sizeof out);

    test_wire()->write_msg(&r, 0xff, false, (cmt_bytes){zeros, sizeof zeros});
    conn_peer_send(&f, (cmt_bytes){out, r.len});
  }
  assert_conn_events(&f, "");
  conn_peer_send_hex(&f, "061a0408311001");
  assert_conn_events(&f, "31.0");
  cmt__batch r = cmt__batch_plain(NULL, out, sizeof out);
  test_wire()->write_msg(&r, 0x30, false, (cmt_bytes){zeros, sizeof zeros});
  conn_peer_send(&f, (cmt_bytes){out, r.len});
  assert_conn_events(&f, "CMT_ENOBUFS(up)");
  assert_int_equal(CMT_CLASS_LOCAL, cmt_err_class_of(f.why.err));
  conn_peer_fini(&f);
}

/* The default of what is accepted is 1400 data bytes a packet. */
static void packets_of_1400_bytes_are_accepted(void **state) {
  static const struct {
    uint8_t channel;
    size_t len;
    const char *events;
  } rows[] = {
    {0x30, 1400, "30.1400"},
    {0x30, 1401, "CMT_EPROTO(up)"},
    {0xff, 1400, "ff.1400"},
    {0xff, 1401, "CMT_EPROTO(up)"},
  };
  uint8_t zeros[1500] = {0}, out[1600];

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    cmt__batch r = cmt__batch_plain(NULL, out, sizeof out);
    conn_peer f;

    up_init(&f);
    test_wire()->write_msg(&r, rows[i].channel, true,
                           (cmt_bytes){zeros, rows[i].len});
    conn_peer_send(&f, (cmt_bytes){out, r.len});
    assert_conn_events(&f, rows[i].events);
    conn_peer_fini(&f);
  }
}

/* ---- batches ---- */

/* What is sent next is chosen only when all before is consumed. */
static void next_batch_is_sealed_when_the_last_is_written(void **state) {
  cmt_bytes out;
  conn_peer f;

  (void)state;
  up_init(&f);
  f.stalled = true;
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0x30, 3000));
  out = conn_peer_output(&f, 99999, 0);
  assert_int_equal(3 * CMT_FRAME_SLOT, out.len);
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0xff, 1));
  conn_peer_consume(&f, out.len - 7, 0);
  assert_int_equal(7, conn_peer_output(&f, 99999, 0).len);
  conn_peer_consume(&f, 7, 0);
  assert_int_equal(CMT_FRAME_SLOT, conn_peer_output(&f, 99999, 0).len);
  conn_peer_fini(&f);
}

static void run_is_as_long_as_asked_for(void **state) {
  static const struct {
    size_t max, frames;
  } rows[] = {
    /* Never less than the longest packet takes. */
    {1, 2},
    {8 * CMT_FRAME_SLOT, 8},
    {20 * CMT_FRAME_SLOT, 20},
    {21 * CMT_FRAME_SLOT - 1, 20},
    {SIZE_MAX, 256},
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    cmt_channel_status s[CONN_PEER_CHANNELS];
    size_t room = rows[i].frames * CMT_FRAME_DATA;
    conn_peer f;

    up_init(&f);
    f.stalled = true;
    for (int k = 0; k < 11; k++) {
      assert_cmt(CMT_OK, conn_peer_queue(&f, 0xff, 90000));
    }
    assert_in_range(conn_peer_output(&f, rows[i].max, 0).len, 1, rows[i].max);
    assert_int_equal(4, cmt_conn_get_status(f.c, s, 4));
    assert_in_range(s[3].sent_bytes, room - 1036, room);
    conn_peer_fini(&f);
  }
}

/* A link seals straight into memory of its loop. */
static void link_seals_into_its_own_memory(void **state) {
  static uint8_t slots[64 * CMT_FRAME_SLOT];
  cmt_channel_status status[CONN_PEER_CHANNELS];
  cmt_credits credits;
  bool urgent;
  size_t len;
  conn_peer f;

  (void)state;
  up_init(&f);
  f.stalled = true;
  assert_int_equal(2 * CMT_FRAME_SLOT, cmt_conn_write_min(f.c));
  assert_false(cmt_conn_wants_write(f.c, 0, &urgent));
  assert_int_equal(0, cmt_conn_write(f.c, slots, sizeof slots, 0));
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0x30, 1500));
  assert_true(cmt_conn_wants_write(f.c, 0, &urgent));
  assert_false(urgent);
  assert_cmt(CMT_OK, cmt_conn_ping(f.c, f.now_ns));
  assert_true(cmt_conn_wants_write(f.c, 0, &urgent));
  assert_true(urgent);
  len = cmt_conn_write(f.c, slots, sizeof slots, S(1) / 2);
  assert_int_equal(2 * CMT_FRAME_SLOT, len);
  assert_int_equal(4, cmt_conn_get_status(f.c, status, 4));
  assert_int_equal(S(1) / 2, status[1].wait_last_ns);
  assert_int_equal(1, cmt_conn_pings_sent(f.c));
  assert_true(cmt_conn_take_credits(f.c, &credits));
  assert_int_equal(1, credits.messages[1]);
  assert_int_equal(1500, credits.bytes);
  assert_int_equal(1024, secret_peer_open(&f.peer, slots).len);
  assert_int_equal(501, secret_peer_open(&f.peer, slots + CMT_FRAME_SLOT).len);
  conn_peer_consume(&f, len, S(1));
  assert_int_equal(S(46), cmt_conn_deadline(f.c));
  conn_peer_fini(&f);
}

static void handshake_is_urgent_to_write(void **state) {
  static uint8_t slots[64 * CMT_FRAME_SLOT];
  bool urgent = false;
  cmt_conn *c;
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  assert_cmt(CMT_OK, cmt_conn_new(&f.o, 0, &c, NULL));
  assert_true(cmt_conn_wants_write(c, 0, &urgent));
  assert_true(urgent);
  assert_int_equal(35, cmt_conn_write(c, slots, sizeof slots, 0));
  assert_false(cmt_conn_wants_write(c, 0, &urgent));
  cmt_conn_delete(c);
  conn_peer_fini(&f);
}

/* With the largest payload one packet takes many frames. */
static void least_room_follows_the_payload(void **state) {
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  f.o.send_packet_payload_max = 65536;
  conn_peer_start(&f);
  conn_peer_up(&f);
  assert_int_equal(65 * CMT_FRAME_SLOT, cmt_conn_write_min(f.c));
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0xff, 65535));
  conn_peer_take(&f);
  cmt_bytes body;
  assert_true(conn_peer_next_packet(&f, &body));
  assert_in_range(body.len, 65535, 65548);
  conn_peer_fini(&f);
}

/* A packet, and two pings before it, in as few frames as hold them; before that
   our node info, whatever its length. */
static void least_room_is_exact(void **state) {
  static const struct {
    uint32_t payload;
    size_t shaking, up;      /* Frames. */
  } rows[] = {{1005, 11, 1}, /* 1018 bytes, and 3 for each ping. */
              {1006, 11, 2}, {2029, 11, 2}, /* 2042 bytes. */
              {2030, 11, 3}, {11245, 11, 11}, {11246, 12, 12}};

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    conn_peer f;

    conn_peer_init(&f, true);
    f.o.send_packet_payload_max = rows[i].payload;
    conn_peer_start(&f);
    assert_int_equal(rows[i].shaking * CMT_FRAME_SLOT, cmt_conn_write_min(f.c));
    conn_peer_up(&f);
    assert_int_equal(rows[i].up * CMT_FRAME_SLOT, cmt_conn_write_min(f.c));
    conn_peer_fini(&f);
  }
}

static void a_run_has_as_many_frames_as_it_fills(void **state) {
  static const size_t rows[][2] = {
    {1010, 1},
    {1011, 1} /* And 13 bytes around it. */,
    {1012, 2},
    {2035, 2},
  };
  static uint8_t slots[66 * CMT_FRAME_SLOT];

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    conn_peer f;

    conn_peer_init(&f, true);
    f.o.send_packet_payload_max = 65536;
    conn_peer_start(&f);
    conn_peer_up(&f);
    f.stalled = true;
    assert_cmt(CMT_OK, conn_peer_queue(&f, 0xff, rows[i][0]));
    assert_int_equal(rows[i][1] * CMT_FRAME_SLOT,
                     cmt_conn_write(f.c, slots, sizeof slots, 0));
    conn_peer_fini(&f);
  }
}

/* Its keys are used up, on the way out. */
static void without_a_nonce_it_ends(void **state) {
  conn_peer f;

  (void)state;
  up_init(&f);
  f.stalled = true;
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0x31, 1));
  f.c->secret->send_counter = UINT64_MAX;
  assert_int_equal(0, conn_peer_output(&f, SIZE_MAX, 0).len);
  assert_true(cmt_conn_has_ended(f.c));
  conn_peer_tick(&f, 0);
  assert_conn_events(&f, "CMT_ENONCE(up)");
  conn_peer_fini(&f);
}

/* ---- pings ---- */

static void ping_is_answered_in_the_next_run_of_a_flood(void **state) {
  cmt_bytes body;
  conn_peer f;

  (void)state;
  up_init(&f);
  f.stalled = true;
  for (int k = 0; k < 11; k++) {
    assert_cmt(CMT_OK, conn_peer_queue(&f, 0xff, 90000));
  }
  /* A batch is under way, half consumed, when the ping comes. */
  assert_int_equal(20 * CMT_FRAME_SLOT,
                   conn_peer_output(&f, 20 * CMT_FRAME_SLOT, 0).len);
  for (int half = 0; half < 2; half++) {
    cmt_bytes out = conn_peer_output(&f, 10 * CMT_FRAME_SLOT, 0);

    for (size_t i = 0; i < 10; i++) {
      uint8_t slot[CMT_FRAME_SLOT];

      memcpy(slot, out.base + i * CMT_FRAME_SLOT, sizeof slot);
      (void)secret_peer_open(&f.peer, slot);
    }
    conn_peer_consume(&f, out.len, 0);
    conn_peer_send_hex(&f, "020a00020a00");
  }
  conn_peer_take(&f);
  assert_true(conn_peer_next_packet(&f, &body));
  test_assert_hex("1200", body.base, body.len);
  while (conn_peer_next_packet(&f, &body)) {
    assert_true(body.len > 2);
  }
  assert_conn_events(&f, "");
  conn_peer_fini(&f);
}

static void pings_follow_the_interval_and_end_at_105_seconds(void **state) {
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  conn_peer_start(&f);
  f.now_ns = S(2);
  conn_peer_up(&f);
  assert_int_equal(S(62), cmt_conn_deadline(f.c));
  conn_peer_tick(&f, S(62) - 1);
  assert_conn_sent(&f, "");
  conn_peer_tick(&f, S(62));
  assert_conn_sent(&f, "0a00");
  assert_int_equal(S(107), cmt_conn_deadline(f.c));
  f.now_ns = S(106);
  conn_peer_send_hex(&f, "061a0408311001"); /* No pong. */
  conn_peer_tick(&f, S(107) - 1);
  assert_conn_events(&f, "31.0");
  conn_peer_tick(&f, S(107));
  assert_conn_events(&f, "CMT_EPONG(up)");
  assert_int_equal(CMT_CLASS_LINK, cmt_err_class_of(f.why.err));
  conn_peer_fini(&f);
}

static void round_trip_is_measured_from_the_taken_frame(void **state) {
  cmt_conn_event e;
  uint8_t slot[CMT_FRAME_SLOT];
  cmt_bytes out;
  conn_peer f;

  (void)state;
  up_init(&f);
  f.stalled = true;
  assert_cmt(CMT_OK, cmt_conn_ping(f.c, f.now_ns));
  assert_cmt(CMT_EAGAIN, cmt_conn_ping(f.c, f.now_ns));
  out = conn_peer_output(&f, 9999, S(1));
  /* The other side can read nothing of a frame that is not whole. */
  conn_peer_consume(&f, out.len - 1, S(2));
  assert_int_equal(S(60), cmt_conn_deadline(f.c));
  conn_peer_consume(&f, 1, S(5));
  assert_int_equal(S(50), cmt_conn_deadline(f.c));
  secret_peer_seal(&f.peer, (cmt_bytes){(const uint8_t *)"\x02\x12\x00", 3},
                   slot);
  assert_cmt(CMT_OK, cmt_conn_recv(f.c, slot, sizeof slot, S(5) + 1234));
  assert_true(cmt_conn_next_event(f.c, &e));
  assert_int_equal(CMT_CONN_PONG, e.kind);
  assert_int_equal(1234, e.rtt_ns);
  assert_false(cmt_conn_next_event(f.c, &e));
  conn_peer_fini(&f);
}

/* The ping is in the first frames of a long batch: the wait begins when these
   are consumed, not with the rest. */
static void wait_begins_with_the_frame_of_the_ping(void **state) {
  conn_peer f;

  (void)state;
  up_init(&f);
  f.stalled = true;
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0xff, 90000));
  assert_cmt(CMT_OK, cmt_conn_ping(f.c, f.now_ns));
  assert_int_equal(89 * CMT_FRAME_SLOT, conn_peer_output(&f, 99999, 0).len);
  conn_peer_consume(&f, CMT_FRAME_SLOT - 1, S(1));
  assert_int_equal(S(60), cmt_conn_deadline(f.c));
  conn_peer_consume(&f, 1, S(2));
  assert_int_equal(S(47), cmt_conn_deadline(f.c));
  conn_peer_consume(&f, 50 * CMT_FRAME_SLOT, S(9));
  assert_int_equal(S(47), cmt_conn_deadline(f.c));
  conn_peer_fini(&f);
}

static void several_pings_share_a_pong_and_pongs_are_free(void **state) {
  conn_peer f;

  (void)state;
  up_init(&f);
  conn_peer_send_hex(&f, "021200021200020a00020a00020a00021200");
  assert_conn_sent(&f, "1200");
  assert_conn_events(&f, "");
  conn_peer_fini(&f);
}

static void ping_options_are_those_of_the_multiplexer(void **state) {
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  f.o.ping_interval_ns = S(4);
  f.o.pong_timeout_ns = S(3);
  conn_peer_start(&f);
  conn_peer_up(&f);
  for (uint64_t t = 4; t <= 40; t += 4) {
    conn_peer_tick(&f, S(t));
    assert_conn_sent(&f, "0a00");
    conn_peer_send_hex(&f, "021200");
    assert_conn_events(&f, "pong");
  }
  conn_peer_tick(&f, S(44));
  conn_peer_tick(&f, S(47));
  assert_conn_events(&f, "CMT_EPONG(up)");
  conn_peer_fini(&f);
}

/* ---- frames ---- */

static void packets_cross_frames_anywhere(void **state) {
  static const char hex[] = "0b1a09083110011a03616263020a00061a0408301001";
  size_t len;
  uint8_t *bytes = test_unhex(hex, &len);

  (void)state;
  for (size_t piece = 1; piece <= len; piece++) {
    conn_peer f;

    up_init(&f);
    for (size_t at = 0; at < len; at += piece) {
      conn_peer_frame(&f, (cmt_bytes){bytes + at, cmt__min(piece, len - at)});
      conn_peer_frame(&f, (cmt_bytes){0});
    }
    assert_conn_events(&f, "31.3 30.0");
    assert_memory_equal("abc", f.messages.bytes, 3);
    assert_conn_sent(&f, "1200");
    conn_peer_fini(&f);
  }
  free(bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(channel_that_either_side_lacks_is_distinguished),
    cmocka_unit_test(full_queue_and_long_message_are_refused),
    cmocka_unit_test(place_stands_for_its_channel),
    cmocka_unit_test(one_run_holds_packets_of_several_channels),
    cmocka_unit_test(status_counts_both_ways),
    cmocka_unit_test(memory_under_reassembly_is_bounded),
    cmocka_unit_test(packets_of_1400_bytes_are_accepted),
    cmocka_unit_test(next_batch_is_sealed_when_the_last_is_written),
    cmocka_unit_test(run_is_as_long_as_asked_for),
    cmocka_unit_test(link_seals_into_its_own_memory),
    cmocka_unit_test(handshake_is_urgent_to_write),
    cmocka_unit_test(least_room_follows_the_payload),
    cmocka_unit_test(least_room_is_exact),
    cmocka_unit_test(a_run_has_as_many_frames_as_it_fills),
    cmocka_unit_test(without_a_nonce_it_ends),
    cmocka_unit_test(ping_is_answered_in_the_next_run_of_a_flood),
    cmocka_unit_test(pings_follow_the_interval_and_end_at_105_seconds),
    cmocka_unit_test(round_trip_is_measured_from_the_taken_frame),
    cmocka_unit_test(wait_begins_with_the_frame_of_the_ping),
    cmocka_unit_test(several_pings_share_a_pong_and_pongs_are_free),
    cmocka_unit_test(ping_options_are_those_of_the_multiplexer),
    cmocka_unit_test(packets_cross_frames_anywhere),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
