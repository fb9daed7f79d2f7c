/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

/* The arguments of a verb, parsed by one table. */

#include "cli.h"

#include <cometp2p/home.h>

/* What the messages of a channel are. */
typedef enum cli_role {
  CLI_ROLE_NONE,
  CLI_ROLE_FILES,
  CLI_ROLE_LINES,
  CLI_ROLE_ECHO,
  CLI_ROLE_DISCARD,
} cli_role;

enum {
  CLI_QUEUE_DEFAULT = 64, /* Messages that wait on a channel. */
  CLI_FAULT_SIZE = 256,
  /* Bytes of moniker and network together; the other fields of a node info are
     much shorter than the rest. */
  CLI_TEXTS_MAX = CMT_NODE_INFO_MAX - 512,
  CLI_PEERS_MAX = 65535,
  CLI_HANDSHAKES_PER_IP = 8,
  CLI_PINGS_MAX = 10000,
  CLI_FILES_MESSAGE_MIN = 512,   /* An offer must fit. */
  CLI_LINES_MESSAGE_MIN = 16,    /* A line of a few bytes must fit. */
  CLI_LINES_MESSAGE_MAX = 65545, /* And one of 64 KiB is the longest. */
};

typedef struct cli_options {
  const char *verb;
  const char *key_file; /* NULL: a fresh key. */
  bool strict_key;      /* Others must not be able to read it. */
  const char *network;
  bool network_given;
  const char *moniker;
  bool moniker_given;
  cmt_channel channels[CMT_CHANNELS_MAX];
  cli_role roles[CMT_CHANNELS_MAX]; /* One for each channel. */
  size_t channel_count;
  bool channels_given;
  uint64_t ping_interval_ns, pong_timeout_ns; /* 0: the library's. */
  uint64_t flush_throttle_ns;
  uint64_t send_rate, recv_rate; /* Bytes per second; 0: no limit. */
  uint32_t packet_payload;       /* 0: the library's. */
  cmt_wire wire;
  cmt_log_level log_level;
  bool json;
  const char *laddr;
  const char **dials;
  size_t dial_count;
  cmt_node_id *friends; /* The ids of --dial and --allow. */
  size_t friend_count;
  bool friends_only;   /* --allow was given: nobody else may connect. */
  const char *out_dir; /* NULL: files are refused. */
  uint64_t quota;      /* Bytes of files; 0: half of the free space. */
  bool dotfiles;       /* Names that begin with a dot are taken. */
  cli_role bare_role;  /* The role of channels that name none. */
  uint32_t inbound_max;
  uint32_t inbound_per_ip_max;    /* 0: no limit. */
  uint32_t handshakes_per_ip_max; /* 0: no limit. */
  uint32_t ip6_prefix_len;        /* 0: the library's. */
  const char *lines;              /* NULL: none; "-": standard input. */
  uint32_t pings;
  bool pings_given;
  const char *home; /* The first of |homes|; NULL: see cli_home_dir(), which
                       keeps its own. */
  const char **homes;
  size_t home_count;
  const char *homes_dir;  /* NULL: none. */
  const char *config;     /* In a home; NULL: config/config.toml. */
  const char *http;       /* Where pages are served; NULL: nowhere. */
  const char *deny;       /* The file of who is kept out; NULL: none. */
  bool peer_metrics;      /* Metrics have series of each peer. */
  cmt_home_value *values; /* What overrides the file of a home. */
  size_t value_count;
  char *default_home;
  const char *env_prefix; /* NULL: none but CMT_. */
  const char *chain_id;   /* NULL: that of the home. */
  const char *seeds;      /* NULL: none are given. */
  char **args;            /* What is no option. */
  size_t arg_count;
  char fault[CLI_FAULT_SIZE]; /* What is allowed, for the message. */
} cli_options;

/* Reads argv[1] and on.  Returns -1: go on with the verb; else the exit code,
   everything was printed. */
int cli_options_parse(cli_options *o, const cli_verb *verb, int argc,
                      char **argv);
void cli_options_fini(cli_options *o);
/* The node with |id| may connect. */
bool cli_options_allow(const cli_options *o, const cmt_node_id *id);
/* Loads a key file as --strict-key says. */
CMT_NODISCARD cmt_err cli_options_key(const cli_options *o, const cmt_env *env,
                                      const char *file, cmt_node_key **out,
                                      cmt_why *why);

/* Prints usage, help and options of |verb|; the exit code. */
int cli_options_help(const cli_verb *verb);

/* One line on standard error; returns CLI_USAGE. */
int cli_options_usage(const cli_options *o, const char *format, ...)
  __attribute__((format(printf, 2, 3)));

/* The index of the first channel with |role|, or |channel_count|. */
size_t cli_options_find(const cli_options *o, cli_role role);

/* The parsers of values; false: |text| is no such value. */
bool cli_parse_number(const char *text, uint64_t min, uint64_t max,
                      uint64_t *out);
bool cli_parse_size(const char *text, uint64_t min, uint64_t max,
                    uint64_t *out);
bool cli_parse_duration(const char *text, uint64_t *out_ns);

/* Adds the channel that |spec| describes; false: |o->fault| states why not. */
bool cli_parse_channel(cli_options *o, const char *spec);

#endif
