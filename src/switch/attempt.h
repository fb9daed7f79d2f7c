/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__ATTEMPT_H
#define CMT__ATTEMPT_H

/* One attempt of a dial, which owns it: its name is resolved, and its addresses
   are tried in turn, each with a session.  It has one outcome, and is gone with
   it.  Of the first loop alone. */

#include "dial.h"

/* Lent for the call. */
typedef struct cmt__outcome {
  const cmt_why *why;    /* CMT_OK: a peer was added, or a feeler met its
                            node. */
  const cmt_node_id *id; /* Who was found; NULL: nobody was authenticated. */
  const cmt_node_info *node_info; /* With CMT_OK. */
  const char *remote;             /* Where, or what was dialed. */
  /* How long each part took, at the last address; 0: it did not end. */
  uint64_t connect_ns, secret_ns, info_ns;
} cmt__outcome;

typedef struct cmt__attempt cmt__attempt;

/* Begins one, which is |d|->attempt until |on_outcome|; that may come from
   inside the call.  Room for one timer must be reserved.  CMT_ENOMEM: there is
   none, and no outcome. */
CMT_NODISCARD cmt_err cmt__attempt_begin(
  cmt_dial *d, void (*on_outcome)(cmt_dial *d, const cmt__outcome *o));
/* The switch stops: the outcome is CMT_ECANCELED, from inside the call or soon
   after. */
void cmt__attempt_stop(cmt__attempt *a);
/* Ends it with the outcome |why|; not from a callback of its link. */
void cmt__attempt_end(cmt__attempt *a, const cmt_why *why);
/* Ends it without an outcome; not from a callback of its link. */
void cmt__attempt_abandon(cmt__attempt *a);
/* Bytes of one. */
size_t cmt__attempt_memory(void);

#endif
