/* SPDX-License-Identifier: Apache-2.0 */

/* Structs that begin with their size: of an older header, of a newer one, and
   none at all. */

#include "base/sized.h"
#include "test.h"

typedef struct thing {
  size_t size;
  uint64_t first, second;
} thing;

/* One of a later release. */
typedef struct later_thing {
  thing thing;
  uint64_t third;
  uint8_t more[4096];
} later_thing;

static const thing defaults = {.size = sizeof(thing), .first = 1, .second = 2};

static void assert_thing(uint64_t first, uint64_t second, const thing *t) {
  assert_int_equal(sizeof *t, t->size);
  assert_int_equal(first, t->first);
  assert_int_equal(second, t->second);
}

static void what_is_given_counts_and_the_rest_has_its_defaults(void **state) {
  thing given = {.first = 10, .second = 20}, full;

  (void)state;
  full = defaults;
  given.size = sizeof given;
  assert_cmt(CMT_OK,
             cmt__sized_read(&full, sizeof full, &given, "thing", NULL));
  assert_thing(10, 20, &full);
  full = defaults;
  given.size = offsetof(thing, second);
  assert_cmt(CMT_OK,
             cmt__sized_read(&full, sizeof full, &given, "thing", NULL));
  assert_thing(10, 2, &full);
}

static void a_later_struct_may_set_nothing_new(void **state) {
  later_thing given = {.thing = {.first = 10, .second = 20}};
  thing full = defaults;
  char expected[120];
  cmt_why why;

  (void)state;
  given.thing.size = offsetof(later_thing, more);
  given.more[0] = 1; /* Behind it. */
  assert_cmt(CMT_OK,
             cmt__sized_read(&full, sizeof full, &given, "thing", &why));
  assert_thing(10, 20, &full);
  for (size_t at = 0; at < sizeof given.third; at++) {
    full = defaults;
    given.third = 0;
    ((uint8_t *)&given.third)[at] = 1;
    assert_cmt(CMT_EINVAL,
               cmt__sized_read(&full, sizeof full, &given, "thing", &why));
    snprintf(expected, sizeof expected,
             "thing: a field is set that this version of the library does not "
             "have, at byte %zu of %zu",
             sizeof(thing) + at, offsetof(later_thing, more));
    assert_string_equal(expected, why.text);
    assert_thing(1, 2, &full);
  }
}

/* A size is a multiple of the word's, above one word, and no more than 4 KiB
   above ours. */
static const struct {
  size_t size;
  bool is_known;
} sizes[] = {
  {0, false},
  {1, false},
  {8, false},
  {9, false},
  {16, true},
  {20, false},
  {23, false},
  {24, true},
  {25, false},
  {24 + 4096, true},
  {24 + 4096 + 1, false},
  {24 + 4096 + 8, false},
  {SIZE_MAX, false},
  {SIZE_MAX - 7, false},
};

static void a_size_that_no_struct_has_is_refused(void **state) {
  static later_thing given;
  cmt_why why;

  (void)state;
  assert_int_equal(24, sizeof(thing));
  for (size_t i = 0; i < CMT__COUNT(sizes); i++) {
    thing full = defaults;
    cmt_err err;

    given.thing.size = sizes[i].size;
    err = cmt__sized_read(&full, sizeof full, &given, "thing", &why);
    assert_cmt(sizes[i].is_known ? CMT_OK : CMT_EINVAL, err);
    if (!sizes[i].is_known) {
      assert_string_equal("thing of an unknown size: use the init macro",
                          why.text);
      assert_thing(1, 2, &full);
    }
  }
}

static void no_struct_is_reported(void **state) {
  thing full = defaults;
  cmt_why why;

  (void)state;
  assert_cmt(CMT_EINVAL,
             cmt__sized_read(&full, sizeof full, NULL, "thing", &why));
  assert_string_equal("thing: NULL instead of a struct", why.text);
}

static void as_much_is_written_as_there_is_room_for(void **state) {
  static later_thing out;
  static const uint8_t zeros[sizeof out];

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(sizes); i++) {
    size_t size = sizes[i].size;

    memset(&out, 0xa5, sizeof out);
    if (size < sizeof size) {
      cmt__sized_write(&out, size, &defaults, sizeof defaults);
      assert_int_equal(0xa5, *(uint8_t *)&out); /* Nothing fits. */
    } else if (!sizes[i].is_known) {
      cmt__sized_write(&out, size, &defaults, sizeof defaults);
      assert_int_equal(0, out.thing.size);
      assert_int_equal(UINT64_C(0xa5a5a5a5a5a5a5a5), out.thing.first);
    } else {
      cmt__sized_write(&out, size, &defaults, sizeof defaults);
      assert_int_equal(size, out.thing.size);
      assert_int_equal(1, out.thing.first);
      assert_int_equal(size >= sizeof(thing) ? 2 : UINT64_C(0xa5a5a5a5a5a5a5a5),
                       out.thing.second);
      if (size > sizeof(thing)) {
        assert_memory_equal(zeros, (uint8_t *)&out + sizeof(thing),
                            size - sizeof(thing));
      }
      if (size < sizeof out) {
        assert_int_equal(0xa5, ((uint8_t *)&out)[size]);
      }
    }
  }
  cmt__sized_write(NULL, sizeof out, &defaults, sizeof defaults);
}

static void a_flag_is_true_or_false(void **state) {
  bool flag;

  (void)state;
  for (int byte = 0; byte < 256; byte++) {
    memset(&flag, byte, sizeof flag);
    assert_int_equal(byte <= 1, cmt__is_bool(&flag));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_is_given_counts_and_the_rest_has_its_defaults),
    cmocka_unit_test(a_later_struct_may_set_nothing_new),
    cmocka_unit_test(a_size_that_no_struct_has_is_refused),
    cmocka_unit_test(no_struct_is_reported),
    cmocka_unit_test(as_much_is_written_as_there_is_room_for),
    cmocka_unit_test(a_flag_is_true_or_false),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
