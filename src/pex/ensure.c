/* SPDX-License-Identifier: Apache-2.0 */

/* The decisions of peer exchange: rounds, places, seeds, feelers, questions and
   answers.  ensure_dial.c chooses addresses and draws the conclusions from
   dials. */

#include "ensure.h"

#include <string.h>

#include "ensure_anchor.h"
#include "ensure_dial.h"
#include "ensure_seed.h"
#include "ensure_visit.h"

/* From one tour through the seeds to the next: at first, and then twice as long
   after each that reached one, up to a round. */
#define SEEDS_NS CMT_SECONDS(5)
#define SEED_SEEDS_NS CMT_SECONDS(600) /* Or, for a seed, up to this. */

enum {
  PROVEN_PER_PEER = 5, /* Proven entries for each peer that is wanted. */
  FEW_PROVEN = 32,     /* Proven entries of a seed that knows too few. */
  EXTRA_MAX = 8,       /* Dials beyond the free places, when most fail. */
};

/* The node lacks peers, and so many dials in a row were of no use. */
static bool is_stuck(const cmt__ensure *e, unsigned misses) {
  return !e->o.seed && misses >= CMT__ENSURE_MISSES_MANY &&
         cmt__ensure_placed(e) < e->o.outbound_max;
}

/* CometBFT's threshold.  A book that is full of what nobody has proved does not
   end the search, since whoever lies would only have to lie enough; nor does
   one that is full of nodes without a place for us. */
static bool needs_more(const cmt__ensure *e) {
  cmt_addrbook_status st;

  cmt_addrbook_get_status(e->o.book, &st);
  return st.entries < CMT_ADDRBOOK_NEED_MORE ||
         st.proven < PROVEN_PER_PEER * e->o.outbound_max ||
         is_stuck(e, e->misses);
}

/* Whether a seed has proved too few to be of use. */
static bool knows_few(const cmt__ensure *e) {
  cmt_addrbook_status st;

  cmt_addrbook_get_status(e->o.book, &st);
  return st.proven < FEW_PROVEN;
}

/* The intervals of visits to seeds begin anew. */
static void visit_anew(cmt__ensure *e) {
  e->seeds_wait_ns = SEEDS_NS;
  e->seed_seen = false;
}

static uint64_t jittered(cmt__ensure *e, uint64_t ns) {
  return ns - ns / 8 + cmt__ensure_draw(e, ns / 4 + 1);
}

/* ---- beginning and end ---- */

void cmt__ensure_init(cmt__ensure *e, const cmt__ensure_options *o,
                      cmt__pex_time t) {
  *e = (cmt__ensure){.o = *o};
  e->o.anchors = NULL;
  e->start_ns = t.now_ns;
  for (size_t i = 0; i < o->anchor_count && i < CMT_ADDRBOOK_ANCHORS_MAX; i++) {
    e->anchors[e->anchor_count++] = o->anchors[i];
    e->kept[e->kept_count++] = o->anchors[i];
  }
  e->round_ns = t.now_ns + cmt__ensure_draw(e, CMT_SECONDS(1));
  e->feeler_ns = o->feeler_ns == CMT_NEVER
                   ? CMT_NEVER
                   : t.now_ns + cmt__ensure_draw(e, o->feeler_ns) + 1;
  visit_anew(e);
  e->rotate_ns = o->rotate_ns == CMT_NEVER || o->rotate_ns == 0
                   ? CMT_NEVER
                   : t.now_ns + o->rotate_ns;
}

void cmt__ensure_fini(cmt__ensure *e) {
  while (e->peers != NULL) {
    cmt__ensure_peer *next = e->peers->next;

    e->o.env->free(e->o.env->alloc_arg, e->peers);
    e->peers = next;
  }
}

void cmt__ensure_set_seeds(cmt__ensure *e, size_t count) {
  e->seed_count = count < CMT__ENSURE_SEEDS_MAX ? count : CMT__ENSURE_SEEDS_MAX;
  e->seeds_left = 0; /* A tour begins when it is needed. */
  e->seeds_ns = 0;
  visit_anew(e);
}

/* ---- peers ---- */

bool cmt__ensure_is_online(const cmt__ensure *e, uint64_t now_ns) {
  if (e->o.seed && cmt__seed_is_online(e, now_ns)) {
    return true;
  }
  for (const cmt__ensure_peer *p = e->peers; p != NULL; p = p->next) {
    if (strcmp(p->group, e->peers->group) != 0) {
      return true;
    }
  }
  return false;
}

static void count_peer(cmt__ensure *e, const cmt__ensure_peer *p, int by) {
  e->peer_count += (size_t)by;
  e->outbound += p->outbound ? (size_t)by : 0;
  e->exempt += p->outbound && p->exempt ? (size_t)by : 0;
}

static void check_soon(cmt__ensure *e, const cmt__ensure_peer *p,
                       const cmt_net_addr *claimed) {
  cmt__ensure_claim c = {.arrival = p->arrival};

  if (cmt__book_addr_read(claimed, false, &c.addr) == CMT_OK) {
    cmt__visit_claim(e, &c);
  }
  if (e->o.seed) {
    e->check_ns = 0;
  }
}

/* What an inbound peer says is used at once only if it is where its socket is,
   and else when a feeler has found it there.  A seed feels each, since it
   serves only what it has proved. */
static void take_claim(cmt__ensure *e, const cmt__ensure_peer *p,
                       const cmt_net_addr *claimed, cmt__pex_time t) {
  cmt_net_addr dial;
  cmt_err err;

  if (p->outbound || claimed == NULL) {
    return;
  }
  err = cmt_addrbook_add_claimed(e->o.book, claimed, &p->at, &dial, t.utc_ns);
  if (err == CMT_EAGAIN) {
    check_soon(e, p, &dial);
  } else if (err == CMT_OK && e->o.seed) {
    check_soon(e, p, claimed);
  }
}

cmt__ensure_peer *cmt__ensure_add(cmt__ensure *e, const cmt__ensure_peer *given,
                                  const cmt_net_addr *claimed,
                                  const char *version, cmt__pex_time t) {
  cmt__ensure_peer *p = e->o.env->alloc(e->o.env->alloc_arg, sizeof *p);

  if (p == NULL) {
    return NULL;
  }
  *p = *given;
  p->prev = NULL;
  p->next = e->peers;
  if (p->next != NULL) {
    p->next->prev = p;
  }
  e->peers = p;
  p->up_ns = t.now_ns;
  p->misses = e->misses_before;
  p->arrival = ++e->arrivals;
  cmt__ensure_group(e, &p->at, p->group);
  count_peer(e, p, 1);
  if (p->outbound && p->listed) {
    cmt__ensure_proof proof = {.at = &p->at, .version = version};

    cmt__ensure_proved(e, &proof, t);
  }
  p->ask = p->outbound && p->has_pex &&
           (p->seed || needs_more(e) || is_stuck(e, p->misses));
  p->close_ns = CMT_NEVER;
  if (e->o.seed) {
    cmt__seed_greet(p, t.now_ns);
  }
  take_claim(e, p, claimed, t);
  cmt__visit_come(e, p, version, t);
  return p;
}

/* The last outbound peer is gone, and had been here for long: it may be we who
   were cut off. */
static bool is_alone(const cmt__ensure *e, const cmt__ensure_peer *p,
                     cmt_err reason, uint64_t now_ns) {
  return p->outbound && !p->seed && e->outbound == 0 &&
         reason != CMT_ECANCELED && now_ns - p->up_ns >= e->o.period_ns;
}

void cmt__ensure_remove(cmt__ensure *e, cmt__ensure_peer *p, cmt_err reason,
                        cmt__pex_time t) {
  if (p->outbound) {
    /* At the end all peers go. */
    cmt__ensure_keep_anchors(e, e->kept_count);
  }
  if (p->next != NULL) {
    p->next->prev = p->prev;
  }
  if (p->prev != NULL) {
    p->prev->next = p->next;
  } else {
    e->peers = p->next;
  }
  count_peer(e, p, -1);
  e->seed_until_ns = p->seed ? 0 : e->seed_until_ns;
  cmt__visit_end(e, p, t);
  if (p->outbound) {
    cmt__ensure_rest(e, p, reason, t);
    e->dry = false;
  }
  if (is_alone(e, p, reason, t.now_ns)) {
    visit_anew(e);
    e->seeds_ns = cmt__min64(e->seeds_ns, t.now_ns + jittered(e, SEEDS_NS));
  }
  e->o.env->free(e->o.env->alloc_arg, p);
}

void cmt__ensure_set_listed(const cmt__ensure *e, cmt__ensure_peer *p,
                            bool listed, cmt__pex_time t) {
  if (p->listed == listed) {
    return;
  }
  p->listed = listed;
  if (e->o.seed) {
    p->close_ns = CMT_NEVER;
    cmt__seed_greet(p, t.now_ns); /* Who has left the list is a visitor. */
  }
}

void cmt__ensure_exempt(cmt__ensure *e, cmt__ensure_peer *p) {
  if (!p->exempt) {
    count_peer(e, p, -1);
    p->exempt = true;
    count_peer(e, p, 1);
  }
}

/* The operator trusts a seed to know who is there, so that half of the dials
   are of what it says as long as that lasts. */
static void take_hints(cmt__ensure *e, const cmt_net_addr *addrs,
                       size_t count) {
  for (size_t i = 0; i < count && e->hint_count < CMT__ENSURE_HINTS_MAX; i++) {
    e->hint_count +=
      cmt__book_addr_read(&addrs[i], false, &e->hints[e->hint_count]) == CMT_OK;
  }
}

/* Whether a seed named somebody who would be dialed now: it is back after a
   partition, or a node is. */
static bool has_use(const cmt__ensure *e, const cmt_net_addr *addrs,
                    size_t count, cmt__pex_time t) {
  for (size_t i = 0; i < count; i++) {
    if (cmt_addrbook_has(e->o.book, &addrs[i].id) &&
        cmt__ensure_fits(e, &addrs[i], t)) {
      return true;
    }
  }
  return false;
}

size_t cmt__ensure_learn(cmt__ensure *e, cmt__ensure_peer *p,
                         const cmt_net_addr *addrs, size_t count,
                         cmt__pex_time t) {
  size_t found =
    cmt_addrbook_add_answer(e->o.book, addrs, count, &p->at, t.utc_ns);

  if (e->o.seed && p->outbound && !p->listed) {
    p->close_ns = t.now_ns; /* A visitor that we asked has its own question. */
  }
  if (p->seed) {
    e->hint_count = 0;
    e->seed_until_ns = 0;
    take_hints(e, addrs, count);
  }
  if (found > 0 || (p->seed && !e->o.seed && has_use(e, addrs, count, t))) {
    visit_anew(e); /* A network that grows may go on growing. */
    e->seeds_left = p->seed ? 0 : e->seeds_left; /* It ends the tour. */
  }
  if (found > 0 || (p->seed && !e->o.seed)) {
    e->dry = false;
  }
  return found;
}

void cmt__ensure_blame(cmt__ensure *e, const cmt__ensure_peer *p,
                       cmt__pex_time t) {
  cmt_addrbook_ban ban;

  cmt_addrbook_ban_init(&ban);
  ban.kind = CMT_ADDRBOOK_MISBEHAVED;
  ban.addr.id = p->at.id;
  ban.end_ns = t.utc_ns + CMT_ADDRBOOK_BAN_NS;
  cmt_ignore(cmt_addrbook_bar(e->o.book, &ban, t.utc_ns));
}

/* ---- rounds ---- */

static void begin_round(cmt__ensure *e, uint64_t now_ns) {
  e->round_ns = now_ns + e->o.period_ns + cmt__ensure_draw(e, CMT_SECONDS(1));
  e->rounds++;
  e->dry = false;
  e->asks_left = e->o.asks_max;
  cmt__ensure_keep_anchors(e, 1);
}

/* Until when the next seed waits for the present one, which may stay without an
   answer for as long as it likes; 0: there is none. */
static uint64_t seed_until_ns(const cmt__ensure *e) {
  for (size_t i = 0; i <= CMT__ENSURE_DIALS_MAX; i++) {
    if (e->dials[i].used && e->dials[i].kind == CMT__ENSURE_SEED) {
      return CMT_NEVER;
    }
  }
  return e->seed_until_ns;
}

/* A node needs a seed when it lacks peers, and the book is of no help; a seed
   needs another one while it knows too few. */
static bool needs_seed(const cmt__ensure *e) {
  if (e->o.seed) {
    return e->dialing + e->outbound < e->o.dials_max && knows_few(e);
  }
  return (e->dry ||
          (e->misses >= CMT__ENSURE_MISSES_MANY && e->hint_count == 0)) &&
         cmt__ensure_placed(e) < e->o.outbound_max &&
         e->dialing < e->o.dials_max && needs_more(e);
}

/* When the next seed may be dialed, if none is needed CMT_NEVER. */
static uint64_t seed_due_ns(const cmt__ensure *e) {
  uint64_t due_ns = e->seeds_left != 0 ? 0 : e->seeds_ns;

  if (e->seed_count == 0 || !needs_seed(e)) {
    return CMT_NEVER;
  }
  due_ns = cmt__max64(due_ns, cmt__ensure_spend_ns(e));
  return cmt__max64(due_ns, seed_until_ns(e));
}

/* The seeds that are peers, and stay; and this node, which all nodes of a
   network may have in their list. */
static uint64_t seeds_up(const cmt__ensure *e) {
  uint64_t up = e->own_bits;

  for (const cmt__ensure_peer *p = e->peers; p != NULL; p = p->next) {
    up |= p->seed_bits;
  }
  return up;
}

/* One seed after another, in an order that is drawn, until one was of use. */
static bool next_seed(cmt__ensure *e, size_t *out, uint64_t now_ns) {
  size_t skip;

  if (e->seeds_left == 0) {
    e->seeds_left = UINT64_MAX >> (64 - e->seed_count);
    if (e->seed_seen) {
      e->seeds_wait_ns = cmt__min64(2 * e->seeds_wait_ns,
                                    e->o.seed ? SEED_SEEDS_NS : e->o.period_ns);
    }
    e->seed_seen = e->o.seed;
    e->seeds_ns = now_ns + jittered(e, e->seeds_wait_ns);
  }
  e->seeds_left &= ~seeds_up(e);
  if (e->seeds_left == 0) {
    return false;
  }
  skip =
    (size_t)cmt__ensure_draw(e, (uint64_t)__builtin_popcountll(e->seeds_left));
  for (size_t i = 0; i < e->seed_count; i++) {
    if ((e->seeds_left >> i & 1) != 0 && skip-- == 0) {
      e->seeds_left &= ~(UINT64_C(1) << i);
      *out = i;
      return true;
    }
  }
  return false;
}

/* The longer no dial has succeeded, the more are tried at one time. */
static bool has_room(const cmt__ensure *e) {
  size_t extra = e->misses / 2 < EXTRA_MAX ? e->misses / 2 : EXTRA_MAX;

  return cmt__ensure_placed(e) < e->o.outbound_max &&
         e->dialing < e->o.dials_max &&
         cmt__ensure_placed(e) + e->dialing < e->o.outbound_max + extra;
}

static bool step_dial(cmt__ensure *e, cmt__pex_time t, cmt__ensure_step *out) {
  cmt__ensure_dial d = {.kind = CMT__ENSURE_BOOK};

  if (!has_room(e) || !cmt__ensure_may_spend(e, t.now_ns)) {
    return false;
  }
  if (!cmt__ensure_choose(e, &d, t)) {
    e->dry = true;
    return false;
  }
  out->act = CMT__ENSURE_DIAL;
  out->dial = cmt__ensure_begin(e, &d, t);
  return out->dial != NULL;
}

/* A seed beside what the book had, when that is not enough. */
static bool step_seed(cmt__ensure *e, cmt__pex_time t, cmt__ensure_step *out) {
  cmt__ensure_dial d = {.kind = CMT__ENSURE_SEED};

  if (t.now_ns < seed_due_ns(e) || !next_seed(e, &d.seed, t.now_ns)) {
    return false;
  }
  out->act = CMT__ENSURE_DIAL;
  out->dial = cmt__ensure_begin(e, &d, t);
  return out->dial != NULL;
}

static bool step_feeler(cmt__ensure *e, cmt__pex_time t,
                        cmt__ensure_step *out) {
  cmt__ensure_dial d = {.kind = CMT__ENSURE_FEELER};

  if (e->dials[CMT__ENSURE_DIALS_MAX].used) {
    return false;
  }
  if (e->claimed_count > 0 && t.now_ns >= e->check_ns) {
    cmt__book_addr_write(&e->claimed[--e->claimed_count].addr, &d.addr);
    e->check_ns = t.now_ns + CMT_SECONDS(2);
    if (!cmt__ensure_may_feel(e, &d.addr, t)) {
      return false;
    }
  } else if (t.now_ns >= e->feeler_ns) {
    e->feeler_ns = t.now_ns + jittered(e, e->o.feeler_ns);
    if (!cmt__ensure_choose_feeler(e, &d, t)) {
      return false;
    }
  } else {
    return false;
  }
  out->act = CMT__ENSURE_DIAL;
  out->dial = cmt__ensure_begin(e, &d, t);
  return out->dial != NULL;
}

/* ---- rotation ---- */

/* It is of the book's choice. */
static bool may_rotate(const cmt__ensure_peer *p) {
  return p->outbound && !p->listed && !p->exempt;
}

/* Whoever wants to be all peers never leaves, and all others do one day.  So
   one outbound peer of the book's choice gives way from time to time, whoever
   it is. */
static bool step_rotate(cmt__ensure *e, uint64_t now_ns,
                        cmt__ensure_step *out) {
  uint64_t count = 0;

  if (now_ns < e->rotate_ns) {
    return false;
  }
  e->rotate_ns = now_ns + jittered(e, e->o.rotate_ns);
  for (cmt__ensure_peer *p = e->peers; p != NULL; p = p->next) {
    count += may_rotate(p);
  }
  if (cmt__ensure_placed(e) < e->o.outbound_max || count == 0) {
    return false;
  }
  count = cmt__ensure_draw(e, count);
  for (cmt__ensure_peer *p = e->peers; p != NULL; p = p->next) {
    if (may_rotate(p) && count-- == 0) {
      *out = (cmt__ensure_step){.act = CMT__ENSURE_CLOSE, .peer = p};
      return true;
    }
  }
  return false;
}

/* ---- questions and answers ---- */

/* Whoever came first is answered first: see ensure_visit.h. */
static bool step_answer(cmt__ensure *e, uint64_t now_ns,
                        cmt__ensure_step *out) {
  cmt__ensure_peer *due = NULL;

  for (cmt__ensure_peer *p = e->peers; p != NULL; p = p->next) {
    if (now_ns >= cmt__ask_due_ns(&p->limit) &&
        (due == NULL || p->arrival < due->arrival)) {
      due = p;
    }
  }
  if (due == NULL || !cmt__ask_take_due(&due->limit, now_ns)) {
    return false;
  }
  *out = (cmt__ensure_step){.act = CMT__ENSURE_ANSWER, .peer = due};
  return true;
}

static bool may_ask(const cmt__ensure_peer *p, uint64_t now_ns) {
  return p->has_pex && cmt__ask_may_ask(&p->limit, now_ns);
}

/* Marks a peer that is asked in this round; any peer, whoever dialed, so that
   nobody who fills our places alone decides what we hear. */
static void mark_asked(cmt__ensure *e, uint64_t now_ns) {
  uint64_t count = 0;

  for (cmt__ensure_peer *p = e->peers; p != NULL; p = p->next) {
    count += !p->ask && may_ask(p, now_ns);
  }
  if (count == 0) {
    return;
  }
  count = cmt__ensure_draw(e, count);
  for (cmt__ensure_peer *p = e->peers; p != NULL; p = p->next) {
    if (!p->ask && may_ask(p, now_ns) && count-- == 0) {
      p->ask = true;
      return;
    }
  }
}

/* Nobody who has all peers that it wants asks in each round. */
static bool wants_to_ask(const cmt__ensure *e) {
  return (cmt__ensure_placed(e) < e->o.outbound_max || e->rounds % 8 == 0) &&
         needs_more(e);
}

static bool step_ask(cmt__ensure *e, uint64_t now_ns, cmt__ensure_step *out) {
  if (e->asks_left > 0) {
    for (bool wants = wants_to_ask(e); e->asks_left > 0; e->asks_left--) {
      if (wants) {
        mark_asked(e, now_ns);
      }
    }
  }
  for (cmt__ensure_peer *p = e->peers; p != NULL; p = p->next) {
    if (p->ask && may_ask(p, now_ns)) {
      p->ask = false;
      cmt__ask_asked(&p->limit);
      *out = (cmt__ensure_step){.act = CMT__ENSURE_ASK, .peer = p};
      return true;
    }
  }
  return false;
}

void cmt__ensure_query(const cmt__ensure *e, const cmt__ensure_peer *p,
                       cmt__pex_time t, cmt_addrbook_query *out) {
  cmt_addrbook_query_init(out);
  out->asker = &p->at.id;
  if (e->o.seed) {
    cmt__seed_query(e, p, t.now_ns, out);
  }
}

bool cmt__ensure_holds(cmt__ensure *e, cmt__ensure_peer *p, cmt__pex_time t) {
  return e->o.seed && !p->outbound && cmt__visit_hold(e, p, t);
}

void cmt__ensure_trim(cmt__ensure *e, cmt__ensure_peer *p,
                      cmt__ensure_answer *a, cmt__pex_time t) {
  if (p->few) {
    cmt__visit_trim(e, p, a, t);
  }
}

void cmt__ensure_served(cmt__ensure *e, cmt__ensure_peer *p, cmt__pex_time t) {
  cmt__visit_served(e, p);
  if (e->o.seed && !p->listed) {
    p->close_ns = t.now_ns;
  }
}

/* ---- steps ---- */

/* What a node does that keeps peers. */
static bool step_keep(cmt__ensure *e, cmt__pex_time t, cmt__ensure_step *out) {
  /* A dial of the book's choice would take each turn of the rate, so a seed
     goes before it. */
  if (step_seed(e, t, out) || (!e->dry && step_dial(e, t, out))) {
    return true;
  }
  /* If the book turned out to have nobody, a seed is needed from now on. */
  return step_seed(e, t, out) || step_feeler(e, t, out) ||
         step_rotate(e, t.now_ns, out);
}

/* What a seed does instead. */
static bool step_serve(cmt__ensure *e, cmt__pex_time t, cmt__ensure_step *out) {
  return cmt__seed_close(e, t.now_ns, out) || step_seed(e, t, out) ||
         cmt__seed_crawl(e, t, out);
}

bool cmt__ensure_next(cmt__ensure *e, cmt__pex_time t, cmt__ensure_step *out) {
  *out = (cmt__ensure_step){.dial = NULL};
  if (t.now_ns >= e->round_ns) {
    begin_round(e, t.now_ns);
  }
  cmt__visit_release(e, t);
  if (step_answer(e, t.now_ns, out) || step_ask(e, t.now_ns, out)) {
    return true;
  }
  return e->o.seed ? step_serve(e, t, out) : step_keep(e, t, out);
}

uint64_t cmt__ensure_next_ns(const cmt__ensure *e, uint64_t now_ns) {
  uint64_t next = e->round_ns;

  next = e->o.seed ? next : cmt__min64(next, e->rotate_ns);
  if (e->o.seed) {
    next = cmt__min64(next, cmt__seed_next_ns(e));
  } else if (!e->dials[CMT__ENSURE_DIALS_MAX].used) {
    next = cmt__min64(next, e->feeler_ns);
    next = cmt__min64(next, e->claimed_count > 0 ? e->check_ns : CMT_NEVER);
  }
  next = cmt__min64(next, seed_due_ns(e));
  if (!e->o.seed && !e->dry && has_room(e)) {
    next = cmt__min64(next, cmt__ensure_spend_ns(e));
  }
  for (const cmt__ensure_peer *p = e->peers; p != NULL; p = p->next) {
    next = cmt__min64(next, cmt__ask_due_ns(&p->limit));
    next = cmt__min64(next, p->close_ns);
    if (p->ask && !p->limit.outstanding) {
      next = cmt__min64(next, p->limit.ask_ns);
    }
  }
  return next > now_ns ? next : now_ns;
}
