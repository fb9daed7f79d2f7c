/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__BUDGET_H
#define CMT__BUDGET_H

/* What the connections of a switch share: two rate limits, and the memory for
   messages under reassembly.  The atomic numbers may be read by any thread.

   Those of one thread share it without any lock.  With more |threads| the
   numbers are changed by locked operations, and the rates, if there are any,
   under a lock that the owner brings. */

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
  unsigned threads; /* That share it; over 1 needs |lock| and |unlock|. */
  void (*lock)(void *arg);
  void (*unlock)(void *arg);
  void *lock_arg;
} cmt__budget;

static inline void cmt__budget_init(cmt__budget *b, size_t held_max) {
  memset(b, 0, sizeof *b);
  b->held_max = held_max;
  b->threads = 1;
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

/* Takes |most| bytes of memory, or what is left of them; false: that is not
   |least|. */
static inline bool cmt__budget_take(cmt__budget *b, size_t least, size_t most,
                                    size_t *taken) {
  size_t held = atomic_load_explicit(&b->held, memory_order_relaxed);

  do {
    *taken = cmt__min(most, held < b->held_max ? b->held_max - held : 0);
    if (*taken < least) {
      return false;
    }
    if (b->threads == 1) {
      atomic_store_explicit(&b->held, held + *taken, memory_order_relaxed);
      return true;
    }
  } while (!atomic_compare_exchange_weak_explicit(
    &b->held, &held, held + *taken, memory_order_relaxed,
    memory_order_relaxed));
  return true;
}

static inline void cmt__budget_give(cmt__budget *b, size_t len) {
  size_t held;

  if (b->threads > 1) {
    atomic_fetch_sub_explicit(&b->held, len, memory_order_relaxed);
    return;
  }
  held = atomic_load_explicit(&b->held, memory_order_relaxed);
  atomic_store_explicit(&b->held, held - len, memory_order_relaxed);
}

static inline void cmt__budget_count(const cmt__budget *b,
                                     _Atomic uint64_t *counter) {
  uint64_t count;

  if (b->threads > 1) {
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
    return;
  }
  count = atomic_load_explicit(counter, memory_order_relaxed);
  atomic_store_explicit(counter, count + 1, memory_order_relaxed);
}

static inline void cmt__budget_lock(cmt__budget *b) {
  if (b->threads > 1) {
    b->lock(b->lock_arg);
  }
}

static inline void cmt__budget_unlock(cmt__budget *b) {
  if (b->threads > 1) {
    b->unlock(b->lock_arg);
  }
}

/* cmt__rate_share() of |r|, one of the two.  Until one who shares is charged,
   the others may ask too: each gets its part of what there is. */
static inline uint64_t cmt__budget_share(cmt__budget *b, cmt__rate *r,
                                         uint64_t now_ns) {
  uint64_t left;

  if (r->per_s == 0) {
    return UINT64_MAX;
  }
  cmt__budget_lock(b);
  left = cmt__rate_share(r, now_ns) / b->threads;
  cmt__budget_unlock(b);
  return cmt__max64(left, r->quantum);
}

/* Charges |len| bytes to |r|, and returns when the turn of who sent or received
   them comes again.  What goes while others have theirs costs no place in the
   queue, only its own time. */
static inline uint64_t cmt__budget_charge(cmt__budget *b, cmt__rate *r,
                                          size_t len, uint64_t turn_ns,
                                          uint64_t now_ns) {
  uint64_t at_ns;

  if (r->per_s == 0) {
    return now_ns < turn_ns ? turn_ns : 0;
  }
  cmt__budget_lock(b);
  cmt__rate_charge(r, len, now_ns);
  at_ns = now_ns < turn_ns ? cmt__after(turn_ns, cmt__rate_span_ns(r, len))
                           : cmt__rate_repaid_ns(r);
  cmt__budget_unlock(b);
  return at_ns;
}

/* When urgent messages may go past |send|, and what they took of it. */
static inline uint64_t cmt__budget_urgent_ns(cmt__budget *b) {
  uint64_t open_ns;

  if (b->urgent.per_s == 0) {
    return 0;
  }
  cmt__budget_lock(b);
  open_ns = b->urgent.open_ns;
  cmt__budget_unlock(b);
  return open_ns;
}

static inline void cmt__budget_urgent_charge(cmt__budget *b, size_t len,
                                             uint64_t now_ns) {
  if (b->urgent.per_s > 0) {
    cmt__budget_lock(b);
    cmt__rate_charge(&b->urgent, len, now_ns);
    cmt__budget_unlock(b);
  }
}

#endif
