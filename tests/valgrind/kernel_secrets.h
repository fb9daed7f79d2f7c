/* SPDX-License-Identifier: Apache-2.0 */
/* A frame kernel under valgrind, for which keys and plain bytes are marked as
   never written: it reports every branch and every address that depends on
   them.  A test includes the kernel's source under the name |kernel|, then
   this.  What is let through: sealed frames, which are public, and whether a
   tag is right (crypto_verify_16).

   Without valgrind this program checks nothing, and reports that. */

#include "test.h"

#include <valgrind/memcheck.h>

enum { JOBS = 20 }; /* Whole groups, and a part of one. */

static uint8_t keys[JOBS][CMT__AEAD_KEY];
static uint8_t slots[JOBS][CMT_FRAME_SLOT];
static cmt__aead_job jobs[JOBS];

int __real_crypto_verify_16(const uint8_t *a, const uint8_t *b);
int __wrap_crypto_verify_16(const uint8_t *a, const uint8_t *b);
int __wrap_crypto_verify_16(const uint8_t *a, const uint8_t *b) {
  int result = __real_crypto_verify_16(a, b);

  (void)VALGRIND_MAKE_MEM_DEFINED(&result, sizeof result);
  return result;
}

static void prepare(size_t count) {
  for (size_t i = 0; i < count; i++) {
    memset(keys[i], (int)i, CMT__AEAD_KEY);
    memset(slots[i], (int)(2 * i), CMT_FRAME_PLAIN);
    (void)VALGRIND_MAKE_MEM_UNDEFINED(keys[i], CMT__AEAD_KEY);
    (void)VALGRIND_MAKE_MEM_UNDEFINED(slots[i], CMT_FRAME_PLAIN);
    jobs[i] = (cmt__aead_job){.key = keys[i], .counter = i, .slot = slots[i]};
  }
}

/* A run that would see nothing is none. */
static void assert_marked(const void *p) {
  unsigned char bits = 0;

  if (RUNNING_ON_VALGRIND) {
    assert_int_equal(1, VALGRIND_GET_VBITS(p, &bits, 1));
    assert_int_not_equal(0, bits);
  }
}

static void check_count(size_t count) {
  unsigned before = (unsigned)VALGRIND_COUNT_ERRORS;

  prepare(count);
  kernel.seal(jobs, count);
  assert_marked(slots[0]);
  (void)VALGRIND_MAKE_MEM_DEFINED(slots, sizeof slots);
  slots[count - 1][100] ^= 1;
  kernel.open(jobs, count);
  for (size_t i = 0; i < count; i++) {
    assert_int_equal(i != count - 1, jobs[i].ok);
  }
  if (count > 1) {
    assert_marked(slots[0]);
  }
  assert_int_equal(before, (unsigned)VALGRIND_COUNT_ERRORS);
}

/* Few frames and many go through different code. */
static void no_branch_depends_on_keys_or_plain_bytes(void **state) {
  static const size_t counts[] = {1, 2, 3, 4, 7, JOBS};

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(counts); i++) {
    check_count(counts[i]);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(no_branch_depends_on_keys_or_plain_bytes),
  };

  if (!RUNNING_ON_VALGRIND) {
    printf("# not under valgrind: nothing is checked\n");
  }
  return cmocka_run_group_tests(tests, NULL, NULL);
}
