/* SPDX-License-Identifier: Apache-2.0 */

/* HighwayHash-64 in portable C.  Its state is four lanes of 64 bits, four
   times; all arithmetic is that of unsigned integers, and input is
   little-endian. */

#include "highway_hash.h"

#include "base/base.h"

enum {
  LANES = 4,
  PACKET = 32, /* Bytes that are mixed in at once. */
  FINAL_ROUNDS = 4,
};

typedef struct state {
  uint64_t v0[LANES], v1[LANES], mul0[LANES], mul1[LANES];
} state;

static uint64_t swap_halves(uint64_t v) { return v >> 32 | v << 32; }

static void start(state *s, const uint8_t *key) {
  static const uint64_t mul0[LANES] = {
    UINT64_C(0xdbe6d5d5fe4cce2f), UINT64_C(0xa4093822299f31d0),
    UINT64_C(0x13198a2e03707344), UINT64_C(0x243f6a8885a308d3)};
  static const uint64_t mul1[LANES] = {
    UINT64_C(0x3bd39e10cb0ef593), UINT64_C(0xc0acf169b5f18a8c),
    UINT64_C(0xbe5466cf34e90c6c), UINT64_C(0x452821e638d01377)};

  for (size_t i = 0; i < LANES; i++) {
    uint64_t k = cmt__load_le64(key + 8 * i);

    s->mul0[i] = mul0[i];
    s->mul1[i] = mul1[i];
    s->v0[i] = mul0[i] ^ k;
    s->v1[i] = mul1[i] ^ swap_halves(k);
  }
}

/* Adds the bytes of |a| (the even lane) and |b| in another order to |even| and
   |odd|. */
static void merge(uint64_t b, uint64_t a, uint64_t *odd, uint64_t *even) {
  *even +=
    ((a & UINT64_C(0xff000000)) | (b & UINT64_C(0xff00000000))) >> 24 |
    ((a & UINT64_C(0xff0000000000)) | (b & UINT64_C(0xff000000000000))) >> 16 |
    (a & UINT64_C(0xff0000)) | (a & UINT64_C(0xff00)) << 32 |
    (b & UINT64_C(0xff00000000000000)) >> 8 | a << 56;
  *odd += ((b & UINT64_C(0xff000000)) | (a & UINT64_C(0xff00000000))) >> 24 |
          (b & UINT64_C(0xff0000)) | (b & UINT64_C(0xff0000000000)) >> 16 |
          (b & UINT64_C(0xff00)) << 24 | (a & UINT64_C(0xff000000000000)) >> 8 |
          (b & UINT64_C(0xff)) << 48 | (a & UINT64_C(0xff00000000000000));
}

static void mix(state *s, const uint64_t in[LANES]) {
  for (size_t i = 0; i < LANES; i++) {
    s->v1[i] += s->mul0[i] + in[i];
    s->mul0[i] ^= (s->v1[i] & UINT32_MAX) * (s->v0[i] >> 32);
    s->v0[i] += s->mul1[i];
    s->mul1[i] ^= (s->v0[i] & UINT32_MAX) * (s->v1[i] >> 32);
  }
  merge(s->v1[1], s->v1[0], &s->v0[1], &s->v0[0]);
  merge(s->v1[3], s->v1[2], &s->v0[3], &s->v0[2]);
  merge(s->v0[1], s->v0[0], &s->v1[1], &s->v1[0]);
  merge(s->v0[3], s->v0[2], &s->v1[3], &s->v1[2]);
}

static void mix_packet(state *s, const uint8_t *packet) {
  uint64_t in[LANES];

  for (size_t i = 0; i < LANES; i++) {
    in[i] = cmt__load_le64(packet + 8 * i);
  }
  mix(s, in);
}

/* Rotates each half of |v| by |bits|, 1 to 31. */
static uint64_t rotate_halves(uint64_t v, unsigned bits) {
  uint32_t low = (uint32_t)v, high = (uint32_t)(v >> 32);

  low = low << bits | low >> (32 - bits);
  high = high << bits | high >> (32 - bits);
  return (uint64_t)high << 32 | low;
}

/* Mixes in the last |len| bytes, 1 to 31. */
static void mix_rest(state *s, const uint8_t *in, size_t len) {
  uint8_t packet[PACKET] = {0};
  size_t whole = len & ~(size_t)3, rest = len & 3;

  for (size_t i = 0; i < LANES; i++) {
    s->v0[i] += (uint64_t)len << 32 | len;
    s->v1[i] = rotate_halves(s->v1[i], (unsigned)len);
  }
  memcpy(packet, in, whole);
  if (len >= 16) {
    memcpy(packet + PACKET - 4, in + len - 4, 4);
  } else if (rest > 0) {
    packet[16] = in[whole];
    packet[17] = in[whole + (rest >> 1)];
    packet[18] = in[whole + rest - 1];
  }
  mix_packet(s, packet);
}

uint64_t cmt__highway_hash(const uint8_t key[CMT__HIGHWAY_KEY_SIZE],
                           const void *data, size_t len) {
  const uint8_t *in = data;
  state s;

  start(&s, key);
  for (; len >= PACKET; len -= PACKET, in += PACKET) {
    mix_packet(&s, in);
  }
  if (len > 0) {
    mix_rest(&s, in, len);
  }
  for (int i = 0; i < FINAL_ROUNDS; i++) {
    const uint64_t turned[LANES] = {swap_halves(s.v0[2]), swap_halves(s.v0[3]),
                                    swap_halves(s.v0[0]), swap_halves(s.v0[1])};

    mix(&s, turned);
  }
  return s.v0[0] + s.v1[0] + s.mul0[0] + s.mul1[0];
}
