/* SPDX-License-Identifier: Apache-2.0 */
/* The ping rules of the legacy profile at their edges.  legacy_test.c has the
   sentences that they come from; the times are 60 s and 45 s again. */
#include "mconn_output.h"
#include "mconn_pull.h"
#include "legacy_user.h"

#include <stdio.h>

#define S(n) CMT_SECONDS(n)
#define MS(n) CMT_MILLISECONDS(n)

/* ---- our pings ---- */

static void no_second_ping_while_one_is_under_way(void **state) {
  mconn_user *f = legacy_user_new();

  (void)state;
  assert_cmt(CMT_OK, cmt_mconn_ping(f->m));
  assert_cmt(CMT_EAGAIN, cmt_mconn_ping(f->m));
  assert_int_equal(CMT_NEVER, cmt_mconn_deadline(f->m));
  assert_legacy_sent(f, 100, S(1), "ping");
  assert_cmt(CMT_EAGAIN, cmt_mconn_ping(f->m));
  assert_int_equal(S(46), cmt_mconn_deadline(f->m));
  assert_given(f, "01", S(20), ""); /* A receipt, no answer. */
  assert_int_equal(S(20) + MS(11250), cmt_mconn_deadline(f->m));
  assert_legacy_sent(f, 100, S(21), "pong");
  assert_int_equal(S(46), cmt_mconn_deadline(f->m));
  assert_given(f, "02", S(30), "pong:29000000000");
  assert_int_equal(S(90), cmt_mconn_deadline(f->m));
  assert_cmt(CMT_OK, cmt_mconn_ping(f->m));
  assert_legacy_sent(f, 100, S(30), "ping");
  assert_int_equal(2, cmt__mconn_pings_sent(f->m));
  mconn_user_delete(f);
}

/* The wait begins when the kernel has the ping, which the other side has to let
   happen within interval and timeout. */
static void ping_that_waits_for_the_kernel_has_a_time_of_its_own(void **state) {
  mconn_user *f = legacy_user_new();

  (void)state;
  assert_mconn_tick(f->m, S(60), CMT_OK);
  assert_int_equal(1, mconn_output(f->m, 100, S(60)).len);
  assert_int_equal(S(165), cmt_mconn_deadline(f->m));
  assert_mconn_tick(f->m, S(160), CMT_OK);
  mconn_output_consume(f->m, 1, S(160));
  assert_int_equal(S(205), cmt_mconn_deadline(f->m));
  assert_mconn_tick(f->m, S(205), CMT_EPONG);
  mconn_user_delete(f);
}

/* What came before the kernel had it answers nothing. */
static void answer_before_the_ping_was_taken_is_none(void **state) {
  mconn_user *f = legacy_user_new();

  (void)state;
  assert_cmt(CMT_OK, cmt_mconn_ping(f->m));
  assert_int_equal(1, mconn_output(f->m, 100, S(1)).len);
  assert_given(f, "02030408311001", S(2), "31.0");
  mconn_output_consume(f->m, 1, S(3));
  assert_int_equal(S(48), cmt_mconn_deadline(f->m));
  assert_mconn_tick(f->m, S(48), CMT_EPONG);
  mconn_user_delete(f);
}

/* The pong may come behind a message that was on its way already: then it
   measures the round trip, and ends no later wait. */
static void pong_behind_a_message_reports_the_round_trip(void **state) {
  mconn_user *f = legacy_user_new();

  (void)state;
  assert_cmt(CMT_OK, cmt_mconn_ping(f->m));
  assert_legacy_sent(f, 100, S(1), "ping");
  assert_given(f, "030408311001", S(2), "31.0");
  assert_given(f, "02", S(3), "pong:2000000000");
  assert_given(f, "02", S(4), "");
  /* Without that pong the next ping is on time all the same. */
  assert_cmt(CMT_OK, cmt_mconn_ping(f->m));
  assert_legacy_sent(f, 100, S(5), "ping");
  assert_given(f, "030408311001", S(6), "31.0");
  assert_int_equal(S(66), cmt_mconn_deadline(f->m));
  assert_mconn_tick(f->m, S(66), CMT_OK);
  assert_legacy_sent(f, 100, S(66), "ping");
  assert_int_equal(S(111), cmt_mconn_deadline(f->m));
  assert_mconn_tick(f->m, S(111), CMT_EPONG);
  mconn_user_delete(f);
}

/* Time in which we do not read does not count against the other side. */
static void pause_suspends_the_wait(void **state) {
  mconn_user *f = legacy_user_new();

  (void)state;
  assert_mconn_tick(f->m, S(60), CMT_OK);
  assert_legacy_sent(f, 100, S(60), "ping");
  cmt__mconn_pause(f->m, true, S(104));
  /* Meanwhile pongs go out unsolicited, as in the other profile. */
  assert_int_equal(S(119), cmt_mconn_deadline(f->m));
  assert_mconn_tick(f->m, S(119), CMT_OK);
  assert_legacy_sent(f, 100, S(119), "pong");
  assert_mconn_tick(f->m, S(400), CMT_OK);
  assert_legacy_sent(f, 100, S(400), "pong");
  cmt__mconn_pause(f->m, false, S(402));
  assert_int_equal(S(447), cmt_mconn_deadline(f->m));
  assert_mconn_tick(f->m, S(447), CMT_EPONG);
  mconn_user_delete(f);
}

static void options_never_ping(cmt_mconn_options *o) {
  o->ping_interval_ns = CMT_NEVER;
}

static void interval_of_never_sends_none(void **state) {
  mconn_user *f = legacy_user_new_with(options_never_ping);

  (void)state;
  assert_int_equal(CMT_NEVER, cmt_mconn_deadline(f->m));
  assert_given(f, "030408311001", S(1), "31.0");
  assert_int_equal(CMT_NEVER, cmt_mconn_deadline(f->m));
  assert_mconn_tick(f->m, S(1000000), CMT_OK);
  assert_legacy_sent(f, 100, S(1000000), "");
  /* Pings of others are measured by the default of 60 s. */
  assert_given(f, "01", S(1000000), "");
  assert_legacy_sent(f, 100, S(1000000), "pong");
  assert_given(f, "01", S(1000029), "");
  assert_legacy_sent(f, 100, S(1000029), "");
  assert_given(f, "01", S(1000059), "");
  assert_legacy_sent(f, 100, S(1000059), "pong");
  mconn_user_delete(f);
}

static void options_of_ten_seconds(cmt_mconn_options *o) {
  o->ping_interval_ns = S(10);
  o->pong_timeout_ns = S(4);
}

static void times_are_those_of_the_options(void **state) {
  mconn_user *f = legacy_user_new_with(options_of_ten_seconds);

  (void)state;
  assert_int_equal(S(10), cmt_mconn_deadline(f->m));
  assert_mconn_tick(f->m, S(10), CMT_OK);
  assert_legacy_sent(f, 100, S(10), "ping");
  assert_int_equal(S(14), cmt_mconn_deadline(f->m));
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x30, 9));
  assert_given(f, "01", S(11), "");
  assert_int_equal(S(12), cmt_mconn_deadline(f->m)); /* 4 s / 4. */
  assert_legacy_sent(f, 100, S(11), "30.9!");
  assert_given(f, "01", S(16) - 1, "");
  assert_legacy_sent(f, 100, S(16) - 1, ""); /* Less than 5 s apart. */
  mconn_user_delete(f);
}

/* ---- our pongs ---- */

/* Handed over is more than put into the output: until the kernel has the whole
   of one msgPacket, the pong is owed. */
static void pong_is_owed_until_a_whole_packet_was_taken(void **state) {
  mconn_user *f = legacy_user_new();

  (void)state;
  assert_given(f, "01", S(1), "");
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x30, 9));
  assert_int_equal(17, mconn_output(f->m, 100, S(2)).len);
  mconn_output_consume(f->m, 16, S(3));
  assert_int_equal(S(1) + MS(11250), cmt_mconn_deadline(f->m));
  mconn_output_consume(f->m, 1, S(4));
  assert_int_equal(S(61), cmt_mconn_deadline(f->m));
  assert_legacy_sent(f, 100, S(5), "");
  mconn_user_delete(f);
}

/* In a batch under way, a packet that ends behind the ping's arrival counts,
   and one that was consumed before it does not. */
static void packet_that_was_taken_before_the_ping_does_not_count(void **state) {
  mconn_user *f = legacy_user_new();
  cmt_bytes out;

  (void)state;
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x30, 2000)); /* 1032 + 986. */
  out = mconn_output(f->m, 4000, S(1));
  assert_int_equal(2018, out.len);
  mconn_output_consume(f->m, 1032, S(1));
  assert_given(f, "01", S(2), "");
  mconn_output_consume(f->m, 985, S(3));
  assert_int_equal(S(2) + MS(11250), cmt_mconn_deadline(f->m));
  mconn_output_consume(f->m, 1, S(3));
  assert_int_equal(S(62), cmt_mconn_deadline(f->m));
  assert_legacy_sent(f, 100, S(3), "");

  assert_cmt(CMT_OK, mconn_user_queue(f, 0x30, 9));
  assert_legacy_sent(f, 100, S(33), "30.9!");
  assert_given(f, "01", S(34), ""); /* Nothing is left to send. */
  assert_legacy_sent(f, 100, S(34), "pong");
  mconn_user_delete(f);
}

/* In a long batch no end of a packet is far away. */
static void long_run_answers_before_its_end(void **state) {
  mconn_user *f = legacy_user_new();
  cmt_bytes out;

  (void)state;
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x30, 60000));
  out = mconn_output(f->m, 65536, S(1));
  assert_in_range(out.len, 60000, 65536);
  mconn_output_consume(f->m, 10500, S(1)); /* Within the eleventh packet. */
  assert_given(f, "01", S(2), "");
  mconn_output_consume(f->m, 500, S(3)); /* Still within it. */
  assert_int_equal(S(2) + MS(11250), cmt_mconn_deadline(f->m));
  mconn_output_consume(f->m, 1100, S(4));
  assert_int_equal(S(62), cmt_mconn_deadline(f->m));
  mconn_output_consume(f->m, out.len - 12100, S(5));
  assert_legacy_sent(f, 100, S(5), "");
  mconn_user_delete(f);
}

/* A batch that the kernel does not accept: the pong is the first of the
   next. */
static void pong_goes_first_when_no_packet_was_taken_in_time(void **state) {
  mconn_user *f = legacy_user_new();
  cmt_bytes out;

  (void)state;
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x30, 2000));
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x30, 9));
  out = mconn_output(f->m, 1100, S(1));
  assert_int_equal(1032, out.len);
  mconn_output_consume(f->m, 500, S(1));
  assert_given(f, "01", S(2), "");
  assert_mconn_tick(f->m, S(2) + MS(11250) - 1, CMT_OK);
  assert_mconn_tick(f->m, S(2) + MS(11250), CMT_OK);
  mconn_output_consume(f->m, 532, S(20));
  assert_legacy_sent(f, 2000, S(20), "pong 30.976! 30.9!");
  assert_legacy_sent(f, 2000, S(20), "");
  mconn_user_delete(f);
}

/* A later ping does not put it off. */
static void pong_that_is_due_stays_due(void **state) {
  mconn_user *f = legacy_user_new();

  (void)state;
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x30, 9));
  assert_given(f, "01", S(1), "");
  assert_mconn_tick(f->m, S(13), CMT_OK);
  assert_given(f, "01", S(31), "");
  assert_legacy_sent(f, 100, S(31), "pong 30.9!");
  mconn_user_delete(f);
}

/* Nor does it put off one that is owed. */
static void pong_that_is_owed_keeps_its_time(void **state) {
  mconn_user *f = legacy_user_new_with(options_of_ten_seconds);

  (void)state;
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x30, 9));
  assert_given(f, "01", S(1), "");
  /* No tick in between: the loop was late. */
  assert_given(f, "01", S(6), "");
  assert_int_equal(S(2), cmt_mconn_deadline(f->m));
  assert_mconn_tick(f->m, S(6), CMT_OK);
  assert_legacy_sent(f, 100, S(6), "pong 30.9!");
  mconn_user_delete(f);
}

/* Without a tick between, what was consumed too late does not count either. */
static void packet_taken_too_late_does_not_count(void **state) {
  mconn_user *f = legacy_user_new();

  (void)state;
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x30, 9));
  assert_given(f, "01", S(1), "");
  assert_legacy_sent(f, 100, S(1) + MS(11250), "30.9!");
  assert_mconn_tick(f->m, S(13), CMT_OK);
  assert_legacy_sent(f, 100, S(13), "pong");
  mconn_user_delete(f);
}

static void graceful_end_waits_for_the_pong(void **state) {
  mconn_user *f = legacy_user_new();

  (void)state;
  assert_true(cmt__mconn_is_drained(f->m));
  assert_given(f, "01", S(1), "");
  assert_false(cmt__mconn_is_drained(f->m));
  assert_legacy_sent(f, 100, S(1), "pong");
  assert_true(cmt__mconn_is_drained(f->m));
  mconn_user_delete(f);
}

/* ---- their pings ---- */

/* One ping every interval, or twice as often, is answered for ever. */
static void pings_of_half_the_interval_are_all_answered(void **state) {
  mconn_user *f = legacy_user_new();

  (void)state;
  for (uint64_t i = 1; i < 200; i++) {
    assert_given(f, "01", S(30) * i, "");
    assert_legacy_sent(f, 100, S(30) * i, "pong");
  }
  mconn_user_delete(f);
}

/* Gives |count| pings that are |gap_ns| apart, the first at |*now_ns| +
   |gap_ns|; what the last one ends it with, or CMT_OK. */
static cmt_err pings(mconn_user *f, int count, uint64_t gap_ns,
                     uint64_t *now_ns) {
  cmt_mconn_event e = {.err = CMT_OK};

  for (int i = 0; i < count; i++) {
    assert_cmt(CMT_OK, e.err);
    *now_ns += gap_ns;
    assert_cmt(CMT_OK,
               cmt_mconn_recv(f->m, (const uint8_t *)"\x01", 1, *now_ns));
    while (cmt_mconn_next_event(f->m, &e)) {
      assert_int_equal(CMT_MCONN_END, e.kind);
    }
    mconn_output_consume(f->m, mconn_output(f->m, 99, *now_ns).len, *now_ns);
  }
  return e.err;
}

static void flood_is_ten_within_one_interval(void **state) {
  static const struct {
    uint64_t gap_ns;
    int most; /* Most pings that are too often; 0: any number. */
  } rows[] = {
    {0, 10},
    {1, 10},
    {S(1), 10},
    {S(60) / 9, 10},
    {S(60) / 9 + 1, 0}, /* A little more. */
    {S(30) - 1, 0},
    {S(30), 0},
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    mconn_user *f = legacy_user_new();
    uint64_t now_ns = S(1);

    assert_cmt(CMT_OK, pings(f, 1, 0, &now_ns));
    if (rows[i].most == 0) {
      assert_cmt(CMT_OK, pings(f, 300, rows[i].gap_ns, &now_ns));
    } else {
      assert_cmt(CMT_OK, pings(f, rows[i].most - 1, rows[i].gap_ns, &now_ns));
      assert_cmt(CMT_EFLOOD, pings(f, 1, rows[i].gap_ns, &now_ns));
    }
    mconn_user_delete(f);
  }
}

/* The tenth exactly 60 s after the first, and a nanosecond later. */
static void flood_ends_with_the_interval(void **state) {
  (void)state;
  for (uint64_t more = 0; more < 2; more++) {
    mconn_user *f = legacy_user_new();
    uint64_t now_ns = S(1);

    assert_cmt(CMT_OK, pings(f, 2, S(1), &now_ns));
    assert_cmt(CMT_OK, pings(f, 8, S(6), &now_ns));
    assert_cmt(more ? CMT_OK : CMT_EFLOOD, pings(f, 1, S(12) + more, &now_ns));
    mconn_user_delete(f);
  }
}

/* The ten are any ten in a row, not those of a window that begins anew; what
   is older than one interval does not count. */
static void flood_counts_the_last_interval(void **state) {
  mconn_user *f = legacy_user_new();
  uint64_t now_ns = S(1);

  (void)state;
  assert_cmt(CMT_OK, pings(f, 1, 0, &now_ns));
  assert_cmt(CMT_OK, pings(f, 1, S(1), &now_ns));  /* Too often, at 2 s. */
  assert_cmt(CMT_OK, pings(f, 1, S(40), &now_ns)); /* Not, at 42 s. */
  assert_cmt(CMT_OK, pings(f, 5, S(1), &now_ns));
  assert_cmt(CMT_OK, pings(f, 1, S(20), &now_ns)); /* The first is gone. */
  assert_cmt(CMT_OK, pings(f, 3, S(1), &now_ns));
  assert_cmt(CMT_EFLOOD, pings(f, 1, S(1), &now_ns));
  mconn_user_delete(f);

  f = legacy_user_new();
  now_ns = S(1);
  assert_cmt(CMT_OK, pings(f, 1, 0, &now_ns));
  assert_cmt(CMT_OK, pings(f, 9, S(1), &now_ns));
  assert_cmt(CMT_OK, pings(f, 1, S(52), &now_ns)); /* Not, at 62 s. */
  assert_cmt(CMT_OK, pings(f, 9, S(3), &now_ns));
  mconn_user_delete(f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(no_second_ping_while_one_is_under_way),
    cmocka_unit_test(ping_that_waits_for_the_kernel_has_a_time_of_its_own),
    cmocka_unit_test(answer_before_the_ping_was_taken_is_none),
    cmocka_unit_test(pong_behind_a_message_reports_the_round_trip),
    cmocka_unit_test(pause_suspends_the_wait),
    cmocka_unit_test(interval_of_never_sends_none),
    cmocka_unit_test(times_are_those_of_the_options),
    cmocka_unit_test(pong_is_owed_until_a_whole_packet_was_taken),
    cmocka_unit_test(packet_that_was_taken_before_the_ping_does_not_count),
    cmocka_unit_test(long_run_answers_before_its_end),
    cmocka_unit_test(pong_goes_first_when_no_packet_was_taken_in_time),
    cmocka_unit_test(pong_that_is_due_stays_due),
    cmocka_unit_test(pong_that_is_owed_keeps_its_time),
    cmocka_unit_test(packet_taken_too_late_does_not_count),
    cmocka_unit_test(graceful_end_waits_for_the_pong),
    cmocka_unit_test(pings_of_half_the_interval_are_all_answered),
    cmocka_unit_test(flood_is_ten_within_one_interval),
    cmocka_unit_test(flood_ends_with_the_interval),
    cmocka_unit_test(flood_counts_the_last_interval),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
