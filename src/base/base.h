/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__BASE_H
#define CMT__BASE_H

/* What every file of the library uses: assertions, memory of an environment,
   reasons, and little-endian loads and stores. */

#include <cometp2p/buf.h>
#include <stdio.h>
#include <string.h>

/* Asserts guard our own invariants, in release builds too.  Bytes of a peer
   never reach one.  |env| is that of the object, whose panic hook is called. */
#define CMT_ASSERT(env, cond)                                                  \
  ((cond) ? (void)0 : cmt__panic((env), __FILE__, __LINE__, #cond))

/* As CMT_ASSERT(), for a mistake of the application: |text| names the call and
   the mistake for the programmer. */
#define CMT_REQUIRE(env, cond, text)                                           \
  ((cond) ? (void)0 : cmt__panic((env), __FILE__, __LINE__, (text)))

/* Asserts, before code of the application runs, that the thread holds no lock
   of the library (lock.h).  |env| may be NULL. */
void cmt__assert_unlocked(const cmt_env *env);

/* Marks a function that is rarely called: it is not inlined, so that its caller
   needs neither its stack frame nor its stack protector. */
#define CMT__COLD __attribute__((cold, noinline))

#define CMT__COUNT(array) (sizeof(array) / sizeof(array)[0])

_Noreturn void cmt__panic(const cmt_env *env, const char *file, int line,
                          const char *what);

/* What the system provides (src/sys/default_env.c): the environment that NULL
   stands for, and the end of the process after a panic that no hook of the host
   handled.  The log hook of |env|, which may be NULL, receives the line
   first. */
extern const cmt_env cmt__env_system;
_Noreturn void cmt__env_system_panic(const cmt_env *env, const char *file,
                                     int line, const char *what);

/* The least size of an environment of any header: it includes a whole
   allocator. */
bool cmt__env_size_is_known(size_t size);

/* Copies |env|, or the defaults when it is NULL; CMT_EINVAL: its size is
   unknown, or a hook that is needed is NULL. */
CMT_NODISCARD cmt_err cmt__env_copy(const cmt_env *env, cmt_env *out);

/* True when |env| can allocate: it is NULL, or has both functions of an
   allocator.  An environment of the application may have only one of them. */
static inline bool cmt__env_fits(const cmt_env *env) {
  return env == NULL ||
         (env->size == sizeof *env && env->alloc != NULL && env->free != NULL);
}

/* |len| may be 0; the memory of cmt__alloc_zero is zeroed. */
void *cmt__alloc(const cmt_env *env, size_t len);
void *cmt__alloc_zero(const cmt_env *env, size_t len);
void cmt__free(const cmt_env *env, void *p); /* NULL is fine. */

/* Secret memory: |len| bytes, a multiple of 16, zeroed and aligned for any
   object; NULL: the allocation failed.  |*locked|: the memory never reaches the
   disk. */
void *cmt__secret_alloc(const cmt_env *env, size_t len, bool *locked);
/* Wipes the |len| bytes at |p|, which must be writable, and frees them. */
void cmt__secret_free(const cmt_env *env, void *p, size_t len);
/* Makes the memory read-only if |on|, and writable again if not. */
void cmt__secret_protect(const cmt_env *env, void *p, size_t len, bool on);

/* Doubles the array |*items| of |*cap| elements of |item| bytes, at least to
   |first|; false when the allocation fails, nothing has changed then. */
bool cmt__grow(const cmt_env *env, void **items, size_t *cap, size_t item,
               size_t first);

/* The most elements for which an array has memory at one time while cmt__grow()
   brings it to |count|: the old memory and the new together. */
size_t cmt__grow_max(size_t count, size_t first);

/* Formats a reason, cut to fit; returns |err|.  |why| may be NULL. */
cmt_err cmt__why(cmt_why *why, cmt_err err, cmt_stage stage, const char *fmt,
                 ...) __attribute__((format(printf, 4, 5)));

/* Sets a reason whose text is that of |err|. */
cmt_err cmt__why_plain(cmt_why *why, cmt_err err, cmt_stage stage);

/* Escapes |in| into |out| for a reason, and cuts it to |cap| - 1 bytes with a
   final "..." where it was longer; returns |out|. */
const char *cmt__quote(cmt_bytes in, char *out, size_t cap);

/* Makes |text| one printable line.  Callers escape what a peer sent; this is
   the safety net for one that does not. */
void cmt__line_clean(char *text);

/* Ends the line that snprintf() left in |text|, of |size| bytes, when it
   returned |len|: one that was cut gets its newline back.  Returns its length.
   */
size_t cmt__line_end(char *text, size_t size, int len);

/* Formats one log line to the sink of |env|. */
void cmt__log(const cmt_env *env, cmt_log_level level, const char *module,
              const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Fetches |len| bytes at |p|, which are changed soon, into the cache.  Any |p|
   is fine: nothing is read. */
static inline void cmt__fetch(const void *p, size_t len) {
  for (size_t i = 0; i < len; i += 64) {
    __builtin_prefetch((const void *)((uintptr_t)p + i), 1);
  }
}

static inline size_t cmt__min(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t cmt__max(size_t a, size_t b) { return a > b ? a : b; }

static inline uint64_t cmt__min64(uint64_t a, uint64_t b) {
  return a < b ? a : b;
}

static inline uint64_t cmt__max64(uint64_t a, uint64_t b) {
  return a > b ? a : b;
}

static inline bool cmt__bytes_have(cmt_bytes b, uint8_t byte) {
  return b.len > 0 && memchr(b.base, byte, b.len) != NULL;
}

/* The present instant of an object that was at |before_ns| and receives
   |now_ns|: it never steps back, and CMT_NEVER never comes. */
static inline uint64_t cmt__latest(uint64_t before_ns, uint64_t now_ns) {
  return cmt__max64(before_ns, cmt__min64(now_ns, CMT_NEVER - 1));
}

/* The time since |then_ns|; 0 when it is not in the past. */
static inline uint64_t cmt__since(uint64_t now_ns, uint64_t then_ns) {
  return now_ns > then_ns ? now_ns - then_ns : 0;
}

/* From one instant to the other, whichever is later: a wall clock may have been
   put back since. */
static inline uint64_t cmt__apart(uint64_t a_ns, uint64_t b_ns) {
  return a_ns > b_ns ? a_ns - b_ns : b_ns - a_ns;
}

/* A later instant, which stays CMT_NEVER when it would not fit. */
static inline uint64_t cmt__after(uint64_t now_ns, uint64_t delay_ns) {
  return delay_ns > CMT_NEVER - now_ns ? CMT_NEVER : now_ns + delay_ns;
}

static inline uint32_t cmt__load_le32(const uint8_t *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
         (uint32_t)p[3] << 24;
}

static inline uint64_t cmt__load_le64(const uint8_t *p) {
  return cmt__load_le32(p) | (uint64_t)cmt__load_le32(p + 4) << 32;
}

static inline void cmt__store_le32(uint8_t *p, uint32_t v) {
  for (int i = 0; i < 4; i++) {
    p[i] = (uint8_t)(v >> 8 * i);
  }
}

static inline void cmt__store_le64(uint8_t *p, uint64_t v) {
  for (int i = 0; i < 8; i++) {
    p[i] = (uint8_t)(v >> 8 * i);
  }
}

#endif
