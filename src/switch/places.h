/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__PLACES_H
#define CMT__PLACES_H

/* The places that sessions take besides those of peers.  Of the first loop
   alone.

   An inbound handshake takes one of the |handshakes_max| places of the pool, or
   the one that is kept for the address of a persistent dial.  A newcomer always
   gets a place: when the pool is full, or the address has as many as it may
   have, another handshake gives way.  A dial and a standby session take none of
   these.  A session that has ended and lingers has a place of its own, too. */

#include "peer/peer.h"

#include <cometp2p/switch.h>

struct cmt__session;
struct cmt__dial;

/* What limits take for the address of |r|: all of IPv4, the first bits of
   IPv6. */
cmt__ip cmt__address_of(const cmt_switch_options *o, const cmt__remote *r);
/* Whether limits take |a| and |b| for one address. */
bool cmt__same_address(const cmt_switch_options *o, const cmt__remote *a,
                       const cmt__remote *b);
/* Writes it for people: that of |r|, with the prefix length when it stands for
   many. */
const char *cmt__address_text(const cmt_switch_options *o, const cmt__remote *r,
                              char *out, size_t cap);
enum { CMT__ADDRESS_TEXT_SIZE = 64 };

typedef enum cmt__place_kind {
  CMT__PLACE_NONE,
  CMT__PLACE_POOL,    /* An inbound handshake, */
  CMT__PLACE_RESERVE, /* or one in the place of a persistent dial. */
  CMT__PLACE_DIAL,    /* An attempt of a dial that |dials_max| counts. */
  CMT__PLACE_REFUSED, /* It lingers and never was a peer, */
  CMT__PLACE_PARTING, /* or it was one. */
} cmt__place_kind;

/* The part of a session, zeroed at first. */
typedef struct cmt__place {
  uint8_t kind;    /* A cmt__place_kind. */
  uint32_t round;  /* The switch's, when it came. */
  cmt__ip address; /* As limits take it. */
  union {
    struct cmt__session *older; /* In the list of its kind; */
    struct cmt__dial *dial;     /* or whose reserve it has. */
  };
  struct cmt__session *newer;
  /* Handshakes of the pool from the same address and network, with it. */
  uint32_t same_address, same_network;
} cmt__place;

typedef struct cmt__place_list {
  struct cmt__session *oldest, *newest;
  size_t count;
} cmt__place_list;

/* The part of a switch, zeroed but for |task|.cb at first. */
typedef struct cmt__places {
  cmt__place_list pool, refused, parting;
  size_t dials;          /* Attempts that |dials_max| counts. */
  uint32_t round;        /* Goes on with the turns that follow an accept. */
  uint32_t accept_round; /* When the last one was accepted. */
  cmt__task task;
} cmt__places;

void cmt__places_init(cmt_switch *sw);
/* Nothing is accepted any more. */
void cmt__places_stop(cmt_switch *sw);

/* Gives the inbound session |s|, whose |remote| is known, a place, whoever has
   to give way for it. */
void cmt__place_accept(struct cmt__session *s);
/* Gives one to an attempt of |dial|. */
void cmt__place_dial(struct cmt__session *s, const struct cmt__dial *dial);
/* |s| has ended and lingers. */
void cmt__place_linger(struct cmt__session *s, bool was_peer);
/* Takes the place of |s| away, if it has one. */
void cmt__place_leave(struct cmt__session *s);
/* |dial| goes, and what is in its reserve needs another place. */
void cmt__place_orphan(struct cmt__dial *dial);

/* Most connections that are accepted in an iteration, so that those before them
   are read before they have to give way. */
unsigned cmt__places_accepts(const cmt_switch_options *o);

#endif
