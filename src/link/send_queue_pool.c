/* SPDX-License-Identifier: Apache-2.0 */

/* The part of a send queue in the pool that all peers share, and how it waits
   for room there.  Only the loop puts the send queue into the list of waiters,
   each time that it leaves a send for which the pool has no room.  The thread
   that makes room queues the sends, and a wake-up notifies the loop. */

#include "send_queue_impl.h"

static size_t pool_share(const cmt__send_queue *g, size_t more) {
  return cmt__send_pool_above(g->pool, g->bytes + more) -
         cmt__send_pool_above(g->pool, g->bytes);
}

bool cmt__send_queue_needs_pool(const cmt__send_queue *g, size_t len) {
  return pool_share(g, len) > 0;
}

bool cmt__send_queue_pool_has(const cmt__send_queue *g, size_t len) {
  return g->pool == NULL ||
         cmt__send_pool_above(g->pool, g->bytes + len) <= g->pool->max;
}

bool cmt__send_queue_take_room(cmt__send_queue *g, size_t len) {
  size_t more = pool_share(g, len);

  return more == 0 ||
         cmt__send_pool_take(g->pool, g,
                             cmt__send_pool_above(g->pool, g->bytes), more);
}

bool cmt__send_queue_drop_room(cmt__send_queue *g, size_t len) {
  size_t less = pool_share(g, len);

  if (less > 0) {
    cmt__send_pool_give(g->pool, less);
  }
  return less > 0;
}

bool cmt__send_queue_give_room(cmt__send_queue *g, size_t len) {
  CMT_ASSERT(g->env, cmt__locks_held > 0);
  g->bytes -= len;
  return cmt__send_queue_drop_room(g, len) &&
         atomic_load(&g->pool->waiting) > 0;
}

size_t cmt__send_queue_waits_size(const cmt__send_queue *g) {
  return (g->channel_count + 1) * sizeof *g->waits + sizeof(cmt__pool_wait);
}

/* It lies behind the FIFOs. */
static cmt__pool_wait *pool_wait(const cmt__send_queue *g) {
  return (cmt__pool_wait *)(void *)(cmt__send_queue_asleep(g) + 1);
}

/* Under the lock of the pool. */
static void on_look(void *arg, size_t *above, size_t *need) {
  cmt__send_queue *g = arg;

  cmt__send_queue_lock(g);
  if (cmt__send_queue_admit(g)) {
    cmt__send_queue_wake(g);
  }
  *above = cmt__send_pool_above(g->pool, g->bytes);
  *need = pool_share(g, g->lacks);
  cmt__send_queue_unlock(g);
}

void cmt__send_queue_pool_look(cmt__send_queue *g, size_t lacks) {
  if (lacks > 0) {
    cmt__pool_wait *w = pool_wait(g);

    if (!g->listed) { /* No other thread has a reference. */
      w->look = on_look;
      w->arg = g;
    }
    g->listed = cmt__send_pool_wait(g->pool, w);
  } else if (g->listed) {
    g->listed = false;
    cmt__send_pool_leave(g->pool, pool_wait(g));
  }
}

/* Other threads may be asking for |bytes|. */
void cmt__send_queue_forget(cmt__send_queue *g) {
  bool wakes;

  cmt__send_queue_pool_look(g, 0);
  cmt__send_queue_lock(g);
  wakes = cmt__send_queue_give_room(g, g->bytes);
  cmt__send_queue_unlock(g);
  if (wakes) {
    cmt__send_pool_wake(g->pool);
  }
}
