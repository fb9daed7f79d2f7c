/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__SHARED_H
#define CMT__SHARED_H

/* What connections that are made alike have in common, once for all of them:
   the environment, the channels and the memory of keys.  But for that it does
   not change, so any thread may read it; it goes with its last reference. */

#include "key_slab.h"

#include <cometp2p/mconn.h>
#include <stdatomic.h>

typedef struct cmt__shared {
  atomic_uint refs;
  cmt_env env;
  cmt__key_slab keys;  /* Of connections; see secret_conn.h, */
  cmt__key_slab works; /* and of their handshakes. */
  size_t count;        /* Of the channels. */
  uint8_t index[256];  /* Their places by id; CMT_CHANNELS_MAX: none. */
  cmt_channel list[];  /* With their defaults, without their names. */
} cmt__shared;

/* Copies |env| and |list|; the caller has the reference.  CMT_EINVAL names the
   fault in |why|; CMT_ENOMEM; CMT_EIO: no defaults. */
CMT_NODISCARD cmt_err cmt__shared_new(const cmt_env *env,
                                      const cmt_channel *list, size_t count,
                                      cmt__shared **out, cmt_why *why);
/* Any thread. */
cmt__shared *cmt__shared_ref(cmt__shared *s);
void cmt__shared_unref(cmt__shared *s); /* NULL is fine. */

/* Bytes of the memory of keys now: locked, and what the system did not lock. */
void cmt__shared_key_bytes(cmt__shared *s, uint64_t *locked,
                           uint64_t *unlocked);

/* Most bytes of one for |count| channels, and at one time for |connections| of
   which |handshakes| are not up; without the memory of the keys itself, which
   is not of the environment. */
size_t cmt__shared_memory(size_t count, size_t connections, size_t handshakes);

#endif
