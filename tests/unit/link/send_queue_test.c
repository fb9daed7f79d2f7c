/* SPDX-License-Identifier: Apache-2.0 */

/* The send queue alone: the test plays the loop. */

#include "link/send_queue.h"

#include "send_queue_user.h"

static void the_third_send_is_refused(void **state) {
  send_queue_user *u = *state;

  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  assert_cmt(CMT_EAGAIN, queue_try(u, QUEUE_A, 1));
  assert_int_equal(2, queue_take(u, 0, NULL));
  assert_cmt(CMT_EAGAIN, queue_try(u, QUEUE_A, 1));
  assert_cmt(CMT_OK, queue_try(u, QUEUE_B, 1)); /* Channels are apart. */
}

static void a_credit_makes_room_for_one(void **state) {
  send_queue_user *u = *state;

  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  queue_take(u, 0, NULL);
  assert_false(send_queue_credit(u, 1, 0, 1));
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  assert_cmt(CMT_EAGAIN, queue_try(u, QUEUE_A, 1));
}

static void faults_of_the_caller_are_distinguished(void **state) {
  send_queue_user *u = *state;

  assert_cmt(CMT_ENOCHANNEL, queue_try(u, 0x99, 1));
  assert_cmt(CMT_EPEERCHANNEL, queue_try(u, QUEUE_THEIRS_NOT, 1));
  assert_cmt(CMT_ETOOBIG, queue_try(u, QUEUE_A, 101));
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 100));
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 0));
  cmt__send_queue_stop_with(&u->send_queue, CMT_ECANCELED, 0);
  assert_cmt(CMT_ECLOSED, queue_try(u, QUEUE_A, 1));
}

static void bytes_are_bounded_over_all_channels(void **state) {
  send_queue_user *u = *state;

  assert_cmt(CMT_OK, queue_try(u, QUEUE_B, 950));
  assert_cmt(CMT_EAGAIN, queue_try(u, QUEUE_A, 51));
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 50));
  assert_cmt(CMT_EAGAIN, queue_try(u, QUEUE_B, 1));
  queue_take(u, 0, NULL);
  send_queue_credit(u, 0, 1, 950);
  assert_cmt(CMT_OK, queue_try(u, QUEUE_B, 950));
}

static void a_message_over_the_bytes_goes_alone(void **state) {
  send_queue_user *u = *state;

  u->send_queue.bytes_max = 10;
  assert_cmt(CMT_OK, queue_try(u, QUEUE_B, 1000));
  assert_cmt(CMT_EAGAIN, queue_try(u, QUEUE_A, 1));
  queue_take(u, 0, NULL);
  send_queue_credit(u, 0, 1, 1000);
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  assert_cmt(CMT_EAGAIN, queue_try(u, QUEUE_B, 1000));
}

static void nobody_overtakes_a_waiting_send(void **state) {
  send_queue_user *u = *state;
  queue_answer a = send_queue_answer_new(CMT_NEVER);

  u->send_queue.bytes_max = 150;
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 100));
  send_queue_send(u, QUEUE_A, 100,
                  &a); /* A credit is free, the bytes are not. */
  assert_cmt(CMT_EAGAIN, queue_try(u, QUEUE_A, 1));
  queue_take(u, 0, NULL);
  assert_true(send_queue_credit(u, 1, 0, 100));
  assert_int_equal(0, a.calls);
  assert_true(cmt__send_queue_answer(&u->send_queue));
  assert_int_equal(1, a.calls);
  assert_cmt(CMT_OK, a.status);
  assert_null(a.msg);
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
}

static void waiting_sends_come_in_in_their_order(void **state) {
  send_queue_user *u = *state;
  queue_answer a[4];

  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  for (size_t i = 0; i < 4; i++) {
    a[i] = send_queue_answer_new(CMT_NEVER);
    send_queue_send(u, QUEUE_A, 10 + i, &a[i]);
  }
  queue_take(u, 0, NULL);
  assert_true(send_queue_credit(u, 2, 0, 2));
  cmt__send_queue_take(&u->send_queue, 0, &(cmt__send_queue_view){0});
  assert_int_equal(2, u->send_queue.taken_over.count);
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(10 + i,
                     cmt_buf_bytes(u->send_queue.taken_over.list[i].msg).len);
    cmt_buf_unref(u->send_queue.taken_over.list[i].msg);
  }
  u->send_queue.taken_over.count = 0;
  cmt__send_queue_answer(&u->send_queue);
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(i < 2, a[i].calls);
  }
  (void)cmt__send_queue_close(&u->send_queue);
  cmt__send_queue_answer(&u->send_queue);
  cmt_buf_unref(a[2].msg);
  cmt_buf_unref(a[3].msg);
}

static void of_two_channels_the_earlier_wait_gets_the_bytes(void **state) {
  send_queue_user *u = *state;
  queue_answer late = send_queue_answer_new(CMT_NEVER),
               early = send_queue_answer_new(CMT_NEVER);

  u->send_queue.bytes_max = 100;
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 100));
  send_queue_send(u, QUEUE_B, 90, &early);
  send_queue_send(u, QUEUE_A, 90, &late);
  queue_take(u, 0, NULL);
  send_queue_credit(u, 1, 0, 100);
  cmt__send_queue_answer(&u->send_queue);
  assert_int_equal(1, early.calls);
  assert_int_equal(0, late.calls);
  queue_take(u, 0, NULL);
  send_queue_credit(u, 0, 1, 90);
  cmt__send_queue_answer(&u->send_queue);
  assert_int_equal(1, late.calls);
}

static void a_send_that_finds_room_is_answered_later(void **state) {
  send_queue_user *u = *state;
  queue_answer a = send_queue_answer_new(0);

  send_queue_send(u, QUEUE_A, 1, &a);
  assert_int_equal(0, a.calls);
  assert_int_equal(1, u->rings);
  assert_true(cmt__send_queue_answer(&u->send_queue));
  assert_false(cmt__send_queue_answer(&u->send_queue));
  assert_int_equal(1, a.calls);
  assert_cmt(CMT_OK, a.status);
}

static void a_deadline_hands_the_message_back_once(void **state) {
  send_queue_user *u = *state;
  queue_answer a = send_queue_answer_new(500), b = send_queue_answer_new(200);
  cmt__send_queue_view view;

  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  send_queue_send(u, QUEUE_A, 1, &a);
  send_queue_send(u, QUEUE_A, 1, &b);
  queue_take(u, 1000, &view); /* The loop first sees them at 1000. */
  assert_int_equal(1200, view.deadline_ns);
  queue_take(u, 1199, &view);
  assert_false(cmt__send_queue_answer(&u->send_queue));
  queue_take(u, 1200, &view);
  assert_int_equal(1500, view.deadline_ns);
  assert_true(cmt__send_queue_answer(&u->send_queue));
  assert_cmt(CMT_ETIMEDOUT, b.status);
  assert_non_null(b.msg);
  cmt_buf_unref(b.msg);
  queue_take(u, 1500, &view);
  assert_true(view.deadline_ns == CMT_NEVER);
  cmt__send_queue_answer(&u->send_queue);
  assert_cmt(CMT_ETIMEDOUT, a.status);
  cmt_buf_unref(a.msg);
  assert_int_equal(1, a.calls);
  assert_int_equal(1, b.calls);
}

static void a_later_send_may_have_the_earlier_deadline(void **state) {
  send_queue_user *u = *state;
  queue_answer a = send_queue_answer_new(500), b = send_queue_answer_new(100);
  cmt__send_queue_view view;

  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  send_queue_send(u, QUEUE_A, 1, &a);
  assert_true(cmt__send_queue_on_wake(&u->send_queue));
  queue_take(u, 1000, &view);
  assert_int_equal(1500, view.deadline_ns);
  u->rings = 0;
  send_queue_send(u, QUEUE_A, 1, &b);
  assert_int_equal(1, u->rings);
  queue_take(u, 1010, &view);
  assert_int_equal(1110, view.deadline_ns);
  (void)cmt__send_queue_close(&u->send_queue);
  cmt__send_queue_answer(&u->send_queue);
  cmt_buf_unref(a.msg);
  cmt_buf_unref(b.msg);
}

static void an_expired_head_lets_the_next_in(void **state) {
  send_queue_user *u = *state;
  queue_answer big = send_queue_answer_new(100),
               small = send_queue_answer_new(CMT_NEVER);

  u->send_queue.bytes_max = 110;
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 100));
  send_queue_send(u, QUEUE_A, 50, &big);
  send_queue_send(u, QUEUE_A, 10, &small);
  queue_take(u, 0, NULL);
  queue_take(u, 100, NULL);
  cmt__send_queue_answer(&u->send_queue);
  assert_cmt(CMT_ETIMEDOUT, big.status);
  assert_cmt(CMT_OK, small.status);
  cmt_buf_unref(big.msg);
}

static void no_time_to_wait_is_a_timeout(void **state) {
  send_queue_user *u = *state;
  queue_answer a = send_queue_answer_new(0);

  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  send_queue_send(u, QUEUE_A, 1, &a);
  assert_int_equal(0, a.calls);
  cmt__send_queue_answer(&u->send_queue);
  assert_cmt(CMT_ETIMEDOUT, a.status);
  cmt_buf_unref(a.msg);
}

static void the_end_answers_every_send_once(void **state) {
  send_queue_user *u = *state;
  queue_answer a[3];

  for (size_t i = 0; i < 3; i++) {
    a[i] = send_queue_answer_new(CMT_NEVER);
    send_queue_send(u, QUEUE_A, 1,
                    &a[i]); /* Two find room, and are not yet answered. */
  }
  assert_true(cmt__send_queue_close(&u->send_queue));
  assert_true(cmt__send_queue_answer(&u->send_queue));
  assert_false(cmt__send_queue_answer(&u->send_queue));
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(1, a[i].calls);
    assert_cmt(i < 2 ? CMT_OK : CMT_ECLOSED, a[i].status);
  }
  cmt_buf_unref(a[2].msg);
  assert_cmt(CMT_ECLOSED, queue_try(u, QUEUE_A, 1));
}

/* Its messages are released: by the loop those that it has taken over, the
   others here. */
static void a_send_may_have_no_callback(void **state) {
  send_queue_user *u = *state;
  cmt_send_req queued = {.size = sizeof queued, .timeout_ns = 0},
               late = {.size = sizeof late, .timeout_ns = 0};

  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  assert_cmt(CMT_OK, cmt__send_queue_send_async(
                       &u->send_queue, send_queue_place(u, QUEUE_A),
                       send_queue_message(u, 1), &queued));
  assert_cmt(CMT_OK, cmt__send_queue_send_async(
                       &u->send_queue, send_queue_place(u, QUEUE_A),
                       send_queue_message(u, 1), &late));
  assert_true(cmt__send_queue_answer(&u->send_queue));
  assert_int_equal(2, queue_take(u, 0, NULL));
}

static void a_callback_may_use_its_request_again(void **state) {
  send_queue_user *u = *state;
  queue_answer a = send_queue_answer_new(100);

  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  send_queue_send(u, QUEUE_A, 1, &a);
  a.again = u;
  queue_take(u, 0, NULL);
  queue_take(u, 100, NULL);
  cmt__send_queue_answer(&u->send_queue);
  assert_int_equal(1, a.calls);
  assert_cmt(CMT_ETIMEDOUT, a.status);
  send_queue_credit(u, 1, 0, 1);
  cmt__send_queue_answer(&u->send_queue);
  assert_int_equal(2, a.calls);
  assert_cmt(CMT_OK, a.status);
}

static void a_burst_wakes_once(void **state) {
  send_queue_user *u = *state;

  for (size_t i = 0; i < 4; i++) {
    assert_cmt(CMT_OK, queue_try(u, QUEUE_B, 1));
  }
  assert_int_equal(1, u->rings);
  assert_true(cmt__send_queue_on_wake(&u->send_queue));
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1)); /* The look is still to come. */
  assert_int_equal(1, u->rings);
  queue_take(u, 0, NULL);
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  assert_int_equal(2, u->rings);
}

static void a_loop_that_attends_is_not_woken(void **state) {
  send_queue_user *u = *state;

  cmt__send_queue_attend(&u->send_queue);
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  assert_int_equal(0, u->rings);
  assert_int_equal(1, queue_take(u, 0, NULL));
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  assert_int_equal(1, u->rings);
}

static void a_wake_up_outlives_the_end(void **state) {
  send_queue_user *u = *state;

  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  assert_true(cmt__send_queue_close(&u->send_queue));
  cmt__send_queue_pause(&u->send_queue);
  cmt__send_queue_stop_with(&u->send_queue, CMT_ECANCELED, 0);
  assert_int_equal(1, u->rings);
  assert_false(cmt__send_queue_on_wake(&u->send_queue));
}

static void the_first_stop_reports_why(void **state) {
  send_queue_user *u = *state;
  queue_answer a = send_queue_answer_new(CMT_NEVER);
  cmt__send_queue_stop stop;

  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  send_queue_send(u, QUEUE_A, 1, &a);
  cmt__send_queue_stop_with(&u->send_queue, CMT_ECANCELED, 700);
  cmt__send_queue_stop_with(&u->send_queue, CMT_EREACTOR, 800);
  stop = cmt__send_queue_take_stop(&u->send_queue);
  assert_true(stop.wanted);
  assert_cmt(CMT_ECANCELED, stop.reason);
  assert_int_equal(700, stop.flush_ns);
  assert_false(cmt__send_queue_take_stop(&u->send_queue).wanted);
  cmt__send_queue_stop_with(&u->send_queue, CMT_EREACTOR,
                            300); /* Only hurries it. */
  stop = cmt__send_queue_take_stop(&u->send_queue);
  assert_true(stop.wanted);
  assert_cmt(CMT_ECANCELED, stop.reason);
  assert_int_equal(300, stop.flush_ns);
  cmt__send_queue_answer(&u->send_queue);
  assert_cmt(CMT_ECLOSED, a.status);
  cmt_buf_unref(a.msg);
  assert_int_equal(2,
                   queue_take(u, 0, NULL)); /* What was queued may still go. */
}

static void pauses_are_counted(void **state) {
  send_queue_user *u = *state;

  bool blocked;

  cmt__send_queue_pause(&u->send_queue);
  cmt__send_queue_pause(&u->send_queue);
  assert_true(cmt__send_queue_is_paused(&u->send_queue, &blocked));
  assert_true(atomic_exchange(&u->send_queue.control, false));
  cmt__send_queue_resume(&u->send_queue);
  assert_true(cmt__send_queue_is_paused(&u->send_queue, &blocked));
  assert_false(atomic_load(&u->send_queue.control));
  assert_false(blocked);
  cmt__send_queue_block(&u->send_queue);
  assert_true(atomic_exchange(&u->send_queue.control, false));
  cmt__send_queue_resume(&u->send_queue);
  assert_true(cmt__send_queue_is_paused(&u->send_queue, &blocked));
  assert_true(atomic_exchange(&u->send_queue.control, false));
  assert_true(blocked);
  cmt__send_queue_unblock(&u->send_queue);
  assert_false(cmt__send_queue_is_paused(&u->send_queue, &blocked));
  assert_true(atomic_load(&u->send_queue.control));
}

static void without_memory_the_message_stays_with_the_caller(void **state) {
  send_queue_user *u = *state;
  cmt_buf *msg = send_queue_message(u, 1);

  u->send_queue.intake.cap = 0;
  cmt__free(&u->env.env, u->send_queue.intake.list);
  u->send_queue.intake.list = NULL;
  u->env.fail_at = u->env.allocs;
  assert_cmt(CMT_ENOMEM, cmt__send_queue_try_send(
                           &u->send_queue, send_queue_place(u, QUEUE_A), msg));
  assert_int_equal(0, u->send_queue.messages);
  assert_cmt(CMT_OK, cmt__send_queue_try_send(
                       &u->send_queue, send_queue_place(u, QUEUE_A), msg));
}

static void without_memory_no_send_waits(void **state) {
  send_queue_user *u = *state;
  cmt_buf *msg = send_queue_message(u, 1);
  queue_answer a = send_queue_answer_new(CMT_NEVER);

  while (queue_try(u, QUEUE_A, 1) == CMT_OK) {
  }
  u->env.fail_at = u->env.allocs;
  assert_cmt(CMT_ENOMEM,
             cmt__send_queue_send_async(
               &u->send_queue, send_queue_place(u, QUEUE_A), msg, &a.req));
  u->env.fail_at = u->env.allocs;
  assert_cmt(CMT_ENOMEM,
             cmt__send_queue_send(&u->send_queue, send_queue_place(u, QUEUE_A),
                                  msg, CMT_NEVER));
  cmt_buf_unref(msg);
}

static void an_empty_intake_gives_its_memory_back(void **state) {
  send_queue_user *u = *state;
  size_t idle;

  cmt__send_queue_trim(&u->send_queue);
  idle = u->env.live;
  for (int i = 0; i < 2; i++) {
    assert_cmt(CMT_OK, queue_try(u, QUEUE_B, 1));
    assert_int_equal(1, queue_take(u, 0, NULL));
  }
  assert_int_equal(idle + 2, u->env.live);
  cmt__send_queue_trim(&u->send_queue);
  assert_int_equal(idle, u->env.live);
  assert_cmt(CMT_OK, queue_try(u, QUEUE_B, 1));
  cmt__send_queue_trim(&u->send_queue); /* What is in it stays. */
  assert_int_equal(1, queue_take(u, 0, NULL));
  cmt__send_queue_trim(&u->send_queue);
  assert_int_equal(idle, u->env.live);
  send_queue_credit(u, 0, 3, 3);
}

static void a_ping_is_asked_for_once(void **state) {
  send_queue_user *u = *state;

  assert_false(cmt__send_queue_take_ping(&u->send_queue));
  cmt__send_queue_ping(&u->send_queue);
  cmt__send_queue_ping(&u->send_queue);
  assert_int_equal(1, u->rings);
  assert_true(atomic_load(&u->send_queue.control));
  assert_true(cmt__send_queue_take_ping(&u->send_queue));
  assert_false(cmt__send_queue_take_ping(&u->send_queue));
}

static void a_steady_flow_allocates_nothing(void **state) {
  send_queue_user *u = *state;
  cmt_buf *msg = send_queue_message(u, 10);
  size_t allocs = 0;

  for (size_t i = 0; i < 100; i++) {
    if (i == 4) {
      allocs = u->env.allocs;
    }
    for (size_t k = 0; k < 4; k++) {
      assert_cmt(CMT_OK, cmt__send_queue_try_send(&u->send_queue,
                                                  send_queue_place(u, QUEUE_B),
                                                  cmt_buf_ref(msg)));
    }
    assert_int_equal(4, queue_take(u, i, NULL));
    send_queue_credit(u, 0, 4, 40);
  }
  assert_int_equal(allocs, u->env.allocs);
  cmt_buf_unref(msg);
}

int main(void) {
#define TEST(name)                                                             \
  cmocka_unit_test_setup_teardown(name, send_queue_user_setup,                 \
                                  send_queue_user_teardown)
  const struct CMUnitTest tests[] = {
    TEST(the_third_send_is_refused),
    TEST(a_credit_makes_room_for_one),
    TEST(faults_of_the_caller_are_distinguished),
    TEST(bytes_are_bounded_over_all_channels),
    TEST(a_message_over_the_bytes_goes_alone),
    TEST(nobody_overtakes_a_waiting_send),
    TEST(waiting_sends_come_in_in_their_order),
    TEST(of_two_channels_the_earlier_wait_gets_the_bytes),
    TEST(a_send_that_finds_room_is_answered_later),
    TEST(a_deadline_hands_the_message_back_once),
    TEST(a_later_send_may_have_the_earlier_deadline),
    TEST(an_expired_head_lets_the_next_in),
    TEST(no_time_to_wait_is_a_timeout),
    TEST(the_end_answers_every_send_once),
    TEST(a_send_may_have_no_callback),
    TEST(a_callback_may_use_its_request_again),
    TEST(a_burst_wakes_once),
    TEST(a_loop_that_attends_is_not_woken),
    TEST(a_wake_up_outlives_the_end),
    TEST(the_first_stop_reports_why),
    TEST(pauses_are_counted),
    TEST(without_memory_the_message_stays_with_the_caller),
    TEST(without_memory_no_send_waits),
    TEST(an_empty_intake_gives_its_memory_back),
    TEST(a_ping_is_asked_for_once),
    TEST(a_steady_flow_allocates_nothing),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
