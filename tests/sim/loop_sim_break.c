/* SPDX-License-Identifier: Apache-2.0 */

/* What stands between hosts for a time, and hosts that are broken until the
   test lets them recover: parted from all others, or hanging, with the kernel
   below still at work. */

#include "loop_sim_impl.h"

#define HANG_NS CMT_SECONDS(1000000)
#define VANISHED_NS CMT_SECONDS(1000)

/* ---- connections ---- */

void sim_wire_stall(sim_wire *w, int side, uint64_t from_ns,
                    uint64_t until_ns) {
  sim_pipe *p = &w->pipe[side];

  if (until_ns > p->stall_ns) {
    w->facts.stalled_ns += until_ns - sim_later(from_ns, p->stall_ns);
    p->stall_ns = until_ns;
    w->facts.stalled_until_ns = sim_later(w->facts.stalled_until_ns, until_ns);
    sim_wire_stale(w);
  }
}

void sim_wire_cut(sim_net *net, sim_wire *w) {
  if (w->facts.vanished_ns == 0) {
    w->facts.vanished_ns = net->now_ns;
    sim_wire_stall(w, 0, net->now_ns, net->now_ns + VANISHED_NS);
    sim_wire_stall(w, 1, net->now_ns, net->now_ns + VANISHED_NS);
    sim_trace(net, "c%u: nothing passes any more", w->facts.id);
  }
}

void sim_conn_vanish(sim_net *net, sim_conn *c) {
  sim_wire *w = (sim_wire *)c;

  for (int side = 0; side < 2; side++) {
    w->pipe[side].stall_ns = SIM_GONE_NS;
  }
  c->stalled_ns += CMT_SECONDS(1000);
  sim_trace(net, "c%u: vanishes", c->id);
  sim_wire_stale(w);
}

void sim_net_partition(sim_net *net, unsigned a, unsigned b, uint64_t ns) {
  uint64_t until_ns = net->now_ns + ns;

  net->fired[SIM_PARTITION]++;
  net->cut_ns[a][b] = sim_later(net->cut_ns[a][b], until_ns);
  net->cut_ns[b][a] = net->cut_ns[a][b];
  for (size_t i = 0; i < net->wire_count; i++) {
    sim_wire *w = net->wires[i];

    if (sim_is_between(&w->facts, a, b)) {
      sim_wire_stall(w, 0, net->now_ns, until_ns);
      sim_wire_stall(w, 1, net->now_ns, until_ns);
    }
  }
}

/* ---- hosts ---- */

bool sim_net_parts(const sim_net *net, unsigned a, unsigned b) {
  return a < SIM_HOSTS_MAX && b < SIM_HOSTS_MAX &&
         net->parted[a] != net->parted[b];
}

void sim_host_part(sim_net *net, unsigned host) { net->parted[host] = true; }

/* What was cut stays cut among those who are not parted. */
void sim_net_part(sim_net *net) {
  for (unsigned a = 0; a < SIM_HOSTS_MAX; a++) {
    for (unsigned b = 0; b < SIM_HOSTS_MAX; b++) {
      if (sim_net_parts(net, a, b)) {
        net->cut_ns[a][b] = SIM_GONE_NS;
      }
    }
  }
  for (size_t i = 0; i < net->wire_count; i++) {
    sim_wire *w = net->wires[i];

    if (sim_net_parts(net, w->facts.host[0], w->facts.host[1])) {
      sim_wire_cut(net, w);
    }
  }
}

void sim_net_rejoin(sim_net *net) {
  memset(net->parted, 0, sizeof net->parted);
}

void sim_host_hang(sim_net *net, unsigned host) {
  for (size_t i = 0; i < SIM_LOOPS_MAX; i++) {
    if (sim_loops_of(net, host)[i] != NULL) {
      sim_loop_busy(sim_loops_of(net, host)[i], HANG_NS, "hanging");
    }
  }
}

void sim_host_go_on(sim_net *net, unsigned host) {
  for (size_t i = 0; i < SIM_LOOPS_MAX; i++) {
    sim_loop *l = sim_loops_of(net, host)[i];

    if (l != NULL) {
      l->busy_total_ns -= cmt__since(l->busy_ns, net->now_ns);
      l->busy_ns = cmt__min64(l->busy_ns, net->now_ns);
      sim_loop_stale(l);
    }
  }
}
