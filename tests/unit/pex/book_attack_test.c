/* SPDX-License-Identifier: Apache-2.0 */

/* Each weakness of CometBFT's book that this one does not have, and what is
   kept out. */

#include "book_user.h"

#define HOUR_NS CMT_SECONDS(3600)
#define DAY_NS CMT_SECONDS(86400)

/* How many new buckets have an entry. */
static size_t new_buckets(const book_user *u) {
  size_t count = 0;

  for (unsigned i = 0; i < BOOK_NEW_BUCKETS; i++) {
    count += u->b->fill[i] > 0;
  }
  return count;
}

/* ---- sources ---- */

/* Under a thousand ids, an attacker with one address reports 20,000 addresses
   all over the network. */
static void one_address_reaches_32_new_buckets(void **state) {
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  for (uint32_t i = 0; i < 20000; i++) {
    cmt_net_addr src = book_node_at(i % 1000 + 1, "66.6.6.6", 1024), a;

    a = book_node(0x100000 + i);
    snprintf(a.host, sizeof a.host, "%u.%u.1.1", 130 + i % 38, i / 38 % 250);
    (void)cmt_addrbook_add(u.b, &a, &src, BOOK_T0);
  }
  assert_in_range(new_buckets(&u), 25, 32);
  assert_in_range(book_status(&u).entries, 1000, 32 * 65);
  book_user_fini(&u);
}

static void a_group_from_one_source_fills_one_bucket(void **state) {
  cmt_net_addr src = book_node(1);
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  for (uint32_t i = 0; i < 1000; i++) {
    cmt_net_addr a = book_node(100 + i);

    snprintf(a.host, sizeof a.host, "9.9.%u.%u", i / 250, i % 250);
    (void)cmt_addrbook_add(u.b, &a, &src, BOOK_T0);
  }
  assert_int_equal(new_buckets(&u), 1);
  assert_int_equal(book_status(&u).entries, 65);
  book_user_fini(&u);
}

/* A crowd of newcomers for a full bucket, again and again: the same entries are
   there. */
static void reporting_again_displaces_nobody(void **state) {
  cmt_net_addr src = book_node(1), a;
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  for (uint32_t i = 0; i < 65; i++) {
    a = book_node_at(100 + i, "9.9.1.1", (uint16_t)(i + 1));
    book_add(&u, &a, &src, BOOK_T0);
  }
  for (uint32_t i = 0; i < 20000; i++) {
    a = book_node_at(1000 + i % 2000, "9.9.2.2", (uint16_t)(i % 2000 + 1));
    assert_cmt(CMT_ELIMIT, cmt_addrbook_add(u.b, &a, &src, BOOK_T0 + i));
  }
  for (uint32_t i = 0; i < 65; i++) {
    a = book_node(100 + i);
    assert_true(cmt_addrbook_has(u.b, &a.id));
  }
  assert_int_equal(book_status(&u).refused, 20000);
  book_user_fini(&u);
}

/* An entry of several buckets makes room in one, and stays in the others. */
static void an_entry_of_two_buckets_leaves_one(void **state) {
  cmt_net_addr src = book_node(1), far = book_node_at(2, "88.1.1.1", 1), a;
  size_t twice = 0;
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  for (uint32_t i = 0; i < 65; i++) {
    a = book_node_at(100 + i, "9.9.1.1", (uint16_t)(i + 1));
    book_add(&u, &a, &src, BOOK_T0);
    book_add(&u, &a, &far, BOOK_T0);
    twice += book_entry(&u, &a).bucket_count > 1;
  }
  assert_in_range(twice, 15, 50);
  for (uint32_t i = 0; i < 2000; i++) {
    a = book_node_at(1000 + i, "9.9.2.2", 1);
    (void)cmt_addrbook_add(u.b, &a, &src, BOOK_T0);
  }
  for (uint32_t i = 0; i < 65; i++) {
    a = book_node(100 + i);
    assert_int_equal(book_entry(&u, &a).bucket_count, 1);
  }
  book_user_fini(&u);
}

static void proofs_displace_hearsay(void **state) {
  cmt_net_addr src = book_node_at(1, "9.9.3.3", 1), a;
  size_t there = 0;
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  /* The source of a proof is the node itself, so these are of one bucket. */
  for (uint32_t i = 0; i < 65; i++) {
    a = book_node_at(100 + i, "9.9.1.1", (uint16_t)(i + 1));
    book_add(&u, &a, &src, BOOK_T0);
  }
  for (uint32_t i = 0; i < 200; i++) {
    cmt_addrbook_proof p;

    a = book_node_at(1000 + i, "9.9.2.2", 1);
    cmt_addrbook_proof_init(&p);
    p.addr = &a;
    there += cmt_addrbook_proved(u.b, &p, BOOK_T0) == CMT_OK;
  }
  assert_int_equal(book_status(&u).proven, there);
  assert_in_range(there, 50, 65);
  assert_int_equal(book_status(&u).entries, 65);
  book_user_fini(&u);
}

/* ---- claims ---- */

static void a_claim_counts_if_it_is_the_address_of_the_socket(void **state) {
  cmt_net_addr socket = book_node_at(1, "5.5.5.5", 51234), dial;
  cmt_net_addr same = book_node_at(1, "5.5.5.5", 26656);
  cmt_net_addr else_where = book_node_at(1, "6.6.6.6", 26656);
  cmt_net_addr any = book_node_at(1, "0.0.0.0", 26656);
  cmt_net_addr private = book_node_at(1, "10.0.0.1", 26656);
  cmt_net_addr name = book_node_at(1, "node.example", 26657);
  cmt_net_addr other_id = book_node_at(2, "5.5.5.5", 26656);
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  assert_cmt(CMT_EAGAIN, cmt_addrbook_add_claimed(u.b, &else_where, &socket,
                                                  &dial, BOOK_T0));
  assert_string_equal(dial.host, "6.6.6.6");
  assert_cmt(CMT_EAGAIN,
             cmt_addrbook_add_claimed(u.b, &any, &socket, &dial, BOOK_T0));
  assert_string_equal(dial.host, "5.5.5.5");
  assert_int_equal(dial.port, 26656);
  assert_cmt(CMT_EAGAIN,
             cmt_addrbook_add_claimed(u.b, &name, &socket, &dial, BOOK_T0));
  assert_string_equal(dial.host, "5.5.5.5");
  assert_int_equal(dial.port, 26657);
  assert_cmt(CMT_EUNREACH,
             cmt_addrbook_add_claimed(u.b, &private, &socket, &dial, BOOK_T0));
  assert_cmt(CMT_EINVAL,
             cmt_addrbook_add_claimed(u.b, &other_id, &socket, &dial, BOOK_T0));
  assert_int_equal(book_status(&u).entries, 0);
  assert_cmt(CMT_OK,
             cmt_addrbook_add_claimed(u.b, &same, &socket, &dial, BOOK_T0));
  assert_int_equal(book_entry(&u, &same).addr.port, 26656);
  book_reach(&u, &else_where, false, BOOK_T0);
  assert_string_equal(book_entry(&u, &same).addr.host, "6.6.6.6");
  book_user_fini(&u);
}

/* ---- answers ---- */

static void answers_are_limited(void **state) {
  static cmt_net_addr addrs[300];
  cmt_net_addr src = book_node_at(1, "9.9.3.3", 1), other = src;
  size_t added = 0, looked = 0;
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  snprintf(other.id.text, sizeof other.id.text, "%040x", 2);
  for (uint32_t round = 0; round < 5; round++) {
    for (uint32_t i = 0; i < 300; i++) {
      addrs[i] = book_node(1000 * (round + 1) + i);
      snprintf(addrs[i].host, sizeof addrs[i].host, "%u.%u.1.1", 130 + i % 38,
               round * 50 + i / 38);
    }
    added = cmt_addrbook_add_answer(u.b, addrs, 300, &src, BOOK_T0 + round);
    looked += round < 4 ? 250 : 0;
    assert_int_equal(book_status(&u).added + book_status(&u).refused, looked);
    assert_int_equal(added == 0, round == 4);
  }
  /* The hour is that of each peer. */
  (void)cmt_addrbook_add_answer(u.b, addrs, 10, &other, BOOK_T0 + 9);
  assert_int_equal(book_status(&u).added + book_status(&u).refused, 1010);
  (void)cmt_addrbook_add_answer(u.b, addrs + 100, 10, &src, BOOK_T0 + HOUR_NS);
  assert_int_equal(book_status(&u).added + book_status(&u).refused, 1020);
  book_user_fini(&u);
}

/* ---- full old buckets ---- */

/* Fills the old bucket of |u| that node 1 belongs to, and gives the 66th node
   of it; each of them is reported and reached. */
static cmt_net_addr fill_old_bucket(book_user *u) {
  unsigned bucket = BOOK_BUCKETS;
  size_t found = 0;

  for (uint32_t i = 1;; i++) {
    cmt_net_addr a = book_node_at(i, "5.5.5.5", 26656);
    cmt_net_addr src = book_node(i * 7919);
    cmt__book_addr bytes;

    assert_cmt(CMT_OK, cmt__book_addr_read(&a, false, &bytes));
    if (bucket == BOOK_BUCKETS) {
      bucket = cmt__book_old_bucket(u->b, &bytes);
    }
    if (cmt__book_old_bucket(u->b, &bytes) != bucket) {
      continue;
    }
    book_add(u, &a, &src, BOOK_T0);
    if (found++ == 65) {
      return a;
    }
    book_reach(u, &a, true, BOOK_T0);
  }
}

static void an_old_entry_is_dialed_before_it_goes(void **state) {
  cmt_net_addr late, asked;
  uint64_t now = BOOK_T0 + DAY_NS;
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  late = fill_old_bucket(&u);
  book_reach(&u, &late, true, now);
  assert_int_equal(book_entry(&u, &late).kind, CMT_ADDRBOOK_NEW);
  assert_int_equal(book_status(&u).tests, 1);
  assert_cmt(CMT_OK, cmt_addrbook_next_test(u.b, &asked, now));
  assert_int_equal(book_entry(&u, &asked).kind, CMT_ADDRBOOK_OLD);
  assert_cmt(CMT_EAGAIN, cmt_addrbook_next_test(u.b, &asked, now + 1));
  /* It answers: all is as before. */
  book_reach(&u, &asked, true, now + 2);
  assert_int_equal(book_status(&u).tests, 0);
  assert_int_equal(book_entry(&u, &asked).kind, CMT_ADDRBOOK_OLD);
  assert_int_equal(book_entry(&u, &late).kind, CMT_ADDRBOOK_NEW);
  /* Now that it was reached it keeps its place without a dial. */
  cmt_addrbook_good(u.b, &late.id, now + HOUR_NS);
  assert_int_equal(book_status(&u).tests, 0);
  book_user_fini(&u);
}

static void an_old_entry_that_fails_changes_places(void **state) {
  cmt_net_addr late, asked;
  uint64_t now = BOOK_T0 + DAY_NS;
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  late = fill_old_bucket(&u);
  book_reach(&u, &late, true, now);
  assert_cmt(CMT_OK, cmt_addrbook_next_test(u.b, &asked, now));
  cmt_addrbook_failed(u.b, &asked.id, now + 1);
  assert_int_equal(book_entry(&u, &late).kind, CMT_ADDRBOOK_OLD);
  assert_int_equal(book_entry(&u, &asked).kind, CMT_ADDRBOOK_NEW);
  assert_int_equal(book_status(&u).entries, 66);
  assert_int_equal(book_status(&u).old_entries, 65);
  book_user_fini(&u);
}

static void a_contest_without_a_dial_ends_after_half_an_hour(void **state) {
  cmt_net_addr late, asked;
  uint64_t now = BOOK_T0 + DAY_NS;
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  late = fill_old_bucket(&u);
  book_reach(&u, &late, true, now);
  assert_cmt(CMT_OK, cmt_addrbook_next_test(u.b, &asked, now));
  assert_cmt(CMT_OK,
             cmt_addrbook_next_test(u.b, &asked, now + CMT_SECONDS(29 * 60)));
  assert_int_equal(book_entry(&u, &late).kind, CMT_ADDRBOOK_NEW);
  assert_cmt(CMT_EAGAIN,
             cmt_addrbook_next_test(u.b, &asked, now + CMT_SECONDS(30 * 60)));
  assert_int_equal(book_entry(&u, &late).kind, CMT_ADDRBOOK_OLD);
  assert_int_equal(book_entry(&u, &asked).kind, CMT_ADDRBOOK_NEW);
  book_user_fini(&u);
}

/* A hundred promotions into one full bucket lose nobody. */
static void promotions_lose_nothing(void **state) {
  cmt_net_addr asked;
  book_user u;
  size_t entries;

  (void)state;
  book_user_init(&u, 1);
  (void)fill_old_bucket(&u);
  entries = book_status(&u).entries;
  for (uint32_t i = 0; i < 100; i++) {
    uint64_t now = BOOK_T0 + DAY_NS + i * HOUR_NS;
    cmt_net_addr a = book_node_at(0x900000 + i, "5.5.5.5", 26656);
    cmt_net_addr src = book_node(i * 104729 + 5);

    book_add(&u, &a, &src, now);
    book_reach(&u, &a, true, now);
    while (cmt_addrbook_next_test(u.b, &asked, now) == CMT_OK) {
      cmt_addrbook_failed(u.b, &asked.id, now);
    }
    assert_int_equal(book_status(&u).entries, ++entries);
    book_check(u.b);
  }
  book_user_fini(&u);
}

/* ---- what is kept out ---- */

static void bar(book_user *u, const cmt_net_addr *a, cmt_addrbook_ban_kind kind,
                uint64_t end_ns) {
  cmt_addrbook_ban ban;

  cmt_addrbook_ban_init(&ban);
  ban.kind = kind;
  ban.addr = *a;
  ban.end_ns = end_ns;
  assert_cmt(CMT_OK, cmt_addrbook_bar(u->b, &ban, BOOK_T0));
}

static void a_wrong_network_is_remembered_for_a_week(void **state) {
  cmt_net_addr a = book_node(1), moved = book_node_at(1, "7.7.7.7", 1);
  cmt_net_addr src = book_node(2);
  uint64_t end = BOOK_T0 + CMT_ADDRBOOK_WRONG_NS;
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  book_add(&u, &a, &src, BOOK_T0);
  bar(&u, &a, CMT_ADDRBOOK_WRONG_NETWORK, end);
  assert_false(cmt_addrbook_has(u.b, &a.id));
  assert_cmt(CMT_EBANNED, cmt_addrbook_add(u.b, &moved, &src, end - 1));
  assert_true(cmt_addrbook_is_barred(u.b, &moved, end - 1));
  assert_cmt(CMT_OK, cmt_addrbook_add(u.b, &moved, &src, end));
  book_user_fini(&u);
}

/* Somebody reports an honest id at an address of his. */
/* Where an old entry with its address belongs. */
static void assert_in_own_bucket(const cmt_addrbook *b, const cmt_node_id *id) {
  const cmt__book_entry *e;
  uint8_t bytes[BOOK_ID];

  assert_true(cmt__book_id_read(id, bytes));
  e = cmt__book_lookup(b, bytes);
  assert_non_null(e);
  assert_true(e->old);
  assert_int_equal(e->buckets[0], cmt__book_old_bucket(b, &e->addr));
}

static void a_wrong_id_bars_only_its_place(void **state) {
  cmt_net_addr false_one = book_node_at(1, "6.6.6.6", 1), real = book_node(1);
  cmt_net_addr src = book_node(2);
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  book_add(&u, &false_one, &src, BOOK_T0);
  bar(&u, &false_one, CMT_ADDRBOOK_WRONG_ID, BOOK_T0 + DAY_NS);
  assert_false(cmt_addrbook_has(u.b, &real.id));
  assert_cmt(CMT_EBANNED, cmt_addrbook_add(u.b, &false_one, &src, BOOK_T0));
  book_add(&u, &real, &src, BOOK_T0);
  /* With two addresses the entry goes on with the other one. */
  false_one.port = 2;
  book_add(&u, &false_one, &src, BOOK_T0);
  cmt_addrbook_good(u.b, &real.id, BOOK_T0); /* In the bucket of the first. */
  bar(&u, &real, CMT_ADDRBOOK_WRONG_ID, BOOK_T0 + DAY_NS);
  assert_int_equal(book_entry(&u, &real).addr.port, 2);
  assert_in_own_bucket(u.b, &real.id);
  assert_int_equal(cmt_addrbook_unbar(u.b, &real.id), 2);
  assert_cmt(CMT_OK, cmt_addrbook_add(u.b, &real, &src, BOOK_T0));
  book_user_fini(&u);
}

static void the_ban_that_ends_first_gives_way(void **state) {
  cmt_addrbook_ban ban;
  cmt_net_addr a;
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  for (uint32_t i = 0; i <= CMT_ADDRBOOK_BANS_MAX; i++) {
    a = book_node(i + 1);
    bar(&u, &a, CMT_ADDRBOOK_MISBEHAVED, BOOK_T0 + DAY_NS + 7 * i % 5001);
  }
  assert_int_equal(book_status(&u).bans, CMT_ADDRBOOK_BANS_MAX);
  a = book_node(1);
  assert_false(cmt_addrbook_is_barred(u.b, &a, BOOK_T0));
  /* The longer ban of a subject counts. */
  a = book_node(9);
  bar(&u, &a, CMT_ADDRBOOK_MISBEHAVED, BOOK_T0 + 9 * DAY_NS);
  bar(&u, &a, CMT_ADDRBOOK_MISBEHAVED, BOOK_T0 + 1);
  assert_true(cmt_addrbook_is_barred(u.b, &a, BOOK_T0 + 8 * DAY_NS));
  cmt_addrbook_ban_init(&ban);
  assert_cmt(CMT_EINVAL, cmt_addrbook_bar(u.b, &ban, BOOK_T0));
  ban.addr.id = a.id;
  ban.kind = CMT_ADDRBOOK_WRONG_ID;
  assert_cmt(CMT_EINVAL, cmt_addrbook_bar(u.b, &ban, BOOK_T0));
  ban.kind = (cmt_addrbook_ban_kind)9;
  assert_cmt(CMT_EINVAL, cmt_addrbook_bar(u.b, &ban, BOOK_T0));
  book_user_fini(&u);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(one_address_reaches_32_new_buckets),
    cmocka_unit_test(a_group_from_one_source_fills_one_bucket),
    cmocka_unit_test(reporting_again_displaces_nobody),
    cmocka_unit_test(an_entry_of_two_buckets_leaves_one),
    cmocka_unit_test(proofs_displace_hearsay),
    cmocka_unit_test(a_claim_counts_if_it_is_the_address_of_the_socket),
    cmocka_unit_test(answers_are_limited),
    cmocka_unit_test(an_old_entry_is_dialed_before_it_goes),
    cmocka_unit_test(an_old_entry_that_fails_changes_places),
    cmocka_unit_test(a_contest_without_a_dial_ends_after_half_an_hour),
    cmocka_unit_test(promotions_lose_nothing),
    cmocka_unit_test(a_wrong_network_is_remembered_for_a_week),
    cmocka_unit_test(a_wrong_id_bars_only_its_place),
    cmocka_unit_test(the_ban_that_ends_first_gives_way),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
