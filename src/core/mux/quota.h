/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__QUOTA_H
#define CMT__QUOTA_H

/* What the connections of a switch share: two rate limits, and the memory for
   messages under reassembly (quota.c).  The atomic numbers may be read by any
   thread.

   Those of one thread share it without any lock.  With more |threads| the
   numbers are changed by locked operations, and the rates, if there are any,
   under the guard, which is "the lock" below. */

#include "base/guard.h"
#include "base/rate.h"

#include <stdatomic.h>

/* What one connection holds of that memory.  Zeroed at first but for the
   functions. */
typedef struct cmt__holder {
  struct cmt__holder *next,
    *prev;              /* The list of all that are above their floor. */
  size_t reserved;      /* Bytes; changed by the owner alone. */
  size_t above;         /* How many of them lie above the floor. */
  atomic_bool gave_way; /* Its memory went to others: the owner is to end. */
  uint64_t now_ns;      /* The owner's instant. */
  /* When it last went on by a good part of what it holds, and the bytes that
     came since. */
  uint64_t moved_ns;
  size_t came;
  bool unread;         /* By our own choice, so that nothing can come, */
  uint64_t stopped_ns; /* and since when. */
  void *owner;
  /* Frees all that |owner| holds.  Under the lock, from any thread. */
  void (*drop)(void *owner);
  /* Notifies the owner that others made it give way.  Under the lock, from any
     thread, once; may be NULL. */
  void (*on_gave_way)(void *arg);
  void *arg;
} cmt__holder;

typedef struct cmt__quota {
  cmt__rate send, recv;
  cmt__rate urgent; /* What goes past |send|; without a limit if that is. */
  size_t floor;     /* Bytes under reassembly that each may reserve; */
  size_t pool_max;  /* and what lies above the floors, of all together. */
  size_t pool_used; /* Under the lock. */
  cmt__holder *first,
    *last;                 /* Connections above their floor, under the lock. */
  _Atomic size_t reserved; /* Capacity under reassembly, floors and pool. */
  /* How often a limit held messages back, and how often it stopped reading;
     those of a peer and of a channel are counted here too. */
  _Atomic uint64_t send_waits, recv_pauses;
  unsigned threads; /* How many share it; more than one need |guard|. */
  cmt__guard guard;
} cmt__quota;

static inline void cmt__quota_init(cmt__quota *b, size_t floor, size_t pool) {
  memset(b, 0, sizeof *b);
  b->floor = floor;
  b->pool_max = pool;
  b->threads = 1;
}

/* What urgent messages may take past a send limit: the others keep half. */
static inline uint64_t cmt__urgent_rate(uint64_t send_rate) {
  return cmt__max64(send_rate / 2, 1);
}

/* Fills the limits; 0: none. */
static inline void cmt__quota_limit(cmt__quota *b, uint64_t send_rate,
                                    uint64_t recv_rate, uint64_t now_ns) {
  cmt__rate_init_bytes(&b->send, send_rate, now_ns);
  cmt__rate_init_bytes(&b->recv, recv_rate, now_ns);
  if (send_rate > 0) {
    uint64_t urgent_rate = cmt__urgent_rate(send_rate);

    cmt__rate_init(&b->urgent, urgent_rate, urgent_rate / 4, now_ns);
  }
}

static inline void cmt__quota_lock(cmt__quota *b) {
  if (b->threads > 1) {
    cmt__guard_lock(&b->guard);
  }
}

static inline void cmt__quota_unlock(cmt__quota *b) {
  if (b->threads > 1) {
    cmt__guard_unlock(&b->guard);
  }
}

/* ---- memory ---- */

/* Takes |most| bytes for |h|, or less when what is left of the pool is short:
   at most a quarter of it, unless |least| needs more.  False: |h| gave way,
   since nobody holds more than it. */
CMT_NODISCARD bool cmt__quota_take(cmt__quota *b, cmt__holder *h, size_t least,
                                   size_t most, size_t *taken);
/* The owner, between cmt__quota_enter() and cmt__quota_leave(): |len| bytes
   came. */
void cmt__holder_came(cmt__holder *h, size_t len);
/* The owner does not read by its own choice, or reads again. */
void cmt__holder_unread(cmt__quota *b, cmt__holder *h, bool on);
/* Gives |len| bytes back, or when |h| ends all that it holds. */
void cmt__quota_give(cmt__quota *b, cmt__holder *h, size_t len);

static inline bool cmt__holder_gave_way(const cmt__holder *h) {
  return atomic_load_explicit(&h->gave_way, memory_order_acquire);
}

/* Called around all that the owner of |h| does with what it holds.  |b| may be
   NULL. Returns the argument for cmt__quota_leave(). */
static inline bool cmt__quota_enter(cmt__quota *b, const cmt__holder *h) {
  bool locks = b != NULL && b->threads > 1 && h->reserved > b->floor;

  if (locks) {
    cmt__guard_lock(&b->guard);
  }
  return locks;
}

static inline void cmt__quota_leave(cmt__quota *b, bool locks) {
  if (locks) {
    cmt__guard_unlock(&b->guard);
  }
}

/* |more| may be a negative number's complement. */
static inline void cmt__quota_add(const cmt__quota *b, _Atomic size_t *number,
                                  size_t more) {
  if (b->threads > 1) {
    atomic_fetch_add_explicit(number, more, memory_order_relaxed);
  } else {
    size_t before = atomic_load_explicit(number, memory_order_relaxed);

    atomic_store_explicit(number, before + more, memory_order_relaxed);
  }
}

/* ---- counters and rates ---- */

static inline void cmt__quota_count(const cmt__quota *b,
                                    _Atomic uint64_t *counter) {
  uint64_t count;

  if (b->threads > 1) {
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
    return;
  }
  count = atomic_load_explicit(counter, memory_order_relaxed);
  atomic_store_explicit(counter, count + 1, memory_order_relaxed);
}

/* cmt__rate_available() of |r|, one of the two.  Until one who shares is
   charged, the others may ask too: each gets its part of what there is. */
static inline uint64_t cmt__quota_available(cmt__quota *b, cmt__rate *r,
                                            uint64_t now_ns) {
  uint64_t left;

  if (r->per_s == 0) {
    return UINT64_MAX;
  }
  cmt__quota_lock(b);
  left = cmt__rate_available(r, now_ns) / b->threads;
  cmt__quota_unlock(b);
  return cmt__max64(left, r->quantum);
}

/* Charges |len| bytes to |r|, and returns when the turn of who sent or received
   them comes again.  What goes while others have theirs costs no place in the
   queue, only its own time. */
static inline uint64_t cmt__quota_charge(cmt__quota *b, cmt__rate *r,
                                         size_t len, uint64_t turn_ns,
                                         uint64_t now_ns) {
  uint64_t at_ns;

  if (r->per_s == 0) {
    return now_ns < turn_ns ? turn_ns : 0;
  }
  cmt__quota_lock(b);
  cmt__rate_charge(r, len, now_ns);
  at_ns = now_ns < turn_ns ? cmt__after(turn_ns, cmt__rate_span_ns(r, len))
                           : cmt__rate_repaid_ns(r);
  cmt__quota_unlock(b);
  return at_ns;
}

/* When urgent messages may go past |send|, and what they took of it. */
static inline uint64_t cmt__quota_urgent_ns(cmt__quota *b) {
  uint64_t open_ns;

  if (b->urgent.per_s == 0) {
    return 0;
  }
  cmt__quota_lock(b);
  open_ns = b->urgent.open_ns;
  cmt__quota_unlock(b);
  return open_ns;
}

static inline void cmt__quota_urgent_charge(cmt__quota *b, size_t len,
                                            uint64_t now_ns) {
  if (b->urgent.per_s > 0) {
    cmt__quota_lock(b);
    cmt__rate_charge(&b->urgent, len, now_ns);
    cmt__quota_unlock(b);
  }
}

#endif
