/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the command that are functions of their arguments: values,
   messages, names, times, and the receiver's answers. */

#include "test.h"

#include "cli/ui/cli.h"
#include "cli/roles/files.h"
#include "cli/ui/options.h"
#include "cli/roles/progress.h"
#include "cli/roles/receiver.h"
#include "cli/roles/rtt.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void durations_need_a_unit(void **state) {
  static const struct {
    const char *text;
    uint64_t ns;
  } good[] = {{"0s", 0},
              {"1ns", 1},
              {"7us", 7000},
              {"500ms", 500000000},
              {"60s", 60000000000},
              {"2m", 120000000000},
              {"720h", 2592000000000000}};
  static const char *const bad[] = {
    "",
    "5",
    "s",
    "-1s",
    "+1s",
    " 1s",
    "1s ",
    "1 s",
    "1.5s",
    "1S",
    "0x1s",
    "721h",
    "18446744073709551616s",
    "1ss",
    "1e3ms",
  };
  uint64_t ns;

  (void)state;
  for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
    assert_true(cli_parse_duration(good[i].text, &ns));
    assert_int_equal(ns, good[i].ns);
  }
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_false(cli_parse_duration(bad[i], &ns));
  }
}

static void numbers_are_whole_and_in_range(void **state) {
  uint64_t n;

  (void)state;
  assert_true(cli_parse_number("0", 0, 10, &n) && n == 0);
  assert_true(cli_parse_number("10", 0, 10, &n) && n == 10);
  assert_true(cli_parse_number("0xA", 0, 10, &n) && n == 10);
  assert_true(cli_parse_number("18446744073709551615", 0, UINT64_MAX, &n) &&
              n == UINT64_MAX);
  assert_false(cli_parse_number("11", 0, 10, &n));
  assert_false(cli_parse_number("4", 5, 10, &n));
  assert_false(cli_parse_number("18446744073709551616", 0, UINT64_MAX, &n));
  assert_false(cli_parse_number("", 0, 10, &n));
  assert_false(cli_parse_number("0x", 0, 10, &n));
  assert_false(cli_parse_number("a", 0, 10, &n));
  assert_false(cli_parse_number("1a", 0, 10, &n));
  assert_false(cli_parse_number(" 1", 0, 10, &n));
}

static void sizes_take_binary_units(void **state) {
  uint64_t n;

  (void)state;
  assert_true(cli_parse_size("512", 0, UINT64_MAX, &n) && n == 512);
  assert_true(cli_parse_size("4k", 0, UINT64_MAX, &n) && n == 4096);
  assert_true(cli_parse_size("21MiB", 0, UINT64_MAX, &n) && n == 22020096);
  assert_true(cli_parse_size("1G", 0, UINT64_MAX, &n) && n == 1073741824);
  assert_false(cli_parse_size("4kk", 0, UINT64_MAX, &n));
  assert_false(cli_parse_size("k", 0, UINT64_MAX, &n));
  assert_false(cli_parse_size("17179869184G", 0, UINT64_MAX, &n));
}

static void channels_have_defaults_and_limits(void **state) {
  cli_options o = {0};

  (void)state;
  assert_true(cli_parse_channel(&o, "0x60"));
  assert_int_equal(o.channels[0].id, 0x60);
  assert_int_equal(o.channels[0].priority, 1);
  assert_int_equal(o.channels[0].send_queue, 64);
  assert_int_equal(o.channels[0].recv_message_max, 22020096);
  assert_int_equal(o.roles[0], CLI_ROLE_NONE);
  assert_true(cli_parse_channel(&o, "97:7:3:4k=echo"));
  assert_int_equal(o.channels[1].id, 97);
  assert_int_equal(o.channels[1].priority, 7);
  assert_int_equal(o.channels[1].send_queue, 3);
  assert_int_equal(o.channels[1].recv_message_max, 4096);
  assert_int_equal(o.roles[1], CLI_ROLE_ECHO);
  assert_false(cli_parse_channel(&o, "0x61"));
  assert_string_equal(o.fault, "this id is used twice");
  assert_int_equal(o.channel_count, 2);
}

static void file_messages_have_these_bytes(void **state) {
  static const struct {
    cli_file_message m;
    const char *hex;
  } rows[] = {
    {{.type = CLI_FILE_OFFER,
      .id = 1,
      .number = 258,
      .bytes = {(const uint8_t *)"ab", 2}},
     "010100000002010000000000006162"},
    {{.type = CLI_FILE_DATA,
      .id = 0x01020304,
      .number = UINT64_MAX,
      .bytes = {(const uint8_t *)"x", 1}},
     "0204030201ffffffffffffffff78"},
    {{.type = CLI_FILE_END,
      .id = 1,
      .bytes = {(const uint8_t *)"0123456789abcdef0123456789abcdef", 32}},
     "030100000030313233343536373839616263646566"
     "30313233343536373839616263646566"},
    {{.type = CLI_FILE_ACK, .id = 2, .number = 65536},
     "04020000000000010000000000"},
    {{.type = CLI_FILE_DONE, .id = 3}, "0503000000"},
    {{.type = CLI_FILE_REFUSED,
      .id = 4,
      .code = 5,
      .bytes = {(const uint8_t *)"no", 2}},
     "0604000000056e6f"},
  };

  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    cmt_buf *buf = cli_file_encode(NULL, &rows[i].m);
    cmt_bytes bytes = cmt_buf_bytes(buf);
    cli_file_message m;

    test_assert_hex(rows[i].hex, bytes.base, bytes.len);
    assert_true(cli_file_decode(bytes, &m));
    assert_int_equal(m.type, rows[i].m.type);
    assert_int_equal(m.id, rows[i].m.id);
    assert_int_equal(m.number, rows[i].m.number);
    assert_int_equal(m.code, rows[i].m.code);
    assert_int_equal(m.bytes.len, rows[i].m.bytes.len);
    cmt_buf_unref(buf);
  }
}

static void malformed_file_messages_are_refused(void **state) {
  static const char *const rows[] = {
    "",
    "01",
    "0001000000",                   /* No such type. */
    "0701000000",                   /* No such type. */
    "010100000002010000000000",     /* A size of seven bytes. */
    "02010000000000000000000000",   /* No data. */
    "030100000000",                 /* A short hash. */
    "0401000000000000000000000000", /* Nine bytes. */
    "050100000000",                 /* Something after it. */
    "0601000000",                   /* No code. */
  };
  cli_file_message m;

  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    size_t len;
    uint8_t *data = test_unhex(rows[i], &len);

    assert_false(cli_file_decode((cmt_bytes){data, len}, &m));
    free(data);
  }
}

static void line_messages_have_these_bytes(void **state) {
  cli_line_message line = {
    .type = CLI_LINE_TEXT, .seq = 258, .text = {(const uint8_t *)"hi", 2}};
  cmt_buf *buf = cli_line_encode(NULL, &line);
  cli_line_message m;

  (void)state;
  test_assert_hex("0102010000000000006869", cmt_buf_bytes(buf).base,
                  cmt_buf_bytes(buf).len);
  assert_true(cli_line_decode(cmt_buf_bytes(buf), &m));
  assert_int_equal(m.seq, 258);
  assert_memory_equal(m.text.base, "hi", 2);
  cmt_buf_unref(buf);
}

static bool is_fine(const char *text, size_t len) {
  return cli_file_name_is_fine((cmt_bytes){(const uint8_t *)text, len});
}

static void names_are_one_component(void **state) {
  char longest[256];

  (void)state;
  memset(longest, 'n', sizeof longest);
  assert_true(is_fine("a", 1));
  assert_true(is_fine("...", 3));
  assert_true(is_fine(".hidden", 7));
  assert_true(is_fine("-x \n\xff", 5));
  assert_true(is_fine(".cometp2p", 9));
  assert_true(is_fine(longest, 255));
  assert_false(is_fine(longest, 256));
  assert_false(is_fine("", 0));
  assert_false(is_fine(".", 1));
  assert_false(is_fine("..", 2));
  assert_false(is_fine("../x", 4));
  assert_false(is_fine("/x", 2));
  assert_false(is_fine("x/", 2));
  assert_false(is_fine("a\0b", 3));
  assert_false(is_fine(".cometp2p-x", 11));
}

static void percentiles_are_within_a_percent(void **state) {
  cli_rtt *r = calloc(1, sizeof *r);

  (void)state;
  assert_non_null(r);
  assert_int_equal(cli_rtt_percentile(r, 50), 0);
  for (uint64_t i = 1; i <= 100; i++) {
    cli_rtt_add(r, i);
  }
  assert_int_equal(cli_rtt_percentile(r, 50), 50);
  assert_int_equal(cli_rtt_percentile(r, 99), 99);
  assert_int_equal(cli_rtt_percentile(r, 100), 100);
  memset(r, 0, sizeof *r);
  for (uint64_t i = 1; i <= 1000; i++) {
    cli_rtt_add(r, i * 1000000);
  }
  assert_in_range(cli_rtt_percentile(r, 50), 495000000, 500000000);
  assert_in_range(cli_rtt_percentile(r, 99), 980000000, 990000000);
  cli_rtt_add(r, UINT64_MAX);
  assert_int_equal(r->count, 1001);
  free(r);
}

static void errors_are_reported_by_their_last_name(void **state) {
  char text[32];

  (void)state;
  cli_reason(CMT_EMSGSIZE, text, sizeof text);
  assert_string_equal(text, "msgsize");
  cli_reason(CMT_EEOF, text, sizeof text);
  assert_string_equal(text, "eof");
}

enum { QUOTA = 10 };

/* What a receiver answered and reported last. */
typedef struct answers {
  char dir[64];
  cli_store store;
  cli_file_message reply;
  int replies, done, failed;
  cmt_err err;
  cli_receiver *r;
  bool taken; /* Another file gets the name during the transfer. */
} answers;

static void on_reply(void *arg, const cli_file_message *m) {
  answers *t = arg;

  t->reply = *m;
  t->replies++;
}

static void on_progress(void *arg, const cli_incoming *f) {
  (void)arg;
  assert_true(f->received <= f->size);
}

static void on_done(void *arg, const cli_incoming *f) {
  answers *t = arg;

  assert_non_null(f->hash);
  t->done++;
}

static void on_failed(void *arg, const cli_incoming *f, cmt_err err,
                      const char *text) {
  answers *t = arg;

  assert_non_null(f->name);
  assert_non_null(text);
  t->err = err;
  t->failed++;
}

static int receiver_setup(void **state) {
  answers *t = calloc(1, sizeof *t);
  cli_receiver_hooks hooks = {t, on_reply, on_progress, on_done, on_failed};

  snprintf(t->dir, sizeof t->dir, "receiver-test-XXXXXX");
  if (mkdtemp(t->dir) == NULL) {
    return -1;
  }
  cli_store_init(&t->store);
  if (!cli_store_open(&t->store, t->dir, QUOTA)) {
    return -1;
  }
  t->r = cli_receiver_new(&t->store, &hooks);
  *state = t;
  return 0;
}

/* Fails when anything but a file "x" was left. */
static int receiver_teardown(void **state) {
  answers *t = *state;
  int left;

  cli_receiver_delete(t->r, CMT_EEOF, "gone");
  unlinkat(t->store.dir_fd, "x", 0);
  cli_store_close(&t->store);
  left = rmdir(t->dir);
  free(t);
  return left;
}

static cmt_err feed_to(cli_receiver *r, cli_file_type type, uint64_t number,
                       const char *bytes, size_t len) {
  cli_file_message m = {.type = type,
                        .id = 1,
                        .number = number,
                        .bytes = {(const uint8_t *)bytes, len}};

  return cli_receiver_feed(r, &m, 1);
}

static cmt_err feed(answers *t, cli_file_type type, uint64_t number,
                    const char *bytes, size_t len) {
  return feed_to(t->r, type, number, bytes, len);
}

static void a_file_is_there_after_its_hash(void **state) {
  answers *t = *state;
  uint8_t hash[32];

  crypto_hash_sha256(hash, (const uint8_t *)"hello", 5);
  assert_cmt(CMT_OK, feed(t, CLI_FILE_OFFER, 5, "x", 1));
  assert_int_equal(t->reply.type, CLI_FILE_ACK);
  assert_int_equal(t->reply.number, 0);
  assert_cmt(CMT_OK, feed(t, CLI_FILE_DATA, 0, "hel", 3));
  assert_int_equal(t->replies, 1); /* Not yet worth an acknowledgement. */
  assert_cmt(CMT_OK, feed(t, CLI_FILE_DATA, 3, "lo", 2));
  assert_int_equal(t->reply.number, 5);
  assert_int_not_equal(faccessat(t->store.dir_fd, "x", F_OK, 0), 0);
  assert_cmt(CMT_OK, feed(t, CLI_FILE_END, 0, (const char *)hash, 32));
  assert_int_equal(t->reply.type, CLI_FILE_DONE);
  assert_int_equal(t->done, 1);
  assert_int_equal(faccessat(t->store.dir_fd, "x", R_OK, 0), 0);
}

/* The error with which a file system refuses a call that it lacks; 0: it has
   it. */
static int no_rename, no_link;

int __real_renameat2(int from, const char *old, int to, const char *new,
                     unsigned flags);
int __wrap_renameat2(int from, const char *old, int to, const char *new,
                     unsigned flags);
int __real_linkat(int from, const char *old, int to, const char *new,
                  int flags);
int __wrap_linkat(int from, const char *old, int to, const char *new,
                  int flags);

int __wrap_renameat2(int from, const char *old, int to, const char *new,
                     unsigned flags) {
  errno = no_rename;
  return no_rename != 0 ? -1 : __real_renameat2(from, old, to, new, flags);
}

int __wrap_linkat(int from, const char *old, int to, const char *new,
                  int flags) {
  errno = no_link;
  return no_link != 0 ? -1 : __real_linkat(from, old, to, new, flags);
}

/* The file "x" with these five bytes, from the offer to the end. */
static void feed_whole(answers *t, const char *text) {
  cli_receiver_hooks hooks = {t, on_reply, on_progress, on_done, on_failed};
  uint8_t hash[32];

  cli_receiver_delete(t->r, CMT_EEOF, "gone");
  t->r = cli_receiver_new(&t->store, &hooks);
  t->store.bytes_left = QUOTA;
  crypto_hash_sha256(hash, (const uint8_t *)text, 5);
  assert_cmt(CMT_OK, feed(t, CLI_FILE_OFFER, 5, "x", 1));
  assert_cmt(CMT_OK, feed(t, CLI_FILE_DATA, 0, text, 5));
  if (t->taken) {
    close(openat(t->store.dir_fd, "x", O_WRONLY | O_CREAT | O_EXCL, 0600));
  }
  assert_cmt(CMT_OK, feed(t, CLI_FILE_END, 0, (const char *)hash, 32));
}

/* On exFAT, of FUSE, under a filter of calls: the file gets its name, and
   replaces no other. */
static void a_file_gets_its_name_on_any_file_system(void **state) {
  static const struct {
    int no_rename, no_link;
  } rows[] = {{0, 0},           {EINVAL, 0},      {ENOSYS, 0},
              {EINVAL, EPERM},  {ENOSYS, EPERM},  {EPERM, EPERM},
              {EINVAL, ENOSYS}, {EINVAL, EMLINK}, {ENOTSUP, EOPNOTSUPP}};
  answers *t = *state;
  struct stat st;

  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    no_rename = rows[i].no_rename;
    no_link = rows[i].no_link;
    t->taken = false;
    feed_whole(t, "hello");
    assert_int_equal(CLI_FILE_DONE, t->reply.type);
    assert_int_equal(0, fstatat(t->store.dir_fd, "x", &st, 0));
    assert_int_equal(5, st.st_size);
    unlinkat(t->store.dir_fd, "x", 0);
    t->taken = true;
    feed_whole(t, "other");
    assert_int_equal(CLI_REFUSED_EXISTS, t->reply.code);
    assert_int_equal(0, fstatat(t->store.dir_fd, "x", &st, 0));
    assert_int_equal(0, st.st_size);
    unlinkat(t->store.dir_fd, "x", 0);
  }
  no_rename = no_link = 0;
}

static void late_data_of_a_refused_file_are_dropped(void **state) {
  answers *t = *state;

  assert_cmt(CMT_OK, feed(t, CLI_FILE_OFFER, 5, "..", 2));
  assert_int_equal(t->reply.type, CLI_FILE_REFUSED);
  assert_int_equal(t->reply.code, CLI_REFUSED_NAME);
  assert_cmt(CMT_EINVAL, t->err);
  assert_cmt(CMT_OK, feed(t, CLI_FILE_DATA, 0, "hello", 5));
  assert_int_equal(t->replies, 1);
  assert_cmt(CMT_EPROTO, feed(t, CLI_FILE_OFFER, 5, "x", 1));
}

static void a_file_under_way_goes_with_the_peer(void **state) {
  answers *t = *state;
  cli_receiver_hooks hooks = {t, on_reply, on_progress, on_done, on_failed};
  cli_store nowhere;

  cli_store_init(&nowhere);
  assert_cmt(CMT_OK, feed(t, CLI_FILE_OFFER, 5, "x", 1));
  assert_cmt(CMT_OK, feed(t, CLI_FILE_DATA, 0, "he", 2));
  cli_receiver_delete(t->r, CMT_EEOF, "gone");
  assert_int_equal(t->failed, 1);
  assert_cmt(CMT_EEOF, t->err);
  t->r = cli_receiver_new(&nowhere, &hooks);
  assert_cmt(CMT_OK, feed(t, CLI_FILE_OFFER, 5, "x", 1));
  assert_int_equal(t->reply.code, CLI_REFUSED_NO_FILES);
}

/* Offers |size| bytes as the file |id|, named "x". */
static void offer(answers *t, cli_receiver *r, uint32_t id, uint64_t size) {
  cli_file_message m = {.type = CLI_FILE_OFFER,
                        .id = id,
                        .number = size,
                        .bytes = {(const uint8_t *)"x", 1}};

  t->err = CMT_OK;
  assert_cmt(CMT_OK, cli_receiver_feed(r, &m, 1));
}

static void the_quota_counts_what_is_under_way_and_stored(void **state) {
  answers *t = *state;
  cli_receiver_hooks hooks = {t, on_reply, on_progress, on_done, on_failed};
  cli_receiver *other = cli_receiver_new(&t->store, &hooks);
  uint8_t hash[32];

  crypto_hash_sha256(hash, (const uint8_t *)"hello!!", 7);
  offer(t, t->r, 1, QUOTA + 1);
  assert_int_equal(CLI_REFUSED_QUOTA, t->reply.code);
  assert_cmt(CMT_ELIMIT, t->err);
  offer(t, other, 1, 7);
  assert_int_equal(CLI_FILE_ACK, t->reply.type);
  assert_int_equal(QUOTA, t->store.bytes_left); /* Nothing has come. */
  assert_cmt(CMT_OK, feed_to(other, CLI_FILE_DATA, 0, "hello!!", 7));
  assert_int_equal(3, t->store.bytes_left);
  offer(t, t->r, 2, 4);
  assert_cmt(CMT_ELIMIT, t->err);
  offer(t, t->r, 3, 3);
  assert_cmt(CMT_OK, t->err);
  /* What is given up is free again, and what is stored is not. */
  cli_receiver_delete(other, CMT_EEOF, "gone");
  assert_int_equal(QUOTA, t->store.bytes_left);
  other = cli_receiver_new(&t->store, &hooks);
  cli_receiver_delete(t->r, CMT_EEOF, "gone");
  t->r = cli_receiver_new(&t->store, &hooks);
  offer(t, t->r, 1, 7);
  assert_cmt(CMT_OK, feed(t, CLI_FILE_DATA, 0, "hello!!", 7));
  assert_cmt(CMT_OK, feed(t, CLI_FILE_END, 0, (const char *)hash, 32));
  assert_int_equal(1, t->done);
  cli_receiver_delete(other, CMT_EEOF, "gone");
  assert_int_equal(QUOTA - 7, t->store.bytes_left);
}

static void an_offer_without_data_takes_nothing(void **state) {
  answers *t = *state;
  cli_receiver_hooks hooks = {t, on_reply, on_progress, on_done, on_failed};
  cli_receiver *other = cli_receiver_new(&t->store, &hooks);
  uint64_t files = t->store.files_left;

  offer(t, other, 1, QUOTA);
  offer(t, t->r, 1, QUOTA);
  assert_cmt(CMT_OK, t->err);
  assert_cmt(CMT_OK, feed(t, CLI_FILE_DATA, 0, "12345678", 8));
  assert_cmt(CMT_OK, feed_to(other, CLI_FILE_DATA, 0, "12", 2));
  assert_int_equal(0, t->store.bytes_left);
  /* The one that comes too late gives back what it has, for the other. */
  assert_cmt(CMT_OK, feed_to(other, CLI_FILE_DATA, 2, "3", 1));
  assert_int_equal(CLI_REFUSED_QUOTA, t->reply.code);
  assert_cmt(CMT_ELIMIT, t->err);
  assert_int_equal(2, t->store.bytes_left);
  assert_int_equal(files - 1, t->store.files_left);
  assert_cmt(CMT_OK, feed(t, CLI_FILE_DATA, 8, "90", 2));
  assert_int_equal(CLI_FILE_ACK, t->reply.type);
  cli_receiver_delete(other, CMT_EEOF, "gone");
}

static void the_number_of_files_is_bounded_too(void **state) {
  answers *t = *state;
  uint64_t bytes_left = t->store.bytes_left;

  assert_true(t->store.files_left > 0);
  t->store.files_left = 0;
  offer(t, t->r, 1, 0);
  assert_int_equal(CLI_REFUSED_QUOTA, t->reply.code);
  t->store.files_left = 1;
  offer(t, t->r, 2, 0);
  assert_cmt(CMT_OK, t->err);
  assert_int_equal(0, t->store.files_left);
  assert_int_equal(bytes_left, t->store.bytes_left);
}

static void half_of_the_free_space_is_the_quota(void **state) {
  answers *t = *state;
  struct statvfs now;
  cli_store s;

  cli_store_init(&s);
  assert_true(cli_store_open(&s, t->dir, 0));
  assert_int_equal(0, fstatvfs(s.dir_fd, &now));
  /* Others write to the file system meanwhile. */
  assert_true(s.bytes_left > 0 &&
              s.bytes_left < (uint64_t)now.f_blocks * now.f_frsize);
  cli_store_close(&s);
}

static void a_narrow_terminal_keeps_the_numbers(void **state) {
  static const cli_file_event file = {.file = "holiday-pictures-of-2024.tar",
                                      .done = 3 << 20,
                                      .size = 4 << 20,
                                      .rate = 2 << 20,
                                      .eta_s = 7};
  static const cli_liner_status lines = {.answered = 3, .last_ns = 257000};
  static const cli_liner_status no_lines = {0};
  static const struct {
    const cli_file_event *file;
    const cli_liner_status *lines;
    size_t width;
    const char *text;
  } cases[] = {
    {&file, &lines, 120,
     "holiday-pictures-of-2024 [##################      ]  75% 3.0 MiB 2.0 "
     "MiB/s eta 7 s | line 0.257 ms"},
    {&file, &lines, 79,
     "holiday-pictures [#########    ]  75% 3.0 MiB 2.0 MiB/s eta 7 s | "
     "line 0.257 ms"},
    {&file, &no_lines, 40, "holid  75% 3.0 MiB 2.0 MiB/s eta 7 s"},
    {&file, NULL, 12, " 75% 3.0 MiB"},
    {NULL, &lines, 79, "3 lines, 0.257 ms"},
    {NULL, &no_lines, 79, ""},
  };
  char line[CLI_PROGRESS_SIZE];

  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    int len =
      cli_progress_line(cases[i].file, cases[i].lines, cases[i].width, line);

    assert_string_equal(line, cases[i].text);
    assert_int_equal(len, strlen(line));
    assert_true(strlen(line) <= cases[i].width);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(durations_need_a_unit),
    cmocka_unit_test(numbers_are_whole_and_in_range),
    cmocka_unit_test(sizes_take_binary_units),
    cmocka_unit_test(channels_have_defaults_and_limits),
    cmocka_unit_test(file_messages_have_these_bytes),
    cmocka_unit_test(malformed_file_messages_are_refused),
    cmocka_unit_test(line_messages_have_these_bytes),
    cmocka_unit_test(names_are_one_component),
    cmocka_unit_test(percentiles_are_within_a_percent),
    cmocka_unit_test(errors_are_reported_by_their_last_name),
    cmocka_unit_test(a_narrow_terminal_keeps_the_numbers),
    cmocka_unit_test_setup_teardown(a_file_is_there_after_its_hash,
                                    receiver_setup, receiver_teardown),
    cmocka_unit_test_setup_teardown(a_file_gets_its_name_on_any_file_system,
                                    receiver_setup, receiver_teardown),
    cmocka_unit_test_setup_teardown(late_data_of_a_refused_file_are_dropped,
                                    receiver_setup, receiver_teardown),
    cmocka_unit_test_setup_teardown(a_file_under_way_goes_with_the_peer,
                                    receiver_setup, receiver_teardown),
    cmocka_unit_test_setup_teardown(
      the_quota_counts_what_is_under_way_and_stored, receiver_setup,
      receiver_teardown),
    cmocka_unit_test_setup_teardown(an_offer_without_data_takes_nothing,
                                    receiver_setup, receiver_teardown),
    cmocka_unit_test_setup_teardown(the_number_of_files_is_bounded_too,
                                    receiver_setup, receiver_teardown),
    cmocka_unit_test_setup_teardown(half_of_the_free_space_is_the_quota,
                                    receiver_setup, receiver_teardown),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
