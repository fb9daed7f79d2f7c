/* SPDX-License-Identifier: Apache-2.0 */

/* Everything that the library wants of its environment goes through here.  A
   NULL environment stands for that of the system. */

#include <cometp2p/env.h>

#include <stdarg.h>
#include <stdatomic.h>

#include "base.h"
#include "lock.h"
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
  for (;;) { /* It ends the process. */
    cmt__env_system.panic(NULL, file, line, what);
  }
}

void cmt__assert_unlocked(const cmt_env *env) {
  CMT_ASSERT(env, cmt__locks_held == 0);
}

bool cmt__env_size_is_known(size_t size) {
  return size >= offsetof(cmt_env, log) && size % sizeof(size_t) == 0 &&
         size <= sizeof(cmt_env);
}

void cmt__panic(const cmt_env *env, const char *file, int line,
                const char *what) {
  if (env != NULL && env->panic != NULL &&
      env->panic != cmt__env_system.panic) {
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
    err = cmt__env_size_is_known(env->size)
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
