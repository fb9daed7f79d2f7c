/* SPDX-License-Identifier: Apache-2.0 */

/* How peers and switches end: what was queued before a graceful stop arrives, a
   switch can be stopped from inside any function that it calls, and its
   deletion lasts no longer than it may. */

#include "node.h"
#include "sockets.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 300, CHANNELS = 3 };

/* ---- a graceful stop, in virtual time ---- */

typedef struct round {
  test_world w;
  test_node a, b;
  uint64_t drawn;
  size_t sent, received;
  uint32_t next[CHANNELS]; /* The number of the message that is to come. */
} round_;

static unsigned draw(round_ *r, unsigned below) {
  return (unsigned)test_below(&r->drawn, below);
}

static void on_message(test_part *part, cmt_peer *p, uint8_t channel,
                       cmt_buf *msg) {
  round_ *r = part->arg;

  (void)p;
  assert_int_equal(r->next[channel]++, cmt__load_le32(cmt_buf_bytes(msg).base));
  r->received++;
}

static void node_prepare(round_ *r, test_node *n) {
  test_node_init(n, &r->w);
  n->quiet = true;
  n->parts[0].channel_count = 0;
  for (uint8_t id = 0; id < CHANNELS; id++) {
    test_part_channel(
      &n->parts[0],
      (cmt_channel){.id = id, .priority = id + 1u, .send_queue = 20});
  }
}

/* Queues numbered messages of drawn sizes; returns how many. */
static size_t queue_messages(round_ *r, cmt_peer *p) {
  static uint8_t bytes[100000];
  uint32_t numbers[CHANNELS] = {0};
  size_t queued = 0, count = 1 + draw(r, 30);

  for (size_t i = 0; i < count; i++) {
    uint8_t id = (uint8_t)draw(r, CHANNELS);
    size_t len = 4 + draw(r, draw(r, 3) == 0 ? 99000 : 2000);

    cmt__store_le32(bytes, numbers[id]);
    if (cmt_peer_try_send_bytes(p, id, bytes, len) == CMT_OK) {
      numbers[id]++;
      queued++;
    }
  }
  return queued;
}

static void flood(round_ *r, cmt_peer *p) {
  static const uint8_t bytes[50000];

  for (unsigned i = draw(r, 20); i > 0; i--) {
    if (cmt_peer_try_send_bytes(p, (uint8_t)draw(r, CHANNELS), bytes,
                                sizeof bytes) != CMT_OK) {
      return;
    }
  }
}

static void stop_drawn(round_ *r, cmt_peer *p) {
  uint64_t flush_ns = CMT_SECONDS(30 + draw(r, 30));

  if (draw(r, 2) == 0) {
    cmt_peer_stop(p, CMT_ECANCELED, flush_ns);
  } else {
    cmt_switch_stop(r->a.sw, flush_ns);
  }
}

static bool is_gone(void *arg) {
  return cmt_switch_peers(((round_ *)arg)->b.sw, NULL, 0) == 0;
}

/* The network accepts little at a time, and now and then nothing. */
static void draw_network(round_ *r, test_conn *c) {
  for (int side = 0; side < 2; side++) {
    c->dir[side].stalled = draw(r, 3) == 0;
    c->dir[side].cap = draw(r, 3) == 0 ? 2000 + draw(r, 100000) : SIZE_MAX;
    c->dir[side].read_max = 1 + draw(r, CMT__READ_MAX);
  }
}

static void run_round(uint64_t seed) {
  round_ *r = calloc(1, sizeof *r);
  cmt_peer *p;
  test_conn *c;

  assert_non_null(r);
  r->drawn = seed;
  test_world_init(&r->w);
  node_prepare(r, &r->a);
  node_prepare(r, &r->b);
  r->b.parts[0].on_receive = on_message;
  r->b.parts[0].arg = r;
  test_pair(&r->w, &r->a, &r->b);
  c = test_loop_conn(r->w.loop, 0);
  p = test_node_peer(&r->a);
  if (draw(r, 2) == 0) {
    cmt_peer_pause(p); /* So that its input waits unread. */
  }
  draw_network(r, c);
  flood(r, test_node_peer(&r->b));
  for (unsigned i = draw(r, 5); i > 0; i--) {
    test_loop_step(r->w.loop);
  }
  r->sent = queue_messages(r, p);
  stop_drawn(r, p);
  for (unsigned i = 0; i < 40; i++) {
    draw_network(r, c);
    if (draw(r, 3) == 0) {
      test_loop_advance(r->w.loop, CMT_MILLISECONDS(draw(r, 20)));
    } else {
      test_loop_step(r->w.loop);
    }
    if (is_gone(r)) {
      break;
    }
    flood(r, test_node_peer(&r->b));
  }
  c->dir[0] = (test_dir){.cap = SIZE_MAX,
                         .read_max = CMT__READ_MAX,
                         .in_flight = c->dir[0].in_flight};
  c->dir[1] = (test_dir){.cap = SIZE_MAX,
                         .read_max = CMT__READ_MAX,
                         .in_flight = c->dir[1].in_flight};
  test_loop_run_until(r->w.loop, is_gone, r, CMT_SECONDS(30));
  assert_int_equal(r->sent, r->received);
  test_node_fini(&r->a);
  test_node_fini(&r->b);
  test_world_fini(&r->w);
  free(r);
}

static void what_was_queued_before_a_graceful_stop_arrives(void **state) {
  (void)state;
  for (test_seed = 1; test_seed <= ROUNDS; test_seed++) {
    run_round(test_seed);
  }
  test_seed = 0;
}

/* ---- the time that a switch may take ---- */

/* A has a peer that reads nothing and one that does not answer, a dial that is
   under way and one that waits. */
static void a_switch_finishes_within_its_flush(void **state) {
  static const uint64_t flushes_ms[] = {0, 1, 999, 1000, 5000};

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(flushes_ms); i++) {
    test_trio *t = NULL;
    test_conn *c;

    assert_int_equal(0, test_trio_setup((void **)&t));
    test_pair(&t->w, &t->a, &t->b);
    test_node_start(&t->c);
    test_node_dial(&t->c, t->a.addr, 0);
    c = test_loop_conn(t->w.loop, 0);
    c->dir[TEST_DIALER].cap = 0;
    c->dir[TEST_ACCEPTOR].stalled = true;
    (void)cmt_switch_broadcast_bytes(t->a.sw, TEST_CHAT, "stuck", 5, NULL);
    test_loop_conn(t->w.loop, 1)->dir[TEST_ACCEPTOR].stalled = true;
    cmt_peer_stop(test_node_peer(&t->c), CMT_ECANCELED, 0);
    test_loop_set_connect(t->w.loop, "1.2.3.4:1", CMT_EAGAIN);
    test_node_dial(&t->a, "00112233445566778899aabbccddeeff00112233@1.2.3.4:1",
                   CMT_DIAL_PERSISTENT);
    test_node_dial(&t->a, "ff112233445566778899aabbccddeeff00112233@9.9.9.9:1",
                   CMT_DIAL_PERSISTENT);
    cmt_switch_stop(t->a.sw, CMT_MILLISECONDS(flushes_ms[i]));
    test_loop_advance(t->w.loop, CMT_MILLISECONDS(flushes_ms[i]));
    test_loop_run_until_idle(t->w.loop);
    assert_true(cmt__switch_is_finished(t->a.sw));
    assert_int_equal(0, test_trio_teardown((void **)&t));
  }
}

/* ---- a stop from inside ---- */

typedef enum place {
  IN_START,
  IN_INIT,
  IN_ADD,
  IN_RECEIVE,
  IN_REMOVE,
  IN_STOP,
  IN_REJECTED,
  IN_SENT,
  PLACES,
} place;

static const char *const place_names[PLACES] = {
  "start",       "init_peer", "add_peer",    "receive",
  "remove_peer", "stop",      "on_rejected", "a send's callback"};

/* A node that stops itself, for good or with a flush, at one place. */
typedef struct stopper {
  cmt_switch *sw;
  place at;
  uint64_t flush_ns;
  bool deletes; /* It also tries to delete itself there. */
  cmt_send_req req;
  /* Under the lock: */
  unsigned calls[PLACES];
  /* What its loop called, until that ends: */
  unsigned inits, adds, removes;
  cmt_err delete_err; /* What the deletion returned there. */
} stopper;

static test_watch watch = TEST_WATCH_INITIALIZER;

static void at_place(stopper *s, place at) {
  if (s->at == at) {
    cmt_switch_stop(s->sw, s->flush_ns);
    s->delete_err = s->deletes ? cmt_switch_delete(s->sw) : CMT_OK;
  }
  test_bump(&watch, &s->calls[at]);
}

static cmt_err stopper_start(void *self, cmt_switch *sw) {
  ((stopper *)self)->sw = sw;
  at_place(self, IN_START);
  return CMT_OK;
}

static cmt_err stopper_init(void *self, cmt_peer *p) {
  (void)p;
  ((stopper *)self)->inits++;
  at_place(self, IN_INIT);
  return CMT_OK;
}

static void on_sent(void *arg, cmt_err status, cmt_buf *msg) {
  (void)status;
  cmt_buf_unref(msg);
  at_place(arg, IN_SENT);
}

static void stopper_add(void *self, cmt_peer *p) {
  stopper *s = self;
  cmt_buf *msg = cmt_buf_copy(NULL, "hello", 5);

  s->adds++;
  assert_non_null(msg);
  s->req = (cmt_send_req)CMT_SEND_REQ(CMT_NEVER, on_sent, s);
  if (cmt_peer_send_async(p, TEST_CHAT, msg, &s->req) != CMT_OK) {
    cmt_buf_unref(msg);
  }
  at_place(s, IN_ADD);
}

static cmt_err stopper_receive(void *self, cmt_peer *p, uint8_t channel,
                               cmt_buf *msg) {
  (void)p;
  (void)channel;
  (void)msg;
  at_place(self, IN_RECEIVE);
  return CMT_OK;
}

static void stopper_remove(void *self, cmt_peer *p, cmt_err reason) {
  (void)p;
  (void)reason;
  ((stopper *)self)->removes++;
  at_place(self, IN_REMOVE);
}

static void stopper_stop(void *self) { at_place(self, IN_STOP); }

static void stopper_rejected(void *arg, const cmt_rejection *r) {
  (void)r;
  at_place(arg, IN_REJECTED);
}

static void stopper_new(stopper *s, test_world *w, char *addr) {
  static const cmt_channel channel = {.id = TEST_CHAT, .priority = 1};
  cmt_reactor reactor = {.name = "stopper",
                         .channels = &channel,
                         .channel_count = 1,
                         .self = s,
                         .start = stopper_start,
                         .init_peer = stopper_init,
                         .add_peer = stopper_add,
                         .receive = stopper_receive,
                         .remove_peer = stopper_remove,
                         .stop = stopper_stop};
  cmt_switch_options o;
  cmt_net_addr at;

  test_switch_options(&o, &reactor);
  o.on_rejected = stopper_rejected;
  o.arg = s;
  assert_cmt(CMT_OK, w != NULL ? test_world_switch(w, &o, &s->sw, NULL)
                               : cmt_switch_new(&o, &s->sw, NULL));
  assert_cmt(CMT_OK, cmt_switch_start(s->sw, NULL));
  assert_cmt(CMT_OK, cmt_switch_get_laddr(s->sw, &at));
  assert_cmt(CMT_OK, cmt_net_addr_format(&at, addr, CMT_NET_ADDR_TEXT_SIZE));
}

/* Makes everything happen: an address that refuses, then the other node. */
static void stopper_dials(stopper *s, const char *addr) {
  cmt_err err = cmt_switch_dial(
    s->sw, "00112233445566778899aabbccddeeff00112233@127.0.0.1:1", 0, NULL);

  assert_true(err == CMT_OK || err == CMT_ECLOSED);
  err = cmt_switch_dial(s->sw, addr, 0, NULL);
  assert_true(err == CMT_OK || err == CMT_ECLOSED);
}

static void assert_balanced(const stopper *s) {
  assert_int_equal(1, s->calls[IN_START]);
  assert_int_equal(1, s->calls[IN_STOP]);
  assert_int_equal(s->inits, s->removes);
  assert_int_equal(s->adds, s->calls[IN_SENT]);
}

static void a_stop_from_inside_in_virtual_time(void **state) {
  (void)state;
  for (int i = 0; i < 2 * PLACES; i++) {
    stopper s = {.at = (place)(i / 2), .flush_ns = CMT_SECONDS(i % 2)};
    stopper other = {.at = PLACES};
    char addr[CMT_NET_ADDR_TEXT_SIZE], other_addr[CMT_NET_ADDR_TEXT_SIZE];
    test_world w;

    test_world_init(&w);
    stopper_new(&other, &w, other_addr);
    stopper_new(&s, &w, addr);
    stopper_dials(&s, other_addr);
    test_loop_run_until_idle(w.loop);
    if (s.at == IN_REMOVE || s.at == IN_STOP) {
      cmt_switch_stop(s.at == IN_REMOVE ? other.sw : s.sw, 0);
    }
    test_loop_advance(w.loop, s.flush_ns);
    if (!cmt__switch_is_finished(s.sw) || s.calls[s.at] == 0) {
      fail_msg("it goes on after a stop in %s", place_names[s.at]);
    }
    cmt_switch_stop(other.sw, 0);
    test_loop_run_until_idle(w.loop);
    assert_cmt(CMT_OK, cmt_switch_delete(s.sw));
    assert_cmt(CMT_OK, cmt_switch_delete(other.sw));
    assert_balanced(&s);
    assert_balanced(&other);
    test_world_fini(&w);
  }
}

static void a_stop_and_a_deletion_from_inside(void **state) {
  (void)state;
  for (int i = 0; i < 2 * PLACES; i++) {
    stopper s = {
      .at = (place)(i / 2), .flush_ns = CMT_SECONDS(i % 2), .deletes = true};
    stopper other = {.at = PLACES};
    char addr[CMT_NET_ADDR_TEXT_SIZE], other_addr[CMT_NET_ADDR_TEXT_SIZE];

    stopper_new(&other, NULL, other_addr);
    stopper_new(&s, NULL, addr);
    stopper_dials(&s, other_addr);
    if (s.at == IN_REMOVE) {
      test_await(&watch, &s.calls[IN_ADD], 1);
      cmt_switch_stop(other.sw, 0);
    } else if (s.at == IN_STOP) {
      cmt_switch_stop(s.sw, 0);
    }
    test_await(&watch, &s.calls[s.at], 1);
    assert_cmt(CMT_OK, cmt_switch_delete(s.sw));
    assert_cmt(CMT_EDEADLK, s.delete_err);
    assert_cmt(CMT_OK, cmt_switch_delete(other.sw));
    assert_balanced(&s);
    assert_balanced(&other);
  }
}

/* ---- a graceful stop over real sockets, with input that nobody reads ---- */

enum { SOCKET_ROUNDS = 50, LARGE = 100000 };

typedef struct speaker {
  cmt_switch *sw;
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  bool pauses; /* It reads nothing of its peers. */
  /* Under the lock: */
  unsigned added, removed, received;
} speaker;

static void speaker_add(void *self, cmt_peer *p) {
  speaker *s = self;

  if (s->pauses) {
    cmt_peer_pause(p);
  }
  test_bump(&watch, &s->added);
}

static cmt_err speaker_receive(void *self, cmt_peer *p, uint8_t channel,
                               cmt_buf *msg) {
  (void)p;
  (void)channel;
  (void)msg;
  test_bump(&watch, &((speaker *)self)->received);
  return CMT_OK;
}

static void speaker_remove(void *self, cmt_peer *p, cmt_err reason) {
  (void)p;
  (void)reason;
  test_bump(&watch, &((speaker *)self)->removed);
}

static void speaker_start(speaker *s) {
  static const cmt_channel channel = {
    .id = TEST_CHAT, .priority = 1, .send_queue = 50};
  cmt_reactor reactor = {.name = "speaker",
                         .channels = &channel,
                         .channel_count = 1,
                         .self = s,
                         .add_peer = speaker_add,
                         .receive = speaker_receive,
                         .remove_peer = speaker_remove};
  cmt_switch_options o;

  test_switch_options(&o, &reactor);
  test_switch_start(&o, &s->sw, s->addr);
}

static cmt_peer *peer_of(speaker *s) {
  cmt_peer *p = NULL;

  assert_int_equal(1, cmt_switch_peers(s->sw, &p, 1));
  return p;
}

/* Queues up to |count| messages, as many as there is room for. */
static unsigned speak(speaker *s, unsigned count, size_t len) {
  static const uint8_t bytes[LARGE];
  cmt_peer *p = peer_of(s);
  unsigned queued = 0;

  while (queued < count &&
         cmt_peer_try_send_bytes(p, TEST_CHAT, bytes, len) == CMT_OK) {
    queued++;
  }
  cmt_peer_unref(p);
  return queued;
}

static void unread_input_destroys_no_last_words(void **state) {
  speaker a = {.pauses = true}, b = {.pauses = false};
  unsigned sent = 0;

  (void)state;
  speaker_start(&a);
  speaker_start(&b);
  for (unsigned i = 1; i <= SOCKET_ROUNDS; i++) {
    cmt_peer *p;

    assert_cmt(CMT_OK, cmt_switch_dial(a.sw, b.addr, 0, NULL));
    test_await(&watch, &a.added, i);
    test_await(&watch, &b.added, i);
    speak(&b, 50, LARGE);
    sent += speak(&a, i, i % 2 == 0 ? LARGE : 10);
    p = peer_of(&a);
    cmt_peer_stop(p, CMT_ECANCELED, CMT_SECONDS(TEST_WAIT_S));
    cmt_peer_unref(p);
    test_await(&watch, &b.removed, i);
    assert_int_equal(sent, test_counter(&watch, &b.received));
    test_await(&watch, &a.removed, i);
    while (cmt_switch_peers(a.sw, NULL, 0) > 0) {
      sched_yield();
    }
  }
  printf("# %u messages, the last before a stop each time\n", sent);
  assert_cmt(CMT_OK, cmt_switch_delete(a.sw));
  assert_cmt(CMT_OK, cmt_switch_delete(b.sw));
}

/* ---- questions while it starts ---- */

static void *ask(void *arg) {
  cmt_switch *sw = arg;
  cmt_net_addr at;

  while (cmt_switch_get_laddr(sw, &at) != CMT_OK) {
    cmt_switch_status status;

    cmt_switch_get_status(sw, &status);
    sched_yield();
  }
  return (void *)(uintptr_t)at.port;
}

static void a_switch_can_be_asked_while_it_starts(void **state) {
  cmt_switch_options o;

  (void)state;
  cmt_switch_options_init(&o);
  o.network = "test-net";
  o.laddr = "127.0.0.1:0";
  o.loops = test_loops();
  for (int i = 0; i < 20; i++) {
    cmt_switch *sw;
    cmt_net_addr at;
    pthread_t thread;
    void *port;

    assert_cmt(CMT_OK, cmt_switch_new(&o, &sw, NULL));
    assert_int_equal(0, pthread_create(&thread, NULL, ask, sw));
    assert_cmt(CMT_OK, cmt_switch_start(sw, NULL));
    assert_cmt(CMT_OK, cmt_switch_get_laddr(sw, &at));
    pthread_join(thread, &port);
    assert_int_equal(at.port, (uintptr_t)port);
    assert_cmt(CMT_OK, cmt_switch_delete(sw));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown(what_was_queued_before_a_graceful_stop_arrives,
                              test_print_seed),
    cmocka_unit_test(a_switch_finishes_within_its_flush),
    cmocka_unit_test(a_stop_from_inside_in_virtual_time),
    cmocka_unit_test(a_stop_and_a_deletion_from_inside),
    cmocka_unit_test(unread_input_destroys_no_last_words),
    cmocka_unit_test(a_switch_can_be_asked_while_it_starts),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
