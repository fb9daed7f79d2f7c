/* SPDX-License-Identifier: Apache-2.0 */

/* Threads that block in a send, at a send queue alone; and the end of a send
   queue at which one waits for memory. */

#include "send_queue_user.h"

#include <pthread.h>

typedef struct blocker {
  send_queue_user *u;
  cmt_buf *msg;
  uint64_t timeout_ns;
  cmt_err err;
} blocker;

static void *block(void *arg) {
  blocker *b = arg;

  b->err = cmt__send_queue_send(
    &b->u->send_queue, send_queue_place(b->u, GATE_A), b->msg, b->timeout_ns);
  return NULL;
}

/* Both credits of A are taken; returns when the thread stands in the FIFO. */
static pthread_t block_on_full(send_queue_user *u, blocker *b) {
  pthread_t t;
  bool stands = false;

  assert_cmt(CMT_OK, queue_try(u, GATE_A, 1));
  assert_cmt(CMT_OK, queue_try(u, GATE_A, 1));
  b->u = u;
  b->msg = send_queue_message(u, 1);
  assert_int_equal(0, pthread_create(&t, NULL, block, b));
  while (!stands) {
    pthread_mutex_lock(&u->send_queue.lock);
    stands =
      u->send_queue.waits != NULL && u->send_queue.waits[0].first != NULL;
    pthread_mutex_unlock(&u->send_queue.lock);
  }
  return t;
}

static void a_blocked_send_goes_on_with_a_credit(void **state) {
  blocker b = {.timeout_ns = CMT_NEVER};
  pthread_t t = block_on_full(*state, &b);

  queue_take(b.u, 0, NULL);
  assert_true(send_queue_credit(b.u, 1, 0, 1));
  pthread_join(t, NULL);
  assert_cmt(CMT_OK, b.err);
  assert_int_equal(1, queue_take(b.u, 0, NULL));
}

static void the_end_wakes_a_blocked_send(void **state) {
  blocker b = {.timeout_ns = CMT_SECONDS(600)};
  pthread_t t = block_on_full(*state, &b);

  (void)cmt__send_queue_close(&b.u->send_queue);
  pthread_join(t, NULL);
  assert_cmt(CMT_ECLOSED, b.err);
  cmt_buf_unref(b.msg);
}

static void a_stop_wakes_a_blocked_send(void **state) {
  blocker b = {.timeout_ns = CMT_NEVER};
  pthread_t t = block_on_full(*state, &b);

  cmt__send_queue_stop_with(&b.u->send_queue, CMT_ECANCELED, CMT_SECONDS(1));
  pthread_join(t, NULL);
  assert_cmt(CMT_ECLOSED, b.err);
  cmt_buf_unref(b.msg);
}

/* Nobody plays the loop here. */
static void a_blocked_send_watches_its_own_deadline(void **state) {
  send_queue_user *u = *state;
  cmt_buf *msg = send_queue_message(u, 1);

  assert_cmt(CMT_OK, queue_try(u, GATE_A, 1));
  assert_cmt(CMT_OK, queue_try(u, GATE_A, 1));
  assert_cmt(
    CMT_ETIMEDOUT,
    cmt__send_queue_send(&u->send_queue, send_queue_place(u, GATE_A), msg, 0));
  assert_cmt(CMT_ETIMEDOUT,
             cmt__send_queue_send(&u->send_queue, send_queue_place(u, GATE_A),
                                  msg, CMT_MILLISECONDS(20)));
  assert_null(u->send_queue.waits[0].first);
  cmt_buf_unref(msg);
}

/* Others have all of the pool, and would look at this send queue when it is
 * gone. */
static void an_end_leaves_the_list_of_those_that_wait(void **state) {
  send_queue_user *u = *state;
  queue_answer a = send_queue_answer_new(CMT_NEVER);
  cmt__send_pool pool = {.first = NULL};

  cmt__send_pool_init(&pool, 10, 100);
  pthread_mutex_init(&pool.lock, NULL);
  atomic_store(&pool.used, 100);
  u->send_queue.pool = &pool;
  send_queue_send(u, GATE_A, 50, &a);
  assert_true(cmt__send_queue_on_wake(&u->send_queue));
  queue_take(u, 0, NULL);
  assert_int_equal(1, atomic_load(&pool.waiting));
  (void)cmt__send_queue_close(&u->send_queue);
  cmt__send_queue_forget(&u->send_queue);
  assert_int_equal(0, atomic_load(&pool.waiting));
  assert_null(pool.first);
  (void)cmt__send_queue_answer(&u->send_queue);
  assert_cmt(CMT_ECLOSED, a.status);
  cmt_buf_unref(a.msg);
  pthread_mutex_destroy(&pool.lock);
}

int main(void) {
#define TEST(name)                                                             \
  cmocka_unit_test_setup_teardown(name, send_queue_user_setup,                 \
                                  send_queue_user_teardown)
  const struct CMUnitTest tests[] = {
    TEST(a_blocked_send_goes_on_with_a_credit),
    TEST(the_end_wakes_a_blocked_send),
    TEST(a_stop_wakes_a_blocked_send),
    TEST(a_blocked_send_watches_its_own_deadline),
    TEST(an_end_leaves_the_list_of_those_that_wait),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
