/* SPDX-License-Identifier: Apache-2.0 */

/* Environments.  The only file of the core that may touch the allocator, the
   entropy, the standard error and the abort of the system; all others go
   through an environment.  A NULL environment has the defaults. */

#include <cometp2p/env.h>

#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "aead.h"
#include "base.h"
#include "lock.h"
#include "sized.h"

static void *default_alloc(void *arg, size_t len) {
  (void)arg;
  return malloc(len);
}

/* Where ThreadSanitizer cannot see what orders the last use of a buffer, it is
   told by the name of this function (contrib/tsan.supp): so the call is no jump
   that would leave no frame. */
static void default_free(void *arg, void *p) {
  (void)arg;
  free(p);
  __asm__ volatile("");
}

static void default_entropy(void *arg, void *out, size_t len) {
  (void)arg;
  randombytes_buf(out, len);
}

enum { PANIC_LINE_SIZE = 512 };

/* Puts the text of a panic, cut to fit, into |out|; returns its length. */
static size_t panic_line(char out[PANIC_LINE_SIZE], const char *file, int line,
                         const char *what) {
  int len = snprintf(out, PANIC_LINE_SIZE, "cometp2p: panic: %s:%d: %s\n", file,
                     line, what);

  if (len >= PANIC_LINE_SIZE) {
    len = PANIC_LINE_SIZE - 1;
    out[len - 1] = '\n';
  }
  return len > 0 ? (size_t)len : 0;
}

static void default_panic(void *arg, const char *file, int line,
                          const char *what) {
  char text[PANIC_LINE_SIZE];
  size_t len = panic_line(text, file, line, what);

  (void)arg;
  cmt_ignore(write(STDERR_FILENO, text, len) == (ssize_t)len ? CMT_OK
                                                             : CMT_EIO);
  abort();
}

/* The last words without a hook of the host.  The log hook hears them first,
   but not while the thread holds a lock, which it might wait for, and only once
   in the life of the process: it may run into a panic itself. */
_Noreturn static void panic_tell(const cmt_env *env, const char *file, int line,
                                 const char *what) {
  static atomic_flag told = ATOMIC_FLAG_INIT;

  if (env != NULL && env->log != NULL && cmt__locks_held == 0 &&
      !atomic_flag_test_and_set(&told)) {
    cmt__log(env, CMT_LOG_ERROR, "panic", "%s:%d: %s", file, line, what);
  }
  default_panic(NULL, file, line, what);
  abort();
}

/* An environment that is smaller is of an older header, and has a whole
   allocator. */
static bool env_size_is_known(size_t size) {
  return size >= offsetof(cmt_env, log) && size % sizeof(size_t) == 0 &&
         size <= sizeof(cmt_env);
}

cmt_err cmt_env_init_sized(cmt_env *env, size_t size) {
  const struct cmt_aead *aead = &cmt__aead_libsodium;

  cmt_env full;

  if (env == NULL || !env_size_is_known(size)) {
    return CMT_EINVAL;
  }
  if (sodium_init() < 0 || !cmt__aead_self_test(aead)) {
    return CMT_EIO;
  }
  full = (cmt_env){
    .alloc = default_alloc,
    .free = default_free,
    .entropy = default_entropy,
    .panic = default_panic,
    .aead = aead,
  };
  cmt__sized_write(env, size, &full, sizeof full);
  return CMT_OK;
}

const char *cmt_env_aead(const cmt_env *env) {
  cmt_env full;

  return cmt__env_copy(env, &full) == CMT_OK ? full.aead->name : "none";
}

void cmt__panic(const cmt_env *env, const char *file, int line,
                const char *what) {
  if (env != NULL && env->panic != NULL && env->panic != default_panic) {
    env->panic(env->panic_arg, file, line, what);
  }
  panic_tell(env, file, line, what);
}

cmt_err cmt__env_copy(const cmt_env *env, cmt_env *out) {
  cmt_env full;
  cmt_err err = CMT_OK;

  if (env != NULL && env->size == sizeof *env) {
    full = *env;
  } else {
    err = cmt_env_init(&full);
  }
  if (err == CMT_OK && env != NULL && env->size != sizeof *env) {
    err = env_size_is_known(env->size)
            ? cmt__sized_read(&full, sizeof full, env, "env", NULL)
            : CMT_EINVAL;
  }
  if (err != CMT_OK) {
    return err;
  }
  if (full.alloc == NULL || full.free == NULL || full.entropy == NULL ||
      full.aead == NULL) {
    return CMT_EINVAL;
  }
  *out = full;
  return CMT_OK;
}

bool cmt__env_fits(const cmt_env *env) {
  return env == NULL ||
         (env->size == sizeof *env && env->alloc != NULL && env->free != NULL);
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
    default_free(NULL, p);
  }
}
