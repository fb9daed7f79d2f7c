/* SPDX-License-Identifier: Apache-2.0 */
#include "folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int test_folder_setup(void **state) {
  test_folder *f = calloc(1, sizeof *f);
  const char *base = getenv("TMPDIR");

  assert_non_null(f);
  snprintf(f->name, sizeof f->name, "%s/cometp2p-test-XXXXXX",
           base != NULL ? base : P_tmpdir);
  assert_non_null(mkdtemp(f->name));
  snprintf(f->path, sizeof f->path, "%s/file", f->name);
  *state = f;
  return 0;
}

int test_folder_teardown(void **state) {
  test_folder *f = *state;

  test_folder_empty(f);
  assert_int_equal(0, rmdir(f->name));
  free(f);
  return 0;
}

size_t test_folder_empty(const test_folder *f) {
  char path[512];
  size_t count = 0;
  struct dirent *entry;
  DIR *dir = opendir(f->name);

  assert_non_null(dir);
  while ((entry = readdir(dir)) != NULL) {
    if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
      snprintf(path, sizeof path, "%s/%s", f->name, entry->d_name);
      assert_int_equal(0, remove(path));
      count++;
    }
  }
  closedir(dir);
  return count;
}

void test_write_file(const char *path, const char *text, size_t len) {
  FILE *file;

  /* Only root may write to a file that an earlier step made read-only. */
  if (remove(path) != 0) {
    assert_int_equal(ENOENT, errno);
  }
  file = fopen(path, "w");
  assert_non_null(file);
  assert_int_equal(len, fwrite(text, 1, len, file));
  assert_int_equal(0, fclose(file));
  assert_int_equal(0, chmod(path, 0600));
}

void test_assert_file(const char *path, const char *expected) {
  char text[1024];
  FILE *file = fopen(path, "r");
  size_t len;

  assert_non_null(file);
  len = fread(text, 1, sizeof text - 1, file);
  text[len] = '\0';
  fclose(file);
  assert_string_equal(expected, text);
}
