/* SPDX-License-Identifier: Apache-2.0 */

/* Saving a key on file systems without hard links, and without a rename that
   replaces nothing: exFAT, FUSE, Android.  The functions here come before those
   of the C library. */

#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "crypto/node_key.h"
#include "folder.h"

/* The errors of the calls, 0: they work; and a file that comes before them. */
static int link_error, renameat2_error, rename_error;
static const char *comes_first;

static void come_first(void) {
  if (comes_first != NULL) {
    test_write_file(comes_first, "precious", 8);
    comes_first = NULL;
  }
}

static int fails(int error) {
  errno = error;
  return -1;
}

int link(const char *from, const char *to) {
  return link_error != 0
           ? fails(link_error)
           : (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to,
              unsigned flags) {
  if (renameat2_error != 0) {
    return fails(renameat2_error);
  }
  come_first();
  return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
}

int rename(const char *from, const char *to) {
  return rename_error != 0
           ? fails(rename_error)
           : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

static const int without[] = {EPERM,  EOPNOTSUPP, ENOSYS,
                              EACCES, EMLINK,     EINVAL};

static int setup(void **state) {
  link_error = 0;
  renameat2_error = 0;
  rename_error = 0;
  comes_first = NULL;
  return test_folder_setup(state);
}

/* Saves a fresh key; its file is the only one then, whole, and ours alone. */
static void assert_saves(test_folder *f) {
  cmt_node_key *key, *again = NULL;
  cmt_node_id id, read;
  struct stat st;
  cmt_why why = {0};

  assert_cmt(CMT_OK, cmt_node_key_generate(NULL, &key));
  if (cmt_node_key_save_new(key, f->path, &why) != CMT_OK) {
    fail_msg("%s", why.text);
  }
  assert_int_equal(0, stat(f->path, &st));
  assert_int_equal(0600, st.st_mode & 07777);
  assert_int_equal(1, st.st_nlink);
  assert_cmt(CMT_OK, cmt_node_key_load_private(NULL, f->path, &again, &why));
  cmt_node_key_get_id(key, &id);
  cmt_node_key_get_id(again, &read);
  assert_string_equal(id.text, read.text);
  assert_cmt(CMT_EEXIST, cmt_node_key_save_new(key, f->path, &why));
  cmt_node_key_delete(key);
  cmt_node_key_delete(again);
  assert_int_equal(1, test_folder_empty(f));
}

static void a_key_is_saved_without_links(void **state) {
  for (size_t i = 0; i < CMT__COUNT(without); i++) {
    link_error = without[i];
    assert_saves(*state);
  }
}

static void nor_does_it_need_a_rename_that_replaces_nothing(void **state) {
  for (size_t i = 0; i < CMT__COUNT(without); i++) {
    link_error = EPERM;
    renameat2_error = without[i];
    assert_saves(*state);
  }
}

/* A file of that name that comes at the last instant stays. */
static void nothing_is_replaced_without_links(void **state) {
  test_folder *f = *state;
  cmt_node_key *key;

  assert_cmt(CMT_OK, cmt_node_key_generate(NULL, &key));
  link_error = ENOSYS;
  comes_first = f->path;
  assert_cmt(CMT_EEXIST, cmt_node_key_save_new(key, f->path, NULL));
  test_assert_file(f->path, "precious");
  assert_int_equal(1, test_folder_empty(f));
  cmt_node_key_delete(key);
}

static void when_no_way_is_left_nothing_stays(void **state) {
  test_folder *f = *state;
  cmt_node_key *key;
  cmt_why why;

  assert_cmt(CMT_OK, cmt_node_key_generate(NULL, &key));
  link_error = EPERM;
  renameat2_error = EINVAL;
  rename_error = EIO;
  assert_cmt(CMT_EIO, cmt_node_key_save_new(key, f->path, &why));
  assert_non_null(strstr(why.text, "Input/output error"));
  assert_int_equal(0, test_folder_empty(f));
  cmt_node_key_delete(key);
}

#define IN_FOLDER(test)                                                        \
  cmocka_unit_test_setup_teardown(test, setup, test_folder_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    IN_FOLDER(a_key_is_saved_without_links),
    IN_FOLDER(nor_does_it_need_a_rename_that_replaces_nothing),
    IN_FOLDER(nothing_is_replaced_without_links),
    IN_FOLDER(when_no_way_is_left_nothing_stays),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
