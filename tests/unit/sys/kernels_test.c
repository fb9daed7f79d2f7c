/* SPDX-License-Identifier: Apache-2.0 */
#include "frames.h"
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
}

/* The first in the table is looked at as the others are. */
static void a_first_kernel_that_is_wrong_is_reported(void **state) {
  const struct cmt_aead wrong = {"wrong", NULL, seal_all_but_last,
                                 cmt__aead_libsodium.open};
  cmt__kernel entries[] = {{.aead = &wrong}, {.aead = &cmt__aead_libsodium}};
  const cmt__kernels table = {entries, CMT__COUNT(entries)};

  (void)state;
  assert_ptr_equal(&cmt__aead_libsodium, cmt__kernels_find(&table, NULL));
  assert_string_equal("wrong", cmt__kernels_failed(&table));
}

/* Each kernel of this build that runs here passes its self-test, is found by
   its name, and does what libsodium does. */
static void the_kernels_of_this_build_work(void **state) {
  const cmt__kernels *all = &cmt__kernels_built_in;
  const struct cmt_aead *first = NULL;

  (void)state;
  assert_in_range(all->count, 1, 3);
  assert_ptr_equal(&cmt__aead_libsodium, all->entries[all->count - 1].aead);
  for (size_t i = 0; i < all->count; i++) {
    const struct cmt_aead *k = all->entries[i].aead;

    if (k->runs_here != NULL && !k->runs_here()) {
      printf("# %s does not run on this processor\n", k->name);
      assert_null(cmt__kernels_find(all, k->name));
      continue;
    }
    first = first != NULL ? first : k;
    assert_ptr_equal(k, cmt__kernels_find(all, k->name));
    frames_compare(k, 2000);
  }
  assert_ptr_equal(first, cmt__kernels_find(all, NULL));
  assert_null(cmt__kernels_failed(all));
}

static int start_libsodium(void **state) {
  (void)state;
  return sodium_init() < 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(the_first_kernel_that_works_is_used),
    cmocka_unit_test(a_first_kernel_that_is_wrong_is_reported),
    cmocka_unit_test(the_kernels_of_this_build_work),
  };
  return cmocka_run_group_tests(tests, start_libsodium, NULL);
}
