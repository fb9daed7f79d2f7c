/* SPDX-License-Identifier: Apache-2.0 */

/* Questions to filters: numbers, answers, and what comes too late. */

#include "test.h"

#include "switch/question.h"

enum { COUNT = 4 };

typedef struct fixture {
  cmt__questions qs;
  cmt__question q[COUNT];
  uint64_t numbers[COUNT];
} fixture;

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  assert_cmt(CMT_OK, cmt__questions_init(&f->qs));
  for (size_t i = 0; i < COUNT; i++) {
    f->numbers[i] = cmt__question_open(&f->qs, &f->q[i]);
  }
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;

  for (size_t i = 0; i < COUNT; i++) {
    cmt__question_close(&f->qs, &f->q[i]);
  }
  assert_null(f->qs.list);
  cmt__questions_fini(&f->qs);
  free(f);
  return 0;
}

static void the_first_answer_counts(void **state) {
  fixture *f = *state;

  assert_null(cmt__questions_take(&f->qs));
  assert_true(cmt__question_answer(&f->qs, f->numbers[2], CMT_ADMIT));
  assert_false(cmt__question_answer(&f->qs, f->numbers[2], CMT_REFUSE));
  assert_ptr_equal(&f->q[2], cmt__questions_take(&f->qs));
  assert_int_equal(CMT_ADMIT, f->q[2].verdict);
  assert_int_equal(0, f->q[2].number);
  assert_null(cmt__questions_take(&f->qs));
  assert_false(cmt__question_answer(&f->qs, f->numbers[2], CMT_ADMIT));
}

static void a_number_is_used_once(void **state) {
  fixture *f = *state;

  cmt__question_close(&f->qs, &f->q[1]);
  assert_int_equal(COUNT + 1, cmt__question_open(&f->qs, &f->q[1]));
  assert_false(cmt__question_answer(&f->qs, f->numbers[1], CMT_ADMIT));
  assert_false(cmt__question_answer(&f->qs, 0, CMT_ADMIT));
  assert_false(cmt__question_answer(&f->qs, COUNT + 2, CMT_ADMIT));
  assert_null(cmt__questions_take(&f->qs));
}

static void answers_are_found_whatever_opens_beside_them(void **state) {
  fixture *f = *state;
  cmt__question more = {.number = 0};
  size_t taken = 0;

  for (size_t i = 0; i < COUNT - 1; i++) {
    assert_true(cmt__question_answer(&f->qs, f->numbers[i], CMT_REFUSE));
  }
  assert_int_equal(COUNT + 1, cmt__question_open(&f->qs, &more));
  cmt__question_close(&f->qs, &f->q[1]); /* Answered, and closed before. */
  while (cmt__questions_take(&f->qs) != NULL) {
    taken++;
  }
  assert_int_equal(COUNT - 2, taken);
  assert_true(cmt__question_answer(&f->qs, COUNT + 1, CMT_ADMIT));
  assert_ptr_equal(&more, cmt__questions_take(&f->qs));
}

static void one_that_is_answered_does_not_expire(void **state) {
  fixture *f = *state;

  assert_true(cmt__question_expire(&f->qs, &f->q[0]));
  assert_false(cmt__question_answer(&f->qs, f->numbers[0], CMT_ADMIT));
  assert_true(cmt__question_answer(&f->qs, f->numbers[3], CMT_REFUSE));
  assert_false(cmt__question_expire(&f->qs, &f->q[3]));
  assert_ptr_equal(&f->q[3], cmt__questions_take(&f->qs));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(the_first_answer_counts),
    TEST(a_number_is_used_once),
    TEST(answers_are_found_whatever_opens_beside_them),
    TEST(one_that_is_answered_does_not_expire),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
