/* SPDX-License-Identifier: Apache-2.0 */

/* The reader of TOML: its limits, its lines and its faults.  What is and what
   is not TOML is compared with another reader in tests/vectors/toml.py. */

#include "home/toml.h"

#include "test.h"

#include <stdlib.h>
#include <string.h>

static cmt_err parse(const char *text, cmt__toml **out, cmt__toml_fault *f) {
  return cmt__toml_parse(&cmt__env_system, cmt_bytes_of(text), out, f);
}

static const cmt__toml_node *child(const cmt__toml *t, const cmt__toml_node *n,
                                   const char *name) {
  for (n = cmt__toml_first(t, n); n != NULL; n = cmt__toml_next(t, n)) {
    if (strcmp((const char *)n->name.base, name) == 0) {
      return n;
    }
  }
  fail_msg("no child %s", name);
  return NULL;
}

static void nodes_have_their_lines(void **state) {
  cmt__toml_fault f;
  const cmt__toml_node *n;
  cmt__toml *t;

  (void)state;
  assert_cmt(CMT_OK, parse("# comment\na = 1\n\n[b.c] # here\nd = '''\nx\n'''\n"
                           "e = [\n  1,\n]\r\nf = 0x10\n",
                           &t, &f));
  n = &t->nodes[0];
  assert_int_equal(2, child(t, n, "a")->line);
  assert_int_equal(1, child(t, n, "a")->integer);
  n = child(t, child(t, n, "b"), "c");
  assert_int_equal(4, n->line);
  assert_int_equal(5, child(t, n, "d")->line);
  assert_string_equal("x\n", (const char *)child(t, n, "d")->text.base);
  assert_int_equal(8, child(t, n, "e")->line);
  assert_int_equal(11, child(t, n, "f")->line);
  assert_int_equal(16, child(t, n, "f")->integer);
  assert_string_equal("0x10", (const char *)child(t, n, "f")->text.base);
  cmt__toml_delete(t);
}

static void faults_have_their_lines(void **state) {
  static const struct {
    const char *text;
    uint32_t line;
    const char *fault;
  } rows[] = {
    {"a = 1\nb", 2, "'b' has no = behind it"},
    {"a = \"\"\"\nx\ny", 1, "the string has no closing \"\"\""},
    {"a = [\n1\n2]", 3, "expected , or ] in a list"},
    {"a = [\n1,\n", 1, "the list has no closing ]"},
    {"a = {b = 1\n}", 1,
     "expected , or } in an inline table, on the same line"},
    {"a = 'x\ny'", 1, "the string has no closing '"},
    {"a = \"\x01\"", 1, "the control character 0x01 is not allowed here"},
    {"a = \"\\u00\"", 1,
     "\\u in a string is not followed by the 4 hex digits of a character"},
    {"a = '''x''''''", 1, "a string has six ' in a row"},
    {"'''a''' = 1", 1, "a key cannot be a string of several lines"},
    {"[[a]]\n[a]\n", 2, "'a' is already defined, in line 1"},
    {"a = []\n[[a]]\n", 2, "'a' is already defined, in line 1"},
    {"[a.b.c]\nz = 9\n[a]\nb.c.t = 1\n", 4,
     "'c' is already defined, in line 1"},
    {"a = 1 # \xc3\x28", 1, "the byte 0xc3 is not UTF-8"},
    {"[a", 1, "the name of a table has no closing ]"},
    {"[[a]", 1, "the name of a table has no closing ]]"},
    {"a = 1\n[a.]\n", 2, "expected a key, found ']'"},
    {"a.\nb = 1\n", 1, "expected a key, found 'the end of the line'"},
    {"a = 1__0", 1, "'1__0' is no value: text needs quotes"},
    {"a = 2021-02-29", 1, "'2021-02-29' is no value: text needs quotes"},
  };
  cmt__toml_fault f;
  cmt__toml *t;

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    assert_cmt(CMT_EINVAL, parse(rows[i].text, &t, &f));
    assert_null(t);
    assert_string_equal(rows[i].fault, f.text);
    assert_int_equal(rows[i].line, f.line);
  }
}

/* ---- limits ---- */

/* |count| times |piece|, behind |front| and before |back|. */
static char *repeat(const char *front, const char *piece, size_t count,
                    const char *back) {
  size_t size = strlen(front) + count * strlen(piece) + strlen(back) + 1;
  char *text = calloc(1, size);
  size_t len = (size_t)snprintf(text, size, "%s", front);

  for (size_t i = 0; i < count; i++) {
    len += (size_t)snprintf(text + len, size - len, "%s", piece);
  }
  snprintf(text + len, size - len, "%s", back);
  return text;
}

/* |within| of |piece| are read, and one more is refused for |fault|. */
static void assert_limit(const char *const around[2], const char *piece,
                         size_t within, const char *fault) {
  cmt__toml_fault f;
  cmt__toml *t;

  for (size_t more = 0; more < 2; more++) {
    char *text = repeat(around[0], piece, within + more, around[1]);

    assert_cmt(more ? CMT_EINVAL : CMT_OK, parse(text, &t, &f));
    if (more) {
      assert_string_equal(fault, f.text);
    }
    cmt__toml_delete(t);
    free(text);
  }
}

static void limits_are_stated(void **state) {
  static const char *const list[] = {"a = [", "]"},
                           *const key[] = {"", "a = 1"},
                           *const number[] = {"a = 1.", ""};

  (void)state;
  assert_limit(list, "1,", CMT__TOML_NODES_MAX - 2,
               "there are more than 16384 keys and values");
  assert_limit(key, "a.", CMT__TOML_PARTS_MAX - 1,
               "a key has more than 16 names");
  assert_limit(number, "0", 127 - 2, "a value has more than 127 characters");
}

static void values_lie_in_each_other_at_most_32_deep(void **state) {
  cmt__toml_fault f;
  cmt__toml *t;

  (void)state;
  for (size_t more = 0; more < 2; more++) {
    char *open = repeat("a = ", "[", CMT__TOML_DEPTH_MAX + more, "");
    char *text = repeat(open, "]", CMT__TOML_DEPTH_MAX + more, "");

    assert_cmt(more ? CMT_EINVAL : CMT_OK, parse(text, &t, &f));
    if (more) {
      assert_string_equal("values lie in each other more than 32 deep", f.text);
    }
    cmt__toml_delete(t);
    free(text);
    free(open);
  }
}

static void any_allocation_may_fail(void **state) {
  char *text = repeat("", "[[a]]\nb = 'x'\n", 200, "");
  cmt__toml_fault f;
  cmt__toml *doc;
  size_t total;
  test_env t;

  (void)state;
  test_env_init(&t);
  assert_cmt(CMT_OK, cmt__toml_parse(&t.env, cmt_bytes_of(text), &doc, &f));
  cmt__toml_delete(doc);
  total = t.allocs;
  for (size_t i = 0; i < total; i++) {
    t.allocs = 0;
    t.fail_at = i;
    assert_cmt(CMT_ENOMEM,
               cmt__toml_parse(&t.env, cmt_bytes_of(text), &doc, &f));
    assert_null(doc);
    assert_int_equal(0, t.live);
  }
  test_env_fini(&t);
  free(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(nodes_have_their_lines),
    cmocka_unit_test(faults_have_their_lines),
    cmocka_unit_test(limits_are_stated),
    cmocka_unit_test(values_lie_in_each_other_at_most_32_deep),
    cmocka_unit_test(any_allocation_may_fail),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
