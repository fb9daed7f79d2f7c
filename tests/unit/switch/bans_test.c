/* SPDX-License-Identifier: Apache-2.0 */

/* Bans without a switch: subjects, ranges, ends, and what happens when there
   are as many as can be. */

#include "test.h"

#include "switch/bans.h"

#include <stdio.h>

#define S(n) CMT_SECONDS(n)
#define ID "0123456789abcdef0123456789abcdef01234567"

typedef struct fixture {
  test_env env;
  cmt__bans b;
} fixture;

static int setup(void **state) {
  fixture *f = calloc(1, sizeof *f);

  assert_non_null(f);
  test_env_init(&f->env);
  assert_cmt(CMT_OK, cmt__bans_init(&f->b, &f->env.env));
  (void)cmt__bans_update(&f->b, S(1000));
  *state = f;
  return 0;
}

static int teardown(void **state) {
  fixture *f = *state;

  cmt__bans_fini(&f->b);
  test_env_fini(&f->env);
  free(f);
  return 0;
}

static cmt__ban_key key_of(const char *subject) {
  cmt__ban_key key;

  assert_cmt(CMT_OK, cmt__ban_parse(subject, &key, NULL));
  return key;
}

static cmt_err ban(fixture *f, const char *subject, uint64_t duration_ns) {
  cmt__ban_key key = key_of(subject);

  return cmt__bans_put(&f->b, &key, duration_ns);
}

static void unban(fixture *f, const char *subject) {
  cmt__ban_key key = key_of(subject);

  cmt__bans_remove(&f->b, &key);
}

/* When the ban of the id or address ends; 0: there is none. */
static uint64_t end_of(fixture *f, const char *who, uint64_t now_ns) {
  cmt_node_id id;
  cmt__ip ip;
  cmt__ban found;
  bool banned;

  if (strlen(who) == strlen(ID)) {
    memcpy(id.text, who, sizeof id.text);
    banned = cmt__bans_find_id(&f->b, &id, now_ns, &found);
  } else {
    assert_true(cmt__ip_read(cmt_bytes_of(who), &ip));
    banned = cmt__bans_find_ip(&f->b, &ip, now_ns, &found);
  }
  return banned ? found.end_ns : 0;
}

/* ---- subjects ---- */

static void subjects_have_one_canonical_form(void **state) {
  static const char *rows[][2] = {
    {ID, ID},
    {"0123456789ABCDEF0123456789ABCDEF01234567", ID},
    {"10.0.0.1", "10.0.0.1"},
    {"10.0.0.1/32", "10.0.0.1"},
    {"10.1.2.3/8", "10.0.0.0/8"},
    {"0.0.0.0/0", "0.0.0.0/0"},
    {"::ffff:10.0.0.1", "10.0.0.1"},
    {"::ffff:10.0.0.1/104", "10.0.0.0/8"},
    {"2001:DB8:0::1", "2001:db8::1"},
    {"2001:db8::1/32", "2001:db8::/32"},
    {"::1/0", "::/0"},
    {"fe80::1%eth0", "fe80::1"},
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    cmt__ban_key key = key_of(rows[i][0]);
    char text[CMT_BAN_TEXT_SIZE];
    cmt_ban b;

    cmt__ban_text(&key, text);
    assert_string_equal(rows[i][1], text);
    cmt_ban_init(&b);
    assert_cmt(CMT_OK, cmt_ban_set_subject(&b, rows[i][0], NULL));
    assert_string_equal(rows[i][1], b.subject);
  }
}

static void other_texts_are_named(void **state) {
  static const char *rows[] = {
    "",
    "host.test",
    "10.0.0.1/33",
    "10.0.0.1/",
    "10.0.0.1/08",
    "10.0.0.1/x",
    "::1/129",
    "::1/6x",
    "::1/x6",
    "::1/6/",
    "::1/6:",
    "10.0.0.1/1000",
    "10.0.0.1/-1",
    "/8",
    ID "0",
    "10.0.0.1:80",
    "10.0.0.1/8/8",
    "[::1]",
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    char expected[256];
    cmt__ban_key key;
    cmt_why why;

    assert_cmt(CMT_EINVAL, cmt__ban_parse(rows[i], &key, &why));
    snprintf(expected, sizeof expected,
             "subject is \"%s\", allowed are a node id, an IP address, and a "
             "range such as 10.0.0.0/8",
             rows[i]);
    assert_string_equal(expected, why.text);
  }
  assert_cmt(CMT_EINVAL,
             cmt__ban_parse(NULL, &(cmt__ban_key){.bits = 0}, NULL));
}

/* ---- look-ups ---- */

static void a_range_covers_its_addresses_alone(void **state) {
  static const struct {
    const char *subject, *in, *out;
  } rows[] = {
    {"10.0.0.0/8", "10.255.0.1", "11.0.0.1"},
    {"10.0.0.0/31", "10.0.0.1", "10.0.0.2"},
    {"10.0.0.7", "::ffff:10.0.0.7", "10.0.0.8"},
    {"0.0.0.0/0", "1.2.3.4", "2001:db8::1"},
    {"::/0", "2001:db8::1", "1.2.3.4"},
    {"2001:db8::/32", "2001:db8:ffff::1", "2001:db9::1"},
    {"::ffff:10.0.0.0/104", "10.1.1.1", "2001:db8::1"},
    {ID, ID, "1123456789abcdef0123456789abcdef01234567"},
  };
  fixture *f = *state;

  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    assert_cmt(CMT_OK, ban(f, rows[i].subject, CMT_NEVER));
    assert_int_equal(CMT_NEVER, end_of(f, rows[i].in, S(1000)));
    assert_int_equal(0, end_of(f, rows[i].out, S(1000)));
    unban(f, rows[i].subject);
    assert_int_equal(0, end_of(f, rows[i].in, S(1000)));
  }
}

static void the_longest_ban_of_an_address_counts(void **state) {
  fixture *f = *state;

  assert_cmt(CMT_OK, ban(f, "10.0.0.0/8", S(5)));
  assert_cmt(CMT_OK, ban(f, "10.0.0.0/16", S(50)));
  assert_cmt(CMT_OK, ban(f, "10.0.0.1", S(10)));
  assert_int_equal(S(1050), end_of(f, "10.0.0.1", S(1000)));
  unban(f, "10.0.0.0/16");
  assert_int_equal(S(1010), end_of(f, "10.0.0.1", S(1000)));
}

/* ---- time ---- */

static void a_ban_counts_from_when_the_loop_sees_it(void **state) {
  fixture *f = *state;

  assert_cmt(CMT_OK, ban(f, "10.0.0.1", S(5)));
  assert_int_equal(S(1025), end_of(f, "10.0.0.1", S(1020))); /* Not seen. */
  assert_int_equal(S(1035), cmt__bans_update(&f->b, S(1030)));
  assert_int_equal(S(1035), end_of(f, "10.0.0.1", S(1035) - 1));
  assert_int_equal(0, end_of(f, "10.0.0.1", S(1035)));
  assert_int_equal(1, cmt__bans_list(&f->b, NULL, 0, sizeof(cmt_ban)));
  assert_int_equal(CMT_NEVER, cmt__bans_update(&f->b, S(1035)));
  assert_int_equal(0, cmt__bans_list(&f->b, NULL, 0, sizeof(cmt_ban)));
}

static void the_next_end_is_reported(void **state) {
  fixture *f = *state;

  assert_cmt(CMT_OK, ban(f, ID, CMT_NEVER));
  assert_int_equal(CMT_NEVER, cmt__bans_update(&f->b, S(1000)));
  assert_cmt(CMT_OK, ban(f, "10.0.0.1", S(9)));
  assert_cmt(CMT_OK, ban(f, "10.0.0.2", S(4)));
  assert_int_equal(S(1004), cmt__bans_update(&f->b, S(1000)));
  assert_int_equal(S(1009), cmt__bans_update(&f->b, S(1004)));
}

static void
another_ban_of_a_subject_takes_the_place_of_the_first(void **state) {
  fixture *f = *state;

  assert_cmt(CMT_OK, ban(f, "10.0.0.1", CMT_NEVER));
  assert_cmt(CMT_OK, ban(f, "::ffff:10.0.0.1", S(2)));
  assert_int_equal(1, cmt__bans_list(&f->b, NULL, 0, sizeof(cmt_ban)));
  assert_int_equal(S(1002), end_of(f, "10.0.0.1", S(1000)));
}

/* ---- the maximum ---- */

static const char *nth(unsigned i) {
  static char text[CMT_BAN_TEXT_SIZE];

  snprintf(text, sizeof text, "10.0.%u.%u", i / 256, i % 256);
  return text;
}

/* From the longest to the shortest. */
static void fill(fixture *f) {
  for (unsigned i = 0; i < CMT_BANS_MAX; i++) {
    assert_cmt(CMT_OK, ban(f, nth(i), S(5000 - i)));
  }
}

static void the_one_that_ends_soonest_goes(void **state) {
  fixture *f = *state;

  fill(f);
  assert_cmt(CMT_OK, ban(f, ID, S(5000)));
  assert_int_equal(CMT_BANS_MAX,
                   cmt__bans_list(&f->b, NULL, 0, sizeof(cmt_ban)));
  assert_int_equal(0, end_of(f, nth(CMT_BANS_MAX - 1), S(1000)));
  for (unsigned i = 0; i < CMT_BANS_MAX - 1; i++) {
    assert_int_equal(S(6000 - i), end_of(f, nth(i), S(1000)));
  }
}

static void a_shorter_ban_drives_none_out(void **state) {
  fixture *f = *state;

  fill(f);
  assert_cmt(CMT_ELIMIT, ban(f, ID, S(1)));
  assert_int_equal(0, end_of(f, ID, S(1000)));
  assert_cmt(CMT_OK, ban(f, nth(3), S(1))); /* It has a place already. */
  assert_cmt(CMT_OK, ban(f, ID, S(2)));
  assert_int_equal(0, end_of(f, nth(3), S(1000)));
}

static void none_that_lasts_for_ever_goes(void **state) {
  fixture *f = *state;

  for (unsigned i = 0; i < CMT_BANS_MAX; i++) {
    assert_cmt(CMT_OK, ban(f, nth(i), CMT_NEVER));
  }
  assert_cmt(CMT_ELIMIT, ban(f, ID, CMT_NEVER));
}

static void what_has_ended_makes_room(void **state) {
  fixture *f = *state;

  fill(f);
  (void)cmt__bans_update(&f->b, S(1000));
  (void)cmt__bans_update(&f->b, S(6000 - 1));
  assert_cmt(CMT_OK, ban(f, ID, S(1)));
  assert_int_equal(2, cmt__bans_list(&f->b, NULL, 0, sizeof(cmt_ban)));
}

/* ---- lists and memory ---- */

static void elements_have_the_size_of_the_caller(void **state) {
  struct {
    cmt_ban ban;
    uint64_t more;
  } out[2];
  fixture *f = *state;

  assert_cmt(CMT_OK, ban(f, ID, 0));
  assert_cmt(CMT_OK, ban(f, "10.0.0.0/8", S(3)));
  (void)cmt__bans_update(&f->b, S(1000));
  assert_cmt(CMT_OK, ban(f, "10.0.0.1", S(3)));
  memset(out, 1, sizeof out);
  assert_int_equal(3, cmt__bans_list(&f->b, out, 2, sizeof out[0]));
  assert_string_equal("10.0.0.0/8", out[0].ban.subject);
  assert_int_equal(S(3), out[0].ban.duration_ns);
  assert_int_equal(S(1003), out[0].ban.end_ns);
  assert_int_equal(0, out[0].more);
  assert_string_equal("10.0.0.1", out[1].ban.subject);
  assert_int_equal(CMT_NEVER, out[1].ban.end_ns); /* It does not count yet. */
  unban(f, "10.0.0.0/8");
  unban(f, "10.0.0.1");
  assert_int_equal(1, cmt__bans_list(&f->b, out, 2, sizeof out[0]));
  assert_string_equal(ID, out[0].ban.subject);
  assert_int_equal(S(86400), out[0].ban.duration_ns);
}

static void without_memory_nobody_is_banned(void **state) {
  fixture *f = *state;

  f->env.fail_at = f->env.allocs;
  assert_cmt(CMT_ENOMEM, ban(f, ID, CMT_NEVER));
  f->env.fail_at = SIZE_MAX;
  assert_int_equal(0, end_of(f, ID, S(1000)));
  assert_cmt(CMT_OK, ban(f, ID, CMT_NEVER));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
  const struct CMUnitTest tests[] = {
    TEST(subjects_have_one_canonical_form),
    TEST(other_texts_are_named),
    TEST(a_range_covers_its_addresses_alone),
    TEST(the_longest_ban_of_an_address_counts),
    TEST(a_ban_counts_from_when_the_loop_sees_it),
    TEST(the_next_end_is_reported),
    TEST(another_ban_of_a_subject_takes_the_place_of_the_first),
    TEST(the_one_that_ends_soonest_goes),
    TEST(a_shorter_ban_drives_none_out),
    TEST(none_that_lasts_for_ever_goes),
    TEST(what_has_ended_makes_room),
    TEST(elements_have_the_size_of_the_caller),
    TEST(without_memory_nobody_is_banned),
  };
#undef TEST

  return cmocka_run_group_tests(tests, NULL, NULL);
}
