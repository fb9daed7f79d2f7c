/* SPDX-License-Identifier: Apache-2.0 */
/* The permutation Keccak-f[1600] (FIPS 202, section 3.3), for STROBE alone: a
   handshake runs it a dozen times, so that it is written to be read.  The state
   holds 25 lanes in little-endian order, lane (x, y) at 8 * (x + 5 * y). */

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

static void theta(uint64_t a[LANES]) {
  uint64_t column[SIDE];

  for (unsigned x = 0; x < 5; x++) {
    column[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20];
  }
  for (unsigned i = 0; i < LANES; i++) {
    unsigned x = i % 5;
    a[i] ^= column[(x + 4) % 5] ^ rotate_left(column[(x + 1) % 5], 1);
  }
  sodium_memzero(column, sizeof column);
}

/* Each lane but (0, 0) is rotated and moves on along one cycle of 24. */
static void rho_and_pi(uint64_t a[LANES]) {
  unsigned x = 1, y = 0, offset = 0;
  uint64_t carried = a[1];

  for (unsigned t = 1; t <= 24; t++) {
    unsigned row = (2 * x + 3 * y) % 5;
    uint64_t next;

    offset = (offset + t) % 64;
    x = y;
    y = row;
    next = a[x + 5 * y];
    a[x + 5 * y] = rotate_left(carried, offset);
    carried = next;
  }
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
