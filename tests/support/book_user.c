/* SPDX-License-Identifier: Apache-2.0 */

/* Address books for tests. */

#include "book_user.h"

static void start(book_user *u, uint64_t seed, bool lenient) {
  static const uint8_t hash_key[32] = {
    0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
    16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};
  cmt_addrbook_options o;

  test_env_init(&u->env);
  u->env.seed = seed;
  cmt_addrbook_options_init(&o);
  o.env = &u->env.env;
  o.file_key = "00112233445566778899aabb";
  o.hash_key = hash_key;
  o.allow_unroutable = lenient;
  assert_cmt(CMT_OK, cmt_addrbook_new(&o, &u->b, NULL));
}

void book_user_init(book_user *u, uint64_t seed) { start(u, seed, false); }

void book_user_init_lenient(book_user *u, uint64_t seed) {
  start(u, seed, true);
}

void book_user_fini(book_user *u) {
  book_check(u->b);
  cmt_addrbook_delete(u->b);
  test_env_fini(&u->env);
}

cmt_net_addr book_addr(const char *text) {
  cmt_net_addr a;

  assert_cmt(CMT_OK, cmt_net_addr_parse(text, 0, &a, NULL));
  return a;
}

cmt_net_addr book_node_at(uint32_t n, const char *host, uint16_t port) {
  cmt_net_addr a = {.port = port};

  snprintf(a.id.text, sizeof a.id.text, "%040x", n);
  snprintf(a.host, sizeof a.host, "%s", host);
  return a;
}

cmt_net_addr book_node(uint32_t n) {
  char host[20];

  snprintf(host, sizeof host, "5.%u.%u.%u", n >> 16 & 255, n >> 8 & 255,
           n & 255);
  return book_node_at(n, host, 26656);
}

void book_add(book_user *u, const cmt_net_addr *a, const cmt_net_addr *src,
              uint64_t now_ns) {
  assert_cmt(CMT_OK, cmt_addrbook_add(u->b, a, src, now_ns));
}

void book_reach(book_user *u, const cmt_net_addr *a, bool good,
                uint64_t now_ns) {
  cmt_addrbook_proof p;

  cmt_addrbook_proof_init(&p);
  p.addr = a;
  assert_cmt(CMT_OK, cmt_addrbook_proved(u->b, &p, now_ns));
  if (good) {
    cmt_addrbook_good(u->b, &a->id, now_ns);
  }
}

cmt_addrbook_status book_status(const book_user *u) {
  cmt_addrbook_status s;

  cmt_addrbook_get_status(u->b, &s);
  return s;
}

cmt_addrbook_entry book_entry(const book_user *u, const cmt_net_addr *a) {
  cmt_addrbook_entry e;

  assert_true(cmt_addrbook_get(u->b, &a->id, &e));
  return e;
}

/* What one entry knows of its places. */
static void check_entry(const cmt_addrbook *b, size_t number) {
  const cmt__book_entry *e = cmt__book_at(b, number);

  assert_int_equal(cmt__book_find(b, e->addr.id), number);
  assert_in_range(e->bucket_count, 1, e->old ? 1 : 4);
  for (size_t i = 0; i < e->bucket_count; i++) {
    assert_int_equal(cmt__book_slot(b, e->buckets[i], e->slots[i]), number);
    assert_int_equal(e->old, e->buckets[i] >= BOOK_NEW_BUCKETS);
    for (size_t k = 0; k < i; k++) {
      assert_int_not_equal(e->buckets[i], e->buckets[k]);
    }
  }
  assert_true(e->other_count <= CMT_ADDRBOOK_OTHERS_MAX);
  assert_true(e->others != NULL || e->other_count == 0);
  for (size_t i = 0; i < e->other_count; i++) {
    assert_false(cmt__book_place_equal(&e->addr.at, &e->others[i]));
  }
}

void book_check(const cmt_addrbook *b) {
  size_t old = 0, proven = 0, places = 0, filled = 0;

  for (size_t i = 0; i < b->count; i++) {
    const cmt__book_entry *e = cmt__book_at(b, i);

    check_entry(b, i);
    old += e->old;
    proven += e->proven_ns != 0;
    places += e->bucket_count;
  }
  for (unsigned bucket = 0; bucket < BOOK_BUCKETS; bucket++) {
    size_t fill = 0;

    for (unsigned slot = 0; slot < BOOK_SLOTS; slot++) {
      fill += cmt__book_slot(b, bucket, slot) != BOOK_NO_ENTRY;
    }
    assert_int_equal(fill, b->fill[bucket]);
    filled += fill;
  }
  assert_int_equal(old, b->old_count);
  assert_int_equal(proven, b->proven_count);
  assert_int_equal(places, filled);
  for (size_t i = 1; i < b->ban_count; i++) {
    assert_true(memcmp(b->bans[i - 1].id, b->bans[i].id, BOOK_ID) <= 0);
  }
}
