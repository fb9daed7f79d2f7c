/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__SECRET_POOL_H
#define CMT__SECRET_POOL_H

/* The environment of encrypted streams and the locked memory of their keys,
   once for all streams that are made alike.  Any thread may use it; it is freed
   with its last reference. */

#include "key_slab.h"

#include <stdatomic.h>

typedef struct cmt__secret_pool {
  atomic_uint refs;
  cmt_env env;
  cmt__key_slab keys;  /* Of streams; see secret_conn.h, */
  cmt__key_slab works; /* and of their handshakes. */
} cmt__secret_pool;

/* Makes one of |size| bytes, zeroed behind the pool: room for a struct that
   begins with it.  Takes |env| as it is; the caller has the reference.  NULL:
   no memory. */
cmt__secret_pool *cmt__secret_pool_new(const cmt_env *env, size_t size);
/* Any thread. */
cmt__secret_pool *cmt__secret_pool_ref(cmt__secret_pool *p);
void cmt__secret_pool_unref(cmt__secret_pool *p); /* NULL is fine. */

/* Bytes of the memory of keys now: locked, and what the system did not lock. */
void cmt__secret_pool_bytes(cmt__secret_pool *p, uint64_t *locked,
                            uint64_t *unlocked);

/* Most bytes that the slabs take of the environment for |streams|, of which
   |handshakes| are not done. */
size_t cmt__secret_pool_memory(size_t streams, size_t handshakes);

#endif
