/* SPDX-License-Identifier: Apache-2.0 */

/* The table of keys, and the search for the nearest name. */

#include "home_keys.h"

#include "home_checks.h"

#include <cometp2p/switch.h>

#define PEER_COUNT_MAX CMT_PEERS_MAX

const cmt__home_key cmt__home_keys[CMT__HOME_KEY_COUNT] = {
  [CMT__HOME_MONIKER] = {.name = "moniker", .check = cmt__home_check_moniker},
  [CMT__HOME_LOG_LEVEL] = {.name = "log_level",
                           .flat = "log_level",
                           .standard = "info",
                           .check = cmt__home_check_level},
  [CMT__HOME_LOG_FORMAT] = {.name = "log_format",
                            .standard = "plain",
                            .check = cmt__home_check_format},
  [CMT__HOME_GENESIS_FILE] = {.name = "genesis_file",
                              .standard = "config/genesis.json",
                              .check = cmt__home_check_path},
  [CMT__HOME_NODE_KEY_FILE] = {.name = "node_key_file",
                               .flat = "node_key_file",
                               .standard = "config/node_key.json",
                               .check = cmt__home_check_path},
  [CMT__HOME_FILTER_PEERS] = {.name = "filter_peers",
                              .kind = CMT__HOME_FLAG,
                              .standard = "false"},
  [CMT__HOME_LADDR] = {.name = "p2p.laddr",
                       .flat = "laddr",
                       .standard = "tcp://0.0.0.0:26656",
                       .check = cmt__home_check_laddr},
  [CMT__HOME_EXTERNAL_ADDRESS] = {.name = "p2p.external_address",
                                  .standard = "",
                                  .check = cmt__home_check_external},
  /* Without pex nothing looks at them, so they are checked later. */
  [CMT__HOME_SEEDS] = {.name = "p2p.seeds", .flat = "seeds", .standard = ""},
  [CMT__HOME_PERSISTENT_PEERS] = {.name = "p2p.persistent_peers",
                                  .standard = "",
                                  .check = cmt__home_check_addresses},
  [CMT__HOME_ADDR_BOOK_FILE] = {.name = "p2p.addr_book_file",
                                .flat = "addr_book_file",
                                .standard = "config/addrbook.json",
                                .tenderseed = "data/addrbook.json",
                                .check = cmt__home_check_path},
  [CMT__HOME_ADDR_BOOK_STRICT] = {.name = "p2p.addr_book_strict",
                                  .flat = "addr_book_strict",
                                  .kind = CMT__HOME_FLAG,
                                  .standard = "true"},
  [CMT__HOME_INBOUND] = {.name = "p2p.max_num_inbound_peers",
                         .flat = "max_num_inbound_peers",
                         .kind = CMT__HOME_NUMBER,
                         .standard = "40",
                         .tenderseed = "100",
                         .max = PEER_COUNT_MAX},
  [CMT__HOME_OUTBOUND] = {.name = "p2p.max_num_outbound_peers",
                          .flat = "max_num_outbound_peers",
                          .kind = CMT__HOME_NUMBER,
                          .standard = "10",
                          .tenderseed = "60",
                          .max = PEER_COUNT_MAX},
  [CMT__HOME_UNCONDITIONAL] = {.name = "p2p.unconditional_peer_ids",
                               .standard = "",
                               .check = cmt__home_check_ids},
  [CMT__HOME_DIAL_PERIOD] = {.name = "p2p.persistent_peers_max_dial_period",
                             .kind = CMT__HOME_DURATION,
                             .standard = "0s"},
  [CMT__HOME_FLUSH_THROTTLE] = {.name = "p2p.flush_throttle_timeout",
                                .kind = CMT__HOME_DURATION,
                                .standard = "10ms"},
  [CMT__HOME_PACKET_PAYLOAD] = {.name = "p2p.max_packet_msg_payload_size",
                                .flat = "max_packet_msg_payload_size",
                                .kind = CMT__HOME_NUMBER,
                                .standard = "1024",
                                .max = CMT_PACKET_PAYLOAD_MAX,
                                .allowed = "a number from 16 to 65536",
                                .check = cmt__home_check_payload},
  [CMT__HOME_SEND_RATE] = {.name = "p2p.send_rate",
                           .kind = CMT__HOME_NUMBER,
                           .standard = "5120000",
                           .max = INT64_MAX,
                           .allowed = "a number of bytes per second, or 0"},
  [CMT__HOME_RECV_RATE] = {.name = "p2p.recv_rate",
                           .kind = CMT__HOME_NUMBER,
                           .standard = "5120000",
                           .max = INT64_MAX,
                           .allowed = "a number of bytes per second, or 0"},
  [CMT__HOME_PEX] = {.name = "p2p.pex",
                     .kind = CMT__HOME_FLAG,
                     .standard = "true"},
  [CMT__HOME_SEED_MODE] = {.name = "p2p.seed_mode",
                           .kind = CMT__HOME_FLAG,
                           .standard = "false",
                           .tenderseed = "true"},
  [CMT__HOME_SEED_MIN_HEIGHT] = {.name = "p2p.seed_min_height",
                                 .kind = CMT__HOME_NUMBER,
                                 .standard = "0",
                                 .max = INT64_MAX,
                                 .allowed = "a height, or 0 for any"},
  [CMT__HOME_SEED_VERSION] = {.name = "p2p.seed_version",
                              .standard = "",
                              .check = cmt__home_check_version},
  [CMT__HOME_PRIVATE] = {.name = "p2p.private_peer_ids", .standard = ""},
  [CMT__HOME_DUPLICATE_IP] = {.name = "p2p.allow_duplicate_ip",
                              .kind = CMT__HOME_FLAG,
                              .standard = "false",
                              .tenderseed = "true"},
  [CMT__HOME_HANDSHAKE_TIMEOUT] = {.name = "p2p.handshake_timeout",
                                   .kind = CMT__HOME_DURATION,
                                   .standard = "20s"},
  [CMT__HOME_DIAL_TIMEOUT] = {.name = "p2p.dial_timeout",
                              .kind = CMT__HOME_DURATION,
                              .standard = "3s"},
  [CMT__HOME_LIBP2P] = {.name = "p2p.libp2p.enabled",
                        .kind = CMT__HOME_FLAG,
                        .standard = "false",
                        .check = cmt__home_check_libp2p},
  [CMT__HOME_PROMETHEUS] = {.name = "instrumentation.prometheus",
                            .kind = CMT__HOME_FLAG,
                            .standard = "false"},
  [CMT__HOME_PROMETHEUS_ADDR] = {.name =
                                   "instrumentation.prometheus_listen_addr",
                                 .standard = ":26660",
                                 .check = cmt__home_check_metrics_addr},
  [CMT__HOME_PROMETHEUS_CONNECTIONS] = {.name = "instrumentation.max_open_"
                                                "connections",
                                        .kind = CMT__HOME_NUMBER,
                                        .standard = "3",
                                        .max = UINT32_MAX},
  [CMT__HOME_NAMESPACE] = {.name = "instrumentation.namespace",
                           .standard = "cometbft",
                           .check = cmt__home_check_namespace},
  [CMT__HOME_RPC_LADDR] = {.name = "rpc.laddr",
                           .standard = "tcp://127.0.0.1:26657"},
  [CMT__HOME_INDEXER] = {.name = "tx_index.indexer", .standard = "kv"},
  [CMT__HOME_CHAIN_ID] = {.name = "chain_id",
                          .flat = "chain_id",
                          .check = cmt__home_check_chain_id},
};

/* Keys of the sections that are read, which other parts of a node use, or
   earlier and later releases. */
static const char *const others[] = {
  "version",
  "proxy_app",
  "abci",
  "fast_sync",
  "block_sync",
  "db_backend",
  "db_dir",
  "priv_validator_key_file",
  "priv_validator_state_file",
  "priv_validator_laddr",
  "event_bus_buffer_capacity",
  "genesis_hash",
  "prof_laddr",
  "home",
  "p2p.upnp",
  "p2p.libp2p",
  "p2p.test_dial_fail",
  "p2p.test_fuzz",
  "p2p.test_fuzz_config",
  "http_port",
};

static const char *const sections[] = {
  "rpc",       "grpc",    "p2p",      "mempool",         "statesync",
  "fastsync",  "storage", "tx_index", "instrumentation", "blocksync",
  "consensus",
};

static char lower(uint8_t c) {
  return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

bool cmt__home_same(cmt_bytes a, cmt_bytes b) {
  for (size_t i = 0; i < cmt__min(a.len, b.len); i++) {
    if (lower(a.base[i]) != lower(b.base[i])) {
      return false;
    }
  }
  return a.len == b.len;
}

/* The last name of a key, and the section before it. */
static cmt_bytes last_name(const char *key) {
  const char *dot = strrchr(key, '.');

  return cmt_bytes_of(dot != NULL ? dot + 1 : key);
}

static cmt_bytes section_of(const char *key) {
  const char *dot = strrchr(key, '.');

  return (cmt_bytes){.base = (const uint8_t *)key,
                     .len = dot != NULL ? (size_t)(dot - key) : 0};
}

static bool key_is(const char *key, cmt_bytes section, cmt_bytes name) {
  return cmt__home_same(last_name(key), name) &&
         cmt__home_same(section_of(key), section);
}

const cmt__home_key *cmt__home_key_find(cmt_bytes section, cmt_bytes name,
                                        bool flat) {
  for (size_t i = 0; i < CMT__HOME_KEY_COUNT; i++) {
    const cmt__home_key *key = &cmt__home_keys[i];
    const char *called = flat ? key->flat : key->name;

    /* In a file of CometBFT there is no chain_id. */
    if (called != NULL && (flat || i != CMT__HOME_CHAIN_ID) &&
        key_is(called, section, name)) {
      return key;
    }
  }
  return NULL;
}

bool cmt__home_key_is_known(cmt_bytes section, cmt_bytes name) {
  for (size_t i = 0; i < CMT__COUNT(others); i++) {
    if (key_is(others[i], section, name)) {
      return true;
    }
  }
  return false;
}

bool cmt__home_section_is_known(cmt_bytes name) {
  for (size_t i = 0; i < CMT__COUNT(sections); i++) {
    if (cmt__home_same(cmt_bytes_of(sections[i]), name)) {
      return true;
    }
  }
  return false;
}

/* ---- the nearest name ---- */

enum { NAME_MAX_LEN = 64 };

/* How a character is compared: a dash is as good as an underscore. */
static char folded(uint8_t c) { return c == '-' ? '_' : lower(c); }

/* How many characters have to be added, removed or replaced to make |b| of |a|;
   neither is longer than NAME_MAX_LEN. */
static size_t distance(cmt_bytes a, cmt_bytes b) {
  size_t row[NAME_MAX_LEN + 1];

  for (size_t j = 0; j <= b.len; j++) {
    row[j] = j;
  }
  for (size_t i = 0; i < a.len; i++) {
    size_t before = row[0];

    row[0] = i + 1;
    for (size_t j = 0; j < b.len; j++) {
      size_t replaced =
        before + (folded(a.base[i]) != folded(b.base[j]) ? 1 : 0);

      before = row[j + 1];
      row[j + 1] = cmt__min(replaced, cmt__min(row[j] + 1, row[j + 1] + 1));
    }
  }
  return row[b.len];
}

/* The best candidate so far. */
typedef struct nearest {
  cmt_bytes section, name;
  size_t best; /* A candidate must be nearer. */
  const char *found;
} nearest;

static void consider(nearest *n, const char *key) {
  cmt_bytes name = last_name(key);
  bool here = cmt__home_same(section_of(key), n->section);
  size_t far;

  if (n->name.len > NAME_MAX_LEN || name.len > NAME_MAX_LEN) {
    return;
  }
  /* A name of another section stands in the wrong place. */
  far = here ? distance(n->name, name)
             : (cmt__home_same(n->name, name) ? 1 : SIZE_MAX);
  if (far < n->best) {
    n->best = far;
    n->found = key;
  }
}

void cmt__home_key_nearest(cmt_bytes section, cmt_bytes name, bool flat,
                           char *out, size_t cap) {
  size_t far = name.len < 4 ? 1 : cmt__max(2, name.len / 4);
  nearest n = {.section = section, .name = name, .best = far + 1};

  for (size_t i = 0; i < CMT__HOME_KEY_COUNT; i++) {
    const cmt__home_key *key = &cmt__home_keys[i];

    if (flat ? key->flat != NULL : i != CMT__HOME_CHAIN_ID) {
      consider(&n, flat ? key->flat : key->name);
    }
  }
  for (size_t i = 0; i < CMT__COUNT(others) && !flat; i++) {
    consider(&n, others[i]);
  }
  for (size_t i = 0; i < CMT__COUNT(sections) && section.len == 0 && !flat;
       i++) {
    consider(&n, sections[i]);
  }
  snprintf(out, cap, "%s", n.found != NULL ? n.found : "");
}
