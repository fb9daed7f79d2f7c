/* SPDX-License-Identifier: Apache-2.0 */
/* The strings of a key file: which characters they may have, and what becomes
   of each escape, byte by byte. */

#include "test.h"

#include "home/node_key_json.h"

#include <cometp2p/node_info.h>

#include <stdio.h>

/* |inside|: of a string. */
static bool is_string(const char *inside) {
  cmt__key_members members;
  char text[128];
  int len = snprintf(text, sizeof text, "{\"x\":\"%s\"}", inside);

  assert_in_range(len, 1, sizeof text - 1);
  return cmt__key_json_read((cmt_bytes){(const uint8_t *)text, (size_t)len},
                            &members);
}

static void each_escape_is_its_character(void **state) {
  static const struct {
    const char *escape, *text;
  } rows[] = {
    {"\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t"},
    {"\\u0001", "\x01"},
    {"\\u007F", "\x7f"},
    {"\\u0080", "\xc2\x80"},
    {"\\u07ff", "\xdf\xbf"},
    {"\\u0800", "\xe0\xa0\x80"},
    {"\\uabcd", "\xea\xaf\x8d"},
    {"\\uEF09", "\xee\xbc\x89"},
    {"\\ud7ff", "\xed\x9f\xbf"},
    {"\\ue000", "\xee\x80\x80"},
    {"\\uffff", "\xef\xbf\xbf"},
    {"\\ud800\\udc00", "\xf0\x90\x80\x80"}, /* The first pair, */
    {"\\ud83d\\ude00", "\xf0\x9f\x98\x80"},
    {"\\udbff\\udfff", "\xf4\x8f\xbf\xbf"}, /* and the last. */
    {"a\\u0062c\xc3\xa9", "abc\xc3\xa9"},
  };
  char out[32];

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    assert_true(is_string(rows[i].escape));
    assert_int_equal(
      strlen(rows[i].text),
      cmt__key_json_text(cmt_bytes_of(rows[i].escape), out, sizeof out));
    assert_string_equal(rows[i].text, out);
  }
}

/* A character that does not fit is left out, and all after it. */
static void a_text_is_cut_between_characters(void **state) {
  static const char *const cut[] = {"", "a", "a", "a\303\251", "a\303\251b"};
  char out[8];

  (void)state;
  for (size_t cap = 1; cap <= CMT__COUNT(cut); cap++) {
    assert_int_equal(4,
                     cmt__key_json_text(cmt_bytes_of("a\\u00e9b"), out, cap));
    assert_string_equal(cut[cap - 1], out);
  }
}

static void what_is_no_character_is_refused(void **state) {
  static const struct {
    const char *inside;
    bool is;
  } rows[] = {
    {"\x1f", false},
    {"\x20", true},
    {"\x7f", true},
    {"\x80", false},
    {"\xc1\xbf", false}, /* Longer than it needs to be. */
    {"\xc2\x80", true},
    {"\xdf\xbf", true},
    {"\xc2\x7f", false},
    {"\xc2\xc0", false},
    {"\xe0\x9f\xbf", false},
    {"\xe0\xa0\x80", true},
    {"\xed\x9f\xbf", true},
    {"\xed\xa0\x80", false}, /* Halves of pairs. */
    {"\xed\xbf\xbf", false},
    {"\xee\x80\x80", true},
    {"\xef\xbf\xbf", true},
    {"\xf0\x8f\xbf\xbf", false},
    {"\xf0\x90\x80\x80", true},
    {"\xf4\x8f\xbf\xbf", true},
    {"\xf4\x90\x80\x80", false}, /* Behind the last. */
    {"\xf8\x90\x80\x80", false},
    {"\\", false},
    {"\\a", false},
    {"\\u", false},
    {"\\u123", false},
    {"\\u00g0", false},
    {"\\u0000", false},
    {"\\udc00", false},
    {"\\udfff", false},
    {"\\ud800", false},
    {"\\udbffx", false},
    {"\\ud800\\n", false},
    {"\\ud800\\udbff", false},
    {"\\ud800\\ue000", false},
    {"\\ud800xudc00", false},
    {"\\ud800\\xdc00", false},
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    if (is_string(rows[i].inside) != rows[i].is) {
      fail_msg("\"%s\" (row %zu)", rows[i].inside, i);
    }
  }
}

/* Bytes of a character that begins with |first|; 0: none does. */
static size_t character_len(unsigned first) {
  static const struct {
    unsigned least, most;
    size_t len;
  } rows[] = {
    {0x20, 0x7f, 1}, {0xc2, 0xdf, 2}, {0xe0, 0xef, 3}, {0xf0, 0xf4, 4}};
  size_t i = 0;

  while (i < CMT__COUNT(rows) &&
         (first < rows[i].least || first > rows[i].most)) {
    i++;
  }
  return i < CMT__COUNT(rows) ? rows[i].len : 0;
}

/* The second is one that may follow the first. */
static void each_first_byte_says_how_many_follow(void **state) {
  (void)state;
  for (unsigned first = 1; first <= 0xff; first++) {
    for (size_t len = 1; len <= 6; len++) {
      char text[8] = {(char)first};

      memset(text + 1, 0x80, len - 1);
      if (len > 1) {
        text[1] = (char)(first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80);
      }
      if (first != '"' && first != '\\' &&
          is_string(text) != (len == character_len(first))) {
        fail_msg("%02x and %zu bytes more", first, len - 1);
      }
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(each_escape_is_its_character),
    cmocka_unit_test(a_text_is_cut_between_characters),
    cmocka_unit_test(what_is_no_character_is_refused),
    cmocka_unit_test(each_first_byte_says_how_many_follow),
  };

  return cmocka_run_group_tests_name("node_key_json", tests, NULL, NULL);
}
