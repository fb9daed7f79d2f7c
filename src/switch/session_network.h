/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__SESSION_NETWORK_H
#define CMT__SESSION_NETWORK_H

/* As a node of which network a session introduces us: it is known when a dial
   begins, and an accepted connection answers what the other side names.  Of the
   first loop alone. */

#include "session.h"

/* Makes |info| and |o| those of |name|, which NULL leaves to the switch, and
   lets ours wait for the node info of the other side where that decides.
   Returns what |info| borrows, or NULL; |why| has an error when the network was
   removed. */
cmt__network *cmt__session_network(cmt__session *s, const char *name,
                                   cmt_node_info *info, cmt_conn_options *o,
                                   cmt_why *why);
/* The other side of the session |arg| is |theirs|: answers as that if ours was
   not sent yet. */
void cmt__session_answer(void *arg, const cmt_node_info *theirs);

#endif
