/* SPDX-License-Identifier: Apache-2.0 */
/* Pings and pongs of the multiplexer in virtual time.  Instants are literal. */
#include "mconn_output.h"
#include "mconn_pull.h"
#include "mconn_user.h"
#include "marks.h"

#define S(n) CMT_SECONDS(n)

static void ping_is_answered_in_the_next_run_of_a_flood(void **state) {
  mconn_user *f = mconn_user_new();
  bool urgent;

  (void)state;
  for (int i = 0; i < 5; i++) {
    while (mconn_user_queue(f, 0x30, 60000) == CMT_OK) {
    }
    assert_true(cmt__mconn_wants_write(f->m, &urgent));
    assert_false(urgent);
    assert_given(f, "020a00", 1, "");
    assert_true(cmt__mconn_wants_write(f->m, &urgent));
    assert_true(urgent);
    mconn_user_sent(f, 1100, 1);
    assert_sent(f, "pong 30.1024");
    mconn_user_sent(f, 1100, 1);
    assert_sent(f, "30.1024");
  }
  mconn_user_delete(f);
}

static void several_pings_share_a_pong(void **state) {
  mconn_user *f = mconn_user_new();

  (void)state;
  assert_given(f, "020a00020a00020a00", 1, "");
  assert_given(f, "020a00", 2, "");
  mconn_user_sent(f, 100, 2);
  assert_sent(f, "pong");
  assert_int_equal(0, mconn_user_sent(f, 100, 2));
  assert_given(f, "020a00", 3, "");
  mconn_user_sent(f, 100, 3);
  assert_sent(f, "pong");
  mconn_user_delete(f);
}

static void ping_goes_out_each_interval_whatever_the_traffic(void **state) {
  mconn_user *f = mconn_user_new();

  (void)state;
  assert_int_equal(S(60), cmt_mconn_deadline(f->m));
  assert_given(f, "061a0408311001", S(30), "31.0");
  assert_mconn_tick(f->m, S(60) - 1, CMT_OK);
  assert_int_equal(0, mconn_user_sent(f, 100, S(60) - 1));
  assert_mconn_tick(f->m, S(60), CMT_OK);
  mconn_user_sent(f, 100, S(60));
  assert_sent(f, "ping");
  assert_int_equal(S(105), cmt_mconn_deadline(f->m));
  assert_given(f, "021200", S(61), "pong:1000000000");
  assert_int_equal(S(120), cmt_mconn_deadline(f->m));
  assert_mconn_tick(f->m, S(120), CMT_OK);
  mconn_user_sent(f, 100, S(120));
  assert_sent(f, "ping");
  assert_int_equal(2, cmt__mconn_pings_sent(f->m));
  mconn_user_delete(f);
}

static void missed_pong_ends_it_after_105_seconds(void **state) {
  mconn_user *f = mconn_user_new();

  (void)state;
  assert_mconn_tick(f->m, S(60), CMT_OK);
  assert_int_equal(3, mconn_user_sent(f, 100, S(60)));
  /* Data does not replace the pong. */
  assert_given(f, "061a0408311001", S(104), "31.0");
  assert_mconn_tick(f->m, S(105) - 1, CMT_OK);
  assert_mconn_tick(f->m, S(105), CMT_EPONG);
  assert_mconn_tick(f->m, S(105), CMT_EPONG);
  assert_int_equal(S(105), cmt_mconn_deadline(f->m)); /* An event is left. */
  assert_cmt(CMT_ECLOSED, mconn_user_queue(f, 0x30, 1));
  assert_cmt(CMT_ECLOSED, cmt_mconn_ping(f->m));
  assert_cmt(CMT_ECLOSED, cmt_mconn_recv(f->m, NULL, 0, S(105)));
  assert_mconn_end(f->m, CMT_EPONG);
  assert_int_equal(CMT_NEVER, cmt_mconn_deadline(f->m));
  assert_mconn_tick(f->m, S(999), CMT_EPONG);
  assert_int_equal(0, mconn_output(f->m, 100, S(105)).len);
  mconn_user_delete(f);
}

static void wait_begins_when_the_last_byte_of_the_ping_is_taken(void **state) {
  mconn_user *f = mconn_user_new();

  (void)state;
  assert_cmt(CMT_OK, mconn_user_queue(f, 0x30, 9));
  assert_cmt(CMT_OK, cmt_mconn_ping(f->m));
  assert_int_equal(21, mconn_output(f->m, 100, S(1)).len);
  mconn_output_consume(f->m, 2, S(10));
  assert_int_equal(S(60), cmt_mconn_deadline(f->m));
  mconn_output_consume(f->m, 1, S(12));
  assert_int_equal(S(57), cmt_mconn_deadline(f->m));
  mconn_output_consume(f->m, 18, S(20));
  assert_int_equal(S(57), cmt_mconn_deadline(f->m));
  assert_given(f, "021200", S(13) + S(7), "pong:8000000000");
  mconn_user_delete(f);
}

/* The other side has interval and timeout to accept a ping, and then the
   timeout to answer it. */
static void ping_that_waits_to_be_taken_has_a_time_of_its_own(void **state) {
  mconn_user *f = mconn_user_new();

  (void)state;
  assert_mconn_tick(f->m, S(60), CMT_OK);
  assert_int_equal(3, mconn_output(f->m, 100, S(60)).len);
  assert_int_equal(S(120), cmt_mconn_deadline(f->m));
  assert_mconn_tick(f->m, S(120), CMT_OK);
  assert_int_equal(S(165), cmt_mconn_deadline(f->m));
  assert_mconn_tick(f->m, S(165) - 1, CMT_OK);
  assert_int_equal(1, cmt__mconn_pings_sent(f->m));
  mconn_output_consume(f->m, 3, S(165) - 1);
  assert_mconn_tick(f->m, S(180), CMT_OK);
  assert_int_equal(S(210) - 1, cmt_mconn_deadline(f->m));
  assert_mconn_tick(f->m, S(210) - 1, CMT_EPONG);
  mconn_user_delete(f);
}

static void unasked_pongs_are_ignored_and_count_for_nothing(void **state) {
  mconn_user *f = mconn_user_new();

  (void)state;
  assert_given(f, "021200021200", S(1), "");
  assert_cmt(CMT_OK, cmt_mconn_ping(f->m));
  assert_given(f, "021200", S(2), "");
  assert_int_equal(3, mconn_user_sent(f, 100, S(3)));
  assert_int_equal(S(48), cmt_mconn_deadline(f->m));
  assert_mconn_tick(f->m, S(48), CMT_EPONG);
  mconn_user_delete(f);
}

static void second_ping_waits_for_the_first(void **state) {
  mconn_user *f = mconn_user_new();

  (void)state;
  assert_cmt(CMT_OK, cmt_mconn_ping(f->m));
  assert_cmt(CMT_EAGAIN, cmt_mconn_ping(f->m));
  assert_int_equal(3, mconn_user_sent(f, 100, S(1)));
  assert_cmt(CMT_EAGAIN, cmt_mconn_ping(f->m));
  /* The interval's ping is the one under way. */
  assert_given(f, "020a00", S(30), "");
  assert_cmt(CMT_EAGAIN, cmt_mconn_ping(f->m));
  assert_given(f, "021200021200", S(40), "pong:39000000000");
  assert_cmt(CMT_OK, cmt_mconn_ping(f->m));
  mconn_user_sent(f, 100, S(41));
  assert_sent(f, "pong ping");
  mconn_user_delete(f);
}

/* Time in which we do not read does not count against the other side. */
static void pause_suspends_the_wait_for_the_pong(void **state) {
  mconn_user *f = mconn_user_new();
  uint64_t before = test_mark("unsolicited_pong");

  (void)state;
  assert_mconn_tick(f->m, S(60), CMT_OK);
  assert_int_equal(3, mconn_user_sent(f, 100, S(60)));
  cmt__mconn_pause(f->m, true, S(104));
  assert_int_equal(S(119), cmt_mconn_deadline(f->m)); /* An unsolicited pong. */
  assert_mconn_tick(f->m, S(119), CMT_OK);
  assert_int_equal(3, mconn_user_sent(f, 100, S(119)));
  assert_int_equal(S(120), cmt_mconn_deadline(f->m)); /* The interval's. */
  assert_mconn_tick(f->m, S(400), CMT_OK);
  cmt__mconn_pause(f->m, true, S(401)); /* Twice is once. */
  cmt__mconn_pause(f->m, false, S(402));
  assert_int_equal(S(402) + S(45), cmt_mconn_deadline(f->m));
  cmt__mconn_pause(f->m, false, S(410)); /* Moves nothing. */
  assert_int_equal(S(402) + S(45), cmt_mconn_deadline(f->m));
  assert_mconn_tick(f->m, S(447) - 1, CMT_OK);
  assert_mconn_tick(f->m, S(447), CMT_EPONG);
  mconn_user_delete(f);
  assert_mark("unsolicited_pong", before, 2);
}

static void ping_of_a_pause_is_waited_for_after_it(void **state) {
  mconn_user *f = mconn_user_new();

  (void)state;
  cmt__mconn_pause(f->m, true, S(59));
  assert_mconn_tick(f->m, S(60), CMT_OK);
  assert_int_equal(3, mconn_user_sent(f, 100, S(60)));
  assert_mconn_tick(f->m, S(119), CMT_OK);
  cmt__mconn_pause(f->m, false, S(119));
  assert_given(f, "021200", S(119), "pong:59000000000");
  assert_mconn_tick(f->m, S(170), CMT_OK);
  mconn_user_delete(f);
}

static void interval_of_never_sends_none(void **state) {
  mconn_user *f = mconn_user_new();
  cmt_mconn_options o;

  (void)state;
  cmt_mconn_delete(f->m);
  mconn_user_options(f, &o);
  o.ping_interval_ns = CMT_NEVER;
  assert_cmt(CMT_OK, cmt_mconn_new(&o, 5, &f->m, NULL));
  assert_int_equal(CMT_NEVER, cmt_mconn_deadline(f->m));
  assert_mconn_tick(f->m, S(1000000), CMT_OK);
  assert_int_equal(0, mconn_user_sent(f, 100, S(1000000)));
  assert_cmt(CMT_OK, cmt_mconn_ping(f->m));
  assert_int_equal(3, mconn_user_sent(f, 100, S(1000000)));
  assert_int_equal(S(1000045), cmt_mconn_deadline(f->m));
  mconn_user_delete(f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(ping_is_answered_in_the_next_run_of_a_flood),
    cmocka_unit_test(several_pings_share_a_pong),
    cmocka_unit_test(ping_goes_out_each_interval_whatever_the_traffic),
    cmocka_unit_test(missed_pong_ends_it_after_105_seconds),
    cmocka_unit_test(wait_begins_when_the_last_byte_of_the_ping_is_taken),
    cmocka_unit_test(ping_that_waits_to_be_taken_has_a_time_of_its_own),
    cmocka_unit_test(unasked_pongs_are_ignored_and_count_for_nothing),
    cmocka_unit_test(second_ping_waits_for_the_first),
    cmocka_unit_test(pause_suspends_the_wait_for_the_pong),
    cmocka_unit_test(ping_of_a_pause_is_waited_for_after_it),
    cmocka_unit_test(interval_of_never_sends_none),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
