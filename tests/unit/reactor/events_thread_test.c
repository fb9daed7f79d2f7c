/* SPDX-License-Identifier: Apache-2.0 */

/* A mailbox that is given up, on real threads. */

#include "sockets.h"

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

  assert_cmt(CMT_OK, cmt_mailbox_next(m, &ev, CMT_SECONDS(60)));
  assert_int_equal(CMT_EVENT_PEER_UP, ev.kind);
  cmt_mailbox_done(m, &ev);
}

/* Nobody takes the end of its peer. */
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
  void *told;

  (void)state;
  in_mailbox.delivery = CMT_DELIVER_MAILBOX;
  test_switch_options(&o, &in_mailbox);
  test_switch_start(&o, &sw, addr);
  m = cmt_switch_mailbox(sw, "test");
  assert_int_equal(0, pthread_create(&thread, NULL, take_all, m));
  cmt_mailbox_close(m);
  pthread_join(thread, &told);
  assert_ptr_equal(m, told);
  assert_cmt(CMT_OK, cmt_switch_delete(sw));
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_deletion_waits_for_no_mailbox_that_was_given_up),
    cmocka_unit_test(waiting_threads_learn_that_it_is_closed),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
