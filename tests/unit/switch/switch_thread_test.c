/* SPDX-License-Identifier: Apache-2.0 */

/* Switches on their own threads, over real sockets: what the loop double cannot
   show.  Everything is waited for under a mutex, nothing is slept for. */

#include "sockets.h"

#include "switch/switch.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>

enum { CHANNELS = 4 };

typedef struct side {
  cmt_switch *sw;
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  test_watch watch;
  /* Under the lock: */
  unsigned added, removed, received, stopped, rejected;
  unsigned disorder;          /* Messages that came out of order. */
  uint32_t next[CHANNELS][4]; /* By channel and sender. */
  bool check_order;
  bool pause; /* Pause at the first message. */
  /* What blocking calls returned inside a callback. */
  cmt_err wait_err, wait_bytes_err, delete_err;
  bool signals_blocked;
} side;

typedef struct pair {
  side a, b;
} pair;

static void try_blocking(side *s, cmt_peer *p) {
  cmt_buf *msg = cmt_buf_copy(NULL, "x", 1);
  cmt_err wait_err, wait_bytes_err, delete_err;
  sigset_t mask;

  assert_non_null(msg);
  wait_err = cmt_peer_send(p, 0, msg, CMT_NEVER);
  cmt_buf_unref(msg);
  wait_bytes_err = cmt_peer_send_bytes(p, 0, "x", 1, CMT_SEND_TIMEOUT);
  delete_err = cmt_switch_delete(s->sw);
  pthread_sigmask(SIG_BLOCK, NULL, &mask);
  test_watch_lock(&s->watch);
  s->wait_err = wait_err;
  s->wait_bytes_err = wait_bytes_err;
  s->delete_err = delete_err;
  s->signals_blocked =
    sigismember(&mask, SIGINT) && sigismember(&mask, SIGPIPE);
  test_watch_unlock(&s->watch);
}

static void on_add(void *self, cmt_peer *p) {
  side *s = self;

  try_blocking(s, p);
  test_bump(&s->watch, &s->added);
}

/* A message is {sender, number} when the order is checked. */
static cmt_err on_receive(void *self, cmt_peer *p, uint8_t channel,
                          cmt_buf *msg) {
  side *s = self;
  cmt_bytes b = cmt_buf_bytes(msg);

  test_watch_lock(&s->watch);
  if (s->pause && s->received == 0) {
    cmt_peer_pause(p);
  }
  if (s->check_order) {
    uint32_t sender = cmt__load_le32(b.base);
    uint32_t number = cmt__load_le32(b.base + 4);

    s->disorder += s->next[channel][sender]++ != number;
  }
  s->received++;
  test_watch_unlock(&s->watch);
  return CMT_OK;
}

static void on_remove(void *self, cmt_peer *p, cmt_err reason) {
  side *s = self;

  (void)p;
  (void)reason;
  test_bump(&s->watch, &s->removed);
}

static void on_stop(void *self) {
  side *s = self;

  test_bump(&s->watch, &s->stopped);
}

static void on_rejected(void *arg, const cmt_rejection *r) {
  side *s = arg;

  (void)r;
  test_bump(&s->watch, &s->rejected);
}

static void side_start(side *s) {
  static const cmt_channel channels[CHANNELS] = {
    {.id = 0, .priority = 1},
    {.id = 1, .priority = 5, .send_queue = 10},
    {.id = 2, .priority = 10, .send_queue = 3},
    {.id = 3, .priority = 1},
  };
  cmt_reactor reactor = {.name = "test",
                         .channels = channels,
                         .channel_count = CHANNELS,
                         .self = s,
                         .add_peer = on_add,
                         .receive = on_receive,
                         .remove_peer = on_remove,
                         .stop = on_stop};
  cmt_switch_options o;

  test_watch_init(&s->watch);
  test_switch_options(&o, &reactor);
  o.on_rejected = on_rejected;
  o.arg = s;
  test_switch_start(&o, &s->sw, s->addr);
}

static void side_end(side *s) {
  assert_cmt(CMT_OK, cmt_switch_delete(s->sw));
  assert_int_equal(s->added, s->removed);
  assert_int_equal(1, s->stopped);
  test_watch_fini(&s->watch);
}

static pair *pair_new(void) {
  pair *x = calloc(1, sizeof *x);

  assert_non_null(x);
  side_start(&x->a);
  side_start(&x->b);
  return x;
}

static void pair_meet(pair *x) {
  assert_cmt(CMT_OK, cmt_switch_dial(x->a.sw, x->b.addr, 0, NULL));
  test_await(&x->a.watch, &x->a.added, 1);
  test_await(&x->b.watch, &x->b.added, 1);
}

static void pair_end(pair *x) {
  side_end(&x->a);
  side_end(&x->b);
  free(x);
}

static cmt_peer *peer_of(side *s) {
  cmt_peer *p = NULL;

  assert_int_equal(1, cmt_switch_peers(s->sw, &p, 1));
  return p;
}

/* ---- */

static void a_blocking_send_waits_its_turn(void **state) {
  enum { COUNT = 2000 };
  static const uint8_t bytes[10000];
  pair *x = pair_new();
  cmt_peer *p;

  (void)state;
  pair_meet(x);
  p = peer_of(&x->a);
  for (int i = 0; i < COUNT; i++) {
    assert_cmt(CMT_OK, cmt_peer_send_bytes(p, 0, bytes, sizeof bytes,
                                           CMT_SECONDS(TEST_WAIT_S)));
  }
  test_await(&x->b.watch, &x->b.received, COUNT);
  cmt_peer_unref(p);
  pair_end(x);
}

static void the_loop_cannot_wait_for_itself(void **state) {
  pair *x = pair_new();

  (void)state;
  pair_meet(x);
  assert_cmt(CMT_EDEADLK, x->a.wait_err);
  assert_cmt(CMT_EDEADLK, x->a.wait_bytes_err);
  assert_cmt(CMT_EDEADLK, x->a.delete_err);
  assert_true(x->a.signals_blocked);
  pair_end(x);
}

typedef struct sender {
  cmt_peer *peer;
  uint8_t channel;
  uint32_t number, count;
  bool blocks;
  cmt_err err;
} sender;

static void *send_all(void *arg) {
  sender *s = arg;
  uint8_t bytes[100] = {0};

  cmt__store_le32(bytes, s->number);
  for (uint32_t i = 0; i < s->count; i++) {
    cmt_buf *msg;

    cmt__store_le32(bytes + 4, i);
    msg = cmt_buf_copy(NULL, bytes, sizeof bytes);
    do {
      s->err = s->blocks ? cmt_peer_send(s->peer, s->channel, msg,
                                         CMT_SECONDS(TEST_WAIT_S))
                         : cmt_peer_try_send(s->peer, s->channel, msg);
    } while (s->err == CMT_EAGAIN && sched_yield() == 0);
    if (s->err != CMT_OK) {
      cmt_buf_unref(msg);
      break;
    }
  }
  return NULL;
}

/* |spread|: each sender has its channel; otherwise all use one. */
static void four_senders(bool spread, bool blocks) {
  enum { COUNT = 2000 };
  pair *x = pair_new();
  pthread_t threads[4];
  sender s[4];

  x->b.check_order = true;
  pair_meet(x);
  for (uint32_t i = 0; i < 4; i++) {
    s[i] = (sender){.peer = peer_of(&x->a),
                    .channel = spread ? (uint8_t)i : 1,
                    .number = i,
                    .count = COUNT,
                    .blocks = blocks};
    assert_int_equal(0, pthread_create(&threads[i], NULL, send_all, &s[i]));
  }
  for (size_t i = 0; i < 4; i++) {
    pthread_join(threads[i], NULL);
    assert_cmt(CMT_OK, s[i].err);
    cmt_peer_unref(s[i].peer);
  }
  test_await(&x->b.watch, &x->b.received, 4 * COUNT);
  assert_int_equal(0, x->b.disorder);
  pair_end(x);
}

static void four_threads_on_four_channels_keep_their_order(void **state) {
  (void)state;
  four_senders(true, false);
}

static void four_threads_on_one_channel_keep_their_order(void **state) {
  (void)state;
  four_senders(false, false);
}

static void four_blocking_threads_keep_their_order(void **state) {
  (void)state;
  four_senders(false, true);
}

static void a_stop_wakes_blocked_threads(void **state) {
  pair *x = pair_new();
  pthread_t threads[4];
  sender s[4];

  (void)state;
  x->b.pause = true; /* So that the queues fill. */
  pair_meet(x);
  for (uint32_t i = 0; i < 4; i++) {
    s[i] = (sender){.peer = peer_of(&x->a),
                    .channel = (uint8_t)i,
                    .number = i,
                    .count = UINT32_MAX,
                    .blocks = true};
    assert_int_equal(0, pthread_create(&threads[i], NULL, send_all, &s[i]));
  }
  test_await(&x->b.watch, &x->b.received, 1);
  cmt_switch_stop(x->a.sw, CMT_MILLISECONDS(10));
  for (size_t i = 0; i < 4; i++) {
    pthread_join(threads[i], NULL);
    assert_cmt(CMT_ECLOSED, s[i].err);
  }
  assert_cmt(CMT_OK, cmt_switch_delete(x->a.sw));
  for (size_t i = 0; i < 4; i++) { /* Peers outlive their switch. */
    assert_cmt(CMT_ECLOSED, cmt_peer_try_send_bytes(s[i].peer, 0, "x", 1));
    cmt_peer_unref(s[i].peer);
  }
  side_end(&x->b);
  free(x);
}

static void another_thread_can_resume(void **state) {
  enum { COUNT = 300 };
  static const uint8_t bytes[10000];
  pair *x = pair_new();
  cmt_peer *p, *q;
  unsigned sent = 0;

  (void)state;
  x->b.pause = true;
  pair_meet(x);
  p = peer_of(&x->a);
  q = peer_of(&x->b);
  assert_cmt(CMT_OK,
             cmt_peer_send_bytes(p, 1, bytes, sizeof bytes, CMT_SEND_TIMEOUT));
  test_await(&x->b.watch, &x->b.received, 1);
  for (; sent < COUNT; sent++) {
    if (sent == 4) {
      cmt_peer_resume(q);
    }
    assert_cmt(CMT_OK, cmt_peer_send_bytes(p, 1, bytes, sizeof bytes,
                                           CMT_SECONDS(TEST_WAIT_S)));
  }
  test_await(&x->b.watch, &x->b.received, COUNT + 1);
  cmt_peer_unref(p);
  cmt_peer_unref(q);
  pair_end(x);
}

/* ---- requests with callbacks, ended by a stop in the middle ---- */

enum { REQUESTS = 1000 };

typedef struct request {
  cmt_send_req req;
  atomic_uint calls;
} request;

static void on_answer(void *arg, cmt_err status, cmt_buf *msg) {
  atomic_fetch_add(&((request *)arg)->calls, 1);
  assert_true(status == CMT_OK || status == CMT_ECLOSED);
  cmt_buf_unref(msg);
}

static void every_request_is_answered_once_whatever_happens(void **state) {
  pair *x = pair_new();
  request *r = calloc(REQUESTS, sizeof *r);
  bool taken[REQUESTS] = {false};
  cmt_peer *p;

  (void)state;
  assert_non_null(r);
  pair_meet(x);
  p = peer_of(&x->a);
  for (size_t i = 0; i < REQUESTS; i++) {
    cmt_buf *msg = cmt_buf_new(NULL, 1000);

    assert_non_null(msg);
    memset(cmt_buf_data(msg), 0, 1000);
    r[i].req = (cmt_send_req)CMT_SEND_REQ(CMT_NEVER, on_answer, &r[i]);
    taken[i] = cmt_peer_send_async(p, 0, msg, &r[i].req) == CMT_OK;
    if (!taken[i]) {
      cmt_buf_unref(msg);
    }
    if (i == REQUESTS / 2) {
      cmt_peer *q = peer_of(&x->b);

      cmt_peer_stop(q, CMT_ECANCELED, 0);
      cmt_peer_unref(q);
    }
  }
  cmt_peer_unref(p);
  side_end(&x->a);
  for (size_t i = 0; i < REQUESTS; i++) {
    assert_int_equal(taken[i] ? 1 : 0, atomic_load(&r[i].calls));
  }
  side_end(&x->b);
  free(r);
  free(x);
}

static void a_delete_at_any_moment_joins(void **state) {
  (void)state;
  for (int i = 0; i < 30; i++) {
    pair *x = pair_new();

    assert_cmt(CMT_OK,
               cmt_switch_dial(x->a.sw, x->b.addr, CMT_DIAL_PERSISTENT, NULL));
    assert_cmt(CMT_OK,
               cmt_switch_dial(x->b.sw, x->a.addr, CMT_DIAL_PERSISTENT, NULL));
    for (int k = 0; k < i * 20; k++) {
      sched_yield();
    }
    cmt_switch_broadcast_bytes(x->a.sw, 0, "hello", 5, NULL);
    pair_end(x);
  }
}

/* ---- what the deletion waits for ---- */

typedef struct stuck {
  pthread_mutex_t lock;
  pthread_cond_t cond;
  bool logged;
  char line[200];
} stuck;

/* Until the reactor is called, the deletion waits for something else. */
static void on_log(void *arg, cmt_log_level level, const char *module,
                   const char *line) {
  stuck *x = arg;

  (void)level;
  (void)module;
  pthread_mutex_lock(&x->lock);
  if (!x->logged && strstr(line, "to return") != NULL) {
    snprintf(x->line, sizeof x->line, "%s", line);
    x->logged = true;
  }
  pthread_cond_broadcast(&x->cond);
  pthread_mutex_unlock(&x->lock);
}

/* Does not return before the log has the line. */
static void stop_late(void *self) {
  stuck *x = self;

  pthread_mutex_lock(&x->lock);
  while (!x->logged) {
    pthread_cond_wait(&x->cond, &x->lock);
  }
  pthread_mutex_unlock(&x->lock);
}

static void a_delete_reports_which_reactor_it_waits_for(void **state) {
  stuck x = {.lock = PTHREAD_MUTEX_INITIALIZER,
             .cond = PTHREAD_COND_INITIALIZER};
  cmt_reactor reactor = {.name = "sleeper", .self = &x, .stop = stop_late};
  cmt_switch_options o;
  cmt_switch *sw;
  cmt_env env;

  (void)state;
  assert_cmt(CMT_OK, cmt_env_init(&env));
  env.log = on_log;
  env.log_arg = &x;
  cmt_switch_options_init(&o);
  o.env = &env;
  o.network = "test-net";
  o.loops = test_loops();
  o.reactors = &reactor;
  o.reactor_count = 1;
  assert_cmt(CMT_OK, cmt_switch_new(&o, &sw, NULL));
  sw->report_ns = CMT_MILLISECONDS(1);
  assert_cmt(CMT_OK, cmt_switch_start(sw, NULL));
  assert_cmt(CMT_OK, cmt_switch_delete(sw));
  assert_string_equal("the deletion waits for sleeper to return", x.line);
}

static void a_start_that_failed_can_be_deleted(void **state) {
  pair *x = calloc(1, sizeof *x);
  cmt_switch_options o;
  cmt_switch *second;
  cmt_why why;

  (void)state;
  assert_non_null(x);
  side_start(&x->a);
  cmt_switch_options_init(&o);
  o.network = "test-net";
  o.loops = test_loops();
  o.laddr = strchr(x->a.addr, '@') + 1;
  assert_cmt(CMT_OK, cmt_switch_new(&o, &second, NULL));
  assert_cmt(CMT_EIO, cmt_switch_start(second, &why));
  assert_non_null(strstr(why.text, "ddress already in use"));
  assert_cmt(CMT_OK, cmt_switch_delete(second));
  assert_cmt(CMT_OK, cmt_switch_new(&o, &second, NULL));
  assert_cmt(CMT_OK, cmt_switch_delete(second)); /* Never started. */
  side_end(&x->a);
  free(x);
}

/* Reads a status all the time, and notes whether a number ever fell. */
typedef struct status_reader {
  cmt_peer *p;
  atomic_bool done;
  uint64_t reads;
  bool fell;
} status_reader;

static void *read_statuses(void *arg) {
  status_reader *r = arg;
  cmt_peer_status before = {.size = 0}, now;

  do {
    cmt_peer_get_status(r->p, &now);
    r->fell =
      r->fell || now.sent_bytes < before.sent_bytes || now.up_ns < before.up_ns;
    for (size_t i = 0; i < CHANNELS; i++) {
      r->fell = r->fell || now.channels[i].sent_messages <
                             before.channels[i].sent_messages;
    }
    before = now;
    r->reads++;
  } while (!atomic_load(&r->done));
  return NULL;
}

static void a_status_is_read_while_the_peer_works_and_ends(void **state) {
  enum { COUNT = 1000 };
  static const uint8_t bytes[3000];
  pair *x = pair_new();
  status_reader r = {.fell = false};
  cmt_peer_status last;
  pthread_t thread;

  (void)state;
  pair_meet(x);
  r.p = peer_of(&x->a);
  assert_int_equal(0, pthread_create(&thread, NULL, read_statuses, &r));
  for (int i = 0; i < COUNT; i++) {
    assert_cmt(CMT_OK, cmt_peer_send_bytes(r.p, 1, bytes, sizeof bytes,
                                           CMT_SECONDS(TEST_WAIT_S)));
  }
  test_await(&x->b.watch, &x->b.received, COUNT);
  cmt_peer_stop(r.p, CMT_ECANCELED, 0);
  test_await(&x->a.watch, &x->a.removed, 1);
  pair_end(x);
  atomic_store(&r.done, true);
  assert_int_equal(0, pthread_join(thread, NULL));
  assert_false(r.fell);
  assert_true(r.reads > 0);
  cmt_peer_get_status(r.p, &last); /* Without a switch. */
  assert_int_equal(CHANNELS, last.channel_count);
  assert_int_equal(1, last.channels[1].id);
  assert_int_equal(COUNT, last.channels[1].sent_messages);
  cmt_peer_unref(r.p);
}

static void the_last_message_is_delivered(void **state) {
  (void)state;
  for (int i = 0; i < 10; i++) {
    pair *x = pair_new();

    pair_meet(x);
    cmt_switch_broadcast_bytes(x->b.sw, 0, "crossing", 8, NULL);
    cmt_switch_broadcast_bytes(x->a.sw, 1, "last words", 10, NULL);
    cmt_switch_stop(x->a.sw, CMT_SECONDS(TEST_WAIT_S));
    test_await(&x->b.watch, &x->b.removed, 1);
    assert_int_equal(1, test_counter(&x->b.watch, &x->b.received));
    pair_end(x);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_blocking_send_waits_its_turn),
    cmocka_unit_test(the_loop_cannot_wait_for_itself),
    cmocka_unit_test(four_threads_on_four_channels_keep_their_order),
    cmocka_unit_test(four_threads_on_one_channel_keep_their_order),
    cmocka_unit_test(four_blocking_threads_keep_their_order),
    cmocka_unit_test(a_stop_wakes_blocked_threads),
    cmocka_unit_test(another_thread_can_resume),
    cmocka_unit_test(every_request_is_answered_once_whatever_happens),
    cmocka_unit_test(a_delete_at_any_moment_joins),
    cmocka_unit_test(a_delete_reports_which_reactor_it_waits_for),
    cmocka_unit_test(a_start_that_failed_can_be_deleted),
    cmocka_unit_test(a_status_is_read_while_the_peer_works_and_ends),
    cmocka_unit_test(the_last_message_is_delivered),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
