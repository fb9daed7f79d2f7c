/* SPDX-License-Identifier: Apache-2.0 */
/* One table has every option: its name, the verbs that accept it, how its value
   is read, and its help.  A bad value yields one line that names the option,
   what was found and what is allowed. */

#include "options.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct option_row {
  const char *name;
  const char *value; /* NULL: it has no value. */
  unsigned verbs;
  /* NULL: it has the name of the key of a home that it overrides. */
  bool (*set)(cli_options *o, const char *value);
  const char *help;
} option_row;

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

static bool set_key(cli_options *o, const char *value) {
  return set_text(o, &o->key_file, value);
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

static bool set_strict_key(cli_options *o, const char *value) {
  (void)value;
  o->strict_key = true;
  return true;
}

static bool set_json(cli_options *o, const char *value) {
  (void)value;
  o->json = true;
  return true;
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
  (void)set_json(o, value);
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

static bool set_dotfiles(cli_options *o, const char *value) {
  (void)value;
  o->dotfiles = true;
  return true;
}

static bool set_out(cli_options *o, const char *value) {
  return set_text(o, &o->out_dir, value);
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

static bool set_lines(cli_options *o, const char *value) {
  return set_text(o, &o->lines, value);
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

static bool set_homes(cli_options *o, const char *value) {
  return set_text(o, &o->homes_dir, value);
}

static bool set_config(cli_options *o, const char *value) {
  return set_text(o, &o->config, value);
}

static bool set_http(cli_options *o, const char *value) {
  return set_text(o, &o->http, value);
}

static bool set_deny(cli_options *o, const char *value) {
  return set_text(o, &o->deny, value);
}

static bool set_peer_metrics(cli_options *o, const char *value) {
  (void)value;
  o->peer_metrics = true;
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

static bool set_env_prefix(cli_options *o, const char *value) {
  return set_text(o, &o->env_prefix, value);
}

static bool set_chain_id(cli_options *o, const char *value) {
  return set_text(o, &o->chain_id, value);
}

static bool set_seeds(cli_options *o, const char *value) {
  return set_text(o, &o->seeds, value);
}

static const option_row rows[] = {
  {"home", "DIR", CLI_HOMES & ~CLI_SEED, set_home,
   "the home directory of a node; else CMTHOME, else\n~/.cometbft"},
  {"home", "DIR", CLI_SEED, set_home,
   "the home directory of a node; else CMTHOME, else\n"
   "~/.cometbft; may be repeated, each is a chain"},
  {"homes", "DIR", CLI_SEED, set_homes,
   "serve each home in this folder, later ones too"},
  {"config", "FILE", CLI_DAEMONS, set_config,
   "the configuration in the home, in place of\nconfig/config.toml"},
  {"http", "HOST:PORT", CLI_DAEMONS, set_http,
   "serve pages there; / lists them"},
  {"deny", "FILE", CLI_DAEMONS, set_deny,
   "keep out its lines: ids, addresses, ranges; read\n"
   "again at SIGHUP"},
  {"peer-metrics", NULL, CLI_DAEMONS, set_peer_metrics,
   "metrics have series of each peer too"},
  {"chain-id", "NAME", CLI_INIT, set_chain_id,
   "the network, for a new genesis.json\n(test-chain- and six letters)"},
  {"chain-id", "NAME", CLI_DAEMONS, set_chain_id,
   "the network, in place of that of the home"},
  {"seeds", "LIST", CLI_INIT, set_seeds,
   "ID@HOST:PORT,... for a new config.toml"},
  {"seeds", "LIST", CLI_DAEMONS, set_p2p_seeds, "as --p2p.seeds"},
  {"min-height", "N", CLI_SEED, set_min_height,
   "serve only nodes that have this block (0, all)"},
  {"version-prefix", "TEXT", CLI_SEED, set_version_prefix,
   "serve only nodes whose version begins so, such as\n0.38."},
  {"moniker", "NAME", CLI_DAEMONS, NULL,
   "the name of this node, in place of moniker in\n"
   "config.toml; the next ones replace their keys, too"},
  {"log_level", "LEVEL", CLI_DAEMONS, NULL,
   "debug, info, warn, error or none, or one for each\nmodule: "
   "p2p:debug,*:error"},
  {"log-level", "LEVEL", CLI_DAEMONS, set_log_levels, "as --log_level"},
  {"log_format", "FORM", CLI_DAEMONS, NULL, "plain or json"},
  {"p2p.laddr", "ADDRESS", CLI_DAEMONS, NULL, "where to listen"},
  {"p2p.external_address", "ADDRESS", CLI_DAEMONS, NULL,
   "what others dial, if it is not where it listens"},
  {"p2p.seeds", "LIST", CLI_DAEMONS, NULL,
   "nodes to ask for addresses: ID@HOST:PORT,..."},
  {"p2p.persistent_peers", "LIST", CLI_DAEMONS, NULL,
   "nodes to stay connected with: ID@HOST:PORT,..."},
  {"p2p.unconditional_peer_ids", "LIST", CLI_DAEMONS, NULL,
   "nodes that need no free place: ID,..."},
  {"p2p.private_peer_ids", "LIST", CLI_DAEMONS, NULL,
   "nodes whose addresses are kept private: ID,..."},
  {"p2p.pex", "BOOL", CLI_DAEMONS, NULL,
   "true or false: exchange addresses with peers"},
  {"env-prefix", "NAME", CLI_HOMES, set_env_prefix,
   "read variables such as NAME_P2P_SEEDS too, before\n"
   "those that begin with CMT_"},
  {"laddr", "HOST:PORT", CLI_LISTEN, set_laddr,
   "where to listen; * is everywhere, port 0 a free one"},
  {"dial", "ADDRESS", CLI_LISTEN, set_dial,
   "ID@HOST:PORT to stay connected to; may be repeated"},
  {"out", "DIR", CLI_LISTEN, set_out,
   "store files here; without it they are refused"},
  {"quota", "N", CLI_LISTEN, set_quota,
   "bytes of files to store in all\n"
   "(half of the free space at the start)"},
  {"allow", "ID", CLI_LISTEN, set_allow,
   "only this node may connect, and those of --dial;\n"
   "may be repeated"},
  {"allow-dotfiles", NULL, CLI_LISTEN, set_dotfiles,
   "store files whose names begin with a dot, too"},
  {"echo", NULL, CLI_LISTEN, set_echo,
   "send back what comes on channels without a role"},
  {"discard", NULL, CLI_LISTEN, set_discard,
   "drop what comes on channels without a role\n(the default)"},
  {"max-inbound", "N", CLI_LISTEN, set_inbound,
   "inbound peers (40, at most 65535)"},
  {"max-peers-per-ip", "N", CLI_LISTEN, set_per_ip,
   "inbound peers of one address (0, no limit)"},
  {"max-handshakes-per-ip", "N", CLI_LISTEN, set_handshakes_per_ip,
   "inbound handshakes of one address at one time, but\n"
   "for loopback (8); 0 is no limit"},
  {"ip6-prefix", "N", CLI_LISTEN, set_ip6_prefix,
   "bits of an IPv6 address that make one address for\n"
   "these limits (64)"},
  {"lines", "FILE", CLI_SEND, set_lines,
   "send its lines too; - is standard input"},
  {"count", "N", CLI_PROBE, set_count,
   "how many pings (3; 1 with --wire legacy)"},
  {"key", "FILE", CLI_NODES, set_key,
   "the node_key.json of this node (a fresh key)"},
  {"strict-key", NULL, CLI_NODES | CLI_KEY, set_strict_key,
   "refuse a key file that other users can access"},
  {"network", "NAME", CLI_NODES, set_network,
   "the chain id, the same on both sides (cometp2p)"},
  {"moniker", "NAME", CLI_NODES | CLI_INIT, set_moniker,
   "the name of this node"},
  {"channel", "SPEC", CLI_NODES, cli_parse_channel,
   "ID[:PRIORITY[:QUEUE[:MAX_MESSAGE]]][=ROLE]; may be\n"
   "repeated; roles are files, lines, echo, discard\n"
   "(0x40:1=files and 0x50:10=lines)"},
  {"ping-interval", "TIME", CLI_NODES, set_ping, "between pings (60s)"},
  {"pong-timeout", "TIME", CLI_NODES, set_pong,
   "shorter than the interval (three quarters of it)"},
  {"flush-throttle", "TIME", CLI_NODES, set_flush,
   "let messages wait for others (0s)"},
  {"send-rate", "N", CLI_NODES, set_send_rate,
   "bytes per second to each peer (0, no limit)"},
  {"recv-rate", "N", CLI_NODES, set_recv_rate,
   "bytes per second from each peer (0, no limit)"},
  {"max-packet-payload", "N", CLI_NODES, set_payload,
   "bytes of a message in one packet, at least 16\n"
   "(1024); N over 1400 is accepted from others too"},
  {"wire", "PROFILE", CLI_NODES, set_wire,
   "cometbft, or legacy: the framing and pings of\n"
   "docs/LEGACY.md; both sides must agree (cometbft)"},
  {"log-level", "LEVEL", CLI_NODES | CLI_INIT | CLI_KEY, set_log_level,
   "error, warn, info or debug (warn)"},
  {"json", NULL, CLI_DAEMONS, set_json_log, "as --log_format json"},
  {"json", NULL, CLI_ALL & ~CLI_DAEMONS, set_json, "one JSON object a line"},
};

enum {
  ROW_COUNT = sizeof rows / sizeof *rows,
  OPTION_HELP = ROW_COUNT,
  USAGE_SIZE = 1024,
};

int cli_options_usage(const cli_options *o, const char *format, ...) {
  char line[USAGE_SIZE], end[64];
  size_t len = (size_t)snprintf(line, sizeof line, "%s: ", o->verb);
  va_list args;

  snprintf(end, sizeof end, " (see cometp2p %s --help)", o->verb);
  va_start(args, format);
  vsnprintf(line + len, sizeof line - len - strlen(end), format, args);
  va_end(args);
  memcpy(line + strlen(line), end, strlen(end) + 1);
  cli_complain("cometp2p %s", line);
  return CLI_USAGE;
}

static void print_row(FILE *to, const option_row *row) {
  char left[40];
  const char *help = row->help;

  snprintf(left, sizeof left, "--%s %s", row->name,
           row->value == NULL ? "" : row->value);
  if (strlen(left) <= 26) {
    fprintf(to, "  %-26s ", left);
  } else { /* Its help begins below it. */
    fprintf(to, "  %s\n%29s", left, "");
  }
  for (; *help != '\0'; help++) {
    fputc(*help, to);
    if (*help == '\n') {
      fprintf(to, "%29s", "");
    }
  }
  fputc('\n', to);
}

int cli_options_help(const cli_verb *verb) {
  cli_page page;

  cli_page_open(&page);
  fprintf(page.file, "usage: cometp2p %s %s\n\n%s\n\noptions:\n", verb->name,
          verb->usage, verb->help);
  for (size_t i = 0; i < ROW_COUNT; i++) {
    if ((rows[i].verbs & verb->bit) != 0) {
      print_row(page.file, &rows[i]);
    }
  }
  fprintf(page.file, "  %-26s %s\n", "--help", "this text");
  return cli_page_write(&page, STDOUT_FILENO);
}

static void long_options(const cli_verb *verb, struct option *out) {
  size_t count = 0;

  for (size_t i = 0; i < ROW_COUNT; i++) {
    if ((rows[i].verbs & verb->bit) != 0) {
      out[count++] = (struct option){
        .name = rows[i].name,
        .has_arg = rows[i].value == NULL ? no_argument : required_argument,
        .val = (int)i,
      };
    }
  }
  out[count++] = (struct option){.name = "help", .val = OPTION_HELP};
  out[count] = (struct option){0};
}

static int bad_value(const cli_options *o, const option_row *row,
                     const char *value) {
  char shown[160];

  if (row->value == NULL) {
    return cli_options_usage(o, "--%s: %s", row->name, o->fault);
  }
  cmt_text_escape(cmt_bytes_of(value), shown, sizeof shown);
  return cli_options_usage(o, "--%s '%s': %s", row->name, shown, o->fault);
}

static int bad_option(const cli_options *o, int what, const char *word) {
  char shown[160], letter[] = {'-', (char)optopt, '\0'};

  /* The word of a letter is not known: more may follow in the same. */
  if (what == '?' && (optopt < 0 || optopt > OPTION_HELP)) {
    word = letter;
  }
  cmt_text_escape(cmt_bytes_of(word), shown, sizeof shown);
  return cli_options_usage(
    o, what == ':' ? "%s needs a value" : "unknown option '%s'", shown);
}

static bool row_set(cli_options *o, const option_row *row, const char *value) {
  return row->set != NULL ? row->set(o, value)
                          : override(o, row->name, value, NULL);
}

typedef int options_get(int argc, char *const *argv, const char *letters,
                        const struct option *longs, int *at);

static int parse_all(cli_options *o, const cli_verb *verb, int argc,
                     char **argv) {
  /* tenderseed takes its options with one dash too. */
  options_get *get =
    (verb->bit & CLI_HOMES) != 0 ? getopt_long_only : getopt_long;
  struct option longs[ROW_COUNT + 2];
  int what;

  long_options(verb, longs);
  opterr = 0;
  optind = 1;
  while ((what = get(argc, argv, ":h", longs, NULL)) != -1) {
    if (what == OPTION_HELP || what == 'h') {
      return cli_options_help(verb);
    }
    if (what == ':' || what == '?') {
      return bad_option(o, what, argv[optind - 1]);
    }
    if (!row_set(o, &rows[what], optarg)) {
      return bad_value(o, &rows[what], optarg);
    }
  }
  o->args = argv + optind;
  o->arg_count = (size_t)(argc - optind);
  return -1;
}

static int check_times(cli_options *o) {
  uint64_t interval_ns =
    o->ping_interval_ns == 0 ? CMT_SECONDS(60) : o->ping_interval_ns;

  if (o->pong_timeout_ns >= interval_ns) {
    return cli_options_usage(
      o,
      "--pong-timeout: %llu ms is not shorter than the ping interval of "
      "%llu ms",
      (unsigned long long)(o->pong_timeout_ns / CMT_MILLISECONDS(1)),
      (unsigned long long)(interval_ns / CMT_MILLISECONDS(1)));
  }
  if (o->ping_interval_ns != 0 && o->pong_timeout_ns == 0) {
    o->pong_timeout_ns =
      o->ping_interval_ns / 4 * 3 + o->ping_interval_ns % 4 * 3 / 4;
    /* An interval of one nanosecond has no shorter timeout but 0. */
    if (o->pong_timeout_ns == 0) {
      return cli_options_usage(o, "--ping-interval: it is too short");
    }
  }
  return -1;
}

/* The texts of our node info have to fit into one with the rest of it. */
static int check_texts(cli_options *o) {
  size_t len = strlen(o->moniker) + strlen(o->network);

  if (len > CLI_TEXTS_MAX) {
    return cli_options_usage(
      o, "--moniker and --network have %zu bytes together: at most %d", len,
      CLI_TEXTS_MAX);
  }
  return -1;
}

static void default_channels(cli_options *o) {
  o->channels_given = o->channel_count > 0;
  if (!o->channels_given) {
    cli_parse_channel(o, "0x40:1=files");
    cli_parse_channel(o, "0x50:10=lines");
  }
  for (size_t i = 0; i < o->channel_count; i++) {
    if (o->roles[i] == CLI_ROLE_NONE) {
      o->roles[i] =
        o->bare_role == CLI_ROLE_NONE ? CLI_ROLE_DISCARD : o->bare_role;
    }
  }
}

int cli_options_parse(cli_options *o, const cli_verb *verb, int argc,
                      char **argv) {
  int code;

  *o = (cli_options){
    .verb = verb->name,
    .network = "cometp2p",
    .moniker = "cometp2p",
    .log_level = CMT_LOG_WARN,
    .inbound_max = 40,
    .handshakes_per_ip_max = CLI_HANDSHAKES_PER_IP,
    .pings = 3,
  };
  o->dials = cli_alloc((size_t)argc, sizeof *o->dials);
  o->friends = cli_alloc((size_t)argc, sizeof *o->friends);
  o->homes = cli_alloc((size_t)argc, sizeof *o->homes);
  o->values = cli_alloc((size_t)argc, sizeof *o->values);
  code = parse_all(o, verb, argc, argv);
  if (code == -1) {
    code = check_times(o);
  }
  if (code == -1) {
    code = check_texts(o);
  }
  if (code != -1) {
    cli_options_fini(o);
    return code;
  }
  if (o->wire == CMT_WIRE_LEGACY && !o->pings_given) {
    o->pings = 1;
  }
  default_channels(o);
  return -1;
}

void cli_options_fini(cli_options *o) {
  free(o->dials);
  free(o->friends);
  free(o->default_home);
  free(o->homes);
  free(o->values);
  o->default_home = NULL;
  o->homes = NULL;
  o->values = NULL;
  o->dials = NULL;
  o->friends = NULL;
}

bool cli_options_allow(const cli_options *o, const cmt_node_id *id) {
  for (size_t i = 0; i < o->friend_count; i++) {
    if (cmt_node_id_equal(&o->friends[i], id)) {
      return true;
    }
  }
  return !o->friends_only;
}

cmt_err cli_options_key(const cli_options *o, const cmt_env *env,
                        const char *file, cmt_node_key **out, cmt_why *why) {
  return o->strict_key ? cmt_node_key_load_private(env, file, out, why)
                       : cmt_node_key_load(env, file, out, why);
}

size_t cli_options_find(const cli_options *o, cli_role role) {
  size_t i = 0;

  while (i < o->channel_count && o->roles[i] != role) {
    i++;
  }
  return i;
}
