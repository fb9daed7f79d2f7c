/* SPDX-License-Identifier: Apache-2.0 */

/* What a slow reactor does to the other channels of a peer: nothing as long as
   the sender keeps to a window that fits the default queue; otherwise a full
   queue delays all of them, and the log says so once. */

#include "sockets.h"

#include "node.h"

#include <stdio.h>
#include <stdlib.h>

enum { VOTES = 0x52, WINDOW = 4 << 20 };

/* ---- with the defaults, over real sockets ---- */

/* The bulk of |s| has a thread that does not return; its votes are answered on
   the loop. */
typedef struct side {
  cmt_channel bulk, votes;
  cmt_reactor reactors[2];
  cmt_switch_options options;
  cmt_switch *sw;
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  test_watch watch;
  unsigned added, began, heard;
  bool blocked, answers;
} side;

static void on_add(void *self, cmt_peer *p) {
  side *s = self;

  (void)p;
  test_bump(&s->watch, &s->added);
}

static cmt_err on_bulk(void *self, cmt_peer *p, uint8_t channel, cmt_buf *msg) {
  side *s = self;

  (void)p;
  (void)channel;
  (void)msg;
  test_watch_lock(&s->watch);
  s->began++;
  pthread_cond_broadcast(&s->watch.cond);
  while (s->blocked) {
    pthread_cond_wait(&s->watch.cond, &s->watch.lock);
  }
  test_watch_unlock(&s->watch);
  return CMT_OK;
}

static cmt_err on_vote(void *self, cmt_peer *p, uint8_t channel, cmt_buf *msg) {
  side *s = self;

  (void)msg;
  if (s->answers) {
    assert_cmt(CMT_OK, cmt_peer_try_send_bytes(p, channel, "yes", 3));
  }
  test_bump(&s->watch, &s->heard);
  return CMT_OK;
}

static void side_start(side *s, cmt_delivery delivery) {
  test_watch_init(&s->watch);
  s->bulk = (cmt_channel){.id = TEST_CHAT, .priority = 1};
  s->votes =
    (cmt_channel){.id = VOTES, .priority = 1, .traffic = CMT_TRAFFIC_URGENT};
  s->reactors[0] = (cmt_reactor){.name = "bulk",
                                 .channels = &s->bulk,
                                 .channel_count = 1,
                                 .delivery = delivery,
                                 .self = s,
                                 .receive = on_bulk};
  s->reactors[1] = (cmt_reactor){.name = "votes",
                                 .channels = &s->votes,
                                 .channel_count = 1,
                                 .self = s,
                                 .add_peer = on_add,
                                 .receive = on_vote};
  test_switch_options(&s->options, s->reactors);
  s->options.reactor_count = 2;
  test_switch_start(&s->options, &s->sw, s->addr);
}

static void side_end(side *s) {
  test_watch_lock(&s->watch);
  s->blocked = false;
  test_watch_unlock(&s->watch);
  assert_cmt(CMT_OK, cmt_switch_delete(s->sw));
  test_watch_fini(&s->watch);
}

/* A whole window of bulk, then round trips of votes. */
static void try_window(size_t len) {
  side a = {.answers = false}, b = {.answers = true, .blocked = true};
  uint8_t *data = calloc(1, len);
  cmt_peer *p = NULL;

  assert_non_null(data);
  side_start(&a, CMT_DELIVER_INLINE);
  side_start(&b, CMT_DELIVER_WORKERS);
  assert_cmt(CMT_OK, cmt_switch_dial(a.sw, b.addr, 0, NULL));
  test_await(&a.watch, &a.added, 1);
  assert_int_equal(1, cmt_switch_peers(a.sw, &p, 1));
  for (size_t sent = 0; sent < WINDOW; sent += len) {
    assert_cmt(CMT_OK, cmt_peer_send_bytes(p, TEST_CHAT, data, len,
                                           CMT_SECONDS(TEST_WAIT_S)));
  }
  test_await(&b.watch, &b.began, 1);
  for (unsigned i = 1; i <= 50; i++) {
    assert_cmt(CMT_OK, cmt_peer_try_send_bytes(p, VOTES, "vote", 4));
    test_await(&a.watch, &a.heard, i);
  }
  assert_int_equal(1, b.began);
  cmt_peer_unref(p);
  side_end(&a);
  side_end(&b);
  free(data);
}

static void by_default_a_window_of_bulk_delays_no_vote(void **state) {
  static const size_t lens[] = {420, 1024, 1025, 65536, 65537, WINDOW};

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(lens); i++) {
    try_window(lens[i]);
  }
}

/* ---- the log, on a loop double ---- */

typedef struct fixture {
  test_trio t;
  unsigned lines;
  char line[512];
} fixture;

static void on_log(void *arg, cmt_log_level level, const char *module,
                   const char *line) {
  fixture *f = arg;

  (void)module;
  if (level == CMT_LOG_WARN && strstr(line, "is full") != NULL) {
    f->lines++;
    snprintf(f->line, sizeof f->line, "%s", line);
  }
}

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  test_world_init(&f->t.w);
  test_node_init(&f->t.a, &f->t.w);
  test_node_init(&f->t.b, &f->t.w);
  f->t.a.parts[0].channels[0].send_queue = 100;
  f->t.b.parts[0].delivery = CMT_DELIVER_MAILBOX;
  f->t.b.parts[0].channels[0].recv_queue = 4;
  f->t.w.env.env.log = on_log;
  f->t.w.env.env.log_arg = f;
  *state = f;
  return 0;
}

static void take_all(fixture *f) {
  cmt_mailbox *m = cmt_switch_mailbox(f->t.b.sw, "chat");
  cmt_mailbox_event ev;

  while (cmt_mailbox_next(m, &ev, 0) == CMT_OK) {
    cmt_mailbox_done(m, &ev);
    test_loop_run_until_idle(f->t.w.loop);
  }
}

static int teardown(void **state) {
  fixture *f = *state;

  test_node_fini(&f->t.a);
  cmt_switch_stop(f->t.b.sw, 0);
  test_loop_run_until_idle(f->t.w.loop);
  take_all(f);
  test_node_fini(&f->t.b);
  test_world_fini(&f->t.w);
  free(f);
  return 0;
}

static void add_votes(test_node *n, cmt_traffic traffic) {
  test_part_channel(
    test_node_part(n, "votes"),
    (cmt_channel){.id = VOTES, .priority = 1, .traffic = traffic});
}

static void meet(fixture *f) {
  test_node_start(&f->t.b);
  test_node_start(&f->t.a);
  test_node_dial(&f->t.a, f->t.b.addr, 0);
}

static void fill(fixture *f) {
  for (int i = 0; i < 6; i++) {
    assert_cmt(CMT_OK, test_node_send(&f->t.a, TEST_CHAT, "bulk"));
    test_loop_run_until_idle(f->t.w.loop);
  }
  assert_true(test_node_peer(&f->t.b)->link->paused);
}

static void
a_full_queue_that_delays_an_urgent_channel_is_reported_once(void **state) {
  fixture *f = *state;
  cmt_peer *p;
  char expected[256];

  add_votes(&f->t.a, CMT_TRAFFIC_URGENT);
  add_votes(&f->t.b, CMT_TRAFFIC_URGENT);
  meet(f);
  fill(f);
  p = test_node_peer(&f->t.b);
  snprintf(expected, sizeof expected,
           "the queue of reactor chat for channel 0x51 of node %s is full",
           cmt_peer_id(p)->text);
  assert_int_equal(1, f->lines);
  assert_memory_equal(expected, f->line, strlen(expected));
  for (int i = 0; i < 3; i++) {
    take_all(f);
    assert_false(p->link->paused);
    fill(f);
  }
  assert_int_equal(1, f->lines);
  cmt_peer_stop(p, CMT_ECANCELED, 0); /* The next connection is logged anew. */
  test_loop_run_until_idle(f->t.w.loop);
  take_all(f);
  test_loop_advance(f->t.w.loop, CMT_SECONDS(2));
  test_node_dial(&f->t.a, f->t.b.addr, 0);
  fill(f);
  assert_int_equal(2, f->lines);
}

static void one_that_delays_no_urgent_channel_is_not_reported(void **state) {
  fixture *f = *state;

  add_votes(&f->t.a, CMT_TRAFFIC_NORMAL);
  add_votes(&f->t.b, CMT_TRAFFIC_NORMAL);
  meet(f);
  fill(f);
  assert_int_equal(0, f->lines);
}

static void nor_is_one_of_a_peer_that_lacks_it(void **state) {
  fixture *f = *state;

  add_votes(&f->t.b, CMT_TRAFFIC_URGENT);
  meet(f);
  fill(f);
  assert_int_equal(0, f->lines);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(by_default_a_window_of_bulk_delays_no_vote),
    TEST(a_full_queue_that_delays_an_urgent_channel_is_reported_once),
    TEST(one_that_delays_no_urgent_channel_is_not_reported),
    TEST(nor_is_one_of_a_peer_that_lacks_it),
  };

  return cmocka_run_group_tests_name("full_queue", tests, NULL, NULL);
}
