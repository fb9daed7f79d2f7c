/* SPDX-License-Identifier: Apache-2.0 */

/* What is asked of a link through its send queue: to stop, not to read, to
   ping.  Any thread asks, under the lock; |control| tells the loop to look, so
   that an iteration without a wish costs one look at an atomic. */

#include "send_queue_impl.h"

/* The first stop says the reason; a later one can only hurry it. */
void cmt__send_queue_stop_with(cmt__send_queue *g, cmt_err reason,
                               uint64_t flush_ns) {
  cmt__send_queue_lock(g);
  if (g->state == CMT__SEND_QUEUE_OPEN) {
    g->state = CMT__SEND_QUEUE_STOPPING;
    g->stop = (cmt__send_queue_stop){
      .wanted = true, .reason = reason, .flush_ns = flush_ns};
    cmt__send_queue_fail_waits(g);
  } else if (g->state == CMT__SEND_QUEUE_STOPPING) {
    g->stop.flush_ns =
      g->stop.wanted ? cmt__min64(g->stop.flush_ns, flush_ns) : flush_ns;
    g->stop.wanted = true;
  }
  atomic_store(&g->control, true);
  cmt__send_queue_wake(g);
  cmt__send_queue_unlock(g);
}

static void queue_pause_pool(cmt__send_queue *g, unsigned *count) {
  cmt__send_queue_lock(g);
  if ((*count)++ == 0) {
    atomic_store(&g->control, true);
    cmt__send_queue_wake(g);
  }
  cmt__send_queue_unlock(g);
}

/* The hook for a mistake is called without the lock. */
static void queue_resume_pool(cmt__send_queue *g, unsigned *count,
                              const char *too_many) {
  bool suspended;

  cmt__send_queue_lock(g);
  suspended = *count > 0;
  if (suspended && --*count == 0) {
    atomic_store(&g->control, true);
    cmt__send_queue_wake(g);
  }
  cmt__send_queue_unlock(g);
  CMT_REQUIRE(g->env, suspended, too_many);
}

void cmt__send_queue_pause(cmt__send_queue *g) {
  queue_pause_pool(g, &g->pauses);
}

void cmt__send_queue_resume(cmt__send_queue *g) {
  queue_resume_pool(g, &g->pauses,
                    "cmt_peer_resume: one call more than of cmt_peer_pause");
}

void cmt__send_queue_block(cmt__send_queue *g) {
  queue_pause_pool(g, &g->blocks);
}

void cmt__send_queue_unblock(cmt__send_queue *g) {
  queue_resume_pool(g, &g->blocks, "one unblock too many");
}

void cmt__send_queue_ping(cmt__send_queue *g) {
  cmt__send_queue_lock(g);
  g->ping = true;
  atomic_store(&g->control, true);
  cmt__send_queue_wake(g);
  cmt__send_queue_unlock(g);
}

void cmt__send_queue_look(cmt__send_queue *g) {
  cmt__send_queue_lock(g);
  cmt__send_queue_wake(g);
  cmt__send_queue_unlock(g);
}

bool cmt__send_queue_take_ping(cmt__send_queue *g) {
  bool ping;

  cmt__send_queue_lock(g);
  ping = g->ping;
  g->ping = false;
  cmt__send_queue_unlock(g);
  return ping;
}

cmt__send_queue_stop cmt__send_queue_take_stop(cmt__send_queue *g) {
  cmt__send_queue_stop stop;

  cmt__send_queue_lock(g);
  stop = g->stop;
  g->stop.wanted = false;
  cmt__send_queue_unlock(g);
  return stop;
}

size_t cmt__send_queue_queued(cmt__send_queue *g) {
  size_t bytes;

  cmt__send_queue_lock(g);
  bytes = g->bytes;
  cmt__send_queue_unlock(g);
  return bytes;
}

bool cmt__send_queue_is_paused(cmt__send_queue *g, bool *full) {
  bool paused;

  cmt__send_queue_lock(g);
  *full = g->blocks > 0;
  paused = *full || g->pauses > 0;
  cmt__send_queue_unlock(g);
  return paused;
}
