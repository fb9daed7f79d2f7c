/* SPDX-License-Identifier: Apache-2.0 */

/* Memory of a secret is wiped when it is used up: this program has a
   sodium_memzero() of its own, which counts. */

#include "crypto/hkdf.h"
#include "crypto/keccak.h"
#include "crypto/key_slab.h"
#include "crypto/node_key.h"
#include "test.h"

#include <sodium.h>

/* What was wiped: how many pieces of |len| bytes that began with |begin|;
   libsodium wipes others. */
static struct {
  size_t len, begin_len, count;
  const uint8_t *begin;
} wiped;

void sodium_memzero(void *p, size_t len) {
  wiped.count +=
    len == wiped.len &&
    (wiped.begin == NULL || memcmp(p, wiped.begin, wiped.begin_len) == 0);
  memset(p, 0, len);
}

/* Counts from now on. */
static void watch(size_t len, const uint8_t *begin, size_t begin_len) {
  wiped.len = len;
  wiped.begin = begin;
  wiped.begin_len = begin_len;
  wiped.count = 0;
}

/* What a round works with has no memory of its own. */
static void a_permutation_wipes_its_lanes(void **state) {
  uint8_t st[200] = {1};

  (void)state;
  watch(25 * sizeof(uint64_t), NULL, 0);
  cmt__keccak_f1600(st);
  assert_int_equal(1, wiped.count);
}

static void a_derivation_wipes_all_it_worked_with(void **state) {
  static const uint8_t zeros[sizeof(cmt__hkdf)];
  const uint8_t key[32] = {1};
  cmt__hkdf h = {.ikm = {.base = key, .len = sizeof key}};
  uint8_t out[64];

  (void)state;
  watch(sizeof h, NULL, 0);
  assert_true(cmt__hkdf_sha256(&h, out, sizeof out));
  assert_int_equal(1, wiped.count);
  assert_memory_equal(zeros, &h, sizeof h);
}

static void a_key_wipes_its_seed_and_its_secret(void **state) {
  uint8_t secret[CMT__NODE_KEY_SECRET];
  cmt_node_key *key, *other;

  (void)state;
  assert_cmt(CMT_OK, cmt_node_key_generate(NULL, &key));
  memcpy(secret, key->secret, sizeof secret);
  watch(crypto_sign_SEEDBYTES, secret, crypto_sign_SEEDBYTES);
  assert_cmt(CMT_OK, cmt__node_key_from_secret(NULL, secret, &other));
  assert_int_equal(1, wiped.count);
  cmt_node_key_delete(other);
  watch(sizeof secret, secret, sizeof secret);
  cmt_node_key_delete(key);
  assert_int_equal(1, wiped.count);
}

static void a_slot_that_comes_back_is_wiped(void **state) {
  cmt__key_slab k;
  uint8_t *slot;

  (void)state;
  cmt__key_slab_init(&k, NULL, 96);
  slot = cmt__key_slab_take(&k, NULL);
  memset(slot, 7, 96);
  watch(96, slot, 96);
  cmt__key_slab_give(&k, NULL, slot);
  assert_int_equal(1, wiped.count);
  cmt__key_slab_fini(&k, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_permutation_wipes_its_lanes),
    cmocka_unit_test(a_derivation_wipes_all_it_worked_with),
    cmocka_unit_test(a_key_wipes_its_seed_and_its_secret),
    cmocka_unit_test(a_slot_that_comes_back_is_wiped),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
