/* SPDX-License-Identifier: Apache-2.0 */

/* Switches on the libuv loop of an application, over loopback. */

#include "test.h"

#include "peer/peer.h"
#include "sockets.h"

#include <cometp2p/cometp2p.h>

#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

enum { CHAT = 0x51, MESSAGES = 500 };

/* A switch that writes down what happens. */
typedef struct node {
  struct app *app;
  cmt_switch *sw;
  cmt_reactor reactor;
  cmt_switch_options options;
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  int added, removed, stopped, finished, rejected;
  atomic_int received;
  int stop_at; /* Messages after which the whole application stops. */
  bool deletes_itself;
  cmt_err inside_delete, inside_send; /* What callbacks were called with. */
  cmt_peer *peer;                     /* Referenced. */
} node;

/* An application: its loop, a timer of its own, and two switches. */
typedef struct app {
  uv_loop_t loop;
  uv_timer_t timer;
  int ticks;
  bool stops_each_tick;
  node a, b;
  test_watch watch;
  unsigned dialed; /* Peers; under |watch|. */
} app;

static const cmt_channel channels[] = {
  {.id = CHAT, .priority = 1, .send_queue = 4}};

static void app_stop(app *x) {
  cmt_switch_stop(x->a.sw, CMT_SECONDS(2));
  cmt_switch_stop(x->b.sw, CMT_SECONDS(2));
}

static void on_add(void *self, cmt_peer *p) {
  node *n = self;

  n->added++;
  n->peer = cmt_peer_ref(p);
  n->inside_delete = cmt_switch_delete(n->sw);
  if (cmt_peer_is_outbound(p)) {
    cmt_buf *msg = cmt_buf_copy(NULL, "hello", 5);

    n->inside_send = cmt_peer_send(p, CHAT, msg, CMT_NEVER);
    assert_cmt(CMT_OK, cmt_peer_try_send(p, CHAT, msg));
    test_bump(&n->app->watch, &n->app->dialed);
  }
}

static cmt_err on_receive(void *self, cmt_peer *p, uint8_t channel,
                          cmt_buf *msg) {
  node *n = self;

  (void)p;
  (void)channel;
  (void)msg;
  assert_true(cmt__thread_is_loop());
  if (atomic_fetch_add(&n->received, 1) + 1 == n->stop_at) {
    app_stop(n->app);
  }
  return CMT_OK;
}

static void on_remove(void *self, cmt_peer *p, cmt_err reason) {
  node *n = self;

  (void)p;
  (void)reason;
  n->removed++;
}

static void on_stop(void *self) {
  node *n = self;

  n->stopped++;
  assert_int_equal(n->added, n->removed);
  assert_int_equal(0, n->finished);
}

static void on_rejected(void *arg, const cmt_rejection *r) {
  node *n = arg;

  (void)r;
  assert_true(cmt__thread_is_loop());
  n->rejected++;
}

static void on_finished(void *arg) {
  node *n = arg;

  n->finished++;
  assert_int_equal(1, n->stopped);
  assert_false(cmt__thread_is_loop());
  if (n->deletes_itself) {
    cmt_peer_unref(n->peer);
    n->peer = NULL;
    assert_cmt(CMT_OK, cmt_switch_delete(n->sw));
    n->sw = NULL;
  }
}

static void node_new(node *n, app *x) {
  n->app = x;
  atomic_init(&n->received, 0);
  n->reactor = (cmt_reactor){.name = "chat",
                             .channels = channels,
                             .channel_count = 1,
                             .self = n,
                             .add_peer = on_add,
                             .receive = on_receive,
                             .remove_peer = on_remove,
                             .stop = on_stop};
  test_switch_options(&n->options, &n->reactor);
  n->options.loops = 1;
  n->options.on_rejected = on_rejected;
  n->options.on_finished = on_finished;
  n->options.arg = n;
  assert_cmt(CMT_OK, cmt_switch_new(&n->options, &n->sw, NULL));
}

static void node_start(node *n) {
  cmt_net_addr at;

  assert_cmt(CMT_OK, cmt_switch_run_on(n->sw, &n->app->loop, NULL));
  assert_cmt(CMT_OK, cmt_switch_get_laddr(n->sw, &at));
  assert_cmt(CMT_OK, cmt_net_addr_format(&at, n->addr, sizeof n->addr));
}

static int setup(void **state) {
  app *x = calloc(1, sizeof *x);

  assert_non_null(x);
  assert_int_equal(0, uv_loop_init(&x->loop));
  x->loop.data = x;
  test_watch_init(&x->watch);
  node_new(&x->a, x);
  node_new(&x->b, x);
  *state = x;
  return 0;
}

/* The loop is as the application made it: empty, and closable. */
static int teardown(void **state) {
  app *x = *state;
  node *nodes[] = {&x->a, &x->b};

  for (size_t i = 0; i < CMT__COUNT(nodes); i++) {
    cmt_peer_unref(nodes[i]->peer);
    assert_cmt(CMT_OK, cmt_switch_delete(nodes[i]->sw));
  }
  assert_ptr_equal(x, x->loop.data);
  assert_int_equal(0, uv_run(&x->loop, UV_RUN_DEFAULT));
  assert_int_equal(0, uv_loop_close(&x->loop));
  test_watch_fini(&x->watch);
  free(x);
  return 0;
}

static void on_tick(uv_timer_t *timer) {
  app *x = timer->data;

  assert_false(cmt__thread_is_loop());
  x->ticks++;
  if (x->stops_each_tick) {
    uv_stop(&x->loop);
  }
}

static void timer_start(app *x) {
  assert_int_equal(0, uv_timer_init(&x->loop, &x->timer));
  x->timer.data = x;
  assert_int_equal(0, uv_timer_start(&x->timer, on_tick, 1, 1));
}

/* ---- the whole life ---- */

static void two_switches_and_a_timer_share_a_loop(void **state) {
  app *x = *state;

  x->b.stop_at = 1;
  node_start(&x->a);
  node_start(&x->b);
  timer_start(x);
  uv_unref((uv_handle_t *)&x->timer); /* It keeps nobody waiting. */
  assert_cmt(CMT_OK, cmt_switch_dial(x->a.sw, x->b.addr, 0, NULL));
  assert_int_equal(0, uv_run(&x->loop, UV_RUN_DEFAULT));
  assert_int_equal(1, x->a.added);
  assert_int_equal(1, atomic_load(&x->b.received));
  assert_int_equal(1, x->a.finished);
  assert_int_equal(1, x->b.finished);
  assert_true(x->ticks > 0);
  uv_close((uv_handle_t *)&x->timer, NULL);
}

static void callbacks_may_not_wait(void **state) {
  app *x = *state;

  x->b.stop_at = 1;
  node_start(&x->a);
  node_start(&x->b);
  assert_cmt(CMT_OK, cmt_switch_dial(x->a.sw, x->b.addr, 0, NULL));
  assert_cmt(CMT_EDEADLK, cmt_switch_delete(x->a.sw));
  assert_int_equal(0, uv_run(&x->loop, UV_RUN_DEFAULT));
  assert_cmt(CMT_EDEADLK, x->a.inside_delete);
  assert_cmt(CMT_EDEADLK, x->b.inside_delete);
  assert_cmt(CMT_EDEADLK, x->a.inside_send);
  assert_false(cmt__thread_is_loop());
}

static void on_finished_may_delete(void **state) {
  app *x = *state;

  x->b.stop_at = 1;
  x->a.deletes_itself = true;
  x->b.deletes_itself = true;
  node_start(&x->a);
  node_start(&x->b);
  timer_start(x); /* Which would keep the loop running. */
  assert_cmt(CMT_OK, cmt_switch_dial(x->a.sw, x->b.addr, 0, NULL));
  while (x->a.sw != NULL || x->b.sw != NULL) {
    assert_int_not_equal(0, uv_run(&x->loop, UV_RUN_ONCE));
  }
  assert_int_equal(1, x->a.finished);
  uv_close((uv_handle_t *)&x->timer, NULL);
}

static void a_switch_without_peers_ends(void **state) {
  app *x = *state;

  node_start(&x->a);
  cmt_switch_stop(x->a.sw, 0);
  assert_cmt(CMT_EDEADLK, cmt_switch_delete(x->a.sw));
  assert_int_equal(0, uv_run(&x->loop, UV_RUN_DEFAULT));
  assert_int_equal(1, x->a.finished);
  assert_int_equal(0, x->b.finished); /* It was never started. */
}

static void a_stopped_run_goes_on_later(void **state) {
  app *x = *state;

  int runs = 0;

  x->stops_each_tick = true;
  node_start(&x->a);
  node_start(&x->b);
  timer_start(x);
  assert_cmt(CMT_OK, cmt_switch_dial(x->a.sw, x->b.addr, 0, NULL));
  for (; runs < 3 || atomic_load(&x->b.received) == 0; runs++) {
    assert_int_not_equal(0, uv_run(&x->loop, UV_RUN_DEFAULT));
  }
  assert_true(x->ticks >= runs);
  app_stop(x);
  while (x->a.finished + x->b.finished < 2) {
    assert_int_not_equal(0, uv_run(&x->loop, UV_RUN_DEFAULT));
  }
  uv_close((uv_handle_t *)&x->timer, NULL);
}

/* ---- other threads ---- */

/* Waits until the loop's thread has added the peer, then sends and stops. */
static void *sender_run(void *arg) {
  app *x = arg;

  test_await(&x->watch, &x->dialed, 1);
  for (int i = 0; i < MESSAGES; i++) {
    if (cmt_peer_send_bytes(x->a.peer, CHAT, "x", 1,
                            CMT_SECONDS(TEST_WAIT_S)) != CMT_OK) {
      break;
    }
  }
  cmt_switch_stop(x->a.sw, CMT_SECONDS(TEST_WAIT_S));
  return NULL;
}

static void other_threads_send_wait_and_stop(void **state) {
  app *x = *state;
  pthread_t thread;

  x->b.stop_at = MESSAGES + 1; /* And the one of add_peer. */
  node_start(&x->a);
  node_start(&x->b);
  assert_int_equal(0, pthread_create(&thread, NULL, sender_run, x));
  assert_cmt(CMT_OK, cmt_switch_dial(x->a.sw, x->b.addr, 0, NULL));
  assert_int_equal(0, uv_run(&x->loop, UV_RUN_DEFAULT));
  assert_int_equal(0, pthread_join(thread, NULL));
  assert_int_equal(MESSAGES + 1, atomic_load(&x->b.received));
}

/* ---- failures ---- */

static void a_failed_start_leaves_the_loop_usable(void **state) {
  app *x = *state;
  cmt_net_addr at;
  cmt_why why;

  node_start(&x->a);
  assert_cmt(CMT_OK, cmt_switch_get_laddr(x->a.sw, &at));
  assert_cmt(CMT_OK, cmt_switch_delete(x->b.sw));
  at.id.text[0] = '\0';
  assert_cmt(CMT_OK, cmt_net_addr_format(&at, x->b.addr, sizeof x->b.addr));
  x->b.options.laddr = x->b.addr;
  assert_cmt(CMT_OK, cmt_switch_new(&x->b.options, &x->b.sw, NULL));
  assert_cmt(CMT_EIO, cmt_switch_run_on(x->b.sw, &x->loop, &why));
  assert_non_null(strstr(why.text, "cannot listen on 127.0.0.1:"));
  assert_cmt(CMT_EINVAL, cmt_switch_run_on(x->b.sw, &x->loop, &why));
  assert_cmt(CMT_OK, cmt_switch_delete(x->b.sw));
  x->b.sw = NULL;
  cmt_switch_stop(x->a.sw, 0);
  assert_int_equal(0, uv_run(&x->loop, UV_RUN_DEFAULT));
  assert_int_equal(0, x->b.finished);
}

static void it_has_one_loop(void **state) {
  app *x = *state;
  cmt_why why;

  assert_cmt(CMT_OK, cmt_switch_delete(x->a.sw));
  x->a.options.loops = 2;
  assert_cmt(CMT_OK, cmt_switch_new(&x->a.options, &x->a.sw, NULL));
  assert_cmt(CMT_EINVAL, cmt_switch_run_on(x->a.sw, &x->loop, &why));
  assert_string_equal("loops is 2, and a switch on the caller's loop has 1",
                      why.text);
  assert_cmt(CMT_OK, cmt_switch_delete(x->a.sw));
  x->a.sw = NULL;
}

static void a_switch_is_started_once(void **state) {
  app *x = *state;
  cmt_why why;

  assert_cmt(CMT_EINVAL, cmt_switch_run_on(x->a.sw, NULL, &why));
  assert_string_equal("the loop is NULL", why.text);
  node_start(&x->a);
  assert_cmt(CMT_EINVAL, cmt_switch_run_on(x->a.sw, &x->loop, &why));
  assert_string_equal("the switch was started before", why.text);
  assert_cmt(CMT_EINVAL, cmt_switch_start(x->a.sw, &why));
  cmt_switch_stop(x->a.sw, 0);
  assert_int_equal(0, uv_run(&x->loop, UV_RUN_DEFAULT));
  assert_cmt(CMT_EINVAL, cmt_switch_run_on(x->a.sw, &x->loop, &why));
}

/* Fails each allocation of making, starting and failing to start in turn. */
static void a_start_without_memory_leaves_nothing(void **state) {
  app *x = *state;
  cmt_err err = CMT_ENOMEM;
  cmt_switch *sw;

  for (size_t fail = 0; err != CMT_OK; fail++) {
    test_env e;

    test_env_init(&e);
    x->a.options.env = &e.env;
    e.fail_at = fail;
    err = cmt_switch_new(&x->a.options, &sw, NULL);
    if (err == CMT_OK) {
      err = cmt_switch_run_on(sw, &x->loop, NULL);
      if (err == CMT_OK) {
        cmt_switch_stop(sw, 0);
        assert_int_equal(0, uv_run(&x->loop, UV_RUN_DEFAULT));
      }
      assert_cmt(CMT_OK, cmt_switch_delete(sw));
    }
    if (err != CMT_OK) {
      assert_cmt(CMT_ENOMEM, err);
      assert_int_equal(0, uv_run(&x->loop, UV_RUN_DEFAULT));
    }
    test_env_fini(&e);
  }
}

/* ---- what libuv cannot let go at once ---- */

static uv_sem_t blocked;

static void block(uv_work_t *work) {
  (void)work;
  uv_sem_wait(&blocked);
}

static void unblocked(uv_work_t *work, int status) {
  (void)work;
  (void)status;
}

/* The threads of libuv are all busy, with which resolving has nothing to do. */
static void a_stop_drops_a_name_that_waits(void **state) {
  enum { WORKS = 128 }; /* More than libuv has threads. */
  app *x = *state;
  uv_work_t works[WORKS];

  assert_int_equal(0, uv_sem_init(&blocked, 0));
  for (int i = 0; i < WORKS; i++) {
    assert_int_equal(0, uv_queue_work(&x->loop, &works[i], block, unblocked));
  }
  node_start(&x->a);
  assert_cmt(CMT_OK,
             cmt_switch_dial(
               x->a.sw, "00112233445566778899aabbccddeeff00112233@localhost:1",
               CMT_DIAL_PERSISTENT, NULL));
  assert_int_not_equal(0, uv_run(&x->loop, UV_RUN_ONCE));
  cmt_switch_stop(x->a.sw, 0);
  while (x->a.finished == 0) {
    assert_int_not_equal(0, uv_run(&x->loop, UV_RUN_ONCE));
  }
  assert_int_equal(1, x->a.rejected);
  for (int i = 0; i < WORKS; i++) {
    uv_sem_post(&blocked);
  }
  assert_int_equal(0, uv_run(&x->loop, UV_RUN_DEFAULT));
  uv_sem_destroy(&blocked);
}

static void cancel_when_stopped(void *arg, cmt_dial *d,
                                const cmt_dial_outcome *o) {
  int *count = arg;

  assert_cmt(CMT_ECANCELED, o->why.err);
  cmt_dial_cancel(d);
  ++*count;
}

/* It wakes the loop when there is nothing else to do. */
static void the_last_outcome_cancels_its_dial(void **state) {
  app *x = *state;
  struct sockaddr_in at = {.sin_family = AF_INET};
  socklen_t len = sizeof at;
  int fd = socket(AF_INET, SOCK_STREAM, 0), count = 0;
  cmt_dial_status st = {.state = CMT_DIAL_QUEUED};
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  cmt_dial_options o;
  cmt_dial *d;

  at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  assert_int_equal(0, bind(fd, (struct sockaddr *)&at, sizeof at));
  assert_int_equal(0, listen(fd, 1)); /* Nobody ever sends a byte. */
  assert_int_equal(0, getsockname(fd, (struct sockaddr *)&at, &len));
  snprintf(addr, sizeof addr,
           "00112233445566778899aabbccddeeff00112233@127.0.0.1:%u",
           ntohs(at.sin_port));
  cmt_dial_options_init(&o);
  o.on_outcome = cancel_when_stopped;
  o.arg = &count;
  node_start(&x->a);
  assert_cmt(CMT_OK, cmt_switch_dial_new(x->a.sw, addr, &o, &d, NULL));
  while (st.state != CMT_DIAL_HANDSHAKE) {
    assert_int_not_equal(0, uv_run(&x->loop, UV_RUN_ONCE));
    cmt_dial_get_status(d, &st);
  }
  cmt_switch_stop(x->a.sw, 0);
  assert_int_equal(0, uv_run(&x->loop, UV_RUN_DEFAULT));
  assert_int_equal(1, count);
  assert_int_equal(1, x->a.finished);
  assert_int_equal(0, cmt_switch_dials(x->a.sw, NULL, 0));
  close(fd);
}

/* ---- signals ---- */

static volatile sig_atomic_t sigpipes;

static void on_sigpipe(int signal_number) {
  (void)signal_number;
  sigpipes = sigpipes + 1;
}

/* Half closes, then resets: the next write on the other side fails with
   EPIPE. */
static void connect_and_reset(const node *n) {
  struct linger at_once = {.l_onoff = 1};
  struct sockaddr_in to = {.sin_family = AF_INET};
  cmt_net_addr at;
  int fd = socket(AF_INET, SOCK_STREAM, 0);

  assert_true(fd >= 0);
  assert_cmt(CMT_OK, cmt_switch_get_laddr(n->sw, &at));
  to.sin_port = htons(at.port);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  assert_int_equal(0, connect(fd, (struct sockaddr *)&to, sizeof to));
  assert_int_equal(0, shutdown(fd, SHUT_WR));
  assert_int_equal(
    0, setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once));
  close(fd);
}

static void a_write_to_a_gone_peer_raises_no_signal(void **state) {
  struct sigaction counting = {.sa_handler = on_sigpipe}, before;
  app *x = *state;

  sigpipes = 0;
  assert_int_equal(0, sigaction(SIGPIPE, &counting, &before));
  node_start(&x->a);
  connect_and_reset(&x->a);
  while (x->a.rejected == 0) {
    assert_int_not_equal(0, uv_run(&x->loop, UV_RUN_ONCE));
  }
  cmt_switch_stop(x->a.sw, 0);
  assert_int_equal(0, uv_run(&x->loop, UV_RUN_DEFAULT));
  assert_int_equal(0, sigaction(SIGPIPE, &before, NULL));
  assert_int_equal(0, sigpipes);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(two_switches_and_a_timer_share_a_loop),
    TEST(callbacks_may_not_wait),
    TEST(on_finished_may_delete),
    TEST(a_switch_without_peers_ends),
    TEST(a_stopped_run_goes_on_later),
    TEST(other_threads_send_wait_and_stop),
    TEST(a_failed_start_leaves_the_loop_usable),
    TEST(a_switch_is_started_once),
    TEST(it_has_one_loop),
    TEST(a_start_without_memory_leaves_nothing),
    TEST(a_stop_drops_a_name_that_waits),
    TEST(the_last_outcome_cancels_its_dial),
    TEST(a_write_to_a_gone_peer_raises_no_signal),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
