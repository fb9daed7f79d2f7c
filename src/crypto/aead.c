/* SPDX-License-Identifier: Apache-2.0 */
/* The portable frame kernel, on libsodium, and the known-answer test that every
   kernel must pass before it is used. */

#include "aead.h"

#include <cometp2p/secret_conn.h>
#include <sodium.h>

enum { NONCE = crypto_aead_chacha20poly1305_ietf_NPUBBYTES };

static void make_nonce(uint8_t nonce[NONCE], uint64_t counter) {
  memset(nonce, 0, NONCE);
  cmt__store_le64(nonce + 4, counter);
}

static void libsodium_seal(cmt__aead_job *jobs, size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint8_t *slot = jobs[i].slot;
    uint8_t nonce[NONCE];

    make_nonce(nonce, jobs[i].counter);
    (void)crypto_aead_chacha20poly1305_ietf_encrypt_detached(
      slot, slot + CMT_FRAME_PLAIN, NULL, slot, CMT_FRAME_PLAIN, NULL, 0, NULL,
      nonce, jobs[i].key);
  }
}

static void libsodium_open(cmt__aead_job *jobs, size_t count) {
  for (size_t i = 0; i < count; i++) {
    uint8_t *slot = jobs[i].slot;
    uint8_t nonce[NONCE];

    make_nonce(nonce, jobs[i].counter);
    jobs[i].ok = crypto_aead_chacha20poly1305_ietf_decrypt_detached(
                   slot, NULL, slot, CMT_FRAME_PLAIN, slot + CMT_FRAME_PLAIN,
                   NULL, 0, nonce, jobs[i].key) == 0;
  }
}

const struct cmt_aead cmt__aead_libsodium = {
  .name = "libsodium",
  .seal = libsodium_seal,
  .open = libsodium_open,
};

/* Enough jobs for a kernel that works on sixteen frames at a time to have one
   left, and lists of two and of one: each way that a kernel takes. */
enum { TEST_JOBS = 17, TEST_MANY = 14, TEST_BROKEN = 5 };

typedef struct self_test {
  cmt__aead_job jobs[TEST_JOBS];
  uint8_t keys[TEST_JOBS][CMT__AEAD_KEY];
  uint8_t slots[TEST_JOBS][CMT_FRAME_SLOT];
} self_test;

static uint8_t test_plain_byte(size_t job, size_t i) {
  return (uint8_t)(7 * i + job);
}

static void test_fill(self_test *t) {
  for (size_t j = 0; j < TEST_JOBS; j++) {
    for (size_t i = 0; i < CMT__AEAD_KEY; i++) {
      t->keys[j][i] = (uint8_t)(i + j);
    }
    for (size_t i = 0; i < CMT_FRAME_PLAIN; i++) {
      t->slots[j][i] = test_plain_byte(j, i);
    }
    memset(t->slots[j] + CMT_FRAME_PLAIN, 0, CMT__AEAD_TAG);
    t->jobs[j] = (cmt__aead_job){
      .key = t->keys[j],
      .counter = (uint64_t)j * UINT64_C(0x0102030405060708),
      .slot = t->slots[j],
    };
  }
}

static bool test_opened(const self_test *t) {
  for (size_t j = 0; j < TEST_JOBS; j++) {
    if (t->jobs[j].ok != (j != TEST_BROKEN)) {
      return false;
    }
    for (size_t i = 0; i < CMT_FRAME_PLAIN && j != TEST_BROKEN; i++) {
      if (t->slots[j][i] != test_plain_byte(j, i)) {
        return false;
      }
    }
  }
  return true;
}

bool cmt__aead_self_test(const struct cmt_aead *aead) {
  /* SHA-256 over the seventeen sealed slots, from another implementation. */
  static const uint8_t expected[crypto_hash_sha256_BYTES] = {
    0x38, 0x35, 0xd8, 0xbd, 0xbf, 0x69, 0xa8, 0x08, 0x21, 0x59, 0xc2,
    0x19, 0x10, 0x54, 0x90, 0xd0, 0xb3, 0x03, 0xf0, 0xdf, 0x01, 0x5f,
    0x3f, 0x31, 0x28, 0x67, 0xbb, 0x30, 0x6e, 0xff, 0xad, 0x25,
  };
  uint8_t hash[crypto_hash_sha256_BYTES];
  self_test t;

  test_fill(&t);
  aead->seal(t.jobs, TEST_JOBS);
  (void)crypto_hash_sha256(hash, t.slots[0], sizeof t.slots);
  if (memcmp(hash, expected, sizeof hash) != 0) {
    return false;
  }
  t.slots[TEST_BROKEN][CMT_FRAME_SLOT - 1] ^= 0x80;
  aead->open(t.jobs, TEST_MANY);
  aead->open(t.jobs + TEST_MANY, 2);
  aead->open(t.jobs + TEST_MANY + 2, 1);
  return test_opened(&t);
}
