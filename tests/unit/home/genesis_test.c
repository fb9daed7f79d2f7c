/* SPDX-License-Identifier: Apache-2.0 */

/* The chain id of a genesis.json, wherever it stands and however large the file
   is. */

#include "home/genesis.h"

#include "folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A genesis, and its chain id or its fault. */
static const struct {
  const char *json, *chain_id, *fault;
} rows[] = {
  {"{\"chain_id\":\"cosmoshub-4\"}", "cosmoshub-4", NULL},
  {" {\r\n\t\"chain_id\" : \"a\" , \"x\"", "a", NULL},
  {"{\"genesis_time\":\"2019-12-11T16:11:34Z\",\"initial_height\":1,\"a\":-1."
   "5e3"
   ",\"n\":null,\"t\":true,\"chain_id\":\"x\"}",
   "x", NULL},
  {"{\"app_state\":{\"chain_id\":\"inner\",\"s\":\"}\\\"{\",\"e\":\"\\\\\"},"
   "\"v\":"
   "[[],{},[{\"a\":[]}]],\"chain_id\":\"outer\"}",
   "outer", NULL},
  {"{\"chain_idx\":\"a\",\"chain_i\":\"b\",\"Chain_id\":\"c\",\"chain_id\":"
   "\"d\"}",
   "d", NULL},
  {"{\"\\u0063hain_id\":\"a\\u002db\\/\"}", "a-b/", NULL},
  {"{\"chain_id\":\"01234567890123456789012345678901234567890123456789\"}",
   "01234567890123456789012345678901234567890123456789", NULL},
  {"{\"chain_id\":\"012345678901234567890123456789012345678901234567890\"}",
   NULL,
   "chain_id is longer or malformed, allowed is a text of 1 to 50 "
   "characters"},
  {"{\"chain_id\":\"\"}", NULL,
   "chain_id is empty, allowed is a text of 1 to 50 characters"},
  {"{\"chain_id\":4}", NULL,
   "chain_id is no text, allowed is a text of 1 to 50 characters"},
  {"{\"chain_id\":{\"a\":\"b\"}}", NULL,
   "chain_id is no text, allowed is a text of 1 to 50 characters"},
  {"{\"chain_id\":\"a\nb\"}", NULL,
   "chain_id is not printable ASCII, allowed is a text of 1 to 50 characters"},
  {"{\"chain_id\":\"a\\qb\"}", NULL,
   "chain_id is longer or malformed, allowed is a text of 1 to 50 characters"},
  {"{}", NULL, "has no chain_id"},
  {"{\"a\":{\"chain_id\":\"x\"}}", NULL, "has no chain_id"},
  {"", NULL, "is not JSON: it ends early at byte 0"},
  {"{\"a\":[1,2", NULL, "is not JSON: it ends early at byte 9"},
  {"[\"chain_id\"]", NULL, "is not JSON: no object at byte 0"},
  {"{\"a\":[1}", NULL, "is not JSON: the wrong closing bracket at byte 7"},
  {"{\"a\" 1}", NULL, "is not JSON: no colon behind a key at byte 5"},
  {"{\"a\":1 \"b\":2}", NULL, "is not JSON: no comma behind a value at byte 7"},
  {"{\"a\":1,}", NULL, "is not JSON: no key at byte 7"},
  {"{\"a\":x}", NULL, "is not JSON: no value at byte 5"},
};

/* Scans |text| in pieces of |len| bytes. */
static void scan(cmt__genesis *g, const char *text, size_t len) {
  size_t total = strlen(text);
  bool more = true;

  *g = (cmt__genesis){.state = CMT__GENESIS_BEGIN};
  for (size_t at = 0; at < total && more; at += len) {
    more = cmt__genesis_feed(g, (cmt_bytes){.base = (const uint8_t *)text + at,
                                            .len = cmt__min(len, total - at)});
  }
  (void)cmt__genesis_end(g);
}

static void a_chain_id_is_found_in_any_pieces(void **state) {
  cmt__genesis g;

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    for (size_t len = 1; len <= 128; len++) {
      scan(&g, rows[i].json, len);
      if (rows[i].chain_id != NULL) {
        assert_int_equal(CMT__GENESIS_FOUND, g.state);
        assert_string_equal(rows[i].chain_id, g.chain_id);
      } else {
        assert_int_equal(CMT__GENESIS_FAILED, g.state);
        assert_string_equal(rows[i].fault, g.fault);
      }
    }
  }
}

static void brackets_lie_in_each_other_at_most_1024_deep(void **state) {
  char text[CMT__GENESIS_DEPTH_MAX + 40];
  cmt__genesis g;
  int front;

  (void)state;
  for (int deep = 0; deep < 2; deep++) {
    front = snprintf(text, sizeof text, "{\"a\":");
    memset(text + front, '[', CMT__GENESIS_DEPTH_MAX);
    text[front + CMT__GENESIS_DEPTH_MAX - 1 + deep] = '\0';
    scan(&g, text, sizeof text);
    assert_string_equal(deep ? "is not JSON: brackets lie in each other too "
                               "deep at byte 1028"
                             : "is not JSON: it ends early at byte 1028",
                        g.fault);
  }
}

/* ---- files ---- */

static cmt_err read_id(const test_folder *f, char *out, cmt_why *why,
                       size_t *peak) {
  test_env t;
  cmt_err err;

  test_env_init(&t);
  err = cmt__genesis_read(&t.env, f->path, out, why);
  *peak = t.peak_bytes;
  test_env_fini(&t);
  return err;
}

/* Sixteen times what is read at once, with the chain id at the end. */
static void a_large_file_takes_little_memory(void **state) {
  const test_folder *f = *state;
  char id[CMT__CHAIN_ID_SIZE];
  FILE *file = fopen(f->path, "w");
  size_t peak;
  cmt_why why;

  assert_non_null(file);
  fputs("{\"app_state\":[0", file);
  for (int i = 0; i < 70000; i++) {
    fprintf(file, ",{\"address\":\"cosmos1%040d\",\"n\":\"%d\"}", i, i);
  }
  fputs("],\"chain_id\":\"large-1\"}", file);
  assert_int_equal(0, fclose(file));
  assert_cmt(CMT_OK, read_id(f, id, &why, &peak));
  assert_string_equal("large-1", id);
  assert_true(peak <= 1024 * 1024);
}

static void what_is_no_genesis_is_named(void **state) {
  const test_folder *f = *state;
  char id[CMT__CHAIN_ID_SIZE], expected[600];
  size_t peak;
  cmt_why why;

  assert_cmt(CMT_EIO, read_id(f, id, &why, &peak));
  snprintf(expected, sizeof expected,
           "genesis file '%s': No such file or directory", f->path);
  assert_string_equal(expected, why.text);
  assert_int_equal(0, mkdir(f->path, 0700));
  assert_cmt(CMT_EIO, read_id(f, id, &why, &peak));
  snprintf(expected, sizeof expected,
           "genesis file '%s': is not a regular file", f->path);
  assert_string_equal(expected, why.text);
  assert_int_equal(0, rmdir(f->path));
  test_write_file(f->path, "{}", 2);
  assert_cmt(CMT_EINVAL, read_id(f, id, &why, &peak));
  snprintf(expected, sizeof expected, "genesis file '%s': has no chain_id",
           f->path);
  assert_string_equal(expected, why.text);
}

static void memory_may_lack(void **state) {
  const test_folder *f = *state;
  char id[CMT__CHAIN_ID_SIZE];
  cmt_why why;
  test_env t;

  test_write_file(f->path, "{}", 2);
  test_env_init(&t);
  t.fail_at = 0;
  assert_cmt(CMT_ENOMEM, cmt__genesis_read(&t.env, f->path, id, &why));
  test_env_fini(&t);
}

#define IN_FOLDER(name)                                                        \
  cmocka_unit_test_setup_teardown(name, test_folder_setup, test_folder_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_chain_id_is_found_in_any_pieces),
    cmocka_unit_test(brackets_lie_in_each_other_at_most_1024_deep),
    IN_FOLDER(a_large_file_takes_little_memory),
    IN_FOLDER(what_is_no_genesis_is_named),
    IN_FOLDER(memory_may_lack),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
