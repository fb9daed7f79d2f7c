/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_STRANGERS_H
#define CMT_TEST_STRANGERS_H

/* A crowd that connects to a node of a loop double at a steady rate, sends a
   part of a handshake, and then nothing. */

#include "loop_double.h"
#include "node.h"

/* What each of them sends. */
typedef enum strangers_send {
  STRANGERS_NOTHING,
  STRANGERS_HALF_A_KEY,
  STRANGERS_A_KEY, /* A whole one, which costs the node its part. */
} strangers_send;

/* Where they come from. */
typedef enum strangers_from {
  STRANGERS_ONE_ADDRESS,
  STRANGERS_ONE_NETWORK,    /* Each from another address of a /24. */
  STRANGERS_ONE_V6_NETWORK, /* Each from another address of a /64. */
  STRANGERS_ANYWHERE,       /* Each from another /24, */
  STRANGERS_ANYWHERE_V6,    /* or /64. */
} strangers_from;

typedef struct stranger {
  struct strangers *crowd;
  cmt__tcp *tcp;
  bool ended;
} stranger;

typedef struct strangers {
  strangers_send say;
  strangers_from from;
  uint32_t a_second;
  test_loop *loop;
  cmt_net_addr to;
  uint8_t key[35]; /* The first message of a handshake. */
  stranger *list;
  size_t count, cap;
  uint64_t begin_ns;
} strangers;

/* At most |cap| come, from now on, as strangers_come() is called. */
void strangers_init(strangers *c, test_loop *loop, const char *addr,
                    size_t cap);
/* Lets all come that are due by now, in one go. */
void strangers_come(strangers *c);
/* How many are still connected. */
size_t strangers_left(const strangers *c);
void strangers_fini(strangers *c);

#endif
