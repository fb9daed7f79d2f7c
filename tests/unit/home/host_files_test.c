/* SPDX-License-Identifier: Apache-2.0 */

/* Files as a system may handle them: read and written in pieces, with signals
   between; synced, the file before its folder; and a process whose descriptor 0
   is free.  The calls of the library go through the functions here. */

#include "folder.h"
#include "sockets.h"

#include <cometp2p/node_key.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* The linker makes these names. */
ssize_t __real_read(int fd, void *out, size_t len);
ssize_t __wrap_read(int fd, void *out, size_t len);
ssize_t __real_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);
int __real_fsync(int fd);
int __wrap_fsync(int fd);

/* How files behave; all 0: as those of the system. */
static struct {
  bool on;
  size_t piece;    /* Bytes of one read or write; 0: any number. */
  bool interrupts; /* Each second call has EINTR. */
  size_t calls, fail_at;
  int sync_error, folder_error;
} host;

enum { SYNCS_MAX = 8 };

/* What was synced, in order. */
typedef struct sync_note {
  bool folder;
  dev_t device;
  ino_t number;
  off_t size;
} sync_note;

static sync_note syncs[SYNCS_MAX];
static size_t sync_count;

static bool is_file(int fd) {
  struct stat st;

  return host.on && fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
}

/* What happens to one call; false: it fails with errno. */
static bool passes(size_t *len) {
  size_t call = host.calls++;

  if (host.fail_at > 0 && call + 1 == host.fail_at) {
    errno = EIO;
    return false;
  }
  if (host.interrupts && call % 2 == 0) {
    errno = EINTR;
    return false;
  }
  *len = host.piece > 0 ? cmt__min(*len, host.piece) : *len;
  return true;
}

ssize_t __wrap_read(int fd, void *out, size_t len) {
  return is_file(fd) && !passes(&len) ? -1 : __real_read(fd, out, len);
}

ssize_t __wrap_write(int fd, const void *data, size_t len) {
  return is_file(fd) && !passes(&len) ? -1 : __real_write(fd, data, len);
}

int __wrap_fsync(int fd) {
  struct stat st;

  if (!host.on) {
    return __real_fsync(fd);
  }
  assert_int_equal(0, fstat(fd, &st));
  assert_true(sync_count < SYNCS_MAX);
  syncs[sync_count++] = (sync_note){.folder = S_ISDIR(st.st_mode),
                                    .device = st.st_dev,
                                    .number = st.st_ino,
                                    .size = st.st_size};
  errno = S_ISDIR(st.st_mode) ? host.folder_error : host.sync_error;
  return errno == 0 ? 0 : -1;
}

static int setup(void **state) {
  memset(&host, 0, sizeof host);
  sync_count = 0;
  return test_folder_setup(state);
}

static int teardown(void **state) {
  host.on = false;
  test_folder_empty(*state);
  return test_folder_teardown(state);
}

static cmt_node_key *new_key(void) {
  cmt_node_key *key;

  assert_cmt(CMT_OK, cmt_node_key_generate(NULL, &key));
  return key;
}

/* The file at |path| contains |key|. */
static void assert_holds(const char *path, const cmt_node_key *key) {
  cmt_node_key *loaded;
  cmt_node_id expected, found;
  cmt_why why;

  assert_cmt(CMT_OK, cmt_node_key_load(NULL, path, &loaded, &why));
  cmt_node_key_get_id(key, &expected);
  cmt_node_key_get_id(loaded, &found);
  assert_string_equal(expected.text, found.text);
  cmt_node_key_delete(loaded);
}

/* ---- pieces ---- */

static void a_key_comes_and_goes_in_pieces(void **state) {
  static const size_t pieces[] = {1, 2, 7, 63, 4096};
  test_folder *f = *state;
  cmt_node_key *key = new_key();

  for (size_t i = 0; i < 2 * CMT__COUNT(pieces); i++) {
    host.on = true;
    host.piece = pieces[i / 2];
    host.interrupts = i % 2 != 0;
    host.calls = 0;
    assert_cmt(CMT_OK, cmt_node_key_save_new(key, f->path, NULL));
    assert_holds(f->path, key);
    assert_true(host.calls > 2 || host.piece == 4096);
    assert_int_equal(1, test_folder_empty(f));
    sync_count = 0;
  }
  cmt_node_key_delete(key);
}

static void a_read_that_fails_in_the_middle_is_reported(void **state) {
  test_folder *f = *state;
  cmt_node_key *key = new_key(), *loaded = NULL;
  cmt_why why;

  assert_cmt(CMT_OK, cmt_node_key_save_new(key, f->path, NULL));
  host.on = true;
  host.piece = 50;
  for (host.fail_at = 1; host.fail_at <= 3; host.fail_at++) {
    host.calls = 0;
    assert_cmt(CMT_EIO, cmt_node_key_load(NULL, f->path, &loaded, &why));
    assert_non_null(strstr(why.text, "Input/output error"));
    assert_null(loaded);
  }
  cmt_node_key_delete(key);
}

/* Nothing is left of it, not even under another name. */
static void a_write_that_fails_leaves_no_file(void **state) {
  test_folder *f = *state;
  cmt_node_key *key = new_key();

  host.on = true;
  host.piece = 50;
  for (host.fail_at = 1; host.fail_at <= 3; host.fail_at++) {
    host.calls = 0;
    assert_cmt(CMT_EIO, cmt_node_key_save_new(key, f->path, NULL));
    assert_int_equal(0, test_folder_empty(f));
  }
  cmt_node_key_delete(key);
}

/* ---- what is synced ---- */

static void assert_synced(const char *file, const char *folder) {
  struct stat st;

  assert_int_equal(2, sync_count);
  assert_int_equal(0, stat(file, &st));
  assert_false(syncs[0].folder);
  assert_true(syncs[0].number == st.st_ino && syncs[0].device == st.st_dev);
  assert_int_equal(st.st_size, syncs[0].size); /* When all was written. */
  assert_int_equal(0, stat(folder, &st));
  assert_true(syncs[1].folder);
  assert_true(syncs[1].number == st.st_ino && syncs[1].device == st.st_dev);
}

static void the_file_is_synced_and_then_its_folder(void **state) {
  test_folder *f = *state;
  cmt_node_key *key = new_key();

  host.on = true;
  assert_cmt(CMT_OK, cmt_node_key_save_new(key, f->path, NULL));
  assert_synced(f->path, f->name);
  cmt_node_key_delete(key);
}

static void the_folder_is_that_of_the_path(void **state) {
  test_folder *f = *state;
  cmt_node_key *key = new_key();
  char before[4096], below[300], path[400];

  assert_non_null(getcwd(before, sizeof before));
  snprintf(below, sizeof below, "%s/below", f->name);
  snprintf(path, sizeof path, "%s/../below/key", below);
  assert_int_equal(0, mkdir(below, 0700));
  host.on = true;
  assert_cmt(CMT_OK, cmt_node_key_save_new(key, path, NULL));
  assert_synced(path, below);
  assert_int_equal(0, unlink(path));
  sync_count = 0;
  assert_int_equal(0, chdir(below)); /* A name without a folder. */
  assert_cmt(CMT_OK, cmt_node_key_save_new(key, "key", NULL));
  assert_synced("key", ".");
  assert_int_equal(0, unlink("key"));
  assert_int_equal(0, chdir(before));
  cmt_node_key_delete(key);
}

static void a_file_that_cannot_be_synced_is_none(void **state) {
  test_folder *f = *state;
  cmt_node_key *key = new_key();
  cmt_why why;

  host.on = true;
  host.sync_error = EIO;
  assert_cmt(CMT_EIO, cmt_node_key_save_new(key, f->path, &why));
  assert_non_null(strstr(why.text, "Input/output error"));
  assert_int_equal(0, test_folder_empty(f));
  cmt_node_key_delete(key);
}

/* Some file systems refuse it. */
static void a_folder_that_cannot_be_synced_is_no_error(void **state) {
  test_folder *f = *state;
  cmt_node_key *key = new_key();

  host.on = true;
  host.folder_error = EINVAL;
  assert_cmt(CMT_OK, cmt_node_key_save_new(key, f->path, NULL));
  assert_holds(f->path, key);
  cmt_node_key_delete(key);
}

/* ---- descriptor 0 ---- */

static size_t open_descriptors(void) {
  size_t count = 0;

  for (int fd = 0; fd < 256; fd++) {
    count += fcntl(fd, F_GETFD) >= 0;
  }
  return count;
}

/* Runs |work| while 0 is free.  Afterwards it is free again, or /dev/null with
   |keeps|, and no other descriptor is open that was not before. */
static void without_descriptor_0(void (*work)(void *arg), void *arg,
                                 bool keeps) {
  int kept = dup(0);
  size_t before;

  assert_true(kept > 0);
  assert_int_equal(0, close(0));
  before = open_descriptors();
  work(arg);
  assert_int_equal(keeps ? FD_CLOEXEC : -1, fcntl(0, F_GETFD));
  assert_int_equal(before + keeps, open_descriptors());
  assert_int_equal(0, dup2(kept, 0));
  assert_int_equal(0, close(kept));
}

static void save_and_load(void *arg) {
  const test_folder *f = arg;
  cmt_node_key *key = new_key();

  assert_cmt(CMT_OK, cmt_node_key_save_new(key, f->path, NULL));
  assert_holds(f->path, key);
  cmt_node_key_delete(key);
}

static void a_key_file_may_be_descriptor_0(void **state) {
  without_descriptor_0(save_and_load, *state, false);
}

static test_watch watch;

static void on_add(void *self, cmt_peer *p) {
  (void)p;
  test_bump(&watch, self);
}

/* No event, poll set or socket of these is 0, which libuv would not close. */
static void run_switches(void *arg) {
  cmt_delivery *delivery = arg;
  char addr[2][CMT_NET_ADDR_TEXT_SIZE];
  unsigned added = 0;
  cmt_switch *sw[2];

  for (int i = 0; i < 2; i++) {
    cmt_reactor r = {.name = "test",
                     .self = &added,
                     .add_peer = on_add,
                     .delivery = *delivery};
    cmt_switch_options o;

    test_switch_options(&o, &r);
    test_switch_start(&o, &sw[i], addr[i]);
  }
  assert_cmt(CMT_OK, cmt_switch_dial(sw[0], addr[1], 0, NULL));
  for (int i = 0; i < 2 && *delivery == CMT_DELIVER_MAILBOX; i++) {
    cmt_mailbox *m = cmt_switch_mailbox(sw[i], "test");
    cmt_mailbox_event ev;

    assert_true(cmt_mailbox_fd(m) >= 0);
    assert_cmt(CMT_OK, cmt_mailbox_next(m, &ev, CMT_SECONDS(TEST_WAIT_S)));
    cmt_mailbox_done(m, &ev);
    test_bump(&watch, &added);
  }
  test_await(&watch, &added, 2);
  for (int i = 0; i < 2; i++) {
    cmt_mailbox *m = cmt_switch_mailbox(sw[i], "test");
    cmt_mailbox_event ev;

    cmt_switch_stop(sw[i], 0);
    while (m != NULL &&
           cmt_mailbox_next(m, &ev, CMT_SECONDS(TEST_WAIT_S)) == CMT_OK) {
      cmt_mailbox_done(m, &ev);
    }
  }
  assert_cmt(CMT_OK, cmt_switch_delete(sw[0]));
  assert_cmt(CMT_OK, cmt_switch_delete(sw[1]));
}

static void a_switch_leaves_descriptor_0_alone(void **state) {
  static cmt_delivery deliveries[] = {CMT_DELIVER_INLINE, CMT_DELIVER_WORKERS,
                                      CMT_DELIVER_MAILBOX};

  (void)state;
  test_watch_init(&watch);
  run_switches(&deliveries[0]); /* What libuv opens once stays. */
  for (size_t i = 0; i < CMT__COUNT(deliveries); i++) {
    without_descriptor_0(run_switches, &deliveries[i], true);
  }
  test_watch_fini(&watch);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(a_key_comes_and_goes_in_pieces),
    TEST(a_read_that_fails_in_the_middle_is_reported),
    TEST(a_write_that_fails_leaves_no_file),
    TEST(the_file_is_synced_and_then_its_folder),
    TEST(the_folder_is_that_of_the_path),
    TEST(a_file_that_cannot_be_synced_is_none),
    TEST(a_folder_that_cannot_be_synced_is_no_error),
    TEST(a_key_file_may_be_descriptor_0),
    TEST(a_switch_leaves_descriptor_0_alone),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
