/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__SEND_QUEUE_IMPL_H
#define CMT__SEND_QUEUE_IMPL_H

/* A send queue from the inside, for the files that make it up: send_queue.c has
   what is queued, what the loop does with it, and stops, pauses and pings;
   send_queue_wait.c the sends that wait; send_queue_post.c the posts;
   send_queue_pool.c its part of the memory that all peers share. */

#include "send_queue.h"

#include "core/mux/conn_group.h"

static inline void cmt__send_queue_lock(cmt__send_queue *g) {
  cmt__lock(&g->lock);
}

static inline void cmt__send_queue_unlock(cmt__send_queue *g) {
  cmt__unlock(&g->lock);
}

/* ---- send_queue_pool.c ---- */

/* Under the lock: whether |len| more bytes need some of the pool. */
bool cmt__send_queue_needs_pool(const cmt__send_queue *g, size_t len);
/* Under the lock: whether an otherwise unused pool would have room for that. */
bool cmt__send_queue_pool_has(const cmt__send_queue *g, size_t len);
/* Under the lock: reserves what |len| more bytes need of the pool.  False:
   there is not so much. */
CMT_NODISCARD bool cmt__send_queue_take_room(cmt__send_queue *g, size_t len);
/* Under the lock: releases that, when the bytes were not queued or are gone.
   True: the amount was not 0. */
bool cmt__send_queue_drop_room(cmt__send_queue *g, size_t len);
/* Under the lock: |len| bytes are gone.  True: another peer may wait for them,
   and the caller calls cmt__send_pool_wake() without the lock. */
CMT_NODISCARD bool cmt__send_queue_give_room(cmt__send_queue *g, size_t len);
/* Bytes of |waits|. */
size_t cmt__send_queue_waits_size(const cmt__send_queue *g);
/* Called by the loop, without the lock: a send of |lacks| bytes waits for the
   pool; 0: none does. */
void cmt__send_queue_pool_look(cmt__send_queue *g, size_t lacks);

/* ---- send_queue.c ---- */

/* Under the lock: makes sure that the loop attends to the queue again. */
void cmt__send_queue_wake(cmt__send_queue *g);
/* Whether |msg| may be sent there at all.  Called without the lock, which is
   acquired only to report that a closed peer is closed, whatever else is
   wrong. */
cmt_err cmt__send_queue_check(cmt__send_queue *g, size_t at, cmt_buf *msg);
/* Under the lock: queues |msg|, or returns why not. */
cmt_err cmt__send_queue_try(cmt__send_queue *g, size_t at, cmt_buf *msg);
/* Under the lock: consumes a credit and puts |msg| into the intake.  Its room
   in the pool was reserved before, and is released when memory is lacking. */
cmt_err cmt__send_queue_put(cmt__send_queue *g, size_t at, cmt_buf *msg);

/* True when one more message may be queued on the channel. */
static inline bool cmt__send_queue_has_room(const cmt__send_queue *g,
                                            size_t at) {
  return cmt__channel_has_room(&g->descs[at], g->queued[at]);
}

/* True when a send has its credit and fits, and lacks only the pool. */
static inline bool cmt__send_queue_lacks(const cmt__send_queue *g) {
  return g->lacks > 0;
}

/* The send that has waited longest for the channel; NULL: there is none. */
static inline cmt_send_req *cmt__send_queue_first(const cmt__send_queue *g,
                                                  size_t at) {
  return g->waits != NULL ? g->waits[at].first : NULL;
}

/* The threads that are asleep; there are |waits|. */
static inline cmt__send_queue_fifo *
cmt__send_queue_asleep(const cmt__send_queue *g) {
  return &g->waits[g->channel_count];
}

/* The thread that is woken next; NULL: none is asleep. */
static inline cmt_send_req *cmt__send_queue_sleeper(const cmt__send_queue *g) {
  return cmt__send_queue_first(g, g->channel_count);
}

/* True when |msg| fits.  A message over |bytes_max| is queued only alone, and
   so is one for which the pool is too small beside others. */
static inline bool cmt__send_queue_fits(const cmt__send_queue *g, size_t len) {
  return g->messages == 0 ||
         (g->bytes <= g->bytes_max && len <= g->bytes_max - g->bytes &&
          cmt__send_queue_pool_has(g, len));
}

/* ---- send_queue_wait.c ---- */

/* Under the lock: ends every send that waits with CMT_ECLOSED. */
void cmt__send_queue_fail_waits(cmt__send_queue *g);
/* Under the lock: queues the waiting sends for which there is room.  True:
   there were any.  Threads among them are asleep until they are woken. */
bool cmt__send_queue_admit(cmt__send_queue *g);
/* Under the lock: takes the first thread that is asleep, if half of its channel
   is free, or all of them.  The caller wakes them without the lock. */
CMT_NODISCARD cmt_send_req *cmt__send_queue_wake_next(cmt__send_queue *g,
                                                      uint64_t now_ns);
CMT_NODISCARD cmt_send_req *cmt__send_queue_wake_all(cmt__send_queue *g);
/* Wakes those that one of the two took. */
void cmt__send_queue_raise(cmt_send_req *req);
/* Under the lock: gives sends that wait their deadlines, and ends those that
   are due. */
void cmt__send_queue_expire(cmt__send_queue *g, uint64_t now_ns);

/* ---- send_queue_post.c ---- */

/* Runs the first |count| posts, without the lock. */
void cmt__send_queue_run_posts(cmt__send_queue *g, size_t count);

#endif
