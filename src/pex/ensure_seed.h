/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__ENSURE_SEED_H
#define CMT__ENSURE_SEED_H

/* What a seed does instead of keeping peers: it crawls, so that it serves only
   what it reached itself, and it ends each visit.  For ensure.c. */

#include "ensure.h"

/* A peer is up: it is asked when we dialed it, and it has its time. */
void cmt__seed_greet(cmt__ensure_peer *p, uint64_t now_ns);
/* A peer whose time is over. */
bool cmt__seed_close(cmt__ensure *e, uint64_t now_ns, cmt__ensure_step *out);
/* The next dial of an address whose proof is not fresh. */
bool cmt__seed_crawl(cmt__ensure *e, cmt__pex_time t, cmt__ensure_step *out);
/* When the next one may be due. */
uint64_t cmt__seed_next_ns(const cmt__ensure *e);
/* How old a proof may be that is served at |now_ns|. */
uint64_t cmt__seed_proof_ns(const cmt__ensure *e, uint64_t now_ns);
/* What the inbound peer |p| is served at |now_ns|. */
void cmt__seed_query(const cmt__ensure *e, const cmt__ensure_peer *p,
                     uint64_t now_ns, cmt_addrbook_query *q);
/* A handshake reached |at|. */
void cmt__seed_reached(cmt__ensure *e, const cmt_net_addr *at, uint64_t now_ns);
/* A dial of |id| has failed, maybe for a reason of our own. */
void cmt__seed_unsure(cmt__ensure *e, const cmt_node_id *id, uint64_t utc_ns);
/* Whether handshakes reached two groups so recently that what fails now is not
   our own connection. */
bool cmt__seed_is_online(const cmt__ensure *e, uint64_t now_ns);

#endif
