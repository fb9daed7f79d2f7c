/* SPDX-License-Identifier: Apache-2.0 */

/* The address book beside what CometBFT's own did: tests/vectors/group_key.json
   and addrbook_cases.json.  Where ours differs on purpose the test states it.
 */

#include "book_user.h"
#include "pex/net_group.h"

#include <math.h>
#include <stdlib.h>

/* ---- groups and buckets ---- */

static void check_groups(const json_t *rows, bool strict) {
  size_t i;
  json_t *row;

  json_array_foreach(rows, i, row) {
    const char *text = json_string_value(json_array_get(row, 0));
    char group[CMT__GROUP_SIZE];
    cmt__ip ip;

    assert_true(cmt__ip_read(cmt_bytes_of(text), &ip));
    cmt__ip_group(&ip, strict, true, group);
    assert_string_equal(group, json_string_value(json_array_get(row, 1)));
  }
  assert_in_range(i, 10, 100);
}

static void groups_are_those_of_cometbft(void **state) {
  json_t *root = test_vectors("group_key.json");

  (void)state;
  check_groups(json_object_get(root, "non_strict"), false);
  check_groups(json_object_get(root, "strict"), true);
  json_decref(root);
}

static void classes_are_those_of_cometbft(void **state) {
  json_t *root = test_vectors("netaddr_observed.json"), *row;
  json_t *rows = json_object_get(root, "vectors");
  size_t i, used = 0;

  (void)state;
  json_array_foreach(rows, i, row) {
    const char *text = json_string_value(json_object_get(row, "ip"));
    cmt__ip ip;

    if (!json_is_true(json_object_get(row, "ok")) || text == NULL) {
      continue;
    }
    assert_true(cmt__ip_read(cmt_bytes_of(text), &ip));
    assert_int_equal(cmt__ip_is_valid(&ip),
                     json_is_true(json_object_get(row, "valid")));
    assert_int_equal(cmt__ip_is_routable(&ip),
                     json_is_true(json_object_get(row, "routable")));
    used++;
  }
  assert_in_range(used, 20, 200);
  json_decref(root);
}

static void highway_hash_is_that_of_the_vectors(void **state) {
  json_t *root = test_vectors("addrbook_cases.json"), *row;
  size_t i, len, key_len;
  uint8_t *key = test_unhex(test_str(root, "highwayhash_key"), &key_len);

  (void)state;
  json_array_foreach(json_object_get(root, "highwayhash64"), i, row) {
    uint8_t *input = test_unhex(test_str(row, "input"), &len), sum[8];

    cmt__store_le64(sum, cmt__highway_hash(key, input, len));
    test_assert_hex(test_str(row, "highwayhash64_sum"), sum, sizeof sum);
    free(input);
  }
  assert_int_equal(i, 7);
  free(key);
  json_decref(root);
}

static void check_bucket(const json_t *row, const cmt_addrbook *b) {
  const json_t *numbers = json_object_get(row, "highwayhash");
  cmt_net_addr addr = book_addr(test_str(row, "addr"));
  cmt_net_addr src = book_addr(test_str(row, "src"));
  char group[CMT_ADDRBOOK_GROUP_SIZE];
  cmt__book_addr a, s;

  cmt_addrbook_group(b, &addr, group);
  assert_string_equal(group, test_str(row, "group"));
  cmt_addrbook_group(b, &src, group);
  assert_string_equal(group, test_str(row, "src_group"));
  assert_cmt(CMT_OK, cmt__book_addr_read(&addr, false, &a));
  assert_cmt(CMT_OK, cmt__book_addr_read(&src, false, &s));
  assert_int_equal(
    cmt__book_new_bucket(b, &a, &s),
    json_integer_value(json_array_get(json_object_get(numbers, "new"), 1)));
  assert_int_equal(
    cmt__book_old_bucket(b, &a) - BOOK_NEW_BUCKETS,
    json_integer_value(json_array_get(json_object_get(numbers, "old"), 1)));
}

static void buckets_are_those_of_cometbft(void **state) {
  json_t *root = test_vectors("addrbook_cases.json"), *row;
  book_user strict, lenient;
  size_t i;

  (void)state;
  book_user_init(&strict, 1);
  book_user_init_lenient(&lenient, 1);
  json_array_foreach(json_object_get(root, "buckets"), i, row) {
    check_bucket(row, json_is_true(json_object_get(row, "strict")) ? strict.b
                                                                   : lenient.b);
  }
  assert_int_equal(i, 64);
  book_user_fini(&strict);
  book_user_fini(&lenient);
  json_decref(root);
}

/* ---- choice ---- */

/* |new| entries that were only reported, and |old| ones; no two are in one
   bucket of sources. */
static void fill(book_user *u, uint32_t new, uint32_t old) {
  for (uint32_t i = 0; i < old; i++) {
    cmt_net_addr a = book_node(i + 1);

    snprintf(a.host, sizeof a.host, "%u.%u.9.9", 20 + i % 64, i / 64 % 256);
    book_reach(u, &a, true, BOOK_T0);
  }
  for (uint32_t i = 0; i < new; i++) {
    cmt_net_addr a = book_node(i + 0x10000), src = book_node(0xffff);

    snprintf(a.host, sizeof a.host, "%u.%u.9.9", 130 + i % 32, i / 32 % 256);
    snprintf(src.host, sizeof src.host, "%u.%u.1.1", 20 + i % 77, i % 253);
    book_add(u, &a, &src, BOOK_T0);
  }
  assert_int_equal(book_status(u).old_entries, old);
  assert_int_equal(book_status(u).new_entries, new);
}

static double share_of_old(book_user *u, unsigned bias, double *none) {
  enum { PICKS = 20000 };
  size_t old = 0, nothing = 0;
  cmt_net_addr a;

  for (int i = 0; i < PICKS; i++) {
    if (cmt_addrbook_pick(u->b, bias, &a) != CMT_OK) {
      nothing++;
    } else {
      old += book_entry(u, &a).kind == CMT_ADDRBOOK_OLD;
    }
  }
  *none = (double)nothing / PICKS;
  return (double)old / PICKS;
}

static void picks_have_the_shares_of_cometbft(void **state) {
  json_t *root = test_vectors("addrbook_cases.json"), *row;
  size_t i;

  (void)state;
  json_array_foreach(json_object_get(json_object_get(root, "pick"), "cases"), i,
                     row) {
    json_int_t bias = json_integer_value(json_object_get(row, "bias"));
    double old = json_number_value(json_object_get(row, "share_old"));
    double none = json_number_value(json_object_get(row, "share_nil")), found;
    book_user u;

    book_user_init(&u, 7 + i);
    fill(&u, (uint32_t)json_integer_value(json_object_get(row, "new")),
         (uint32_t)json_integer_value(json_object_get(row, "old")));
    assert_float_equal(share_of_old(&u, (unsigned)bias, &found), old, 0.02);
    assert_float_equal(found, none, 0.001);
    book_user_fini(&u);
  }
  assert_int_equal(i, 8);
  json_decref(root);
}

static size_t distinct(const cmt_net_addr *out, size_t count) {
  size_t found = 0;

  for (size_t i = 0; i < count; i++) {
    size_t k = 0;

    while (k < i && !cmt_node_id_equal(&out[k].id, &out[i].id)) {
      k++;
    }
    found += k == i;
  }
  return found;
}

static void plain_answers_are_as_large(void **state) {
  json_t *root = test_vectors("addrbook_cases.json"), *row;
  json_t *rows = json_object_get(json_object_get(root, "selection"),
                                 "size_of_book_and_of_plain_answer");
  static cmt_net_addr out[CMT_ADDRBOOK_ANSWER_MAX + 1];
  size_t i;

  (void)state;
  json_array_foreach(rows, i, row) {
    uint32_t size = (uint32_t)json_integer_value(json_array_get(row, 0));
    book_user u;
    size_t got;

    book_user_init(&u, 3);
    fill(&u, size, 0);
    got = cmt_addrbook_select(u.b, NULL, out, CMT__COUNT(out), BOOK_T0);
    assert_int_equal(got, json_integer_value(json_array_get(row, 1)));
    assert_int_equal(distinct(out, got), got);
    book_user_fini(&u);
  }
  assert_int_equal(i, 18);
  json_decref(root);
}

static void seeds_answer_with_as_many_new_ones(void **state) {
  json_t *root = test_vectors("addrbook_cases.json"), *row;
  json_t *rows = json_object_get(
    json_object_get(json_object_get(root, "selection"), "seed_answers"),
    "examples");
  static cmt_net_addr out[CMT_ADDRBOOK_ANSWER_MAX + 1];
  cmt_addrbook_query q;
  size_t i;

  (void)state;
  cmt_addrbook_query_init(&q);
  q.biased = true;
  q.bias = 30;
  json_array_foreach(rows, i, row) {
    size_t got, new = 0;
    book_user u;

    book_user_init(&u, 3 + i);
    fill(&u, (uint32_t)json_integer_value(json_object_get(row, "new")),
         (uint32_t)json_integer_value(json_object_get(row, "old")));
    got = cmt_addrbook_select(u.b, &q, out, CMT__COUNT(out), BOOK_T0);
    for (size_t k = 0; k < got; k++) {
      new += book_entry(&u, &out[k]).kind == CMT_ADDRBOOK_NEW;
    }
    assert_int_equal(got, json_integer_value(json_object_get(row, "answer")));
    assert_int_equal(distinct(out, got), got);
    assert_int_equal(new,
                     json_integer_value(json_object_get(row, "of_them_new")));
    book_user_fini(&u);
  }
  assert_int_equal(i, 11);
  json_decref(root);
}

/* ---- entries ---- */

static uint64_t ago(const json_t *row, const char *key) {
  const json_t *seconds = json_object_get(row, key);

  return json_is_integer(seconds)
           ? BOOK_T0 - CMT_SECONDS((uint64_t)json_integer_value(seconds))
           : 0;
}

static void bad_entries_are_those_of_cometbft(void **state) {
  json_t *root = test_vectors("addrbook_cases.json"), *row;
  size_t i;

  (void)state;
  json_array_foreach(json_object_get(root, "bad"), i, row) {
    cmt__book_entry e = {
      .attempts =
        (uint32_t)json_integer_value(json_object_get(row, "attempts")),
      .last_attempt_ns = ago(row, "last_attempt_seconds_ago"),
      .last_success_ns = ago(row, "last_success_seconds_ago"),
      .old = json_is_true(json_object_get(row, "old")),
    };

    assert_int_equal(cmt__book_is_bad(&e, BOOK_T0),
                     json_is_true(json_object_get(row, "bad")));
  }
  assert_int_equal(i, 13);
  json_decref(root);
}

/* Our name of an error of the vectors. */
static cmt_err err_of(const json_t *name) {
  static const struct {
    const char *theirs;
    cmt_err ours;
  } rows[] = {
    {"ErrAddrBookInvalidAddr", CMT_EINVAL},
    {"ErrAddrBookNonRoutable", CMT_EUNREACH},
    {"ErrAddrBookPrivate", CMT_EFILTER},
    {"ErrAddrBookPrivateSrc", CMT_EFILTER},
    {"ErrAddrBookSelf", CMT_ESELF},
    {"ErrAddressBanned", CMT_EBANNED},
    {"ErrAddrBookNilAddr", CMT_EINVAL},
  };

  if (json_is_null(name)) {
    return CMT_OK;
  }
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    if (strcmp(rows[i].theirs, json_string_value(name)) == 0) {
      return rows[i].ours;
    }
  }
  fail_msg("unknown error '%s'", json_string_value(name));
  return CMT_EINVAL;
}

static cmt_addrbook *book_of_the_cases(test_env *env) {
  const cmt_node_id own = {"0000000000000000000000000000000000000008"};
  const cmt_node_id private[] = {
    {"0000000000000000000000000000000000000009"},
    {"000000000000000000000000000000000000ABCD"},
  };
  cmt_addrbook_options o;
  cmt_addrbook *b;

  cmt_addrbook_options_init(&o);
  o.env = &env->env;
  o.own_ids = &own;
  o.own_id_count = 1;
  o.private_ids = private;
  o.private_id_count = CMT__COUNT(private);
  assert_cmt(CMT_OK, cmt_addrbook_new(&o, &b, NULL));
  return b;
}

static void additions_are_refused_as_by_cometbft(void **state) {
  json_t *root = test_vectors("addrbook_cases.json"), *row;
  json_t *rows = json_object_get(json_object_get(root, "add"), "order");
  test_env env;
  cmt_addrbook *b;
  size_t i, used = 0;

  (void)state;
  test_env_init(&env);
  b = book_of_the_cases(&env);
  json_array_foreach(rows, i, row) {
    const char *what = test_str(row, "what"), *text = test_str(row, "addr");
    cmt_net_addr src = book_addr(test_str(row, "src")), addr;
    cmt_err expected = err_of(json_object_get(row, "error"));

    if (text[0] == '<') {
      assert_cmt(expected, cmt_addrbook_add(b, NULL, &src, BOOK_T0));
      used++;
      continue;
    }
    addr = book_addr(text);
    if (expected == CMT_EBANNED) {
      cmt_addrbook_ban ban;

      cmt_addrbook_ban_init(&ban);
      ban.addr.id = addr.id;
      ban.end_ns = BOOK_T0 + CMT_SECONDS(3600);
      assert_cmt(CMT_OK, cmt_addrbook_bar(b, &ban, BOOK_T0));
    }
    /* Ours compares bytes of ids, and an id of ours is ours at any address. */
    if (strcmp(what, "private id listed in upper case") == 0) {
      expected = CMT_EFILTER;
    } else if (strcmp(what, "own id, other port") == 0) {
      expected = CMT_ESELF;
    } else {
      used++;
    }
    assert_cmt(expected, cmt_addrbook_add(b, &addr, &src, BOOK_T0));
  }
  test_used("additions", used, 2, i);
  book_check(b);
  cmt_addrbook_delete(b);
  test_env_fini(&env);
  json_decref(root);
}

static void an_entry_comes_into_four_buckets(void **state) {
  cmt_net_addr first = book_node(1), src = book_node(2);
  cmt_addrbook_entry e;
  book_user u;

  (void)state;
  book_user_init(&u, 11);
  book_add(&u, &first, &src, BOOK_T0);
  for (uint32_t i = 0; i < 200; i++) {
    cmt_net_addr from = book_node(100 + 0x10000 * i), at = book_node(1);

    snprintf(at.host, sizeof at.host, "77.%u.1.1", i);
    book_add(&u, &at, &from, BOOK_T0);
  }
  e = book_entry(&u, &first);
  assert_int_equal(e.bucket_count, 4);
  assert_string_equal(e.addr.host, first.host);
  assert_string_equal(e.src.host, src.host);
  assert_int_equal(e.kind, CMT_ADDRBOOK_NEW);
  book_user_fini(&u);
}

static void half_of_second_additions_take(void **state) {
  enum { BOOKS = 4000 };
  json_t *root = test_vectors("addrbook_cases.json");
  json_t *share = json_array_get(
    json_object_get(json_object_get(json_object_get(root, "add"), "known"),
                    "share_of_second_adds_that_take"),
    0);
  size_t taken = 0;
  book_user u;

  (void)state;
  book_user_init(&u, 5);
  for (uint32_t i = 0; i < BOOKS; i++) {
    cmt_net_addr a = book_node(i + 1), src = book_node(0x50000 + i * 7919),
                 other = book_node(0x990000 + i * 104729);

    snprintf(a.host, sizeof a.host, "%u.%u.3.3", 20 + i % 100, i / 100);
    if (cmt_addrbook_add(u.b, &a, &src, BOOK_T0) == CMT_OK) {
      book_add(&u, &a, &other, BOOK_T0);
      taken += book_entry(&u, &a).bucket_count - 1;
      cmt_addrbook_remove(u.b, &a.id);
    }
  }
  assert_float_equal((double)taken / BOOKS, json_number_value(share), 0.03);
  book_user_fini(&u);
  json_decref(root);
}

/* A bucket takes 65, the 66th takes the place of a bad one.  With none there
   CometBFT drops the one that was tried longest ago; here the newcomer stays
   out: addresses that somebody made up never displace those that are there. */
static void a_full_bucket_gives_way_where_one_is_bad(void **state) {
  cmt_net_addr src = book_node(1), bad = book_node(120);
  book_user u;

  (void)state;
  book_user_init(&u, 5);
  for (uint32_t i = 0; i < 66; i++) {
    cmt_net_addr a = book_node(100 + i);

    snprintf(a.host, sizeof a.host, "9.9.9.%u", i);
    assert_cmt(i < 65 ? CMT_OK : CMT_ELIMIT,
               cmt_addrbook_add(u.b, &a, &src, BOOK_T0));
  }
  for (uint32_t i = 0; i < 3; i++) {
    cmt_addrbook_failed(u.b, &bad.id, BOOK_T0);
  }
  for (uint32_t i = 0; i < 2; i++) {
    cmt_net_addr a = book_node(500 + i);

    snprintf(a.host, sizeof a.host, "9.9.10.%u", i);
    assert_cmt(i == 0 ? CMT_OK : CMT_ELIMIT,
               cmt_addrbook_add(u.b, &a, &src, BOOK_T0 + CMT_SECONDS(61)));
  }
  assert_int_equal(book_status(&u).entries, 65);
  assert_false(cmt_addrbook_has(u.b, &bad.id));
  book_user_fini(&u);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(groups_are_those_of_cometbft),
    cmocka_unit_test(classes_are_those_of_cometbft),
    cmocka_unit_test(highway_hash_is_that_of_the_vectors),
    cmocka_unit_test(buckets_are_those_of_cometbft),
    cmocka_unit_test(picks_have_the_shares_of_cometbft),
    cmocka_unit_test(plain_answers_are_as_large),
    cmocka_unit_test(seeds_answer_with_as_many_new_ones),
    cmocka_unit_test(bad_entries_are_those_of_cometbft),
    cmocka_unit_test(additions_are_refused_as_by_cometbft),
    cmocka_unit_test(an_entry_comes_into_four_buckets),
    cmocka_unit_test(half_of_second_additions_take),
    cmocka_unit_test(a_full_bucket_gives_way_where_one_is_bad),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
