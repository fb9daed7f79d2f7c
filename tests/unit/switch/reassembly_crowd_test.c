/* SPDX-License-Identifier: Apache-2.0 */

/* A crowd that leaves messages unfinished beside friends that send small and
   large ones, at 1/128 of the default sizes.  Whatever the crowd does, the
   friends' messages arrive and the friends stay. */

#include "hostile.h"

#include "sys/lock.h"

#include <errno.h>
#include <stdlib.h>

#define S(n) CMT_SECONDS(n)

enum {
  CROWD_MAX = 25,
  BLOCKS = 0x52, /* A channel of longer messages, as blocksync's. */
  TOTAL = 4 << 20,
  LARGE = 172032,      /* 21 MiB / 128. */
  BLOCK = 819200,      /* 100 MiB / 128. */
  FLOOR = TOTAL / 160, /* Floor of each of eighty peers. */
  PIECE = 1000,
};

typedef struct crowd {
  test_trio t; /* |a| and |c| are friends of |b|. */
  hostile list[CROWD_MAX];
  size_t sent[CROWD_MAX]; /* Bytes of its unfinished message. */
  size_t count, each;     /* How many, and bytes that each leaves unfinished. */
  uint8_t channel;
  size_t small, large; /* Messages of the friends that arrived, */
  size_t wrong;        /* and those whose bytes are not theirs. */
} crowd;

static void on_receive(test_part *part, cmt_peer *p, uint8_t channel,
                       cmt_buf *msg) {
  crowd *c = part->arg;
  cmt_bytes b = cmt_buf_bytes(msg);

  (void)p;
  (void)channel;
  for (size_t i = 0; i < b.len; i++) {
    c->wrong += b.base[i] != (uint8_t)(b.len + i);
  }
  c->small += b.len < PIECE;
  c->large += b.len >= PIECE;
}

static void channels(test_node *n, size_t block) {
  n->quiet = true;
  n->parts[0].channels[0].recv_message_max = LARGE;
  test_part_channel(
    &n->parts[0],
    (cmt_channel){.id = BLOCKS, .priority = 1, .recv_message_max = block});
}

static void crowd_init(crowd *c, size_t block) {
  test_trio *t = &c->t;

  test_world_init(&t->w);
  test_node_init(&t->a, &t->w);
  test_node_init(&t->b, &t->w);
  test_node_init(&t->c, &t->w);
  channels(&t->a, block);
  channels(&t->b, block);
  channels(&t->c, block);
  t->b.options.recv_bytes_total_max = TOTAL;
  t->b.parts[0].on_receive = on_receive;
  t->b.parts[0].arg = c;
  test_node_start(&t->b);
  test_node_start(&t->a);
  test_node_start(&t->c);
  test_node_dial(&t->a, t->b.addr, 0);
  test_node_dial(&t->c, t->b.addr, 0);
}

static void crowd_fini(crowd *c) {
  for (size_t i = 0; i < c->count; i++) {
    hostile_fini(&c->list[i]);
  }
  test_node_fini(&c->t.a);
  test_node_fini(&c->t.b);
  test_node_fini(&c->t.c);
  test_world_fini(&c->t.w);
}

static cmt_switch_status status_of(crowd *c) {
  cmt_switch_status status;

  cmt_switch_get_status(c->t.b.sw, &status);
  return status;
}

/* Strangers that are gone come again; the others go on to |each| bytes, and
   with a packet of 16 bytes beyond that. */
static void crowd_pushes(crowd *c) {
  for (size_t i = 0; i < c->count; i++) {
    hostile *h = &c->list[i];

    if (!h->up || h->ended) {
      hostile_fini(h);
      c->sent[i] = 0;
      hostile_dial(h, c->t.w.loop, c->t.b.addr);
      test_loop_run_until_idle(c->t.w.loop);
    }
    while (c->sent[i] < c->each && !h->ended) {
      hostile_packet(h, c->channel, PIECE, false);
      c->sent[i] += PIECE;
    }
    hostile_packet(h, c->channel, 16, false);
    test_loop_run_until_idle(c->t.w.loop);
    assert_true(status_of(c).recv_reserved_bytes <= TOTAL);
  }
}

static void say(crowd *c, test_node *n, uint8_t channel, size_t len) {
  cmt_buf *msg = cmt_buf_new(&c->t.w.env.env, len);

  for (size_t i = 0; i < len; i++) {
    cmt_buf_data(msg)[i] = (uint8_t)(len + i);
  }
  assert_cmt(CMT_OK, cmt_peer_try_send(test_node_peer(n), channel, msg));
  test_loop_run_until_idle(c->t.w.loop);
}

/* Ten minutes, in each of which everybody in the crowd sends a packet, and
   those that are gone come again; half a minute later the friends speak. */
static void friends_live(crowd *c, uint8_t channel, size_t large) {
  for (size_t minute = 1; minute <= 10; minute++) {
    crowd_pushes(c);
    test_loop_advance(c->t.w.loop, S(30));
    say(c, &c->t.a, TEST_CHAT, 100);
    say(c, &c->t.c, channel, large);
    say(c, &c->t.a, TEST_CHAT, FLOOR - PIECE);
    assert_int_equal(minute, c->small);
    assert_int_equal(2 * minute, c->large);
    assert_int_equal(0, c->wrong);
    test_loop_advance(c->t.w.loop, S(29));
    (void)test_node_log(&c->t.b);
  }
  assert_non_null(test_node_peer(&c->t.a));
  assert_non_null(test_node_peer(&c->t.c));
}

static void run(size_t count, size_t each, uint8_t channel, size_t block,
                size_t large) {
  crowd *c = calloc(1, sizeof *c);

  assert_non_null(c);
  crowd_init(c, block);
  c->count = count;
  c->each = each;
  c->channel = channel;
  friends_live(c, channel, large);
  crowd_fini(c);
  free(c);
}

static void a_crowd_of_25_costs_no_friend_anything(void **state) {
  (void)state;
  run(25, TOTAL / 25, TEST_CHAT, BLOCK, LARGE);
}

static void six_with_long_messages_cost_no_friend_anything(void **state) {
  (void)state;
  run(6, TOTAL / 6, BLOCKS, BLOCK, BLOCK);
}

/* As much as one may have without giving way to a friend's small messages. */
static void a_crowd_at_its_floors_costs_no_friend_anything(void **state) {
  (void)state;
  run(25, FLOOR - PIECE, TEST_CHAT, BLOCK, LARGE);
}

/* The largest of the crowd learns why it ended, and whose memory it was. */
static void the_reason_is_reported(void **state) {
  crowd *c = calloc(1, sizeof *c);

  (void)state;
  assert_non_null(c);
  crowd_init(c, BLOCK);
  c->count = 6;
  c->each = TOTAL / 6;
  c->channel = BLOCKS;
  (void)test_node_log(&c->t.b);
  crowd_pushes(c);
  assert_true(status_of(c).removed > 0);
  assert_int_equal(status_of(c).removed,
                   test_reason(c->t.b.sw, CMT_ENOBUFS).removed);
  crowd_fini(c);
  free(c);
}

/* The quotas of connections on several loops; one loop needs no lock. */
static void what_loops_share_is_locked(void **state) {
  (void)state;
  for (unsigned loops = 1; loops <= 3; loops++) {
    test_world w;
    test_node n;
    pthread_mutex_t *lock;

    test_world_init_loops(&w, loops);
    test_node_init(&n, &w);
    test_node_start(&n);
    lock = &n.sw->quota_lock;
    assert_int_equal(loops, n.sw->setup.group->quota.threads);
    cmt__quota_lock(&n.sw->setup.group->quota);
    assert_int_equal(loops > 1 ? EBUSY : 0, pthread_mutex_trylock(lock));
    assert_int_equal(loops > 1, cmt__locks_held);
    if (loops == 1) {
      pthread_mutex_unlock(lock);
    }
    cmt__quota_unlock(&n.sw->setup.group->quota);
    assert_int_equal(0, cmt__locks_held);
    test_node_fini(&n);
    test_world_fini(&w);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_crowd_of_25_costs_no_friend_anything),
    cmocka_unit_test(six_with_long_messages_cost_no_friend_anything),
    cmocka_unit_test(a_crowd_at_its_floors_costs_no_friend_anything),
    cmocka_unit_test(the_reason_is_reported),
    cmocka_unit_test(what_loops_share_is_locked),
  };

  return cmocka_run_group_tests_name("reassembly_crowd", tests, NULL, NULL);
}
