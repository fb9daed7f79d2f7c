/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__ARENA_H
#define CMT__ARENA_H

/* The memory of one unpacked message: pieces of a few large blocks, within a
   limit, freed all at once. */

#include <cometp2p/env.h>
#include <protobuf-c/protobuf-c.h>

typedef struct arena_block arena_block;

typedef struct cmt__arena {
  const cmt_env *env;
  ProtobufCAllocator allocator; /* The allocator that protobuf-c calls. */
  arena_block *blocks;          /* The latest first. */
  unsigned char *at;            /* The free part of it. */
  size_t left;
  size_t quota;     /* How much may still be allocated, |left| included. */
  size_t block_len; /* The size of the next block. */
  bool over_quota, no_memory; /* Why an allocation failed. */
} cmt__arena;

/* For a message that was |len| bytes long. */
void cmt__arena_init(cmt__arena *a, const cmt_env *env, size_t len,
                     size_t quota);
void cmt__arena_fini(cmt__arena *a);

#endif
