/* SPDX-License-Identifier: Apache-2.0 */
/* Files in TOML.  The first byte of the input draws the allocation that fails,
   the rest is the file.  What is read is a tree whose texts lie in its memory;
   what is not has one line about it. */

#include "fuzz.h"

#include <stdlib.h>

#include "home/toml.h"

static void check_text(const cmt__toml *t, cmt_bytes text) {
  const char *base = (const char *)text.base;

  if (text.len > 0) {
    FUZZ_CHECK(base >= t->texts);
    FUZZ_CHECK(base + text.len < t->texts + t->texts_len);
    FUZZ_CHECK(base[text.len] == '\0');
  }
}

/* Each node is the child of one other; returns how many there are. */
static size_t check_tree(const cmt__toml *t, const cmt__toml_node *n,
                         uint32_t lines) {
  const cmt__toml_node *child = cmt__toml_first(t, n);
  size_t count = 1;

  FUZZ_CHECK(n->line >= 1 && n->line <= lines);
  check_text(t, n->name);
  check_text(t, n->text);
  FUZZ_CHECK(child == NULL || n->kind == CMT__TOML_ARRAY ||
             n->kind == CMT__TOML_TABLE);
  for (; child != NULL; child = cmt__toml_next(t, child)) {
    FUZZ_CHECK((child->name.base != NULL) == (n->kind == CMT__TOML_TABLE));
    count += check_tree(t, child, lines);
  }
  return count;
}

static uint32_t line_count(cmt_bytes text) {
  uint32_t count = 1;

  for (size_t i = 0; i < text.len; i++) {
    count += text.base[i] == '\n';
  }
  return count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  fuzz_input in = {.at = data, .left = size};
  cmt__toml_fault fault;
  cmt_bytes text;
  uint8_t *copy;
  cmt__toml *t;
  fuzz_env e;
  cmt_err err;

  fuzz_env_init(&e);
  e.fail_at = fuzz_byte(&in);
  e.fail_at = e.fail_at < 8 ? e.fail_at : SIZE_MAX;
  text = fuzz_take(&in, in.left);
  copy = fuzz_copy(text);
  text.base = copy;
  err = cmt__toml_parse(&e.env, text, &t, &fault);
  FUZZ_CHECK((t != NULL) == (err == CMT_OK));
  if (err == CMT_OK) {
    FUZZ_CHECK(check_tree(t, &t->nodes[0], line_count(text)) == t->count);
  } else if (err == CMT_EINVAL) {
    FUZZ_CHECK(fault.line >= 1 && fault.line <= line_count(text));
    FUZZ_CHECK(fault.text[0] != '\0');
  } else {
    FUZZ_CHECK(err == CMT_ENOMEM && e.failed);
  }
  cmt__toml_delete(t);
  free(copy);
  fuzz_env_fini(&e);
  return 0;
}
