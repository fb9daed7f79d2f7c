/* SPDX-License-Identifier: Apache-2.0 */

/* Files of node keys at the bounds: the longest texts, names that exist
   already, what is wiped, and a close that fails.  The functions here come
   before those of the C library and of libsodium. */

#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "crypto/node_key.h"
#include "folder.h"

#define TYPE "tendermint/PrivKeyEd25519"

static bool closes_fail; /* Closing fails for files that were written. */

int close(int fd) {
  struct stat st;
  bool fails =
    closes_fail && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
  int result = (int)syscall(SYS_close, fd);

  if (fails) {
    errno = EIO;
    return -1;
  }
  return result;
}

/* How many pieces were wiped that began with |wiped_begin|. */
static const char *wiped_begin;
static size_t wiped_count;

void sodium_memzero(void *p, size_t len) {
  if (wiped_begin != NULL && len >= strlen(wiped_begin)) {
    wiped_count += memcmp(p, wiped_begin, strlen(wiped_begin)) == 0;
  }
  memset(p, 0, len);
}

static void watch(const char *begin) {
  wiped_begin = begin;
  wiped_count = 0;
}

/* Entropy of which each number is the same. */
static size_t asked;

static void same_entropy(void *arg, void *out, size_t len) {
  (void)arg;
  asked++;
  memset(out, 0xab, len);
}

typedef struct fixture {
  test_folder *folder;
  test_env t;
  cmt_node_key *key;
  char base64[89]; /* The text of its secret. */
} fixture;

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  void *folder;

  closes_fail = false;
  wiped_begin = NULL;
  asked = 0;
  (void)test_folder_setup(&folder);
  f->folder = folder;
  test_env_init(&f->t);
  f->t.env.entropy = same_entropy;
  assert_cmt(CMT_OK, cmt_node_key_generate(&f->t.env, &f->key));
  sodium_bin2base64(f->base64, sizeof f->base64, f->key->secret, 64,
                    sodium_base64_VARIANT_ORIGINAL);
  asked = 0;
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;
  void *folder = f->folder;

  closes_fail = false;
  cmt_node_key_delete(f->key);
  test_env_fini(&f->t);
  test_folder_empty(f->folder);
  (void)test_folder_teardown(&folder);
  free(f);
  return 0;
}

/* Loads a file of |text|; |why| describes what came of it. */
static cmt_err load(const fixture *f, const char *text, cmt_why *why) {
  cmt_node_key *key;
  cmt_err err;

  test_write_file(f->folder->path, text, strlen(text));
  err = cmt_node_key_load(&f->t.env, f->folder->path, &key, why);
  cmt_node_key_delete(key);
  return err;
}

/* ---- lengths ---- */

/* Line breaks count, and with them a secret has 511 characters at most. */
static void a_secret_may_be_broken_into_lines(void **state) {
  fixture *f = *state;
  char breaks[900], text[1200];
  cmt_why why;

  for (size_t count = 422; count <= 425; count++) {
    for (size_t i = 0; i < count; i++) {
      memcpy(breaks + 2 * i, i % 2 == 0 ? "\\n" : "\\r", 3);
    }
    snprintf(text, sizeof text,
             "{\"priv_key\":{\"type\":\"" TYPE "\",\"value\":\"%.8s%s%s\"}}",
             f->base64, breaks, f->base64 + 8);
    if (88 + count <= 511) {
      assert_cmt(CMT_OK, load(f, text, &why));
    } else {
      assert_cmt(CMT_EINVAL, load(f, text, &why));
      assert_non_null(strstr(why.text, "value is not the base64 of 64 bytes"));
    }
  }
}

/* What is longer ends in dots after 56 characters. */
static void a_long_type_is_cut(void **state) {
  fixture *f = *state;
  char type[700], text[800], expected[200];
  cmt_why why;

  for (size_t len = 58; len < sizeof type; len = len < 61 ? len + 1 : len * 2) {
    memset(type, 'x', len);
    type[len] = '\0';
    snprintf(text, sizeof text, "{\"priv_key\":{\"type\":\"%s\"}}", type);
    assert_cmt(CMT_EINVAL, load(f, text, &why));
    snprintf(expected, sizeof expected,
             "the type of its key is '%.*s%s'; a node key is Ed25519",
             len <= 59 ? 59 : 56, type, len <= 59 ? "" : "...");
    assert_non_null(strstr(why.text, expected));
  }
}

static void note_line(void *arg, cmt_log_level level, const char *module,
                      const char *line) {
  (void)level;
  (void)module;
  snprintf(arg, 1000, "%s", line);
}

/* In reasons and in the log, after 146 characters. */
static void a_long_path_is_cut(void **state) {
  fixture *f = *state;
  char path[400], expected[400], line[1000] = "";
  cmt_node_key *key;
  cmt_why why;

  for (size_t len = 148; len <= 151; len++) {
    bool fits = len <= 149;

    memset(path, 'p', len);
    path[len] = '\0';
    assert_cmt(CMT_EIO, cmt_node_key_load(&f->t.env, path, &key, &why));
    snprintf(expected, sizeof expected,
             "key file '%.*s%s': No such file or directory", fits ? 149 : 146,
             path, fits ? "" : "...");
    assert_string_equal(expected, why.text);
  }
  f->t.env.log = note_line;
  f->t.env.log_arg = line;
  assert_cmt(CMT_OK, cmt_node_key_save_new(f->key, f->folder->path, NULL));
  assert_int_equal(0, chmod(f->folder->path, 0640));
  for (size_t len = 148; len <= 151; len++) {
    const char *name = strrchr(f->folder->path, '/');
    bool fits = len <= 149;

    memset(path, '/', len);
    memcpy(path, f->folder->name, strlen(f->folder->name));
    snprintf(path + len - strlen(name), strlen(name) + 1, "%s", name);
    assert_int_equal(len, strlen(path));
    assert_cmt(CMT_OK, cmt_node_key_load(&f->t.env, path, &key, &why));
    cmt_node_key_delete(key);
    snprintf(expected, sizeof expected,
             "key file '%.*s%s' can be read by others than its owner (mode "
             "0640)",
             fits ? 149 : 146, path, fits ? "" : "...");
    assert_string_equal(expected, line);
  }
}

/* ---- names ---- */

static void eight_names_are_tried(void **state) {
  fixture *f = *state;
  char taken[512];
  cmt_why why;

  snprintf(taken, sizeof taken, "%s/.node_key-abababababababab.tmp",
           f->folder->name);
  test_write_file(taken, "other", 5);
  assert_cmt(CMT_EIO, cmt_node_key_save_new(f->key, f->folder->path, &why));
  assert_non_null(strstr(why.text, "': File exists"));
  assert_int_equal(8, asked);
  test_assert_file(taken, "other");
}

static void no_other_name_helps_where_there_is_no_folder(void **state) {
  fixture *f = *state;

  assert_cmt(CMT_EIO, cmt_node_key_save_new(f->key, "no/such/folder", NULL));
  assert_int_equal(1, asked);
}

static void what_is_null_is_named(void **state) {
  fixture *f = *state;
  cmt_node_key *key = f->key;
  cmt_why why;

  assert_cmt(CMT_EINVAL, cmt_node_key_load(NULL, "x", NULL, &why));
  assert_string_equal("out is NULL", why.text);
  assert_cmt(CMT_EINVAL, cmt_node_key_load_private(NULL, NULL, &key, &why));
  assert_string_equal("the path of the key file is NULL", why.text);
  assert_null(key);
  assert_cmt(CMT_EINVAL, cmt_node_key_save_new(NULL, "x", &why));
  assert_string_equal("the key is NULL", why.text);
  assert_cmt(CMT_EINVAL, cmt_node_key_save_new(f->key, NULL, &why));
  assert_string_equal("the path of the key file is NULL", why.text);
}

/* ---- the file ---- */

static void whatever_held_the_text_is_wiped(void **state) {
  fixture *f = *state;
  static const char head[] = "{\"priv_key\":{";
  cmt_node_key *key;

  watch(f->base64);
  assert_cmt(CMT_OK, cmt_node_key_save_new(f->key, f->folder->path, NULL));
  assert_int_equal(1, wiped_count);
  unlink(f->folder->path);
  watch(head);
  assert_cmt(CMT_OK, cmt_node_key_save_new(f->key, f->folder->path, NULL));
  assert_int_equal(1, wiped_count);
  assert_cmt(CMT_OK, cmt_node_key_load(&f->t.env, f->folder->path, &key, NULL));
  assert_int_equal(2, wiped_count); /* What was read. */
  cmt_node_key_delete(key);
  watch(f->base64);
  assert_cmt(CMT_OK, cmt_node_key_load(&f->t.env, f->folder->path, &key, NULL));
  assert_int_equal(1, wiped_count); /* The member. */
  cmt_node_key_delete(key);
}

/* A umask may deny even its owner what a file of a key needs. */
static void a_file_is_for_its_owner_whatever_the_umask(void **state) {
  static const mode_t masks[] = {0, 022, 077, 0777};
  fixture *f = *state;
  struct stat st;

  for (size_t i = 0; i < CMT__COUNT(masks); i++) {
    mode_t before = umask(masks[i]);
    cmt_err err = cmt_node_key_save_new(f->key, f->folder->path, NULL);

    umask(before);
    assert_cmt(CMT_OK, err);
    assert_int_equal(0, stat(f->folder->path, &st));
    assert_int_equal(0600, st.st_mode & 07777);
    assert_int_equal(1, test_folder_empty(f->folder));
  }
}

/* It may be that of the disk, which was full. */
static void a_close_that_fails_is_reported(void **state) {
  fixture *f = *state;
  cmt_why why;

  closes_fail = true;
  assert_cmt(CMT_EIO, cmt_node_key_save_new(f->key, f->folder->path, &why));
  closes_fail = false;
  assert_non_null(strstr(why.text, "': Input/output error"));
  assert_int_equal(0, test_folder_empty(f->folder));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(a_secret_may_be_broken_into_lines),
    TEST(a_long_type_is_cut),
    TEST(a_long_path_is_cut),
    TEST(eight_names_are_tried),
    TEST(no_other_name_helps_where_there_is_no_folder),
    TEST(what_is_null_is_named),
    TEST(whatever_held_the_text_is_wiped),
    TEST(a_file_is_for_its_owner_whatever_the_umask),
    TEST(a_close_that_fails_is_reported),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
