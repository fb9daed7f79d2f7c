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

/* Frames that are compared with others, and a step of 1 for every bit of one; a
   test that is slow checks less. */
#ifndef FRAMES
#define FRAMES 6000
#endif
#ifndef BIT_STEP
#define BIT_STEP 1
#endif

/* CMT_FRAMES asks for more. */
static size_t frames_wanted(void) {
  const char *wanted = getenv("CMT_FRAMES");

  return wanted != NULL ? strtoul(wanted, NULL, 10) : (size_t)FRAMES;
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

/* Each bit of a frame that comes alone, and of one in a pair whose other one is
   right. */
static void kernel_refuses_any_changed_bit_of_few(void **state) {
  static const uint8_t key[CMT__AEAD_KEY] = {7};
  static frames k, before;
  uint8_t sealed[CMT_FRAME_SLOT] = {3, 0, 0, 0, 'a', 'b', 'c'};
  cmt__aead_job job = {.key = key, .counter = 9, .slot = sealed};

  (void)state;
  kernel.seal(&job, 1);
  for (size_t bit = 0; bit < FRAME_BITS; bit += BIT_STEP) {
    for (size_t i = 0; i < 3; i++) {
      k.jobs[i] =
        (cmt__aead_job){.key = key, .counter = 9, .slot = k.slots[i], .ok = i};
      memcpy(k.slots[i], sealed, sizeof sealed);
      if (i != 1) {
        k.slots[i][bit / 8] ^= (uint8_t)(1 << bit % 8);
      }
    }
    before = k;
    kernel.open(k.jobs, 2);
    kernel.open(k.jobs + 2, 1);
    assert_true(k.jobs[1].ok);
    for (size_t i = 0; i < 3; i += 2) {
      assert_false(k.jobs[i].ok);
      assert_memory_equal(before.slots[i], k.slots[i], CMT_FRAME_SLOT);
    }
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

/* Frames of a test that chooses their one-time keys. */
enum { KEYED = 16 };

typedef struct keyed {
  frames frames;
  uint8_t keys[KEYED][CMT__CHACHA_BLOCK]; /* Their first halves. */
} keyed;

static void keyed_init(keyed *k) {
  for (size_t i = 0; i < FRAMES_MAX; i++) {
    k->frames.jobs[i] = (cmt__aead_job){
      .key = k->frames.keys[i],
      .counter = i,
      .slot = k->frames.slots[i],
    };
  }
}

static void assert_tag(const keyed *k, int i, const uint8_t *tag,
                       const char *what) {
  uint8_t expected[CMT__AEAD_TAG];

  one_tag(k->keys[i], k->frames.slots[i], expected);
  if (memcmp(expected, tag, sizeof expected) != 0) {
    fail_msg("%s: the tag of frame %d differs", what, i);
  }
}

/* Each path of a frame into Poly1305 has instructions of its own. */
static void assert_tags_opening_pairs(keyed *k) {
  static scratch s;

  for (int i = 0; i < KEYED; i += 2) {
    frame_pair *p = &s.pairs[0];

    pair_start(p, &k->frames.jobs[i], k->keys + i);
    open_pair(&s, p);
    assert_tag(k, i, p->tags[0], "opened in a pair");
    assert_tag(k, i + 1, p->tags[1], "opened in a pair");
  }
}

/* The pair before is authenticated while another is encrypted. */
static void assert_tags_sealing_pairs(keyed *k) {
  static const uint8_t no_keys[2][CMT__CHACHA_BLOCK];
  static frame_pair now, before;

  for (int i = 0; i < KEYED; i += 2) {
    pair_start(&before, &k->frames.jobs[i], k->keys + i);
    pair_start(&now, &k->frames.jobs[KEYED], no_keys);
    seal_pair(&now, &before);
    pair_end(&before);
    assert_tag(k, i, before.tags[0], "sealed in a pair");
    assert_tag(k, i + 1, before.tags[1], "sealed in a pair");
  }
}

static void assert_tags_alone(keyed *k) {
  static alone a;

  for (int i = 0; i < KEYED; i++) {
    a.job = &k->frames.jobs[i];
    mac_start(&a.mac, k->keys[i], k->frames.slots[i]);
    open_rest(&a);
    assert_tag(k, i, a.tag[0], "alone");
  }
}

#ifdef CMT__FRAME_GROUPS_H
static void assert_tags_in_groups(keyed *k, int groups) {
  static group g[GROUPS];

  for (int i = 0; i < groups * GROUP; i++) {
    g[i / GROUP].jobs[i % GROUP] = &k->frames.jobs[i];
    memcpy(g[i / GROUP].edges.key[i % GROUP], k->keys[i], 32);
  }
  authenticate_groups(g, groups);
  for (int i = 0; i < groups * GROUP; i++) {
    assert_tag(k, i, g[i / GROUP].tags[i % GROUP], "in a group");
  }
}

static void assert_tags(keyed *k) {
  assert_tags_in_groups(k, 1);
  assert_tags_in_groups(k, GROUPS);
  assert_tags_opening_pairs(k);
  assert_tags_sealing_pairs(k);
  assert_tags_alone(k);
}
#else
static void assert_tags(keyed *k) {
  assert_tags_opening_pairs(k);
  assert_tags_sealing_pairs(k);
  assert_tags_alone(k);
}
#endif

/* Every r of a few at the limits of what clamping leaves, and every pad, with
   frames of zeros, of ones, and with one block of each among the other. */
static void tags_hold_with_extreme_keys(void **state) {
  static const uint8_t bytes[] = {0x00, 0x01, 0x80, 0xfc, 0xff};
  static keyed k;
  uint64_t random = 1;

  (void)state;
  keyed_init(&k);
  for (size_t round = 0; round < 200; round++) {
    for (int i = 0; i < KEYED; i++) {
      uint8_t *key = k.keys[i], *slot = k.frames.slots[i];

      memset(key, bytes[frames_random(&random) % sizeof bytes], 16);
      memset(key + 16, bytes[frames_random(&random) % sizeof bytes], 16);
      key[frames_random(&random) % 16] = (uint8_t)frames_random(&random);
      memset(slot, bytes[frames_random(&random) % sizeof bytes],
             CMT_FRAME_PLAIN);
      memset(slot + 16 * (frames_random(&random) % 64),
             bytes[frames_random(&random) % sizeof bytes], 16);
    }
    assert_tags(&k);
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
  static keyed k;
  uint8_t tag[CMT__AEAD_TAG];
  int distance = -40;

  (void)state;
  keyed_init(&k);
  for (int i = 0; i < KEYED; i++) {
    k.keys[i][0] = 1;
  }
  /* The modulus itself leaves nothing, and what is next to it one. */
  frame_near_modulus(k.frames.slots[0], 0, 0, 1);
  one_tag(k.keys[0], k.frames.slots[0], tag);
  test_assert_hex("00000000000000000000000000000000", tag, sizeof tag);
  frame_near_modulus(k.frames.slots[0], 1, 0, 1);
  one_tag(k.keys[0], k.frames.slots[0], tag);
  test_assert_hex("01000000000000000000000000000000", tag, sizeof tag);
  while (distance < 40) {
    for (int i = 0; i < KEYED; i++) {
      size_t first = (size_t)(distance + 40) % 64;

      frame_near_modulus(k.frames.slots[i], distance++, first,
                         (first + 7) % 64);
      memset(k.keys[i] + 16, i % 2 == 0 ? 0 : 0xff, 16);
    }
    assert_tags(&k);
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
    cmocka_unit_test(kernel_refuses_any_changed_bit_of_few),
    cmocka_unit_test(tags_hold_with_extreme_keys),
    cmocka_unit_test(tags_hold_around_the_modulus),
  };

  if (!runs) {
    printf("1..0 # SKIP this processor has no %s\n", needs);
    return 0;
  }
  return cmocka_run_group_tests(tests, start_libsodium, NULL);
}
