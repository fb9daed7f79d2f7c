/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_HOSTILE_H
#define CMT_TEST_HOSTILE_H

/* A node on a simulated loop that can do the handshake and then sends whatever
   a test wants: half a node info, packets that never end, useless ones. */

#include "loop_double.h"
#include "loop_parts.h"
#include "node.h"

#include "packets.h"

#include <cometp2p/secret_conn.h>

typedef struct hostile {
  cmt__loop *loop;
  const cmt_env *env;
  cmt_node_key *key;
  cmt__tcp *tcp; /* NULL: not connected. */
  cmt_secret_conn *secret;
  bool mute;      /* It connects, and that is all. */
  bool deaf;      /* It reads nothing after the handshake. */
  size_t hold;    /* Last bytes of its node info that it does not send. */
  size_t moniker; /* Bytes of its moniker. */
  /* What its node info contains; NULL, or without a length: the test's own. */
  const char *network, *says_id;
  cmt_bytes channels;
  bool spoils;        /* One byte of what it seals. */
  test_bytes pending; /* What the socket has not accepted yet. */
  bool up;            /* Its part of the handshake is done. */
  bool ended;         /* The other side is gone. */
  uint64_t received;
} hostile;

/* Its memory comes from the environment of |loop|.  What it does may be set
   before the next iteration. */
void hostile_dial(hostile *h, test_loop *loop, const char *addr);
/* Without a socket it is not connected. */
void hostile_dial_on(hostile *h, cmt__loop *loop, const char *addr);
/* Closes the connection; it may dial again, with the same key. */
void hostile_hang_up(hostile *h);
/* All of it goes; it may dial again, with another key. */
void hostile_fini(hostile *h);

/* Frames with |data|, whole or in as many as it takes. */
void hostile_send(hostile *h, cmt_bytes data);
/* A msg packet with |len| bytes on |channel|. */
void hostile_packet(hostile *h, uint8_t channel, size_t len, bool eof);
void hostile_ping(hostile *h);

#endif
