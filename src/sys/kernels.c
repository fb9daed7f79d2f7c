/* SPDX-License-Identifier: Apache-2.0 */
/* Which frame kernel is used. */

#include "kernels.h"

#include "crypto/arm/aead_arm.h"
#include "crypto/x86/aead_x86.h"

#include <string.h>

typedef enum verdict { UNTESTED, PASSED, FAILED } verdict;

/* The fastest first.  Two threads that test a kernel at the same time come to
   the same verdict. */
static cmt__kernel built_in[] = {
#ifdef CMT_KERNELS_X86
  {.aead = &cmt__aead_avx512},
  {.aead = &cmt__aead_avx2},
#endif
#ifdef CMT_KERNELS_ARM
  {.aead = &cmt__aead_neon},
#endif
  {.aead = &cmt__aead_libsodium},
};

const cmt__kernels cmt__kernels_built_in = {
  .entries = built_in,
  .count = sizeof built_in / sizeof built_in[0],
};

static bool passes(cmt__kernel *e) {
  int now = atomic_load(&e->verdict);

  if (now == UNTESTED) {
    now = cmt__aead_self_test(e->aead) ? PASSED : FAILED;
    atomic_store(&e->verdict, now);
  }
  return now == PASSED;
}

const struct cmt_aead *cmt__kernels_find(const cmt__kernels *t,
                                         const char *name) {
  for (size_t i = 0; i < t->count; i++) {
    const struct cmt_aead *k = t->entries[i].aead;

    if ((name == NULL || strcmp(name, k->name) == 0) &&
        (k->runs_here == NULL || k->runs_here()) && passes(&t->entries[i])) {
      return k;
    }
  }
  return NULL;
}

const char *cmt__kernels_failed(const cmt__kernels *t) {
  for (size_t i = 0; i < t->count; i++) {
    if (atomic_load(&t->entries[i].verdict) == FAILED) {
      return t->entries[i].aead->name;
    }
  }
  return NULL;
}
