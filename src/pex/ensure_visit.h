/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__ENSURE_VISIT_H
#define CMT__ENSURE_VISIT_H

/* The visitors of a seed, and what they claim: for ensure.c.

   Nodes that begin together visit a seed that knows nobody yet.  A node of
   CometBFT that got no address comes back after 30 s, and two of them that dial
   each other at one time may both end both connections.  So as long as there is
   little to serve,

   - a visitor waits until the claims of all who came before it are felt, and is
     then served who came before it, not who came after it.  Who comes last
     waits for a handshake or two;
   - who has nobody before it waits for CMT__VISIT_HOLD_NS, and who is served
     to a later visitor waits until that one has dialed it;
   - who lets us in only when it has left, as a node of CometBFT with one
     connection an address, is felt then, and leaves with what there is to serve
     at once.  Nothing at all is no answer: it would come back at once;
   - who was served a moment ago gets no second answer, and its visit ends.
     Several releases of CometBFT come back at once as long as they know nobody
     else to dial, and ask another peer each time, which bans them for it;
   - nor do these ask a peer twice within 10 s: they ask one, visit us, and ask
     one again when we answer.  So who was here before waits for 11 s, if others
     can dial it meanwhile.

   No other visitor waits for longer than CMT__VISIT_MAX_NS.  All of it is for
   the first CMT__VISIT_FEW addresses; a seed that can serve more answers at
   once.
 */

#include "ensure.h"

#define CMT__VISIT_HOLD_NS CMT_SECONDS(1) /* For others who come. */
#define CMT__VISIT_MAX_NS CMT_SECONDS(3)

enum { CMT__VISIT_FEW = 32 }; /* Addresses below which visitors wait. */

/* A claim is to be felt; when there are too many it is forgotten. */
void cmt__visit_claim(cmt__ensure *e, const cmt__ensure_claim *c);
/* The next claim that is due, as a feeler. */
bool cmt__visit_choose(cmt__ensure *e, cmt__ensure_dial *d, cmt__pex_time t);
/* When the next one is due, at the latest |limit_ns|. */
uint64_t cmt__visit_next_ns(const cmt__ensure *e, uint64_t limit_ns);
/* A dial has ended.  True: it is made once more, and this one tells nothing. */
bool cmt__visit_felt(cmt__ensure *e, const cmt__ensure_dial *d,
                     const cmt__ensure_outcome *o, cmt__pex_time t);

/* An inbound peer is up. */
void cmt__visit_come(cmt__ensure *e, cmt__ensure_peer *p, const char *version,
                     cmt__pex_time t);
/* A request has come: whether it waits. */
bool cmt__visit_hold(cmt__ensure *e, cmt__ensure_peer *p, cmt__pex_time t);
/* Makes the answers due that need not wait any more. */
void cmt__visit_release(cmt__ensure *e, cmt__pex_time t);
/* Drops from an answer who is to hear of |p| itself, and notes whom it has. */
void cmt__visit_trim(cmt__ensure *e, cmt__ensure_peer *p, cmt__ensure_answer *a,
                     cmt__pex_time t);
void cmt__visit_served(cmt__ensure *e, cmt__ensure_peer *p);
/* |p| is gone. */
void cmt__visit_end(cmt__ensure *e, cmt__ensure_peer *p, cmt__pex_time t);

#endif
