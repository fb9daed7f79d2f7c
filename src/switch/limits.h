/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__LIMITS_H
#define CMT__LIMITS_H

/* The limits of a switch: each refusal has a reason, CMT_ELIMIT with a text
   that names the limit, and a counter of the status.  Only loop 0 calls these,
   but for what cmt_switch_memory_max() and the status need. */

#include "state.h"

/* Starts what the connections share; the loop exists. */
void cmt__limits_start(cmt_switch *s);

/* Counts that the handshake with |from| gives way to a newcomer, and fills in
   the reason. */
void cmt__limits_displaced(cmt_switch *s, const cmt__remote *from,
                           cmt__displaced by, cmt_why *why);
/* For one more attempt to dial. */
CMT_NODISCARD cmt_err cmt__limits_dial(cmt_switch *s, const cmt_dial *d,
                                       cmt_why *why);
/* Where a new peer has its place. */
typedef struct cmt__admitted {
  cmt__peer_place place;
  bool replaces; /* Another peer has to go for it; cmt__limits_replace(). */
} cmt__admitted;
/* For one more peer, whose handshake is done.  |in|->place: by whom it was
   dialed. */
CMT_NODISCARD cmt_err cmt__limits_admit(cmt_switch *s, const cmt_node_id *id,
                                        const cmt__remote *from,
                                        cmt__admitted *in, cmt_why *why);
/* Chooses the peer |*victim| that goes for an inbound newcomer that found no
   place free. */
CMT_NODISCARD cmt_err cmt__limits_replace(cmt_switch *s, cmt_peer **victim,
                                          cmt_why *why);
/* For one more inbound peer of its address, which has a place among all. */
CMT_NODISCARD cmt_err cmt__limits_address(cmt_switch *s,
                                          const cmt__remote *from,
                                          cmt_why *why);

/* Most peers over the caps, as of now: those that pass every cap, or did when
   they came, and one that is being evicted.  On any thread, as the next. */
size_t cmt__limits_extra(cmt_switch *s);
/* Most connections at one time: the |peers|, for each of them one on standby,
   the inbound handshakes, one that was just accepted, and those that linger.
   Not among them are those of dials: an attempt for each, and an inbound
   handshake in its reserve. */
size_t cmt__limits_connections(const cmt_switch *s, size_t peers);

/* Fills in what the limits count now. */
void cmt__limits_status(cmt_switch *s, cmt_switch_status *out);

#endif
