/* SPDX-License-Identifier: Apache-2.0 */
#include "sockets.h"

#include <time.h>

void test_switch_options(cmt_switch_options *o, const cmt_reactor *r) {
  cmt_switch_options_init(o);
  o->network = "test-net";
  o->laddr = "127.0.0.1:0";
  o->reactors = r;
  o->reactor_count = 1;
  o->loops = test_loops();
  o->dial_timeout_ns = CMT_SECONDS(TEST_WAIT_S);
  o->handshake_timeout_ns = CMT_SECONDS(TEST_WAIT_S);
}

void test_switch_start(const cmt_switch_options *o, cmt_switch **sw,
                       char *addr) {
  cmt_net_addr at;

  assert_cmt(CMT_OK, cmt_switch_new(o, sw, NULL));
  assert_cmt(CMT_OK, cmt_switch_start(*sw, NULL));
  assert_cmt(CMT_OK, cmt_switch_get_laddr(*sw, &at));
  assert_cmt(CMT_OK, cmt_net_addr_format(&at, addr, CMT_NET_ADDR_TEXT_SIZE));
}

void test_watch_init(test_watch *w) {
  assert_int_equal(0, pthread_mutex_init(&w->lock, NULL));
  assert_int_equal(0, pthread_cond_init(&w->cond, NULL));
}

void test_watch_fini(test_watch *w) {
  pthread_cond_destroy(&w->cond);
  pthread_mutex_destroy(&w->lock);
}

void test_watch_lock(test_watch *w) { pthread_mutex_lock(&w->lock); }

void test_watch_unlock(test_watch *w) {
  pthread_cond_broadcast(&w->cond);
  pthread_mutex_unlock(&w->lock);
}

void test_bump(test_watch *w, unsigned *counter) {
  test_watch_lock(w);
  ++*counter;
  test_watch_unlock(w);
}

unsigned test_counter(test_watch *w, const unsigned *counter) {
  unsigned value;

  pthread_mutex_lock(&w->lock);
  value = *counter;
  pthread_mutex_unlock(&w->lock);
  return value;
}

static time_t seconds_of(clockid_t clock) {
  struct timespec now;

  clock_gettime(clock, &now);
  return now.tv_sec;
}

/* What it asks for may change without a wake-up, as the status of a switch
   does, and the clock of a condition may be set: it looks each second. */
bool test_await_that(test_watch *w, bool (*holds)(void *arg), void *arg) {
  time_t end = seconds_of(CLOCK_MONOTONIC) + TEST_WAIT_S;
  bool done = false;

  pthread_mutex_lock(&w->lock);
  while (!(done = holds(arg)) && seconds_of(CLOCK_MONOTONIC) < end) {
    const struct timespec at = {.tv_sec = seconds_of(CLOCK_REALTIME) + 2};

    (void)pthread_cond_timedwait(&w->cond, &w->lock, &at);
  }
  pthread_mutex_unlock(&w->lock);
  return done;
}

typedef struct goal {
  const unsigned *counter;
  unsigned count;
} goal;

static bool is_reached(void *arg) {
  const goal *g = arg;

  return *g->counter >= g->count;
}

void test_await(test_watch *w, const unsigned *counter, unsigned count) {
  goal g = {counter, count};

  if (!test_await_that(w, is_reached, &g)) {
    fail_msg("%u after %d s, expected %u", test_counter(w, counter),
             TEST_WAIT_S, count);
  }
}
