/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__BUDGET_H
#define CMT__BUDGET_H

/* What the connections of one loop share: two rate limits, and the memory for
   messages under reassembly.  Its thread changes it; the atomic numbers may be
   read by any. */

#include "rate.h"

#include <stdatomic.h>

typedef struct cmt__budget {
  cmt__rate send, recv;
  size_t held_max;
  _Atomic size_t held; /* Capacity under reassembly. */
  /* How often a limit held messages back, and how often it stopped reading;
     those of a peer and of a channel are counted here too. */
  _Atomic uint64_t send_waits, recv_pauses;
} cmt__budget;

static inline void cmt__budget_init(cmt__budget *b, size_t held_max) {
  memset(b, 0, sizeof *b);
  b->held_max = held_max;
}

/* What may still be held. */
static inline size_t cmt__budget_room(const cmt__budget *b) {
  size_t held = atomic_load_explicit(&b->held, memory_order_relaxed);

  return held < b->held_max ? b->held_max - held : 0;
}

/* Only one thread writes, so that no locked operation is needed. */
static inline void cmt__budget_hold(cmt__budget *b, size_t more, size_t less) {
  size_t held = atomic_load_explicit(&b->held, memory_order_relaxed);

  atomic_store_explicit(&b->held, held + more - less, memory_order_relaxed);
}

static inline void cmt__budget_count(_Atomic uint64_t *counter) {
  uint64_t count = atomic_load_explicit(counter, memory_order_relaxed);

  atomic_store_explicit(counter, count + 1, memory_order_relaxed);
}

#endif
