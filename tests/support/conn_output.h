/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_CONN_OUTPUT_H
#define CMT_TEST_CONN_OUTPUT_H

/* What a connection wrote, for tests that consume it in pieces. */

#include "base/base.h"

#include <cometp2p/conn.h>
#include <cometp2p/secret_conn.h>

#include <stdlib.h>

enum { CONN_OUTPUT_FRAMES = 256 };

typedef struct conn_output {
  uint8_t *base;
  size_t begin, end;
} conn_output;

/* At most |max| bytes, which come again until they are consumed.  New ones are
   written when there are none, about |max| of them. */
static inline cmt_bytes conn_output_lend(conn_output *o, cmt_conn *c,
                                         size_t max, uint64_t now_ns) {
  size_t frames = cmt__min(max / CMT_FRAME_SLOT, CONN_OUTPUT_FRAMES);
  size_t cap = cmt__max(frames * CMT_FRAME_SLOT, cmt_conn_write_min(c));

  if (o->begin == o->end) {
    free(o->base);
    o->base = malloc(cap);
    o->begin = 0;
    o->end = o->base != NULL ? cmt_conn_write(c, o->base, cap, now_ns) : 0;
  }
  return (cmt_bytes){.base = o->base + o->begin,
                     .len = cmt__min(o->end - o->begin, max)};
}

static inline void conn_output_consume(conn_output *o, cmt_conn *c, size_t len,
                                       uint64_t now_ns) {
  o->begin += len;
  cmt_conn_consume(c, len, now_ns);
}

static inline void conn_output_fini(conn_output *o) { free(o->base); }

#endif
