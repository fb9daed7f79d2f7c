/* SPDX-License-Identifier: Apache-2.0 */

/* What a link writes, and when: two switches on the loop double. */

#include "node.h"

#include "switch/session.h"

#include <errno.h>
#include <stdio.h>
#include <sys/resource.h>

enum { BULK = 0x52, MIB = 1 << 20 };

typedef test_trio fixture;

static void run_until_idle(fixture *f) { test_loop_run_until_idle(f->w.loop); }

/* A pair with a bulk channel, whose priority is |priority|, besides the chat,
   whose is 1; the chat is the first of the status. */
static void pair_with_bulk(fixture *f, uint32_t priority) {
  for (test_node *n = &f->a; n <= &f->b; n++) {
    test_part_channel(
      &n->parts[0],
      (cmt_channel){.id = BULK, .priority = priority, .send_queue = 100});
  }
  test_pair(&f->w, &f->a, &f->b);
  f->b.quiet = true;
}

/* The way from the dialer to the acceptor. */
static test_dir *way(fixture *f) {
  return &test_loop_conn(f->w.loop, 0)->dir[TEST_DIALER];
}

static void send_bulk(fixture *f, size_t count, size_t len) {
  static uint8_t data[MIB];

  for (size_t i = 0; i < count; i++) {
    assert_cmt(CMT_OK,
               cmt_peer_try_send_bytes(test_node_peer(&f->a), BULK, data, len));
  }
}

static cmt_channel_status received(fixture *f, size_t index) {
  cmt_peer_status status;

  cmt_peer_get_status(test_node_peer(&f->b), &status);
  return status.channels[index];
}

static void an_urgent_message_goes_into_the_next_run(void **state) {
  fixture *f = *state;

  f->a.parts[0].channels[0].traffic = CMT_TRAFFIC_URGENT;
  pair_with_bulk(f, CMT_PRIORITY_MAX);
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "more than its share"));
  run_until_idle(f);
  send_bulk(f, 4, MIB);
  test_loop_step(f->w.loop); /* The first batch of 256 KiB. */
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "1"));
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "2"));
  for (int i = 0; i < 4; i++) {
    test_loop_step(f->w.loop);
  }
  assert_int_equal(3, received(f, 0).recv_messages);
  assert_int_equal(0, received(f, 1).recv_messages);
  run_until_idle(f);
  assert_int_equal(4, received(f, 1).recv_messages);
}

static void what_a_throttle_holds_is_less_than_64_kib(void **state) {
  fixture *f = *state;
  uint64_t before;

  f->a.options.flush_throttle_ns = CMT_SECONDS(100);
  pair_with_bulk(f, 1);
  before = way(f)->written;
  send_bulk(f, 1, 65535);
  run_until_idle(f);
  assert_int_equal(before, way(f)->written);
  send_bulk(f, 1, 1);
  run_until_idle(f);
  assert_in_range(way(f)->written - before, 65536, 70000);
}

static void a_throttle_may_be_as_short_as_a_nanosecond(void **state) {
  fixture *f = *state;
  uint64_t before;

  f->a.options.flush_throttle_ns = 1;
  pair_with_bulk(f, 1);
  for (int i = 0; i < 3; i++) {
    before = way(f)->written;
    assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "x"));
    run_until_idle(f);
    assert_int_equal(before, way(f)->written);
    test_loop_advance(f->w.loop, 1);
    assert_int_equal(before + 1044, way(f)->written);
  }
}

/* The rest of a batch that the socket did not accept is kept, and no more; the
   next is as long as what was accepted. */
static void what_is_kept_is_the_rest_of_a_run(void **state) {
  const size_t run = 125 * 1044, taken = 20 * 1044 + 7;
  fixture *f = *state;
  size_t first;

  pair_with_bulk(f, 1);
  send_bulk(f, 1, 100000); /* The socket was asked. */
  run_until_idle(f);
  way(f)->stalled = true;
  way(f)->cap = way(f)->in_flight + taken;
  send_bulk(f, 1, MIB);
  run_until_idle(f);
  assert_int_equal(taken, way(f)->in_flight);
  first = f->w.env.live_bytes;
  way(f)->cap += run - taken;
  run_until_idle(f);
  assert_int_equal(run, way(f)->in_flight);
  assert_int_equal((run - taken) - 20 * 1044, first - f->w.env.live_bytes);
  way(f)->cap = SIZE_MAX;
  way(f)->stalled = false;
  run_until_idle(f);
  assert_int_equal(2, received(f, 1).recv_messages);
}

static void on_first_write(void *arg, test_conn *conn, int from, uint8_t *data,
                           size_t len) {
  fixture *f = arg;

  (void)conn;
  (void)data;
  (void)len;
  if (from == TEST_DIALER) {
    test_loop_tap(f->w.loop, NULL, NULL);
    assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "3"));
    assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "4"));
    assert_cmt(CMT_EAGAIN, test_node_send(&f->a, TEST_CHAT, "5"));
  }
}

/* Other threads may be inside of a send meanwhile. */
static void credits_are_back_before_the_socket_is_written_to(void **state) {
  fixture *f = *state;

  pair_with_bulk(f, 1);
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "1"));
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "2"));
  assert_cmt(CMT_EAGAIN, test_node_send(&f->a, TEST_CHAT, "3"));
  test_loop_tap(f->w.loop, on_first_write, f);
  run_until_idle(f);
  assert_int_equal(4, received(f, 0).recv_messages);
}

/* Whether that of a whole batch or that of the rest of one. */
static void of_a_write_that_fails_nothing_is_kept(void **state) {
  fixture *f = *state;

  for (int rest = 0; rest < 2; rest++) {
    const cmt__link *l;

    pair_with_bulk(f, 1);
    l = &f->a.sw->sessions->link;
    way(f)->stalled = true;
    way(f)->cap = way(f)->in_flight + 5000;
    if (rest == 1) {
      send_bulk(f, 1, 50000);
      run_until_idle(f);
      assert_int_equal(5000, way(f)->in_flight);
      assert_true(l->rest_len > 0);
      way(f)->cap = SIZE_MAX;
    }
    test_loop_fail(f->w.loop, TEST_CALL_WRITE,
                   test_loop_calls(f->w.loop, TEST_CALL_WRITE), CMT_ERESET);
    send_bulk(f, 1, 50000);
    run_until_idle(f);
    assert_cmt(CMT_ERESET, l->write_err);
    assert_int_equal(0, l->rest_len + l->rest_at);
    assert_null(l->rest);
    test_trio_teardown(state);
    test_trio_setup(state);
    f = *state;
  }
}

/* ---- late commitment ---- */

enum { RATE = 12500000 }; /* 100 Mbit/s. */

/* A pair on a network that reports |rate|, and accepts little at once. */
static void pair_at_rate(fixture *f, uint64_t rate) {
  pair_with_bulk(f, 1);
  way(f)->knows = true;
  way(f)->info = (cmt__tcp_info){.delivery_rate = rate};
}

/* 40 KB each millisecond. */
static void flood(fixture *f, int ms) {
  for (int i = 0; i < ms; i++) {
    send_bulk(f, 1, 40000);
    test_loop_advance(f->w.loop, CMT_MILLISECONDS(1));
  }
}

static void the_socket_is_asked_at_most_each_20_ms(void **state) {
  fixture *f = *state;

  pair_at_rate(f, RATE);
  flood(f, 1000);
  assert_in_range(way(f)->asked, 40, 51);
}

static void the_socket_is_not_asked_for_single_messages(void **state) {
  fixture *f = *state;

  pair_at_rate(f, RATE);
  for (int i = 0; i < 25; i++) { /* Each is 1044 bytes on the way. */
    assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "x"));
    test_loop_advance(f->w.loop, CMT_SECONDS(1));
  }
  assert_int_equal(0, way(f)->asked);
}

/* The socket accepts |bytes| and then no more. */
static void take_just(fixture *f, size_t bytes) {
  way(f)->stalled = true;
  way(f)->cap = bytes;
  run_until_idle(f);
  way(f)->cap = 0;
  way(f)->stalled = false;
  run_until_idle(f);
}

/* Each 32 KiB, to the byte. */
static void the_socket_is_asked_when_enough_was_written(void **state) {
  fixture *f = *state;

  pair_at_rate(f, RATE);
  way(f)->cap = 0;
  send_bulk(f, 1, 200000);
  run_until_idle(f);
  for (size_t asked = 0; asked < 3; asked++) {
    test_loop_advance(f->w.loop, CMT_MILLISECONDS(20));
    take_just(f, 32768 * (asked + 1) - 1 - way(f)->written);
    assert_int_equal(asked, way(f)->asked);
    take_just(f, 1);
    assert_int_equal(32768 * (asked + 1), way(f)->written);
    assert_int_equal(asked + 1, way(f)->asked);
  }
  way(f)->cap = SIZE_MAX;
  run_until_idle(f);
}

static void what_the_kernel_may_hold_follows_the_delivery_rate(void **state) {
  static const struct {
    uint64_t rate;
    bool app_limited;
    size_t unsent_max;
  } rows[] = {
    {0, false, 0},                 /* Not known yet. */
    {RATE, true, 0},               /* Not known to be all. */
    {RATE, false, 62500},          /* 5 ms of it. */
    {RATE * 5 / 4, false, 62500},  /* Not worth a call. */
    {RATE * 4 / 3, false, 83330},  /* In whole kilobytes per second. */
    {RATE / 2, true, 83330},       /* A bound from below. */
    {2 * RATE, true, 125000},      /* But one that is higher. */
    {1000, false, 16384},          /* The least. */
    {1000000000, false, 250000},   /* A quarter of a millisecond. */
    {20000000000, false, 4 << 20}, /* The most. */
  };
  fixture *f = *state;

  pair_at_rate(f, 0);
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    way(f)->info.delivery_rate = rows[i].rate;
    way(f)->info.app_limited = rows[i].app_limited;
    flood(f, 25);
    assert_int_equal(rows[i].unsent_max, way(f)->unsent_max);
  }
  assert_int_equal(6, way(f)->unsent_changes);
}

/* The least of each that is more than none. */
static void the_least_rate_and_the_least_target_count(void **state) {
  static const struct {
    uint64_t target_ns, rate;
    size_t unsent_max;
  } rows[] = {
    {CMT_NO_DELAY_TARGET, RATE, 0},
    {1, RATE, 16384},
    {CMT_MILLISECONDS(5), 0, 0},
    {CMT_MILLISECONDS(5), 1, 16384},
  };

  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    fixture *f = *state;

    f->a.options.queue_delay_target_ns = rows[i].target_ns;
    pair_at_rate(f, rows[i].rate);
    flood(f, 25);
    assert_int_equal(rows[i].unsent_max, way(f)->unsent_max);
    test_trio_teardown(state);
    test_trio_setup(state);
  }
}

/* Nor at first, before anything was asked for. */
static void a_change_of_a_quarter_is_not_worth_a_call(void **state) {
  static const struct {
    uint64_t bytes;
    size_t changes, unsent_max;
  } rows[] = {
    {40960, 0, 0},     {24580, 0, 0},     {60000, 1, 60000}, {75000, 1, 60000},
    {45000, 1, 60000}, {44995, 2, 44995}, {60000, 3, 60000}, {75005, 4, 75005},
  };
  fixture *f = *state;

  pair_at_rate(f, 0);
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    way(f)->info.delivery_rate = rows[i].bytes * 200; /* 5 ms of it. */
    flood(f, 25);
    assert_int_equal(rows[i].changes, way(f)->unsent_changes);
    assert_int_equal(rows[i].unsent_max, way(f)->unsent_max);
  }
}

/* A flood of which the other side reads |bytes| each millisecond, without room
   for more during |no_room_us| of it. */
static void flood_reader(fixture *f, int ms, uint64_t bytes,
                         uint64_t no_room_us) {
  for (int i = 0; i < ms; i++) {
    way(f)->info.acked_bytes += bytes;
    way(f)->info.busy_ns += CMT_MILLISECONDS(1);
    way(f)->info.no_room_ns += no_room_us * 1000;
    flood(f, 1);
  }
}

/* The rate in bursts is 1 GB/s. */
static void a_slow_reader_counts_and_not_its_bursts(void **state) {
  fixture *f = *state;
  cmt_peer_status status;

  pair_at_rate(f, 1000000000);
  flood_reader(f, 100, 5000, 300);
  assert_int_equal(25000, way(f)->unsent_max);
  flood_reader(f, 100, 0, 1000); /* It reads nothing for a while. */
  cmt_peer_get_status(test_node_peer(&f->a), &status);
  assert_in_range(status.delivery_rate, 4500000, 5000000);
  flood_reader(f, 40, 5000, 250); /* Not want of room. */
  assert_in_range(way(f)->unsent_max, 32000, 100000);
  flood_reader(f, 200, 5000, 0);
  assert_in_range(way(f)->unsent_max, 200000, 250000);
}

/* What the rate counts as after one more look at the socket, between which and
   the last it acknowledged |bytes|, was busy for |busy_us|, and wanted room at
   the other side for |no_room_us| of these. */
static uint64_t rate_after(fixture *f, uint64_t bytes, uint64_t busy_us,
                           uint64_t no_room_us) {
  cmt_peer_status status;

  way(f)->info.acked_bytes += bytes;
  way(f)->info.busy_ns += busy_us * 1000;
  way(f)->info.no_room_ns += no_room_us * 1000;
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(20));
  send_bulk(f, 1, 40000);
  run_until_idle(f);
  cmt_peer_get_status(test_node_peer(&f->a), &status);
  return status.delivery_rate;
}

static void the_rate_of_a_reader_is_an_average(void **state) {
  static const struct {
    uint64_t bytes, busy_us, no_room_us, rate;
  } rows[] = {
    {5000, 9999, 9999, 1000000000}, /* Too little for a sample. */
    {0, 1, 1, 500000},              /* With what was before. */
    {0, 20000, 20000, 500000},      /* Nothing was accepted: */
    {30000, 10000, 10000, 625000},  /* 1 MB/s in all, a quarter of which. */
    {10000, 20000, 5000, 1250000},  /* Not want of room: twice as much. */
    {10000, 20000, 5001, 1062500},  /* Want of room, in over a quarter. */
  };
  fixture *f = *state;

  pair_at_rate(f, 1000000000);
  (void)rate_after(f, 0, 0, 0);
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    assert_int_equal(rows[i].rate, rate_after(f, rows[i].bytes, rows[i].busy_us,
                                              rows[i].no_room_us));
  }
  for (int i = 0; i < 70; i++) { /* Until it is no bound. */
    (void)rate_after(f, 10000, 20000, 0);
  }
  assert_int_equal(1000000000, rate_after(f, 10000, 20000, 0));
  /* It is never 0, which states that nothing is known. */
  assert_int_equal(1, rate_after(f, 1, 2000000, 2000000));
  assert_int_equal(1, rate_after(f, 1, 2000000, 2000000));
}

/* A rate that was no higher for lack of bytes is a bound from below, when there
   is one to be raised. */
static void the_rate_in_bursts_is_the_last_that_was_not_limited(void **state) {
  static const struct {
    uint64_t reported;
    bool app_limited;
    uint64_t rate;
  } rows[] = {
    {0, false, 0}, {5, true, 0}, {1, false, 1}, {2, true, 2},
    {2, true, 2},  {1, true, 2}, {3, true, 3},  {1, false, 1},
  };
  fixture *f = *state;

  pair_at_rate(f, 0);
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    way(f)->info.delivery_rate = rows[i].reported;
    way(f)->info.app_limited = rows[i].app_limited;
    assert_int_equal(rows[i].rate, rate_after(f, 0, 0, 0));
  }
}

/* One whose rate was never measured without want of bytes. */
static void a_slow_reader_counts_alone_too(void **state) {
  fixture *f = *state;

  pair_at_rate(f, 1000000000);
  way(f)->info.app_limited = true;
  flood_reader(f, 100, 20000, 900);
  assert_int_equal(100000, way(f)->unsent_max);
}

/* The longest batch when the socket accepts all. */
static uint64_t longest_run(fixture *f) {
  uint64_t longest = 0;

  send_bulk(f, 2, MIB);
  for (int i = 0; i < 300; i++) {
    uint64_t before = way(f)->written, writes = way(f)->writes;

    test_loop_step(f->w.loop);
    assert_true(way(f)->writes - writes <= 1);
    longest = cmt__max64(longest, way(f)->written - before);
  }
  return longest / 1044;
}

static void a_run_is_no_longer_than_the_target(void **state) {
  fixture *f = *state;

  pair_at_rate(f, 0);
  flood(f, 100);
  assert_int_equal(125, longest_run(f));
  way(f)->info.delivery_rate = 1000000000;
  flood(f, 100);
  assert_int_equal(95, longest_run(f)); /* 100 us of it. */
  way(f)->info.delivery_rate = 125000000;
  flood(f, 100);
  assert_int_equal(60, longest_run(f)); /* Without empty frames. */
  way(f)->info.delivery_rate = 1000;
  flood(f, 100);
  assert_int_equal(8, longest_run(f));
}

/* For a second, and both ways: each side halves what it bounds. */
static void an_urgent_message_halves_the_target(void **state) {
  fixture *f = *state;

  f->a.parts[0].channels[0].traffic = CMT_TRAFFIC_URGENT;
  f->b.parts[0].channels[0].traffic = CMT_TRAFFIC_URGENT;
  pair_at_rate(f, 2000000000);
  flood(f, 100);
  assert_int_equal(500000, way(f)->unsent_max);
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "x"));
  flood(f, 100);
  assert_int_equal(250000, way(f)->unsent_max);
  flood(f, 800);
  assert_int_equal(250000, way(f)->unsent_max);
  flood(f, 200);
  assert_int_equal(500000, way(f)->unsent_max);
  assert_cmt(CMT_OK, test_node_send(&f->b, TEST_CHAT, "y"));
  flood(f, 100);
  assert_int_equal(250000, way(f)->unsent_max);
}

static void without_a_target_nothing_follows(void **state) {
  fixture *f = *state;

  f->a.options.queue_delay_target_ns = CMT_NO_DELAY_TARGET;
  pair_at_rate(f, RATE);
  flood(f, 100);
  assert_int_equal(0, way(f)->unsent_changes);
  assert_int_equal(125, longest_run(f));
}

/* The target is cut to a second, or this product would be 0 in 64 bits. */
static void a_target_beyond_all_bounds_is_no_overflow(void **state) {
  fixture *f = *state;

  f->a.options.queue_delay_target_ns = (UINT64_C(1) << 54) * 1000;
  pair_at_rate(f, 1024000);
  flood(f, 100);
  assert_int_equal(512000, way(f)->unsent_max);
}

/* ---- what the status reports ---- */

static void the_status_reports_where_bytes_wait(void **state) {
  fixture *f = *state;
  cmt_peer_status status;

  pair_at_rate(f, RATE);
  way(f)->info = (cmt__tcp_info){.delivery_rate = RATE,
                                 .unsent_bytes = 25000,
                                 .in_flight_bytes = 90000,
                                 .rtt_ns = CMT_MILLISECONDS(7)};
  flood(f, 100);
  cmt_peer_get_status(test_node_peer(&f->a), &status);
  assert_int_equal(25000, status.kernel_unsent_bytes);
  assert_int_equal(CMT_MILLISECONDS(2), status.kernel_unsent_ns);
  assert_int_equal(90000, status.in_flight_bytes);
  assert_int_equal(RATE, status.delivery_rate);
  assert_int_equal(CMT_MILLISECONDS(7), status.tcp_rtt_ns);
  /* What was unsent then is asked for again, without more to write. */
  way(f)->info.unsent_bytes = 0;
  run_until_idle(f);
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(20));
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "x"));
  run_until_idle(f);
  cmt_peer_get_status(test_node_peer(&f->a), &status);
  assert_int_equal(0, status.kernel_unsent_bytes);
}

/* The status of what is unsent after |ns| more and a message. */
static uint64_t unsent_after(fixture *f, uint64_t ns) {
  cmt_peer_status status;

  test_loop_advance(f->w.loop, ns);
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "x"));
  run_until_idle(f);
  cmt_peer_get_status(test_node_peer(&f->a), &status);
  return status.kernel_unsent_bytes;
}

static void the_socket_is_asked_every_20_ms(void **state) {
  fixture *f = *state;

  pair_at_rate(f, RATE);
  way(f)->info.unsent_bytes = 1; /* As long as there is one byte. */
  flood(f, 100);
  run_until_idle(f);
  assert_int_equal(1, unsent_after(f, CMT_SECONDS(1)));
  way(f)->info.unsent_bytes = 0;
  assert_int_equal(1, unsent_after(f, CMT_MILLISECONDS(20) - 1));
  assert_int_equal(0, unsent_after(f, 1));
}

static void a_network_that_reports_nothing_leaves_zeros(void **state) {
  fixture *f = *state;
  cmt_peer_status status;

  pair_with_bulk(f, 1);
  flood(f, 100);
  cmt_peer_get_status(test_node_peer(&f->a), &status);
  assert_int_equal(0, status.kernel_unsent_bytes + status.kernel_unsent_ns +
                        status.in_flight_bytes + status.delivery_rate +
                        status.tcp_rtt_ns);
  assert_int_equal(0, way(f)->unsent_changes);
}

static void the_status_reports_how_long_messages_waited(void **state) {
  fixture *f = *state;
  cmt_peer_status status;

  pair_with_bulk(f, 1);
  way(f)->cap = 0;
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "sealed at once"));
  run_until_idle(f);
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "waits for room"));
  run_until_idle(f);
  test_loop_advance(f->w.loop, CMT_MILLISECONDS(30));
  way(f)->cap = SIZE_MAX;
  run_until_idle(f);
  test_loop_advance(f->w.loop, CMT_SECONDS(1)); /* Without an iteration. */
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "does not wait"));
  run_until_idle(f);
  cmt_peer_get_status(test_node_peer(&f->a), &status);
  assert_int_equal(3, status.channels[0].sent_messages);
  assert_int_equal(0, status.channels[0].wait_last_ns);
  assert_int_equal(CMT_MILLISECONDS(30), status.channels[0].wait_max_ns);
}

static void rates_are_those_of_the_last_second(void **state) {
  fixture *f = *state;
  cmt_peer_status a, b;

  pair_with_bulk(f, 1);
  for (int i = 0; i < 50; i++) { /* A frame of 1044 bytes each 100 ms. */
    assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "x"));
    test_loop_advance(f->w.loop, CMT_MILLISECONDS(100));
  }
  cmt_peer_get_status(test_node_peer(&f->a), &a);
  cmt_peer_get_status(test_node_peer(&f->b), &b);
  assert_int_equal(10440, a.send_rate);
  assert_int_equal(0, a.recv_rate);
  assert_int_equal(10440, b.recv_rate);
  test_loop_advance(f->w.loop, CMT_SECONDS(10)); /* No iteration in between. */
  assert_cmt(CMT_OK, test_node_send(&f->a, TEST_CHAT, "x"));
  run_until_idle(f);
  cmt_peer_get_status(test_node_peer(&f->a), &a);
  assert_in_range(a.send_rate, 104, 1044);
}

/* ---- congestion ---- */

static void the_congestion_control_is_that_of_the_options(void **state) {
  fixture *f = *state;

  f->a.options.congestion = "reno";
  test_pair(&f->w, &f->a, &f->b);
  assert_string_equal("reno", way(f)->congestion);
  assert_string_equal(
    "", test_loop_conn(f->w.loop, 0)->dir[TEST_ACCEPTOR].congestion);
}

static void who_accepts_sets_its_congestion_control_too(void **state) {
  fixture *f = *state;

  f->b.options.congestion = "reno";
  test_pair(&f->w, &f->a, &f->b);
  assert_string_equal(
    "reno", test_loop_conn(f->w.loop, 0)->dir[TEST_ACCEPTOR].congestion);
}

static void a_congestion_control_that_the_loop_lacks_is_refused(void **state) {
  static const struct {
    int error;
    const char *text;
  } rows[] = {
    {0, "the system has none of that name"},
    {EPERM, "only a privileged process may"},
    {EMFILE, "Too many open files"},
  };
  fixture *f = *state;
  char text[120];
  cmt_why why;

  f->a.options.congestion = "warp\n9";
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    test_loop_refuse_congestion(f->w.loop, rows[i].error);
    assert_cmt(CMT_EINVAL, test_node_new(&f->a, &why));
    snprintf(text, sizeof text, "congestion: cannot use \"warp\\x0a9\": %s",
             rows[i].text);
    assert_string_equal(text, why.text);
  }
}

/* A process that may open nothing makes a switch on a simulated loop. */
static void no_socket_is_opened_to_check_it(void **state) {
  fixture *f = *state;
  struct rlimit before, none;
  cmt_err err;

  assert_int_equal(0, getrlimit(RLIMIT_NOFILE, &before));
  none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
  assert_int_equal(0, setrlimit(RLIMIT_NOFILE, &none));
  f->a.options.congestion = "reno";
  err = test_node_new(&f->a, NULL);
  assert_int_equal(0, setrlimit(RLIMIT_NOFILE, &before));
  assert_cmt(CMT_OK, err);
}

int main(void) {
#define TEST(f)                                                                \
  cmocka_unit_test_setup_teardown(f, test_trio_setup, test_trio_teardown)
  const struct CMUnitTest tests[] = {
    TEST(an_urgent_message_goes_into_the_next_run),
    TEST(what_a_throttle_holds_is_less_than_64_kib),
    TEST(a_throttle_may_be_as_short_as_a_nanosecond),
    TEST(what_is_kept_is_the_rest_of_a_run),
    TEST(credits_are_back_before_the_socket_is_written_to),
    TEST(of_a_write_that_fails_nothing_is_kept),
    TEST(the_socket_is_asked_at_most_each_20_ms),
    TEST(the_socket_is_not_asked_for_single_messages),
    TEST(the_socket_is_asked_when_enough_was_written),
    TEST(what_the_kernel_may_hold_follows_the_delivery_rate),
    TEST(the_least_rate_and_the_least_target_count),
    TEST(a_change_of_a_quarter_is_not_worth_a_call),
    TEST(a_slow_reader_counts_and_not_its_bursts),
    TEST(the_rate_in_bursts_is_the_last_that_was_not_limited),
    TEST(the_rate_of_a_reader_is_an_average),
    TEST(a_slow_reader_counts_alone_too),
    TEST(a_run_is_no_longer_than_the_target),
    TEST(an_urgent_message_halves_the_target),
    TEST(without_a_target_nothing_follows),
    TEST(a_target_beyond_all_bounds_is_no_overflow),
    TEST(the_status_reports_where_bytes_wait),
    TEST(the_socket_is_asked_every_20_ms),
    TEST(a_network_that_reports_nothing_leaves_zeros),
    TEST(the_status_reports_how_long_messages_waited),
    TEST(rates_are_those_of_the_last_second),
    TEST(the_congestion_control_is_that_of_the_options),
    TEST(who_accepts_sets_its_congestion_control_too),
    TEST(a_congestion_control_that_the_loop_lacks_is_refused),
    TEST(no_socket_is_opened_to_check_it),
  };

  return cmocka_run_group_tests_name("link_write", tests, NULL, NULL);
}
