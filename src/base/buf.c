/* SPDX-License-Identifier: Apache-2.0 */

/* Reference-counted bytes.  They follow the header in one allocation unless
   the buffer was adopted; then they are the application's until the last
   reference goes. */

#include <cometp2p/buf.h>

#include <stdatomic.h>

#include "buf.h"

/* Far below an overflow, even if every thread adds one at the same time. */
#define REFS_MAX (UINT32_MAX / 2)

struct cmt_buf {
  const uint8_t *base; /* Behind this header, or the application's. */
  size_t len, cap;
  bool adopted;
  void (*release)(void *arg);
  void *release_arg;
  /* Copies of the hooks that are needed later, since a message may outlive its
     environment.  NULL: the default. */
  void (*free)(void *arg, void *p);
  void *free_arg;
  void (*panic)(void *arg, const char *file, int line, const char *what);
  void *panic_arg;
  void (*log)(void *arg, cmt_log_level level, const char *module,
              const char *line);
  void *log_arg;
  /* Allocators keep lists in the first words of what is free.  The count stands
     behind them, so that one reference too many still finds its 0. */
  atomic_uint refs;
};

/* The hooks that a mistake with |b| is reported to. */
static cmt_env buf_env(const cmt_buf *b) {
  return (cmt_env){
    .panic = b->panic,
    .panic_arg = b->panic_arg,
    .log = b->log,
    .log_arg = b->log_arg,
  };
}

CMT__COLD _Noreturn static void buf_panic(const cmt_buf *b, int line,
                                          const char *what) {
  cmt_env env = buf_env(b);

  cmt__panic(&env, __FILE__, line, what);
}

/* CMT_REQUIRE() with the hooks of a buffer. */
#define BUF_REQUIRE(b, cond, text)                                             \
  ((cond) ? (void)0 : buf_panic((b), __LINE__, (text)))

static cmt_buf *buf_alloc_env(const cmt_env *env, size_t cap) {
  cmt_buf *b;

  if (cap > SIZE_MAX - sizeof *b || !cmt__env_fits(env)) {
    return NULL;
  }
  b = cmt__alloc(env, sizeof *b + cap);
  if (b == NULL) {
    return NULL;
  }
  atomic_init(&b->refs, 1);
  b->base = (uint8_t *)(b + 1);
  b->len = 0;
  b->cap = cap;
  b->adopted = false;
  b->release = NULL;
  b->release_arg = NULL;
  b->free = env != NULL ? env->free : NULL;
  b->free_arg = env != NULL ? env->alloc_arg : NULL;
  b->panic = env != NULL ? env->panic : NULL;
  b->panic_arg = env != NULL ? env->panic_arg : NULL;
  b->log = env != NULL ? env->log : NULL;
  b->log_arg = env != NULL ? env->log_arg : NULL;
  return b;
}

/* Another header made |env|; its hooks hold. */
CMT__COLD static cmt_buf *buf_alloc_copy(const cmt_env *env, size_t cap) {
  cmt_env full;

  return cmt__env_copy(env, &full) == CMT_OK ? buf_alloc_env(&full, cap) : NULL;
}

static cmt_buf *buf_alloc(const cmt_env *env, size_t cap) {
  return env == NULL || env->size == sizeof *env ? buf_alloc_env(env, cap)
                                                 : buf_alloc_copy(env, cap);
}

cmt_buf *cmt_buf_new(const cmt_env *env, size_t len) {
  cmt_buf *b = buf_alloc(env, len);

  if (b != NULL) {
    b->len = len;
  }
  return b;
}

cmt_buf *cmt_buf_copy(const cmt_env *env, const void *data, size_t len) {
  cmt_buf *b = data != NULL || len == 0 ? cmt_buf_new(env, len) : NULL;

  if (b != NULL && len > 0) {
    memcpy(cmt__buf_base(b), data, len);
  }
  return b;
}

cmt_buf *cmt_buf_adopt(const cmt_env *env, cmt_bytes bytes,
                       void (*release)(void *arg), void *arg) {
  cmt_buf *b = bytes.base != NULL || bytes.len == 0 ? buf_alloc(env, 0) : NULL;

  if (b != NULL) {
    b->base = bytes.base;
    b->len = bytes.len;
    b->cap = bytes.len;
    b->adopted = true;
    b->release = release;
    b->release_arg = arg;
  }
  return b;
}

uint8_t *cmt_buf_data(cmt_buf *b) {
  if (b == NULL || b->adopted ||
      atomic_load_explicit(&b->refs, memory_order_acquire) != 1) {
    return NULL;
  }
  return cmt__buf_base(b);
}

cmt_bytes cmt_buf_bytes(const cmt_buf *b) {
  return b != NULL ? (cmt_bytes){.base = b->base, .len = b->len}
                   : (cmt_bytes){0};
}

cmt_buf *cmt_buf_ref(cmt_buf *b) {
  unsigned refs;

  if (b == NULL) {
    return NULL;
  }
  refs = atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
  BUF_REQUIRE(b, refs > 0, "cmt_buf_ref: the buffer has no reference left");
  BUF_REQUIRE(b, refs < REFS_MAX, "cmt_buf_ref: too many references");
  return b;
}

void cmt__buf_ref_many(cmt_buf *b, unsigned count) {
  unsigned refs =
    atomic_fetch_add_explicit(&b->refs, count, memory_order_relaxed);

  BUF_REQUIRE(b, refs < REFS_MAX, "cmt_buf_ref: too many references");
}

void cmt__buf_unref_many(cmt_buf *b, unsigned count) {
  unsigned refs =
    atomic_fetch_sub_explicit(&b->refs, count, memory_order_release);

  BUF_REQUIRE(b, refs > count, "cmt_buf_unref: one call too many");
}

CMT__COLD static void buf_release(const cmt_buf *b) {
  cmt_env env = buf_env(b);

  cmt__assert_unlocked(&env);
  b->release(b->release_arg);
}

void cmt_buf_unref(cmt_buf *b) {
  unsigned refs;

  if (b == NULL) {
    return;
  }
  refs = atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel);
  BUF_REQUIRE(b, refs > 0, "cmt_buf_unref: one call too many");
  if (refs > 1) {
    return;
  }
  if (b->release != NULL) {
    buf_release(b);
  }
  if (b->free != NULL) {
    b->free(b->free_arg, b);
  } else {
    cmt__free(NULL, b);
  }
}

/* The bytes follow the header, so |release_arg| is free for the list. */
bool cmt__buf_link(cmt_buf *b, cmt_buf *list) {
  if (b->adopted || atomic_load_explicit(&b->refs, memory_order_acquire) != 1) {
    return false;
  }
  b->release_arg = list;
  return true;
}

cmt_buf *cmt__buf_pop(cmt_buf **list) {
  cmt_buf *first = *list;

  if (first != NULL) {
    *list = first->release_arg;
  }
  return first;
}

void cmt__buf_unref_list(cmt_buf *list) {
  while (list != NULL) {
    cmt_buf_unref(cmt__buf_pop(&list));
  }
}

cmt_buf *cmt__buf_new_cap(const cmt_env *env, size_t cap) {
  return buf_alloc(env, cap);
}

size_t cmt__buf_header(void) { return sizeof(struct cmt_buf); }

size_t cmt__buf_cap(const cmt_buf *b) { return b->cap; }

void cmt__buf_set_len(cmt_buf *b, size_t len) {
  BUF_REQUIRE(b, len <= b->cap, "len <= b->cap");
  b->len = len;
}

uint8_t *cmt__buf_base(cmt_buf *b) {
  BUF_REQUIRE(b, !b->adopted, "!b->adopted");
  return (uint8_t *)(b + 1);
}
