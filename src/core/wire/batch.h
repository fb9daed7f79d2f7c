/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__BATCH_H
#define CMT__BATCH_H

/* The output as a span: packets are written straight into the frames that are
   sealed later. */

#include "base/base.h"

/* Where packets are written: |cap| bytes of data, |segment| of them in each
   slot of |stride| bytes, from |offset| on. */
typedef struct cmt__batch {
  uint8_t *at; /* The next byte. */
  size_t left; /* Room from there to the end of the segment. */
  size_t segment, gap;
  size_t len, cap;
  const cmt_env *env; /* For the panic when more is written than fits. */
} cmt__batch;

/* A batch over |slots| frames at |base|; |env| outlives it. */
cmt__batch cmt__batch_frames(const cmt_env *env, uint8_t *base, size_t slots);
/* A batch over |cap| bytes in one piece. */
cmt__batch cmt__batch_plain(const cmt_env *env, uint8_t *base, size_t cap);

static inline size_t cmt__batch_room(const cmt__batch *r) {
  return r->cap - r->len;
}
void cmt__batch_write(cmt__batch *r, const uint8_t *data, size_t len);

#endif
