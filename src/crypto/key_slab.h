/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__KEY_SLAB_H
#define CMT__KEY_SLAB_H

/* Memory for the secrets of connections: slots of one size, many to a page, in
   chunks of secret memory.  Memory that the environment could not lock is no
   error: the chunk is used as it is.

   A slot belongs to its allocator until it is freed.  Threads that share a slab
   allocate and free under its guard.  The bookkeeping lies in ordinary memory
   of the environment. */

#include "base/base.h"
#include "base/guard.h"

typedef struct cmt__key_chunk cmt__key_chunk;

typedef struct cmt__key_slab {
  size_t slot; /* Bytes. */
  cmt__guard guard;
  /* Under the guard: */
  cmt__key_chunk *first;
  size_t chunks;
  size_t bytes, locked_bytes; /* All chunks, and the locked ones. */
} cmt__key_slab;

/* Initializes a slab for slots of |size| bytes and for one thread; allocates
   nothing yet. */
void cmt__key_slab_init(cmt__key_slab *k, const cmt_env *env, size_t size);
/* Every slot was freed before. */
void cmt__key_slab_fini(cmt__key_slab *k, const cmt_env *env);

/* A slot of zeros, aligned for any object; NULL: no memory. */
void *cmt__key_slab_take(cmt__key_slab *k, const cmt_env *env);
/* Wipes the slot; NULL is fine. */
void cmt__key_slab_give(cmt__key_slab *k, const cmt_env *env, void *slot);

/* Adds the bytes of its chunks. */
void cmt__key_slab_count(cmt__key_slab *k, uint64_t *locked,
                         uint64_t *unlocked);

/* Most bytes of ordinary memory that the bookkeeping of |count| slots of |size|
   bytes needs at one time. */
size_t cmt__key_slab_memory(size_t size, size_t count);

#endif
