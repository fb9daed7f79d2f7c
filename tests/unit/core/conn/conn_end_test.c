/* SPDX-License-Identifier: Apache-2.0 */
/* How a connection ends: by the other side at each stage, by a breach, by us at
   once or after what was queued.  In virtual time. */
#include "conn_peer.h"

#include <stdlib.h>

#define S(n) CMT_SECONDS(n)
#define MS(n) CMT_MILLISECONDS(n)

static void up_init(conn_peer *f) {
  conn_peer_init(f, true);
  conn_peer_start(f);
  conn_peer_up(f);
}

/* ---- by the other side ---- */

typedef enum stage { FRESH, KEYS, HALF_AUTH, AUTH, HALF_INFO, UP } stage;

static void reach(conn_peer *f, stage to) {
  uint8_t slot[CMT_FRAME_SLOT], auth[103];

  conn_peer_init(f, true);
  conn_peer_start(f);
  if (to >= KEYS) {
    conn_peer_hello(f);
  }
  if (to == HALF_AUTH) {
    secret_peer_write_auth(&f->peer, auth);
    secret_peer_seal(&f->peer, (cmt_bytes){auth, sizeof auth}, slot);
    conn_peer_raw(f, (cmt_bytes){slot, 500});
  }
  if (to >= AUTH) {
    conn_peer_auth(f);
  }
  if (to == HALF_INFO) {
    conn_peer_send_hex(f, "6b0a060808100b1801");
  }
  if (to >= UP) {
    conn_peer_send_info(f);
  }
  f->events[0] = '\0';
}

static void end_of_file_is_reported_with_its_stage(void **state) {
  static const struct {
    stage stage;
    const char *events;
  } rows[] = {
    {FRESH, "CMT_EEOF(secret_connection)"},
    {KEYS, "CMT_EEOF(secret_connection)"},
    {HALF_AUTH, "CMT_EEOF(secret_connection)"},
    {AUTH, "CMT_EEOF(node_info)"},
    {HALF_INFO, "CMT_EEOF(node_info)"},
    {UP, "CMT_EEOF(up)"},
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    uint8_t byte = 0;
    conn_peer f;

    reach(&f, rows[i].stage);
    conn_peer_stop(&f, CMT_EEOF, 0);
    assert_conn_events(&f, rows[i].events);
    assert_cmt(CMT_ECLOSED, cmt_conn_recv(f.c, &byte, 1, 0));
    assert_cmt(CMT_ECLOSED, conn_peer_queue(&f, 0x30, 1));
    assert_cmt(CMT_ECLOSED, cmt_conn_ping(f.c, f.now_ns));
    assert_int_equal(0, conn_peer_output(&f, 9999, 0).len);
    assert_int_equal(CMT_NEVER, cmt_conn_deadline(f.c));
    conn_peer_tick(&f, S(1000));
    assert_conn_events(&f, "");
    conn_peer_fini(&f);
  }
}

/* What the events of an end report of the other side. */
static void end_reports_the_id_as_far_as_known(void **state) {
  static const stage stages[] = {FRESH, KEYS, AUTH, UP};

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(stages); i++) {
    cmt_conn_event e;
    conn_peer f;

    reach(&f, stages[i]);
    cmt_conn_stop(f.c, CMT_EEOF, 0, 0);
    assert_true(cmt_conn_next_event(f.c, &e));
    assert_int_equal(CMT_CONN_END, e.kind);
    assert_int_equal(stages[i] >= AUTH, e.id != NULL);
    assert_int_equal(stages[i] == UP, e.node_info != NULL);
    assert_false(cmt_conn_next_event(f.c, &e));
    conn_peer_fini(&f);
  }
}

static void messages_before_a_bad_packet_come_first(void **state) {
  static const struct {
    const char *bad, *events;
  } rows[] = {
    {"034a0178", "31.0 30.0 CMT_EPROTO(up)"},
    {"00", "31.0 30.0 CMT_EPROTO(up)"},
    {"061a0408401001", "31.0 30.0 CMT_EUNKNOWNCHANNEL(up)"},
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    char hex[128];
    conn_peer f;

    up_init(&f);
    snprintf(hex, sizeof hex, "%s%s%s%s", "061a0408311001", "061a0408301001",
             rows[i].bad, "061a0408301001");
    conn_peer_send_hex(&f, hex);
    assert_conn_events(&f, rows[i].events);
    assert_int_equal(CMT_CLASS_PEER, cmt_err_class_of(f.why.err));
    conn_peer_fini(&f);
  }
}

static void messages_before_a_bad_frame_come_first(void **state) {
  uint8_t slots[2 * CMT_FRAME_SLOT];
  conn_peer f;

  (void)state;
  up_init(&f);
  secret_peer_seal(
    &f.peer, (cmt_bytes){(const uint8_t *)"\x06\x1a\x04\x08\x31\x10\x01", 7},
    slots);
  secret_peer_seal(&f.peer, (cmt_bytes){slots, 9}, slots + CMT_FRAME_SLOT);
  slots[sizeof slots - 1] ^= 1;
  conn_peer_raw(&f, (cmt_bytes){slots, sizeof slots});
  assert_conn_events(&f, "31.0 CMT_EAUTH(up)");
  conn_peer_fini(&f);
}

static void assert_malformed(conn_peer *f, const char *where,
                             const char *text) {
  assert_cmt(CMT_EPROTO, f->why.err);
  assert_string_equal(where, cmt_stage_name(f->why.stage));
  assert_string_equal(text, f->why.text);
  conn_peer_fini(f);
}

static void what_is_malformed_is_reported_by_its_layer(void **state) {
  static const uint8_t no_key[35] = {0x22, 0x12};
  uint8_t slot[CMT_FRAME_SLOT];
  conn_peer f;

  (void)state;
  reach(&f, FRESH);
  conn_peer_raw(&f, (cmt_bytes){no_key, sizeof no_key});
  assert_malformed(&f, "secret_connection",
                   "malformed message of the handshake");
  reach(&f, AUTH);
  conn_peer_send_hex(&f, "02000000");
  assert_malformed(&f, "node_info", "malformed node info");
  reach(&f, UP);
  secret_peer_seal_as(&f.peer, (cmt_bytes){0}, 1025, slot);
  conn_peer_raw(&f, (cmt_bytes){slot, sizeof slot});
  assert_malformed(&f, "up", "malformed frame");
  reach(&f, UP);
  conn_peer_send_hex(&f, "00");
  assert_malformed(&f, "up", "malformed packet");
}

/* Our signature still goes out, so that the other side fails for the same
   reason and not for an end of file. */
static void own_signature_leaves_after_theirs_failed(void **state) {
  uint8_t stream[35 + CMT_FRAME_SLOT];
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  conn_peer_start(&f);
  secret_peer_handshake(&f.peer, stream);
  stream[sizeof stream - 1] ^= 1;
  f.stalled = true;
  conn_peer_raw(&f, (cmt_bytes){stream, sizeof stream});
  assert_conn_events(&f, "CMT_EAUTH(secret_connection)");
  conn_peer_take(&f);
  assert_int_equal(35 + CMT_FRAME_SLOT, f.wire.len);
  assert_int_equal(103, f.frame_len[0]);
  assert_int_equal(0, conn_peer_output(&f, 65536, 0).len);
  conn_peer_fini(&f);
}

/* The other side learns from our node info that it dialed itself. */
static void own_node_info_leaves_after_own_key_was_refused(void **state) {
  uint8_t ours[32];
  conn_peer f;

  (void)state;
  memset(ours, 0x11, sizeof ours);
  conn_peer_init(&f, true);
  secret_peer_init(&f.peer, secret_eph_high, ours);
  conn_peer_start(&f);
  conn_peer_hello(&f);
  f.stalled = true;
  conn_peer_auth(&f);
  conn_peer_send_info(&f);
  assert_conn_events(&f, "info CMT_ESELF(node_info)");
  assert_int_equal(1, f.frames); /* The signature. */
  conn_peer_take(&f);
  assert_int_equal(2, f.frames);
  assert_int_equal(0, conn_peer_output(&f, 65536, 0).len);
  conn_peer_fini(&f);
}

/* The reason does not depend on how the link cuts the bytes. */
static void bad_frame_behind_the_signature_is_reported_as_such(void **state) {
  static const cmt_node_id other = {
    .text = "10ba682c8ad13513971e8b56881aab8bd702bb80"};
  static const size_t cuts[] = {CMT_FRAME_SLOT, 2 * CMT_FRAME_SLOT};
  uint8_t auth[103], slots[2 * CMT_FRAME_SLOT];

  (void)state;
  for (size_t i = 0; i < 4; i++) {
    conn_peer f;

    conn_peer_init(&f, true);
    f.o.expect_id = i < 2 ? NULL : &other;
    conn_peer_start(&f);
    conn_peer_hello(&f);
    memset(slots, 0, sizeof slots);
    secret_peer_write_auth(&f.peer, auth);
    secret_peer_seal(&f.peer, (cmt_bytes){auth, sizeof auth}, slots);
    conn_peer_raw_cut(&f, (cmt_bytes){slots, sizeof slots}, cuts[i % 2],
                      CMT_FRAME_SLOT);
    assert_conn_events(&f, i < 2 ? "CMT_EAUTH(node_info)"
                                 : "CMT_EWRONGID(secret_connection)");
    conn_peer_fini(&f);
  }
}

static void one_flipped_bit_of_any_byte_ends_it(void **state) {
  (void)state;
  for (size_t at = 0; at < CMT_FRAME_SLOT; at += 29) {
    uint8_t slot[CMT_FRAME_SLOT];
    conn_peer f;

    up_init(&f);
    secret_peer_seal(
      &f.peer, (cmt_bytes){(const uint8_t *)"\x06\x1a\x04\x08\x31\x10\x01", 7},
      slot);
    slot[at] ^= 0x20;
    conn_peer_raw(&f, (cmt_bytes){slot, sizeof slot});
    assert_conn_events(&f, "CMT_EAUTH(up)");
    conn_peer_fini(&f);
  }
}

/* A frame that the other side sends again has the wrong nonce. */
static void replayed_frame_ends_it(void **state) {
  uint8_t slot[CMT_FRAME_SLOT];
  conn_peer f;

  (void)state;
  up_init(&f);
  secret_peer_seal(
    &f.peer, (cmt_bytes){(const uint8_t *)"\x06\x1a\x04\x08\x31\x10\x01", 7},
    slot);
  conn_peer_raw(&f, (cmt_bytes){slot, sizeof slot});
  conn_peer_raw(&f, (cmt_bytes){slot, sizeof slot});
  assert_conn_events(&f, "31.0 CMT_EAUTH(up)");
  conn_peer_fini(&f);
}

/* ---- by us, at once ---- */

static void hard_stop_drops_what_waits(void **state) {
  conn_peer f;

  (void)state;
  up_init(&f);
  f.stalled = true;
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0x30, 5000));
  conn_peer_stop(&f, CMT_EREACTOR, 0);
  assert_conn_events(&f, "CMT_EREACTOR(up)");
  assert_string_equal(cmt_err_text(CMT_EREACTOR), f.why.text);
  assert_int_equal(0, conn_peer_output(&f, 9999, 0).len);
  conn_peer_fini(&f);
}

static void stop_before_it_is_up_is_at_once(void **state) {
  static const stage stages[] = {FRESH, KEYS, AUTH};

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(stages); i++) {
    conn_peer f;

    reach(&f, stages[i]);
    conn_peer_stop(&f, CMT_ECANCELED, S(5));
    assert_conn_events(&f, stages[i] < AUTH ? "CMT_ECANCELED(secret_connection)"
                                            : "CMT_ECANCELED(node_info)");
    conn_peer_fini(&f);
  }
}

/* Bytes that a link still had under way may be reported after the end. */
static void consuming_after_the_end_is_harmless(void **state) {
  cmt_bytes out;
  conn_peer f;

  (void)state;
  up_init(&f);
  f.stalled = true;
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0x30, 5000));
  out = conn_peer_output(&f, 65536, 0);
  conn_peer_stop(&f, CMT_ECANCELED, 0);
  assert_conn_events(&f, "CMT_ECANCELED(up)");
  assert_false(cmt_conn_wants_write(f.c, 0, NULL));
  conn_peer_consume(&f, out.len, S(1));
  assert_conn_events(&f, "");
  conn_peer_fini(&f);
}

static void first_end_is_the_reason(void **state) {
  conn_peer f;

  (void)state;
  up_init(&f);
  cmt_conn_stop(f.c, CMT_ELIMIT, 0, 0);
  cmt_conn_stop(f.c, CMT_ECANCELED, 0, 0);
  conn_peer_tick(&f, S(200));
  assert_conn_events(&f, "CMT_ELIMIT(up)");
  conn_peer_fini(&f);
}

/* ---- by us, after what was queued ---- */

static void graceful_stop_sends_all_that_was_queued(void **state) {
  cmt_bytes body;
  size_t count = 0;
  conn_peer f;

  (void)state;
  up_init(&f);
  f.stalled = true;
  for (int i = 0; i < 4; i++) {
    assert_cmt(CMT_OK, conn_peer_queue(&f, 0x30, 4096));
  }
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0x31, 0));
  conn_peer_stop(&f, CMT_ECANCELED, S(5));
  assert_conn_events(&f, "");
  assert_int_equal(S(5), cmt_conn_deadline(f.c));
  assert_cmt(CMT_ECLOSED, conn_peer_queue(&f, 0x30, 1));
  /* The other side is still heard and answered. */
  conn_peer_send_hex(&f, "061a0408311001020a00");
  assert_conn_events(&f, "31.0");
  f.now_ns = S(1);
  conn_peer_take(&f);
  assert_conn_events(&f, "CMT_ECANCELED(up)");
  while (conn_peer_next_packet(&f, &body)) {
    count++;
  }
  assert_int_equal(1 + 16 + 1, count);
  conn_peer_fini(&f);
}

static void graceful_stop_of_an_idle_connection_ends_now(void **state) {
  conn_peer f;

  (void)state;
  up_init(&f);
  conn_peer_stop(&f, CMT_ECANCELED, S(5));
  assert_conn_events(&f, "CMT_ECANCELED(up)");
  conn_peer_fini(&f);
}

/* The other side is up only when it has our node info. */
static void graceful_stop_right_after_up_sends_our_node_info(void **state) {
  conn_peer f;

  (void)state;
  reach(&f, KEYS);
  f.stalled = true;
  conn_peer_auth(&f);
  conn_peer_send_info(&f);
  assert_conn_events(&f, "info up");
  conn_peer_stop(&f, CMT_ECANCELED, S(5));
  assert_conn_events(&f, "");
  assert_int_equal(1, f.frames); /* The signature. */
  f.stalled = false;
  conn_peer_take(&f);
  assert_int_equal(2, f.frames);
  assert_conn_events(&f, "CMT_ECANCELED(up)");
  conn_peer_fini(&f);
}

/* The end comes with the last byte, not before. */
static void graceful_stop_waits_for_the_last_byte(void **state) {
  cmt_bytes out;
  conn_peer f;

  (void)state;
  up_init(&f);
  f.stalled = true;
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0x30, 10));
  out = conn_peer_output(&f, 9999, 0);
  assert_int_equal(CMT_FRAME_SLOT, out.len);
  conn_peer_stop(&f, CMT_ECANCELED, S(5));
  conn_peer_consume(&f, out.len - 1, S(1));
  f.now_ns = S(1);
  assert_conn_events(&f, "");
  assert_int_equal(1, conn_peer_output(&f, 9999, S(1)).len);
  conn_peer_consume(&f, 1, S(1));
  assert_int_equal(S(1), cmt_conn_deadline(f.c));
  assert_conn_events(&f, "CMT_ECANCELED(up)");
  conn_peer_fini(&f);
}

static void graceful_stop_ends_at_its_deadline(void **state) {
  conn_peer f;

  (void)state;
  up_init(&f);
  f.stalled = true;
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0x30, 10));
  f.now_ns = S(1);
  conn_peer_stop(&f, CMT_ECANCELED, MS(500));
  conn_peer_tick(&f, MS(1500) - 1);
  assert_conn_events(&f, "");
  conn_peer_tick(&f, MS(1500));
  assert_conn_events(&f, "CMT_ECANCELED(up)");
  conn_peer_fini(&f);
}

/* Whatever ends it early, the stop came first. */
static void graceful_stop_keeps_its_reason(void **state) {
  (void)state;
  for (int how = 0; how < 5; how++) {
    conn_peer f;

    up_init(&f);
    f.stalled = true;
    if (how == 3) {
      assert_cmt(CMT_OK, cmt_conn_ping(f.c, f.now_ns));
      conn_peer_take(&f);
    }
    assert_cmt(CMT_OK, conn_peer_queue(&f, 0x30, 10));
    conn_peer_stop(&f, CMT_ECANCELED, S(500));
    conn_peer_stop(&f, CMT_EREACTOR, S(1)); /* Changes nothing. */
    assert_conn_events(&f, "");
    if (how == 0) {
      conn_peer_stop(&f, CMT_EEOF, 0);
    } else if (how == 1) {
      conn_peer_stop(&f, CMT_ERESET, 0);
    } else if (how == 2) {
      conn_peer_send_hex(&f, "00");
    } else if (how == 3) {
      conn_peer_tick(&f, S(45)); /* No pong. */
    } else {
      uint8_t zeros[CMT_FRAME_SLOT] = {0};
      conn_peer_raw(&f, (cmt_bytes){zeros, sizeof zeros});
    }
    assert_conn_events(&f, "CMT_ECANCELED(up)");
    conn_peer_fini(&f);
  }
}

/* ---- before it is up ---- */

static void nothing_can_be_sent_before_it_is_up(void **state) {
  static const stage stages[] = {FRESH, KEYS, AUTH, HALF_INFO};

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(stages); i++) {
    cmt_channel_status status;
    conn_peer f;

    reach(&f, stages[i]);
    assert_cmt(CMT_ECLOSED, conn_peer_queue(&f, 0x30, 1));
    assert_cmt(CMT_ECLOSED, conn_peer_queue(&f, 0x77, 1));
    assert_cmt(CMT_ECLOSED, cmt_conn_ping(f.c, f.now_ns));
    assert_int_equal(0, cmt_conn_get_status(f.c, &status, 1));
    conn_peer_fini(&f);
  }
}

static void input_must_be_used_up_before_more_is_given(void **state) {
  uint8_t slot[CMT_FRAME_SLOT], more[CMT_FRAME_SLOT];
  cmt_conn_event e;
  conn_peer f;

  (void)state;
  up_init(&f);
  secret_peer_seal(&f.peer,
                   (cmt_bytes){(const uint8_t *)"\x06\x1a\x04\x08\x31\x10\x01"
                                                "\x06\x1a\x04\x08\x30\x10\x01",
                               14},
                   slot);
  secret_peer_seal(
    &f.peer, (cmt_bytes){(const uint8_t *)"\x06\x1a\x04\x08\x00\x10\x01", 7},
    more);
  assert_cmt(CMT_OK, cmt_conn_recv(f.c, slot, sizeof slot, 0));
  assert_cmt(CMT_EINVAL, cmt_conn_recv(f.c, more, sizeof more, 0));
  assert_true(cmt_conn_next_event(f.c, &e));
  assert_int_equal(0x31, e.channel);
  /* One event of the bytes before is left. */
  assert_cmt(CMT_EINVAL, cmt_conn_recv(f.c, more, sizeof more, 0));
  assert_true(cmt_conn_next_event(f.c, &e));
  assert_int_equal(0x30, e.channel);
  assert_false(cmt_conn_next_event(f.c, &e));
  assert_cmt(CMT_OK, cmt_conn_recv(f.c, more, sizeof more, 0));
  assert_conn_events(&f, "00.0");
  conn_peer_fini(&f);
}

static void deleting_at_any_stage_leaves_nothing(void **state) {
  (void)state;
  for (stage s = FRESH; s <= UP; s++) {
    conn_peer f;

    reach(&f, s);
    if (s == UP) {
      f.stalled = true;
      assert_cmt(CMT_OK, conn_peer_queue(&f, 0x30, 3000));
      conn_peer_send_hex(&f, "081a06083112");
    }
    conn_peer_fini(&f);
  }
  cmt_conn_delete(NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(end_of_file_is_reported_with_its_stage),
    cmocka_unit_test(end_reports_the_id_as_far_as_known),
    cmocka_unit_test(messages_before_a_bad_packet_come_first),
    cmocka_unit_test(messages_before_a_bad_frame_come_first),
    cmocka_unit_test(what_is_malformed_is_reported_by_its_layer),
    cmocka_unit_test(own_signature_leaves_after_theirs_failed),
    cmocka_unit_test(own_node_info_leaves_after_own_key_was_refused),
    cmocka_unit_test(bad_frame_behind_the_signature_is_reported_as_such),
    cmocka_unit_test(one_flipped_bit_of_any_byte_ends_it),
    cmocka_unit_test(replayed_frame_ends_it),
    cmocka_unit_test(hard_stop_drops_what_waits),
    cmocka_unit_test(stop_before_it_is_up_is_at_once),
    cmocka_unit_test(consuming_after_the_end_is_harmless),
    cmocka_unit_test(first_end_is_the_reason),
    cmocka_unit_test(graceful_stop_sends_all_that_was_queued),
    cmocka_unit_test(graceful_stop_of_an_idle_connection_ends_now),
    cmocka_unit_test(graceful_stop_right_after_up_sends_our_node_info),
    cmocka_unit_test(graceful_stop_waits_for_the_last_byte),
    cmocka_unit_test(graceful_stop_ends_at_its_deadline),
    cmocka_unit_test(graceful_stop_keeps_its_reason),
    cmocka_unit_test(nothing_can_be_sent_before_it_is_up),
    cmocka_unit_test(input_must_be_used_up_before_more_is_given),
    cmocka_unit_test(deleting_at_any_stage_leaves_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
