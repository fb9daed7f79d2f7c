/* SPDX-License-Identifier: Apache-2.0 */

/* New homes: what is made, and that nothing is touched that was there. */

#include "home_user.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct fixture {
  test_home *t;
  char dir[300];
  cmt_home_init_options options;
  char seen[2048]; /* Each file, with "+" when it was made. */
} fixture;

static void on_file(void *arg, const char *path, bool made) {
  fixture *f = arg;
  size_t len = strlen(f->seen);

  assert_memory_equal(f->dir, path, strlen(f->dir));
  snprintf(f->seen + len, sizeof f->seen - len, "%s%s ", made ? "+" : "",
           path + strlen(f->dir) + 1);
}

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);
  void *t;

  assert_non_null(f);
  test_home_setup(&t);
  f->t = t;
  snprintf(f->dir, sizeof f->dir, "%s/a home", f->t->folder->name);
  f->t->options.dir = f->dir;
  cmt_home_init_options_init(&f->options);
  f->options.env = &f->t->env.env;
  f->options.dir = f->dir;
  f->options.on_file = on_file;
  f->options.arg = f;
  *state = f;
  return 0;
}

static void in_home(const fixture *f, const char *name, char *out, size_t cap) {
  snprintf(out, cap, "%s/%s", f->dir, name);
}

static int teardown(void **state) {
  static const char *const made[] = {"config/config.toml",
                                     "config/genesis.json",
                                     "config/node_key.json",
                                     "config.toml",
                                     "key.json",
                                     "config",
                                     "data"};
  fixture *f = *state;
  void *t = f->t;
  char path[600];

  for (size_t i = 0; i < CMT__COUNT(made); i++) {
    in_home(f, made[i], path, sizeof path);
    (void)remove(path);
  }
  (void)rmdir(f->dir); /* What is left fails the teardown of the folder. */
  test_home_teardown(&t);
  free(f);
  return 0;
}

static cmt_err init(fixture *f) {
  f->seen[0] = '\0';
  return cmt_home_init(&f->options, &f->t->why);
}

static unsigned mode_of(const fixture *f, const char *name) {
  char path[600];
  struct stat st;

  in_home(f, name, path, sizeof path);
  assert_int_equal(0, stat(path, &st));
  return st.st_mode & ALLPERMS;
}

static void everything_is_made_once(void **state) {
  fixture *f = *state;
  const cmt_home_settings *s;
  const char *chain_id, *again;
  cmt_node_id id, id_again;
  cmt_node_key *key;

  assert_cmt(CMT_OK, init(f));
  assert_string_equal(
    "+config/config.toml +config/genesis.json +config/node_key.json ", f->seen);
  assert_int_equal(0700, mode_of(f, "."));
  assert_int_equal(0700, mode_of(f, "config"));
  assert_int_equal(0700, mode_of(f, "data"));
  assert_int_equal(0644, mode_of(f, "config/config.toml"));
  assert_int_equal(0644, mode_of(f, "config/genesis.json"));
  assert_int_equal(0600, mode_of(f, "config/node_key.json"));
  assert_cmt(CMT_OK, test_home_open(f->t));
  assert_string_equal("", f->t->log);
  assert_cmt(CMT_OK, cmt_home_load_key(f->t->h, &key, NULL));
  cmt_node_key_get_id(key, &id);
  cmt_node_key_delete(key);
  assert_cmt(CMT_OK, cmt_home_load_chain_id(f->t->h, &chain_id, NULL));
  assert_memory_equal("test-chain-", chain_id, 11);
  assert_int_equal(17, strlen(chain_id));
  s = cmt_home_get_settings(f->t->h);
  assert_string_equal("tcp://0.0.0.0:26656", s->laddr);
  assert_int_equal(40, s->max_num_inbound_peers);
  assert_cmt(CMT_OK, init(f));
  assert_string_equal(
    "config/config.toml config/genesis.json config/node_key.json ", f->seen);
  assert_cmt(CMT_OK, test_home_open(f->t));
  assert_cmt(CMT_OK, cmt_home_load_key(f->t->h, &key, NULL));
  cmt_node_key_get_id(key, &id_again);
  cmt_node_key_delete(key);
  assert_string_equal(id.text, id_again.text);
  assert_cmt(CMT_OK, cmt_home_load_chain_id(f->t->h, &again, NULL));
}

/* The new file has the values that a home without one has. */
static void the_new_file_has_the_defaults(void **state) {
  fixture *f = *state;
  const cmt_home_settings *s;
  cmt_home *without;

  f->options.moniker = "m";
  assert_cmt(CMT_OK, init(f));
  f->t->options.dir = "/nonexistent";
  assert_cmt(CMT_OK, cmt_home_open(&f->t->options, &without, NULL));
  f->t->options.dir = f->dir;
  assert_cmt(CMT_OK, test_home_open(f->t));
  s = cmt_home_get_settings(f->t->h);
#define SAME(field)                                                            \
  assert_int_equal(cmt_home_get_settings(without)->field, s->field)
  SAME(log_json);
  SAME(addr_book_strict);
  SAME(pex);
  SAME(seed_mode);
  SAME(allow_duplicate_ip);
  SAME(max_num_inbound_peers);
  SAME(max_num_outbound_peers);
  SAME(max_packet_msg_payload_size);
  SAME(persistent_peers_max_dial_period_ns);
  SAME(send_rate);
  SAME(recv_rate);
  SAME(prometheus);
  SAME(prometheus_max_open_connections);
#undef SAME
  assert_string_equal(cmt_home_get_settings(without)->laddr, s->laddr);
  assert_string_equal(":26660", s->prometheus_listen_addr);
  assert_string_equal("m", s->moniker);
  cmt_home_delete(without);
}

static void values_are_written_with_escapes(void **state) {
  fixture *f = *state;
  const char *chain_id;

  f->options.moniker = "a \"b\" \\c";
  f->options.chain_id = "my \"chain\"";
  f->options.seeds = "0000000000000000000000000000000000000001@a.example:1";
  assert_cmt(CMT_OK, init(f));
  assert_cmt(CMT_OK, test_home_open(f->t));
  assert_string_equal("a \"b\" \\c", cmt_home_get_settings(f->t->h)->moniker);
  assert_int_equal(1, cmt_home_get_settings(f->t->h)->seed_count);
  assert_cmt(CMT_OK, cmt_home_load_chain_id(f->t->h, &chain_id, NULL));
  assert_string_equal("my \"chain\"", chain_id);
}

static void wrong_values_make_nothing(void **state) {
  fixture *f = *state;
  char seeds[4000];
  size_t len = 0;
  struct stat st;

  f->options.moniker = "\t";
  assert_cmt(CMT_EINVAL, init(f));
  assert_string_equal(
    "--moniker is '\\x09', allowed is 1 or more printable ASCII "
    "characters, not only spaces",
    f->t->why.text);
  f->options.moniker = NULL;
  f->options.chain_id = "";
  assert_cmt(CMT_EINVAL, init(f));
  assert_string_equal(
    "--chain-id is '', allowed is 1 to 50 printable ASCII characters",
    f->t->why.text);
  f->options.chain_id = NULL;
  f->options.seeds = "1.2.3.4:5";
  assert_cmt(CMT_EINVAL, init(f));
  assert_string_equal("--seeds is '1.2.3.4:5', allowed is ID@HOST:PORT, more "
                      "with commas (the id is missing, as in ID@HOST:PORT)",
                      f->t->why.text);
  for (size_t i = 0; i < 65; i++) { /* One more than an exchange takes. */
    len += (size_t)snprintf(seeds + len, sizeof seeds - len,
                            "%040zx@1.2.3.4:5,", i + 1);
  }
  f->options.seeds = seeds;
  assert_cmt(CMT_EINVAL, init(f));
  assert_string_equal("--seeds is '0000000000000000000000000000000000000041@"
                      "1.2.3.4:5', allowed is at most 64 addresses",
                      f->t->why.text);
  assert_int_equal(-1, stat(f->dir, &st));
  assert_cmt(CMT_EINVAL, cmt_home_init(NULL, NULL));
}

/* The files of a home that is there are made where its configuration says. */
static void a_home_that_is_there_is_completed(void **state) {
  fixture *f = *state;
  char path[600];

  assert_int_equal(0, mkdir(f->dir, 0755));
  in_home(f, "config.toml", path, sizeof path);
  test_write_file(path, "node_key_file = \"key.json\"\nnosuch = 1\n", 38);
  assert_cmt(CMT_OK, init(f));
  assert_string_equal("config.toml +config/genesis.json +key.json ", f->seen);
  test_assert_file(path, "node_key_file = \"key.json\"\nnosuch = 1\n");
  assert_int_equal(0755, mode_of(f, "."));
  assert_string_equal("", f->t->log); /* Who opens the home reads that. */
}

static void a_home_of_tenderseed_needs_no_genesis(void **state) {
  fixture *f = *state;
  char path[600];

  assert_int_equal(0, mkdir(f->dir, 0755));
  in_home(f, "config.toml", path, sizeof path);
  test_write_file(path, "chain_id = \"x\"\n", 15);
  assert_cmt(CMT_OK, init(f));
  assert_string_equal("config.toml +config/node_key.json ", f->seen);
}

static void a_file_in_the_way_is_named(void **state) {
  fixture *f = *state;
  char expected[600];

  test_write_file(f->dir, "x", 1);
  assert_cmt(CMT_EIO, init(f));
  snprintf(expected, sizeof expected, "cannot make '%s': Not a directory",
           f->dir);
  assert_string_equal(expected, f->t->why.text);
  assert_int_equal(0, unlink(f->dir));
  f->options.dir = "/nonexistent/home";
  assert_cmt(CMT_EIO, init(f));
  assert_string_equal("cannot make '/nonexistent/home': No such file or "
                      "directory",
                      f->t->why.text);
}

static void any_allocation_may_fail(void **state) {
  fixture *f = *state;
  test_env *t = &f->t->env;
  cmt_err err = CMT_ENOMEM;

  /* Each time a little more is made, and at last everything is there. */
  for (size_t i = 0; err != CMT_OK; i++) {
    assert_true(i < 200);
    t->allocs = 0;
    t->fail_at = i;
    err = init(f);
    assert_true(err == CMT_OK || err == CMT_ENOMEM);
    assert_int_equal(0, t->live);
  }
  t->fail_at = SIZE_MAX;
  assert_cmt(CMT_OK, init(f));
  assert_string_equal(
    "config/config.toml config/genesis.json config/node_key.json ", f->seen);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(everything_is_made_once),
    TEST(the_new_file_has_the_defaults),
    TEST(values_are_written_with_escapes),
    TEST(wrong_values_make_nothing),
    TEST(a_home_that_is_there_is_completed),
    TEST(a_home_of_tenderseed_needs_no_genesis),
    TEST(a_file_in_the_way_is_named),
    TEST(any_allocation_may_fail),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
