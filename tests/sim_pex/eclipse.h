/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_SIM_ECLIPSE_H
#define CMT_SIM_ECLIPSE_H

/* One node among honest nodes, dead addresses and an attacker with 5,000
   addresses in 20 groups, all of which answer, never leave, and report nothing
   but each other: 24 hours, a restart, and ten minutes.  The decisions and the
   book are those of the library (eclipse.c), or a model of CometBFT's
   (eclipse_go.c). */

#include "rng.h"

enum {
  ECLIPSE_TARGET = 10,
  ECLIPSE_HONEST = 300,
  ECLIPSE_HONEST_GROUPS = 120,
  ECLIPSE_HOSTILE = 5000,
  ECLIPSE_HOSTILE_GROUPS = 20,
  ECLIPSE_DEAD = 1500,
  ECLIPSE_DEAD_GROUPS = 250,
  ECLIPSE_ALL = ECLIPSE_HONEST + ECLIPSE_HOSTILE + ECLIPSE_DEAD,
  ECLIPSE_ANSWER = 250,
  ECLIPSE_HOSTILE_INBOUND = 30, /* Beside ten honest ones. */
  ECLIPSE_INBOUND = 40,
};

#define ECLIPSE_S UINT64_C(1000000000)
#define ECLIPSE_DAY (24 * 3600 * ECLIPSE_S)
#define ECLIPSE_AFTER (600 * ECLIPSE_S)
#define ECLIPSE_STAY (8 * 3600 * ECLIPSE_S) /* An honest peer on average. */

/* Addresses are numbers: first honest ones, then hostile, then dead. */
static inline bool eclipse_is_honest(unsigned a) { return a < ECLIPSE_HONEST; }

static inline bool eclipse_is_dead(unsigned a) {
  return a >= ECLIPSE_HONEST + ECLIPSE_HOSTILE;
}

static inline unsigned eclipse_draw_honest(sim_rng *r) {
  return (unsigned)sim_below(r, ECLIPSE_HONEST);
}

static inline unsigned eclipse_draw_hostile(sim_rng *r) {
  return ECLIPSE_HONEST + (unsigned)sim_below(r, ECLIPSE_HOSTILE);
}

/* An address of an honest node's answer, whose book the attacker has reached
   too. */
static inline unsigned eclipse_draw_gossip(sim_rng *r) {
  uint64_t kind = sim_below(r, 10);

  return kind < 2   ? eclipse_draw_honest(r)
         : kind < 6 ? ECLIPSE_HONEST + ECLIPSE_HOSTILE +
                        (unsigned)sim_below(r, ECLIPSE_DEAD)
                    : eclipse_draw_hostile(r);
}

/* An address of a seed's answer, which has no dead ones. */
static inline unsigned eclipse_draw_seeded(sim_rng *r) {
  return sim_below(r, 460) < ECLIPSE_HONEST ? eclipse_draw_honest(r)
                                            : eclipse_draw_hostile(r);
}

/* The two numbers of its /16. */
static inline void eclipse_group(unsigned a, unsigned *first,
                                 unsigned *second) {
  if (eclipse_is_honest(a)) {
    *first = 5;
    *second = a % ECLIPSE_HONEST_GROUPS;
  } else if (!eclipse_is_dead(a)) {
    *first = 7;
    *second = (a - ECLIPSE_HONEST) % ECLIPSE_HOSTILE_GROUPS;
  } else {
    *first = 8;
    *second = (a - ECLIPSE_HONEST - ECLIPSE_HOSTILE) % ECLIPSE_DEAD_GROUPS;
  }
}

/* When an honest peer that is up at |now_ns| leaves. */
static inline uint64_t eclipse_leaves(sim_rng *r, uint64_t now_ns) {
  return now_ns + sim_between(r, 60 * ECLIPSE_S, 2 * ECLIPSE_STAY);
}

/* Outbound peers at the end, and how many of them are hostile. */
typedef struct eclipse_end {
  unsigned outbound, hostile;
} eclipse_end;

eclipse_end eclipse_run(uint64_t seed);
eclipse_end eclipse_run_go(uint64_t seed);

#endif
