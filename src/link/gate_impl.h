/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__GATE_IMPL_H
#define CMT__GATE_IMPL_H

/* A gate from the inside, for the files that make it up: gate.c has sends and
   what the loop does with them, gate_control.c stops, pauses and pings,
   gate_pool.c what it takes of the memory that all peers share. */

#include "gate.h"

static inline void cmt__gate_lock(cmt__gate *g) { cmt__lock(&g->lock); }

static inline void cmt__gate_unlock(cmt__gate *g) { cmt__unlock(&g->lock); }

/* Under the lock: makes sure that the loop looks again. */
void cmt__gate_ring(cmt__gate *g);
/* Under the lock: ends every send that waits with CMT_ECLOSED. */
void cmt__gate_fail_waits(cmt__gate *g);
/* Under the lock: lets those in for which there is room.  True: there were
   any. */
bool cmt__gate_admit(cmt__gate *g);

/* ---- gate_pool.c ---- */

/* Under the lock: whether |len| more bytes take something of the pool. */
bool cmt__gate_needs_pool(const cmt__gate *g, size_t len);
/* Under the lock: whether the pool, if nobody else had anything of it, has room
   for that. */
bool cmt__gate_pool_has(const cmt__gate *g, size_t len);
/* Under the lock: takes of the pool what |len| more bytes need.  False: there
   is not so much. */
CMT_NODISCARD bool cmt__gate_take_room(cmt__gate *g, size_t len);
/* Under the lock: gives that back; they did not come, or are gone.  True: it
   was something. */
bool cmt__gate_drop_room(cmt__gate *g, size_t len);
/* Under the lock: |len| bytes are gone.  True: somebody may wait for them, and
   cmt__send_pool_wake() is to follow without the lock. */
CMT_NODISCARD bool cmt__gate_give_room(cmt__gate *g, size_t len);
/* Bytes of |waits|. */
size_t cmt__gate_waits_size(const cmt__gate *g);
/* The loop, without the lock: a look found that a send of |lacks| bytes waits
   for the pool; 0: none does. */
void cmt__gate_pool_look(cmt__gate *g, size_t lacks);

#endif
