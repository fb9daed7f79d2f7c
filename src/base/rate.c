/* SPDX-License-Identifier: Apache-2.0 */
/* Token buckets.  |level| and |part| together are the exact content at |at_ns|.
   A rate is at most 10^10, so its product with the nanoseconds of a second,
   with |part| added, fits in 64 bits; whole seconds are counted apart. */

#include "rate.h"

enum { QUANTUM_MAX = 16384 };

#define SECOND_NS UINT64_C(1000000000)
#define LEVEL_MIN (INT64_MIN / 4) /* A debt of longer than a century. */

void cmt__rate_init(cmt__rate *r, uint64_t per_s, uint64_t burst,
                    uint64_t now_ns) {
  burst = cmt__max64(1, cmt__min64(burst, CMT_RATE_MAX));
  *r = (cmt__rate){
    .per_s = cmt__min64(per_s, CMT_RATE_MAX),
    .burst = burst,
    .level = (int64_t)burst,
    .quantum = 1,
    .at_ns = now_ns,
  };
}

void cmt__rate_init_bytes(cmt__rate *r, uint64_t per_s, uint64_t now_ns) {
  uint64_t quantum = cmt__min64(per_s / 64, QUANTUM_MAX);

  cmt__rate_init(r, per_s, per_s / 10, now_ns);
  r->quantum = quantum > 0 ? (uint32_t)quantum : 1;
}

static void rate_fill(cmt__rate *r) {
  r->level = (int64_t)r->burst;
  r->part = 0;
}

static void rate_advance(cmt__rate *r, uint64_t now_ns) {
  uint64_t passed, seconds, room, gained, billionths;

  if (now_ns <= r->at_ns) {
    return;
  }
  passed = now_ns - r->at_ns;
  seconds = passed / SECOND_NS;
  room = r->burst - (uint64_t)r->level; /* Modulo 2^64, so right for a debt. */
  r->at_ns = now_ns;
  if (seconds > room / r->per_s) {
    rate_fill(r);
    return;
  }
  billionths = r->per_s * (passed % SECOND_NS) + r->part;
  gained = seconds * r->per_s + billionths / SECOND_NS;
  if (gained >= room) {
    rate_fill(r);
    return;
  }
  r->level += (int64_t)gained;
  r->part = (uint32_t)(billionths % SECOND_NS);
}

/* Nanoseconds until |units| more tokens accrue, rounded up; |part| billionths
   of the first have accrued already. */
static uint64_t span_ns(uint64_t per_s, uint64_t units, uint32_t part) {
  uint64_t seconds, rest;

  if (units == 0) {
    return 0;
  }
  seconds = (units - 1) / per_s;
  rest = units - seconds * per_s; /* 1 to |per_s|. */
  if (seconds > UINT64_MAX / SECOND_NS - 1) {
    return CMT_NEVER;
  }
  return seconds * SECOND_NS + (rest * SECOND_NS - part + per_s - 1) / per_s;
}

/* When it holds |units|, which is at most |burst|. */
static uint64_t rate_ready_ns(const cmt__rate *r, int64_t units) {
  return r->level >= units
           ? r->at_ns
           : cmt__after(r->at_ns,
                        span_ns(r->per_s, (uint64_t)units - (uint64_t)r->level,
                                r->part));
}

void cmt__rate_charge(cmt__rate *r, uint64_t units, uint64_t now_ns) {
  if (r == NULL || r->per_s == 0) {
    return;
  }
  rate_advance(r, now_ns);
  r->level -= (int64_t)cmt__min64(units, (uint64_t)(r->level - LEVEL_MIN));
  if (r->level <= 0 || !cmt__rate_is_open(r, r->at_ns)) {
    r->open_ns = rate_ready_ns(r, (int64_t)r->quantum);
  }
}

uint64_t cmt__rate_left(cmt__rate *r, uint64_t now_ns) {
  if (r == NULL || r->per_s == 0) {
    return UINT64_MAX;
  }
  rate_advance(r, now_ns);
  if (!cmt__rate_is_open(r, r->at_ns)) {
    return 0;
  }
  return (uint64_t)r->level;
}

uint64_t cmt__rate_available(cmt__rate *r, uint64_t now_ns) {
  if (r->per_s == 0) {
    return UINT64_MAX;
  }
  rate_advance(r, now_ns);
  return r->level > (int64_t)r->quantum ? (uint64_t)r->level : r->quantum;
}

uint64_t cmt__rate_repaid_ns(const cmt__rate *r) {
  return r->per_s == 0 ? 0 : rate_ready_ns(r, 0);
}

uint64_t cmt__rate_span_ns(const cmt__rate *r, uint64_t units) {
  return r->per_s == 0 ? 0 : span_ns(r->per_s, units, 0);
}
