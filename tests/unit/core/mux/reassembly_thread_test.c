/* SPDX-License-Identifier: Apache-2.0 */

/* Channels of several threads with one quota for unfinished messages: each
   makes the others give way, and no byte of a complete message is another's. */

#include "packets.h"

#include "core/mux/channel.h"
#include "test.h"

#include <pthread.h>

enum {
  THREADS = 4,
  ROUNDS = 3000,
  FLOOR = 4000,
  POOL = 30000,
  MESSAGE = 20000,
  PIECE = 500,
};

typedef struct sharers {
  cmt__quota quota;
  pthread_mutex_t lock;
  atomic_uint seed, wrong, over, complete, gave_way, reported;
} sharers;

static void lock(void *arg) { pthread_mutex_lock(arg); }

static void unlock(void *arg) { pthread_mutex_unlock(arg); }

static void on_gave_way(void *arg) {
  atomic_fetch_add(&((sharers *)arg)->reported, 1);
}

static void check(sharers *s, const cmt_buf *msg) {
  cmt_bytes b = cmt_buf_bytes(msg);

  for (size_t i = 0; i < b.len; i++) {
    atomic_fetch_add(&s->wrong, b.base[i] != (uint8_t)(b.len / PIECE));
  }
  atomic_fetch_add(&s->complete, 1);
}

/* Messages of |pieces| packets on two channels in turns, so that one may be
   unfinished while the other comes to its end. */
static cmt_err run_message(sharers *s, cmt__channels *cs, uint8_t channel,
                           unsigned pieces) {
  uint8_t data[PIECE];

  memset(data, (int)pieces, sizeof data);
  for (unsigned i = 0; i < pieces; i++) {
    cmt__packet k = {.kind = CMT__PACKET_MSG,
                     .channel = channel,
                     .eof = i + 1 == pieces,
                     .first = true,
                     .last = true,
                     .total = PIECE,
                     .data = {data, PIECE}};
    cmt_buf *done;
    cmt_err err = cmt__channel_take(cs, &k, &done);

    atomic_fetch_add(&s->over,
                     atomic_load(&s->quota.reserved) > THREADS * FLOOR + POOL);
    if (err != CMT_OK) {
      return err;
    }
    if (done != NULL) {
      check(s, done);
      cmt_buf_unref(done);
    }
  }
  return CMT_OK;
}

static void *run(void *arg) {
  static const cmt_channel list[] = {
    {.id = 1, .priority = 1, .recv_message_max = MESSAGE},
    {.id = 2, .priority = 1, .recv_message_max = MESSAGE}};
  sharers *s = arg;
  uint32_t x = 2654435761u * atomic_fetch_add(&s->seed, 1);
  cmt_conn_group_options o = cmt__conn_group_options(NULL, list, 2);
  cmt_conn_group *group;
  cmt__channels cs;

  assert_cmt(CMT_OK, cmt_conn_group_new(&o, 0, &group, NULL));
  for (int i = 0; i < ROUNDS; i++) {
    cmt_err err = CMT_OK;

    assert_cmt(CMT_OK, cmt__channels_init(&cs, group, test_wire()));
    cs.recv_reserved_max = 2 * MESSAGE;
    cmt__channels_attach_quota(&cs, &s->quota, on_gave_way, s);
    for (int k = 0; k < 4 && err == CMT_OK; k++) {
      x = x * 1664525 + 1013904223;
      err = run_message(s, &cs, (uint8_t)(1 + k % 2),
                        1 + (x >> 16) % (MESSAGE / PIECE));
      (void)cmt__channels_tick(&cs, 0);
    }
    atomic_fetch_add(&s->gave_way, cmt__channels_gave_way(&cs));
    atomic_fetch_add(&s->wrong, err != CMT_OK && err != CMT_ENOBUFS);
    cmt__channels_fini(&cs);
  }
  cmt__conn_group_unref(group);
  return NULL;
}

static void threads_take_memory_from_each_other(void **state) {
  pthread_t threads[THREADS];
  sharers s;

  (void)state;
  memset(&s, 0, sizeof s);
  pthread_mutex_init(&s.lock, NULL);
  cmt__quota_init(&s.quota, FLOOR, POOL);
  s.quota.threads = THREADS;
  s.quota.guard = (cmt__guard){.lock = lock, .unlock = unlock, .arg = &s.lock};
  for (size_t i = 0; i < THREADS; i++) {
    assert_int_equal(0, pthread_create(&threads[i], NULL, run, &s));
  }
  for (size_t i = 0; i < THREADS; i++) {
    pthread_join(threads[i], NULL);
  }
  print_message("# %u complete, %u gave way, %u of them to others\n",
                atomic_load(&s.complete), atomic_load(&s.gave_way),
                atomic_load(&s.reported));
  assert_int_equal(0, atomic_load(&s.wrong));
  assert_int_equal(0, atomic_load(&s.over));
  assert_int_equal(0, atomic_load(&s.quota.reserved));
  assert_int_equal(0, s.quota.pool_used);
  assert_null(s.quota.first);
  pthread_mutex_destroy(&s.lock);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(threads_take_memory_from_each_other),
  };

  return cmocka_run_group_tests_name("reassembly_thread", tests, NULL, NULL);
}
