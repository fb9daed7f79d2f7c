/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__SESSION_H
#define CMT__SESSION_H

/* A session: one connection of a switch, from the accept or the dial to its
   last byte.  Each ends in exactly one add_peer or rejection.  Of the first
   loop alone, but for the link of a peer, which may be on another. */

#include "standby.h"
#include "places.h"

struct cmt__session {
  cmt__link link;
  cmt_switch *sw;
  cmt__session *next, *prev;
  cmt__standby standby;
  cmt__place place;
  uint64_t info_ns; /* When our node info goes out; 0: it does not yet. */
  cmt_peer *peer;   /* From the checks to remove_peer. */
  cmt__dial *dial;  /* Of an outbound one until its outcome is known. */
  bool outbound;
  uint8_t thread; /* Where the peer is, or will be soon. */
  bool pending;   /* The outcome is not known yet. */
  bool was_peer;
  bool outbound_place; /* Among whose places that of its peer is. */
  cmt__remote remote;  /* The other side's, from when it is known. */
};

/* A session whose outcome is not known; NULL: no memory. */
cmt__session *cmt__session_new(cmt_switch *s, cmt__dial *dial);
/* Takes an accepted connection; cmt__accept_cb. */
void cmt__session_accept(void *arg, cmt__tcp *tcp);
/* Closes it without an outcome: its dial goes on with another. */
void cmt__session_leave(cmt__session *s);
/* Begins the handshake on the connection that the dial made. */
void cmt__session_start(cmt__session *s, const cmt_node_id *expect);
/* "IP:PORT" of the other side in |out|, which is returned. */
const char *cmt__session_remote(const cmt__session *s, char *out, size_t cap);
/* Tells that it yields no peer, and closes it. */
void cmt__session_reject(cmt__session *s, const cmt_why *why,
                         const cmt_node_id *id);
/* The same for one that is up: the other side is to have our node info. */
void cmt__session_refuse(cmt__session *s, const cmt_why *why,
                         const cmt_node_id *id);
/* The last remove_peer of |p| has returned: takes it off the list if it is on
   it, and drops the reference. */
void cmt__session_departed(cmt_switch *sw, cmt_peer *p, bool listed);
/* The switch stops: what has no peer yet is rejected. */
void cmt__session_cancel(cmt__session *s);

#endif
