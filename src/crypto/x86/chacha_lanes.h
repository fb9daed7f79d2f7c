/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__CHACHA_LANES_H
#define CMT__CHACHA_LANES_H

/* ChaCha20 (RFC 8439, section 2.3) on many blocks at a time: word i of all
   blocks lies in vector i of the state.  A kernel defines VEC, VEC_ADD32,
   VEC_XOR and VEC_ROTL32 before it includes this. */

#include "aead_x86.h"

enum { CMT__CHACHA_BLOCK = 64, CMT__CHACHA_WORDS = 16 };

#define CMT__CHACHA_STEP(bits)                                                 \
  CMT__LANES_INLINE void chacha_step_##bits(VEC a[4], const VEC b[4],          \
                                            VEC c[4]) {                        \
    for (int i = 0; i < 4; i++) {                                              \
      a[i] = VEC_ADD32(a[i], b[i]);                                            \
    }                                                                          \
    for (int i = 0; i < 4; i++) {                                              \
      c[i] = VEC_ROTL32(VEC_XOR(c[i], a[i]), bits);                            \
    }                                                                          \
  }
CMT__CHACHA_STEP(16)
CMT__CHACHA_STEP(12)
CMT__CHACHA_STEP(8)
CMT__CHACHA_STEP(7)

/* Four quarter rounds side by side: none of them waits for another. */
CMT__LANES_INLINE void chacha_quarter_rounds(VEC x[CMT__CHACHA_WORDS]) {
  chacha_step_16(x, x + 4, x + 12);
  chacha_step_12(x + 8, x + 12, x + 4);
  chacha_step_8(x, x + 4, x + 12);
  chacha_step_7(x + 8, x + 12, x + 4);
}

/* Brings the diagonals of the state into columns, or with the counts the other
   way round back again.  These are names of registers, not instructions. */
CMT__LANES_INLINE void chacha_turn(VEC row[4], int by) {
  const VEC old[4] = {row[0], row[1], row[2], row[3]};

  for (int i = 0; i < 4; i++) {
    row[i] = old[(i + by) & 3];
  }
}

CMT__LANES_INLINE void chacha_rounds(VEC x[CMT__CHACHA_WORDS]) {
  for (int i = 0; i < 10; i++) {
    chacha_quarter_rounds(x);
    chacha_turn(x + 4, 1);
    chacha_turn(x + 8, 2);
    chacha_turn(x + 12, 3);
    chacha_quarter_rounds(x);
    chacha_turn(x + 4, 3);
    chacha_turn(x + 8, 2);
    chacha_turn(x + 12, 1);
  }
}

/* The state of one block: constants, key, block counter, nonce. */
CMT__LANES_INLINE void chacha_state(uint32_t words[CMT__CHACHA_WORDS],
                                    const uint8_t key[32], uint32_t block,
                                    uint64_t counter) {
  static const uint32_t constants[4] = {0x61707865, 0x3320646e, 0x79622d32,
                                        0x6b206574};

  memcpy(words, constants, sizeof constants);
  memcpy(words + 4, key, 32);
  words[12] = block;
  words[13] = 0;
  words[14] = (uint32_t)counter;
  words[15] = (uint32_t)(counter >> 32);
}

#endif
