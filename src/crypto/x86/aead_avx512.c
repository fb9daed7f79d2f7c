/* SPDX-License-Identifier: Apache-2.0 */
/* The frame kernel on AVX-512 with IFMA, and BMI2: sixteen blocks of keystream
   at a time, and eight frames in the lanes of Poly1305, two such groups side by
   side where there are as many.  One or two frames are faster with Poly1305 on
   integer units. */

#include "aead_x86.h"
#include "poly1305_x86.h"

#include <immintrin.h>

#define VEC __m512i
#define VEC_ADD32(a, b) _mm512_add_epi32((a), (b))
#define VEC_XOR(a, b) _mm512_xor_si512((a), (b))
#define VEC_ROTL32(v, bits) _mm512_rol_epi32((v), (bits))
#define VEC_LOAD(p) _mm512_loadu_si512(p)
#define VEC_STORE(p, v) _mm512_storeu_si512((p), (v))
#define VEC_ALL32(v) _mm512_set1_epi32(v)
#define VEC_COUNT                                                              \
  _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0)

enum { COLUMNS = 2, AT_ONCE = 16 };

/* Takes four vectors, |step| apart, by quarters: the first quarters become the
   first vector of |out|, the second ones the fifth, and so on. */
CMT__LANES_INLINE void transpose_quarters(const VEC *in, int step, VEC *out) {
  const VEC low = _mm512_shuffle_i32x4(in[0], in[step], 0x44);
  const VEC high = _mm512_shuffle_i32x4(in[0], in[step], 0xee);
  const VEC low2 = _mm512_shuffle_i32x4(in[2 * step], in[3 * step], 0x44);
  const VEC high2 = _mm512_shuffle_i32x4(in[2 * step], in[3 * step], 0xee);

  out[0] = _mm512_shuffle_i32x4(low, low2, 0x88);
  out[4] = _mm512_shuffle_i32x4(low, low2, 0xdd);
  out[8] = _mm512_shuffle_i32x4(high, high2, 0x88);
  out[12] = _mm512_shuffle_i32x4(high, high2, 0xdd);
}

/* Sixteen vectors of sixteen words: rows become columns. */
CMT__LANES_INLINE void transpose_words(VEC x[AT_ONCE]) {
  VEC pair[AT_ONCE], quad[AT_ONCE];

  for (int i = 0; i < 16; i += 2) {
    pair[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
    pair[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    quad[i] = _mm512_unpacklo_epi64(pair[i], pair[i + 2]);
    quad[i + 1] = _mm512_unpackhi_epi64(pair[i], pair[i + 2]);
    quad[i + 2] = _mm512_unpacklo_epi64(pair[i + 1], pair[i + 3]);
    quad[i + 3] = _mm512_unpackhi_epi64(pair[i + 1], pair[i + 3]);
  }
  for (int i = 0; i < 4; i++) {
    transpose_quarters(quad + i, 4, x + i);
  }
}

#include "crypto/lanes/frame_lanes.h"

/* ---- Poly1305 in lanes ---- */

#define VEC_ZERO _mm512_setzero_si512()

enum {
  GROUPS = 2,
  IN_PAIRS = 2,
  LIMBS = 3, /* 44, 44 and 42 bits: the multiplier takes 52. */
  LIMB_BITS = 44,
  TOP_BITS = 130 - (2 * (int)LIMB_BITS),
};

/* Eight vectors of eight words of 64 bits: rows become columns. */
CMT__LANES_INLINE void transpose_longs(VEC x[GROUP]) {
  VEC pair[GROUP];

  for (int i = 0; i < GROUP; i += 2) {
    pair[i] = _mm512_unpacklo_epi64(x[i], x[i + 1]);
    pair[i + 1] = _mm512_unpackhi_epi64(x[i], x[i + 1]);
  }
  for (int i = 0; i < 2; i++) {
    VEC out[AT_ONCE];

    transpose_quarters(pair + i, 2, out + i);
    for (int j = 0; j < 4; j++) {
      x[2 * j + i] = out[4 * j + i];
    }
  }
}

#define LIMB_MASK ((UINT64_C(1) << LIMB_BITS) - 1)
#define TOP_MASK ((UINT64_C(1) << TOP_BITS) - 1)

CMT__LANES_INLINE VEC all64(uint64_t v) {
  return _mm512_set1_epi64((long long)v);
}

CMT__LANES_INLINE void split(VEC limbs[LIMBS], VEC low, VEC high) {
  const VEC mask = all64(LIMB_MASK);

  limbs[0] = _mm512_and_si512(low, mask);
  limbs[1] =
    _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64(low, LIMB_BITS),
                                     _mm512_slli_epi64(high, 64 - LIMB_BITS)),
                     mask);
  limbs[2] = _mm512_srli_epi64(high, 2 * LIMB_BITS - 64);
}

/* Limbs that pass 2^132 come back as 4 * 5. */
CMT__LANES_INLINE VEC fold(VEC limb) {
  return _mm512_add_epi64(_mm512_slli_epi64(limb, 4),
                          _mm512_slli_epi64(limb, 2));
}

/* The low and the high 52 bits of products. */
typedef struct halves {
  VEC low, high;
} halves;

/* One limb of the result, from two short chains of sums each. */
CMT__LANES_INLINE halves multiply(const VEC a[3], VEC b0, VEC b1, VEC b2) {
  const VEC zero = _mm512_setzero_si512();
  const VEC l = _mm512_madd52lo_epu64(zero, a[0], b0);
  const VEC h = _mm512_madd52hi_epu64(zero, a[0], b0);
  const VEC m = _mm512_madd52lo_epu64(zero, a[1], b1);
  const VEC n = _mm512_madd52hi_epu64(zero, a[1], b1);

  return (halves){
    .low = _mm512_add_epi64(_mm512_madd52lo_epu64(l, a[2], b2), m),
    .high = _mm512_add_epi64(_mm512_madd52hi_epu64(h, a[2], b2), n),
  };
}

/* Takes sixteen bytes of each frame: sum = (sum + bytes + 2^128) * r.

   The limbs of the sum are below 2^44 + 2^13 before, so that no factor reaches
   2^52, which is as wide as the multiplier is. */
CMT__LANES_INLINE void absorb_limbs(VEC sum[LIMBS], const VEC r[LIMBS],
                                    const VEC r20[LIMBS], VEC low, VEC high) {
  const VEC mask = all64(LIMB_MASK);
  halves d[3];
  VEC a[3], carry;

  split(a, low, high);
  a[2] = _mm512_or_si512(a[2], all64(UINT64_C(1) << (128 - 2 * LIMB_BITS)));
  for (int i = 0; i < 3; i++) {
    a[i] = _mm512_add_epi64(a[i], sum[i]);
  }
  d[0] = multiply(a, r[0], r20[2], r20[1]);
  d[1] = multiply(a, r[1], r[0], r20[2]);
  d[2] = multiply(a, r[2], r[1], r[0]);
  /* The high parts stand eight bits above the next limb, the topmost ten above
     the modulus. */
  d[1].low =
    _mm512_add_epi64(d[1].low, _mm512_slli_epi64(d[0].high, 52 - LIMB_BITS));
  d[2].low =
    _mm512_add_epi64(d[2].low, _mm512_slli_epi64(d[1].high, 52 - LIMB_BITS));
  d[1].low = _mm512_add_epi64(d[1].low, _mm512_srli_epi64(d[0].low, LIMB_BITS));
  d[2].low = _mm512_add_epi64(d[2].low, _mm512_srli_epi64(d[1].low, LIMB_BITS));
  carry = _mm512_add_epi64(_mm512_srli_epi64(d[2].low, TOP_BITS),
                           _mm512_slli_epi64(d[2].high, 52 - TOP_BITS));
  carry = _mm512_add_epi64(carry, _mm512_slli_epi64(carry, 2));
  d[0].low = _mm512_add_epi64(_mm512_and_si512(d[0].low, mask), carry);
  sum[0] = _mm512_and_si512(d[0].low, mask);
  sum[1] = _mm512_add_epi64(_mm512_and_si512(d[1].low, mask),
                            _mm512_srli_epi64(d[0].low, LIMB_BITS));
  sum[2] = _mm512_and_si512(d[2].low, all64(TOP_MASK));
}

#include "frame_groups.h"

static bool avx512_runs_here(void) {
  return __builtin_cpu_supports("avx512f") &&
         __builtin_cpu_supports("avx512ifma") && __builtin_cpu_supports("bmi2");
}

const struct cmt_aead cmt__aead_avx512 = {
  .name = "avx512",
  .runs_here = avx512_runs_here,
  .seal = groups_seal,
  .open = groups_open,
};
