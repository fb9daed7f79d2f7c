/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__DELIMITED_H
#define CMT__DELIMITED_H

/* A message behind its length, gathered from the pieces of a stream.  Memory
   grows with the bytes that came, never with the length announced. */

#include "base.h"

typedef struct cmt__delimited {
  size_t max;         /* Longest message accepted. */
  size_t first;       /* Bytes of memory at first. */
  uint8_t prefix[10]; /* The length as it comes. */
  size_t prefix_len;
  bool has_length;
  size_t length; /* At most |max|, once |has_length|. */
  uint8_t *base;
  size_t cap, len; /* The memory, and what of the message has come. */
} cmt__delimited;

/* Takes what the message lacks from the start of |*in|.  CMT_OK: it is
   complete; CMT_EAGAIN: all of |*in| is taken, and it is not; CMT_EPROTO: the
   length is malformed or over |max|; CMT_ENOMEM. */
CMT_NODISCARD cmt_err cmt__delimited_take(cmt__delimited *d, const cmt_env *env,
                                          cmt_bytes *in);

/* The message without its length, as far as it has come. */
static inline cmt_bytes cmt__delimited_bytes(const cmt__delimited *d) {
  return (cmt_bytes){.base = d->base, .len = d->len};
}

/* Begins the next message, in the memory of the last. */
void cmt__delimited_next(cmt__delimited *d);

void cmt__delimited_fini(cmt__delimited *d, const cmt_env *env);

#endif
