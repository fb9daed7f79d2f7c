/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_LOOP_DOUBLE_H
#define CMT_TEST_LOOP_DOUBLE_H

/* A loop in memory with virtual time and a network of its own, for tests of
   what stands on the loop interface.  Any number of nodes may share one.
   Nothing in it is random, and time moves only when nothing else is to do.

   A node with several loops has several doubles, which share clock and network:
   the first, which all calls here are for, and those made beside it.  One
   thread runs them, an iteration of each after the other, in an order that may
   be drawn.

   Its objects come from the environment, so that running out of memory can be
   tried; bytes in flight do not, so that allocations can be counted. */

#include "net/loop.h"

typedef struct test_loop test_loop;

enum { TEST_DIALER, TEST_ACCEPTOR };

/* One direction of a connection: what a test may change, and what it did. */
typedef struct test_dir {
  size_t cap;      /* Bytes in flight; over it writes are short.  SIZE_MAX. */
  size_t read_max; /* Bytes of one on_read.  CMT__READ_MAX. */
  bool stalled;    /* Nothing arrives, nor its end. */
  size_t in_flight;
  size_t writes, reads; /* Calls. */
  uint64_t written, read;
  /* What the writing end learns of itself. */
  bool knows;
  cmt__tcp_info info;
  size_t asked; /* How often. */
  /* What it asked for. */
  size_t unsent_max, unsent_changes;
  uint64_t give_up_ns;
  char congestion[16];
} test_dir;

typedef struct test_conn {
  cmt_net_addr to, from; /* What was dialed, and by whom. */
  test_dir dir[2];       /* From TEST_DIALER, from TEST_ACCEPTOR. */
  bool open[2];          /* Its ends that are not closed. */
} test_conn;

/* Sees the bytes of each write, from side |from|, and may change them. */
typedef void (*test_tap)(void *arg, test_conn *conn, int from, uint8_t *data,
                         size_t len);

/* |env| NULL: the defaults.  Fails the test rather than return NULL. */
test_loop *test_loop_new(const cmt_env *env);
/* For the interface of loop.h; cmt__loop_delete() frees all. */
cmt__loop *test_loop_base(test_loop *l);

/* One more, which goes before |first| does. */
test_loop *test_loop_new_beside(test_loop *first);
/* From now on each step draws which loops have an iteration, and their
   order. */
void test_loop_draw(test_loop *first, uint64_t seed);

/* One iteration of each: posts, connections, due timers, tasks. */
void test_loop_step(test_loop *l);
/* An iteration of |l| alone, which may be any of them. */
void test_loop_step_one(test_loop *l);
/* Iterations until nothing is left to do at the present instant. */
void test_loop_run_until_idle(test_loop *l);
/* Lets |ns| pass in which no loop has an iteration, as when the process is
   stopped or, inside of a callback, when that takes so long. */
void test_loop_pass(test_loop *l, uint64_t ns);
/* Lets |ns| pass, with whatever falls due. */
void test_loop_advance(test_loop *l, uint64_t ns);
/* Runs until |done| returns true.  Time jumps to the next timer whenever
   nothing else is to do; the test fails when |limit_ns| passed or nothing is
   left. */
void test_loop_run_until(test_loop *l, bool (*done)(void *arg), void *arg,
                         uint64_t limit_ns);

/* The connections in the order of the calls that made them, kept until the
   loop goes; NULL past the last. */
size_t test_loop_conn_count(const test_loop *l);
test_conn *test_loop_conn(test_loop *l, size_t index);
/* What new connections start with. */
test_dir *test_loop_defaults(test_loop *l);
/* Resets both ends; bytes in flight are lost. */
void test_conn_cut(test_conn *conn);
void test_loop_tap(test_loop *l, test_tap tap, void *arg);

/* The outcome of later connects to |at|, "host:port"; CMT_OK undoes that,
   CMT_EAGAIN makes them wait as long as it stands. */
void test_loop_set_connect(test_loop *l, const char *at, cmt_err outcome);
/* The IP from which later connects come; 127.0.0.1 at first. */
void test_loop_set_source(test_loop *l, const char *ip);
/* The errno by which a congestion control other than "reno" is refused from now
   on; ENOENT at first. */
void test_loop_refuse_congestion(test_loop *l, int error);
/* The next |count| accepts fail for lack of descriptors. */
void test_loop_exhaust(test_loop *l, size_t count);

/* What can fail: calls of the interface, and what it reports them. */
typedef enum test_call {
  TEST_CALL_LISTEN,
  TEST_CALL_RESOLVE,
  TEST_CALL_ON_RESOLVED,
  TEST_CALL_CONNECT,
  TEST_CALL_ON_CONNECT,
  TEST_CALL_WRITE, /* And so do all later ones of the same end. */
  TEST_CALL_READ,  /* An on_end comes in place of the bytes. */
  TEST_CALL_ON_END,
  TEST_CALL_COUNT
} test_call;

/* How often |call| was made so far. */
size_t test_loop_calls(const test_loop *l, test_call call);
/* The call number |at| of its kind, from 0, fails with |err|; just before that
   |on_fault| is called with the end of a connection.  One at a time. */
void test_loop_fail(test_loop *l, test_call call, size_t at, cmt_err err);
void test_loop_on_fault(test_loop *l, void (*on_fault)(void *arg, int side),
                        void *arg);

/* What |host| resolves to from now on: IPs with commas between them; NULL or
   no such call: CMT_ERESOLVE. */
void test_loop_set_host(test_loop *l, const char *host, const char *ips);
/* How often a name, not a literal, was resolved. */
size_t test_loop_resolves(const test_loop *l);
/* Names that are looked up from now on have no answer at all. */
void test_loop_names_wait(test_loop *l);

/* Costly calls that a loop gives to its threads: an iteration begins with one
   of them.  |count| 0: no thread can be started, as by default. */
void test_loop_set_threads(test_loop *first, size_t count);
/* None of them is run while |on|. */
void test_loop_hold_calls(test_loop *first, bool on);
/* How many the threads of |l| have. */
size_t test_loop_calls_held(const test_loop *l);

#endif
