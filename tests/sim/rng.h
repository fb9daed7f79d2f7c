/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_SIM_RNG_H
#define CMT_SIM_RNG_H

/* The one source of chance: SplitMix64.  Parts that draw independently of each
   other have a generator each, so that a change in one leaves the others as
   they were. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sim_rng {
  uint64_t state;
} sim_rng;

static inline uint64_t sim_mix(uint64_t x) {
  x += UINT64_C(0x9e3779b97f4a7c15);
  x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
  return x ^ x >> 31;
}

static inline uint64_t sim_draw(sim_rng *r) {
  uint64_t x = sim_mix(r->state);

  r->state += UINT64_C(0x9e3779b97f4a7c15);
  return x;
}

/* A generator of its own for the part |label|. */
static inline sim_rng sim_rng_of(uint64_t seed, uint64_t label) {
  return (sim_rng){.state = sim_mix(sim_mix(seed) ^ label)};
}

/* 0 to |count| - 1; 0 for 0.  The bias of the remainder does not matter. */
static inline uint64_t sim_below(sim_rng *r, uint64_t count) {
  return count > 0 ? sim_draw(r) % count : 0;
}

static inline uint64_t sim_between(sim_rng *r, uint64_t min, uint64_t max) {
  return min + sim_below(r, max - min + 1);
}

/* Any magnitude between the two is as likely as any other. */
static inline uint64_t sim_spread(sim_rng *r, uint64_t min, uint64_t max) {
  uint64_t top = max;

  while (top / 2 > min && sim_below(r, 3) != 0) {
    top /= 2;
  }
  return sim_between(r, min, top);
}

/* True in |odds| of 65,536 cases. */
static inline bool sim_chance(sim_rng *r, uint32_t odds) {
  return odds > 0 && sim_draw(r) % 65536 < odds;
}

static inline bool sim_one_in(sim_rng *r, uint64_t count) {
  return sim_below(r, count) == 0;
}

#endif
