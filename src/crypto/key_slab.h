/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__KEY_SLAB_H
#define CMT__KEY_SLAB_H

/* Memory for the secrets of connections: slots of one size, many to a page, in
   chunks that have guard pages around them, stay out of core dumps and are
   locked, so that they never reach the disk.  A system that does not allow so
   much locked memory is no error: the chunk is used as it is.

   Any thread may take and give back; a slot belongs to whoever took it.  What
   is known of the slots lies in ordinary memory of the environment. */

#include "base/base.h"

#include <pthread.h>

typedef struct cmt__key_chunk cmt__key_chunk;

typedef struct cmt__key_slab {
  size_t slot; /* Bytes. */
  pthread_mutex_t lock;
  /* Under the lock: */
  cmt__key_chunk *first;
  size_t chunks;
  size_t bytes, locked_bytes; /* Of all chunks, and of those locked. */
} cmt__key_slab;

/* For slots of |size| bytes; no memory yet.  False: the system has no lock. */
bool cmt__key_slab_init(cmt__key_slab *k, const cmt_env *env, size_t size);
/* Every slot was given back. */
void cmt__key_slab_fini(cmt__key_slab *k, const cmt_env *env);

/* A slot of zeros, aligned for any object; NULL: no memory. */
void *cmt__key_slab_take(cmt__key_slab *k, const cmt_env *env);
/* Wipes the slot; NULL is fine. */
void cmt__key_slab_give(cmt__key_slab *k, const cmt_env *env, void *slot);

/* Adds the bytes of its chunks, which are not of the environment. */
void cmt__key_slab_count(cmt__key_slab *k, uint64_t *locked,
                         uint64_t *unlocked);

/* Most bytes of the environment that it takes for |count| slots of |size|
   bytes at one time. */
size_t cmt__key_slab_memory(size_t size, size_t count);

#endif
