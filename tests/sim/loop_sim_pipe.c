/* SPDX-License-Identifier: Apache-2.0 */

/* One direction of a connection: bytes, and the instants at which they arrive,
   which never run backwards. */

#include "loop_sim_impl.h"

#include <stdlib.h>

enum { SEGMENT = 16384 }; /* Bytes that arrive at one instant. */

sim_mark *sim_mark_at(const sim_pipe *p, size_t i) {
  return &p->marks[(p->mark_head + i) % p->mark_cap];
}

static void mark_add(sim_pipe *p, size_t len, uint64_t at_ns) {
  if (p->mark_count == p->mark_cap) {
    size_t cap = p->mark_cap > 0 ? 2 * p->mark_cap : 16;
    sim_mark *marks = test_resize(NULL, cap * sizeof *marks);

    for (size_t i = 0; i < p->mark_count; i++) {
      marks[i] = *sim_mark_at(p, i);
    }
    free(p->marks);
    p->marks = marks;
    p->mark_head = 0;
    p->mark_cap = cap;
  }
  *sim_mark_at(p, p->mark_count++) = (sim_mark){.len = len, .at_ns = at_ns};
}

/* When |len| bytes that are written now arrive. */
static uint64_t pipe_arrival(sim_net *net, sim_pipe *p, size_t len) {
  uint64_t start_ns = sim_later(net->now_ns, p->free_ns);

  p->free_ns = start_ns;
  if (p->bytes_per_s > 0) {
    p->free_ns += (uint64_t)len * CMT_SECONDS(1) / p->bytes_per_s;
  }
  p->last_ns = sim_later(p->last_ns, p->free_ns + p->latency_ns);
  return p->last_ns;
}

void sim_pipe_put(sim_net *net, sim_pipe *p, const uint8_t *data, size_t len) {
  while (len > 0) {
    size_t n = cmt__min(len, SEGMENT);

    (void)test_bytes_put(&p->bytes, data, n);
    mark_add(p, n, pipe_arrival(net, p, n));
    data += n;
    len -= n;
  }
}

void sim_pipe_take(sim_pipe *p, uint8_t *out, size_t len) {
  test_bytes_take(&p->bytes, out, len);
  while (len > 0) {
    sim_mark *m = sim_mark_at(p, 0);
    size_t n = cmt__min(len, m->len);

    m->len -= n;
    len -= n;
    if (m->len == 0) {
      p->mark_head = (p->mark_head + 1) % p->mark_cap;
      p->mark_count--;
    }
  }
}

void sim_pipe_clear(sim_pipe *p) {
  test_bytes_clear(&p->bytes);
  free(p->marks);
  p->marks = NULL;
  p->mark_count = 0;
  p->mark_cap = 0;
}

/* Bytes that had arrived by |at_ns|, which is not in the future. */
size_t sim_pipe_arrived(const sim_pipe *p, uint64_t now_ns, uint64_t at_ns) {
  size_t len = 0;

  if (now_ns < p->stall_ns) {
    return 0;
  }
  for (size_t i = 0; i < p->mark_count && sim_mark_at(p, i)->at_ns <= at_ns;
       i++) {
    len += sim_mark_at(p, i)->len;
  }
  return len;
}

void sim_pipe_end(sim_net *net, sim_pipe *p) {
  if (!p->fin) {
    p->fin = true;
    p->fin_ns = sim_later(net->now_ns + p->latency_ns, p->last_ns);
  }
}
