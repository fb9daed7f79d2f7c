/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__PEX_IMPL_H
#define CMT__PEX_IMPL_H

/* What the files of peer exchange share.  pex.c has the object and its lists,
   pex_reactor.c what comes from peers, pex_steps.c what follows from it and
   from the time.  They use the public calls of the switch.

   Steps run on the first loop, one after another; messages come on the loop of
   their peer.  |lock| guards the book, the decisions and the numbers; nothing
   of the switch is called under it.

   Other threads reach the switch as long as it is there, which |outer| holds:
   they dial, cancel and post under it, and stop() takes it.  It comes before
   |lock|, and that of a host before those of its guests. */

#include <cometp2p/network.h>
#include <cometp2p/pex.h>
#include <cometp2p/timer.h>

#include <pthread.h>
#include <stdatomic.h>

#include "base/base.h"
#include "ensure.h"

/* A persistent peer.  The address changes under both locks, the rest under
   |outer|. */
typedef struct cmt__pex_listed {
  cmt_net_addr addr;
  cmt_dial *dial; /* NULL before the start. */
  bool refused;   /* The switch did not take it. */
} cmt__pex_listed;

enum { CMT__PEX_GUEST = -1 }; /* The role of one that has joined another. */

/* What an outcome belongs to. */
typedef struct cmt__pex_slot {
  cmt_pex *pex;
  size_t index; /* The place in |dials| of the decisions. */
} cmt__pex_slot;

struct cmt_pex {
  cmt_env env;
  cmt_pex_options o;
  char network[CMT_NETWORK_NAME_MAX + 1];        /* Empty: of all. */
  char serve_version[CMT_ADDRBOOK_VERSION_SIZE]; /* Empty: any. */
  pthread_mutex_t outer, lock;
  cmt_switch *sw; /* From start to stop, which change it under both locks. */
  cmt__ensure ensure;
  cmt_timer timer;
  cmt_post post;
  cmt__pex_slot slots[CMT__ENSURE_DIALS_MAX + 1];
  cmt_net_addr anchors[CMT_PEX_ANCHORS_MAX];
  cmt_net_addr *seeds;
  size_t seed_count;
  cmt__pex_listed *listed;
  size_t listed_count;
  cmt_pex_status status;
  uint64_t addrs_invalid; /* Entries of answers that name no node. */
  /* Other networks by the same reactor. */
  cmt_pex **guests;
  size_t guest_count, guest_cap;
  atomic_long role; /* How many have joined it, or CMT__PEX_GUEST. */
};

cmt__pex_time cmt__pex_now(const cmt_pex *p);
/* Begins the dial of each persistent peer that has none, once it has begun.
   Logs those that the switch refuses, so it needs to run without a lock. */
void cmt__pex_dial_listed(cmt_pex *p);
/* The places of |id| in the list of seeds, a bit for each; and whether it is in
   that of persistent peers.  Under |lock|. */
uint64_t cmt__pex_seed_bits(const cmt_pex *p, const cmt_node_id *id);
bool cmt__pex_is_listed(const cmt_pex *p, const cmt_node_id *id);
/* The list of seeds or our own id has changed; under |lock|. */
void cmt__pex_note_seeds(cmt_pex *p);
/* Visitors of a seed. */
static inline bool cmt__pex_is_visitor(const cmt_pex *p,
                                       const cmt__ensure_peer *peer) {
  return p->o.seed && !peer->outbound && !peer->listed;
}

/* An answer, and what |on_served| needs outside of the lock. */
typedef struct cmt__pex_answer {
  cmt_buf *msg; /* NULL: there was no memory. */
  bool to_visitor;
  size_t count;
  uint64_t ages_ns[CMT_ADDRBOOK_ANSWER_MAX];
} cmt__pex_answer;

/* A random selection of the book for |peer|.  Under |lock|. */
void cmt__pex_make_answer(cmt_pex *p, cmt__ensure_peer *peer, cmt__pex_time t,
                          cmt__pex_answer *a);
/* Without a lock. */
void cmt__pex_send_answer(cmt_pex *p, cmt_peer *peer, const cmt__pex_answer *a);
/* The version of a node, in |out|; NULL: it is not known. */
const char *cmt__pex_version(const cmt_node_info *info, char *out, size_t cap);
/* Runs the steps that are due; |arg| is the exchange.  For its timer and post,
   on the first loop, where no peer can go meanwhile. */
void cmt__pex_on_time(void *arg, cmt_err status);
/* Passes the outcome of a dial of |pex| on to the application. */
void cmt__pex_dialed(void *pex, cmt_dial *dial, const cmt_dial_outcome *o);
/* Steps follow soon, on the first loop. */
void cmt__pex_wake(cmt_pex *p);
/* The exchange of |peer|'s network: |host|, or one that has joined it; NULL:
   neither. */
cmt_pex *cmt__pex_of(cmt_pex *host, const cmt_peer *peer);
/* Gives it the switch, unless it has one; the caller then begins its dials by
   cmt__pex_dial_listed() and cmt__pex_wake(), without a lock.  False: it has
   another switch. */
bool cmt__pex_attach(cmt_pex *p, cmt_switch *sw);
/* Begins, unless it has begun, and ends for one network alone.  False: it has
   begun for another switch. */
bool cmt__pex_begin(cmt_pex *p, cmt_switch *sw);
void cmt__pex_end(cmt_pex *p);
/* Do so for all that have joined. */
void cmt__pex_begin_guests(cmt_pex *host, cmt_switch *sw);
void cmt__pex_end_guests(cmt_pex *host);
/* The functions of the reactor. */
void cmt__pex_reactor(cmt_pex *p, cmt_reactor *out);

#endif
