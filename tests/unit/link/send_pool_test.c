/* SPDX-License-Identifier: Apache-2.0 */

/* The send pool of several peers, at their send queues alone: floors, who is
   refused first, and who is woken when room comes back. */

#include "send_queue_user.h"
#include "marks.h"

#include "link/send_queue_impl.h"

#include <pthread.h>
#include <stdlib.h>

/* Bytes: of each send queue, and above the floors of all. */
enum { QUEUES = 5, FLOOR = 100, POOL = 900, QUEUE_BYTES = 2000 };

static const cmt_channel channels[] = {
  {.id = QUEUE_A, .priority = 1, .send_queue = 1000, .send_message_max = 1000},
  {.id = QUEUE_B, .priority = 1, .send_queue = 1000, .send_message_max = 1000},
};

typedef struct fixture {
  cmt__send_pool pool;
  send_queue_user u[QUEUES];
} fixture;

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  cmt__send_pool_init(&f->pool, FLOOR, POOL);
  pthread_mutex_init(&f->pool.lock, NULL);
  for (int i = 0; i < QUEUES; i++) {
    send_queue_user_init(&f->u[i], channels, CMT__COUNT(channels), "\x10\x20");
    f->u[i].send_queue.bytes_max = QUEUE_BYTES;
    f->u[i].send_queue.pool = &f->pool;
  }
  *state = f;
  return 0;
}

static void end(send_queue_user *u) {
  (void)cmt__send_queue_close(&u->send_queue);
  cmt__send_queue_forget(&u->send_queue);
  (void)cmt__send_queue_answer(&u->send_queue);
}

static int teardown(void **state) {
  fixture *f = *state;

  for (int i = 0; i < QUEUES; i++) {
    end(&f->u[i]);
    send_queue_user_fini(&f->u[i]);
  }
  assert_int_equal(0, atomic_load(&f->pool.used));
  assert_int_equal(0, atomic_load(&f->pool.waiting));
  assert_null(atomic_load(&f->pool.next_up));
  pthread_mutex_destroy(&f->pool.lock);
  free(f);
  return 0;
}

/* Queues messages of ten bytes until one is refused. */
static size_t fill(send_queue_user *u) {
  while (queue_try(u, QUEUE_A, 10) == CMT_OK) {
  }
  return cmt__send_queue_queued(&u->send_queue);
}

/* |bytes| in messages of ten went out, and the loop looks. */
static void drain(send_queue_user *u, size_t bytes) {
  queue_take(u, 0, NULL);
  (void)send_queue_credit(u, (uint32_t)(bytes / 10), 0, bytes);
}

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

/* ---- who is refused ---- */

static void each_may_have_what_is_left_for_the_others(void **state) {
  fixture *f = *state;

  assert_int_equal(FLOOR + 450, fill(&f->u[0]));
  assert_int_equal(FLOOR + 230, fill(&f->u[1])); /* 450 are left. */
  assert_int_equal(FLOOR + 110, fill(&f->u[2]));
  assert_int_equal(FLOOR + 60, fill(&f->u[3]));
  assert_int_equal(FLOOR + 30, fill(&f->u[4]));
  assert_int_equal(880, atomic_load(&f->pool.used));
  /* Who has most gets no more, and who gives back does. */
  assert_cmt(CMT_EAGAIN, queue_try(&f->u[0], QUEUE_B, 1));
  drain(&f->u[0], 550);
  assert_int_equal(FLOOR + 240, fill(&f->u[0]));
}

static void a_floor_is_there_whatever_others_have(void **state) {
  fixture *f = *state;

  for (int i = 0; i < 4; i++) {
    (void)fill(&f->u[i]);
  }
  assert_cmt(CMT_OK, queue_try(&f->u[4], QUEUE_A, FLOOR - 1));
  assert_cmt(CMT_OK, queue_try(&f->u[4], QUEUE_A, 1));
  /* And one larger message, if there is room for it. */
  drain(&f->u[4], 0);
  assert_cmt(CMT_EAGAIN, queue_try(&f->u[4], QUEUE_A, 51));
  assert_cmt(CMT_OK, queue_try(&f->u[4], QUEUE_A, 50));
}

static void a_newcomer_may_have_all_that_is_left_at_once(void **state) {
  fixture *f = *state;

  assert_int_equal(FLOOR + 450, fill(&f->u[0]));
  assert_cmt(CMT_EAGAIN, queue_try(&f->u[1], QUEUE_A, FLOOR + 451));
  assert_cmt(CMT_OK, queue_try(&f->u[1], QUEUE_A, FLOOR + 450));
  assert_cmt(CMT_EAGAIN, queue_try(&f->u[1], QUEUE_A, 1));
  assert_cmt(CMT_OK, queue_try(&f->u[2], QUEUE_A, FLOOR));
  assert_cmt(CMT_EAGAIN, queue_try(&f->u[2], QUEUE_A, 1));
}

static void without_memory_the_room_goes_back(void **state) {
  fixture *f = *state;
  send_queue_user *u = &f->u[0];

  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 400));
  drain(u, 0);
  cmt__send_queue_trim(&u->send_queue);
  u->env.fail_at = u->env.allocs + 1; /* The first is for the message. */
  assert_cmt(CMT_ENOMEM, queue_try(u, QUEUE_A, 100));
  assert_int_equal(300, atomic_load(&f->pool.used));
  /* Somebody may have been refused meanwhile: the loop reports it to those who
   wait. */
  assert_true(u->send_queue.gave);
  assert_int_equal(1, u->rings);
  /* So it does for the next one, before the loop has looked. */
  u->env.fail_at = u->env.allocs + 1;
  assert_cmt(CMT_ENOMEM, queue_try(u, QUEUE_A, 100));
  assert_int_equal(300, atomic_load(&f->pool.used));
  look(u);
  assert_false(u->send_queue.gave);
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, 100));
  assert_int_equal(400, atomic_load(&f->pool.used));
}

static void a_second_message_may_use_up_the_pool(void **state) {
  fixture *f = *state;

  assert_cmt(CMT_OK, queue_try(&f->u[0], QUEUE_A, FLOOR));
  assert_cmt(CMT_EAGAIN, queue_try(&f->u[0], QUEUE_A, POOL + 1));
  assert_cmt(CMT_OK, queue_try(&f->u[0], QUEUE_A, POOL));
  assert_int_equal(POOL, atomic_load(&f->pool.used));
}

enum { TAKERS = 4, TAKES = 100000 };

static void *take_and_give(void *arg) {
  cmt__send_pool *pool = arg;

  for (int i = 0; i < TAKES; i++) {
    if (cmt__send_pool_take(pool, NULL, 0, 3)) {
      cmt__send_pool_give(pool, 2);
      cmt__send_pool_give(pool, 1);
    }
  }
  return NULL;
}

/* A send that succeeds has reserved its room; the teardown looks whether
   anything is left. */
static void what_threads_reserve_at_once_is_counted(void **state) {
  fixture *f = *state;
  pthread_t takers[TAKERS];

  for (int i = 0; i < TAKERS; i++) {
    assert_int_equal(0,
                     pthread_create(&takers[i], NULL, take_and_give, &f->pool));
  }
  for (int i = 0; i < TAKERS; i++) {
    assert_int_equal(0, pthread_join(takers[i], NULL));
  }
  assert_int_equal(0, atomic_load(&f->pool.used));
}

/* ---- who waits ---- */

/* A message of one byte, for which the pool has no room. */
static void the_shortest_send_is_woken_too(void **state) {
  fixture *f = *state;
  queue_answer a = send_queue_answer_new(CMT_NEVER);

  assert_cmt(CMT_OK, queue_try(&f->u[0], QUEUE_A, FLOOR));
  assert_cmt(CMT_OK, queue_try(&f->u[0], QUEUE_A, POOL));
  assert_cmt(CMT_OK, queue_try(&f->u[1], QUEUE_A, FLOOR));
  send_queue_send(&f->u[1], QUEUE_A, 1, &a);
  look(&f->u[1]);
  assert_int_equal(0, a.calls);
  assert_int_equal(1, atomic_load(&f->pool.waiting));
  queue_take(&f->u[0], 0, NULL);
  (void)send_queue_credit(&f->u[0], 1, 0, POOL);
  look(&f->u[1]);
  assert_cmt(CMT_OK, a.status);
  assert_int_equal(0, atomic_load(&f->pool.waiting));
}

/* Between the look that finds none and the wait for it. */
static void room_that_comes_meanwhile_is_accepted(void **state) {
  fixture *f = *state;
  send_queue_user *u = &f->u[1];
  queue_answer a = send_queue_answer_new(CMT_NEVER);

  assert_true(cmt__send_pool_take(&f->pool, NULL, 0, POOL));
  assert_cmt(CMT_OK, queue_try(u, QUEUE_A, FLOOR));
  send_queue_send(u, QUEUE_A, 10, &a);
  look(u);
  assert_int_equal(1, atomic_load(&f->pool.waiting));
  cmt__send_pool_give(&f->pool, POOL); /* Nobody is woken. */
  assert_int_equal(0, u->rings);
  cmt__send_queue_pool_look(&u->send_queue, 10);
  assert_int_equal(1, u->rings);
  assert_int_equal(0, atomic_load(&f->pool.waiting));
  look(u);
  assert_cmt(CMT_OK, a.status);
}

/* A queue that has |above| bytes of the pool and lacks all of it, at each
   look. */
typedef struct lacking {
  cmt__pool_wait wait;
  size_t above;
} lacking;

static void lacks_all(void *arg, size_t *above, size_t *need) {
  *above = ((lacking *)arg)->above;
  *need = POOL;
}

/* Not one that has a single byte of the pool. */
static void who_has_nothing_of_the_pool_is_next_up(void **state) {
  fixture *f = *state;
  lacking some = {.wait = {.look = lacks_all, .arg = &some}, .above = 1};
  lacking none = {.wait = {.look = lacks_all, .arg = &none}};
  uint64_t before = test_mark("pool_kept_for_next_up");

  assert_true(cmt__send_pool_take(&f->pool, &some, 0, 1));
  assert_true(cmt__send_pool_wait(&f->pool, &some.wait));
  assert_null(atomic_load(&f->pool.next_up));
  assert_true(cmt__send_pool_wait(&f->pool, &none.wait));
  assert_ptr_equal(&none, atomic_load(&f->pool.next_up));
  assert_false(cmt__send_pool_take(&f->pool, &some, 1, 1));
  assert_true(cmt__send_pool_take(&f->pool, &none, 0, 1));
  cmt__send_pool_give(&f->pool, 1);
  cmt__send_pool_leave(&f->pool, &none.wait);
  assert_null(atomic_load(&f->pool.next_up));
  cmt__send_pool_leave(&f->pool, &some.wait);
  cmt__send_pool_give(&f->pool, 1);
  assert_mark("pool_kept_for_next_up", before, 1);
}

static void room_of_another_wakes_a_send(void **state) {
  fixture *f = *state;
  queue_answer a = send_queue_answer_new(CMT_NEVER);

  assert_int_equal(FLOOR + 450, fill(&f->u[0]));
  send_queue_send(&f->u[1], QUEUE_A, FLOOR + 500, &a);
  look(&f->u[1]);
  assert_int_equal(0, a.calls);
  assert_int_equal(1, atomic_load(&f->pool.waiting));
  drain(&f->u[0], 40);
  assert_int_equal(0, f->u[1].rings); /* Not enough for it. */
  drain(&f->u[0], 10);
  assert_int_equal(1, f->u[1].rings);
  look(&f->u[1]);
  assert_int_equal(1, a.calls);
  assert_cmt(CMT_OK, a.status);
  assert_int_equal(0, atomic_load(&f->pool.waiting));
}

static void the_end_of_another_wakes_a_send(void **state) {
  fixture *f = *state;
  queue_answer a = send_queue_answer_new(CMT_NEVER);

  assert_int_equal(FLOOR + 450, fill(&f->u[0]));
  send_queue_send(&f->u[1], QUEUE_A, FLOOR + 900, &a);
  look(&f->u[1]);
  assert_int_equal(0, a.calls);
  end(&f->u[0]);
  look(&f->u[1]);
  assert_cmt(CMT_OK, a.status);
}

/* It has something above its floor, and its own queue does not move. */
static void one_above_its_floor_is_woken_too(void **state) {
  fixture *f = *state;
  queue_answer a = send_queue_answer_new(CMT_NEVER);

  assert_int_equal(FLOOR + 450, fill(&f->u[0]));
  assert_int_equal(FLOOR + 230, fill(&f->u[1]));
  send_queue_send(&f->u[1], QUEUE_B, 100, &a);
  look(&f->u[1]);
  drain(&f->u[0], 100);
  assert_int_equal(0, f->u[1].rings); /* 230 + 100 are over 320. */
  drain(&f->u[0], 10);
  look(&f->u[1]);
  assert_cmt(CMT_OK, a.status);
}

/* Nobody gets what comes back before it, and all goes on within the floors. */
static void a_large_message_gets_what_comes_back(void **state) {
  fixture *f = *state;
  queue_answer a = send_queue_answer_new(CMT_NEVER),
               b = send_queue_answer_new(CMT_NEVER);

  assert_int_equal(FLOOR + 450, fill(&f->u[0]));
  send_queue_send(&f->u[1], QUEUE_A, 1000, &a);
  look(&f->u[1]);
  for (int i = 0; i < 44; i++) {
    drain(&f->u[0], 10);
    look(&f->u[1]);
    assert_int_equal(0, a.calls);
    assert_cmt(CMT_EAGAIN, queue_try(&f->u[0], QUEUE_A, 10));
    assert_cmt(CMT_EAGAIN, queue_try(&f->u[2], QUEUE_A, FLOOR + 1));
  }
  assert_cmt(CMT_OK, queue_try(&f->u[2], QUEUE_A, FLOOR));
  send_queue_send(&f->u[3], QUEUE_A, 200, &b);
  look(&f->u[3]);
  assert_int_equal(0, b.calls);
  drain(&f->u[0], 10);
  look(&f->u[1]);
  assert_cmt(CMT_OK, a.status);
  /* The next has its turn when that one goes out. */
  assert_int_equal(0, b.calls);
  queue_take(&f->u[1], 0, NULL);
  (void)send_queue_credit(&f->u[1], 1, 0, 1000);
  look(&f->u[3]);
  assert_cmt(CMT_OK, b.status);
}

/* A send that waits for the pool delays its channel and no small message of
   another. */
static void small_messages_of_other_channels_go_on(void **state) {
  fixture *f = *state;
  send_queue_user *u = &f->u[1];
  queue_answer a = send_queue_answer_new(CMT_NEVER),
               b = send_queue_answer_new(CMT_NEVER);

  assert_int_equal(FLOOR + 450, fill(&f->u[0]));
  send_queue_send(u, QUEUE_A, 800, &a);
  look(u);
  assert_cmt(CMT_EAGAIN, queue_try(u, QUEUE_A, 1));
  assert_cmt(CMT_OK, queue_try(u, QUEUE_B, 50));
  send_queue_send(u, QUEUE_B, 50, &b);
  look(u);
  assert_cmt(CMT_OK, b.status);
  assert_cmt(CMT_EAGAIN,
             queue_try(u, QUEUE_B, 1)); /* It would need the pool. */
  end(&f->u[0]);
  look(u);
  assert_cmt(CMT_OK, a.status);
}

/* Small ones may not fill the floor for ever when the pool alone is too small
   for a large one. */
static void small_messages_starve_no_large_one(void **state) {
  fixture *f = *state;
  send_queue_user *u = &f->u[0];
  queue_answer a = send_queue_answer_new(CMT_NEVER);

  assert_cmt(CMT_OK, queue_try(u, QUEUE_B, 50));
  send_queue_send(u, QUEUE_A, FLOOR + POOL, &a);
  look(u);
  assert_cmt(CMT_EAGAIN, queue_try(u, QUEUE_B, 1));
  assert_true(send_queue_credit(u, 0, 1, 50));
  queue_take(u, 0, NULL);
  (void)cmt__send_queue_answer(&u->send_queue);
  assert_cmt(CMT_OK, a.status);
  assert_int_equal(POOL, atomic_load(&f->pool.used));
}

static void whoever_gives_up_lets_the_next_on(void **state) {
  fixture *f = *state;
  queue_answer a = send_queue_answer_new(100),
               b = send_queue_answer_new(CMT_NEVER);

  assert_int_equal(FLOOR + 450, fill(&f->u[0]));
  send_queue_send(&f->u[1], QUEUE_A, 1000, &a);
  look(&f->u[1]);
  send_queue_send(&f->u[2], QUEUE_A, FLOOR + 300, &b);
  look(&f->u[2]);
  assert_int_equal(0, b.calls); /* There is room, for the first. */
  queue_take(&f->u[1], 100, NULL);
  (void)cmt__send_queue_answer(&f->u[1].send_queue);
  assert_cmt(CMT_ETIMEDOUT, a.status);
  cmt_buf_unref(a.msg);
  look(&f->u[2]);
  assert_cmt(CMT_OK, b.status);
}

static void a_stop_lets_the_next_on(void **state) {
  fixture *f = *state;
  queue_answer a = send_queue_answer_new(CMT_NEVER),
               b = send_queue_answer_new(CMT_NEVER);

  assert_int_equal(FLOOR + 450, fill(&f->u[0]));
  send_queue_send(&f->u[1], QUEUE_A, 1000, &a);
  look(&f->u[1]);
  send_queue_send(&f->u[2], QUEUE_A, FLOOR + 300, &b);
  look(&f->u[2]);
  cmt__send_queue_stop_with(&f->u[1].send_queue, CMT_ECANCELED, 0);
  look(&f->u[1]);
  assert_cmt(CMT_ECLOSED, a.status);
  cmt_buf_unref(a.msg);
  look(&f->u[2]);
  assert_cmt(CMT_OK, b.status);
}

/* ---- a loop that does not look ---- */

/* The first to go on is in a long callback: what comes back is queued for it,
   and the others get the rest. */
static void a_slow_loop_keeps_nobody_waiting(void **state) {
  fixture *f = *state;
  queue_answer a = send_queue_answer_new(CMT_NEVER),
               b = send_queue_answer_new(CMT_NEVER);

  assert_int_equal(FLOOR + 450, fill(&f->u[0]));
  send_queue_send(&f->u[1], QUEUE_A, FLOOR + 500, &a);
  look(&f->u[1]);
  send_queue_send(&f->u[2], QUEUE_A, FLOOR + 200, &b);
  look(&f->u[2]);
  assert_int_equal(0, b.calls); /* There is room, for the first. */
  drain(&f->u[0], 100);
  assert_cmt(CMT_EAGAIN, queue_try(&f->u[3], QUEUE_A, FLOOR + 1));
  drain(&f->u[0], 450);
  look(&f->u[2]);
  assert_cmt(CMT_OK, b.status);
  assert_cmt(CMT_OK, queue_try(&f->u[3], QUEUE_A, FLOOR + 200));
  assert_int_equal(0, a.calls);
  assert_int_equal(FLOOR + 500, cmt__send_queue_queued(&f->u[1].send_queue));
  look(&f->u[1]);
  assert_cmt(CMT_OK, a.status);
}

static void nor_does_one_that_was_stopped(void **state) {
  fixture *f = *state;
  queue_answer a = send_queue_answer_new(CMT_NEVER),
               b = send_queue_answer_new(CMT_NEVER);

  assert_int_equal(FLOOR + 450, fill(&f->u[0]));
  send_queue_send(&f->u[1], QUEUE_A, 1000, &a);
  look(&f->u[1]);
  send_queue_send(&f->u[2], QUEUE_A, FLOOR + 300, &b);
  look(&f->u[2]);
  cmt__send_queue_stop_with(&f->u[1].send_queue, CMT_ECANCELED, 0);
  drain(&f->u[0], 10); /* Whoever comes next passes the turn on. */
  look(&f->u[2]);
  assert_cmt(CMT_OK, b.status);
  assert_int_equal(0, a.calls);
  look(&f->u[1]);
  assert_cmt(CMT_ECLOSED, a.status);
  cmt_buf_unref(a.msg);
}

/* ---- threads ---- */

enum { ROUNDS = 2000 };

/* A loop: it answers wake-ups, and what it takes over goes out at once. */
typedef struct worker {
  fixture *f;
  send_queue_user *u;
  pthread_mutex_t lock;
  pthread_cond_t cond;
  unsigned rings;
  bool ends;
  atomic_uint wrong;
} worker;

static void worker_wake(void *arg) {
  worker *w = arg;

  pthread_mutex_lock(&w->lock);
  w->rings++;
  pthread_cond_signal(&w->cond);
  pthread_mutex_unlock(&w->lock);
}

static void worker_iteration(worker *w) {
  bool again = cmt__send_queue_on_wake(&w->u->send_queue);

  while (again) {
    cmt__send_queue_items *taken = &w->u->send_queue.taken_over;
    cmt_credits c = {.bytes = 0};
    cmt__send_queue_view view;

    cmt__send_queue_take(&w->u->send_queue, 0, &view);
    for (size_t i = 0; i < taken->count; i++) {
      c.bytes += cmt_buf_bytes(taken->list[i].msg).len;
      c.messages[taken->list[i].at]++;
      cmt_buf_unref(taken->list[i].msg);
    }
    again = taken->count > 0;
    taken->count = 0;
    again = (again && cmt__send_queue_credit(&w->u->send_queue, &c, 0));
    again = cmt__send_queue_answer(&w->u->send_queue) || again;
    again = (w->u->send_queue.rouses &&
             cmt__send_queue_rouse(&w->u->send_queue, again, 0)) ||
            again;
    atomic_fetch_add(&w->wrong, atomic_load(&w->f->pool.used) > POOL);
  }
}

static void *worker_loop(void *arg) {
  worker *w = arg;
  bool ends = false;

  while (!ends) {
    pthread_mutex_lock(&w->lock);
    while (w->rings == 0 && !w->ends) {
      pthread_cond_wait(&w->cond, &w->lock);
    }
    ends = w->rings == 0;
    w->rings = 0;
    pthread_mutex_unlock(&w->lock);
    if (!ends) {
      worker_iteration(w);
    }
  }
  return NULL;
}

/* Sends that wait without end: one that nobody wakes is never over. */
static void *worker_sends(void *arg) {
  worker *w = arg;
  uint32_t x = (uint32_t)(w->u - w->f->u) * 2654435761u;

  for (int i = 0; i < ROUNDS; i++) {
    size_t len;
    cmt_buf *msg;

    x = x * 1664525 + 1013904223;
    len = x >> 30 == 0 ? 1000 : (x >> 16) % 300;
    msg = cmt_buf_new(NULL, len);
    if (cmt__send_queue_send(&w->u->send_queue, x >> 28 & 1, msg, CMT_NEVER) !=
        CMT_OK) {
      atomic_fetch_add(&w->wrong, 1);
      cmt_buf_unref(msg);
    }
  }
  return NULL;
}

static void no_wake_up_is_lost(void **state) {
  fixture *f = *state;
  pthread_t loops[QUEUES], senders[2 * QUEUES];
  worker w[QUEUES];

  for (int i = 0; i < QUEUES; i++) {
    w[i] = (worker){.f = f, .u = &f->u[i]};
    pthread_mutex_init(&w[i].lock, NULL);
    pthread_cond_init(&w[i].cond, NULL);
    f->u[i].send_queue.wake = worker_wake;
    f->u[i].send_queue.wake_arg = &w[i];
    assert_int_equal(0, pthread_create(&loops[i], NULL, worker_loop, &w[i]));
  }
  for (int i = 0; i < 2 * QUEUES; i++) {
    assert_int_equal(
      0, pthread_create(&senders[i], NULL, worker_sends, &w[i % QUEUES]));
  }
  for (int i = 0; i < 2 * QUEUES; i++) {
    pthread_join(senders[i], NULL);
  }
  for (int i = 0; i < QUEUES; i++) {
    pthread_mutex_lock(&w[i].lock);
    w[i].ends = true;
    pthread_cond_signal(&w[i].cond);
    pthread_mutex_unlock(&w[i].lock);
    pthread_join(loops[i], NULL);
    assert_int_equal(0, atomic_load(&w[i].wrong));
    assert_int_equal(0, cmt__send_queue_queued(&f->u[i].send_queue));
    pthread_mutex_destroy(&w[i].lock);
    pthread_cond_destroy(&w[i].cond);
  }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(each_may_have_what_is_left_for_the_others),
    TEST(a_floor_is_there_whatever_others_have),
    TEST(a_newcomer_may_have_all_that_is_left_at_once),
    TEST(without_memory_the_room_goes_back),
    TEST(a_second_message_may_use_up_the_pool),
    TEST(what_threads_reserve_at_once_is_counted),
    TEST(who_has_nothing_of_the_pool_is_next_up),
    TEST(the_shortest_send_is_woken_too),
    TEST(room_that_comes_meanwhile_is_accepted),
    TEST(room_of_another_wakes_a_send),
    TEST(the_end_of_another_wakes_a_send),
    TEST(one_above_its_floor_is_woken_too),
    TEST(a_large_message_gets_what_comes_back),
    TEST(small_messages_of_other_channels_go_on),
    TEST(small_messages_starve_no_large_one),
    TEST(whoever_gives_up_lets_the_next_on),
    TEST(a_stop_lets_the_next_on),
    TEST(a_slow_loop_keeps_nobody_waiting),
    TEST(nor_does_one_that_was_stopped),
    TEST(no_wake_up_is_lost),
  };
#undef TEST

  return cmocka_run_group_tests_name("send_pool", tests, NULL, NULL);
}
