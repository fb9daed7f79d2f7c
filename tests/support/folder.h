/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_FOLDER_H
#define CMT_TEST_FOLDER_H

/* A folder of its own for each test that works with files. */

#include "test.h"

typedef struct test_folder {
  char name[200];
  char path[256]; /* The path of "file" in it, which does not exist at first. */
} test_folder;

/* For cmocka_unit_test_setup_teardown(); |*state| is a test_folder. */
int test_folder_setup(void **state);
int test_folder_teardown(void **state);

/* Removes the entries of the folder, which may be files or empty folders, and
   returns how many there were. */
size_t test_folder_empty(const test_folder *f);

/* Makes or replaces a file of mode 0600. */
void test_write_file(const char *path, const char *text, size_t len);

/* The file contains |expected|, which is shorter than 1024 bytes. */
void test_assert_file(const char *path, const char *expected);

#endif
