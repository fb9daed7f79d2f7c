/* SPDX-License-Identifier: Apache-2.0 */

/* The environment of the system: the C library's allocator, the entropy and the
   secret memory of libsodium, and the end of the process after a panic. */

#include "kernels.h"
#include "secret_memory.h"

#include "base/base.h"
#include "base/guard.h"
#include "base/sized.h"

#include <sodium.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

static void *default_alloc(void *arg, size_t len) {
  (void)arg;
  return malloc(len);
}

/* Where ThreadSanitizer cannot see what orders the last use of a buffer, a
   suppression names this function (contrib/tsan.supp).  It must not become a
   tail call, which would leave no frame to match. */
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

static void default_panic(void *arg, const char *file, int line,
                          const char *what) {
  char text[PANIC_LINE_SIZE];
  size_t len =
    cmt__line_end(text, sizeof text,
                  snprintf(text, sizeof text, "cometp2p: panic: %s:%d: %s\n",
                           file, line, what));
  ssize_t put = write(STDERR_FILENO, text, len);

  (void)arg;
  (void)put; /* A failure has nowhere to be reported. */
  abort();
}

/* True once a panic was reported to a log hook. */
static atomic_flag panic_logged = ATOMIC_FLAG_INIT;

/* The log hook gets the text first, but not while the thread holds a lock,
   which the hook might wait for, and only once in the life of the process,
   since the hook may run into a panic itself. */
void cmt__env_system_panic(const cmt_env *env, const char *file, int line,
                           const char *what) {
  if (env != NULL && env->log != NULL && cmt__locks_held == 0 &&
      !atomic_flag_test_and_set(&panic_logged)) {
    cmt__log(env, CMT_LOG_ERROR, "panic", "%s:%d: %s", file, line, what);
  }
  for (;;) { /* It ends the process. */
    default_panic(NULL, file, line, what);
  }
}

const cmt_env cmt__env_system = {
  .size = sizeof(cmt_env),
  .alloc = default_alloc,
  .free = default_free,
  .entropy = default_entropy,
  .panic = default_panic,
  .aead = &cmt__aead_libsodium,
  .secret_alloc = cmt__secret_memory_alloc,
  .secret_free = cmt__secret_memory_free,
  .secret_protect = cmt__secret_memory_protect,
};

cmt_err cmt_env_init_sized(cmt_env *env, size_t size) {
  cmt_env full = cmt__env_system;

  if (env == NULL || !cmt__env_size_is_known(size)) {
    return CMT_EINVAL;
  }
  if (sodium_init() < 0) {
    return CMT_EIO;
  }
  full.aead = cmt__kernels_find(&cmt__kernels_built_in, NULL);
  if (full.aead == NULL) {
    return CMT_EIO;
  }
  cmt__sized_write(env, size, &full, sizeof full);
  return CMT_OK;
}

cmt_err cmt_env_set_aead(cmt_env *env, const char *name) {
  const struct cmt_aead *found;

  if (env == NULL || name == NULL ||
      env->size < offsetof(cmt_env, aead) + sizeof env->aead) {
    return CMT_EINVAL;
  }
  found = cmt__kernels_find(&cmt__kernels_built_in,
                            strcmp(name, "auto") == 0 ? NULL : name);
  if (found == NULL) {
    return CMT_EINVAL;
  }
  env->aead = found;
  return CMT_OK;
}

const char *cmt_env_aead(const cmt_env *env) {
  cmt_env full;

  return cmt__env_copy(env, &full) == CMT_OK ? full.aead->name : "none";
}
