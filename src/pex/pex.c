/* SPDX-License-Identifier: Apache-2.0 */

/* The object of peer exchange: its options, its lists, its numbers. */

#include "pex_impl.h"

#include <time.h>

#include "base/sized.h"
#include "sys/lock.h"

enum {
  OUTBOUND_DEFAULT = 10,
  DIALS_DEFAULT = 16,
  ASKS_DEFAULT = 3,
  ASKS_MAX = 64,
};

#define PERIOD_DEFAULT CMT_SECONDS(30)
#define PERIOD_MIN CMT_SECONDS(1)
#define FEELER_DEFAULT CMT_SECONDS(120)
#define ROTATE_DEFAULT CMT_SECONDS(3600)
#define LISTED_MAX_NS CMT_SECONDS(60)
enum { LISTED_FACTOR_PERCENT = 150 };

/* ---- options ---- */

void cmt_pex_options_init_sized(cmt_pex_options *o, size_t size) {
  cmt_pex_options full = {.size = sizeof full};

  full.outbound_max = OUTBOUND_DEFAULT;
  full.dials_max = DIALS_DEFAULT;
  full.asks_max = ASKS_DEFAULT;
  full.period_ns = PERIOD_DEFAULT;
  full.feeler_ns = FEELER_DEFAULT;
  full.rotate_ns = ROTATE_DEFAULT;
  cmt__sized_write(o, size, &full, sizeof full);
}

static cmt_err refuse(cmt_why *why, const char *name, uint64_t found,
                      uint64_t least, uint64_t most) {
  return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                  "%s is %llu, allowed is %llu to %llu", name,
                  (unsigned long long)found, (unsigned long long)least,
                  (unsigned long long)most);
}

/* What a seed serves. */
static cmt_err serving_check(const cmt_pex_options *o, cmt_why *why) {
  if (o->serve_height_min < 0) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "serve_height_min is %lld, allowed is 0 or more",
                    (long long)o->serve_height_min);
  }
  if (o->serve_version != NULL &&
      strlen(o->serve_version) >= CMT_ADDRBOOK_VERSION_SIZE) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "serve_version has %zu bytes, allowed is up to %d",
                    strlen(o->serve_version), CMT_ADDRBOOK_VERSION_SIZE - 1);
  }
  return CMT_OK;
}

static cmt_err options_check(const cmt_pex_options *o, cmt_why *why) {
  if (o->book == NULL) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT, "book is not set");
  }
  if (o->network != NULL && strlen(o->network) > CMT_NETWORK_NAME_MAX) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "network has %zu bytes, allowed is up to %d",
                    strlen(o->network), CMT_NETWORK_NAME_MAX);
  }
  if (o->outbound_max > CMT_PEERS_MAX && o->outbound_max != CMT_PEX_NO_PEERS) {
    return refuse(why, "outbound_max", o->outbound_max, 1, CMT_PEERS_MAX);
  }
  if (!cmt__is_bool(&o->seed)) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "seed is neither true nor false: use the init macro");
  }
  if (o->dials_max > CMT_PEX_DIALS_MAX) {
    return refuse(why, "dials_max", o->dials_max, 1, CMT_PEX_DIALS_MAX);
  }
  if (o->asks_max > ASKS_MAX) {
    return refuse(why, "asks_max", o->asks_max, 1, ASKS_MAX);
  }
  if (o->period_ns < PERIOD_MIN || o->period_ns > CMT_SECONDS(86400)) {
    return refuse(why, "period_ns", o->period_ns, PERIOD_MIN,
                  CMT_SECONDS(86400));
  }
  if (o->feeler_ns < PERIOD_MIN) {
    return refuse(why, "feeler_ns", o->feeler_ns, PERIOD_MIN, CMT_NEVER);
  }
  if (o->rotate_ns < PERIOD_MIN) {
    return refuse(why, "rotate_ns", o->rotate_ns, PERIOD_MIN, CMT_NEVER);
  }
  if (o->anchor_count > 0 && o->anchors == NULL) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "anchor_count is set and anchors is not");
  }
  return serving_check(o, why);
}

static cmt_err options_take(const cmt_pex_options *o, cmt_pex_options *out,
                            cmt_why *why) {
  cmt_pex_options defaults;
  cmt_err err;

  cmt_pex_options_init(&defaults);
  *out = defaults;
  err = cmt__sized_read(out, sizeof *out, o, "options", why);
  if (err != CMT_OK) {
    return err;
  }
  cmt__or_default(out, &defaults, outbound_max);
  cmt__or_default(out, &defaults, dials_max);
  cmt__or_default(out, &defaults, asks_max);
  cmt__or_default(out, &defaults, period_ns);
  cmt__or_default(out, &defaults, feeler_ns);
  cmt__or_default(out, &defaults, rotate_ns);
  return options_check(out, why);
}

/* ---- time ---- */

static uint64_t clock_ns(clockid_t id) {
  struct timespec ts;

  clock_gettime(id, &ts);
  return CMT_SECONDS(ts.tv_sec) + (uint64_t)ts.tv_nsec;
}

cmt__pex_time cmt__pex_now(const cmt_pex *p) {
  return (cmt__pex_time){
    .now_ns =
      p->o.now != NULL ? p->o.now(p->o.clock_arg) : clock_ns(CLOCK_MONOTONIC),
    .utc_ns =
      p->o.utc != NULL ? p->o.utc(p->o.clock_arg) : clock_ns(CLOCK_REALTIME),
  };
}

/* ---- lists of addresses ---- */

static bool is_between(char c) { return c == ',' || c == ' ' || c == '\t'; }

/* The next address of |*text| in |out|, empty at the end; false: it is too
   long. */
static bool next_text(const char **text, char out[CMT_NET_ADDR_TEXT_SIZE]) {
  size_t len = 0;

  while (is_between(**text)) {
    ++*text;
  }
  while (**text != '\0' && !is_between(**text)) {
    if (len + 1 == CMT_NET_ADDR_TEXT_SIZE) {
      return false;
    }
    out[len++] = *(*text)++;
  }
  out[len] = '\0';
  return true;
}

/* A list under construction: at most |max| elements of |item| bytes, which
   begin with an address. */
typedef struct list {
  const char *name;
  size_t item, max, count, cap;
  uint8_t *items;
} list;

static cmt_err list_add(const cmt_env *env, list *l, const char *text,
                        cmt_why *why) {
  void *items = l->items;
  uint8_t *at;

  if (l->count == l->max) {
    return cmt__why(why, CMT_ELIMIT, CMT_STAGE_TRANSPORT,
                    "%s has more than %zu addresses", l->name, l->max);
  }
  if (l->count == l->cap && !cmt__grow(env, &items, &l->cap, l->item, 8)) {
    return cmt__why_plain(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT);
  }
  l->items = items;
  at = l->items + l->count++ * l->item;
  memset(at, 0, l->item);
  return cmt_net_addr_parse(text, 0, (void *)at, why);
}

/* Parses |text|, which may be NULL, into |l|, which is empty after an error. */
static cmt_err list_read(const cmt_pex *p, const char *text, list *l,
                         cmt_why *why) {
  char one[CMT_NET_ADDR_TEXT_SIZE] = "";
  cmt_err err = CMT_OK;

  if (p == NULL) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "the exchange is NULL");
  }
  do {
    if (text == NULL) {
      break;
    }
    if (!next_text(&text, one)) {
      err = cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                     "%s: an address has over %d bytes", l->name,
                     CMT_NET_ADDR_TEXT_SIZE - 1);
    } else if (one[0] != '\0') {
      err = list_add(&p->env, l, one, why);
    }
  } while (err == CMT_OK && one[0] != '\0');
  if (err != CMT_OK) {
    cmt__free(&p->env, l->items);
    l->items = NULL;
  }
  return err;
}

uint64_t cmt__pex_seed_bits(const cmt_pex *p, const cmt_node_id *id) {
  uint64_t bits = 0;

  _Static_assert((int)CMT_PEX_SEEDS_MAX <= 64, "a bit for each");
  for (size_t i = 0; i < p->seed_count; i++) {
    bits |= (uint64_t)cmt_node_id_equal(&p->seeds[i].id, id) << i;
  }
  return bits;
}

bool cmt__pex_is_listed(const cmt_pex *p, const cmt_node_id *id) {
  for (size_t i = 0; i < p->listed_count; i++) {
    if (cmt_node_id_equal(&p->listed[i].addr.id, id)) {
      return true;
    }
  }
  return false;
}

/* The lists are others now.  Under |lock|. */
static void peers_mark(cmt_pex *p) {
  cmt__pex_time t = cmt__pex_now(p);

  for (cmt__ensure_peer *e = p->ensure.peers; e != NULL; e = e->next) {
    e->seed_bits = cmt__pex_seed_bits(p, &e->at.id);
    e->seed = e->seed_bits != 0;
    cmt__ensure_set_listed(&p->ensure, e, cmt__pex_is_listed(p, &e->at.id), t);
  }
}

void cmt__pex_note_seeds(cmt_pex *p) {
  cmt__ensure_set_seeds(&p->ensure, p->seed_count);
  p->ensure.own_bits = cmt__pex_seed_bits(p, &p->ensure.o.self);
}

cmt_err cmt_pex_set_seeds(cmt_pex *p, const char *seeds, cmt_why *why) {
  list l = {
    .name = "seeds", .item = sizeof(cmt_net_addr), .max = CMT_PEX_SEEDS_MAX};
  cmt_err err = list_read(p, seeds, &l, why);
  void *old;

  if (err != CMT_OK) {
    return err;
  }
  cmt__lock(&p->lock);
  old = p->seeds;
  p->seeds = (void *)l.items;
  p->seed_count = l.count;
  cmt__pex_note_seeds(p);
  peers_mark(p);
  cmt__unlock(&p->lock);
  cmt__free(&p->env, old);
  cmt__pex_wake(p);
  return CMT_OK;
}

/* ---- persistent peers ---- */

static cmt__pex_listed *listed_find(cmt__pex_listed *all, size_t count,
                                    const cmt_net_addr *addr) {
  for (size_t i = 0; i < count; i++) {
    if (cmt_node_id_equal(&all[i].addr.id, &addr->id) &&
        strcmp(all[i].addr.host, addr->host) == 0 &&
        all[i].addr.port == addr->port) {
      return &all[i];
    }
  }
  return NULL;
}

/* Hands the dials of |from| on to equal elements of |to|. */
static void listed_move(cmt__pex_listed *from, size_t from_count,
                        cmt__pex_listed *to, size_t to_count) {
  for (size_t i = 0; i < from_count; i++) {
    cmt__pex_listed *same = listed_find(to, to_count, &from[i].addr);

    if (same != NULL && same->dial == NULL) {
      same->dial = from[i].dial;
      from[i].dial = NULL;
    }
  }
}

cmt_err cmt_pex_set_persistent_peers(cmt_pex *p, const char *peers,
                                     cmt_why *why) {
  list l = {.name = "persistent_peers",
            .item = sizeof(cmt__pex_listed),
            .max = CMT_PEX_LISTED_MAX};
  cmt_err err = list_read(p, peers, &l, why);
  cmt__pex_listed *old;
  size_t old_count;

  if (err != CMT_OK) {
    return err;
  }
  cmt__lock(&p->outer);
  cmt__lock(&p->lock);
  old = p->listed;
  old_count = p->listed_count;
  p->listed = (void *)l.items;
  p->listed_count = l.count;
  listed_move(old, old_count, p->listed, l.count);
  peers_mark(p);
  cmt__unlock(&p->lock);
  for (size_t i = 0; i < old_count; i++) {
    cmt_dial_cancel(old[i].dial);
  }
  cmt__unlock(&p->outer);
  cmt__free(&p->env, old);
  cmt__pex_dial_listed(p);
  cmt__pex_wake(p);
  return CMT_OK;
}

/* The first persistent peer that has to be dialed, NULL: none.  All nodes of a
   network may have the same list, in which one is the node itself.  Under
   |outer|. */
static cmt__pex_listed *listed_next(const cmt_pex *p) {
  for (size_t i = 0; p->sw != NULL && i < p->listed_count; i++) {
    if (p->listed[i].dial == NULL && !p->listed[i].refused &&
        !cmt_node_id_equal(&p->listed[i].addr.id, &p->ensure.o.self)) {
      return &p->listed[i];
    }
  }
  return NULL;
}

/* Begins one dial; false: there was none to begin.  The list may change from
   one call to the next. */
static bool listed_dial(cmt_pex *p, const cmt_dial_options *o,
                        char text[CMT_NET_ADDR_TEXT_SIZE], cmt_why *why) {
  cmt__pex_listed *l;

  why->err = CMT_OK;
  cmt__lock(&p->outer);
  l = listed_next(p);
  if (l != NULL) {
    cmt_err err = cmt_net_addr_format(&l->addr, text, CMT_NET_ADDR_TEXT_SIZE);

    l->refused = err != CMT_OK ||
                 cmt_switch_dial_new(p->sw, text, o, &l->dial, why) != CMT_OK;
  }
  cmt__unlock(&p->outer);
  return l != NULL;
}

void cmt__pex_dial_listed(cmt_pex *p) {
  char text[CMT_NET_ADDR_TEXT_SIZE];
  cmt_dial_options o;
  cmt_why why;

  cmt_dial_options_init(&o);
  o.persistent = true;
  if (p->o.on_dialed != NULL) { /* Else it would be an event of a mailbox. */
    o.on_outcome = cmt__pex_dialed;
    o.arg = p;
  }
  o.retry_delay_max_ns = LISTED_MAX_NS;
  o.retry_factor_percent = LISTED_FACTOR_PERCENT;
  o.network = p->network[0] != '\0' ? p->network : NULL;
  while (listed_dial(p, &o, text, &why)) {
    if (why.err != CMT_OK) {
      cmt__log(&p->env, CMT_LOG_WARN, "pex", "persistent peer %s: %s", text,
               why.text);
    }
  }
}

/* ---- the object ---- */

static cmt_err lists_take(cmt_pex *p, cmt_why *why) {
  cmt_err err = cmt_pex_set_seeds(p, p->o.seeds, why);

  if (err == CMT_OK) {
    err = cmt_pex_set_persistent_peers(p, p->o.persistent_peers, why);
  }
  p->o.seeds = p->o.persistent_peers = NULL; /* They were the caller's. */
  return err;
}

static void texts_take(cmt_pex *p) {
  p->o.anchor_count = cmt__min(p->o.anchor_count, CMT_PEX_ANCHORS_MAX);
  if (p->o.anchor_count > 0) {
    size_t bytes = p->o.anchor_count * sizeof p->o.anchors[0];

    memcpy(p->anchors, p->o.anchors, bytes);
    memcpy(p->ensure.kept, p->o.anchors, bytes);
    p->ensure.kept_count = p->o.anchor_count;
  }
  p->o.anchors = p->anchors;
  if (p->o.network != NULL) {
    snprintf(p->network, sizeof p->network, "%s", p->o.network);
  }
  p->o.network = NULL;
  if (p->o.serve_version != NULL) {
    snprintf(p->serve_version, sizeof p->serve_version, "%s",
             p->o.serve_version);
  }
  p->o.serve_version = p->serve_version[0] != '\0' ? p->serve_version : NULL;
  for (size_t i = 0; i < CMT__COUNT(p->slots); i++) {
    p->slots[i] = (cmt__pex_slot){p, i};
  }
}

static bool locks_init(cmt_pex *p) {
  if (pthread_mutex_init(&p->outer, NULL) != 0) {
    return false;
  }
  if (pthread_mutex_init(&p->lock, NULL) != 0) {
    pthread_mutex_destroy(&p->outer);
    return false;
  }
  return true;
}

cmt_err cmt_pex_new(const cmt_pex_options *o, cmt_pex **out, cmt_why *why) {
  cmt_pex_options own;
  cmt_env env;
  cmt_pex *p;
  cmt_err err = cmt__out_clear(out, why);

  if (err == CMT_OK) {
    err = options_take(o, &own, why);
  }
  if (err != CMT_OK) {
    return err;
  }
  err = cmt__env_copy(own.env, &env);
  if (err != CMT_OK) {
    return cmt__why_plain(why, err, CMT_STAGE_TRANSPORT);
  }
  p = cmt__alloc_zero(&env, sizeof *p);
  if (p == NULL) {
    return cmt__why_plain(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT);
  }
  p->env = env;
  p->o = own;
  p->o.env = &p->env;
  if (!locks_init(p)) {
    cmt__free(&env, p);
    return cmt__why_plain(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT);
  }
  texts_take(p);
  err = lists_take(p, why);
  if (err != CMT_OK) {
    cmt_pex_delete(p);
    return err;
  }
  *out = p;
  return CMT_OK;
}

void cmt_pex_delete(cmt_pex *p) {
  cmt_env env;

  if (p == NULL) {
    return;
  }
  CMT_REQUIRE(&p->env, p->sw == NULL,
              "cmt_pex_delete: its switch was not deleted");
  env = p->env;
  cmt__ensure_fini(&p->ensure);
  cmt__free(&env, p->seeds);
  cmt__free(&env, p->listed);
  cmt__free(&env, p->guests);
  pthread_mutex_destroy(&p->lock);
  pthread_mutex_destroy(&p->outer);
  cmt__free(&env, p);
}

void cmt_pex_get_reactor(cmt_pex *p, cmt_reactor *out) {
  cmt__pex_reactor(p, out);
}

/* ---- what others ask ---- */

size_t cmt_pex_anchors(cmt_pex *p, cmt_net_addr *out, size_t cap) {
  size_t count;

  cmt__lock(&p->lock);
  count = cmt__ensure_anchors(&p->ensure, out, cap);
  cmt__unlock(&p->lock);
  return count;
}

cmt_err cmt_pex_snapshot_new(cmt_pex *p, cmt_addrbook_snapshot **out) {
  cmt_err err;

  if (out != NULL) {
    *out = NULL;
  }
  if (p == NULL) {
    return CMT_EINVAL;
  }
  cmt__lock(&p->lock);
  err = cmt_addrbook_snapshot_new(p->o.book, out);
  cmt__unlock(&p->lock);
  return err;
}

cmt_err cmt_pex_set_private(cmt_pex *p, const cmt_node_id *ids, size_t count) {
  cmt_err err;

  if (p == NULL) {
    return CMT_EINVAL;
  }
  cmt__lock(&p->lock);
  err = cmt_addrbook_set_private(p->o.book, ids, count);
  cmt__unlock(&p->lock);
  return err;
}

size_t cmt_pex_count_proven(cmt_pex *p, uint64_t within_ns) {
  size_t count;

  cmt__lock(&p->lock);
  count =
    cmt_addrbook_count_proven(p->o.book, within_ns, cmt__pex_now(p).utc_ns);
  cmt__unlock(&p->lock);
  return count;
}

/* Under the lock. */
static void status_fates(const cmt_pex *p, cmt_pex_status *st) {
  cmt_addrbook_status book;

  cmt_addrbook_get_status(p->o.book, &book);
  memcpy(st->fates, book.fates, sizeof st->fates);
  st->fates[CMT_ADDRBOOK_FATE_INVALID] += p->addrs_invalid;
}

void cmt_pex_get_status_sized(cmt_pex *p, cmt_pex_status *out, size_t size) {
  cmt_pex_status st;

  cmt__lock(&p->lock);
  st = p->status;
  st.size = sizeof st;
  status_fates(p, &st);
  st.peers = p->ensure.peer_count;
  st.outbound_peers = p->ensure.outbound;
  st.dialing = p->ensure.dialing;
  st.online = cmt__ensure_is_online(&p->ensure, cmt__pex_now(p).now_ns);
  cmt__unlock(&p->lock);
  cmt__sized_write(out, size, &st, sizeof st);
}
