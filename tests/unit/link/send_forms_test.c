/* SPDX-License-Identifier: Apache-2.0 */

/* Sends in each form at a send queue, with the test as the loop: who gets the
   bytes that become free, and how errors are distinguished. */

#include "send_queue_user.h"

static const cmt_channel channels[] = {
  {.id = 1, .send_queue = 99, .send_message_max = 1000},
  {.id = 2, .send_queue = 1, .send_message_max = 1000},
  {.id = 3, .send_queue = 1},
};

static void user_init(send_queue_user *u) {
  send_queue_user_init(u, channels, CMT__COUNT(channels), "\x01\x02");
}

/* One message of |len| on |channel| went out. */
static void cut(send_queue_user *u, uint8_t channel, size_t len) {
  (void)queue_take(u, 0, NULL);
  (void)send_queue_credit(u, channel == 1, channel == 2, len);
  (void)cmt__send_queue_answer(&u->send_queue);
}

/* ---- bytes ---- */

static void bytes_go_to_the_send_that_waits_for_them(void **state) {
  queue_answer a = send_queue_answer_new(CMT_NEVER);
  send_queue_user u;

  (void)state;
  user_init(&u);
  for (int i = 0; i < 10; i++) {
    assert_cmt(CMT_OK, queue_try(&u, 1, 100));
  }
  send_queue_send(&u, 2, 900, &a);
  for (int i = 0; i < 9; i++) {
    cut(&u, 1, 100);
    assert_int_equal(i == 8, a.calls);
    assert_cmt(CMT_EAGAIN, queue_try(&u, 1, 100)); /* Nobody gets between. */
  }
  assert_cmt(CMT_OK, a.status);
  assert_int_equal(1000, u.send_queue.bytes);
  cut(&u, 1, 100);
  assert_cmt(CMT_OK, queue_try(&u, 1, 100));
  send_queue_user_fini(&u);
}

/* A send that waits for its own channel leaves the bytes to others. */
static void a_full_channel_keeps_no_bytes_from_others(void **state) {
  queue_answer a = send_queue_answer_new(CMT_NEVER);
  send_queue_user u;

  (void)state;
  user_init(&u);
  assert_cmt(CMT_OK, queue_try(&u, 2, 10));
  assert_cmt(CMT_OK, queue_try(&u, 2, 10));
  send_queue_send(&u, 2, 900, &a);
  for (int i = 0; i < 9; i++) {
    assert_cmt(CMT_OK, queue_try(&u, 1, 100));
  }
  cut(&u, 2, 10); /* Now it waits for bytes. */
  assert_int_equal(0, a.calls);
  assert_cmt(CMT_EAGAIN, queue_try(&u, 1, 1));
  (void)cmt__send_queue_close(&u.send_queue);
  (void)cmt__send_queue_answer(&u.send_queue);
  assert_cmt(CMT_ECLOSED, a.status);
  assert_int_equal(1, a.calls);
  cmt_buf_unref(a.msg);
  send_queue_user_fini(&u);
}

/* ---- each form, each error ---- */

static cmt_err by_form(send_queue_user *u, int form, uint8_t channel,
                       size_t len) {
  cmt_buf *msg = send_queue_message(u, len);
  cmt_send_req req = {.timeout_ns = CMT_SECONDS(1)};
  cmt_err err;

  if (form == 0) {
    err = cmt__send_queue_try_send(&u->send_queue, send_queue_place(u, channel),
                                   msg);
  } else if (form == 1) {
    err = cmt__send_queue_send_async(&u->send_queue,
                                     send_queue_place(u, channel), msg, &req);
  } else {
    err = cmt__send_queue_send(&u->send_queue, send_queue_place(u, channel),
                               msg, 0);
  }
  assert_true(err != CMT_OK);
  cmt_buf_unref(msg); /* An error leaves it. */
  return err;
}

static void every_form_distinguishes_the_errors(void **state) {
  send_queue_user u;

  (void)state;
  user_init(&u);
  for (int form = 0; form < 3; form++) {
    assert_cmt(CMT_ENOCHANNEL, by_form(&u, form, 9, 1));
    assert_cmt(CMT_EPEERCHANNEL, by_form(&u, form, 3, 1));
    assert_cmt(CMT_ETOOBIG, by_form(&u, form, 1, 1001));
    u.env.fail_at = u.env.allocs + 1; /* The allocation of the intake. */
    assert_cmt(CMT_ENOMEM, by_form(&u, form, 1, 1));
    u.env.fail_at = SIZE_MAX;
  }
  assert_cmt(CMT_OK, queue_try(&u, 2, 1));
  assert_cmt(CMT_OK, queue_try(&u, 2, 1));
  assert_cmt(CMT_EAGAIN, by_form(&u, 0, 2, 1));
  assert_cmt(CMT_ETIMEDOUT, by_form(&u, 2, 2, 1));
  cmt__send_queue_stop_with(&u.send_queue, CMT_ECANCELED, CMT_SECONDS(1));
  for (int form = 0; form < 3; form++) {
    assert_cmt(CMT_ECLOSED, by_form(&u, form, 1, 1));
  }
  (void)cmt__send_queue_close(&u.send_queue);
  for (int form = 0; form < 3; form++) {
    assert_cmt(CMT_ECLOSED, by_form(&u, form, 1, 1));
    assert_cmt(CMT_ECLOSED, by_form(&u, form, 9, 1));    /* Whatever else is */
    assert_cmt(CMT_ECLOSED, by_form(&u, form, 1, 1001)); /* wrong with it. */
  }
  send_queue_user_fini(&u);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(bytes_go_to_the_send_that_waits_for_them),
    cmocka_unit_test(a_full_channel_keeps_no_bytes_from_others),
    cmocka_unit_test(every_form_distinguishes_the_errors),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
