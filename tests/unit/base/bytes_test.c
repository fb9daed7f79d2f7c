/* SPDX-License-Identifier: Apache-2.0 */

/* Varints, prefixes and protobuf fields, by hand-written bytes.
   docs/PROTOCOL.md section 0. */

#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"

/* A copy of exactly the bytes of |hex|, so that a read past them shows. */
static cmt_bytes bytes_of_hex(const char *hex) {
  cmt_bytes b;
  size_t len;
  uint8_t *padded = test_unhex(hex, &len);
  uint8_t *exact = len > 0 ? malloc(len) : NULL;

  if (len > 0) {
    assert_non_null(exact);
    memcpy(exact, padded, len);
  }
  free(padded);
  b = (cmt_bytes){.base = exact, .len = len};
  return b;
}

static void bytes_free(cmt_bytes b) { free((void *)(uintptr_t)b.base); }

static void assert_varint(uint64_t expected, size_t used, const char *hex) {
  cmt_bytes in = bytes_of_hex(hex);
  cmt__reader r = cmt__reader_of(in);
  uint64_t value = 0;

  assert_true(cmt__read_varint(&r, &value));
  assert_true(expected == value);
  assert_int_equal(used, r.at - in.base);
  assert_false(r.failed);
  bytes_free(in);
}

static void assert_no_varint(const char *hex) {
  cmt_bytes in = bytes_of_hex(hex);
  cmt__reader r = cmt__reader_of(in);
  uint64_t value;

  assert_false(cmt__read_varint(&r, &value));
  assert_true(r.failed);
  bytes_free(in);
}

static void varints_are_read(void **state) {
  (void)state;
  assert_varint(0, 1, "00");
  assert_varint(127, 1, "7f08");
  assert_varint(128, 2, "8001");
  assert_varint(300, 2, "ac02");
  assert_varint(UINT64_C(1) << 35, 6, "808080808001");
  assert_varint(UINT64_MAX, 10, "ffffffffffffffffff01");
}

static void overlong_varints_are_read(void **state) {
  (void)state;
  assert_varint(2, 2, "8200");
  assert_varint(2, 10, "82808080808080808000");
}

static void surplus_bits_of_the_tenth_byte_are_dropped(void **state) {
  (void)state;
  assert_varint(UINT64_MAX, 10, "ffffffffffffffffff7f");
  assert_varint(UINT64_C(1) << 63, 10, "8080808080808080807f");
  assert_varint(0, 10, "8080808080808080807e");
}

static void a_varint_of_eleven_bytes_or_without_end_fails(void **state) {
  (void)state;
  assert_no_varint("");
  assert_no_varint("80");
  assert_no_varint("808080808080808080");
  assert_no_varint("8080808080808080808000");
}

static void fields_of_each_type_are_read(void **state) {
  cmt_bytes in = bytes_of_hex("0896011203616263"
                              "190102030405060708"
                              "2501020304"
                              "f80705");
  cmt__reader r = cmt__reader_of(in);
  cmt__field f;

  (void)state;
  assert_true(cmt__read_field(&r, &f));
  assert_int_equal(1, f.number);
  assert_int_equal(CMT__WIRE_VARINT, f.type);
  assert_int_equal(150, f.value);
  assert_true(cmt__read_field(&r, &f));
  assert_int_equal(2, f.number);
  assert_int_equal(CMT__WIRE_BYTES, f.type);
  assert_int_equal(3, f.bytes.len);
  assert_memory_equal("abc", f.bytes.base, 3);
  assert_true(cmt__read_field(&r, &f));
  assert_int_equal(3, f.number);
  assert_int_equal(CMT__WIRE_FIXED64, f.type);
  assert_true(cmt__read_field(&r, &f));
  assert_int_equal(4, f.number);
  assert_int_equal(CMT__WIRE_FIXED32, f.type);
  assert_true(cmt__read_field(&r, &f));
  assert_int_equal(127, f.number);
  assert_int_equal(5, f.value);
  assert_false(cmt__read_field(&r, &f));
  assert_false(r.failed);
  bytes_free(in);
}

/* How many fields |hex| has before its end, -1 when it is malformed. */
static int count_fields(const char *hex) {
  cmt_bytes in = bytes_of_hex(hex);
  cmt__reader r = cmt__reader_of(in);
  cmt__field f;
  int count = 0;

  while (cmt__read_field(&r, &f)) {
    count++;
  }
  bytes_free(in);
  return r.failed ? -1 : count;
}

static void an_empty_message_has_no_field(void **state) {
  (void)state;
  assert_int_equal(0, count_fields(""));
}

static void field_number_zero_fails(void **state) {
  (void)state;
  assert_int_equal(-1, count_fields("0001"));
  assert_int_equal(-1, count_fields("0200"));
}

static void a_field_number_of_more_than_31_bits_fails(void **state) {
  (void)state;
  assert_int_equal(1, count_fields("f8ffffff3f01"));
  assert_int_equal(-1, count_fields("808080804001"));
  assert_int_equal(-1, count_fields("888080808001"
                                    "01"));
}

static void unknown_wire_types_fail(void **state) {
  (void)state;
  assert_int_equal(-1, count_fields("0e01"));
  assert_int_equal(-1, count_fields("0f01"));
}

static void a_field_that_ends_too_early_fails(void **state) {
  (void)state;
  assert_int_equal(-1, count_fields("08"));
  assert_int_equal(-1, count_fields("0a"));
  assert_int_equal(-1, count_fields("0a01"));
  assert_int_equal(-1, count_fields("0a0361"));
  assert_int_equal(-1, count_fields("0901020304050607"));
  assert_int_equal(-1, count_fields("0d010203"));
  assert_int_equal(-1, count_fields("80"));
}

static void a_length_over_all_bounds_fails(void **state) {
  (void)state;
  assert_int_equal(-1, count_fields("0affffffffffffffffff01"));
  assert_int_equal(-1, count_fields("0affffffffffffffff7f61"));
}

static void an_overlong_length_is_fine(void **state) {
  (void)state;
  assert_int_equal(1, count_fields("0a82006162"));
}

static void groups_are_skipped_whole(void **state) {
  (void)state;
  assert_int_equal(1, count_fields("0b0c"));
  assert_int_equal(2, count_fields("0b08010c0801"));
  assert_int_equal(1, count_fields("0b1308011413140c"));
  assert_int_equal(1, count_fields("0b12020c0c0c"));
  assert_int_equal(1, count_fields("0b0900000000000000000d000000000c"));
}

static void a_group_that_does_not_close_fails(void **state) {
  (void)state;
  assert_int_equal(-1, count_fields("0b"));
  assert_int_equal(-1, count_fields("0b0801"));
  assert_int_equal(-1, count_fields("0b0b0c"));
  assert_int_equal(-1, count_fields("0b0e0c"));
  assert_int_equal(-1, count_fields("0b1203610c"));
}

static void the_end_of_a_group_without_its_start_fails(void **state) {
  (void)state;
  assert_int_equal(-1, count_fields("0c"));
  assert_int_equal(-1, count_fields("0b0c0c"));
}

static void groups_nest_64_deep_and_no_deeper(void **state) {
  char hex[65 * 4 + 1];

  (void)state;
  for (int depth = 64; depth <= 65; depth++) {
    for (int i = 0; i < 2 * depth; i++) {
      snprintf(hex + 2 * i, 3, "%s", i < depth ? "0b" : "0c");
    }
    assert_int_equal(depth == 64 ? 1 : -1, count_fields(hex));
  }
}

static void a_failed_reader_stays_failed(void **state) {
  cmt_bytes in = bytes_of_hex("0e080108");
  cmt__reader r = cmt__reader_of(in);
  cmt__field f;
  uint64_t value;

  (void)state;
  assert_false(cmt__read_field(&r, &f));
  assert_false(cmt__read_field(&r, &f));
  assert_false(cmt__read_varint(&r, &value));
  assert_true(r.failed);
  bytes_free(in);
}

static int read_prefix(const char *hex, uint64_t *out) {
  cmt_bytes in = bytes_of_hex(hex);
  int used = cmt__read_prefix(in.base, in.len, out);

  bytes_free(in);
  return used;
}

static void prefixes_are_read(void **state) {
  uint64_t n = 0;

  (void)state;
  assert_int_equal(1, read_prefix("22", &n));
  assert_int_equal(0x22, n);
  assert_int_equal(1, read_prefix("7f00", &n));
  assert_int_equal(0x7f, n);
  assert_int_equal(2, read_prefix("860100", &n));
  assert_int_equal(134, n);
  assert_int_equal(2, read_prefix("8200", &n));
  assert_int_equal(2, n);
  assert_int_equal(10, read_prefix("ffffffffffffffffff01", &n));
  assert_true(n == UINT64_MAX);
  assert_int_equal(10, read_prefix("80808080808080808001", &n));
  assert_true(n == UINT64_C(1) << 63);
  assert_int_equal(10, read_prefix("82808080808080808000", &n));
  assert_int_equal(2, n);
}

static void a_prefix_needs_all_its_bytes(void **state) {
  uint64_t n;

  (void)state;
  assert_int_equal(0, read_prefix("", &n));
  assert_int_equal(0, read_prefix("80", &n));
  assert_int_equal(0, read_prefix("ffffffffffffffffff", &n));
}

static void a_prefix_whose_tenth_byte_is_over_one_fails(void **state) {
  uint64_t n;

  (void)state;
  assert_int_equal(-1, read_prefix("ffffffffffffffffff02", &n));
  assert_int_equal(-1, read_prefix("80808080808080808081", &n));
  assert_int_equal(-1, read_prefix("8080808080808080808000", &n));
}

static void assert_written(const char *hex, const cmt__writer *w,
                           const uint8_t *start) {
  assert_false(w->failed);
  test_assert_hex(hex, start, (size_t)(w->at - start));
}

static void fields_are_written(void **state) {
  uint8_t out[64];
  cmt__writer w = {.at = out, .end = out + sizeof out};
  cmt_bytes abc = {.base = (const uint8_t *)"abc", .len = 3};

  (void)state;
  cmt__write_uint(&w, 1, 150);
  cmt__write_uint(&w, 2, 0);
  cmt__write_bytes(&w, 3, abc);
  cmt__write_bytes(&w, 4, (cmt_bytes){0});
  cmt__write_tag(&w, 16, CMT__WIRE_BYTES);
  cmt__write_varint(&w, 0);
  cmt__write_raw(&w, abc);
  cmt__write_uint(&w, 1, UINT64_MAX);
  cmt__write_raw(&w, (cmt_bytes){.base = abc.base, .len = 1});
  assert_written("0896011a03616263820100616263"
                 "08ffffffffffffffffff0161",
                 &w, out);
}

static void sizes_are_those_of_what_is_written(void **state) {
  static const uint64_t values[] = {
    0, 1, 127, 128, 16383, 16384, 1u << 28, UINT64_MAX >> 1, UINT64_MAX};
  static const uint32_t numbers[] = {1, 15, 16, 2047, 2048, 0x1fffffff};
  static const uint8_t data[300];
  uint8_t out[400];

  (void)state;
  for (size_t n = 0; n < CMT__COUNT(numbers); n++) {
    for (size_t v = 0; v < CMT__COUNT(values); v++) {
      cmt__writer w = {.at = out, .end = out + sizeof out};
      cmt__write_uint(&w, numbers[n], values[v]);
      assert_int_equal(w.at - out, cmt__uint_size(numbers[n], values[v]));
    }
    for (size_t len = 0; len <= sizeof data; len += 100) {
      cmt__writer w = {.at = out, .end = out + sizeof out};
      cmt_bytes b = {.base = data, .len = len};
      cmt__write_bytes(&w, numbers[n], b);
      assert_int_equal(w.at - out, cmt__bytes_size(numbers[n], b));
    }
  }
  assert_int_equal(1, cmt__varint_size(0));
  assert_int_equal(2, cmt__varint_size(128));
  assert_int_equal(10, cmt__varint_size(UINT64_MAX));
}

static void a_writer_never_passes_its_end(void **state) {
  cmt_bytes abc = {.base = (const uint8_t *)"abc", .len = 3};

  (void)state;
  for (size_t cap = 0; cap <= 8; cap++) {
    uint8_t *out = malloc(cap + 1);
    cmt__writer w = {.at = out, .end = out + cap};

    out[cap] = 0x77;
    cmt__write_uint(&w, 1, 150);
    cmt__write_bytes(&w, 3, abc);
    assert_int_equal(cap < 8, w.failed);
    assert_int_equal(0x77, out[cap]);
    free(out);
  }
}

static void a_failed_writer_writes_nothing_more(void **state) {
  uint8_t out[4] = {0};
  cmt__writer w = {.at = out, .end = out + 4};
  uint8_t *at;

  (void)state;
  cmt__write_varint(&w, 1);
  at = w.at;
  cmt__write_varint(&w, UINT64_MAX);
  assert_true(w.failed);
  cmt__write_varint(&w, 1);
  cmt__write_raw(&w, (cmt_bytes){.base = out, .len = 1});
  assert_ptr_equal(at, w.at);
  assert_memory_equal("\x01\0\0\0", out, 4);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(varints_are_read),
    cmocka_unit_test(overlong_varints_are_read),
    cmocka_unit_test(surplus_bits_of_the_tenth_byte_are_dropped),
    cmocka_unit_test(a_varint_of_eleven_bytes_or_without_end_fails),
    cmocka_unit_test(fields_of_each_type_are_read),
    cmocka_unit_test(an_empty_message_has_no_field),
    cmocka_unit_test(field_number_zero_fails),
    cmocka_unit_test(a_field_number_of_more_than_31_bits_fails),
    cmocka_unit_test(unknown_wire_types_fail),
    cmocka_unit_test(a_field_that_ends_too_early_fails),
    cmocka_unit_test(a_length_over_all_bounds_fails),
    cmocka_unit_test(an_overlong_length_is_fine),
    cmocka_unit_test(groups_are_skipped_whole),
    cmocka_unit_test(a_group_that_does_not_close_fails),
    cmocka_unit_test(the_end_of_a_group_without_its_start_fails),
    cmocka_unit_test(groups_nest_64_deep_and_no_deeper),
    cmocka_unit_test(a_failed_reader_stays_failed),
    cmocka_unit_test(prefixes_are_read),
    cmocka_unit_test(a_prefix_needs_all_its_bytes),
    cmocka_unit_test(a_prefix_whose_tenth_byte_is_over_one_fails),
    cmocka_unit_test(fields_are_written),
    cmocka_unit_test(sizes_are_those_of_what_is_written),
    cmocka_unit_test(a_writer_never_passes_its_end),
    cmocka_unit_test(a_failed_writer_writes_nothing_more),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
