/* SPDX-License-Identifier: Apache-2.0 */
/* The frame kernel on AVX2: four frames at a time. */

#include "aead_x86.h"

#include <immintrin.h>

#define VEC __m256i
#define VEC_ADD32(a, b) _mm256_add_epi32((a), (b))
#define VEC_XOR(a, b) _mm256_xor_si256((a), (b))
#define VEC_LOAD(p) _mm256_loadu_si256((const VEC *)(const void *)(p))
#define VEC_STORE(p, v) _mm256_storeu_si256((VEC *)(void *)(p), (v))
#define VEC_ALL32(v) _mm256_set1_epi32(v)
#define VEC_ZERO _mm256_setzero_si256()
#define VEC_COUNT _mm256_set_epi32(8, 7, 6, 5, 4, 3, 2, 1)
/* A rotation by whole bytes is one shuffle. */
#define VEC_ROTL32(v, bits)                                                    \
  ((bits) == 16  ? _mm256_shuffle_epi8((v), turn_bytes(2))                     \
   : (bits) == 8 ? _mm256_shuffle_epi8((v), turn_bytes(1))                     \
                 : _mm256_or_si256(_mm256_slli_epi32((v), (bits)),             \
                                   _mm256_srli_epi32((v), 32 - (bits))))

CMT__LANES_INLINE __m256i turn_bytes(int by) {
  const __m256i two =
    _mm256_set_epi8(13, 12, 15, 14, 9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2, 13,
                    12, 15, 14, 9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2);
  const __m256i one =
    _mm256_set_epi8(14, 13, 12, 15, 10, 9, 8, 11, 6, 5, 4, 7, 2, 1, 0, 3, 14,
                    13, 12, 15, 10, 9, 8, 11, 6, 5, 4, 7, 2, 1, 0, 3);

  return by == 2 ? two : one;
}

enum {
  LANES = 4,
  GROUPS = 1,
  ALONE = 2,
  LIMBS = 5,
  LIMB_BITS = 26, /* The multiplier takes 32. */
};

/* Eight vectors of eight words: rows become columns. */
CMT__LANES_INLINE void transpose_words(VEC x[8]) {
  VEC pair[8], quad[8];

  for (int i = 0; i < 8; i += 2) {
    pair[i] = _mm256_unpacklo_epi32(x[i], x[i + 1]);
    pair[i + 1] = _mm256_unpackhi_epi32(x[i], x[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    quad[i] = _mm256_unpacklo_epi64(pair[i], pair[i + 2]);
    quad[i + 1] = _mm256_unpackhi_epi64(pair[i], pair[i + 2]);
    quad[i + 2] = _mm256_unpacklo_epi64(pair[i + 1], pair[i + 3]);
    quad[i + 3] = _mm256_unpackhi_epi64(pair[i + 1], pair[i + 3]);
  }
  for (int i = 0; i < 4; i++) {
    x[i] = _mm256_permute2x128_si256(quad[i], quad[i + 4], 0x20);
    x[i + 4] = _mm256_permute2x128_si256(quad[i], quad[i + 4], 0x31);
  }
}

/* Four vectors of four words of 64 bits: rows become columns. */
CMT__LANES_INLINE void transpose_longs(VEC x[LANES]) {
  VEC pair[LANES];

  for (int i = 0; i < LANES; i += 2) {
    pair[i] = _mm256_unpacklo_epi64(x[i], x[i + 1]);
    pair[i + 1] = _mm256_unpackhi_epi64(x[i], x[i + 1]);
  }
  for (int i = 0; i < 2; i++) {
    x[i] = _mm256_permute2x128_si256(pair[i], pair[2 + i], 0x20);
    x[2 + i] = _mm256_permute2x128_si256(pair[i], pair[2 + i], 0x31);
  }
}

#define LIMB_MASK ((1 << LIMB_BITS) - 1)

CMT__LANES_INLINE VEC all64(long long v) { return _mm256_set1_epi64x(v); }

CMT__LANES_INLINE void split(VEC limbs[LIMBS], VEC low, VEC high) {
  const VEC mask = all64(LIMB_MASK);

  limbs[0] = _mm256_and_si256(low, mask);
  limbs[1] = _mm256_and_si256(_mm256_srli_epi64(low, LIMB_BITS), mask);
  limbs[2] = _mm256_and_si256(
    _mm256_or_si256(_mm256_srli_epi64(low, 2 * LIMB_BITS),
                    _mm256_slli_epi64(high, 64 - 2 * LIMB_BITS)),
    mask);
  limbs[3] =
    _mm256_and_si256(_mm256_srli_epi64(high, 3 * LIMB_BITS - 64), mask);
  limbs[4] = _mm256_srli_epi64(high, 4 * LIMB_BITS - 64);
}

/* Limbs that pass 2^130 come back as 5. */
CMT__LANES_INLINE VEC fold(VEC limb) {
  return _mm256_add_epi64(_mm256_slli_epi64(limb, 2), limb);
}

CMT__LANES_INLINE VEC product(VEC a, VEC b) { return _mm256_mul_epu32(a, b); }
CMT__LANES_INLINE VEC add(VEC a, VEC b) { return _mm256_add_epi64(a, b); }

/* Carries what |from| has above a limb over to |to|. */
CMT__LANES_INLINE void carry(VEC *from, VEC *to) {
  *to = add(*to, _mm256_srli_epi64(*from, LIMB_BITS));
  *from = _mm256_and_si256(*from, all64(LIMB_MASK));
}

/* Absorbs sixteen bytes of each frame: sum = (sum + bytes + 2^128) * r.

   The limbs of the sum are below 2^26 + 2^10 before, so that all factors fit
   into the multiplier's 32 bits, and five products into 64. */
CMT__LANES_INLINE void absorb(VEC sum[LIMBS], const VEC r[LIMBS],
                              const VEC r5[LIMBS], VEC low, VEC high) {
  VEC a[LIMBS], d[LIMBS], over;

  split(a, low, high);
  a[4] = _mm256_or_si256(a[4], all64(1 << (128 - 4 * LIMB_BITS)));
  for (int i = 0; i < LIMBS; i++) {
    a[i] = add(a[i], sum[i]);
  }
  for (int i = 0; i < LIMBS; i++) {
    d[i] = product(a[0], r[i]);
  }
  for (int j = 1; j < LIMBS; j++) {
    for (int i = 0; i < LIMBS; i++) {
      d[i] = add(d[i], product(a[j], i >= j ? r[i - j] : r5[LIMBS + i - j]));
    }
  }
  /* Two chains of carries side by side. */
  carry(&d[3], &d[4]);
  carry(&d[0], &d[1]);
  over = _mm256_srli_epi64(d[4], LIMB_BITS);
  d[4] = _mm256_and_si256(d[4], all64(LIMB_MASK));
  carry(&d[1], &d[2]);
  d[0] = add(d[0], add(over, _mm256_slli_epi64(over, 2)));
  carry(&d[2], &d[3]);
  carry(&d[0], &d[1]);
  carry(&d[3], &d[4]);
  for (int i = 0; i < LIMBS; i++) {
    sum[i] = d[i];
  }
}

#include "frame_lanes.h"

static bool avx2_runs_here(void) { return __builtin_cpu_supports("avx2"); }

const struct cmt_aead cmt__aead_avx2 = {
  .name = "avx2",
  .runs_here = avx2_runs_here,
  .seal = lanes_seal,
  .open = lanes_open,
};
