/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__SHARES_H
#define CMT__SHARES_H

/* What the peers of a switch share of its memory: how much there is in all, and
   how much of it each peer is sure of. */

#include "base/base.h"

#include <cometp2p/switch.h>

enum {
  /* A floor is not smaller, unless a peer cannot have so much: three packets of
     the longest that CometBFT sends. */
  CMT__FLOOR_MIN = 4096,
};

/* A floor for each possible peer, and a pool of what lies above them, in which
   one largest message has room. */
typedef struct cmt__floor {
  size_t total, floor, pool;
} cmt__floor;

typedef struct cmt__floors {
  cmt__floor recv, send; /* Messages under reassembly, and those queued. */
} cmt__floors;

/* By the options |o|, whose totals of 0 are filled in, and the |channels| with
   their defaults.  CMT_EINVAL: a total is too small for them. */
CMT_NODISCARD cmt_err cmt__floors_compute(cmt_switch_options *o,
                                          const cmt_channel *channels,
                                          size_t count, cmt__floors *out,
                                          cmt_why *why);

/* Peers at one time. */
static inline size_t cmt__floors_peers(const cmt_switch_options *o) {
  return (size_t)o->inbound_peers_max + o->outbound_peers_max;
}

#endif
