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
   it, and fresh ones are a kind of their own, which goes last of all: else a
   crowd that sends keys, and is silent until they are read, would count among
   the silent ones, and a friend would give way for it.  The listener accepts an
   eighth of the pool in an iteration at most, so fresh ones have a quarter, and
   a full pool has others.

   All of this looks at the pool alone, a few times per accept. */

#include "places.h"

#include <stdio.h>

enum {
  KIND_COUNT = CMT_CONN_AUTHENTICATED + 1,
  FLOOR_DIVISOR = 4,   /* A kind keeps this part of the places, */
  SOURCE_DIVISOR = 8,  /* and so does a network or an address. */
  ACCEPTS_DIVISOR = 8, /* The part that is accepted in an iteration, */
  ACCEPTS_MAX = 16,    /* and no more than these. */
  FRESH_ROUNDS = 2,    /* The iteration of the accept, and a whole one. */
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

static cmt__place_list *list_of(cmt__places *ps, const cmt__place *p) {
  switch ((cmt__place_kind)p->kind) {
  case CMT__PLACE_POOL:
    return &ps->pool;
  case CMT__PLACE_REFUSED:
    return &ps->refused;
  case CMT__PLACE_PARTING:
    return &ps->parting;
  case CMT__PLACE_NONE:
  case CMT__PLACE_RESERVE:
    break;
  }
  return NULL;
}

static void list_add(cmt__places *ps, cmt__place *p, cmt__place_kind kind) {
  cmt__place_list *list;

  CMT_ASSERT(&ps->loop->env, p->kind == CMT__PLACE_NONE);
  p->kind = (uint8_t)kind;
  list = list_of(ps, p);
  p->older = list->newest;
  p->newer = NULL;
  if (list->newest != NULL) {
    list->newest->newer = p;
  } else {
    list->oldest = p;
  }
  list->newest = p;
  list->count++;
}

static void list_remove(cmt__places *ps, cmt__place *p) {
  cmt__place_list *list = list_of(ps, p);

  *(p->older != NULL ? &p->older->newer : &list->oldest) = p->newer;
  *(p->newer != NULL ? &p->newer->older : &list->newest) = p->older;
  list->count--;
}

/* ---- the pool ---- */

static bool is_of(const cmt__place *p, const cmt__ip *address) {
  return address == NULL || cmt__ip_equal(&p->address, address);
}

/* Each handshake of the pool knows how many come from where it comes from. */
static void pool_add(cmt__places *ps, cmt__place *p) {
  uint32_t address = 1, network = 1;

  for (cmt__place *o = ps->pool.oldest; o != NULL; o = o->newer) {
    address += is_of(o, &p->address);
    network += same_network(&o->address, &p->address);
  }
  list_add(ps, p, CMT__PLACE_POOL);
  p->same_address = address;
  p->same_network = network;
}

/* Updates how many handshakes there are of the same address and of the same
   network, at each of them. */
static void pool_recount(cmt__places *ps, const cmt__place *p, uint32_t address,
                         uint32_t network) {
  for (cmt__place *o = ps->pool.oldest; o != NULL; o = o->newer) {
    if (is_of(o, &p->address)) {
      o->same_address = address;
    }
    if (same_network(&o->address, &p->address)) {
      o->same_network = network;
    }
  }
}

static bool is_fresh(const cmt__places *ps, const cmt__place *p) {
  return ps->round - p->round < FRESH_ROUNDS;
}

/* What may give way: all, and the kinds without what is fresh. */
typedef struct census {
  size_t all, of_kind[KIND_COUNT];
} census;

static cmt_conn_progress kind_of(const cmt__place *p) {
  return cmt__link_progress(p->link);
}

static bool is_stale(const cmt__places *ps, const cmt__place *p) {
  return kind_of(p) != CMT_CONN_SILENT || !is_fresh(ps, p);
}

static census census_of(const cmt__places *ps, const cmt__ip *address) {
  census c = {.all = 0};

  for (const cmt__place *p = ps->pool.oldest; p != NULL; p = p->newer) {
    if (is_of(p, address)) {
      c.all++;
      c.of_kind[kind_of(p)] += is_stale(ps, p);
    }
  }
  return c;
}

/* The kind that gives way; |*fresh| when that is the fresh ones. */
static cmt_conn_progress kind_choose(const census *c, bool *fresh) {
  size_t least = c->all / FLOOR_DIVISOR;

  *fresh = false;
  for (int k = 0; k < KIND_COUNT; k++) {
    if (c->of_kind[k] > least) {
      return (cmt_conn_progress)k;
    }
  }
  *fresh = true;
  return CMT_CONN_SILENT;
}

/* What does not exceed the floor counts as the floor. */
static bool holds_more(const cmt__place *a, const cmt__place *b,
                       uint32_t floor) {
  return (a->same_network > b->same_network && a->same_network > floor) ||
         (a->same_network == b->same_network &&
          a->same_address > b->same_address && a->same_address > floor);
}

/* Who gives way, of all or of |address|.  The pool has one of these. */
static cmt__place *victim_find(const cmt__places *ps, const cmt__ip *address) {
  census c = census_of(ps, address);
  uint32_t floor = (uint32_t)(ps->pool.count / SOURCE_DIVISOR);
  cmt__place *victim = NULL;
  bool fresh;
  cmt_conn_progress kind = kind_choose(&c, &fresh);

  for (cmt__place *p = ps->pool.oldest; p != NULL; p = p->newer) {
    if (is_of(p, address) && kind_of(p) == kind && (fresh || is_stale(ps, p)) &&
        (victim == NULL || holds_more(p, victim, floor))) {
      victim = p;
    }
  }
  CMT_ASSERT(&ps->loop->env, victim != NULL);
  return victim;
}

/* Loopback has no limit of its own. */
static void make_room(cmt__places *ps, const cmt__ip *address) {
  const cmt_switch_options *o = ps->options;
  size_t same = 0;

  for (const cmt__place *p = ps->pool.oldest;
       p != NULL && !cmt__ip_is_loopback(address); p = p->newer) {
    same += is_of(p, address);
  }
  if (same >= o->handshakes_per_ip_max) {
    ps->on_displaced(victim_find(ps, address), CMT__DISPLACED_BY_ADDRESS);
  } else if (ps->pool.count >= o->handshakes_max) {
    ps->on_displaced(victim_find(ps, NULL), CMT__DISPLACED_BY_ANY);
  }
}

static void pool_enter(cmt__places *ps, cmt__place *p) {
  make_room(ps, &p->address);
  pool_add(ps, p);
  pool_recount(ps, p, p->same_address, p->same_network);
}

/* ---- rounds ---- */

static void on_iteration(cmt__task *task) {
  cmt__places *ps = (cmt__places *)((char *)task - offsetof(cmt__places, task));

  ps->round++;
  if (ps->round - ps->accept_round < FRESH_ROUNDS) {
    cmt__loop_defer(ps->loop, task);
  }
}

void cmt__places_start(cmt__places *ps, cmt__loop *loop) {
  ps->loop = loop;
  ps->task.cb = on_iteration;
}

void cmt__places_stop(cmt__places *ps) {
  cmt__loop_defer_cancel(ps->loop, &ps->task);
}

/* ---- for sessions ---- */

static void note_accept(cmt__places *ps) {
  ps->accept_round = ps->round;
  cmt__loop_defer(ps->loop, &ps->task);
}

void cmt__place_accept(cmt__places *ps, cmt__place *p, const cmt__link *link,
                       const cmt__ip *address, cmt__reserve *reserve) {
  p->link = link;
  p->address = *address;
  p->round = ps->round;
  note_accept(ps);
  if (reserve != NULL) {
    p->kind = CMT__PLACE_RESERVE;
    p->reserve = reserve;
    reserve->guest = p;
  } else {
    pool_enter(ps, p);
  }
}

void cmt__place_leave(cmt__places *ps, cmt__place *p) {
  uint8_t kind = p->kind;

  if (list_of(ps, p) != NULL) {
    list_remove(ps, p);
  }
  p->kind = CMT__PLACE_NONE;
  if (kind == CMT__PLACE_POOL) {
    pool_recount(ps, p, p->same_address - 1, p->same_network - 1);
  } else if (kind == CMT__PLACE_RESERVE) {
    p->reserve->guest = NULL;
    p->reserve = NULL;
  }
}

void cmt__reserve_end(cmt__places *ps, cmt__reserve *reserve, bool stays) {
  cmt__place *p = reserve->guest;

  if (p != NULL) {
    cmt__place_leave(ps, p);
    if (stays) {
      pool_enter(ps, p);
    }
  }
}

/* ---- what lingers ---- */

uint32_t cmt__places_linger_max(const cmt_switch_options *o) {
  return o->handshakes_max;
}

/* A stranger goes first, so that a crowd does not cut the last words to what
   was a peer. */
void cmt__place_linger(cmt__places *ps, cmt__place *p, bool was_peer) {
  if (ps->refused.count + ps->parting.count >=
      cmt__places_linger_max(ps->options)) {
    ps->on_cut(ps->refused.oldest != NULL ? ps->refused.oldest
                                          : ps->parting.oldest);
  }
  list_add(ps, p, was_peer ? CMT__PLACE_PARTING : CMT__PLACE_REFUSED);
}

static cmt__short give_handshake(cmt__places *ps) {
  size_t most = cmt__max(ps->pool.count / ACCEPTS_DIVISOR, 1);

  if (ps->given_round != ps->round) {
    ps->given_round = ps->round;
    ps->given = 0;
  }
  note_accept(ps); /* Even if there is none: the round has to go on. */
  if (ps->given >= most) {
    return CMT__SHORT_WAIT;
  }
  ps->given++;
  ps->on_displaced(victim_find(ps, NULL), CMT__DISPLACED_BY_DESCRIPTOR);
  return CMT__SHORT_GIVEN;
}

/* What has ended goes first; what was a peer has its last words until no
   handshake is left. */
cmt__short cmt__places_give_descriptor(cmt__places *ps) {
  cmt__place *ended =
    ps->refused.oldest != NULL ? ps->refused.oldest : ps->parting.oldest;

  if (ps->refused.oldest == NULL && ps->pool.count > 0) {
    return give_handshake(ps);
  }
  if (ended == NULL) {
    return CMT__SHORT_NONE;
  }
  ps->on_cut(ended);
  return CMT__SHORT_GIVEN;
}

unsigned cmt__places_accepts(const cmt_switch_options *o) {
  uint32_t part = o->handshakes_max / ACCEPTS_DIVISOR;

  return part < 1 ? 1 : part > ACCEPTS_MAX ? ACCEPTS_MAX : part;
}
