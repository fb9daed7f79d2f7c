/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_NODE_H
#define CMT_TEST_NODE_H

/* Nodes on a loop double: switches whose reactors write down what happens to
   them, one line each, so that a test compares whole stories. */

#include "loop_double.h"
#include "test.h"

#include "switch/switch.h"

enum { TEST_PARTS_MAX = 3, TEST_CHAT = 0x51, TEST_LOOPS_MAX = 4 };

/* Its switches have test_loops() loops each, and share them. */
typedef struct test_world {
  test_env env;
  test_loop *loop;
  test_loop *loops[TEST_LOOPS_MAX]; /* |loop| is the first. */
  unsigned loop_count;
} test_world;

typedef struct test_node test_node;

/* One reactor of a node. */
typedef struct test_part {
  test_node *node;
  const char *name;
  cmt_err start_err, init_err, receive_err;
  cmt_delivery delivery;
  size_t recv_queue_bytes_total;
  /* Called besides the line in the log; may be NULL. */
  void (*on_init)(struct test_part *part, cmt_peer *p);
  void (*on_add)(struct test_part *part, cmt_peer *p);
  void (*on_receive)(struct test_part *part, cmt_peer *p, uint8_t channel,
                     cmt_buf *msg);
  void (*on_remove)(struct test_part *part, cmt_peer *p);
  void *arg;
  cmt_channel channels[CMT_CHANNELS_MAX];
  size_t channel_count;
} test_part;

struct test_node {
  test_world *world;
  cmt_switch *sw;
  cmt_switch_options options;
  test_part parts[TEST_PARTS_MAX];
  size_t part_count;
  cmt_reactor reactors[TEST_PARTS_MAX];
  bool quiet; /* Messages are not written down. */
  char log[8192];
  size_t log_len;
  char taken[8192];
  char addr[CMT_NET_ADDR_TEXT_SIZE]; /* "ID@127.0.0.1:PORT", once started. */
  /* The text of the last rejection. */
  cmt_why why;
  char remote[CMT_NET_ADDR_TEXT_SIZE], dialed[CMT_NET_ADDR_TEXT_SIZE];
  cmt_node_id blamed; /* Empty: nobody had authenticated. */
};

void test_world_init(test_world *w);
/* As test_world_init(), with |loops| loops. */
void test_world_init_loops(test_world *w, unsigned loops);
void test_world_fini(test_world *w);
/* A switch on its loops. */
cmt_err test_world_switch(test_world *w, const cmt_switch_options *o,
                          cmt_switch **out, cmt_why *why);

/* One reactor, "chat", with the channel TEST_CHAT; listens on a free port. */
void test_node_init(test_node *n, test_world *w);
/* One more reactor, without channels. */
test_part *test_node_part(test_node *n, const char *name);
void test_part_channel(test_part *part, cmt_channel channel);
cmt_err test_node_new(test_node *n, cmt_why *why);
void test_node_start(test_node *n);
/* Dials and lets everything happen that can happen at this instant. */
void test_node_dial(test_node *n, const char *addr, unsigned flags);
/* The only peer of |n|, lent; fails without one. */
cmt_peer *test_node_peer(test_node *n);
/* How often |err| was the reason at |sw|. */
cmt_reason_counts test_reason(cmt_switch *sw, cmt_err err);
/* Sends |text| to the only peer. */
cmt_err test_node_send(test_node *n, uint8_t channel, const char *text);
/* What happened since the last call. */
const char *test_node_log(test_node *n);
/* Stops without a flush and deletes. */
void test_node_fini(test_node *n);

/* Two nodes, the first of which dialed the second; logs are empty. */
void test_pair(test_world *w, test_node *dialer, test_node *acceptor);

/* A fixture of up to three nodes; those that were made are stopped. */
typedef struct test_trio {
  test_world w;
  test_node a, b, c;
} test_trio;

int test_trio_setup(void **state);
int test_trio_teardown(void **state);

/* A wake-up of |peer| that comes as the post of a loop, cb
   test_wake_up_late(). */
typedef struct test_late_wake_up {
  cmt__post post;
  cmt_peer *peer;
} test_late_wake_up;
void test_wake_up_late(cmt__post *post);

#endif
