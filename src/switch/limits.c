/* SPDX-License-Identifier: Apache-2.0 */
/* The limits of a switch.  Those on peers are looked at when the other side is
   authenticated: until then it may be one that is a peer already, and whose
   second connection needs no place. */

#include "limits.h"

#include "dial.h"
#include "evict.h"

#include <stdio.h>

void cmt__limits_start(cmt_switch *s) {
  const cmt_switch_options *o = &s->setup.options;
  const cmt__guard guard = cmt__lock_guard(&s->quota_lock);
  const cmt_conn_group_options shared = {
    .recv_bytes_floor = s->setup.floors.recv.floor,
    .recv_bytes_total_max = s->setup.floors.recv.pool,
    .send_rate_total = o->send_rate_total,
    .recv_rate_total = o->recv_rate_total,
    .threads = o->loops,
  };

  cmt__conn_group_limit(s->setup.group, &shared, &guard,
                        cmt__loop_now(s->loop));
}

/* A limit that may be reached. */
typedef struct limit {
  const char *what, *host; /* |host| NULL: of all. */
  size_t found;
  uint64_t max;
  uint64_t *counter; /* A counter of the status. */
} limit;

static cmt_err limit_check(cmt_switch *s, const limit *l, cmt_why *why) {
  if (l->found < l->max) {
    return CMT_OK;
  }
  cmt__switch_exceeds(s, l->counter);
  return cmt__why(why, CMT_ELIMIT, CMT_STAGE_FILTER,
                  "%s%s%.64s are at their limit of %llu", l->what,
                  l->host != NULL ? " from " : "",
                  l->host != NULL ? l->host : "", (unsigned long long)l->max);
}

void cmt__limits_displaced(cmt_switch *s, const cmt__remote *from,
                           cmt__displaced by, cmt_why *why) {
  const cmt_switch_options *o = &s->setup.options;
  bool of_address = by == CMT__DISPLACED_BY_ADDRESS;
  char text[CMT__ADDRESS_TEXT_SIZE];
  uint32_t max = of_address ? o->handshakes_per_ip_max : o->handshakes_max;

  cmt__switch_exceeds(s, of_address ? &s->status.over_handshakes_per_ip_max
                                    : &s->status.over_handshakes_max);
  if (by == CMT__DISPLACED_BY_DESCRIPTOR) {
    cmt__why(why, CMT_ELIMIT, CMT_STAGE_FILTER,
             "this process has no descriptor for a newer connection, and this "
             "handshake gave way to it");
    return;
  }
  cmt__address_text(o, from, text, sizeof text);
  cmt__why(why, CMT_ELIMIT, CMT_STAGE_FILTER,
           "handshakes in flight%s%s are at their limit of %lu, and this one "
           "gave way to a newer one",
           of_address ? " from " : "", of_address ? text : "",
           (unsigned long)max);
}

/* Peers that are exempt, and would not be any more if they came now. */
typedef struct strays {
  cmt_switch *sw;
  size_t count;
} strays;

static void stray_count(void *arg, cmt_peer *p) {
  strays *s = arg;

  s->count += p->place == CMT__PEER_EXEMPT &&
              !cmt__switch_is_unconditional(s->sw, &p->id) &&
              !cmt__dials_has_unconditional(s->sw, &p->id);
}

size_t cmt__limits_extra(cmt_switch *s) {
  strays left = {.sw = s};

  if (cmt__peer_set_places(&s->peers, CMT__PEER_EXEMPT) > 0) {
    cmt__peer_set_each(&s->peers, stray_count, &left);
  }
  return left.count + atomic_load(&s->setup.unconditional_count) +
         atomic_load(&s->dials_unconditional) +
         (s->setup.options.evict_interval_ns != 0);
}

size_t cmt__limits_connections(const cmt_switch *s, size_t peers) {
  const cmt_switch_options *o = &s->setup.options;

  return 2 * peers + (size_t)o->handshakes_max + cmt__places_linger_max(o) + 1;
}

/* ---- peers and dials ---- */

/* An address, with the options for its prefix. */
typedef struct place_address {
  const cmt_switch_options *options;
  cmt__ip ip;
} place_address;

static bool is_at(void *arg, const cmt__remote *r) {
  const place_address *a = arg;
  cmt__ip ip = cmt__address_of(a->options, r);

  return cmt__ip_equal(&ip, &a->ip);
}

/* Places that inbound peers from there have. */
static size_t places_at(cmt_switch *s, const cmt__remote *from) {
  const cmt_switch_options *o = &s->setup.options;
  place_address at = {o, cmt__address_of(o, from)};

  return o->inbound_peers_per_ip_max == CMT_NO_LIMIT
           ? 0
           : cmt__peer_set_places_of(&s->peers, is_at, &at);
}

cmt_err cmt__limits_address(cmt_switch *s, const cmt__remote *from,
                            cmt_why *why) {
  const cmt_switch_options *o = &s->setup.options;
  char text[CMT__ADDRESS_TEXT_SIZE];

  cmt__address_text(o, from, text, sizeof text);
  return limit_check(s,
                     &(limit){"inbound peers", text, places_at(s, from),
                              o->inbound_peers_per_ip_max,
                              &s->status.over_inbound_peers_per_ip_max},
                     why);
}

/* Places there that are taken, or kept for a standby. */
static size_t taken(cmt_switch *s, cmt__peer_place where) {
  return cmt__peer_set_places(&s->peers, where) + s->kept[where];
}

static limit inbound_limit(cmt_switch *s) {
  return (limit){"inbound peers", NULL, taken(s, CMT__PEER_INBOUND),
                 s->setup.options.inbound_peers_max,
                 &s->status.over_inbound_peers_max};
}

static limit outbound_limit(cmt_switch *s) {
  return (limit){"outbound peers", NULL, taken(s, CMT__PEER_OUTBOUND),
                 s->setup.options.outbound_peers_max,
                 &s->status.over_outbound_peers_max};
}

static bool has_room(limit l) { return l.found < l.max; }

/* The node of a persistent dial takes the place that the dial would have, when
   strangers have those of inbound peers. */
static bool takes_outbound(cmt_switch *s, const cmt__wanted *w,
                           const cmt__remote *from) {
  bool room = has_room(inbound_limit(s)) &&
              places_at(s, from) < s->setup.options.inbound_peers_per_ip_max;

  return !room && w->persistent && has_room(outbound_limit(s));
}

cmt_err cmt__limits_replace(cmt_switch *s, cmt_peer **victim, cmt_why *why) {
  limit inbound = inbound_limit(s);

  *victim = cmt__evict_find(s);
  return *victim != NULL ? CMT_OK : limit_check(s, &inbound, why);
}

/* Checks the limits for one more inbound peer.  |*replaces|: another peer has
   to go for it. */
static cmt_err inbound_check(cmt_switch *s, const cmt__remote *from,
                             bool *replaces, cmt_why *why) {
  limit inbound = inbound_limit(s);
  cmt_err err = CMT_OK;

  *replaces = !has_room(inbound) &&
              places_at(s, from) < s->setup.options.inbound_peers_per_ip_max &&
              cmt__evict_find(s) != NULL;
  if (!*replaces) {
    err = limit_check(s, &inbound, why);
  }
  return err == CMT_OK ? cmt__limits_address(s, from, why) : err;
}

cmt_err cmt__limits_admit(cmt_switch *s, const cmt_node_id *id,
                          const cmt__remote *from, cmt__admitted *in,
                          cmt_why *why) {
  limit outbound = outbound_limit(s);
  cmt__wanted w = cmt__dials_want(s, id);

  in->replaces = false;
  if (w.unconditional) {
    in->place = CMT__PEER_EXEMPT;
    return CMT_OK;
  }
  if (in->place == CMT__PEER_INBOUND && takes_outbound(s, &w, from)) {
    in->place = CMT__PEER_OUTBOUND;
  }
  return in->place == CMT__PEER_OUTBOUND
           ? limit_check(s, &outbound, why)
           : inbound_check(s, from, &in->replaces, why);
}

cmt_err cmt__limits_dial(cmt_switch *s, const cmt_dial *d, cmt_why *why) {
  const cmt_dial_options *o = &d->options;
  bool unconditional = o->unconditional || o->feeler ||
                       cmt__switch_is_unconditional(s, &d->addr.id);
  limit dials = {"dials under way", NULL, s->attempts,
                 s->setup.options.dials_max, &s->status.over_dials_max};
  limit peers = outbound_limit(s);
  cmt_err err = unconditional ? CMT_OK : limit_check(s, &peers, why);

  return err == CMT_OK && !o->persistent ? limit_check(s, &dials, why) : err;
}

/* ---- status ---- */

void cmt__limits_status(cmt_switch *s, cmt_switch_status *out) {
  const cmt__quota *b = &s->setup.group->quota;

  out->recv_reserved_bytes =
    atomic_load_explicit(&b->reserved, memory_order_relaxed);
  out->send_waits = atomic_load_explicit(&b->send_waits, memory_order_relaxed);
  out->recv_pauses =
    atomic_load_explicit(&b->recv_pauses, memory_order_relaxed);
  out->send_queued_bytes = cmt__peer_set_queued(&s->peers);
}
