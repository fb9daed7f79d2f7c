/* SPDX-License-Identifier: Apache-2.0 */
/* The frame kernel on AVX-512 with IFMA: eight frames at a time, two such
   groups side by side where there are as many.

   A frame takes blocks 0 to 17 of its keystream: block 0 is the one-time key of
   Poly1305, 1 to 16 cover its first 1024 bytes, and 17 its last four.  Blocks 1
   to 16 of one frame fill the sixteen lanes of ChaCha20; blocks 0 and 17 of
   eight frames fill them once more.  Poly1305 has one frame in each of its
   eight lanes, with its own key, so that nothing is summed across lanes. */

#include "aead_x86.h"

#include <cometp2p/secret_conn.h>
#include <immintrin.h>
#include <sodium.h>

#define VEC __m512i
#define VEC_ADD32(a, b) _mm512_add_epi32((a), (b))
#define VEC_XOR(a, b) _mm512_xor_si512((a), (b))
#define VEC_ROTL32(v, bits) _mm512_rol_epi32((v), (bits))

#include "chacha_lanes.h"
#include "poly1305_tag.h"

enum {
  LANES = 8,                             /* Frames of a group. */
  GROUPS = 2,                            /* Groups side by side. */
  WIDTH = (int)GROUPS * LANES,           /* Frames at a time. */
  BODY = 16 * CMT__CHACHA_BLOCK,         /* Bytes in whole blocks. */
  TAIL = CMT_FRAME_PLAIN - BODY,         /* Bytes of the last block. */
  BLOCKS = BODY / CMT__CHACHA_BLOCK,     /* ChaCha20's, without the tail. */
  LIMB_BITS = 44,                        /* Width of Poly1305's limbs, */
  TOP_BITS = 130 - (2 * (int)LIMB_BITS), /* and of the highest. */
};
_Static_assert(TAIL == 4, "the last block covers one word");

/* ---- ChaCha20 ---- */

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
CMT__LANES_INLINE void transpose_words(VEC x[CMT__CHACHA_WORDS]) {
  VEC pair[CMT__CHACHA_WORDS], quad[CMT__CHACHA_WORDS];

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

/* Encrypts or decrypts the whole blocks of one frame. */
static void cipher_body(const cmt__aead_job *job) {
  uint32_t words[CMT__CHACHA_WORDS];
  VEC start[CMT__CHACHA_WORDS], x[CMT__CHACHA_WORDS];

  chacha_state(words, job->key, 0, job->counter);
  for (int i = 0; i < CMT__CHACHA_WORDS; i++) {
    start[i] = _mm512_set1_epi32((int)words[i]);
  }
  start[12] =
    _mm512_set_epi32(16, 15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1);
  memcpy(x, start, sizeof x);
  chacha_rounds(x);
  for (int i = 0; i < CMT__CHACHA_WORDS; i++) {
    x[i] = VEC_ADD32(x[i], start[i]);
  }
  transpose_words(x);
  for (int i = 0; i < BLOCKS; i++) {
    uint8_t *block = job->slot + (ptrdiff_t)i * CMT__CHACHA_BLOCK;

    _mm512_storeu_si512(block, VEC_XOR(x[i], _mm512_loadu_si512(block)));
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

  for (int i = 0; i < LANES; i++) {
    chacha_state(words[i], jobs[i]->key, 0, jobs[i]->counter);
    chacha_state(words[LANES + i], jobs[i]->key, BLOCKS + 1, jobs[i]->counter);
  }
  for (int i = 0; i < 2 * LANES; i++) {
    start[i] = _mm512_loadu_si512(words[i]);
  }
  transpose_words(start);
  memcpy(x, start, sizeof x);
  chacha_rounds(x);
  for (int i = 0; i < CMT__CHACHA_WORDS; i++) {
    x[i] = VEC_ADD32(x[i], start[i]);
  }
  transpose_words(x);
  for (int i = 0; i < LANES; i++) {
    _mm512_storeu_si512(e->key[i], x[i]);
    _mm512_storeu_si512(e->tail[i], x[LANES + i]);
  }
  sodium_memzero(words, sizeof words);
}

static void cipher_frame(const cmt__aead_job *job, const uint8_t *tail) {
  uint8_t *last = job->slot + BODY;

  cipher_body(job);
  cmt__store_le32(last, cmt__load_le32(last) ^ cmt__load_le32(tail));
}

/* ---- Poly1305 ---- */

/* Limbs of 44, 44 and 42 bits. */
typedef struct poly {
  VEC sum[3];
  VEC r[3];
  VEC r20[3]; /* Twenty times r: what passes 2^132 comes back as 4 * 5. */
} poly;

#define LIMB_MASK ((UINT64_C(1) << LIMB_BITS) - 1)
#define TOP_MASK ((UINT64_C(1) << TOP_BITS) - 1)

CMT__LANES_INLINE VEC all64(uint64_t v) {
  return _mm512_set1_epi64((long long)v);
}

CMT__LANES_INLINE void split(VEC limbs[3], VEC low, VEC high) {
  const VEC mask = all64(LIMB_MASK);

  limbs[0] = _mm512_and_si512(low, mask);
  limbs[1] =
    _mm512_and_si512(_mm512_or_si512(_mm512_srli_epi64(low, LIMB_BITS),
                                     _mm512_slli_epi64(high, 64 - LIMB_BITS)),
                     mask);
  limbs[2] = _mm512_srli_epi64(high, 2 * LIMB_BITS - 64);
}

static void poly_start(poly *p, const edges *e) {
  uint64_t low[LANES], high[LANES];

  for (int i = 0; i < LANES; i++) {
    low[i] = cmt__load_le64(e->key[i]) & UINT64_C(0x0ffffffc0fffffff);
    high[i] = cmt__load_le64(e->key[i] + 8) & UINT64_C(0x0ffffffc0ffffffc);
  }
  split(p->r, _mm512_loadu_si512(low), _mm512_loadu_si512(high));
  for (int i = 0; i < 3; i++) {
    p->sum[i] = _mm512_setzero_si512();
    p->r20[i] = _mm512_add_epi64(_mm512_slli_epi64(p->r[i], 4),
                                 _mm512_slli_epi64(p->r[i], 2));
  }
  sodium_memzero(low, sizeof low);
  sodium_memzero(high, sizeof high);
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
CMT__LANES_INLINE void poly_absorb(poly *p, VEC low, VEC high) {
  const VEC mask = all64(LIMB_MASK), *r = p->r, *r20 = p->r20;
  halves d[3];
  VEC a[3], carry;

  split(a, low, high);
  a[2] = _mm512_or_si512(a[2], all64(UINT64_C(1) << (128 - 2 * LIMB_BITS)));
  for (int i = 0; i < 3; i++) {
    a[i] = _mm512_add_epi64(a[i], p->sum[i]);
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
  p->sum[0] = _mm512_and_si512(d[0].low, mask);
  p->sum[1] = _mm512_add_epi64(_mm512_and_si512(d[1].low, mask),
                               _mm512_srli_epi64(d[0].low, LIMB_BITS));
  p->sum[2] = _mm512_and_si512(d[2].low, all64(TOP_MASK));
}

/* Eight vectors of eight words of 64 bits: rows become columns. */
CMT__LANES_INLINE void transpose_long(VEC x[LANES]) {
  VEC pair[LANES];

  for (int i = 0; i < LANES; i += 2) {
    pair[i] = _mm512_unpacklo_epi64(x[i], x[i + 1]);
    pair[i + 1] = _mm512_unpackhi_epi64(x[i], x[i + 1]);
  }
  for (int i = 0; i < 2; i++) {
    VEC out[CMT__CHACHA_WORDS];

    transpose_quarters(pair + i, 2, out + i);
    for (int j = 0; j < 4; j++) {
      x[2 * j + i] = out[4 * j + i];
    }
  }
}

static void poly_end(poly *p, const edges *e, uint8_t tags[LANES][16]) {
  uint64_t limbs[3][LANES], sum[3];

  for (int i = 0; i < 3; i++) {
    _mm512_storeu_si512(limbs[i], p->sum[i]);
  }
  for (int i = 0; i < LANES; i++) {
    cmt__u128 t = limbs[0][i] + ((cmt__u128)limbs[1][i] << LIMB_BITS);

    sum[0] = (uint64_t)t;
    t = (t >> 64) + ((cmt__u128)limbs[2][i] << (2 * LIMB_BITS - 64));
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
  poly_absorb(&g->poly, _mm512_loadu_si512(last), _mm512_setzero_si512());
  poly_absorb(&g->poly, _mm512_setzero_si512(), all64(CMT_FRAME_PLAIN));
  poly_end(&g->poly, &g->edges, g->tags);
}

/* The tags of one or two groups.  Two are interleaved, so that the multiplier
   does not wait for its own results. */
CMT__LANES_INLINE void authenticate(group *g, int groups) {
  poly p[GROUPS];

  for (int k = 0; k < groups; k++) {
    poly_start(&g[k].poly, &g[k].edges);
    p[k] = g[k].poly;
  }
  for (int at = 0; at < BODY; at += CMT__CHACHA_BLOCK) {
    VEC x[GROUPS][LANES];

    for (int k = 0; k < groups; k++) {
      for (int i = 0; i < LANES; i++) {
        x[k][i] = _mm512_loadu_si512(g[k].jobs[i]->slot + at);
      }
      transpose_long(x[k]);
    }
    for (int i = 0; i < LANES; i += 2) {
      for (int k = 0; k < groups; k++) {
        poly_absorb(&p[k], x[k][i], x[k][i + 1]);
      }
    }
  }
  for (int k = 0; k < groups; k++) {
    g[k].poly = p[k];
    absorb_end(&g[k]);
  }
}

static void authenticate_one(group *g) { authenticate(g, 1); }
static void authenticate_two(group *g) { authenticate(g, 2); }

/* Takes up to WIDTH jobs; a lane without one repeats the last job, and
   nothing of it is written.  Returns how many groups they are. */
static int gather(group g[GROUPS], cmt__aead_job *jobs, size_t count) {
  const int groups = count > LANES ? GROUPS : 1;

  for (int i = 0; i < groups * LANES; i++) {
    const size_t job = (size_t)i < count ? (size_t)i : count - 1;

    g[i / LANES].jobs[i % LANES] = &jobs[job];
  }
  for (int k = 0; k < groups; k++) {
    make_edges(&g[k].edges, g[k].jobs);
  }
  return groups;
}

static void seal_some(group g[GROUPS], cmt__aead_job *jobs, size_t count) {
  const int groups = gather(g, jobs, count);

  for (size_t i = 0; i < count; i++) {
    cipher_frame(&jobs[i], g[i / LANES].edges.tail[i % LANES]);
  }
  (groups == 1 ? authenticate_one : authenticate_two)(g);
  for (size_t i = 0; i < count; i++) {
    memcpy(jobs[i].slot + CMT_FRAME_PLAIN, g[i / LANES].tags[i % LANES], 16);
  }
}

/* All tags are looked at before anything is decrypted, and only what is
   authentic is. */
static void open_some(group g[GROUPS], cmt__aead_job *jobs, size_t count) {
  const int groups = gather(g, jobs, count);

  (groups == 1 ? authenticate_one : authenticate_two)(g);
  for (size_t i = 0; i < count; i++) {
    jobs[i].ok = sodium_memcmp(jobs[i].slot + CMT_FRAME_PLAIN,
                               g[i / LANES].tags[i % LANES], 16) == 0;
  }
  for (size_t i = 0; i < count; i++) {
    if (jobs[i].ok) {
      cipher_frame(&jobs[i], g[i / LANES].edges.tail[i % LANES]);
    }
  }
}

typedef void operation(cmt__aead_job *jobs, size_t count);

/* A frame alone is cheaper without lanes. */
static void in_groups(cmt__aead_job *jobs, size_t count,
                      void (*some)(group *, cmt__aead_job *, size_t),
                      operation *single) {
  group g[GROUPS];

  while (count > 1) {
    const size_t now = cmt__min(count, WIDTH);

    some(g, jobs, now);
    jobs += now;
    count -= now;
  }
  single(jobs, count);
  sodium_memzero(g, sizeof g);
}

static void avx512_seal(cmt__aead_job *jobs, size_t count) {
  in_groups(jobs, count, seal_some, cmt__aead_libsodium.seal);
}

static void avx512_open(cmt__aead_job *jobs, size_t count) {
  in_groups(jobs, count, open_some, cmt__aead_libsodium.open);
}

static bool avx512_runs_here(void) {
  return __builtin_cpu_supports("avx512f") &&
         __builtin_cpu_supports("avx512ifma");
}

const struct cmt_aead cmt__aead_avx512 = {
  .name = "avx512",
  .runs_here = avx512_runs_here,
  .seal = avx512_seal,
  .open = avx512_open,
};
