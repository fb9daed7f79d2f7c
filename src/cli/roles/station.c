/* SPDX-License-Identifier: Apache-2.0 */
#include "station.h"

#include "node.h"
#include "station_peers.h"
#include "station_servers.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <stdlib.h>
#include <string.h>

enum {
  /* Answers that wait for their visitors.  By default the floors of all peers
     that there might be would leave room for four of them.  Those of
     CMT_PEERS_MAX inbound and as many outbound ones take half of it. */
  ANSWERS_BYTES_MAX = 1 << 30,
  LATER_INBOUND_MAX = 4096, /* Places for homes that come into --homes. */
};

#define TRIM_NS CMT_SECONDS(10)

/* ---- chains ---- */

/* The first one is there before any thread, which reads it without the lock. */
static void chain_add(cli_station *s, cli_chain *c) {
  pthread_mutex_lock(&s->lock);
  s->chains = cli_realloc(s->chains, (s->chain_count + 1) * sizeof *s->chains);
  s->chains[s->chain_count++] = c;
  if (s->first == NULL) {
    s->first = c;
  }
  pthread_mutex_unlock(&s->lock);
}

/* Two homes of one chain would have one set of peers. */
static const cli_chain *chain_twin(cli_station *s, const cli_chain *c) {
  const cli_chain *twin = NULL;

  pthread_mutex_lock(&s->lock);
  for (size_t i = 0; i < s->chain_count && twin == NULL; i++) {
    twin = strcmp(s->chains[i]->network, c->network) == 0 ? s->chains[i] : NULL;
  }
  pthread_mutex_unlock(&s->lock);
  return twin;
}

/* The log is that of the home of |c|, which has checked its level. */
static void log_open(cli_station *s, const cli_chain *c) {
  char fault[CLI_LOG_FAULT_SIZE];

  s->log.json = c->settings->log_json;
  (void)cli_log_levels_parse(c->settings->log_level, &s->log.levels, fault);
}

/* The book of a twin is not read, since nobody would save it.  The key of the
   first chain is that of all. */
static cmt_err chain_load(cli_station *s, cli_chain *c, cmt_why *why) {
  const cli_chain *twin = chain_twin(s, c);
  cmt_err err;

  if (twin != NULL) {
    snprintf(why->text, sizeof why->text, "%s: the chain %s is that of %s",
             c->dir, c->network, twin->dir);
    why->err = CMT_EDUPLICATE;
    return CMT_EDUPLICATE;
  }
  if (s->first == NULL) {
    log_open(s, c); /* Warnings about the book and the key are lines of it. */
  }
  err = cli_chain_load(c, &s->env, why);
  if (err == CMT_OK && s->first == NULL) {
    err = cmt_home_load_key(c->home, &s->key, why);
  }
  return err;
}

/* NULL: |why| has the reason. */
static cli_chain *chain_open(cli_station *s, const char *dir, cmt_why *why) {
  const cli_chain_options o = {
    .options = s->options, .env = &s->env, .dir = dir, .seed = s->seed};
  cli_chain *c = cli_chain_open(&o, why);

  if (c != NULL && chain_load(s, c, why) != CMT_OK) {
    cli_chain_drop(c);
    c = NULL;
  }
  if (c == NULL) {
    cli_home_explain(dir, why);
  }
  return c;
}

/* ---- memory ---- */

/* Loading or saving a book takes several times its size for a moment, of which
   glibc keeps much. */
static void memory_trim(void) {
#ifdef __GLIBC__
  (void)malloc_trim(0);
#endif
}

/* Some time after a save has begun. */
static void memory_tick(cli_station *s, bool saved) {
  uint64_t now_ns = cli_now_ns();

  if (s->trim_ns != 0 && now_ns >= s->trim_ns) {
    memory_trim();
    s->trim_ns = 0;
  }
  if (saved && s->trim_ns == 0) {
    s->trim_ns = now_ns + TRIM_NS;
  }
}

/* ---- once a second ---- */

/* The chain at |i| from |from| on, counted around; NULL: there are fewer. */
static cli_chain *chain_next(cli_station *s, size_t from, size_t i) {
  cli_chain *c;

  pthread_mutex_lock(&s->lock);
  c = i < s->chain_count ? s->chains[(from + i) % s->chain_count] : NULL;
  pthread_mutex_unlock(&s->lock);
  return c;
}

static void on_time(void *arg, cmt_err status) {
  cli_station *s = arg;
  bool saved = false;
  cli_chain *c;

  if (status != CMT_OK) {
    return;
  }
  for (size_t i = 0; (c = chain_next(s, s->tick_at, i)) != NULL; i++) {
    saved = cli_chain_tick(c, &s->log, !saved) || saved;
  }
  s->tick_at++;
  memory_tick(s, saved);
  cmt_ignore(cmt_switch_timer(s->sw, &s->timer, CMT_SECONDS(1)));
}

/* ---- folders that cannot be served ---- */

static uint64_t stamp_of(const cli_station *s, const char *dir) {
  return cli_faults_stamp(dir, s->options->config);
}

static void fault_log(const cli_station *s, const char *dir, const char *text) {
  CLI_LOG(&s->log, CMT_LOG_ERROR, "main", "Folder is not served",
          {"home", dir, 0}, {"err", text, 0});
}

static void fault_tell(cli_station *s, const char *dir, uint64_t stamp,
                       const cmt_why *why) {
  if (cli_faults_note(&s->faults, dir, stamp, why)) {
    fault_log(s, dir, why->text);
  }
}

void cli_station_fault(cli_station *s, const char *dir, const char *text) {
  cmt_why why = {.err = CMT_EIO};

  snprintf(why.text, sizeof why.text, "%s", text != NULL ? text : "");
  if (cli_faults_note(&s->faults, dir, 0, &why) && text != NULL) {
    fault_log(s, dir, text);
  }
}

/* ---- start ---- */

/* The places of all chains together, and one for each peer that would need none
   of them but for the length of the switch's list; homes that come later bring
   more. */
static uint32_t seed_inbound_max(const cli_station *s) {
  uint64_t all = s->options->homes_dir != NULL ? LATER_INBOUND_MAX : 0;
  uint64_t ids = 0;

  for (size_t i = 0; i < s->chain_count; i++) {
    const cmt_home_settings *set = s->chains[i]->settings;

    all += set->max_num_inbound_peers;
    ids += set->unconditional_peer_id_count;
  }
  all += ids > CMT_UNCONDITIONAL_MAX ? ids - CMT_UNCONDITIONAL_MAX : 0;
  if (all == 0) {
    return CMT_NO_PEERS;
  }
  return all < CMT_PEERS_MAX ? (uint32_t)all : CMT_PEERS_MAX;
}

static cmt_err switch_make(cli_station *s, cmt_why *why) {
  cli_chain *first = s->first;
  cmt_switch_options o;

  cmt_switch_options_init(&o);
  cmt_home_set_switch(first->home, &o);
  o.env = &s->env;
  o.key = s->key;
  o.version = cmt_version();
  cli_station_set_peers(s, &o);
  if (s->seed) {
    o.outbound_peers_max = CMT_PEERS_MAX; /* Each exchange has its own limit, */
    s->shared = s->chain_count > 1 || s->options->homes_dir != NULL;
    s->inbound_max = seed_inbound_max(s);
    o.inbound_peers_max = s->inbound_max;
    o.inbound_peers_per_ip_max =
      s->shared ? CMT_NO_LIMIT : o.inbound_peers_per_ip_max;
    o.dials_max = CMT_NO_LIMIT;
    o.send_bytes_total_max = ANSWERS_BYTES_MAX;
  }
  return cmt_switch_new(&o, &s->sw, why);
}

/* Adds to the list what the home of |c| has, as far as there is room. */
static size_t unconditional_add(cmt_node_id *list, size_t count,
                                const cli_chain *c) {
  for (size_t i = 0; i < c->settings->unconditional_peer_id_count &&
                     count < CMT_UNCONDITIONAL_MAX;
       i++) {
    list[count++] = c->settings->unconditional_peer_ids[i];
  }
  return count;
}

/* The unconditional peers of all chains, and of |c|, which may be none yet. */
static cmt_err unconditional_join(cli_station *s, const cli_chain *c,
                                  cmt_why *why) {
  cmt_node_id *list = cli_alloc(CMT_UNCONDITIONAL_MAX, sizeof *list);
  size_t count = unconditional_add(list, 0, c);
  cmt_err err;

  for (size_t i = 0; i < s->chain_count; i++) {
    if (s->chains[i] != c) {
      count = unconditional_add(list, count, s->chains[i]);
    }
  }
  err = cmt_switch_set_unconditional(s->sw, list, count, why);
  free(list);
  return err;
}

/* All peers share one switch, whose values are those of the first home. */
static void warn_rates(const cli_station *s, const cli_chain *c) {
  const cmt_home_settings *own = c->settings, *first = s->first->settings;
  char keys[96];

  snprintf(keys, sizeof keys, "%s%s%s",
           own->send_rate != first->send_rate ? " send_rate" : "",
           own->recv_rate != first->recv_rate ? " recv_rate" : "",
           own->max_packet_msg_payload_size !=
               first->max_packet_msg_payload_size
             ? " max_packet_msg_payload_size"
             : "");
  if (keys[0] != '\0') {
    CLI_LOG(&s->log, CMT_LOG_WARN, "main",
            "The first home's value holds for all", {"keys", keys + 1, 0},
            {"home", c->dir, 0}, {"first", s->first->dir, 0});
  }
}

/* What a chain needs of the switch, before or while it runs. */
static cmt_err chain_join(cli_station *s, cli_chain *c, cmt_why *why) {
  cmt_why cause = {.err = CMT_OK};
  cmt_err err = cli_chain_watch(c, &s->env, s->sw, c != s->first, &cause);

  if (err == CMT_OK) {
    err = unconditional_join(s, c, &cause);
  }
  if (err == CMT_OK && s->seed) {
    err = cli_chain_announce(c, s->sw, &cause);
  }
  if (err == CMT_OK && c != s->first) {
    warn_rates(s, c);
    err = cmt_pex_join(c->pex, s->first->pex, &cause);
  }
  if (err == CMT_OK) {
    err = cli_chain_dial(c, s->sw, &cause);
  }
  if (err != CMT_OK) {
    why->err = err;
    snprintf(why->text, sizeof why->text, "%.80s: %.170s", c->dir, cause.text);
    (void)cmt_switch_remove_network(s->sw, c->network);
  }
  return err;
}

static void log_id(const cli_station *s) {
  cmt_node_id id;

  cmt_switch_get_id(s->sw, &id);
  CLI_LOG(&s->log, CMT_LOG_INFO, "p2p", "P2P Node ID", {"ID", id.text, 0},
          {"file", s->first->settings->node_key_file, 0});
}

static void log_start(const cli_station *s) {
  char at[CMT_NET_ADDR_TEXT_SIZE] = "";

  cmt_ignore(cmt_switch_get_laddr_text(s->sw, at, sizeof at));
  CLI_LOG(&s->log, CMT_LOG_INFO, "p2p", "Started node", {"laddr", at, 0});
  for (size_t i = 0; i < s->chain_count; i++) {
    CLI_LOG(&s->log, CMT_LOG_INFO, "main", "Chain",
            {"network", s->chains[i]->network, 0},
            {"home", s->chains[i]->dir, 0});
  }
  if (s->metrics_server != NULL) {
    CLI_LOG(&s->log, CMT_LOG_INFO, "main", "Serving metrics",
            {"addr", cli_http_addr(s->metrics_server), 0});
  }
  if (s->pages_server != NULL) {
    CLI_LOG(&s->log, CMT_LOG_INFO, "main", "Serving pages",
            {"addr", cli_http_addr(s->pages_server), 0});
  }
}

bool cli_station_forget(cli_station *s, cmt_why *why) {
  for (size_t i = 0; i < s->chain_count; i++) {
    if (cli_chain_forget(s->chains[i], &s->deny, s->sw, why) != CMT_OK) {
      return false;
    }
  }
  return true;
}

bool cli_station_deny(cli_station *s, cmt_why *why) {
  return s->options->deny == NULL ||
         (cli_deny_load(&s->deny, s->options->deny, s->sw, why) &&
          cli_station_forget(s, why));
}

/* Takes the chain at |i|, which is not served, out of the list, while there is
   no thread yet. */
static void chain_skip(cli_station *s, size_t i, const cmt_why *why) {
  cli_chain *c = s->chains[i];

  fault_tell(s, c->dir, stamp_of(s, c->dir), why);
  memmove(&s->chains[i], &s->chains[i + 1],
          (--s->chain_count - i) * sizeof(cli_chain *));
  s->first = s->chain_count > 0 ? s->chains[0] : NULL;
  cli_chain_drop(c);
}

/* The key and the switch are those of the first home. */
static cmt_err first_make(cli_station *s, cmt_why *why) {
  cmt_err err = CMT_OK;

  if (s->key == NULL) {
    err = cmt_home_load_key(s->first->home, &s->key, why);
  }
  return err == CMT_OK && s->sw == NULL ? switch_make(s, why) : err;
}

static void first_skip(cli_station *s, const cmt_why *why) {
  chain_skip(s, 0, why);
  cmt_node_key_delete(s->key);
  s->key = NULL;
  cmt_ignore(cmt_switch_delete(s->sw));
  s->sw = NULL;
  log_open(s, s->first);
}

/* Whether the seed goes on without the chain at |i|, a folder of --homes that
   is not the last one left. */
static bool may_skip(const cli_station *s, size_t i) {
  return i >= s->options->home_count && s->options->homes_dir != NULL &&
         s->chain_count > 1;
}

static cmt_err chains_join(cli_station *s, cmt_why *why) {
  size_t i = 0;

  while (i < s->chain_count) {
    cmt_err err = first_make(s, why);

    if (err == CMT_OK) {
      err = chain_join(s, s->chains[i], why);
    }
    if (err == CMT_OK) {
      cli_chain_ban(s->chains[i++], s->sw);
    } else if (!may_skip(s, i)) {
      return err;
    } else if (i > 0) {
      chain_skip(s, i, why);
    } else {
      first_skip(s, why);
    }
  }
  return CMT_OK;
}

/* Who is banned or denied is so before the first connection. */
static cmt_err start(cli_station *s, cmt_why *why) {
  cmt_err err = chains_join(s, why);

  if (err == CMT_OK && !cli_station_deny(s, why)) {
    err = CMT_EINVAL;
  }
  if (err == CMT_OK) {
    log_id(s); /* Before the lines of its dials. */
    err = cmt_switch_start(s->sw, why);
  }
  if (err == CMT_OK && !cli_station_start_servers(s, why)) {
    err = CMT_EIO;
  }
  return err;
}

/* Each home that --home names has to be well; the folders of --homes come after
   them. */
static bool chains_open(cli_station *s, char *const *dirs, size_t count) {
  cmt_why why;

  for (size_t i = 0; i < count; i++) {
    uint64_t stamp = stamp_of(s, dirs[i]);
    cli_chain *c = chain_open(s, dirs[i], &why);

    if (c != NULL) {
      chain_add(s, c);
    } else if (i < s->options->home_count || s->options->homes_dir == NULL) {
      cli_fail("%s", why.text);
      return false;
    } else {
      (void)cli_faults_note(&s->faults, dirs[i], stamp, &why);
    }
  }
  for (size_t i = 0; i < s->faults.count && s->first == NULL; i++) {
    cli_fail("%s", s->faults.list[i].text);
  }
  return s->first != NULL;
}

/* Any module may be named, since a configuration may be that of a whole node.
 */
static void warn_modules(const cli_station *s) {
  for (size_t i = 0; i < s->log.levels.count; i++) {
    const char *module = s->log.levels.of[i].module;
    const char *meant = cli_log_module_meant(module);
    char shown[CLI_LOG_MODULE_SIZE * 4];

    if (meant != NULL) {
      cmt_text_escape(cmt_bytes_of(module), shown, sizeof shown);
      cli_fail("log_level names the module '%s', which writes no line; did you "
               "mean %s?",
               shown, meant);
    }
  }
}

/* What the arguments say, for lines before the home is read. */
static bool is_json(const cli_options *o) {
  bool json = false;

  for (size_t i = 0; i < o->value_count; i++) {
    if (strcmp(o->values[i].key, "log_format") == 0) {
      json = strcmp(o->values[i].value, "json") == 0;
    }
  }
  return json;
}

bool cli_station_open(cli_station *s, const cli_options *o, cli_io *io,
                      char *const *dirs, size_t count) {
  cmt_why why;

  s->options = o;
  s->io = io;
  s->servers_fd = -1;
  s->log = (cli_log){
    .levels = {.rest = CMT_LOG_WARN}, .json = is_json(o), .out = io->out};
  s->timer = (cmt_timer){.cb = on_time, .arg = s};
  pthread_mutex_init(&s->lock, NULL);
  if (!cli_env_init(&s->env, io)) {
    return false;
  }
  s->env.log = cli_log_hook;
  s->env.log_arg = &s->log;
  if (!chains_open(s, dirs, count)) {
    return false;
  }
  log_open(s, s->first);
  warn_modules(s);
  for (size_t i = 0; i < s->faults.count; i++) {
    fault_log(s, s->faults.list[i].dir, s->faults.list[i].text);
  }
  if (start(s, &why) != CMT_OK) {
    cli_fail("%s", why.text);
    return false;
  }
  log_start(s);
  memory_trim();
  return cmt_switch_timer(s->sw, &s->timer, CMT_SECONDS(1)) == CMT_OK;
}

/* It joins before it is in the list: peers that come earlier are left alone.
   Nothing of an exchange that has joined can be taken back, so joining is the
   last step that may fail. */
void cli_station_add(cli_station *s, const char *dir) {
  uint64_t stamp = stamp_of(s, dir);
  cmt_why why;
  cli_chain *c = chain_open(s, dir, &why);

  if (c == NULL) {
    fault_tell(s, dir, stamp, &why);
    return;
  }
  if (cli_chain_forget(c, &s->deny, s->sw, &why) != CMT_OK ||
      chain_join(s, c, &why) != CMT_OK) {
    fault_tell(s, dir, stamp, &why);
    cli_chain_drop(c);
    return;
  }
  cli_chain_ban(c, s->sw);
  chain_add(s, c);
  CLI_LOG(&s->log, CMT_LOG_INFO, "main", "Chain", {"network", c->network, 0},
          {"home", c->dir, 0});
}

/* ---- homes that change ---- */

/* The chain whose home is |dir|; NULL: none is served from there. */
static cli_chain *served(const cli_station *s, const char *dir) {
  for (size_t i = 0; i < s->chain_count; i++) {
    if (strcmp(s->chains[i]->dir, dir) == 0 && !s->chains[i]->away) {
      return s->chains[i];
    }
  }
  return NULL;
}

/* The folder of |from| has the chain |network| now, which may be one that it
   had before. */
static void chain_leave(cli_station *s, cli_chain *from, const char *network) {
  from->away = true;
  CLI_LOG(&s->log, CMT_LOG_ERROR, "main",
          "Home has another chain: its old one stays until a restart, and its "
          "book is not saved",
          {"home", from->dir, 0}, {"old", from->network, 0},
          {"network", network, 0});
  for (size_t i = 0; i < s->chain_count; i++) {
    cli_chain *c = s->chains[i];

    if (strcmp(c->dir, from->dir) == 0 && strcmp(c->network, network) == 0) {
      (void)cli_chain_changed(c);
      c->away = false;
    }
  }
}

static void home_changed(cli_station *s, cli_chain *c) {
  char *network = NULL;
  cmt_why why;

  if (cli_chain_network(c, &s->env, &network, &why) != CMT_OK) {
    CLI_LOG(&s->log, CMT_LOG_ERROR, "main",
            "Home has changed, and stays as it was until a restart",
            {"home", c->dir, 0}, {"err", why.text, 0});
  } else if (strcmp(network, c->network) == 0) {
    CLI_LOG(&s->log, CMT_LOG_WARN, "main",
            "Home has changed, and stays as it was until a restart",
            {"home", c->dir, 0}, {"network", c->network, 0});
  } else {
    chain_leave(s, c, network);
  }
  free(network);
}

void cli_station_review(cli_station *s) {
  for (size_t i = 0; i < s->chain_count; i++) {
    cli_chain *c = s->chains[i];

    if (!c->away && cli_chain_changed(c)) {
      home_changed(s, c);
    }
  }
}

bool cli_station_knows(cli_station *s, const char *dir) {
  return served(s, dir) != NULL ||
         cli_faults_hold(&s->faults, dir, stamp_of(s, dir));
}

int cli_station_close(cli_station *s, int code) {
  cli_station_stop_servers(s);
  if (s->sw != NULL) {
    cmt_ignore(cmt_switch_close(s->sw, CMT_SECONDS(1)));
  }
  for (size_t i = 0; i < s->chain_count; i++) {
    if (!cli_chain_close(s->chains[i])) {
      code = CLI_FAILED;
    }
  }
  cmt_node_key_delete(s->key);
  cli_deny_fini(&s->deny);
  cli_faults_fini(&s->faults);
  cli_places_fini(&s->places);
  free(s->chains);
  pthread_mutex_destroy(&s->lock);
  return code;
}
