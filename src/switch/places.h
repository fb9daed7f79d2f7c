/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__PLACES_H
#define CMT__PLACES_H

/* The places that sessions take besides those of peers.  Only loop 0
   uses them.

   An inbound handshake has one of the |handshakes_max| places of the pool, or
   the place that is reserved for the address of a persistent dial.  A newcomer
   always gets a place: when the pool is full, or the address has as many as it
   may have, another handshake gives way.  A dial and a session on standby have
   none of these.  A session that has ended and lingers has a place of its own,
   too. */

#include "peer/peer.h"

#include <cometp2p/switch.h>

/* The address of |r| as the limits count it: all of an IPv4 address, the first
   bits of an IPv6 one. */
cmt__ip cmt__address_of(const cmt_switch_options *o, const cmt__remote *r);
/* Whether the limits count |a| and |b| as one address. */
bool cmt__same_address(const cmt_switch_options *o, const cmt__remote *a,
                       const cmt__remote *b);
/* Writes the address of |r| for people, with the prefix length when it stands
   for many. */
const char *cmt__address_text(const cmt_switch_options *o, const cmt__remote *r,
                              char *out, size_t cap);
enum { CMT__ADDRESS_TEXT_SIZE = 64 };

typedef enum cmt__place_kind {
  CMT__PLACE_NONE,
  CMT__PLACE_POOL,    /* An inbound handshake, */
  CMT__PLACE_RESERVE, /* or one in the place of a persistent dial. */
  CMT__PLACE_REFUSED, /* It lingers and never was a peer, */
  CMT__PLACE_PARTING, /* or it was one. */
} cmt__place_kind;

/* The part of a session, zeroed at first. */
typedef struct cmt__place {
  uint8_t kind;    /* A cmt__place_kind. */
  uint32_t round;  /* The round of the places when it came. */
  cmt__ip address; /* As the limits count it. */
  const cmt__link *link;
  union {
    struct cmt__place *older;     /* In the list of its kind; */
    struct cmt__reserve *reserve; /* or the one that it has. */
  };
  struct cmt__place *newer;
  /* Handshakes of the pool from the same address and network, with it. */
  uint32_t same_address, same_network;
} cmt__place;

/* A place that is kept for one address, zeroed at first. */
typedef struct cmt__reserve {
  cmt__place *guest; /* NULL: it is free. */
} cmt__reserve;

/* For whom a handshake gives way: */
typedef enum cmt__displaced {
  CMT__DISPLACED_BY_ANY,        /* a newcomer that needs a place, */
  CMT__DISPLACED_BY_ADDRESS,    /* one of its own address, */
  CMT__DISPLACED_BY_DESCRIPTOR, /* or one that needs a descriptor. */
} cmt__displaced;

typedef struct cmt__place_list {
  cmt__place *oldest, *newest;
  size_t count;
} cmt__place_list;

/* The part of a switch, zeroed but for the first three at first. */
typedef struct cmt__places {
  const cmt_switch_options *options;
  /* The handshake at |p| gives way to a newcomer: its owner ends it, closes its
     connection at once and leaves the place. */
  void (*on_displaced)(cmt__place *p, cmt__displaced by);
  /* Too many linger: the owner of |p| closes it. */
  void (*on_cut)(cmt__place *p);
  cmt__loop *loop;
  cmt__place_list pool, refused, parting;
  uint32_t round; /* Goes on with the iterations that follow an accept. */
  uint32_t accept_round;       /* When the last one was accepted. */
  uint32_t given_round, given; /* Handshakes that gave their descriptor then. */
  cmt__task task;
} cmt__places;

void cmt__places_start(cmt__places *ps, cmt__loop *loop);
/* The switch accepts no further connection. */
void cmt__places_stop(cmt__places *ps);

/* Gives the inbound handshake on |link|, from |address|, the place |p|, whoever
   has to give way for it.  |reserve|: one that is free, or NULL. */
void cmt__place_accept(cmt__places *ps, cmt__place *p, const cmt__link *link,
                       const cmt__ip *address, cmt__reserve *reserve);
/* The owner of |p| has ended and lingers. */
void cmt__place_linger(cmt__places *ps, cmt__place *p, bool was_peer);
/* Gives the place |p| back, if it is one. */
void cmt__place_leave(cmt__places *ps, cmt__place *p);
/* Closes a connection, since there is no descriptor for one that waits to be
   accepted.  Only an eighth of the handshakes gives way in an iteration, so
   that those that have just come are read before.  CMT__SHORT_NONE: peers and
   dials have all. */
cmt__short cmt__places_give_descriptor(cmt__places *ps);
/* |reserve| goes; what is in it needs another place if it |stays|. */
void cmt__reserve_end(cmt__places *ps, cmt__reserve *reserve, bool stays);

/* Most connections that have ended and wait for the other side to read. */
uint32_t cmt__places_linger_max(const cmt_switch_options *o);
/* Most connections that are accepted in an iteration, so that earlier ones
   are read before they have to give way. */
unsigned cmt__places_accepts(const cmt_switch_options *o);

#endif
