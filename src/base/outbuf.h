/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__OUTBUF_H
#define CMT__OUTBUF_H

/* Bytes that are lent until they are consumed, and the memory they lie in. */

#include "base.h"

typedef struct cmt__outbuf {
  uint8_t *base;
  size_t cap, begin, end;
} cmt__outbuf;

static inline bool cmt__outbuf_reserve(cmt__outbuf *o, const cmt_env *env,
                                       size_t cap) {
  uint8_t *base;

  if (cap <= o->cap) {
    return true;
  }
  base = cmt__alloc(env, cap);
  if (base == NULL) {
    return false;
  }
  CMT_ASSERT(env, o->begin == o->end);
  cmt__free(env, o->base);
  *o = (cmt__outbuf){.base = base, .cap = cap};
  return true;
}

static inline cmt_bytes cmt__outbuf_lend(const cmt__outbuf *o, size_t max) {
  return o->begin == o->end
           ? (cmt_bytes){.base = NULL}
           : (cmt_bytes){.base = o->base + o->begin,
                         .len = cmt__min(o->end - o->begin, max)};
}

#endif
