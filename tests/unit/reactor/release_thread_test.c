/* SPDX-License-Identifier: Apache-2.0 */

/* A release that takes a lock of the application, which other threads hold
   while they call the library.  Over real sockets; wherever one waited for the
   other the test would never end. */

#include "sockets.h"

#include "peer/peer.h"

#include <sched.h>
#include <stdlib.h>

enum {
  CHANNEL = 7,
  LEN = 4 << 20, /* More than the kernel buffers for one that does not read. */
  ROUNDS = 10,
};

static const uint8_t bytes[LEN];

/* The lock of the application. */
static pthread_mutex_t app = PTHREAD_MUTEX_INITIALIZER;
static size_t app_released; /* Under it. */

static void on_release(void *arg) {
  (void)arg;
  pthread_mutex_lock(&app);
  app_released++;
  pthread_mutex_unlock(&app);
}

static size_t released(void) {
  size_t count;

  pthread_mutex_lock(&app);
  count = app_released;
  pthread_mutex_unlock(&app);
  return count;
}

static cmt_buf *adopted(size_t len) {
  cmt_buf *b = cmt_buf_adopt(NULL, (cmt_bytes){.base = bytes, .len = len},
                             on_release, NULL);

  assert_non_null(b);
  return b;
}

typedef struct side {
  cmt_channel channel;
  cmt_reactor reactor;
  cmt_switch_options options;
  cmt_switch *sw;
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  test_watch watch;
  unsigned added, removed;
  bool deaf;
} side;

static void on_add(void *self, cmt_peer *p) {
  side *s = self;

  if (s->deaf) {
    cmt_peer_pause(p);
  }
  test_bump(&s->watch, &s->added);
}

static void on_remove(void *self, cmt_peer *p, cmt_err reason) {
  side *s = self;

  (void)p;
  (void)reason;
  test_bump(&s->watch, &s->removed);
}

static void side_start(side *s) {
  test_watch_init(&s->watch);
  s->channel = (cmt_channel){.id = CHANNEL, .priority = 1, .send_queue = 3};
  s->reactor = (cmt_reactor){.name = "test",
                             .channels = &s->channel,
                             .channel_count = 1,
                             .self = s,
                             .add_peer = on_add,
                             .remove_peer = on_remove};
  test_switch_options(&s->options, &s->reactor);
  test_switch_start(&s->options, &s->sw, s->addr);
}

static void side_end(side *s) {
  assert_cmt(CMT_OK, cmt_switch_delete(s->sw));
  assert_int_equal(s->added, s->removed);
  test_watch_fini(&s->watch);
}

typedef struct pair {
  side a, b; /* A sends, b hangs up. */
  unsigned rounds;
} pair;

static int setup(void **state) {
  pair *x = calloc(1, sizeof *x);

  assert_non_null(x);
  app_released = 0;
  x->b.deaf = true;
  side_start(&x->a);
  side_start(&x->b);
  *state = x;
  return 0;
}

static int teardown(void **state) {
  pair *x = *state;

  side_end(&x->a);
  side_end(&x->b);
  free(x);
  return 0;
}

static void meet(pair *x) {
  x->rounds++;
  assert_cmt(CMT_OK, cmt_switch_dial(x->a.sw, x->b.addr, 0, NULL));
  test_await(&x->a.watch, &x->a.added, x->rounds);
  test_await(&x->b.watch, &x->b.added, x->rounds);
}

static cmt_peer *peer_of(side *s) {
  cmt_peer *p = NULL;

  assert_int_equal(1, cmt_switch_peers(s->sw, &p, 1));
  return p;
}

static void hang_up(pair *x) {
  cmt_peer *p = peer_of(&x->b);

  cmt_peer_stop(p, CMT_ECANCELED, 0);
  cmt_peer_unref(p);
}

/* ---- a thread that calls while it holds the lock ---- */

typedef struct caller {
  cmt_switch *sw;
  cmt_peer *peer;
  pthread_t thread;
  size_t sent;
  cmt_err err;
} caller;

/* Sends, and asks for all there is, until the peer is gone. */
static void *call_until_it_is_gone(void *arg) {
  caller *c = arg;
  cmt_switch_status switch_status;
  cmt_peer_status status;

  while (c->err != CMT_ECLOSED) {
    cmt_buf *msg;

    pthread_mutex_lock(&app);
    msg = adopted(LEN);
    c->err = cmt_peer_try_send(c->peer, CHANNEL, msg);
    c->sent += c->err == CMT_OK;
    cmt_peer_get_status(c->peer, &status);
    cmt_switch_get_status(c->sw, &switch_status);
    (void)cmt_peer_value(c->peer, "key");
    (void)cmt_switch_peers(c->sw, NULL, 0);
    (void)cmt_switch_broadcast_bytes(c->sw, CHANNEL, "all", 3, NULL);
    pthread_mutex_unlock(&app);
    if (c->err != CMT_OK) {
      cmt_buf_unref(msg); /* Takes the lock itself. */
    }
    sched_yield();
  }
  return NULL;
}

static void a_release_may_wait_for_a_thread_that_calls(void **state) {
  pair *x = *state;

  for (unsigned i = 0; i < ROUNDS; i++) {
    caller c = {.sw = x->a.sw};

    meet(x);
    c.peer = peer_of(&x->a);
    for (int k = 0; k < 3; k++) {
      assert_cmt(CMT_OK, cmt_peer_try_send(c.peer, CHANNEL, adopted(LEN)));
    }
    assert_int_equal(
      0, pthread_create(&c.thread, NULL, call_until_it_is_gone, &c));
    hang_up(x);
    pthread_join(c.thread, NULL);
    test_await(&x->a.watch, &x->a.removed, x->rounds);
    test_await(&x->b.watch, &x->b.removed, x->rounds);
    cmt_peer_unref(c.peer);
    assert_true(released() >= c.sent + 3);
  }
}

/* ---- a thread that waits for room while it holds the lock ---- */

static void *wait_for_room(void *arg) {
  caller *c = arg;
  cmt_buf *msg = cmt_buf_copy(NULL, "late", 4);

  pthread_mutex_lock(&app);
  c->err = cmt_peer_send(c->peer, CHANNEL, msg, CMT_NEVER);
  pthread_mutex_unlock(&app);
  if (c->err != CMT_OK) {
    cmt_buf_unref(msg);
  }
  return NULL;
}

static bool somebody_waits(cmt_peer *p) {
  bool waits;

  pthread_mutex_lock(&p->send_queue.lock);
  waits = p->send_queue.waits != NULL && p->send_queue.waits[0].first != NULL;
  pthread_mutex_unlock(&p->send_queue.lock);
  return waits;
}

static void fill(cmt_peer *p) {
  cmt_err err = CMT_OK;

  while (err == CMT_OK) {
    cmt_buf *msg = adopted(LEN);

    err = cmt_peer_try_send(p, CHANNEL, msg);
    if (err != CMT_OK) {
      cmt_buf_unref(msg);
    }
  }
}

/* The end of the peer answers it before anything is let go. */
static void a_release_may_wait_for_a_thread_that_waits_for_room(void **state) {
  pair *x = *state;
  caller c = {.sw = x->a.sw};

  meet(x);
  c.peer = peer_of(&x->a);
  fill(c.peer);
  assert_int_equal(0, pthread_create(&c.thread, NULL, wait_for_room, &c));
  while (!somebody_waits(c.peer)) {
    sched_yield();
  }
  hang_up(x);
  pthread_join(c.thread, NULL);
  assert_cmt(CMT_ECLOSED, c.err);
  test_await(&x->a.watch, &x->a.removed, 1);
  test_await(&x->b.watch, &x->b.removed, 1);
  cmt_peer_unref(c.peer);
}

/* ---- the destructor of a value ---- */

static void *replace_values(void *arg) {
  caller *c = arg;

  while (c->sent++ < 200) {
    pthread_mutex_lock(&app);
    (void)cmt_peer_value(c->peer, "key");
    cmt_peer_unref(cmt_peer_ref(c->peer));
    pthread_mutex_unlock(&app);
    assert_cmt(CMT_OK, cmt_peer_set_value(c->peer, "key", c, on_release));
  }
  return NULL;
}

static void so_may_the_destructor_of_a_value(void **state) {
  pair *x = *state;
  caller c[2] = {{.sw = x->a.sw}, {.sw = x->a.sw}};
  cmt_peer *p;

  meet(x);
  p = peer_of(&x->a);
  for (int i = 0; i < 2; i++) {
    c[i].peer = p;
    assert_int_equal(0,
                     pthread_create(&c[i].thread, NULL, replace_values, &c[i]));
  }
  for (int i = 0; i < 2; i++) {
    pthread_join(c[i].thread, NULL);
  }
  assert_int_equal(2 * 200 - 1, released());
  cmt_peer_unref(p);
  hang_up(x);
  test_await(&x->a.watch, &x->a.removed, 1);
  test_await(&x->b.watch, &x->b.removed, 1);
}

#define PAIR_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    PAIR_TEST(a_release_may_wait_for_a_thread_that_calls),
    PAIR_TEST(a_release_may_wait_for_a_thread_that_waits_for_room),
    PAIR_TEST(so_may_the_destructor_of_a_value),
  };

  return cmocka_run_group_tests_name("release_thread", tests, NULL, NULL);
}
