/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__SESSION_H
#define CMT__SESSION_H

/* A session: one connection of a switch, from the accept or the dial to its
   last byte.  Each ends in exactly one add_peer or rejection.  Only loop 0
   uses it, but the link of a peer may be on another loop. */

#include "session_standby.h"

/* Places that it has in the heap of the first loop: for the link, and for a
   question to a filter or a standby. */
enum { CMT__SESSION_TIMERS = 2 };

/* What a session reports to its dial. */
typedef struct cmt__session_callbacks {
  /* The outcome of cmt__session_connect(). */
  void (*on_connect)(void *arg, cmt_err err);
  /* The other side has proved that it is |id|. */
  void (*on_id)(void *arg, const cmt_node_id *id);
  /* The last, once: CMT_OK and a peer, or what a feeler found, or why there is
     none; |id| is who was found, or NULL, and |info| with CMT_OK its node info.
     Without a peer the session is closed already, or will be. */
  void (*on_outcome)(void *arg, const cmt_why *why, const cmt_node_id *id,
                     const cmt_node_info *info);
} cmt__session_callbacks;

struct cmt__session {
  cmt__link link;
  cmt_peer *peer; /* From the checks to remove_peer. */
  cmt_switch *sw;
  cmt__session *next, *prev;
  cmt__standby standby;
  cmt__place place;
  cmt__question *question; /* A filter has not answered it; or NULL. */
  uint64_t info_ns;        /* When our node info goes out. */
  const cmt__session_callbacks *cbs; /* NULL: it was accepted, or the outcome
                                        was reported. */
  void *arg;
  bool outbound;
  bool counted;   /* Among the handshakes of the status: it was accepted, and
                     got a place. */
  uint8_t thread; /* Where the peer is, or will be soon. */
  bool pending;   /* The outcome is not known yet. */
  bool was_peer;
  bool filtered;      /* filter_peer lets it pass. */
  bool feeler;        /* It ends with the node info, and becomes no peer. */
  cmt__remote remote; /* The other side's, from when it is known. */
};

/* A session to dial with; NULL: no memory. */
cmt__session *cmt__session_new(cmt_switch *s, const cmt__session_callbacks *cbs,
                               void *arg);
/* Connects, and goes back to before that. */
CMT_NODISCARD cmt_err cmt__session_connect(cmt__session *s,
                                           const cmt__remote *to);
void cmt__session_disconnect(cmt__session *s);
/* Begins the handshake on the connection made, as a node of |network|; NULL:
   that of the switch. */
void cmt__session_start(cmt__session *s, const cmt_node_id *expect,
                        const char *network);
/* Closes it without an outcome. */
void cmt__session_leave(cmt__session *s);
/* Makes a session of an accepted connection; cmt__accept_cb. */
void cmt__session_accept(void *arg, cmt__tcp *tcp);
/* Owns the places of inbound handshakes and of those that linger. */
void cmt__session_displaced(cmt__place *p, cmt__displaced by);
void cmt__session_cut(cmt__place *p);
/* "IP:PORT" in |out|, which is returned. */
const char *cmt__remote_text(const cmt__remote *r, char *out, size_t cap);
/* Reports that the session yields no peer, and closes it once our node info has
   gone out. */
void cmt__session_refuse(cmt__session *s, const cmt_why *why,
                         const cmt_node_id *id);
/* The last remove_peer of |p| has returned: removes the peer from the list if
   it is |listed|, and drops the reference. */
void cmt__session_departed(cmt_switch *sw, cmt_peer *p, bool listed);
/* Ends it for |why|, whether it has a peer or not.  On the first loop, and not
   inside of a callback of its link. */
void cmt__session_end(cmt__session *s, const cmt_why *why);
/* Who is at the other end, if it is known; NULL: it is not. */
const cmt_node_id *cmt__session_id(const cmt__session *s);
/* Whether the other side is banned by its id or its address, as far as they are
   known; by |*out|. */
bool cmt__session_is_banned(const cmt__session *s, cmt__ban *out);
/* The switch stops: a session without a peer is rejected. */
void cmt__session_cancel(cmt__session *s);

#endif
