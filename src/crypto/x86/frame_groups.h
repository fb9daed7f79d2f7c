/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__FRAME_GROUPS_H
#define CMT__FRAME_GROUPS_H

/* Frames in groups, for processors whose vectors multiply faster than their
   integer units: Poly1305 has one frame in each of its lanes of 64 bits, with
   its own key, so that it needs no powers of the key, and nothing is summed
   across lanes.  ChaCha20 is that of frame_lanes.h, without Poly1305 between
   its rounds, and frames too few for a group go the way of that file.

   A kernel includes this behind frame_lanes.h and what it defines itself:

     VEC_ZERO, LIMBS, LIMB_BITS  of Poly1305's numbers
     GROUPS                      groups side by side
     IN_PAIRS                    so many frames are cheaper in pairs
     transpose_longs(x)          of GROUP vectors with words of 64 bits rows
                                 become columns
     split(limbs, low, high)     a number of 128 bits in limbs
     fold(limb)                  a limb times what passes the modulus comes back
                                 as
     absorb_limbs(sum, r, folded, low, high)
                                 sum = (sum + low and high + 2^128) * r */

#include "crypto/lanes/frame_lanes.h"

enum { WIDTH = (int)GROUPS * (int)GROUP }; /* Frames at a time. */

typedef struct lane_sums {
  VEC sum[LIMBS];
  VEC r[LIMBS];
  VEC folded[LIMBS]; /* What of r passes the modulus, in its place below. */
} lane_sums;

static void lanes_start(lane_sums *p, const edges *e) {
  uint64_t low[GROUP], high[GROUP];

  for (int i = 0; i < GROUP; i++) {
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

CMT__LANES_INLINE void lanes_absorb(lane_sums *p, VEC low, VEC high) {
  absorb_limbs(p->sum, p->r, p->folded, low, high);
}

/* Adds limb |k| of a number to its words of 64 bits. */
CMT__LANES_INLINE void add_limb(cmt__word sum[3], uint64_t limb, int k) {
  const int word = k * LIMB_BITS / 64;
  const cmt__u128 shifted = (cmt__u128)limb << k * LIMB_BITS % 64;
  cmt__u128 t = (cmt__u128)sum[word] + (cmt__word)shifted;

  sum[word] = (cmt__word)t;
  t = (t >> 64) + sum[word + 1] + (shifted >> 64);
  sum[word + 1] = (cmt__word)t;
  if (word == 0) {
    sum[2] += (cmt__word)(t >> 64);
  }
}

static void lanes_end(const lane_sums *p, const edges *e,
                      uint8_t tags[GROUP][CMT__AEAD_TAG]) {
  uint64_t limbs[LIMBS][GROUP];
  cmt__word sum[3], pad[2];

  for (int k = 0; k < LIMBS; k++) {
    VEC_STORE(limbs[k], p->sum[k]);
  }
  for (int i = 0; i < GROUP; i++) {
    memset(sum, 0, sizeof sum);
    for (int k = 0; k < LIMBS; k++) {
      add_limb(sum, limbs[k][i], k);
    }
    pad[0] = cmt__load_le64(e->key[i] + 16);
    pad[1] = cmt__load_le64(e->key[i] + 24);
    poly_tag(sum, pad, tags[i]);
  }
  sodium_memzero(limbs, sizeof limbs);
  sodium_memzero(sum, sizeof sum);
  sodium_memzero(pad, sizeof pad);
}

/* ---- groups ---- */

typedef struct group {
  cmt__aead_job *jobs[GROUP];
  edges edges;
  lane_sums sums;
  uint8_t tags[GROUP][CMT__AEAD_TAG];
} group;

/* The last bytes of the frames, and the length of what came before: no
   associated data, and a frame's plain bytes. */
static void absorb_end(group *g) {
  uint64_t last[GROUP], length[GROUP];

  for (int i = 0; i < GROUP; i++) {
    last[i] = cmt__load_le32(g->jobs[i]->slot + BODY);
    length[i] = CMT_FRAME_PLAIN;
  }
  lanes_absorb(&g->sums, VEC_LOAD(last), VEC_ZERO);
  lanes_absorb(&g->sums, VEC_ZERO, VEC_LOAD(length));
  lanes_end(&g->sums, &g->edges, g->tags);
}

/* The tags of |groups| groups, which are interleaved, so that the multiplier
   does not wait for its own results. */
CMT__LANES_INLINE void authenticate(group *g, int groups) {
  lane_sums p[GROUPS];

  for (int k = 0; k < groups; k++) {
    lanes_start(&g[k].sums, &g[k].edges);
    p[k] = g[k].sums;
  }
  for (int at = 0; at < BODY; at += (int)sizeof(VEC)) {
    VEC x[GROUPS][GROUP];

    for (int k = 0; k < groups; k++) {
      for (int i = 0; i < GROUP; i++) {
        x[k][i] = VEC_LOAD(g[k].jobs[i]->slot + at);
      }
      transpose_longs(x[k]);
    }
    for (int i = 0; i < GROUP; i += 2) {
      for (int k = 0; k < groups; k++) {
        lanes_absorb(&p[k], x[k][i], x[k][i + 1]);
      }
    }
  }
  for (int k = 0; k < groups; k++) {
    g[k].sums = p[k];
    absorb_end(&g[k]);
  }
}

static void authenticate_one(group *g) { authenticate(g, 1); }
static void authenticate_all(group *g) { authenticate(g, GROUPS); }

static void authenticate_groups(group *g, int groups) {
  (groups == GROUPS ? authenticate_all : authenticate_one)(g);
}

/* Takes up to WIDTH jobs; a lane without one repeats the last job, and nothing
   of it is written.  Returns how many groups they are: all, or one. */
static int gather(group g[GROUPS], cmt__aead_job *jobs, size_t count) {
  const int groups = count > GROUP ? GROUPS : 1;

  for (int i = 0; i < groups * GROUP; i++) {
    g[i / GROUP].jobs[i % GROUP] = &jobs[cmt__min((size_t)i, count - 1)];
  }
  for (int k = 0; k < groups; k++) {
    make_edges(&g[k].edges, jobs + (size_t)k * GROUP,
               count - (size_t)k * GROUP);
  }
  return groups;
}

static void cipher_frame(const cmt__aead_job *job, const uint8_t *tail) {
  for (int chunk = 0; chunk < CHUNKS; chunk++) {
    cipher_chunk(job, chunk);
  }
  tail_xor(job, tail);
}

static void seal_some(group g[GROUPS], cmt__aead_job *jobs, size_t count) {
  const int groups = gather(g, jobs, count);

  for (size_t i = 0; i < count; i++) {
    cipher_frame(&jobs[i], g[i / GROUP].edges.tail[i % GROUP]);
  }
  authenticate_groups(g, groups);
  for (size_t i = 0; i < count; i++) {
    memcpy(jobs[i].slot + CMT_FRAME_PLAIN, g[i / GROUP].tags[i % GROUP], 16);
  }
}

/* All tags are looked at before anything is decrypted, and only what is
   authentic is. */
static void open_some(group g[GROUPS], cmt__aead_job *jobs, size_t count) {
  authenticate_groups(g, gather(g, jobs, count));
  for (size_t i = 0; i < count; i++) {
    jobs[i].ok = crypto_verify_16(jobs[i].slot + CMT_FRAME_PLAIN,
                                  g[i / GROUP].tags[i % GROUP]) == 0;
  }
  for (size_t i = 0; i < count; i++) {
    if (jobs[i].ok) {
      cipher_frame(&jobs[i], g[i / GROUP].edges.tail[i % GROUP]);
    }
  }
}

/* Seals or opens in groups as long as that is cheaper than in pairs.  Returns
   how many jobs are done. */
CMT__NOINLINE size_t in_groups(cmt__aead_job *jobs, size_t count,
                               void (*some)(group *, cmt__aead_job *, size_t)) {
  size_t done = 0;
  group g[GROUPS];

  while (count - done > IN_PAIRS) {
    const size_t now = cmt__min(count - done, WIDTH);

    some(g, jobs + done, now);
    done += now;
  }
  sodium_memzero(g, sizeof g);
  return done;
}

static void groups_seal(cmt__aead_job *jobs, size_t count) {
  const size_t done = count > IN_PAIRS ? in_groups(jobs, count, seal_some) : 0;

  pairs_seal(jobs + done, count - done);
}

static void groups_open(cmt__aead_job *jobs, size_t count) {
  const size_t done = count > IN_PAIRS ? in_groups(jobs, count, open_some) : 0;

  pairs_open(jobs + done, count - done);
}

#endif
