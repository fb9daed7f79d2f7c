/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__DIAL_H
#define CMT__DIAL_H

/* A dial: a node that we want a connection with, what is known of where it is,
   and when it is tried next.  Only loop 0 uses it, except cmt__dial_new().
   The attempts are made by dialer.c. */

#include "state.h"

/* Places that it has in the heap of the first loop: its own timer's, and one
   for its attempt. */
enum { CMT__DIAL_TIMERS = 2 };

struct cmt_dial {
  cmt_switch *sw;
  uint64_t number;          /* No other dial of the switch has it; from 1. */
  cmt_dial *next, *prev;    /* Changed under the lock of the switch. */
  cmt_dial *begin_next;     /* The list of dials that the loop is to begin, */
  cmt_dial *cancel_next;    /* and to end. */
  cmt_dial_options options; /* |network| is the one below, or NULL. */
  char network[CMT_NETWORK_NAME_MAX + 1];
  cmt_net_addr addr;
  char text[CMT_NET_ADDR_TEXT_SIZE];
  bool has_timers;  /* There is room for them. */
  cmt__timer timer; /* Starts the next attempt; dialer.c has |cb|. */
  struct cmt__attempt *attempt; /* While one is under way. */
  bool barred;                  /* The timer waits for the end of a ban. */
  uint64_t connected_ns;        /* When TCP was connected last. */
  uint64_t delay_ns;            /* After the last failure; 0: there was none. */
  /* The addresses to which its name resolved last, and the address at which the
     node was last a peer; each as the limits count it. */
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
  /* Under the lock of the switch; but for |cancelled| only the loop changes
     them once it has the dial. */
  bool queued;    /* The loop has not seen it. */
  bool owned;     /* The application has a handle. */
  bool cancelled; /* The application has cancelled the dial. */
  cmt_dial_state state;
  uint64_t attempts, failures, next_ns;
  cmt_why last;
};

/* |o| has its defaults.  CMT_EINVAL: the address cannot be written. */
CMT_NODISCARD cmt_err cmt__dial_new(cmt_switch *s, const cmt_net_addr *addr,
                                    const cmt_dial_options *o, cmt_dial **out);
/* As cmt_switch_dial_new(), with an address that was parsed.  Without an id the
   dial accepts any node, and cannot be persistent. */
CMT_NODISCARD cmt_err cmt__switch_dial_at(cmt_switch *s, const cmt_net_addr *at,
                                          const cmt_dial_options *o,
                                          cmt_dial **out, cmt_why *why);
/* Frees a dial that is in no list. */
void cmt__dial_free(cmt_dial *d);
/* Under the lock: puts the dials that wait for the loop into the list of the
   switch; returns the first of them, linked by |begin_next|. */
cmt_dial *cmt__dials_take(cmt_switch *s);
/* Removes |d| from the list and frees it. */
void cmt__dial_drop(cmt_dial *d);
/* Frees all dials, when the switch is deleted. */
void cmt__dials_free(cmt_switch *s);
/* Publishes the state of the dial. */
void cmt__dial_set_state(cmt_dial *d, cmt_dial_state state);
/* The name of the dial resolved to |addrs|. */
void cmt__dial_know(cmt_dial *d, const cmt_net_addr *addrs, size_t count);
/* Sets the timer of the next attempt. */
void cmt__dial_wait(cmt_dial *d);
/* Sets that timer to the end of |ban|. */
void cmt__dial_bar(cmt_dial *d, const cmt__ban *ban);
/* Whether its id, or its address when that is no name, is banned. */
bool cmt__dial_is_banned(const cmt_dial *d, cmt__ban *out);
/* An attempt failed, or there is a peer. */
void cmt__dial_failed(cmt_dial *d, const cmt_why *why);
void cmt__dial_met(cmt_dial *d);
bool cmt__dial_has_peer(const cmt_dial *d);
/* Whether another dial has an attempt under way at the same id. */
bool cmt__dial_has_rival(const cmt_dial *d);

/* The free place that a persistent dial keeps for a connection from |address|;
   NULL: none. */
cmt__reserve *cmt__dials_reserve(cmt_switch *s, const cmt__ip *address);
/* What the dials of an id ask for. */
typedef struct cmt__wanted {
  bool persistent, unconditional;
} cmt__wanted;
cmt__wanted cmt__dials_want(cmt_switch *s, const cmt_node_id *id);
/* Whether there is an unconditional dial of |id|, also one that has ended and
   was not freed.  On any thread. */
bool cmt__dials_has_unconditional(cmt_switch *s, const cmt_node_id *id);
/* The peer |p| was added. */
void cmt__dials_peer_here(cmt_switch *s, const cmt_peer *p);
/* The peer with |id| is gone. */
void cmt__dials_peer_gone(cmt_switch *s, const cmt_node_id *id);

#endif
