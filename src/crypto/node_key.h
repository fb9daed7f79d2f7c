/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__NODE_KEY_H
#define CMT__NODE_KEY_H

/* A node key in memory.  docs/PROTOCOL.md 1.1.  Files are in
   src/home/node_key_file.c. */

#include "base/base.h"

#include <cometp2p/node_key.h>
#include <stdatomic.h>

enum { CMT__NODE_KEY_SECRET = 64, CMT__NODE_KEY_PUBLIC = 32 };

/* Each user of a key has a reference to it, so the key outlives all users, even
   when the application drops its own reference early. */
struct cmt_node_key {
  cmt_node_id id;
  cmt_env env;
  /* Allocators keep lists in the first words of what is free.  Hooks and count
     stand behind them, so that one call too many still finds them. */
  atomic_uint refs;
  /* CMT__NODE_KEY_SECRET bytes, seed || public key, in guarded memory that is
     read-only once it is filled. */
  uint8_t *secret;
};

/* One more reference; returns |key|.  cmt_node_key_delete() drops it. */
cmt_node_key *cmt__node_key_ref(const cmt_node_key *key);

/* A key from |secret|; CMT_EINVAL when its second half is not the public key
   of its first. */
CMT_NODISCARD cmt_err cmt__node_key_from_secret(const cmt_env *env,
                                                const uint8_t secret[64],
                                                cmt_node_key **out);

/* The public half of |key|, 32 bytes. */
const uint8_t *cmt__node_key_public(const cmt_node_key *key);

void cmt__node_key_sign(const cmt_node_key *key, const uint8_t msg[32],
                        uint8_t sig[64]);

/* The id that belongs to a public key. */
void cmt__node_id_of(const uint8_t public_key[32], cmt_node_id *out);

#endif
