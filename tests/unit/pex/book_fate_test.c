/* SPDX-License-Identifier: Apache-2.0 */

/* What became of addresses is counted, each at one place. */

#include "book_user.h"

#define MINUTE_NS CMT_SECONDS(60)

static uint64_t fate(const book_user *u, cmt_addrbook_fate f) {
  return book_status(u).fates[f];
}

static uint64_t all_fates(const book_user *u) {
  uint64_t sum = 0;

  for (unsigned i = 0; i < CMT_ADDRBOOK_FATES; i++) {
    sum += fate(u, (cmt_addrbook_fate)i);
  }
  return sum;
}

static void bar(book_user *u, const cmt_net_addr *a,
                cmt_addrbook_ban_kind kind) {
  cmt_addrbook_ban ban;

  cmt_addrbook_ban_init(&ban);
  ban.kind = kind;
  ban.addr = *a;
  ban.end_ns = BOOK_T0 + CMT_ADDRBOOK_WRONG_NS;
  assert_cmt(CMT_OK, cmt_addrbook_bar(u->b, &ban, BOOK_T0));
}

static void each_report_has_a_fate(void **state) {
  cmt_net_addr a = book_node(1), src = book_node(9), barred = book_node(2);
  cmt_net_addr lan = book_node_at(3, "192.168.0.3", 1), name = book_node(4);
  cmt_net_addr hidden = book_node(5), list[3];
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  snprintf(name.host, sizeof name.host, "example.org");
  assert_cmt(CMT_OK, cmt_addrbook_set_private(u.b, &hidden.id, 1));
  bar(&u, &barred, CMT_ADDRBOOK_MISBEHAVED);
  assert_int_equal(all_fates(&u), 0);
  book_add(&u, &a, &src, BOOK_T0);
  book_add(&u, &a, &src, BOOK_T0);
  book_add(&u, &a, &src, BOOK_T0);
  assert_cmt(CMT_EBANNED, cmt_addrbook_add(u.b, &barred, &src, BOOK_T0));
  list[0] = lan;
  list[1] = name;
  list[2] = hidden;
  assert_int_equal(cmt_addrbook_add_answer(u.b, list, 3, &src, BOOK_T0), 0);
  assert_int_equal(fate(&u, CMT_ADDRBOOK_FATE_ADDED), 1);
  assert_int_equal(fate(&u, CMT_ADDRBOOK_FATE_KNOWN), 2);
  assert_int_equal(fate(&u, CMT_ADDRBOOK_FATE_BANNED), 1);
  assert_int_equal(fate(&u, CMT_ADDRBOOK_FATE_UNROUTABLE), 1);
  assert_int_equal(fate(&u, CMT_ADDRBOOK_FATE_INVALID), 1);
  assert_int_equal(fate(&u, CMT_ADDRBOOK_FATE_PRIVATE), 1);
  assert_int_equal(all_fates(&u), 7);
  book_user_fini(&u);
}

static void our_own_is_counted(void **state) {
  const cmt_net_addr own = book_node(1), src = book_node(9);
  cmt_addrbook_options o;
  cmt_addrbook_status st;
  cmt_addrbook *b;

  (void)state;
  cmt_addrbook_options_init(&o);
  o.own_ids = &own.id;
  o.own_id_count = 1;
  assert_cmt(CMT_OK, cmt_addrbook_new(&o, &b, NULL));
  assert_cmt(CMT_ESELF, cmt_addrbook_add(b, &own, &src, BOOK_T0));
  cmt_addrbook_get_status(b, &st);
  assert_int_equal(st.fates[CMT_ADDRBOOK_FATE_SELF], 1);
  cmt_addrbook_delete(b);
}

static void what_is_over_a_limit_is_ignored(void **state) {
  static cmt_net_addr list[300];
  cmt_net_addr src = book_node(9);
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  for (uint32_t i = 0; i < 300; i++) {
    list[i] = book_node(0x1000 + i);
  }
  (void)cmt_addrbook_add_answer(u.b, list, 300, &src, BOOK_T0);
  assert_int_equal(fate(&u, CMT_ADDRBOOK_FATE_IGNORED), 50);
  for (int i = 0; i < 4; i++) {
    (void)cmt_addrbook_add_answer(u.b, list, 250, &src, BOOK_T0);
  }
  /* A thousand of a peer and hour. */
  assert_int_equal(fate(&u, CMT_ADDRBOOK_FATE_IGNORED), 50 + 250);
  assert_int_equal(all_fates(&u), 300 + 1000);
  book_user_fini(&u);
}

static void a_full_bucket_refuses(void **state) {
  cmt_net_addr src = book_node(9);
  uint64_t added;
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  for (uint32_t i = 0; i < 100; i++) {
    cmt_net_addr a = book_node(0x1000 + i);

    snprintf(a.host, sizeof a.host, "77.7.%u.%u", i / 200, i % 200 + 1);
    (void)cmt_addrbook_add(u.b, &a, &src, BOOK_T0);
  }
  added = fate(&u, CMT_ADDRBOOK_FATE_ADDED);
  assert_int_equal(added, 65);
  assert_int_equal(fate(&u, CMT_ADDRBOOK_FATE_FULL), 35);
  book_user_fini(&u);
}

static void what_dials_show_is_counted(void **state) {
  cmt_net_addr network = book_node(1), id = book_node(2), old = book_node(3),
               src = book_node(9);
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  book_add(&u, &network, &src, BOOK_T0);
  book_add(&u, &id, &src, BOOK_T0);
  bar(&u, &network, CMT_ADDRBOOK_WRONG_NETWORK);
  bar(&u, &id, CMT_ADDRBOOK_WRONG_ID);
  book_reach(&u, &old, true, BOOK_T0);
  for (int i = 0; i < 10; i++) {
    cmt_addrbook_failed(u.b, &old.id, BOOK_T0);
  }
  assert_int_equal(fate(&u, CMT_ADDRBOOK_FATE_WRONG_NETWORK), 1);
  assert_int_equal(fate(&u, CMT_ADDRBOOK_FATE_WRONG_ID), 1);
  assert_int_equal(fate(&u, CMT_ADDRBOOK_FATE_PROMOTED), 1);
  assert_int_equal(fate(&u, CMT_ADDRBOOK_FATE_DEMOTED), 1);
  assert_int_equal(fate(&u, CMT_ADDRBOOK_FATE_REPLACED),
                   book_status(&u).replaced);
  book_user_fini(&u);
}

static void fresh_proofs_are_counted(void **state) {
  cmt_net_addr a = book_node(1), b = book_node(2), src = book_node(9),
               said = book_node(3);
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  book_add(&u, &said, &src, BOOK_T0);
  assert_int_equal(cmt_addrbook_count_proven(u.b, MINUTE_NS, BOOK_T0), 0);
  book_reach(&u, &a, false, BOOK_T0);
  book_reach(&u, &b, false, BOOK_T0 + MINUTE_NS);
  assert_int_equal(
    cmt_addrbook_count_proven(u.b, MINUTE_NS, BOOK_T0 + MINUTE_NS), 2);
  assert_int_equal(
    cmt_addrbook_count_proven(u.b, MINUTE_NS, BOOK_T0 + MINUTE_NS + 1), 1);
  cmt_addrbook_failed(u.b, &b.id, BOOK_T0 + MINUTE_NS + 1);
  assert_int_equal(
    cmt_addrbook_count_proven(u.b, MINUTE_NS, BOOK_T0 + MINUTE_NS + 1), 0);
  book_user_fini(&u);
}

/* The instants lie beside the addresses that they are of. */
static void proofs_come_with_a_selection(void **state) {
  cmt_net_addr out[8];
  uint64_t proofs_ns[8];
  cmt_addrbook_query q;
  book_user u;
  size_t count;

  (void)state;
  book_user_init(&u, 1);
  for (uint32_t i = 1; i <= 4; i++) {
    cmt_net_addr a = book_node(i);

    book_reach(&u, &a, false, BOOK_T0 + i);
  }
  cmt_addrbook_query_init(&q);
  q.proven_within_ns = MINUTE_NS;
  q.proofs_ns = proofs_ns;
  count = cmt_addrbook_select(u.b, &q, out, 8, BOOK_T0 + 9);
  assert_int_equal(count, 4);
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(proofs_ns[i], book_entry(&u, &out[i]).proven_ns);
  }
  book_user_fini(&u);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(each_report_has_a_fate),
    cmocka_unit_test(our_own_is_counted),
    cmocka_unit_test(what_is_over_a_limit_is_ignored),
    cmocka_unit_test(a_full_bucket_refuses),
    cmocka_unit_test(what_dials_show_is_counted),
    cmocka_unit_test(fresh_proofs_are_counted),
    cmocka_unit_test(proofs_come_with_a_selection),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
