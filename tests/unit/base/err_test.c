/* SPDX-License-Identifier: Apache-2.0 */

/* Errors: each value has its name, its text and its class. */

#include "test.h"

#include "base/err.h"

static void names_of_errors_are_their_identifiers(void **state) {
  (void)state;
  assert_string_equal("CMT_OK", cmt_err_name(CMT_OK));
  assert_string_equal("CMT_EAGAIN", cmt_err_name(CMT_EAGAIN));
  assert_string_equal("CMT_ENODEINFO", cmt_err_name(CMT_ENODEINFO));
}

static void values_of_errors_are_fixed(void **state) {
  (void)state;
  assert_int_equal(0, CMT_OK);
  assert_int_equal(-20, CMT_EINVAL);
  assert_int_equal(-40, CMT_ENOMEM);
  assert_int_equal(-69, CMT_EPARTIAL);
  assert_int_equal(-86, CMT_ENODEINFO);
  assert_int_equal(-87, CMT_EFLOOD);
}

static void every_error_has_a_class_and_a_line(void **state) {
  static const struct {
    cmt_err err;
    const char *class_name;
  } rows[] = {
#define OK "ok"
#define RETRY "retry"
#define CALLER "caller"
#define LOCAL "local"
#define LINK "link"
#define PEER "peer"
#define X(name, value, cls, text) {name, cls},
    CMT_ERR_MAP(X)
#undef X
#undef OK
#undef RETRY
#undef CALLER
#undef LOCAL
#undef LINK
#undef PEER
  };

  (void)state;
  assert_int_equal(CMT__ERR_COUNT, CMT__COUNT(rows));
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    const char *text = cmt_err_text(rows[i].err);
    cmt_err_class c = cmt_err_class_of(rows[i].err);

    assert_string_equal(rows[i].class_name, cmt_err_class_name(c));
    assert_true(strlen(text) > 0);
    assert_null(strchr(text, '\n'));
    assert_true(text[strlen(text) - 1] != '.');
  }
}

static void classes_follow_the_ranges_of_values(void **state) {
  (void)state;
  assert_int_equal(CMT_CLASS_RETRY, cmt_err_class_of(CMT_ETIMEDOUT));
  assert_int_equal(CMT_CLASS_CALLER, cmt_err_class_of(CMT_ESELF));
  assert_int_equal(CMT_CLASS_LOCAL, cmt_err_class_of(CMT_ENONCE));
  assert_int_equal(CMT_CLASS_LINK, cmt_err_class_of(CMT_EDUPLICATE));
  assert_int_equal(CMT_CLASS_PEER, cmt_err_class_of(CMT_EPROTO));
}

static void a_value_that_is_no_error_has_answers_too(void **state) {
  cmt_err strange = (cmt_err)-7;

  (void)state;
  assert_string_equal("CMT_E?", cmt_err_name(strange));
  assert_string_equal("unknown error", cmt_err_text(strange));
  assert_int_equal(CMT_CLASS_CALLER, cmt_err_class_of(strange));
}

static void errors_have_places_in_the_order_of_the_map(void **state) {
  (void)state;
  assert_int_equal(0, cmt__err_index(CMT_OK));
  assert_int_equal(1, cmt__err_index(CMT_EAGAIN));
  for (size_t i = 0; i < CMT__ERR_COUNT; i++) {
    assert_int_equal(i, cmt__err_index(cmt__err_at(i)));
  }
  assert_int_equal(CMT__ERR_COUNT, cmt__err_index((cmt_err)-7));
  assert_cmt(CMT_EINVAL, cmt__err_at(CMT__ERR_COUNT));
}

static void stages_have_the_names_that_scripts_read(void **state) {
  (void)state;
  assert_string_equal("transport", cmt_stage_name(CMT_STAGE_TRANSPORT));
  assert_string_equal("secret_connection",
                      cmt_stage_name(CMT_STAGE_SECRET_CONNECTION));
  assert_string_equal("node_info", cmt_stage_name(CMT_STAGE_NODE_INFO));
  assert_string_equal("filter", cmt_stage_name(CMT_STAGE_FILTER));
  assert_string_equal("up", cmt_stage_name(CMT_STAGE_UP));
}

static void durations_are_nanoseconds(void **state) {
  (void)state;
  assert_true(CMT_SECONDS(3) == UINT64_C(3000000000));
  assert_true(CMT_MILLISECONDS(2 + 1) == UINT64_C(3000000));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(names_of_errors_are_their_identifiers),
    cmocka_unit_test(values_of_errors_are_fixed),
    cmocka_unit_test(every_error_has_a_class_and_a_line),
    cmocka_unit_test(classes_follow_the_ranges_of_values),
    cmocka_unit_test(a_value_that_is_no_error_has_answers_too),
    cmocka_unit_test(errors_have_places_in_the_order_of_the_map),
    cmocka_unit_test(stages_have_the_names_that_scripts_read),
    cmocka_unit_test(durations_are_nanoseconds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
