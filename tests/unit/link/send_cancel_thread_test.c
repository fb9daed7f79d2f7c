/* SPDX-License-Identifier: Apache-2.0 */

/* Sends that threads cancel while the loops of two real switches are at work:
   each has one outcome, and no callback comes after it. */

#include "sockets.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { CHANNEL = 0x33, SENDERS = 3, ROUNDS = 400, LEN = 2000 };

typedef struct side {
  cmt_switch *sw;
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  test_watch watch;
  unsigned added, received;
} side;

typedef struct pair {
  side a, b;
  cmt_peer *peer; /* The peer of |a|. */
} pair;

static void on_add(void *self, cmt_peer *p) {
  (void)p;
  test_bump(&((side *)self)->watch, &((side *)self)->added);
}

static cmt_err on_receive(void *self, cmt_peer *p, uint8_t channel,
                          cmt_buf *msg) {
  (void)p;
  (void)channel;
  (void)msg;
  test_bump(&((side *)self)->watch, &((side *)self)->received);
  return CMT_OK;
}

static void side_start(side *s) {
  static const cmt_channel channel = {
    .id = CHANNEL, .priority = 1, .send_queue = 2};
  cmt_reactor reactor = {.name = "test",
                         .channels = &channel,
                         .channel_count = 1,
                         .self = s,
                         .add_peer = on_add,
                         .receive = on_receive};
  cmt_switch_options o;

  test_watch_init(&s->watch);
  test_switch_options(&o, &reactor);
  test_switch_start(&o, &s->sw, s->addr);
}

static pair *pair_new(void) {
  pair *x = calloc(1, sizeof *x);

  assert_non_null(x);
  side_start(&x->a);
  side_start(&x->b);
  assert_cmt(CMT_OK, cmt_switch_dial(x->a.sw, x->b.addr, 0, NULL));
  test_await(&x->a.watch, &x->a.added, 1);
  test_await(&x->b.watch, &x->b.added, 1);
  assert_int_equal(1, cmt_switch_peers(x->a.sw, &x->peer, 1));
  return x;
}

static void pair_end(pair *x) {
  cmt_peer_unref(x->peer);
  assert_cmt(CMT_OK, cmt_switch_delete(x->a.sw));
  assert_cmt(CMT_OK, cmt_switch_delete(x->b.sw));
  test_watch_fini(&x->a.watch);
  test_watch_fini(&x->b.watch);
  free(x);
}

/* One at a time; what it knows of its send is its own between two of them. */
typedef struct sender {
  pair *x;
  uint32_t draw;
  cmt_send_req req;
  atomic_uint calls;
  atomic_int status;
  unsigned queued, withdrawn, closed, wrong;
} sender;

static void on_sent(void *arg, cmt_err status, cmt_buf *msg) {
  sender *s = arg;

  atomic_store(&s->status, (int)status);
  sched_yield(); /* So that a cancel finds it running. */
  atomic_fetch_add(&s->calls, 1);
  cmt_buf_unref(msg);
}

/* The callback has begun; returns when it is over. */
static void sender_await(sender *s, cmt_err err) {
  while (err == CMT_EBUSY) {
    sched_yield();
    err = cmt_peer_send_cancel(s->x->peer, &s->req);
  }
  s->wrong += err != CMT_EINVAL || atomic_load(&s->calls) != 1;
  s->queued += atomic_load(&s->status) == CMT_OK;
  s->closed += atomic_load(&s->status) == CMT_ECLOSED;
}

static void sender_cancel(sender *s, cmt_buf *msg) {
  cmt_err err = cmt_peer_send_cancel(s->x->peer, &s->req);

  if (err == CMT_OK || err == CMT_EALREADY) {
    s->wrong += s->req.msg != (err == CMT_OK ? msg : NULL);
    s->withdrawn += err == CMT_OK;
    s->queued += err == CMT_EALREADY;
    cmt_buf_unref(s->req.msg);
    s->wrong += atomic_load(&s->calls) != 0;
  } else {
    sender_await(s, err);
  }
  /* The memory is free for anything. */
  memset(&s->req, 0xa5, sizeof s->req);
}

static void *run_sender(void *arg) {
  sender *s = arg;

  for (int i = 0; i < ROUNDS; i++) {
    cmt_buf *msg = cmt_buf_new(NULL, LEN);

    memset(cmt_buf_data(msg), 0, LEN);
    s->req = (cmt_send_req)CMT_SEND_REQ(CMT_NEVER, on_sent, s);
    atomic_store(&s->calls, 0);
    if (cmt_peer_send_async(s->x->peer, CHANNEL, msg, &s->req) != CMT_OK) {
      s->closed++;
      cmt_buf_unref(msg);
      continue;
    }
    s->draw = s->draw * 1664525 + 1013904223;
    for (uint32_t n = s->draw >> 16 & 7; n > 0; n--) {
      sched_yield();
    }
    sender_cancel(s, msg);
  }
  return NULL;
}

/* Returns how many messages were queued. */
static unsigned run_senders(pair *x, bool stops) {
  pthread_t threads[SENDERS];
  sender s[SENDERS];
  unsigned queued = 0;

  for (int i = 0; i < SENDERS; i++) {
    memset(&s[i], 0, sizeof s[i]);
    s[i].x = x;
    s[i].draw = (uint32_t)i;
    assert_int_equal(0, pthread_create(&threads[i], NULL, run_sender, &s[i]));
  }
  if (stops) {
    cmt_peer_stop(x->peer, CMT_ECANCELED, 0);
  }
  for (int i = 0; i < SENDERS; i++) {
    pthread_join(threads[i], NULL);
    assert_int_equal(0, s[i].wrong);
    assert_int_equal(ROUNDS, s[i].queued + s[i].withdrawn + s[i].closed);
    queued += s[i].queued;
  }
  return queued;
}

static void what_was_not_withdrawn_arrives(void **state) {
  pair *x = pair_new();
  unsigned queued = run_senders(x, false);

  (void)state;
  test_await(&x->b.watch, &x->b.received, queued);
  pair_end(x);
}

static void at_the_end_of_the_peer_each_has_one_outcome(void **state) {
  (void)state;
  for (int i = 0; i < 5; i++) {
    pair *x = pair_new();
    unsigned queued = run_senders(x, true);

    assert_true(test_counter(&x->b.watch, &x->b.received) <= queued);
    pair_end(x);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_was_not_withdrawn_arrives),
    cmocka_unit_test(at_the_end_of_the_peer_each_has_one_outcome),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
