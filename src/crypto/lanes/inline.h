/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__LANES_INLINE_H
#define CMT__LANES_INLINE_H

/* Without it a compiler keeps vectors in memory. */
#define CMT__LANES_INLINE static inline __attribute__((always_inline))

/* Functions with more than compilers can keep in registers apart from the rest:
   what is inlined into one another is spilled together. */
#define CMT__NOINLINE static __attribute__((noinline))

#endif
