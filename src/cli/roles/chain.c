/* SPDX-License-Identifier: Apache-2.0 */

#include "chain.h"

#include "stamp.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
  SEED_DIALS = 32,    /* At one time, of each chain. */
  VERIFIED_EVERY = 5, /* Seconds from one count of proofs to the next. */
  LISTED_FACTOR_PERCENT = 150, /* As peer exchange dials persistent peers. */
};

#define LISTED_MAX_NS CMT_SECONDS(60)

#define VERIFIED_NS CMT_SECONDS(1800)

uint64_t cli_utc_ns(void) {
  struct timespec now;

  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * CMT_SECONDS(1) + (uint64_t)now.tv_nsec;
}

/* "ID@HOST:PORT,..." of a list; the caller frees it. */
static char *list_text(const cmt_net_addr *list, size_t count) {
  const size_t size = (count + 1) * (CMT_NET_ADDR_TEXT_SIZE + 1);
  char *text = cli_alloc(1, size);
  size_t len = 0;

  for (size_t i = 0; i < count; i++) {
    char one[CMT_NET_ADDR_TEXT_SIZE];

    if (cmt_net_addr_format(&list[i], one, sizeof one) == CMT_OK) {
      len += (size_t)snprintf(text + len, size - len, "%s%s",
                              len > 0 ? "," : "", one);
    }
  }
  return text;
}

/* With pex = false the file of the book stays as it is: a seed of such a home
   has its book in memory. */
static cmt_err book_open(cli_chain *c, const cmt_env *env, cmt_why *why) {
  const cmt_home_settings *s = c->settings;
  cmt_addrbook_options o;
  cmt_err err;

  cmt_addrbook_options_init(&o);
  o.env = env;
  o.private_ids = s->private_peer_ids;
  o.private_id_count = s->private_peer_id_count;
  o.allow_unroutable = !s->addr_book_strict;
  if (!s->pex) {
    return cmt_addrbook_new(&o, &c->book, why);
  }
  err =
    cmt_addrbook_file_open(s->addr_book_file, &o, cli_utc_ns(), &c->file, why);
  c->book = err == CMT_OK ? cmt_addrbook_file_book(c->file) : NULL;
  return err;
}

static void book_close(cli_chain *c) {
  if (c->file == NULL) {
    cmt_addrbook_delete(c->book);
  }
  cmt_addrbook_file_close(c->file);
}

static void on_served(void *arg, const uint64_t *ages_ns, size_t count) {
  cli_chain *c = arg;

  for (size_t i = 0; i < count; i++) {
    cmt_metrics_observe(c->metrics, CMT_METRIC_SEED_PROOF_AGE, 0, ages_ns[i]);
  }
}

/* The switch reports refused dials without their chain. */
static void on_dialed(void *arg, const cmt_dial_outcome *o) {
  const cmt_rejection r = {.size = sizeof r, .outbound = true, .why = o->why};
  cli_chain *c = arg;

  cmt_metrics_dialed(c->metrics, o);
  if (o->why.err != CMT_OK) {
    cmt_metrics_rejected(c->metrics, &r);
  }
}

static void on_sent(void *arg, uint8_t channel, cmt_bytes msg) {
  cli_chain *c = arg;

  cmt_metrics_message(c->metrics, channel, msg, true);
}

static cmt_err pex_open(cli_chain *c, const cmt_env *env, cmt_why *why) {
  const cmt_home_settings *s = c->settings;
  char *seeds = list_text(s->seeds, s->seed_count);
  char *listed = list_text(s->persistent_peers, s->persistent_peer_count);
  cmt_pex_options p;
  cmt_err err;

  cmt_pex_options_init(&p);
  p.env = env;
  p.book = c->book;
  p.network = c->network;
  p.seeds = seeds;
  p.persistent_peers = listed;
  p.outbound_max = s->max_num_outbound_peers > 0 ? s->max_num_outbound_peers
                                                 : CMT_PEX_NO_PEERS;
  p.seed = c->seed;
  p.dials_max = c->seed ? SEED_DIALS : 0;
  p.on_served = on_served;
  p.served_arg = c;
  p.on_dialed = on_dialed;
  p.dialed_arg = c;
  p.on_sent = on_sent;
  p.sent_arg = c;
  p.serve_height_min = s->seed_min_height;
  p.serve_version = s->seed_version;
  err = cmt_pex_new(&p, &c->pex, why);
  free(seeds);
  free(listed);
  if (err == CMT_OK) {
    cmt_pex_get_reactor(c->pex, &c->reactor);
  }
  return err;
}

void cli_chain_drop(cli_chain *c) {
  cmt_pex_delete(c->pex);
  book_close(c);
  cmt_metrics_delete(c->metrics);
  cmt_home_delete(c->home);
  pthread_mutex_destroy(&c->book_lock);
  free(c->dir);
  free(c);
}

/* Neither a change of the mode or the owner nor one more link is a change. */
static uint64_t stamp_of(const cmt_home_settings *s) {
  const char *const files[] = {s->config_file, s->genesis_file,
                               s->node_key_file};
  uint64_t stamp = 0;

  for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
    stamp = cli_stamp_add(stamp, files[i], false);
  }
  return stamp;
}

bool cli_chain_changed(cli_chain *c) {
  uint64_t before = c->stamp;

  c->stamp = stamp_of(c->settings);
  return c->stamp != before;
}

cmt_err cli_chain_network(const cli_chain *c, const cmt_env *env, char **out,
                          cmt_why *why) {
  cmt_env quiet = *env;
  const char *network = NULL;
  cmt_home *h;
  cmt_err err;

  quiet.log = NULL;
  *out = NULL;
  err = cli_home_open(c->options, &quiet, c->dir, &h, why);
  if (err != CMT_OK) {
    return err;
  }
  err = cmt_home_load_chain_id(h, &network, why);
  if (err == CMT_OK) {
    *out = cli_copy(network);
  }
  cmt_home_delete(h);
  return err;
}

cli_chain *cli_chain_open(const cli_chain_options *o, cmt_why *why) {
  cli_chain *c = cli_alloc(1, sizeof *c);
  cmt_err err;

  pthread_mutex_init(&c->book_lock, NULL);
  c->options = o->options;
  c->dir = cli_copy(o->dir);
  c->seed = o->seed;
  err = cli_home_open(o->options, o->env, o->dir, &c->home, why);
  if (err == CMT_OK) {
    c->settings = cmt_home_get_settings(c->home);
    c->stamp = stamp_of(c->settings);
    err = cmt_home_load_chain_id(c->home, &c->network, why);
  }
  if (err == CMT_OK) {
    return c;
  }
  cli_chain_drop(c);
  return NULL;
}

cmt_err cli_chain_load(cli_chain *c, const cmt_env *env, cmt_why *why) {
  cmt_err err = CMT_OK;

  if (c->settings->pex || c->seed) {
    err = book_open(c, env, why);
    if (err == CMT_OK) {
      err = pex_open(c, env, why);
    }
  }
  return err;
}

cmt_err cli_chain_watch(cli_chain *c, const cmt_env *env, cmt_switch *sw,
                        bool shared, cmt_why *why) {
  cmt_metrics_options o;

  cmt_metrics_options_init(&o);
  o.env = env;
  o.name_space = c->settings->metrics_namespace;
  o.chain_id = c->network;
  o.sw = sw;
  o.any_network = shared;
  o.per_peer = c->options->peer_metrics;
  return cmt_metrics_new(&o, &c->metrics, why);
}

static void on_listed_dialed(void *arg, cmt_dial *dial,
                             const cmt_dial_outcome *o) {
  (void)dial;
  on_dialed(arg, o);
}

cmt_err cli_chain_dial(cli_chain *c, cmt_switch *sw, cmt_why *why) {
  const cmt_home_settings *s = c->settings;
  cmt_err err = CMT_OK;
  cmt_dial_options o;
  cmt_node_id own;

  cmt_dial_options_init(&o);
  o.persistent = true;
  o.on_outcome = on_listed_dialed;
  o.arg = c;
  o.retry_delay_max_ns = LISTED_MAX_NS;
  o.retry_factor_percent = LISTED_FACTOR_PERCENT;
  cmt_switch_get_id(sw, &own);
  for (size_t i = 0; i < s->persistent_peer_count && c->pex == NULL; i++) {
    char text[CMT_NET_ADDR_TEXT_SIZE];

    if (cmt_node_id_equal(&s->persistent_peers[i].id, &own)) {
      continue; /* As peer exchange does. */
    }
    err = cmt_net_addr_format(&s->persistent_peers[i], text, sizeof text);
    if (err == CMT_OK) {
      err = cmt_switch_dial_new(sw, text, &o, NULL, why);
    }
    if (err != CMT_OK && err != CMT_EDUPLICATE) {
      return err;
    }
  }
  return CMT_OK;
}

/* It mirrors, so that nodes of any block version stay. */
cmt_err cli_chain_announce(const cli_chain *c, cmt_switch *sw, cmt_why *why) {
  cmt_network n;

  cmt_network_init(&n);
  n.name = c->network;
  n.moniker = c->settings->moniker;
  n.mirror = true;
  return cmt_switch_set_network(sw, &n, why);
}

void cli_chain_ban(const cli_chain *c, cmt_switch *sw) {
  uint64_t now_ns = cli_utc_ns();
  cmt_addrbook_snapshot *s;
  cmt_addrbook_ban kept;

  if (c->pex == NULL || cmt_pex_snapshot_new(c->pex, &s) != CMT_OK) {
    return;
  }
  for (size_t i = 0; cmt_addrbook_snapshot_get_ban(s, i, &kept); i++) {
    cmt_ban ban;

    if (kept.kind == CMT_ADDRBOOK_MISBEHAVED && kept.end_ns > now_ns) {
      cmt_ban_init(&ban);
      ban.duration_ns = kept.end_ns - now_ns;
      snprintf(ban.subject, sizeof ban.subject, "%s", kept.addr.id.text);
      cmt_ignore(cmt_switch_ban(sw, &ban, NULL));
    }
  }
  cmt_addrbook_snapshot_delete(s);
}

/* ---- who is denied ---- */

/* Ids that the book keeps out: |kept| of them for good, and some that it only
   has to drop. */
typedef struct ids {
  cmt_node_id *list;
  size_t kept, count;
} ids;

static bool ids_add(ids *out, const char *id) {
  if (out->count == CMT_ADDRBOOK_IDS_MAX) {
    return false;
  }
  snprintf(out->list[out->count++].text, sizeof out->list->text, "%.40s", id);
  return true;
}

/* False: there are too many. */
static bool ids_fill(ids *out, const cli_chain *c, const cli_deny *d) {
  const cmt_home_settings *s = c->settings;
  bool room = true;

  for (size_t i = 0; i < s->private_peer_id_count; i++) {
    room = ids_add(out, s->private_peer_ids[i].text) && room;
  }
  for (size_t i = 0; i < d->count; i++) {
    const char *subject = d->list[i].subject;

    room = (strpbrk(subject, ".:") != NULL || ids_add(out, subject)) && room;
  }
  out->kept = out->count;
  return room;
}

/* Other bans end some day, and the book has them by itself. */
static bool is_denied(cmt_switch *sw, const cmt_net_addr *a) {
  cmt_ban ban;

  return cmt_switch_find_ban(sw, a, &ban) && ban.duration_ns == CMT_NEVER;
}

static cmt_err set_private(cli_chain *c, const cmt_node_id *list,
                           size_t count) {
  cmt_err err;

  pthread_mutex_lock(&c->book_lock);
  err = cmt_pex_set_private(c->pex, list, count);
  pthread_mutex_unlock(&c->book_lock);
  return err;
}

/* Drops the nodes that are denied, as many at once as there is room for. */
static cmt_err drop_denied(cli_chain *c, cmt_switch *sw, ids *out,
                           const cmt_addrbook_snapshot *book) {
  cmt_err err = set_private(c, out->list, out->count);
  cmt_addrbook_entry e;

  for (size_t i = 0; err == CMT_OK && cmt_addrbook_snapshot_get(book, i, &e);
       i++) {
    if (!is_denied(sw, &e.addr)) {
      continue;
    }
    if (out->kept == CMT_ADDRBOOK_IDS_MAX) {
      return CMT_ELIMIT; /* There is no room for any to drop. */
    }
    (void)ids_add(out, e.addr.id.text);
    if (out->count == CMT_ADDRBOOK_IDS_MAX) {
      err = set_private(c, out->list, out->count);
      out->count = out->kept;
    }
  }
  if (err == CMT_OK && out->count > out->kept) {
    err = set_private(c, out->list, out->count);
  }
  return err != CMT_OK ? err : set_private(c, out->list, out->kept);
}

cmt_err cli_chain_forget(cli_chain *c, const cli_deny *d, cmt_switch *sw,
                         cmt_why *why) {
  ids all = {.list = cli_alloc(CMT_ADDRBOOK_IDS_MAX, sizeof *all.list)};
  cmt_addrbook_snapshot *book = NULL;
  cmt_err err = CMT_OK;

  if (!ids_fill(&all, c, d)) {
    err = CMT_ELIMIT;
  } else if (c->pex != NULL) {
    err = cmt_pex_snapshot_new(c->pex, &book);
    if (err == CMT_OK) {
      err = drop_denied(c, sw, &all, book);
    }
    cmt_addrbook_snapshot_delete(book);
  }
  free(all.list);
  if (err != CMT_OK) {
    why->err = err;
    snprintf(why->text, sizeof why->text,
             "the book of %s does not take who is denied: %s", c->network,
             err == CMT_ELIMIT ? "there are too many private ids"
                               : cmt_err_text(err));
  }
  return err;
}

/* ---- once a second ---- */

/* Adds what |field| of the status has grown by. */
#define COUNT(c, now, at, field)                                               \
  cmt_metrics_add((c)->metrics, CMT_METRIC_PEX_EVENTS, (at),                   \
                  (now).field - (c)->counted.field)

_Static_assert((int)CMT_ADDRBOOK_FATE_REPLACED ==
                   (int)CMT_METRIC_FATE_REPLACED &&
                 CMT_ADDRBOOK_FATES == CMT_METRIC_FATE_REPLACED + 1,
               "the fates of the book are those of the metrics");

static void count_fates(const cli_chain *c, const cmt_pex_status *now) {
  for (unsigned i = 0; i < CMT_ADDRBOOK_FATES; i++) {
    cmt_metrics_add(c->metrics, CMT_METRIC_PEX_ADDRESSES, i,
                    now->fates[i] - c->counted.fates[i]);
  }
}

/* Only a seed has the families of a seed. */
static void count_visits(cli_chain *c, const cmt_pex_status *now) {
  const uint64_t grown[] = {
    [CMT_METRIC_VISIT_SERVED] = now->visits_served - c->counted.visits_served,
    [CMT_METRIC_VISIT_EMPTY] = now->visits_empty - c->counted.visits_empty,
    [CMT_METRIC_VISIT_SILENT] = now->visits_silent - c->counted.visits_silent,
    [CMT_METRIC_VISIT_LEFT] = now->visits_left - c->counted.visits_left,
  };

  for (unsigned i = 0; i < sizeof grown / sizeof *grown; i++) {
    cmt_metrics_add(c->metrics, CMT_METRIC_SEED_VISITS, i, grown[i]);
  }
  cmt_metrics_add(c->metrics, CMT_METRIC_SEED_SERVED, 0,
                  now->addrs_served - c->counted.addrs_served);
  if (c->ticks++ % VERIFIED_EVERY == 0) {
    cmt_addrbook_status book;

    cmt_addrbook_get_status(c->book, &book);
    cmt_metrics_set(c->metrics, CMT_METRIC_SEED_VERIFIED, 0,
                    book.entries > 0
                      ? cmt_pex_count_proven(c->pex, VERIFIED_NS) * 1000 /
                          book.entries
                      : 0);
  }
}

static void count_pex(cli_chain *c) {
  cmt_pex_status now;

  cmt_pex_get_status(c->pex, &now);
  COUNT(c, now, CMT_METRIC_PEX_ASKED, requests_sent);
  COUNT(c, now, CMT_METRIC_PEX_ANSWERED, answers_received);
  COUNT(c, now, CMT_METRIC_PEX_WAS_ASKED, requests_received);
  COUNT(c, now, CMT_METRIC_PEX_HELD, requests_held);
  COUNT(c, now, CMT_METRIC_PEX_DROPPED, requests_dropped);
  COUNT(c, now, CMT_METRIC_PEX_HAS_ANSWERED, answers_sent);
  COUNT(c, now, CMT_METRIC_PEX_UNSOLICITED, answers_unsolicited);
  COUNT(c, now, CMT_METRIC_PEX_MALFORMED, messages_malformed);
  COUNT(c, now, CMT_METRIC_PEX_FLOOD, peers_flooding);
  count_fates(c, &now);
  if (c->seed) {
    count_visits(c, &now);
  }
  c->counted = now;
}

static void count_book(cli_chain *c) {
  cmt_addrbook_status s;

  cmt_addrbook_get_status(c->book, &s);
  cmt_metrics_set(c->metrics, CMT_METRIC_BOOK_ENTRIES, 0, s.new_entries);
  cmt_metrics_set(c->metrics, CMT_METRIC_BOOK_ENTRIES, 1, s.old_entries);
  cmt_metrics_set(c->metrics, CMT_METRIC_BOOK_PROVEN, 0, s.proven);
  cmt_metrics_set(c->metrics, CMT_METRIC_BOOK_BANS, 0, s.bans);
}

static void count_saves(cli_chain *c, const cli_log *log) {
  cmt_addrbook_file_status now;

  cmt_addrbook_file_get_status(c->file, &now);
  cmt_metrics_add(c->metrics, CMT_METRIC_BOOK_SAVES, 0,
                  now.saves - c->saved.saves);
  cmt_metrics_add(c->metrics, CMT_METRIC_BOOK_SAVES, 1,
                  now.failures - c->saved.failures);
  if (now.failures > c->saved.failures) {
    CLI_LOG(log, CMT_LOG_ERROR, "p2p", "Failed to save AddrBook to file",
            {"book", c->settings->addr_book_file, 0},
            {"err", now.last.text, 0});
  }
  c->saved = now;
}

/* True: a save began. */
static bool save(cli_chain *c, const cli_log *log) {
  uint64_t now_ns = cli_utc_ns();

  if (c->away || !cmt_addrbook_file_is_due(c->file, now_ns) ||
      cmt_addrbook_file_save_begin(c->file, now_ns) != CMT_OK) {
    return false;
  }
  CLI_LOG(log, CMT_LOG_INFO, "p2p", "Saving AddrBook to file",
          {"book", c->settings->addr_book_file, 0});
  return true;
}

bool cli_chain_tick(cli_chain *c, const cli_log *log, bool may_save) {
  bool saved = false;

  if (c->pex == NULL) {
    return false;
  }
  pthread_mutex_lock(&c->book_lock);
  count_pex(c);
  count_book(c);
  if (c->file != NULL) {
    count_saves(c, log);
    saved = may_save && save(c, log);
  }
  pthread_mutex_unlock(&c->book_lock);
  return saved;
}

bool cli_chain_close(cli_chain *c) {
  bool well = true;
  cmt_why why;

  cmt_pex_delete(c->pex);
  c->pex = NULL;
  if (c->file != NULL && !c->away &&
      cmt_addrbook_file_save(c->file, cli_utc_ns(), &why) != CMT_OK) {
    cli_fail("%s", why.text);
    well = false;
  }
  cli_chain_drop(c);
  return well;
}
