/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_ENV_H
#define CMT_ENV_H

/* The environment of an object: allocator, entropy, log, panic hook, frame
   kernel and memory for secrets.  Each object copies the environment that it is
   made with; NULL means the defaults of cmt_env_init().  The rules that all
   headers have in common are in docs/guide/conventions.md. */

#include <cometp2p/err.h>

#ifdef __cplusplus
extern "C" {
#endif

/** Severity of a log line. */
typedef enum cmt_log_level {
  CMT_LOG_ERROR,
  CMT_LOG_WARN,
  CMT_LOG_INFO,
  CMT_LOG_DEBUG,
} cmt_log_level;

struct cmt_aead;

/** Fill with cmt_env_init(), then change what should differ.  All hooks must be
    callable from any thread.  Each |_arg| is passed back as |arg|.

    The hooks of memory and the panic hook may run while the library holds locks
    of its own: they must not call the library, and must not wait for a lock
    that another thread may hold while it calls the library.  The log hook runs
    without any lock of the library, like every callback and release. */
typedef struct cmt_env {
  size_t size; /**< sizeof (cmt_env), set by cmt_env_init(). */
  /** |len| bytes (never 0) aligned as by malloc, or NULL. */
  void *(*alloc)(void *arg, size_t len);
  void (*free)(void *arg, void *p); /**< |p| is never NULL. */
  void *alloc_arg;
  /** Fills |out| with |len| unpredictable bytes; cannot fail. */
  void (*entropy)(void *arg, void *out, size_t len);
  void *entropy_arg;
  /** One line without a line break, shorter than 1024 bytes; NULL: no log.
      Warnings and errors need the attention of an operator.  Each of our dials
      that yields no peer is logged at info with its reason; each accepted
      connection that yields no peer is logged at debug, at most 50 a second. */
  void (*log)(void *arg, cmt_log_level level, const char *module,
              const char *line);
  void *log_arg;
  /** Reports a broken invariant of this library, or a mistake of the program
      for which the headers state that it panics; |what| describes it in one
      line.  The hook must not return; if it does, the library aborts.  The
      default passes the line to |log|, writes it to descriptor 2, and
      aborts. */
  void (*panic)(void *arg, const char *file, int line, const char *what);
  void *panic_arg;
  const struct cmt_aead *aead; /**< See cmt_env_set_aead(). */
  /** Memory for keys: |len| bytes, a multiple of 16, aligned as by malloc;
      NULL: the allocation failed.  The hook sets *|locked|, which is false
      before, if the memory stays off the disk and out of core dumps.  One call
      serves many connections. */
  void *(*secret_alloc)(void *arg, size_t len, bool *locked);
  /** Frees the |len| bytes at |p| that secret_alloc returned.  The library has
      wiped them. */
  void (*secret_free)(void *arg, void *p, size_t len);
  /** Makes the |len| bytes at |p| read-only if |on|, and writable again if not;
      what is passed to secret_free is writable.  NULL: the memory stays
      writable. */
  void (*secret_protect)(void *arg, void *p, size_t len, bool on);
  void *secret_arg;
} cmt_env;

/** Fills |e| with the defaults; see cmt_env_init_sized(). */
#define cmt_env_init(e) cmt_env_init_sized((e), sizeof *(e))

/** Fills |env|, of |size| bytes, with malloc, the entropy of the system, no
    log, abort, the best frame kernel whose known-answer test passes here, and
    locked pages for secrets.  Any thread.

    Returns CMT_OK; CMT_EINVAL: |env| is NULL, or |size| is not that of any
    known version; CMT_EIO: libsodium cannot start. */
CMT_API CMT_NODISCARD cmt_err cmt_env_init_sized(cmt_env *env, size_t size);

/** A ready-made log hook: writes each line with a timestamp to descriptor 2.
    |log_arg| points to the least severe level that is written, and lives as
    long as the environment; NULL: CMT_LOG_INFO.  Any thread; keeps errno. */
CMT_API void cmt_log_stderr(void *arg, cmt_log_level level, const char *module,
                            const char *line);

/**
 * Chooses the kernel that seals and opens frames: "libsodium", "avx2",
 * "avx512" or "neon", or "auto" for the fastest of them, which is the default.
 *
 * Returns    CMT_OK; CMT_EINVAL: |env| was not initialised, or no kernel of
 *            that name was built, runs on this processor and passes its
 *            known-answer test.  |env| is unchanged then.
 * Context    any thread, before anything is made with |env|.
 */
CMT_API CMT_NODISCARD cmt_err cmt_env_set_aead(cmt_env *env, const char *name);

/** The name of the frame kernel in |env| (NULL: the default one), such as
    "libsodium". */
CMT_API const char *cmt_env_aead(const cmt_env *env);

#ifdef __cplusplus
}
#endif
#endif
