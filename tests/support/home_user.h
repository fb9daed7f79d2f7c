/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_HOME_USER_H
#define CMT_TEST_HOME_USER_H

/* A home in a folder of its own, whose config.toml lies in the folder itself,
   with what is logged when it is opened. */

#include "folder.h"

#include <cometp2p/home.h>

typedef struct test_home {
  test_folder *folder;
  test_env env;
  cmt_home_options options;
  cmt_home *h; /* NULL: it was not opened, or refused. */
  cmt_why why;
  char log[4096]; /* The lines, each with a line break. */
} test_home;

/* For cmocka_unit_test_setup_teardown(); |*state| is a test_home. */
int test_home_setup(void **state);
int test_home_teardown(void **state);

/* Makes or replaces the file |name|. */
void test_home_write(const test_home *t, const char *name, const char *text);

/* Opens the home with |options|, and closes the one before. */
cmt_err test_home_open(test_home *t);
/* As above with |config| as config.toml. */
cmt_err test_home_open_with(test_home *t, const char *config);
/* The home opens, and nothing is logged. */
const cmt_home_settings *test_home_opens(test_home *t, const char *config);

/* The content of a sample of tests/vectors; free() it. */
char *test_sample(const char *name);

#endif
