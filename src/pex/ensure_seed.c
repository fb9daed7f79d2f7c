/* SPDX-License-Identifier: Apache-2.0 */

#include "ensure_seed.h"

#include <string.h>

#include "base/ip.h"
#include "ensure_dial.h"
#include "ensure_visit.h"

enum {
  PICKS = 32,         /* Addresses that are looked at for one dial. */
  PER_16_MAX = 8,     /* Addresses of a /16, */
  PER_24_MAX = 2,     /* and of a /24, in an answer. */
  FRESH_PERCENT = 25, /* Not served in the last hour, by preference. */
  KNOWN_PERCENT = 75, /* Known nodes that are felt and not asked again. */
  UNKNOWN_SHARE = 4,  /* Every fourth dial is of an address that never was
                         reached, as long as there are any. */
};

#define IDLE_NS CMT_SECONDS(30)   /* An inbound peer that asks nothing, */
#define VISIT_NS CMT_SECONDS(10)  /* and one of ours that does not answer. */
#define PROOF_NS CMT_SECONDS(600) /* No older proof is served. */
#define START_NS CMT_SECONDS(600) /* But for so long after the start, */
#define START_PROOF_NS CMT_SECONDS(1800) /* when those of the last run are. */
#define AGAIN_NS CMT_SECONDS(300)        /* Then a proof is renewed. */
#define UNSURE_NS CMT_SECONDS(30)        /* Or it is tried once more. */
#define DUE_NS CMT_SECONDS(1) /* From one search for those to the next. */
#define IDLE_CRAWL_NS CMT_SECONDS(1)
#define ONLINE_NS CMT_SECONDS(60) /* From a proof on. */

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

/* ---- the next dial ---- */

/* The next ones that are due, in the other direction. */
static void find_due(cmt__ensure *e, cmt__pex_time t) {
  cmt_net_addr list[CMT__ENSURE_DUE_MAX];
  size_t count =
    cmt_addrbook_due(e->o.book, AGAIN_NS, list, CMT__ENSURE_DUE_MAX, t.utc_ns);

  e->due_count = 0;
  while (count > 0) {
    e->due_count += cmt__book_addr_read(&list[--count], false,
                                        &e->due[e->due_count]) == CMT_OK;
  }
  e->due_ns = t.now_ns + DUE_NS;
}

/* A node that was reached before is mostly only felt, which proves that it
   lives; one whose height is missing is not, since only a peer reports it. */
static bool is_felt(const cmt__ensure *e, const cmt_node_id *id) {
  cmt_addrbook_entry entry;

  return cmt_addrbook_get(e->o.book, id, &entry) &&
         entry.height >= e->o.serve_height_min &&
         cmt__ensure_draw(e, 100) < KNOWN_PERCENT;
}

/* The one whose proof should have been renewed first. */
static bool choose_due(cmt__ensure *e, cmt__ensure_dial *d, cmt__pex_time t) {
  if (e->due_count == 0 && t.now_ns >= e->due_ns) {
    find_due(e, t);
  }
  while (e->due_count > 0) {
    cmt__book_addr_write(&e->due[--e->due_count], &d->addr);
    if (cmt_addrbook_has(e->o.book, &d->addr.id) &&
        cmt__ensure_may_dial(e, &d->addr, t)) {
      d->feeler = is_felt(e, &d->addr.id);
      return true;
    }
  }
  return false;
}

/* The least is next.  |visitors|: whoever came by itself and was not tried yet
   precedes what others have reported, who may have invented it. */
static uint32_t rank_of(const cmt_addrbook_entry *entry, bool visitors) {
  bool hearsay = !cmt_node_id_equal(&entry->src.id, &entry->addr.id);

  return entry->attempts > 0 ? entry->attempts + 1 : visitors && hearsay;
}

/* Among some that were never reached the one that failed least often is next,
   so that none waits for others to fail again. */
static bool choose_unknown(cmt__ensure *e, cmt__ensure_dial *d,
                           cmt__pex_time t) {
  uint32_t least = UINT32_MAX;
  bool visitors = e->crawls / UNKNOWN_SHARE % 2 == 0;

  for (unsigned i = 0; i < PICKS && least > 0; i++) {
    cmt_addrbook_entry entry;
    cmt_net_addr a;

    if (cmt_addrbook_pick(e->o.book, (unsigned)cmt__ensure_draw(e, 101), &a) ==
          CMT_OK &&
        cmt_addrbook_get(e->o.book, &a.id, &entry) && entry.proven_ns == 0 &&
        rank_of(&entry, visitors) < least && cmt__ensure_may_dial(e, &a, t)) {
      d->addr = a;
      least = rank_of(&entry, visitors);
    }
  }
  d->feeler = false;
  return least < UINT32_MAX;
}

static bool choose(cmt__ensure *e, cmt__ensure_dial *d, cmt__pex_time t) {
  bool unknown = ++e->crawls % UNKNOWN_SHARE == 0;

  return cmt__visit_choose(e, d, t) || (unknown && choose_unknown(e, d, t)) ||
         choose_due(e, d, t) || (!unknown && choose_unknown(e, d, t));
}

bool cmt__seed_crawl(cmt__ensure *e, cmt__pex_time t, cmt__ensure_step *out) {
  cmt__ensure_dial d = {.kind = CMT__ENSURE_CRAWL};

  if (e->dialing + e->outbound >= e->o.dials_max ||
      !cmt__ensure_may_spend(e, t.now_ns) || t.now_ns < e->check_ns) {
    return false;
  }
  if (!choose(e, &d, t)) {
    e->check_ns = cmt__visit_next_ns(e, t.now_ns + IDLE_CRAWL_NS);
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

/* ---- online ---- */

void cmt__seed_reached(cmt__ensure *e, const cmt_net_addr *at,
                       uint64_t now_ns) {
  char group[CMT_ADDRBOOK_GROUP_SIZE];

  cmt__ensure_group(e, at, group);
  if (strcmp(e->reached[0], group) != 0) {
    memcpy(e->reached[1], e->reached[0], sizeof group);
    memcpy(e->reached[0], group, sizeof group);
    e->reached_ns[1] = e->reached_ns[0];
  }
  e->reached_ns[0] = now_ns;
}

bool cmt__seed_is_online(const cmt__ensure *e, uint64_t now_ns) {
  return e->reached[1][0] != '\0' && now_ns - e->reached_ns[1] < ONLINE_NS;
}

/* It is due again before others, since what was proved is served meanwhile. */
void cmt__seed_unsure(cmt__ensure *e, const cmt_node_id *id, uint64_t utc_ns) {
  cmt_addrbook_attempt(e->o.book, id,
                       utc_ns > AGAIN_NS ? utc_ns - AGAIN_NS + UNSURE_NS : 0);
}

/* ---- answers ---- */

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

/* A proof is renewed after five minutes, so that what is served is no older
   than ten, and nobody that died is served for longer.  What the last run has
   proved is served until this one has had the time to look. */
uint64_t cmt__seed_proof_ns(const cmt__ensure *e, uint64_t now_ns) {
  return now_ns - e->start_ns < START_NS ? START_PROOF_NS : PROOF_NS;
}

void cmt__seed_query(const cmt__ensure *e, const cmt__ensure_peer *p,
                     uint64_t now_ns, cmt_addrbook_query *q) {
  q->proven_within_ns = cmt__seed_proof_ns(e, now_ns);
  q->per_16_max = PER_16_MAX;
  q->per_24_max = PER_24_MAX;
  q->fresh_percent = FRESH_PERCENT;
  q->height_min = e->o.serve_height_min;
  q->version = e->o.serve_version;
  query_families(p, q);
}
