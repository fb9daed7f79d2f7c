/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_HOME_H
#define CMT_HOME_H

/* The home directory of a node: its config.toml, node_key.json, genesis.json
   and address book, as CometBFT v0.34 to v1, the daemons of the Cosmos SDK and
   tenderseed write them.  A home is read and never changed, but by
   cmt_home_init().  docs/FILES.md.  A home is for one thread at a time. */

#include <cometp2p/switch.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cmt_home cmt_home;

/** A value that overrides the environment and the file, as an argument of a
    command does. */
typedef struct cmt_home_value {
  const char *key;   /**< Such as "moniker", "p2p.seeds", or "chain_id". */
  const char *value; /**< As in a string of the file; "" counts as well. */
  /** How messages name it, such as "--min-height" for an option that sets
      "p2p.seed_min_height"; NULL: "--" and the key. */
  const char *name;
  uint64_t reserved[1];
} cmt_home_value;

/** Fill with cmt_home_options_init(), then change what should differ. */
typedef struct cmt_home_options {
  size_t size;
  /** NULL: the defaults.  Copied.  Its log gets a warning for each key that is
      not known, with the nearest one that is. */
  const cmt_env *env;
  const char *dir;              /**< Must be set. */
  const cmt_home_value *values; /**< |value_count| of them. */
  size_t value_count;
  /** "NAME=VALUE" texts and a final NULL, such as environ; NULL: none.  Of
      p2p.seeds the name is CMT_P2P_SEEDS; an empty value does not count. */
  const char *const *environment;
  /** Another beginning of these names, which comes first, such as "GAIAD" for
      GAIAD_P2P_SEEDS, at most 60 bytes; written in capitals, and with "_" for
      "-" and ".".  NULL: none. */
  const char *env_prefix;
  /** The file to read in place of config/config.toml, which must exist then;
      a relative path is one inside |dir|.  NULL: see cmt_home_open(). */
  const char *config_file;
} cmt_home_options;

#define cmt_home_options_init(o) cmt_home_options_init_sized((o), sizeof *(o))
/** See cmt_home_options_init(). */
CMT_API void cmt_home_options_init_sized(cmt_home_options *o, size_t size);

/** Reads the configuration of a home: |values|, else the environment, else
    config.toml, else the default of each key.  The file may be absent, unless
    |config_file| names it.  The caller deletes |*out|.

    Returns CMT_OK; CMT_EINVAL: |why| (may be NULL) names the file, line and key
    of the first mistake, what was found and what is allowed, and the other
    mistakes are logged as errors; CMT_EIO; CMT_ENOMEM. */
CMT_API CMT_NODISCARD cmt_err cmt_home_open(const cmt_home_options *o,
                                            cmt_home **out, cmt_why *why);
/** NULL is fine. */
CMT_API void cmt_home_delete(cmt_home *h);

/** What a home configures, under the names of config.toml.  A list is NULL when
    it is empty. */
typedef struct cmt_home_settings {
  size_t size;
  /** Paths, whole; |config_file| is "" when there is no such file. */
  const char *config_file, *genesis_file, *node_key_file, *addr_book_file;
  const char *moniker;
  const char *log_level; /**< Such as "info" or "p2p:debug,*:error". */
  bool log_json;         /**< |log_format| is "json". */
  bool filter_peers;
  bool tenderseed; /**< The file is one of tenderseed, with other defaults. */
  const char *laddr, *external_address; /**< As they are written. */
  const cmt_net_addr *seeds, *persistent_peers;
  size_t seed_count, persistent_peer_count;
  const cmt_node_id *unconditional_peer_ids, *private_peer_ids;
  size_t unconditional_peer_id_count, private_peer_id_count;
  bool addr_book_strict, pex, seed_mode, allow_duplicate_ip;
  uint32_t max_num_inbound_peers, max_num_outbound_peers;
  uint32_t max_packet_msg_payload_size;
  uint64_t persistent_peers_max_dial_period_ns; /**< 0: none. */
  uint64_t send_rate, recv_rate; /**< Bytes per second; 0: no limit. */
  bool prometheus;
  const char *prometheus_listen_addr;
  uint32_t prometheus_max_open_connections; /**< 0: no limit. */
  const char *metrics_namespace;
  const char *rpc_laddr;
  bool tx_index; /**< |indexer| is "kv" or "psql". */
  /** Keys of ours in [p2p], which CometBFT ignores: what a seed serves, see
      cmt_pex_options.  0 and "": all. */
  int64_t seed_min_height;
  const char *seed_version;
} cmt_home_settings;

/** The settings of |h|, which live as long as |h|. */
CMT_API const cmt_home_settings *cmt_home_get_settings(const cmt_home *h);

/** The chain id: the value "chain_id", or that of a file of tenderseed, or that
    of genesis.json, or without one that of client.toml; |*out| lives as long as
    |h|.  The first call reads the file, a genesis of gigabytes in 256 KiB.

    Returns CMT_OK; CMT_EINVAL: there is none, |why| (may be NULL) names the
    file and its fault; CMT_EIO: it cannot be read; CMT_ENOMEM. */
CMT_API CMT_NODISCARD cmt_err cmt_home_load_chain_id(cmt_home *h,
                                                     const char **out,
                                                     cmt_why *why);

/** cmt_node_key_load() of |node_key_file|. */
CMT_API CMT_NODISCARD cmt_err cmt_home_load_key(const cmt_home *h,
                                                cmt_node_key **out,
                                                cmt_why *why);

/** Sets in |o|, which cmt_switch_options_init() has filled in, what the home
    configures: moniker, addresses, peers, rates, packets, and the chain id if
    it was loaded.  The texts live as long as |h|.  The key, and dialing
    |persistent_peers|, are left to the caller.  docs/FILES.md has the table. */
CMT_API void cmt_home_set_switch(cmt_home *h, cmt_switch_options *o);

/** Fill with cmt_home_init_options_init(), then change what should differ. */
typedef struct cmt_home_init_options {
  size_t size;
  const cmt_env *env;   /**< NULL: the defaults. */
  const char *dir;      /**< Must be set.  The folder above it exists. */
  const char *chain_id; /**< NULL: "test-chain-" and six random letters. */
  const char *moniker;  /**< NULL: the name of this host. */
  const char *seeds;    /**< For p2p.seeds; NULL: none. */
  /** Runs once for each file, with whether it was made or was there; may be
      NULL. */
  void (*on_file)(void *arg, const char *path, bool made);
  void *arg;
  /** As in cmt_home_options: the files are where they say. */
  const char *const *environment;
  const char *env_prefix;
} cmt_home_init_options;

#define cmt_home_init_options_init(o)                                          \
  cmt_home_init_options_init_sized((o), sizeof *(o))
/** See cmt_home_init_options_init(). */
CMT_API void cmt_home_init_options_init_sized(cmt_home_init_options *o,
                                              size_t size);

/** Makes what a home lacks, and never touches what is there: the folders |dir|,
    config and data, config.toml, node_key.json and, unless config.toml or
    client.toml has the chain id, genesis.json with one and no validators.  Each
    file appears whole or not at all.

    Returns CMT_OK; CMT_EINVAL: a value is not allowed, |why| (may be NULL)
    names it; CMT_EIO: a file cannot be made; CMT_ENOMEM. */
CMT_API CMT_NODISCARD cmt_err cmt_home_init(const cmt_home_init_options *o,
                                            cmt_why *why);

#ifdef __cplusplus
}
#endif
#endif
