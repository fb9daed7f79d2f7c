/* SPDX-License-Identifier: Apache-2.0 */

/* Growing arrays, quotes, reasons and log lines. */

#include "base/log_limit.h"
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

static void an_array_of_one_keeps_it(void **state) {
  test_env t;
  void *items = NULL;
  size_t cap = 0;

  (void)state;
  test_env_init(&t);
  assert_true(
    cmt__grow(&t.env, &items, &cap, 4, 0)); /* There is no element yet. */
  assert_int_equal(0, cap);
  assert_true(cmt__grow(&t.env, &items, &cap, 4, 1));
  assert_int_equal(1, cap);
  assert_int_equal(4, t.live_bytes);
  memcpy(items, "abcd", 4);
  assert_true(cmt__grow(&t.env, &items, &cap, 4, 1));
  assert_int_equal(2, cap);
  assert_int_equal(8, t.live_bytes);
  assert_memory_equal("abcd", items, 4);
  cmt__free(&t.env, items);
  test_env_fini(&t);
}

/* The old memory and the new one; what has its first memory has no old. */
static void an_array_reports_the_most_that_it_takes(void **state) {
  static const struct {
    size_t count, first, most;
  } rows[] = {
    {0, 4, 4},  {1, 4, 4},  {4, 4, 4},       {5, 4, 12},
    {8, 4, 12}, {9, 4, 24}, {16, 4, 24},     {17, 4, 48},
    {1, 1, 1},  {2, 1, 3},  {100, 100, 100}, {101, 100, 300},
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    assert_int_equal(rows[i].most, cmt__grow_max(rows[i].count, rows[i].first));
  }
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
  /* The most that can be asked for, of which there is no memory. */
  cap = 0;
  t.fail_at = 0;
  t.shortage = SIZE_MAX;
  assert_false(cmt__grow(&t.env, &items, &cap, 16, SIZE_MAX / 16));
  assert_int_equal(1, t.allocs);
  assert_false(cmt__grow(&t.env, &items, &cap, 16, SIZE_MAX / 16 + 1));
  assert_int_equal(1, t.allocs);
  cap = SIZE_MAX / 2;
  assert_false(cmt__grow(&t.env, &items, &cap, 1, 1));
  assert_int_equal(2, t.allocs);
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

static void printable_is_from_blank_to_tilde(void **state) {
  char text[256];

  (void)state;
  for (int byte = 1; byte < 256; byte++) {
    text[byte - 1] = (char)byte;
  }
  text[255] = '\0';
  cmt__line_clean(text);
  for (int byte = 1; byte < 256; byte++) {
    assert_int_equal(byte >= 32 && byte <= 126 ? byte : '?', text[byte - 1]);
  }
}

/* Also where it was cut. */
static void a_line_ends_in_a_newline(void **state) {
  char text[8];

  (void)state;
  assert_int_equal(
    4, cmt__line_end(text, sizeof text, snprintf(text, sizeof text, "abc\n")));
  assert_string_equal("abc\n", text);
  for (int len = 6; len < 12; len++) {
    int written = snprintf(text, sizeof text, "%.*s\n", len, "abcdefghijkl");

    assert_int_equal(7, cmt__line_end(text, sizeof text, written));
    assert_string_equal("abcdef\n", text);
  }
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
  assert_string_equal("a...", cmt__quote(cmt_bytes_of("abcdef"), out, 5));
  assert_string_equal("abcd", cmt__quote(cmt_bytes_of("abcd"), out, 5));
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

static void copy_line(void *arg, cmt_log_level level, const char *module,
                      const char *line) {
  (void)level;
  (void)module;
  snprintf(arg, 1200, "%s", line);
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

static void a_long_log_line_is_cut(void **state) {
  char longer[1100], line[1200] = "";
  test_env t;

  (void)state;
  test_env_init(&t);
  t.env.log = copy_line;
  t.env.log_arg = line;
  memset(longer, 'l', sizeof longer - 1);
  longer[sizeof longer - 1] = '\0';
  cmt__log(&t.env, CMT_LOG_WARN, "base", "%s", longer);
  assert_int_equal(1023, strlen(line));
  assert_int_equal(1023, strspn(line, "l"));
}

/* So many lines a second, which begins with a line; those that were left out
   are reported with the first of the next one. */
static void lines_of_a_second_are_limited(void **state) {
  static const struct {
    uint64_t at_ns;
    bool taken;
    uint64_t missed;
  } rows[] = {
    {500, true, 0},
    {600, true, 0},
    {600, false, 0},
    {CMT_SECONDS(1) + 499, false, 0},
    {CMT_SECONDS(1) + 500, true, 2},
    {CMT_SECONDS(1) + 500, true, 0},
    {CMT_SECONDS(2) + 499, false, 0},
    {CMT_SECONDS(2) + 500, true, 1},
    {CMT_SECONDS(9), true, 0},
    {CMT_NEVER - 1, true, 0},
    {CMT_NEVER - 1, true, 0},
    {CMT_NEVER - 1, false, 0},
  };
  cmt__log_limit l = {0};

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    uint64_t missed = 77;

    assert_int_equal(rows[i].taken,
                     cmt__log_limit_take(&l, 2, rows[i].at_ns, &missed));
    assert_int_equal(rows[i].missed, missed);
  }
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

static void instants_never_step_back(void **state) {
  (void)state;
  assert_true(cmt__latest(5, 4) == 5);
  assert_true(cmt__latest(5, 6) == 6);
  assert_true(cmt__latest(5, CMT_NEVER) == CMT_NEVER - 1);
  assert_true(cmt__since(7, 5) == 2);
  assert_true(cmt__since(5, 5) == 0);
  assert_true(cmt__since(5, 7) == 0);
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
    cmocka_unit_test(an_array_of_one_keeps_it),
    cmocka_unit_test(an_array_reports_the_most_that_it_takes),
    cmocka_unit_test(an_array_that_cannot_grow_is_untouched),
    cmocka_unit_test(an_array_never_wraps_around),
    cmocka_unit_test(a_reason_has_its_parts),
    cmocka_unit_test(a_reason_is_optional),
    cmocka_unit_test(a_reason_is_one_printable_line),
    cmocka_unit_test(printable_is_from_blank_to_tilde),
    cmocka_unit_test(a_line_ends_in_a_newline),
    cmocka_unit_test(a_long_reason_is_cut),
    cmocka_unit_test(a_quote_that_fits_is_whole),
    cmocka_unit_test(a_quote_that_does_not_fit_ends_in_dots),
    cmocka_unit_test(a_log_line_reaches_its_sink),
    cmocka_unit_test(a_long_log_line_is_cut),
    cmocka_unit_test(lines_of_a_second_are_limited),
    cmocka_unit_test(without_a_sink_a_log_line_is_dropped),
    cmocka_unit_test(never_is_later_than_all),
    cmocka_unit_test(instants_never_step_back),
    cmocka_unit_test(numbers_are_little_endian),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
