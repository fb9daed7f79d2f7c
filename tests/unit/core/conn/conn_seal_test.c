/* SPDX-License-Identifier: Apache-2.0 */

/* What a connection seals, and when it seals nothing. */

#include "conn_peer.h"

#define S(n) CMT_SECONDS(n)

static size_t sealed(conn_peer *f) {
  static uint8_t slots[64 * CMT_FRAME_SLOT];

  return cmt_conn_write(f->c, slots, sizeof slots, f->now_ns);
}

/* ---- nothing ---- */

static void nothing_is_sealed_before_their_key_is_there(void **state) {
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  conn_peer_start(&f); /* Our key is on its way. */
  assert_int_equal(0, sealed(&f));
  conn_peer_fini(&f);
}

static void nothing_is_sealed_while_our_node_info_waits(void **state) {
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  conn_peer_start(&f);
  conn_peer_hello(&f);
  cmt_conn_delay_node_info(f.c, S(2));
  conn_peer_auth(&f);
  assert_int_equal(1, f.frames); /* Our signature. */
  assert_int_equal(0, sealed(&f));
  conn_peer_tick(&f, S(2) - 1);
  assert_int_equal(0, sealed(&f));
  f.stalled = true;
  conn_peer_tick(&f, S(2));
  assert_int_equal(CMT_FRAME_SLOT, sealed(&f));
  conn_peer_fini(&f);
}

static void nothing_is_sealed_after_the_end(void **state) {
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  conn_peer_start(&f);
  conn_peer_up(&f);
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0x30, 5));
  conn_peer_stop(&f, CMT_ECANCELED, 0);
  assert_conn_events(&f, "CMT_ECANCELED(up)");
  assert_int_equal(0, sealed(&f));
  conn_peer_fini(&f);
}

static void sealing_packets_needs_no_memory(void **state) {
  conn_peer f;
  size_t allocs;

  (void)state;
  conn_peer_init(&f, true);
  conn_peer_start(&f);
  conn_peer_up(&f);
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0xff, 5000));
  allocs = f.t.allocs;
  assert_int_equal(5 * CMT_FRAME_SLOT, sealed(&f));
  assert_int_equal(0, sealed(&f));
  assert_int_equal(allocs, f.t.allocs);
  conn_peer_fini(&f);
}

/* ---- something ---- */

/* By a ping of its own the other side knows what we speak, also after a batch
   of messages, which it could not read. */
static void a_parting_ping_comes_after_the_messages(void **state) {
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  f.o.wire = CMT_WIRE_LEGACY;
  conn_peer_start(&f);
  conn_peer_up(&f);
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0xff, 0));
  conn_peer_take(&f);
  test_assert_hex("030508ff011001", f.plain.bytes + f.read,
                  f.plain.len - f.read);
  f.read = f.plain.len;
  conn_peer_send_hex(&f, "061a0408311001");
  assert_conn_events(&f, "CMT_EPROTO(up)");
  test_assert_hex("01", f.plain.bytes + f.read, f.plain.len - f.read);
  conn_peer_fini(&f);
}

/* A ping is due 10 s after it is up, and then the other side has 15 s to accept
   something, as long as something waits: our signature and node info too. */
static void
a_handshake_that_is_not_taken_counts_to_its_last_byte(void **state) {
  static const struct {
    size_t len; /* How much is accepted. */
    bool waits; /* Something does after that. */
  } rows[] = {
    {1, true}, {CMT_FRAME_SLOT - 1, true}, /* Our signature. */
    {1, true}, {CMT_FRAME_SLOT - 2, true}, {1, false},
  };
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  f.o.ping_interval_ns = S(10);
  f.o.pong_timeout_ns = S(5);
  conn_peer_start(&f);
  f.stalled = true;
  conn_peer_hello(&f);
  conn_peer_auth(&f);
  conn_peer_send_info(&f);
  assert_conn_events(&f, "info up");
  conn_peer_tick(&f, S(10));
  assert_int_equal(S(25), cmt_conn_send_deadline(f.c));
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    assert_true(conn_peer_output(&f, 65536, S(10)).len >= rows[i].len);
    conn_peer_consume(&f, rows[i].len, S(10));
    assert_int_equal(rows[i].waits ? S(25) : CMT_NEVER,
                     cmt_conn_send_deadline(f.c));
  }
  conn_peer_fini(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(nothing_is_sealed_before_their_key_is_there),
    cmocka_unit_test(nothing_is_sealed_while_our_node_info_waits),
    cmocka_unit_test(nothing_is_sealed_after_the_end),
    cmocka_unit_test(sealing_packets_needs_no_memory),
    cmocka_unit_test(a_parting_ping_comes_after_the_messages),
    cmocka_unit_test(a_handshake_that_is_not_taken_counts_to_its_last_byte),
  };

  return cmocka_run_group_tests_name("conn_seal", tests, NULL, NULL);
}
