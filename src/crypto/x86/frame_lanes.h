/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__FRAME_LANES_H
#define CMT__FRAME_LANES_H

/* What the frame kernels have in common.  A frame uses blocks 0 to 17 of its
   keystream: block 0 is the one-time key of Poly1305, 1 to 16 cover its first
   1024 bytes, and 17 its last four.  Whole blocks of one frame fill the lanes
   of ChaCha20; blocks 0 and 17 of a group of frames fill them once more.
   Poly1305 has one frame in each of its lanes, with its own key, so that
   nothing is summed across lanes.

   A kernel includes this behind what it defines itself:

     VEC, VEC_ADD32, VEC_XOR, VEC_ROTL32, VEC_LOAD, VEC_STORE, VEC_ALL32,
     VEC_ZERO                   a vector and its operations
     VEC_COUNT                  the numbers from 1, one in each lane of 32 bits
     LANES                      lanes of 64 bits, and frames of a group
     GROUPS                     groups side by side
     ALONE                      so many frames are cheaper without lanes
     LIMBS, LIMB_BITS           of Poly1305's numbers
     transpose_words(x)         of 2 * LANES vectors rows become columns
     transpose_longs(x)         the same of LANES vectors with words of 64 bits
     split(limbs, low, high)    a number of 128 bits in limbs
     fold(limb)                 a limb times what passes the modulus comes back
   as absorb(sum, r, folded, low, high) sum = (sum + low and high + 2^128) * r
 */

#include "chacha_lanes.h"
#include "poly1305_tag.h"

#include <cometp2p/secret_conn.h>
#include <sodium.h>

enum {
  BLOCKS = 16,                             /* Whole ones of a frame, */
  BODY = (int)BLOCKS * CMT__CHACHA_BLOCK,  /* and their bytes. */
  TAIL = (int)CMT_FRAME_PLAIN - (int)BODY, /* Bytes of the last block. */
  WIDTH = (int)GROUPS * (int)LANES,        /* Frames at a time. */
  AT_ONCE = 2 * (int)LANES,                /* Blocks of ChaCha20 at a time, */
  PARTS = (int)CMT__CHACHA_WORDS / (int)AT_ONCE, /* vectors of each. */
};
_Static_assert(TAIL == 4, "the last block covers one word");

/* ---- ChaCha20 ---- */

CMT__LANES_INLINE void transpose_states(VEC x[CMT__CHACHA_WORDS]) {
  for (int p = 0; p < PARTS; p++) {
    transpose_words(x + (ptrdiff_t)p * AT_ONCE);
  }
}

/* |x| becomes the keystream of the blocks that begin at |start|: part p of
   block i is x[p * AT_ONCE + i]. */
CMT__LANES_INLINE void keystream(const VEC start[CMT__CHACHA_WORDS],
                                 VEC x[CMT__CHACHA_WORDS]) {
  for (int i = 0; i < CMT__CHACHA_WORDS; i++) {
    x[i] = start[i];
  }
  chacha_rounds(x);
  for (int i = 0; i < CMT__CHACHA_WORDS; i++) {
    x[i] = VEC_ADD32(x[i], start[i]);
  }
  transpose_states(x);
}

/* Encrypts or decrypts the whole blocks of one frame. */
static void cipher_body(const cmt__aead_job *job) {
  uint32_t words[CMT__CHACHA_WORDS];
  VEC start[CMT__CHACHA_WORDS], x[CMT__CHACHA_WORDS];
  uint8_t *at = job->slot;

  chacha_state(words, job->key, 0, job->counter);
  for (int i = 0; i < CMT__CHACHA_WORDS; i++) {
    start[i] = VEC_ALL32((int)words[i]);
  }
  start[12] = VEC_COUNT;
  for (int done = 0; done < BLOCKS; done += AT_ONCE) {
    keystream(start, x);
    for (int i = 0; i < CMT__CHACHA_WORDS; i++) {
      VEC key = x[i % PARTS * AT_ONCE + i / PARTS];

      VEC_STORE(at, VEC_XOR(key, VEC_LOAD(at)));
      at += sizeof(VEC);
    }
    start[12] = VEC_ADD32(start[12], VEC_ALL32(AT_ONCE));
  }
  sodium_memzero(words, sizeof words);
}

/* The first and the last block of the keystream of each frame of a group. */
typedef struct edges {
  uint8_t key[LANES][CMT__CHACHA_BLOCK];
  uint8_t tail[LANES][CMT__CHACHA_BLOCK];
} edges;

static void make_edges(edges *e, cmt__aead_job *const jobs[LANES]) {
  uint32_t words[AT_ONCE][CMT__CHACHA_WORDS];
  VEC start[CMT__CHACHA_WORDS], x[CMT__CHACHA_WORDS];

  for (int i = 0; i < LANES; i++) {
    chacha_state(words[i], jobs[i]->key, 0, jobs[i]->counter);
    chacha_state(words[LANES + i], jobs[i]->key, BLOCKS + 1, jobs[i]->counter);
  }
  for (int i = 0; i < CMT__CHACHA_WORDS; i++) {
    start[i] = VEC_LOAD(words[i % AT_ONCE] + i / AT_ONCE * AT_ONCE);
  }
  transpose_states(start);
  keystream(start, x);
  for (int i = 0; i < CMT__CHACHA_WORDS; i++) {
    uint8_t(*out)[CMT__CHACHA_BLOCK] = i % AT_ONCE < LANES ? e->key : e->tail;

    VEC_STORE(out[i % LANES] + (size_t)(i / AT_ONCE) * sizeof(VEC), x[i]);
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
  VEC folded[LIMBS]; /* What of r passes the modulus, in its place below. */
} poly;

static void poly_start(poly *p, const edges *e) {
  uint64_t low[LANES], high[LANES];

  for (int i = 0; i < LANES; i++) {
    low[i] = cmt__load_le64(e->key[i]) & UINT64_C(0x0ffffffc0fffffff);
    high[i] = cmt__load_le64(e->key[i] + 8) & UINT64_C(0x0ffffffc0ffffffc);
  }
  split(p->r, VEC_LOAD(low), VEC_LOAD(high));
  for (int i = 0; i < LIMBS; i++) {
    p->sum[i] = VEC_ZERO;
    p->folded[i] = fold(p->r[i]);
  }
  sodium_memzero(low, sizeof low);
  sodium_memzero(high, sizeof high);
}

CMT__LANES_INLINE void poly_absorb(poly *p, VEC low, VEC high) {
  absorb(p->sum, p->r, p->folded, low, high);
}

/* Adds limb |k| of a number to its words of 64 bits. */
CMT__LANES_INLINE void add_limb(uint64_t sum[3], uint64_t limb, int k) {
  const int word = k * LIMB_BITS / 64;
  const cmt__u128 shifted = (cmt__u128)limb << k * LIMB_BITS % 64;
  cmt__u128 t = (cmt__u128)sum[word] + (uint64_t)shifted;

  sum[word] = (uint64_t)t;
  t = (t >> 64) + sum[word + 1] + (shifted >> 64);
  sum[word + 1] = (uint64_t)t;
  if (word == 0) {
    sum[2] += (uint64_t)(t >> 64);
  }
}

static void poly_end(const poly *p, const edges *e, uint8_t tags[LANES][16]) {
  uint64_t limbs[LIMBS][LANES], sum[3];

  for (int k = 0; k < LIMBS; k++) {
    VEC_STORE(limbs[k], p->sum[k]);
  }
  for (int i = 0; i < LANES; i++) {
    memset(sum, 0, sizeof sum);
    for (int k = 0; k < LIMBS; k++) {
      add_limb(sum, limbs[k][i], k);
    }
    poly1305_tag(sum, e->key[i] + 16, tags[i]);
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
  uint64_t last[LANES], length[LANES];

  for (int i = 0; i < LANES; i++) {
    last[i] = cmt__load_le32(g->jobs[i]->slot + BODY);
    length[i] = CMT_FRAME_PLAIN;
  }
  poly_absorb(&g->poly, VEC_LOAD(last), VEC_ZERO);
  poly_absorb(&g->poly, VEC_ZERO, VEC_LOAD(length));
  poly_end(&g->poly, &g->edges, g->tags);
}

/* The tags of |groups| groups, which are interleaved, so that the multiplier
   does not wait for its own results. */
CMT__LANES_INLINE void authenticate(group *g, int groups) {
  poly p[GROUPS];

  for (int k = 0; k < groups; k++) {
    poly_start(&g[k].poly, &g[k].edges);
    p[k] = g[k].poly;
  }
  for (int at = 0; at < BODY; at += (int)sizeof(VEC)) {
    VEC x[GROUPS][LANES];

    for (int k = 0; k < groups; k++) {
      for (int i = 0; i < LANES; i++) {
        x[k][i] = VEC_LOAD(g[k].jobs[i]->slot + at);
      }
      transpose_longs(x[k]);
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
static void authenticate_all(group *g) { authenticate(g, GROUPS); }

static void authenticate_groups(group *g, int groups) {
  (groups == GROUPS ? authenticate_all : authenticate_one)(g);
}

/* Prepares up to WIDTH jobs; a lane without one repeats the last job without
   writing its result.  Returns how many groups the jobs fill: all, or one. */
static int gather(group g[GROUPS], cmt__aead_job *jobs, size_t count) {
  const int groups = count > LANES ? GROUPS : 1;

  for (int i = 0; i < groups * LANES; i++) {
    g[i / LANES].jobs[i % LANES] = &jobs[cmt__min((size_t)i, count - 1)];
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
  authenticate_groups(g, groups);
  for (size_t i = 0; i < count; i++) {
    memcpy(jobs[i].slot + CMT_FRAME_PLAIN, g[i / LANES].tags[i % LANES], 16);
  }
}

/* All tags are checked before anything is decrypted, and only authentic frames
   are. */
static void open_some(group g[GROUPS], cmt__aead_job *jobs, size_t count) {
  authenticate_groups(g, gather(g, jobs, count));
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

/* Jobs that are left over and cheaper without lanes go through |single|. */
static void in_groups(cmt__aead_job *jobs, size_t count,
                      void (*some)(group *, cmt__aead_job *, size_t),
                      operation *single) {
  group g[GROUPS];

  while (count > ALONE) {
    const size_t now = cmt__min(count, WIDTH);

    some(g, jobs, now);
    jobs += now;
    count -= now;
  }
  single(jobs, count);
  sodium_memzero(g, sizeof g);
}

static void lanes_seal(cmt__aead_job *jobs, size_t count) {
  in_groups(jobs, count, seal_some, cmt__aead_libsodium.seal);
}

static void lanes_open(cmt__aead_job *jobs, size_t count) {
  in_groups(jobs, count, open_some, cmt__aead_libsodium.open);
}

#endif
