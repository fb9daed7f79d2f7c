/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_SOCKETS_H
#define CMT_TEST_SOCKETS_H

/* Switches over real sockets, and counters that their threads and the test
   share. */

#include "test.h"

#include <cometp2p/cometp2p.h>
#include <pthread.h>

/* How long anything is waited for: many times what it takes, since the machine
   may be busy. */
enum { TEST_WAIT_S = 300 };

/* A node of "test-net" with one reactor, to listen on a free port of 127.0.0.1;
   |o| borrows |r|.  It has test_loops() loops, and TEST_WAIT_S for each dial
   and each half of a handshake. */
void test_switch_options(cmt_switch_options *o, const cmt_reactor *r);
/* |*sw| is there before it starts.  |addr|, of CMT_NET_ADDR_TEXT_SIZE, gets
   what can be dialed. */
void test_switch_start(const cmt_switch_options *o, cmt_switch **sw,
                       char *addr);

/* The lock of some counters, and who waits for them. */
typedef struct test_watch {
  pthread_mutex_t lock;
  pthread_cond_t cond;
} test_watch;

#define TEST_WATCH_INITIALIZER                                                 \
  { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER }

void test_watch_init(test_watch *w);
void test_watch_fini(test_watch *w);
void test_watch_lock(test_watch *w);
/* Whoever waits looks again. */
void test_watch_unlock(test_watch *w);

/* Adds one to |*counter|. */
void test_bump(test_watch *w, unsigned *counter);
unsigned test_counter(test_watch *w, const unsigned *counter);
/* Waits until |*counter| is |count|; fails the test after TEST_WAIT_S. */
void test_await(test_watch *w, const unsigned *counter, unsigned count);
/* Waits until |holds| returns true, which is called under the lock; false: it
   does not after TEST_WAIT_S. */
bool test_await_that(test_watch *w, bool (*holds)(void *arg), void *arg);

#endif
