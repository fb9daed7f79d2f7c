/* SPDX-License-Identifier: Apache-2.0 */

/* When the loop is to look at a send queue again, and the posts that it runs
   then; the test plays the loop. */

#include "link/send_queue.h"

#include "send_queue_user.h"

/* The loop may go to another only when no wake-up is under way to it. */
static void a_loop_leaves_when_no_wake_up_is_under_way(void **state) {
  send_queue_user *u = *state;

  assert_true(cmt__send_queue_leave(&u->send_queue));
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1)); /* It is attended now. */
  assert_int_equal(0, u->rings);
  queue_take(u, 0, NULL);
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  assert_int_equal(1, u->rings);
  assert_false(cmt__send_queue_leave(&u->send_queue));
  assert_true(cmt__send_queue_on_wake(&u->send_queue));
  assert_true(cmt__send_queue_leave(&u->send_queue));
}

/* A thread that comes to a full channel needs nothing of the loop. */
static void a_thread_that_waits_for_a_credit_wakes_no_loop(void **state) {
  send_queue_user *u = *state;
  cmt_buf *msg = send_queue_message(u, 1);

  while (queue_try(u, QUEUE_A, 1) == CMT_OK) {
  }
  queue_take(u, 0, NULL);
  u->rings = 0;
  u->send_queue.posted = false;
  assert_cmt(CMT_ETIMEDOUT,
             cmt__send_queue_send(&u->send_queue, send_queue_place(u, QUEUE_A),
                                  msg, CMT_MILLISECONDS(1)));
  assert_int_equal(0, u->rings);
  cmt_buf_unref(msg);
}

/* ---- when the loop is to look again ---- */

static void noop(void *arg, cmt_err status) {
  (void)arg;
  (void)status;
}

/* Whatever is reported to it makes it look once more, and until then nobody
   wakes it; without a report that stays as it was. */
static void a_loop_that_looks_again_is_not_woken(void **state) {
  send_queue_user *u = *state;
  cmt__send_queue *g = &u->send_queue;
  queue_answer a = send_queue_answer_new(CMT_NEVER);
  cmt_post post = {.cb = noop};

  for (int attends = 0; attends < 2; attends++) {
    g->attended = attends;
    assert_false(send_queue_credit(u, 0, 0, 0));
    assert_int_equal(attends, g->attended);
    assert_false(cmt__send_queue_answer(g));
    assert_int_equal(attends, g->attended);

    while (queue_try(u, QUEUE_A, 1) == CMT_OK) {
    }
    send_queue_send(u, QUEUE_A, 1, &a);
    queue_take(u, 0, NULL);
    g->attended = attends;
    assert_true(send_queue_credit(u, 1, 0, 1)); /* It lets the other in. */
    assert_true(g->attended);
    g->attended = attends;
    assert_true(cmt__send_queue_answer(g));
    assert_true(g->attended);
    assert_cmt(CMT_OK, cmt__send_queue_post(g, &post));
    g->attended = attends;
    assert_true(cmt__send_queue_answer(g));
    assert_true(g->attended);
    queue_take(u, 0, NULL);
    assert_false(send_queue_credit(u, 2, 0, 2));
  }
}

/* ---- posts ---- */

typedef struct posted {
  cmt_post post;
  char name;
  cmt_err status;
  send_queue_user *again;
} posted;

static void on_post(void *arg, cmt_err status) {
  posted *p = arg;

  test_note(p->name);
  p->status = status;
  if (p->again != NULL) {
    send_queue_user *u = p->again;

    p->again = NULL;
    assert_cmt(CMT_OK, cmt__send_queue_post(&u->send_queue, &p->post));
  }
}

static void posts_run_once_in_their_order(void **state) {
  send_queue_user *u = *state, other;
  cmt__send_queue *g = &u->send_queue;
  posted p[3] = {{.name = 'a'}, {.name = 'b'}, {.name = 'c'}};

  send_queue_user_init(&other, g->descs, g->channel_count, "");
  for (size_t i = 0; i < CMT__COUNT(p); i++) {
    p[i].post = (cmt_post){.cb = on_post, .arg = &p[i]};
    assert_cmt(CMT_OK, cmt__send_queue_post(g, &p[i].post));
    assert_cmt(CMT_OK, cmt__send_queue_post(g, &p[0].post));
    assert_cmt(CMT_EINVAL, cmt__send_queue_post(&other.send_queue, &p[i].post));
  }
  assert_int_equal(1, u->rings);
  p[1].again = u; /* From inside of it, for the next iteration. */
  assert_true(cmt__send_queue_answer(g));
  test_assert_trace("abc");
  assert_true(cmt__send_queue_answer(g));
  test_assert_trace("b");
  assert_false(cmt__send_queue_answer(g));
  /* One after another was the last. */
  assert_cmt(CMT_OK, cmt__send_queue_post(&other.send_queue, &p[0].post));
  assert_true(cmt__send_queue_answer(&other.send_queue));
  test_assert_trace("a");
  send_queue_user_fini(&other);
}

static void a_post_that_is_late_is_reported_of_the_end(void **state) {
  send_queue_user *u = *state;
  posted p = {.name = 'a'}, late = {.name = 'b'};

  p.post = (cmt_post){.cb = on_post, .arg = &p};
  late.post = (cmt_post){.cb = on_post, .arg = &late};
  assert_cmt(CMT_OK, cmt__send_queue_post(&u->send_queue, &p.post));
  (void)cmt__send_queue_close(&u->send_queue);
  assert_cmt(CMT_ECLOSED, cmt__send_queue_post(&u->send_queue, &late.post));
  assert_true(cmt__send_queue_answer(&u->send_queue));
  test_assert_trace("a");
  assert_cmt(CMT_ECLOSED, p.status);
  assert_false(cmt__send_queue_answer(&u->send_queue));
}

int main(void) {
#define TEST(name)                                                             \
  cmocka_unit_test_setup_teardown(name, send_queue_user_setup,                 \
                                  send_queue_user_teardown)
  const struct CMUnitTest tests[] = {
    TEST(a_loop_leaves_when_no_wake_up_is_under_way),
    TEST(a_thread_that_waits_for_a_credit_wakes_no_loop),
    TEST(a_loop_that_looks_again_is_not_woken),
    TEST(posts_run_once_in_their_order),
    TEST(a_post_that_is_late_is_reported_of_the_end),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
