/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__RATE_H
#define CMT__RATE_H

/* Token buckets with exact integer arithmetic, over instants that the caller
   passes: they do not drift, and no rate up to CMT_RATE_MAX overflows.

   A bucket is charged for what was let through, and may be charged for more
   than it holds: that is a debt, which time repays.  It closes when it is
   empty, and opens again when it contains |quantum|, so that each wake-up has
   enough to do.  What is let through while it is open, each thing being charged
   before the next goes, is in any window at most burst + rate x window + the
   size of one thing. */

#include "base.h"

#include <cometp2p/mconn.h>

typedef struct cmt__rate {
  uint64_t per_s;   /* Units per second, at most CMT_RATE_MAX; 0: no limit. */
  uint64_t burst;   /* What a full bucket holds. */
  int64_t level;    /* At |at_ns|; below 0: a debt. */
  uint32_t part;    /* Billionths of a unit besides. */
  uint32_t quantum; /* At most |burst|. */
  uint64_t at_ns;
  uint64_t open_ns; /* Open from then on, until it holds nothing. */
} cmt__rate;

/* In all functions NULL is a bucket without a limit, and an instant before that
   of an earlier call counts as that one. */

/* A full bucket at |now_ns|; more than CMT_RATE_MAX counts as that. */
void cmt__rate_init(cmt__rate *r, uint64_t per_s, uint64_t burst,
                    uint64_t now_ns);
/* One for bytes: a tenth of a second's worth, in pieces of 16 ms. */
void cmt__rate_init_bytes(cmt__rate *r, uint64_t per_s, uint64_t now_ns);

void cmt__rate_charge(cmt__rate *r, uint64_t units, uint64_t now_ns);

static inline uint64_t cmt__rate_open_ns(const cmt__rate *r) {
  return r != NULL ? r->open_ns : 0;
}

static inline bool cmt__rate_is_open(const cmt__rate *r, uint64_t now_ns) {
  return now_ns >= r->open_ns;
}

/* Units until it closes: 0 when it is closed, UINT64_MAX without a limit. */
uint64_t cmt__rate_left(cmt__rate *r, uint64_t now_ns);

/* For several users of one bucket.  Each may use this much at |now_ns|, however
   deep the debt is, and then waits until the debt that it left is repaid.  So
   they alternate in the order in which they came, and each adds at most this
   much to the debt. */
uint64_t cmt__rate_available(cmt__rate *r, uint64_t now_ns);
/* When the debt is repaid, as of the last charge. */
uint64_t cmt__rate_repaid_ns(const cmt__rate *r);

/* The time that |units| need at the rate, rounded up. */
uint64_t cmt__rate_span_ns(const cmt__rate *r, uint64_t units);

#endif
