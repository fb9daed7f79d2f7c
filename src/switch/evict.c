/* SPDX-License-Identifier: Apache-2.0 */

/* Eviction.  A newcomer is worth 0, so a peer that is worth more stays.  Of the
   peers that are worth least one goes whose network (/24 or /64) has the most
   inbound peers, so that a crowd evicts itself first, and of these the
   youngest.  Networks are counted in a table by their hash, without memory of
   its own.

   The newcomer is a peer at once, and the one that goes may take a while, so
   there is at most one that is going. */

#include "evict.h"

#include "base/mark.h"

#include "dial.h"

enum {
  BUCKETS = 256,
  V4_NETWORK = 15, /* Bytes, with the 12 before those of IPv4. */
  V6_NETWORK = 8,
};

typedef struct search {
  cmt_switch *sw;
  uint32_t networks[BUCKETS]; /* Inbound peers of each. */
  cmt_peer *best;
  int64_t worth;
} search;

static uint8_t bucket_of(const cmt__remote *r) {
  size_t len = cmt__ip_is_v4(&r->ip) ? V4_NETWORK : V6_NETWORK;
  uint32_t hash = 2166136261;

  for (size_t i = 0; i < len; i++) {
    hash = (hash ^ r->ip.bytes[i]) * 16777619;
  }
  return (uint8_t)(hash >> 24 ^ hash);
}

static void count_network(void *arg, cmt_peer *p) {
  search *s = arg;

  s->networks[bucket_of(&p->remote)] += p->place == CMT__PEER_INBOUND;
}

static bool may_go(const search *s, cmt_peer *p) {
  cmt__peer_view view;

  if (p->place != CMT__PEER_INBOUND || atomic_load(&p->worth.sum) > 0 ||
      atomic_load(&p->worth.protections) > 0) {
    return false;
  }
  cmt__peer_look(p, &view);
  return !cmt__dials_want(s->sw, &p->id).persistent && !view.stopping;
}

/* Whether |p| goes before the best choice so far. */
static bool goes_before(const search *s, const cmt_peer *p, int64_t worth) {
  uint32_t mine = s->networks[bucket_of(&p->remote)], best;

  if (s->best == NULL || worth != s->worth) {
    return s->best == NULL || worth < s->worth;
  }
  best = s->networks[bucket_of(&s->best->remote)];
  return mine != best ? mine > best : p->up_at_ns > s->best->up_at_ns;
}

static void look_at(void *arg, cmt_peer *p) {
  search *s = arg;
  int64_t worth = atomic_load(&p->worth.sum);

  if (goes_before(s, p, worth) && may_go(s, p)) {
    s->best = p;
    s->worth = worth;
  }
}

static bool is_allowed(const cmt_switch *s) {
  uint64_t interval_ns = s->setup.options.evict_interval_ns;

  return interval_ns != 0 && s->evicting == NULL &&
         (s->evicted_at_ns == 0 ||
          cmt__since(cmt__loop_now(s->loop), s->evicted_at_ns) >= interval_ns);
}

cmt_peer *cmt__evict_find(cmt_switch *s) {
  search found = {.sw = s};

  if (!is_allowed(s)) {
    return NULL;
  }
  cmt__peer_set_each(&s->peers, count_network, &found);
  cmt__peer_set_each(&s->peers, look_at, &found);
  return found.best;
}

void cmt__evict(cmt_switch *s, cmt_peer *p) {
  CMT__MARK(peer_evicted);
  s->evicting = p;
  s->evicted_at_ns = cmt__loop_now(s->loop);
  cmt_peer_stop(p, CMT_EEVICTED, 0);
}

void cmt__evict_gone(cmt_switch *s, const cmt_peer *p) {
  if (s->evicting == p) {
    s->evicting = NULL;
  }
}
