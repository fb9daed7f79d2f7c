/* SPDX-License-Identifier: Apache-2.0 */
/* Prints a line for each TOML file: its content as JSON with the type of each
   value, in the form of the test suite of TOML, or the fault. */

#include <jansson.h>
#include <stdio.h>

#include "home/toml.h"

static json_t *value_of(const cmt__toml *t, const cmt__toml_node *n) {
  static const char *const types[] = {
    [CMT__TOML_STRING] = "string", [CMT__TOML_INTEGER] = "integer",
    [CMT__TOML_FLOAT] = "float",   [CMT__TOML_BOOL] = "bool",
    [CMT__TOML_TIME] = "time",
  };
  const cmt__toml_node *child = cmt__toml_first(t, n);
  json_t *all;
  char number[32];

  if (n->kind == CMT__TOML_INTEGER) {
    snprintf(number, sizeof number, "%lld", (long long)n->integer);
    return json_pack("{s:s, s:s}", "type", "integer", "value", number);
  }
  if (n->kind != CMT__TOML_ARRAY && n->kind != CMT__TOML_TABLE) {
    return json_pack("{s:s, s:s%}", "type", types[n->kind], "value",
                     (const char *)n->text.base, n->text.len);
  }
  all = n->kind == CMT__TOML_ARRAY ? json_array() : json_object();
  for (; child != NULL; child = cmt__toml_next(t, child)) {
    if (n->kind == CMT__TOML_ARRAY) {
      json_array_append_new(all, value_of(t, child));
    } else {
      json_object_setn_new(all, (const char *)child->name.base, child->name.len,
                           value_of(t, child));
    }
  }
  return all;
}

/* Prints the content of |path|, or the fault behind a "!". */
static int print_file(const char *path) {
  static uint8_t text[CMT__TOML_SIZE_MAX + 1];
  FILE *file = fopen(path, "rb");
  cmt__toml_fault fault;
  cmt__toml *t;
  json_t *all;
  size_t len;

  if (file == NULL) {
    return 1;
  }
  len = fread(text, 1, sizeof text, file);
  fclose(file);
  if (cmt__toml_parse(&cmt__env_system, (cmt_bytes){.base = text, .len = len},
                      &t, &fault) != CMT_OK) {
    printf("!%u: %s\n", fault.line, fault.text);
    return 0;
  }
  all = value_of(t, &t->nodes[0]);
  json_dumpf(all, stdout, JSON_COMPACT | JSON_ENSURE_ASCII);
  putchar('\n');
  json_decref(all);
  cmt__toml_delete(t);
  return 0;
}

int main(int argc, char **argv) {
  int failed = 0;

  for (int i = 1; i < argc; i++) {
    failed |= print_file(argv[i]);
  }
  return failed;
}
