/* SPDX-License-Identifier: Apache-2.0 */
/* Token buckets over virtual time, against arithmetic in 128 bits. */

#include "base/rate.h"
#include "test.h"

enum { RUNS = 200, STEPS = 2000 };

#define S(n) CMT_SECONDS(n)
#define YEAR_NS (S(86400) * 365)

__extension__ typedef __int128 wide;

/* A number of up to |bits| bits, small ones as often as large ones. */
static uint64_t draw_bits(uint64_t *seed, unsigned bits) {
  return test_draw(seed) >> (64 - 1 - test_draw(seed) % bits);
}

static uint64_t draw_rate(uint64_t *seed) {
  return 1 + draw_bits(seed, 34) % CMT_RATE_MAX;
}

/* ---- by hand ---- */

static void no_rate_is_no_limit(void **state) {
  cmt__rate r;

  (void)state;
  cmt__rate_init_bytes(&r, 0, 7);
  cmt__rate_charge(&r, UINT64_MAX, 8);
  assert_true(cmt__rate_is_open(&r, 8));
  assert_true(cmt__rate_left(&r, 8) == UINT64_MAX);
  assert_true(cmt__rate_available(&r, 8) == UINT64_MAX);
  assert_int_equal(0, cmt__rate_repaid_ns(&r));
  assert_int_equal(0, cmt__rate_span_ns(&r, 1000));
}

static void full_bucket_lets_its_burst_through_and_closes(void **state) {
  cmt__rate r;

  (void)state;
  cmt__rate_init(&r, 1000, 100, S(5));
  assert_int_equal(100, cmt__rate_left(&r, S(5)));
  cmt__rate_charge(&r, 99, S(5));
  assert_int_equal(1, cmt__rate_left(&r, S(5)));
  cmt__rate_charge(&r, 1, S(5));
  assert_int_equal(0, cmt__rate_left(&r, S(5)));
  assert_false(cmt__rate_is_open(&r, S(5) + 999999));
  assert_true(cmt__rate_is_open(&r, S(5) + 1000000));
  assert_int_equal(1, cmt__rate_left(&r, S(5) + 1000000));
}

/* 16 ms of the rate, from one byte to 16 KiB; a burst of a tenth of a
   second. */
static void bytes_go_in_pieces_worth_a_wake_up(void **state) {
  static const struct {
    uint64_t per_s, burst;
    uint32_t quantum;
  } rows[] = {
    {1, 1, 1},
    {63, 6, 1},
    {127, 12, 1},
    {128, 12, 2},
    {1000, 100, 15},
    {64 * 16383, 104851, 16383},
    {64 * 16384, 104857, 16384},
    {64 * 16385, 104864, 16384},
    {CMT_RATE_MAX, CMT_RATE_MAX / 10, 16384},
  };
  cmt__rate r;

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    cmt__rate_init_bytes(&r, rows[i].per_s, 5);
    assert_int_equal(rows[i].per_s, r.per_s);
    assert_int_equal(rows[i].burst, r.burst);
    assert_int_equal(rows[i].burst, r.level);
    assert_int_equal(rows[i].quantum, r.quantum);
    assert_int_equal(5, r.at_ns);
    assert_int_equal(0, r.part);
    assert_int_equal(0, r.open_ns);
  }
}

static void a_span_is_rounded_up_and_may_be_for_ever(void **state) {
  static const struct {
    uint64_t per_s, units, span_ns;
  } rows[] = {
    {0, 5, 0},
    {1, 0, 0},
    {1, 1, UINT64_C(1000000000)},
    {3, 1, 333333334},
    {3, 3, UINT64_C(1000000000)},
    {3, 4, UINT64_C(1333333334)},
    {CMT_RATE_MAX, 1, 1},
    {CMT_RATE_MAX, CMT_RATE_MAX + 1, UINT64_C(1000000001)},
    {1, UINT64_C(18446744073), UINT64_C(18446744073000000000)},
    {1, UINT64_C(18446744074), CMT_NEVER},
    {1, UINT64_MAX, CMT_NEVER},
  };
  cmt__rate r;

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    cmt__rate_init(&r, rows[i].per_s, 1, 0);
    assert_int_equal(rows[i].span_ns, cmt__rate_span_ns(&r, rows[i].units));
  }
}

/* Half of the first of two units is there already. */
static void part_of_a_unit_counts(void **state) {
  const cmt__rate r = {
    .per_s = 2, .burst = 9, .level = -2, .part = 500000000, .at_ns = 7};

  (void)state;
  assert_int_equal(7 + 750000000, cmt__rate_repaid_ns(&r));
}

static void debt_is_repaid_to_the_nanosecond(void **state) {
  cmt__rate r;

  (void)state;
  /* 3 units per second: one each 333,333,333.3 ns. */
  cmt__rate_init(&r, 3, 1, 0);
  cmt__rate_charge(&r, 10, 0);
  assert_true(cmt__rate_repaid_ns(&r) == S(3));
  assert_false(cmt__rate_is_open(&r, S(3) + 333333333));
  assert_true(cmt__rate_is_open(&r, S(3) + 333333334));
  /* A part of a unit is kept. */
  cmt__rate_charge(&r, 1, S(3) + 333333333);
  assert_true(cmt__rate_is_open(&r, S(3) + 666666667));
  assert_false(cmt__rate_is_open(&r, S(3) + 666666666));
}

static void closed_bucket_opens_with_a_quantum(void **state) {
  cmt__rate r;

  (void)state;
  cmt__rate_init_bytes(&r, 64000, 0);
  assert_int_equal(6400, cmt__rate_left(&r, 0));
  cmt__rate_charge(&r, 6400, 0);
  assert_false(cmt__rate_is_open(&r, CMT_MILLISECONDS(15)));
  assert_false(cmt__rate_is_open(&r, 15624999));
  assert_true(cmt__rate_is_open(&r, 15625000));
  assert_int_equal(1000, cmt__rate_left(&r, 15625000));
  /* Open, it lets the last unit through. */
  cmt__rate_charge(&r, 999, 15625000);
  assert_int_equal(1, cmt__rate_left(&r, 15625000));
}

static void charge_while_it_is_closed_delays_the_opening(void **state) {
  cmt__rate r;

  (void)state;
  cmt__rate_init(&r, 1000, 10, 0);
  cmt__rate_charge(&r, 10, 0);
  cmt__rate_charge(&r, 3, 0);
  assert_false(cmt__rate_is_open(&r, CMT_MILLISECONDS(3)));
  assert_true(cmt__rate_is_open(&r, CMT_MILLISECONDS(4)));
}

static void smallest_and_largest_rates(void **state) {
  cmt__rate r;

  (void)state;
  cmt__rate_init_bytes(&r, 1, 0);
  assert_int_equal(1, cmt__rate_left(&r, 0));
  cmt__rate_charge(&r, 1, 0);
  assert_false(cmt__rate_is_open(&r, S(1) - 1));
  assert_true(cmt__rate_is_open(&r, S(1)));

  cmt__rate_init_bytes(&r, CMT_RATE_MAX, 0);
  cmt__rate_charge(&r, CMT_RATE_MAX / 10 + 5, 0);
  assert_int_equal(1, cmt__rate_repaid_ns(&r));
  assert_true(cmt__rate_is_open(&r, 1640));
  assert_int_equal(16395, cmt__rate_left(&r, 1640));
  /* As long as instants go. */
  cmt__rate_charge(&r, 1, CMT_NEVER - 1);
  assert_int_equal(CMT_RATE_MAX / 10 - 1, cmt__rate_left(&r, CMT_NEVER - 1));
}

static void no_debt_is_too_deep(void **state) {
  cmt__rate r;

  (void)state;
  cmt__rate_init(&r, 1, 1, 0);
  for (int i = 0; i < 10; i++) {
    cmt__rate_charge(&r, UINT64_MAX, 0);
  }
  assert_true(cmt__rate_repaid_ns(&r) == CMT_NEVER);
  assert_int_equal(0, cmt__rate_left(&r, CMT_NEVER - 1));
}

static void earlier_instant_counts_as_the_last(void **state) {
  cmt__rate r;

  (void)state;
  cmt__rate_init(&r, 1000, 100, S(1));
  cmt__rate_charge(&r, 100, S(1));
  assert_int_equal(1, cmt__rate_available(&r, 0));
  assert_int_equal(50, cmt__rate_available(&r, S(1) + CMT_MILLISECONDS(50)));
}

/* ---- properties ---- */

/* The content after each step is the floor of what a sum without rounding
   gives, over a hundred years and more. */
static void content_is_exact_for_centuries(void **state) {
  uint64_t seed = 1;

  (void)state;
  for (int run = 0; run < RUNS; run++) {
    uint64_t per_s = draw_rate(&seed), burst = draw_rate(&seed), now_ns = 0;
    wide level = (wide)burst * (wide)S(1);
    cmt__rate r;

    cmt__rate_init(&r, per_s, burst, 0);
    for (int i = 0; i < STEPS; i++) {
      uint64_t step = i % 8 == 0 ? test_draw(&seed) >> 9 : draw_bits(&seed, 34);
      uint64_t units = draw_bits(&seed, 36);
      wide expected;

      now_ns += step;
      level += (wide)per_s * (wide)step;
      level =
        level > (wide)burst * (wide)S(1) ? (wide)burst * (wide)S(1) : level;
      level -= (wide)units * (wide)S(1);
      cmt__rate_charge(&r, units, now_ns);
      expected = (wide)r.level * (wide)S(1) + r.part;
      assert_true(expected == level);
    }
    assert_true(now_ns > 100 * YEAR_NS);
  }
}

/* A taker that always wants more, in things of up to |thing| units, at instants
   of its own: what goes through in any window is bounded. */
static void window_bound(uint64_t seed) {
  static uint64_t at[STEPS], sum[STEPS + 1];
  uint64_t per_s = 1 + draw_bits(&seed, 30), now_ns = 0;
  uint64_t thing = 1 + draw_bits(&seed, 16);
  cmt__rate r;
  size_t n = 0;

  cmt__rate_init_bytes(&r, per_s, 0);
  while (n < STEPS) {
    if (cmt__rate_is_open(&r, now_ns)) {
      uint64_t units = 1 + test_draw(&seed) % thing;

      at[n] = now_ns;
      sum[n + 1] = sum[n] + units;
      n++;
      cmt__rate_charge(&r, units, now_ns);
      continue;
    }
    now_ns =
      test_draw(&seed) % 4 == 0 ? r.open_ns : now_ns + draw_bits(&seed, 32);
  }
  for (size_t a = 0; a < n; a += 7) {
    for (size_t b = a; b < n; b++) {
      wide most = (wide)per_s * (wide)(at[b] - at[a]) / (wide)S(1) +
                  (wide)r.burst + (wide)thing;

      assert_true((wide)(sum[b + 1] - sum[a]) <= most);
    }
  }
}

static void no_window_lets_more_through(void **state) {
  (void)state;
  for (uint64_t seed = 0; seed < 40; seed++) {
    window_bound(seed);
  }
}

/* A taker that comes whenever the bucket opens gets all that there is. */
static void taker_gets_the_whole_rate(void **state) {
  uint64_t seed = 3;

  (void)state;
  for (int run = 0; run < RUNS; run++) {
    uint64_t per_s = draw_rate(&seed), now_ns = 0;
    wide sum = 0, owed;
    cmt__rate r;

    cmt__rate_init_bytes(&r, per_s, 0);
    for (int i = 0; i < STEPS; i++) {
      uint64_t left = cmt__rate_left(&r, now_ns);

      assert_true(left > 0);
      sum += left;
      cmt__rate_charge(&r, left, now_ns);
      assert_false(cmt__rate_is_open(&r, now_ns));
      now_ns = r.open_ns;
    }
    /* The last quantum waits, and less than a unit is on its way. */
    owed = (wide)r.burst + (wide)per_s * (wide)now_ns / (wide)S(1) - sum;
    assert_true(owed >= 0 &&
                owed <= (wide)r.quantum + (wide)per_s / (wide)S(1) + 1);
  }
}

/* It opens in the first nanosecond in which it contains the quantum. */
static void opening_is_the_earliest(void **state) {
  uint64_t seed = 4;

  (void)state;
  for (int run = 0; run < STEPS; run++) {
    uint64_t per_s = draw_rate(&seed);
    cmt__rate r, early;

    cmt__rate_init_bytes(&r, per_s, 0);
    cmt__rate_charge(&r, r.burst + draw_bits(&seed, 33), draw_bits(&seed, 40));
    early = r;
    cmt__rate_charge(&early, 0, r.open_ns - 1);
    assert_true(early.level < (int64_t)early.quantum);
    cmt__rate_charge(&r, 0, r.open_ns);
    assert_true(r.level >= (int64_t)r.quantum);
  }
}

/* Several who want all they can get share a bucket: each gets the same, all
   together the rate, and the debt stays within a share from each. */
static void users_of_a_bucket_alternate(void **state) {
  enum { SHARERS = 5 };
  uint64_t next_ns[SHARERS] = {0}, got[SHARERS] = {0}, total = 0, now_ns = 0;
  cmt__rate r;

  (void)state;
  cmt__rate_init_bytes(&r, 1000000, 0);
  while (now_ns < S(100)) {
    int first = 0;
    uint64_t share;

    for (int i = 1; i < SHARERS; i++) {
      first = next_ns[i] < next_ns[first] ? i : first;
    }
    now_ns = next_ns[first];
    share = cmt__rate_available(&r, now_ns);
    got[first] += share;
    total += share;
    cmt__rate_charge(&r, share, now_ns);
    next_ns[first] = cmt__rate_repaid_ns(&r);
    assert_true(r.level >= -(int64_t)r.quantum * SHARERS);
  }
  assert_in_range(total, UINT64_C(100000000),
                  UINT64_C(100000000) + r.burst +
                    SHARERS * (uint64_t)r.quantum);
  for (int i = 0; i < SHARERS; i++) {
    assert_in_range(got[i], UINT64_C(19900000), UINT64_C(20200000));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(no_rate_is_no_limit),
    cmocka_unit_test(full_bucket_lets_its_burst_through_and_closes),
    cmocka_unit_test(bytes_go_in_pieces_worth_a_wake_up),
    cmocka_unit_test(a_span_is_rounded_up_and_may_be_for_ever),
    cmocka_unit_test(part_of_a_unit_counts),
    cmocka_unit_test(debt_is_repaid_to_the_nanosecond),
    cmocka_unit_test(closed_bucket_opens_with_a_quantum),
    cmocka_unit_test(charge_while_it_is_closed_delays_the_opening),
    cmocka_unit_test(smallest_and_largest_rates),
    cmocka_unit_test(no_debt_is_too_deep),
    cmocka_unit_test(earlier_instant_counts_as_the_last),
    cmocka_unit_test(content_is_exact_for_centuries),
    cmocka_unit_test(no_window_lets_more_through),
    cmocka_unit_test(taker_gets_the_whole_rate),
    cmocka_unit_test(opening_is_the_earliest),
    cmocka_unit_test(users_of_a_bucket_alternate),
  };

  return cmocka_run_group_tests_name("rate", tests, NULL, NULL);
}
