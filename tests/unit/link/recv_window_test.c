/* SPDX-License-Identifier: Apache-2.0 */
/* The receive window of a connection from samples that are given by hand, and
   with a socket that has one. */

#include "link/recv_window.h"
#include "test.h"

enum { MBYTE = 1000000 };

static void a_sample_is_due_when_enough_was_read_in_some_time(void **state) {
  cmt__recv_window w = {.rate = 0};

  (void)state;
  cmt__recv_window_read(&w, 262143, 5000);
  assert_false(cmt__recv_window_is_due(&w));
  cmt__recv_window_read(&w, 1, 0);
  assert_true(cmt__recv_window_is_due(&w));
  w = (cmt__recv_window){.rate = 0};
  cmt__recv_window_read(&w, MBYTE, 999);
  assert_false(cmt__recv_window_is_due(&w));
  cmt__recv_window_read(&w, 0, 1);
  assert_true(cmt__recv_window_is_due(&w));
}

static void
the_rate_is_an_average_of_what_it_reads_while_it_reads(void **state) {
  static const struct {
    uint64_t bytes, busy_ns, rate;
  } rows[] = {
    {MBYTE, 1000000, 1000 * (uint64_t)MBYTE},
    {MBYTE, 2000000, 875 * (uint64_t)MBYTE},
    {1, 2000000000, 656250000}, /* A stop counts once. */
  };
  const cmt__tcp_info info = {.rtt_min_ns = 1000};
  cmt__recv_window w = {.rate = 0};

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    cmt__recv_window_read(&w, rows[i].bytes, rows[i].busy_ns);
    (void)cmt__recv_window_note(&w, &info, 0);
    assert_int_equal(rows[i].rate, w.rate);
    assert_false(cmt__recv_window_is_due(&w));
  }
}

static void the_window_is_worth_the_target_and_two_round_trips(void **state) {
  static const struct {
    uint64_t rate, target_ns, rtt_ns;
    uint32_t segment, window;
  } rows[] = {
    {1000000000, 250000, 50000, 1448, 350000},
    {1000000000, 250000, 50000, 65483, 350000},
    {500000000, 250000, 50000, 65483, 261932}, /* Four segments. */
    {500000000, 250000, 50000, 1448, 175000},
    {1000000, 250000, 50000, 1448, 65536}, /* The least. */
    {100000000, 250000, 10000000, 1448, 2025000},
    {1000000000, 250000, 0, 1448, 0},     /* Not known. */
    {1000000000, 0, 2097152000, 1448, 0}, /* None that could be. */
    {1000000000, 194000, 2000000, 1448, 4194000},
    {1000000000, 196000, 2000000, 1448, 0},   /* The system's. */
    {1000000000, UINT64_MAX, 50000, 1448, 0}, /* No overflow. */
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    cmt__recv_window w = {.rate = rows[i].rate};
    const cmt__tcp_info info = {.rtt_min_ns = rows[i].rtt_ns,
                                .recv_segment_bytes = rows[i].segment};

    cmt__recv_window_read(&w, rows[i].rate, CMT_SECONDS(1));
    assert_int_equal(rows[i].window,
                     cmt__recv_window_note(&w, &info, rows[i].target_ns));
  }
}

/* A socket between a sender and this side.  Each step is a microsecond: bytes
   come as long as the window has room, and this side reads. */
typedef struct socket_model {
  uint64_t come_us, read_us; /* Bytes in a microsecond. */
  uint64_t rtt_us;
  uint64_t window;
} socket_model;

typedef struct outcome {
  uint64_t read, queued_max, window;
} outcome;

/* The last half of 400 ms.  The window opens a round trip late. */
static outcome model_run(const socket_model *m) {
  static uint64_t read_at[1 << 20];
  const cmt__tcp_info info = {.rtt_min_ns = m->rtt_us * 1000};
  uint64_t window = m->window, sent = 0, came = 0, read = 0, half = 0;
  cmt__recv_window w = {.rate = 0};
  outcome o = {.read = 0};

  for (uint64_t us = 0; us < 400000; us++) {
    uint64_t known = us < m->rtt_us ? 0 : read_at[us - m->rtt_us], n;

    n =
      cmt__min64(m->come_us, known + window - cmt__min64(sent, known + window));
    sent += n;
    came = sent;
    n = cmt__min64(m->read_us, came - read);
    read += n;
    read_at[us] = read;
    /* Busy for as long as it takes to read so much. */
    cmt__recv_window_read(&w, n, n * 1000 / m->read_us);
    if (us % 20000 == 0 && cmt__recv_window_is_due(&w)) {
      uint32_t max = cmt__recv_window_note(&w, &info, 250000);

      window = max > 0 ? max : m->window;
    }
    if (us >= 200000) {
      half = half == 0 ? read : half;
      o.queued_max = cmt__max64(o.queued_max, came - read);
    }
  }
  o.read = read - half;
  o.window = window;
  return o;
}

static void a_slow_reader_has_a_short_queue_and_its_whole_rate(void **state) {
  outcome o = model_run(&(socket_model){
    .come_us = 2000, .read_us = 1000, .rtt_us = 50, .window = 6 * MBYTE});

  (void)state;
  assert_in_range(o.queued_max, 1, 350000);
  assert_in_range(o.read, 199 * MBYTE, 200 * MBYTE);
}

static void a_slow_sender_is_not_held_back(void **state) {
  outcome o = model_run(&(socket_model){
    .come_us = 100, .read_us = 1000, .rtt_us = 50, .window = 6 * MBYTE});

  (void)state;
  assert_in_range(o.read, 19 * MBYTE, 20 * MBYTE);
  assert_int_equal(350000, o.window);
}

static void a_long_path_keeps_what_the_system_finds(void **state) {
  outcome o = model_run(&(socket_model){
    .come_us = 125, .read_us = 1000, .rtt_us = 50000, .window = 8 * MBYTE});

  (void)state;
  assert_int_equal(8 * MBYTE, o.window);
  assert_in_range(o.read, 24 * MBYTE, 25 * MBYTE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_sample_is_due_when_enough_was_read_in_some_time),
    cmocka_unit_test(the_rate_is_an_average_of_what_it_reads_while_it_reads),
    cmocka_unit_test(the_window_is_worth_the_target_and_two_round_trips),
    cmocka_unit_test(a_slow_reader_has_a_short_queue_and_its_whole_rate),
    cmocka_unit_test(a_slow_sender_is_not_held_back),
    cmocka_unit_test(a_long_path_keeps_what_the_system_finds),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
