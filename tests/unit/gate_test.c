/* SPDX-License-Identifier: Apache-2.0 */

/* The gate alone: the test plays the loop. */

#include "node/gate.h"

#include "test.h"

#include <pthread.h>

enum { A = 0x10, B = 0x20, THEIRS_NOT = 0x30 };

static const cmt_channel channels[] = {
  {.id = A, .priority = 1, .send_queue = 1, .send_message_max = 100},
  {.id = B, .priority = 1, .send_queue = 3, .send_message_max = 1000},
  {.id = THEIRS_NOT, .priority = 1, .send_queue = 1, .send_message_max = 100},
};

typedef struct fixture {
  test_env env;
  cmt__gate gate;
  unsigned rings;
} fixture;

typedef struct answer {
  cmt_send_req req;
  unsigned calls;
  cmt_err status;
  cmt_buf *msg;
  fixture *again; /* Send once more from the callback. */
} answer;

static void on_ring(void *arg) { ((fixture *)arg)->rings++; }

static void on_answer(void *arg, cmt_err status, cmt_buf *msg) {
  answer *a = arg;

  a->calls++;
  a->status = status;
  a->msg = msg;
  if (a->again != NULL) {
    fixture *f = a->again;

    a->again = NULL;
    assert_cmt(CMT_OK, cmt__gate_send(&f->gate, A, msg, &a->req));
  }
}

static answer answer_new(uint64_t timeout_ns) {
  return (answer){.req = {.timeout_ns = timeout_ns, .cb = on_answer},
                  .status = CMT_EINVAL};
}

static cmt_buf *message(fixture *f, size_t len) {
  cmt_buf *b = cmt_buf_new(&f->env.env, len);

  assert_non_null(b);
  return b;
}

/* The loop's look: what came in is let go, as if it was handed on. */
static size_t take(fixture *f, uint64_t now_ns, cmt__gate_view *view) {
  cmt__gate_view own;
  size_t count;

  cmt__gate_take(&f->gate, now_ns, view != NULL ? view : &own);
  count = f->gate.taken.count;
  for (size_t i = 0; i < count; i++) {
    cmt_buf_unref(f->gate.taken.list[i].msg);
  }
  f->gate.taken.count = 0;
  return count;
}

static bool credit(fixture *f, uint32_t a, uint32_t b, size_t bytes) {
  cmt__credits c = {.messages = {a, b}, .bytes = bytes};

  return cmt__gate_credit(&f->gate, &c);
}

static cmt_err try_len(fixture *f, uint8_t channel, size_t len) {
  cmt_buf *msg = message(f, len);
  cmt_err err = cmt__gate_try_send(&f->gate, channel, msg);

  if (err != CMT_OK) {
    cmt_buf_unref(msg);
  }
  return err;
}

static void send_len(fixture *f, uint8_t channel, size_t len, answer *a) {
  a->req.arg = a;
  assert_cmt(CMT_OK,
             cmt__gate_send(&f->gate, channel, message(f, len), &a->req));
}

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  test_env_init(&f->env);
  assert_cmt(CMT_OK, cmt__gate_init(&f->gate, &f->env.env, channels, 3,
                                    cmt_bytes_of("\x10\x20")));
  f->gate.bytes_max = 1000;
  f->gate.ring = on_ring;
  f->gate.ring_arg = f;
  take(f, 0, NULL);
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;

  (void)cmt__gate_close(&f->gate);
  (void)cmt__gate_answer(&f->gate);
  cmt__gate_fini(&f->gate);
  test_env_fini(&f->env);
  free(f);
  return 0;
}

static void the_third_send_is_refused(void **state) {
  fixture *f = *state;

  assert_cmt(CMT_OK, try_len(f, A, 1));
  assert_cmt(CMT_OK, try_len(f, A, 1));
  assert_cmt(CMT_EAGAIN, try_len(f, A, 1));
  assert_int_equal(2, take(f, 0, NULL));
  assert_cmt(CMT_EAGAIN, try_len(f, A, 1));
  assert_cmt(CMT_OK, try_len(f, B, 1)); /* Channels are apart. */
}

static void a_credit_makes_room_for_one(void **state) {
  fixture *f = *state;

  assert_cmt(CMT_OK, try_len(f, A, 1));
  assert_cmt(CMT_OK, try_len(f, A, 1));
  take(f, 0, NULL);
  assert_false(credit(f, 1, 0, 1));
  assert_cmt(CMT_OK, try_len(f, A, 1));
  assert_cmt(CMT_EAGAIN, try_len(f, A, 1));
}

static void faults_of_the_caller_are_told_apart(void **state) {
  fixture *f = *state;

  assert_cmt(CMT_ENOCHANNEL, try_len(f, 0x99, 1));
  assert_cmt(CMT_EPEERCHANNEL, try_len(f, THEIRS_NOT, 1));
  assert_cmt(CMT_ETOOBIG, try_len(f, A, 101));
  assert_cmt(CMT_OK, try_len(f, A, 100));
  assert_cmt(CMT_OK, try_len(f, A, 0));
  cmt__gate_stop_with(&f->gate, CMT_ECANCELED, 0);
  assert_cmt(CMT_ECLOSED, try_len(f, A, 1));
}

static void bytes_are_bounded_over_all_channels(void **state) {
  fixture *f = *state;

  assert_cmt(CMT_OK, try_len(f, B, 950));
  assert_cmt(CMT_EAGAIN, try_len(f, A, 51));
  assert_cmt(CMT_OK, try_len(f, A, 50));
  assert_cmt(CMT_EAGAIN, try_len(f, B, 1));
  take(f, 0, NULL);
  credit(f, 0, 1, 950);
  assert_cmt(CMT_OK, try_len(f, B, 950));
}

static void a_message_over_the_bytes_goes_alone(void **state) {
  fixture *f = *state;

  f->gate.bytes_max = 10;
  assert_cmt(CMT_OK, try_len(f, B, 1000));
  assert_cmt(CMT_EAGAIN, try_len(f, A, 1));
  take(f, 0, NULL);
  credit(f, 0, 1, 1000);
  assert_cmt(CMT_OK, try_len(f, A, 1));
  assert_cmt(CMT_EAGAIN, try_len(f, B, 1000));
}

static void nobody_overtakes_a_waiting_send(void **state) {
  fixture *f = *state;
  answer a = answer_new(CMT_NEVER);

  f->gate.bytes_max = 150;
  assert_cmt(CMT_OK, try_len(f, A, 100));
  send_len(f, A, 100, &a); /* A credit is free, the bytes are not. */
  assert_cmt(CMT_EAGAIN, try_len(f, A, 1));
  take(f, 0, NULL);
  assert_true(credit(f, 1, 0, 100));
  assert_int_equal(0, a.calls);
  assert_true(cmt__gate_answer(&f->gate));
  assert_int_equal(1, a.calls);
  assert_cmt(CMT_OK, a.status);
  assert_null(a.msg);
  assert_cmt(CMT_OK, try_len(f, A, 1));
}

static void waiting_sends_come_in_in_their_order(void **state) {
  fixture *f = *state;
  answer a[4];

  assert_cmt(CMT_OK, try_len(f, A, 1));
  assert_cmt(CMT_OK, try_len(f, A, 1));
  for (size_t i = 0; i < 4; i++) {
    a[i] = answer_new(CMT_NEVER);
    send_len(f, A, 10 + i, &a[i]);
  }
  take(f, 0, NULL);
  assert_true(credit(f, 2, 0, 2));
  cmt__gate_take(&f->gate, 0, &(cmt__gate_view){0});
  assert_int_equal(2, f->gate.taken.count);
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(10 + i, cmt_buf_bytes(f->gate.taken.list[i].msg).len);
    cmt_buf_unref(f->gate.taken.list[i].msg);
  }
  f->gate.taken.count = 0;
  cmt__gate_answer(&f->gate);
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(i < 2, a[i].calls);
  }
  (void)cmt__gate_close(&f->gate);
  cmt__gate_answer(&f->gate);
  cmt_buf_unref(a[2].msg);
  cmt_buf_unref(a[3].msg);
}

static void of_two_channels_the_earlier_wait_gets_the_bytes(void **state) {
  fixture *f = *state;
  answer late = answer_new(CMT_NEVER), early = answer_new(CMT_NEVER);

  f->gate.bytes_max = 100;
  assert_cmt(CMT_OK, try_len(f, A, 100));
  send_len(f, B, 90, &early);
  send_len(f, A, 90, &late);
  take(f, 0, NULL);
  credit(f, 1, 0, 100);
  cmt__gate_answer(&f->gate);
  assert_int_equal(1, early.calls);
  assert_int_equal(0, late.calls);
  take(f, 0, NULL);
  credit(f, 0, 1, 90);
  cmt__gate_answer(&f->gate);
  assert_int_equal(1, late.calls);
}

static void a_send_that_finds_room_is_answered_later(void **state) {
  fixture *f = *state;
  answer a = answer_new(0);

  send_len(f, A, 1, &a);
  assert_int_equal(0, a.calls);
  assert_int_equal(1, f->rings);
  assert_true(cmt__gate_answer(&f->gate));
  assert_false(cmt__gate_answer(&f->gate));
  assert_int_equal(1, a.calls);
  assert_cmt(CMT_OK, a.status);
}

static void a_deadline_hands_the_message_back_once(void **state) {
  fixture *f = *state;
  answer a = answer_new(500), b = answer_new(200);
  cmt__gate_view view;

  assert_cmt(CMT_OK, try_len(f, A, 1));
  assert_cmt(CMT_OK, try_len(f, A, 1));
  send_len(f, A, 1, &a);
  send_len(f, A, 1, &b);
  take(f, 1000, &view); /* The loop first sees them at 1000. */
  assert_int_equal(1200, view.deadline_ns);
  take(f, 1199, &view);
  assert_false(cmt__gate_answer(&f->gate));
  take(f, 1200, &view);
  assert_int_equal(1500, view.deadline_ns);
  assert_true(cmt__gate_answer(&f->gate));
  assert_cmt(CMT_ETIMEDOUT, b.status);
  assert_non_null(b.msg);
  cmt_buf_unref(b.msg);
  take(f, 1500, &view);
  assert_true(view.deadline_ns == CMT_NEVER);
  cmt__gate_answer(&f->gate);
  assert_cmt(CMT_ETIMEDOUT, a.status);
  cmt_buf_unref(a.msg);
  assert_int_equal(1, a.calls);
  assert_int_equal(1, b.calls);
}

static void a_later_send_may_have_the_earlier_deadline(void **state) {
  fixture *f = *state;
  answer a = answer_new(500), b = answer_new(100);
  cmt__gate_view view;

  assert_cmt(CMT_OK, try_len(f, A, 1));
  assert_cmt(CMT_OK, try_len(f, A, 1));
  send_len(f, A, 1, &a);
  assert_true(cmt__gate_woken(&f->gate));
  take(f, 1000, &view);
  assert_int_equal(1500, view.deadline_ns);
  f->rings = 0;
  send_len(f, A, 1, &b);
  assert_int_equal(1, f->rings);
  take(f, 1010, &view);
  assert_int_equal(1110, view.deadline_ns);
  (void)cmt__gate_close(&f->gate);
  cmt__gate_answer(&f->gate);
  cmt_buf_unref(a.msg);
  cmt_buf_unref(b.msg);
}

static void an_expired_head_lets_the_next_in(void **state) {
  fixture *f = *state;
  answer big = answer_new(100), small = answer_new(CMT_NEVER);

  f->gate.bytes_max = 110;
  assert_cmt(CMT_OK, try_len(f, A, 100));
  send_len(f, A, 50, &big);
  send_len(f, A, 10, &small);
  take(f, 0, NULL);
  take(f, 100, NULL);
  cmt__gate_answer(&f->gate);
  assert_cmt(CMT_ETIMEDOUT, big.status);
  assert_cmt(CMT_OK, small.status);
  cmt_buf_unref(big.msg);
}

static void no_time_to_wait_is_a_timeout(void **state) {
  fixture *f = *state;
  answer a = answer_new(0);

  assert_cmt(CMT_OK, try_len(f, A, 1));
  assert_cmt(CMT_OK, try_len(f, A, 1));
  send_len(f, A, 1, &a);
  assert_int_equal(0, a.calls);
  cmt__gate_answer(&f->gate);
  assert_cmt(CMT_ETIMEDOUT, a.status);
  cmt_buf_unref(a.msg);
}

static void the_end_answers_every_send_once(void **state) {
  fixture *f = *state;
  answer a[3];

  for (size_t i = 0; i < 3; i++) {
    a[i] = answer_new(CMT_NEVER);
    send_len(f, A, 1, &a[i]); /* Two find room, and are not yet answered. */
  }
  assert_true(cmt__gate_close(&f->gate));
  assert_true(cmt__gate_answer(&f->gate));
  assert_false(cmt__gate_answer(&f->gate));
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(1, a[i].calls);
    assert_cmt(i < 2 ? CMT_OK : CMT_ECLOSED, a[i].status);
  }
  cmt_buf_unref(a[2].msg);
  assert_cmt(CMT_ECLOSED, try_len(f, A, 1));
}

static void a_callback_may_use_its_request_again(void **state) {
  fixture *f = *state;
  answer a = answer_new(100);

  assert_cmt(CMT_OK, try_len(f, A, 1));
  assert_cmt(CMT_OK, try_len(f, A, 1));
  send_len(f, A, 1, &a);
  a.again = f;
  take(f, 0, NULL);
  take(f, 100, NULL);
  cmt__gate_answer(&f->gate);
  assert_int_equal(1, a.calls);
  assert_cmt(CMT_ETIMEDOUT, a.status);
  credit(f, 1, 0, 1);
  cmt__gate_answer(&f->gate);
  assert_int_equal(2, a.calls);
  assert_cmt(CMT_OK, a.status);
}

static void a_burst_rings_once(void **state) {
  fixture *f = *state;

  for (size_t i = 0; i < 4; i++) {
    assert_cmt(CMT_OK, try_len(f, B, 1));
  }
  assert_int_equal(1, f->rings);
  assert_true(cmt__gate_woken(&f->gate));
  assert_cmt(CMT_OK, try_len(f, A, 1)); /* The look is still to come. */
  assert_int_equal(1, f->rings);
  take(f, 0, NULL);
  assert_cmt(CMT_OK, try_len(f, A, 1));
  assert_int_equal(2, f->rings);
}

static void a_loop_that_attends_is_not_rung(void **state) {
  fixture *f = *state;

  cmt__gate_attend(&f->gate);
  assert_cmt(CMT_OK, try_len(f, A, 1));
  assert_int_equal(0, f->rings);
  assert_int_equal(1, take(f, 0, NULL));
  assert_cmt(CMT_OK, try_len(f, A, 1));
  assert_int_equal(1, f->rings);
}

static void a_ring_outlives_the_end(void **state) {
  fixture *f = *state;

  assert_cmt(CMT_OK, try_len(f, A, 1));
  assert_true(cmt__gate_close(&f->gate));
  cmt__gate_pause(&f->gate);
  cmt__gate_stop_with(&f->gate, CMT_ECANCELED, 0);
  assert_int_equal(1, f->rings);
  assert_false(cmt__gate_woken(&f->gate));
}

static void the_first_stop_says_why(void **state) {
  fixture *f = *state;
  answer a = answer_new(CMT_NEVER);
  cmt__gate_stop stop;

  assert_cmt(CMT_OK, try_len(f, A, 1));
  assert_cmt(CMT_OK, try_len(f, A, 1));
  send_len(f, A, 1, &a);
  cmt__gate_stop_with(&f->gate, CMT_ECANCELED, 700);
  cmt__gate_stop_with(&f->gate, CMT_EREACTOR, 800);
  stop = cmt__gate_take_stop(&f->gate);
  assert_true(stop.wanted);
  assert_cmt(CMT_ECANCELED, stop.reason);
  assert_int_equal(700, stop.flush_ns);
  assert_false(cmt__gate_take_stop(&f->gate).wanted);
  cmt__gate_stop_with(&f->gate, CMT_EREACTOR, 300); /* Only hurries it. */
  stop = cmt__gate_take_stop(&f->gate);
  assert_true(stop.wanted);
  assert_cmt(CMT_ECANCELED, stop.reason);
  assert_int_equal(300, stop.flush_ns);
  cmt__gate_answer(&f->gate);
  assert_cmt(CMT_ECLOSED, a.status);
  cmt_buf_unref(a.msg);
  assert_int_equal(2, take(f, 0, NULL)); /* What was queued may still go. */
}

static void pauses_are_counted(void **state) {
  fixture *f = *state;

  bool blocked;

  cmt__gate_pause(&f->gate);
  cmt__gate_pause(&f->gate);
  assert_true(cmt__gate_is_paused(&f->gate, &blocked));
  assert_true(atomic_exchange(&f->gate.control, false));
  cmt__gate_resume(&f->gate);
  assert_true(cmt__gate_is_paused(&f->gate, &blocked));
  assert_false(atomic_load(&f->gate.control));
  assert_false(blocked);
  cmt__gate_block(&f->gate);
  assert_true(atomic_exchange(&f->gate.control, false));
  cmt__gate_resume(&f->gate);
  assert_true(cmt__gate_is_paused(&f->gate, &blocked));
  assert_true(atomic_exchange(&f->gate.control, false));
  assert_true(blocked);
  cmt__gate_unblock(&f->gate);
  assert_false(cmt__gate_is_paused(&f->gate, &blocked));
  assert_true(atomic_load(&f->gate.control));
}

static void without_memory_the_message_stays_with_the_caller(void **state) {
  fixture *f = *state;
  cmt_buf *msg = message(f, 1);

  f->gate.intake.cap = 0;
  cmt__free(&f->env.env, f->gate.intake.list);
  f->gate.intake.list = NULL;
  f->env.fail_at = f->env.allocs;
  assert_cmt(CMT_ENOMEM, cmt__gate_try_send(&f->gate, A, msg));
  assert_int_equal(0, f->gate.messages);
  assert_cmt(CMT_OK, cmt__gate_try_send(&f->gate, A, msg));
}

static void without_memory_no_send_waits(void **state) {
  fixture *f = *state;
  cmt_buf *msg = message(f, 1);
  answer a = {0};

  while (try_len(f, A, 1) == CMT_OK) {
  }
  a.req.timeout_ns = CMT_NEVER;
  f->env.fail_at = f->env.allocs;
  assert_cmt(CMT_ENOMEM, cmt__gate_send(&f->gate, A, msg, &a.req));
  f->env.fail_at = f->env.allocs;
  assert_cmt(CMT_ENOMEM, cmt__gate_send_wait(&f->gate, A, msg, CMT_NEVER));
  cmt_buf_unref(msg);
}

static void an_empty_intake_gives_its_memory_back(void **state) {
  fixture *f = *state;
  size_t idle;

  cmt__gate_trim(&f->gate);
  idle = f->env.live;
  for (int i = 0; i < 2; i++) {
    assert_cmt(CMT_OK, try_len(f, B, 1));
    assert_int_equal(1, take(f, 0, NULL));
  }
  assert_int_equal(idle + 2, f->env.live);
  assert_cmt(CMT_OK, try_len(f, B, 1));
  cmt__gate_trim(&f->gate); /* What is in it stays. */
  assert_int_equal(1, take(f, 0, NULL));
  cmt__gate_trim(&f->gate);
  assert_int_equal(idle, f->env.live);
  credit(f, 0, 3, 3);
}

static void a_steady_flow_allocates_nothing(void **state) {
  fixture *f = *state;
  cmt_buf *msg = message(f, 10);
  size_t allocs = 0;

  for (size_t i = 0; i < 100; i++) {
    if (i == 4) {
      allocs = f->env.allocs;
    }
    for (size_t k = 0; k < 4; k++) {
      assert_cmt(CMT_OK, cmt__gate_try_send(&f->gate, B, cmt_buf_ref(msg)));
    }
    assert_int_equal(4, take(f, i, NULL));
    credit(f, 0, 4, 40);
  }
  assert_int_equal(allocs, f->env.allocs);
  cmt_buf_unref(msg);
}

/* ---- threads that block ---- */

typedef struct blocker {
  fixture *f;
  cmt_buf *msg;
  uint64_t timeout_ns;
  cmt_err err;
} blocker;

static void *block(void *arg) {
  blocker *b = arg;

  b->err = cmt__gate_send_wait(&b->f->gate, A, b->msg, b->timeout_ns);
  return NULL;
}

/* Both credits of A are taken; returns when the thread stands in the FIFO. */
static pthread_t block_on_full(fixture *f, blocker *b) {
  pthread_t t;
  bool stands = false;

  assert_cmt(CMT_OK, try_len(f, A, 1));
  assert_cmt(CMT_OK, try_len(f, A, 1));
  b->f = f;
  b->msg = message(f, 1);
  assert_int_equal(0, pthread_create(&t, NULL, block, b));
  while (!stands) {
    pthread_mutex_lock(&f->gate.lock);
    stands = f->gate.waits != NULL && f->gate.waits[0].first != NULL;
    pthread_mutex_unlock(&f->gate.lock);
  }
  return t;
}

static void a_blocked_send_goes_on_with_a_credit(void **state) {
  blocker b = {.timeout_ns = CMT_NEVER};
  pthread_t t = block_on_full(*state, &b);

  take(b.f, 0, NULL);
  assert_true(credit(b.f, 1, 0, 1));
  pthread_join(t, NULL);
  assert_cmt(CMT_OK, b.err);
  assert_int_equal(1, take(b.f, 0, NULL));
}

static void the_end_wakes_a_blocked_send(void **state) {
  blocker b = {.timeout_ns = CMT_SECONDS(600)};
  pthread_t t = block_on_full(*state, &b);

  (void)cmt__gate_close(&b.f->gate);
  pthread_join(t, NULL);
  assert_cmt(CMT_ECLOSED, b.err);
  cmt_buf_unref(b.msg);
}

static void a_stop_wakes_a_blocked_send(void **state) {
  blocker b = {.timeout_ns = CMT_NEVER};
  pthread_t t = block_on_full(*state, &b);

  cmt__gate_stop_with(&b.f->gate, CMT_ECANCELED, CMT_SECONDS(1));
  pthread_join(t, NULL);
  assert_cmt(CMT_ECLOSED, b.err);
  cmt_buf_unref(b.msg);
}

/* Nobody plays the loop here. */
static void a_blocked_send_watches_its_own_deadline(void **state) {
  fixture *f = *state;
  cmt_buf *msg = message(f, 1);

  assert_cmt(CMT_OK, try_len(f, A, 1));
  assert_cmt(CMT_OK, try_len(f, A, 1));
  assert_cmt(CMT_ETIMEDOUT, cmt__gate_send_wait(&f->gate, A, msg, 0));
  assert_cmt(CMT_ETIMEDOUT,
             cmt__gate_send_wait(&f->gate, A, msg, CMT_MILLISECONDS(20)));
  assert_null(f->gate.waits[0].first);
  cmt_buf_unref(msg);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(the_third_send_is_refused),
    TEST(a_credit_makes_room_for_one),
    TEST(faults_of_the_caller_are_told_apart),
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
    TEST(a_callback_may_use_its_request_again),
    TEST(a_burst_rings_once),
    TEST(a_loop_that_attends_is_not_rung),
    TEST(a_ring_outlives_the_end),
    TEST(the_first_stop_says_why),
    TEST(pauses_are_counted),
    TEST(without_memory_the_message_stays_with_the_caller),
    TEST(without_memory_no_send_waits),
    TEST(an_empty_intake_gives_its_memory_back),
    TEST(a_steady_flow_allocates_nothing),
    TEST(a_blocked_send_goes_on_with_a_credit),
    TEST(the_end_wakes_a_blocked_send),
    TEST(a_stop_wakes_a_blocked_send),
    TEST(a_blocked_send_watches_its_own_deadline),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
