/* SPDX-License-Identifier: Apache-2.0 */

/* Peers that a reactor refuses after reactors that are not called inline had
   accepted them: nothing of them is left behind, however many come and however
   slow those reactors are. */

#include "hostile.h"
#include "sockets.h"

#include <stdlib.h>

/* ---- a crowd, on a loop double ---- */

enum {
  WAVES = 40,
  WAVE = 8, /* Ids that come at one time. */
};

typedef struct crowd {
  test_world w;
  test_env victim; /* What the victim allocates. */
  test_node n;
  hostile ids[WAVE];
  unsigned inits, removes; /* Calls of the first reactor. */
} crowd;

static void on_init(test_part *part, cmt_peer *p) {
  crowd *c = part->arg;

  (void)p;
  c->inits++;
}

static void on_remove(test_part *part, cmt_peer *p) {
  crowd *c = part->arg;

  (void)p;
  c->removes++;
}

static void crowd_init(crowd *c) {
  test_world_init(&c->w);
  test_env_init(&c->victim);
  c->victim.seed = 2;
  test_node_init(&c->n, &c->w);
  c->n.quiet = true;
  c->n.options.env = &c->victim.env;
  c->n.options.inbound_peers_max = 4;
  c->n.options.outbound_peers_max = CMT_NO_PEERS;
  c->n.options.handshakes_max = WAVE;
  c->n.options.send_bytes_max = 100000;
  c->n.options.recv_bytes_max = 100000;
  c->n.options.recv_bytes_total_max = 400000;
  c->n.parts[0].delivery = CMT_DELIVER_MAILBOX;
  c->n.parts[0].channels[0].recv_message_max = 10000;
  c->n.parts[0].recv_queue_bytes_total = 100000;
  c->n.parts[0].arg = c;
  c->n.parts[0].on_init = on_init;
  c->n.parts[0].on_remove = on_remove;
  test_node_part(&c->n, "filter")->init_err = CMT_EREACTOR;
  test_node_start(&c->n);
}

static void crowd_fini(crowd *c) {
  test_node_fini(&c->n);
  for (size_t i = 0; i < WAVE; i++) {
    hostile_fini(&c->ids[i]);
  }
  test_env_fini(&c->victim);
  test_world_fini(&c->w);
}

/* New ids, with node infos as long as they may be. */
static void a_wave(crowd *c) {
  for (size_t i = 0; i < WAVE; i++) {
    hostile_fini(&c->ids[i]);
    c->ids[i] = (hostile){.moniker = 10000};
    hostile_dial(&c->ids[i], c->w.loop, c->n.addr);
  }
  test_loop_run_until_idle(c->w.loop);
  test_loop_advance(c->w.loop, CMT_SECONDS(2));
  (void)test_node_log(&c->n);
}

static void a_crowd_of_refused_ids_leaves_nothing_behind(void **state) {
  crowd *c = calloc(1, sizeof *c);
  cmt_mailbox *m;
  cmt_mailbox_event ev;
  size_t before;

  (void)state;
  assert_non_null(c);
  crowd_init(c);
  m = cmt_switch_mailbox(c->n.sw, "chat");
  a_wave(c);
  before = c->victim.live_bytes;
  for (int i = 1; i < WAVES; i++) {
    a_wave(c);
    assert_int_equal(before, c->victim.live_bytes);
    assert_true(c->victim.peak_bytes <= cmt_switch_memory_max(c->n.sw));
  }
  assert_int_equal(WAVES * WAVE, c->inits);
  assert_int_equal(WAVES * WAVE, c->removes);
  assert_cmt(CMT_ETIMEDOUT, cmt_mailbox_next(m, &ev, 0));
  crowd_fini(c);
  free(c);
}

/* ---- threads, over real sockets ---- */

enum { DIALS = 20 };

typedef struct slow {
  test_watch watch;
  unsigned inits, removes, filtered;
  unsigned dialed;    /* Connections that the dialer has lost again. */
  unsigned elsewhere; /* Calls that were not on a loop. */
  cmt_switch *sw;
  char addr[CMT_NET_ADDR_TEXT_SIZE];
} slow;

static void note_loop(slow *s, unsigned *counter) {
  test_watch_lock(&s->watch);
  ++*counter;
  s->elsewhere += !cmt__thread_is_loop();
  test_watch_unlock(&s->watch);
}

static cmt_err slow_init(void *self, cmt_peer *p) {
  slow *s = self;

  (void)p;
  note_loop(s, &s->inits);
  return CMT_OK;
}

static void slow_remove(void *self, cmt_peer *p, cmt_err reason) {
  slow *s = self;

  (void)p;
  assert_cmt(CMT_EREACTOR, reason);
  note_loop(s, &s->removes);
}

static void never_add(void *self, cmt_peer *p) {
  (void)self;
  (void)p;
  fail_msg("a refused peer was added");
}

static void never_remove(void *self, cmt_peer *p, cmt_err reason) {
  (void)self;
  (void)p;
  (void)reason;
  fail_msg("a reactor without an init_peer heard of a refused peer");
}

static cmt_err filter_init(void *self, cmt_peer *p) {
  slow *s = self;

  test_bump(&s->watch, &s->filtered);
  return cmt_peer_explain(p, CMT_EREACTOR, "not on the list");
}

static void on_lost(void *self, cmt_peer *p, cmt_err reason) {
  slow *s = self;

  (void)p;
  (void)reason;
  test_bump(&s->watch, &s->dialed);
}

static void a_threaded_reactor_undoes_its_init_peer_on_the_loop(void **state) {
  slow s = {.sw = NULL};
  cmt_switch *dialer;
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  cmt_switch_options o;
  const cmt_reactor own = {.name = "own", .self = &s, .remove_peer = on_lost};
  const cmt_reactor reactors[] = {
    {.name = "slow",
     .delivery = CMT_DELIVER_WORKERS,
     .self = &s,
     .init_peer = slow_init,
     .add_peer = never_add,
     .remove_peer = slow_remove},
    {.name = "deaf",
     .delivery = CMT_DELIVER_WORKERS,
     .self = &s,
     .add_peer = never_add,
     .remove_peer = never_remove},
    {.name = "filter", .self = &s, .init_peer = filter_init},
  };

  (void)state;
  test_watch_init(&s.watch);
  test_switch_options(&o, &own);
  test_switch_start(&o, &dialer, addr);
  test_switch_options(&o, reactors);
  o.reactor_count = 3;
  test_switch_start(&o, &s.sw, s.addr);
  for (unsigned i = 1; i <= DIALS; i++) {
    assert_cmt(CMT_OK, cmt_switch_dial(dialer, s.addr, 0, NULL));
    test_await(&s.watch, &s.removes, i);
    test_await(&s.watch, &s.dialed, i);
  }
  assert_cmt(CMT_OK, cmt_switch_delete(dialer));
  assert_cmt(CMT_OK, cmt_switch_delete(s.sw));
  assert_int_equal(DIALS, s.inits);
  assert_int_equal(DIALS, s.removes);
  assert_int_equal(DIALS, s.filtered);
  assert_int_equal(0, s.elsewhere);
  test_watch_fini(&s.watch);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_crowd_of_refused_ids_leaves_nothing_behind),
    cmocka_unit_test(a_threaded_reactor_undoes_its_init_peer_on_the_loop),
  };

  return cmocka_run_group_tests_name("refused", tests, NULL, NULL);
}
