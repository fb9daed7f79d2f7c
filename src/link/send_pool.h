/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__SEND_POOL_H
#define CMT__SEND_POOL_H

/* What messages that wait to be sent to all peers of a switch take above the
   floors of the peers.  A take and a give are one atomic operation each; only
   those who wait for others stand in a list, which has a lock. */

#include "base/base.h"
#include "sys/lock.h"

#include <stdatomic.h>

/* A send queue that waits for what others have.  Zeroed at first; all of it is
   under the lock of the pool. */
typedef struct cmt__pool_wait {
  struct cmt__pool_wait *next, *prev;
  bool listed;
  size_t above, need; /* What it has above its floor, and what it lacks. */
  /* It takes what it can, and sets |above| and |need| as they are then; 0: it
     lacks nothing any more.  Under the lock, from any thread. */
  void (*look)(void *arg, size_t *above, size_t *need);
  void *arg;
} cmt__pool_wait;

typedef struct cmt__send_pool {
  size_t floor, max; /* What is sure for each, and what all share above that. */
  _Atomic size_t used;
  _Atomic unsigned waiting; /* Length of the list. */
  /* The |arg| of the first in the list that has nothing above its floor: what
     comes back is for it.  NULL: there is none. */
  _Atomic(void *) next_up;
  pthread_mutex_t lock;
  cmt__pool_wait *first, *last;
} cmt__send_pool;

/* |lock| is the owner's to make and destroy. */
static inline void cmt__send_pool_init(cmt__send_pool *p, size_t floor,
                                       size_t max) {
  p->floor = floor;
  p->max = max;
}

/* What of |bytes| lies above the floor; |p| may be NULL. */
static inline size_t cmt__send_pool_above(const cmt__send_pool *p,
                                          size_t bytes) {
  return p != NULL && bytes > p->floor ? bytes - p->floor : 0;
}

/* Takes |more| for |who|, which has |above|.  It may have as much as is left
   for all others, so that who has most is refused first; one that has nothing,
   as much as there is. */
CMT_NODISCARD bool cmt__send_pool_take(cmt__send_pool *p, const void *who,
                                       size_t above, size_t more);
/* Gives |less| back; cmt__send_pool_wake() is to follow when the caller holds
   no lock. */
void cmt__send_pool_give(cmt__send_pool *p, size_t less);
/* Lets those take it that wait for it. */
void cmt__send_pool_wake(cmt__send_pool *p);

/* Stands in the list, and looks after that: what came back before woke nobody.
   False: it lacks nothing any more, and does not stand there. */
bool cmt__send_pool_wait(cmt__send_pool *p, cmt__pool_wait *w);
void cmt__send_pool_leave(cmt__send_pool *p, cmt__pool_wait *w);

#endif
