/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__DIALER_H
#define CMT__DIALER_H

/* Dials: an address that is being dialed, or will be again.  Of the loop alone
   but for cmt__dial_new(). */

#include "session.h"

typedef enum cmt__dial_state {
  CMT__DIAL_WAITING, /* For its timer. */
  CMT__DIAL_RESOLVING,
  CMT__DIAL_CONNECTING,
  CMT__DIAL_SHAKING,
  CMT__DIAL_PEER, /* A peer with its id exists; waits for the end of that. */
} cmt__dial_state;

struct cmt__dial {
  cmt_switch *sw;
  cmt__dial *next, *prev;
  bool persistent;
  cmt__dial_state state;
  cmt_net_addr addr;
  char text[CMT_NET_ADDR_TEXT_SIZE];
  cmt__timer timer;
  cmt__resolve *resolve;
  cmt__session *session; /* While it is under way. */
  uint64_t end_ns;       /* When connecting has taken too long, */
  uint64_t left_ns;      /* and what was left of that when it was connected. */
  /* The addresses of an attempt in their order, and how many it tries. */
  cmt__remote found[CMT__RESOLVE_MAX];
  size_t found_count, found_next;
  /* Where its name said last that its node is, and where the node last came
     from or was found as a peer; each as limits count it. */
  cmt__ip known[CMT__RESOLVE_MAX];
  size_t known_count;
  cmt__ip met;
  bool was_met;
  cmt__session *guest; /* The inbound handshake in its reserve; or NULL. */
  /* Where the next attempt begins: with the address at which the node itself
     was met last, or behind the one that failed last.  Not known:
     anywhere. */
  cmt__remote begin;
  bool behind;
  /* What the attempt reports if nothing comes of it: the most telling of the
     failures. */
  cmt_why told;
  cmt__remote told_at;
  bool told_was_good;  /* It came from where the node was met last. */
  cmt_node_id told_id; /* Empty: nobody was authenticated. */
};

/* NULL: no memory. */
cmt__dial *cmt__dial_new(cmt_switch *s, const cmt_net_addr *addr,
                         bool persistent);
/* One that is in no list. */
void cmt__dial_free(cmt__dial *d);
/* Makes the first attempt; takes |d|. */
void cmt__dial_begin(cmt__dial *d);
/* The session of |d| connected, or failed to. */
void cmt__dial_on_connect(cmt__dial *d, cmt_err err);
/* The other side of the session has proved that it is |id|. */
void cmt__dial_on_id(cmt__dial *d, const cmt_node_id *id);
/* The connection of the session ended for |why| without a peer, and |id| is who
   was found, or NULL.  The session has its end: with the outcome of the attempt
   or, when |d| goes on at another address with another session, without. */
void cmt__dial_on_end(cmt__dial *d, const cmt_why *why, const cmt_node_id *id);
/* Whether |d| would dial again after |err|. */
bool cmt__dial_redials(const cmt__dial *d, cmt_err err);
/* The outcome of the session of |d|, which forgets it.  CMT_OK: a peer. */
void cmt__dial_done(cmt__dial *d, cmt_err err);
/* The persistent dial that keeps a place for a connection from |address|, and
   whose place is free; NULL: none. */
cmt__dial *cmt__dialer_reserve(cmt_switch *s, const cmt__ip *address);
/* A persistent dial is for |id|. */
bool cmt__dialer_wants(const cmt_switch *s, const cmt_node_id *id);
/* The peer |p| was added. */
void cmt__dialer_peer_here(cmt_switch *s, const cmt_peer *p);
/* The peer with |id| is gone. */
void cmt__dialer_peer_gone(cmt_switch *s, const cmt_node_id *id);
/* The switch stops: no dial is left. */
void cmt__dialer_stop(cmt_switch *s);

#endif
