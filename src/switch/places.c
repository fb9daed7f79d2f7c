/* SPDX-License-Identifier: Apache-2.0 */

/* Places.

   Design notes.  Who gives way is decided in two steps, so that a crowd of one
   kind never takes the places of another.  The first step chooses how far the
   handshake has come: silent ones go first, then those that sent a key, then
   those that are authenticated; but a kind that has no more than a quarter of
   the places keeps them.  So a crowd of silent connections cannot displace a
   friend whose key has arrived, and a crowd that sends keys cannot displace a
   friend whose key is on its way.  The second step chooses among them: the
   network with the most places, in it the address with the most, and of that
   the oldest.  A network or an address with an eighth of the places or fewer
   counts like one with a single place, so that a few friends behind one address
   do not give way to a crowd that comes from everywhere.

   A silent connection that was accepted a moment ago may have a key in our
   socket.  It is fresh until the loop had a whole iteration in which to read
   it, and fresh ones go last of all.  The listener accepts an eighth of the
   pool in a turn at most, so a full pool has others.

   All of this looks at the pool alone, a few times per accept. */

#include "places.h"

#include "dialer.h"
#include "limits.h"

#include <stdio.h>

enum {
  KIND_COUNT = CMT__CONN_PROGRESS_COUNT,
  FLOOR_DIVISOR = 4,   /* A kind keeps this part of the places, */
  SOURCE_DIVISOR = 8,  /* and so does a network or an address. */
  ACCEPTS_DIVISOR = 8, /* The part that is accepted in an iteration, */
  ACCEPTS_MAX = 16,    /* and no more than these. */
  FRESH_ROUNDS = 2,    /* The turn of the accept, and a whole one. */
  V4_NETWORK = 15,     /* Bytes, with the 12 before those of IPv4. */
  V6_NETWORK = 8,
};

/* ---- addresses ---- */

/* Each host of a link counts alone, and so does this one. */
static unsigned address_bits(const cmt_switch_options *o, const cmt__ip *ip) {
  bool whole =
    cmt__ip_is_v4(ip) || cmt__ip_is_link_local(ip) || cmt__ip_is_loopback(ip);

  return whole ? 128 : o->ip6_prefix_len;
}

cmt__ip cmt__address_of(const cmt_switch_options *o, const cmt__remote *r) {
  return cmt__ip_prefix(&r->ip, address_bits(o, &r->ip));
}

bool cmt__same_address(const cmt_switch_options *o, const cmt__remote *a,
                       const cmt__remote *b) {
  cmt__ip x = cmt__address_of(o, a), y = cmt__address_of(o, b);

  return cmt__ip_equal(&x, &y);
}

const char *cmt__address_text(const cmt_switch_options *o, const cmt__remote *r,
                              char *out, size_t cap) {
  unsigned bits = address_bits(o, &r->ip);
  cmt_net_addr at = cmt__remote_addr(r);

  if (bits < 128) {
    snprintf(out, cap, "the /%u of %.46s", bits, at.host);
  } else {
    snprintf(out, cap, "%.46s", at.host);
  }
  return out;
}

/* The /24 or the /64; an address of fewer bits is cut already. */
static bool same_network(const cmt__ip *a, const cmt__ip *b) {
  return memcmp(a->bytes, b->bytes,
                cmt__ip_is_v4(a) ? V4_NETWORK : V6_NETWORK) == 0;
}

/* ---- lists ---- */

static cmt__place_list *list_of(cmt__session *s) {
  cmt__places *p = &s->sw->places;

  switch ((cmt__place_kind)s->place.kind) {
  case CMT__PLACE_POOL:
    return &p->pool;
  case CMT__PLACE_REFUSED:
    return &p->refused;
  case CMT__PLACE_PARTING:
    return &p->parting;
  case CMT__PLACE_NONE:
  case CMT__PLACE_RESERVE:
  case CMT__PLACE_DIAL:
    break;
  }
  return NULL;
}

static void list_add(cmt__session *s, cmt__place_kind kind) {
  cmt__place_list *list;

  CMT_ASSERT(&s->sw->env, s->place.kind == CMT__PLACE_NONE);
  s->place.kind = (uint8_t)kind;
  list = list_of(s);
  s->place.older = list->newest;
  s->place.newer = NULL;
  if (list->newest != NULL) {
    list->newest->place.newer = s;
  } else {
    list->oldest = s;
  }
  list->newest = s;
  list->count++;
}

static void list_remove(cmt__session *s) {
  cmt__place_list *list = list_of(s);
  cmt__session *older = s->place.older, *newer = s->place.newer;

  *(older != NULL ? &older->place.newer : &list->oldest) = newer;
  *(newer != NULL ? &newer->place.older : &list->newest) = older;
  list->count--;
}

/* ---- the pool ---- */

static bool is_of(const cmt__session *s, const cmt__ip *address) {
  return address == NULL || cmt__ip_equal(&s->place.address, address);
}

/* Each handshake of the pool knows how many come from where it comes from. */
static void pool_add(cmt__session *s) {
  uint32_t address = 1, network = 1;

  for (cmt__session *o = s->sw->places.pool.oldest; o != NULL;
       o = o->place.newer) {
    address += is_of(o, &s->place.address);
    network += same_network(&o->place.address, &s->place.address);
  }
  list_add(s, CMT__PLACE_POOL);
  s->place.same_address = address;
  s->place.same_network = network;
}

/* Tells those of the same address and network that they are |address| and
   |network| now. */
static void pool_recount(cmt__session *s, uint32_t address, uint32_t network) {
  for (cmt__session *o = s->sw->places.pool.oldest; o != NULL;
       o = o->place.newer) {
    if (is_of(o, &s->place.address)) {
      o->place.same_address = address;
    }
    if (same_network(&o->place.address, &s->place.address)) {
      o->place.same_network = network;
    }
  }
}

static bool is_fresh(const cmt__session *s) {
  return s->sw->places.round - s->place.round < FRESH_ROUNDS;
}

/* What may give way: the kinds with their numbers, and those that are not
   fresh. */
typedef struct census {
  size_t all, of_kind[KIND_COUNT], stale[KIND_COUNT];
} census;

static cmt__conn_progress kind_of(const cmt__session *s) {
  return cmt__link_progress(&s->link);
}

static bool is_stale(const cmt__session *s) {
  return kind_of(s) != CMT__CONN_SILENT || !is_fresh(s);
}

static census census_of(const cmt_switch *sw, const cmt__ip *address) {
  census c = {.all = 0};

  for (cmt__session *s = sw->places.pool.oldest; s != NULL;
       s = s->place.newer) {
    if (is_of(s, address)) {
      c.all++;
      c.of_kind[kind_of(s)]++;
      c.stale[kind_of(s)] += is_stale(s);
    }
  }
  return c;
}

/* The kind that gives way; |*fresh| when only fresh ones are left. */
static cmt__conn_progress kind_choose(const census *c, bool *fresh) {
  size_t least = c->all / FLOOR_DIVISOR;

  *fresh = false;
  for (int k = 0; k < KIND_COUNT; k++) {
    if (c->of_kind[k] > least && c->stale[k] > 0) {
      return (cmt__conn_progress)k;
    }
  }
  *fresh = true;
  return CMT__CONN_SILENT;
}

/* What does not exceed the floor counts as the floor. */
static bool holds_more(const cmt__place *a, const cmt__place *b,
                       uint32_t floor) {
  return (a->same_network > b->same_network && a->same_network > floor) ||
         (a->same_network == b->same_network &&
          a->same_address > b->same_address && a->same_address > floor);
}

/* Who gives way, of all or of |address|.  The pool has one of these. */
static cmt__session *victim_find(const cmt_switch *sw, const cmt__ip *address) {
  census c = census_of(sw, address);
  uint32_t floor = (uint32_t)(sw->places.pool.count / SOURCE_DIVISOR);
  cmt__session *victim = NULL;
  bool fresh;
  cmt__conn_progress kind = kind_choose(&c, &fresh);

  for (cmt__session *s = sw->places.pool.oldest; s != NULL;
       s = s->place.newer) {
    if (is_of(s, address) && kind_of(s) == kind && (fresh || is_stale(s)) &&
        (victim == NULL || holds_more(&s->place, &victim->place, floor))) {
      victim = s;
    }
  }
  CMT_ASSERT(&sw->env, victim != NULL);
  return victim;
}

static void displace(cmt_switch *sw, const cmt__ip *address) {
  cmt__session *victim = victim_find(sw, address);
  const cmt_node_id *known = cmt__link_id(&victim->link);
  cmt_node_id id = {.text = ""};
  cmt_why why;

  if (known != NULL) {
    id = *known;
  }
  cmt__limits_displaced(victim, address != NULL, &why);
  cmt__session_reject(victim, &why, known != NULL ? &id : NULL);
}

/* Loopback has no limit of its own. */
static void make_room(cmt_switch *sw, const cmt__ip *address) {
  const cmt_switch_options *o = &sw->setup.options;
  size_t same = 0;

  for (cmt__session *s = sw->places.pool.oldest;
       s != NULL && !cmt__ip_is_loopback(address); s = s->place.newer) {
    same += is_of(s, address);
  }
  if (same >= o->handshakes_per_ip_max) {
    displace(sw, address);
  } else if (sw->places.pool.count >= o->handshakes_max) {
    displace(sw, NULL);
  }
}

static void pool_enter(cmt__session *s) {
  make_room(s->sw, &s->place.address);
  pool_add(s);
  pool_recount(s, s->place.same_address, s->place.same_network);
}

/* ---- rounds ---- */

static void on_iteration(cmt__task *task) {
  cmt_switch *sw =
    (cmt_switch *)((char *)task - offsetof(cmt_switch, places.task));
  cmt__places *p = &sw->places;

  p->round++;
  if (p->round - p->accept_round < FRESH_ROUNDS) {
    cmt__loop_defer(sw->loop, task);
  }
}

void cmt__places_init(cmt_switch *sw) { sw->places.task.cb = on_iteration; }

void cmt__places_stop(cmt_switch *sw) {
  cmt__loop_defer_cancel(sw->loop, &sw->places.task);
}

/* ---- for sessions ---- */

void cmt__place_accept(cmt__session *s) {
  cmt__places *p = &s->sw->places;
  cmt__dial *keeper;

  s->place.address = cmt__address_of(&s->sw->setup.options, &s->remote);
  s->place.round = p->round;
  p->accept_round = p->round;
  cmt__loop_defer(s->sw->loop, &p->task);
  keeper = cmt__dialer_reserve(s->sw, &s->place.address);
  if (keeper != NULL) {
    s->place.kind = CMT__PLACE_RESERVE;
    s->place.dial = keeper;
    keeper->guest = s;
  } else {
    pool_enter(s);
  }
}

void cmt__place_dial(cmt__session *s, const cmt__dial *dial) {
  if (!dial->persistent) {
    s->place.kind = CMT__PLACE_DIAL;
    s->sw->places.dials++;
  }
}

void cmt__place_leave(cmt__session *s) {
  uint8_t kind = s->place.kind;

  if (list_of(s) != NULL) {
    list_remove(s);
  }
  s->place.kind = CMT__PLACE_NONE;
  if (kind == CMT__PLACE_POOL) {
    pool_recount(s, s->place.same_address - 1, s->place.same_network - 1);
  } else if (kind == CMT__PLACE_RESERVE) {
    s->place.dial->guest = NULL;
    s->place.dial = NULL;
  } else if (kind == CMT__PLACE_DIAL) {
    s->sw->places.dials--;
  }
}

/* When the switch stops, all of them are about to end. */
void cmt__place_orphan(cmt__dial *dial) {
  cmt__session *s = dial->guest;

  if (s != NULL) {
    cmt__place_leave(s);
    if (!s->sw->closing) {
      pool_enter(s);
    }
  }
}

/* ---- what lingers ---- */

/* A stranger goes first, so that a crowd does not cut the last words to what
   was a peer. */
static void linger_cut(cmt_switch *sw) {
  cmt__places *p = &sw->places;
  cmt__session *s =
    p->refused.oldest != NULL ? p->refused.oldest : p->parting.oldest;

  cmt__switch_count(sw, &sw->status.over_connections_max);
  cmt__link_close(&s->link);
}

void cmt__place_linger(cmt__session *s, bool was_peer) {
  cmt__places *p = &s->sw->places;

  if (p->refused.count + p->parting.count >=
      cmt__limits_linger(&s->sw->setup.options)) {
    linger_cut(s->sw);
  }
  list_add(s, was_peer ? CMT__PLACE_PARTING : CMT__PLACE_REFUSED);
}

unsigned cmt__places_accepts(const cmt_switch_options *o) {
  uint32_t part = o->handshakes_max / ACCEPTS_DIVISOR;

  return part < 1 ? 1 : part > ACCEPTS_MAX ? ACCEPTS_MAX : part;
}
