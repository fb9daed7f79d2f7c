/* SPDX-License-Identifier: Apache-2.0 */

/* What is asked of a link through its gate: to stop, not to read, to ping.  Any
   thread asks, under the lock; |control| tells the loop to look, so that a turn
   without a wish costs one look at an atomic. */

#include "gate_impl.h"

/* The first stop says the reason; a later one can only hurry it. */
void cmt__gate_stop_with(cmt__gate *g, cmt_err reason, uint64_t flush_ns) {
  cmt__gate_lock(g);
  if (g->state == CMT__GATE_OPEN) {
    g->state = CMT__GATE_STOPPING;
    g->stop =
      (cmt__gate_stop){.wanted = true, .reason = reason, .flush_ns = flush_ns};
    cmt__gate_fail_waits(g);
  } else if (g->state == CMT__GATE_STOPPING) {
    g->stop.flush_ns =
      g->stop.wanted ? cmt__min64(g->stop.flush_ns, flush_ns) : flush_ns;
    g->stop.wanted = true;
  }
  atomic_store(&g->control, true);
  cmt__gate_ring(g);
  cmt__gate_unlock(g);
}

static void gate_hold(cmt__gate *g, unsigned *count) {
  cmt__gate_lock(g);
  if ((*count)++ == 0) {
    atomic_store(&g->control, true);
    cmt__gate_ring(g);
  }
  cmt__gate_unlock(g);
}

/* The hook for a mistake is called without the lock. */
static void gate_unhold(cmt__gate *g, unsigned *count, const char *too_many) {
  bool held;

  cmt__gate_lock(g);
  held = *count > 0;
  if (held && --*count == 0) {
    atomic_store(&g->control, true);
    cmt__gate_ring(g);
  }
  cmt__gate_unlock(g);
  CMT_REQUIRE(g->env, held, too_many);
}

void cmt__gate_pause(cmt__gate *g) { gate_hold(g, &g->pauses); }

void cmt__gate_resume(cmt__gate *g) {
  gate_unhold(g, &g->pauses,
              "cmt_peer_resume: one call more than of cmt_peer_pause");
}

void cmt__gate_block(cmt__gate *g) { gate_hold(g, &g->blocks); }

void cmt__gate_unblock(cmt__gate *g) {
  gate_unhold(g, &g->blocks, "one unblock too many");
}

void cmt__gate_ping(cmt__gate *g) {
  cmt__gate_lock(g);
  g->ping = true;
  atomic_store(&g->control, true);
  cmt__gate_ring(g);
  cmt__gate_unlock(g);
}

void cmt__gate_look(cmt__gate *g) {
  cmt__gate_lock(g);
  cmt__gate_ring(g);
  cmt__gate_unlock(g);
}

bool cmt__gate_take_ping(cmt__gate *g) {
  bool ping;

  cmt__gate_lock(g);
  ping = g->ping;
  g->ping = false;
  cmt__gate_unlock(g);
  return ping;
}

cmt__gate_stop cmt__gate_take_stop(cmt__gate *g) {
  cmt__gate_stop stop;

  cmt__gate_lock(g);
  stop = g->stop;
  g->stop.wanted = false;
  cmt__gate_unlock(g);
  return stop;
}

size_t cmt__gate_queued(cmt__gate *g) {
  size_t bytes;

  cmt__gate_lock(g);
  bytes = g->bytes;
  cmt__gate_unlock(g);
  return bytes;
}

bool cmt__gate_is_paused(cmt__gate *g, bool *full) {
  bool paused;

  cmt__gate_lock(g);
  *full = g->blocks > 0;
  paused = *full || g->pauses > 0;
  cmt__gate_unlock(g);
  return paused;
}
