/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__SECRET_POOL_H
#define CMT__SECRET_POOL_H

/* The environment of encrypted streams and the locked memory of their keys,
   once for all streams that are made alike.  It is freed with its last
   reference. */

#include "crypto/hkdf.h"
#include "crypto/key_slab.h"
#include "crypto/merlin.h"

#include <stdatomic.h>

enum {
  CMT__SECRET_KEY = 32,       /* A key, a shared secret, the challenge. */
  CMT__SECRET_KEY_MSG = 35,   /* The first message as it is sent. */
  CMT__SECRET_AUTH_MSG = 103, /* The second one. */
  CMT__SECRET_SIGNATURE_SIZE = 64,
};

/* The secrets of a connection that is up, in a slot of locked memory. */
typedef struct cmt__secret_keys {
  uint8_t recv[CMT__SECRET_KEY], send[CMT__SECRET_KEY];
} cmt__secret_keys;

/* The secrets of a handshake, in another slot, with the memory that their
   computation needs. */
typedef struct cmt__secret_work {
  uint8_t secret[CMT__SECRET_KEY];    /* Ephemeral; wiped once used. */
  uint8_t dh[CMT__SECRET_KEY];        /* The shared one; wiped once used. */
  uint8_t challenge[CMT__SECRET_KEY]; /* Since the state is AUTH. */
  uint8_t okm[2 * CMT__SECRET_KEY];
  cmt__secret_keys keys; /* Until the connection has them. */
  cmt__hkdf hkdf;
  cmt__merlin transcript;
} cmt__secret_work;

typedef struct cmt__secret_pool {
  atomic_uint refs;
  cmt_env env;
  cmt__key_slab keys;  /* Keys of streams; see secret_conn.h, */
  cmt__key_slab works; /* and of their handshakes. */
} cmt__secret_pool;

/* Makes one of |size| bytes, zeroed behind the pool: room for a struct that
   begins with it.  Takes |env| as it is; the caller has the reference.  NULL:
   no memory. */
cmt__secret_pool *cmt__secret_pool_new(const cmt_env *env, size_t size);
/* Lets streams of several threads take and give back, under |guard|.  Before
   any of them does; streams may not outlive the guard, but references may. */
void cmt__secret_pool_share(cmt__secret_pool *p, const cmt__guard *guard);
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
