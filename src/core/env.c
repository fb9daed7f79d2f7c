/* SPDX-License-Identifier: Apache-2.0 */

/* Environments.  The only file of the core that may touch the allocator, the
   entropy and the abort of the system; all others go through an environment.
   A NULL environment has the defaults. */

#include <cometp2p/env.h>

#include <sodium.h>
#include <stdlib.h>

#include "aead.h"
#include "base.h"

static void *default_alloc(void *arg, size_t len) {
  (void)arg;
  return malloc(len);
}

static void default_free(void *arg, void *p) {
  (void)arg;
  free(p);
}

static void default_entropy(void *arg, void *out, size_t len) {
  (void)arg;
  randombytes_buf(out, len);
}

static void default_panic(void *arg, const char *file, int line,
                          const char *what) {
  (void)arg;
  (void)file;
  (void)line;
  (void)what;
  abort();
}

cmt_err cmt_env_init_sized(cmt_env *env, size_t size) {
  const struct cmt_aead *aead = &cmt__aead_libsodium;

  if (env == NULL || size != sizeof *env) {
    return CMT_EINVAL;
  }
  if (sodium_init() < 0 || !cmt__aead_self_test(aead)) {
    return CMT_EIO;
  }
  *env = (cmt_env){
    .size = size,
    .alloc = default_alloc,
    .free = default_free,
    .entropy = default_entropy,
    .panic = default_panic,
    .aead = aead,
  };
  return CMT_OK;
}

const char *cmt_env_aead(const cmt_env *env) {
  cmt_env defaults;

  if (env == NULL) {
    if (cmt_env_init(&defaults) != CMT_OK) {
      return "none";
    }
    env = &defaults;
  }
  return env->aead->name;
}

void cmt__panic(const cmt_env *env, const char *file, int line,
                const char *what) {
  if (env != NULL && env->panic != NULL) {
    env->panic(env->panic_arg, file, line, what);
  }
  abort();
}

cmt_err cmt__env_copy(const cmt_env *env, cmt_env *out) {
  if (env == NULL) {
    return cmt_env_init(out);
  }
  if (env->size != sizeof *env) {
    return CMT_EINVAL;
  }
  if (env->alloc == NULL || env->free == NULL || env->entropy == NULL ||
      env->aead == NULL) {
    return CMT_EINVAL;
  }
  *out = *env;
  return CMT_OK;
}

void *cmt__alloc(const cmt_env *env, size_t len) {
  size_t some = len > 0 ? len : 1;

  return env != NULL ? env->alloc(env->alloc_arg, some) : malloc(some);
}

void *cmt__alloc_zero(const cmt_env *env, size_t len) {
  void *p = cmt__alloc(env, len);

  if (p != NULL) {
    memset(p, 0, len);
  }
  return p;
}

void cmt__free(const cmt_env *env, void *p) {
  if (p == NULL) {
    return;
  }
  if (env != NULL) {
    env->free(env->alloc_arg, p);
  } else {
    free(p);
  }
}
