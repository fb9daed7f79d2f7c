/* SPDX-License-Identifier: Apache-2.0 */

/* All uses of an environment go through the functions of this file.  A NULL
   environment stands for that of the system. */

#include <cometp2p/env.h>

#include <sodium.h>
#include <stdarg.h>

#include "base.h"
#include "guard.h"
#include "sized.h"

/* Room for two addresses, an id and a reason. */
enum { LOG_LINE_SIZE = 1024 };

void cmt__log(const cmt_env *env, cmt_log_level level, const char *module,
              const char *fmt, ...) {
  char line[LOG_LINE_SIZE];
  va_list args;

  if (env == NULL || env->log == NULL) {
    return;
  }
  va_start(args, fmt);
  vsnprintf(line, sizeof line, fmt, args);
  va_end(args);
  cmt__line_clean(line);
  cmt__assert_unlocked(env);
  env->log(env->log_arg, level, module, line);
}

void cmt__assert_unlocked(const cmt_env *env) {
  CMT_ASSERT(env, cmt__locks_held == 0);
}

bool cmt__env_size_is_known(size_t size) {
  return size >= offsetof(cmt_env, log) &&
         cmt__size_is_known(size, sizeof(cmt_env));
}

void cmt__panic(const cmt_env *env, const char *file, int line,
                const char *what) {
  if (env != NULL && env->panic != NULL &&
      env->panic != cmt__env_system.panic) {
    env->panic(env->panic_arg, file, line, what);
  }
  cmt__env_system_panic(env, file, line, what);
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
    err = cmt__env_size_is_known(env->size)
            ? cmt__sized_read(&full, sizeof full, env, "env", NULL)
            : CMT_EINVAL;
  }
  if (err != CMT_OK) {
    return err;
  }
  if (full.alloc == NULL || full.free == NULL || full.entropy == NULL ||
      full.aead == NULL || full.secret_alloc == NULL ||
      full.secret_free == NULL) {
    return CMT_EINVAL;
  }
  *out = full;
  return CMT_OK;
}

void *cmt__alloc(const cmt_env *env, size_t len) {
  size_t some = len > 0 ? len : 1;

  env = env != NULL ? env : &cmt__env_system;
  return env->alloc(env->alloc_arg, some);
}

void *cmt__alloc_zero(const cmt_env *env, size_t len) {
  void *p = cmt__alloc(env, len);

  if (p != NULL) {
    memset(p, 0, len);
  }
  return p;
}

void cmt__free(const cmt_env *env, void *p) {
  if (p != NULL) {
    env = env != NULL ? env : &cmt__env_system;
    env->free(env->alloc_arg, p);
  }
}

void *cmt__secret_alloc(const cmt_env *env, size_t len, bool *locked) {
  void *p;

  *locked = false;
  env = env != NULL ? env : &cmt__env_system;
  p = env->secret_alloc(env->secret_arg, len, locked);
  if (p != NULL) {
    sodium_memzero(p, len);
  }
  return p;
}

void cmt__secret_free(const cmt_env *env, void *p, size_t len) {
  env = env != NULL ? env : &cmt__env_system;
  sodium_memzero(p, len);
  env->secret_free(env->secret_arg, p, len);
}

void cmt__secret_protect(const cmt_env *env, void *p, size_t len, bool on) {
  env = env != NULL ? env : &cmt__env_system;
  if (env->secret_protect != NULL) {
    env->secret_protect(env->secret_arg, p, len, on);
  }
}
