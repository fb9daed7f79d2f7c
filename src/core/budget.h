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
  cmt__rate urgent; /* What goes past |send|; without a limit if that is. */
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

/* What urgent messages may take past a send limit: the others keep half. */
static inline uint64_t cmt__urgent_rate(uint64_t send_rate) {
  return cmt__max64(send_rate / 2, 1);
}

/* Fills the limits; 0: none. */
static inline void cmt__budget_limit(cmt__budget *b, uint64_t send_rate,
                                     uint64_t recv_rate, uint64_t now_ns) {
  cmt__rate_init_bytes(&b->send, send_rate, now_ns);
  cmt__rate_init_bytes(&b->recv, recv_rate, now_ns);
  if (send_rate > 0) {
    uint64_t urgent_rate = cmt__urgent_rate(send_rate);

    cmt__rate_init(&b->urgent, urgent_rate, urgent_rate / 4, now_ns);
  }
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
