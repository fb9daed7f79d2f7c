/* SPDX-License-Identifier: Apache-2.0 */

/* The simulated network.  A pipe holds the bytes of one direction with the
   instants at which they arrive; what an end may read follows from those, from
   stalls and from a reset, and is never remembered.  An end that is closed
   stays in memory until the iteration of its loop is over. */

#include "loop_sim_impl.h"

#include <stdlib.h>

enum {
  SEGMENT = 16384, /* Bytes that arrive at one instant. */
  BUFFER = 262144, /* In flight, where nothing else was drawn. */
  SMALL_BUFFER = 16384,
  SLOW_LINE = 4000000, /* Bytes per second. */
  RUN = 267264         /* What a link may have sealed and not written. */
};

#define NEAR_NS CMT_MILLISECONDS(1)
#define HOLD_NS CMT_MILLISECONDS(40)
#define STALL_NS CMT_SECONDS(8)

static uint64_t now_of(const sim_end *e) {
  return sim_loop_of(e->base.loop)->net->now_ns;
}

static sim_net *net_of(const sim_end *e) {
  return sim_loop_of(e->base.loop)->net;
}

void sim_end_stale(sim_end *e) {
  if (e != NULL) {
    sim_loop_stale(sim_loop_of(e->base.loop));
  }
}

void sim_wire_stale(sim_wire *w) {
  sim_end_stale(w->end[0]);
  sim_end_stale(w->end[1]);
}

/* A reset is on its way to |e|, through the pipe that it reads. */
void sim_end_reset_at(sim_end *e, uint64_t at_ns) {
  if (e != NULL) {
    at_ns = sim_later(at_ns, sim_pipe_in(e)->stall_ns);
    e->reset_ns = cmt__min64(e->reset_ns, at_ns);
    sim_end_stale(e);
  }
}

/* ---- what a connection goes through ---- */

/* The throughput of a pipe: half of what is in flight is read before more is
   written, or the line is slower. */
static uint64_t pipe_rate(const sim_pipe *p) {
  uint64_t rate = (uint64_t)p->cap / 2 * CMT_SECONDS(1) /
                  (2 * p->latency_ns + CMT_MILLISECONDS(2));

  return p->bytes_per_s > 0 ? cmt__min64(rate, p->bytes_per_s) : rate;
}

static void wire_note(sim_wire *w) {
  const sim_pipe *p = &w->pipe[0]; /* The other is its equal. */
  uint64_t rate = pipe_rate(p) + 1;

  w->facts.rate = w->facts.rate > 0 ? cmt__min64(w->facts.rate, rate) : rate;
  w->facts.queue_max_ns = sim_later(
    w->facts.queue_max_ns,
    2 * p->latency_ns + 2 * (p->cap + 2 * RUN) * CMT_SECONDS(1) / rate);
}

void sim_wire_draw(sim_net *net, sim_wire *w) {
  const sim_weather *r = &net->weather;
  uint64_t latency_ns = sim_below(&net->rng, NEAR_NS), bytes_per_s = 0;
  size_t cap = BUFFER;

  if (sim_fault_now(net, SIM_LATENCY)) {
    latency_ns = sim_spread(&net->rng, NEAR_NS, r->latency_ns);
  }
  if (sim_fault_now(net, SIM_BANDWIDTH)) {
    bytes_per_s = sim_spread(&net->rng, r->bytes_per_s, SLOW_LINE);
  }
  if (sim_fault_now(net, SIM_SMALL_BUFFER)) {
    cap = sim_spread(&net->rng, r->buffer, SMALL_BUFFER);
  }
  for (int side = 0; side < 2; side++) {
    w->pipe[side].latency_ns = latency_ns;
    w->pipe[side].bytes_per_s = bytes_per_s;
    w->pipe[side].cap = cap;
  }
  wire_note(w);
}

void sim_conn_set(sim_net *net, sim_conn *c, const sim_weather *r) {
  sim_wire *w = (sim_wire *)c;

  if (sim_net_parts(net, c->host[0], c->host[1])) {
    return;
  }
  for (int side = 0; side < 2; side++) {
    w->pipe[side].latency_ns = r->latency_ns;
    w->pipe[side].bytes_per_s = r->bytes_per_s;
    w->pipe[side].cap = r->buffer;
    w->pipe[side].stall_ns = cmt__min64(w->pipe[side].stall_ns, net->now_ns);
  }
  w->facts.vanished_ns = 0;
  w->facts.stalled_until_ns =
    cmt__min64(w->facts.stalled_until_ns, net->now_ns);
  wire_note(w);
  sim_wire_stale(w);
}

void sim_net_calm(sim_net *net, const sim_weather *r) {
  sim_net_weather(net, r);
  memset(net->cut_ns, 0, sizeof net->cut_ns);
  for (size_t i = 0; i < net->wire_count; i++) {
    sim_conn_set(net, &net->wires[i]->facts, r);
  }
  sim_net_part(net);
}

/* ---- ends ---- */

static void note_rivals_of(sim_net *net, sim_conn *c, unsigned host) {
  for (sim_end *e = net->ends[host]; e != NULL; e = e->host_next) {
    sim_conn *o = &e->wire->facts;

    if (o != c && sim_is_between(o, c->host[0], c->host[1])) {
      o->rival = true;
      c->rival = true;
    }
  }
}

static void host_link(sim_net *net, sim_end *e) {
  sim_end **first = &net->ends[e->wire->facts.host[e->side]];

  e->host_next = *first;
  if (e->host_next != NULL) {
    e->host_next->host_prev = e;
  }
  *first = e;
}

static void host_unlink(sim_net *net, sim_end *e) {
  if (e->host_prev != NULL) {
    e->host_prev->host_next = e->host_next;
  } else {
    net->ends[e->wire->facts.host[e->side]] = e->host_next;
  }
  if (e->host_next != NULL) {
    e->host_next->host_prev = e->host_prev;
  }
}

void sim_end_link(sim_loop *l, sim_end *e) {
  e->base.loop = &l->base;
  e->prev = NULL;
  e->next = l->ends;
  if (e->next != NULL) {
    e->next->prev = e;
  }
  l->ends = e;
  e->wire->facts.loop[e->side] = &l->base;
}

sim_end *sim_end_new(sim_loop *l, sim_wire *w, int side) {
  sim_end *e = cmt__alloc_zero(&l->base.env, sizeof *e);

  if (e == NULL) {
    return NULL;
  }
  e->wire = w;
  e->side = side;
  e->reset_ns = CMT_NEVER;
  sim_end_link(l, e);
  w->end[side] = e;
  w->facts.open[side] = true;
  host_link(l->net, e);
  if (side == 1) {
    note_rivals_of(l->net, &w->facts, w->facts.host[0]);
    note_rivals_of(l->net, &w->facts, w->facts.host[1]);
  }
  return e;
}

void sim_end_unlink(sim_loop *l, sim_end *e) {
  if (e->prev != NULL) {
    e->prev->next = e->next;
  } else {
    l->ends = e->next;
  }
  if (e->next != NULL) {
    e->next->prev = e->prev;
  }
  e->wire->facts.loop[e->side] = NULL;
}

/* What the other side gets of a close: an end after all that was written; a
   reset when something is unread, or as soon as something comes. */
static void close_other_side(sim_net *net, sim_end *e) {
  sim_pipe *in = sim_pipe_in(e), *out = sim_pipe_out(e);
  sim_end *other = e->wire->end[1 - e->side];

  if (e->reset_ns <= net->now_ns) {
    return;
  }
  if (sim_pipe_arrived(in, net->now_ns, net->now_ns) > 0) {
    sim_end_reset_at(other, net->now_ns + out->latency_ns);
  } else if (in->mark_count > 0) {
    sim_end_reset_at(other, sim_later(sim_mark_at(in, 0)->at_ns, in->stall_ns) +
                              out->latency_ns);
  }
  sim_pipe_end(net, out);
}

static void tcp_close(cmt__tcp *t) {
  sim_end *e = (sim_end *)t;
  sim_loop *l = sim_loop_of(t->loop);
  sim_wire *w = e->wire;

  CMT_ASSERT(&l->base.env, !e->closed && !e->detached);
  sim_trace(l->net, "n%u closes c%u", l->host, w->facts.id);
  close_other_side(l->net, e);
  sim_pipe_clear(sim_pipe_in(e));
  e->closed = true;
  host_unlink(l->net, e);
  w->end[e->side] = NULL;
  w->facts.open[e->side] = false;
  w->facts.shut[e->side] = true;
  if (w->end[1 - e->side] == NULL) {
    sim_pipe_clear(sim_pipe_out(e));
  }
  sim_wire_stale(w);
  sim_end_unlink(l, e);
  e->next = l->closed;
  l->closed = e;
}

static void tcp_start(cmt__tcp *t, const cmt__tcp_callbacks *cbs, void *arg) {
  ((sim_end *)t)->cbs = cbs;
  ((sim_end *)t)->arg = arg;
  sim_end_stale((sim_end *)t);
}

static void tcp_read(cmt__tcp *t, bool on) {
  sim_end *e = (sim_end *)t;

  e->reading = on && !e->ended;
  sim_end_stale(e);
}

static void tcp_shutdown(cmt__tcp *t) {
  sim_end *e = (sim_end *)t;

  sim_trace(net_of(e), "n%u shuts c%u", sim_loop_of(t->loop)->host,
            e->wire->facts.id);
  e->shut = true;
  e->wire->facts.shut[e->side] = true;
  sim_pipe_end(net_of(e), sim_pipe_out(e));
  sim_wire_stale(e->wire);
}

/* What has arrived, but for what a reset destroyed. */
static size_t tcp_unread(const cmt__tcp *t) {
  const sim_end *e = (const sim_end *)t;
  const sim_net *net = net_of(e);

  return sim_pipe_arrived(sim_pipe_in(e), net->now_ns,
                          cmt__min64(net->now_ns, e->reset_ns));
}

static void tcp_remote(const cmt__tcp *t, cmt_net_addr *out) {
  const sim_end *e = (const sim_end *)t;

  *out = e->side == 0 ? e->wire->to : e->wire->from;
}

sim_conn *sim_tcp_conn(cmt__tcp *t, int *side) {
  *side = ((sim_end *)t)->side;
  return &((sim_end *)t)->wire->facts;
}

/* ---- writing ---- */

void sim_other_thread(sim_net *net) {
  if (!net->inside && net->other_thread != NULL &&
      sim_fault_now(net, SIM_OTHER_THREAD)) {
    net->inside = true;
    net->other_thread(net->other_arg);
    net->inside = false;
  }
}

/* What the network does to the |len| bytes that were just put. */
static void write_faults(sim_net *net, sim_end *e, size_t len) {
  sim_wire *w = e->wire;
  sim_pipe *p = sim_pipe_out(e);

  if (sim_fault_now(net, SIM_FLIP)) {
    size_t at = p->bytes.head + p->bytes.len - 1 - sim_below(&net->rng, len);

    p->bytes.base[at] ^= (uint8_t)sim_between(&net->rng, 1, 255);
    w->facts.flipped[e->side] = true;
    sim_trace(net, "c%u: a byte is flipped", w->facts.id);
  }
  if (sim_fault_now(net, SIM_STALL)) {
    uint64_t ns = sim_spread(&net->rng, CMT_MILLISECONDS(1), STALL_NS);

    sim_wire_stall(w, (int)sim_below(&net->rng, 2), net->now_ns,
                   net->now_ns + ns);
    sim_trace(net, "c%u: stalls for %llu ms", w->facts.id,
              (unsigned long long)ns / 1000000);
  }
  if (w->facts.vanished_ns == 0 && sim_fault_now(net, SIM_VANISH)) {
    sim_wire_cut(net, w);
  }
  if (sim_fault_now(net, SIM_HALF_CLOSE)) {
    p->swallows = true;
    sim_pipe_end(net, p);
    w->facts.half_closed[e->side] = true;
    sim_trace(net, "c%u: half-closed", w->facts.id);
  }
  if (sim_fault_now(net, SIM_RESET)) {
    sim_trace(net, "c%u: reset", w->facts.id);
    w->facts.cut = true;
    sim_end_reset_at(w->end[0], net->now_ns + p->latency_ns);
    sim_end_reset_at(w->end[1], net->now_ns + p->latency_ns);
  }
}

static size_t write_room(sim_net *net, sim_end *e, size_t len) {
  sim_pipe *p = sim_pipe_out(e);
  size_t n = p->cap > p->bytes.len ? p->cap - p->bytes.len : 0;

  n = cmt__min(n, len);
  if (n > 1 && sim_fault_now(net, SIM_SHORT_WRITE)) {
    n = sim_spread(&net->rng, 1, n - 1);
    e->writable_ns = net->now_ns + sim_below(&net->rng, CMT_MILLISECONDS(2));
  }
  return n;
}

/* The first writes to an end that is closed still succeed, and are answered
   with a reset. */
static cmt_err tcp_write(cmt__tcp *t, const uint8_t *data, size_t len,
                         size_t *taken) {
  sim_end *e = (sim_end *)t;
  sim_net *net = net_of(e);
  sim_pipe *p = sim_pipe_out(e);

  CMT_ASSERT(&t->loop->env, !e->connecting && !e->closed && !e->detached);
  sim_other_thread(net);
  if (net->wrote != NULL) {
    net->wrote(&e->wire->facts, e->side, len);
  }
  *taken = 0;
  if (e->reset_ns <= net->now_ns || e->shut) {
    return CMT_ERESET;
  }
  if (e->wire->end[1 - e->side] == NULL) {
    *taken = len;
    sim_end_reset_at(e, sim_later(net->now_ns + p->latency_ns, p->stall_ns) +
                          sim_pipe_in(e)->latency_ns);
    return CMT_OK;
  }
  if (p->swallows) {
    *taken = len;
    return CMT_OK;
  }
  if (sim_fault_now(net, SIM_COALESCE)) {
    p->last_ns =
      sim_later(p->last_ns, net->now_ns + sim_below(&net->rng, HOLD_NS));
  }
  *taken = write_room(net, e, len);
  e->want_write |= *taken < len;
  if (*taken > 0) {
    sim_pipe_put(net, p, data, *taken);
    write_faults(net, e, *taken);
  }
  sim_wire_stale(e->wire);
  return CMT_OK;
}

/* ---- an end in an iteration ---- */

static uint64_t readable_ns(const sim_end *e) {
  const sim_pipe *p = sim_pipe_in(e);
  uint64_t at_ns = CMT_NEVER;

  if (p->mark_count > 0 && sim_mark_at(p, 0)->at_ns <= e->reset_ns) {
    at_ns = sim_later(sim_mark_at(p, 0)->at_ns, p->stall_ns);
  } else if (p->mark_count == 0 && p->fin) {
    at_ns = sim_later(p->fin_ns, p->stall_ns);
  }
  return cmt__min64(at_ns, e->reset_ns);
}

static uint64_t writable_ns(const sim_end *e) {
  const sim_pipe *p = sim_pipe_out(e);

  if (e->wire->end[1 - e->side] == NULL || p->swallows) {
    return 0;
  }
  return cmt__min64(e->reset_ns,
                    p->bytes.len <= p->cap / 2 ? e->writable_ns : CMT_NEVER);
}

static uint64_t end_ready_ns(const sim_end *e) {
  uint64_t at_ns = CMT_NEVER;

  if (e->detached) {
    return CMT_NEVER;
  }
  if (e->wire->waits != NULL && e->side == 1) {
    return 0;
  }
  if (e->connecting) {
    return e->wire->answer_ns;
  }
  if (e->cbs != NULL && e->reading) {
    at_ns = readable_ns(e);
  }
  if (e->cbs != NULL && e->want_write) {
    at_ns = cmt__min64(at_ns, writable_ns(e));
  }
  return at_ns;
}

uint64_t sim_ends_ready_ns(const sim_loop *l) {
  uint64_t at_ns = CMT_NEVER;

  for (const sim_end *e = l->ends; e != NULL; e = e->next) {
    at_ns = cmt__min64(at_ns, end_ready_ns(e));
  }
  return at_ns;
}

static void end_reading(sim_end *e, cmt_err err) {
  e->reading = false;
  e->ended = true;
  sim_trace(net_of(e), "n%u reads %s on c%u", sim_loop_of(e->base.loop)->host,
            err == CMT_EEOF ? "the end" : "a reset", e->wire->facts.id);
  e->cbs->on_end(e->arg, err);
}

/* Nothing is left of what had arrived. */
static void read_nothing(sim_net *net, sim_end *e) {
  const sim_pipe *p = sim_pipe_in(e);

  if (e->reset_ns <= net->now_ns) {
    end_reading(e, CMT_ERESET);
  } else if (p->mark_count == 0 && p->fin &&
             sim_later(p->fin_ns, p->stall_ns) <= net->now_ns) {
    end_reading(e, CMT_EEOF);
  }
}

/* The bytes are spoilt after the call, which only lends them. */
static void read_iteration(sim_net *net, sim_end *e) {
  size_t left = CMT__READ_ITERATION_MAX;

  while (!e->closed && e->reading && left > 0) {
    size_t room = cmt__tcp_read_room(&e->base, left);
    size_t n = sim_pipe_arrived(sim_pipe_in(e), net->now_ns,
                                cmt__min64(net->now_ns, e->reset_ns));

    n = cmt__min(n, room);
    if (n > 1 && sim_fault_now(net, SIM_SPLIT)) {
      n = sim_spread(&net->rng, 1, n - 1);
    }
    if (n == 0) {
      read_nothing(net, e);
      return;
    }
    sim_pipe_take(sim_pipe_in(e), net->buffer, n);
    sim_end_stale(e->wire->end[1 - e->side]);
    left -= n;
    e->wire->facts.read[e->side] += n;
    e->cbs->on_read(e->arg, net->buffer, n);
    memset(net->buffer, 0xdd, n);
    if (n < room) {
      return;
    }
  }
}

static void end_iteration(sim_net *net, sim_end *e) {
  if (e->wire->waits != NULL && e->side == 1) {
    sim_accept(net, e);
    return;
  }
  if (e->connecting) {
    if (e->wire->answer_ns <= net->now_ns) {
      sim_finish_connect(net, e);
    }
    return;
  }
  if (e->cbs != NULL && e->reading && readable_ns(e) <= net->now_ns) {
    read_iteration(net, e);
  }
  if (!e->closed && e->want_write && writable_ns(e) <= net->now_ns) {
    e->want_write = false;
    e->cbs->on_writable(e->arg);
  }
}

/* What a callback makes now has its first iteration sim_later. */
void sim_ends_run(sim_loop *l) {
  sim_end *list[64];
  size_t count = 0, first;

  for (sim_end *e = l->ends; e != NULL; e = e->next) {
    if (count < CMT__COUNT(list) && end_ready_ns(e) <= now_of(e)) {
      list[count++] = e;
    }
  }
  first = sim_below(&l->net->rng, count);
  for (size_t i = 0; i < count; i++) {
    sim_end *e = list[(first + i) % count];

    if (!e->closed) {
      end_iteration(l->net, e);
    }
  }
}

void sim_ends_free_closed(sim_loop *l) {
  while (l->closed != NULL) {
    sim_end *e = l->closed;

    l->closed = e->next;
    cmt__free(&l->base.env, e);
  }
  for (sim_listener **at = &l->listeners; *at != NULL;) {
    sim_listener *ls = *at;

    if (ls->closed) {
      *at = ls->next;
      cmt__free(&l->base.env, ls);
    } else {
      at = &ls->next;
    }
  }
}

void sim_wires_free(sim_net *net) {
  for (size_t i = 0; i < net->wire_count; i++) {
    sim_pipe_clear(&net->wires[i]->pipe[0]);
    sim_pipe_clear(&net->wires[i]->pipe[1]);
    free(net->wires[i]);
  }
  free(net->wires);
  free(net->arriving);
}

void sim_net_ops(cmt__loop_ops *ops) {
  sim_connect_ops(ops);
  sim_move_ops(ops);
  ops->tcp_start = tcp_start;
  ops->tcp_read = tcp_read;
  ops->tcp_write = tcp_write;
  ops->tcp_shutdown = tcp_shutdown;
  ops->tcp_unread = tcp_unread;
  ops->tcp_remote = tcp_remote;
  ops->tcp_close = tcp_close;
}
