/* SPDX-License-Identifier: Apache-2.0 */
/* The tests of one frame kernel.  A test includes the kernel's source, under
   the name |kernel|, and then this, so that Poly1305 can be given keys that no
   run of ChaCha20 would be found for. */

#include "frames.h"
#include "test.h"

#ifdef CMT_OPENSSL
#include <openssl/evp.h>
#endif
#include <sodium.h>
#include <stdlib.h>

enum { FRAMES = 6000 }; /* Each compared with others, by default. */

/* CMT_FRAMES asks for more. */
static size_t frames_wanted(void) {
  const char *wanted = getenv("CMT_FRAMES");

  return wanted != NULL ? strtoul(wanted, NULL, 10) : FRAMES;
}

static void kernel_equals_libsodium(void **state) {
  (void)state;
  frames_compare(&kernel, frames_wanted());
}

#ifdef CMT_OPENSSL
static void openssl_seal(EVP_CIPHER_CTX *ctx, const cmt__aead_job *job) {
  uint8_t nonce[12] = {0};
  int len;

  cmt__store_le64(nonce + 4, job->counter);
  assert_int_equal(
    1, EVP_EncryptInit_ex(ctx, EVP_chacha20_poly1305(), NULL, job->key, nonce));
  assert_int_equal(
    1, EVP_EncryptUpdate(ctx, job->slot, &len, job->slot, CMT_FRAME_PLAIN));
  assert_int_equal(CMT_FRAME_PLAIN, len);
  assert_int_equal(1, EVP_EncryptFinal_ex(ctx, job->slot + len, &len));
  assert_int_equal(1, EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, 16,
                                          job->slot + CMT_FRAME_PLAIN));
}

static void kernel_equals_openssl(void **state) {
  static frames ours, theirs;
  EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
  size_t wanted = frames_wanted(), done = 0;
  uint64_t random = 0x2545f4914f6cdd1d;

  (void)state;
  assert_non_null(ctx);
  while (done < wanted) {
    size_t count = frames_random(&random) % (FRAMES_MAX + 1);

    frames_draw(&ours, count, &random);
    frames_copy(&theirs, &ours);
    kernel.seal(ours.jobs, count);
    for (size_t i = 0; i < count; i++) {
      openssl_seal(ctx, &theirs.jobs[i]);
    }
    frames_assert_same(&ours, &theirs, count, "sealed");
    done += count;
  }
  EVP_CIPHER_CTX_free(ctx);
  printf("# %zu frames are as OpenSSL's\n", done);
}
#else
static void kernel_equals_openssl(void **state) {
  (void)state;
  printf("# built without OpenSSL\n");
  skip();
}
#endif

/* Each bit of a frame in turn; what is refused is left as it came. */
static void kernel_refuses_any_changed_bit(void **state) {
  static const uint8_t key[CMT__AEAD_KEY] = {7};
  static frames k, before;
  uint8_t sealed[CMT_FRAME_SLOT] = {3, 0, 0, 0, 'a', 'b', 'c'};
  cmt__aead_job job = {.key = key, .counter = 9, .slot = sealed};

  (void)state;
  kernel.seal(&job, 1);
  for (size_t bit = 0; bit < FRAME_BITS; bit += 16) {
    for (size_t i = 0; i < 17; i++) {
      k.jobs[i] = (cmt__aead_job){
        .key = key, .counter = 9, .slot = k.slots[i], .ok = i < 16};
      memcpy(k.slots[i], sealed, sizeof sealed);
      if (i < 16) {
        k.slots[i][(bit + i) / 8] ^= (uint8_t)(1 << (bit + i) % 8);
      }
    }
    before = k;
    kernel.open(k.jobs, 17);
    for (size_t i = 0; i < 16; i++) {
      assert_false(k.jobs[i].ok);
      assert_memory_equal(before.slots[i], k.slots[i], CMT_FRAME_SLOT);
    }
    assert_true(k.jobs[16].ok);
  }
}

static void kernel_passes_its_self_test(void **state) {
  (void)state;
  assert_true(cmt__aead_self_test(&kernel));
}

/* ---- Poly1305 with keys and sums at the limits ---- */

enum { MAC_INPUT = CMT_FRAME_PLAIN + 12 + 16 }; /* Padding, and two lengths. */

static void one_tag(const uint8_t key[32], const uint8_t *cipher,
                    uint8_t tag[16]) {
  uint8_t input[MAC_INPUT] = {0};

  memcpy(input, cipher, CMT_FRAME_PLAIN);
  cmt__store_le64(input + MAC_INPUT - 8, CMT_FRAME_PLAIN);
  assert_int_equal(0,
                   crypto_onetimeauth_poly1305(tag, input, sizeof input, key));
}

/* |groups| groups whose lanes hold |keys| and |slots|, each tag as libsodium
   has it. */
static void assert_tags(group *g, int groups, frames *k,
                        const uint8_t keys[][32], const char *what) {
  for (int i = 0; i < groups * LANES; i++) {
    k->jobs[i].slot = k->slots[i];
    g[i / LANES].jobs[i % LANES] = &k->jobs[i];
    memcpy(g[i / LANES].edges.key[i % LANES], keys[i], 32);
  }
  for (int i = 0; i < groups; i += GROUPS) {
    authenticate_groups(&g[i], groups - i < GROUPS ? groups - i : GROUPS);
  }
  for (int i = 0; i < groups * LANES; i++) {
    uint8_t tag[16];

    one_tag(keys[i], k->slots[i], tag);
    if (memcmp(tag, g[i / LANES].tags[i % LANES], sizeof tag) != 0) {
      fail_msg("%s: the tag of lane %d differs", what, i);
    }
  }
}

/* Every r of a few at the limits of what clamping leaves, and every pad, with
   frames of zeros, of ones, and with one block of each among the other. */
static void tags_hold_with_extreme_keys(void **state) {
  static const uint8_t bytes[] = {0x00, 0x01, 0x80, 0xfc, 0xff};
  static frames k;
  static group g[2];
  uint8_t keys[2 * LANES][32];
  uint64_t random = 1;

  (void)state;
  for (size_t round = 0; round < 200; round++) {
    for (int i = 0; i < 2 * LANES; i++) {
      memset(keys[i], bytes[frames_random(&random) % sizeof bytes], 16);
      memset(keys[i] + 16, bytes[frames_random(&random) % sizeof bytes], 16);
      keys[i][frames_random(&random) % 16] = (uint8_t)frames_random(&random);
      memset(k.slots[i], bytes[frames_random(&random) % sizeof bytes],
             CMT_FRAME_PLAIN);
      memset(k.slots[i] + 16 * (frames_random(&random) % 64),
             bytes[frames_random(&random) % sizeof bytes], 16);
    }
    assert_tags(g, 1 + (int)(round % 2), &k, keys, "extreme keys");
  }
}

/* With r = 1 the sum is that of all blocks and 66 times 2^128, which leaves
   80 + 2^129, and of the length.  Two blocks bring it to |distance| from the
   modulus 2^130 - 5. */
static void frame_near_modulus(uint8_t *cipher, int distance, size_t first,
                               size_t second) {
  uint64_t low = (uint64_t)((int64_t)distance - 84);

  memset(cipher, 0, CMT_FRAME_PLAIN);
  memset(cipher + 16 * first, 0xff, 16);
  cmt__store_le64(cipher + 16 * second, low);
  cmt__store_le64(cipher + 16 * second + 8,
                  (distance < 84 ? UINT64_MAX : 0) - CMT_FRAME_PLAIN);
}

static void tags_hold_around_the_modulus(void **state) {
  static frames k;
  static group g[2];
  uint8_t keys[2 * LANES][32] = {{0}}, tag[16];
  int distance = -40;

  (void)state;
  for (int i = 0; i < 2 * LANES; i++) {
    keys[i][0] = 1;
  }
  /* The modulus itself leaves nothing, and what is next to it one. */
  frame_near_modulus(k.slots[0], 0, 0, 1);
  one_tag(keys[0], k.slots[0], tag);
  test_assert_hex("00000000000000000000000000000000", tag, sizeof tag);
  frame_near_modulus(k.slots[0], 1, 0, 1);
  one_tag(keys[0], k.slots[0], tag);
  test_assert_hex("01000000000000000000000000000000", tag, sizeof tag);
  while (distance < 40) {
    for (int i = 0; i < 2 * LANES; i++) {
      size_t first = (size_t)(distance + 40) % 64;

      frame_near_modulus(k.slots[i], distance++, first, (first + 7) % 64);
      memset(keys[i] + 16, i % 2 == 0 ? 0 : 0xff, 16);
    }
    assert_tags(g, 2, &k, keys, "around the modulus");
  }
}

static int start_libsodium(void **state) {
  (void)state;
  return sodium_init() < 0;
}

/* |runs| reports whether this processor can; else every test is skipped. */
static int test_kernel(bool runs, const char *needs) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(kernel_passes_its_self_test),
    cmocka_unit_test(kernel_equals_libsodium),
    cmocka_unit_test(kernel_equals_openssl),
    cmocka_unit_test(kernel_refuses_any_changed_bit),
    cmocka_unit_test(tags_hold_with_extreme_keys),
    cmocka_unit_test(tags_hold_around_the_modulus),
  };

  if (!runs) {
    printf("1..0 # SKIP this processor has no %s\n", needs);
    return 0;
  }
  return cmocka_run_group_tests(tests, start_libsodium, NULL);
}
