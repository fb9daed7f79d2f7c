/* SPDX-License-Identifier: Apache-2.0 */
#include "crypto/aead.h"
#include "test.h"

#include <cometp2p/secret_conn.h>
#include <sodium.h>
#include <stdlib.h>

/* RFC 8439, section 2.8.2.  Our frames have one size and no associated data,
   so that this goes to the call under the kernel. */
static const char rfc_plain[] =
  "Ladies and Gentlemen of the class of '99: If I could offer you only one "
  "tip for the future, sunscreen would be it.";
static const char rfc_key[] =
  "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f";
static const char rfc_nonce[] = "070000004041424344454647";
static const char rfc_aad[] = "50515253c0c1c2c3c4c5c6c7";
static const char rfc_cipher[] =
  "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
  "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
  "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
  "3ff4def08e4b7a9de576d26586cec64b6116";
static const char rfc_tag[] = "1ae10b594f09e26a7e902ecbd0600691";

static void library_gives_rfc_8439_vector(void **state) {
  size_t len;
  uint8_t *key = test_unhex(rfc_key, &len);
  uint8_t *nonce = test_unhex(rfc_nonce, &len);
  uint8_t *aad = test_unhex(rfc_aad, &len);
  uint8_t data[sizeof rfc_plain - 1], tag[16];

  (void)state;
  memcpy(data, rfc_plain, sizeof data);
  crypto_aead_chacha20poly1305_ietf_encrypt_detached(
    data, tag, NULL, data, sizeof data, aad, len, NULL, nonce, key);
  test_assert_hex(rfc_cipher, data, sizeof data);
  test_assert_hex(rfc_tag, tag, sizeof tag);
  assert_int_equal(0,
                   crypto_aead_chacha20poly1305_ietf_decrypt_detached(
                     data, NULL, data, sizeof data, tag, aad, len, nonce, key));
  assert_memory_equal(rfc_plain, data, sizeof data);
  free(key);
  free(nonce);
  free(aad);
}

/* The frame of a vector, its padding zero. */
static void fill_slot(const json_t *row, uint8_t slot[CMT_FRAME_SLOT]) {
  size_t len;
  uint8_t *chunk = test_unhex(test_str(row, "chunk"), &len);

  memset(slot, 0, CMT_FRAME_SLOT);
  cmt__store_le32(slot, (uint32_t)len);
  memcpy(slot + CMT_FRAME_HEADER, chunk, len);
  free(chunk);
}

static void kernel_gives_sealed_frames(void **state) {
  json_t *root = test_vectors("sealed_frames.json");
  const json_t *rows = json_object_get(root, "vectors"), *row;
  uint8_t slots[6][CMT_FRAME_SLOT], plain[CMT_FRAME_SLOT];
  cmt__aead_job jobs[6];
  size_t used = 0, i, len;
  uint8_t *key = test_unhex(test_str(root, "key"), &len);

  (void)state;
  assert_int_equal(6, json_array_size(rows));
  json_array_foreach(rows, i, row) {
    fill_slot(row, slots[i]);
    jobs[i] = (cmt__aead_job){
      .key = key,
      .counter = strtoull(test_str(row, "counter"), NULL, 10),
      .slot = slots[i],
    };
  }
  cmt__aead_libsodium.seal(jobs, 6);
  json_array_foreach(rows, i, row) {
    test_assert_hex(test_str(row, "sealed"), slots[i], CMT_FRAME_SLOT);
  }
  cmt__aead_libsodium.open(jobs, 6);
  json_array_foreach(rows, i, row) {
    fill_slot(row, plain);
    assert_true(jobs[i].ok);
    assert_memory_equal(plain, slots[i], CMT_FRAME_PLAIN);
    used++;
  }
  test_used("sealed_frames.json", used, 0, json_array_size(rows));
  free(key);
  json_decref(root);
}

static void kernel_refuses_any_changed_byte(void **state) {
  static const uint8_t key[CMT__AEAD_KEY] = {1};
  uint8_t sealed[CMT_FRAME_SLOT] = {3, 0, 0, 0, 'a', 'b', 'c'};
  uint8_t slot[CMT_FRAME_SLOT];
  cmt__aead_job job = {.key = key, .counter = 7, .slot = sealed};

  (void)state;
  cmt__aead_libsodium.seal(&job, 1);
  job.slot = slot;
  for (size_t i = 0; i < CMT_FRAME_SLOT; i++) {
    memcpy(slot, sealed, sizeof slot);
    slot[i] ^= 1;
    job.ok = true;
    cmt__aead_libsodium.open(&job, 1);
    assert_false(job.ok);
  }
  memcpy(slot, sealed, sizeof slot);
  job.counter = 8;
  cmt__aead_libsodium.open(&job, 1);
  assert_false(job.ok);
}

static void self_test_passes(void **state) {
  (void)state;
  assert_true(cmt__aead_self_test(&cmt__aead_libsodium));
}

/* Kernels that are wrong in one respect each. */
static void seal_with_low_counter_half(cmt__aead_job *jobs, size_t count) {
  for (size_t i = 0; i < count; i++) {
    jobs[i].counter &= UINT32_MAX;
  }
  cmt__aead_libsodium.seal(jobs, count);
}

static void open_trusting(cmt__aead_job *jobs, size_t count) {
  cmt__aead_libsodium.open(jobs, count);
  for (size_t i = 0; i < count; i++) {
    jobs[i].ok = true;
  }
}

static void open_nothing(cmt__aead_job *jobs, size_t count) {
  for (size_t i = 0; i < count; i++) {
    jobs[i].ok = i != 5;
  }
}

static void seal_all_but_last(cmt__aead_job *jobs, size_t count) {
  cmt__aead_libsodium.seal(jobs, count - 1);
}

/* Reports which tags are right and leaves the bytes as they are. */
static void open_without_plaintext(cmt__aead_job *jobs, size_t count) {
  uint8_t sealed[17][CMT_FRAME_SLOT];

  assert_true(count <= CMT__COUNT(sealed));
  for (size_t i = 0; i < count; i++) {
    memcpy(sealed[i], jobs[i].slot, CMT_FRAME_SLOT);
  }
  cmt__aead_libsodium.open(jobs, count);
  for (size_t i = 0; i < count; i++) {
    memcpy(jobs[i].slot, sealed[i], CMT_FRAME_SLOT);
  }
}

static void open_with_a_wrong_first_byte(cmt__aead_job *jobs, size_t count) {
  cmt__aead_libsodium.open(jobs, count);
  jobs[count - 1].slot[0] ^= 1;
}

static void open_with_a_wrong_last_byte(cmt__aead_job *jobs, size_t count) {
  cmt__aead_libsodium.open(jobs, count);
  jobs[count - 1].slot[CMT_FRAME_PLAIN - 1] ^= 1;
}

static void open_all_but_first(cmt__aead_job *jobs, size_t count) {
  cmt__aead_libsodium.open(jobs, count);
  jobs[0].ok = false;
}

static void open_all_but_last(cmt__aead_job *jobs, size_t count) {
  cmt__aead_libsodium.open(jobs, count);
  jobs[count - 1].ok = false;
}

static void open_with_a_wrong_byte_of_one(cmt__aead_job *jobs, size_t count) {
  cmt__aead_libsodium.open(jobs, count);
  jobs[0].slot[9] ^= count == 1;
}

static void open_with_a_wrong_byte_of_two(cmt__aead_job *jobs, size_t count) {
  cmt__aead_libsodium.open(jobs, count);
  jobs[count - 1].slot[9] ^= count == 2;
}

static void seal_with_a_wrong_last_byte(cmt__aead_job *jobs, size_t count) {
  cmt__aead_libsodium.seal(jobs, count);
  jobs[count - 1].slot[CMT_FRAME_SLOT - 1] ^= 1;
}

static void self_test_finds_wrong_kernels(void **state) {
  const struct cmt_aead kernels[] = {
    {"counter", NULL, seal_with_low_counter_half, cmt__aead_libsodium.open},
    {"trusting", NULL, cmt__aead_libsodium.seal, open_trusting},
    {"nothing", NULL, cmt__aead_libsodium.seal, open_nothing},
    {"last", NULL, seal_all_but_last, cmt__aead_libsodium.open},
    {"last tag", NULL, seal_with_a_wrong_last_byte, cmt__aead_libsodium.open},
    {"no plaintext", NULL, cmt__aead_libsodium.seal, open_without_plaintext},
    {"first byte", NULL, cmt__aead_libsodium.seal,
     open_with_a_wrong_first_byte},
    {"last byte", NULL, cmt__aead_libsodium.seal, open_with_a_wrong_last_byte},
    {"one alone", NULL, cmt__aead_libsodium.seal,
     open_with_a_wrong_byte_of_one},
    {"two", NULL, cmt__aead_libsodium.seal, open_with_a_wrong_byte_of_two},
    {"first frame", NULL, cmt__aead_libsodium.seal, open_all_but_first},
    {"last frame", NULL, cmt__aead_libsodium.seal, open_all_but_last},
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(kernels); i++) {
    if (cmt__aead_self_test(&kernels[i])) {
      fail_msg("the kernel '%s' passed", kernels[i].name);
    }
  }
}

/* Without it libsodium would run its portable code only. */
static int start_libsodium(void **state) {
  (void)state;
  return sodium_init() < 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(library_gives_rfc_8439_vector),
    cmocka_unit_test(kernel_gives_sealed_frames),
    cmocka_unit_test(kernel_refuses_any_changed_byte),
    cmocka_unit_test(self_test_passes),
    cmocka_unit_test(self_test_finds_wrong_kernels),
  };
  return cmocka_run_group_tests(tests, start_libsodium, NULL);
}
