/* SPDX-License-Identifier: Apache-2.0 */

/* Features that are right alone, together: every channel urgent under a send
   limit, the legacy profile under one, the largest message after others, a
   broadcast of the longest message.  A message of 1000 bytes is a packet of
   1012. */

#include "limits_user.h"
#include "node.h"

enum { PACKET = 1012, QUEUE = 2000, MAX = 200001 };

/* ---- all channels urgent ---- */

static limits_user *all_urgent(uint64_t rate) {
  limits_user *u = limits_user_new();

  for (size_t i = 0; i < 2; i++) {
    u->channels[i].traffic = CMT_TRAFFIC_URGENT;
    u->channels[i].send_queue = QUEUE;
  }
  u->o.send_rate = rate;
  limits_user_start(u);
  return u;
}

static void fill(limits_user *u) {
  limits_queue_all(u, LIMITS_FIRST, 1000);
  limits_queue_all(u, LIMITS_SECOND, 1000);
}

/* At once: the bucket of the limit and that of urgent messages do not add up,
   since what is urgent is charged to both. */
static void all_urgent_channels_keep_within_a_send_limit(void **state) {
  static const uint64_t rates[] = {8000, 100000, 400000, 2000000};

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rates); i++) {
    uint64_t rate = rates[i];
    uint64_t bucket = cmt__min64(rate / 8, 65536);
    limits_user *u = all_urgent(rate);

    fill(u);
    assert_in_range(limits_take(u, 4096), 1,
                    cmt__max64(rate / 10, bucket) + PACKET);
    while (u->now_ns < S(10)) {
      uint64_t at_ns = cmt_mconn_deadline(u->m);

      assert_true(at_ns > u->now_ns);
      limits_tick(u, cmt__min64(at_ns, S(10)), CMT_OK);
      do {
        fill(u);
      } while (limits_take(u, 4096) > 0);
    }
    assert_within(u, rate, rate / 10 + bucket + 2 * PACKET);
    assert_about(u->total, rate * 10, rate / 5, rate / 5 + bucket + 2 * PACKET);
    limits_user_delete(u);
  }
}

/* With a limit of all connections together it is the same. */
static void all_urgent_channels_keep_within_a_total(void **state) {
  enum { RATE = 100000, BUCKET = RATE / 8 };
  limits_user *u = limits_user_new();
  cmt__quota quota;

  (void)state;
  cmt__quota_init(&quota, 0, SIZE_MAX);
  cmt__quota_limit(&quota, RATE, 0, 0);
  for (size_t i = 0; i < 2; i++) {
    u->channels[i].traffic = CMT_TRAFFIC_URGENT;
    u->channels[i].send_queue = QUEUE;
  }
  limits_user_start(u);
  cmt__mconn_attach_quota(u->m, &quota, NULL, NULL);
  fill(u);
  assert_in_range(limits_take(u, 4096), 1, BUCKET + 2 * PACKET);
  for (u->now_ns = MS(10); u->now_ns < S(10); u->now_ns += MS(10)) {
    fill(u);
    (void)limits_take(u, 4096);
  }
  assert_about(u->total, RATE * 10, RATE / 5, RATE / 5 + BUCKET);
  limits_user_delete(u);
}

/* ---- the legacy profile under limits ---- */

static limits_user *legacy_limited(void) {
  limits_user *u = limits_user_new();

  u->o.wire = CMT_WIRE_LEGACY;
  u->o.send_rate = 1000; /* Pieces of 15, a burst of 100. */
  u->o.ping_interval_ns = S(60);
  u->o.pong_timeout_ns = S(40);
  limits_user_start(u);
  return u;
}

/* A ping and a pong of one byte each go past the limit, and the debt is one
   byte more. */
static void legacy_pings_and_pongs_are_charged(void **state) {
  limits_user *u = legacy_limited();
  uint64_t debt_ns, sent;
  bool urgent;

  (void)state;
  limits_queue_all(u, LIMITS_FIRST, 900);
  sent = limits_take(u, SIZE_MAX);
  assert_in_range(sent, 901, 920);
  debt_ns = (sent - 100 + 15) * S(1) / 1000;
  assert_int_equal(debt_ns, cmt_mconn_deadline(u->m));
  assert_cmt(CMT_OK, cmt_mconn_ping(u->m));
  assert_true(cmt__mconn_wants_write(u->m, &urgent));
  assert_int_equal(1, limits_take(u, SIZE_MAX));
  assert_int_equal(debt_ns + MS(1), cmt_mconn_deadline(u->m));
  limits_tick(u, debt_ns, CMT_OK);
  assert_int_equal(0, limits_take(u, SIZE_MAX));
  limits_tick(u, debt_ns + MS(1), CMT_OK);
  assert_int_equal(sent, limits_take(u, SIZE_MAX));
  limits_user_delete(u);
}

/* A message would stand for the pong, and a limit delays it: the pong goes when
   it is due, a quarter of the timeout after the ping. */
static void a_legacy_pong_that_is_owed_passes_a_send_limit(void **state) {
  static const uint8_t ping[] = {1};
  limits_user *u = limits_user_new();
  uint64_t sent;
  bool urgent;

  (void)state;
  u->o.wire = CMT_WIRE_LEGACY;
  u->o.send_rate = 50; /* 20 ms a byte; a burst of 5. */
  u->o.ping_interval_ns = S(60);
  u->o.pong_timeout_ns = S(40);
  limits_user_start(u);
  limits_queue_all(u, LIMITS_FIRST, 1000);
  sent = limits_take(u, SIZE_MAX);
  assert_in_range(sent, 1001, 1020); /* 20 s of the limit. */
  limits_tick(u, S(1), CMT_OK);
  limits_give(u, ping, sizeof ping, CMT_OK);
  assert_int_equal(0, limits_take(u, SIZE_MAX));
  assert_int_equal(S(11), cmt_mconn_deadline(u->m));
  limits_tick(u, S(11) - 1, CMT_OK);
  assert_int_equal(0, limits_take(u, SIZE_MAX));
  limits_tick(u, S(11), CMT_OK);
  assert_true(cmt__mconn_wants_write(u->m, &urgent));
  assert_true(urgent);
  assert_int_equal(1, limits_take(u, SIZE_MAX));
  assert_int_equal((sent - 5 + 1 + 1) * MS(20), cmt_mconn_deadline(u->m));
  limits_user_delete(u);
}

/* ---- lengths ---- */

static int long_setup(void **state) {
  test_trio *t;

  assert_int_equal(0, test_trio_setup(state));
  t = *state;
  t->a.quiet = true;
  t->b.quiet = true;
  for (int i = 0; i < 2; i++) {
    cmt_channel *c = (i == 0 ? &t->a : &t->b)->parts[0].channels;

    c->send_queue = 20;
    c->send_message_max = MAX;
    c->recv_message_max = MAX;
  }
  return 0;
}

typedef struct lengths {
  size_t list[40], count;
} lengths;

static void note_length(test_part *part, cmt_peer *p, uint8_t channel,
                        cmt_buf *msg) {
  lengths *l = part->arg;
  cmt_bytes b = cmt_buf_bytes(msg);

  (void)p;
  (void)channel;
  for (size_t i = 0; i < b.len; i++) {
    assert_int_equal((uint8_t)(i * 7 + b.len), b.base[i]);
  }
  l->list[l->count++] = b.len;
}

static cmt_buf *of_length(size_t len) {
  cmt_buf *b = cmt_buf_new(NULL, len);

  assert_non_null(b);
  for (size_t i = 0; i < len; i++) {
    cmt_buf_data(b)[i] = (uint8_t)(i * 7 + len);
  }
  return b;
}

static void meet(test_trio *t, lengths *l, cmt_wire wire) {
  t->a.options.wire = wire;
  t->b.options.wire = wire;
  t->b.parts[0].on_receive = note_length;
  t->b.parts[0].arg = l;
  test_pair(&t->w, &t->a, &t->b);
}

/* The buffer for a message begins at the length of the last one. */
static void after_others(test_trio *t, cmt_wire wire) {
  static const size_t sizes[] = {1,   MAX,   0,     1023, MAX,   65536,
                                 MAX, 65537, MAX,   MAX,  1024,  MAX - 1,
                                 MAX, 5,     32768, MAX,  131072};
  lengths l = {.count = 0};

  meet(t, &l, wire);
  for (size_t i = 0; i < CMT__COUNT(sizes); i++) {
    cmt_buf *b = of_length(sizes[i]);

    assert_cmt(CMT_OK, cmt_peer_try_send(test_node_peer(&t->a), TEST_CHAT, b));
    if (i % 3 != 0) {
      test_loop_run_until_idle(t->w.loop);
    }
  }
  test_loop_run_until_idle(t->w.loop);
  assert_int_equal(CMT__COUNT(sizes), l.count);
  assert_memory_equal(sizes, l.list, sizeof sizes);
}

static void the_largest_message_after_others(void **state) {
  after_others(*state, CMT_WIRE_COMETBFT);
}

static void
the_largest_message_after_others_in_the_legacy_profile(void **state) {
  after_others(*state, CMT_WIRE_LEGACY);
}

static void a_broadcast_of_the_longest_message(void **state) {
  test_trio *t = *state;
  cmt_broadcast counts;
  lengths l = {.count = 0};
  cmt_buf *b = of_length(MAX);

  meet(t, &l, CMT_WIRE_COMETBFT);
  assert_cmt(CMT_OK, cmt_switch_broadcast(t->a.sw, TEST_CHAT, b, &counts));
  assert_int_equal(1, counts.queued);
  b = of_length(MAX + 1);
  assert_cmt(CMT_ETOOBIG, cmt_switch_broadcast(t->a.sw, TEST_CHAT, b, &counts));
  cmt_buf_unref(b);
  test_loop_run_until_idle(t->w.loop);
  assert_int_equal(1, l.count);
  assert_int_equal(MAX, l.list[0]);
}

int main(void) {
#define TEST(name)                                                             \
  cmocka_unit_test_setup_teardown(name, long_setup, test_trio_teardown)
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(all_urgent_channels_keep_within_a_send_limit),
    cmocka_unit_test(all_urgent_channels_keep_within_a_total),
    cmocka_unit_test(legacy_pings_and_pongs_are_charged),
    cmocka_unit_test(a_legacy_pong_that_is_owed_passes_a_send_limit),
    TEST(the_largest_message_after_others),
    TEST(the_largest_message_after_others_in_the_legacy_profile),
    TEST(a_broadcast_of_the_longest_message),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
