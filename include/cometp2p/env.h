/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_ENV_H
#define CMT_ENV_H

/* The environment of an object: allocator, entropy, log sink, panic hook, frame
   kernel and memory for secrets.  Each object copies the environment it is made
   with; there is no global one.  A NULL environment means the defaults of
   cmt_env_init().

   This and every other struct that may grow begin with their size.  An init
   macro sets it in those that a program fills in, and it is looked at before
   anything else.  A struct of an older header has its fields, and the rest has
   its defaults; one of a later header is fine as long as it sets no field that
   this library does not have.  Structs that the library fills in are cut or
   filled up with zeros to the size that the program knows; those that it lends
   have the library's own.  All other structs never grow.

   A struct that was never filled in is refused with CMT_EINVAL, and so is every
   number, enum and flag out of its range, a count without its list and a list
   without its count.  What a pointer points to cannot be checked: texts, keys,
   functions, lists and |arg|s must be what they should be, or NULL where that
   is allowed.  A constructor that refuses leaves nothing behind: *|out| is
   NULL, and |why| names the option.  A NULL where the headers allow none is
   CMT_EINVAL of the calls that can say so. */

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

/** Fill with cmt_env_init(), then change what should differ.  All hooks must
    be callable from any thread.  Each |_arg| is passed back as |arg|.

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
  /** One line without a line break, shorter than 1024 bytes; NULL: silent.
      Warnings and errors are what an operator should look at.  Info has each
      dial of ours that yields no peer, and why.  Debug has the same for
      connections that others make, at most 50 a second. */
  void (*log)(void *arg, cmt_log_level level, const char *module,
              const char *line);
  void *log_arg;
  /** A broken invariant of this library, or a mistake of the program that left
      one behind, such as a cmt_buf_unref() too many.  |what| is one line that
      says which; the headers name these mistakes where they can be made.  It
      must not return: the library writes the line itself and aborts if it
      does.  A longjmp() out of it leaves the object in question, and locks of
      the library, as they were: nothing of that object may be used any more.

      The default gives the line to |log|, writes "cometp2p: panic: FILE:LINE:
      WHAT" to descriptor 2 with one write(), and aborts.  Each object calls the
      hook of the environment that it was made with, a message too. */
  void (*panic)(void *arg, const char *file, int line, const char *what);
  void *panic_arg;
  const struct cmt_aead *aead; /**< See cmt_env_set_aead(). */
  /** Memory for keys and for what they are computed with: |len| bytes, always a
      multiple of 16, aligned as by malloc; NULL: there is none.  It should stay
      out of core dumps and off the disk; *|locked| tells whether it does, and
      is false before.  Called for a node key, and when a connection is made and
      no earlier memory has room: one call for many connections. */
  void *(*secret_alloc)(void *arg, size_t len, bool *locked);
  /** The |len| bytes at |p| of secret_alloc are not needed any more.  They were
      wiped. */
  void (*secret_free)(void *arg, void *p, size_t len);
  /** Nobody writes to the |len| bytes at |p| while |on|; what secret_free gets
      may be written.  NULL: nothing is done about it. */
  void (*secret_protect)(void *arg, void *p, size_t len, bool on);
  void *secret_arg;
} cmt_env;

/** Fills |e| with the defaults; see cmt_env_init_sized(). */
#define cmt_env_init(e) cmt_env_init_sized((e), sizeof *(e))

/**
 * Fills |env|, of |size| bytes, with malloc, the entropy of the system, no
 * log, abort, the best frame kernel whose known-answer test passes here, and
 * locked pages with guard pages around them for secrets.
 *
 * Returns    CMT_OK; CMT_EINVAL: |env| is NULL, or |size| is not one that this
 *            library knows: its own, or that of an older header;
 *            CMT_EIO: libsodium cannot start.
 * Context    any thread.  Initialises libsodium, which is idempotent.
 */
CMT_API CMT_NODISCARD cmt_err cmt_env_init_sized(cmt_env *env, size_t size);

/**
 * A log hook that is ready to use: |log| of an environment.  It writes one line
 * to descriptor 2, such as
 * "2026-01-31T12:34:56.789Z warn  switch: waits for the reactor chat".
 *
 * |arg|, which is |log_arg|, points to the least severe level that is written,
 * and lives as long as the environment; NULL: CMT_LOG_INFO.
 *
 * Context    any thread; never blocks but in write(2), and keeps errno.
 */
CMT_API void cmt_log_stderr(void *arg, cmt_log_level level, const char *module,
                            const char *line);

/**
 * Chooses what frames are sealed and opened with: "libsodium", "avx2" or
 * "avx512", or "auto" for the fastest of them, which is the default.
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
