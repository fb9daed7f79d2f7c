/* SPDX-License-Identifier: Apache-2.0 */

/* The end of a switch whose mailbox has events left, on real threads. */

#include "sockets.h"

#include "switch/state.h"

static const cmt_channel channels[] = {{.id = 0x51, .priority = 1}};

static const cmt_reactor reactor = {
  .name = "test", .channels = channels, .channel_count = 1};

static void *take_all(void *arg) {
  cmt_mailbox_event ev;
  cmt_err err;

  while ((err = cmt_mailbox_next(arg, &ev, CMT_NEVER)) == CMT_OK) {
    cmt_mailbox_done(arg, &ev);
  }
  return err == CMT_ECLOSED ? arg : NULL;
}

static void wait_for_peer(cmt_switch *sw) {
  cmt_mailbox_event ev;
  cmt_mailbox *m = cmt_switch_mailbox(sw, "test");

  assert_cmt(CMT_OK, cmt_mailbox_next(m, &ev, CMT_SECONDS(TEST_WAIT_S)));
  assert_int_equal(CMT_EVENT_PEER_UP, ev.kind);
  cmt_mailbox_done(m, &ev);
}

/* Nobody receives the end of its peer. */
static void a_deletion_waits_for_no_mailbox_that_was_given_up(void **state) {
  cmt_reactor in_mailbox = reactor;
  char addr[CMT_NET_ADDR_TEXT_SIZE], own[CMT_NET_ADDR_TEXT_SIZE];
  cmt_switch *a, *b;
  cmt_switch_options o;

  (void)state;
  in_mailbox.delivery = CMT_DELIVER_MAILBOX;
  test_switch_options(&o, &in_mailbox);
  test_switch_start(&o, &b, addr);
  test_switch_options(&o, &reactor);
  test_switch_start(&o, &a, own);
  assert_cmt(CMT_OK, cmt_switch_dial(a, addr, 0, NULL));
  wait_for_peer(b);
  assert_cmt(CMT_OK, cmt_switch_delete(a));
  cmt_mailbox_close(cmt_switch_mailbox(b, "test"));
  assert_cmt(CMT_OK, cmt_switch_delete(b));
}

static void waiting_threads_learn_that_it_is_closed(void **state) {
  cmt_reactor in_mailbox = reactor;
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  pthread_t thread;
  cmt_mailbox *m;
  cmt_switch *sw;
  cmt_switch_options o;
  void *result;

  (void)state;
  in_mailbox.delivery = CMT_DELIVER_MAILBOX;
  test_switch_options(&o, &in_mailbox);
  test_switch_start(&o, &sw, addr);
  m = cmt_switch_mailbox(sw, "test");
  assert_int_equal(0, pthread_create(&thread, NULL, take_all, m));
  cmt_mailbox_close(m);
  pthread_join(thread, &result);
  assert_ptr_equal(m, result);
  assert_cmt(CMT_OK, cmt_switch_delete(sw));
}

/* ---- events that are out ---- */

typedef struct deletion {
  cmt_switch *sw;
  cmt_env env;
  cmt_reactor reactor;
  cmt_switch_options options;
  char addr[CMT_NET_ADDR_TEXT_SIZE];
  test_watch watch;
  unsigned stopped; /* The reactor. */
  bool reported, deleted;
} deletion;

static void on_log(void *arg, cmt_log_level level, const char *module,
                   const char *line) {
  deletion *d = arg;

  (void)level;
  (void)module;
  test_watch_lock(&d->watch);
  d->reported = d->reported || strcmp(line, "the deletion waits for reactor "
                                            "test to take its events") == 0;
  test_watch_unlock(&d->watch);
}

static void on_stop(void *self) {
  deletion *d = self;

  test_bump(&d->watch, &d->stopped);
}

static bool was_reported_or_deleted(void *arg) {
  const deletion *d = arg;

  return d->reported || d->deleted;
}

static void *delete_it(void *arg) {
  deletion *d = arg;
  cmt_err err = cmt_switch_delete(d->sw);

  test_watch_lock(&d->watch);
  d->deleted = err == CMT_OK;
  test_watch_unlock(&d->watch);
  return NULL;
}

static void deletion_init(deletion *d) {
  memset(d, 0, sizeof *d);
  test_watch_init(&d->watch);
  d->reactor = reactor;
  d->reactor.delivery = CMT_DELIVER_MAILBOX;
  d->reactor.self = d;
  d->reactor.stop = on_stop;
  assert_cmt(CMT_OK, cmt_env_init(&d->env));
  d->env.log = on_log;
  d->env.log_arg = d;
  test_switch_options(&d->options, &d->reactor);
  d->options.env = &d->env;
  d->options.event_reactor = "test";
  test_switch_start(&d->options, &d->sw, d->addr);
  d->sw->report_ns = CMT_MILLISECONDS(1);
}

/* A timer's event is out while another thread deletes the switch. */
static void delete_beside_event(deletion *d, cmt_err reason) {
  cmt_mailbox *m = cmt_switch_mailbox(d->sw, "test");
  cmt_mailbox_event ev;
  pthread_t thread;

  assert_cmt(CMT_OK, cmt_mailbox_next(m, &ev, CMT_SECONDS(TEST_WAIT_S)));
  assert_int_equal(CMT_EVENT_TIMER, ev.kind);
  assert_cmt(reason, ev.reason);
  assert_int_equal(0, pthread_create(&thread, NULL, delete_it, d));
  assert_true(test_await_that(&d->watch, was_reported_or_deleted, d));
  test_watch_lock(&d->watch);
  assert_false(d->deleted);
  test_watch_unlock(&d->watch);
  cmt_mailbox_done(m, &ev);
  pthread_join(thread, NULL);
  assert_true(d->deleted);
  test_watch_fini(&d->watch);
}

static void a_deletion_waits_for_an_event_that_is_out(void **state) {
  cmt_timer t = {.arg = NULL};
  deletion d;

  (void)state;
  deletion_init(&d);
  assert_cmt(CMT_OK, cmt_switch_timer(d.sw, &t, 0));
  delete_beside_event(&d, CMT_OK);
}

/* The loop has ended before the event was taken. */
static void also_for_one_that_was_taken_after_the_end(void **state) {
  cmt_timer t = {.arg = NULL};
  deletion d;

  (void)state;
  deletion_init(&d);
  assert_cmt(CMT_OK, cmt_switch_timer(d.sw, &t, CMT_NEVER));
  cmt_switch_stop(d.sw, 0);
  test_await(&d.watch, &d.stopped, 1);
  delete_beside_event(&d, CMT_ECANCELED);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_deletion_waits_for_no_mailbox_that_was_given_up),
    cmocka_unit_test(waiting_threads_learn_that_it_is_closed),
    cmocka_unit_test(a_deletion_waits_for_an_event_that_is_out),
    cmocka_unit_test(also_for_one_that_was_taken_after_the_end),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
