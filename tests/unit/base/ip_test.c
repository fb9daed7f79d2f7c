/* SPDX-License-Identifier: Apache-2.0 */

/* IP literals: which texts are one, how each is written, and what is known of
   an address. */

#include "base/ip.h"
#include "test.h"

#include <stdlib.h>

/* A literal as it is written by us; NULL: it is none. */
static const struct {
  const char *text, *canonical;
} literals[] = {
  {"0.0.0.0", "0.0.0.0"},
  {"1.2.3.4", "1.2.3.4"},
  {"255.255.255.255", "255.255.255.255"},
  {"10.20.30.40", "10.20.30.40"},
  {"256.0.0.1", NULL},
  {"1.2.3.256", NULL},
  {"1.2.3.1000", NULL},
  {"1.2.3.4294967297", NULL},
  {"01.2.3.4", NULL},
  {"1.2.3.00", NULL},
  {"1.2.3", NULL},
  {"1.2.3.", NULL},
  {"1.2.3.4.", NULL},
  {"1.2.3.4.5", NULL},
  {".1.2.3.4", NULL},
  {"1..2.3", NULL},
  {"1:2.3.4", NULL},
  {"1.2.3.a", NULL},
  {"1.2.3./", NULL},
  {"1.2.3.:", NULL},
  {" 1.2.3.4", NULL},
  {"", NULL},
  {":", NULL},
  {"::", "::"},
  {"::1", "::1"},
  {"1::", "1::"},
  {"1::2", "1::2"},
  {":::", NULL},
  {":1", NULL},
  {"1:", NULL},
  {"::1:", NULL},
  {"1::2::3", NULL},
  {"::1::", NULL},
  {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
  {"1:2:3:4:5:6:7", NULL},
  {"1:2:3:4:5:6:7:8:9", NULL},
  {"1:2:3:4:5:6:7:", NULL},
  {"1:2:3:4:5:6:7:8:", NULL},
  {"1:2:3:4::5:6:7", "1:2:3:4:0:5:6:7"},
  {"1:2:3:4::5:6:7:8", NULL},
  {"1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"},
  {"1:2:3:4:5:6:7:8::", NULL},
  {"::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"},
  {"::1:2:3:4:5:6:7:8", NULL},
  {"abcd:EF01:fFfF:0:9:a:F:0f", "abcd:ef01:ffff:0:9:a:f:f"},
  {"0001:0020:0300:4000:5:6:7:8", "1:20:300:4000:5:6:7:8"},
  {"00001::", NULL},
  {"12345::", NULL},
  {"A::a", "a::a"},
  {"g::", NULL},
  {"G::", NULL},
  {"`::", NULL},
  {"@::", NULL},
  {"/::", NULL},
  {"1.2::", NULL},
  {"1-2::", NULL},
  /* The longest run of zeros, the first of the longest, and none of one. */
  {"0:0:1:0:0:0:1:0", "0:0:1::1:0"},
  {"0:0:1:0:0:1:0:0", "::1:0:0:1:0:0"},
  {"1:0:0:2:0:0:3:4", "1::2:0:0:3:4"},
  {"1:0:2:0:3:0:4:0", "1:0:2:0:3:0:4:0"},
  {"0:1:1:1:1:1:1:0", "0:1:1:1:1:1:1:0"},
  {"1:1:1:1:1:1:0:0", "1:1:1:1:1:1::"},
  {"0:0:1:1:1:1:1:1", "::1:1:1:1:1:1"},
  {"1:0:0:0:0:0:0:2", "1::2"},
  /* An IPv4 literal stands for the last two groups. */
  {"::1.2.3.4", "::102:304"},
  {"1::255.254.0.9", "1::fffe:9"},
  {"1:2:3:4:5:6:7.8.9.10", "1:2:3:4:5:6:708:90a"},
  {"1:2:3:4:5:6:7:1.2.3.4", NULL},
  {"1:2:3:4:5:1.2.3.4", NULL},
  {"1:2:3:4:5::1.2.3.4", "1:2:3:4:5:0:102:304"},
  {"1:2:3:4:5:6::1.2.3.4", NULL},
  {"::1.2.3.4:5", NULL},
  {"1.2.3.4::", NULL},
  {"::1.2.3", NULL},
  {"::1.2.3.256", NULL},
  /* Mapped addresses are those of IPv4. */
  {"::ffff:1.2.3.4", "1.2.3.4"},
  {"::ffff:0102:ff04", "1.2.255.4"},
  {"0:0:0:0:0:FFFF:7f00:1", "127.0.0.1"},
  {"::fffe:1.2.3.4", "::fffe:102:304"},
  {"::1:ffff:1.2.3.4", "::1:ffff:102:304"},
  /* Zones are names or numbers of interfaces, of IPv6 alone. */
  {"fe80::1%eth0", "fe80::1%eth0"},
  {"FE80::0:1%2", "fe80::1%2"},
  {"fe80::1%!~", "fe80::1%!~"},
  {"fe80::1%abcdefghijklmno", "fe80::1%abcdefghijklmno"},
  {"fe80::1%abcdefghijklmnop", NULL},
  {"fe80::1%", NULL},
  {"fe80::1% ", NULL},
  {"fe80::1%a\x7f", NULL},
  {"fe80::1%a\x80", NULL},
  {"fe80::1%a\x1f", NULL},
  {"fe80::1%a@", NULL},
  {"fe80::1%a/", NULL},
  {"fe80::1%[", NULL},
  {"fe80::1%]", NULL},
  {"fe80::1%a%b", NULL},
  {"%eth0", NULL},
  {"1.2.3.4%eth0", NULL},
  {"::ffff:1.2.3.4%eth0", NULL},
};

/* Behind a copy of |text| there is nothing, so a read past it shows. */
static cmt_bytes exact(const char *text) {
  size_t len = strlen(text);
  uint8_t *copy = malloc(len > 0 ? len : 1);

  assert_non_null(copy);
  memcpy(copy, text, len);
  return (cmt_bytes){.base = copy, .len = len};
}

static void exact_free(cmt_bytes b) { free((void *)(uintptr_t)b.base); }

static void literals_are_read_and_written_in_one_form(void **state) {
  char out[128];

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(literals); i++) {
    const char *canonical = literals[i].canonical;
    cmt_bytes in = exact(literals[i].text);

    if (cmt__ip_canonical(in, out, sizeof out) != (canonical != NULL)) {
      fail_msg("'%s' is %s", literals[i].text,
               canonical != NULL ? "refused" : "read");
    }
    if (canonical != NULL) {
      assert_string_equal(canonical, out);
    }
    exact_free(in);
  }
}

static void what_does_not_fit_is_refused(void **state) {
  static const char *const texts[] = {"1.2.3.4", "fe80::1%eth0"};
  char out[32];

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(texts); i++) {
    size_t len = strlen(texts[i]);

    assert_false(cmt__ip_canonical(cmt_bytes_of(texts[i]), out, len));
    assert_true(cmt__ip_canonical(cmt_bytes_of(texts[i]), out, len + 1));
    assert_string_equal(texts[i], out);
  }
}

static cmt__ip ip_of(const char *text) {
  cmt__ip ip;

  memset(&ip, 0xee, sizeof ip);
  assert_true(cmt__ip_read(cmt_bytes_of(text), &ip));
  return ip;
}

static void assert_ip_bytes(const char *bytes, const char *text) {
  cmt__ip ip = ip_of(text);

  assert_memory_equal(bytes, ip.bytes, sizeof ip.bytes);
}

static void an_ip_is_read_into_16_bytes(void **state) {
  static const char *const none[] = {
    "", "a.test", "1.2.3", "1.2.3.4%x", "1.2.3.4 ", ":", "1::2::3"};
  cmt__ip ip = ip_of("::1");

  (void)state;
  assert_ip_bytes("\0\0\0\0\0\0\0\0\0\0\xff\xff\1\2\3\4", "1.2.3.4");
  assert_ip_bytes("\0\0\0\0\0\0\0\0\0\0\xff\xff\1\2\3\4", "::ffff:1.2.3.4");
  assert_ip_bytes("\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\x12\x34",
                  "2001:db8::1234");
  assert_ip_bytes("\xfe\x80\0\0\0\0\0\0\0\0\0\0\0\0\0\1", "fe80::1%eth0");
  for (size_t i = 0; i < CMT__COUNT(none); i++) {
    assert_false(cmt__ip_read(cmt_bytes_of(none[i]), &ip));
  }
  assert_ip_bytes("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1", "::1");
}

static void the_bytes_are_in_the_order_of_the_net(void **state) {
  cmt__ip ip;

  (void)state;
  ip = ip_of("1.2.3.4");
  test_assert_hex("00000000000000000000ffff01020304", ip.bytes, 16);
  ip = ip_of("0102:0304:0506:0708:090a:0b0c:0d0e:0f10%1");
  test_assert_hex("0102030405060708090a0b0c0d0e0f10", ip.bytes, 16);
}

static void a_failure_leaves_the_address_as_it_was(void **state) {
  cmt__ip ip = ip_of("1.2.3.4"), before = ip;

  (void)state;
  assert_false(cmt__ip_read(cmt_bytes_of("::ffff:5.6.7.8%x"), &ip));
  assert_true(cmt__ip_equal(&before, &ip));
}

static void some_addresses_are_special(void **state) {
  static const struct {
    const char *text;
    bool v4, loopback, link_local;
  } rows[] = {
    {"127.0.0.1", true, true, false},
    {"127.255.0.9", true, true, false},
    {"126.0.0.1", true, false, false},
    {"128.0.0.1", true, false, false},
    {"::1", false, true, false},
    {"::", false, false, false},
    {"::2", false, false, false},
    {"1::1", false, false, false},
    {"7f00::", false, false, false},
    {"fe80::", false, false, true},
    {"febf:ffff::1", false, false, true},
    {"fe7f::", false, false, false},
    {"fec0::", false, false, false},
    {"ff80::", false, false, false},
    {"fd80::", false, false, false},
    {"::fffe:7f00:1", false, false, false},
    {"::1:ffff:7f00:1", false, false, false},
    {"100::ffff:7f00:1", false, false, false},
    {"127.255.3.4", true, true, false},
    {"126.255.3.4", true, false, false},
    {"::ffff:127.0.0.1", true, true, false},
    {"fe80::1", false, false, true},
    {"fec0::1", false, false, false},
    {"fe7f::1", false, false, false},
    {"ff80::1", false, false, false},
    {"::fffe:127.0.0.1", false, false, false},
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    cmt__ip ip = ip_of(rows[i].text);

    assert_int_equal(rows[i].v4, cmt__ip_is_v4(&ip));
    assert_int_equal(rows[i].loopback, cmt__ip_is_loopback(&ip));
    assert_int_equal(rows[i].link_local, cmt__ip_is_link_local(&ip));
  }
}

static void equal_addresses_have_equal_bytes(void **state) {
  cmt__ip a = ip_of("1:2:3:4:5:6:7:8"), b;

  (void)state;
  b = a;
  assert_true(cmt__ip_equal(&a, &b));
  for (size_t i = 0; i < sizeof a.bytes; i++) {
    b = a;
    b.bytes[i] ^= 1;
    assert_false(cmt__ip_equal(&a, &b));
  }
}

static void an_ip_has_a_prefix(void **state) {
  static const struct {
    unsigned bits;
    const char *text;
  } rows[] = {
    {0, "::"},
    {1, "8000::"},
    {7, "fe00::"},
    {8, "ff00::"},
    {9, "ff80::"},
    {47, "ffff:ffff:fffe::"},
    {64, "ffff:ffff:ffff:ffff::"},
    {127, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe"},
    {128, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    {129, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
  };
  cmt__ip all = ip_of("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    cmt__ip found = cmt__ip_prefix(&all, rows[i].bits);
    cmt__ip expected = ip_of(rows[i].text);

    assert_true(cmt__ip_equal(&expected, &found));
    assert_int_equal(rows[i].bits >= 128, cmt__ip_equal(&all, &found));
  }
}

static void a_prefix_keeps_its_bits(void **state) {
  cmt__ip ones, found;

  (void)state;
  memset(ones.bytes, 0xff, sizeof ones.bytes);
  for (unsigned bits = 0; bits <= 130; bits++) {
    found = cmt__ip_prefix(&ones, bits);
    for (unsigned i = 0; i < 128; i++) {
      assert_int_equal(i < bits, found.bytes[i / 8] >> (7 - i % 8) & 1);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(literals_are_read_and_written_in_one_form),
    cmocka_unit_test(what_does_not_fit_is_refused),
    cmocka_unit_test(an_ip_is_read_into_16_bytes),
    cmocka_unit_test(the_bytes_are_in_the_order_of_the_net),
    cmocka_unit_test(a_failure_leaves_the_address_as_it_was),
    cmocka_unit_test(some_addresses_are_special),
    cmocka_unit_test(equal_addresses_have_equal_bytes),
    cmocka_unit_test(an_ip_has_a_prefix),
    cmocka_unit_test(a_prefix_keeps_its_bits),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
