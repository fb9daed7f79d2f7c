/* SPDX-License-Identifier: Apache-2.0 */
#include "mconn_output.h"

#include "core/mux/mconn_impl.h"
#include "test.h"

#include <stdlib.h>

enum { SLOTS = 16, BATCH_MAX = 1 << 18 };

/* What one multiplexer wrote, in memory of exactly its length. */
typedef struct output {
  const cmt_mconn *m;
  uint8_t *base;
  size_t begin, end;
} output;

static output outputs[SLOTS];
static size_t next;

/* What an earlier multiplexer left at the same address is none of it. */
static output *output_of(const cmt_mconn *m) {
  output *o = NULL;

  for (size_t i = 0; i < SLOTS && o == NULL; i++) {
    o = outputs[i].m == m ? &outputs[i] : NULL;
  }
  if (o == NULL) {
    o = &outputs[next++ % SLOTS];
  }
  if (o->m != m || o->end - o->begin != m->ping.filled - m->ping.taken) {
    free(o->base);
    *o = (output){.m = m};
  }
  return o;
}

static void write_more(output *o, cmt_mconn *m, size_t max, uint64_t now_ns) {
  size_t cap = cmt__max(cmt__min(max, BATCH_MAX), cmt_mconn_write_min(m));

  free(o->base);
  o->base = malloc(cap);
  assert_non_null(o->base);
  o->begin = 0;
  o->end = cmt_mconn_write(m, o->base, cap, now_ns);
}

cmt_bytes mconn_output(cmt_mconn *m, size_t max, uint64_t now_ns) {
  output *o = output_of(m);

  if (o->begin == o->end) {
    write_more(o, m, max, now_ns);
  } else {
    assert_int_equal(
      0, cmt_mconn_write(m, o->base, cmt_mconn_write_min(m), now_ns));
  }
  return (cmt_bytes){.base = o->base + o->begin,
                     .len = cmt__min(o->end - o->begin, max)};
}

void mconn_output_consume(cmt_mconn *m, size_t len, uint64_t now_ns) {
  output_of(m)->begin += len;
  cmt_mconn_consume(m, len, now_ns);
}
