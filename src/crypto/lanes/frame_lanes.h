/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__FRAME_LANES_H
#define CMT__FRAME_LANES_H

/* What the frame kernels have in common.  A frame takes blocks 0 to 17 of its
   keystream: block 0 is the one-time key of Poly1305, 1 to 16 cover its first
   1024 bytes, and 17 its last four.

   ChaCha20 has blocks in the lanes of vectors.  While the vector units compute
   a chunk of keystream, the integer units take bytes into Poly1305: the
   instructions of both are mixed, one block of Poly1305 behind some quarter
   rounds.  Sealing takes in what is encrypted already, opening what came.

   Frames go in pairs, so that the two sums hide each other's latency.  Whole
   blocks of one frame fill the lanes, and blocks 0 and 17 of a group of frames
   fill them once more.  A frame alone has its blocks 0 to 17 in the lanes one
   after another.

   A kernel includes this behind what it defines itself:

     VEC, VEC_ADD32, VEC_XOR, VEC_ROTL32, VEC_LOAD, VEC_STORE, VEC_ALL32
                            a vector and its operations
     VEC_COUNT              the numbers from 0, one in each lane of 32 bits
     AT_ONCE                lanes of 32 bits: blocks of ChaCha20 at a time
     COLUMNS                of four that ChaCha20 has side by side: 2 or 4
     transpose_words(x)     of AT_ONCE vectors rows become columns
     poly_absorb(key, sum, low, high)
                            takes a block of two words into Poly1305:
                            sum = (sum + low and high + 2^128) * r */

#include "chacha_lanes.h"
#include "poly1305_words.h"

#include <cometp2p/secret_conn.h>
#include <sodium.h>

enum {
  BLOCKS = 16,                                   /* Whole ones of a frame, */
  BODY = (int)BLOCKS * CMT__CHACHA_BLOCK,        /* and their bytes. */
  TAIL = (int)CMT_FRAME_PLAIN - (int)BODY,       /* Bytes of the last block. */
  PARTS = (int)CMT__CHACHA_WORDS / (int)AT_ONCE, /* Vectors of a block. */
  CHUNK = (int)AT_ONCE * CMT__CHACHA_BLOCK,      /* Bytes at a time. */
  CHUNKS = (int)BODY / (int)CHUNK,               /* Whole ones of a frame. */
  RUNS = (int)CHUNKS + 1,                        /* For all its blocks. */
  GROUP = (int)AT_ONCE / 2,                      /* Frames. */
  STEPS = CMT__CHACHA_DOUBLE_ROUNDS / 2,
  STEP_PARTS = 4 * 4 / (int)COLUMNS, /* Four rounds. */
  MAC_BLOCK = 16,                    /* Bytes that Poly1305 takes at a time. */
  HALF_A_CHUNK = (int)CHUNK / (int)MAC_BLOCK / 2,
};
_Static_assert(TAIL == 4, "the last block covers one word");

/* ---- Poly1305 ---- */

/* What Poly1305 has taken in of a frame, which is to be in registers, */
typedef struct progress {
  cmt__word sum[3];
  const uint8_t *at;
} progress;

/* and beside it the key, of which each word is read where it is used. */
typedef struct mac {
  progress progress;
  cmt__poly key;
} mac;

static void mac_start(mac *m, const uint8_t key[32], const uint8_t *slot) {
  m->progress = (progress){.at = slot};
  poly_start(&m->key, key);
}

/* Word by word: a compiler that copied vectors would wait for the words. */
CMT__LANES_INLINE void progress_copy(progress *to, const progress *from) {
  to->sum[0] = from->sum[0];
  to->sum[1] = from->sum[1];
  to->sum[2] = from->sum[2];
  to->at = from->at;
}

CMT__LANES_INLINE void absorb(const mac macs[], progress now[], int count) {
  for (int k = 0; k < count; k++) {
    poly_absorb(&macs[k].key, now[k].sum, cmt__load_le64(now[k].at),
                cmt__load_le64(now[k].at + 8));
    now[k].at += MAC_BLOCK;
  }
}

/* Takes in what is left of |count| frames, which are equally far, and the
   length of each: no associated data, and a frame's plain bytes. */
CMT__LANES_INLINE void macs_end(mac *macs, const cmt__aead_job *jobs, int count,
                                uint8_t tags[][CMT__AEAD_TAG]) {
  progress now[2];

  for (int k = 0; k < count; k++) {
    progress_copy(&now[k], &macs[k].progress);
  }
  while (now[0].at < jobs[0].slot + BODY) {
    absorb(macs, now, count);
  }
  for (int k = 0; k < count; k++) {
    poly_absorb(&macs[k].key, now[k].sum, cmt__load_le32(now[k].at), 0);
    poly_absorb(&macs[k].key, now[k].sum, 0, CMT_FRAME_PLAIN);
    poly_tag(now[k].sum, macs[k].key.pad, tags[k]);
  }
}

/* What is taken in while a chunk of keystream is computed: |blocks| blocks of
   each of |count| frames. */
typedef struct meanwhile {
  mac *macs;
  int count;
  int blocks;
} meanwhile;

static const meanwhile nothing = {NULL, 0, 0};

/* ---- ChaCha20 ---- */

CMT__LANES_INLINE void transpose_states(VEC x[CMT__CHACHA_WORDS]) {
  for (int p = 0; p < PARTS; p++) {
    transpose_words(x + (ptrdiff_t)p * AT_ONCE);
  }
}

/* One of the parts of a step: COLUMNS quarter rounds, and that part of
   |blocks| blocks of Poly1305. */
CMT__LANES_INLINE void step_part(VEC x[CMT__CHACHA_WORDS], int part,
                                 meanwhile also, int blocks, progress now[2]) {
  const int rounds = 4 / COLUMNS;

  chacha_columns(x, part % rounds * COLUMNS, part / rounds % 2);
  for (int n = blocks * part / STEP_PARTS; n < blocks * (part + 1) / STEP_PARTS;
       n++) {
    absorb(also.macs, now, also.count);
  }
}

/* Two double rounds.  No branch is in it, so that compilers keep the state in
   registers, and mix. */
CMT__LANES_INLINE void step(VEC x[CMT__CHACHA_WORDS], meanwhile also,
                            int blocks, progress now[2]) {
  step_part(x, 0, also, blocks, now);
  step_part(x, 1, also, blocks, now);
  step_part(x, 2, also, blocks, now);
  step_part(x, 3, also, blocks, now);
  if (STEP_PARTS > 4) {
    step_part(x, 4, also, blocks, now);
    step_part(x, 5, also, blocks, now);
    step_part(x, 6, also, blocks, now);
    step_part(x, 7, also, blocks, now);
  }
}

/* |x| becomes the keystream of the blocks that begin at |start|: part p of
   block i is x[p * AT_ONCE + i]. */
CMT__LANES_INLINE void keystream(const VEC start[CMT__CHACHA_WORDS],
                                 VEC x[CMT__CHACHA_WORDS], meanwhile also) {
  progress now[2];

  for (int k = 0; k < also.count; k++) {
    progress_copy(&now[k], &also.macs[k].progress);
  }
  for (int i = 0; i < CMT__CHACHA_WORDS; i++) {
    x[i] = start[i];
  }
  /* What does not divide among the steps comes in the first ones. */
  for (int i = 0; i < also.blocks % STEPS; i++) {
    step(x, also, also.blocks / STEPS + 1, now);
  }
  for (int i = also.blocks % STEPS; i < STEPS; i++) {
    step(x, also, also.blocks / STEPS, now);
  }
  for (int i = 0; i < CMT__CHACHA_WORDS; i++) {
    x[i] = VEC_ADD32(x[i], start[i]);
  }
  transpose_states(x);
  for (int k = 0; k < also.count; k++) {
    progress_copy(&also.macs[k].progress, &now[k]);
  }
}

/* The keystream of a frame from block |first| on. */
CMT__LANES_INLINE void chunk_keystream(const cmt__aead_job *job, int first,
                                       VEC x[CMT__CHACHA_WORDS],
                                       meanwhile also) {
  VEC start[CMT__CHACHA_WORDS];

  for (int i = 0; i < CMT__CHACHA_WORDS; i++) {
    start[i] = VEC_ALL32((int)chacha_word(i, job->key, 0, job->counter));
  }
  start[12] = VEC_ADD32(VEC_COUNT, VEC_ALL32(first));
  keystream(start, x, also);
}

/* Vector i of what chunk_keystream() made, in the order of bytes. */
CMT__LANES_INLINE VEC in_order(const VEC x[CMT__CHACHA_WORDS], int i) {
  return x[i % PARTS * AT_ONCE + i / PARTS];
}

CMT__LANES_INLINE void chunk_store(const VEC x[CMT__CHACHA_WORDS],
                                   uint8_t *out) {
  for (int i = 0; i < CMT__CHACHA_WORDS; i++) {
    VEC_STORE(out + (size_t)i * sizeof(VEC), in_order(x, i));
  }
}

CMT__LANES_INLINE void chunk_xor(const VEC x[CMT__CHACHA_WORDS], uint8_t *at) {
  for (int i = 0; i < CMT__CHACHA_WORDS; i++) {
    VEC_STORE(at, VEC_XOR(in_order(x, i), VEC_LOAD(at)));
    at += sizeof(VEC);
  }
}

/* |len| is a number of whole vectors. */
static void body_xor(uint8_t *at, const uint8_t *key, size_t len) {
  for (size_t i = 0; i < len; i += sizeof(VEC)) {
    VEC_STORE(at + i, VEC_XOR(VEC_LOAD(at + i), VEC_LOAD(key + i)));
  }
}

static void tail_xor(const cmt__aead_job *job, const uint8_t *tail) {
  uint8_t *last = job->slot + BODY;

  cmt__store_le32(last, cmt__load_le32(last) ^ cmt__load_le32(tail));
}

/* ---- pairs ---- */

/* The first and the last block of the keystream of each frame of a group. */
typedef struct edges {
  uint8_t key[GROUP][CMT__CHACHA_BLOCK];
  uint8_t tail[GROUP][CMT__CHACHA_BLOCK];
} edges;

/* A lane without a frame repeats the last one. */
static void make_edges(edges *e, const cmt__aead_job *jobs, size_t count) {
  uint32_t words[AT_ONCE][CMT__CHACHA_WORDS];
  VEC start[CMT__CHACHA_WORDS], x[CMT__CHACHA_WORDS];

  for (size_t i = 0; i < GROUP; i++) {
    const cmt__aead_job *job = &jobs[cmt__min(i, count - 1)];

    for (int k = 0; k < CMT__CHACHA_WORDS; k++) {
      words[i][k] = chacha_word(k, job->key, 0, job->counter);
      words[GROUP + i][k] = chacha_word(k, job->key, BLOCKS + 1, job->counter);
    }
  }
  for (int i = 0; i < CMT__CHACHA_WORDS; i++) {
    start[i] = VEC_LOAD(words[i % AT_ONCE] + i / AT_ONCE * AT_ONCE);
  }
  transpose_states(start);
  keystream(start, x, nothing);
  for (int i = 0; i < CMT__CHACHA_WORDS; i++) {
    uint8_t(*out)[CMT__CHACHA_BLOCK] = i % AT_ONCE < GROUP ? e->key : e->tail;

    VEC_STORE(out[i % GROUP] + (size_t)(i / AT_ONCE) * sizeof(VEC), x[i]);
  }
  sodium_memzero(words, sizeof words);
}

typedef struct frame_pair {
  cmt__aead_job *jobs;
  mac macs[2];
  uint8_t tags[2][CMT__AEAD_TAG];
} frame_pair;

/* What holds secrets, and is wiped when a list of jobs is done. */
typedef struct scratch {
  edges edges;
  frame_pair pairs[2];
  uint8_t keystream[2][(size_t)RUNS * CHUNK];
} scratch;

static void pair_start(frame_pair *p, cmt__aead_job *jobs,
                       const uint8_t (*keys)[CMT__CHACHA_BLOCK]) {
  p->jobs = jobs;
  for (int k = 0; k < 2; k++) {
    mac_start(&p->macs[k], keys[k], jobs[k].slot);
  }
}

static void pair_end(frame_pair *p) { macs_end(p->macs, p->jobs, 2, p->tags); }

/* While a chunk of each frame is computed, as much of both is taken in. */
CMT__LANES_INLINE meanwhile half_a_chunk(frame_pair *p) {
  return (meanwhile){p->macs, 2, HALF_A_CHUNK};
}

/* ---- sealing pairs ---- */

static void cipher_chunk(const cmt__aead_job *job, int chunk) {
  VEC x[CMT__CHACHA_WORDS];

  chunk_keystream(job, 1 + chunk * AT_ONCE, x, nothing);
  chunk_xor(x, job->slot + (size_t)chunk * CHUNK);
}

CMT__NOINLINE void seal_chunk(const cmt__aead_job *job, int chunk,
                              frame_pair *behind) {
  VEC x[CMT__CHACHA_WORDS];

  chunk_keystream(job, 1 + chunk * AT_ONCE, x, half_a_chunk(behind));
  chunk_xor(x, job->slot + (size_t)chunk * CHUNK);
}

/* Encrypts the bodies of a pair.  Poly1305 is one chunk behind: it begins with
   the last one of |before|, the pair before, if there is one. */
static void seal_pair(frame_pair *now, frame_pair *before) {
  frame_pair *behind = before;

  for (int chunk = 0; chunk < CHUNKS; chunk++) {
    for (int k = 0; k < 2; k++) {
      if (behind == NULL) {
        cipher_chunk(&now->jobs[k], chunk);
      } else {
        seal_chunk(&now->jobs[k], chunk, behind);
      }
    }
    behind = now;
  }
}

static void write_tags(frame_pair *p) {
  pair_end(p);
  for (int k = 0; k < 2; k++) {
    memcpy(p->jobs[k].slot + CMT_FRAME_PLAIN, p->tags[k], CMT__AEAD_TAG);
  }
}

static void seal_pairs(scratch *s, cmt__aead_job *jobs, size_t count) {
  frame_pair *before = NULL;

  for (size_t i = 0; i < count; i += 2) {
    frame_pair *now = &s->pairs[i / 2 % 2];
    const size_t in_group = i % GROUP;

    if (in_group == 0) {
      make_edges(&s->edges, jobs + i, count - i);
    }
    pair_start(now, jobs + i, s->edges.key + in_group);
    tail_xor(&jobs[i], s->edges.tail[in_group]);
    tail_xor(&jobs[i + 1], s->edges.tail[in_group + 1]);
    seal_pair(now, before);
    if (before != NULL) {
      write_tags(before);
    }
    before = now;
  }
  if (before != NULL) {
    write_tags(before);
  }
}

/* ---- opening pairs ---- */

CMT__NOINLINE void open_chunk(const cmt__aead_job *job, int chunk,
                              frame_pair *p, uint8_t *out) {
  VEC x[CMT__CHACHA_WORDS];

  chunk_keystream(job, 1 + chunk * AT_ONCE, x, half_a_chunk(p));
  chunk_store(x, out + (size_t)chunk * CHUNK);
}

/* Computes the keystream and the tags of a pair. */
static void open_pair(scratch *s, frame_pair *p) {
  for (int chunk = 0; chunk < CHUNKS; chunk++) {
    for (int k = 0; k < 2; k++) {
      open_chunk(&p->jobs[k], chunk, p, s->keystream[k]);
    }
  }
  pair_end(p);
}

/* Only what is authentic is decrypted. */
static void decrypt_if(cmt__aead_job *job, const uint8_t tag[CMT__AEAD_TAG],
                       const uint8_t *body, const uint8_t *tail) {
  job->ok = crypto_verify_16(job->slot + CMT_FRAME_PLAIN, tag) == 0;
  if (job->ok) {
    body_xor(job->slot, body, BODY);
    tail_xor(job, tail);
  }
}

static void open_pairs(scratch *s, cmt__aead_job *jobs, size_t count) {
  frame_pair *now = &s->pairs[0];

  for (size_t i = 0; i < count; i += 2) {
    const size_t in_group = i % GROUP;

    if (in_group == 0) {
      make_edges(&s->edges, jobs + i, count - i);
    }
    pair_start(now, jobs + i, s->edges.key + in_group);
    open_pair(s, now);
    for (size_t k = 0; k < 2; k++) {
      decrypt_if(&jobs[i + k], now->tags[k], s->keystream[k],
                 s->edges.tail[in_group + k]);
    }
  }
}

/* ---- one frame ---- */

enum {
  /* Bytes of the keystream that the last run makes, rounded up to vectors. */
  LAST = (int)(BLOCKS + 2) * CMT__CHACHA_BLOCK - (int)CHUNKS * (int)CHUNK,
  /* Blocks of Poly1305 that are there after the first run, and before the last
     one, and what a run takes of them: the same in each step. */
  READY_FIRST = (AT_ONCE - 1) * CMT__CHACHA_BLOCK / MAC_BLOCK,
  READY_LAST = ((RUNS - 1) * AT_ONCE - 1) * CMT__CHACHA_BLOCK / MAC_BLOCK,
  TAKE_MIDDLE = READY_FIRST / STEPS * STEPS,
  TAKE_LAST = READY_LAST / STEPS * STEPS - (RUNS - 2) * TAKE_MIDDLE,
};
_Static_assert(LAST % sizeof(VEC) == 0, "the last run ends with a vector");

/* A frame with what holds secrets of it.  Small, since what a frame alone takes
   is not shared with others: it is wiped with the frame. */
typedef struct alone {
  cmt__aead_job *job;
  mac mac;
  uint8_t tag[1][CMT__AEAD_TAG];
  uint8_t keystream[(size_t)CHUNKS * CHUNK + LAST];
} alone;

/* The keystream of a run, of which |len| bytes are kept. */
CMT__LANES_INLINE void alone_run(alone *a, int run, size_t len,
                                 meanwhile also) {
  uint8_t *out = a->keystream + (size_t)run * CHUNK;
  VEC x[CMT__CHACHA_WORDS];

  chunk_keystream(a->job, run * AT_ONCE, x, also);
  for (size_t i = 0; i < len / sizeof(VEC); i++) {
    VEC_STORE(out + i * sizeof(VEC), in_order(x, (int)i));
  }
}

CMT__NOINLINE void alone_first(alone *a) { alone_run(a, 0, CHUNK, nothing); }

CMT__NOINLINE void alone_middle(alone *a, int run) {
  alone_run(a, run, CHUNK, (meanwhile){&a->mac, 1, TAKE_MIDDLE});
}

CMT__NOINLINE void alone_last(alone *a) {
  alone_run(a, RUNS - 1, LAST, (meanwhile){&a->mac, 1, TAKE_LAST});
}

/* The keystream behind the first run, while Poly1305 takes in what the runs
   before have covered. */
static void alone_next(alone *a, int run) {
  if (run < RUNS - 1) {
    alone_middle(a, run);
  } else {
    alone_last(a);
  }
}

static void alone_begin(alone *a, cmt__aead_job *job) {
  a->job = job;
  alone_first(a);
  mac_start(&a->mac, a->keystream, job->slot);
}

static void alone_end(alone *a) { macs_end(&a->mac, a->job, 1, a->tag); }

static void seal_alone(cmt__aead_job *job) {
  size_t done = CHUNK - CMT__CHACHA_BLOCK;
  alone a;
  uint8_t *const body = a.keystream + CMT__CHACHA_BLOCK;

  alone_begin(&a, job);
  body_xor(job->slot, body, done);
  for (int run = 1; run < RUNS; run++) {
    const size_t len = cmt__min(BODY - done, CHUNK);

    alone_next(&a, run);
    body_xor(job->slot + done, body + done, len);
    done += len;
  }
  tail_xor(job, body + BODY);
  alone_end(&a);
  memcpy(job->slot + CMT_FRAME_PLAIN, a.tag, CMT__AEAD_TAG);
  sodium_memzero(&a, sizeof a);
}

/* Computes the rest of the keystream, and the tag. */
static void open_rest(alone *a) {
  for (int run = 1; run < RUNS; run++) {
    alone_next(a, run);
  }
  alone_end(a);
}

static void open_alone(cmt__aead_job *job) {
  alone a;
  uint8_t *const body = a.keystream + CMT__CHACHA_BLOCK;

  alone_begin(&a, job);
  open_rest(&a);
  decrypt_if(job, a.tag[0], body, body + BODY);
  sodium_memzero(&a, sizeof a);
}

/* ---- lists of jobs ---- */

/* So many are sealed faster in pairs: the first pair has nothing to take in
   while it is encrypted.  Opening has, and always pays. */
enum { SEAL_IN_PAIRS = 4 };

static void pairs_seal(cmt__aead_job *jobs, size_t count) {
  const size_t paired = count < SEAL_IN_PAIRS ? 0 : count - count % 2;

  if (paired > 0) {
    scratch s;

    seal_pairs(&s, jobs, paired);
    sodium_memzero(&s, sizeof s);
  }
  for (size_t i = paired; i < count; i++) {
    seal_alone(&jobs[i]);
  }
}

static void pairs_open(cmt__aead_job *jobs, size_t count) {
  const size_t paired = count - count % 2;

  if (paired > 0) {
    scratch s;

    open_pairs(&s, jobs, paired);
    sodium_memzero(&s, sizeof s);
  }
  if (paired < count) {
    open_alone(&jobs[paired]);
  }
}

#endif
