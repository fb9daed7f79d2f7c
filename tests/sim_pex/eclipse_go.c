/* SPDX-License-Identifier: Apache-2.0 */

/* A model of CometBFT's book and of its ensure routine, docs/PROTOCOL.md 7.4
   and 7.6: buckets, expiry, bias, backoff; sources are grouped by what they say
   of themselves, so that an attacker chooses; a peer that was up for an hour
   has voted enough to be marked good, hostile or not. */

#include "eclipse.h"

#include <stdlib.h>
#include <string.h>

enum {
  NEW = 256,
  OLD = 64,
  FULL = 65,
  MORE = 1000,
  IN_MAX = 4,
  ATTEMPTS_MAX = 16,
};

#define ROUND (30 * ECLIPSE_S)
#define GOOD (3600 * ECLIPSE_S)
#define CLAIM_EVERY (ECLIPSE_DAY / ECLIPSE_HOSTILE)

typedef struct entry {
  bool known, old;
  unsigned buckets[IN_MAX], bucket_count;
  unsigned attempts;
  uint64_t last_attempt_ns, last_success_ns;
} entry;

typedef struct bucket {
  unsigned list[FULL];
  unsigned count;
} bucket;

typedef struct peer {
  bool up, good;
  unsigned number;
  uint64_t up_ns, leaves_ns;
} peer;

typedef struct go {
  sim_rng rng;
  uint64_t key, now_ns, claim_ns;
  entry entries[ECLIPSE_ALL];
  bucket new[NEW], old[OLD];
  unsigned count, old_count, claims;
  peer out[ECLIPSE_TARGET];
} go;

/* ---- the book ---- */

static uint64_t group_of(unsigned a) {
  unsigned first, second;

  eclipse_group(a, &first, &second);
  return first * 256 + second;
}

static uint64_t hash(const go *g, uint64_t a, uint64_t b) {
  return sim_mix(g->key ^ sim_mix(a * 1000003 ^ sim_mix(b)));
}

static unsigned new_bucket(const go *g, unsigned a, uint64_t src) {
  return (unsigned)(hash(g, src, hash(g, group_of(a), src) % 32) % NEW);
}

static unsigned old_bucket(const go *g, unsigned a) {
  return (unsigned)(hash(g, group_of(a), hash(g, a, 1) % 4) % OLD);
}

static void take_out(bucket *b, unsigned a) {
  for (unsigned i = 0; i < b->count; i++) {
    if (b->list[i] == a) {
      b->list[i] = b->list[--b->count];
      return;
    }
  }
}

static void leave_new(go *g, unsigned a, unsigned at) {
  entry *e = &g->entries[a];

  take_out(&g->new[at], a);
  for (unsigned i = 0; i < e->bucket_count; i++) {
    if (e->buckets[i] == at) {
      e->buckets[i] = e->buckets[--e->bucket_count];
    }
  }
  if (e->bucket_count == 0) {
    memset(e, 0, sizeof *e);
    g->count--;
  }
}

static bool is_bad(const go *g, const entry *e) {
  return e->last_attempt_ns + 60 * ECLIPSE_S < g->now_ns &&
         e->last_success_ns == 0 && e->attempts >= 3;
}

static void expire(go *g, unsigned at) {
  const bucket *b = &g->new[at];
  unsigned oldest = b->list[0];

  for (unsigned i = 0; i < b->count; i++) {
    const entry *e = &g->entries[b->list[i]];

    if (is_bad(g, e)) {
      oldest = b->list[i];
      break;
    }
    if (e->last_attempt_ns < g->entries[oldest].last_attempt_ns) {
      oldest = b->list[i];
    }
  }
  leave_new(g, oldest, at);
}

static void add(go *g, unsigned a, uint64_t src) {
  entry *e = &g->entries[a];
  unsigned at = new_bucket(g, a, src);

  if (e->old || e->bucket_count == IN_MAX ||
      (e->known && sim_below(&g->rng, 2 * e->bucket_count) != 0)) {
    return;
  }
  for (unsigned i = 0; i < e->bucket_count; i++) {
    if (e->buckets[i] == at) {
      return;
    }
  }
  if (g->new[at].count == FULL) {
    expire(g, at);
  }
  if (!e->known) {
    *e = (entry){.known = true, .last_attempt_ns = g->now_ns};
    g->count++;
  }
  e->buckets[e->bucket_count++] = at;
  g->new[at].list[g->new[at].count++] = a;
}

static void mark_good(go *g, unsigned a) {
  entry *e = &g->entries[a];
  bucket *b = &g->old[old_bucket(g, a)];

  if (!e->known || e->old) {
    return;
  }
  if (b->count == FULL) { /* The oldest one is lost, as there. */
    unsigned lost = b->list[0];

    for (unsigned i = 0; i < b->count; i++) {
      if (g->entries[b->list[i]].last_attempt_ns <
          g->entries[lost].last_attempt_ns) {
        lost = b->list[i];
      }
    }
    take_out(b, lost);
    memset(&g->entries[lost], 0, sizeof g->entries[lost]);
    g->count--;
    g->old_count--;
  }
  while (e->bucket_count > 0) {
    take_out(&g->new[e->buckets[--e->bucket_count]], a);
  }
  e->old = true;
  e->attempts = 0;
  e->last_attempt_ns = e->last_success_ns = g->now_ns;
  b->list[b->count++] = a;
  g->old_count++;
}

static double root(double v) {
  double r = v > 1 ? v : 1;

  for (int i = 0; i < 30; i++) {
    r = (r + v / r) / 2;
  }
  return v > 0 ? r : 0;
}

static bool pick(go *g, unsigned bias, unsigned *out) {
  double old = root(g->old_count) * (100 - bias);
  double fresh = root(g->count - g->old_count) * bias;
  bool from_old =
    (double)sim_below(&g->rng, 1 << 20) / (1 << 20) * (old + fresh) < old;
  bucket *all = from_old ? g->old : g->new;
  const bucket *b;

  if ((from_old ? g->old_count : g->count - g->old_count) == 0) {
    return false;
  }
  do {
    b = &all[sim_below(&g->rng, from_old ? OLD : NEW)];
  } while (b->count == 0);
  *out = b->list[sim_below(&g->rng, b->count)];
  return true;
}

/* ---- peers ---- */

static void ask(go *g, unsigned who) {
  for (int i = 0; i < ECLIPSE_ANSWER; i++) {
    if (eclipse_is_honest(who)) {
      add(g, eclipse_draw_gossip(&g->rng), group_of(who));
    } else { /* It says that it is anywhere. */
      add(g, eclipse_draw_hostile(&g->rng), sim_below(&g->rng, 65536));
    }
  }
}

static void ask_seed(go *g) {
  for (int i = 0; i < ECLIPSE_ANSWER; i++) {
    add(g, eclipse_draw_seeded(&g->rng), 99999);
  }
}

static unsigned peers(const go *g) {
  unsigned count = 0;

  for (unsigned i = 0; i < ECLIPSE_TARGET; i++) {
    count += g->out[i].up;
  }
  return count;
}

static bool is_up(const go *g, unsigned a) {
  for (unsigned i = 0; i < ECLIPSE_TARGET; i++) {
    if (g->out[i].up && g->out[i].number == a) {
      return true;
    }
  }
  return false;
}

static void up(go *g, unsigned a) {
  for (unsigned i = 0; i < ECLIPSE_TARGET; i++) {
    if (!g->out[i].up) {
      g->out[i] = (peer){.up = true,
                         .number = a,
                         .up_ns = g->now_ns,
                         .leaves_ns = eclipse_is_honest(a)
                                        ? eclipse_leaves(&g->rng, g->now_ns)
                                        : UINT64_MAX};
      if (g->count < MORE) {
        ask(g, a);
      }
      return;
    }
  }
}

static void dial(go *g, unsigned a) {
  entry *e = &g->entries[a];
  unsigned attempts = e->attempts < ATTEMPTS_MAX ? e->attempts : ATTEMPTS_MAX;

  if (attempts > 0 &&
      g->now_ns < e->last_attempt_ns + (ECLIPSE_S << attempts)) {
    return;
  }
  if (eclipse_is_dead(a)) {
    e->attempts++;
    e->last_attempt_ns = g->now_ns;
  } else {
    up(g, a);
  }
}

static void round_of(go *g) {
  unsigned have = peers(g), need = ECLIPSE_TARGET - have;
  unsigned bias = (have < 8 ? have : 8) * 10 + 10, chosen = 0, a;

  for (unsigned i = 0; i < 3 * need && chosen < need; i++) {
    if (pick(g, bias, &a) && !is_up(g, a)) {
      dial(g, a);
      chosen++;
    }
  }
  if (need > 0 && g->count < MORE) {
    uint64_t who = sim_below(&g->rng, ECLIPSE_INBOUND + have);

    ask(g, who < ECLIPSE_HOSTILE_INBOUND ? eclipse_draw_hostile(&g->rng)
                                         : eclipse_draw_honest(&g->rng));
    if (chosen == 0) {
      ask_seed(g);
    }
  }
}

static void live(go *g, uint64_t until_ns) {
  for (; g->now_ns < until_ns; g->now_ns += ROUND) {
    for (unsigned i = 0; i < ECLIPSE_TARGET; i++) {
      peer *p = &g->out[i];

      if (p->up && !p->good && g->now_ns >= p->up_ns + GOOD) {
        p->good = true;
        mark_good(g, p->number);
      }
      p->up = p->up && p->leaves_ns > g->now_ns;
    }
    for (; g->claim_ns <= g->now_ns; g->claim_ns += CLAIM_EVERY) {
      add(g, ECLIPSE_HONEST + g->claims++ % ECLIPSE_HOSTILE,
          sim_below(&g->rng, 65536));
    }
    round_of(g);
  }
}

eclipse_end eclipse_run_go(uint64_t seed) {
  go *g = calloc(1, sizeof *g);
  eclipse_end result = {0};

  if (g == NULL) {
    return result;
  }
  g->rng = sim_rng_of(seed, 78);
  g->key = sim_draw(&g->rng);
  live(g, ECLIPSE_DAY);
  memset(g->out, 0, sizeof g->out); /* The restart; the book was saved. */
  live(g, ECLIPSE_DAY + ECLIPSE_AFTER);
  for (unsigned i = 0; i < ECLIPSE_TARGET; i++) {
    result.outbound += g->out[i].up;
    result.hostile += g->out[i].up && !eclipse_is_honest(g->out[i].number);
  }
  free(g);
  return result;
}
