/* SPDX-License-Identifier: Apache-2.0 */

/* Node keys in memory.  docs/PROTOCOL.md 1.1. */

#include "test.h"

#include <sodium.h>
#include <stdlib.h>

#include "crypto/node_key.h"

#define SEED11_SECRET                                                          \
  "1111111111111111111111111111111111111111111111111111111111111111"           \
  "d04ab232742bb4ab3a1368bd4615e4e6d0224ab71a016baf8520a332c9778737"
/* The signature of 32 bytes 5c, by another implementation. */
#define SEED11_SIGNATURE                                                       \
  "1f91e76512db1292497d92ff08a39e8c356abadda74f747a224074cae88f7205"           \
  "1e44cecd55494a292c270083fafc37aa0e77268f7936dd3840e86c0132e8850e"

static void fresh_keys_come_from_the_entropy(void **state) {
  cmt_node_key *a = NULL, *b = NULL;
  uint8_t seed[32], public_key[32], secret[64];
  test_env t, twin;

  (void)state;
  test_env_init(&t);
  test_env_init(&twin);
  twin.env.entropy(&twin, seed, sizeof seed);
  crypto_sign_seed_keypair(public_key, secret, seed);
  assert_cmt(CMT_OK, cmt_node_key_generate(&t.env, &a));
  assert_memory_equal(secret, a->secret, sizeof secret);
  assert_memory_equal(public_key, cmt__node_key_public(a), sizeof public_key);
  assert_cmt(CMT_OK, cmt_node_key_generate(&t.env, &b));
  assert_memory_not_equal(a->secret, b->secret, sizeof secret);
  cmt_node_key_delete(a);
  cmt_node_key_delete(b);
  test_env_fini(&t);
}

static void an_unusable_environment_makes_no_key(void **state) {
  cmt_node_key *key = NULL;
  test_env t;
  uint8_t secret[64] = {0};

  (void)state;
  test_env_init(&t);
  t.env.size = 1;
  assert_cmt(CMT_EINVAL, cmt_node_key_generate(&t.env, &key));
  assert_cmt(CMT_EINVAL, cmt__node_key_from_secret(&t.env, secret, &key));
  assert_null(key);
}

/* Hooks for secrets that note what they are asked for. */
static void *note_alloc(void *arg, size_t len, bool *locked) {
  (void)arg;
  assert_int_equal(0, len % 16);
  assert_false(*locked);
  test_note('a');
  return calloc(1, len);
}

static void note_free(void *arg, void *p, size_t len) {
  (void)arg;
  for (size_t i = 0; i < len; i++) {
    assert_int_equal(0, ((const uint8_t *)p)[i]);
  }
  test_note('f');
  free(p);
}

static void note_protect(void *arg, void *p, size_t len, bool on) {
  (void)arg;
  assert_non_null(p);
  assert_int_equal(64, len);
  test_note(on ? 'p' : 'w');
}

static void
a_secret_lies_in_memory_of_the_hooks_and_goes_back_wiped(void **state) {
  uint8_t wrong[64] = {1}, right[64], public_key[32];
  cmt_node_key *key = NULL;
  test_env t;

  (void)state;
  test_env_init(&t);
  t.env.secret_alloc = note_alloc;
  t.env.secret_free = note_free;
  t.env.secret_protect = note_protect;
  assert_cmt(CMT_OK, cmt_node_key_generate(&t.env, &key));
  test_assert_trace("ap"); /* Allocated, and protected once it was made. */
  cmt_node_key_delete(key);
  test_assert_trace("wf"); /* Writable again, and freed. */
  assert_cmt(CMT_EINVAL, cmt__node_key_from_secret(&t.env, wrong, &key));
  test_assert_trace("awf");
  crypto_sign_seed_keypair(public_key, right, wrong);
  assert_cmt(CMT_OK, cmt__node_key_from_secret(&t.env, right, &key));
  test_assert_trace("ap");
  cmt_node_key_delete(key);
  test_assert_trace("wf");
  test_env_fini(&t);
}

static void without_memory_there_is_no_key(void **state) {
  cmt_node_key *key = NULL;
  uint8_t secret[64] = {0};
  test_env t;

  (void)state;
  for (int secret_fails = 0; secret_fails < 2; secret_fails++) {
    test_env_init(&t);
    t.secret_fail_at = secret_fails ? 0 : SIZE_MAX;
    t.fail_at = secret_fails ? SIZE_MAX : 0;
    assert_cmt(CMT_ENOMEM, cmt_node_key_generate(&t.env, &key));
    assert_null(key);
    t.secret_fail_at = secret_fails ? t.secret_allocs : SIZE_MAX;
    t.fail_at = secret_fails ? SIZE_MAX : t.allocs;
    assert_cmt(CMT_ENOMEM, cmt__node_key_from_secret(&t.env, secret, &key));
    assert_null(key);
    test_env_fini(&t);
  }
}

static void a_key_needs_a_place(void **state) {
  uint8_t secret[64] = {0};

  (void)state;
  assert_cmt(CMT_EINVAL, cmt_node_key_generate(NULL, NULL));
  assert_cmt(CMT_EINVAL, cmt__node_key_from_secret(NULL, secret, NULL));
}

/* Whatever stood there before. */
static void a_failure_leaves_no_key(void **state) {
  cmt_node_key *key = (cmt_node_key *)state;
  uint8_t wrong[64] = {1};
  test_env t;

  test_env_init(&t);
  t.env.size = 1;
  assert_cmt(CMT_EINVAL, cmt_node_key_generate(&t.env, &key));
  assert_null(key);
  key = (cmt_node_key *)state;
  assert_cmt(CMT_EINVAL, cmt__node_key_from_secret(NULL, wrong, &key));
  assert_null(key);
}

static void no_key_has_no_id(void **state) {
  cmt_node_id id = {.text = "x"};

  (void)state;
  cmt_node_key_get_id(NULL, &id);
  assert_string_equal("", id.text);
  cmt_node_key_get_id(NULL, NULL);
}

static void the_last_reference_ends_a_key(void **state) {
  cmt_node_key *key, *other;
  cmt_node_id id;
  test_env t;

  (void)state;
  test_env_init(&t);
  assert_cmt(CMT_OK, cmt_node_key_generate(&t.env, &key));
  other = cmt__node_key_ref(key);
  assert_ptr_equal(key, other);
  cmt_node_key_delete(key);
  assert_int_equal(1, t.live);
  assert_int_equal(1, t.secret_live);
  cmt_node_key_get_id(other, &id);
  assert_int_equal(40, strlen(id.text));
  cmt_node_key_delete(other);
  test_env_fini(&t);
}

static void no_key_is_deleted_as_well(void **state) {
  (void)state;
  cmt_node_key_delete(NULL);
}

static void the_halves_of_a_secret_belong_together(void **state) {
  cmt_node_key *key = NULL;
  uint8_t secret[64];

  (void)state;
  memset(secret, 0x11, sizeof secret);
  assert_cmt(CMT_EINVAL, cmt__node_key_from_secret(NULL, secret, &key));
  memset(secret + 32, 0, 32);
  assert_cmt(CMT_EINVAL, cmt__node_key_from_secret(NULL, secret, &key));
  assert_null(key);
}

static void signatures_are_those_of_the_standard(void **state) {
  cmt_node_key *key = NULL;
  uint8_t msg[32], sig[64];
  size_t len;
  uint8_t *secret = test_unhex(SEED11_SECRET, &len);

  (void)state;
  assert_cmt(CMT_OK, cmt__node_key_from_secret(NULL, secret, &key));
  memset(msg, 0x5c, sizeof msg);
  cmt__node_key_sign(key, msg, sig);
  test_assert_hex(SEED11_SIGNATURE, sig, sizeof sig);
  cmt_node_key_delete(key);
  free(secret);
}

static void a_key_has_the_id_of_its_public_half(void **state) {
  cmt_node_key *key = NULL;
  cmt_node_id id;
  size_t len;
  uint8_t *secret = test_unhex(SEED11_SECRET, &len);

  (void)state;
  assert_cmt(CMT_OK, cmt__node_key_from_secret(NULL, secret, &key));
  cmt_node_key_get_id(key, &id);
  assert_string_equal("10ba682c8ad13513971e8b56881aab8bd702bb80", id.text);
  cmt__node_id_of(cmt__node_key_public(key), &id);
  assert_string_equal("10ba682c8ad13513971e8b56881aab8bd702bb80", id.text);
  cmt_node_key_delete(key);
  free(secret);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(fresh_keys_come_from_the_entropy),
    cmocka_unit_test(an_unusable_environment_makes_no_key),
    cmocka_unit_test(a_secret_lies_in_memory_of_the_hooks_and_goes_back_wiped),
    cmocka_unit_test(without_memory_there_is_no_key),
    cmocka_unit_test(a_key_needs_a_place),
    cmocka_unit_test(a_failure_leaves_no_key),
    cmocka_unit_test(no_key_has_no_id),
    cmocka_unit_test(the_last_reference_ends_a_key),
    cmocka_unit_test(no_key_is_deleted_as_well),
    cmocka_unit_test(the_halves_of_a_secret_belong_together),
    cmocka_unit_test(signatures_are_those_of_the_standard),
    cmocka_unit_test(a_key_has_the_id_of_its_public_half),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
