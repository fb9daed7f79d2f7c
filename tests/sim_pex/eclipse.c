/* SPDX-License-Identifier: Apache-2.0 */

#include "eclipse.h"

#include "pex/ensure.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

enum { PEERS_MAX = 256 };

#define UTC CMT_SECONDS(1800000000)
#define LATENCY CMT_MILLISECONDS(200)
#define DIAL_TIMEOUT CMT_SECONDS(3)
/* Each hostile address comes in once in a day, and claims itself. */
#define CLAIM_EVERY (ECLIPSE_DAY / ECLIPSE_HOSTILE)

typedef struct peer {
  cmt__ensure_peer *record; /* NULL: free. */
  unsigned number;
  uint64_t leaves_ns;
} peer;

typedef struct victim {
  sim_rng rng;
  cmt_env env;
  cmt_addrbook *book;
  cmt__ensure e;
  uint64_t now_ns;
  peer peers[PEERS_MAX];
  uint64_t due_ns[CMT__ENSURE_DIALS_MAX + 1]; /* The outcome of each dial. */
  uint64_t claim_ns;
  unsigned claims;
} victim;

static void entropy(void *arg, void *out, size_t len) {
  victim *v = arg;
  uint8_t *bytes = out;

  for (size_t i = 0; i < len; i++) {
    bytes[i] = (uint8_t)sim_draw(&v->rng);
  }
}

static cmt__pex_time now(const victim *v) {
  return (cmt__pex_time){v->now_ns, UTC + v->now_ns};
}

static cmt_net_addr addr_of(unsigned number) {
  cmt_net_addr a = {.port = 26656};
  unsigned first, second;

  eclipse_group(number, &first, &second);
  snprintf(a.id.text, sizeof a.id.text, "%040x", number + 1);
  snprintf(a.host, sizeof a.host, "%u.%u.%u.%u", first, second,
           number / 250 % 250, number % 250 + 1);
  return a;
}

static unsigned number_of(const cmt_net_addr *a) {
  return (unsigned)strtoul(a->id.text + 30, NULL, 16) - 1;
}

/* ---- peers ---- */

static peer *free_place(victim *v) {
  for (size_t i = 0; i < PEERS_MAX; i++) {
    if (v->peers[i].record == NULL) {
      return &v->peers[i];
    }
  }
  return NULL;
}

static peer *up(victim *v, unsigned number, bool outbound, bool seed) {
  cmt__ensure_peer given = {
    .at = addr_of(number), .outbound = outbound, .seed = seed, .has_pex = true};
  cmt_net_addr claim = given.at;
  peer *p = free_place(v);

  if (p == NULL) {
    return NULL;
  }
  given.user = p;
  p->number = number;
  p->leaves_ns = seed || !eclipse_is_honest(number)
                   ? CMT_NEVER
                   : eclipse_leaves(&v->rng, v->now_ns);
  p->record = cmt__ensure_add(&v->e, &given, &claim, NULL, now(v));
  return p;
}

static void down(victim *v, peer *p) {
  cmt__ensure_remove(&v->e, p->record, CMT_EEOF, now(v));
  p->record = NULL;
}

static bool is_up(const victim *v, unsigned number) {
  for (size_t i = 0; i < PEERS_MAX; i++) {
    if (v->peers[i].record != NULL && v->peers[i].number == number) {
      return true;
    }
  }
  return false;
}

static void inbound_fill(victim *v) {
  for (int i = 0; i < ECLIPSE_INBOUND; i++) {
    unsigned number = i < ECLIPSE_HOSTILE_INBOUND
                        ? eclipse_draw_hostile(&v->rng)
                        : eclipse_draw_honest(&v->rng);

    if (!is_up(v, number)) {
      (void)up(v, number, false, false);
    }
  }
}

/* ---- steps ---- */

static void answer(victim *v, peer *p) {
  static cmt_net_addr list[ECLIPSE_ANSWER];
  bool seed = p->record->seed;

  for (size_t i = 0; i < ECLIPSE_ANSWER; i++) {
    list[i] =
      addr_of(seed                           ? eclipse_draw_seeded(&v->rng)
              : eclipse_is_honest(p->number) ? eclipse_draw_gossip(&v->rng)
                                             : eclipse_draw_hostile(&v->rng));
  }
  (void)cmt__ask_list_came(&p->record->limit, v->now_ns, sim_draw(&v->rng));
  (void)cmt__ensure_learn(&v->e, p->record, list, ECLIPSE_ANSWER, now(v));
  if (seed) {
    down(v, p);
  }
}

static void step(victim *v, const cmt__ensure_step *s) {
  size_t slot = s->dial != NULL ? (size_t)(s->dial - v->e.dials) : 0;
  bool dead = s->dial != NULL && s->dial->kind != CMT__ENSURE_SEED &&
              eclipse_is_dead(number_of(&s->dial->addr));

  switch (s->act) {
  case CMT__ENSURE_DIAL:
    v->due_ns[slot] = v->now_ns + (dead ? DIAL_TIMEOUT : LATENCY);
    break;
  case CMT__ENSURE_ASK:
    answer(v, s->peer->user);
    break;
  case CMT__ENSURE_CLOSE:
    down(v, s->peer->user);
    break;
  case CMT__ENSURE_ANSWER:
    break;
  }
}

/* The seed has a number of its own, behind all others. */
static void dialed(victim *v, cmt__ensure_dial *d) {
  bool seed = d->kind == CMT__ENSURE_SEED, feeler = d->feeler;
  unsigned number = seed ? ECLIPSE_ALL : number_of(&d->addr);
  bool dead = !seed && eclipse_is_dead(number);
  const cmt__ensure_outcome o = {.err = dead               ? CMT_EDIAL
                                        : is_up(v, number) ? CMT_EDUPLICATE
                                                           : CMT_OK};

  cmt__ensure_dialed(&v->e, d, &o, now(v));
  if (o.err == CMT_OK && !feeler) {
    (void)up(v, number, true, seed);
  }
}

static void outcomes(victim *v) {
  for (size_t i = 0; i <= CMT__ENSURE_DIALS_MAX; i++) {
    if (v->due_ns[i] <= v->now_ns) {
      v->due_ns[i] = CMT_NEVER;
      dialed(v, &v->e.dials[i]);
    }
  }
}

static void departures(victim *v) {
  for (size_t i = 0; i < PEERS_MAX; i++) {
    if (v->peers[i].record != NULL && v->peers[i].leaves_ns <= v->now_ns) {
      down(v, &v->peers[i]);
    }
  }
}

static void claims(victim *v) {
  peer *p;

  if (v->now_ns < v->claim_ns) {
    return;
  }
  v->claim_ns += CLAIM_EVERY;
  p = is_up(v, ECLIPSE_HONEST + v->claims % ECLIPSE_HOSTILE)
        ? NULL
        : up(v, ECLIPSE_HONEST + v->claims % ECLIPSE_HOSTILE, false, false);
  v->claims++;
  if (p != NULL) {
    down(v, p);
  }
}

static uint64_t next_ns(const victim *v) {
  uint64_t next = cmt__ensure_next_ns(&v->e, v->now_ns);

  next = v->claim_ns < next ? v->claim_ns : next;
  for (size_t i = 0; i <= CMT__ENSURE_DIALS_MAX; i++) {
    next = v->due_ns[i] < next ? v->due_ns[i] : next;
  }
  for (size_t i = 0; i < PEERS_MAX; i++) {
    if (v->peers[i].record != NULL && v->peers[i].leaves_ns < next) {
      next = v->peers[i].leaves_ns;
    }
  }
  return next > v->now_ns ? next : v->now_ns + 1;
}

static void live(victim *v, uint64_t until_ns) {
  cmt__ensure_step s;

  while (v->now_ns < until_ns) {
    departures(v);
    outcomes(v);
    claims(v);
    while (cmt__ensure_next(&v->e, now(v), &s)) {
      step(v, &s);
    }
    v->now_ns = next_ns(v);
  }
}

static void begin(victim *v, const cmt_net_addr *anchors, size_t count) {
  const cmt__ensure_options o = {
    .env = &v->env,
    .book = v->book,
    .outbound_max = ECLIPSE_TARGET,
    .dials_max = 16,
    .asks_max = 3,
    .period_ns = CMT_SECONDS(30),
    .feeler_ns = CMT_SECONDS(120),
    .rotate_ns = CMT_SECONDS(3600),
    .anchors = anchors,
    .anchor_count = count,
  };

  for (size_t i = 0; i <= CMT__ENSURE_DIALS_MAX; i++) {
    v->due_ns[i] = CMT_NEVER;
  }
  cmt__ensure_init(&v->e, &o, now(v));
  cmt__ensure_set_seeds(&v->e, 1);
  inbound_fill(v);
}

static void end(victim *v) {
  for (size_t i = 0; i < PEERS_MAX; i++) {
    if (v->peers[i].record != NULL) {
      down(v, &v->peers[i]);
    }
  }
  cmt__ensure_fini(&v->e);
}

eclipse_end eclipse_run(uint64_t seed) {
  victim *v = calloc(1, sizeof *v);
  cmt_net_addr anchors[CMT_ADDRBOOK_ANCHORS_MAX];
  cmt_addrbook_options b;
  eclipse_end result = {0};
  size_t count;

  assert_non_null(v);
  v->rng = sim_rng_of(seed, 77);
  assert_cmt(CMT_OK, cmt_env_init(&v->env));
  v->env.entropy = entropy;
  v->env.entropy_arg = v;
  cmt_addrbook_options_init(&b);
  b.env = &v->env;
  assert_cmt(CMT_OK, cmt_addrbook_new(&b, &v->book, NULL));
  begin(v, NULL, 0);
  live(v, ECLIPSE_DAY);
  count = cmt__ensure_anchors(&v->e, anchors, CMT_ADDRBOOK_ANCHORS_MAX);
  end(v);
  begin(v, anchors, count);
  live(v, ECLIPSE_DAY + ECLIPSE_AFTER);
  for (size_t i = 0; i < PEERS_MAX; i++) {
    const peer *p = &v->peers[i];

    if (p->record != NULL && p->record->outbound) {
      result.outbound++;
      result.hostile += !eclipse_is_honest(p->number);
    }
  }
  end(v);
  cmt_addrbook_delete(v->book);
  free(v);
  return result;
}
