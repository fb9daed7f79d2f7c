/* SPDX-License-Identifier: Apache-2.0 */

/* What works off the loop: the events of a reactor's mailbox are tasks for one
   to three workers, whenever nothing else is to do at an instant, and sometimes
   before.  Some tasks take long; the other workers go on then. */

#include "check.h"

#define SLOW_NS CMT_MILLISECONDS(20) /* Each task of a crowd's trial. */
#define LONG_MAX_NS CMT_SECONDS(3)

static void call_reactor(sim_node *n, size_t reactor,
                         const cmt_mailbox_event *ev) {
  const cmt_reactor *r = &n->reactors[reactor];

  if (ev->kind == CMT_EVENT_PEER_UP) {
    r->add_peer(r->self, ev->peer);
  } else if (ev->kind == CMT_EVENT_MESSAGE) {
    (void)r->receive(r->self, ev->peer, ev->channel, ev->msg);
  } else {
    r->remove_peer(r->self, ev->peer, ev->reason);
  }
}

static bool is_out(const sim_worker *w) { return w->ev.internal != NULL; }

/* No inbox ever has two events out. */
static void check_alone(sim_node *n, size_t reactor, const sim_worker *w) {
  for (size_t i = 0; i < n->worker_count[reactor]; i++) {
    const sim_worker *o = &n->workers[reactor][i];

    CHECK(n->sim, CHECK_LIFE,
          o == w || w->ev.source != NULL || o->ev.internal != w->ev.internal,
          "n%u, reactor %zu: two events of a peer are out at once", n->index,
          reactor);
  }
}

/* So that other events wait, and are cancelled meanwhile. */
static bool event_takes_long(sim_node *n, const sim_worker *w) {
  return w->ev.source != NULL && !n->sim->calm &&
         !n->sim->without->fault[SIM_LONG_WORK] &&
         sim_one_in(&n->sim->habit_rng[SIM_EVENTS], 3);
}

/* How long the task takes; 0: it ends at once. */
static uint64_t draw_long(sim_node *n, const sim_worker *w) {
  if (sim_fault_now(n->sim->net, SIM_LONG_WORK)) {
    return sim_spread(&n->sim->rng, 1000, LONG_MAX_NS);
  }
  return event_takes_long(n, w)
           ? 1 + sim_below(&n->sim->habit_rng[SIM_EVENTS], LONG_MAX_NS)
           : 0;
}

/* True: there was something to do. */
static bool work(sim_node *n, size_t reactor, sim_worker *w) {
  sim_net *net = n->sim->net;
  cmt_mailbox *m = cmt_switch_mailbox(n->sw, n->names[reactor]);
  uint64_t long_ns;

  if (is_out(w) && sim_net_now(net) < w->until_ns) {
    return false;
  }
  if (is_out(w)) {
    cmt_mailbox_done(m, &w->ev);
    return true;
  }
  if (cmt__switch_is_finished(n->sw)) { /* sim_events_drain() takes the rest. */
    return false;
  }
  if (cmt_mailbox_next(m, &w->ev, 0) != CMT_OK) {
    w->ev = (cmt_mailbox_event){.peer = NULL};
    return false;
  }
  check_alone(n, reactor, w);
  if (w->ev.source != NULL) {
    sim_events_receive(n, &w->ev);
  } else {
    call_reactor(n, reactor, &w->ev);
  }
  if (n->sim->crowd.slow && n->sim->crowd.at == n) {
    w->until_ns = sim_net_now(net) + SLOW_NS;
  } else if ((long_ns = draw_long(n, w)) > 0) {
    w->until_ns = sim_net_now(net) + long_ns;
    n->slow_ns += long_ns;
    sim_trace(net, "n%u: reactor %zu works for %llu us", n->index, reactor,
              (unsigned long long)long_ns / 1000);
  } else {
    cmt_mailbox_done(m, &w->ev);
  }
  return true;
}

bool sim_mailboxes_take(sim *s) {
  bool any = false;

  for (size_t i = 0; i < s->node_count; i++) {
    sim_node *n = &s->nodes[i];

    for (size_t r = 0; n->sw != NULL && r < s->reactor_count; r++) {
      for (size_t w = 0; w < n->worker_count[r]; w++) {
        any = work(n, r, &n->workers[r][w]) || any;
      }
    }
  }
  return any;
}

/* The first and the last instant at which a task of |n| ends. */
static void look_at_work(const sim_node *n, uint64_t *first_ns,
                         uint64_t *last_ns) {
  for (size_t r = 0; r < n->sim->reactor_count; r++) {
    for (size_t i = 0; i < n->worker_count[r]; i++) {
      const sim_worker *w = &n->workers[r][i];

      if (is_out(w)) {
        *first_ns = cmt__min64(*first_ns, w->until_ns);
        *last_ns = cmt__max64(*last_ns, w->until_ns);
      }
    }
  }
}

uint64_t sim_mailboxes_next(const sim *s) {
  uint64_t first_ns = CMT_NEVER, last_ns = 0;

  for (size_t i = 0; i < s->node_count; i++) {
    look_at_work(&s->nodes[i], &first_ns, &last_ns);
  }
  return first_ns;
}

uint64_t sim_node_work_end(const sim_node *n) {
  uint64_t first_ns = CMT_NEVER, last_ns = 0;

  look_at_work(n, &first_ns, &last_ns);
  return last_ns;
}
