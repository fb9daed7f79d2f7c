/* SPDX-License-Identifier: Apache-2.0 */
/* A peer that reads nothing of what we send, in virtual time: a ping is due
   after 60 s, and then it has 105 s. */
#include "mconn_output.h"
#include "mconn_pull.h"
#include "conn_peer.h"
#include "marks.h"
#include "legacy_user.h"

#include <stdio.h>

#define S(n) CMT_SECONDS(n)
#define MS(n) CMT_MILLISECONDS(n)

static void assert_stuck_at(cmt_mconn *m, uint64_t at_ns) {
  assert_int_equal(at_ns, cmt__mconn_stuck_ns(m));
  assert_mconn_tick(m, at_ns - 1, CMT_OK);
  assert_mconn_tick(m, at_ns, CMT_EPONG);
}

static void fill(mconn_user *f) {
  while (mconn_user_queue(f, 0xff, 60000) == CMT_OK) {
  }
}

static void take_all(cmt_mconn *m, uint64_t now_ns) {
  cmt_bytes out;

  while ((out = mconn_output(m, 500, now_ns)).len > 0) {
    mconn_output_consume(m, out.len, now_ns);
  }
}

/* ---- the multiplexer ---- */

/* The batch before the ping is not consumed, so the ping is never written. */
static void a_full_output_has_its_time_from_the_ping_on(void **state) {
  mconn_user *f = mconn_user_new();
  uint64_t before = test_mark("output_stuck");

  (void)state;
  fill(f);
  assert_in_range(mconn_output(f->m, 9000, S(1)).len, 8000, 9000);
  assert_int_equal(CMT_NEVER, cmt__mconn_stuck_ns(f->m));
  assert_mconn_tick(f->m, S(60), CMT_OK);
  assert_int_equal(0, cmt__mconn_pings_sent(f->m));
  assert_stuck_at(f->m, S(165));
  mconn_user_delete(f);
  assert_mark("output_stuck", before, 1);
}

/* What is packetized and not consumed, and what is not packetized. */
static void what_waits_is_reported_to_the_byte(void **state) {
  mconn_user *f = mconn_user_new();
  uint64_t before;

  (void)state;
  assert_cmt(CMT_OK, mconn_user_queue(f, 0xff, 5000));
  assert_true(mconn_output(f->m, 3000, S(1)).len > 600);
  before = cmt__mconn_unsent(f->m);
  assert_in_range(before, 5001, 5100);
  for (uint64_t taken = 200; taken <= 600; taken += 200) {
    mconn_output_consume(f->m, 200, S(1));
    assert_int_equal(before - taken, cmt__mconn_unsent(f->m));
  }
  mconn_user_delete(f);
}

static void whatever_comes_is_no_progress(void **state) {
  mconn_user *f = mconn_user_new();

  (void)state;
  fill(f);
  assert_true(mconn_output(f->m, 9000, S(1)).len > 0);
  assert_mconn_tick(f->m, S(60), CMT_OK);
  for (uint64_t s = 61; s < 165; s++) {
    assert_given(f, "061a0408311001", S(s), "31.0");
    assert_given(f, "020a00", S(s), "");
    assert_mconn_tick(f->m, S(s), CMT_OK);
  }
  assert_stuck_at(f->m, S(165));
  mconn_user_delete(f);
}

/* Unsolicited pongs mean that it does not read by choice, which is borne for
   six times as long. */
static void unasked_pongs_are_borne_for_a_while(void **state) {
  mconn_user *f = mconn_user_new();

  (void)state;
  fill(f);
  assert_true(mconn_output(f->m, 9000, S(1)).len > 0);
  assert_false(cmt__mconn_is_excused(f->m));
  for (uint64_t s = 15; s < 60 + 6 * 105; s += 15) {
    assert_given(f, "021200", S(s), "");
    assert_mconn_tick(f->m, S(s), CMT_OK);
    assert_true(cmt__mconn_is_excused(f->m));
  }
  assert_stuck_at(f->m, S(60 + 6 * 105));
  mconn_user_delete(f);
}

static void the_last_unasked_pong_has_one_span(void **state) {
  mconn_user *f = mconn_user_new();

  (void)state;
  fill(f);
  assert_true(mconn_output(f->m, 9000, S(1)).len > 0);
  assert_mconn_tick(f->m, S(60), CMT_OK);
  assert_given(f, "021200", S(100), "");
  assert_stuck_at(f->m, S(205));
  mconn_user_delete(f);
}

/* Each 1,024 bytes begin the time anew; fewer do not, however often. */
static void what_counts_is_a_frame(void **state) {
  mconn_user *f = mconn_user_new();
  uint64_t at_ns = S(60);

  (void)state;
  fill(f);
  assert_true(mconn_output(f->m, 60000, S(1)).len > 50000);
  assert_mconn_tick(f->m, at_ns, CMT_OK);
  for (int i = 0; i < 20; i++) {
    at_ns += S(104);
    assert_mconn_tick(f->m, at_ns, CMT_OK);
    mconn_output_consume(f->m, 1024, at_ns);
    assert_int_equal(at_ns + S(105), cmt__mconn_stuck_ns(f->m));
  }
  for (int i = 1; i <= 100; i++) {
    mconn_output_consume(f->m, 10, at_ns + S(i));
    assert_mconn_tick(f->m, at_ns + S(i), CMT_OK);
  }
  assert_stuck_at(f->m, at_ns + S(105));
  mconn_user_delete(f);
}

static void a_ping_that_was_taken_ends_the_watch(void **state) {
  mconn_user *f = mconn_user_new();

  (void)state;
  fill(f);
  assert_true(mconn_output(f->m, 9000, S(1)).len > 0);
  assert_mconn_tick(f->m, S(60), CMT_OK);
  mconn_output_consume(f->m, mconn_output(f->m, 9000, S(100)).len, S(100));
  mconn_output_consume(f->m, mconn_output(f->m, 9000, S(101)).len, S(101));
  assert_int_equal(1, cmt__mconn_pings_sent(f->m));
  assert_true(mconn_output(f->m, 9000, S(102)).len > 0);
  assert_int_equal(CMT_NEVER, cmt__mconn_stuck_ns(f->m));
  assert_given(f, "021200", S(103), "pong:2000000000");
  assert_mconn_tick(f->m, S(120), CMT_OK);
  assert_stuck_at(f->m, S(225));
  mconn_user_delete(f);
}

/* It may wait for us to read before it reads itself. */
static void time_in_which_we_do_not_read_does_not_count(void **state) {
  mconn_user *f = mconn_user_new();

  (void)state;
  fill(f);
  assert_true(mconn_output(f->m, 9000, S(1)).len > 0);
  assert_mconn_tick(f->m, S(60), CMT_OK);
  cmt__mconn_pause(f->m, true, S(164));
  assert_int_equal(CMT_NEVER, cmt__mconn_stuck_ns(f->m));
  assert_mconn_tick(f->m, S(500), CMT_OK);
  cmt__mconn_pause(f->m, false, S(500));
  assert_stuck_at(f->m, S(605));
  mconn_user_delete(f);
}

static void time_held_by_a_limit_of_ours_does_not_count(void **state) {
  mconn_user *f = mconn_user_new();
  cmt_mconn_options o;

  (void)state;
  cmt_mconn_delete(f->m);
  mconn_user_options(f, &o);
  o.send_rate = 10;
  assert_cmt(CMT_OK, cmt_mconn_new(&o, 0, &f->m, NULL));
  fill(f);
  for (uint64_t s = 1; s < 1000; s++) {
    assert_mconn_tick(f->m, S(s), CMT_OK);
    take_all(f->m, S(s));
    if (s % 60 == 0) {
      assert_given(f, "021200", S(s), "pong:0");
    }
  }
  mconn_user_delete(f);
}

static void pings_of_the_caller_alone_are_watched_too(void **state) {
  mconn_user *f = mconn_user_new();
  cmt_mconn_options o;

  (void)state;
  cmt_mconn_delete(f->m);
  mconn_user_options(f, &o);
  o.ping_interval_ns = CMT_NEVER;
  assert_cmt(CMT_OK, cmt_mconn_new(&o, 0, &f->m, NULL));
  fill(f);
  assert_true(mconn_output(f->m, 9000, S(1)).len > 0);
  assert_mconn_tick(f->m, S(1000), CMT_OK);
  assert_cmt(CMT_OK, cmt_mconn_ping(f->m));
  assert_stuck_at(f->m, S(1090));
  mconn_user_delete(f);
}

/* ---- the legacy profile ---- */

/* Messages put off every ping; two intervals and the timeout it has. */
static void a_legacy_peer_that_only_sends_is_noticed(void **state) {
  mconn_user *f = legacy_user_new();

  (void)state;
  fill(f);
  assert_true(mconn_output(f->m, 9000, S(1)).len > 5000);
  mconn_output_consume(f->m, 3000, S(2));
  for (uint64_t s = 3; s < 167; s++) {
    assert_given(f, "030408311001", S(s), "31.0");
    assert_mconn_tick(f->m, S(s), CMT_OK);
  }
  assert_stuck_at(f->m, S(167));
  mconn_user_delete(f);
}

static void a_legacy_peer_that_is_silent_has_the_time_of_a_ping(void **state) {
  mconn_user *f = legacy_user_new();

  (void)state;
  fill(f);
  assert_true(mconn_output(f->m, 9000, S(1)).len > 5000);
  assert_mconn_tick(f->m, S(60), CMT_OK);
  assert_stuck_at(f->m, S(165));
  mconn_user_delete(f);
}

static void a_legacy_peer_that_takes_all_is_never_stuck(void **state) {
  mconn_user *f = legacy_user_new();

  (void)state;
  for (uint64_t s = 1; s < 1000; s += 7) {
    (void)mconn_user_queue(f, 0x30, 3000);
    take_all(f->m, S(s));
    assert_given(f, "030408311001", S(s), "31.0");
    assert_mconn_tick(f->m, S(s), CMT_OK);
  }
  mconn_user_delete(f);
}

/* ---- a connection ---- */

/* The peer reads |taken| bytes of what we write from the start on, and then
   nothing; it sends all that it has to send, and messages for ever. */
static void stop_reading_at(size_t taken, cmt_wire wire) {
  static conn_peer f;
  uint64_t end_s = wire == CMT_WIRE_LEGACY ? 170 : 166;
  bool legacy = wire == CMT_WIRE_LEGACY;

  conn_peer_init(&f, true);
  f.o.wire = wire;
  conn_peer_start(&f);
  f.stalled = true;
  conn_peer_hello(&f);
  conn_peer_auth(&f);
  conn_peer_send_info(&f);
  for (uint64_t s = 1; s <= end_s && f.why.err == CMT_OK; s++) {
    cmt_bytes out;

    f.now_ns = S(s);
    (void)conn_peer_queue(&f, 0xff, 20000);
    out = conn_peer_output(&f, cmt__max(taken, 1), f.now_ns);
    out.len = cmt__min(out.len, taken);
    conn_peer_consume(&f, out.len, f.now_ns);
    taken -= out.len;
    conn_peer_send_hex(&f, legacy ? "030408311001" : "061a0408311001");
    conn_peer_tick(&f, f.now_ns);
  }
  assert_cmt(CMT_EPONG, f.why.err);
  assert_int_equal(CMT_STAGE_UP, f.why.stage);
  if (f.now_ns > S(110)) {
    assert_memory_equal("the peer reads nothing: it took no data for ",
                        f.why.text, 44);
  }
  conn_peer_fini(&f);
}

static void a_reader_may_stop_at_any_byte(void **state) {
  (void)state;
  for (size_t taken = 0; taken < 6000; taken += taken < 2200 ? 7 : 100) {
    stop_reading_at(taken, CMT_WIRE_COMETBFT);
    stop_reading_at(taken, CMT_WIRE_LEGACY);
  }
}

static void the_reason_reports_how_long_and_how_much(void **state) {
  static conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  f.o.ping_interval_ns = S(1);
  f.o.pong_timeout_ns = MS(500);
  conn_peer_start(&f);
  conn_peer_up(&f);
  f.stalled = true;
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0xff, 5000));
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0xff, 700));
  assert_int_equal(2 * CMT_FRAME_SLOT,
                   conn_peer_output(&f, 2 * CMT_FRAME_SLOT, 0).len);
  conn_peer_tick(&f, S(1));
  conn_peer_tick(&f, MS(2500) - 1);
  assert_conn_events(&f, "");
  conn_peer_tick(&f, MS(2500));
  assert_conn_events(&f, "CMT_EPONG(up)");
  assert_memory_equal("the peer reads nothing: it took no data for 1500 ms, "
                      "and 57",
                      f.why.text, 59);
  conn_peer_fini(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_full_output_has_its_time_from_the_ping_on),
    cmocka_unit_test(what_waits_is_reported_to_the_byte),
    cmocka_unit_test(whatever_comes_is_no_progress),
    cmocka_unit_test(unasked_pongs_are_borne_for_a_while),
    cmocka_unit_test(the_last_unasked_pong_has_one_span),
    cmocka_unit_test(what_counts_is_a_frame),
    cmocka_unit_test(a_ping_that_was_taken_ends_the_watch),
    cmocka_unit_test(time_in_which_we_do_not_read_does_not_count),
    cmocka_unit_test(time_held_by_a_limit_of_ours_does_not_count),
    cmocka_unit_test(pings_of_the_caller_alone_are_watched_too),
    cmocka_unit_test(a_legacy_peer_that_only_sends_is_noticed),
    cmocka_unit_test(a_legacy_peer_that_is_silent_has_the_time_of_a_ping),
    cmocka_unit_test(a_legacy_peer_that_takes_all_is_never_stuck),
    cmocka_unit_test(a_reader_may_stop_at_any_byte),
    cmocka_unit_test(the_reason_reports_how_long_and_how_much),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
