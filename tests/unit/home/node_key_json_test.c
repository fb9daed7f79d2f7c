/* SPDX-License-Identifier: Apache-2.0 */
/* Key files as JSON: which texts are, which characters strings may have, what
   becomes of each escape, byte by byte, and which members count. */

#include "test.h"

#include "home/node_key_json.h"

#include <cometp2p/node_info.h>

#include <stdio.h>
#include <stdlib.h>

/* Reads |len| bytes behind which there is nothing. */
static bool reads(const char *text, size_t len, cmt__key_members *out) {
  uint8_t *copy = malloc(len > 0 ? len : 1);
  bool read;

  assert_non_null(copy);
  memcpy(copy, text, len);
  read = cmt__key_json_read((cmt_bytes){.base = copy, .len = len}, out);
  free(copy);
  return read;
}

/* |inside|: of a string. */
static bool is_string(const char *inside) {
  cmt__key_members members;
  char text[128];
  int len = snprintf(text, sizeof text, "{\"x\":\"%s\"}", inside);

  assert_in_range(len, 1, sizeof text - 1);
  return reads(text, (size_t)len, &members);
}

static void each_escape_is_its_character(void **state) {
  static const struct {
    const char *escape, *text;
  } rows[] = {
    {"\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t"},
    {"\\u0001", "\x01"},
    {"\\u007F", "\x7f"},
    {"\\u0080", "\xc2\x80"},
    {"\\u00A9\\u00F9", "\xc2\xa9\xc3\xb9"},
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
    {"\\u12g4", false},
    {"\\u123G", false},
    {"\\u12 4", false},
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
static void each_first_byte_determines_how_many_follow(void **state) {
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

/* ---- values ---- */

static void assert_reads(bool expected, const char *text) {
  cmt__key_members members;

  if (reads(text, strlen(text), &members) != expected) {
    fail_msg("'%s' is %s", text, expected ? "refused" : "read");
  }
}

static void a_text_is_one_object_or_array(void **state) {
  static const struct {
    const char *text;
    bool is;
  } rows[] = {
    {"{}", true},
    {"[]", true},
    {" {} ", true},
    {"\t\n\r {\t}\n\r", true},
    {" [ 1 , 2 ] ", true},
    {"[[],{},[[]],{\"a\":{}}]", true},
    {"{ \"a\" : 1 , \"b\" : [ ] }", true},
    {"", false},
    {" ", false},
    {"1", false},
    {"\"a\"", false},
    {"true", false},
    {"{} x", false},
    {"{}{}", false},
    {"[] ]", false},
    {"\v{}", false},
    {"{}\f", false},
    {"[1,]", false},
    {"[,1]", false},
    {"[1 2]", false},
    {"[1}", false},
    {"{1}", false},
    {"{]", false},
    {"{\"a\":1,}", false},
    {"{,\"a\":1}", false},
    {"{\"a\"}", false},
    {"{\"a\":}", false},
    {"{\"a\" 1}", false},
    {"{\"a\":1 \"b\":2}", false},
    {"{a:1}", false},
    {"{1:1}", false},
    {"['a']", false},
    {"{:1}", false},
    /* What is wrong inside, and would be right behind it. */
    {"[\"\\a]", false},
    {"[\"\\ud800]", false},
    {"[\"\n]", false},
    {"[\"\t]", false},
    {"[[1,]", false},
    {"[{\"a\":]", false},
    {"{\"a\":{,\"b\":2}", false},
    {"{\"a\":{\"x\",\"b\":2}", false},
    {"{\"a\":{\"b\":,\"c\":1}", false},
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    assert_reads(rows[i].is, rows[i].text);
  }
}

static void a_value_is_a_number_or_a_word(void **state) {
  static const char *const values[] = {
    "0",   "-0",  "7",    "10",    "-19", "90",    "1.5",  "0.0",   "-0.9",
    "1e5", "1E5", "1e+5", "1E-05", "0e0", "9.9e9", "true", "false", "null",
  };
  static const char *const others[] = {
    "01",   "00",     "-",   "-a",    "--1",   "+1",    "1.",        ".5",
    "1.e5", "1e",     "1e+", "1e-",   "1e+-1", "0x1",   "1e5.5",     "1e5e5",
    "1/",   "1:",     "/",   ":",     "1.5.5", "tru",   "truE",      "True",
    "fals", "falsey", "nul", "nulll", "nil",   "-null", "truefalse",
  };
  char text[40];

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(values); i++) {
    snprintf(text, sizeof text, "[%s]", values[i]);
    assert_reads(true, text);
    snprintf(text, sizeof text, "{\"a\":%s}", values[i]);
    assert_reads(true, text);
  }
  for (size_t i = 0; i < CMT__COUNT(others); i++) {
    snprintf(text, sizeof text, "[%s]", others[i]);
    assert_reads(false, text);
  }
}

static void a_text_that_ends_early_is_none(void **state) {
  static const char text[] =
    "{\"priv_key\" : {\"type\":\"a\\n\\u00e9\\ud83d\\ude00\xf0\x9f\x98\x80\", "
    "\"value\":\"\\\\\"}, \"x\":[true, false, null, -12.5e+3, {}, [ ]]}";
  cmt__key_members members;

  (void)state;
  for (size_t len = 0; len < sizeof text - 1; len++) {
    assert_false(reads(text, len, &members));
  }
  assert_true(reads(text, sizeof text - 1, &members));
}

static void an_escape_may_not_be_a_nul(void **state) {
  cmt__key_members members;

  (void)state;
  assert_false(reads("[\"\\\0\"]", 6, &members));
  assert_false(reads("[\"\\u004\0\"]", 10, &members));
  assert_false(reads("[\0]", 3, &members));
  assert_false(reads("[1\0]", 4, &members));
}

typedef struct long_text {
  char bytes[2000];
  size_t len;
} long_text;

static void append(long_text *t, const char *piece, size_t times) {
  for (size_t i = 0; i < times; i++) {
    t->len += (size_t)snprintf(t->bytes + t->len, sizeof t->bytes - t->len,
                               "%s", piece);
    assert_true(t->len < sizeof t->bytes);
  }
}

static void values_are_nested_64_deep(void **state) {
  static const struct {
    const char *open, *inner, *close;
  } rows[] = {{"[", "[]", "]"}, {"{\"a\":", "{}", "}"}};

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    for (size_t depth = 63; depth <= 66; depth++) {
      long_text t = {.len = 0};

      append(&t, rows[i].open, depth - 1);
      append(&t, rows[i].inner, 1);
      append(&t, rows[i].close, depth - 1);
      assert_reads(depth <= 64, t.bytes);
      t.bytes[t.len - 1] = '\0';
      assert_reads(false, t.bytes);
    }
  }
}

static void values_that_are_done_do_not_nest(void **state) {
  long_text t = {.len = 0};

  (void)state;
  append(&t, "[", 1);
  append(&t, "[],{\"a\":{}},", 100);
  append(&t, "1]", 1);
  assert_reads(true, t.bytes);
}

/* ---- members ---- */

typedef struct members_row {
  const char *text;
  const char *type, *value, *data; /* NULL: there is none. */
  bool has_pub_key;
} members_row;

static void assert_is(const char *expected, cmt__key_string found) {
  char text[64];

  if (expected == NULL) {
    assert_null(found.base);
    assert_int_equal(0, found.len);
    return;
  }
  assert_non_null(found.base);
  assert_true(cmt__key_json_text(found, text, sizeof text) < sizeof text);
  assert_string_equal(expected, text);
}

static void the_last_members_of_the_last_priv_key_count(void **state) {
  static const members_row rows[] = {
    {"{\"priv_key\":{\"type\":\"t\",\"value\":\"v\",\"data\":\"d\"}}", "t", "v",
     "d", false},
    {"{\"priv_key\":{\"data\":\"d\"},\"pub_key\":1,\"x\":2}", NULL, NULL, "d",
     true},
    {"{\"pub_key\":{},\"x\":2,\"priv_key\":{\"value\":\"v\"}}", NULL, "v", NULL,
     true},
    {"{\"priv_key\":{\"type\":\"a\",\"type\":\"b\"}}", "b", NULL, NULL, false},
    {"{\"priv_key\":{\"type\":\"a\",\"type\":1}}", NULL, NULL, NULL, false},
    {"{\"priv_key\":{\"type\":\"a\"},\"priv_key\":{\"value\":\"v\"}}", NULL,
     "v", NULL, false},
    {"{\"pub_key\":1,\"priv_key\":{\"type\":\"a\"},\"priv_key\":3}", NULL, NULL,
     NULL, true},
    {"{\"priv_key\":[{\"type\":\"a\"}]}", NULL, NULL, NULL, false},
    {"{\"type\":\"a\",\"value\":\"b\",\"data\":\"c\"}", NULL, NULL, NULL,
     false},
    {"{\"x\":{\"type\":\"a\",\"pub_key\":1}}", NULL, NULL, NULL, false},
    {"{\"priv_key\":{\"x\":{\"type\":\"a\"},\"pub_key\":1}}", NULL, NULL, NULL,
     false},
    {"{\"priv_key\":{\"typ\":\"a\",\"types\":\"b\",\"Type\":\"c\"}}", NULL,
     NULL, NULL, false},
    {"{\"priv_keys\":{\"type\":\"a\"},\"priv_ke\":{\"type\":\"b\"}}", NULL,
     NULL, NULL, false},
    {"{\"priv_key\\u00e9\":{\"type\":\"a\"},\"pub_keys\":1}", NULL, NULL, NULL,
     false},
    {"{\"priv_key and more than a name has\":{\"type\":\"a\"}}", NULL, NULL,
     NULL, false},
    {"{\"\\u0070riv_key\":{\"t\\u0079pe\":\"\\u0061\"}}", "a", NULL, NULL,
     false},
    {"[{\"priv_key\":{\"type\":\"a\"}}]", NULL, NULL, NULL, false},
    {"{\"priv_key\":{\"type\":\"\"}}", "", NULL, NULL, false},
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    const members_row *r = &rows[i];
    cmt__key_members members;

    assert_true(cmt__key_json_read(cmt_bytes_of(r->text), &members));
    assert_is(r->type, members.type);
    assert_is(r->value, members.value);
    assert_is(r->data, members.data);
    assert_int_equal(r->has_pub_key, members.has_pub_key);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(each_escape_is_its_character),
    cmocka_unit_test(a_text_is_cut_between_characters),
    cmocka_unit_test(what_is_no_character_is_refused),
    cmocka_unit_test(each_first_byte_determines_how_many_follow),
    cmocka_unit_test(a_text_is_one_object_or_array),
    cmocka_unit_test(a_value_is_a_number_or_a_word),
    cmocka_unit_test(a_text_that_ends_early_is_none),
    cmocka_unit_test(an_escape_may_not_be_a_nul),
    cmocka_unit_test(values_are_nested_64_deep),
    cmocka_unit_test(values_that_are_done_do_not_nest),
    cmocka_unit_test(the_last_members_of_the_last_priv_key_count),
  };

  return cmocka_run_group_tests_name("node_key_json", tests, NULL, NULL);
}
