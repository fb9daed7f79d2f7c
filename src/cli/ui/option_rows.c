/* SPDX-License-Identifier: Apache-2.0 */
/* Every option: its name, the verbs that accept it, how its value is read, and
   its help. */

#include "option_rows.h"

#include <string.h>

static bool allowed(cli_options *o, const char *what) {
  snprintf(o->fault, sizeof o->fault, "%s", what);
  return false;
}

static bool set_text(cli_options *o, const char **to, const char *value) {
  if (value[0] == '\0') {
    return allowed(o, "it must not be empty");
  }
  *to = value;
  return true;
}

static bool set_duration(cli_options *o, uint64_t *to, const char *value) {
  return cli_parse_duration(value, to) ||
         allowed(o, "expected a duration such as 500ms, 60s or 2m");
}

static bool set_number(cli_options *o, uint32_t *to, const char *value,
                       uint32_t min, uint32_t max) {
  uint64_t number;

  if (!cli_parse_number(value, min, max, &number)) {
    snprintf(o->fault, sizeof o->fault, "expected a number from %u to %u", min,
             max);
    return false;
  }
  *to = (uint32_t)number;
  return true;
}

static bool set_network(cli_options *o, const char *value) {
  o->network_given = true;
  return set_text(o, &o->network, value);
}

/* All other nodes refuse a node with another moniker, without a reason. */
static bool set_moniker(cli_options *o, const char *value) {
  cmt_node_info info = {
    .id = cmt_bytes_of("0000000000000000000000000000000000000000"),
    .listen_addr = cmt_bytes_of("tcp://0.0.0.0:0"),
    .moniker = cmt_bytes_of(value),
  };

  if (cmt_node_info_validate(&info, NULL) != CMT_OK) {
    return allowed(o, "expected 1 or more printable ASCII characters, not only "
                      "spaces");
  }
  o->moniker_given = true;
  return set_text(o, &o->moniker, value);
}

static bool set_ping(cli_options *o, const char *value) {
  if (!set_duration(o, &o->ping_interval_ns, value)) {
    return false;
  }
  return o->ping_interval_ns > 0 || allowed(o, "it must be longer than 0");
}

static bool set_pong(cli_options *o, const char *value) {
  if (!set_duration(o, &o->pong_timeout_ns, value)) {
    return false;
  }
  return o->pong_timeout_ns > 0 || allowed(o, "it must be longer than 0");
}

static bool set_flush(cli_options *o, const char *value) {
  return set_duration(o, &o->flush_throttle_ns, value);
}

static bool set_rate(cli_options *o, uint64_t *to, const char *value) {
  return cli_parse_size(value, 0, CMT_RATE_MAX, to) ||
         allowed(o, "expected 0 to 10000000000 bytes per second, such as "
                    "500k; 0 is no limit");
}

static bool set_send_rate(cli_options *o, const char *value) {
  return set_rate(o, &o->send_rate, value);
}

static bool set_recv_rate(cli_options *o, const char *value) {
  return set_rate(o, &o->recv_rate, value);
}

static bool set_payload(cli_options *o, const char *value) {
  return set_number(o, &o->packet_payload, value, CMT_PACKET_PAYLOAD_MIN,
                    CMT_PACKET_PAYLOAD_MAX);
}

static bool set_wire(cli_options *o, const char *value) {
  if (strcmp(value, "cometbft") != 0 && strcmp(value, "legacy") != 0) {
    return allowed(o, "expected cometbft or legacy");
  }
  o->wire = value[0] == 'l' ? CMT_WIRE_LEGACY : CMT_WIRE_COMETBFT;
  return true;
}

static bool set_log_level(cli_options *o, const char *value) {
  static const char *const names[] = {"error", "warn", "info", "debug"};

  for (int i = 0; i < 4; i++) {
    if (strcmp(value, names[i]) == 0) {
      o->log_level = (cmt_log_level)i;
      return true;
    }
  }
  return allowed(o, "expected error, warn, info or debug");
}

/* Whether a value is allowed is found when the home is read.  Messages name the
   option |name|; NULL: it has the name of the key. */
static bool override(cli_options *o, const char *key, const char *value,
                     const char *name) {
  o->values[o->value_count++] =
    (cmt_home_value){.key = key, .value = value, .name = name};
  return true;
}

/* A daemon prints nothing but its log. */
static bool set_json_log(cli_options *o, const char *value) {
  (void)value;
  o->json = true;
  return override(o, "log_format", "json", NULL);
}

static bool set_address(cli_options *o, const char *value, unsigned flags,
                        cmt_net_addr *addr) {
  cmt_why why;

  return cmt_net_addr_parse(value, flags, addr, &why) == CMT_OK ||
         allowed(o, why.text);
}

static bool set_laddr(cli_options *o, const char *value) {
  cmt_net_addr addr;

  return set_address(o, value, CMT_ADDR_LISTEN, &addr) &&
         set_text(o, &o->laddr, value);
}

static bool set_dial(cli_options *o, const char *value) {
  cmt_net_addr addr;

  if (!set_address(o, value, 0, &addr)) {
    return false;
  }
  o->friends[o->friend_count++] = addr.id;
  o->dials[o->dial_count++] = value;
  return true;
}

static bool set_allow(cli_options *o, const char *value) {
  char text[64];
  cmt_net_addr addr;

  /* An id is what stands before an address. */
  if (strlen(value) != sizeof addr.id.text - 1) {
    return allowed(o, "expected an id of 40 hex digits");
  }
  snprintf(text, sizeof text, "%s@127.0.0.1:1", value);
  if (cmt_net_addr_parse(text, 0, &addr, NULL) != CMT_OK) {
    return allowed(o, "expected an id of 40 hex digits");
  }
  o->friends[o->friend_count++] = addr.id;
  o->friends_only = true;
  return true;
}

static bool set_quota(cli_options *o, const char *value) {
  return cli_parse_size(value, 1, INT64_MAX, &o->quota) ||
         allowed(o, "expected 1 byte or more, such as 500M or 20G");
}

static bool set_bare_role(cli_options *o, cli_role role) {
  if (o->bare_role != CLI_ROLE_NONE && o->bare_role != role) {
    return allowed(o, "--echo and --discard exclude each other");
  }
  o->bare_role = role;
  return true;
}

static bool set_echo(cli_options *o, const char *value) {
  (void)value;
  return set_bare_role(o, CLI_ROLE_ECHO);
}

static bool set_discard(cli_options *o, const char *value) {
  (void)value;
  return set_bare_role(o, CLI_ROLE_DISCARD);
}

static bool set_inbound(cli_options *o, const char *value) {
  return set_number(o, &o->inbound_max, value, 0, CLI_PEERS_MAX);
}

static bool set_per_ip(cli_options *o, const char *value) {
  return set_number(o, &o->inbound_per_ip_max, value, 0, CLI_PEERS_MAX);
}

static bool set_handshakes_per_ip(cli_options *o, const char *value) {
  return set_number(o, &o->handshakes_per_ip_max, value, 0, CLI_PEERS_MAX);
}

static bool set_ip6_prefix(cli_options *o, const char *value) {
  return set_number(o, &o->ip6_prefix_len, value, 1, 128);
}

static bool set_count(cli_options *o, const char *value) {
  o->pings_given = true;
  return set_number(o, &o->pings, value, 0, CLI_PINGS_MAX);
}

static bool set_home(cli_options *o, const char *value) {
  if (!set_text(o, &o->homes[o->home_count], value)) {
    return false;
  }
  o->home_count++;
  o->home = o->homes[0];
  return true;
}

static bool set_p2p_seeds(cli_options *o, const char *value) {
  return override(o, "p2p.seeds", value, "--seeds");
}

/* Other verbs have this option with a dash. */
static bool set_log_levels(cli_options *o, const char *value) {
  return override(o, "log_level", value, "--log-level");
}

static bool set_min_height(cli_options *o, const char *value) {
  return override(o, "p2p.seed_min_height", value, "--min-height");
}

static bool set_version_prefix(cli_options *o, const char *value) {
  return override(o, "p2p.seed_version", value, "--version-prefix");
}

/* How a value is read, as three fields of a row. */
#define SET(function) function, 0, 0
#define TEXT(field) NULL, offsetof(cli_options, field), 0
#define FLAG(field) NULL, 0, offsetof(cli_options, field)
#define KEY NULL, 0, 0

const cli_option_row cli_option_rows[] = {
  {"home", "DIR", CLI_HOMES & ~CLI_SEED, SET(set_home),
   "the home directory of a node; else CMTHOME, else\n~/.cometbft"},
  {"home", "DIR", CLI_SEED, SET(set_home),
   "the home directory of a node; else CMTHOME, else\n"
   "~/.cometbft; may be repeated, each is a chain"},
  {"homes", "DIR", CLI_SEED, TEXT(homes_dir),
   "serve each home in this folder, later ones too"},
  {"config", "FILE", CLI_DAEMONS, TEXT(config),
   "the configuration in the home, in place of\nconfig/config.toml"},
  {"http", "HOST:PORT", CLI_DAEMONS, TEXT(http),
   "serve pages there; / lists them"},
  {"deny", "FILE", CLI_DAEMONS, TEXT(deny),
   "keep out its lines: ids, addresses, ranges; read\n"
   "again at SIGHUP"},
  {"peer-metrics", NULL, CLI_DAEMONS, FLAG(peer_metrics),
   "metrics have series of each peer too"},
  {"chain-id", "NAME", CLI_INIT, TEXT(chain_id),
   "the network, for a new genesis.json\n(test-chain- and six letters)"},
  {"chain-id", "NAME", CLI_DAEMONS, TEXT(chain_id),
   "the network, in place of that of the home"},
  {"seeds", "LIST", CLI_INIT, TEXT(seeds),
   "ID@HOST:PORT,... for a new config.toml"},
  {"seeds", "LIST", CLI_DAEMONS, SET(set_p2p_seeds), "as --p2p.seeds"},
  {"min-height", "N", CLI_SEED, SET(set_min_height),
   "serve only nodes that have this block (0, all)"},
  {"version-prefix", "TEXT", CLI_SEED, SET(set_version_prefix),
   "serve only nodes whose version begins so, such as\n0.38."},
  {"moniker", "NAME", CLI_DAEMONS, KEY,
   "the name of this node, in place of moniker in\n"
   "config.toml; the next ones replace their keys, too"},
  {"log_level", "LEVEL", CLI_DAEMONS, KEY,
   "debug, info, warn, error or none, or one for each\nmodule: "
   "p2p:debug,*:error"},
  {"log-level", "LEVEL", CLI_DAEMONS, SET(set_log_levels), "as --log_level"},
  {"log_format", "FORM", CLI_DAEMONS, KEY, "plain or json"},
  {"p2p.laddr", "ADDRESS", CLI_DAEMONS, KEY, "where to listen"},
  {"p2p.external_address", "ADDRESS", CLI_DAEMONS, KEY,
   "what others dial, if it is not where it listens"},
  {"p2p.seeds", "LIST", CLI_DAEMONS, KEY,
   "nodes to ask for addresses: ID@HOST:PORT,..."},
  {"p2p.persistent_peers", "LIST", CLI_DAEMONS, KEY,
   "nodes to stay connected with: ID@HOST:PORT,..."},
  {"p2p.unconditional_peer_ids", "LIST", CLI_DAEMONS, KEY,
   "nodes that need no free place: ID,..."},
  {"p2p.private_peer_ids", "LIST", CLI_DAEMONS, KEY,
   "nodes whose addresses are kept private: ID,..."},
  {"p2p.pex", "BOOL", CLI_DAEMONS, KEY,
   "true or false: exchange addresses with peers"},
  {"env-prefix", "NAME", CLI_HOMES, TEXT(env_prefix),
   "read variables such as NAME_P2P_SEEDS too, before\n"
   "those that begin with CMT_"},
  {"laddr", "HOST:PORT", CLI_LISTEN, SET(set_laddr),
   "where to listen; * is everywhere, port 0 a free one"},
  {"dial", "ADDRESS", CLI_LISTEN, SET(set_dial),
   "ID@HOST:PORT to stay connected to; may be repeated"},
  {"out", "DIR", CLI_LISTEN, TEXT(out_dir),
   "store files here; without it they are refused"},
  {"quota", "N", CLI_LISTEN, SET(set_quota),
   "bytes of files to store in all\n"
   "(half of the free space at the start)"},
  {"allow", "ID", CLI_LISTEN, SET(set_allow),
   "only this node may connect, and those of --dial;\n"
   "may be repeated"},
  {"allow-dotfiles", NULL, CLI_LISTEN, FLAG(dotfiles),
   "store files whose names begin with a dot, too"},
  {"echo", NULL, CLI_LISTEN, SET(set_echo),
   "send back what comes on channels without a role"},
  {"discard", NULL, CLI_LISTEN, SET(set_discard),
   "drop what comes on channels without a role\n(the default)"},
  {"max-inbound", "N", CLI_LISTEN, SET(set_inbound),
   "inbound peers (40, at most 65535)"},
  {"max-peers-per-ip", "N", CLI_LISTEN, SET(set_per_ip),
   "inbound peers of one address (0, no limit)"},
  {"max-handshakes-per-ip", "N", CLI_LISTEN, SET(set_handshakes_per_ip),
   "inbound handshakes of one address at one time, but\n"
   "for loopback (8); 0 is no limit"},
  {"ip6-prefix", "N", CLI_LISTEN, SET(set_ip6_prefix),
   "bits of an IPv6 address that make one address for\n"
   "these limits (64)"},
  {"lines", "FILE", CLI_SEND, TEXT(lines),
   "send its lines too; - is standard input"},
  {"count", "N", CLI_PROBE, SET(set_count),
   "how many pings (3; 1 with --wire legacy)"},
  {"key", "FILE", CLI_NODES, TEXT(key_file),
   "the node_key.json of this node (a fresh key)"},
  {"strict-key", NULL, CLI_NODES | CLI_KEY, FLAG(strict_key),
   "refuse a key file that other users can access"},
  {"network", "NAME", CLI_NODES, SET(set_network),
   "the chain id, the same on both sides (cometp2p)"},
  {"moniker", "NAME", CLI_NODES | CLI_INIT, SET(set_moniker),
   "the name of this node"},
  {"channel", "SPEC", CLI_NODES, SET(cli_parse_channel),
   "ID[:PRIORITY[:QUEUE[:MAX_MESSAGE]]][=ROLE]; may be\n"
   "repeated; roles are files, lines, echo, discard\n"
   "(0x40:1=files and 0x50:10=lines)"},
  {"ping-interval", "TIME", CLI_NODES, SET(set_ping), "between pings (60s)"},
  {"pong-timeout", "TIME", CLI_NODES, SET(set_pong),
   "shorter than the interval (three quarters of it)"},
  {"flush-throttle", "TIME", CLI_NODES, SET(set_flush),
   "let messages wait for others (0s)"},
  {"send-rate", "N", CLI_NODES, SET(set_send_rate),
   "bytes per second to each peer (0, no limit)"},
  {"recv-rate", "N", CLI_NODES, SET(set_recv_rate),
   "bytes per second from each peer (0, no limit)"},
  {"max-packet-payload", "N", CLI_NODES, SET(set_payload),
   "bytes of a message in one packet, at least 16\n"
   "(1024); N over 1400 is accepted from others too"},
  {"wire", "PROFILE", CLI_NODES, SET(set_wire),
   "cometbft, or legacy: the framing and pings of\n"
   "docs/LEGACY.md; both sides must agree (cometbft)"},
  {"log-level", "LEVEL", CLI_NODES | CLI_INIT | CLI_KEY, SET(set_log_level),
   "error, warn, info or debug (warn)"},
  {"json", NULL, CLI_DAEMONS, SET(set_json_log), "as --log_format json"},
  {"json", NULL, CLI_ALL & ~CLI_DAEMONS, FLAG(json), "one JSON object a line"},
};

const size_t cli_option_row_count =
  sizeof cli_option_rows / sizeof cli_option_rows[0];

bool cli_option_set(cli_options *o, const cli_option_row *row,
                    const char *value) {
  void *field = (char *)o + (row->text != 0 ? row->text : row->flag);

  if (row->text != 0) {
    return set_text(o, field, value);
  }
  if (row->flag != 0) {
    *(bool *)field = true;
    return true;
  }
  return row->set != NULL ? row->set(o, value)
                          : override(o, row->name, value, NULL);
}
