/* SPDX-License-Identifier: Apache-2.0 */

/* Growing arrays, quotes, reasons and log lines. */

#include "test.h"

#include <cometp2p/node_info.h>

static void an_array_grows_and_keeps_its_elements(void **state) {
  test_env t;
  void *items = NULL;
  size_t cap = 0;

  (void)state;
  test_env_init(&t);
  assert_true(cmt__grow(&t.env, &items, &cap, 4, 3));
  assert_int_equal(3, cap);
  memcpy(items, "aaaabbbbcccc", 12);
  assert_true(cmt__grow(&t.env, &items, &cap, 4, 3));
  assert_int_equal(6, cap);
  assert_memory_equal("aaaabbbbcccc", items, 12);
  assert_int_equal(1, t.live);
  cmt__free(&t.env, items);
  test_env_fini(&t);
}

static void an_array_that_cannot_grow_is_untouched(void **state) {
  test_env t;
  void *items = NULL;
  size_t cap = 0;

  (void)state;
  test_env_init(&t);
  assert_true(cmt__grow(&t.env, &items, &cap, 1, 2));
  t.fail_at = 1;
  memcpy(items, "xy", 2);
  assert_false(cmt__grow(&t.env, &items, &cap, 1, 2));
  assert_int_equal(2, cap);
  assert_memory_equal("xy", items, 2);
  cmt__free(&t.env, items);
  test_env_fini(&t);
}

static void an_array_never_wraps_around(void **state) {
  test_env t;
  void *items = NULL;
  size_t cap = SIZE_MAX / 2 + 1;

  (void)state;
  test_env_init(&t);
  assert_false(cmt__grow(&t.env, &items, &cap, 1, 1));
  cap = SIZE_MAX / 8;
  assert_false(cmt__grow(&t.env, &items, &cap, 16, 1));
  assert_int_equal(0, t.allocs);
}

static void a_reason_has_its_parts(void **state) {
  cmt_why why;

  (void)state;
  assert_cmt(CMT_EPONG, cmt__why(&why, CMT_EPONG, CMT_STAGE_UP, "%d s", 45));
  assert_cmt(CMT_EPONG, why.err);
  assert_int_equal(CMT_STAGE_UP, why.stage);
  assert_string_equal("45 s", why.text);
}

static void a_reason_is_optional(void **state) {
  (void)state;
  assert_cmt(CMT_EIO, cmt__why(NULL, CMT_EIO, CMT_STAGE_UP, "x"));
}

static void a_reason_is_one_printable_line(void **state) {
  cmt_why why;

  (void)state;
  cmt__why(&why, CMT_EIO, CMT_STAGE_UP, "a\nb\x1b[0m\xc3\xa4");
  assert_string_equal("a?b?[0m??", why.text);
}

static void a_long_reason_is_cut(void **state) {
  char longer[400];
  cmt_why why;

  (void)state;
  memset(longer, 'r', sizeof longer - 1);
  longer[sizeof longer - 1] = '\0';
  cmt__why(&why, CMT_EIO, CMT_STAGE_UP, "%s", longer);
  assert_int_equal(255, strlen(why.text));
}

static void a_quote_that_fits_is_whole(void **state) {
  char out[6];

  (void)state;
  assert_string_equal("ab\\\\c", cmt__quote(cmt_bytes_of("ab\\c"), out, 6));
  assert_string_equal("", cmt__quote((cmt_bytes){0}, out, 6));
}

static void a_quote_that_does_not_fit_ends_in_dots(void **state) {
  char out[10];

  (void)state;
  assert_string_equal("abcdef...",
                      cmt__quote(cmt_bytes_of("abcdefghij"), out, 10));
  assert_string_equal("abcd...", cmt__quote(cmt_bytes_of("abcd\x01"
                                                         "fghij"),
                                            out, 10));
  assert_string_equal("abc", cmt__quote(cmt_bytes_of("abcdef"), out, 4));
}

typedef struct log_seen {
  size_t count;
  cmt_log_level level;
  char text[600];
} log_seen;

static void log_to_test(void *arg, cmt_log_level level, const char *module,
                        const char *line) {
  log_seen *seen = arg;

  seen->count++;
  seen->level = level;
  snprintf(seen->text, sizeof seen->text, "%s|%s", module, line);
}

static void a_log_line_reaches_its_sink(void **state) {
  log_seen seen = {0};
  test_env t;

  (void)state;
  test_env_init(&t);
  t.env.log = log_to_test;
  t.env.log_arg = &seen;
  cmt__log(&t.env, CMT_LOG_WARN, "base", "%s\n%d", "one", 2);
  assert_int_equal(1, seen.count);
  assert_int_equal(CMT_LOG_WARN, seen.level);
  assert_string_equal("base|one?2", seen.text);
}

static void without_a_sink_a_log_line_is_dropped(void **state) {
  test_env t;

  (void)state;
  test_env_init(&t);
  cmt__log(&t.env, CMT_LOG_ERROR, "base", "x");
  cmt__log(NULL, CMT_LOG_ERROR, "base", "x");
  assert_int_equal(0, t.allocs);
}

static void never_is_later_than_all(void **state) {
  (void)state;
  assert_true(cmt__after(5, 7) == 12);
  assert_true(cmt__after(CMT_NEVER - 1, 1) == CMT_NEVER);
  assert_true(cmt__after(CMT_NEVER - 1, 2) == CMT_NEVER);
  assert_true(cmt__after(3, CMT_NEVER) == CMT_NEVER);
}

static void numbers_are_little_endian(void **state) {
  uint8_t b[8];

  (void)state;
  cmt__store_le32(b, 0x04030281);
  assert_memory_equal("\x81\x02\x03\x04", b, 4);
  assert_true(cmt__load_le32(b) == 0x04030281);
  cmt__store_le64(b, UINT64_C(0x08070605040302ff));
  assert_memory_equal("\xff\x02\x03\x04\x05\x06\x07\x08", b, 8);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(an_array_grows_and_keeps_its_elements),
    cmocka_unit_test(an_array_that_cannot_grow_is_untouched),
    cmocka_unit_test(an_array_never_wraps_around),
    cmocka_unit_test(a_reason_has_its_parts),
    cmocka_unit_test(a_reason_is_optional),
    cmocka_unit_test(a_reason_is_one_printable_line),
    cmocka_unit_test(a_long_reason_is_cut),
    cmocka_unit_test(a_quote_that_fits_is_whole),
    cmocka_unit_test(a_quote_that_does_not_fit_ends_in_dots),
    cmocka_unit_test(a_log_line_reaches_its_sink),
    cmocka_unit_test(without_a_sink_a_log_line_is_dropped),
    cmocka_unit_test(never_is_later_than_all),
    cmocka_unit_test(numbers_are_little_endian),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
