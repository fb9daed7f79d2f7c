/* SPDX-License-Identifier: Apache-2.0 */

/* Applications that take the events of a reactor from its mailbox, on a thread
   of their own: whenever nothing else is to do at an instant, and sometimes
   before; one that is slow stands in the middle of an event. */

#include "check.h"

#define SLOW_MAX_NS CMT_SECONDS(3)

static void call_reactor(sim_node *n, size_t reactor, const cmt_event *ev) {
  const cmt_reactor *r = &n->reactors[reactor];

  switch (ev->kind) {
  case CMT_EVENT_PEER_UP:
    r->add_peer(r->self, ev->peer);
    break;
  case CMT_EVENT_MESSAGE:
    (void)r->receive(r->self, ev->peer, ev->channel, ev->msg);
    break;
  case CMT_EVENT_PEER_GONE:
    r->remove_peer(r->self, ev->peer, ev->reason);
    break;
  }
}

/* True: there was an event. */
static bool take_one(sim_node *n, size_t reactor) {
  sim_net *net = n->sim->net;
  cmt_mailbox *m = cmt_switch_mailbox(n->sw, n->names[reactor]);
  cmt_event *ev = &n->taken[reactor];

  if (ev->peer != NULL) {
    cmt_mailbox_done(m, ev);
    return true;
  }
  if (cmt_mailbox_next(m, ev, 0) != CMT_OK) {
    *ev = (cmt_event){.peer = NULL};
    return false;
  }
  call_reactor(n, reactor, ev);
  if (sim_fault_now(net, SIM_SLOW_APPLICATION)) {
    uint64_t slow_ns = sim_spread(&n->sim->rng, 1000, SLOW_MAX_NS);

    n->slow_until_ns = sim_net_now(net) + slow_ns;
    n->slow_ns += slow_ns;
    sim_trace(net, "n%u: its application is slow for %llu us", n->index,
              (unsigned long long)slow_ns / 1000);
  } else {
    cmt_mailbox_done(m, ev);
  }
  return true;
}

bool sim_mailboxes_take(sim *s) {
  bool any = false;

  for (size_t i = 0; i < s->node_count; i++) {
    sim_node *n = &s->nodes[i];

    for (size_t r = 0; r < s->reactor_count; r++) {
      if (n->sw != NULL && n->reactors[r].delivery == CMT_MAILBOX &&
          sim_net_now(s->net) >= n->slow_until_ns) {
        any = take_one(n, r) || any;
      }
    }
  }
  return any;
}

uint64_t sim_mailboxes_next(const sim *s) {
  uint64_t next_ns = CMT_NEVER;

  for (size_t i = 0; i < s->node_count; i++) {
    const sim_node *n = &s->nodes[i];

    if (n->slow_until_ns > sim_net_now(s->net)) {
      next_ns = cmt__min64(next_ns, n->slow_until_ns);
    }
  }
  return next_ns;
}
