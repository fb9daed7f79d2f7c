/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_BENCH_WORLD_H
#define CMT_BENCH_WORLD_H

/* Nodes of which each has a number, and a key and an address on loopback that
   follow from it.  So the programs that write a book of them, that answer for
   them and that visit in their names need not tell each other anything.

   All of 127.0.0.0/8 is this machine.  Nodes that follow each other lie in
   groups of their own, as those of a /16 are. */

#include "bench.h"

#include <netinet/in.h>

enum { BENCH_WORLD_GROUPS = 250, BENCH_WORLD_MAX = 250 * 250 * 100 };

/* The caller deletes it. */
cmt_node_key *bench_world_key(uint32_t node);
struct in_addr bench_world_host(uint32_t node);
/* The number of the node at |host|. */
uint32_t bench_world_node(struct in_addr host);
/* With its id. */
void bench_world_addr(uint32_t node, uint16_t port, cmt_net_addr *out);

/* The options of a connection of |key|, as a node of CometBFT has them; the
   node info has |network|, and the node listens on |port| of each of its
   addresses. */
typedef struct bench_world_self {
  const cmt_node_key *key;
  const char *network;
  uint16_t port;
} bench_world_self;

/* Nothing is written yet. */
cmt_conn *bench_world_conn(const bench_world_self *self, bool listener);
/* What a listener answers to |theirs|: it is of the same network. */
void bench_world_answer(cmt_conn *conn, const cmt_node_info *theirs,
                        uint16_t port);

/* Writes what waits; false: the other side is gone, or takes nothing. */
bool bench_world_write(cmt_conn *conn, int fd);

#endif
