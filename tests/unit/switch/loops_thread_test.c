/* SPDX-License-Identifier: Apache-2.0 */

/* Switches with several loops on their own threads, over real sockets: one node
   in the middle with many peers.  What may run at the same time does, and what
   may not does not; ThreadSanitizer looks for the rest. */

#include "test.h"

#include "switch/switch.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
  LOOPS = 3,
  PEERS = 8,
  SENDERS = 4,
  MESSAGES = 500, /* Messages of each sender to each peer. */
  CHANNEL = 0x20,
  WAIT_S = 300,
};

static int threads_left =
  -1; /* How many can be started; below 0: any number. */

/* Calls of the library end up here. */
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
                          void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
                          void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
                          void *(*run)(void *), void *arg) {
  if (threads_left == 0) {
    return EAGAIN;
  }
  threads_left -= threads_left > 0;
  return __real_pthread_create(thread, attr, run, arg);
}

/* What a node keeps with a peer. */
typedef struct tie {
  atomic_int inside; /* Functions of the reactor that run for it. */
  uint32_t next[SENDERS];
  unsigned received;
} tie;

typedef struct node {
  cmt_switch *sw;
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  pthread_mutex_t lock;
  pthread_cond_t cond;
  /* Under the lock: */
  unsigned added, removed, received, rejected, stopped;
  unsigned meeting;     /* Calls of receive that wait for one another. */
  atomic_int changing;  /* init_peer, add_peer and remove_peer that run. */
  atomic_uint overlaps; /* Calls that ran at the same time as they may not. */
  atomic_uint disorder; /* Messages that came out of order. */
  atomic_uint not_refused; /* What would wait for a loop, on one. */
  bool meets;              /* receive waits until it runs for two peers. */
  bool blocks;             /* receive waits until |logged|. */
  bool logged;
  char line[200];
} node;

static void bump(node *n, unsigned *counter) {
  pthread_mutex_lock(&n->lock);
  ++*counter;
  pthread_cond_broadcast(&n->cond);
  pthread_mutex_unlock(&n->lock);
}

/* Waits under the lock. */
static void wait_until(node *n, const unsigned *counter, unsigned count) {
  struct timespec at;
  int error = 0;

  clock_gettime(CLOCK_REALTIME, &at);
  at.tv_sec += WAIT_S;
  while (*counter < count && error == 0) {
    error = pthread_cond_timedwait(&n->cond, &n->lock, &at);
  }
  if (error != 0) {
    fprintf(stderr, "# waited in vain for %u, found %u\n", count, *counter);
    abort();
  }
}

static void wait_for(node *n, const unsigned *counter, unsigned count) {
  pthread_mutex_lock(&n->lock);
  wait_until(n, counter, count);
  pthread_mutex_unlock(&n->lock);
}

/* ---- the reactor ---- */

static void enter(node *n, atomic_int *inside) {
  if (atomic_fetch_add(inside, 1) != 0) {
    atomic_fetch_add(&n->overlaps, 1);
  }
}

static void leave(atomic_int *inside) { atomic_fetch_sub(inside, 1); }

static cmt_err on_init(void *self, cmt_peer *p) {
  node *n = self;
  tie *t = calloc(1, sizeof *t);

  enter(n, &n->changing);
  if (t == NULL || cmt_peer_set_value(p, "tie", t, free) != CMT_OK) {
    abort();
  }
  leave(&n->changing);
  return CMT_OK;
}

static void on_add(void *self, cmt_peer *p) {
  node *n = self;
  tie *t = cmt_peer_value(p, "tie");

  enter(n, &n->changing);
  enter(n, &t->inside);
  leave(&t->inside);
  leave(&n->changing);
  bump(n, &n->added);
}

static void on_remove(void *self, cmt_peer *p, cmt_err reason) {
  node *n = self;
  tie *t = cmt_peer_value(p, "tie");

  (void)reason;
  enter(n, &n->changing);
  enter(n, &t->inside);
  leave(&t->inside);
  leave(&n->changing);
  bump(n, &n->removed);
}

/* Two loops are here at the same time, or the test fails. */
static void meet(node *n) {
  pthread_mutex_lock(&n->lock);
  n->meeting++;
  pthread_cond_broadcast(&n->cond);
  wait_until(n, &n->meeting, 2);
  pthread_mutex_unlock(&n->lock);
}

static void wait_for_the_log(node *n) {
  pthread_mutex_lock(&n->lock);
  n->meeting++;
  pthread_cond_broadcast(&n->cond);
  while (!n->logged) {
    pthread_cond_wait(&n->cond, &n->lock);
  }
  pthread_mutex_unlock(&n->lock);
}

static void try_blocking(node *n, cmt_peer *p) {
  if (cmt_switch_delete(n->sw) != CMT_EDEADLK ||
      cmt_peer_send_bytes(p, CHANNEL, "x", 1, CMT_SEND_TIMEOUT) !=
        CMT_EDEADLK) {
    atomic_fetch_add(&n->not_refused, 1);
  }
}

/* A message is {sender, number}. */
static cmt_err on_receive(void *self, cmt_peer *p, uint8_t channel,
                          cmt_buf *msg) {
  node *n = self;
  tie *t = cmt_peer_value(p, "tie");
  cmt_bytes b = cmt_buf_bytes(msg);

  (void)channel;
  enter(n, &t->inside);
  if (t->received++ == 0) {
    try_blocking(n, p);
  }
  if (n->meets) {
    meet(n);
  }
  if (n->blocks) {
    wait_for_the_log(n);
  }
  if (b.len >= 8 && t->next[cmt__load_le32(b.base) % SENDERS]++ !=
                      cmt__load_le32(b.base + 4)) {
    atomic_fetch_add(&n->disorder, 1);
  }
  leave(&t->inside);
  bump(n, &n->received);
  return CMT_OK;
}

static void on_stop(void *self) {
  node *n = self;

  bump(n, &n->stopped);
}

static void on_rejected(void *arg, const cmt_rejection *r) {
  node *n = arg;

  (void)r;
  bump(n, &n->rejected);
}

static void on_log(void *arg, cmt_log_level level, const char *module,
                   const char *line) {
  node *n = arg;

  (void)level;
  (void)module;
  pthread_mutex_lock(&n->lock);
  if (n->blocks && !n->logged && strstr(line, "to return") != NULL) {
    snprintf(n->line, sizeof n->line, "%s", line);
    n->logged = true;
    pthread_cond_broadcast(&n->cond);
  }
  pthread_mutex_unlock(&n->lock);
}

/* ---- nodes ---- */

static void node_start(node *n, unsigned loops) {
  static const cmt_channel channel = {
    .id = CHANNEL, .priority = 1, .send_queue = 20};
  cmt_reactor reactor = {.name = "test",
                         .channels = &channel,
                         .channel_count = 1,
                         .self = n,
                         .init_peer = on_init,
                         .add_peer = on_add,
                         .receive = on_receive,
                         .remove_peer = on_remove,
                         .stop = on_stop};
  cmt_switch_options o;
  cmt_net_addr at;
  cmt_env env;

  assert_cmt(CMT_OK, cmt_env_init(&env));
  env.log = on_log;
  env.log_arg = n;
  pthread_mutex_init(&n->lock, NULL);
  pthread_cond_init(&n->cond, NULL);
  cmt_switch_options_init(&o);
  o.env = &env;
  o.network = "test-net";
  o.laddr = "127.0.0.1:0";
  o.loops = loops;
  o.dial_timeout_ns = CMT_SECONDS(WAIT_S); /* The machine may be busy. */
  o.handshake_timeout_ns = CMT_SECONDS(WAIT_S);
  o.reactors = &reactor;
  o.reactor_count = 1;
  o.on_rejected = on_rejected;
  o.arg = n;
  assert_cmt(CMT_OK, cmt_switch_new(&o, &n->sw, NULL));
  assert_cmt(CMT_OK, cmt_switch_start(n->sw, NULL));
  assert_cmt(CMT_OK, cmt_switch_get_laddr(n->sw, &at));
  assert_cmt(CMT_OK, cmt_net_addr_format(&at, n->addr, sizeof n->addr));
}

static void node_end(node *n) {
  assert_cmt(CMT_OK, cmt_switch_delete(n->sw));
  assert_int_equal(n->added, n->removed);
  assert_int_equal(1, n->stopped);
  assert_int_equal(0, atomic_load(&n->overlaps));
  assert_int_equal(0, atomic_load(&n->disorder));
  assert_int_equal(0, atomic_load(&n->not_refused));
  pthread_cond_destroy(&n->cond);
  pthread_mutex_destroy(&n->lock);
}

/* |hub| has several loops, the others one each. */
typedef struct star {
  node hub, others[PEERS];
} star;

static star *star_new(void) {
  star *s = calloc(1, sizeof *s);

  assert_non_null(s);
  node_start(&s->hub, LOOPS);
  for (size_t i = 0; i < PEERS; i++) {
    node_start(&s->others[i], 1 + i % 2);
  }
  return s;
}

static void star_dial(star *s) {
  for (size_t i = 0; i < PEERS; i++) {
    assert_cmt(CMT_OK, cmt_switch_dial(s->others[i].sw, s->hub.addr, 0, NULL));
  }
}

static void star_meet(star *s) {
  star_dial(s);
  wait_for(&s->hub, &s->hub.added, PEERS);
  for (size_t i = 0; i < PEERS; i++) {
    wait_for(&s->others[i], &s->others[i].added, 1);
  }
}

static void star_end(star *s) {
  node_end(&s->hub);
  for (size_t i = 0; i < PEERS; i++) {
    node_end(&s->others[i]);
  }
  free(s);
}

/* ---- senders ---- */

typedef struct sender {
  pthread_t thread;
  cmt_peer **peers; /* 2 * PEERS: those of the hub, and the hub of each. */
  uint32_t number;
  unsigned stop_at; /* The round in which it ends a peer; 0: none. */
} sender;

/* False: the peer is gone. */
static bool send_number(cmt_peer *p, uint32_t sender_number, uint32_t i) {
  uint8_t bytes[2000] = {0};
  size_t len = i % 7 == 0 ? sizeof bytes : 8;

  cmt__store_le32(bytes, sender_number);
  cmt__store_le32(bytes + 4, i);
  return cmt_peer_send_bytes(p, CHANNEL, bytes, len, CMT_SECONDS(WAIT_S)) ==
         CMT_OK;
}

/* To every peer of the hub, and from each other node to the hub. */
static void *send_all(void *arg) {
  sender *x = arg;
  unsigned lost = 0;

  for (uint32_t i = 0; i < MESSAGES; i++) {
    for (size_t k = 0; k < 2 * PEERS; k++) {
      lost += !send_number(x->peers[k], x->number, i);
    }
    if (i == x->stop_at && i > 0) {
      cmt_peer_stop(x->peers[x->number], CMT_ECANCELED,
                    x->number % 2 * CMT_SECONDS(1));
    }
  }
  if (lost > 0 && x->stop_at == 0) {
    abort();
  }
  return NULL;
}

/* A sender may start late, when another one has ended a peer, so none of them
   looks for its peers itself. */
static void run_senders(star *s, bool stops) {
  sender list[SENDERS];
  cmt_peer *peers[2 * PEERS];

  assert_int_equal(PEERS, cmt_switch_peers(s->hub.sw, peers, PEERS));
  for (size_t i = 0; i < PEERS; i++) {
    assert_int_equal(1,
                     cmt_switch_peers(s->others[i].sw, &peers[PEERS + i], 1));
  }
  for (uint32_t i = 0; i < SENDERS; i++) {
    list[i] = (sender){.peers = peers,
                       .number = i,
                       .stop_at = stops ? MESSAGES / 3 + 20 * i : 0};
    assert_int_equal(0,
                     pthread_create(&list[i].thread, NULL, send_all, &list[i]));
  }
  for (size_t i = 0; i < SENDERS; i++) {
    pthread_join(list[i].thread, NULL);
  }
  for (size_t i = 0; i < 2 * PEERS; i++) {
    cmt_peer_unref(peers[i]);
  }
}

/* ---- tests ---- */

static void all_arrives_in_order(void **state) {
  star *s = star_new();

  (void)state;
  star_meet(s);
  run_senders(s, false);
  wait_for(&s->hub, &s->hub.received, PEERS * SENDERS * MESSAGES);
  for (size_t i = 0; i < PEERS; i++) {
    wait_for(&s->others[i], &s->others[i].received, SENDERS * MESSAGES);
  }
  star_end(s);
}

static void peers_may_be_stopped_in_the_middle(void **state) {
  star *s = star_new();

  (void)state;
  star_meet(s);
  run_senders(s, true);
  wait_for(&s->hub, &s->hub.removed, SENDERS);
  star_end(s);
}

static void receive_runs_for_two_peers_at_once(void **state) {
  star *s = star_new();

  (void)state;
  s->hub.meets = true;
  star_meet(s);
  for (size_t i = 0; i < PEERS; i++) {
    assert_cmt(CMT_OK, cmt_switch_broadcast_bytes(s->others[i].sw, CHANNEL,
                                                  "hello", 5, NULL));
  }
  wait_for(&s->hub, &s->hub.received, PEERS);
  star_end(s);
}

static void it_may_be_deleted_at_any_moment(void **state) {
  (void)state;
  for (int i = 0; i < 20; i++) {
    star *s = star_new();

    star_dial(s);
    for (int k = 0; k < i * 20; k++) {
      sched_yield();
    }
    (void)cmt_switch_broadcast_bytes(s->hub.sw, CHANNEL, "hello", 5, NULL);
    star_end(s);
  }
}

static void the_deletion_reports_of_a_reactor_on_any_loop(void **state) {
  node hub = {.blocks = true}, other = {.blocks = false};

  (void)state;
  node_start(&hub, LOOPS);
  node_start(&other, 1);
  hub.sw->report_ns = CMT_MILLISECONDS(1);
  assert_cmt(CMT_OK, cmt_switch_dial(other.sw, hub.addr, 0, NULL));
  wait_for(&other, &other.added, 1);
  assert_cmt(CMT_OK,
             cmt_switch_broadcast_bytes(other.sw, CHANNEL, "hello", 5, NULL));
  wait_for(&hub, &hub.meeting, 1);
  node_end(&hub);
  assert_string_equal("the deletion waits for test to return", hub.line);
  node_end(&other);
}

static void wants_loops(cmt_switch_options *o, const cmt_env *env,
                        unsigned loops) {
  cmt_switch_options_init(o);
  o->env = env;
  o->network = "test-net";
  o->loops = loops;
}

static void it_may_have_64_loops(void **state) {
  cmt_switch_options o;
  cmt_switch *s;

  (void)state;
  wants_loops(&o, NULL, CMT_LOOPS_MAX);
  assert_cmt(CMT_OK, cmt_switch_new(&o, &s, NULL));
  assert_cmt(CMT_OK, cmt_switch_start(s, NULL));
  assert_cmt(CMT_OK, cmt_switch_delete(s));
}

static void a_thread_that_cannot_start_ends_the_start(void **state) {
  (void)state;
  for (int left = 0; left < LOOPS; left++) {
    cmt_switch_options o;
    cmt_switch *s;
    cmt_why why;

    wants_loops(&o, NULL, LOOPS);
    assert_cmt(CMT_OK, cmt_switch_new(&o, &s, NULL));
    threads_left = left;
    assert_cmt(CMT_EIO, cmt_switch_start(s, &why));
    threads_left = -1;
    assert_non_null(strstr(why.text, "cannot start the thread of the loop: "));
    assert_cmt(CMT_OK, cmt_switch_delete(s));
  }
}

static cmt_err ignore_message(void *self, cmt_peer *p, uint8_t channel,
                              cmt_buf *msg) {
  (void)self;
  (void)p;
  (void)channel;
  (void)msg;
  return CMT_OK;
}

/* The workers start first, then the loops. */
static void a_worker_that_cannot_start_ends_the_start(void **state) {
  enum { WORKERS = 3 };
  static const cmt_channel channels[] = {{.id = 1}};
  const cmt_reactor reactor = {.name = "slow",
                               .channels = channels,
                               .channel_count = 1,
                               .receive = ignore_message,
                               .delivery = CMT_DELIVER_WORKERS,
                               .threads = WORKERS};

  (void)state;
  for (int left = 0; left <= WORKERS + LOOPS; left++) {
    cmt_switch_options o;
    cmt_switch *s;
    cmt_err err;
    cmt_why why;

    wants_loops(&o, NULL, LOOPS);
    o.reactors = &reactor;
    o.reactor_count = 1;
    assert_cmt(CMT_OK, cmt_switch_new(&o, &s, NULL));
    threads_left = left;
    err = cmt_switch_start(s, &why);
    threads_left = -1;
    assert_cmt(left < WORKERS + LOOPS ? CMT_EIO : CMT_OK, err);
    if (err != CMT_OK) {
      assert_non_null(strstr(
        why.text, left < WORKERS ? "cannot start a thread for a reactor: "
                                 : "cannot start the thread of the loop: "));
    }
    assert_cmt(CMT_OK, cmt_switch_delete(s));
  }
}

static void a_start_without_memory_leaves_nothing(void **state) {
  cmt_err err = CMT_ENOMEM;
  test_env env;

  (void)state;
  test_env_init(&env);
  for (size_t i = 0; err != CMT_OK; i++) {
    cmt_switch_options o;
    cmt_switch *s;

    wants_loops(&o, &env.env, LOOPS);
    env.fail_at = env.allocs + i;
    err = cmt_switch_new(&o, &s, NULL);
    if (err == CMT_OK) {
      err = cmt_switch_start(s, NULL);
      env.fail_at = SIZE_MAX;
      assert_cmt(CMT_OK, cmt_switch_delete(s));
    }
    assert_true(err == CMT_OK || err == CMT_ENOMEM);
  }
  test_env_fini(&env);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(all_arrives_in_order),
    cmocka_unit_test(peers_may_be_stopped_in_the_middle),
    cmocka_unit_test(receive_runs_for_two_peers_at_once),
    cmocka_unit_test(it_may_be_deleted_at_any_moment),
    cmocka_unit_test(the_deletion_reports_of_a_reactor_on_any_loop),
    cmocka_unit_test(it_may_have_64_loops),
    cmocka_unit_test(a_thread_that_cannot_start_ends_the_start),
    cmocka_unit_test(a_worker_that_cannot_start_ends_the_start),
    cmocka_unit_test(a_start_without_memory_leaves_nothing),
    TEST_SHORTAGE(a_start_without_memory_leaves_nothing),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
