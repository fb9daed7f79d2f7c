/* SPDX-License-Identifier: Apache-2.0 */

/* Mistakes that people make in config.toml: each yields one line with the file,
   the line, the key, what was found, and what is allowed. */

#include "home_user.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NUMBER_OF_PEERS "a number from 0 to 65535"
#define DURATION "a duration of 0 or more, such as 100ms, 10s or 1h30m"
#define ADDRESSES "allowed is ID@HOST:PORT, more with commas"
#define OWN_FILE "allowed is a file of its own, and no other one of the home"
#define ID "0000000000000000000000000000000000000001"

/* A file, and the line about it behind the path of the file. */
typedef struct mistake {
  const char *config, *text;
} mistake;

static const mistake mistakes[] = {
  /* The form of the file. */
  {"moniker = node\n", "1: 'node' is no value: text needs quotes"},
  {"moniker = \"node\n", "1: the string has no closing \""},
  {"\nmoniker = 'node\n", "2: the string has no closing '"},
  {"moniker \"node\"\n", "1: 'moniker' has no = behind it"},
  {"moniker = \"a\" \"b\"\n", "1: '\"b\"' where the line should end"},
  {"moniker =\n", "1: the value is missing"},
  {"[p2p\nseeds = \"\"\n", "1: the name of a table has no closing ]"},
  {"[p2p]\n[rpc]\n[p2p]\n", "3: 'p2p' is already defined, in line 1"},
  {"[p2p]\npex = true\npex = false\n",
   "3: 'pex' is already defined, in line 2"},
  {"moniker = \"a\"\nMoniker = \"b\"\n",
   "2: 'Moniker' is already defined, in line 1"},
  {"moniker = \"C:\\node\\x\"\n",
   "1: a backslash in a string must be followed by one of b t n f r \" \\ u U"},
  {"[p2p]\nseeds = [\"a\"\n", "2: the list has no closing ]"},
  {"moniker = \"\xff\"\n", "1: the byte 0xff is not UTF-8"},
  {"= 1\n", "1: expected a key, found '='"},
  {"p2p = 1\n", "1: p2p is a value, allowed is the table [p2p]"},
  {"[[p2p]]\n", "1: p2p is a list, allowed is the table [p2p]"},
  /* Values of the base section. */
  {"moniker = \"\"\n", "1: moniker is '', allowed is 1 or more printable ASCII "
                       "characters, not only spaces"},
  {"moniker = \"\xc3\xbc\"\n",
   "1: moniker is '\\xc3\\xbc', allowed is 1 or more printable ASCII "
   "characters, not only spaces"},
  {"moniker = \"a\\u0000b\"\n",
   "1: moniker is 'a\\x00b', allowed is a text without the character 0"},
  {"moniker = [1]\n", "1: moniker is a list, allowed is a text in quotes"},
  {"moniker = 1979-05-27\n",
   "1: moniker is 1979-05-27, allowed is a text in quotes"},
  {"log_level = \"loud\"\n",
   "1: log_level is 'loud', allowed is debug, info, warn, error or none, or a "
   "list such as p2p:debug,*:error"},
  {"log_level = \"info,p2p:debug\"\n",
   "1: log_level is 'info,p2p:debug', allowed is debug, info, warn, error or "
   "none, or a list such as p2p:debug,*:error"},
  {"log_format = \"xml\"\n",
   "1: log_format is 'xml', allowed is plain or json"},
  {"node_key_file = \"\"\n", "1: node_key_file is '', allowed is a path"},
  {"filter_peers = \"yes\"\n",
   "1: filter_peers is 'yes', allowed is true or false"},
  /* Values of [p2p]. */
  {"[p2p]\nladdr = \"0.0.0.0\"\n",
   "2: p2p.laddr is '0.0.0.0', allowed is tcp://IP:PORT, and all addresses are "
   "0.0.0.0 (the port is missing)"},
  {"[p2p]\nladdr = \"tcp://:26656\"\n",
   "2: p2p.laddr is 'tcp://:26656', allowed is tcp://IP:PORT, and all "
   "addresses "
   "are 0.0.0.0 (the host is empty)"},
  {"[p2p]\nladdr = \"tcp://host:26656\"\n",
   "2: p2p.laddr is 'tcp://host:26656', allowed is tcp://IP:PORT, and all "
   "addresses are 0.0.0.0 (the host is a name)"},
  {"[p2p]\nladdr = \"tcp://1.2.3.4:66000\"\n",
   "2: p2p.laddr is 'tcp://1.2.3.4:66000', allowed is tcp://IP:PORT, and all "
   "addresses are 0.0.0.0 (the port is over 65535)"},
  {"[p2p]\nexternal_address = \"" ID "@1.2.3.4:1\"\n",
   "2: p2p.external_address is '" ID
   "@1.2.3.4:1', allowed is HOST:PORT, or nothing (there is an id where none "
   "belongs)"},
  {"[p2p]\nseeds = \"" ID "@1.2.3.4\"\n",
   "2: p2p.seeds has '" ID "@1.2.3.4', " ADDRESSES " (the port is missing)"},
  {"[p2p]\npersistent_peers = \"" ID "@1.2.3.4:1 " ID "@1.2.3.5:1\"\n",
   "2: p2p.persistent_peers has '" ID "@1.2.3.4:1 " ID "@1.2....', " ADDRESSES
   " (there is more than one '@')"},
  {"[p2p]\npersistent_peers = \"" ID "@1.2.3.4:1;" ID "@1.2.3.5:1\"\n",
   "2: p2p.persistent_peers has '" ID "@1.2.3.4:1;" ID "@1.2....', " ADDRESSES
   " (there is more than one '@')"},
  {"[p2p]\npersistent_peers = \"\"\"" ID "@1.2.3.4:1,\n" ID
   "@1.2.3.5:1\"\"\"\n",
   "2: p2p.persistent_peers has '\\x0a" ID "@1.2.3.5:1', " ADDRESSES
   " (the id is not 40 hex digits)"},
  {"[p2p]\npersistent_peers = \"10ba682c@1.2.3.4:1\"\n",
   "2: p2p.persistent_peers has '10ba682c@1.2.3.4:1', " ADDRESSES
   " (the id is not 40 hex digits)"},
  {"[p2p]\nunconditional_peer_ids = \"" ID "@1.2.3.4:1\"\n",
   "2: p2p.unconditional_peer_ids has '" ID
   "@1.2.3.4:1', allowed is an id of 40 hex digits, more with commas"},
  {"[p2p]\nmax_num_inbound_peers = -1\n",
   "2: p2p.max_num_inbound_peers is -1, allowed is " NUMBER_OF_PEERS},
  {"[p2p]\nmax_num_inbound_peers = 65536\n",
   "2: p2p.max_num_inbound_peers is 65536, allowed is " NUMBER_OF_PEERS},
  {"[p2p]\nmax_num_outbound_peers = \"ten\"\n",
   "2: p2p.max_num_outbound_peers is 'ten', allowed is " NUMBER_OF_PEERS},
  {"[p2p]\npersistent_peers_max_dial_period = \"1d\"\n",
   "2: p2p.persistent_peers_max_dial_period is '1d', allowed is " DURATION},
  {"[p2p]\nflush_throttle_timeout = \"100\"\n",
   "2: p2p.flush_throttle_timeout is '100', allowed is " DURATION},
  {"[p2p]\nhandshake_timeout = -20\n",
   "2: p2p.handshake_timeout is -20, allowed is " DURATION},
  {"[p2p]\nmax_packet_msg_payload_size = 0\n",
   "2: p2p.max_packet_msg_payload_size is 0, allowed is a number from 16 to "
   "65536"},
  {"[p2p]\nsend_rate = \"5MB\"\n",
   "2: p2p.send_rate is '5MB', allowed is a number of bytes per second, or 0"},
  {"[p2p]\nrecv_rate = 99999999999999999999\n",
   "2: the number 99999999999999999999 has more than 63 bits"},
  /* What C would skip, or not see, behind it. */
  {"[p2p]\nmax_num_inbound_peers = \"\\t5\"\n",
   "2: p2p.max_num_inbound_peers is '\\x095', allowed is " NUMBER_OF_PEERS},
  {"[p2p]\nmax_num_inbound_peers = \"-\\t-5\"\n",
   "2: p2p.max_num_inbound_peers is '-\\x09-5', allowed is " NUMBER_OF_PEERS},
  {"[p2p]\nmax_num_inbound_peers = \"0x0x5\"\n",
   "2: p2p.max_num_inbound_peers is '0x0x5', allowed is " NUMBER_OF_PEERS},
  {"[p2p]\nmax_num_inbound_peers = \"1\\u00002\"\n",
   "2: p2p.max_num_inbound_peers is '1\\x002', allowed is " NUMBER_OF_PEERS},
  {"[p2p]\npex = \"true\\u0000\"\n",
   "2: p2p.pex is 'true\\x00', allowed is true or false"},
  {"[p2p]\nhandshake_timeout = \"1s\\u0000m\"\n",
   "2: p2p.handshake_timeout is '1s\\x00m', allowed is " DURATION},
  /* A save of the book would replace these. */
  {"[p2p]\naddr_book_file = \"config.toml\"\n",
   "2: p2p.addr_book_file is 'config.toml', " OWN_FILE},
  {"[p2p]\naddr_book_file = \"./config.toml\"\n",
   "2: p2p.addr_book_file is './config.toml', " OWN_FILE},
  {"[p2p]\naddr_book_file = \"config/genesis.json\"\n",
   "2: p2p.addr_book_file is 'config/genesis.json', " OWN_FILE},
  {"node_key_file = \"x\"\n[p2p]\naddr_book_file = \"x\"\n",
   "3: p2p.addr_book_file is 'x', " OWN_FILE},
  {"[p2p]\npex = 2\n", "2: p2p.pex is 2, allowed is true or false"},
  {"[p2p]\nseed_mode = on\n", "2: 'on' is no value: text needs quotes"},
  {"[p2p]\nseed_min_height = -1\n",
   "2: p2p.seed_min_height is -1, allowed is a height, or 0 for any"},
  {"[p2p]\nseed_version = \"0.38.0123456789012345678\"\n",
   "2: p2p.seed_version is '0.38.0123456789012345678', allowed is up to 23 "
   "bytes, what the version begins with"},
  {"[p2p.libp2p]\nenabled = true\n", "2: p2p.libp2p.enabled is true, allowed "
                                     "is false: cometp2p speaks CometBFT's "
                                     "own protocol, and not that of libp2p"},
  /* Values of [instrumentation]. */
  {"[instrumentation]\nprometheus = \"ja\"\n",
   "2: instrumentation.prometheus is 'ja', allowed is true or false"},
  {"[instrumentation]\nprometheus_listen_addr = \"26660\"\n",
   "2: instrumentation.prometheus_listen_addr is '26660', allowed is :PORT or "
   "IP:PORT (the port is missing)"},
  {"[instrumentation]\nnamespace = \"my-chain\"\n",
   "2: instrumentation.namespace is 'my-chain', allowed is letters, digits and "
   "underscores, no digit in front"},
  {"[instrumentation]\nmax_open_connections = 1e99\n",
   "2: instrumentation.max_open_connections is 1e99, allowed is a number from "
   "0 "
   "to 4294967295"},
};

static void each_mistake_is_one_line(void **state) {
  test_home *t = *state;
  char expected[600];

  assert_true(CMT__COUNT(mistakes) >= 40);
  for (size_t i = 0; i < CMT__COUNT(mistakes); i++) {
    assert_cmt(CMT_EINVAL, test_home_open_with(t, mistakes[i].config));
    assert_null(t->h);
    snprintf(expected, sizeof expected, "%s/config.toml:%s", t->folder->name,
             mistakes[i].text);
    assert_string_equal(expected, t->why.text);
    assert_cmt(CMT_EINVAL, t->why.err);
    assert_string_equal("", t->log);
  }
}

/* What a switch takes. */
static void there_are_at_most_256_unconditional_peers(void **state) {
  static char config[12000];
  test_home *t = *state;
  size_t len = (size_t)snprintf(config, sizeof config,
                                "[p2p]\nunconditional_peer_ids = \"");

  for (int i = 0; i < 256; i++) {
    len += (size_t)snprintf(config + len, sizeof config - len, "%040d,", i);
  }
  snprintf(config + len, sizeof config - len, "\"\n");
  assert_int_equal(256,
                   test_home_opens(t, config)->unconditional_peer_id_count);
  snprintf(config + len, sizeof config - len, "%040d\"\n", 256);
  assert_cmt(CMT_EINVAL, test_home_open_with(t, config));
  assert_non_null(strstr(t->why.text, "256', allowed is at most 256 ids"));
}

/* |count| addresses, or ids, in one value of [p2p]. */
static void write_list(char *out, size_t cap, const char *key, unsigned count,
                       const char *behind) {
  size_t len = (size_t)snprintf(out, cap, "[p2p]\n%s = \"", key);

  for (unsigned i = 0; i < count; i++) {
    len += (size_t)snprintf(out + len, cap - len, "%s%040x%s", i > 0 ? "," : "",
                            i + 1, behind);
  }
  assert_true(snprintf(out + len, cap - len, "\"\n") == 2);
}

static void lists_have_no_more_than_an_exchange_takes(void **state) {
  static const struct {
    const char *key;
    unsigned most;
    const char *behind, *refused;
  } rows[] = {
    {"seeds", 64, "@1.2.3.4:5",
     "/config.toml:2: p2p.seeds has '0000000000000000000000000000000000000041@"
     "1.2.3.4:5', allowed is at most 64 addresses"},
    {"persistent_peers", 256, "@1.2.3.4:5",
     "/config.toml:2: p2p.persistent_peers has "
     "'0000000000000000000000000000000000000101@1.2.3.4:5', allowed is at most "
     "256 addresses"},
    {"private_peer_ids", 4096, "",
     "/config.toml:2: p2p.private_peer_ids has "
     "'0000000000000000000000000000000000001001', allowed is at most 4096 "
     "ids"},
  };
  test_home *t = *state;
  static char text[200000];

  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    size_t len;

    write_list(text, sizeof text, rows[i].key, rows[i].most, rows[i].behind);
    assert_cmt(CMT_OK, test_home_open_with(t, text));
    write_list(text, sizeof text, rows[i].key, rows[i].most + 1,
               rows[i].behind);
    assert_cmt(CMT_EINVAL, test_home_open_with(t, text));
    assert_string_equal(rows[i].refused, t->why.text + strlen(t->folder->name));
    len = strlen(text);
    snprintf(text + len, sizeof text - len, "pex = false\n");
    assert_cmt(CMT_OK, test_home_open_with(t, text));
  }
}

static void further_mistakes_are_logged(void **state) {
  test_home *t = *state;
  const char *text = "log_format = 1\n[p2p]\npex = 2\nseed_mode = 2\n";
  char expected[1200];

  assert_cmt(CMT_EINVAL, test_home_open_with(t, text));
  assert_non_null(strstr(t->why.text, ":1: log_format is 1, allowed"));
  snprintf(expected, sizeof expected,
           "error: %s/config.toml:3: p2p.pex is 2, allowed is true or false\n"
           "error: %s/config.toml:4: p2p.seed_mode is 2, allowed is true or "
           "false\n",
           t->folder->name, t->folder->name);
  assert_string_equal(expected, t->log);
}

/* ---- names ---- */

/* A file with a name that nobody knows, and the name that is meant. */
static const struct {
  const char *config, *unknown, *near;
} misspelled[] = {
  {"[p2p]\nseed = \"\"\n", "2: p2p.seed", "p2p.seeds"},
  {"[p2p]\nexternal-address = \"\"\n", "2: p2p.external-address",
   "p2p.external_address"},
  {"[p2p]\nmax_inbound_peers = 1\n", "2: p2p.max_inbound_peers",
   "p2p.max_num_inbound_peers"},
  {"[p2p]\nmoniker = \"x\"\n", "2: p2p.moniker", "moniker"},
  {"monicker = \"x\"\n", "1: monicker", "moniker"},
  {"seed_mode = true\n", "1: seed_mode", "p2p.seed_mode"},
  {"[p2]\nseeds = \"\"\n", "1: p2", "p2p"},
  {"[instrumentation]\nname_space = \"x\"\n", "2: instrumentation.name_space",
   "instrumentation.namespace"},
  {"[p2p]\nbootstrap-peers = \"\"\n", "2: p2p.bootstrap-peers", NULL},
  {"frobnicate = 1\n", "1: frobnicate", NULL},
};

static void unknown_names_are_warned_of(void **state) {
  test_home *t = *state;
  char expected[600], hint[100];

  for (size_t i = 0; i < CMT__COUNT(misspelled); i++) {
    assert_cmt(CMT_OK, test_home_open_with(t, misspelled[i].config));
    snprintf(hint, sizeof hint, "; did you mean %s?", misspelled[i].near);
    snprintf(expected, sizeof expected,
             "warn: %s/config.toml:%s is not known and has no effect%s\n",
             t->folder->name, misspelled[i].unknown,
             misspelled[i].near != NULL ? hint : "");
    assert_string_equal(expected, t->log);
  }
}

static void names_of_other_sections_are_not(void **state) {
  test_home_opens(*state, "[mempool]\nsizes = 1\n[rpc]\nx = 1\n"
                          "[consensus]\ny = [[1], {z = 2}]\n");
}

static void variables_are_warned_of_too(void **state) {
  static const char *const variables[] = {"CMT_P2P_SEED=x",
                                          "CMT_P2P_SEEDS=",
                                          "CMT_CONSENSUS_X=1",
                                          "CMT_P2P_LIBP2P_MODE=x",
                                          "CMT_P2P_UPNP=true",
                                          "OTHER_P2P_SEED=x",
                                          "GAIAD_INSTRUMENTATION_PROM=1",
                                          "CMT_AEAD=auto",
                                          NULL};
  test_home *t = *state;

  t->options.environment = variables;
  t->options.env_prefix = "GAIAD";
  assert_cmt(CMT_OK, test_home_open(t));
  assert_string_equal(
    "warn: variable CMT_P2P_SEED is not known and has no effect\n"
    "warn: variable GAIAD_INSTRUMENTATION_PROM is not known and has no "
    "effect\n",
    t->log);
}

/* ---- files ---- */

static void files_that_cannot_be_read_are_named(void **state) {
  test_home *t = *state;
  char path[600], expected[700];
  char *large = calloc(1, 1024 * 1024 + 2);

  snprintf(path, sizeof path, "%s/config.toml", t->folder->name);
  assert_int_equal(0, mkdir(path, 0700));
  assert_cmt(CMT_EIO, test_home_open(t));
  snprintf(expected, sizeof expected, "file '%s': Is a directory", path);
  assert_string_equal(expected, t->why.text);
  assert_int_equal(0, rmdir(path));
  assert_int_equal(0, mkfifo(path, 0600));
  assert_cmt(CMT_EIO, test_home_open(t));
  snprintf(expected, sizeof expected, "file '%s': is not a regular file", path);
  assert_string_equal(expected, t->why.text);
  assert_int_equal(0, unlink(path));
  assert_int_equal(0, symlink("gone", path));
  assert_cmt(CMT_EIO, test_home_open(t));
  snprintf(expected, sizeof expected, "file '%s': No such file or directory",
           path);
  assert_string_equal(expected, t->why.text);
  assert_int_equal(0, unlink(path));
  assert_non_null(large);
  memset(large, '\n', 1024 * 1024 + 1);
  assert_cmt(CMT_EINVAL, test_home_open_with(t, large));
  snprintf(expected, sizeof expected, "%s:1: the file is larger than 1 MiB",
           path);
  assert_string_equal(expected, t->why.text);
  large[1024 * 1024] = '\0';
  assert_cmt(CMT_OK, test_home_open_with(t, large));
  free(large);
}

/* A program has its own name for a key. */
static void values_have_the_name_of_their_option(void **state) {
  test_home *t = *state;
  cmt_home_value value = {
    .key = "p2p.seed_min_height", .value = "x", .name = "--min-height"};

  t->options.values = &value;
  t->options.value_count = 1;
  assert_cmt(CMT_EINVAL, test_home_open(t));
  assert_string_equal("--min-height is 'x', allowed is a height, or 0 for any",
                      t->why.text);
  value.name = NULL;
  assert_cmt(CMT_EINVAL, test_home_open(t));
  assert_string_equal(
    "--p2p.seed_min_height is 'x', allowed is a height, or 0 for any",
    t->why.text);
}

static void wrong_options_are_named(void **state) {
  test_home *t = *state;
  cmt_home_value unknown = {.key = "p2p.seed", .value = ""};

  t->options.values = &unknown;
  t->options.value_count = 1;
  assert_cmt(CMT_EINVAL, test_home_open(t));
  assert_string_equal("--p2p.seed is no key of config.toml that is read",
                      t->why.text);
  unknown = (cmt_home_value){.key = "moniker", .value = "x", .reserved = {1}};
  assert_cmt(CMT_EINVAL, test_home_open(t));
  assert_string_equal("--moniker: a reserved word is set", t->why.text);
  t->options.value_count = 0;
  t->options.env_prefix =
    "123456789012345678901234567890123456789012345678901234567890x";
  assert_cmt(CMT_EINVAL, test_home_open(t));
  assert_string_equal("env_prefix has 61 bytes, allowed are up to 60",
                      t->why.text);
  t->options.env_prefix++;
  assert_cmt(CMT_OK, test_home_open(t));
  t->options.dir = "";
  assert_cmt(CMT_EINVAL, test_home_open(t));
  assert_string_equal("dir: it is empty", t->why.text);
  t->options.dir = NULL;
  assert_cmt(CMT_EINVAL, cmt_home_open(&t->options, &t->h, NULL));
  assert_cmt(CMT_EINVAL, cmt_home_open(NULL, &t->h, NULL));
  assert_cmt(CMT_EINVAL, cmt_home_open(&t->options, NULL, NULL));
}

#define TEST(name)                                                             \
  cmocka_unit_test_setup_teardown(name, test_home_setup, test_home_teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(each_mistake_is_one_line),
    TEST(there_are_at_most_256_unconditional_peers),
    TEST(lists_have_no_more_than_an_exchange_takes),
    TEST(further_mistakes_are_logged),
    TEST(unknown_names_are_warned_of),
    TEST(names_of_other_sections_are_not),
    TEST(variables_are_warned_of_too),
    TEST(files_that_cannot_be_read_are_named),
    TEST(values_have_the_name_of_their_option),
    TEST(wrong_options_are_named),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
