/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__AEAD_X86_H
#define CMT__AEAD_X86_H

#include "crypto/aead.h"

/* Frame kernels with eight and with sixteen blocks of keystream at a time. */
extern const struct cmt_aead cmt__aead_avx2;
extern const struct cmt_aead cmt__aead_avx512;

/* Without it a compiler keeps vectors in memory. */
#define CMT__LANES_INLINE static inline __attribute__((always_inline))

/* Functions with more than compilers can keep in registers apart from the rest:
   what is inlined into one another is spilled together. */
#define CMT__NOINLINE static __attribute__((noinline))

#endif
