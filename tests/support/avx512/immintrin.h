/* SPDX-License-Identifier: Apache-2.0 */
#ifndef IMMINTRIN_H
#define IMMINTRIN_H

/* The instructions of AVX-512 that the frame kernel uses, in plain C.  A test
   that finds this file before the compiler's own runs the kernel's source where
   no processor has them: on other machines, and under valgrind, which sees each
   operation.  Written from Intel's description of each intrinsic. */

#include <stdint.h>
#include <string.h>

typedef union __m512i {
  uint64_t q[8];
  uint32_t d[16];
} __m512i;

#define EMULATE_64(name, expression)                                           \
  static inline __m512i name(__m512i a, __m512i b) {                           \
    __m512i out;                                                               \
    for (int i = 0; i < 8; i++) {                                              \
      out.q[i] = (expression);                                                 \
    }                                                                          \
    return out;                                                                \
  }
EMULATE_64(_mm512_add_epi64, a.q[i] + b.q[i])
EMULATE_64(_mm512_and_si512, a.q[i] & b.q[i])
EMULATE_64(_mm512_or_si512, a.q[i] | b.q[i])
EMULATE_64(_mm512_xor_si512, a.q[i] ^ b.q[i])
/* Within each quarter of 128 bits. */
EMULATE_64(_mm512_unpacklo_epi64, (i & 1) == 0 ? a.q[i] : b.q[i - 1])
EMULATE_64(_mm512_unpackhi_epi64, (i & 1) == 0 ? a.q[i + 1] : b.q[i])
#undef EMULATE_64

#define EMULATE_32(name, expression)                                           \
  static inline __m512i name(__m512i a, __m512i b) {                           \
    __m512i out;                                                               \
    for (int i = 0; i < 16; i++) {                                             \
      out.d[i] = (expression);                                                 \
    }                                                                          \
    return out;                                                                \
  }
EMULATE_32(_mm512_add_epi32, a.d[i] + b.d[i])
EMULATE_32(_mm512_unpacklo_epi32, (i & 1) == 0 ? a.d[(i & ~3) + (i & 3) / 2]
                                               : b.d[(i & ~3) + (i & 3) / 2])
EMULATE_32(_mm512_unpackhi_epi32, (i & 1) == 0
                                    ? a.d[(i & ~3) + 2 + (i & 3) / 2]
                                    : b.d[(i & ~3) + 2 + (i & 3) / 2])
#undef EMULATE_32

static inline __m512i _mm512_rol_epi32(__m512i a, int bits) {
  for (int i = 0; i < 16; i++) {
    a.d[i] = a.d[i] << bits | a.d[i] >> (32 - bits);
  }
  return a;
}

static inline __m512i _mm512_srli_epi64(__m512i a, unsigned bits) {
  for (int i = 0; i < 8; i++) {
    a.q[i] >>= bits;
  }
  return a;
}

static inline __m512i _mm512_slli_epi64(__m512i a, unsigned bits) {
  for (int i = 0; i < 8; i++) {
    a.q[i] <<= bits;
  }
  return a;
}

/* Two quarters of |a|, then two of |b|, chosen by two bits each. */
static inline __m512i _mm512_shuffle_i32x4(__m512i a, __m512i b, int which) {
  __m512i out;

  for (int i = 0; i < 4; i++) {
    const __m512i *from = i < 2 ? &a : &b;

    memcpy(&out.d[4 * i], &from->d[4 * (which >> 2 * i & 3)], 16);
  }
  return out;
}

static inline __m512i _mm512_set1_epi32(int v) {
  __m512i out;

  for (int i = 0; i < 16; i++) {
    out.d[i] = (uint32_t)v;
  }
  return out;
}

static inline __m512i _mm512_set1_epi64(long long v) {
  __m512i out;

  for (int i = 0; i < 8; i++) {
    out.q[i] = (uint64_t)v;
  }
  return out;
}

static inline __m512i _mm512_setzero_si512(void) {
  return _mm512_set1_epi32(0);
}

static inline __m512i emulated_words(const int words[16]) {
  __m512i out;

  for (int i = 0; i < 16; i++) {
    out.d[i] = (uint32_t)words[15 - i];
  }
  return out;
}
/* From the highest word to the lowest. */
#define _mm512_set_epi32(...) emulated_words((const int[16]){__VA_ARGS__})

static inline __m512i _mm512_loadu_si512(const void *p) {
  __m512i out;

  memcpy(&out, p, sizeof out);
  return out;
}

static inline void _mm512_storeu_si512(void *p, __m512i a) {
  memcpy(p, &a, sizeof a);
}

/* |sum| and the low or the high half of the product of 52 bits each. */
static inline __m512i emulated_madd52(__m512i sum, __m512i a, __m512i b,
                                      int shift) {
  const uint64_t mask = (UINT64_C(1) << 52) - 1;

  for (int i = 0; i < 8; i++) {
    __extension__ unsigned __int128 product = a.q[i] & mask;

    product *= b.q[i] & mask;
    sum.q[i] += (uint64_t)(product >> shift) & mask;
  }
  return sum;
}

static inline __m512i _mm512_madd52lo_epu64(__m512i sum, __m512i a, __m512i b) {
  return emulated_madd52(sum, a, b, 0);
}

static inline __m512i _mm512_madd52hi_epu64(__m512i sum, __m512i a, __m512i b) {
  return emulated_madd52(sum, a, b, 52);
}

/* This one is of every 64-bit x86. */
static inline unsigned char _addcarry_u64(unsigned char carry,
                                          unsigned long long a,
                                          unsigned long long b,
                                          unsigned long long *out) {
  const unsigned long long sum = a + b;

  *out = sum + carry;
  return (unsigned char)((sum < a) | (*out < sum));
}

#endif
