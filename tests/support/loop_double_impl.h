/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_LOOP_DOUBLE_IMPL_H
#define CMT_TEST_LOOP_DOUBLE_IMPL_H

/* What the two files of the loop double have in common: the loop itself is in
   loop_double.c, its network in loop_double_net.c. */

#include "loop_double.h"
#include "loop_parts.h"

#include "test.h"

typedef struct net_conn net_conn;

typedef struct net_end {
  cmt__tcp base;
  net_conn *conn;
  int side;
  const cmt__tcp_callbacks *cbs;
  void *arg;
  bool connecting, reading, ended, want_write, shut, reset, closed;
  cmt_err write_err; /* The error of the write that was made to fail. */
  bool detached;     /* It is on no loop, or about to be. */
  cmt__task let_go;
  struct net_end *next_closed;
} net_end;

typedef struct net_pipe {
  test_bytes bytes; /* As many as |dir|.in_flight states. */
  bool eof;
} net_pipe;

typedef struct net_listener {
  cmt__listener base;
  cmt_net_addr at;
  cmt__accept_cb cb;
  void *arg;
  uint64_t dropped;
  unsigned taken; /* In this iteration. */
  bool closed;
  struct net_listener *next;
} net_listener;

struct net_conn {
  test_conn shown;
  net_pipe pipes[2];   /* By the side that writes. */
  net_end *ends[2];    /* NULL: closed, or not there yet. */
  net_listener *waits; /* For the accept of this one. */
};

typedef struct net_rule {
  char at[CMT_NET_ADDR_TEXT_SIZE];
  cmt_err outcome;
} net_rule;

typedef struct net_host {
  char name[256];
  char ips[512];
} net_host;

typedef struct net_fault {
  test_call call;
  size_t at;
  cmt_err err; /* CMT_OK: none. */
  void (*on_fault)(void *arg, int side);
  void *arg;
} net_fault;

struct test_loop {
  cmt__loop base;
  test_loop *first;  /* Whose network it is. */
  test_loop *beside; /* The next of those that share it. */
  uint64_t drawn;    /* State of the draw, in the first; 0: the order is that of
                        the list. */
  cmt__loop_ops ops;
  test_posts posts;
  cmt__costly *costly, **costly_last; /* What its threads have. */
  bool stop;                          /* Under the mutex of |posts|. */
  net_conn **conns;
  size_t conn_count;
  net_end *closed;
  net_listener *listeners; /* The newest first. */
  net_rule *rules;
  size_t rule_count;
  net_host *hosts;
  size_t host_count, resolves, exhausted;
  bool names_wait;
  size_t threads;   /* How many calls threads may have, in the first, */
  bool holds_calls; /* and whether they run none. */
  test_dir defaults;
  size_t calls[TEST_CALL_COUNT];
  net_fault fault;
  test_tap tap;
  void *tap_arg;
  char source[64];
  int refuses_congestion; /* The errno for all but "reno"; 0: ENOENT. */
  uint16_t next_port, next_listen_port;
  uint8_t buffer[CMT__READ_MAX];
};

/* The one that has the network of |l|. */
static inline test_loop *test_loop_of(cmt__loop *l) {
  return ((test_loop *)l)->first;
}

/* |l| itself. */
static inline test_loop *test_loop_own(cmt__loop *l) { return (test_loop *)l; }

/* An array with one more element, which is zeroed. */
void *test_more(void *items, size_t count, size_t item);

/* Counts a call; the error that it has to fail with, or CMT_OK. */
cmt_err test_loop_fault(test_loop *l, test_call call, int side);

/* Puts the functions of the network into |ops|. */
void test_net_ops(cmt__loop_ops *ops);
/* One iteration of all connections of |l|. */
void test_net_run(test_loop *l);
bool test_net_is_ready(const test_loop *l);
void test_net_free_closed(test_loop *l);
void test_net_fini(test_loop *l);

#endif
