/* SPDX-License-Identifier: Apache-2.0 */

/* Events of a switch: a mailbox of some nodes receives timers, posts and
   outcomes of dials that have no callback.  They are checked against the same
   promises as callbacks are. */

#include "check.h"

/* The crowd's trial has workers of its own. */
static bool may_receive(const sim_node *n) {
  return n->has_mailbox && n->sim->crowd.at != n;
}

static const char *draw_reactor(sim_node *n) {
  const char *name = NULL;
  size_t reactor = 0;
  uint64_t count = 0;

  for (size_t r = 0; r < n->sim->reactor_count; r++) {
    if (n->worker_count[r] > 0 &&
        sim_one_in(&n->sim->habit_rng[SIM_EVENTS], ++count)) {
      name = n->names[r];
      reactor = r;
    }
  }
  n->worker_count[reactor] = 1; /* Events wait for each other. */
  return name;
}

/* There are no events of what nobody does. */
void sim_events_init(sim *s) {
  if (!s->has_habit[SIM_EVENTS]) {
    return;
  }
  s->has_habit[SIM_CALLS] = !s->without->habit[SIM_CALLS];
  s->has_habit[SIM_CANCELS] = !s->without->habit[SIM_CANCELS];
  for (size_t i = 0; i < s->node_count; i++) {
    sim_node *n = &s->nodes[i];

    if (may_receive(n)) {
      n->options.event_reactor = draw_reactor(n);
    }
  }
}

bool sim_events_come_to(const sim_node *n) {
  return n->options.event_reactor != NULL;
}

void sim_events_receive(sim_node *n, const cmt_mailbox_event *ev) {
  if (ev->kind == CMT_EVENT_TIMER) {
    sim_calls_timer(ev->arg, ev->reason);
  } else if (ev->kind == CMT_EVENT_POST) {
    sim_calls_post(ev->arg, ev->reason);
  } else if (ev->kind != CMT_EVENT_OUTCOME) {
    check_fail(n->sim, CHECK_LIFE, "n%u: an event of kind %d has a callback",
               n->index, (int)ev->kind);
  } else if (ev->arg != NULL) { /* Else the application does not ask. */
    sim_dial_outcome(ev->arg, ev->outcome);
  }
}

static void check_tasks(const sim_node *n, size_t reactor) {
  for (size_t i = 0; i < n->worker_count[reactor]; i++) {
    CHECK(n->sim, CHECK_LIFE, n->workers[reactor][i].ev.internal == NULL,
          "n%u has finished, and an event is out", n->index);
  }
}

void sim_events_drain(sim_node *n) {
  cmt_mailbox_event ev;
  cmt_mailbox *m;

  if (!sim_events_come_to(n)) {
    return;
  }
  for (size_t r = 0; r < n->sim->reactor_count; r++) {
    check_tasks(n, r);
  }
  m = cmt_switch_mailbox(n->sw, n->options.event_reactor);
  while (cmt_mailbox_next(m, &ev, 0) == CMT_OK) {
    CHECK(n->sim, CHECK_LIFE, ev.source != NULL,
          "n%u has finished, and an event of a peer waits", n->index);
    sim_events_receive(n, &ev);
    cmt_mailbox_done(m, &ev);
  }
}
