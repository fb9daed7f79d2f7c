/* SPDX-License-Identifier: Apache-2.0 */
/* Urgent channels of a multiplexer in virtual time: what they may send before
   all others, to the byte and the nanosecond.  A message of 1000 bytes is a
   packet of 1012. */

#include "mconn_output.h"
#include "limits_user.h"

enum { BULK = LIMITS_FIRST, VOTES = LIMITS_SECOND, PACKET = 1012 };

/* Votes that would get next to nothing by their priority. */
static limits_user *user_new(void) {
  limits_user *u = limits_user_new();

  u->channels[0].priority = CMT_PRIORITY_MAX;
  u->channels[0].send_queue = 2000;
  u->channels[1].traffic = CMT_TRAFFIC_URGENT;
  u->channels[1].send_queue = 2000;
  return u;
}

static limits_user *user_started(void) {
  limits_user *u = user_new();

  limits_user_start(u);
  return u;
}

static void fill_queues(limits_user *u) {
  limits_queue_all(u, BULK, 1000);
  limits_queue_all(u, VOTES, 1000);
}

static uint64_t sent(const limits_user *u, uint8_t channel) {
  cmt_channel_status status[2];

  assert_int_equal(2, cmt_mconn_get_status(u->m, status, 2));
  assert_int_equal(channel, status[channel - BULK].id);
  return status[channel - BULK].sent_bytes;
}

static uint64_t votes_sent(const limits_user *u) { return sent(u, VOTES); }

/* One output of at most |max| bytes. */
static void take_run(limits_user *u, size_t max) {
  cmt_bytes out = mconn_output(u->m, max, u->now_ns);

  mconn_output_consume(u->m, out.len, u->now_ns);
  u->total += out.len;
}

/* ---- the bucket ---- */

static void goes_into_the_next_output_before_all_others(void **state) {
  static const cmt_wire wires[] = {CMT_WIRE_COMETBFT, CMT_WIRE_LEGACY};

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(wires); i++) {
    limits_user *u = user_new();

    u->o.wire = wires[i];
    limits_user_start(u);
    limits_queue_all(u, BULK, 1000);
    take_run(u, 3000);
    assert_int_equal(0, votes_sent(u));
    assert_cmt(CMT_OK, limits_queue(u, VOTES, 1000));
    take_run(u, 1100);
    assert_in_range(votes_sent(u), 1001, 1100);
    limits_user_delete(u);
  }
}

/* Each packet goes while the bucket has a byte; 65 of them leave a debt of 244
   bytes. */
static void bucket_is_64_kib_and_refills_with_256_kib_a_second(void **state) {
  limits_user *u = user_started();

  (void)state;
  fill_queues(u);
  take_run(u, 100000);
  assert_int_equal(65 * PACKET, votes_sent(u));
  assert_int_equal(0, sent(u, BULK)); /* It is written first. */
  /* 245 / 262144 s. */
  u->now_ns = 934600;
  take_run(u, 5000);
  assert_int_equal(65 * PACKET, votes_sent(u));
  u->now_ns = 934601;
  take_run(u, 5000);
  assert_int_equal(66 * PACKET, votes_sent(u));
  u->now_ns = S(10); /* Full, and no more than that. */
  take_run(u, 100000);
  assert_int_equal((66 + 65) * PACKET, votes_sent(u));
  limits_user_delete(u);
}

/* What is sealed with an urgent message delays it, so that is little, and the
   rest follows in the next output. */
static void shares_a_short_output_with_the_others(void **state) {
  limits_user *u = user_started();
  uint64_t before;

  (void)state;
  limits_queue_all(u, BULK, 1000);
  take_run(u, 100000);
  assert_in_range(u->total, 100000 - PACKET, 100000);
  for (int i = 0; i < 3; i++) {
    assert_cmt(CMT_OK, limits_queue(u, VOTES, 1000));
    before = u->total;
    take_run(u, 100000);
    assert_int_equal(7 * PACKET, u->total - before);
    assert_int_equal((i + 1) * PACKET, votes_sent(u));
    before = u->total;
    take_run(u, 100000);
    assert_in_range(u->total - before, 100000 - PACKET, 100000);
  }
  /* Past the bucket it competes, and its outputs are as long as any. */
  fill_queues(u);
  take_run(u, 100000);
  before = u->total;
  take_run(u, 100000);
  assert_in_range(u->total - before, 100000 - PACKET, 100000);
  limits_user_delete(u);
}

static void others_lose_no_more_than_the_bucket(void **state) {
  limits_user *u = user_started();

  (void)state;
  for (u->now_ns = 0; u->now_ns < S(10); u->now_ns += MS(1)) {
    fill_queues(u);
    take_run(u, 5120);
    assert_true(votes_sent(u) <= 65536 + u->now_ns * 262144 / S(1) + PACKET);
  }
  assert_about(votes_sent(u), 65536 + 10 * 262144, PACKET, PACKET);
  assert_about(sent(u, BULK), u->total - votes_sent(u), 0, 0);
  limits_user_delete(u);
}

/* What went before all others counts in its part. */
static void beyond_the_bucket_it_competes_by_its_priority(void **state) {
  limits_user *u = user_new();

  (void)state;
  u->channels[0].priority = 3;
  limits_user_start(u);
  for (u->now_ns = 0; u->now_ns < S(10); u->now_ns += MS(1)) {
    fill_queues(u);
    take_run(u, 5120);
  }
  assert_about(votes_sent(u), u->total / 4, u->total / 100, u->total / 100);
  limits_user_delete(u);
}

static void what_it_sends_counts_as_recently_sent(void **state) {
  limits_user *u = user_started();
  cmt_channel_status status[2];

  (void)state;
  fill_queues(u);
  take_run(u, 200000);
  cmt_mconn_get_status(u->m, status, 2);
  assert_int_equal(65 * PACKET, status[1].recently_sent_bytes);
  assert_int_equal(status[0].sent_bytes, status[0].recently_sent_bytes);
  limits_user_delete(u);
}

static void urgent_channels_share_the_bucket_by_their_ratio(void **state) {
  limits_user *u = user_new();

  (void)state;
  u->channels[0].traffic = CMT_TRAFFIC_URGENT;
  u->channels[0].priority = 3;
  limits_user_start(u);
  limits_queue_all(u, VOTES, 1000);
  take_run(u, 4 * PACKET);
  assert_int_equal(4 * PACKET, votes_sent(u));
  limits_queue_all(u, BULK, 1000);
  take_run(u, 12 * PACKET); /* To the same ratio. */
  assert_int_equal(4 * PACKET, votes_sent(u));
  take_run(u, 40 * PACKET);
  assert_int_equal(14 * PACKET, votes_sent(u));
  limits_user_delete(u);
}

static void long_messages_go_a_bucket_at_a_time(void **state) {
  limits_user *u = user_started();

  (void)state;
  assert_cmt(CMT_OK, limits_queue(u, BULK, 1 << 20));
  assert_cmt(CMT_OK, limits_queue(u, VOTES, 100000));
  take_run(u, 200000);
  assert_int_equal(64 * 1034, votes_sent(u)); /* Full packets. */
  u->now_ns = MS(250);
  take_run(u, 200000);
  assert_in_range(votes_sent(u), 100000, 102000);
  limits_user_delete(u);
}

/* ---- beside limits ---- */

static void goes_past_a_send_limit_and_is_repaid(void **state) {
  limits_user *u = user_new();
  bool urgent;

  (void)state;
  u->o.send_rate = 64000; /* Burst 6400, pieces of 1000. */
  limits_user_start(u);
  limits_queue_all(u, BULK, 1000);
  assert_int_equal(7 * PACKET, limits_take(u, SIZE_MAX));
  assert_false(cmt__mconn_wants_write(u->m, &urgent));
  assert_int_equal(26312500, cmt_mconn_deadline(u->m)); /* 1684 bytes. */
  assert_cmt(CMT_OK, limits_queue(u, VOTES, 1000));
  assert_true(cmt__mconn_wants_write(u->m, &urgent));
  assert_true(urgent);
  assert_int_equal(PACKET, limits_take(u, SIZE_MAX));
  assert_int_equal(PACKET, votes_sent(u));
  assert_int_equal(42125000, cmt_mconn_deadline(u->m)); /* 2696 bytes. */
  /* Half of the limit, and a quarter of a second's worth of it: 8000. */
  limits_queue_all(u, VOTES, 1000);
  assert_int_equal(7 * PACKET, limits_take(u, SIZE_MAX));
  assert_false(cmt__mconn_wants_write(u->m, &urgent));
  assert_int_equal(3031250, cmt_mconn_deadline(u->m)); /* 97 / 32000 s. */
  limits_tick(u, 3031249, CMT_OK);
  assert_int_equal(0, limits_take(u, SIZE_MAX));
  limits_tick(u, 3031250, CMT_OK);
  assert_int_equal(PACKET, limits_take(u, SIZE_MAX));
  assert_int_equal(9 * PACKET, votes_sent(u));
  limits_user_delete(u);
}

/* Driven by the deadline alone. */
static void send_until(limits_user *u, uint64_t end_ns) {
  while (u->now_ns < end_ns) {
    uint64_t at_ns;

    do {
      fill_queues(u);
    } while (limits_take(u, 4096) > 0);
    at_ns = cmt_mconn_deadline(u->m);
    assert_true(at_ns > u->now_ns);
    limits_tick(u, at_ns < end_ns ? at_ns : end_ns, CMT_OK);
  }
}

static void a_send_limit_holds_and_others_keep_half_of_it(void **state) {
  static const uint64_t rates[] = {1000, 100000, 400000, 2000000};

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rates); i++) {
    uint64_t rate = rates[i];
    uint64_t urgent = rate / 2 < 262144 ? rate / 2 : 262144;
    limits_user *u = user_new();

    u->o.send_rate = rate;
    limits_user_start(u);
    send_until(u, S(10));
    assert_about(votes_sent(u), urgent * 10 + urgent / 4, PACKET, PACKET);
    assert_within(u, rate, rate / 10 + urgent / 4 + 2 * PACKET);
    assert_true(sent(u, BULK) + urgent / 4 + PACKET > rate * 10 / 2);
    limits_user_delete(u);
  }
}

static void the_limit_of_the_channel_itself_holds(void **state) {
  limits_user *u = user_new();

  (void)state;
  u->channels[1].send_rate = 10000; /* Burst 1000. */
  limits_user_start(u);
  fill_queues(u);
  take_run(u, 100000);
  assert_int_equal(PACKET, votes_sent(u));
  limits_user_delete(u);
}

static void a_deadline_waits_for_the_limit_of_the_channel(void **state) {
  limits_user *u = user_new();

  (void)state;
  u->channels[1].send_rate = 10000; /* Pieces of 156. */
  limits_user_start(u);
  limits_queue_all(u, VOTES, 1000);
  assert_int_equal(PACKET, limits_take(u, SIZE_MAX));
  assert_int_equal(MS(1) * 168 / 10, cmt_mconn_deadline(u->m));
  limits_user_delete(u);
}

static void passes_the_turns_of_a_total_and_takes_half_at_most(void **state) {
  const uint64_t rate = 100000;
  uint64_t now_ns = 0, votes = 0, total = 0;
  limits_crowd c;

  (void)state;
  cmt__quota_init(&c.quota, 0, SIZE_MAX);
  cmt__quota_limit(&c.quota, rate, 0, 0);
  for (size_t i = 0; i < LIMITS_SHARERS; i++) {
    c.users[i] = user_started();
    cmt__mconn_attach_quota(c.users[i]->m, &c.quota, NULL, NULL);
  }
  /* The first leaves a debt and waits; its votes do not. */
  limits_queue_all(c.users[0], BULK, 1000);
  assert_int_equal(10 * PACKET, limits_take(c.users[0], SIZE_MAX));
  assert_cmt(CMT_OK, limits_queue(c.users[0], VOTES, 1000));
  assert_int_equal(PACKET, limits_take(c.users[0], SIZE_MAX));
  while (now_ns < S(10)) {
    uint64_t next_ns = CMT_NEVER;

    for (size_t i = 0; i < LIMITS_SHARERS; i++) {
      limits_tick(c.users[i], now_ns, CMT_OK);
      fill_queues(c.users[i]);
      (void)limits_take(c.users[i], 65536);
      next_ns = cmt__min64(next_ns, cmt_mconn_deadline(c.users[i]->m));
    }
    now_ns = cmt__max64(now_ns + 1, next_ns);
  }
  for (size_t i = 0; i < LIMITS_SHARERS; i++) {
    votes += votes_sent(c.users[i]);
    total += c.users[i]->total;
  }
  /* Each sends a packet more by its priority, which it had no part of yet. */
  assert_about(votes, rate / 2 * 10 + rate / 8, PACKET,
               (1 + LIMITS_SHARERS) * PACKET);
  assert_about(total, rate * 10 + rate / 10, rate / 8,
               rate / 8 + LIMITS_SHARERS * (rate / 64 + PACKET));
  limits_crowd_fini(&c);
}

/* ---- waiting ---- */

static void status_reports_how_long_messages_waited(void **state) {
  limits_user *u = user_started();
  cmt_channel_status status[2];

  (void)state;
  limits_tick(u, MS(5), CMT_OK);
  assert_cmt(CMT_OK, limits_queue(u, BULK, 1500));
  limits_tick(u, MS(7), CMT_OK);
  assert_cmt(CMT_OK, limits_queue(u, BULK, 10));
  take_run(u, 1100); /* A part of the first, without its last byte. */
  cmt_mconn_get_status(u->m, status, 2);
  assert_int_equal(0, status[0].wait_max_ns);
  limits_tick(u, MS(9), CMT_OK);
  take_run(u, 2000);
  cmt_mconn_get_status(u->m, status, 2);
  assert_int_equal(2, status[0].sent_messages);
  assert_int_equal(MS(2), status[0].wait_last_ns);
  assert_int_equal(MS(4), status[0].wait_max_ns);
  assert_int_equal(0, status[1].wait_max_ns);
  limits_user_delete(u);
}

static void traffic_of_no_kind_is_refused(void **state) {
  limits_user *u = user_new();
  cmt_why why;

  (void)state;
  u->channels[1].traffic = (cmt_traffic)2;
  assert_cmt(CMT_EINVAL, cmt_mconn_new(&u->o, 0, &u->m, &why));
  assert_string_equal("channel 0x41: traffic is 2, allowed is 0 to 1",
                      why.text);
  limits_user_delete(u);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(goes_into_the_next_output_before_all_others),
    cmocka_unit_test(bucket_is_64_kib_and_refills_with_256_kib_a_second),
    cmocka_unit_test(shares_a_short_output_with_the_others),
    cmocka_unit_test(others_lose_no_more_than_the_bucket),
    cmocka_unit_test(beyond_the_bucket_it_competes_by_its_priority),
    cmocka_unit_test(what_it_sends_counts_as_recently_sent),
    cmocka_unit_test(urgent_channels_share_the_bucket_by_their_ratio),
    cmocka_unit_test(long_messages_go_a_bucket_at_a_time),
    cmocka_unit_test(goes_past_a_send_limit_and_is_repaid),
    cmocka_unit_test(a_send_limit_holds_and_others_keep_half_of_it),
    cmocka_unit_test(the_limit_of_the_channel_itself_holds),
    cmocka_unit_test(a_deadline_waits_for_the_limit_of_the_channel),
    cmocka_unit_test(passes_the_turns_of_a_total_and_takes_half_at_most),
    cmocka_unit_test(status_reports_how_long_messages_waited),
    cmocka_unit_test(traffic_of_no_kind_is_refused),
  };

  return cmocka_run_group_tests_name("urgent", tests, NULL, NULL);
}
