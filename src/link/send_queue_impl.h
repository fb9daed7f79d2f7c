/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__SEND_QUEUE_IMPL_H
#define CMT__SEND_QUEUE_IMPL_H

/* A send queue from the inside, for the files that make it up: send_queue.c has
   sends and what the loop does with them, send_queue_control.c stops, pauses
   and pings, send_queue_pool.c what it takes of the memory that all peers
   share. */

#include "send_queue.h"

static inline void cmt__send_queue_lock(cmt__send_queue *g) {
  cmt__lock(&g->lock);
}

static inline void cmt__send_queue_unlock(cmt__send_queue *g) {
  cmt__unlock(&g->lock);
}

/* Under the lock: makes sure that the loop looks again. */
void cmt__send_queue_wake(cmt__send_queue *g);
/* Under the lock: ends every send that waits with CMT_ECLOSED. */
void cmt__send_queue_fail_waits(cmt__send_queue *g);
/* Under the lock: lets those in for which there is room.  True: there were
   any. */
bool cmt__send_queue_admit(cmt__send_queue *g);

/* ---- send_queue_pool.c ---- */

/* Under the lock: whether |len| more bytes take something of the pool. */
bool cmt__send_queue_needs_pool(const cmt__send_queue *g, size_t len);
/* Under the lock: whether the pool, if nobody else had anything of it, has room
   for that. */
bool cmt__send_queue_pool_has(const cmt__send_queue *g, size_t len);
/* Under the lock: takes of the pool what |len| more bytes need.  False: there
   is not so much. */
CMT_NODISCARD bool cmt__send_queue_take_room(cmt__send_queue *g, size_t len);
/* Under the lock: gives that back; they did not come, or are gone.  True: it
   was something. */
bool cmt__send_queue_drop_room(cmt__send_queue *g, size_t len);
/* Under the lock: |len| bytes are gone.  True: somebody may wait for them, and
   cmt__send_pool_wake() is to follow without the lock. */
CMT_NODISCARD bool cmt__send_queue_give_room(cmt__send_queue *g, size_t len);
/* Bytes of |waits|. */
size_t cmt__send_queue_waits_size(const cmt__send_queue *g);
/* The loop, without the lock: a look found that a send of |lacks| bytes waits
   for the pool; 0: none does. */
void cmt__send_queue_pool_look(cmt__send_queue *g, size_t lacks);

#endif
