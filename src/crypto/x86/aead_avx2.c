/* SPDX-License-Identifier: Apache-2.0 */
/* The frame kernel on AVX2 and BMI2: eight blocks at a time. */

#include "aead_x86.h"
#include "poly1305_x86.h"

#include <immintrin.h>

#define VEC __m256i
#define VEC_ADD32(a, b) _mm256_add_epi32((a), (b))
#define VEC_XOR(a, b) _mm256_xor_si256((a), (b))
#define VEC_LOAD(p) _mm256_loadu_si256((const VEC *)(const void *)(p))
#define VEC_STORE(p, v) _mm256_storeu_si256((VEC *)(void *)(p), (v))
#define VEC_ALL32(v) _mm256_set1_epi32(v)
#define VEC_COUNT _mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0)
/* A turn by whole bytes is one shuffle. */
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

enum { COLUMNS = 2, AT_ONCE = 8 };

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

#include "crypto/lanes/frame_lanes.h"

static bool avx2_runs_here(void) {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
}

const struct cmt_aead cmt__aead_avx2 = {
  .name = "avx2",
  .runs_here = avx2_runs_here,
  .seal = pairs_seal,
  .open = pairs_open,
};
