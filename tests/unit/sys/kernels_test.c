/* SPDX-License-Identifier: Apache-2.0 */
#include "sys/kernels.h"
#include "test.h"

#include <sodium.h>

static void seal_all_but_last(cmt__aead_job *jobs, size_t count) {
  cmt__aead_libsodium.seal(jobs, count - 1);
}

static bool never(void) { return false; }

/* What fails its test, or does not run here, is passed over; the verdict stays,
   and the first that failed is known by its name. */
static void the_first_kernel_that_works_is_used(void **state) {
  const struct cmt_aead absent = {"absent", never, NULL, NULL};
  const struct cmt_aead wrong = {"wrong", NULL, seal_all_but_last,
                                 cmt__aead_libsodium.open};
  cmt__kernel entries[] = {
    {.aead = &absent}, {.aead = &wrong}, {.aead = &cmt__aead_libsodium}};
  const cmt__kernels table = {entries, CMT__COUNT(entries)};

  (void)state;
  assert_null(cmt__kernels_failed(&table));
  for (int i = 0; i < 2; i++) {
    assert_ptr_equal(&cmt__aead_libsodium, cmt__kernels_find(&table, NULL));
    assert_string_equal("wrong", cmt__kernels_failed(&table));
  }
  assert_null(cmt__kernels_find(&table, "absent"));
  assert_null(cmt__kernels_find(&table, "wrong"));
  assert_null(cmt__kernels_find(&table, "libsodiu"));
  assert_ptr_equal(&cmt__aead_libsodium,
                   cmt__kernels_find(&table, "libsodium"));
  assert_null(cmt__kernels_failed(&cmt__kernels_built_in));
}

static int start_libsodium(void **state) {
  (void)state;
  return sodium_init() < 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_first_kernel_that_works_is_used),
  };
  return cmocka_run_group_tests(tests, start_libsodium, NULL);
}
