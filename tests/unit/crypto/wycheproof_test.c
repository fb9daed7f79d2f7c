/* SPDX-License-Identifier: Apache-2.0 */
/* The primitives, as the library calls them, against Wycheproof.  Reads
   tests/vectors/wycheproof.txt, which tools/wycheproof_pack.py writes. */
#include "crypto/hkdf.h"
#include "crypto/x25519.h"
#include "test.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIELDS_MAX = 6 };

typedef struct wycheproof_case {
  char *number, *verdict;
  const char *text[FIELDS_MAX];
  uint8_t *bytes[FIELDS_MAX];
  size_t len[FIELDS_MAX];
} wycheproof_case;

typedef enum outcome { AS_EXPECTED, INTENDED, WRONG } outcome;

static FILE *open_section(const char *name, size_t *total) {
  FILE *f = fopen(CMT_TESTS_DIR "/vectors/wycheproof.txt", "r");
  char *line = NULL, found[64];
  size_t cap = 0;

  assert_non_null(f);
  while (getline(&line, &cap, f) >= 0) {
    if (sscanf(line, "[%63[a-z0-9_]] %zu", found, total) == 2 &&
        strcmp(found, name) == 0) {
      free(line);
      return f;
    }
  }
  fail_msg("no section %s", name);
  return NULL;
}

static void parse_case(char *line, wycheproof_case *c) {
  char *save = NULL;
  size_t n = 0;

  memset(c, 0, sizeof *c);
  c->number = strtok_r(line, " \n", &save);
  c->verdict = strtok_r(NULL, " \n", &save);
  assert_non_null(c->verdict);
  for (char *field; (field = strtok_r(NULL, " \n", &save)) != NULL; n++) {
    assert_true(n < FIELDS_MAX);
    c->text[n] = field;
    if (strcmp(field, "-") == 0) {
      field += 1;
    }
    if (strlen(field) % 2 == 0) { /* Else a plain number. */
      c->bytes[n] = test_unhex(field, &c->len[n]);
    }
  }
}

static void check_section(const char *name,
                          outcome (*check)(const wycheproof_case *c)) {
  size_t total, cap = 0, counts[3] = {0};
  FILE *f = open_section(name, &total);
  char *line = NULL, title[64];

  for (size_t i = 0; i < total; i++) {
    wycheproof_case c;
    outcome o;

    assert_true(getline(&line, &cap, f) > 0);
    parse_case(line, &c);
    o = check(&c);
    counts[o]++;
    if (o == WRONG) {
      print_error("%s: case %s (%s) is wrong\n", name, c.number, c.verdict);
    }
    for (size_t k = 0; k < FIELDS_MAX; k++) {
      free(c.bytes[k]);
    }
  }
  free(line);
  fclose(f);
  snprintf(title, sizeof title, "wycheproof.txt %s", name);
  test_used(title, counts[AS_EXPECTED], counts[INTENDED], total);
}

static bool is_valid(const wycheproof_case *c) {
  return strcmp(c->verdict, "valid") == 0;
}

static outcome as(bool fits) { return fits ? AS_EXPECTED : WRONG; }

/* key iv aad msg ct tag */
static outcome check_aead(const wycheproof_case *c) {
  uint8_t *out = malloc(c->len[4] + 1), tag[16];
  bool opened, same;

  assert_non_null(out);
  assert_int_equal(32, c->len[0]);
  assert_int_equal(12, c->len[1]);
  assert_int_equal(16, c->len[5]);
  opened = crypto_aead_chacha20poly1305_ietf_decrypt_detached(
             out, NULL, c->bytes[4], c->len[4], c->bytes[5], c->bytes[2],
             c->len[2], c->bytes[1], c->bytes[0]) == 0;
  same = opened && memcmp(out, c->bytes[3], c->len[3]) == 0;
  if (is_valid(c)) {
    crypto_aead_chacha20poly1305_ietf_encrypt_detached(
      out, tag, NULL, c->bytes[3], c->len[3], c->bytes[2], c->len[2], NULL,
      c->bytes[1], c->bytes[0]);
    same = same && memcmp(out, c->bytes[4], c->len[4]) == 0 &&
           memcmp(tag, c->bytes[5], sizeof tag) == 0;
  }
  free(out);
  return as(is_valid(c) ? same : !opened);
}

/* pk msg sig; lengths are checked before the library is called. */
static outcome check_ed25519(const wycheproof_case *c) {
  bool verified = c->len[0] == crypto_sign_PUBLICKEYBYTES &&
                  c->len[2] == crypto_sign_BYTES &&
                  crypto_sign_verify_detached(c->bytes[2], c->bytes[1],
                                              c->len[1], c->bytes[0]) == 0;

  return as(verified == is_valid(c));
}

/* ikm salt info size okm; the size stands in decimal. */
static outcome check_hkdf(const wycheproof_case *c) {
  size_t size = strtoul(c->text[3], NULL, 10);
  uint8_t *okm = malloc(size + 1);
  cmt__hkdf h = {.ikm = {c->bytes[0], c->len[0]},
                 .salt = {c->bytes[1], c->len[1]},
                 .info = {c->bytes[2], c->len[2]}};
  bool fits;

  assert_non_null(okm);
  fits = cmt__hkdf_sha256(&h, okm, size);
  if (is_valid(c)) {
    fits = fits && c->len[4] == size && memcmp(okm, c->bytes[4], size) == 0;
  } else {
    fits = !fits;
  }
  free(okm);
  return as(fits);
}

/* public private shared.  Public keys off the curve or not reduced are used as
   CometBFT uses them; those whose result is zero are refused, which Wycheproof
   calls acceptable.  docs/PROTOCOL.md 2.2. */
static outcome check_x25519(const wycheproof_case *c) {
  static const uint8_t zero[32], base[32] = {9};
  uint8_t shared[32], by_ladder[32], by_base[32];
  bool done =
    crypto_scalarmult_curve25519(shared, c->bytes[1], c->bytes[0]) == 0;

  assert_int_equal(0,
                   crypto_scalarmult_curve25519(by_ladder, c->bytes[1], base));
  cmt__x25519_base(by_base, c->bytes[1]);
  assert_memory_equal(by_ladder, by_base, sizeof by_base);
  assert_int_equal(32, c->len[2]);
  if (memcmp(c->bytes[2], zero, sizeof zero) == 0) {
    return done || is_valid(c) ? WRONG : INTENDED;
  }
  return as(done && memcmp(shared, c->bytes[2], sizeof shared) == 0);
}

static void chacha20_poly1305(void **state) {
  (void)state;
  check_section("chacha20_poly1305", check_aead);
}

static void ed25519(void **state) {
  (void)state;
  check_section("ed25519", check_ed25519);
}

static void hkdf_sha256(void **state) {
  (void)state;
  check_section("hkdf_sha256", check_hkdf);
}

/* A key of HMAC is filled up with zeros, so a salt of one byte is that of two
   whose second one is 0. */
static void a_salt_may_have_one_byte(void **state) {
  static const uint8_t salt[] = {1, 0}, key[32] = {2};
  uint8_t out[3][40];

  (void)state;
  for (size_t len = 0; len <= 2; len++) {
    cmt__hkdf h = {.ikm = {.base = key, .len = sizeof key},
                   .salt = {.base = salt, .len = len}};

    assert_true(cmt__hkdf_sha256(&h, out[len], sizeof out[len]));
  }
  assert_memory_equal(out[1], out[2], sizeof out[1]);
  assert_memory_not_equal(out[0], out[1], sizeof out[1]);
}

static void x25519_refuses_only_zero_results(void **state) {
  (void)state;
  check_section("x25519", check_x25519);
}

/* Without it libsodium would run its portable code only. */
static int start_libsodium(void **state) {
  (void)state;
  return sodium_init() < 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(chacha20_poly1305),
    cmocka_unit_test(ed25519),
    cmocka_unit_test(hkdf_sha256),
    cmocka_unit_test(a_salt_may_have_one_byte),
    cmocka_unit_test(x25519_refuses_only_zero_results),
  };
  return cmocka_run_group_tests(tests, start_libsodium, NULL);
}
