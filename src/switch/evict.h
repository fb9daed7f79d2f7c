/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__EVICT_H
#define CMT__EVICT_H

/* Eviction: when the places of inbound peers are taken, a newcomer may replace
   a peer.  Only loop 0 uses it. */

#include "state.h"

/* The peer that a newcomer may replace now; NULL: there is none, or the rate
   does not allow it. */
cmt_peer *cmt__evict_find(cmt_switch *s);
/* Ends |p|, the result of cmt__evict_find(). */
void cmt__evict(cmt_switch *s, cmt_peer *p);
/* The peer |p| was removed from the list. */
void cmt__evict_gone(cmt_switch *s, const cmt_peer *p);

#endif
