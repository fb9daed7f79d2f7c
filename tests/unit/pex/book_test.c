/* SPDX-License-Identifier: Apache-2.0 */

/* The address book: options, ids, proofs, promotion and demotion, and what is
   stored. */

#include "book_user.h"

#include <stdlib.h>

#define DAY_NS CMT_SECONDS(86400)

/* ---- options ---- */

static void check_refused(const cmt_addrbook_options *o, const char *text) {
  cmt_addrbook *b;
  cmt_why why;

  assert_cmt(CMT_EINVAL, cmt_addrbook_new(o, &b, &why));
  assert_null(b);
  assert_non_null(strstr(why.text, text));
}

static void options_are_checked(void **state) {
  static const cmt_node_id bad[] = {{"0000000000000000000000000000000000000x"}};
  static cmt_env unusable;
  const uint8_t two = 2;
  cmt_addrbook_options o;

  (void)state;
  cmt_addrbook_options_init(&o);
  o.file_key = "0123456789abcdef012345678";
  check_refused(&o, "file_key has 25 characters, at most 24 are allowed");
  o.file_key = "caf\xc3\xa9";
  check_refused(&o, "file_key has characters that are not printable ASCII");
  cmt_addrbook_options_init(&o);
  o.own_ids = bad;
  o.own_id_count = 1;
  check_refused(&o,
                "own_ids: one is not 40 hex digits, or there are over 4096");
  cmt_addrbook_options_init(&o);
  o.private_ids = bad;
  o.private_id_count = 1;
  check_refused(&o, "private_ids: one is not 40 hex digits");
  cmt_addrbook_options_init(&o);
  memcpy(&o.allow_unroutable, &two, 1);
  check_refused(&o, "allow_unroutable is neither true nor false");
  cmt_addrbook_options_init(&o);
  unusable = (cmt_env){.size = 1};
  o.env = &unusable;
  check_refused(&o, "the environment is not usable");
  check_refused(&(cmt_addrbook_options){.size = 3}, "unknown size");
}

static void own_and_private_ids_stay_out(void **state) {
  const cmt_net_addr own = book_node(1), private = book_node(2),
                     late = book_node(3), src = book_node(9);
  cmt_addrbook_options o;
  cmt_addrbook *b;

  (void)state;
  cmt_addrbook_options_init(&o);
  o.own_ids = &own.id;
  o.own_id_count = 1;
  o.private_ids = &private.id;
  o.private_id_count = 1;
  assert_cmt(CMT_OK, cmt_addrbook_new(&o, &b, NULL));
  assert_true(cmt_addrbook_is_own(b, &own.id));
  assert_false(cmt_addrbook_is_own(b, &private.id));
  assert_true(cmt_addrbook_is_private(b, &private.id));
  assert_cmt(CMT_OK, cmt_addrbook_add(b, &late, &src, BOOK_T0));
  assert_cmt(CMT_OK, cmt_addrbook_set_private(b, &late.id, 1));
  assert_false(cmt_addrbook_has(b, &late.id));
  assert_cmt(CMT_EFILTER, cmt_addrbook_add(b, &late, &src, BOOK_T0));
  assert_cmt(CMT_EFILTER, cmt_addrbook_add(b, &src, &late, BOOK_T0));
  assert_cmt(CMT_OK, cmt_addrbook_add(b, &private, &src, BOOK_T0));
  cmt_addrbook_delete(b);
}

/* ---- proofs ---- */

static void a_proof_beats_hearsay(void **state) {
  cmt_net_addr said = book_node(1), real = said, src = book_node(2);
  cmt_addrbook_proof p;
  cmt_addrbook_entry e;
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  snprintf(real.host, sizeof real.host, "88.1.2.3");
  book_add(&u, &said, &src, BOOK_T0);
  cmt_addrbook_attempt(u.b, &said.id, BOOK_T0 + 1);
  cmt_addrbook_proof_init(&p);
  p.addr = &real;
  p.version = "0.38.25\n";
  p.height = 77;
  assert_cmt(CMT_OK, cmt_addrbook_proved(u.b, &p, BOOK_T0 + 2));
  e = book_entry(&u, &said);
  assert_string_equal(e.addr.host, "88.1.2.3");
  assert_int_equal(e.other_count, 1);
  assert_string_equal(e.others[0].host, said.host);
  assert_int_equal(e.proven_ns, BOOK_T0 + 2);
  assert_int_equal(e.height, 77);
  assert_string_equal(e.version, "0.38.25?");
  assert_int_equal(e.kind, CMT_ADDRBOOK_NEW);
  assert_true(e.reliable);
  /* Hearsay does not add to a proven entry. */
  snprintf(said.host, sizeof said.host, "99.1.2.3");
  book_add(&u, &said, &src, BOOK_T0 + 3);
  assert_int_equal(book_entry(&u, &said).other_count, 1);
  assert_int_equal(book_status(&u).proven, 1);
  book_user_fini(&u);
}

static void a_proof_adds_a_node_that_nobody_reported(void **state) {
  cmt_net_addr a = book_node(1);
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  book_reach(&u, &a, false, BOOK_T0);
  assert_string_equal(book_entry(&u, &a).src.host, a.host);
  assert_int_equal(book_status(&u).new_entries, 1);
  book_reach(&u, &a, true, BOOK_T0);
  assert_int_equal(book_status(&u).old_entries, 1);
  book_user_fini(&u);
}

static void after_failures_another_address_is_next(void **state) {
  cmt_net_addr first = book_node(1), second = first, src = book_node(2);
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  snprintf(second.host, sizeof second.host, "88.1.2.3");
  book_add(&u, &first, &src, BOOK_T0);
  book_add(&u, &second, &src, BOOK_T0);
  assert_string_equal(book_entry(&u, &first).addr.host, first.host);
  cmt_addrbook_failed(u.b, &first.id, BOOK_T0 + 1);
  assert_string_equal(book_entry(&u, &first).addr.host, second.host);
  assert_string_equal(book_entry(&u, &first).others[0].host, first.host);
  /* A proven address has three tries. */
  book_reach(&u, &second, false, BOOK_T0 + 2);
  for (int i = 0; i < 3; i++) {
    assert_string_equal(book_entry(&u, &first).addr.host, second.host);
    cmt_addrbook_failed(u.b, &first.id, BOOK_T0 + 3);
  }
  assert_string_equal(book_entry(&u, &first).addr.host, first.host);
  assert_int_equal(book_status(&u).proven, 0);
  book_user_fini(&u);
}

/* ---- demotion ---- */

static void failures_demote(void **state) {
  cmt_net_addr a = book_node(1);
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  book_reach(&u, &a, true, BOOK_T0);
  for (int i = 0; i < 9; i++) {
    cmt_addrbook_failed(u.b, &a.id, BOOK_T0 + DAY_NS);
  }
  assert_int_equal(book_entry(&u, &a).kind, CMT_ADDRBOOK_OLD);
  cmt_addrbook_failed(u.b, &a.id, BOOK_T0 + DAY_NS);
  assert_int_equal(book_entry(&u, &a).kind, CMT_ADDRBOOK_NEW);
  assert_int_equal(book_entry(&u, &a).attempts, 10);
  assert_int_equal(book_status(&u).demoted, 1);
  book_user_fini(&u);
}

static void three_failures_are_enough_after_a_week(void **state) {
  cmt_net_addr a = book_node(1);
  book_user u;

  (void)state;
  book_user_init(&u, 1);
  book_reach(&u, &a, true, BOOK_T0);
  for (int i = 0; i < 3; i++) {
    assert_int_equal(book_entry(&u, &a).kind, CMT_ADDRBOOK_OLD);
    cmt_addrbook_failed(u.b, &a.id, BOOK_T0 + 8 * DAY_NS);
  }
  assert_int_equal(book_entry(&u, &a).kind, CMT_ADDRBOOK_NEW);
  book_user_fini(&u);
}

/* ---- stored entries ---- */

static void a_snapshot_restores_the_book(void **state) {
  cmt_net_addr src = book_node(0xffff);
  cmt_addrbook_snapshot *s, *again;
  cmt_addrbook_entry e, f;
  book_user u, v;

  (void)state;
  book_user_init(&u, 1);
  book_user_init(&v, 2);
  for (uint32_t i = 1; i < 3000; i++) {
    cmt_net_addr a = book_node(i * 77), other = book_node(i * 77);

    src = book_node(i * 9001);
    snprintf(other.host, sizeof other.host, "88.1.%u.3", i % 200);
    if (cmt_addrbook_add(u.b, &a, &src, BOOK_T0 + i) != CMT_OK) {
      continue;
    }
    if (i % 3 == 0) {
      book_reach(&u, &a, i % 2 == 0, BOOK_T0 + i);
    }
    if (i % 5 == 0) {
      book_add(&u, &other, &src, BOOK_T0 + i);
    }
    if (i % 7 == 0) {
      cmt_addrbook_failed(u.b, &a.id, BOOK_T0 + 2 * i);
    }
  }
  assert_cmt(CMT_OK, cmt_addrbook_snapshot_new(u.b, &s));
  assert_int_equal(cmt_addrbook_snapshot_count(s), book_status(&u).entries);
  for (size_t i = 0; cmt_addrbook_snapshot_get(s, i, &e); i++) {
    assert_cmt(CMT_OK, cmt_addrbook_restore(v.b, &e));
    assert_cmt(CMT_EEXIST, cmt_addrbook_restore(v.b, &e));
  }
  assert_cmt(CMT_OK, cmt_addrbook_snapshot_new(v.b, &again));
  for (size_t i = 0; cmt_addrbook_snapshot_get(s, i, &e); i++) {
    assert_true(cmt_addrbook_snapshot_get(again, i, &f));
    assert_memory_equal(&e, &f, sizeof e);
  }
  cmt_addrbook_delete(u.b); /* A snapshot outlives its book. */
  assert_true(cmt_addrbook_snapshot_get(s, 0, &e));
  cmt_addrbook_snapshot_delete(s);
  test_env_fini(&u.env);
  cmt_addrbook_snapshot_delete(again);
  cmt_addrbook_snapshot_delete(NULL);
  book_user_fini(&v);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(options_are_checked),
    cmocka_unit_test(own_and_private_ids_stay_out),
    cmocka_unit_test(a_proof_beats_hearsay),
    cmocka_unit_test(a_proof_adds_a_node_that_nobody_reported),
    cmocka_unit_test(after_failures_another_address_is_next),
    cmocka_unit_test(failures_demote),
    cmocka_unit_test(three_failures_are_enough_after_a_week),
    cmocka_unit_test(a_snapshot_restores_the_book),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
