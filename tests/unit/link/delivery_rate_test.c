/* SPDX-License-Identifier: Apache-2.0 */
/* The delivery rate of a connection from samples that are given by hand. */

#include "link/delivery_rate.h"
#include "test.h"

enum { MBYTE = 1000000 };

/* What the kernel reports of the time since the sample before. */
typedef struct sample {
  uint64_t acked, busy_us, no_room_us, delivery_rate;
  bool app_limited;
  uint64_t path, reader, rate; /* Expected after it; reader 0: no limit. */
} sample;

static void feed(const sample *rows, size_t count) {
  cmt__delivery_rate r;
  cmt__tcp_info info = {.acked_bytes = 0};

  cmt__delivery_rate_init(&r);
  assert_int_equal(0, cmt__delivery_rate_get(&r));
  for (size_t i = 0; i < count; i++) {
    info.acked_bytes += rows[i].acked;
    info.busy_ns += rows[i].busy_us * 1000;
    info.no_room_ns += rows[i].no_room_us * 1000;
    info.delivery_rate = rows[i].delivery_rate;
    info.app_limited = rows[i].app_limited;
    cmt__delivery_rate_note(&r, &info);
    assert_int_equal(rows[i].path, r.path);
    assert_true(r.reader == (rows[i].reader > 0 ? rows[i].reader : UINT64_MAX));
    assert_int_equal(rows[i].rate, cmt__delivery_rate_get(&r));
  }
}

static void the_path_counts_when_the_sender_had_enough_to_send(void **state) {
  static const sample rows[] = {
    {.delivery_rate = 0},
    {.delivery_rate = 5, .app_limited = true}, /* Nothing to raise yet. */
    {.delivery_rate = 7, .path = 7, .rate = 7},
    {.delivery_rate = 9, .app_limited = true, .path = 9, .rate = 9},
    {.delivery_rate = 9, .app_limited = true, .path = 9, .rate = 9},
    {.delivery_rate = 8, .app_limited = true, .path = 9, .rate = 9},
    {.delivery_rate = 8, .path = 8, .rate = 8},
    {.delivery_rate = 0}, /* The kernel does not know any more. */
    {.delivery_rate = 3, .app_limited = true},
  };

  (void)state;
  feed(rows, CMT__COUNT(rows));
}

static void a_slow_reader_is_an_average_of_its_samples(void **state) {
  static const sample rows[] = {
    /* Too short, and then nothing acknowledged: both count with the next. */
    {.acked = 5000, .busy_us = 9999, .no_room_us = 9999},
    {.acked = 5000,
     .busy_us = 1,
     .no_room_us = 1,
     .reader = MBYTE,
     .rate = MBYTE},
    {.acked = 0,
     .busy_us = 20000,
     .no_room_us = 20000,
     .reader = MBYTE,
     .rate = MBYTE},
    {.acked = 30000,
     .busy_us = 10000,
     .no_room_us = 10000,
     .reader = MBYTE,
     .rate = MBYTE},
    {.acked = 10000,
     .busy_us = 20000,
     .no_room_us = 5001,
     .reader = 875000, /* 3/4 of 1 MB/s and 1/4 of 500 kB/s. */
     .rate = 875000},
  };

  (void)state;
  feed(rows, CMT__COUNT(rows));
}

static void a_reader_that_has_room_is_no_limit_in_the_end(void **state) {
  static const sample rows[] = {
    /* Lack of room for a quarter of the time is not what bounds it. */
    {.acked = 10000, .busy_us = 20000, .no_room_us = 5000},
    {.acked = 10000,
     .busy_us = 20000,
     .no_room_us = 5001,
     .reader = 500000,
     .rate = 500000},
    {.acked = 1,
     .busy_us = 10000,
     .no_room_us = 2500,
     .reader = MBYTE,
     .rate = MBYTE},
    {.acked = 1, .busy_us = 10000, .reader = 2 * MBYTE, .rate = 2 * MBYTE},
  };
  cmt__delivery_rate r;
  cmt__tcp_info info = {.acked_bytes = 1,
                        .busy_ns = 20000000,
                        .no_room_ns = 20000000,
                        .delivery_rate = MBYTE};

  (void)state;
  feed(rows, CMT__COUNT(rows));
  cmt__delivery_rate_init(&r);
  cmt__delivery_rate_note(&r, &info);
  assert_int_equal(50, r.reader);
  for (int i = 0; i < 70; i++) {
    info.acked_bytes++;
    info.busy_ns += 20000000;
    cmt__delivery_rate_note(&r, &info);
  }
  assert_true(r.reader == UINT64_MAX);
  assert_int_equal(MBYTE, cmt__delivery_rate_get(&r));
}

static void the_rate_is_the_lower_of_both(void **state) {
  static const sample rows[] = {
    {.acked = 10000,
     .busy_us = 10000,
     .no_room_us = 10000,
     .delivery_rate = 3 * MBYTE,
     .path = 3 * MBYTE,
     .reader = MBYTE,
     .rate = MBYTE},
    {.delivery_rate = 10, .path = 10, .reader = MBYTE, .rate = 10},
    {.delivery_rate = 0, .path = 0, .reader = MBYTE, .rate = MBYTE},
  };

  (void)state;
  feed(rows, CMT__COUNT(rows));
}

/* A rate of 0 states that nothing is known. */
static void a_known_rate_of_a_reader_is_never_0(void **state) {
  static const sample rows[] = {
    {.acked = 1,
     .busy_us = 2000000,
     .no_room_us = 2000000,
     .reader = 1,
     .rate = 1},
    {.acked = 1,
     .busy_us = 2000000,
     .no_room_us = 2000000,
     .reader = 1,
     .rate = 1},
  };

  (void)state;
  feed(rows, CMT__COUNT(rows));
}

static void bytes_are_worth_the_target(void **state) {
  static const struct {
    uint64_t rate, target_ns;
    uint32_t bytes;
  } rows[] = {
    {12500000, CMT_MILLISECONDS(5), 62500},
    {12500999, CMT_MILLISECONDS(5), 62500}, /* Whole kilobytes a second. */
    {12500000, CMT_MILLISECONDS(5) + 999, 62500}, /* Whole microseconds. */
    {1, CMT_MILLISECONDS(5), 0},
    {12500000, 1, 0},
    {200000, CMT_MILLISECONDS(5), 1000},
    {16384000, CMT_MILLISECONDS(1), 16384},
    {16385000, CMT_MILLISECONDS(1), 16385},
    {4194303000, CMT_MILLISECONDS(1), (4 << 20) - 1},
    {10000000000, CMT_MILLISECONDS(5), CMT__DELIVERY_BYTES_MAX},
    {1024000, CMT_SECONDS(1), 1024000},
    {1024000, CMT_SECONDS(2), 1024000}, /* At most a second counts. */
    {1024000, UINT64_MAX, 1024000},
    {1024000, (UINT64_C(1) << 54) * 1000, 1024000}, /* And no overflow. */
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    assert_int_equal(rows[i].bytes,
                     cmt__delivery_bytes(rows[i].rate, rows[i].target_ns));
  }
}

static void what_lies_unsent_keeps_the_pipe_full(void **state) {
  static const struct {
    uint64_t rate, rtt_ns;
    uint32_t bytes;
  } rows[] = {
    {12500000, 0, 62500}, /* Ten targets of half a millisecond. */
    {26214000, 0, 131070},
    {125000000, 0, 131072},
    {1000000000, 0, 250000},       /* Half of the target. */
    {1000000000, 2000000, 250000}, /* An eighth of that. */
    {1000000000, 8000000, 1000000},
    {125000000, CMT_MILLISECONDS(40), 625000},
    {125000000, CMT_MILLISECONDS(50), 625000}, /* Ten targets again. */
    {125000000, UINT64_MAX, 625000},
    {0, CMT_MILLISECONDS(50), 0},
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    assert_int_equal(rows[i].bytes,
                     cmt__delivery_unsent(rows[i].rate, CMT_MILLISECONDS(1) / 2,
                                          rows[i].rtt_ns));
  }
  assert_int_equal(1024000, cmt__delivery_unsent(2048000, UINT64_MAX, 0));
}

static void a_batch_is_worth_a_fifth_of_the_target(void **state) {
  static const struct {
    uint64_t rate;
    uint32_t bytes;
  } rows[] = {
    {1000000, 5000},    {12500000, 62500},    {125000000, 62640},
    {626000000, 62640}, {1000000000, 100000},
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    assert_int_equal(rows[i].bytes, cmt__delivery_batch(
                                      rows[i].rate, CMT_MILLISECONDS(1) / 2));
  }
}

static void a_change_counts_beyond_a_quarter(void **state) {
  static const struct {
    uint32_t before, bytes;
    bool changed;
  } rows[] = {
    {60000, 75000, false}, {60000, 75001, true},  {60000, 45000, false},
    {60000, 44999, true},  {60000, 60000, false}, {32768, 40960, false},
    {32768, 40961, true},
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    assert_int_equal(rows[i].changed, cmt__delivery_bytes_changed(
                                        rows[i].before, rows[i].bytes));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_path_counts_when_the_sender_had_enough_to_send),
    cmocka_unit_test(a_slow_reader_is_an_average_of_its_samples),
    cmocka_unit_test(a_reader_that_has_room_is_no_limit_in_the_end),
    cmocka_unit_test(the_rate_is_the_lower_of_both),
    cmocka_unit_test(a_known_rate_of_a_reader_is_never_0),
    cmocka_unit_test(bytes_are_worth_the_target),
    cmocka_unit_test(what_lies_unsent_keeps_the_pipe_full),
    cmocka_unit_test(a_batch_is_worth_a_fifth_of_the_target),
    cmocka_unit_test(a_change_counts_beyond_a_quarter),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
