/* SPDX-License-Identifier: Apache-2.0 */

/* Threaded delivery between two switches over real sockets.  Everything is
   waited for under a mutex; where a worker must be slow it waits for the test,
   and where a callback must block the loop it sleeps. */

#include "sockets.h"

#include "reactor/mailbox.h"
#include "switch/switch.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <time.h>

enum { CHANNEL = 7, OTHER = 8 };

typedef struct side {
  cmt_reactor reactor;
  cmt_channel channels[2];
  cmt_switch_options options;
  cmt_switch *sw;
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  const char *log_wanted; /* What is in the lines that |log| takes. */
  char log[512];
  test_watch watch;
  unsigned added, received, removed, stopped, inside, inside_max, disorder;
  unsigned next[2]; /* The next number on each channel. */
  bool blocked;     /* Callbacks wait. */
  bool answers;     /* receive sends the message back and waits for room. */
  unsigned sleeps;  /* Milliseconds of a callback of receive. */
  cmt_err answer_err, receive_err, delete_err;
  unsigned fail_at; /* The message that receive_err is for. */
  cmt_err reason;
  cmt_why why;
  bool signals_blocked;
} side;

static void release(side *s) {
  test_watch_lock(&s->watch);
  s->blocked = false;
  test_watch_unlock(&s->watch);
}

static void on_add(void *self, cmt_peer *p) {
  side *s = self;
  cmt_err delete_err = cmt_switch_delete(s->sw);
  sigset_t mask;

  (void)p;
  pthread_sigmask(SIG_BLOCK, NULL, &mask);
  test_watch_lock(&s->watch);
  s->delete_err = delete_err;
  s->signals_blocked =
    sigismember(&mask, SIGINT) && sigismember(&mask, SIGPIPE);
  s->added++;
  test_watch_unlock(&s->watch);
}

static void sleep_ms(unsigned ms) {
  struct timespec t = {.tv_sec = ms / 1000,
                       .tv_nsec = (long)(ms % 1000) * 1000000};

  nanosleep(&t, NULL);
}

/* Returns which message it is. */
static unsigned count(side *s, uint8_t channel, cmt_buf *msg) {
  cmt_bytes b = cmt_buf_bytes(msg);
  unsigned *number = &s->next[channel == OTHER];
  unsigned received;

  test_watch_lock(&s->watch);
  s->inside++;
  s->inside_max = s->inside > s->inside_max ? s->inside : s->inside_max;
  pthread_cond_broadcast(&s->watch.cond);
  while (s->blocked) {
    pthread_cond_wait(&s->watch.cond, &s->watch.lock);
  }
  s->disorder += b.len >= 4 && cmt__load_le32(b.base) != (*number)++;
  received = ++s->received;
  s->inside--;
  test_watch_unlock(&s->watch);
  return received;
}

static cmt_err on_receive(void *self, cmt_peer *p, uint8_t channel,
                          cmt_buf *msg) {
  side *s = self;
  unsigned ms = test_counter(&s->watch, &s->sleeps);

  if (ms > 0) {
    sleep_ms(ms);
  }
  if (s->answers) {
    cmt_err err =
      cmt_peer_send(p, channel, cmt_buf_ref(msg), CMT_SECONDS(TEST_WAIT_S));

    if (err != CMT_OK) {
      cmt_buf_unref(msg);
      test_watch_lock(&s->watch);
      s->answer_err = err;
      test_watch_unlock(&s->watch);
    }
  }
  return count(s, channel, msg) == s->fail_at ? s->receive_err : CMT_OK;
}

static void on_remove(void *self, cmt_peer *p, cmt_err reason) {
  side *s = self;

  test_watch_lock(&s->watch);
  cmt_peer_get_why(p, &s->why);
  s->reason = reason;
  s->removed++;
  test_watch_unlock(&s->watch);
}

static void on_stop(void *self) {
  side *s = self;

  test_bump(&s->watch, &s->stopped);
}

static void on_log(void *arg, cmt_log_level level, const char *module,
                   const char *line) {
  side *s = arg;

  (void)level;
  (void)module;
  test_watch_lock(&s->watch);
  if (strstr(line, s->log_wanted) != NULL) {
    snprintf(s->log, sizeof s->log, "%s", line);
  }
  test_watch_unlock(&s->watch);
}

static void side_init(side *s, cmt_delivery delivery) {
  test_watch_init(&s->watch);
  s->fail_at = UINT32_MAX;
  s->log_wanted = "";
  s->channels[0] = (cmt_channel){.id = CHANNEL, .send_queue = 10};
  s->channels[1] = (cmt_channel){.id = OTHER, .send_queue = 10};
  s->channels[0].priority = 1;
  s->channels[1].priority = 1;
  s->reactor = (cmt_reactor){.name = "test",
                             .channels = s->channels,
                             .channel_count = 2,
                             .delivery = delivery,
                             .self = s,
                             .add_peer = on_add,
                             .receive = on_receive,
                             .remove_peer = on_remove,
                             .stop = on_stop};
  test_switch_options(&s->options, &s->reactor);
}

static void side_start(side *s) {
  cmt_env env;

  assert_cmt(CMT_OK, cmt_env_init(&env));
  env.log = on_log;
  env.log_arg = s;
  s->options.env = &env;
  test_switch_start(&s->options, &s->sw, s->addr);
}

typedef struct pair {
  side a, b; /* B delivers as the test wants it, a inline. */
} pair;

static int setup(void **state) {
  pair *x = calloc(1, sizeof *x);

  assert_non_null(x);
  side_init(&x->a, CMT_DELIVER_INLINE);
  side_init(&x->b, CMT_DELIVER_WORKERS);
  *state = x;
  return 0;
}

static void side_end(side *s) {
  assert_cmt(CMT_OK, cmt_switch_delete(s->sw));
  assert_int_equal(s->added, s->removed);
  assert_int_equal(1, s->stopped);
  assert_int_equal(0, s->disorder);
  s->sw = NULL;
}

static int teardown(void **state) {
  pair *x = *state;

  release(&x->b);
  for (int i = 0; i < 2; i++) {
    side *s = i == 0 ? &x->a : &x->b;

    if (s->sw != NULL) {
      side_end(s);
    }
    test_watch_fini(&s->watch);
  }
  free(x);
  return 0;
}

static void meet(pair *x) {
  side_start(&x->a);
  side_start(&x->b);
  assert_cmt(CMT_OK, cmt_switch_dial(x->a.sw, x->b.addr, 0, NULL));
  test_await(&x->a.watch, &x->a.added, 1);
  test_await(&x->b.watch, &x->b.added, 1);
}

static cmt_peer *peer_of(side *s) {
  cmt_peer *p = NULL;

  assert_int_equal(1, cmt_switch_peers(s->sw, &p, 1));
  return p;
}

/* |messages| numbered ones of |len| bytes on |channel|, from a to b. */
static void send_numbers(pair *x, uint8_t channel, unsigned messages,
                         size_t len) {
  cmt_peer *p = peer_of(&x->a);

  for (unsigned i = 0; i < messages; i++) {
    cmt_buf *msg = cmt_buf_new(NULL, len);

    assert_non_null(msg);
    memset(cmt_buf_data(msg), 0, len);
    cmt__store_le32(cmt_buf_data(msg), i);
    assert_cmt(CMT_OK,
               cmt_peer_send(p, channel, msg, CMT_SECONDS(TEST_WAIT_S)));
  }
  cmt_peer_unref(p);
}

/* Until |messages| of 100 bytes are with b, and none is on its way. */
static void wait_for_queue(side *s, unsigned messages) {
  cmt_switch_status status = {.recv_queued_bytes = 0};
  time_t end = time(NULL) + TEST_WAIT_S;

  while (status.recv_queued_bytes < messages * (100 + CMT__ENTRY_COST)) {
    cmt_switch_get_status(s->sw, &status);
    assert_true(time(NULL) < end);
  }
}

/* Until the loop has dropped what no worker has taken. */
static void wait_for_discard(side *s) {
  time_t end = time(NULL) + TEST_WAIT_S;

  while (!atomic_load(&s->sw->delivery.mailboxes[0]->hurries)) {
    sched_yield();
    assert_true(time(NULL) < end);
  }
}

/* ---- */

static void workers_make_the_same_calls(void **state) {
  pair *x = *state;

  meet(x);
  send_numbers(x, CHANNEL, 5000, 100);
  test_await(&x->b.watch, &x->b.received, 5000);
  assert_int_equal(0, x->b.disorder);
  assert_cmt(CMT_EDEADLK, x->b.delete_err); /* A worker cannot wait for it. */
  assert_true(x->b.signals_blocked);
  cmt_switch_stop(x->a.sw, 0);
  test_await(&x->b.watch, &x->b.removed, 1);
  assert_cmt(CMT_EEOF, x->b.reason);
}

static void a_worker_may_wait_for_room(void **state) {
  pair *x = *state;

  x->b.answers = true;
  x->b.channels[0].send_queue = 1;
  meet(x);
  send_numbers(x, CHANNEL, 500, 5000);
  test_await(&x->a.watch, &x->a.received, 500);
  assert_cmt(CMT_OK, x->b.answer_err);
}

/* The queue has room for 10; what the link had read when it stopped comes on
   top. */
static void a_slow_worker_loses_nothing_and_holds_little(void **state) {
  pair *x = *state;
  cmt_switch_status status;

  x->b.blocked = true;
  x->b.channels[0].recv_queue = 10;
  meet(x);
  send_numbers(x, CHANNEL, 20, 10000);
  test_await(&x->b.watch, &x->b.inside, 1);
  cmt_switch_get_status(x->b.sw, &status);
  assert_true(status.recv_queued_bytes < 30 * (16384 + CMT__ENTRY_COST));
  release(&x->b);
  send_numbers(x, OTHER, 2000, 10000);
  test_await(&x->b.watch, &x->b.received, 2020);
}

static void an_error_on_a_worker_ends_the_peer(void **state) {
  pair *x = *state;

  x->b.blocked = true;
  x->b.receive_err = CMT_EREACTOR;
  x->b.fail_at = 3;
  meet(x);
  send_numbers(x, CHANNEL, 8, 100);
  wait_for_queue(&x->b, 8);
  release(&x->b);
  test_await(&x->b.watch, &x->b.removed, 1);
  assert_int_equal(3, x->b.received); /* No further message comes. */
  assert_cmt(CMT_EREACTOR, x->b.reason);
  assert_string_equal("reactor test ended the peer on channel 0x07: a reactor "
                      "refused the peer or the message",
                      x->b.why.text);
  test_await(&x->a.watch, &x->a.removed, 1);
}

static void several_workers_are_at_several_peers_at_once(void **state) {
  pair *x = *state;
  side more[2];

  x->b.reactor.threads = 3;
  x->b.blocked = true;
  meet(x);
  send_numbers(x, CHANNEL, 4, 100);
  for (size_t i = 0; i < 2; i++) {
    pair other;

    memset(&more[i], 0, sizeof more[i]);
    side_init(&more[i], CMT_DELIVER_INLINE);
    side_start(&more[i]);
    assert_cmt(CMT_OK, cmt_switch_dial(more[i].sw, x->b.addr, 0, NULL));
    test_await(&more[i].watch, &more[i].added, 1);
    other.a.sw = more[i].sw;
    test_await(&x->b.watch, &x->b.inside, (unsigned)i + 1);
    send_numbers(&other, OTHER, 1, 100);
  }
  test_await(&x->b.watch, &x->b.inside, 3);
  release(&x->b);
  test_await(&x->b.watch, &x->b.received, 6);
  test_watch_lock(&x->b.watch);
  x->b.disorder = 0; /* Each of the two sent number 0. */
  test_watch_unlock(&x->b.watch);
  assert_int_equal(3, x->b.inside_max); /* Never two of one peer. */
  for (size_t i = 0; i < 2; i++) {
    side_end(&more[i]);
  }
}

static void a_stop_does_not_wait_for_what_workers_have_not_begun(void **state) {
  pair *x = *state;

  x->b.blocked = true;
  meet(x);
  send_numbers(x, CHANNEL, 100, 100);
  test_await(&x->b.watch, &x->b.inside, 1);
  wait_for_queue(&x->b, 100);
  cmt_switch_stop(x->b.sw, 0);
  wait_for_discard(&x->b);
  release(&x->b);
  side_end(&x->b);
  assert_int_equal(1, x->b.received);
}

static void *delete_b(void *arg) {
  side_end(&((pair *)arg)->b);
  return NULL;
}

static void a_deletion_reports_for_which_worker_it_waits(void **state) {
  pair *x = *state;
  pthread_t thread;
  bool logged = false;

  x->b.blocked = true;
  meet(x);
  x->b.sw->report_ns = CMT_MILLISECONDS(10);
  send_numbers(x, CHANNEL, 1, 100);
  test_await(&x->b.watch, &x->b.inside, 1);
  assert_int_equal(0, pthread_create(&thread, NULL, delete_b, x));
  while (!logged) {
    test_watch_lock(&x->b.watch);
    logged = strcmp(x->b.log, "the deletion waits for reactor test to take its "
                              "events") == 0;
    test_watch_unlock(&x->b.watch);
  }
  release(&x->b);
  pthread_join(thread, NULL);
}

/* ---- the alarm ---- */

static void an_inline_callback_over_100_ms_is_counted_and_logged(void **state) {
  pair *x = *state;
  cmt_switch_status status;
  unsigned ms = 0;
  int len = 0;

  x->b.reactor.delivery = CMT_DELIVER_INLINE;
  x->b.sleeps = 130;
  x->b.log_wanted = "channel 0x08";
  meet(x);
  send_numbers(x, OTHER, 1, 100);
  test_await(&x->b.watch, &x->b.received, 1);
  test_watch_lock(&x->b.watch);
  x->b.sleeps = 0;
  test_watch_unlock(&x->b.watch);
  send_numbers(x, CHANNEL, 1, 100);
  test_await(&x->b.watch, &x->b.received, 2);
  cmt_switch_get_status(x->b.sw, &status);
  /* On a busy machine others may be as slow. */
  assert_true(status.slow_callbacks >= 1);
  test_watch_lock(&x->b.watch);
  assert_int_equal(1,
                   sscanf(x->b.log,
                          "test blocked the loop for %u ms with a message on "
                          "channel 0x08%n",
                          &ms, &len));
  test_watch_unlock(&x->b.watch);
  assert_true(len > 0);
  assert_true(ms >= 100 && ms < 100000);
}

static void a_slow_worker_is_no_alarm(void **state) {
  pair *x = *state;
  cmt_switch_status status;

  x->b.sleeps = 130;
  meet(x);
  send_numbers(x, CHANNEL, 1, 100);
  test_await(&x->b.watch, &x->b.received, 1);
  cmt_switch_get_status(x->b.sw, &status);
  assert_int_equal(0, status.slow_callbacks);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(workers_make_the_same_calls),
    TEST(a_worker_may_wait_for_room),
    TEST(a_slow_worker_loses_nothing_and_holds_little),
    TEST(an_error_on_a_worker_ends_the_peer),
    TEST(several_workers_are_at_several_peers_at_once),
    TEST(a_stop_does_not_wait_for_what_workers_have_not_begun),
    TEST(a_deletion_reports_for_which_worker_it_waits),
    TEST(an_inline_callback_over_100_ms_is_counted_and_logged),
    TEST(a_slow_worker_is_no_alarm),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
