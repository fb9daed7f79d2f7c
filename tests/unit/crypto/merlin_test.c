/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/keccak.h"
#include "crypto/merlin.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

static cmt_bytes text(const char *s) {
  return (cmt_bytes){.base = (const uint8_t *)s, .len = strlen(s)};
}

static void keccak_matches_vectors(void **state) {
  json_t *root = test_vectors("merlin.json");
  const json_t *rows = json_object_get(root, "keccak_f1600");
  size_t used = 0;

  (void)state;
  for (; used < json_array_size(rows); used++) {
    const json_t *row = json_array_get(rows, used);
    size_t len;
    uint8_t *st = test_unhex(test_str(row, "in"), &len);

    assert_int_equal(200, len);
    cmt__keccak_f1600(st);
    test_assert_hex(test_str(row, "out"), st, len);
    free(st);
  }
  test_used("merlin.json keccak_f1600", used, 0, json_array_size(rows));
  json_decref(root);
}

/* SHA3-256 (FIPS 202) over the permutation, with its published answers. */
static void sha3_256(const char *message, uint8_t out[32]) {
  size_t rate = 136, len = strlen(message);
  uint8_t st[200] = {0};

  for (size_t i = 0, at = 0; i < len; i++) {
    st[at++] ^= (uint8_t)message[i];
    if (at == rate) {
      cmt__keccak_f1600(st);
      at = 0;
    }
  }
  st[len % rate] ^= 0x06;
  st[rate - 1] ^= 0x80;
  cmt__keccak_f1600(st);
  memcpy(out, st, 32);
}

static void keccak_gives_sha3(void **state) {
  static const struct {
    const char *message, *hash;
  } rows[] = {
    {"", "a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a"},
    {"abc", "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "41c0dba2a9d6240849100376a8235e2c82e1b9998a999e21db32dd97496d3376"},
    {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnop"
     "jklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
     "916f6061fe879741ca6469b43971dfdb28b1a32dc36cb3254e812be27aad1d18"},
  };
  uint8_t hash[32];

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    sha3_256(rows[i].message, hash);
    test_assert_hex(rows[i].hash, hash, sizeof hash);
  }
}

static void strobe_state_after_init(void **state) {
  json_t *root = test_vectors("merlin.json");
  const json_t *row =
    json_object_get(root, "strobe128_state_after_init_with_label_Merlin_v1.0");
  cmt__strobe s;

  (void)state;
  cmt__strobe_init(&s, text("Merlin v1.0"));
  test_assert_hex(test_str(row, "state"), s.st, sizeof s.st);
  assert_int_equal(json_integer_value(json_object_get(row, "pos")), s.pos);
  assert_int_equal(json_integer_value(json_object_get(row, "pos_begin")),
                   s.pos_begin);
  test_used("merlin.json strobe128_state", 1, 0, 1);
  json_decref(root);
}

static void strobe_prf_and_clone(void **state) {
  json_t *root = test_vectors("merlin.json");
  const json_t *row = json_object_get(root, "strobe_prf");
  uint8_t d[1024], out[64];
  cmt_bytes data = {.base = d, .len = sizeof d};
  cmt__strobe s, clone;

  (void)state;
  for (size_t i = 0; i < sizeof d; i++) {
    d[i] = (uint8_t)i;
  }
  cmt__strobe_init(&s, text(test_str(row, "label")));
  cmt__strobe_meta_ad(&s, data, false);
  cmt__strobe_key(&s, text("test-strobe-sanity-key"), false);
  clone = s;
  cmt__strobe_prf(&clone, out, 16);
  test_assert_hex(test_str(row, "prf16_on_clone"), out, 16);
  cmt__strobe_ad(&s, data, false);
  cmt__strobe_ad(&s, data, true);
  cmt__strobe_prf(&s, out, 64);
  test_assert_hex(test_str(row, "prf64"), out, 64);
  test_used("merlin.json strobe_prf", 2, 0, 2);
  json_decref(root);
}

/* The header of prf ends a block of 166 bytes here, so that no second
   permutation follows.  The answer is that of tests/vectors/cmtref.py. */
static void strobe_prf_at_the_end_of_a_block(void **state) {
  uint8_t data[149], out[16];
  cmt__strobe s;

  (void)state;
  memset(data, 0x55, sizeof data);
  cmt__strobe_init(&s, text("Merlin v1.0"));
  cmt__strobe_ad(&s, (cmt_bytes){.base = data, .len = sizeof data}, false);
  assert_int_equal(164, s.pos);
  cmt__strobe_prf(&s, out, sizeof out);
  test_assert_hex("9a350636e43bff9787a8e7f843fa7d1d", out, sizeof out);
  assert_int_equal(16, s.pos);
  assert_int_equal(0, s.pos_begin);
}

static void run_op(cmt__merlin *m, const json_t *op) {
  const char *verb = json_string_value(json_array_get(op, 0));
  const char *label = json_string_value(json_array_get(op, 1));
  uint8_t out[64];
  size_t len;

  if (strcmp(verb, "append") == 0) {
    uint8_t *data = test_unhex(json_string_value(json_array_get(op, 2)), &len);
    cmt__merlin_append(m, label, (cmt_bytes){.base = data, .len = len});
    free(data);
    return;
  }
  assert_string_equal("challenge", verb);
  len = (size_t)json_integer_value(json_array_get(op, 2));
  assert_true(len <= sizeof out);
  cmt__merlin_challenge(m, label, out, len);
  test_assert_hex(json_string_value(json_array_get(op, 3)), out, len);
}

/* The vector whose operations are described in words. */
static void run_long(cmt__merlin *m, const json_t *row) {
  uint8_t big[1024], c[32];

  memset(big, 0x63, sizeof big);
  cmt__merlin_append(m, "step1", text("some data"));
  for (int i = 0; i < 32; i++) {
    cmt__merlin_challenge(m, "challenge", c, sizeof c);
    cmt__merlin_append(m, "bigdata",
                       (cmt_bytes){.base = big, .len = sizeof big});
    cmt__merlin_append(m, "challengedata",
                       (cmt_bytes){.base = c, .len = sizeof c});
  }
  test_assert_hex(test_str(row, "last_challenge"), c, sizeof c);
}

static void merlin_transcripts(void **state) {
  json_t *root = test_vectors("merlin.json");
  const json_t *rows = json_object_get(root, "transcripts"), *row;
  size_t used = 0, i;

  (void)state;
  json_array_foreach(rows, i, row) {
    const json_t *ops = json_object_get(row, "ops"), *op;
    cmt__merlin m;
    size_t k;

    cmt__merlin_init(&m, test_str(row, "label"));
    json_array_foreach(ops, k, op) { run_op(&m, op); }
    if (ops == NULL) {
      run_long(&m, row);
    }
    used++;
  }
  test_used("merlin.json transcripts", used, 0, json_array_size(rows));
  json_decref(root);
}

/* docs/PROTOCOL.md 2.4 states the positions for the handshake of 2.8. */
static void merlin_positions_of_handshake(void **state) {
  static const struct {
    const char *label;
    uint8_t pos, begin;
  } rows[] = {
    {"EPHEMERAL_LOWER_PUBLIC_KEY", 138, 105},
    {"EPHEMERAL_UPPER_PUBLIC_KEY", 38, 5},
    {"DH_SECRET", 87, 54},
  };
  static const uint8_t key[32];
  cmt__merlin m;

  (void)state;
  cmt__merlin_init(&m, "TENDERMINT_SECRET_CONNECTION_TRANSCRIPT_HASH");
  assert_int_equal(72, m.strobe.pos);
  assert_int_equal(27, m.strobe.pos_begin);
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    cmt__merlin_append(&m, rows[i].label,
                       (cmt_bytes){.base = key, .len = sizeof key});
    assert_int_equal(rows[i].pos, m.strobe.pos);
    assert_int_equal(rows[i].begin, m.strobe.pos_begin);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(keccak_matches_vectors),
    cmocka_unit_test(keccak_gives_sha3),
    cmocka_unit_test(strobe_state_after_init),
    cmocka_unit_test(strobe_prf_and_clone),
    cmocka_unit_test(strobe_prf_at_the_end_of_a_block),
    cmocka_unit_test(merlin_transcripts),
    cmocka_unit_test(merlin_positions_of_handshake),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
