/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__KERNELS_H
#define CMT__KERNELS_H

/* The frame kernels of this build, and the choice among them. */

#include "crypto/aead.h"

#include <stdatomic.h>

/* A kernel, and the verdict of its self-test. */
typedef struct cmt__kernel {
  const struct cmt_aead *aead;
  atomic_int verdict;
} cmt__kernel;

/* The fastest first. */
typedef struct cmt__kernels {
  cmt__kernel *entries;
  size_t count;
} cmt__kernels;

/* The kernels of this build; libsodium is the last. */
extern const cmt__kernels cmt__kernels_built_in;

/* The kernel of that name, or with NULL the first, that runs on this processor
   and passes its self-test, which is made once; NULL: there is none. */
const struct cmt_aead *cmt__kernels_find(const cmt__kernels *t,
                                         const char *name);

/* The name of the first kernel that failed its self-test; NULL: none did. */
const char *cmt__kernels_failed(const cmt__kernels *t);

#endif
