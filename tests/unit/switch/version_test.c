/* SPDX-License-Identifier: Apache-2.0 */

/* The versions that the command shows. */

#include "test.h"

#include <stdio.h>

#include <cometp2p/version.h>

static void the_version_has_three_numbers(void **state) {
  unsigned major, minor, patch;
  char rest;

  (void)state;
  assert_int_equal(
    3, sscanf(cmt_version(), "%u.%u.%u%c", &major, &minor, &patch, &rest));
}

static void the_text_and_the_number_are_those_of_the_header(void **state) {
  char text[32];

  (void)state;
  snprintf(text, sizeof text, "%d.%d.%d", CMT_VERSION_MAJOR, CMT_VERSION_MINOR,
           CMT_VERSION_PATCH);
  assert_string_equal(text, cmt_version());
  assert_int_equal(CMT_VERSION_NUMBER, cmt_version_number());
  assert_int_equal(CMT_VERSION_MAJOR, cmt_version_number() >> 16);
  assert_int_equal(CMT_VERSION_MINOR, cmt_version_number() >> 8 & 0xff);
  assert_int_equal(CMT_VERSION_PATCH, cmt_version_number() & 0xff);
}

static void libraries_are_named_with_their_versions(void **state) {
  static const char *const names[] = {"libsodium", "libuv"};
  cmt_library found[8];

  (void)state;
  assert_int_equal(2, cmt_libraries(found, CMT__COUNT(found)));
  for (size_t i = 0; i < CMT__COUNT(names); i++) {
    assert_string_equal(names[i], found[i].name);
    assert_true(found[i].version[0] >= '0' && found[i].version[0] <= '9');
  }
}

static void no_more_than_the_room_is_written(void **state) {
  cmt_library found[2] = {{.name = "a"}, {.name = "b"}};

  (void)state;
  assert_int_equal(2, cmt_libraries(found, 1));
  assert_string_equal("libsodium", found[0].name);
  assert_string_equal("b", found[1].name);
  assert_int_equal(2, cmt_libraries(NULL, 0));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_version_has_three_numbers),
    cmocka_unit_test(the_text_and_the_number_are_those_of_the_header),
    cmocka_unit_test(libraries_are_named_with_their_versions),
    cmocka_unit_test(no_more_than_the_room_is_written),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
