/* SPDX-License-Identifier: Apache-2.0 */

/* Makes a home, as CometBFT's init does: what is there stays as it is.  The
   file config.toml has the keys that this program reads; a node of CometBFT has
   a default for each of its own. */

#include "home_impl.h"

#include "base/sized.h"

#include <errno.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "home_checks.h"
#include "new_file.h"

enum {
  CONFIG_MODE = 0644,
  FOLDER_MODE = 0700,
  MONIKER_SIZE = 512,
  SEEDS_SIZE = 8192,
  CONFIG_SIZE = 2048 + MONIKER_SIZE + SEEDS_SIZE,
};

/* A home in the making.  The texts are those of the files, with escapes. */
typedef struct making {
  const cmt_home_init_options *o;
  cmt_home *h; /* Without values: it keeps the environment and the paths. */
  cmt_why *why;
  char moniker[MONIKER_SIZE], seeds[SEEDS_SIZE];
  char chain_id[2 * CMT__CHAIN_ID_SIZE];
} making;

void cmt_home_init_options_init_sized(cmt_home_init_options *o, size_t size) {
  cmt_home_init_options full = {.size = sizeof full};

  cmt__sized_write(o, size, &full, sizeof full);
}

static cmt_err fail_errno(const making *m, const char *path, int error) {
  char quoted[100], text[100];

  if (error == ENOMEM) {
    return cmt__why_plain(m->why, CMT_ENOMEM, CMT_STAGE_TRANSPORT);
  }
  return cmt__why(m->why, CMT_EIO, CMT_STAGE_TRANSPORT, "cannot make '%s': %s",
                  cmt__quote(cmt_bytes_of(path), quoted, sizeof quoted),
                  strerror_r(error, text, sizeof text));
}

static cmt_err make_folder(const making *m, const char *name) {
  const char *path = name[0] != '\0' ? cmt__home_path(m->h, name) : m->h->dir;
  struct stat st;

  if (path == NULL) {
    return fail_errno(m, "", ENOMEM);
  }
  if (mkdir(path, FOLDER_MODE) == 0) {
    return CMT_OK;
  }
  if (errno != EEXIST) {
    return fail_errno(m, path, errno);
  }
  return stat(path, &st) == 0 && S_ISDIR(st.st_mode)
           ? CMT_OK
           : fail_errno(m, path, ENOTDIR);
}

static void report(const making *m, const char *path, bool made) {
  if (m->o->on_file != NULL) {
    m->o->on_file(m->o->arg, path, made);
  }
}

static bool exists(const char *path) {
  struct stat st;

  return lstat(path, &st) == 0;
}

/* Makes the file |path| with |text|, unless something has its name. */
static cmt_err make_file(const making *m, const char *path, const char *text) {
  cmt__new_file file = {.path = path,
                        .kind = "home",
                        .mode = CONFIG_MODE,
                        .text = cmt_bytes_of(text)};
  int error = 0;
  cmt_err err =
    exists(path) ? CMT_EEXIST : cmt__new_file_write(&m->h->env, &file, &error);

  if (err != CMT_OK && err != CMT_EEXIST) {
    return fail_errno(m, path, error);
  }
  report(m, path, err == CMT_OK);
  return CMT_OK;
}

static cmt_err make_key(const making *m, const char *path) {
  cmt_node_key *key;
  cmt_err err = cmt_node_key_generate(&m->h->env, &key);

  if (err != CMT_OK) {
    return cmt__why_plain(m->why, err, CMT_STAGE_TRANSPORT);
  }
  err = cmt_node_key_save_new(key, path, m->why);
  cmt_node_key_delete(key);
  if (err == CMT_OK || err == CMT_EEXIST) {
    report(m, path, err == CMT_OK);
    return CMT_OK;
  }
  return err;
}

/* ---- what the files contain ---- */

static const char config_form[] =
  "# The configuration of a node, as CometBFT reads it.  Keys that are not "
  "here\n"
  "# have their defaults.  Flags and variables such as CMT_P2P_SEEDS override\n"
  "# it.  Relative paths begin at the home directory.\n"
  "\n"
  "# The name of this node.\n"
  "moniker = \"%s\"\n"
  "\n"
  "# debug, info, warn, error or none, or a list such as p2p:debug,*:error.\n"
  "log_level = \"info\"\n"
  "\n"
  "# plain or json.\n"
  "log_format = \"plain\"\n"
  "\n"
  "genesis_file = \"config/genesis.json\"\n"
  "node_key_file = \"config/node_key.json\"\n"
  "\n"
  "[p2p]\n"
  "\n"
  "# Where to listen; 0.0.0.0 is all addresses of IPv4 and IPv6.\n"
  "laddr = \"tcp://0.0.0.0:26656\"\n"
  "\n"
  "# HOST:PORT to tell others, when it is not where we listen.\n"
  "external_address = \"\"\n"
  "\n"
  "# ID@HOST:PORT of nodes to ask for addresses, separated by commas.\n"
  "seeds = \"%s\"\n"
  "\n"
  "# ID@HOST:PORT of nodes to stay connected to, separated by commas.\n"
  "persistent_peers = \"\"\n"
  "\n"
  "addr_book_file = \"config/addrbook.json\"\n"
  "\n"
  "# false for a private network: addresses that only it knows are kept.\n"
  "addr_book_strict = true\n"
  "\n"
  "max_num_inbound_peers = 40\n"
  "max_num_outbound_peers = 10\n"
  "\n"
  "# Ids of nodes that no limit refuses, separated by commas.\n"
  "unconditional_peer_ids = \"\"\n"
  "\n"
  "# The longest pause between dials of a persistent peer; 0s: no limit.\n"
  "persistent_peers_max_dial_period = \"0s\"\n"
  "\n"
  "# Bytes of a message in one packet; the same on all nodes of a network.\n"
  "max_packet_msg_payload_size = 1024\n"
  "\n"
  "# Bytes per second to and from each peer; 0: no limit.\n"
  "send_rate = 5120000\n"
  "recv_rate = 5120000\n"
  "\n"
  "# Exchange addresses with peers.\n"
  "pex = true\n"
  "\n"
  "# Only that: answer with addresses, and hang up.\n"
  "seed_mode = false\n"
  "\n"
  "# Ids of peers whose addresses stay private, separated by commas.\n"
  "private_peer_ids = \"\"\n"
  "\n"
  "# Several peers of one IP address.\n"
  "allow_duplicate_ip = false\n"
  "\n"
  "[instrumentation]\n"
  "\n"
  "# Metrics for Prometheus.\n"
  "prometheus = false\n"
  "prometheus_listen_addr = \":26660\"\n"
  "max_open_connections = 3\n"
  "namespace = \"cometbft\"\n";

static const char genesis_form[] = "{\n"
                                   "  \"genesis_time\": \"%s\",\n"
                                   "  \"chain_id\": \"%s\",\n"
                                   "  \"initial_height\": \"0\",\n"
                                   "  \"app_hash\": \"\"\n"
                                   "}\n";

/* Writes |text|, which is printable ASCII, as the content of a string of TOML
   or JSON; false: it does not fit. */
static bool quote(const char *text, char *out, size_t cap) {
  size_t len = 0;

  for (; *text != '\0'; text++) {
    if (len + 3 > cap) {
      return false;
    }
    if (*text == '"' || *text == '\\') {
      out[len++] = '\\';
    }
    out[len++] = *text;
  }
  out[len] = '\0';
  return true;
}

/* How messages name an option: home_read.c does it likewise. */
static const char *option_name(cmt__home_key_id id) {
  return id == CMT__HOME_MONIKER    ? "--moniker"
         : id == CMT__HOME_CHAIN_ID ? "--chain-id"
                                    : "--seeds";
}

/* Checks |text| and writes it to |out|, or says why not. */
static cmt_err prepare(const making *m, cmt__home_key_id id, const char *text,
                       char *out, size_t cap) {
  const cmt__home_key *key = &cmt__home_keys[id];
  cmt__home_value v = {.text = text};
  cmt__home_fault f = {.found = ""};
  char shown[80];
  bool fine;

  fine =
    id == CMT__HOME_SEEDS ? cmt__home_check_seeds(&v, &f) : key->check(&v, &f);
  if (fine && !quote(text, out, cap)) {
    fine = false;
    snprintf(f.allowed, sizeof f.allowed, "at most %zu characters",
             cap / 2 - 1);
  }
  if (!fine) {
    cmt__quote(cmt_bytes_of(f.found[0] != '\0' ? f.found : text), shown,
               sizeof shown);
  }
  return fine ? CMT_OK
              : cmt__why(m->why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                         "%s is '%s', allowed is %s", option_name(id), shown,
                         f.allowed);
}

static void random_chain_id(const making *m, char *out, size_t cap) {
  uint8_t letters[6];
  size_t len = (size_t)snprintf(out, cap, "test-chain-");

  m->h->env.entropy(m->h->env.entropy_arg, letters, sizeof letters);
  for (size_t i = 0; i < sizeof letters; i++) {
    out[len++] = (char)('a' + letters[i] % 26);
  }
  out[len] = '\0';
}

static cmt_err prepare_all(making *m) {
  const cmt_home_init_options *o = m->o;
  char host[MONIKER_SIZE / 2 - 1], chain_id[CMT__CHAIN_ID_SIZE];
  cmt_err err;

  cmt__home_host(host, sizeof host);
  random_chain_id(m, chain_id, sizeof chain_id);
  err = prepare(m, CMT__HOME_MONIKER, o->moniker != NULL ? o->moniker : host,
                m->moniker, sizeof m->moniker);
  if (err == CMT_OK) {
    err = prepare(m, CMT__HOME_CHAIN_ID,
                  o->chain_id != NULL ? o->chain_id : chain_id, m->chain_id,
                  sizeof m->chain_id);
  }
  if (err == CMT_OK) {
    err = prepare(m, CMT__HOME_SEEDS, o->seeds != NULL ? o->seeds : "",
                  m->seeds, sizeof m->seeds);
  }
  return err;
}

static cmt_err make_config(const making *m) {
  /* A file beside the folder is read in place of the one in it. */
  const char *other = cmt__home_path(m->h, "config.toml");
  const char *path = cmt__home_path(m->h, "config/config.toml");
  char text[CONFIG_SIZE];

  if (other == NULL || path == NULL) {
    return fail_errno(m, "", ENOMEM);
  }
  if (exists(other)) {
    report(m, other, false);
    return CMT_OK;
  }
  snprintf(text, sizeof text, config_form, m->moniker, m->seeds);
  return make_file(m, path, text);
}

static cmt_err make_genesis(const making *m, const char *path) {
  char when[64], text[512];
  time_t now = time(NULL);
  struct tm utc;

  gmtime_r(&now, &utc);
  strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
  snprintf(text, sizeof text, genesis_form, when, m->chain_id);
  return make_file(m, path, text);
}

/* Whether a file of the home has the chain id, or will have it. */
static cmt_err find_chain_id(const making *m, cmt_home *h, bool *found) {
  cmt_err err;

  /* A file of tenderseed has it itself. */
  *found = h->values[CMT__HOME_CHAIN_ID].text[0] != '\0';
  if (*found || exists(h->settings.genesis_file)) {
    return CMT_OK;
  }
  /* A genesis would hide that of client.toml. */
  err = cmt__home_read_client(h, m->why);
  *found = err == CMT_OK && h->chain_id[0] != '\0';
  return err == CMT_EIO ? CMT_OK : err;
}

/* Opens the home as far as it is there.  |*found|: it has its chain id, or will
   have it. */
static cmt_err open_home(const making *m, cmt_home **out, bool *found) {
  /* Whoever opens it later reads the warnings. */
  cmt_env quiet = m->h->env;
  cmt_home_options options = {.size = sizeof options,
                              .env = &quiet,
                              .dir = m->h->dir,
                              .environment = m->o->environment,
                              .env_prefix = m->o->env_prefix};
  cmt_err err;

  quiet.log = NULL;
  err = cmt_home_open(&options, out, m->why);
  if (err != CMT_OK) {
    return err;
  }
  err = find_chain_id(m, *out, found);
  if (err != CMT_OK) {
    cmt_home_delete(*out);
  }
  return err;
}

/* A mistake in what is there, or in the environment, makes nothing. */
static cmt_err check_home(const making *m) {
  cmt_node_key *key = NULL;
  bool found;
  cmt_home *h;
  cmt_err err = open_home(m, &h, &found);

  if (err != CMT_OK) {
    return err;
  }
  if (exists(h->settings.node_key_file)) {
    err = cmt_home_load_key(h, &key, m->why);
    cmt_node_key_delete(key);
  }
  cmt_home_delete(h);
  return err;
}

/* Makes what the configuration, which is there by now, names. */
static cmt_err make_named(const making *m) {
  bool found;
  cmt_home *h;
  cmt_err err = open_home(m, &h, &found);

  if (err != CMT_OK) {
    return err;
  }
  if (!found) {
    err = make_genesis(m, h->settings.genesis_file);
  }
  if (err == CMT_OK) {
    err = make_key(m, h->settings.node_key_file);
  }
  cmt_home_delete(h);
  return err;
}

static cmt_err make_home(making *m) {
  static const char *const folders[] = {"", "config", "data"};
  cmt_err err = prepare_all(m);

  if (err == CMT_OK) {
    err = check_home(m);
  }
  for (size_t i = 0; i < CMT__COUNT(folders) && err == CMT_OK; i++) {
    err = make_folder(m, folders[i]);
  }
  if (err == CMT_OK) {
    err = make_config(m);
  }
  return err == CMT_OK ? make_named(m) : err;
}

cmt_err cmt_home_init(const cmt_home_init_options *o, cmt_why *why) {
  cmt_home_init_options options = {.size = sizeof options};
  making *m;
  cmt_env env;
  cmt_err err =
    cmt__sized_read(&options, sizeof options, o, "cmt_home_init_options", why);

  if (err == CMT_OK) {
    err = cmt__home_check_options(options.env, options.dir, &env, why);
  }
  if (err != CMT_OK) {
    return err;
  }
  m = cmt__alloc_zero(&env, sizeof *m);
  if (m != NULL) {
    *m = (making){
      .o = &options, .why = why, .h = cmt__home_new(&env, options.dir)};
  }
  err = m != NULL && m->h != NULL
          ? make_home(m)
          : cmt__why_plain(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT);
  if (m != NULL) {
    cmt_home_delete(m->h);
  }
  cmt__free(&env, m);
  return err;
}
