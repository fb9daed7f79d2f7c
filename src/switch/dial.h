/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__DIAL_H
#define CMT__DIAL_H

/* A dial: a node that we want a connection with, what is known of where it is,
   and when it is tried next.  Of the first loop alone but for cmt__dial_new().
   The attempts are made by dialer.c. */

#include "state.h"

typedef enum cmt__dial_state {
  CMT__DIAL_WAITING, /* For its timer. */
  CMT__DIAL_TRYING,  /* It has an attempt. */
  CMT__DIAL_PEER,    /* A peer with its id exists; waits for the end of that. */
} cmt__dial_state;

struct cmt_dial {
  cmt_switch *sw;
  cmt_dial *next, *prev;
  bool persistent;
  cmt__dial_state state;
  cmt_net_addr addr;
  char text[CMT_NET_ADDR_TEXT_SIZE];
  cmt__timer timer;             /* Of the next attempt; dialer.c has |cb|. */
  struct cmt__attempt *attempt; /* While one is under way. */
  /* Where its name said last that its node is, and where the node last came
     from or was found as a peer; each as limits count it. */
  cmt__ip known[CMT__RESOLVE_MAX];
  size_t known_count;
  cmt__ip met;
  bool was_met;
  cmt__reserve reserve; /* For an inbound handshake from there. */
  /* Where the next attempt begins: with the address at which the node itself
     was met last, or behind the one that failed last.  Not known:
     anywhere. */
  cmt__remote begin;
  bool behind;
};

/* NULL: no memory. */
cmt_dial *cmt__dial_new(cmt_switch *s, const cmt_net_addr *addr,
                        bool persistent);
/* One that is in no list. */
void cmt__dial_free(cmt_dial *d);
/* Puts |d| into the list of the switch, and takes it out. */
void cmt__dial_list(cmt_dial *d);
void cmt__dial_unlist(cmt_dial *d);
/* Its name resolved to |addrs|. */
void cmt__dial_know(cmt_dial *d, const cmt_net_addr *addrs, size_t count);
/* Sets the timer of the next attempt. */
void cmt__dial_wait(cmt_dial *d);
bool cmt__dial_has_peer(const cmt_dial *d);
/* Whether another dial has an attempt under way at the same id. */
bool cmt__dial_has_rival(const cmt_dial *d);

/* The free place that a persistent dial keeps for a connection from |address|;
   NULL: none. */
cmt__reserve *cmt__dials_reserve(cmt_switch *s, const cmt__ip *address);
/* A persistent dial is for |id|. */
bool cmt__dials_want(const cmt_switch *s, const cmt_node_id *id);
/* The peer |p| was added. */
void cmt__dials_peer_here(cmt_switch *s, const cmt_peer *p);
/* The peer with |id| is gone. */
void cmt__dials_peer_gone(cmt_switch *s, const cmt_node_id *id);

#endif
