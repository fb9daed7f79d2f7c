/* SPDX-License-Identifier: Apache-2.0 */

/* Instants of CometBFT's files, beside the calendar of the system. */

#include "home/rfc3339.h"
#include "test.h"

#include <time.h>

static const struct {
  const char *text;
  uint64_t ns;
  const char *written; /* NULL: as |text|. */
} rows[] = {
  {"0001-01-01T00:00:00Z", 0, NULL},
  {"1969-12-31T23:59:59.999Z", 0, "0001-01-01T00:00:00Z"},
  {"1970-01-01T00:00:00.000000001Z", 1, NULL},
  {"2026-11-22T05:45:38.203814737Z", UINT64_C(1795326338203814737), NULL},
  {"2026-11-22T05:45:38.20384394Z", UINT64_C(1795326338203843940), NULL},
  {"2026-11-28T09:20:05.191569359+05:30", UINT64_C(1795837805191569359),
   "2026-11-28T03:50:05.191569359Z"},
  {"2024-02-29T00:00:00-01:00", UINT64_C(1709168400000000000),
   "2024-02-29T01:00:00Z"},
  {"2000-03-01T00:00:00Z", UINT64_C(951868800000000000), NULL},
  {"2100-03-01T12:00:00Z", UINT64_C(4107585600000000000), NULL},
  {"2026-11-22T05:45:38.1234567899Z", UINT64_C(1795326338123456789),
   "2026-11-22T05:45:38.123456789Z"},
  {"9999-12-31T23:59:59Z", CMT_NEVER - 1, "2554-07-21T23:34:33.709551614Z"},
};

static void instants_are_read_and_written(void **state) {
  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    char text[CMT__TIME_TEXT_SIZE];
    uint64_t ns = 77;

    assert_true(cmt__time_read(cmt_bytes_of(rows[i].text), &ns));
    assert_int_equal(ns, rows[i].ns);
    cmt__time_write(ns, text);
    assert_string_equal(text, rows[i].written != NULL ? rows[i].written
                                                      : rows[i].text);
  }
}

static void each_day_is_that_of_the_system(void **state) {
  (void)state;
  for (int64_t day = 1; day < 200000; day += 37) {
    time_t s = (time_t)(day * 86400 + 3661);
    char expected[CMT__TIME_TEXT_SIZE], text[CMT__TIME_TEXT_SIZE];
    uint64_t ns;
    struct tm t;

    assert_non_null(gmtime_r(&s, &t));
    strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%SZ", &t);
    cmt__time_write((uint64_t)s * UINT64_C(1000000000), text);
    assert_string_equal(text, expected);
    assert_true(cmt__time_read(cmt_bytes_of(text), &ns));
    assert_int_equal(ns, (uint64_t)s * UINT64_C(1000000000));
  }
}

static void anything_else_is_no_instant(void **state) {
  static const char *const texts[] = {
    "",
    "2026",
    "2026-11-22",
    "2026-11-22T05:45:38",
    "2026-11-22 05:45:38Z",
    "2026-11-22t05:45:38Z",
    "2026-11-22T05:45:38z",
    "2026-13-22T05:45:38Z",
    "2026-00-22T05:45:38Z",
    "2026-11-00T05:45:38Z",
    "2026-11-32T05:45:38Z",
    "2026-11-22T24:45:38Z",
    "2026-11-22T05:60:38Z",
    "2026-11-22T05:45:60Z",
    "2026-11-22T05:45:38.Z",
    "2026-11-22T05:45:38.1",
    "2026-11-22T05:45:38ZZ",
    "2026-11-22T05:45:38+0530",
    "2026-11-22T05:45:38+05:30x",
    "2026-11-22T05:45:38*05:30",
    "26-11-22T05:45:38Z",
    "-026-11-22T05:45:38Z",
    "2026-11-22T05:45:3xZ",
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(texts); i++) {
    uint64_t ns = 77;

    assert_false(cmt__time_read(cmt_bytes_of(texts[i]), &ns));
    assert_int_equal(ns, 77);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(instants_are_read_and_written),
    cmocka_unit_test(each_day_is_that_of_the_system),
    cmocka_unit_test(anything_else_is_no_instant),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
