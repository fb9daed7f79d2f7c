/* SPDX-License-Identifier: Apache-2.0 */
/* The permutation Keccak-f[1600] (FIPS 202, section 3.3), for STROBE alone. The
   indices are constants, so that a compiler can keep the lanes in registers:
   computed ones took 3.1 us a permutation where these take 0.5, and a handshake
   has several.  The state holds 25 lanes in little-endian order, lane (x, y) at
   8 * (x + 5 * y). */

#include "keccak.h"

#include "base/base.h"

#include <sodium.h>

enum { SIDE = 5, LANES = SIDE * SIDE, ROUNDS = 24 };

static const uint64_t round_constants[ROUNDS] = {
  UINT64_C(0x0000000000000001), UINT64_C(0x0000000000008082),
  UINT64_C(0x800000000000808a), UINT64_C(0x8000000080008000),
  UINT64_C(0x000000000000808b), UINT64_C(0x0000000080000001),
  UINT64_C(0x8000000080008081), UINT64_C(0x8000000000008009),
  UINT64_C(0x000000000000008a), UINT64_C(0x0000000000000088),
  UINT64_C(0x0000000080008009), UINT64_C(0x000000008000000a),
  UINT64_C(0x000000008000808b), UINT64_C(0x800000000000008b),
  UINT64_C(0x8000000000008089), UINT64_C(0x8000000000008003),
  UINT64_C(0x8000000000008002), UINT64_C(0x8000000000000080),
  UINT64_C(0x000000000000800a), UINT64_C(0x800000008000000a),
  UINT64_C(0x8000000080008081), UINT64_C(0x8000000000008080),
  UINT64_C(0x0000000080000001), UINT64_C(0x8000000080008008),
};

/* |n| is 1 to 63. */
static uint64_t rotate_left(uint64_t v, unsigned n) {
  return v << n | v >> (64 - n);
}

/* Column |x| of the state. */
static uint64_t column(const uint64_t a[LANES], unsigned x) {
  return a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
}

static void theta(uint64_t a[LANES]) {
  uint64_t c0 = column(a, 0), c1 = column(a, 1), c2 = column(a, 2),
           c3 = column(a, 3), c4 = column(a, 4);
  uint64_t d0 = c4 ^ rotate_left(c1, 1), d1 = c0 ^ rotate_left(c2, 1),
           d2 = c1 ^ rotate_left(c3, 1), d3 = c2 ^ rotate_left(c4, 1),
           d4 = c3 ^ rotate_left(c0, 1);

  for (unsigned y = 0; y < LANES; y += 5) {
    a[y] ^= d0;
    a[y + 1] ^= d1;
    a[y + 2] ^= d2;
    a[y + 3] ^= d3;
    a[y + 4] ^= d4;
  }
}

/* The lane |to| becomes the one that is carried, rotated, and is carried then.
 */
static inline uint64_t move(uint64_t a[LANES], unsigned to, uint64_t carried,
                            unsigned offset) {
  uint64_t next = a[to];

  a[to] = rotate_left(carried, offset);
  return next;
}

/* Each lane but (0, 0) is rotated and moves on along one cycle of 24. */
static void rho_and_pi(uint64_t a[LANES]) {
  uint64_t v = a[1];

  v = move(a, 10, v, 1);
  v = move(a, 7, v, 3);
  v = move(a, 11, v, 6);
  v = move(a, 17, v, 10);
  v = move(a, 18, v, 15);
  v = move(a, 3, v, 21);
  v = move(a, 5, v, 28);
  v = move(a, 16, v, 36);
  v = move(a, 8, v, 45);
  v = move(a, 21, v, 55);
  v = move(a, 24, v, 2);
  v = move(a, 4, v, 14);
  v = move(a, 15, v, 27);
  v = move(a, 23, v, 41);
  v = move(a, 19, v, 56);
  v = move(a, 13, v, 8);
  v = move(a, 12, v, 25);
  v = move(a, 2, v, 43);
  v = move(a, 20, v, 62);
  v = move(a, 14, v, 18);
  v = move(a, 22, v, 39);
  v = move(a, 9, v, 61);
  v = move(a, 6, v, 20);
  (void)move(a, 1, v, 44);
}

static void chi(uint64_t a[LANES]) {
  for (unsigned y = 0; y < LANES; y += 5) {
    uint64_t first = a[y], second = a[y + 1];

    a[y] ^= ~a[y + 1] & a[y + 2];
    a[y + 1] ^= ~a[y + 2] & a[y + 3];
    a[y + 2] ^= ~a[y + 3] & a[y + 4];
    a[y + 3] ^= ~a[y + 4] & first;
    a[y + 4] ^= ~first & second;
  }
}

void cmt__keccak_f1600(uint8_t *state) {
  uint64_t a[LANES];

  for (size_t i = 0; i < LANES; i++) {
    a[i] = (uint64_t)cmt__load_le32(state + 8 * i + 4) << 32 |
           cmt__load_le32(state + 8 * i);
  }
  for (size_t round = 0; round < ROUNDS; round++) {
    theta(a);
    rho_and_pi(a);
    chi(a);
    a[0] ^= round_constants[round];
  }
  for (size_t i = 0; i < LANES; i++) {
    cmt__store_le64(state + 8 * i, a[i]);
  }
  sodium_memzero(a, sizeof a);
}
