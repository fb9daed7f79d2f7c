/* SPDX-License-Identifier: Apache-2.0 */

/* Two nodes that dial each other at the same moment, over and over: each time
   both end with exactly one peer, over the same connection, and no reactor is
   left with half of one.  The variable CMT_RACES states how often. */

#include "node.h"
#include "sockets.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { RACES = 100 };

static unsigned races(void) {
  const char *text = getenv("CMT_RACES");
  unsigned count = text != NULL ? (unsigned)strtoul(text, NULL, 10) : 0;

  return count > 0 ? count : RACES;
}

/* ---- in virtual time, with drawn delays ---- */

typedef struct race {
  test_world w;
  test_node a, b;
  uint64_t drawn;
  unsigned calm; /* Draws without a stall, in a hundred. */
} race;

static unsigned draw(race *r, unsigned below) {
  return (unsigned)test_below(&r->drawn, below);
}

/* Whatever is on its way waits for a moment, or goes on. */
static void draw_stalls(race *r) {
  for (size_t i = 0; i < test_loop_conn_count(r->w.loop); i++) {
    test_conn *c = test_loop_conn(r->w.loop, i);

    for (int side = 0; side < 2; side++) {
      c->dir[side].stalled = draw(r, 100) >= r->calm;
    }
  }
}

static void end_stalls(race *r) {
  for (size_t i = 0; i < test_loop_conn_count(r->w.loop); i++) {
    test_conn *c = test_loop_conn(r->w.loop, i);

    c->dir[TEST_DIALER].stalled = false;
    c->dir[TEST_ACCEPTOR].stalled = false;
  }
}

/* All that was begun has its outcome; |dials| is how many this side began. */
static bool is_decided(cmt_switch *sw, unsigned dials) {
  cmt_switch_status s;

  cmt_switch_get_status(sw, &s);
  return s.handshakes == 0 && s.added + s.rejected == dials + s.accepted &&
         s.added - s.removed == 1;
}

static bool both_are_idle(void *arg) {
  race *r = arg;

  return is_decided(r->a.sw, 1) && is_decided(r->b.sw, 1);
}

static void assert_node_hears(race *r, test_node *from, test_node *to) {
  (void)test_node_log(to);
  assert_cmt(CMT_OK, test_node_send(from, TEST_CHAT, "hello"));
  test_loop_run_until_idle(r->w.loop);
  assert_string_equal("receive chat 51 hello\n", test_node_log(to));
}

static void assert_balanced(test_node *n) {
  cmt_switch_status s;

  cmt_switch_stop(n->sw, 0);
  test_loop_run_until_idle(n->world->loop);
  cmt_switch_get_status(n->sw, &s);
  assert_int_equal(s.added, s.removed);
  assert_int_equal(0, s.handshakes);
  test_node_fini(n);
}

static unsigned raced, changed; /* Races with two connections; with a peer whose
                                   connection gave way to the other one. */

static void count_race(const race *r) {
  cmt_switch_status a, b;

  cmt_switch_get_status(r->a.sw, &a);
  cmt_switch_get_status(r->b.sw, &b);
  raced += test_loop_conn_count(r->w.loop) == 2;
  changed += a.removed + b.removed > 0;
}

static void run_drawn(uint64_t seed) {
  race *r = calloc(1, sizeof *r);
  unsigned later, steps;

  assert_non_null(r);
  test_world_init(&r->w);
  test_node_init(&r->a, &r->w);
  test_node_init(&r->b, &r->w);
  r->w.env.seed = seed;
  r->drawn = seed;
  r->calm = 20 + draw(r, 80);
  later = draw(r, 6);
  steps = 10 + draw(r, 40);
  test_node_start(&r->a);
  test_node_start(&r->b);
  assert_cmt(CMT_OK, cmt_switch_dial(r->a.sw, r->b.addr, 0, NULL));
  for (unsigned i = 0; i < steps; i++) {
    if (i == later) {
      assert_cmt(CMT_OK, cmt_switch_dial(r->b.sw, r->a.addr, 0, NULL));
    }
    draw_stalls(r);
    if (draw(r, 4) == 0) {
      test_loop_advance(r->w.loop, CMT_MILLISECONDS(draw(r, 200)));
    } else {
      test_loop_step(r->w.loop);
    }
  }
  end_stalls(r);
  test_loop_run_until(r->w.loop, both_are_idle, r, CMT_SECONDS(10));
  test_loop_run_until_idle(r->w.loop);
  count_race(r);
  assert_true(cmt_peer_is_outbound(test_node_peer(&r->a)) !=
              cmt_peer_is_outbound(test_node_peer(&r->b)));
  assert_node_hears(r, &r->a, &r->b);
  assert_node_hears(r, &r->b, &r->a);
  assert_balanced(&r->a);
  assert_balanced(&r->b);
  test_world_fini(&r->w);
  free(r);
}

static void drawn_delays(void **state) {
  unsigned count = races();

  (void)state;
  for (test_seed = 1; test_seed <= count; test_seed++) {
    run_drawn(test_seed);
  }
  test_seed = 0;
  printf("# of %u drawn races %u had two connections, in %u a peer changed its "
         "own\n",
         count, raced, changed);
  assert_true(raced > count / 2 && changed > 0);
}

/* ---- over real sockets ---- */

/* Pairs that run at one time.  With three loops a switch each pair has about
   thirty descriptors, of which a process has 1,024 by default. */
enum { PAIRS = 20 };

typedef struct side {
  cmt_switch *sw;
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  unsigned added, removed, rejected, received, stopped;
} side;

typedef struct pair {
  side a, b;
} pair;

/* Guards all that follows, and the counters of all sides. */
static test_watch watch = TEST_WATCH_INITIALIZER;

static void on_add(void *self, cmt_peer *p) {
  (void)p;
  test_bump(&watch, &((side *)self)->added);
}

static cmt_err on_receive(void *self, cmt_peer *p, uint8_t channel,
                          cmt_buf *msg) {
  (void)p;
  (void)channel;
  (void)msg;
  test_bump(&watch, &((side *)self)->received);
  return CMT_OK;
}

static void on_remove(void *self, cmt_peer *p, cmt_err reason) {
  (void)p;
  (void)reason;
  test_bump(&watch, &((side *)self)->removed);
}

static void on_stop(void *self) { test_bump(&watch, &((side *)self)->stopped); }

static void on_rejected(void *arg, const cmt_rejection *r) {
  (void)r;
  test_bump(&watch, &((side *)arg)->rejected);
}

static void side_start(side *s) {
  static const cmt_channel channel = {.id = TEST_CHAT, .priority = 1};
  cmt_reactor reactor = {.name = "chat",
                         .channels = &channel,
                         .channel_count = 1,
                         .self = s,
                         .add_peer = on_add,
                         .receive = on_receive,
                         .remove_peer = on_remove,
                         .stop = on_stop};
  cmt_switch_options o;

  memset(s, 0, sizeof *s);
  test_switch_options(&o, &reactor);
  o.on_rejected = on_rejected;
  o.arg = s;
  test_switch_start(&o, &s->sw, s->addr);
}

/* Whether |s| reported every outcome, once, and what it has is one peer. */
static bool side_is_idle(void *arg) {
  side *s = arg;

  return is_decided(s->sw, 1) && s->added - s->removed == 1;
}

static bool pair_is_idle(void *arg) {
  pair *x = arg;

  return side_is_idle(&x->a) && side_is_idle(&x->b);
}

/* One side may have decided before the other's choice reached it. */
static void pair_run_until_idle(pair *x) {
  if (!test_await_that(&watch, pair_is_idle, x)) {
    const side *s = side_is_idle(&x->a) ? &x->b : &x->a;

    fail_msg("added %u, removed %u, rejected %u, received %u", s->added,
             s->removed, s->rejected, s->received);
  }
}

static bool is_outbound(side *s) {
  cmt_peer *p = NULL;
  bool outbound;

  assert_int_equal(1, cmt_switch_peers(s->sw, &p, 1));
  outbound = cmt_peer_is_outbound(p);
  cmt_peer_unref(p);
  return outbound;
}

static void hears(side *from, side *to) {
  unsigned before = test_counter(&watch, &to->received);

  assert_cmt(CMT_OK,
             cmt_switch_broadcast_bytes(from->sw, TEST_CHAT, "hello", 5, NULL));
  test_await(&watch, &to->received, before + 1);
}

static void side_end(side *s) {
  assert_cmt(CMT_OK, cmt_switch_delete(s->sw));
  assert_int_equal(s->added, s->removed);
  assert_int_equal(1, s->stopped);
}

static void pair_check(pair *x) {
  pair_run_until_idle(x);
  assert_true(is_outbound(&x->a) != is_outbound(&x->b));
  hears(&x->a, &x->b);
  hears(&x->b, &x->a);
  assert_int_equal(1, cmt_switch_peers(x->a.sw, NULL, 0));
  assert_int_equal(1, cmt_switch_peers(x->b.sw, NULL, 0));
}

/* Returns how many of the pairs had two connections. */
static unsigned run_pairs(pair *list, unsigned count) {
  unsigned both = 0;

  for (unsigned i = 0; i < count; i++) {
    side_start(&list[i].a);
    side_start(&list[i].b);
  }
  for (unsigned i = 0; i < count; i++) {
    assert_cmt(CMT_OK, cmt_switch_dial(list[i].a.sw, list[i].b.addr, 0, NULL));
    assert_cmt(CMT_OK, cmt_switch_dial(list[i].b.sw, list[i].a.addr, 0, NULL));
  }
  for (unsigned i = 0; i < count; i++) {
    cmt_switch_status a, b;

    pair_check(&list[i]);
    cmt_switch_get_status(list[i].a.sw, &a);
    cmt_switch_get_status(list[i].b.sw, &b);
    both += a.accepted + b.accepted == 2;
  }
  for (unsigned i = 0; i < count; i++) {
    side_end(&list[i].a);
    side_end(&list[i].b);
  }
  return both;
}

static void real_loops(void **state) {
  static pair list[PAIRS];
  unsigned count = races(), both = 0;

  (void)state;
  for (unsigned done = 0; done < count; done += PAIRS) {
    both += run_pairs(list, (unsigned)cmt__min(PAIRS, count - done));
  }
  printf("# %u of %u races over sockets had two connections\n", both, count);
  assert_true(both > 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    {"nodes that dial each other, with drawn delays, keep one connection",
     drawn_delays, NULL, test_print_seed, NULL},
    {"nodes that dial each other over sockets keep one connection", real_loops,
     NULL, NULL, NULL},
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
