/* SPDX-License-Identifier: Apache-2.0 */

/* Answers of a seed, reliability, and books that random calls change. */

#include "book_user.h"

#define MINUTE_NS CMT_SECONDS(60)
#define HOUR_NS CMT_SECONDS(3600)
#define DAY_NS CMT_SECONDS(86400)

static cmt_net_addr out[CMT_ADDRBOOK_ANSWER_MAX + 10];

/* |count| nodes that were reached at |now_ns|, in groups of |per_group|. */
static void reach_many(book_user *u, uint32_t first, uint32_t count,
                       uint32_t per_group, uint64_t now_ns) {
  for (uint32_t i = 0; i < count; i++) {
    cmt_net_addr a = book_node(first + i);
    uint32_t group = i / per_group;

    snprintf(a.host, sizeof a.host, "%u.%u.%u.%u", 130 + group % 38, group / 38,
             i % per_group / 4, i % 4 + 1);
    book_reach(u, &a, false, now_ns);
  }
}

static cmt_addrbook_query proven_query(void) {
  cmt_addrbook_query q;

  cmt_addrbook_query_init(&q);
  q.proven_within_ns = 30 * MINUTE_NS;
  return q;
}

static void only_fresh_proofs_are_served(void **state) {
  cmt_addrbook_query q = proven_query();
  cmt_net_addr src = book_node(0x70000), a;
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  reach_many(&u, 1, 50, 1, BOOK_T0);
  reach_many(&u, 0x1000, 40, 1, BOOK_T0 + 20 * MINUTE_NS);
  a = book_node(0x80000);
  book_add(&u, &a, &src, BOOK_T0);
  assert_int_equal(
    cmt_addrbook_select(u.b, &q, out, 250, BOOK_T0 + 30 * MINUTE_NS), 90);
  assert_int_equal(
    cmt_addrbook_select(u.b, &q, out, 250, BOOK_T0 + 31 * MINUTE_NS), 40);
  /* A node that failed since is not served. */
  a = book_node(0x1000);
  cmt_addrbook_failed(u.b, &a.id, BOOK_T0 + 31 * MINUTE_NS);
  assert_int_equal(
    cmt_addrbook_select(u.b, &q, out, 250, BOOK_T0 + 31 * MINUTE_NS), 39);
  q.max = 7;
  assert_int_equal(
    cmt_addrbook_select(u.b, &q, out, 250, BOOK_T0 + 31 * MINUTE_NS), 7);
  assert_int_equal(
    cmt_addrbook_select(u.b, &q, out, 3, BOOK_T0 + 31 * MINUTE_NS), 3);
  book_user_fini(&u);
}

static void groups_have_caps(void **state) {
  cmt_addrbook_query q = proven_query();
  size_t got;
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  reach_many(&u, 1, 400, 40, BOOK_T0);
  q.per_16_max = 8;
  q.per_24_max = 2;
  got = cmt_addrbook_select(u.b, &q, out, 250, BOOK_T0);
  assert_int_equal(got, 10 * 8);
  for (size_t i = 0; i < got; i++) {
    size_t wide = 0, narrow = 0;
    unsigned a, b, c, d, e, f;

    assert_int_equal(sscanf(out[i].host, "%u.%u.%u", &a, &b, &c), 3);
    for (size_t k = 0; k < got; k++) {
      assert_int_equal(sscanf(out[k].host, "%u.%u.%u", &d, &e, &f), 3);
      wide += a == d && b == e;
      narrow += a == d && b == e && c == f;
    }
    assert_in_range(wide, 1, 8);
    assert_in_range(narrow, 1, 2);
  }
  book_user_fini(&u);
}

/* All nodes of a private network are near each other. */
static void groups_without_routes_have_no_caps(void **state) {
  cmt_addrbook_query q = proven_query();
  cmt_addrbook_options o;
  cmt_addrbook_proof p;
  cmt_addrbook *b;

  (void)state;
  cmt_addrbook_options_init(&o);
  o.allow_unroutable = true;
  assert_cmt(CMT_OK, cmt_addrbook_new(&o, &b, NULL));
  cmt_addrbook_proof_init(&p);
  for (unsigned i = 1; i <= 20; i++) {
    cmt_net_addr a = book_node_at(i, "10.0.0.1", (uint16_t)i);

    p.addr = &a;
    assert_cmt(CMT_OK, cmt_addrbook_proved(b, &p, BOOK_T0));
  }
  q.per_16_max = 8;
  q.per_24_max = 2;
  assert_int_equal(cmt_addrbook_select(b, &q, out, 250, BOOK_T0), 20);
  cmt_addrbook_delete(b);
}

static void filters_count(void **state) {
  cmt_addrbook_query q = proven_query();
  cmt_addrbook_proof p;
  cmt_net_addr v6 = book_node_at(1, "2a01:4f8::9", 1), v4 = book_node(2);
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  cmt_addrbook_proof_init(&p);
  p.addr = &v6;
  p.version = "1.0.1";
  p.height = 100;
  assert_cmt(CMT_OK, cmt_addrbook_proved(u.b, &p, BOOK_T0));
  p.addr = &v4;
  p.version = "0.38.25";
  p.height = 200;
  assert_cmt(CMT_OK, cmt_addrbook_proved(u.b, &p, BOOK_T0));
  assert_int_equal(cmt_addrbook_select(u.b, &q, out, 9, BOOK_T0), 2);
  q.families = CMT_ADDRBOOK_IP6;
  assert_int_equal(cmt_addrbook_select(u.b, &q, out, 9, BOOK_T0), 1);
  assert_string_equal(out[0].host, "2a01:4f8::9");
  q.families = CMT_ADDRBOOK_IP4;
  assert_int_equal(cmt_addrbook_select(u.b, &q, out, 9, BOOK_T0), 1);
  assert_string_equal(out[0].host, v4.host);
  q.families = 0;
  q.height_min = 150;
  assert_int_equal(cmt_addrbook_select(u.b, &q, out, 9, BOOK_T0), 1);
  assert_string_equal(out[0].host, v4.host);
  q.height_min = 0;
  q.version = "1.";
  assert_int_equal(cmt_addrbook_select(u.b, &q, out, 9, BOOK_T0), 1);
  assert_string_equal(out[0].host, v6.host);
  q.version = NULL;
  q.asker = &v6.id;
  assert_int_equal(cmt_addrbook_select(u.b, &q, out, 9, BOOK_T0), 1);
  assert_string_equal(out[0].host, v4.host);
  book_user_fini(&u);
}

/* |count| nodes with IPv6 that were reached at BOOK_T0. */
static void reach_many_6(book_user *u, uint32_t first, uint32_t count) {
  for (uint32_t i = 0; i < count; i++) {
    char host[40];
    cmt_net_addr a;

    snprintf(host, sizeof host, "2a01:%x::1", i + 1);
    a = book_node_at(first + i, host, 1);
    book_reach(u, &a, false, BOOK_T0);
  }
}

static size_t count_6(size_t got) {
  size_t count = 0;

  for (size_t i = 0; i < got; i++) {
    count += strchr(out[i].host, ':') != NULL;
    for (size_t k = 0; k < i; k++) {
      assert_string_not_equal(out[i].host, out[k].host);
    }
  }
  return count;
}

/* A family that few nodes have comes whole, and one that many have takes half
   of the places alone. */
static void a_family_comes_first(void **state) {
  cmt_addrbook_query q = proven_query();
  size_t got;
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  reach_many(&u, 1, 600, 1, BOOK_T0);
  reach_many_6(&u, 0x2000, 30);
  q.families_first = CMT_ADDRBOOK_IP6;
  q.max = 100;
  got = cmt_addrbook_select(u.b, &q, out, 250, BOOK_T0);
  assert_int_equal(got, 100);
  assert_int_equal(count_6(got), 30);
  q.families = CMT_ADDRBOOK_IP4;
  got = cmt_addrbook_select(u.b, &q, out, 250, BOOK_T0);
  assert_int_equal(got, 100);
  assert_int_equal(count_6(got), 0);
  q.families = 0;
  reach_many_6(&u, 0x2000, 600);
  q.families_first = CMT_ADDRBOOK_IP4;
  got = cmt_addrbook_select(u.b, &q, out, 250, BOOK_T0);
  assert_int_equal(got, 100);
  assert_in_range(count_6(got), 10, 45); /* Half of the other half. */
  book_user_fini(&u);
}

static void a_height_has_its_time(void **state) {
  cmt_net_addr a = book_node(1), stranger = book_node(2);
  cmt_addrbook_query q = proven_query();
  cmt_addrbook_status before, after;
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  book_reach(&u, &a, false, BOOK_T0);
  assert_int_equal(book_entry(&u, &a).height, 0);
  assert_int_equal(book_entry(&u, &a).height_ns, 0);
  q.height_min = 70;
  assert_int_equal(cmt_addrbook_select(u.b, &q, out, 9, BOOK_T0), 0);
  cmt_addrbook_get_status(u.b, &before);
  cmt_addrbook_set_height(u.b, &a.id, 70, BOOK_T0 + CMT_SECONDS(5));
  cmt_addrbook_get_status(u.b, &after);
  assert_true(after.revision > before.revision);
  assert_int_equal(book_entry(&u, &a).height, 70);
  assert_int_equal(book_entry(&u, &a).height_ns, BOOK_T0 + CMT_SECONDS(5));
  assert_int_equal(
    cmt_addrbook_select(u.b, &q, out, 9, BOOK_T0 + CMT_SECONDS(5)), 1);
  /* It may fall; what is no height, and whom the book lacks, change nothing. */
  cmt_addrbook_set_height(u.b, &a.id, 60, BOOK_T0 + CMT_SECONDS(9));
  cmt_addrbook_set_height(u.b, &a.id, 0, BOOK_T0 + CMT_SECONDS(10));
  cmt_addrbook_set_height(u.b, &a.id, -4, BOOK_T0 + CMT_SECONDS(11));
  cmt_addrbook_set_height(u.b, &stranger.id, 90, BOOK_T0 + CMT_SECONDS(12));
  assert_int_equal(book_entry(&u, &a).height, 60);
  assert_int_equal(book_entry(&u, &a).height_ns, BOOK_T0 + CMT_SECONDS(9));
  book_reach(&u, &a, false, BOOK_T0 + CMT_SECONDS(20));
  assert_int_equal(book_entry(&u, &a).height_ns, BOOK_T0 + CMT_SECONDS(9));
  book_user_fini(&u);
}

/* What was never reached is never due, and each failure doubles the wait. */
static void proofs_are_due_again(void **state) {
  static const unsigned waits_s[] = {30, 60, 120, 240, 480};
  cmt_net_addr a[4], src = book_node(0x70000), due[4];
  uint64_t now = BOOK_T0;
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  for (uint32_t i = 0; i < 4; i++) {
    a[i] = book_node(i + 1);
    if (i < 3) {
      book_reach(&u, &a[i], false, BOOK_T0 + CMT_SECONDS(3 - i));
    } else {
      book_add(&u, &a[i], &src, BOOK_T0);
    }
  }
  now += MINUTE_NS;
  assert_int_equal(cmt_addrbook_due(u.b, MINUTE_NS, due, 4, now), 0);
  now += CMT_SECONDS(2);
  assert_int_equal(cmt_addrbook_due(u.b, MINUTE_NS, due, 4, now), 2);
  assert_string_equal(due[0].host, a[2].host);
  assert_string_equal(due[1].host, a[1].host);
  assert_int_equal(cmt_addrbook_due(u.b, MINUTE_NS, due, 1, now + HOUR_NS), 1);
  assert_string_equal(due[0].host, a[2].host);
  assert_int_equal(cmt_addrbook_due(u.b, MINUTE_NS, due, 0, now), 0);
  for (size_t i = 0; i < sizeof waits_s / sizeof *waits_s; i++) {
    cmt_addrbook_failed(u.b, &a[2].id, now);
    now += CMT_SECONDS(waits_s[i]);
    assert_int_equal(cmt_addrbook_due(u.b, DAY_NS, due, 4, now - 1), 0);
    assert_int_equal(cmt_addrbook_due(u.b, DAY_NS, due, 4, now), 1);
  }
  book_user_fini(&u);
}

/* A wall clock that ran ahead is put back: what was proved by it is neither
   served nor left alone until the same day comes again.  A small step is none
   of that. */
static void a_clock_may_be_put_back(void **state) {
  cmt_net_addr a = book_node(1), due[2];
  cmt_addrbook_query q = proven_query();
  uint64_t back = BOOK_T0 - 30 * DAY_NS;
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  book_reach(&u, &a, false, BOOK_T0);
  q.proven_within_ns = HOUR_NS;
  assert_int_equal(
    cmt_addrbook_select(u.b, &q, out, 9, BOOK_T0 - CMT_SECONDS(1)), 1);
  assert_int_equal(
    cmt_addrbook_due(u.b, MINUTE_NS, due, 2, BOOK_T0 - CMT_SECONDS(1)), 0);
  assert_int_equal(cmt_addrbook_select(u.b, &q, out, 9, back), 0);
  assert_int_equal(cmt_addrbook_count_proven(u.b, HOUR_NS, back), 0);
  assert_int_equal(cmt_addrbook_due(u.b, MINUTE_NS, due, 2, back), 1);
  cmt_addrbook_failed(u.b, &a.id, back);
  assert_int_equal(cmt_addrbook_due(u.b, MINUTE_NS, due, 2, back), 0);
  book_reach(&u, &a, false, back + CMT_SECONDS(30));
  assert_int_equal(cmt_addrbook_select(u.b, &q, out, 9, back + CMT_SECONDS(30)),
                   1);
  book_user_fini(&u);
}

/* With a share of half, two answers of half of the book are all of it. */
static void what_was_not_served_comes_first(void **state) {
  cmt_addrbook_query q = proven_query();
  size_t again = 0;
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  reach_many(&u, 1, 200, 1, BOOK_T0);
  q.max = 100;
  q.fresh_percent = 100;
  assert_int_equal(cmt_addrbook_select(u.b, &q, out, 250, BOOK_T0), 100);
  assert_int_equal(cmt_addrbook_select(u.b, &q, out, 250, BOOK_T0 + 1), 100);
  for (uint32_t i = 1; i <= 200; i++) {
    cmt_net_addr a = book_node(i);

    again += book_entry(&u, &a).served_ns == 0;
  }
  assert_int_equal(again, 0);
  book_user_fini(&u);
}

static void reliable_nodes_come_first(void **state) {
  cmt_addrbook_query q = proven_query();
  size_t got, reliable = 0;
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  reach_many(&u, 1, 100, 1, BOOK_T0);
  for (uint32_t i = 1; i <= 50; i++) {
    cmt_net_addr a = book_node(i);

    for (uint64_t k = 0; k < 30; k++) {
      cmt_addrbook_failed(u.b, &a.id, BOOK_T0 + k * MINUTE_NS);
    }
  }
  reach_many(&u, 1, 100, 1, BOOK_T0 + 30 * MINUTE_NS);
  q.max = 50;
  got = cmt_addrbook_select(u.b, &q, out, 250, BOOK_T0 + 31 * MINUTE_NS);
  for (size_t i = 0; i < got; i++) {
    reliable += book_entry(&u, &out[i]).reliable;
  }
  assert_int_equal(reliable, 50);
  book_user_fini(&u);
}

/* ---- reliability ---- */

static void windows_fade(void **state) {
  cmt__book_entry e = {.attempts = 0};

  (void)state;
  cmt__book_count_dial(&e, true, BOOK_T0);
  assert_float_equal(e.windows[0].success, 1, 1e-6);
  /* One length later a failure weighs 1 - 1/e. */
  cmt__book_count_dial(&e, false, BOOK_T0 + 2 * HOUR_NS);
  assert_float_equal(e.windows[0].success, 0.36787944, 1e-6);
  assert_float_equal(e.windows[0].count, 1.36787944, 1e-6);
  assert_float_equal(e.windows[2].success, 0.92004441, 1e-6);
  /* After years nothing is left. */
  cmt__book_count_dial(&e, false, BOOK_T0 + 3000 * DAY_NS);
  assert_float_equal(e.windows[4].success, 0, 1e-6);
  assert_float_equal(e.windows[4].count, 1, 1e-6);
}

/* A node that is up for half of each day, dialed each half hour. */
static void half_a_day_is_not_reliable_in_the_other_half(void **state) {
  cmt__book_entry e = {.last_success_ns = BOOK_T0};
  bool reliable[48];

  (void)state;
  for (uint64_t i = 0; i < UINT64_C(48) * 120; i++) {
    bool up = i % 48 < 24;

    e.attempts = up ? 0 : e.attempts + 1;
    cmt__book_count_dial(&e, up, BOOK_T0 + i * HOUR_NS / 2);
    reliable[i % 48] = cmt__book_is_reliable(&e);
  }
  assert_true(reliable[23]);
  assert_float_equal(e.windows[4].success, 0.5, 0.02);
  assert_true(reliable[47]); /* Half of a month is above 35 %. */
  for (uint64_t i = 0; i < 48 * 30; i++) {
    cmt__book_count_dial(&e, false, e.tried_ns + HOUR_NS / 2);
  }
  assert_false(cmt__book_is_reliable(&e));
}

/* ---- random calls ---- */

static cmt_net_addr random_addr(uint64_t *seed) {
  cmt_net_addr a = book_node_at((uint32_t)test_below(seed, 600) + 1, "", 1);

  snprintf(a.host, sizeof a.host, "%zu.%zu.1.%zu", 130 + test_below(seed, 3),
           test_below(seed, 4), test_below(seed, 3));
  return a;
}

static void random_outcome(book_user *u, uint64_t *seed, uint64_t now) {
  cmt_net_addr a = random_addr(seed), asked;
  cmt_addrbook_proof p;

  cmt_addrbook_proof_init(&p);
  p.addr = &a;
  switch (test_below(seed, 6)) {
  case 0:
    cmt_ignore(cmt_addrbook_proved(u->b, &p, now));
    break;
  case 1:
    cmt_addrbook_good(u->b, &a.id, now);
    break;
  case 2:
    if (cmt_addrbook_next_test(u->b, &asked, now) == CMT_OK) {
      cmt_addrbook_failed(u->b, &asked.id, now);
    }
    break;
  case 3:
    cmt_addrbook_remove(u->b, &a.id);
    break;
  default:
    cmt_addrbook_failed(u->b, &a.id, now);
  }
}

static void random_call(book_user *u, uint64_t *seed, uint64_t now) {
  cmt_net_addr a = random_addr(seed), src = random_addr(seed);
  cmt_addrbook_query q;
  cmt_addrbook_ban ban;

  switch (test_below(seed, 20)) {
  case 0:
    cmt_addrbook_ban_init(&ban);
    ban.kind = (cmt_addrbook_ban_kind)(1 + test_below(seed, 3));
    ban.addr = a;
    ban.end_ns = now + test_below(seed, 100) * MINUTE_NS;
    cmt_ignore(cmt_addrbook_bar(u->b, &ban, now));
    break;
  case 1:
    cmt_addrbook_query_init(&q);
    q.biased = true;
    q.bias = (unsigned)test_below(seed, 101);
    assert_in_range(cmt_addrbook_select(u->b, &q, out, 250, now), 0, 250);
    break;
  case 2:
    cmt_ignore(cmt_addrbook_pick(u->b, (unsigned)test_below(seed, 101), &a));
    break;
  case 3:
  case 4:
  case 5:
  case 6:
  case 7:
    random_outcome(u, seed, now);
    break;
  default:
    (void)cmt_addrbook_add(u->b, &a, &src, now);
  }
}

/* 600 ids in a dozen groups: buckets are full, and everything happens. */
static void random_calls_keep_every_invariant(void **state) {
  (void)state;
  for (uint64_t i = 1; i <= 10; i++) {
    uint64_t seed = i, now = BOOK_T0;
    book_user u;

    test_seed = i;
    book_user_init(&u, i);
    for (int k = 0; k < 10000; k++) {
      now += test_below(&seed, 300) * CMT_SECONDS(1);
      random_call(&u, &seed, now);
      if (k % 500 == 0) {
        book_check(u.b);
      }
    }
    book_user_fini(&u);
  }
  test_seed = 0;
}

/* Each allocation fails once: the call reports it, or does less. */
static void lack_of_memory_leaves_a_book(void **state) {
  (void)state;
  for (size_t i = 0; i < 40; i++) {
    cmt_addrbook_snapshot *s;
    uint64_t seed = 5;
    book_user u;

    book_user_init(&u, 1);
    u.env.fail_at = u.env.allocs + i;
    for (int k = 0; k < 2000; k++) {
      random_call(&u, &seed, BOOK_T0 + (uint64_t)k * MINUTE_NS);
    }
    if (cmt_addrbook_snapshot_new(u.b, &s) == CMT_OK) {
      cmt_addrbook_snapshot_delete(s);
    }
    book_user_fini(&u);
  }
}

static void a_full_book_takes_its_bytes(void **state) {
  cmt_addrbook_status status;
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  for (uint32_t i = 0; i < 200000; i++) {
    cmt_net_addr a = book_node(i), src = book_node(i * 2654435761u);

    snprintf(a.host, sizeof a.host, "%u.%u.1.1", 130 + i % 38, i / 38 % 250);
    (void)cmt_addrbook_add(u.b, &a, &src, BOOK_T0);
  }
  status = book_status(&u);
  assert_in_range(status.entries, 16000, 256 * 65);
  assert_in_range(status.bytes / status.entries, 200, 248);
  /* What the book reports is what it has; the rest is of the environment. */
  assert_int_equal(status.bytes, u.env.live_bytes);
  book_user_fini(&u);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(only_fresh_proofs_are_served),
    cmocka_unit_test(groups_have_caps),
    cmocka_unit_test(groups_without_routes_have_no_caps),
    cmocka_unit_test(filters_count),
    cmocka_unit_test(a_family_comes_first),
    cmocka_unit_test(a_height_has_its_time),
    cmocka_unit_test(proofs_are_due_again),
    cmocka_unit_test(a_clock_may_be_put_back),
    cmocka_unit_test(what_was_not_served_comes_first),
    cmocka_unit_test(reliable_nodes_come_first),
    cmocka_unit_test(windows_fade),
    cmocka_unit_test(half_a_day_is_not_reliable_in_the_other_half),
    cmocka_unit_test_teardown(random_calls_keep_every_invariant,
                              test_print_seed),
    cmocka_unit_test(lack_of_memory_leaves_a_book),
    cmocka_unit_test(a_full_book_takes_its_bytes),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
