/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__GATE_IMPL_H
#define CMT__GATE_IMPL_H

/* A gate from the inside, for the two files that make it up: gate.c has sends
   and what the loop does with them, gate_control.c stops, pauses and pings. */

#include "gate.h"

static inline void cmt__gate_lock(cmt__gate *g) { cmt__lock(&g->lock); }

static inline void cmt__gate_unlock(cmt__gate *g) { cmt__unlock(&g->lock); }

/* Under the lock: makes sure that the loop looks again. */
void cmt__gate_ring(cmt__gate *g);
/* Under the lock: ends every send that waits with CMT_ECLOSED. */
void cmt__gate_fail_waits(cmt__gate *g);

#endif
