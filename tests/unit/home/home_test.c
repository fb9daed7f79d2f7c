/* SPDX-License-Identifier: Apache-2.0 */

/* Homes: what overrides what, where files lie, files of other programs, the
   chain id, the options of a switch, and memory that runs out. */

#include "home_user.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ID1 "0000000000000000000000000000000000000001"
#define ID2 "abababababababababababababababababababab"

/* "DIR/NAME" of the home. */
static const char *path_of(const test_home *t, const char *name) {
  static char path[600];

  snprintf(path, sizeof path, "%s/%s", t->folder->name, name);
  return path;
}

static void make_folder(const test_home *t, const char *name) {
  assert_int_equal(0, mkdir(path_of(t, name), 0700));
}

static void remove_files(const test_home *t, const char *const *names) {
  for (; *names != NULL; names++) {
    assert_int_equal(0, remove(path_of(t, *names)));
  }
}

/* ---- precedence ---- */

static void each_source_overrides_the_next(void **state) {
  static const char *const variables[] = {
    "CMT_MONIKER=cometbft", "CMT_P2P_LADDR=tcp://127.0.0.1:2",
    "GAIAD_MONIKER=gaiad",  "CMTP2P_SEEDS=" ID1 "@1.1.1.1:1",
    "CMT_P2P_SEEDS=broken", "CMT_LOG_LEVEL=debug",
    "GAIAD_LOG_LEVEL=",     NULL};
  cmt_home_value values[] = {{.key = "p2p.laddr", .value = "127.0.0.1:3"}};
  test_home *t = *state;
  const cmt_home_settings *s;

  t->options.environment = variables;
  t->options.env_prefix = "GAIAD";
  t->options.values = values;
  t->options.value_count = 1;
  s = test_home_opens(t, "moniker = \"file\"\n[p2p]\nladdr = \"127.0.0.1:1\"\n"
                         "pex = false\n");
  assert_string_equal("127.0.0.1:3", s->laddr);
  assert_string_equal("gaiad", s->moniker);
  assert_string_equal("debug", s->log_level);
  assert_int_equal(1, s->seed_count);
  assert_false(s->pex);
  assert_int_equal(40, s->max_num_inbound_peers);
}

/* The name of a daemon is a prefix too: it is written as Go writes it. */
static void a_prefix_may_be_the_name_of_a_daemon(void **state) {
  static const char *const variables[] = {"CMT_MONIKER=cometbft",
                                          "MY_CHAIN_D_MONIKER=daemon", NULL};
  test_home *t = *state;

  t->options.environment = variables;
  t->options.env_prefix = "my-chain.d";
  assert_string_equal("daemon", test_home_opens(t, "")->moniker);
}

/* Keys of ours have the same sources, and by default serve all. */
static void what_a_seed_serves_is_configured(void **state) {
  static const char *const variables[] = {"CMT_P2P_SEED_VERSION=0.38.", NULL};
  test_home *t = *state;
  const cmt_home_settings *s = test_home_opens(t, "");

  assert_int_equal(0, s->seed_min_height);
  assert_string_equal("", s->seed_version);
  t->options.environment = variables;
  s = test_home_opens(t, "[p2p]\nseed_min_height = 22000000\n"
                         "seed_version = \"1.\"\n");
  assert_int_equal(22000000, s->seed_min_height);
  assert_string_equal("0.38.", s->seed_version);
  assert_string_equal("", t->log);
}

static void without_a_file_there_are_defaults(void **state) {
  test_home *t = *state;
  const cmt_home_settings *s;
  char host[256];

  assert_cmt(CMT_OK, test_home_open(t));
  s = cmt_home_get_settings(t->h);
  assert_int_equal(sizeof *s, s->size);
  assert_int_equal(0, gethostname(host, sizeof host));
  assert_string_equal(host, s->moniker);
  assert_string_equal("", s->config_file);
  assert_string_equal(path_of(t, "config/genesis.json"), s->genesis_file);
  assert_string_equal(path_of(t, "config/node_key.json"), s->node_key_file);
  assert_string_equal(path_of(t, "config/addrbook.json"), s->addr_book_file);
  assert_null(s->seeds);
  assert_null(s->unconditional_peer_ids);
  assert_false(s->tenderseed || s->log_json || s->prometheus);
  assert_true(s->tx_index);
}

static void the_upper_file_is_read_first(void **state) {
  static const char *const made[] = {"config/config.toml", "config", NULL};
  test_home *t = *state;

  make_folder(t, "config");
  test_home_write(t, "config/config.toml", "moniker = \"inner\"\n");
  assert_cmt(CMT_OK, test_home_open(t));
  assert_string_equal("inner", cmt_home_get_settings(t->h)->moniker);
  assert_string_equal(path_of(t, "config/config.toml"),
                      cmt_home_get_settings(t->h)->config_file);
  assert_string_equal("upper",
                      test_home_opens(t, "moniker = \"upper\"\n")->moniker);
  remove_files(t, made);
}

static void a_file_that_is_named_has_to_be_there(void **state) {
  static const char *const made[] = {"other.toml", NULL};
  test_home *t = *state;

  t->options.config_file = "other.toml";
  assert_cmt(CMT_EIO, test_home_open(t));
  assert_non_null(strstr(t->why.text, "other.toml': No such file"));
  test_home_write(t, "other.toml", "moniker = \"other\"\n");
  assert_string_equal("other",
                      test_home_opens(t, "moniker = \"upper\"\n")->moniker);
  assert_string_equal(path_of(t, "other.toml"),
                      cmt_home_get_settings(t->h)->config_file);
  remove_files(t, made);
}

static void paths_begin_at_the_home_or_the_root(void **state) {
  const cmt_home_settings *s =
    test_home_opens(*state, "genesis_file = \"/g.json\"\n"
                            "node_key_file = \"keys/n.json\"\n");

  assert_string_equal("/g.json", s->genesis_file);
  assert_string_equal(path_of(*state, "keys/n.json"), s->node_key_file);
}

static void lists_are_read(void **state) {
  test_home *t = *state;
  const cmt_home_settings *s = test_home_opens(
    t, "[p2p]\nseeds = \" tcp://" ID1 "@a.example:1 ,, " ID1
       "@a.example:1,  " ID2 "@[::1]:2\"\n"
       "persistent_peers = \"" ID1 "@1.2.3.4:5\"\n"
       "unconditional_peer_ids = \"ABABABABABABABABABABABABABABABABABABABAB\"\n"
       "private_peer_ids = \"" ID1 "," ID2 "\"\n");

  assert_int_equal(2, s->seed_count);
  assert_string_equal("a.example", s->seeds[0].host);
  assert_string_equal("::1", s->seeds[1].host);
  assert_int_equal(1, s->persistent_peer_count);
  assert_int_equal(5, s->persistent_peers[0].port);
  assert_int_equal(1, s->unconditional_peer_id_count);
  assert_string_equal(ID2, s->unconditional_peer_ids[0].text);
  assert_int_equal(2, s->private_peer_id_count);
}

/* Nothing of a node looks at these. */
static void items_that_do_not_matter_are_left_out(void **state) {
  test_home *t = *state;
  const cmt_home_settings *s;
  char expected[900];

  assert_cmt(
    CMT_OK, test_home_open_with(t, "[p2p]\npex = false\nseeds = \"x," ID1
                                   "@1.1.1.1:1\"\nprivate_peer_ids = \"y\"\n"));
  s = cmt_home_get_settings(t->h);
  assert_int_equal(1, s->seed_count);
  assert_null(s->private_peer_ids);
  snprintf(
    expected, sizeof expected,
    "warn: %s/config.toml:3: p2p.seeds has 'x', which is left out: the id "
    "is missing, as in ID@HOST:PORT\n"
    "warn: %s/config.toml:4: p2p.private_peer_ids has 'y', which is "
    "left out: it is not an id of 40 hex digits\n",
    t->folder->name, t->folder->name);
  assert_string_equal(expected, t->log);
}

static void left_out_items_name_their_option(void **state) {
  test_home *t = *state;
  cmt_home_value value = {
    .key = "p2p.private_peer_ids", .value = "y", .name = "--private"};

  t->options.values = &value;
  t->options.value_count = 1;
  assert_cmt(CMT_OK, test_home_open(t));
  assert_string_equal("warn: --private has 'y', which is left out: it is not "
                      "an id of 40 hex digits\n",
                      t->log);
}

static void durations_are_those_of_go(void **state) {
  static const struct {
    const char *text;
    uint64_t ns;
  } rows[] = {
    {"0", 0},
    {"0s", 0},
    {"+7ns", 7},
    {"1.5us", 1500},
    {"2\xc2\xb5s", 2000},
    {"3\xce\xbcs", 3000},
    {".25ms", 250000},
    {"1.s", 1000000000},
    {"1h2m3.5s", 3723500000000},
    {"0.000000001h", 3600},
    {"0.9999999999s", 999999999},
    {"1.9ns", 1},
    {"1m1m", 120000000000},
    {"9223372036854775807ns", INT64_MAX},
    {"2562047h47m16.854775807s", INT64_MAX},
  };
  static const char *const wrong[] = {"",
                                      "s",
                                      ".s",
                                      "1",
                                      "1 s",
                                      "-1s",
                                      "1d",
                                      "1.2.3s",
                                      "1S",
                                      "1h-1m",
                                      "9223372036854775808ns",
                                      "2562047h47m16.854775808s",
                                      "99999999999999999999s"};
  test_home *t = *state;
  cmt_home_value value = {.key = "p2p.persistent_peers_max_dial_period"};

  t->options.values = &value;
  t->options.value_count = 1;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    value.value = rows[i].text;
    assert_cmt(CMT_OK, test_home_open(t));
    assert_int_equal(
      rows[i].ns,
      cmt_home_get_settings(t->h)->persistent_peers_max_dial_period_ns);
  }
  for (size_t i = 0; i < CMT__COUNT(wrong); i++) {
    value.value = wrong[i];
    assert_cmt(CMT_EINVAL, test_home_open(t));
  }
}

static void numbers_are_those_of_go(void **state) {
  static const struct {
    const char *text;
    uint64_t number;
  } rows[] = {{"", 0},     {"0x10", 16}, {"0b101", 5},    {"0o17", 15},
              {"017", 15}, {"+5", 5},    {"1_000", 1000}, {"0X_ff", 255}};
  static const char *const wrong[] = {"1 ",  " 1",   "1.5", "0x",   "08", "--1",
                                      "+-1", "1__0", "_1",  "0x-1", "1e3"};
  test_home *t = *state;
  cmt_home_value value = {.key = "p2p.send_rate"};

  t->options.values = &value;
  t->options.value_count = 1;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    value.value = rows[i].text;
    assert_cmt(CMT_OK, test_home_open(t));
    assert_int_equal(rows[i].number, cmt_home_get_settings(t->h)->send_rate);
  }
  for (size_t i = 0; i < CMT__COUNT(wrong); i++) {
    value.value = wrong[i];
    assert_cmt(CMT_EINVAL, test_home_open(t));
  }
}

/* ---- other programs ---- */

static const char tenderseed[] = "# path to address book\n"
                                 "addr_book_file = \"data/addrbook.json\"\n"
                                 "addr_book_strict = false\n"
                                 "chain_id = \"cosmoshub-4\"\n"
                                 "laddr = \"tcp://0.0.0.0:6969\"\n"
                                 "log_level = \"error\"\n"
                                 "max_num_inbound_peers = 1000\n"
                                 "max_packet_msg_payload_size = 1024\n"
                                 "node_key_file = \"config/node_key.json\"\n"
                                 "seeds = \"" ID1 "@1.2.3.4:26656\"\n";

static void files_of_tenderseed_are_read(void **state) {
  test_home *t = *state;
  const cmt_home_settings *s = test_home_opens(t, tenderseed);
  const char *chain_id;

  assert_true(s->tenderseed && s->seed_mode && s->allow_duplicate_ip);
  assert_string_equal("tcp://0.0.0.0:6969", s->laddr);
  assert_string_equal(path_of(t, "data/addrbook.json"), s->addr_book_file);
  assert_false(s->addr_book_strict);
  assert_int_equal(1000, s->max_num_inbound_peers);
  assert_int_equal(60, s->max_num_outbound_peers);
  assert_int_equal(1, s->seed_count);
  assert_string_equal("error", s->log_level);
  assert_cmt(CMT_OK, cmt_home_load_chain_id(t->h, &chain_id, &t->why));
  assert_string_equal("cosmoshub-4", chain_id);
}

static void mistakes_there_have_the_names_of_the_file(void **state) {
  test_home *t = *state;
  char expected[600];

  assert_cmt(CMT_EINVAL,
             test_home_open_with(t, "laddr = \"tcp://1.2.3.4:1\"\n"
                                    "max_num_inbound_peers = -1\n"));
  snprintf(expected, sizeof expected,
           "%s/config.toml:2: max_num_inbound_peers is -1, allowed is a number "
           "from 0 to 65535",
           t->folder->name);
  assert_string_equal(expected, t->why.text);
  assert_cmt(CMT_OK, test_home_open_with(t, "laddr = \"tcp://1.2.3.4:1\"\n"
                                            "seed = \"\"\n"));
  snprintf(expected, sizeof expected,
           "warn: %s/config.toml:2: seed is not known and has no effect; did "
           "you mean seeds?\n",
           t->folder->name);
  assert_string_equal(expected, t->log);
}

/* ---- the chain id ---- */

static const char *chain_id_of(test_home *t) {
  const char *chain_id = NULL;

  if (cmt_home_load_chain_id(t->h, &chain_id, &t->why) != CMT_OK) {
    assert_null(chain_id);
    return t->why.text;
  }
  return chain_id;
}

static void the_chain_id_is_that_of_the_first_file(void **state) {
  static const char *const made[] = {"config/client.toml", "config/app.toml",
                                     "config", NULL};
  test_home *t = *state;
  cmt_home_value value = {.key = "chain_id", .value = "given-1"};
  char expected[600];

  assert_cmt(CMT_OK, test_home_open(t));
  snprintf(expected, sizeof expected,
           "genesis file '%s/config/genesis.json': No such file or directory",
           t->folder->name);
  assert_string_equal(expected, chain_id_of(t));
  make_folder(t, "config");
  test_home_write(t, "config/app.toml", "chain-id = \"wrong-1\"\n");
  test_home_write(t, "config/client.toml",
                  "chain-id = \"theta-1\"\nnode = \"tcp://localhost:26657\"\n");
  assert_string_equal("theta-1", chain_id_of(t));
  test_home_write(t, "config/genesis.json", "{\"chain_id\":\"genesis-1\"}");
  assert_string_equal("theta-1", chain_id_of(t)); /* It is read once. */
  assert_cmt(CMT_OK, test_home_open(t));
  assert_string_equal("genesis-1", chain_id_of(t));
  t->options.values = &value;
  t->options.value_count = 1;
  assert_cmt(CMT_OK, test_home_open(t));
  assert_string_equal("given-1", chain_id_of(t));
  assert_int_equal(0, remove(path_of(t, "config/genesis.json")));
  remove_files(t, made);
}

static void a_home_without_a_chain_id_says_where_it_looked(void **state) {
  static const char *const made[] = {"config/client.toml", "config", NULL};
  test_home *t = *state;
  char expected[600];

  make_folder(t, "config");
  test_home_write(t, "config/client.toml", "chain-id = \"\"\n");
  assert_cmt(CMT_OK, test_home_open(t));
  snprintf(expected, sizeof expected,
           "file '%s/config/client.toml': has no chain-id, and there is no "
           "genesis.json",
           t->folder->name);
  assert_string_equal(expected, chain_id_of(t));
  for (size_t i = 0; i < 2; i++) {
    test_home_write(t, "config/client.toml",
                    i == 0 ? "chain-id = 5\n" : "chain-id = \"a\\u0000b\"\n");
    snprintf(expected, sizeof expected,
             "file '%s/config/client.toml': chain-id is none, allowed are 1 to "
             "50 printable ASCII characters in quotes",
             t->folder->name);
    assert_string_equal(expected, chain_id_of(t));
  }
  test_home_write(t, "config/client.toml", "chain-id =\n");
  snprintf(expected, sizeof expected,
           "file '%s/config/client.toml': the value is missing",
           t->folder->name);
  assert_string_equal(expected, chain_id_of(t));
  test_home_write(t, "config/genesis.json", "{\"chain_id\":7}");
  snprintf(
    expected, sizeof expected,
    "genesis file '%s/config/genesis.json': chain_id is no text, allowed "
    "is a text of 1 to 50 characters",
    t->folder->name);
  assert_string_equal(expected, chain_id_of(t));
  assert_int_equal(0, remove(path_of(t, "config/genesis.json")));
  remove_files(t, made);
}

/* ---- the key ---- */

static void the_key_is_that_of_the_file(void **state) {
  test_home *t = *state;
  char *text = test_sample("node_key.seed11.json");
  cmt_node_key *key;
  cmt_node_id id;

  test_home_write(t, "key.json", text);
  test_home_opens(t, "node_key_file = \"key.json\"\n");
  assert_cmt(CMT_OK, cmt_home_load_key(t->h, &key, &t->why));
  cmt_node_key_get_id(key, &id);
  assert_string_equal("10ba682c8ad13513971e8b56881aab8bd702bb80", id.text);
  cmt_node_key_delete(key);
  free(text);
}

/* ---- switches ---- */

static void a_switch_gets_what_the_home_configures(void **state) {
  test_home *t = *state;
  cmt_switch_options o;

  test_home_opens(t, "moniker = \"m\"\n[p2p]\nladdr = \"tcp://1.2.3.4:5\"\n"
                     "max_num_inbound_peers = 0\nmax_num_outbound_peers = 3\n"
                     "persistent_peers = \"" ID1 "@1.1.1.1:1\"\n"
                     "unconditional_peer_ids = \"" ID1 "\"\n"
                     "max_packet_msg_payload_size = 10240\n"
                     "send_rate = 0\nrecv_rate = 20000000000\n");
  cmt_switch_options_init(&o);
  cmt_home_set_switch(t->h, &o);
  assert_string_equal("m", o.moniker);
  assert_string_equal("tcp://1.2.3.4:5", o.laddr);
  assert_null(o.external_address);
  assert_null(o.network);
  assert_int_equal(CMT_NO_PEERS, o.inbound_peers_max);
  assert_int_equal(1, o.inbound_peers_per_ip_max);
  assert_int_equal(3 + 1 + 8, o.outbound_peers_max);
  assert_int_equal(1, o.unconditional_count);
  assert_int_equal(10240, o.send_packet_payload_max);
  assert_int_equal(10240, o.recv_packet_payload_max);
  assert_int_equal(0, o.send_rate);
  assert_int_equal(CMT_RATE_MAX, o.recv_rate);
  test_home_opens(t, "[p2p]\nmax_packet_msg_payload_size = 100\n"
                     "allow_duplicate_ip = true\n");
  cmt_home_set_switch(t->h, &o);
  assert_int_equal(100, o.send_packet_payload_max);
  assert_int_equal(CMT_PACKET_PAYLOAD_RECV, o.recv_packet_payload_max);
  assert_int_equal(CMT_NO_LIMIT, o.inbound_peers_per_ip_max);
}

static void all_addresses_are_those_of_both_families(void **state) {
  static const struct {
    const char *config, *laddr, *announced;
  } rows[] = {
    {"", "[::]:26656", "tcp://0.0.0.0:26656"},
    {"[p2p]\nladdr = \"0.0.0.0:7\"\n", "[::]:7", "0.0.0.0:7"},
    {"[p2p]\nladdr = \"tcp://0.0.0.0:0\"\n", "[::]:0", NULL},
    {"[p2p]\nladdr = \"tcp://[::]:7\"\n", "tcp://[::]:7", NULL},
    {"[p2p]\nladdr = \"tcp://127.0.0.1:7\"\n", "tcp://127.0.0.1:7", NULL},
    {"[p2p]\nexternal_address = \"a.example:8\"\n", "[::]:26656",
     "a.example:8"},
  };
  test_home *t = *state;
  cmt_switch_options o;

  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    test_home_opens(t, rows[i].config);
    cmt_switch_options_init(&o);
    cmt_home_set_switch(t->h, &o);
    assert_string_equal(rows[i].laddr, o.laddr);
    if (rows[i].announced == NULL) {
      assert_null(o.external_address);
    } else {
      assert_string_equal(rows[i].announced, o.external_address);
    }
  }
}

/* ---- memory ---- */

static void any_allocation_may_fail(void **state) {
  static const char *const variables[] = {"CMT_MONIKER=m", NULL};
  cmt_home_value value = {.key = "p2p.laddr", .value = "127.0.0.1:3"};
  test_home *t = *state;
  size_t total;

  t->options.environment = variables;
  t->options.values = &value;
  t->options.value_count = 1;
  test_home_opens(t, "[p2p]\nseeds = \"" ID1 "@1.2.3.4:1\"\nprivate_peer_ids = "
                     "\"" ID1 "\"\nunconditional_peer_ids = \"" ID1
                     "\"\npersistent_peers = \"" ID1 "@1.2.3.4:1\"\n");
  t->env.allocs = 0;
  assert_cmt(CMT_OK, test_home_open(t));
  total = t->env.allocs;
  for (size_t i = 0; i < total; i++) {
    cmt_home_delete(t->h);
    t->h = NULL;
    t->env.allocs = 0;
    t->env.fail_at = i;
    assert_cmt(CMT_ENOMEM, cmt_home_open(&t->options, &t->h, &t->why));
    assert_cmt(CMT_ENOMEM, t->why.err);
    assert_null(t->h);
    assert_int_equal(0, t->env.live);
  }
  t->env.fail_at = SIZE_MAX;
}

#define TEST(name)                                                             \
  cmocka_unit_test_setup_teardown(name, test_home_setup, test_home_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(each_source_overrides_the_next),
    TEST(a_prefix_may_be_the_name_of_a_daemon),
    TEST(what_a_seed_serves_is_configured),
    TEST(without_a_file_there_are_defaults),
    TEST(the_upper_file_is_read_first),
    TEST(a_file_that_is_named_has_to_be_there),
    TEST(paths_begin_at_the_home_or_the_root),
    TEST(lists_are_read),
    TEST(items_that_do_not_matter_are_left_out),
    TEST(left_out_items_name_their_option),
    TEST(durations_are_those_of_go),
    TEST(numbers_are_those_of_go),
    TEST(files_of_tenderseed_are_read),
    TEST(mistakes_there_have_the_names_of_the_file),
    TEST(the_chain_id_is_that_of_the_first_file),
    TEST(a_home_without_a_chain_id_says_where_it_looked),
    TEST(the_key_is_that_of_the_file),
    TEST(a_switch_gets_what_the_home_configures),
    TEST(all_addresses_are_those_of_both_families),
    TEST(any_allocation_may_fail),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
