/* SPDX-License-Identifier: Apache-2.0 */

/* The log hook that is ready to use: one line each on the standard error. */

#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const struct timespec *time_of_day; /* NULL: that of the system. */

/* What the library calls. */
int clock_gettime(clockid_t id, struct timespec *out) {
  if (id == CLOCK_REALTIME && time_of_day != NULL) {
    *out = *time_of_day;
    return 0;
  }
  return (int)syscall(SYS_clock_gettime, id, out);
}

/* What descriptor 2 gets from |run|, in a file without a name. */
static char *stderr_of(void (*run)(void *arg), void *arg) {
  FILE *file = tmpfile();
  int kept = dup(STDERR_FILENO);
  char *text = calloc(1, 100000);
  size_t len;

  assert_non_null(file);
  assert_non_null(text);
  assert_true(kept >= 0);
  assert_int_equal(STDERR_FILENO, dup2(fileno(file), STDERR_FILENO));
  run(arg);
  assert_int_equal(STDERR_FILENO, dup2(kept, STDERR_FILENO));
  close(kept);
  rewind(file);
  len = fread(text, 1, 99999, file);
  text[len] = '\0';
  fclose(file);
  return text;
}

static void assert_matches(const char *pattern, const char *text) {
  regex_t regex;
  int found;

  assert_int_equal(0, regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB));
  found = regexec(&regex, text, 0, NULL, 0);
  regfree(&regex);
  if (found != 0) {
    fail_msg("'%s' is not '%s'", text, pattern);
  }
}

#define STAMP                                                                  \
  "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[.][0-9]{3}Z "

typedef struct row {
  cmt_log_level *most;
  cmt_log_level level;
  const char *module, *line, *expected; /* A pattern; NULL: nothing. */
} row;

static void log_row(void *arg) {
  const row *r = arg;

  errno = EBADMSG;
  cmt_log_stderr(r->most, r->level, r->module, r->line);
  assert_int_equal(EBADMSG, errno);
}

static void a_line_has_time_level_module_and_text(void **state) {
  static cmt_log_level error = CMT_LOG_ERROR, debug = CMT_LOG_DEBUG,
                       all = (cmt_log_level)4;
  static const row rows[] = {
    {NULL, CMT_LOG_ERROR, "loop", "it broke", STAMP "error loop: it broke\n$"},
    {NULL, CMT_LOG_WARN, "switch", "waits", STAMP "warn  switch: waits\n$"},
    {NULL, CMT_LOG_INFO, "dial", "", STAMP "info  dial: \n$"},
    {NULL, CMT_LOG_DEBUG, "dial", "again", NULL},
    {&error, CMT_LOG_ERROR, "a", "b", STAMP "error a: b\n$"},
    {&error, CMT_LOG_WARN, "a", "b", NULL},
    {&debug, CMT_LOG_DEBUG, "a", "b", STAMP "debug a: b\n$"},
    {&debug, (cmt_log_level)4, "a", "b", NULL},
    {&all, (cmt_log_level)4, "a", "b", STAMP "[?]     a: b\n$"},
    {&debug, CMT_LOG_WARN, NULL, NULL, STAMP "warn  [?]: \n$"},
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    row r = rows[i];
    char *text = stderr_of(log_row, &r);

    assert_matches(r.expected != NULL ? r.expected : "^$", text);
    free(text);
  }
}

/* A line of 1,199 characters is whole, and a longer one is cut to as many. */
static void a_long_line_is_cut_and_still_ends(void **state) {
  enum { LINE = 1199 };
  const size_t whole = LINE - strlen("2026-01-31T23:59:59.999Z warn  x: \n");
  char line[LINE * 2];
  row r = {NULL, CMT_LOG_WARN, "x", line, NULL};

  (void)state;
  for (size_t len = whole - 1; len <= whole + 2; len++) {
    char *text, *message;

    memset(line, 0, sizeof line);
    memset(line, 'a', len);
    text = stderr_of(log_row, &r);
    message = strstr(text, ": ") + 2;
    assert_int_equal('\n', text[strlen(text) - 1]);
    assert_int_equal(cmt__min(len, whole), strspn(message, "a"));
    assert_int_equal(cmt__min(len, whole) + 1, strlen(message));
    free(text);
  }
}

static void a_stamp_is_the_time_of_day(void **state) {
  static const struct {
    struct timespec at;
    const char *stamp;
  } rows[] = {
    {{0, 0}, "1970-01-01T00:00:00.000Z"},
    {{951782400, 999999}, "2000-02-29T00:00:00.000Z"},
    {{951782400, 1000000}, "2000-02-29T00:00:00.001Z"},
    {{1700000000, 500000000}, "2023-11-14T22:13:20.500Z"},
    {{4102444799, 999999999}, "2099-12-31T23:59:59.999Z"},
  };
  row r = {NULL, CMT_LOG_WARN, "x", "y", NULL};

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    char *text;

    time_of_day = &rows[i].at;
    text = stderr_of(log_row, &r);
    time_of_day = NULL;
    assert_memory_equal(rows[i].stamp, text, strlen(rows[i].stamp));
    assert_int_equal(' ', text[strlen(rows[i].stamp)]);
    free(text);
  }
}

enum { THREADS = 4, LINES = 200 };

static void *log_many(void *arg) {
  for (int i = 0; i < LINES; i++) {
    cmt_log_stderr(NULL, CMT_LOG_INFO, arg, "0123456789");
  }
  return NULL;
}

static void log_in_threads(void *arg) {
  pthread_t threads[THREADS];

  for (int i = 0; i < THREADS; i++) {
    assert_int_equal(0, pthread_create(&threads[i], NULL, log_many, arg));
  }
  for (int i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
  }
}

static void lines_of_threads_stay_whole(void **state) {
  char module[] = "thread";
  char *text = stderr_of(log_in_threads, module), *line, *rest = text;
  int count = 0;

  (void)state;
  while ((line = strsep(&rest, "\n")) != NULL && line[0] != '\0') {
    assert_matches(STAMP "info  thread: 0123456789$", line);
    count++;
  }
  assert_int_equal(THREADS * LINES, count);
  free(text);
}

static void log_without_stderr(void *arg) {
  (void)arg;
  close(STDERR_FILENO);
  log_row(&(row){NULL, CMT_LOG_ERROR, "a", "b", NULL});
}

static void a_closed_standard_error_is_no_fault(void **state) {
  char *text = stderr_of(log_without_stderr, NULL);

  (void)state;
  assert_string_equal("", text);
  free(text);
}

/* It is the log of an environment like any other hook. */
static void log_of_an_environment(void *arg) {
  cmt_env env;

  (void)arg;
  assert_cmt(CMT_OK, cmt_env_init(&env));
  env.log = cmt_log_stderr;
  cmt__log(&env, CMT_LOG_WARN, "test", "%d peers", 3);
}

static void it_is_a_hook_of_an_environment(void **state) {
  char *text = stderr_of(log_of_an_environment, NULL);

  (void)state;
  assert_matches(STAMP "warn  test: 3 peers\n$", text);
  free(text);
}

static void a_result_may_be_ignored(void **state) {
  cmt_env env;

  (void)state;
  /* Without it this is a warning, and so no build. */
  cmt_ignore(cmt_env_init(&env));
  assert_int_equal(sizeof env, env.size);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_line_has_time_level_module_and_text),
    cmocka_unit_test(a_long_line_is_cut_and_still_ends),
    cmocka_unit_test(a_stamp_is_the_time_of_day),
    cmocka_unit_test(lines_of_threads_stay_whole),
    cmocka_unit_test(a_closed_standard_error_is_no_fault),
    cmocka_unit_test(it_is_a_hook_of_an_environment),
    cmocka_unit_test(a_result_may_be_ignored),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
