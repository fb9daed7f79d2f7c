/* SPDX-License-Identifier: Apache-2.0 */
/* Public keys of X25519, beside RFC 7748 and libsodium.  wycheproof_test.c has
   the private keys of Wycheproof. */
#include "test.h"

#include <sodium.h>
#include <stdlib.h>

#include "crypto/x25519.h"

enum { KEY = 32, DRAWN = 2000 };

static void assert_base(const char *public_hex, const char *secret_hex) {
  size_t len[2];
  uint8_t *expected = test_unhex(public_hex, &len[0]);
  uint8_t *secret = test_unhex(secret_hex, &len[1]), out[KEY];

  assert_int_equal(KEY, len[0]);
  assert_int_equal(KEY, len[1]);
  cmt__x25519_base(out, secret);
  assert_memory_equal(expected, out, KEY);
  free(expected);
  free(secret);
}

/* Section 6.1; and section 5.2, the first step of the iteration, which begins
   with the base point. */
static void keys_of_rfc_7748(void **state) {
  (void)state;
  assert_base(
    "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a",
    "77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
  assert_base(
    "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
    "5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
  assert_base(
    "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079",
    "0900000000000000000000000000000000000000000000000000000000000000");
}

static void assert_as_libsodium(const uint8_t secret[KEY]) {
  uint8_t expected[KEY], out[KEY];

  assert_int_equal(0, crypto_scalarmult_curve25519_base(expected, secret));
  cmt__x25519_base(out, secret);
  assert_memory_equal(expected, out, KEY);
}

static void drawn_secrets_give_the_keys_of_libsodium(void **state) {
  uint8_t secret[KEY];
  test_env t;

  (void)state;
  test_env_init(&t);
  for (size_t i = 0; i < DRAWN; i++) {
    t.env.entropy(&t, secret, sizeof secret);
    assert_as_libsodium(secret);
  }
  test_env_fini(&t);
}

/* All zero and all one, and each of their bits changed. */
static void extreme_secrets_give_the_keys_of_libsodium(void **state) {
  uint8_t secret[KEY];

  (void)state;
  for (int byte = 0; byte <= 0xff; byte += 0xff) {
    memset(secret, byte, sizeof secret);
    assert_as_libsodium(secret);
    for (size_t bit = 0; bit < 8 * sizeof secret; bit++) {
      secret[bit / 8] ^= (uint8_t)(1 << bit % 8);
      assert_as_libsodium(secret);
      secret[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
  }
}

static void the_key_may_replace_the_secret(void **state) {
  uint8_t key[KEY] = {1, 2, 3}, expected[KEY];

  (void)state;
  cmt__x25519_base(expected, key);
  cmt__x25519_base(key, key);
  assert_memory_equal(expected, key, KEY);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(keys_of_rfc_7748),
    cmocka_unit_test(drawn_secrets_give_the_keys_of_libsodium),
    cmocka_unit_test(extreme_secrets_give_the_keys_of_libsodium),
    cmocka_unit_test(the_key_may_replace_the_secret),
  };

  return sodium_init() < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
