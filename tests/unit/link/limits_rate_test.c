/* SPDX-License-Identifier: Apache-2.0 */
/* Rate limits of a multiplexer, in virtual time.  Instants are literal, and
   bytes are counted. */

#include "mconn_output.h"
#include "limits_user.h"

/* ---- sending ---- */

/* Sends as much as it may until |end_ns|, driven by the deadline alone. */
static void send_until(limits_user *u, uint64_t end_ns, size_t len) {
  while (u->now_ns < end_ns) {
    uint64_t at_ns;

    do {
      limits_queue_all(u, LIMITS_FIRST, len);
    } while (limits_take(u, 4096) > 0);
    at_ns = cmt_mconn_deadline(u->m);
    assert_true(at_ns > u->now_ns);
    limits_tick(u, at_ns < end_ns ? at_ns : end_ns, CMT_OK);
  }
}

static void send_rate_is_exact_over_time(void **state) {
  static const uint64_t rates[] = {50, 1000, 65536, 500000, 5120000, 40000000};

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rates); i++) {
    limits_user *u = limits_user_new();
    uint64_t quantum = rates[i] / 64, seconds = rates[i] > 1000000 ? 1 : 10;

    u->o.send_rate = rates[i];
    limits_user_start(u);
    send_until(u, S(seconds), 30000);
    assert_within(u, rates[i], rates[i] / 10 + LIMITS_PACKET_MAX);
    /* Never less than was possible, but for what waits for the next piece. */
    assert_about(u->total, rates[i] * seconds + rates[i] / 10,
                 (quantum < 16384 ? quantum : 16384) + 1, LIMITS_PACKET_MAX);
    limits_user_delete(u);
  }
}

static void delayed_output_is_empty_until_the_deadline(void **state) {
  limits_user *u = limits_user_new();
  bool urgent;

  (void)state;
  u->o.send_rate = 64000; /* Burst 6400, pieces of 1000. */
  limits_user_start(u);
  limits_queue_all(u, LIMITS_FIRST, 1000); /* Packets of 1012 bytes. */
  assert_int_equal(7 * 1012, limits_take(u, SIZE_MAX));
  assert_false(cmt__mconn_wants_write(u->m, &urgent));
  assert_false(cmt__mconn_is_drained(u->m));
  /* 684 owed and 1000 to come: 1684 / 64000 s. */
  assert_int_equal(26312500, cmt_mconn_deadline(u->m));
  u->now_ns = 26312499;
  assert_int_equal(0, limits_take(u, SIZE_MAX));
  limits_tick(u, 26312500, CMT_OK);
  assert_true(cmt__mconn_wants_write(u->m, &urgent));
  assert_int_equal(1012, limits_take(u, SIZE_MAX));
  assert_int_equal(42125000, cmt_mconn_deadline(u->m));
  /* A stalled socket: nothing is due again and again. */
  limits_tick(u, S(1), CMT_OK);
  assert_true(cmt_mconn_deadline(u->m) == CMT_NEVER);
  limits_user_delete(u);
}

static void pings_and_pongs_pass_a_send_limit_and_are_charged(void **state) {
  static const uint8_t ping[] = {2, 0x0a, 0};
  limits_user *u = limits_user_new();
  uint64_t at_ns;
  bool urgent;

  (void)state;
  u->o.send_rate = 1000; /* Pieces of 15. */
  limits_user_start(u);
  limits_queue_all(u, LIMITS_FIRST, 1000);
  assert_int_equal(1012, limits_take(u, SIZE_MAX)); /* The burst is 100. */
  at_ns = cmt_mconn_deadline(u->m);
  assert_int_equal(MS(927), at_ns);
  limits_tick(u, MS(100), CMT_OK);
  limits_give(u, ping, sizeof ping, CMT_OK);
  assert_true(cmt__mconn_wants_write(u->m, &urgent));
  assert_true(urgent);
  assert_int_equal(3, limits_take(u, SIZE_MAX));
  assert_int_equal(MS(930), cmt_mconn_deadline(u->m));
  assert_cmt(CMT_OK, cmt_mconn_ping(u->m));
  assert_int_equal(3, limits_take(u, SIZE_MAX));
  assert_int_equal(MS(933), cmt_mconn_deadline(u->m));
  limits_tick(u, MS(933), CMT_OK);
  assert_int_equal(1012, limits_take(u, SIZE_MAX));
  limits_user_delete(u);
}

static uint64_t channel_sent(const limits_user *u, size_t index) {
  cmt_channel_status status[2];

  assert_int_equal(2, cmt_mconn_get_status(u->m, status, 2));
  return status[index].sent_bytes;
}

static void channel_limit_holds_back_its_channel_alone(void **state) {
  limits_user *u = limits_user_new();

  (void)state;
  u->channels[0].send_rate = 100000;
  u->channels[0].priority = 10;
  limits_user_start(u);
  /* The link carries 1 MB/s: two full packets each 2 ms. */
  for (u->now_ns = 0; u->now_ns < S(10); u->now_ns += MS(2)) {
    cmt_bytes out;

    limits_queue_all(u, LIMITS_FIRST, 2000);
    limits_queue_all(u, LIMITS_SECOND, 2000);
    out = mconn_output(u->m, 3000, u->now_ns);
    assert_true(out.len > 0);
    mconn_output_consume(u->m, out.len, u->now_ns);
    u->total += out.len;
  }
  assert_about(channel_sent(u, 0), 1010000, 1600, LIMITS_PACKET_MAX);
  assert_int_equal(u->total, channel_sent(u, 0) + channel_sent(u, 1));
  assert_true(channel_sent(u, 1) > 5 * channel_sent(u, 0));
  limits_user_delete(u);
}

static void limited_channel_alone_sets_the_deadline(void **state) {
  limits_user *u = limits_user_new();

  (void)state;
  u->channels[0].send_rate = 64000;
  limits_user_start(u);
  assert_cmt(CMT_OK, limits_queue(u, LIMITS_FIRST, 8000));
  assert_int_equal(0, cmt_mconn_deadline(u->m) != CMT_NEVER);
  assert_true(limits_take(u, SIZE_MAX) > 6400);
  assert_in_range(cmt_mconn_deadline(u->m), 1, MS(40));
  /* What is free to go goes. */
  assert_cmt(CMT_OK, limits_queue(u, LIMITS_SECOND, 100));
  assert_true(limits_take(u, SIZE_MAX) > 100);
  limits_tick(u, cmt_mconn_deadline(u->m), CMT_OK);
  assert_true(limits_take(u, SIZE_MAX) > 0);
  assert_true(cmt__mconn_is_drained(u->m));
  assert_true(cmt_mconn_deadline(u->m) == CMT_NEVER);
  limits_user_delete(u);
}

/* ---- several of one group ---- */

static void total_send_limit_is_exact_and_shared_evenly(void **state) {
  const uint64_t rate = 1000000, quantum = rate / 64;
  uint64_t now_ns = 0, total = 0;
  limits_crowd c;

  (void)state;
  limits_crowd_init(&c, rate, 0, SIZE_MAX);
  while (now_ns < S(10)) {
    uint64_t next_ns = CMT_NEVER;

    for (size_t i = 0; i < LIMITS_SHARERS; i++) {
      limits_user *u = c.users[i];

      limits_tick(u, now_ns, CMT_OK);
      limits_queue_all(u, LIMITS_FIRST, 900 + 700 * i);
      (void)limits_take(u, 65536);
      next_ns = cmt__min64(next_ns, cmt_mconn_deadline(u->m));
    }
    assert_true(next_ns > now_ns);
    now_ns = next_ns;
  }
  for (size_t i = 0; i < LIMITS_SHARERS; i++) {
    assert_about(c.users[i]->total, 10 * rate / LIMITS_SHARERS, 10 * quantum,
                 10 * quantum);
    total += c.users[i]->total;
  }
  assert_about(total, 10 * rate + rate / 10, quantum,
               LIMITS_SHARERS * (quantum + LIMITS_PACKET_MAX));
  assert_true(atomic_load(&c.quota.send_waits) > 100);
  limits_crowd_fini(&c);
}

/* One of many that waits for its turn sends pongs, and keeps its place. */
static void pong_costs_no_place_in_the_queue(void **state) {
  static const uint8_t ping[] = {2, 0x0a, 0};
  uint64_t at_ns;
  limits_crowd c;

  (void)state;
  limits_crowd_init(&c, 64000, 0, SIZE_MAX);
  for (size_t i = 0; i < LIMITS_SHARERS; i++) {
    limits_queue_all(c.users[i], LIMITS_FIRST, 5000);
    (void)limits_take(c.users[i], SIZE_MAX);
  }
  at_ns = cmt_mconn_deadline(c.users[0]->m);
  assert_true(at_ns < cmt_mconn_deadline(c.users[3]->m));
  limits_give(c.users[0], ping, sizeof ping, CMT_OK);
  assert_int_equal(3, limits_take(c.users[0], SIZE_MAX));
  assert_int_equal(at_ns + 46875, cmt_mconn_deadline(c.users[0]->m));
  limits_crowd_fini(&c);
}

/* ---- receiving ---- */

/* Reads what it may until |end_ns|, at most |chunk| at once, and stops when it
   has to.  |bounded|: it asks how much. */
static void read_until(limits_user *u, uint64_t end_ns, size_t chunk,
                       bool bounded) {
  while (u->now_ns < end_ns) {
    uint64_t at_ns;

    while (cmt_mconn_wants_read(u->m)) {
      limits_read(u,
                  bounded ? cmt__min(chunk, cmt__mconn_read_max(u->m)) : chunk);
    }
    at_ns = cmt_mconn_deadline(u->m);
    assert_true(at_ns > u->now_ns && at_ns != CMT_NEVER);
    u->longest_pause_ns = cmt__max64(u->longest_pause_ns, at_ns - u->now_ns);
    limits_tick(u, at_ns, CMT_OK);
  }
}

static void recv_rate_is_exact_over_time(void **state) {
  static const uint64_t rates[] = {50, 1000, 65536, 500000, 5120000, 40000000};

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rates); i++) {
    limits_user *u = limits_user_new();
    uint64_t quantum = rates[i] / 64, seconds = rates[i] > 1000000 ? 1 : 10;

    u->o.recv_rate = rates[i];
    limits_user_start(u);
    limits_stream(u, LIMITS_FIRST, 1000);
    read_until(u, S(seconds), 65536, true);
    assert_within(u, rates[i], rates[i] / 10);
    assert_about(u->total, rates[i] * seconds + rates[i] / 10,
                 (quantum < 16384 ? quantum : 16384) + 1, quantum);
    assert_in_range(u->longest_pause_ns, 1, MS(21));
    assert_int_equal(u->total / 1012, u->messages);
    limits_user_delete(u);
  }
}

/* A caller that reads what it likes overshoots, and repays. */
static void recv_overshoot_is_repaid(void **state) {
  limits_user *u = limits_user_new();

  (void)state;
  u->o.recv_rate = 1000000;
  limits_user_start(u);
  limits_stream(u, LIMITS_FIRST, 1000);
  read_until(u, S(10), 65536, false);
  assert_about(u->total, 10100000, 16000, 65536);
  assert_in_range(u->longest_pause_ns, MS(60), MS(82));
  limits_user_delete(u);
}

static void one_pause_is_at_most_250_ms(void **state) {
  limits_user *u = limits_user_new();

  (void)state;
  u->o.recv_rate = 10000;
  limits_user_start(u);
  limits_stream(u, LIMITS_FIRST, 1000);
  limits_read(u, 60000);
  assert_false(cmt_mconn_wants_read(u->m));
  for (int i = 1; i <= 20; i++) {
    assert_int_equal(MS(250) * (uint64_t)i, cmt_mconn_deadline(u->m));
    limits_tick(u, cmt_mconn_deadline(u->m), CMT_OK);
    assert_true(cmt_mconn_wants_read(u->m));
    /* One byte reports whether the connection still lives. */
    assert_int_equal(1, cmt__mconn_read_max(u->m));
    limits_read(u, 1);
    assert_false(cmt_mconn_wants_read(u->m));
  }
  while (u->now_ns < MS(5750)) {
    limits_tick(u, cmt_mconn_deadline(u->m), CMT_OK);
    limits_read(u, 1);
  }
  /* 60023 bytes less the burst, and a piece of 156, at 10000 a second. */
  assert_int_equal(60023, u->total);
  assert_int_equal(5917900000, cmt_mconn_deadline(u->m));
  limits_tick(u, 5917900000, CMT_OK);
  assert_int_equal(156, cmt__mconn_read_max(u->m));
  limits_user_delete(u);
}

static void sending_goes_on_while_reading_is_paused(void **state) {
  limits_user *u = limits_user_new();

  (void)state;
  u->o.recv_rate = 1000;
  limits_user_start(u);
  limits_stream(u, LIMITS_FIRST, 1000);
  limits_read(u, 60000);
  assert_false(cmt_mconn_wants_read(u->m));
  assert_cmt(CMT_OK, limits_queue(u, LIMITS_FIRST, 5000));
  assert_true(limits_take(u, SIZE_MAX) > 5000);
  limits_user_delete(u);
}

/* Their pings lie behind all that may not be read yet. */
static void unasked_pongs_go_out_while_a_limit_stops_reading(void **state) {
  limits_user *u = limits_user_new();
  uint64_t next_ns = S(15);
  size_t pongs = 0;

  (void)state;
  u->o.recv_rate = 10000;
  u->o.ping_interval_ns = S(3600);
  limits_user_start(u);
  limits_stream(u, LIMITS_FIRST, 1000);
  while (u->now_ns < S(100)) {
    while (cmt_mconn_wants_read(u->m)) {
      limits_read(u, cmt__mconn_read_max(u->m));
    }
    limits_tick(u, cmt_mconn_deadline(u->m), CMT_OK);
    if (limits_take(u, SIZE_MAX) > 0) {
      assert_about(u->now_ns, next_ns, 0, MS(250));
      next_ns = u->now_ns + S(15);
      pongs++;
    }
  }
  assert_int_equal(6, pongs);
  limits_user_delete(u);
}

static void channel_recv_limit_is_exact_within_a_frame(void **state) {
  limits_user *u = limits_user_new();

  (void)state;
  u->channels[0].recv_rate = 100000;
  limits_user_start(u);
  limits_stream(u, LIMITS_FIRST, 1000);
  read_until(u, S(10), 65536, true);
  assert_about(u->total, 1010000, 1600 + 1010, 1600 + 1010);
  assert_true(u->longest_pause_ns <= MS(30));
  limits_user_delete(u);

  /* Another channel is not charged. */
  u = limits_user_new();
  u->channels[0].recv_rate = 100000;
  limits_user_start(u);
  limits_stream(u, LIMITS_SECOND, 1000);
  for (int i = 0; i < 1000; i++) {
    assert_true(cmt_mconn_wants_read(u->m));
    limits_read(u, 65536);
  }
  limits_user_delete(u);
}

static void total_recv_limit_is_exact_and_shared_evenly(void **state) {
  const uint64_t rate = 1000000, quantum = rate / 64;
  uint64_t now_ns = 0, total = 0;
  limits_crowd c;

  (void)state;
  limits_crowd_init(&c, 0, rate, SIZE_MAX);
  for (size_t i = 0; i < LIMITS_SHARERS; i++) {
    limits_stream(c.users[i], LIMITS_FIRST, 1000);
  }
  while (now_ns < S(10)) {
    uint64_t next_ns = CMT_NEVER;

    for (size_t i = 0; i < LIMITS_SHARERS; i++) {
      limits_user *u = c.users[i];

      limits_tick(u, now_ns, CMT_OK);
      while (cmt_mconn_wants_read(u->m)) {
        limits_read(u, cmt__min(65536, cmt__mconn_read_max(u->m)));
      }
      next_ns = cmt__min64(next_ns, cmt_mconn_deadline(u->m));
    }
    assert_true(next_ns > now_ns);
    now_ns = next_ns;
  }
  for (size_t i = 0; i < LIMITS_SHARERS; i++) {
    assert_about(c.users[i]->total, 10 * rate / LIMITS_SHARERS, 10 * quantum,
                 10 * quantum);
    total += c.users[i]->total;
  }
  assert_about(total, 10 * rate + rate / 10, quantum, LIMITS_SHARERS * quantum);
  assert_true(atomic_load(&c.quota.recv_pauses) > 100);
  limits_crowd_fini(&c);
}

static void no_limit_never_stops_reading(void **state) {
  limits_user *u = limits_user_new();

  (void)state;
  limits_user_start(u);
  limits_stream(u, LIMITS_FIRST, 1000);
  assert_true(cmt__mconn_read_max(u->m) == SIZE_MAX);
  for (int i = 0; i < 1000; i++) {
    limits_read(u, 65536);
    assert_true(cmt_mconn_wants_read(u->m));
  }
  assert_true(cmt_mconn_deadline(u->m) == CMT_NEVER);
  limits_user_delete(u);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(send_rate_is_exact_over_time),
    cmocka_unit_test(delayed_output_is_empty_until_the_deadline),
    cmocka_unit_test(pings_and_pongs_pass_a_send_limit_and_are_charged),
    cmocka_unit_test(channel_limit_holds_back_its_channel_alone),
    cmocka_unit_test(limited_channel_alone_sets_the_deadline),
    cmocka_unit_test(total_send_limit_is_exact_and_shared_evenly),
    cmocka_unit_test(pong_costs_no_place_in_the_queue),
    cmocka_unit_test(recv_rate_is_exact_over_time),
    cmocka_unit_test(recv_overshoot_is_repaid),
    cmocka_unit_test(one_pause_is_at_most_250_ms),
    cmocka_unit_test(sending_goes_on_while_reading_is_paused),
    cmocka_unit_test(unasked_pongs_go_out_while_a_limit_stops_reading),
    cmocka_unit_test(channel_recv_limit_is_exact_within_a_frame),
    cmocka_unit_test(total_recv_limit_is_exact_and_shared_evenly),
    cmocka_unit_test(no_limit_never_stops_reading),
  };

  return cmocka_run_group_tests_name("limits_rate", tests, NULL, NULL);
}
