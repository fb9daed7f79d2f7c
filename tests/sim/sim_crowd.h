/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_SIM_CROWD_H
#define CMT_SIM_CROWD_H

/* A crowd of strangers beside the honest nodes of a part of the seeds.  All of
   them go to one node, from two addresses that no honest node has, and want one
   thing: a resource that the node has for everybody.  They speak the protocol
   through the public core, or send raw bytes.  How many they are, what they
   send and how often each of them connects is drawn, and bounded. */

#include "conn_output.h"
#include "loop_sim.h"

#include "test.h"

#include <cometp2p/peer.h>

struct sim;
struct sim_node;

/* What the strangers of a crowd do.  A 1 states that the trial of the kind is
   judged at the honest nodes at the end of its seeds. */
#define SIM_CROWD_MAP(X)                                                       \
  X(SILENT, 1, "connect and send nothing")                                     \
  X(HALF_KEY, 1, "send a half of their key")                                   \
  X(KEY, 1, "send their key and nothing more")                                 \
  X(DRIP, 1, "leave messages unfinished")                                      \
  X(FILL, 1, "fill the queues of slow reactors")                               \
  X(DEAF, 1, "read nothing")                                                   \
  X(AGAIN, 1, "connect again and again to a full node")                        \
  X(EMPTY, 1, "send floods of empty messages")

typedef enum sim_crowd_kind {
#define X(name, on, text) SIM_CROWD_##name,
  SIM_CROWD_MAP(X)
#undef X
    SIM_CROWD_KINDS
} sim_crowd_kind;

const char *sim_crowd_text(sim_crowd_kind k);
bool sim_crowd_has_trial(sim_crowd_kind k);

enum {
  SIM_CROWD_MAX = 24,
  SIM_CROWD_HOSTS = 2, /* The hosts after those of the nodes. */
};

/* A place in the crowd, with an id of its own: one connection after the
   other. */
typedef struct sim_stranger {
  struct sim_crowd *crowd;
  cmt__loop *loop;
  cmt__timer timer;
  cmt__tcp *tcp;
  cmt_conn *conn;
  conn_output out; /* What |conn| wrote. */
  cmt_node_key *key;
  cmt_node_id id;
  bool connected, up, blocked;
  size_t tries; /* Connections that it may still begin. */
  size_t sends; /* Messages that it may still send. */
} sim_stranger;

typedef struct sim_crowd {
  struct sim *sim;
  sim_rng rng, entropy;
  test_env env;
  sim_crowd_kind kind;
  size_t count; /* 0: there is no crowd. */
  struct sim_node *at;
  cmt__loop *loops[SIM_CROWD_HOSTS];
  sim_stranger list[SIM_CROWD_MAX];
  bool slow;            /* Each event of |at| takes time. */
  size_t begun, lasted; /* Connections in all; those that came up. */
  /* Peers that have not gone, and what they have taken: see the trial. */
  size_t left;
  uint64_t taken;
} sim_crowd;

/* Draws whether there is one, and fits the options of the node that it goes to;
   before any node starts. */
void sim_crowd_init(struct sim *s);
/* Every stranger may connect |tries| times more, and begins to. */
void sim_crowd_gather(struct sim *s, size_t tries);
/* No stranger begins another connection. */
void sim_crowd_last(struct sim *s);
/* Every stranger hangs up, for good. */
void sim_crowd_end(struct sim *s);
void sim_crowd_fini(struct sim *s);
/* True: |id| is that of a stranger, which no honest node has. */
bool sim_crowd_has(const struct sim *s, const cmt_node_id *id);
/* Its places connect again as soon as they may. */
bool sim_crowd_begins_anew(const sim_crowd *c);
size_t sim_crowd_up(const sim_crowd *c);
/* |at| has a stranger for a peer. */
void sim_crowd_greet(sim_crowd *c, cmt_peer *peer);
/* Queues more for those that are peers of |at|: the first that they were sent
   is sealed and no part of a queue any more. */
void sim_crowd_fill(struct sim *s);
/* The crowd at its work, without other faults: a friend of |at| still comes in,
   is dialed, and has its messages received. */
void sim_crowd_try(struct sim *s);

#endif
