/* SPDX-License-Identifier: Apache-2.0 */

/* cmt_peer_send_cancel() at a send queue alone, wherever a request may be: the
   test plays the loop. */

#include "send_queue_user.h"

static cmt_err cancel(send_queue_user *u, queue_answer *a) {
  return cmt__send_queue_cancel(&u->send_queue, &a->req);
}

/* The message is the caller's again. */
static void assert_withdrawn(send_queue_user *u, queue_answer *a) {
  cmt_buf *msg = a->req.msg;

  assert_cmt(CMT_OK, cancel(u, a));
  assert_ptr_equal(msg, a->req.msg);
  cmt_buf_unref(msg);
  assert_int_equal(0, a->calls);
}

/* A channel has room for two messages; the loop has both. */
static void fill(send_queue_user *u) {
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  queue_take(u, 0, NULL);
}

static void a_send_that_waits_is_withdrawn(void **state) {
  send_queue_user *u = *state;
  queue_answer a = send_queue_answer_new(CMT_NEVER);

  fill(u);
  for (int i = 0; i < 3; i++) {
    send_queue_send(u, QUEUE_A, 1, &a);
    assert_withdrawn(u, &a);
    assert_cmt(CMT_EINVAL, cancel(u, &a));
  }
  (void)send_queue_credit(u, 2, 0, 2);
  assert_false(cmt__send_queue_answer(&u->send_queue));
  assert_int_equal(0, queue_take(u, 0, NULL));
  assert_int_equal(0, a.calls);
  assert_int_equal(0, u->send_queue.bytes);
}

static void one_without_a_callback_is_withdrawn_too(void **state) {
  send_queue_user *u = *state;
  queue_answer a = send_queue_answer_new(CMT_NEVER);

  a.req.cb = NULL;
  fill(u);
  send_queue_send(u, QUEUE_A, 1, &a);
  assert_withdrawn(u, &a);
}

/* Before and after the loop has taken it over from the intake. */
static void a_queued_message_is_sent_without_a_report(void **state) {
  send_queue_user *u = *state;
  queue_answer a = send_queue_answer_new(CMT_NEVER);

  send_queue_send(u, QUEUE_A, 1, &a);
  assert_cmt(CMT_EALREADY, cancel(u, &a));
  assert_null(a.req.msg);
  assert_cmt(CMT_EINVAL, cancel(u, &a));
  assert_int_equal(1, queue_take(u, 0, NULL));
  send_queue_send(u, QUEUE_A, 1, &a);
  assert_int_equal(1, queue_take(u, 0, NULL));
  assert_cmt(CMT_EALREADY, cancel(u, &a));
  assert_false(cmt__send_queue_answer(&u->send_queue));
  assert_int_equal(0, a.calls);
}

/* It waited, came in with a credit, and its callback is still to come. */
static void a_send_that_came_in_is_sent_without_a_report(void **state) {
  send_queue_user *u = *state;
  queue_answer a = send_queue_answer_new(CMT_NEVER);

  fill(u);
  send_queue_send(u, QUEUE_A, 1, &a);
  assert_true(send_queue_credit(u, 1, 0, 1));
  assert_cmt(CMT_EALREADY, cancel(u, &a));
  assert_false(cmt__send_queue_answer(&u->send_queue));
  assert_int_equal(1, queue_take(u, 0, NULL));
  assert_int_equal(0, a.calls);
}

/* The time passed, and the callback that would report it does not run. */
static void a_send_whose_time_passed_is_withdrawn(void **state) {
  send_queue_user *u = *state;
  queue_answer at_once = send_queue_answer_new(0),
               later = send_queue_answer_new(100);

  fill(u);
  send_queue_send(u, QUEUE_A, 1, &at_once);
  send_queue_send(u, QUEUE_A, 1, &later);
  assert_withdrawn(u, &at_once);
  queue_take(u, 0, NULL);
  queue_take(u, 100, NULL);
  assert_withdrawn(u, &later);
  assert_false(cmt__send_queue_answer(&u->send_queue));
}

/* Its deadline goes with it, before and after the loop's first look. */
static void a_withdrawn_send_has_no_deadline(void **state) {
  send_queue_user *u = *state;
  queue_answer a = send_queue_answer_new(100), b = send_queue_answer_new(100);

  fill(u);
  send_queue_send(u, QUEUE_A, 1, &a);
  assert_withdrawn(u, &a);
  queue_take(u, 0, NULL);
  send_queue_send(u, QUEUE_A, 1, &b);
  queue_take(u, 0, NULL);
  assert_withdrawn(u, &b);
  queue_take(u, 1000, NULL);
  assert_false(cmt__send_queue_answer(&u->send_queue));
}

static void at_the_end_of_the_peer_it_is_withdrawn(void **state) {
  send_queue_user *u = *state;
  queue_answer a = send_queue_answer_new(CMT_NEVER),
               b = send_queue_answer_new(CMT_NEVER),
               queued = send_queue_answer_new(CMT_NEVER);

  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  send_queue_send(u, QUEUE_A, 1, &queued);
  send_queue_send(u, QUEUE_A, 1, &a);
  send_queue_send(u, QUEUE_A, 1, &b);
  cmt__send_queue_stop_with(&u->send_queue, CMT_ECANCELED, 0);
  assert_withdrawn(u, &a);
  (void)cmt__send_queue_close(&u->send_queue);
  assert_withdrawn(u, &b);
  assert_cmt(CMT_EALREADY, cancel(u, &queued));
  assert_false(cmt__send_queue_answer(&u->send_queue));
  assert_cmt(CMT_EINVAL, cancel(u, &queued));
}

static void what_is_not_under_way_here_is_refused(void **state) {
  send_queue_user *u = *state, other;
  queue_answer a = send_queue_answer_new(CMT_NEVER);

  send_queue_user_init(&other, u->send_queue.descs, u->send_queue.channel_count,
                       "\x10\x20");
  assert_cmt(CMT_EINVAL, cancel(u, &a)); /* It was never sent, */
  send_queue_send(u, QUEUE_A, 1, &a);
  assert_cmt(CMT_EINVAL, cancel(&other, &a)); /* or to another peer, */
  assert_true(cmt__send_queue_answer(&u->send_queue));
  assert_cmt(CMT_EINVAL, cancel(u, &a)); /* or was answered. */
  assert_int_equal(1, a.calls);
  send_queue_user_fini(&other);
}

/* ---- order ---- */

/* Whichever of four that wait goes, the others come in in their order. */
static void the_others_keep_their_order(void **state) {
  enum { COUNT = 4 };
  send_queue_user *u = *state;

  for (size_t gone = 0; gone < COUNT; gone++) {
    queue_answer a[COUNT];
    size_t next = 0;

    fill(u);
    for (size_t i = 0; i < COUNT; i++) {
      a[i] = send_queue_answer_new(CMT_NEVER);
      send_queue_send(u, QUEUE_A, 1, &a[i]);
    }
    assert_withdrawn(u, &a[gone]);
    for (size_t i = 0; i < COUNT - 1; i++, next++) {
      next += next == gone;
      (void)send_queue_credit(u, 1, 0, 1);
      (void)cmt__send_queue_answer(&u->send_queue);
      queue_take(u, 0, NULL);
      assert_int_equal(1, a[next].calls);
      assert_true(next == COUNT - 1 || a[COUNT - 1].calls == 0);
    }
    assert_int_equal(0, a[gone].calls);
    (void)send_queue_credit(u, 2, 0, 2);
  }
}

/* It stood before one that fits. */
static void the_next_comes_in_at_once(void **state) {
  send_queue_user *u = *state;
  queue_answer large = send_queue_answer_new(CMT_NEVER),
               small = send_queue_answer_new(CMT_NEVER);

  u->send_queue.bytes_max = 110;
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 100));
  queue_take(u, 0, NULL);
  send_queue_send(u, QUEUE_A, 50, &large);
  send_queue_send(u, QUEUE_B, 10, &small);
  assert_true(cmt__send_queue_on_wake(&u->send_queue));
  queue_take(u, 0, NULL);
  u->rings = 0;
  assert_withdrawn(u, &large);
  assert_int_equal(1, u->rings); /* The loop is to send it and to answer. */
  assert_int_equal(1, queue_take(u, 0, NULL));
  assert_true(cmt__send_queue_answer(&u->send_queue));
  assert_cmt(CMT_OK, small.status);
}

/* And the channel is free for a send that does not wait. */
static void nobody_stands_in_the_way_any_more(void **state) {
  send_queue_user *u = *state;
  queue_answer large = send_queue_answer_new(CMT_NEVER);

  u->send_queue.bytes_max = 110;
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 100));
  send_queue_send(u, QUEUE_A, 50, &large);
  assert_cmt(CMT_EAGAIN, queue_try(u, QUEUE_A, 1));
  assert_cmt(CMT_EAGAIN, queue_try(u, QUEUE_B, 1));
  assert_withdrawn(u, &large);
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  assert_cmt(CMT_OK, queue_try(u, QUEUE_B, 1));
}

/* ---- the pool of all peers ---- */

enum { FLOOR = 100, POOL = 100 };

/* What a wake-up asks for. */
static void look(send_queue_user *u) {
  while (u->rings > 0) {
    u->rings = 0;
    assert_true(cmt__send_queue_on_wake(&u->send_queue));
    do {
      queue_take(u, 0, NULL);
    } while (cmt__send_queue_answer(&u->send_queue));
  }
}

/* Somebody else has all of the pool, and the send queue most of its floor. */
static void pool_begin(cmt__send_pool *pool, send_queue_user *u) {
  memset(pool, 0, sizeof *pool);
  cmt__send_pool_init(pool, FLOOR, POOL);
  pthread_mutex_init(&pool->lock, NULL);
  u->send_queue.pool = pool;
  assert_true(cmt__send_pool_take(pool, NULL, 0, POOL));
  assert_cmt(CMT_OK, queue_try(u, QUEUE_B, FLOOR - 10));
}

static void pool_end(cmt__send_pool *pool, send_queue_user *u) {
  assert_int_equal(POOL, atomic_load(&pool->used));
  u->send_queue.pool = NULL;
  pthread_mutex_destroy(&pool->lock);
}

/* Or nobody else would ever get anything of it. */
static void the_next_waiter_of_the_pool_follows(void **state) {
  send_queue_user *u = *state;
  queue_answer a = send_queue_answer_new(CMT_NEVER);
  cmt__send_pool pool;

  pool_begin(&pool, u);
  send_queue_send(u, QUEUE_B, 20, &a);
  look(u);
  assert_ptr_equal(&u->send_queue, atomic_load(&pool.next_up));
  assert_withdrawn(u, &a);
  look(u);
  assert_int_equal(0, atomic_load(&pool.waiting));
  assert_null(atomic_load(&pool.next_up));
  pool_end(&pool, u);
}

static void a_send_that_waits_for_the_pool_is_withdrawn(void **state) {
  send_queue_user *u = *state;
  queue_answer a = send_queue_answer_new(CMT_NEVER),
               b = send_queue_answer_new(CMT_NEVER);
  cmt__send_pool pool;

  pool_begin(&pool, u);
  send_queue_send(u, QUEUE_B, 20, &a);
  send_queue_send(u, QUEUE_B, 10, &b);
  look(u);
  assert_int_equal(1, atomic_load(&pool.waiting));
  assert_withdrawn(u, &a);
  look(u);
  assert_int_equal(0, atomic_load(&pool.waiting));
  assert_int_equal(1, b.calls); /* It needs nothing of the pool. */
  assert_cmt(CMT_OK, b.status);
  assert_int_equal(FLOOR, u->send_queue.bytes);
  pool_end(&pool, u);
}

/* ---- from callbacks ---- */

typedef struct caller {
  queue_answer a; /* First: its callback is ours. */
  send_queue_user *u;
  queue_answer *victim;
  cmt_err before, on_victim;
} caller;

static void on_call(void *arg, cmt_err status, cmt_buf *msg) {
  caller *c = arg;

  c->a.calls++;
  c->a.status = status;
  cmt_buf_unref(msg);
  c->before = cancel(c->u, &c->a);
  c->on_victim = cancel(c->u, c->victim);
}

static caller caller_of(send_queue_user *u, queue_answer *victim) {
  return (caller){.a.req = {.timeout_ns = CMT_NEVER, .cb = on_call},
                  .u = u,
                  .victim = victim};
}

static void in_its_own_callback_it_returns_busy(void **state) {
  send_queue_user *u = *state;
  queue_answer first = send_queue_answer_new(CMT_NEVER);
  caller c = caller_of(u, &first);

  send_queue_send(u, QUEUE_B, 1, &first);
  send_queue_send(u, QUEUE_B, 1, &c.a);
  assert_true(cmt__send_queue_answer(&u->send_queue));
  assert_int_equal(1, c.a.calls);
  assert_cmt(CMT_EBUSY, c.before);
  assert_cmt(CMT_EINVAL, c.on_victim); /* Its callback has returned. */
  assert_cmt(CMT_EINVAL, cancel(u, &c.a));
}

static void a_callback_that_is_due_does_not_run_after_it(void **state) {
  send_queue_user *u = *state;
  queue_answer next = send_queue_answer_new(CMT_NEVER),
               last = send_queue_answer_new(CMT_NEVER);
  caller c = caller_of(u, &next);

  send_queue_send(u, QUEUE_B, 1, &c.a);
  send_queue_send(u, QUEUE_B, 1, &next);
  send_queue_send(u, QUEUE_B, 1, &last);
  assert_true(cmt__send_queue_answer(&u->send_queue));
  assert_false(cmt__send_queue_answer(&u->send_queue));
  assert_cmt(CMT_EALREADY, c.on_victim);
  assert_int_equal(0, next.calls);
  assert_int_equal(1, last.calls);
  assert_int_equal(3, queue_take(u, 0, NULL));
}

static void a_callback_withdraws_a_send_that_waits(void **state) {
  send_queue_user *u = *state;
  queue_answer waits = send_queue_answer_new(CMT_NEVER);
  caller c = caller_of(u, &waits);

  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  send_queue_send(u, QUEUE_A, 1, &c.a);
  send_queue_send(u, QUEUE_A, 1, &waits);
  assert_true(cmt__send_queue_answer(&u->send_queue));
  assert_cmt(CMT_OK, c.on_victim);
  cmt_buf_unref(waits.req.msg);
  assert_int_equal(2, queue_take(u, 0, NULL));
  (void)send_queue_credit(u, 2, 0, 2);
  assert_false(cmt__send_queue_answer(&u->send_queue));
  assert_int_equal(0, waits.calls);
}

/* Sent again from its callback it is under way again. */
static void a_send_from_its_callback_is_withdrawn(void **state) {
  send_queue_user *u = *state;
  queue_answer a = send_queue_answer_new(CMT_NEVER);

  fill(u);
  a.req.timeout_ns = 0;
  a.again = u;
  send_queue_send(u, QUEUE_A, 1, &a);
  a.req.timeout_ns = CMT_NEVER;
  assert_true(cmt__send_queue_answer(&u->send_queue));
  assert_int_equal(1, a.calls);
  a.calls = 0;
  assert_withdrawn(u, &a);
  assert_false(cmt__send_queue_answer(&u->send_queue));
}

int main(void) {
#define TEST(name)                                                             \
  cmocka_unit_test_setup_teardown(name, send_queue_user_setup,                 \
                                  send_queue_user_teardown)
  const struct CMUnitTest tests[] = {
    TEST(a_send_that_waits_is_withdrawn),
    TEST(one_without_a_callback_is_withdrawn_too),
    TEST(a_queued_message_is_sent_without_a_report),
    TEST(a_send_that_came_in_is_sent_without_a_report),
    TEST(a_send_whose_time_passed_is_withdrawn),
    TEST(a_withdrawn_send_has_no_deadline),
    TEST(at_the_end_of_the_peer_it_is_withdrawn),
    TEST(what_is_not_under_way_here_is_refused),
    TEST(the_others_keep_their_order),
    TEST(the_next_comes_in_at_once),
    TEST(nobody_stands_in_the_way_any_more),
    TEST(a_send_that_waits_for_the_pool_is_withdrawn),
    TEST(the_next_waiter_of_the_pool_follows),
    TEST(in_its_own_callback_it_returns_busy),
    TEST(a_callback_that_is_due_does_not_run_after_it),
    TEST(a_callback_withdraws_a_send_that_waits),
    TEST(a_send_from_its_callback_is_withdrawn),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
