/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__AEAD_X86_H
#define CMT__AEAD_X86_H

#include "crypto/aead.h"

/* Frame kernels for four frames at a time, and for eight or sixteen. */
extern const struct cmt_aead cmt__aead_avx2;
extern const struct cmt_aead cmt__aead_avx512;

/* Without it a compiler keeps vectors in memory. */
#define CMT__LANES_INLINE static inline __attribute__((always_inline))

#endif
