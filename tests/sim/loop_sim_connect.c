/* SPDX-License-Identifier: Apache-2.0 */

/* How connections of the simulated network begin: dialing, what becomes of it
   on the way, listening and accepting. */

#include "loop_sim_impl.h"

#define UNREACHABLE_NS CMT_SECONDS(1)

static bool host_of(const cmt_net_addr *a, unsigned *host) {
  unsigned parts[3];
  char ip[16];

  *host = SIM_HOSTS_MAX;
  if (sscanf(a->host, "%*u.%u.%u.%u", &parts[0], &parts[1], &parts[2]) != 3) {
    return false;
  }
#ifdef SIM_WIDE
  *host = parts[0] + 256 * parts[1];
#else
  *host = parts[1];
#endif
  if (*host < SIM_HOSTS_MAX) {
    sim_host_ip(*host, ip);
    if (strcmp(ip, a->host) == 0) {
      return true;
    }
  }
  *host = SIM_HOSTS_MAX;
  return false;
}

/* Whether |a| arrives before |b|. */
static bool arrives_before(const sim_wire *a, const sim_wire *b) {
  return a->arrive_ns != b->arrive_ns ? a->arrive_ns < b->arrive_ns
                                      : a->facts.id > b->facts.id;
}

static void arriving_add(sim_net *net, sim_wire *w) {
  size_t low = 0, high = net->arriving_count;

  if (net->arriving_count == net->arriving_cap) {
    net->arriving_cap = net->arriving_cap > 0 ? 2 * net->arriving_cap : 64;
    net->arriving =
      test_resize(net->arriving, net->arriving_cap * sizeof *net->arriving);
  }
  while (low < high) {
    size_t mid = (low + high) / 2;

    if (arrives_before(net->arriving[mid], w)) {
      high = mid;
    } else {
      low = mid + 1;
    }
  }
  memmove(&net->arriving[low + 1], &net->arriving[low],
          (net->arriving_count - low) * sizeof *net->arriving);
  net->arriving[low] = w;
  net->arriving_count++;
}

static sim_wire *wire_new(sim_net *net, unsigned from) {
  sim_wire *w = test_resize(NULL, sizeof *w);

  memset(w, 0, sizeof *w);
  w->facts.id = (unsigned)net->wire_count;
  w->facts.host[0] = from;
  sim_host_ip(from, w->from.host);
  w->from.port = net->next_port++;
  w->arrive_ns = CMT_NEVER;
  w->answer_ns = CMT_NEVER;
  if (net->wire_count == net->wire_cap) {
    net->wire_cap = net->wire_cap > 0 ? 2 * net->wire_cap : 64;
    net->wires = test_resize(net->wires, net->wire_cap * sizeof *net->wires);
  }
  net->wires[net->wire_count++] = w;
  return w;
}

/* When the connect of |w| arrives, and what becomes of it on the way. */
static void connect_draw(sim_net *net, sim_wire *w) {
  bool known = host_of(&w->to, &w->facts.host[1]);
  uint64_t at_ns = net->now_ns + w->pipe[0].latency_ns;

  w->arrive_ns = CMT_NEVER;
  w->answer_ns = CMT_NEVER;
  if (!known || sim_fault_now(net, SIM_NO_ANSWER)) {
    return;
  }
  at_ns = sim_later(at_ns, net->cut_ns[w->facts.host[0]][w->facts.host[1]]);
  if (sim_fault_now(net, SIM_UNREACHABLE)) {
    w->outcome = CMT_EUNREACH;
    w->answer_ns = at_ns + sim_below(&net->rng, UNREACHABLE_NS);
    return;
  }
  w->arrive_ns = at_ns;
  arriving_add(net, w);
}

static cmt_err loop_connect(cmt__loop *base, const cmt_net_addr *to,
                            const cmt__tcp_callbacks *cbs, void *arg,
                            cmt__tcp **out) {
  sim_loop *l = sim_loop_of(base);
  sim_wire *w;
  sim_end *e;

  if (!test_is_literal(to->host)) {
    return CMT_EINVAL;
  }
  if (sim_fault_now(l->net, SIM_NO_SOCKET)) {
    return CMT_EIO;
  }
  w = wire_new(l->net, l->host);
  e = sim_end_new(l, w, 0);
  if (e == NULL) {
    return CMT_ENOMEM;
  }
  w->to = *to;
  w->to.id.text[0] = '\0';
  e->connecting = true;
  e->cbs = cbs;
  e->arg = arg;
  sim_wire_draw(l->net, w);
  connect_draw(l->net, w);
  sim_end_stale(e);
  sim_trace(l->net, "n%u connects c%u to %s:%u", l->host, w->facts.id, to->host,
            to->port);
  *out = &e->base;
  return CMT_OK;
}

static sim_listener *find_listener(sim_net *net, const sim_wire *w) {
  sim_loop **of_host = sim_loops_of(net, w->facts.host[1]);

  for (size_t i = 0; i < SIM_LOOPS_MAX && of_host[i] != NULL; i++) {
    for (sim_listener *ls = of_host[i]->listeners; ls != NULL; ls = ls->next) {
      if (!ls->closed && ls->at.port == w->to.port) {
        return ls;
      }
    }
  }
  return NULL;
}

static void wire_arrive(sim_net *net, sim_wire *w) {
  sim_listener *ls = find_listener(net, w);

  w->arrive_ns = CMT_NEVER;
  w->answer_ns = net->now_ns + w->pipe[1].latency_ns;
  w->outcome = CMT_OK;
  if (ls == NULL || sim_fault_now(net, SIM_REFUSED)) {
    w->outcome = CMT_EREFUSED;
  } else if (w->end[0] != NULL) {
    if (sim_end_new(sim_loop_of(ls->base.loop), w, 1) != NULL) {
      w->waits = ls;
    } else {
      ls->dropped++;
    }
  }
  sim_wire_stale(w);
}

void sim_net_arrive(sim_net *net) {
  while (sim_net_next_arrival(net) <= net->now_ns) {
    wire_arrive(net, net->arriving[--net->arriving_count]);
  }
}

uint64_t sim_net_next_arrival(const sim_net *net) {
  size_t count = net->arriving_count;

  return count > 0 ? net->arriving[count - 1]->arrive_ns : CMT_NEVER;
}

void sim_finish_connect(sim_net *net, sim_end *e) {
  sim_wire *w = e->wire;

  w->answer_ns = CMT_NEVER;
  e->connecting = false;
  if (w->outcome != CMT_OK) {
    e->ended = true;
    e->reading = false;
  }
  sim_trace(net, "c%u: %s", w->facts.id,
            w->outcome == CMT_OK ? "connected" : cmt_err_text(w->outcome));
  e->cbs->on_connect(e->arg, w->outcome);
}

/* Without a descriptor: true when there is one nevertheless. */
static bool find_descriptor(sim_wire *w, sim_end *e, sim_listener *ls) {
  sim_loop *l = sim_loop_of(e->base.loop);
  cmt__short found =
    ls->base.on_short != NULL ? ls->base.on_short(ls->arg) : CMT__SHORT_NONE;

  if (found == CMT__SHORT_NONE) {
    sim_trace(l->net, "n%u has no descriptor for c%u", l->host, w->facts.id);
    ls->dropped++;
    cmt__tcp_close(&e->base);
  } else if (found == CMT__SHORT_WAIT) {
    w->waits = ls;
  }
  return found == CMT__SHORT_GIVEN;
}

void sim_accept(sim_net *net, sim_end *e) {
  sim_wire *w = e->wire;
  sim_listener *ls = w->waits;
  sim_loop *l = sim_loop_of(e->base.loop);

  w->waits = NULL;
  if (sim_fault_now(net, SIM_NO_DESCRIPTOR) && !find_descriptor(w, e, ls)) {
    return;
  }
  l->accepts++;
  sim_trace(net, "n%u accepts c%u from n%u", l->host, w->facts.id,
            w->facts.host[0]);
  ls->cb(ls->arg, &e->base);
  CMT_ASSERT(NULL, e->closed || e->cbs != NULL);
}

/* ---- listening ---- */

static cmt_err loop_listen(cmt__loop *base, const cmt_net_addr *at,
                           cmt__accept_cb cb, void *arg, cmt__listener **out,
                           cmt_why *why) {
  sim_listener *ls = cmt__alloc_zero(&base->env, sizeof *ls);
  sim_loop *l = sim_loop_of(base);

  if (ls == NULL) {
    return cmt__why(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT, "%s",
                    cmt_err_text(CMT_ENOMEM));
  }
  ls->base.loop = base;
  ls->at = *at;
  ls->cb = cb;
  ls->arg = arg;
  ls->next = l->listeners;
  l->listeners = ls;
  *out = &ls->base;
  return CMT_OK;
}

static void listener_addr(const cmt__listener *ls, cmt_net_addr *out) {
  *out = ((const sim_listener *)ls)->at;
}

static uint64_t listener_dropped(const cmt__listener *ls) {
  return ((const sim_listener *)ls)->dropped;
}

/* Connections that still wait for their accept are reset. */
static void listener_close(cmt__listener *base) {
  sim_listener *ls = (sim_listener *)base;
  sim_loop *l = sim_loop_of(base->loop);
  sim_end *next;

  CMT_ASSERT(&base->loop->env, !ls->closed);
  ls->closed = true;
  for (sim_end *e = l->ends; e != NULL; e = next) {
    next = e->next;
    if (e->wire->waits == ls) {
      e->wire->waits = NULL;
      sim_end_reset_at(e->wire->end[0],
                       l->net->now_ns + sim_pipe_out(e)->latency_ns);
      cmt__tcp_close(&e->base);
    }
  }
  sim_loop_stale(l);
}

void sim_connect_ops(cmt__loop_ops *ops) {
  ops->listen = loop_listen;
  ops->listener_addr = listener_addr;
  ops->listener_dropped = listener_dropped;
  ops->listener_close = listener_close;
  ops->connect = loop_connect;
}
