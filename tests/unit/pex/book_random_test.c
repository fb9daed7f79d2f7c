/* SPDX-License-Identifier: Apache-2.0 */
/* The random numbers of the book. */
#include "book_user.h"

enum { DRAWS = 30000, SHARES = 3 };

static void a_number_is_below_its_limit(void **state) {
  static const uint64_t limits[] = {
    1,          2,          3,          1000,       UINT32_MAX - 1,
    UINT32_MAX, 1ull << 32, 3ull << 31, 1ull << 63, UINT64_MAX};
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  for (size_t i = 0; i < CMT__COUNT(limits); i++) {
    uint64_t greatest = 0;

    for (size_t k = 0; k < 1000; k++) {
      uint64_t v = cmt__book_random(u.b, limits[i]);

      assert_true(v < limits[i]);
      greatest = cmt__max64(greatest, v);
    }
    assert_true(greatest >= limits[i] - 1 - limits[i] / 20);
  }
  book_user_fini(&u);
}

/* With limits that divide no power of two: of one kind by the product of 32
   bits, of the other by the remainder of 64. */
static void all_numbers_are_as_likely(void **state) {
  static const uint64_t thirds[] = {1, 1ull << 31, 1ull << 62};
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  for (size_t i = 0; i < CMT__COUNT(thirds); i++) {
    size_t counts[SHARES] = {0};

    for (size_t k = 0; k < DRAWS; k++) {
      counts[cmt__book_random(u.b, SHARES * thirds[i]) / thirds[i]]++;
    }
    for (size_t k = 0; k < SHARES; k++) {
      assert_in_range(counts[k], DRAWS / SHARES - 500, DRAWS / SHARES + 500);
    }
  }
  book_user_fini(&u);
}

static void numbers_follow_from_the_entropy(void **state) {
  book_user u[3];
  size_t same = 0;

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(u); i++) {
    book_user_init(&u[i], 1 + i / 2);
  }
  for (size_t k = 0; k < 1000; k++) {
    uint64_t v = cmt__book_random(u[0].b, 1000);

    assert_int_equal(v, cmt__book_random(u[1].b, 1000));
    same += v == cmt__book_random(u[2].b, 1000);
  }
  assert_in_range(same, 0, 20);
  for (size_t i = 0; i < CMT__COUNT(u); i++) {
    book_user_fini(&u[i]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_number_is_below_its_limit),
    cmocka_unit_test(all_numbers_are_as_likely),
    cmocka_unit_test(numbers_follow_from_the_entropy),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
