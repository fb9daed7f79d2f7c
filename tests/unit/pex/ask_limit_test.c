/* SPDX-License-Identifier: Apache-2.0 */

/* How often a peer may ask, and be asked. */

#include "test.h"

#include "pex/ask_limit.h"

static void the_first_request_is_answered_at_once(void **state) {
  cmt__ask_limit l = {0};

  (void)state;
  assert_int_equal(CMT__ASK_ANSWER, cmt__ask_request_came(&l, 0));
  assert_int_equal(CMT_NEVER, cmt__ask_due_ns(&l));
  assert_false(cmt__ask_take_due(&l, CMT_NEVER - 1));
}

static void an_early_request_is_held_until_it_is_due(void **state) {
  cmt__ask_limit l = {0};

  (void)state;
  (void)cmt__ask_request_came(&l, 5);
  assert_int_equal(CMT__ASK_HOLD, cmt__ask_request_came(&l, 6));
  assert_int_equal(5 + CMT_SECONDS(10), cmt__ask_due_ns(&l));
  assert_false(cmt__ask_take_due(&l, CMT_SECONDS(10) + 4));
  assert_true(cmt__ask_take_due(&l, CMT_SECONDS(10) + 5));
  assert_false(cmt__ask_take_due(&l, CMT_SECONDS(10) + 5));
  assert_int_equal(CMT_NEVER, cmt__ask_due_ns(&l));
}

static void the_next_ten_seconds_begin_with_the_held_answer(void **state) {
  cmt__ask_limit l = {0};

  (void)state;
  (void)cmt__ask_request_came(&l, 0);
  (void)cmt__ask_request_came(&l, 0);
  assert_true(cmt__ask_take_due(&l, CMT_SECONDS(11)));
  assert_int_equal(CMT__ASK_HOLD, cmt__ask_request_came(&l, CMT_SECONDS(12)));
  assert_int_equal(CMT_SECONDS(21), cmt__ask_due_ns(&l));
}

static void a_request_after_ten_seconds_is_answered(void **state) {
  cmt__ask_limit l = {0};

  (void)state;
  for (uint64_t i = 0; i < 5; i++) {
    assert_int_equal(CMT__ASK_ANSWER,
                     cmt__ask_request_came(&l, CMT_SECONDS(10) * i));
  }
  assert_int_equal(0, l.dropped);
}

static void only_one_request_is_held(void **state) {
  cmt__ask_limit l = {0};

  (void)state;
  (void)cmt__ask_request_came(&l, 0);
  assert_int_equal(CMT__ASK_HOLD, cmt__ask_request_came(&l, 1));
  for (uint64_t i = 0; i < CMT__ASK_DROPS_MAX; i++) {
    assert_int_equal(CMT__ASK_DROP, cmt__ask_request_came(&l, 2 + i));
  }
  assert_int_equal(10, l.dropped);
  assert_int_equal(CMT__ASK_END, cmt__ask_request_came(&l, CMT_SECONDS(9)));
}

/* Ten a minute are dropped for ever, eleven are not. */
static void drops_count_for_a_minute(void **state) {
  cmt__ask_limit l = {0};
  uint64_t now = 0;

  (void)state;
  (void)cmt__ask_request_came(&l, 0);
  (void)cmt__ask_request_came(&l, 0);
  for (int i = 0; i < 100; i++) {
    assert_int_equal(CMT__ASK_DROP, cmt__ask_request_came(&l, now));
    now += CMT_SECONDS(6);
  }
  assert_int_equal(CMT__ASK_END, cmt__ask_request_came(&l, now - 1));
}

static void nothing_is_asked_while_an_answer_is_outstanding(void **state) {
  cmt__ask_limit l = {0};

  (void)state;
  assert_true(cmt__ask_may_ask(&l, 0));
  cmt__ask_asked(&l);
  assert_false(cmt__ask_may_ask(&l, CMT_SECONDS(3600)));
}

static void the_gap_begins_with_the_answer(void **state) {
  cmt__ask_limit l = {0};

  (void)state;
  cmt__ask_asked(&l);
  assert_true(cmt__ask_list_came(&l, CMT_SECONDS(4), CMT_MILLISECONDS(500)));
  assert_false(cmt__ask_may_ask(&l, CMT_MILLISECONDS(14499)));
  assert_true(cmt__ask_may_ask(&l, CMT_MILLISECONDS(14500)));
}

static void a_list_that_nobody_asked_for_is_unsolicited(void **state) {
  cmt__ask_limit l = {0};

  (void)state;
  assert_false(cmt__ask_list_came(&l, 0, 0));
  cmt__ask_asked(&l);
  assert_true(cmt__ask_list_came(&l, 1, 0));
  assert_false(cmt__ask_list_came(&l, 2, 0));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_first_request_is_answered_at_once),
    cmocka_unit_test(an_early_request_is_held_until_it_is_due),
    cmocka_unit_test(the_next_ten_seconds_begin_with_the_held_answer),
    cmocka_unit_test(a_request_after_ten_seconds_is_answered),
    cmocka_unit_test(only_one_request_is_held),
    cmocka_unit_test(drops_count_for_a_minute),
    cmocka_unit_test(nothing_is_asked_while_an_answer_is_outstanding),
    cmocka_unit_test(the_gap_begins_with_the_answer),
    cmocka_unit_test(a_list_that_nobody_asked_for_is_unsolicited),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
