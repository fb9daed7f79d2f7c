/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_SIM_PEX_WORLD_H
#define CMT_SIM_PEX_WORLD_H

/* Many nodes with peer exchange on the simulated network, in virtual time: the
   library as it is, but for the frames' cipher and the public-key operations.
   Host 0 is the seed. */

#include "loop_sim.h"

#include "test.h"

#include <cometp2p/pex.h>

enum { WORLD_MAX = 2030 }; /* Most nodes, without the seed. */

typedef struct world world;

/* What a node is. */
typedef enum node_kind {
  NODE_SEED,
  NODE_HONEST,
  NODE_LIAR, /* Answers with addresses that nobody has. */
} node_kind;

typedef struct node {
  world *world;
  unsigned host;
  node_kind kind;
  sim_rng rng;
  test_env env;
  cmt_node_key *key;
  cmt_node_id id;
  char laddr[32];
  char seeds[CMT_NET_ADDR_TEXT_SIZE];
  cmt__loop *loop;
  cmt_addrbook *book;
  cmt_pex *pex;
  cmt_switch *sw;
} node;

struct world {
  uint64_t seed;
  sim_net *net;
  sim_rng rng;
  node *nodes;
  unsigned count; /* With the seed. */
  unsigned target;
  unsigned others; /* With so many peers a node knows all; 0: not looked at. */
};

/* |count| nodes and a seed, none of which has begun; the share |liars| of 100
   lies. */
void world_init(world *w, uint64_t seed, unsigned count, unsigned liars);
void world_fini(world *w);
void node_start(node *n);
/* Stops it, as a process that is killed. */
void node_stop(node *n);
/* Lets |ns| pass. */
void world_pass(world *w, uint64_t ns);
/* The end of all partitions. */
void world_rejoin(world *w);
/* Honest nodes that lack outbound peers. */
unsigned world_lacking(const world *w);
/* Seconds until nobody lacks any, at most |limit|; more: some still do. */
unsigned world_seconds_to_target(world *w, unsigned limit);

#endif
