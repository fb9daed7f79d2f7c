/* SPDX-License-Identifier: Apache-2.0 */

/* The quotas of connections, alone and with threads that use them at once. */

#include "core/mux/quota.h"
#include "marks.h"

#include "test.h"

#include <pthread.h>

enum { THREADS = 4, ROUNDS = 20000, FLOOR = 100, POOL = 1000 };

static void drop_nothing(void *owner) { (void)owner; }

static void on_gave_way(void *arg) { ++*(unsigned *)arg; }

static cmt__holder holder(unsigned *gave_way) {
  return (cmt__holder){
    .drop = drop_nothing, .on_gave_way = on_gave_way, .arg = gave_way};
}

static void assert_takes(cmt__quota *b, cmt__holder *h, size_t least,
                         size_t most, size_t expected) {
  size_t taken;

  assert_true(cmt__quota_take(b, h, least, most, &taken));
  assert_int_equal(expected, taken);
}

/* Up to the floor nobody is asked; beyond it, at most a quarter of what is
   left, unless more is needed. */
static void a_floor_is_ones_own_and_the_rest_is_shared(void **state) {
  unsigned gave_way = 0;
  cmt__holder a = holder(&gave_way), c = holder(&gave_way);
  cmt__quota b;

  (void)state;
  cmt__quota_init(&b, 100, 400);
  assert_takes(&b, &a, 10, 70, 70);
  assert_takes(&b, &a, 30, 30, 30);
  assert_int_equal(0, b.pool_used);
  assert_takes(&b, &a, 10, 300, 100);
  assert_takes(&b, &a, 10, 300, 75);
  assert_takes(&b, &a, 200, 300, 200);
  assert_int_equal(375, b.pool_used);
  assert_int_equal(475, a.reserved);
  /* A quarter of what is left is less than what is needed. */
  assert_takes(&b, &c, 50, 50, 50);
  assert_takes(&b, &c, 60, 200, 60);
  assert_int_equal(385, b.pool_used);
  assert_takes(&b, &c, 0, 100, 3);
  assert_int_equal(475 + 113, atomic_load(&b.reserved));
  cmt__quota_give(&b, &a, 400);
  assert_int_equal(13, b.pool_used);
  assert_int_equal(75, a.reserved);
  cmt__quota_give(&b, &c, 113);
  cmt__quota_give(&b, &a, 75);
  assert_int_equal(0, b.pool_used);
  assert_int_equal(0, atomic_load(&b.reserved));
  assert_null(b.first);
  assert_int_equal(0, gave_way);
}

static void whoever_holds_most_gives_way(void **state) {
  unsigned gave_way[4] = {0};
  cmt__holder h[4];
  cmt__quota b;
  uint64_t before = test_mark("largest_partial_gives_way");

  (void)state;
  cmt__quota_init(&b, 100, 400);
  for (int i = 0; i < 4; i++) {
    h[i] = holder(&gave_way[i]);
  }
  assert_takes(&b, &h[0], 220, 220, 220);
  assert_takes(&b, &h[1], 300, 300, 300);
  assert_takes(&b, &h[2], 160, 160, 160);
  assert_int_equal(380, b.pool_used);
  /* A holder that is new, and one that has reserved little. */
  assert_takes(&b, &h[3], 140, 140, 140);
  assert_int_equal(1, gave_way[1]);
  assert_true(cmt__holder_gave_way(&h[1]));
  assert_int_equal(220, b.pool_used);
  assert_int_equal(520, atomic_load(&b.reserved));
  assert_takes(&b, &h[2], 170, 170, 170);
  assert_int_equal(0, gave_way[0]);
  assert_false(cmt__quota_take(&b, &h[1], 1, 1, &(size_t){0}));
  cmt__quota_give(&b, &h[1], 300); /* It has nothing any more. */
  assert_int_equal(220 + 330 + 140, atomic_load(&b.reserved));
  for (int i = 0; i < 4; i++) {
    cmt__quota_give(&b, &h[i], h[i].reserved);
  }
  assert_int_equal(0, atomic_load(&b.reserved));
  assert_int_equal(0, b.pool_used);
  assert_mark("largest_partial_gives_way", before, 1);
}

static void the_asker_gives_way_when_it_holds_most(void **state) {
  unsigned gave_way[2] = {0};
  cmt__holder h[2] = {holder(&gave_way[0]), holder(&gave_way[1])};
  cmt__quota b;
  size_t taken;

  (void)state;
  cmt__quota_init(&b, 100, 400);
  assert_takes(&b, &h[0], 200, 200, 200);
  assert_takes(&b, &h[1], 201, 201, 201);
  assert_false(cmt__quota_take(&b, &h[1], 200, 200, &taken));
  assert_true(cmt__holder_gave_way(&h[1]));
  assert_int_equal(0, gave_way[1]); /* It knows. */
  assert_int_equal(0, gave_way[0]);
  assert_int_equal(100, b.pool_used);
  cmt__quota_give(&b, &h[0], 200);
}

/* Among equals the first that came above its floor goes, and the asker last. */
static void equals_give_way_in_their_order(void **state) {
  unsigned gave_way[3] = {0};
  cmt__holder h[3];
  cmt__quota b;

  (void)state;
  cmt__quota_init(&b, 0, 300);
  for (int i = 2; i >= 0; i--) {
    h[i] = holder(&gave_way[i]);
    assert_takes(&b, &h[i], 100, 100, 100);
  }
  assert_takes(&b, &h[2], 1, 1, 1);
  assert_int_equal(0, gave_way[0] + gave_way[2]);
  assert_int_equal(1, gave_way[1]);
  assert_takes(&b, &h[0], 99, 99, 99);
  assert_int_equal(300, b.pool_used);
  assert_false(cmt__quota_take(&b, &h[0], 1, 1, &(size_t){0}));
  assert_true(cmt__holder_gave_way(&h[0]));
  assert_int_equal(0, gave_way[0] + gave_way[2]);
  cmt__quota_give(&b, &h[2], 101);
}

/* Less than 1/64 in ten seconds; who sends more is not asked before those. */
static void those_that_stand_still_give_way_first(void **state) {
  unsigned gave_way[4] = {0};
  cmt__holder h[4];
  cmt__quota b;

  (void)state;
  cmt__quota_init(&b, 0, 64000);
  for (int i = 0; i < 4; i++) {
    h[i] = holder(&gave_way[i]);
    assert_takes(&b, &h[i], (size_t)i * 6400, (size_t)i * 6400,
                 (size_t)i * 6400);
  }
  /* Nobody does yet: the largest goes, though it asks. */
  assert_takes(&b, &h[3], 25600, 25600, 25600);
  h[3].now_ns = CMT_SECONDS(10);
  h[1].now_ns = CMT_SECONDS(10);
  cmt__holder_came(&h[3], 44800 / 64);
  cmt__holder_came(&h[1], 6400 / 64 - 1);
  assert_takes(&b, &h[3], 1, 1, 1);
  assert_int_equal(1, gave_way[2]); /* The larger of the two that do. */
  assert_takes(&b, &h[3], 12800, 12800, 12800);
  assert_int_equal(1, gave_way[1]);
  assert_int_equal(0, gave_way[3]);
  cmt__quota_give(&b, &h[3], h[3].reserved);
}

static void what_we_do_not_read_does_not_stand_still(void **state) {
  unsigned gave_way[2] = {0};
  cmt__holder h[2] = {holder(&gave_way[0]), holder(&gave_way[1])};
  cmt__quota b;

  (void)state;
  cmt__quota_init(&b, 0, 1000);
  assert_takes(&b, &h[0], 300, 300, 300);
  assert_takes(&b, &h[1], 700, 700, 700);
  cmt__holder_unread(&b, &h[0], true);
  h[1].now_ns = CMT_SECONDS(100);
  cmt__holder_came(&h[1], 700);
  assert_false(cmt__quota_take(&b, &h[1], 1, 1, &(size_t){0}));
  h[0].now_ns = CMT_SECONDS(200);
  cmt__holder_unread(&b, &h[0], false);
  h[1] = holder(&gave_way[1]);
  h[1].now_ns = CMT_SECONDS(205);
  assert_takes(&b, &h[1], 700, 700, 700);
  assert_false(cmt__quota_take(&b, &h[1], 1, 1, &(size_t){0}));
  h[1] = holder(&gave_way[1]);
  h[1].now_ns = CMT_SECONDS(210);
  assert_takes(&b, &h[1], 700, 700, 700);
  assert_takes(&b, &h[1], 1, 1, 1);
  assert_int_equal(1, gave_way[0]);
  cmt__quota_give(&b, &h[1], 701);
}

/* A limit stops reading many times a second; only that time does not count. */
static void short_stops_do_not_make_time_begin_anew(void **state) {
  unsigned gave_way[2] = {0};
  cmt__holder h[2] = {holder(&gave_way[0]), holder(&gave_way[1])};
  cmt__quota b;

  (void)state;
  cmt__quota_init(&b, 0, 1000);
  assert_takes(&b, &h[0], 300, 300, 300);
  for (int i = 0; i < 50; i++) { /* Reads for 200 of each 300 ms. */
    h[0].now_ns += CMT_MILLISECONDS(200);
    cmt__holder_unread(&b, &h[0], true);
    h[0].now_ns += CMT_MILLISECONDS(100);
    cmt__holder_unread(&b, &h[0], false);
  }
  h[1].now_ns = h[0].now_ns - 1;
  assert_takes(&b, &h[1], 700, 700, 700);
  assert_false(cmt__quota_take(&b, &h[1], 1, 1, &(size_t){0}));
  h[1] = holder(&gave_way[1]);
  h[1].now_ns = h[0].now_ns;
  assert_takes(&b, &h[1], 700, 700, 700);
  assert_takes(&b, &h[1], 1, 1, 1);
  assert_int_equal(1, gave_way[0]);
  cmt__quota_give(&b, &h[1], 701);
}

/* ---- threads ---- */

typedef struct sharers {
  cmt__quota b;
  pthread_mutex_t lock;
  atomic_uint over;       /* What must not be. */
  atomic_uint gone;       /* How often one gave way. */
  _Atomic uint64_t taken; /* Bytes of the send limit. */
} sharers;

static void lock(void *arg) { pthread_mutex_lock(arg); }

static void unlock(void *arg) { pthread_mutex_unlock(arg); }

static void sharers_init(sharers *s) {
  memset(s, 0, sizeof *s);
  pthread_mutex_init(&s->lock, NULL);
  cmt__quota_init(&s->b, FLOOR, POOL);
  s->b.threads = THREADS;
  s->b.guard = (cmt__guard){.lock = lock, .unlock = unlock, .arg = &s->lock};
}

static void in_threads(sharers *s, void *(*run)(void *arg)) {
  pthread_t threads[THREADS];

  for (size_t i = 0; i < THREADS; i++) {
    assert_int_equal(0, pthread_create(&threads[i], NULL, run, s));
  }
  for (size_t i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
  }
  pthread_mutex_destroy(&s->lock);
}

/* A thread and what it has reserved.  Another may make it give way. */
typedef struct keeper {
  cmt__holder holder;
  unsigned dropped; /* Under the lock. */
  atomic_uint gave_way;
} keeper;

static void keeper_drop(void *owner) { ((keeper *)owner)->dropped++; }

static void keeper_gave_way(void *arg) {
  atomic_fetch_add((atomic_uint *)arg, 1);
}

static void *hold_and_count(void *arg) {
  sharers *s = arg;
  keeper k = {.dropped = 0};

  for (size_t i = 0; i < ROUNDS; i++) {
    size_t taken;

    k.holder = (cmt__holder){.owner = &k,
                             .drop = keeper_drop,
                             .on_gave_way = keeper_gave_way,
                             .arg = &k.gave_way};
    while (k.holder.reserved < 500 &&
           cmt__quota_take(&s->b, &k.holder, 1, 1 + i % 90, &taken)) {
      bool locks = cmt__quota_enter(&s->b, &k.holder);

      atomic_fetch_add(&s->over,
                       cmt__holder_gave_way(&k.holder) != (k.dropped > 0));
      cmt__quota_leave(&s->b, locks);
      atomic_fetch_add(&s->over,
                       atomic_load(&s->b.reserved) > THREADS * FLOOR + POOL);
    }
    atomic_fetch_add(&s->gone, cmt__holder_gave_way(&k.holder));
    cmt__quota_give(&s->b, &k.holder, k.holder.reserved);
    k.dropped = 0;
    cmt__quota_count(&s->b, &s->b.send_waits);
  }
  return NULL;
}

static void threads_hold_no_more_than_there_is(void **state) {
  sharers s;

  (void)state;
  sharers_init(&s);
  in_threads(&s, hold_and_count);
  assert_int_equal(0, atomic_load(&s.over));
  assert_int_equal(0, atomic_load(&s.b.reserved));
  assert_int_equal(0, s.b.pool_used);
  assert_null(s.b.first);
  assert_int_equal(THREADS * ROUNDS, atomic_load(&s.b.send_waits));
}

/* All at one instant: each reserves what it may, once. */
static void *take_once(void *arg) {
  sharers *s = arg;
  uint64_t share = cmt__quota_available(&s->b, &s->b.send, 0);

  atomic_fetch_add(&s->taken, share);
  (void)cmt__quota_charge(&s->b, &s->b.send, (size_t)share, 0, 0);
  return NULL;
}

static void threads_that_reserve_at_once_share_what_there_is(void **state) {
  sharers s;

  (void)state;
  sharers_init(&s);
  cmt__quota_limit(&s.b, 1000000, 0, 0);
  in_threads(&s, take_once);
  assert_in_range(atomic_load(&s.taken), 100000 / THREADS,
                  100000 + THREADS * s.b.send.quantum);
  assert_int_equal(100000 - (int64_t)atomic_load(&s.taken), s.b.send.level);
}

static void *charge_urgent(void *arg) {
  sharers *s = arg;

  for (size_t i = 0; i < ROUNDS; i++) {
    (void)cmt__quota_urgent_ns(&s->b);
    cmt__quota_urgent_charge(&s->b, 1, 0);
    (void)cmt__quota_charge(&s->b, &s->b.recv, 1, 0, 0);
  }
  return NULL;
}

static void every_charge_of_a_thread_counts(void **state) {
  sharers s;

  (void)state;
  sharers_init(&s);
  cmt__quota_limit(&s.b, 1000000, 2000000, 0);
  in_threads(&s, charge_urgent);
  assert_int_equal(125000 - THREADS * ROUNDS, s.b.urgent.level);
  assert_int_equal(200000 - THREADS * ROUNDS, s.b.recv.level);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_floor_is_ones_own_and_the_rest_is_shared),
    cmocka_unit_test(whoever_holds_most_gives_way),
    cmocka_unit_test(the_asker_gives_way_when_it_holds_most),
    cmocka_unit_test(equals_give_way_in_their_order),
    cmocka_unit_test(those_that_stand_still_give_way_first),
    cmocka_unit_test(what_we_do_not_read_does_not_stand_still),
    cmocka_unit_test(short_stops_do_not_make_time_begin_anew),
    cmocka_unit_test(threads_hold_no_more_than_there_is),
    cmocka_unit_test(threads_that_reserve_at_once_share_what_there_is),
    cmocka_unit_test(every_charge_of_a_thread_counts),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
