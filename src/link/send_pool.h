/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__SEND_POOL_H
#define CMT__SEND_POOL_H

/* The memory above the floors of the peers that messages of all peers of a
   switch use while they wait to be sent.  A reservation and a release are one
   atomic operation each; only waiters stand in a list, which has a lock. */

#include "base/base.h"
#include "sys/lock.h"

#include <stdatomic.h>

/* A send queue that waits for room in the pool.  Zeroed at first; the lock of
   the pool guards it. */
typedef struct cmt__pool_wait {
  struct cmt__pool_wait *next, *prev;
  bool listed;
  size_t above, need; /* What it has above its floor, and what it lacks. */
  /* Queues what fits, and updates |above| and |need|; 0: the queue lacks
     nothing any more.  Called under the lock, on any thread. */
  void (*look)(void *arg, size_t *above, size_t *need);
  void *arg;
} cmt__pool_wait;

typedef struct cmt__send_pool {
  size_t floor, max; /* The floor of each, and what all share above that. */
  _Atomic size_t used;
  _Atomic unsigned waiting; /* Length of the list. */
  /* The |arg| of the first in the list that has nothing above its floor:
     released memory is for it.  NULL: there is none. */
  _Atomic(void *) next_up;
  pthread_mutex_t lock;
  cmt__pool_wait *first, *last;
} cmt__send_pool;

/* The owner creates and destroys |lock|. */
static inline void cmt__send_pool_init(cmt__send_pool *p, size_t floor,
                                       size_t max) {
  p->floor = floor;
  p->max = max;
}

/* How much of |bytes| lies above the floor; |p| may be NULL. */
static inline size_t cmt__send_pool_above(const cmt__send_pool *p,
                                          size_t bytes) {
  return p != NULL && bytes > p->floor ? bytes - p->floor : 0;
}

/* Reserves |more| for |who|, which has |above|.  It may have as much as is left
   for all others, so that the largest is refused first; one that has nothing,
   as much as there is. */
CMT_NODISCARD bool cmt__send_pool_take(cmt__send_pool *p, const void *who,
                                       size_t above, size_t more);
/* Releases |less|; the caller then calls cmt__send_pool_wake() without any
   lock. */
void cmt__send_pool_give(cmt__send_pool *p, size_t less);
/* Serves the waiters. */
void cmt__send_pool_wake(cmt__send_pool *p);

/* Enters |w| into the list, and then serves it: an earlier release woke no
   waiter.  False: it lacks nothing any more, and is not in the list. */
bool cmt__send_pool_wait(cmt__send_pool *p, cmt__pool_wait *w);
void cmt__send_pool_leave(cmt__send_pool *p, cmt__pool_wait *w);

#endif
