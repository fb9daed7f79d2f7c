/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__CHACHA_LANES_H
#define CMT__CHACHA_LANES_H

/* ChaCha20 (RFC 8439, section 2.3) on many blocks at a time: word i of all
   blocks lies in vector i of the state.  A kernel defines VEC, VEC_ADD32,
   VEC_XOR, VEC_ROTL32 and COLUMNS before it includes this. */

#include "base/base.h"
#include "inline.h"

enum {
  CMT__CHACHA_BLOCK = 64,
  CMT__CHACHA_WORDS = 16,
  CMT__CHACHA_DOUBLE_ROUNDS = 10,
};

/* COLUMNS columns of the state, from |first| on, or with a |turn| of 1 as many
   diagonals: side by side they hide each other's latency.  All four need more
   registers than AVX2 has. */
CMT__LANES_INLINE void chacha_columns(VEC x[CMT__CHACHA_WORDS], int first,
                                      int turn) {
  VEC *a = x + first;
  VEC *b[COLUMNS], *c[COLUMNS], *d[COLUMNS];

  for (int i = 0; i < COLUMNS; i++) {
    b[i] = x + 4 + ((first + i + turn) & 3);
    c[i] = x + 8 + ((first + i + 2 * turn) & 3);
    d[i] = x + 12 + ((first + i + 3 * turn) & 3);
  }
#define CMT__CHACHA_STEP(to, with, turned, bits)                               \
  for (int i = 0; i < COLUMNS; i++) {                                          \
    to = VEC_ADD32(to, with);                                                  \
  }                                                                            \
  for (int i = 0; i < COLUMNS; i++) {                                          \
    turned = VEC_ROTL32(VEC_XOR(turned, to), bits);                            \
  }
  CMT__CHACHA_STEP(a[i], *b[i], *d[i], 16)
  CMT__CHACHA_STEP(*c[i], *d[i], *b[i], 12)
  CMT__CHACHA_STEP(a[i], *b[i], *d[i], 8)
  CMT__CHACHA_STEP(*c[i], *d[i], *b[i], 7)
#undef CMT__CHACHA_STEP
}

/* Word |i| of the state of a block: constants, key, block counter, nonce. */
CMT__LANES_INLINE uint32_t chacha_word(int i, const uint8_t key[32],
                                       uint32_t block, uint64_t counter) {
  static const uint32_t constants[4] = {0x61707865, 0x3320646e, 0x79622d32,
                                        0x6b206574};

  if (i < 4) {
    return constants[i];
  }
  if (i < 12) {
    return cmt__load_le32(key + (ptrdiff_t)(i - 4) * 4);
  }
  return i == 12   ? block
         : i == 13 ? 0
         : i == 14 ? (uint32_t)counter
                   : (uint32_t)(counter >> 32);
}

#endif
