/* SPDX-License-Identifier: Apache-2.0 */

#include "ensure_visit.h"

#include <stdio.h>
#include <string.h>

#include "book_impl.h"
#include "ensure_dial.h"
#include "ensure_seed.h"

enum { TRIES_MAX = 3 }; /* Feelers of a claim that was refused, more. */

/* Until a visitor has dialed another; until it knows that it has left, and the
   same when it did not know it then. */
#define DIALED_NS CMT_SECONDS(1)
#define GONE_NS CMT_MILLISECONDS(100)
#define REFUSED_NS CMT_MILLISECONDS(300)
/* From a visit of a node that asks others early to its answer; and so long
   after an answer another visit is not its first. */
#define EARLY_NS CMT_SECONDS(11)
#define AGAIN_NS CMT_SECONDS(600)

/* ---- claims ---- */

void cmt__visit_claim(cmt__ensure *e, const cmt__ensure_claim *c) {
  if (e->claimed_count < CMT__ENSURE_CLAIMED_MAX) {
    e->claimed[e->claimed_count++] = *c;
  }
  if (e->o.seed && c->due_ns < e->check_ns) {
    e->check_ns = c->due_ns;
  }
}

bool cmt__visit_choose(cmt__ensure *e, cmt__ensure_dial *d, cmt__pex_time t) {
  for (size_t i = e->claimed_count; i-- > 0;) {
    const cmt__ensure_claim c = e->claimed[i];

    if (t.now_ns < c.due_ns) {
      continue;
    }
    e->claimed[i] = e->claimed[--e->claimed_count];
    e->look = true;
    cmt__book_addr_write(&c.addr, &d->addr);
    if (cmt__ensure_may_feel(e, &d->addr, t)) {
      d->arrival = c.arrival;
      d->tries = c.tries;
      d->feeler = true;
      return true;
    }
  }
  return false;
}

uint64_t cmt__visit_next_ns(const cmt__ensure *e, uint64_t limit_ns) {
  for (size_t i = 0; i < e->claimed_count; i++) {
    limit_ns = cmt__min64(limit_ns, e->claimed[i].due_ns);
  }
  return limit_ns;
}

static cmt__ensure_peer *visitor_of(const cmt__ensure *e, uint64_t arrival) {
  cmt__ensure_peer *p = e->peers;

  while (p != NULL && p->arrival != arrival) {
    p = p->next;
  }
  return p;
}

/* It ended the connection before it sent anything. */
static bool was_refused(const cmt__ensure_outcome *o) {
  return o->at == NULL && (o->err == CMT_EEOF || o->err == CMT_ERESET);
}

bool cmt__visit_felt(cmt__ensure *e, const cmt__ensure_dial *d,
                     const cmt__ensure_outcome *o, cmt__pex_time t) {
  cmt__ensure_claim c = {
    .arrival = d->arrival, .due_ns = CMT_NEVER, .tries = d->tries + 1};
  cmt__ensure_peer *p;

  if (!e->o.seed || d->arrival == 0) {
    return false;
  }
  e->look = true;
  p = visitor_of(e, d->arrival);
  if (p != NULL) {
    p->proven = o->err == CMT_OK;
    p->refused = was_refused(o);
  } else {
    c.due_ns = t.now_ns + REFUSED_NS;
  }
  if (!was_refused(o) || c.tries > TRIES_MAX ||
      cmt__book_addr_read(&d->addr, false, &c.addr) != CMT_OK) {
    return false;
  }
  cmt__ensure_forget(e, &d->addr.id);
  cmt__visit_claim(e, &c);
  return true;
}

/* ---- who waits ---- */

static size_t fresh_count(const cmt__ensure *e, cmt__pex_time t) {
  return cmt__book_count_fresh(e->o.book, cmt__seed_proof_ns(e, t.now_ns),
                               CMT__VISIT_FEW, t.utc_ns);
}

static bool is_fresh(const cmt__ensure *e, const cmt_node_id *id,
                     cmt__pex_time t) {
  cmt_addrbook_entry entry;

  return cmt_addrbook_get(e->o.book, id, &entry) && entry.proven_ns != 0 &&
         cmt__apart(t.utc_ns, entry.proven_ns) <
           cmt__seed_proof_ns(e, t.now_ns);
}

/* Whether it is of a release that asks a random peer right after the answer of
   a seed, however short a time ago it has asked that peer: docs/PROTOCOL.md
   7.4. */
static bool is_early(const char *version) {
  unsigned major, minor, patch;

  if (version == NULL ||
      sscanf(version, "%3u.%3u.%3u", &major, &minor, &patch) != 3) {
    return false;
  }
  return major == 0 && ((minor == 37 && patch >= 9) ||
                        (minor == 38 && patch >= 10 && patch <= 15) ||
                        minor == 39 || minor == 40);
}

void cmt__visit_come(cmt__ensure *e, cmt__ensure_peer *p, const char *version,
                     cmt__pex_time t) {
  if (e->o.seed && !p->outbound) {
    p->proven = is_fresh(e, &p->at.id, t);
    p->early = p->proven && !p->listed && is_early(version);
  }
}

static const cmt__ensure_served_id *answered(const cmt__ensure *e,
                                             const cmt_node_id *id) {
  for (size_t i = 0; i < CMT__ENSURE_SERVED_MAX; i++) {
    if (cmt_node_id_equal(&e->served[i].id, id)) {
      return &e->served[i];
    }
  }
  return NULL;
}

/* Others dial who asks early, so it needs no second answer if it got nothing.
 */
static bool was_served(const cmt__ensure *e, const cmt__ensure_peer *p,
                       uint64_t now_ns) {
  const cmt__ensure_served_id *s = answered(e, &p->at.id);

  return s != NULL && (s->any || p->early) &&
         now_ns - s->at_ns < CMT__ASK_GAP_NS;
}

static bool was_here(const cmt__ensure *e, const cmt_node_id *id,
                     uint64_t now_ns) {
  const cmt__ensure_served_id *s = answered(e, id);

  return s != NULL && now_ns - s->at_ns < AGAIN_NS;
}

static void wait_until(cmt__ensure *e, cmt__ensure_peer *p, uint64_t ns) {
  cmt__ask_hold(&p->limit, ns);
  p->waits = true;
  e->waiting++;
  e->look = true;
}

void cmt__visit_served(cmt__ensure *e, cmt__ensure_peer *p) {
  e->waiting -= p->waits;
  p->waits = false;
  p->answered = true;
}

/* The visit ends without an answer. */
static void dismiss(cmt__ensure *e, cmt__ensure_peer *p, uint64_t now_ns) {
  cmt__visit_served(e, p);
  p->close_ns = now_ns;
  cmt__ask_hold(&p->limit, CMT_NEVER);
}

bool cmt__visit_hold(cmt__ensure *e, cmt__ensure_peer *p, cmt__pex_time t) {
  uint64_t until_ns = cmt__max64(p->up_ns + CMT__VISIT_HOLD_NS, p->dialed_ns);

  p->few = fresh_count(e, t) < CMT__VISIT_FEW;
  if (p->few && !p->listed && was_served(e, p, t.now_ns)) {
    dismiss(e, p, t.now_ns);
    return true;
  }
  if (p->few && p->early && was_here(e, &p->at.id, t.now_ns) &&
      t.now_ns < p->up_ns + EARLY_NS) {
    cmt__ask_hold(&p->limit, p->up_ns + EARLY_NS);
    return true;
  }
  if (!p->few || t.now_ns >= until_ns) {
    return false;
  }
  wait_until(e, p, until_ns);
  return true;
}

void cmt__visit_end(cmt__ensure *e, cmt__ensure_peer *p, cmt__pex_time t) {
  cmt__visit_served(e, p);
  e->look = true;
  for (size_t i = 0; i < e->claimed_count; i++) {
    if (e->claimed[i].arrival == p->arrival &&
        e->claimed[i].due_ns == CMT_NEVER) {
      e->claimed[i].due_ns = t.now_ns + GONE_NS;
      e->check_ns = cmt__min64(e->check_ns, e->claimed[i].due_ns);
    }
  }
}

/* The first visitor whose claim is not felt yet. */
static uint64_t first_open(const cmt__ensure *e) {
  uint64_t first = CMT_NEVER;

  for (size_t i = 0; i < e->claimed_count; i++) {
    first = cmt__min64(first, e->claimed[i].arrival);
  }
  for (size_t i = 0; i <= CMT__ENSURE_DIALS_MAX; i++) {
    if (e->dials[i].used && e->dials[i].arrival != 0) {
      first = cmt__min64(first, e->dials[i].arrival);
    }
  }
  return first;
}

/* It will have an answer. */
static bool is_visitor(const cmt__ensure_peer *p) {
  return !p->outbound && !p->answered;
}

/* Visitors that may be served themselves. */
static size_t proven_count(const cmt__ensure *e) {
  size_t count = 0;

  for (const cmt__ensure_peer *p = e->peers; p != NULL; p = p->next) {
    count += is_visitor(p) && p->proven;
  }
  return count;
}

static cmt__ensure_peer *oldest(const cmt__ensure *e) {
  cmt__ensure_peer *p = e->peers;

  while (p != NULL && p->next != NULL) {
    p = p->next;
  }
  return p;
}

/* Nobody who came before |p| is still to be felt; |others| may be served. */
static void release(cmt__ensure *e, cmt__ensure_peer *p, bool others,
                    uint64_t now_ns) {
  if (others) {
    cmt__ask_hold(&p->limit, now_ns);
  } else if (p->refused && !p->listed) {
    dismiss(e, p, now_ns);
  }
}

void cmt__visit_release(cmt__ensure *e, cmt__pex_time t) {
  size_t fresh, later;
  uint64_t open;

  if (!e->look || e->waiting == 0) {
    return;
  }
  e->look = false;
  fresh = fresh_count(e, t);
  later = proven_count(e);
  open = first_open(e);
  for (cmt__ensure_peer *p = oldest(e); p != NULL; p = p->prev) {
    bool proven = is_visitor(p) && p->proven;
    bool many = fresh >= CMT__VISIT_FEW;

    if (p->waits && p->dialed_ns == 0 &&
        (many || open > p->arrival || (open == p->arrival && p->refused))) {
      release(e, p, many || fresh > later, t.now_ns);
    }
    later -= proven;
  }
}

/* ---- what is served ---- */

static cmt__ensure_peer *visitor_with(const cmt__ensure *e,
                                      const cmt_node_id *id) {
  cmt__ensure_peer *p = e->peers;

  while (p != NULL && (!is_visitor(p) || !cmt_node_id_equal(&p->at.id, id))) {
    p = p->next;
  }
  return p;
}

/* Another visitor hears of |p|, and dials it. */
static void hear_of(cmt__ensure_peer *p, uint64_t now_ns) {
  p->dialed_ns = cmt__min64(now_ns + DIALED_NS, p->up_ns + CMT__VISIT_MAX_NS);
  if (p->waits) {
    cmt__ask_hold(&p->limit, p->dialed_ns);
  }
}

static void note_served(cmt__ensure *e, const cmt_node_id *id, bool any,
                        uint64_t now_ns) {
  const cmt__ensure_served_id *before = answered(e, id);
  size_t at = before != NULL ? (size_t)(before - e->served) : e->served_at;

  e->served[at] = (cmt__ensure_served_id){*id, any, now_ns};
  if (before == NULL) {
    e->served_at = (e->served_at + 1) % CMT__ENSURE_SERVED_MAX;
  }
}

void cmt__visit_trim(cmt__ensure *e, cmt__ensure_peer *p, cmt__ensure_answer *a,
                     cmt__pex_time t) {
  size_t kept = 0;

  for (size_t i = 0; i < a->count; i++) {
    cmt__ensure_peer *other;
    cmt_node_id id;

    cmt__book_id_write(cmt__book_at(e->o.book, a->numbers[i])->addr.id, &id);
    other = visitor_with(e, &id);
    if (other != NULL && other->arrival > p->arrival) {
      continue; /* It hears of |p|. */
    }
    if (other != NULL) {
      hear_of(other, t.now_ns);
    }
    a->numbers[kept] = a->numbers[i];
    a->proofs_ns[kept++] = a->proofs_ns[i];
  }
  a->count = kept;
  note_served(e, &p->at.id, kept > 0, t.now_ns);
}
