/* SPDX-License-Identifier: Apache-2.0 */

/* Node keys in memory.  The secret lives in secret memory of its own that is
   read-only once made and wiped with the last reference; its halves always
   belong together. */

#include "node_key.h"

#include <sodium.h>

_Static_assert(CMT__NODE_KEY_SECRET == crypto_sign_SECRETKEYBYTES, "secret");
_Static_assert(CMT__NODE_KEY_PUBLIC == crypto_sign_PUBLICKEYBYTES, "public");

enum { SEED_SIZE = crypto_sign_SEEDBYTES, ID_SIZE = 20 };

/* The memory of a key with its environment in place. */
static cmt_err key_alloc(const cmt_env *env, cmt_node_key **out) {
  cmt_env copy;
  cmt_err err = cmt__env_copy(env, &copy);
  cmt_node_key *key;
  bool locked;

  if (err != CMT_OK) {
    return err;
  }
  key = cmt__alloc_zero(&copy, sizeof *key);
  if (key == NULL) {
    return CMT_ENOMEM;
  }
  atomic_init(&key->refs, 1);
  key->env = copy;
  key->secret = cmt__secret_alloc(&copy, CMT__NODE_KEY_SECRET, &locked);
  if (key->secret == NULL) {
    cmt__free(&copy, key);
    return CMT_ENOMEM;
  }
  *out = key;
  return CMT_OK;
}

/* Fills the secret of |key| from the seed in its first half. */
static void key_expand(cmt_node_key *key) {
  uint8_t public_key[CMT__NODE_KEY_PUBLIC];
  uint8_t seed[SEED_SIZE];

  memcpy(seed, key->secret, sizeof seed);
  crypto_sign_seed_keypair(public_key, key->secret, seed);
  sodium_memzero(seed, sizeof seed);
  cmt__node_id_of(public_key, &key->id);
}

/* A key without its secret in |*key|; nothing in |*out|. */
static cmt_err key_begin(const cmt_env *env, cmt_node_key **out,
                         cmt_node_key **key) {
  if (out == NULL) {
    return CMT_EINVAL;
  }
  *out = NULL;
  return key_alloc(env, key);
}

cmt_err cmt_node_key_generate(const cmt_env *env, cmt_node_key **out) {
  cmt_node_key *key;
  cmt_err err = key_begin(env, out, &key);

  if (err != CMT_OK) {
    return err;
  }
  key->env.entropy(key->env.entropy_arg, key->secret, SEED_SIZE);
  key_expand(key);
  cmt__secret_protect(&key->env, key->secret, CMT__NODE_KEY_SECRET, true);
  *out = key;
  return CMT_OK;
}

cmt_err cmt__node_key_from_secret(const cmt_env *env, const uint8_t secret[64],
                                  cmt_node_key **out) {
  cmt_node_key *key;
  cmt_err err = key_begin(env, out, &key);

  if (err != CMT_OK) {
    return err;
  }
  memcpy(key->secret, secret, SEED_SIZE);
  key_expand(key);
  if (sodium_memcmp(key->secret, secret, CMT__NODE_KEY_SECRET) != 0) {
    cmt_node_key_delete(key);
    return CMT_EINVAL;
  }
  cmt__secret_protect(&key->env, key->secret, CMT__NODE_KEY_SECRET, true);
  *out = key;
  return CMT_OK;
}

void cmt_node_key_get_id(const cmt_node_key *key, cmt_node_id *out) {
  if (out != NULL) {
    *out = key != NULL ? key->id : (cmt_node_id){.text = ""};
  }
}

/* The key is immutable to all its users; only the count changes. */
static cmt_node_key *key_counted(const cmt_node_key *key) {
  return (cmt_node_key *)(uintptr_t)key;
}

cmt_node_key *cmt__node_key_ref(const cmt_node_key *key) {
  cmt_node_key *counted = key_counted(key);
  unsigned refs =
    atomic_fetch_add_explicit(&counted->refs, 1, memory_order_relaxed);

  CMT_REQUIRE(&key->env, refs > 0, "the node key was deleted before its use");
  return counted;
}

void cmt_node_key_delete(cmt_node_key *key) {
  cmt_env env;
  unsigned refs;

  if (key == NULL) {
    return;
  }
  refs = atomic_fetch_sub_explicit(&key->refs, 1, memory_order_acq_rel);
  CMT_REQUIRE(&key->env, refs > 0, "cmt_node_key_delete: one call too many");
  if (refs == 1) {
    env = key->env;
    cmt__secret_protect(&env, key->secret, CMT__NODE_KEY_SECRET, false);
    cmt__secret_free(&env, key->secret, CMT__NODE_KEY_SECRET);
    cmt__free(&env, key);
  }
}

const uint8_t *cmt__node_key_public(const cmt_node_key *key) {
  return key->secret + SEED_SIZE;
}

void cmt__node_key_sign(const cmt_node_key *key, const uint8_t msg[32],
                        uint8_t sig[64]) {
  crypto_sign_detached(sig, NULL, msg, 32, key->secret);
}

void cmt__node_id_of(const uint8_t public_key[32], cmt_node_id *out) {
  uint8_t hash[crypto_hash_sha256_BYTES];

  crypto_hash_sha256(hash, public_key, CMT__NODE_KEY_PUBLIC);
  sodium_bin2hex(out->text, sizeof out->text, hash, ID_SIZE);
}
