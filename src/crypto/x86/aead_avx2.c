/* SPDX-License-Identifier: Apache-2.0 */
/* The frame kernel on AVX2: four frames at a time.

   A frame takes blocks 0 to 17 of its keystream: block 0 is the one-time key of
   Poly1305, 1 to 16 cover its first 1024 bytes, and 17 its last four.  Blocks 1
   to 8 and 9 to 16 of one frame fill the eight lanes of ChaCha20; blocks 0 and
   17 of four frames fill them once more.  Poly1305 has one frame in each of its
   four lanes, with its own key, so that nothing is summed across lanes. */

#include "aead_x86.h"

#include <cometp2p/secret_conn.h>
#include <immintrin.h>
#include <sodium.h>

#define VEC __m256i
#define VEC_ADD32(a, b) _mm256_add_epi32((a), (b))
#define VEC_XOR(a, b) _mm256_xor_si256((a), (b))
/* A turn by whole bytes is one shuffle. */
#define VEC_ROTL32(v, bits)                                                    \
  ((bits) == 16  ? _mm256_shuffle_epi8((v), turn_bytes(2))                     \
   : (bits) == 8 ? _mm256_shuffle_epi8((v), turn_bytes(1))                     \
                 : _mm256_or_si256(_mm256_slli_epi32((v), (bits)),             \
                                   _mm256_srli_epi32((v), 32 - (bits))))

static inline __attribute__((always_inline)) __m256i turn_bytes(int by) {
  const __m256i two =
    _mm256_set_epi8(13, 12, 15, 14, 9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2, 13,
                    12, 15, 14, 9, 8, 11, 10, 5, 4, 7, 6, 1, 0, 3, 2);
  const __m256i one =
    _mm256_set_epi8(14, 13, 12, 15, 10, 9, 8, 11, 6, 5, 4, 7, 2, 1, 0, 3, 14,
                    13, 12, 15, 10, 9, 8, 11, 6, 5, 4, 7, 2, 1, 0, 3);

  return by == 2 ? two : one;
}

#include "chacha_lanes.h"
#include "poly1305_tag.h"

enum {
  LANES = 4,                               /* Frames of a group. */
  BLOCKS = 16,                             /* Whole ones of a frame, */
  AT_ONCE = 8,                             /* that many at a time. */
  BODY = (int)BLOCKS * CMT__CHACHA_BLOCK,  /* Their bytes. */
  TAIL = (int)CMT_FRAME_PLAIN - (int)BODY, /* Bytes of the last block. */
  HALF = CMT__CHACHA_BLOCK / 2,            /* A vector. */
  LIMBS = 5,                               /* Poly1305's, */
  LIMB_BITS = 26,                          /* that wide. */
};
_Static_assert(TAIL == 4, "the last block covers one word");

/* ---- ChaCha20 ---- */

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

/* |x| becomes the keystream of the eight blocks that begin at |start|: block i
   is x[i] and x[8 + i]. */
CMT__LANES_INLINE void keystream(const VEC start[CMT__CHACHA_WORDS],
                                 VEC x[CMT__CHACHA_WORDS]) {
  for (int i = 0; i < CMT__CHACHA_WORDS; i++) {
    x[i] = start[i];
  }
  chacha_rounds(x);
  for (int i = 0; i < CMT__CHACHA_WORDS; i++) {
    x[i] = VEC_ADD32(x[i], start[i]);
  }
  transpose_words(x);
  transpose_words(x + 8);
}

CMT__LANES_INLINE void xor_half(uint8_t *at, VEC key) {
  _mm256_storeu_si256(
    (VEC *)(void *)at,
    VEC_XOR(key, _mm256_loadu_si256((const VEC *)(void *)at)));
}

/* Encrypts or decrypts the whole blocks of one frame. */
static void cipher_body(const cmt__aead_job *job) {
  uint32_t words[CMT__CHACHA_WORDS];
  VEC start[CMT__CHACHA_WORDS], x[CMT__CHACHA_WORDS];
  uint8_t *at = job->slot;

  chacha_state(words, job->key, 0, job->counter);
  for (int i = 0; i < CMT__CHACHA_WORDS; i++) {
    start[i] = _mm256_set1_epi32((int)words[i]);
  }
  start[12] = _mm256_set_epi32(8, 7, 6, 5, 4, 3, 2, 1);
  for (int done = 0; done < BLOCKS; done += AT_ONCE) {
    keystream(start, x);
    for (int i = 0; i < AT_ONCE; i++) {
      xor_half(at, x[i]);
      xor_half(at + HALF, x[8 + i]);
      at += CMT__CHACHA_BLOCK;
    }
    start[12] = VEC_ADD32(start[12], _mm256_set1_epi32(AT_ONCE));
  }
  sodium_memzero(words, sizeof words);
}

/* The first and the last block of the keystream of each frame of a group. */
typedef struct edges {
  uint8_t key[LANES][CMT__CHACHA_BLOCK];
  uint8_t tail[LANES][CMT__CHACHA_BLOCK];
} edges;

static void make_edges(edges *e, cmt__aead_job *const jobs[LANES]) {
  uint32_t words[2 * LANES][CMT__CHACHA_WORDS];
  VEC start[CMT__CHACHA_WORDS], x[CMT__CHACHA_WORDS];
  uint8_t(*out)[CMT__CHACHA_BLOCK] = e->key;

  for (int i = 0; i < LANES; i++) {
    chacha_state(words[i], jobs[i]->key, 0, jobs[i]->counter);
    chacha_state(words[LANES + i], jobs[i]->key, BLOCKS + 1, jobs[i]->counter);
  }
  for (int i = 0; i < 2 * LANES; i++) {
    start[i] = _mm256_loadu_si256((const VEC *)(void *)words[i]);
    start[8 + i] = _mm256_loadu_si256((const VEC *)(void *)(words[i] + 8));
  }
  transpose_words(start);
  transpose_words(start + 8);
  keystream(start, x);
  for (int i = 0; i < 2 * LANES; i++) {
    out = i < LANES ? e->key : e->tail;
    _mm256_storeu_si256((VEC *)(void *)out[i % LANES], x[i]);
    _mm256_storeu_si256((VEC *)(void *)(out[i % LANES] + HALF), x[8 + i]);
  }
  sodium_memzero(words, sizeof words);
}

static void cipher_frame(const cmt__aead_job *job, const uint8_t *tail) {
  uint8_t *last = job->slot + BODY;

  cipher_body(job);
  cmt__store_le32(last, cmt__load_le32(last) ^ cmt__load_le32(tail));
}

/* ---- Poly1305 ---- */

typedef struct poly {
  VEC sum[LIMBS];
  VEC r[LIMBS];
  VEC r5[LIMBS]; /* Five times r: what passes 2^130 comes back as 5. */
} poly;

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

static VEC load_lanes(const uint64_t lanes[LANES]) {
  return _mm256_loadu_si256((const VEC *)(const void *)lanes);
}

static void poly_start(poly *p, const edges *e) {
  uint64_t low[LANES], high[LANES];

  for (int i = 0; i < LANES; i++) {
    low[i] = cmt__load_le64(e->key[i]) & UINT64_C(0x0ffffffc0fffffff);
    high[i] = cmt__load_le64(e->key[i] + 8) & UINT64_C(0x0ffffffc0ffffffc);
  }
  split(p->r, load_lanes(low), load_lanes(high));
  for (int i = 0; i < LIMBS; i++) {
    p->sum[i] = _mm256_setzero_si256();
    p->r5[i] = _mm256_add_epi64(_mm256_slli_epi64(p->r[i], 2), p->r[i]);
  }
  sodium_memzero(low, sizeof low);
  sodium_memzero(high, sizeof high);
}

CMT__LANES_INLINE VEC product(VEC a, VEC b) { return _mm256_mul_epu32(a, b); }
CMT__LANES_INLINE VEC add(VEC a, VEC b) { return _mm256_add_epi64(a, b); }

/* Adds what |from| has above a limb to |to|. */
CMT__LANES_INLINE void carry(VEC *from, VEC *to) {
  *to = add(*to, _mm256_srli_epi64(*from, LIMB_BITS));
  *from = _mm256_and_si256(*from, all64(LIMB_MASK));
}

/* Takes sixteen bytes of each frame: sum = (sum + bytes + 2^128) * r.

   The limbs of the sum are below 2^26 + 2^10 before, so that all factors fit
   into the multiplier's 32 bits, and five products into 64. */
CMT__LANES_INLINE void poly_absorb(poly *p, VEC low, VEC high) {
  VEC a[LIMBS], d[LIMBS], over;

  split(a, low, high);
  a[4] = _mm256_or_si256(a[4], all64(1 << (128 - 4 * LIMB_BITS)));
  for (int i = 0; i < LIMBS; i++) {
    a[i] = add(a[i], p->sum[i]);
  }
  for (int i = 0; i < LIMBS; i++) {
    d[i] = product(a[0], p->r[i]);
  }
  for (int j = 1; j < LIMBS; j++) {
    for (int i = 0; i < LIMBS; i++) {
      d[i] =
        add(d[i], product(a[j], i >= j ? p->r[i - j] : p->r5[LIMBS + i - j]));
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
    p->sum[i] = d[i];
  }
}

static void poly_end(poly *p, const edges *e, uint8_t tags[LANES][16]) {
  uint64_t limbs[LIMBS][LANES], sum[3];

  for (int i = 0; i < LIMBS; i++) {
    _mm256_storeu_si256((VEC *)(void *)limbs[i], p->sum[i]);
  }
  for (int i = 0; i < LANES; i++) {
    cmt__u128 t = limbs[0][i] + ((cmt__u128)limbs[1][i] << LIMB_BITS) +
                  ((cmt__u128)limbs[2][i] << 2 * LIMB_BITS);

    sum[0] = (uint64_t)t;
    t = (t >> 64) + ((cmt__u128)limbs[3][i] << (3 * LIMB_BITS - 64)) +
        ((cmt__u128)limbs[4][i] << (4 * LIMB_BITS - 64));
    sum[1] = (uint64_t)t;
    sum[2] = (uint64_t)(t >> 64);
    cmt__poly1305_tag(sum, e->key[i] + 16, tags[i]);
  }
  sodium_memzero(limbs, sizeof limbs);
  sodium_memzero(sum, sizeof sum);
}

/* ---- groups ---- */

typedef struct group {
  cmt__aead_job *jobs[LANES];
  edges edges;
  poly poly;
  uint8_t tags[LANES][16];
} group;

/* The last bytes of the frames, and the length of what came before: no
   associated data, and a frame's plain bytes. */
static void absorb_end(group *g) {
  uint64_t last[LANES];

  for (int i = 0; i < LANES; i++) {
    last[i] = cmt__load_le32(g->jobs[i]->slot + BODY);
  }
  poly_absorb(&g->poly, load_lanes(last), _mm256_setzero_si256());
  poly_absorb(&g->poly, _mm256_setzero_si256(), all64(CMT_FRAME_PLAIN));
  poly_end(&g->poly, &g->edges, g->tags);
}

static void authenticate(group *g) {
  poly p;

  poly_start(&g->poly, &g->edges);
  p = g->poly;
  for (int at = 0; at < BODY; at += HALF) {
    VEC x[LANES], pair[LANES];

    for (int i = 0; i < LANES; i++) {
      x[i] = _mm256_loadu_si256((const VEC *)(void *)(g->jobs[i]->slot + at));
    }
    for (int i = 0; i < LANES; i += 2) {
      pair[i] = _mm256_unpacklo_epi64(x[i], x[i + 1]);
      pair[i + 1] = _mm256_unpackhi_epi64(x[i], x[i + 1]);
    }
    poly_absorb(&p, _mm256_permute2x128_si256(pair[0], pair[2], 0x20),
                _mm256_permute2x128_si256(pair[1], pair[3], 0x20));
    poly_absorb(&p, _mm256_permute2x128_si256(pair[0], pair[2], 0x31),
                _mm256_permute2x128_si256(pair[1], pair[3], 0x31));
  }
  g->poly = p;
  absorb_end(g);
}

/* A lane without a job repeats the last one, and nothing of it is written. */
static void gather(group *g, cmt__aead_job *jobs, size_t count) {
  for (size_t i = 0; i < LANES; i++) {
    g->jobs[i] = &jobs[i < count ? i : count - 1];
  }
  make_edges(&g->edges, g->jobs);
}

static void seal_some(group *g, cmt__aead_job *jobs, size_t count) {
  gather(g, jobs, count);
  for (size_t i = 0; i < count; i++) {
    cipher_frame(&jobs[i], g->edges.tail[i]);
  }
  authenticate(g);
  for (size_t i = 0; i < count; i++) {
    memcpy(jobs[i].slot + CMT_FRAME_PLAIN, g->tags[i], 16);
  }
}

/* All tags are looked at before anything is decrypted, and only what is
   authentic is. */
static void open_some(group *g, cmt__aead_job *jobs, size_t count) {
  gather(g, jobs, count);
  authenticate(g);
  for (size_t i = 0; i < count; i++) {
    jobs[i].ok =
      sodium_memcmp(jobs[i].slot + CMT_FRAME_PLAIN, g->tags[i], 16) == 0;
  }
  for (size_t i = 0; i < count; i++) {
    if (jobs[i].ok) {
      cipher_frame(&jobs[i], g->edges.tail[i]);
    }
  }
}

typedef void operation(cmt__aead_job *jobs, size_t count);

/* One frame or two are cheaper without lanes. */
static void in_groups(cmt__aead_job *jobs, size_t count,
                      void (*some)(group *, cmt__aead_job *, size_t),
                      operation *single) {
  group g;

  while (count > 2) {
    const size_t now = cmt__min(count, LANES);

    some(&g, jobs, now);
    jobs += now;
    count -= now;
  }
  single(jobs, count);
  sodium_memzero(&g, sizeof g);
}

static void avx2_seal(cmt__aead_job *jobs, size_t count) {
  in_groups(jobs, count, seal_some, cmt__aead_libsodium.seal);
}

static void avx2_open(cmt__aead_job *jobs, size_t count) {
  in_groups(jobs, count, open_some, cmt__aead_libsodium.open);
}

static bool avx2_runs_here(void) { return __builtin_cpu_supports("avx2"); }

const struct cmt_aead cmt__aead_avx2 = {
  .name = "avx2",
  .runs_here = avx2_runs_here,
  .seal = avx2_seal,
  .open = avx2_open,
};
