/* SPDX-License-Identifier: Apache-2.0 */
#include "home_user.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_log(void *arg, cmt_log_level level, const char *module,
                   const char *line) {
  static const char *const names[] = {"error", "warn", "info", "debug"};
  test_home *t = arg;
  size_t len = strlen(t->log);

  assert_string_equal("home", module);
  snprintf(t->log + len, sizeof t->log - len, "%s: %s\n", names[level], line);
}

int test_home_setup(void **state) {
  test_home *t = calloc(1, sizeof *t);
  void *folder;

  assert_non_null(t);
  test_folder_setup(&folder);
  t->folder = folder;
  test_env_init(&t->env);
  t->env.env.log = on_log;
  t->env.env.log_arg = t;
  cmt_home_options_init(&t->options);
  t->options.env = &t->env.env;
  t->options.dir = t->folder->name;
  *state = t;
  return 0;
}

int test_home_teardown(void **state) {
  test_home *t = *state;
  void *folder = t->folder;

  cmt_home_delete(t->h);
  test_env_fini(&t->env);
  test_folder_teardown(&folder);
  free(t);
  return 0;
}

void test_home_write(const test_home *t, const char *name, const char *text) {
  char path[600];

  snprintf(path, sizeof path, "%s/%s", t->folder->name, name);
  test_write_file(path, text, strlen(text));
}

cmt_err test_home_open(test_home *t) {
  cmt_home_delete(t->h);
  t->h = NULL;
  t->log[0] = '\0';
  t->why = (cmt_why){.err = CMT_OK};
  return cmt_home_open(&t->options, &t->h, &t->why);
}

cmt_err test_home_open_with(test_home *t, const char *config) {
  test_home_write(t, "config.toml", config);
  return test_home_open(t);
}

const cmt_home_settings *test_home_opens(test_home *t, const char *config) {
  if (test_home_open_with(t, config) != CMT_OK) {
    fail_msg("%s", t->why.text);
  }
  assert_string_equal("", t->log);
  return cmt_home_get_settings(t->h);
}

char *test_sample(const char *name) {
  char path[600], *text;
  FILE *file;
  long size;

  snprintf(path, sizeof path, "%s/vectors/samples/%s", CMT_TESTS_DIR, name);
  file = fopen(path, "rb");
  if (file == NULL) {
    fail_msg("%s cannot be read", path);
    abort();
  }
  fseek(file, 0, SEEK_END);
  size = ftell(file);
  rewind(file);
  text = calloc(1, (size_t)size + 1);
  assert_non_null(text);
  assert_int_equal(size, fread(text, 1, (size_t)size, file));
  fclose(file);
  return text;
}
