/* SPDX-License-Identifier: Apache-2.0 */
/* The frame kernel on NEON, which every 64-bit ARM processor has that Linux
   runs on: four blocks at a time. */

#include "aead_arm.h"
#include "crypto/lanes/poly1305_words.h"

#include <arm_neon.h>

#define VEC uint32x4_t
#define VEC_ADD32(a, b) vaddq_u32((a), (b))
#define VEC_XOR(a, b) veorq_u32((a), (b))
#define VEC_LOAD(p) vreinterpretq_u32_u8(vld1q_u8((const void *)(p)))
#define VEC_STORE(p, v) vst1q_u8((void *)(p), vreinterpretq_u8_u32(v))
#define VEC_ALL32(v) vdupq_n_u32((uint32_t)(v))
#define VEC_COUNT lane_numbers()
/* A turn by two bytes swaps halves, one by a byte is a look-up, and any other
   is a shift and one that inserts. */
#define VEC_ROTL32(v, bits)                                                    \
  ((bits) == 16  ? swap_halves(v)                                              \
   : (bits) == 8 ? turn_byte(v)                                                \
                 : vsriq_n_u32(vshlq_n_u32((v), (bits)), (v), 32 - (bits)))

CMT__LANES_INLINE VEC lane_numbers(void) {
  static const uint8_t numbers[16] = {[4] = 1, [8] = 2, [12] = 3};

  return VEC_LOAD(numbers);
}

CMT__LANES_INLINE VEC swap_halves(VEC v) {
  return vreinterpretq_u32_u16(vrev32q_u16(vreinterpretq_u16_u32(v)));
}

CMT__LANES_INLINE VEC turn_byte(VEC v) {
  static const uint8_t from[16] = {3,  0, 1, 2,  7,  4,  5,  6,
                                   11, 8, 9, 10, 15, 12, 13, 14};

  return vreinterpretq_u32_u8(
    vqtbl1q_u8(vreinterpretq_u8_u32(v), vld1q_u8(from)));
}

enum { COLUMNS = 4, AT_ONCE = 4 };

CMT__LANES_INLINE VEC low_halves(VEC a, VEC b) {
  return vreinterpretq_u32_u64(
    vtrn1q_u64(vreinterpretq_u64_u32(a), vreinterpretq_u64_u32(b)));
}

CMT__LANES_INLINE VEC high_halves(VEC a, VEC b) {
  return vreinterpretq_u32_u64(
    vtrn2q_u64(vreinterpretq_u64_u32(a), vreinterpretq_u64_u32(b)));
}

/* Four vectors of four words: rows become columns. */
CMT__LANES_INLINE void transpose_words(VEC x[AT_ONCE]) {
  const VEC even = vtrn1q_u32(x[0], x[1]), odd = vtrn2q_u32(x[0], x[1]);
  const VEC even2 = vtrn1q_u32(x[2], x[3]), odd2 = vtrn2q_u32(x[2], x[3]);

  x[0] = low_halves(even, even2);
  x[1] = low_halves(odd, odd2);
  x[2] = high_halves(even, even2);
  x[3] = high_halves(odd, odd2);
}

/* Takes sixteen bytes: sum = (sum + bytes + 2^128) * r, less a multiple of the
   modulus 2^130 - 5.  The last word of the sum is at most 4.

   The sum with the bytes is |a| and |top|, which is at most 6.  A product with
   r[1] that stands at 2^128 is one of r[1] / 4 at 2^130, which is |folded| at
   2^0.  Clamped, r[0] and r[1] are below 2^60, so that no sum of products
   overflows. */
CMT__LANES_INLINE void poly_absorb(const cmt__poly *p, cmt__word sum[3],
                                   cmt__word low, cmt__word high) {
  cmt__u128 a = two_words(sum[0], sum[1]), d, e;
  cmt__word top = sum[2] + 1, over;

  top += add_carrying(&a, two_words(low, high));
  low = (cmt__word)a;
  high = (cmt__word)(a >> 64);
  /* |d| stands at 2^0, |e| at 2^64. */
  d = (cmt__u128)low * p->r[0] + (cmt__u128)high * p->folded;
  e = (cmt__u128)low * p->r[1] + (cmt__u128)high * p->r[0];
  e += (cmt__word)(d >> 64);
  e += two_words(top * p->folded, top * p->r[0]);
  /* What stands at 2^130 comes back five times. */
  top = (cmt__word)(e >> 64);
  over = (top & ~UINT64_C(3)) + (top >> 2);
  a = two_words((cmt__word)d, (cmt__word)e);
  sum[2] = (top & 3) + add_carrying(&a, over);
  sum[0] = (cmt__word)a;
  sum[1] = (cmt__word)(a >> 64);
}

#include "crypto/lanes/frame_lanes.h"

const struct cmt_aead cmt__aead_neon = {
  .name = "neon",
  .seal = pairs_seal,
  .open = pairs_open,
};
