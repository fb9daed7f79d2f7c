/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ARM_NEON_H
#define ARM_NEON_H

/* The instructions of NEON that the frame kernel uses, in plain C.  A test that
   finds this file before the compiler's own runs the kernel's source on another
   little-endian processor, and under valgrind, which sees each operation.
   Written from Arm's description of each intrinsic. */

#include <stdint.h>
#include <string.h>

typedef union emulated_vector {
  uint8_t b[16];
  uint16_t h[8];
  uint32_t s[4];
  uint64_t d[2];
} emulated_vector;
typedef emulated_vector uint8x16_t, uint16x8_t, uint32x4_t, uint64x2_t;

#define vreinterpretq_u8_u32(v) (v)
#define vreinterpretq_u16_u32(v) (v)
#define vreinterpretq_u32_u8(v) (v)
#define vreinterpretq_u32_u16(v) (v)
#define vreinterpretq_u32_u64(v) (v)
#define vreinterpretq_u64_u32(v) (v)

#define EMULATE(name, lanes, lane, expression)                                 \
  static inline emulated_vector name(emulated_vector a, emulated_vector b) {   \
    emulated_vector out;                                                       \
    for (int i = 0; i < (lanes); i++) {                                        \
      out.lane[i] = (expression);                                              \
    }                                                                          \
    return out;                                                                \
  }
EMULATE(vaddq_u32, 4, s, a.s[i] + b.s[i])
EMULATE(veorq_u32, 4, s, a.s[i] ^ b.s[i])
/* The even lanes of both, and the odd ones. */
EMULATE(vtrn1q_u32, 4, s, (i & 1) == 0 ? a.s[i] : b.s[i - 1])
EMULATE(vtrn2q_u32, 4, s, (i & 1) == 0 ? a.s[i + 1] : b.s[i])
EMULATE(vtrn1q_u64, 2, d, i == 0 ? a.d[0] : b.d[0])
EMULATE(vtrn2q_u64, 2, d, i == 0 ? a.d[1] : b.d[1])
/* Bytes of |a|, chosen by those of |b|; a number too high chooses 0. */
EMULATE(vqtbl1q_u8, 16, b, (uint8_t)(b.b[i] < 16 ? a.b[b.b[i]] : 0))
#undef EMULATE

static inline uint32x4_t vshlq_n_u32(uint32x4_t a, int bits) {
  for (int i = 0; i < 4; i++) {
    a.s[i] <<= bits;
  }
  return a;
}

/* Shifts |b| to the right, and inserts it below the highest bits of |a|. */
static inline uint32x4_t vsriq_n_u32(uint32x4_t a, uint32x4_t b, int bits) {
  for (int i = 0; i < 4; i++) {
    a.s[i] = (a.s[i] & ~(UINT32_MAX >> bits)) | b.s[i] >> bits;
  }
  return a;
}

static inline uint16x8_t vrev32q_u16(uint16x8_t a) {
  uint16x8_t out;

  for (int i = 0; i < 8; i++) {
    out.h[i] = a.h[i ^ 1];
  }
  return out;
}

static inline uint32x4_t vdupq_n_u32(uint32_t v) {
  return (uint32x4_t){.s = {v, v, v, v}};
}

static inline uint8x16_t vld1q_u8(const uint8_t *p) {
  uint8x16_t out;

  memcpy(&out, p, sizeof out);
  return out;
}

static inline void vst1q_u8(uint8_t *p, uint8x16_t a) {
  memcpy(p, &a, sizeof a);
}

#endif
