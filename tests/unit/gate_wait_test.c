/* SPDX-License-Identifier: Apache-2.0 */

/* Threads that block in a send, at a gate alone. */

#include "gate_user.h"

#include <pthread.h>

typedef struct blocker {
  gate_user *u;
  cmt_buf *msg;
  uint64_t timeout_ns;
  cmt_err err;
} blocker;

static void *block(void *arg) {
  blocker *b = arg;

  b->err = cmt__gate_send_wait(&b->u->gate, GATE_A, b->msg, b->timeout_ns);
  return NULL;
}

/* Both credits of A are taken; returns when the thread stands in the FIFO. */
static pthread_t block_on_full(gate_user *u, blocker *b) {
  pthread_t t;
  bool stands = false;

  assert_cmt(CMT_OK, gate_try(u, GATE_A, 1));
  assert_cmt(CMT_OK, gate_try(u, GATE_A, 1));
  b->u = u;
  b->msg = gate_message(u, 1);
  assert_int_equal(0, pthread_create(&t, NULL, block, b));
  while (!stands) {
    pthread_mutex_lock(&u->gate.lock);
    stands = u->gate.waits != NULL && u->gate.waits[0].first != NULL;
    pthread_mutex_unlock(&u->gate.lock);
  }
  return t;
}

static void a_blocked_send_goes_on_with_a_credit(void **state) {
  blocker b = {.timeout_ns = CMT_NEVER};
  pthread_t t = block_on_full(*state, &b);

  gate_take(b.u, 0, NULL);
  assert_true(gate_credit(b.u, 1, 0, 1));
  pthread_join(t, NULL);
  assert_cmt(CMT_OK, b.err);
  assert_int_equal(1, gate_take(b.u, 0, NULL));
}

static void the_end_wakes_a_blocked_send(void **state) {
  blocker b = {.timeout_ns = CMT_SECONDS(600)};
  pthread_t t = block_on_full(*state, &b);

  (void)cmt__gate_close(&b.u->gate);
  pthread_join(t, NULL);
  assert_cmt(CMT_ECLOSED, b.err);
  cmt_buf_unref(b.msg);
}

static void a_stop_wakes_a_blocked_send(void **state) {
  blocker b = {.timeout_ns = CMT_NEVER};
  pthread_t t = block_on_full(*state, &b);

  cmt__gate_stop_with(&b.u->gate, CMT_ECANCELED, CMT_SECONDS(1));
  pthread_join(t, NULL);
  assert_cmt(CMT_ECLOSED, b.err);
  cmt_buf_unref(b.msg);
}

/* Nobody plays the loop here. */
static void a_blocked_send_watches_its_own_deadline(void **state) {
  gate_user *u = *state;
  cmt_buf *msg = gate_message(u, 1);

  assert_cmt(CMT_OK, gate_try(u, GATE_A, 1));
  assert_cmt(CMT_OK, gate_try(u, GATE_A, 1));
  assert_cmt(CMT_ETIMEDOUT, cmt__gate_send_wait(&u->gate, GATE_A, msg, 0));
  assert_cmt(CMT_ETIMEDOUT,
             cmt__gate_send_wait(&u->gate, GATE_A, msg, CMT_MILLISECONDS(20)));
  assert_null(u->gate.waits[0].first);
  cmt_buf_unref(msg);
}

int main(void) {
#define TEST(name)                                                             \
  cmocka_unit_test_setup_teardown(name, gate_user_setup, gate_user_teardown)
  const struct CMUnitTest tests[] = {
    TEST(a_blocked_send_goes_on_with_a_credit),
    TEST(the_end_wakes_a_blocked_send),
    TEST(a_stop_wakes_a_blocked_send),
    TEST(a_blocked_send_watches_its_own_deadline),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
