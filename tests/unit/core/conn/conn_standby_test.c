/* SPDX-License-Identifier: Apache-2.0 */

/* A connection that is up and waits until it is needed: it lives on, is not
   read beyond a bound, and reports nothing but its end. */

#include "conn_peer.h"

#define S(n) CMT_SECONDS(n)

enum { PIECE = CMT_FRAME_SLOT };

static void up(conn_peer *f) {
  conn_peer_init(f, true);
  f->o.ping_interval_ns = S(4);
  f->o.pong_timeout_ns = S(3);
  conn_peer_start(f);
  conn_peer_up(f);
}

static void only_what_is_up_can_stand_by(void **state) {
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  conn_peer_start(&f);
  assert_cmt(CMT_ECLOSED, cmt_conn_standby(f.c, 0));
  cmt_conn_activate(f.c, 0); /* It is not on standby, so nothing changes. */
  conn_peer_up(&f);
  conn_peer_stop(&f, CMT_ECANCELED, 0);
  assert_cmt(CMT_ECLOSED, cmt_conn_standby(f.c, 0));
  conn_peer_fini(&f);
}

/* Pongs keep the other side from giving up; pings wait. */
static void a_standby_sends_pongs_and_no_pings(void **state) {
  conn_peer f;

  (void)state;
  up(&f);
  assert_cmt(CMT_OK, cmt_conn_standby(f.c, 0));
  for (uint64_t at_ns = 0; at_ns < S(9); at_ns = cmt_conn_deadline(f.c)) {
    conn_peer_tick(&f, at_ns);
  }
  assert_conn_sent(&f, "1200 1200 1200 1200 1200 1200 1200 1200");
  cmt_conn_activate(f.c, S(9));
  conn_peer_tick(&f, S(9));
  assert_conn_events(&f, "up");
  assert_conn_sent(&f, "0a00"); /* The ping that is long due. */
  conn_peer_fini(&f);
}

static void a_ping_that_is_asked_for_goes_out(void **state) {
  conn_peer f;

  (void)state;
  up(&f);
  assert_cmt(CMT_OK, cmt_conn_standby(f.c, 0));
  assert_cmt(CMT_OK, cmt_conn_ping(f.c, 0));
  conn_peer_take(&f);
  assert_conn_sent(&f, "0a00");
  conn_peer_send_hex(&f, "021200");
  assert_conn_events(&f, "");
  cmt_conn_activate(f.c, 0);
  assert_conn_events(&f, "up pong");
  conn_peer_fini(&f);
}

static void what_a_standby_reads_is_bounded(void **state) {
  uint8_t slot[PIECE] = {0};
  conn_peer f;
  size_t left = CMT_CONN_STANDBY_MAX;

  (void)state;
  up(&f);
  assert_cmt(CMT_OK, cmt_conn_standby(f.c, 0));
  for (; left > 0; left -= cmt__min(left, PIECE)) {
    assert_true(cmt_conn_wants_read(f.c));
    assert_int_equal(left, cmt_conn_read_max(f.c));
    assert_cmt(CMT_OK, cmt_conn_recv(f.c, slot, PIECE, 0));
    assert_false(cmt_conn_borrows(f.c));
    assert_conn_events(&f, "");
  }
  assert_false(cmt_conn_wants_read(f.c));
  assert_int_equal(1, cmt_conn_read_max(f.c));
  cmt_conn_activate(f.c, 0);
  assert_false(cmt_conn_wants_read(f.c));     /* Events are left. */
  assert_conn_events(&f, "up CMT_EAUTH(up)"); /* Nobody sealed these. */
  conn_peer_fini(&f);
}

static void without_memory_for_what_comes_it_ends(void **state) {
  uint8_t slot[PIECE] = {0};
  conn_peer f;

  (void)state;
  up(&f);
  assert_cmt(CMT_OK, cmt_conn_standby(f.c, 0));
  f.t.fail_at = f.t.allocs;
  assert_cmt(CMT_ECLOSED, cmt_conn_recv(f.c, slot, PIECE, 0));
  f.t.fail_at = SIZE_MAX;
  assert_conn_events(&f, "CMT_ENOMEM(up)");
  conn_peer_fini(&f);
}

static void a_pause_of_the_caller_outlasts_the_standby(void **state) {
  conn_peer f;

  (void)state;
  up(&f);
  cmt_conn_pause(f.c, 0);
  assert_cmt(CMT_OK, cmt_conn_standby(f.c, 0));
  assert_true(cmt_conn_wants_read(f.c));
  cmt_conn_activate(f.c, 0);
  assert_conn_events(&f, "up");
  assert_false(cmt_conn_wants_read(f.c));
  assert_cmt(CMT_OK, cmt_conn_standby(f.c, 0));
  cmt_conn_resume(f.c, 0);
  assert_int_equal(S(1), cmt_conn_deadline(f.c)); /* Pongs go on. */
  cmt_conn_activate(f.c, 0);
  assert_conn_events(&f, "up");
  assert_true(cmt_conn_wants_read(f.c));
  conn_peer_fini(&f);
}

/* The time on standby is none in which the other side could be late. */
static void nobody_is_late_on_standby(void **state) {
  conn_peer f;

  (void)state;
  up(&f);
  conn_peer_tick(&f, S(4)); /* A ping goes out. */
  assert_int_equal(S(7), cmt_conn_recv_deadline(f.c));
  assert_cmt(CMT_OK, cmt_conn_standby(f.c, S(5)));
  assert_true(cmt_conn_recv_deadline(f.c) == CMT_NEVER);
  assert_true(cmt_conn_send_deadline(f.c) == CMT_NEVER);
  conn_peer_tick(&f, S(50));
  assert_conn_events(&f, "");
  cmt_conn_activate(f.c, S(50));
  conn_peer_tick(&f, S(50));
  assert_conn_events(&f, "up");
  assert_int_equal(S(53), cmt_conn_recv_deadline(f.c));
  conn_peer_fini(&f);
}

/* A caller that was delayed reads what has come before it judges. */
static void an_excused_tick_calls_nobody_late(void **state) {
  conn_peer f;

  (void)state;
  up(&f);
  conn_peer_tick(&f, S(4));
  cmt_conn_tick_excused(f.c, S(8));
  assert_conn_events(&f, "");
  conn_peer_tick(&f, S(8));
  assert_conn_events(&f, "CMT_EPONG(up)");
  conn_peer_fini(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(only_what_is_up_can_stand_by),
    cmocka_unit_test(a_standby_sends_pongs_and_no_pings),
    cmocka_unit_test(a_ping_that_is_asked_for_goes_out),
    cmocka_unit_test(what_a_standby_reads_is_bounded),
    cmocka_unit_test(without_memory_for_what_comes_it_ends),
    cmocka_unit_test(a_pause_of_the_caller_outlasts_the_standby),
    cmocka_unit_test(nobody_is_late_on_standby),
    cmocka_unit_test(an_excused_tick_calls_nobody_late),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
