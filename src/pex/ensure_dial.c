/* SPDX-License-Identifier: Apache-2.0 */

#include "ensure_dial.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "ensure_seed.h"
#include "ensure_visit.h"
#include "net_group.h"

enum {
  PICKS = 128,       /* Addresses of the book that are looked at for a dial, */
  CANDIDATES = 64,   /* and groups of them that are drawn among. */
  FEELER_PICKS = 32, /* Addresses that are looked at for a feeler. */
  BACKOFF_MAX = 12,  /* 2^12 s, a bit over an hour. */
};

#define SPEND_NS CMT_MILLISECONDS(250)     /* The time that each dial uses. */
#define SEED_SPEND_NS CMT_MILLISECONDS(20) /* A seed dials faster. */
/* How long a seed that was reached may take to answer before the next one. */
#define SILENT_NS CMT_SECONDS(10)
#define AGAIN_NS CMT_SECONDS(30) /* From a dial of an id to the next one. */
#define FULL_NS CMT_SECONDS(300) /* After a node has hung up at once. */
#define SOON_NS CMT_SECONDS(10)  /* Within this is at once. */

uint64_t cmt__ensure_draw(const cmt__ensure *e, uint64_t limit) {
  uint64_t drawn;

  e->o.env->entropy(e->o.env->entropy_arg, &drawn, sizeof drawn);
  return drawn % limit;
}

/* All bytes of the address as digits, since the text of IPv6 may be longer than
   a group. */
static void write_host(const cmt__ip *ip, unsigned port,
                       char out[CMT_ADDRBOOK_GROUP_SIZE]) {
  char digits[2 * sizeof ip->bytes + 1];

  _Static_assert(sizeof digits + sizeof ":65535" - 1 <= CMT_ADDRBOOK_GROUP_SIZE,
                 "room");
  sodium_bin2hex(digits, sizeof digits, ip->bytes, sizeof ip->bytes);
  snprintf(out, CMT_ADDRBOOK_GROUP_SIZE, "%s:%u", digits, port);
}

void cmt__ensure_group(const cmt__ensure *e, const cmt_net_addr *a,
                       char out[CMT_ADDRBOOK_GROUP_SIZE]) {
  cmt__ip ip;

  if (!cmt__ip_read(cmt_bytes_of(a->host), &ip)) {
    snprintf(out, CMT_ADDRBOOK_GROUP_SIZE, "%.32s:%u", a->host, a->port);
  } else if (cmt__ip_is_routable(&ip)) {
    cmt_addrbook_group(e->o.book, a, out);
  } else {
    write_host(&ip, a->port, out);
  }
}

/* ---- how many dials ---- */

static uint64_t spend_of(const cmt__ensure *e) {
  return e->o.seed ? SEED_SPEND_NS : SPEND_NS;
}

/* As many at once as may be under way, and then one after another. */
bool cmt__ensure_may_spend(const cmt__ensure *e, uint64_t now_ns) {
  return now_ns >= cmt__ensure_spend_ns(e);
}

uint64_t cmt__ensure_spend_ns(const cmt__ensure *e) {
  uint64_t burst_ns = e->o.dials_max * spend_of(e);

  return e->spent_ns > burst_ns ? e->spent_ns - burst_ns : 0;
}

static void spend(cmt__ensure *e, uint64_t now_ns) {
  e->spent_ns = (e->spent_ns > now_ns ? e->spent_ns : now_ns) + spend_of(e);
}

/* ---- who is not dialed ---- */

/* Ids of the book and of peers are in lower case. */
static bool same_id(const cmt_node_id *a, const cmt_node_id *b) {
  return memcmp(a->text, b->text, sizeof a->text) == 0;
}

/* What is over soonest gives way, so that many failures do not make us forget
   who had no place for us. */
static void note_recent(cmt__ensure *e, const cmt_node_id *id,
                        uint64_t until_ns) {
  cmt__ensure_recent *at = e->recent;

  for (size_t i = 0; i < CMT__ENSURE_RECENT_MAX; i++) {
    if (same_id(&e->recent[i].id, id)) {
      e->recent[i].until_ns = until_ns;
      return;
    }
    if (e->recent[i].until_ns < at->until_ns) {
      at = &e->recent[i];
    }
  }
  *at = (cmt__ensure_recent){*id, until_ns};
}

static bool is_recent(const cmt__ensure *e, const cmt_node_id *id,
                      uint64_t now_ns) {
  for (size_t i = 0; i < CMT__ENSURE_RECENT_MAX; i++) {
    if (now_ns < e->recent[i].until_ns && same_id(&e->recent[i].id, id)) {
      return true;
    }
  }
  return false;
}

/* NULL: it is none. */
static cmt__ensure_peer *peer_of(const cmt__ensure *e, const cmt_node_id *id) {
  cmt__ensure_peer *p = e->peers;

  while (p != NULL && !same_id(&p->at.id, id)) {
    p = p->next;
  }
  return p;
}

void cmt__ensure_forget(cmt__ensure *e, const cmt_node_id *id) {
  for (size_t i = 0; i < CMT__ENSURE_RECENT_MAX; i++) {
    if (same_id(&e->recent[i].id, id)) {
      e->recent[i].until_ns = 0;
    }
  }
}

static bool is_dialed(const cmt__ensure *e, const cmt_node_id *id) {
  for (size_t i = 0; i <= CMT__ENSURE_DIALS_MAX; i++) {
    if (e->dials[i].used && cmt_node_id_equal(&e->dials[i].addr.id, id)) {
      return true;
    }
  }
  return false;
}

static bool has_group(const cmt__ensure *e, const char *group) {
  for (const cmt__ensure_peer *p = e->peers; p != NULL; p = p->next) {
    if (p->outbound && strcmp(p->group, group) == 0) {
      return true;
    }
  }
  for (size_t i = 0; i < CMT__ENSURE_DIALS_MAX; i++) {
    if (e->dials[i].used && strcmp(e->dials[i].group, group) == 0) {
      return true;
    }
  }
  return false;
}

/* 2^n seconds after the n-th failure in a row. */
static bool is_too_early(const cmt__ensure *e, const cmt_node_id *id,
                         uint64_t utc_ns) {
  cmt_addrbook_entry entry;
  uint64_t wait_ns;

  if (!cmt_addrbook_get(e->o.book, id, &entry) || entry.attempts == 0) {
    return false;
  }
  wait_ns = CMT_SECONDS(1) << (entry.attempts < BACKOFF_MAX ? entry.attempts
                                                            : BACKOFF_MAX);
  return utc_ns >= entry.last_attempt_ns &&
         utc_ns - entry.last_attempt_ns < wait_ns;
}

bool cmt__ensure_may_feel(const cmt__ensure *e, const cmt_net_addr *a,
                          cmt__pex_time t) {
  return !is_dialed(e, &a->id) && !is_recent(e, &a->id, t.now_ns) &&
         !cmt_node_id_equal(&a->id, &e->o.self) &&
         !cmt_addrbook_is_barred(e->o.book, a, t.utc_ns) &&
         !is_too_early(e, &a->id, t.utc_ns);
}

bool cmt__ensure_may_dial(const cmt__ensure *e, const cmt_net_addr *a,
                          cmt__pex_time t) {
  return peer_of(e, &a->id) == NULL && cmt__ensure_may_feel(e, a, t);
}

/* ---- choice ---- */

static bool fits(const cmt__ensure *e, const cmt_net_addr *a,
                 cmt__ensure_dial *out, cmt__pex_time t) {
  if (!cmt__ensure_may_dial(e, a, t)) {
    return false;
  }
  cmt__ensure_group(e, a, out->group);
  if (has_group(e, out->group)) {
    return false;
  }
  out->addr = *a;
  return true;
}

bool cmt__ensure_fits(const cmt__ensure *e, const cmt_net_addr *a,
                      cmt__pex_time t) {
  cmt__ensure_dial ignored;

  return fits(e, a, &ignored, t);
}

static bool choose_anchor(cmt__ensure *e, cmt__ensure_dial *out,
                          cmt__pex_time t) {
  while (e->anchor_count > 0) {
    cmt_net_addr a = e->anchors[--e->anchor_count];

    if (fits(e, &a, out, t)) {
      out->kind = CMT__ENSURE_ANCHOR;
      return true;
    }
  }
  return false;
}

static bool choose_hint(cmt__ensure *e, cmt__ensure_dial *out,
                        cmt__pex_time t) {
  e->by_hint = !e->by_hint || e->misses >= CMT__ENSURE_MISSES_MANY;
  while (e->by_hint && e->hint_count > 0) {
    cmt_net_addr a;

    cmt__book_addr_write(&e->hints[--e->hint_count], &a);
    if (cmt_addrbook_has(e->o.book, &a.id) && fits(e, &a, out, t)) {
      return true;
    }
  }
  return false;
}

/* The more outbound peers there are, the more new addresses are tried; as
   CometBFT. */
static unsigned bias_of(const cmt__ensure *e) {
  return (unsigned)cmt__min(cmt__ensure_placed(e), 8) * 10 + 10;
}

static bool is_in(const cmt__ensure_dial *list, size_t count,
                  const char *group) {
  for (size_t i = 0; i < count; i++) {
    if (strcmp(list[i].group, group) == 0) {
      return true;
    }
  }
  return false;
}

/* Draws among the groups of what the book gives, so that many addresses in few
   groups weigh no more than few.  Every other address is one that was proved.
 */
static bool choose_group(cmt__ensure *e, cmt__ensure_dial *out,
                         cmt__pex_time t) {
  cmt__ensure_dial candidates[CANDIDATES];
  size_t count = 0;

  for (unsigned i = 0; i < PICKS && count < CANDIDATES; i++) {
    cmt__ensure_dial *c = &candidates[count];
    cmt_net_addr a;

    if (cmt_addrbook_pick(e->o.book, i % 2 == 0 ? bias_of(e) : 0, &a) !=
        CMT_OK) {
      continue;
    }
    cmt__ensure_group(e, &a, c->group);
    if (!is_in(candidates, count, c->group) && fits(e, &a, c, t)) {
      count++;
    }
  }
  if (count > 0) {
    const cmt__ensure_dial *c = &candidates[cmt__ensure_draw(e, count)];

    out->addr = c->addr;
    memcpy(out->group, c->group, sizeof out->group);
  }
  return count > 0;
}

bool cmt__ensure_choose(cmt__ensure *e, cmt__ensure_dial *out,
                        cmt__pex_time t) {
  return choose_anchor(e, out, t) || choose_hint(e, out, t) ||
         choose_group(e, out, t);
}

/* Never reached by us. */
static bool is_untried(const cmt__ensure *e, const cmt_net_addr *a) {
  cmt_addrbook_entry entry;

  return cmt_addrbook_get(e->o.book, &a->id, &entry) && entry.proven_ns == 0;
}

bool cmt__ensure_choose_feeler(cmt__ensure *e, cmt__ensure_dial *out,
                               cmt__pex_time t) {
  cmt_net_addr a;

  if (cmt_addrbook_next_test(e->o.book, &a, t.utc_ns) == CMT_OK &&
      cmt__ensure_may_dial(e, &a, t)) {
    out->addr = a;
    return true;
  }
  for (unsigned i = 0; i < FEELER_PICKS; i++) {
    if (cmt_addrbook_pick(e->o.book, 100, &a) == CMT_OK && is_untried(e, &a) &&
        cmt__ensure_may_dial(e, &a, t)) {
      out->addr = a;
      return true;
    }
  }
  return false;
}

/* ---- heights ---- */

/* An inbound peer tells its height before the dial that proves its address has
   ended, and often before the book has it. */
void cmt__ensure_note_height(cmt__ensure *e, cmt__ensure_peer *p,
                             int64_t height, cmt__pex_time t) {
  if (p->height == height) {
    return; /* It comes with every step of a round. */
  }
  p->height = height;
  for (size_t i = 0; i <= CMT__ENSURE_DIALS_MAX; i++) {
    if (e->dials[i].used && same_id(&e->dials[i].addr.id, &p->at.id)) {
      e->dials[i].height = height;
    }
  }
  cmt_addrbook_set_height(e->o.book, &p->at.id, height, t.utc_ns);
}

static int64_t height_of(const cmt__ensure *e, const cmt_node_id *id) {
  const cmt__ensure_peer *p = peer_of(e, id);

  return p != NULL ? p->height : 0;
}

/* ---- a dial under way ---- */

cmt__ensure_dial *cmt__ensure_begin(cmt__ensure *e, const cmt__ensure_dial *d,
                                    cmt__pex_time t) {
  size_t at = d->kind == CMT__ENSURE_FEELER ? CMT__ENSURE_DIALS_MAX : 0;

  while (at < CMT__ENSURE_DIALS_MAX && e->dials[at].used) {
    at++;
  }
  if (e->dials[at].used) {
    return NULL;
  }
  e->dials[at] = *d;
  e->dials[at].feeler = d->feeler || d->kind == CMT__ENSURE_FEELER;
  e->dials[at].used = true;
  if (d->kind != CMT__ENSURE_FEELER) {
    e->dialing++;
    spend(e, t.now_ns);
  }
  if (d->kind != CMT__ENSURE_SEED) {
    e->dials[at].height = height_of(e, &d->addr.id);
    note_recent(e, &d->addr.id, t.now_ns + AGAIN_NS);
    cmt_addrbook_attempt(e->o.book, &d->addr.id, t.utc_ns);
  }
  return &e->dials[at];
}

static void bar(cmt__ensure *e, cmt_addrbook_ban_kind kind,
                const cmt_net_addr *a, uint64_t utc_ns) {
  cmt_addrbook_ban ban;

  cmt_addrbook_ban_init(&ban);
  ban.kind = kind;
  ban.addr = *a;
  if (kind == CMT_ADDRBOOK_WRONG_NETWORK) {
    ban.addr.host[0] = '\0';
  }
  ban.end_ns = utc_ns + CMT_ADDRBOOK_WRONG_NS;
  cmt_ignore(cmt_addrbook_bar(e->o.book, &ban, utc_ns));
}

void cmt__ensure_proved(cmt__ensure *e, const cmt__ensure_proof *p,
                        cmt__pex_time t) {
  cmt_addrbook_proof proof;

  cmt_addrbook_proof_init(&proof);
  proof.addr = p->at;
  proof.version = p->version;
  proof.height = p->height;
  cmt_ignore(cmt_addrbook_proved(e->o.book, &proof, t.utc_ns));
  cmt_addrbook_good(e->o.book, &p->at->id, t.utc_ns);
  if (e->o.seed) {
    cmt__seed_reached(e, p->at, t.now_ns);
  }
}

static void failed(cmt__ensure *e, const cmt__ensure_dial *d, cmt_err err,
                   cmt__pex_time t) {
  cmt_err_class blame = cmt_err_class_of(err);

  if (err == CMT_ENETWORK) {
    bar(e, CMT_ADDRBOOK_WRONG_NETWORK, &d->addr, t.utc_ns);
  } else if (err == CMT_EWRONGID) {
    bar(e, CMT_ADDRBOOK_WRONG_ID, &d->addr, t.utc_ns);
  } else if (err == CMT_ESELF) {
    cmt_addrbook_remove(e->o.book, &d->addr.id);
  } else if (err != CMT_EDUPLICATE &&
             (blame == CMT_CLASS_LINK || blame == CMT_CLASS_PEER) &&
             cmt__ensure_is_online(e, t.now_ns)) {
    cmt_addrbook_failed(e->o.book, &d->addr.id, t.utc_ns);
  } else if (e->o.seed) {
    cmt__seed_unsure(e, &d->addr.id, t.utc_ns);
  }
}

static void succeeded(cmt__ensure *e, const cmt__ensure_dial *d,
                      const cmt__ensure_outcome *o, cmt__pex_time t) {
  bool seed = d->kind == CMT__ENSURE_SEED;
  cmt__ensure_proof proof = {.at = o->at != NULL || seed ? o->at : &d->addr,
                             .version = o->version,
                             .height = d->height};

  if (seed) {
    e->seed_until_ns = t.now_ns + SILENT_NS;
  }
  if (proof.at != NULL && (!seed || e->o.seed)) {
    cmt__ensure_proved(e, &proof, t);
  }
}

/* Nothing of ours arrived there. */
static bool is_unreached(cmt_err err) {
  return err == CMT_EREFUSED || err == CMT_EUNREACH || err == CMT_ERESOLVE ||
         err == CMT_EDIAL;
}

void cmt__ensure_dialed(cmt__ensure *e, cmt__ensure_dial *d,
                        const cmt__ensure_outcome *o, cmt__pex_time t) {
  bool again = cmt__visit_felt(e, d, o, t);

  if (o->err == CMT_OK) {
    succeeded(e, d, o, t);
  } else if (d->kind != CMT__ENSURE_SEED && !again) {
    failed(e, d, o->err, t);
  }
  if (d->kind == CMT__ENSURE_SEED && !is_unreached(o->err)) {
    e->seed_seen = true;
  }
  e->dialing -= d->kind != CMT__ENSURE_FEELER;
  e->dry = e->dry && o->err == CMT_OK;
  e->misses_before = e->misses;
  e->misses = o->err == CMT_OK ? 0 : e->misses + 1;
  d->used = false;
}

void cmt__ensure_rest(cmt__ensure *e, const cmt__ensure_peer *p, cmt_err reason,
                      cmt__pex_time t) {
  bool soon = t.now_ns - p->up_ns < SOON_NS && reason != CMT_ECANCELED;

  if (soon && !p->seed && !p->listed && e->misses <= p->misses) {
    e->misses = p->misses + 1;
  }
  /* A seed renews its proof in time, whether or not it had a place. */
  note_recent(e, &p->at.id,
              t.now_ns + (soon && !e->o.seed ? FULL_NS : AGAIN_NS));
}
