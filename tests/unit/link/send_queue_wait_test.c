/* SPDX-License-Identifier: Apache-2.0 */

/* Threads that block in a send, at a send queue alone; and the end of a send
   queue at which one waits for memory. */

#include "send_queue_user.h"

#include "link/send_queue_impl.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

typedef struct blocker {
  send_queue_user *u;
  cmt_buf *msg;
  uint64_t timeout_ns;
  cmt_err err;
  atomic_bool ended;
} blocker;

static void *block(void *arg) {
  blocker *b = arg;

  b->err = cmt__send_queue_send(
    &b->u->send_queue, send_queue_place(b->u, QUEUE_A), b->msg, b->timeout_ns);
  atomic_store(&b->ended, true);
  return NULL;
}

/* The thread is in the FIFO, after |count| - 1 others. */
static bool stands_at(send_queue_user *u, uint64_t count) {
  bool stands;

  pthread_mutex_lock(&u->send_queue.lock);
  stands = u->send_queue.waits != NULL &&
           u->send_queue.waits[0].first != NULL &&
           u->send_queue.sequence == count;
  pthread_mutex_unlock(&u->send_queue.lock);
  return stands;
}

/* Returns when the thread stands in the FIFO, as the one with the number
   |count| that ever did. */
static pthread_t block_behind(send_queue_user *u, blocker *b, uint64_t count) {
  pthread_t t;

  b->u = u;
  b->msg = send_queue_message(u, 1);
  assert_int_equal(0, pthread_create(&t, NULL, block, b));
  while (!stands_at(u, count)) {
    sched_yield();
  }
  return t;
}

/* Both credits of A are used. */
static pthread_t block_on_full(send_queue_user *u, blocker *b) {
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  return block_behind(u, b, u->send_queue.sequence + 1);
}

static bool is_asleep(send_queue_user *u) {
  queue_take(u, 0, NULL);
  return u->send_queue.rouses;
}

/* What wakes the thread, after |credits| of the two messages before its own. */
static const struct {
  uint32_t credits;
  bool rouses, attends;
  bool wakes;
} wake_rows[] = {
  {2, false, false, true}, /* Half of the queue is free. */
  {1, false, false, false},
  {1, true, true, false}, /* The loop looks again by itself. */
  {1, true, false, true}, /* It would wait for something else. */
};

static void a_blocked_send_is_woken_at_half_a_queue(void **state) {
  for (size_t i = 0; i < CMT__COUNT(wake_rows); i++) {
    send_queue_user *u = *state;
    blocker b = {.timeout_ns = CMT_NEVER};
    pthread_t t = block_on_full(u, &b);

    assert_false(is_asleep(u));
    assert_true(
      send_queue_credit(u, wake_rows[i].credits, 0, wake_rows[i].credits));
    if (wake_rows[i].rouses) {
      assert_int_equal(
        !wake_rows[i].wakes,
        cmt__send_queue_rouse(&u->send_queue, wake_rows[i].attends, 0));
    }
    assert_int_equal(!wake_rows[i].wakes, is_asleep(u));
    (void)cmt__send_queue_rouse(&u->send_queue, false, 0);
    pthread_join(t, NULL);
    assert_cmt(CMT_OK, b.err);
    assert_int_equal(3 - wake_rows[i].credits, u->send_queue.queued[0]);
    (void)send_queue_credit(u, 3 - wake_rows[i].credits, 0,
                            3 - wake_rows[i].credits);
  }
}

/* Each look wakes one; the last finds none, and the loop may wait. */
static void one_look_wakes_one_thread(void **state) {
  send_queue_user *u = *state;
  blocker b[2] = {{.timeout_ns = CMT_NEVER}, {.timeout_ns = CMT_NEVER}};
  pthread_t t[2];

  t[0] = block_on_full(u, &b[0]);
  t[1] = block_behind(u, &b[1], 2);
  queue_take(u, 0, NULL);
  assert_true(send_queue_credit(u, 2, 0, 2)); /* Both come in. */
  assert_true(is_asleep(u));
  assert_false(send_queue_credit(u, 2, 0, 2));
  pthread_join(t[0], NULL);
  assert_true(cmt__send_queue_rouse(&u->send_queue, false, 0));
  assert_true(is_asleep(u));
  assert_false(cmt__send_queue_rouse(&u->send_queue, false, 0));
  pthread_join(t[1], NULL);
  assert_false(is_asleep(u));
  assert_cmt(CMT_OK, b[0].err);
  assert_cmt(CMT_OK, b[1].err);
}

static void set_spins(send_queue_user *u, bool spins) {
  pthread_mutex_lock(&u->send_queue.lock);
  u->send_queue.spins = spins;
  pthread_mutex_unlock(&u->send_queue.lock);
}

/* Two threads are asleep and a third one spins.  One of the two was woken;
   |after_ns| later the loop attends, and the other one is woken, or not. */
static const struct {
  bool spins;
  uint64_t after_ns;
  bool half_free, attends;
  bool wakes;
} spin_rows[] = {
  {true, 0, true, false, false},
  {true, 8 * CMT__SPIN_NS - 1, true, false, false},
  {true, 8 * CMT__SPIN_NS, true, false, true},
  {false, 0, true, false, true},
  {true, 0, false, true, false},
  {true, 0, false, false, true}, /* The loop would wait for something else. */
};

/* Leaves one message in the queue. */
static pthread_t wake_one_of_two(send_queue_user *u, blocker b[2],
                                 uint64_t now_ns) {
  uint64_t before = u->send_queue.sequence;
  pthread_t first = block_on_full(u, &b[0]);
  pthread_t second = block_behind(u, &b[1], before + 2);

  queue_take(u, now_ns, NULL);
  assert_true(send_queue_credit(u, 2, 0, 2)); /* Both come in. */
  queue_take(u, now_ns, NULL);
  set_spins(u, true);
  assert_false(send_queue_credit(u, 1, 0, 1)); /* None was woken lately. */
  pthread_join(first, NULL);
  return second;
}

static void one_that_spins_goes_first(void **state) {
  for (size_t i = 0; i < CMT__COUNT(spin_rows); i++) {
    send_queue_user *u = *state;
    blocker b[2] = {{.timeout_ns = CMT_NEVER}, {.timeout_ns = CMT_NEVER}};
    uint64_t now_ns = CMT_SECONDS(i + 1);
    pthread_t t = wake_one_of_two(u, b, now_ns);
    uint32_t queued = spin_rows[i].half_free ? 1 : 2;

    if (!spin_rows[i].half_free) {
      assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
    }
    set_spins(u, spin_rows[i].spins);
    queue_take(u, now_ns + spin_rows[i].after_ns, NULL);
    assert_true(u->send_queue.rouses);
    assert_int_equal(
      !spin_rows[i].wakes,
      cmt__send_queue_rouse(&u->send_queue, spin_rows[i].attends, u->now_ns));
    set_spins(u, false);
    queue_take(u, now_ns + spin_rows[i].after_ns, NULL);
    assert_int_equal(!spin_rows[i].wakes, u->send_queue.rouses);
    assert_false(send_queue_credit(u, queued, 0, queued));
    pthread_join(t, NULL);
  }
}

/* The loop's part under the lock that the thread needs to give up: one credit
   comes back.  False: the thread does not wait, not yet or not any more. */
static bool let_in(cmt__send_queue *g) {
  bool waits;

  cmt__lock(&g->lock);
  waits = cmt__send_queue_first(g, 0) != NULL;
  if (waits) {
    g->queued[0]--;
    g->messages--;
    g->bytes--;
    assert_true(cmt__send_queue_admit(g));
    assert_non_null(cmt__send_queue_sleeper(g));
  }
  cmt__unlock(&g->lock);
  return waits;
}

/* Nobody wakes it, and its message came in before its time was over. */
static void a_thread_that_is_asleep_watches_its_deadline(void **state) {
  send_queue_user *u = *state;
  bool in = false;

  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  while (!in) {
    blocker b = {.u = u, .timeout_ns = CMT_MILLISECONDS(50)};
    pthread_t t;

    b.msg = send_queue_message(u, 1);
    assert_int_equal(0, pthread_create(&t, NULL, block, &b));
    while (!in && !atomic_load(&b.ended)) {
      in = let_in(&u->send_queue);
    }
    pthread_join(t, NULL);
    assert_cmt(in ? CMT_OK : CMT_ETIMEDOUT, b.err);
    if (!in) {
      cmt_buf_unref(b.msg);
    }
  }
  assert_null(cmt__send_queue_sleeper(&u->send_queue));
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

  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 1));
  assert_cmt(
    CMT_ETIMEDOUT,
    cmt__send_queue_send(&u->send_queue, send_queue_place(u, QUEUE_A), msg, 0));
  assert_cmt(CMT_ETIMEDOUT,
             cmt__send_queue_send(&u->send_queue, send_queue_place(u, QUEUE_A),
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
  send_queue_send(u, QUEUE_A, 50, &a);
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
    TEST(a_blocked_send_is_woken_at_half_a_queue),
    TEST(one_look_wakes_one_thread),
    TEST(one_that_spins_goes_first),
    TEST(a_thread_that_is_asleep_watches_its_deadline),
    TEST(the_end_wakes_a_blocked_send),
    TEST(a_stop_wakes_a_blocked_send),
    TEST(a_blocked_send_watches_its_own_deadline),
    TEST(an_end_leaves_the_list_of_those_that_wait),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
