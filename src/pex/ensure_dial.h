/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__ENSURE_DIAL_H
#define CMT__ENSURE_DIAL_H

/* Which address is dialed next, and what its outcome means: for ensure.c. */

#include "ensure.h"

/* So many dials in a row that were of no use show that what we dial by
   ourselves is of none. */
enum { CMT__ENSURE_MISSES_MANY = 8 };

/* Uniform below |limit|, which is not 0. */
uint64_t cmt__ensure_draw(const cmt__ensure *e, uint64_t limit);
/* Who may be in the hands of one attacker with |a|: its address group.  Hosts
   that cannot be reached from the internet are groups of their own. */
void cmt__ensure_group(const cmt__ensure *e, const cmt_net_addr *a,
                       char out[CMT_ADDRBOOK_GROUP_SIZE]);

/* Whether there may be one more dial, and when it will. */
bool cmt__ensure_may_spend(const cmt__ensure *e, uint64_t now_ns);
uint64_t cmt__ensure_spend_ns(const cmt__ensure *e);

/* An anchor or an address of the book; false: there is nobody to dial. */
bool cmt__ensure_choose(cmt__ensure *e, cmt__ensure_dial *out, cmt__pex_time t);
/* An address that was not tried, or that the book wants to be tested. */
bool cmt__ensure_choose_feeler(cmt__ensure *e, cmt__ensure_dial *out,
                               cmt__pex_time t);
/* Whether |a| may be dialed now, whatever its group is; by a feeler, also while
   its node is a peer. */
bool cmt__ensure_may_feel(const cmt__ensure *e, const cmt_net_addr *a,
                          cmt__pex_time t);
bool cmt__ensure_may_dial(const cmt__ensure *e, const cmt_net_addr *a,
                          cmt__pex_time t);
/* And no peer is of its group. */
bool cmt__ensure_fits(const cmt__ensure *e, const cmt_net_addr *a,
                      cmt__pex_time t);
/* |id| may be dialed again, however short a time ago it was. */
void cmt__ensure_forget(cmt__ensure *e, const cmt_node_id *id);
/* A place for |d|, which is under way from then on. */
cmt__ensure_dial *cmt__ensure_begin(cmt__ensure *e, const cmt__ensure_dial *d,
                                    cmt__pex_time t);
/* A handshake of ours reached |at|. */
typedef struct cmt__ensure_proof {
  const cmt_net_addr *at;
  const char *version; /* NULL: unknown. */
  int64_t height;      /* 0: unknown. */
} cmt__ensure_proof;

void cmt__ensure_proved(cmt__ensure *e, const cmt__ensure_proof *p,
                        cmt__pex_time t);
/* A node that ended soon after it was up is left alone for a while. */
void cmt__ensure_rest(cmt__ensure *e, const cmt__ensure_peer *p, cmt_err reason,
                      cmt__pex_time t);

#endif
