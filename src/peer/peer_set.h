/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__PEER_SET_H
#define CMT__PEER_SET_H

/* The peers that a switch lists.  Any thread may look; only the loop changes
   it. */

#include "peer.h"

typedef struct cmt__peer_set {
  const cmt_env *env;
  pthread_mutex_t lock;
  cmt_peer **list; /* Sorted by id, each with a reference. */
  size_t count, cap;
  size_t inbound;                  /* By who dialed, */
  size_t places[CMT__PEER_PLACES]; /* and by where they have their place. */
} cmt__peer_set;

CMT_NODISCARD cmt_err cmt__peer_set_init(cmt__peer_set *s, const cmt_env *env);
void cmt__peer_set_fini(cmt__peer_set *s); /* It is empty. */

/* Makes room for one more. */
CMT_NODISCARD cmt_err cmt__peer_set_reserve(cmt__peer_set *s);
/* Adds the peer, with a reference of its own. */
void cmt__peer_set_add(cmt__peer_set *s, cmt_peer *p);
/* Removes the peer, and drops that reference. */
void cmt__peer_set_remove(cmt__peer_set *s, cmt_peer *p);

bool cmt__peer_set_has(cmt__peer_set *s, const cmt_node_id *id);
/* With a reference for the caller, or NULL. */
cmt_peer *cmt__peer_set_find(cmt__peer_set *s, const cmt_node_id *id);
/* As cmt_switch_peers(). */
size_t cmt__peer_set_snapshot(cmt__peer_set *s, cmt_peer **out, size_t cap);
/* How many peers there are, and how many of them are inbound. */
void cmt__peer_set_count(cmt__peer_set *s, size_t *all, size_t *inbound);

/* How many peers have their place there. */
size_t cmt__peer_set_places(cmt__peer_set *s, cmt__peer_place where);
/* The peer |id|, if there is one, gives its place to others and stays. */
void cmt__peer_set_exempt(cmt__peer_set *s, const cmt_node_id *id);
/* Counts the places of inbound peers for which |is_one| holds. */
size_t cmt__peer_set_places_of(cmt__peer_set *s,
                               bool (*is_one)(void *arg, const cmt__remote *r),
                               void *arg);
/* Calls |look| with each, under the lock. */
void cmt__peer_set_each(cmt__peer_set *s, void (*look)(void *arg, cmt_peer *p),
                        void *arg);
/* Bytes queued for all of them. */
uint64_t cmt__peer_set_queued(cmt__peer_set *s);
/* cmt_peer_try_send() to each on the channel at |at|, each with a reference of
   its own to |msg|. */
void cmt__peer_set_broadcast(cmt__peer_set *s, size_t at, cmt_buf *msg,
                             cmt_broadcast *counts);
/* cmt_peer_stop() for each. */
void cmt__peer_set_stop(cmt__peer_set *s, cmt_err reason, uint64_t flush_ns);

#endif
