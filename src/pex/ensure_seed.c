/* SPDX-License-Identifier: Apache-2.0 */

#include "ensure_seed.h"

#include "base/ip.h"
#include "ensure_dial.h"

enum {
  PICKS = 32,         /* Addresses that are looked at for one dial. */
  PER_16_MAX = 8,     /* Addresses of a /16, */
  PER_24_MAX = 2,     /* and of a /24, in an answer. */
  FRESH_PERCENT = 25, /* Not served in the last hour, by preference. */
  KNOWN_PERCENT = 75, /* Known nodes that are felt and not asked again. */
};

#define IDLE_NS CMT_SECONDS(30)    /* An inbound peer that asks nothing, */
#define VISIT_NS CMT_SECONDS(10)   /* and one of ours that does not answer. */
#define PROOF_NS CMT_SECONDS(1800) /* No older proof is served. */
#define AGAIN_NS CMT_SECONDS(300)  /* Then a proof is renewed. */
#define IDLE_CRAWL_NS CMT_SECONDS(1)

void cmt__seed_greet(cmt__ensure_peer *p, uint64_t now_ns) {
  if (p->listed) {
    return;
  }
  p->ask = p->outbound && p->has_pex;
  p->close_ns = p->outbound && !p->has_pex ? now_ns
                : p->outbound              ? now_ns + VISIT_NS
                                           : now_ns + IDLE_NS;
}

bool cmt__seed_close(cmt__ensure *e, uint64_t now_ns, cmt__ensure_step *out) {
  for (cmt__ensure_peer *p = e->peers; p != NULL; p = p->next) {
    if (now_ns >= p->close_ns) {
      p->close_ns = CMT_NEVER;
      *out = (cmt__ensure_step){.act = CMT__ENSURE_CLOSE, .peer = p};
      return true;
    }
  }
  return false;
}

/* Whether a dial of |a| tells anything; |*feel|: it was reached before, and it
   is not its height that is missing. */
static bool is_due(const cmt__ensure *e, const cmt_net_addr *a, bool *feel,
                   cmt__pex_time t) {
  cmt_addrbook_entry entry;

  if (!cmt_addrbook_get(e->o.book, &a->id, &entry)) {
    return false;
  }
  *feel = entry.proven_ns != 0 && entry.height >= e->o.serve_height_min;
  return (entry.proven_ns == 0 || t.utc_ns >= entry.proven_ns + AGAIN_NS) &&
         cmt__ensure_may_dial(e, a, t);
}

/* A node that was reached before is mostly only felt: it needs no more to prove
   that it lives. */
static bool choose(cmt__ensure *e, cmt__ensure_dial *d, cmt__pex_time t) {
  bool feel;

  while (e->claimed_count > 0) {
    d->addr = e->claimed[--e->claimed_count];
    if (cmt__ensure_may_feel(e, &d->addr, t)) {
      d->feeler = true;
      return true;
    }
  }
  for (unsigned i = 0; i < PICKS; i++) {
    if (cmt_addrbook_pick(e->o.book, (unsigned)cmt__ensure_draw(e, 101),
                          &d->addr) == CMT_OK &&
        is_due(e, &d->addr, &feel, t)) {
      d->feeler = feel && cmt__ensure_draw(e, 100) < KNOWN_PERCENT;
      return true;
    }
  }
  return false;
}

bool cmt__seed_crawl(cmt__ensure *e, cmt__pex_time t, cmt__ensure_step *out) {
  cmt__ensure_dial d = {.kind = CMT__ENSURE_CRAWL};

  if (e->dialing + e->outbound >= e->o.dials_max ||
      !cmt__ensure_may_spend(e, t.now_ns) || t.now_ns < e->check_ns) {
    return false;
  }
  if (!choose(e, &d, t)) {
    e->check_ns = t.now_ns + IDLE_CRAWL_NS;
    return false;
  }
  out->act = CMT__ENSURE_DIAL;
  out->dial = cmt__ensure_begin(e, &d, t);
  return out->dial != NULL;
}

uint64_t cmt__seed_next_ns(const cmt__ensure *e) {
  uint64_t spend_ns = cmt__ensure_spend_ns(e);

  if (e->dialing + e->outbound >= e->o.dials_max) {
    return CMT_NEVER;
  }
  return spend_ns > e->check_ns ? spend_ns : e->check_ns;
}

/* Who comes over IPv4 may have nothing else, and an address that it cannot
   reach costs it a dial.  Who comes over IPv6 has mostly both, and finds nodes
   with IPv6, which are few, only if they come first. */
static void query_families(const cmt__ensure_peer *p, cmt_addrbook_query *q) {
  cmt__ip ip;

  if (cmt__ip_read(cmt_bytes_of(p->at.host), &ip)) {
    q->families = cmt__ip_is_v4(&ip) ? CMT_ADDRBOOK_IP4 : 0;
    q->families_first = cmt__ip_is_v4(&ip) ? 0 : CMT_ADDRBOOK_IP6;
  }
}

void cmt__seed_query(const cmt__ensure *e, const cmt__ensure_peer *p,
                     cmt_addrbook_query *q) {
  q->proven_within_ns = PROOF_NS;
  q->per_16_max = PER_16_MAX;
  q->per_24_max = PER_24_MAX;
  q->fresh_percent = FRESH_PERCENT;
  q->height_min = e->o.serve_height_min;
  q->version = e->o.serve_version;
  query_families(p, q);
}
