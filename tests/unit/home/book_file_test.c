/* SPDX-License-Identifier: Apache-2.0 */

/* The files of an address book: what CometBFT wrote, odd files, both files
   together, saves that fail, and saves on a thread. */

#include "book_user.h"
#include "folder.h"
#include "home/rfc3339.h"

#include <cometp2p/addrbook_file.h>

#include <fcntl.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOUR_NS CMT_SECONDS(3600)

typedef struct paths {
  const test_folder *folder;
  char main[300], side[300], broken[320], side_broken[320];
} paths;

static paths paths_of(void **state) {
  paths p = {.folder = *state};

  snprintf(p.main, sizeof p.main, "%s/addr book.json", p.folder->name);
  snprintf(p.side, sizeof p.side, "%s/addr book.cometp2p.json", p.folder->name);
  snprintf(p.broken, sizeof p.broken, "%s.broken", p.main);
  snprintf(p.side_broken, sizeof p.side_broken, "%s.broken", p.side);
  return p;
}

static char warning[1024];
static size_t warnings;

static void on_log(void *arg, cmt_log_level level, const char *module,
                   const char *line) {
  (void)arg;
  assert_string_equal(module, "addrbook");
  assert_true(level <= CMT_LOG_WARN);
  snprintf(warning, sizeof warning, "%s", line);
  warnings++;
}

static cmt_addrbook_file *open_file(test_env *env, const char *path) {
  cmt_addrbook_options o;
  cmt_addrbook_file *f;
  cmt_why why;

  warnings = 0;
  warning[0] = '\0';
  env->env.log = on_log;
  cmt_addrbook_options_init(&o);
  o.env = &env->env;
  o.allow_unroutable = true;
  if (cmt_addrbook_file_open(path, &o, BOOK_T0, &f, &why) != CMT_OK) {
    fail_msg("%s", why.text);
  }
  book_check(cmt_addrbook_file_book(f));
  return f;
}

static void save(cmt_addrbook_file *f) {
  cmt_why why;

  if (cmt_addrbook_file_save(f, BOOK_T0, &why) != CMT_OK) {
    fail_msg("%s", why.text);
  }
}

static cmt_addrbook_file_status status_of(const cmt_addrbook_file *f) {
  cmt_addrbook_file_status s;

  cmt_addrbook_file_get_status(f, &s);
  return s;
}

static char *read_text(const char *path, size_t *len) {
  FILE *file = fopen(path, "rb");
  char *text = malloc(1 << 20);

  assert_non_null(file);
  assert_non_null(text);
  *len = fread(text, 1, (1 << 20) - 1, file);
  text[*len] = '\0';
  fclose(file);
  return text;
}

static void copy_file(const char *from, const char *to) {
  size_t len;
  char *text = read_text(from, &len);

  test_write_file(to, text, len);
  free(text);
}

/* ---- books of CometBFT ---- */

static void sample_path(const char *name, char *out, size_t cap) {
  snprintf(out, cap, "%s/vectors/samples/%s", CMT_TESTS_DIR, name);
}

static void a_book_of_cometbft_comes_back_byte_for_byte(void **state) {
  paths p = paths_of(state);
  char sample[400], *before, *after;
  cmt_addrbook_file *f;
  size_t len;
  test_env env;

  test_env_init(&env);
  sample_path("addrbook.json", sample, sizeof sample);
  copy_file(sample, p.main);
  f = open_file(&env, p.main);
  assert_int_equal(warnings, 0);
  save(f);
  before = read_text(sample, &len);
  after = read_text(p.main, &len);
  assert_string_equal(after, before);
  free(before);
  free(after);
  cmt_addrbook_file_close(f);
  test_env_fini(&env);
}

static json_t *addrs_of(const char *path) {
  json_error_t error;
  json_t *root = json_load_file(path, 0, &error), *addrs;

  assert_non_null(root);
  addrs = json_incref(json_object_get(root, "addrs"));
  json_decref(root);
  return addrs;
}

static void check_same_members(const json_t *before, const json_t *after) {
  static const char *const members[] = {"addr", "src", "buckets", "attempts",
                                        "bucket_type"};
  static const char *const times[] = {"last_attempt", "last_success",
                                      "last_ban_time"};

  for (size_t k = 0; k < CMT__COUNT(members); k++) {
    assert_true(json_equal(json_object_get(before, members[k]),
                           json_object_get(after, members[k])));
  }
  for (size_t k = 0; k < CMT__COUNT(times); k++) {
    uint64_t a, b;

    assert_true(cmt__time_read(cmt_bytes_of(test_str(before, times[k])), &a));
    assert_true(cmt__time_read(cmt_bytes_of(test_str(after, times[k])), &b));
    assert_int_equal(a, b);
  }
}

/* Old entries, several buckets, IPv6, times with an offset. */
static void books_of_all_kinds_keep_them(void **state) {
  static const char *const names[] = {"addrbook.mixed.json",
                                      "addrbook.v0.40.0.json"};
  paths p = paths_of(state);

  for (size_t k = 0; k < CMT__COUNT(names); k++) {
    char sample[400];
    json_t *before, *after, *row;
    cmt_addrbook_file *f;
    test_env env;
    size_t i;

    test_env_init(&env);
    sample_path(names[k], sample, sizeof sample);
    copy_file(sample, p.main);
    f = open_file(&env, p.main);
    save(f);
    before = addrs_of(sample);
    after = addrs_of(p.main);
    assert_int_equal(json_array_size(before), json_array_size(after));
    json_array_foreach(before, i, row) {
      check_same_members(row, json_array_get(after, i));
    }
    json_decref(before);
    json_decref(after);
    cmt_addrbook_file_close(f);
    test_env_fini(&env);
  }
}

/* How an odd file of the vectors is taken here.  What CometBFT does not survive
   is kept as far as it has a usable address. */
static const struct {
  const char *name;
  size_t loaded, skipped;
  bool broken;
} odd[] = {
  {"addr null", 0, 1, false},
  {"src null", 1, 0, false},
  {"entry null", 0, 1, false},
  {"ip empty", 0, 1, false},
  {"ip missing", 0, 1, false},
  {"id bad", 0, 1, false},
  {"upper case keys", 1, 0, false},
  {"unroutable 0.0.0.0", 0, 1, false},
  {"same id twice", 1, 0, false},
  {"buckets empty", 1, 0, false},
  {"buckets missing", 1, 0, false},
  {"bucket 256", 1, 0, false},
  {"bucket -1", 1, 0, false},
  {"bucket_type 3", 1, 0, false},
  {"attempts negative", 1, 0, false},
  {"attempts over int32", 1, 0, false},
  {"port negative", 0, 1, false},
  {"time as number", 1, 0, false},
  {"ipv6 mapped", 1, 0, false},
  {"five new buckets", 1, 0, false},
  {"old in two buckets", 1, 0, false},
  {"empty file", 0, 0, true},
  {"empty object", 0, 0, false},
  {"null", 0, 0, false},
  {"addrs null", 0, 0, false},
  {"no json", 0, 0, true},
  {"bom", 0, 0, true},
  {"key number", 0, 0, false},
  {"trailing", 0, 0, false},
};

static void check_odd(const paths *p, const json_t *row, size_t i) {
  const char *text = test_str(row, "file");
  cmt_addrbook_file *f;
  test_env env;

  test_env_init(&env);
  assert_string_equal(test_str(row, "name"), odd[i].name);
  test_write_file(p->main, text, strlen(text));
  f = open_file(&env, p->main);
  assert_int_equal(status_of(f).loaded, odd[i].loaded);
  assert_int_equal(status_of(f).skipped, odd[i].skipped);
  assert_int_equal(access(p->broken, F_OK) == 0, odd[i].broken);
  assert_int_equal(access(p->main, F_OK) == 0, !odd[i].broken);
  assert_int_equal(warnings, odd[i].broken + (odd[i].skipped > 0));
  save(f);
  cmt_addrbook_file_close(f);
  f = open_file(&env, p->main);
  assert_int_equal(status_of(f).loaded, odd[i].loaded);
  assert_int_equal(warnings, 0);
  /* An empty key would be no key. */
  assert_true(strlen(cmt_addrbook_file_book(f)->file_key) > 0);
  cmt_addrbook_file_close(f);
  test_env_fini(&env);
}

static void odd_files_are_taken_as_far_as_they_go(void **state) {
  json_t *root = test_vectors("addrbook_cases.json"), *row;
  paths p = paths_of(state);
  size_t i;

  json_array_foreach(json_object_get(root, "load"), i, row) {
    assert_true(i < CMT__COUNT(odd));
    check_odd(&p, row, i);
    test_folder_empty(p.folder);
  }
  assert_int_equal(i, CMT__COUNT(odd));
  json_decref(root);
}

static void a_cut_file_keeps_what_it_has(void **state) {
  paths p = paths_of(state);
  char sample[400], *text;
  cmt_addrbook_file *f;
  size_t len;
  test_env env;

  test_env_init(&env);
  sample_path("addrbook.json", sample, sizeof sample);
  text = read_text(sample, &len);
  test_write_file(p.main, text, len - 40);
  f = open_file(&env, p.main);
  assert_int_equal(status_of(f).loaded, 1);
  assert_non_null(strstr(warning, "is no JSON from byte"));
  assert_non_null(strstr(warning, "1 entries before that are kept"));
  assert_string_equal(cmt_addrbook_file_book(f)->file_key,
                      "c5a82fa93bd2b57f6e934cf2");
  assert_int_equal(access(p.broken, F_OK), 0);
  /* It stands in no file now, so it is due at once, and then not again. */
  assert_true(cmt_addrbook_file_is_due(f, BOOK_T0));
  assert_cmt(CMT_OK, cmt_addrbook_file_save(f, BOOK_T0, NULL));
  assert_false(cmt_addrbook_file_is_due(f, BOOK_T0 + HOUR_NS));
  assert_int_equal(access(p.main, F_OK), 0);
  free(text);
  cmt_addrbook_file_close(f);
  test_env_fini(&env);
}

/* ---- both files ---- */

/* A book with everything that the second file holds. */
static void fill(cmt_addrbook_file *f) {
  book_user u = {.b = cmt_addrbook_file_book(f)};
  const cmt_net_addr anchors[] = {book_node(3),
                                  book_node_at(0x600, "2a02:1::1", 7)};
  cmt_addrbook_proof p;
  cmt_addrbook_ban ban;
  cmt_net_addr src = book_node(0xffff);

  for (uint32_t i = 1; i <= 30; i++) {
    cmt_net_addr a = book_node(i), other = book_node_at(i, "77.7.7.7", 9);

    book_add(&u, &a, &src, BOOK_T0);
    if (i % 2 == 0) {
      cmt_addrbook_proof_init(&p);
      p.addr = &a;
      p.version = "1.0 \"x\\";
      p.height = 1000 + i;
      assert_cmt(CMT_OK, cmt_addrbook_proved(u.b, &p, BOOK_T0 + i));
    }
    if (i % 4 == 0) {
      cmt_addrbook_good(u.b, &a.id, BOOK_T0 + i);
    }
    if (i % 6 == 0) {
      cmt_addrbook_failed(u.b, &a.id, BOOK_T0 + HOUR_NS);
    }
    if (i % 5 == 1) {
      book_add(&u, &other, &src, BOOK_T0);
    }
  }
  for (int kind = 1; kind <= 3; kind++) {
    cmt_addrbook_ban_init(&ban);
    ban.addr = book_node(0x500u + (uint32_t)kind);
    ban.kind = (cmt_addrbook_ban_kind)kind;
    ban.end_ns = BOOK_T0 + CMT_ADDRBOOK_WRONG_NS;
    assert_cmt(CMT_OK, cmt_addrbook_bar(u.b, &ban, BOOK_T0));
  }
  cmt_addrbook_set_anchors(u.b, anchors, 2);
}

static void check_same_entry(const cmt_addrbook_entry *e,
                             const cmt_addrbook_entry *f) {
  assert_int_equal(e->kind, f->kind);
  assert_int_equal(e->attempts, f->attempts);
  assert_string_equal(e->addr.host, f->addr.host);
  assert_string_equal(e->src.host, f->src.host);
  assert_int_equal(e->last_attempt_ns, f->last_attempt_ns);
  assert_int_equal(e->last_success_ns, f->last_success_ns);
  assert_int_equal(e->proven_ns, f->proven_ns);
  assert_int_equal(e->tried_ns, f->tried_ns);
  assert_int_equal(e->height, f->height);
  assert_int_equal(e->height_ns, f->height_ns);
  assert_string_equal(e->version, f->version);
  assert_int_equal(e->reliable, f->reliable);
  assert_int_equal(e->bucket_count, f->bucket_count);
  assert_memory_equal(e->buckets, f->buckets,
                      e->bucket_count * sizeof *e->buckets);
  for (size_t i = 0; i < CMT_ADDRBOOK_WINDOWS; i++) {
    assert_float_equal(e->count[i], f->count[i], 2e-6);
    assert_float_equal(e->success[i], f->success[i], 2e-6);
  }
  assert_int_equal(e->other_count, f->other_count);
  for (size_t i = 0; i < e->other_count; i++) {
    assert_string_equal(e->others[i].host, f->others[i].host);
  }
}

static void check_same_anchors(const cmt_addrbook *a, const cmt_addrbook *b) {
  cmt_net_addr of_a[CMT_ADDRBOOK_ANCHORS_MAX], of_b[CMT_ADDRBOOK_ANCHORS_MAX];
  size_t count = cmt_addrbook_anchors(a, of_a, CMT_ADDRBOOK_ANCHORS_MAX);

  assert_int_equal(count,
                   cmt_addrbook_anchors(b, of_b, CMT_ADDRBOOK_ANCHORS_MAX));
  for (size_t i = 0; i < count; i++) {
    assert_string_equal(of_a[i].id.text, of_b[i].id.text);
    assert_string_equal(of_a[i].host, of_b[i].host);
    assert_int_equal(of_a[i].port, of_b[i].port);
  }
}

static void check_same(cmt_addrbook *a, cmt_addrbook *b) {
  cmt_addrbook_snapshot *s;
  cmt_addrbook_entry e, f;
  size_t i = 0;

  assert_cmt(CMT_OK, cmt_addrbook_snapshot_new(a, &s));
  for (; cmt_addrbook_snapshot_get(s, i, &e); i++) {
    assert_true(cmt_addrbook_get(b, &e.addr.id, &f));
    check_same_entry(&e, &f);
  }
  assert_int_equal(i, b->count);
  cmt_addrbook_snapshot_delete(s);
  check_same_anchors(a, b);
}

static void both_files_hold_the_whole_book(void **state) {
  paths p = paths_of(state);
  cmt_addrbook_file *f, *g;
  cmt_addrbook *a, *b;
  cmt_net_addr barred;
  struct stat st;
  test_env env;

  test_env_init(&env);
  f = open_file(&env, p.main);
  fill(f);
  save(f);
  g = open_file(&env, p.main);
  assert_int_equal(warnings, 0);
  a = cmt_addrbook_file_book(f);
  b = cmt_addrbook_file_book(g);
  check_same(a, b);
  assert_memory_equal(a->hash_key, b->hash_key, sizeof a->hash_key);
  assert_string_equal(a->file_key, b->file_key);
  assert_int_equal(b->ban_count, 3);
  assert_int_equal(a->anchors.count, 2);
  assert_int_equal(b->fates[CMT_ADDRBOOK_FATE_WRONG_NETWORK], 0);
  assert_int_equal(a->fates[CMT_ADDRBOOK_FATE_WRONG_NETWORK], 1);
  barred = book_node(0x503);
  assert_true(cmt_addrbook_is_barred(b, &barred, BOOK_T0));
  barred.port++;
  assert_false(cmt_addrbook_is_barred(b, &barred, BOOK_T0));
  assert_int_equal(stat(p.main, &st), 0);
  assert_int_equal(st.st_mode & 0777, 0644);
  assert_int_equal(stat(p.side, &st), 0);
  assert_int_equal(st.st_mode & 0777, 0600);
  cmt_addrbook_file_close(f);
  cmt_addrbook_file_close(g);
  assert_int_equal(test_folder_empty(p.folder), 2);
  test_env_fini(&env);
}

static void the_second_file_may_be_deleted(void **state) {
  paths p = paths_of(state);
  cmt_addrbook_file *f;
  cmt_addrbook_entry e;
  cmt_net_addr a = book_node(4);
  test_env env;

  test_env_init(&env);
  f = open_file(&env, p.main);
  fill(f);
  save(f);
  cmt_addrbook_file_close(f);
  assert_int_equal(unlink(p.side), 0);
  f = open_file(&env, p.main);
  assert_int_equal(warnings, 0);
  assert_int_equal(status_of(f).loaded, 30);
  assert_true(cmt_addrbook_get(cmt_addrbook_file_book(f), &a.id, &e));
  assert_int_equal(e.kind, CMT_ADDRBOOK_OLD);
  assert_int_equal(e.proven_ns, 0);
  cmt_addrbook_file_close(f);
  /* A broken one is moved aside alone. */
  test_write_file(p.side, "{\"entries\":[", 12);
  f = open_file(&env, p.main);
  assert_int_equal(warnings, 1);
  assert_int_equal(status_of(f).loaded, 30);
  assert_int_equal(access(p.side_broken, F_OK), 0);
  cmt_addrbook_file_close(f);
  test_env_fini(&env);
}

/* A Go node wrote the book meanwhile: without node 4, with node 6 at another
   address, and with a node that we never saw. */
static void the_book_of_a_go_node_wins_for_existence(void **state) {
  static const char go[] =
    "{\"key\":\"aa\",\"addrs\":["
    "{\"addr\":{\"id\":\"0000000000000000000000000000000000000006\","
    "\"ip\":\"66.6.6.6\",\"port\":6},\"src\":null,\"buckets\":[7],"
    "\"attempts\":2,\"bucket_type\":1},"
    "{\"addr\":{\"id\":\"0000000000000000000000000000000000000777\","
    "\"ip\":\"67.6.6.6\",\"port\":7},\"src\":null,\"buckets\":[8],"
    "\"bucket_type\":1}]}";
  cmt_net_addr gone = book_node(4), moved = book_node(6);
  paths p = paths_of(state);
  cmt_addrbook_file *f;
  cmt_addrbook_entry e;
  cmt_addrbook *b;
  test_env env;

  test_env_init(&env);
  f = open_file(&env, p.main);
  fill(f);
  save(f);
  cmt_addrbook_file_close(f);
  test_write_file(p.main, go, strlen(go));
  f = open_file(&env, p.main);
  b = cmt_addrbook_file_book(f);
  assert_int_equal(b->count, 2);
  assert_false(cmt_addrbook_has(b, &gone.id));
  assert_true(cmt_addrbook_get(b, &moved.id, &e));
  assert_string_equal(e.addr.host, moved.host);
  assert_int_equal(e.proven_ns, BOOK_T0 + 6);
  assert_int_equal(e.attempts, 2);
  assert_string_equal(e.others[0].host, "66.6.6.6");
  assert_string_equal(b->file_key, "aa");
  cmt_addrbook_file_close(f);
  test_env_fini(&env);
}

/* ---- saves ---- */

static void a_save_is_due(void **state) {
  cmt_net_addr src = book_node(1), a = book_node(2);
  paths p = paths_of(state);
  cmt_addrbook_file *f;
  book_user u;
  test_env env;

  test_env_init(&env);
  f = open_file(&env, p.main);
  u.b = cmt_addrbook_file_book(f);
  assert_false(cmt_addrbook_file_is_due(f, BOOK_T0 + HOUR_NS));
  book_add(&u, &a, &src, BOOK_T0);
  assert_false(cmt_addrbook_file_is_due(f, BOOK_T0 + CMT_SECONDS(119)));
  assert_true(cmt_addrbook_file_is_due(f, BOOK_T0 + CMT_SECONDS(120)));
  assert_cmt(CMT_OK,
             cmt_addrbook_file_save_begin(f, BOOK_T0 + CMT_SECONDS(120)));
  assert_false(cmt_addrbook_file_is_due(f, BOOK_T0 + HOUR_NS));
  assert_cmt(CMT_OK, cmt_addrbook_file_wait(f, NULL));
  assert_int_equal(status_of(f).saved_ns, BOOK_T0 + CMT_SECONDS(120));
  /* The clock was set back. */
  cmt_addrbook_attempt(u.b, &a.id, BOOK_T0);
  assert_true(cmt_addrbook_file_is_due(f, BOOK_T0));
  save(f);
  for (uint32_t i = 0; i < 250; i++) {
    assert_false(cmt_addrbook_file_is_due(f, BOOK_T0 + 1));
    a = book_node(0x1000 + 0x100 * i);
    src = book_node(0x10000 * (i % 200) + 1);
    book_add(&u, &a, &src, BOOK_T0);
  }
  assert_true(cmt_addrbook_file_is_due(f, BOOK_T0 + 1));
  cmt_addrbook_file_close(f);
  test_env_fini(&env);
}

static void a_save_that_fails_leaves_the_file(void **state) {
  paths p = paths_of(state);
  char moved[300], *before, *after;
  cmt_addrbook_file *f;
  cmt_why why;
  size_t len;
  test_env env;

  test_env_init(&env);
  snprintf(moved, sizeof moved, "%s.moved", p.folder->name);
  f = open_file(&env, p.main);
  fill(f);
  save(f);
  before = read_text(p.main, &len);
  /* The folder of the file is not there, so nothing can be written. */
  assert_int_equal(rename(p.folder->name, moved), 0);
  warnings = 0;
  for (int i = 0; i < 3; i++) {
    assert_cmt(CMT_EIO, cmt_addrbook_file_save(f, BOOK_T0, &why));
  }
  assert_non_null(strstr(why.text, "address book '"));
  assert_non_null(strstr(why.text, "addr book.json': No such file"));
  assert_int_equal(warnings, 1); /* Not again, as long as it is the same. */
  assert_int_equal(status_of(f).failures, 3);
  assert_true(cmt_addrbook_file_is_due(f, BOOK_T0 + CMT_SECONDS(120)));
  assert_int_equal(rename(moved, p.folder->name), 0);
  after = read_text(p.main, &len);
  assert_string_equal(after, before);
  save(f);
  assert_cmt(CMT_OK, status_of(f).last.err);
  free(before);
  free(after);
  cmt_addrbook_file_close(f);
  test_env_fini(&env);
}

static void files_that_are_none_are_refused(void **state) {
  paths p = paths_of(state);
  cmt_addrbook_file *f;
  cmt_why why;

  assert_int_equal(mkdir(p.main, 0700), 0);
  assert_cmt(CMT_EIO, cmt_addrbook_file_open(p.main, NULL, 0, &f, &why));
  assert_null(f);
  assert_non_null(strstr(why.text, "is not a regular file"));
  assert_int_equal(rmdir(p.main), 0);
  test_write_file(p.main, "", 0);
  assert_int_equal(truncate(p.main, 64 * 1024 * 1024 + 1), 0);
  assert_cmt(CMT_EIO, cmt_addrbook_file_open(p.main, NULL, 0, &f, &why));
  assert_non_null(strstr(why.text, "is larger than 64 MiB"));
  assert_cmt(CMT_EINVAL, cmt_addrbook_file_open("", NULL, 0, &f, &why));
  assert_non_null(strstr(why.text, "the path of the address book is empty"));
}

/* What a killed process left is removed when it is old. */
/* A key, a genesis, a state: a save would replace it. */
static void a_file_of_something_else_stays(void **state) {
  static const char *const texts[] = {
    "{\"priv_key\":{\"type\":\"tendermint/PrivKeyEd25519\",\"value\":\"\"}}",
    "{\"chain_id\":\"c\",\"x\":[{\"addrs\":[]}]}",
    "{\"height\":\"0\",\"round\":0,\"step\"",
  };
  paths p = paths_of(state);
  char expected[500];
  cmt_addrbook_file *f;
  cmt_why why;

  snprintf(expected, sizeof expected,
           "address book '%s': is the file of something else: it has neither "
           "addrs nor key",
           p.main);
  for (size_t i = 0; i < CMT__COUNT(texts); i++) {
    test_write_file(p.main, texts[i], strlen(texts[i]));
    assert_int_equal(CMT_EINVAL,
                     cmt_addrbook_file_open(p.main, NULL, BOOK_T0, &f, &why));
    assert_string_equal(expected, why.text);
    test_assert_file(p.main, texts[i]);
  }
}

static void stale_temporary_files_go(void **state) {
  paths p = paths_of(state);
  const struct timespec old[2] = {{.tv_sec = 1000000}, {.tv_sec = 1000000}};
  char stale[400], fresh[400], other[400];
  test_env env;

  test_env_init(&env);
  snprintf(stale, sizeof stale, "%s/.addr book.json-0123456789abcdef.tmp",
           p.folder->name);
  snprintf(fresh, sizeof fresh, "%s/.addr book.json-0123456789abcde0.tmp",
           p.folder->name);
  snprintf(other, sizeof other, "%s/.addr book.json-0123456789abcdeg.tmp",
           p.folder->name);
  test_write_file(stale, "x", 1);
  test_write_file(fresh, "x", 1);
  test_write_file(other, "x", 1);
  assert_int_equal(utimensat(AT_FDCWD, stale, old, 0), 0);
  assert_int_equal(utimensat(AT_FDCWD, other, old, 0), 0);
  cmt_addrbook_file_close(open_file(&env, p.main));
  assert_int_equal(access(stale, F_OK), -1);
  assert_int_equal(access(fresh, F_OK), 0);
  assert_int_equal(access(other, F_OK), 0);
  test_env_fini(&env);
}

/* ---- threads ---- */

static sem_t begun, go_on;
static atomic_int blocking;

/* Holds the thread of a save, which draws the name of its file. */
static void hold(void *arg, void *out, size_t len) {
  (void)arg;
  memset(out, 0x55, len);
  if (atomic_exchange(&blocking, 0) != 0) {
    sem_post(&begun);
    sem_wait(&go_on);
  }
}

static void a_save_under_way_is_of_its_own_time(void **state) {
  cmt_net_addr src = book_node(1), a = book_node(2), late = book_node(3);
  paths p = paths_of(state);
  cmt_addrbook_options o;
  cmt_addrbook_file *f;
  cmt_addrbook *b;
  cmt_env env;
  test_env plain;

  sem_init(&begun, 0, 0);
  sem_init(&go_on, 0, 0);
  assert_cmt(CMT_OK, cmt_env_init(&env));
  env.entropy = hold;
  cmt_addrbook_options_init(&o);
  o.env = &env;
  assert_cmt(CMT_OK, cmt_addrbook_file_open(p.main, &o, BOOK_T0, &f, NULL));
  b = cmt_addrbook_file_book(f);
  assert_cmt(CMT_OK, cmt_addrbook_add(b, &a, &src, BOOK_T0));
  atomic_store(&blocking, 1);
  assert_cmt(CMT_OK, cmt_addrbook_file_save_begin(f, BOOK_T0));
  sem_wait(&begun);
  assert_true(status_of(f).saving);
  assert_cmt(CMT_EBUSY, cmt_addrbook_file_save_begin(f, BOOK_T0));
  assert_cmt(CMT_OK, cmt_addrbook_add(b, &late, &src, BOOK_T0));
  assert_true(cmt_addrbook_file_is_due(f, BOOK_T0 + CMT_SECONDS(120)));
  sem_post(&go_on);
  assert_cmt(CMT_OK, cmt_addrbook_file_wait(f, NULL));
  assert_false(status_of(f).saving);
  cmt_addrbook_file_close(f);
  test_env_init(&plain);
  f = open_file(&plain, p.main);
  assert_true(cmt_addrbook_has(cmt_addrbook_file_book(f), &a.id));
  assert_false(cmt_addrbook_has(cmt_addrbook_file_book(f), &late.id));
  cmt_addrbook_file_close(f);
  test_env_fini(&plain);
}

/* Nobody waits for it, and the book does not change any more. */
static void a_failed_save_on_its_thread_is_seen_and_due(void **state) {
  paths p = paths_of(state);
  char moved[300];
  test_env env;
  cmt_addrbook_file *f;

  test_env_init(&env);
  snprintf(moved, sizeof moved, "%s.moved", p.folder->name);
  f = open_file(&env, p.main);
  fill(f);
  save(f);
  assert_int_equal(status_of(f).saves, 1);
  assert_int_equal(0, rename(p.folder->name, moved));
  fill(f);
  assert_cmt(CMT_OK, cmt_addrbook_file_save_begin(f, BOOK_T0));
  while (status_of(f).saving) {
    sched_yield();
  }
  assert_int_equal(status_of(f).failures, 1);
  assert_int_equal(status_of(f).saves, 1);
  assert_cmt(CMT_EIO, status_of(f).last.err);
  assert_false(cmt_addrbook_file_is_due(f, BOOK_T0 + CMT_SECONDS(119)));
  assert_true(cmt_addrbook_file_is_due(f, BOOK_T0 + CMT_SECONDS(120)));
  assert_int_equal(0, rename(moved, p.folder->name));
  assert_cmt(CMT_OK,
             cmt_addrbook_file_save_begin(f, BOOK_T0 + CMT_SECONDS(120)));
  while (status_of(f).saving) {
    sched_yield();
  }
  assert_int_equal(status_of(f).failures, 1);
  assert_int_equal(status_of(f).saves, 2);
  assert_int_equal(status_of(f).saved_ns, BOOK_T0 + CMT_SECONDS(120));
  assert_cmt(CMT_OK, status_of(f).last.err);
  assert_false(cmt_addrbook_file_is_due(f, BOOK_T0 + HOUR_NS));
  cmt_addrbook_file_close(f);
  test_env_fini(&env);
}

/* ---- memory ---- */

static void lack_of_memory_is_reported(void **state) {
  paths p = paths_of(state);
  bool failed = true;
  test_env env;
  cmt_addrbook_file *f;

  test_env_init(&env);
  f = open_file(&env, p.main);
  fill(f);
  save(f);
  cmt_addrbook_file_close(f);
  for (size_t i = 0; failed; i++) {
    cmt_addrbook_options o;
    cmt_err err;

    test_env_fini(&env);
    test_env_init(&env);
    cmt_addrbook_options_init(&o);
    o.env = &env.env;
    env.fail_at = i;
    err = cmt_addrbook_file_open(p.main, &o, BOOK_T0, &f, NULL);
    if (err == CMT_OK) {
      err = cmt_addrbook_file_save(f, BOOK_T0, NULL);
      cmt_addrbook_file_close(f);
    }
    failed = env.allocs > i;
    assert_true(err == CMT_OK || err == CMT_ENOMEM);
  }
  test_env_fini(&env);
  /* Every attempt left a whole book. */
  test_env_init(&env);
  f = open_file(&env, p.main);
  assert_int_equal(status_of(f).loaded, 30);
  cmt_addrbook_file_close(f);
  test_env_fini(&env);
}

#define WITH_FOLDER(f)                                                         \
  cmocka_unit_test_setup_teardown(f, test_folder_setup, test_folder_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    WITH_FOLDER(a_book_of_cometbft_comes_back_byte_for_byte),
    WITH_FOLDER(books_of_all_kinds_keep_them),
    WITH_FOLDER(odd_files_are_taken_as_far_as_they_go),
    WITH_FOLDER(a_cut_file_keeps_what_it_has),
    WITH_FOLDER(both_files_hold_the_whole_book),
    WITH_FOLDER(the_second_file_may_be_deleted),
    WITH_FOLDER(the_book_of_a_go_node_wins_for_existence),
    WITH_FOLDER(a_save_is_due),
    WITH_FOLDER(a_save_that_fails_leaves_the_file),
    WITH_FOLDER(files_that_are_none_are_refused),
    WITH_FOLDER(a_file_of_something_else_stays),
    WITH_FOLDER(stale_temporary_files_go),
    WITH_FOLDER(a_save_under_way_is_of_its_own_time),
    WITH_FOLDER(a_failed_save_on_its_thread_is_seen_and_due),
    WITH_FOLDER(lack_of_memory_is_reported),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
