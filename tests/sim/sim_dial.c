/* SPDX-License-Identifier: Apache-2.0 */

/* Dialing: once or for ever, at the right address or a wrong one, by number or
   by name, and sometimes given up again. */

#include "check.h"

#include <stdlib.h>

#include "loop_parts.h"

static sim_node *any_node(sim *s) {
  return &s->nodes[sim_below(&s->rng, s->node_count)];
}

/* ---- with a handle ---- */

void sim_dial_outcome(sim_dialed *d, const cmt_dial_outcome *o) {
  sim_trace(d->node->sim->net, "n%u: attempt %llu at %zu: %s", d->node->index,
            (unsigned long long)o->attempt, d->target,
            cmt_err_name(o->why.err));
  check_dial_outcome(d, o);
  d->attempts = o->attempt;
  d->ended = !o->redials;
}

static void on_outcome(void *arg, cmt_dial *dial, const cmt_dial_outcome *o) {
  sim_dialed *d = arg;

  CHECK(d->node->sim, CHECK_DIAL, dial == d->dial,
        "n%u hears of a dial with the handle of another", d->node->index);
  sim_dial_outcome(d, o);
}

static sim_dialed *dialed_new(sim_node *n, size_t target, bool for_ever) {
  sim_dialed *d = test_resize(NULL, sizeof *d);

  *d = (sim_dialed){.next = n->habits.dialed,
                    .node = n,
                    .target = target,
                    .for_ever = for_ever};
  n->habits.dialed = d;
  return d;
}

static void dialed_free(sim_dialed *d) {
  sim_dialed **at = &d->node->habits.dialed;

  while (*at != d) {
    at = &(*at)->next;
  }
  *at = d->next;
  free(d);
}

static bool takes_handle(sim *s) {
  return s->has_habit[SIM_CANCELS] && sim_one_in(&s->habit_rng[SIM_CANCELS], 2);
}

static sim_rng *events_rng(sim_node *n) {
  return &n->sim->habit_rng[SIM_EVENTS];
}

/* The outcomes of a dial in |*o| come to the application; NULL: they do not. */
static sim_dialed *listen(sim_node *n, const sim_target *t, bool for_ever,
                          cmt_dial_options *o) {
  sim_dialed *d = NULL;

  if (takes_handle(n->sim)) {
    d = dialed_new(n, (size_t)(t - n->targets), for_ever);
    d->is_event = sim_events_come_to(n) && sim_one_in(events_rng(n), 2);
    o->on_outcome = d->is_event ? NULL : on_outcome;
    o->arg = d;
  }
  return d;
}

/* A dial that has not ended may still yield a peer, or be rejected. */
static void cancel(sim_dialed *d) {
  sim_target *t = &d->node->targets[d->target];

  sim_trace(d->node->sim->net, "n%u cancels a dial of %zu", d->node->index,
            d->target);
  cmt_dial_cancel(d->dial);
  d->dial = NULL;
  if (!d->for_ever && !d->ended) {
    t->once--;
    t->cancelled++;
  }
}

/* The application wants the node at |t| no more. */
static void give_up(sim_node *n, sim_target *t) {
  sim_dialed *d = n->habits.dialed;

  while (d != NULL && (d->dial == NULL || d->dial != t->dial)) {
    d = d->next;
  }
  if (d != NULL) {
    cancel(d);
  } else {
    cmt_dial_cancel(t->dial);
  }
  t->dial = NULL;
  t->wanted = false;
}

void sim_dial_cancel_any(sim *s) {
  sim_rng *rng = &s->habit_rng[SIM_CANCELS];
  sim_node *n = &s->nodes[sim_below(rng, s->node_count)];
  sim_dialed *found = NULL;
  uint64_t count = 0;

  for (sim_dialed *d = n->habits.dialed; d != NULL; d = d->next) {
    if (d->dial != NULL && sim_one_in(rng, ++count)) {
      found = d;
    }
  }
  if (found == NULL || s->calm) {
    return;
  }
  if (found->for_ever) {
    give_up(n, &n->targets[found->target]);
  } else {
    cancel(found);
  }
}

/* ---- without a handle ---- */

static const cmt_node_id nobody = {"0123456789abcdef0123456789abcdef01234567"};

static const cmt_node_id *id_of(const sim *s, size_t target) {
  return target < SIM_NODES_MAX ? &s->nodes[target].id : &nobody;
}

/* How many dials of |id| the switch lists. */
static size_t count_listed(sim_node *n, const cmt_node_id *id) {
  size_t cap = cmt_switch_dials(n->sw, NULL, 0), count = 0;
  cmt_dial_status *list = test_resize(NULL, (cap + 1) * sizeof *list);

  cap = cmt_switch_dials(n->sw, list, cap);
  for (size_t i = 0; i < cap; i++) {
    count += cmt_node_id_equal(&list[i].id, id);
  }
  free(list);
  return count;
}

/* As with cancel(), one that has not ended may still yield a peer. */
void sim_dial_forget(sim *s) {
  sim_rng *rng = &s->habit_rng[SIM_FORGETS];
  sim_node *n = &s->nodes[sim_below(rng, s->node_count)];
  size_t i = sim_below(rng, s->node_count + 1);
  size_t target = i < s->node_count ? i : SIM_NODES_MAX, listed, count;
  const cmt_node_id *id = id_of(s, target);

  if (n->sw == NULL || s->calm) {
    return;
  }
  listed = count_listed(n, id);
  count = cmt_switch_dial_cancel(n->sw, id);
  sim_trace(s->net, "n%u cancels %zu dials of n%zu by its id", n->index, count,
            target);
  check_forgotten(n, target, listed, count, count_listed(n, id));
  n->targets[target].once -= count;
  n->targets[target].cancelled += count;
}

/* ---- dialing ---- */

/* Returns |err|, of the dial; |d| is there for CMT_OK. */
static cmt_err end_listening(sim_dialed *dialed, cmt_err err, cmt_dial *d) {
  if (dialed != NULL && err != CMT_OK) {
    dialed_free(dialed);
  } else if (dialed != NULL) {
    dialed->dial = d;
  }
  return err;
}

/* An id is dialed for ever once, under whatever address: a dial to where it is
   takes the place of the one before it, which is cancelled. */
static cmt_err dial_for_ever(sim_node *from, sim_target *t, const char *text,
                             bool right, cmt_err *expected) {
  cmt_dial_status st = {.state = CMT_DIAL_ENDED};
  cmt_dial_options o;
  sim_dialed *dialed;
  cmt_dial *d;
  cmt_err err;

  if (t->dial != NULL) {
    cmt_dial_get_status(t->dial, &st);
  }
  if (st.state == CMT_DIAL_ENDED || right) {
    give_up(from, t);
  } else if (*expected == CMT_OK) {
    *expected = CMT_EDUPLICATE;
  }
  cmt_dial_options_init(&o);
  o.persistent = true;
  dialed = listen(from, t, true, &o);
  err = cmt_switch_dial_new(from->sw, text, &o, &d, NULL);
  if (err == CMT_OK) {
    t->dial = d;
    t->wanted = right;
    t->for_ever_ns = sim_net_now(from->sim->net);
  }
  return end_listening(dialed, err, d);
}

static cmt_err dial_once(sim_node *from, const sim_target *t,
                         const char *text) {
  cmt_dial_options o;
  sim_dialed *dialed;
  cmt_dial *d;
  cmt_err err;

  cmt_dial_options_init(&o);
  dialed = listen(from, t, false, &o);
  if (dialed == NULL) {
    return cmt_switch_dial(from->sw, text, 0, NULL);
  }
  err = cmt_switch_dial_new(from->sw, text, &o, &d, NULL);
  return end_listening(dialed, err, d);
}

/* Dials the id of |to| (NULL: one of nobody) at |host|; |right|: it is there,
   or will be. */
static void dial(sim_node *from, const sim_node *to, const char *host,
                 unsigned port, bool for_ever, bool right) {
  char text[128];
  sim_target *t = &from->targets[to != NULL ? to->index : SIM_NODES_MAX];
  cmt_err err, expected = from->state == SIM_UP ? CMT_OK : CMT_ECLOSED;
  size_t lacks = from->lacks;

  if (from->sw == NULL) {
    return;
  }
  snprintf(text, sizeof text, "%s@%s:%u",
           to != NULL ? to->id.text : nobody.text, host, port);
  sim_trace(from->sim->net, "n%u dials %s%s", from->index, text,
            for_ever ? " for ever" : "");
  err = for_ever ? dial_for_ever(from, t, text, right, &expected)
                 : dial_once(from, t, text);
  CHECK(from->sim, CHECK_ANSWER,
        err == expected || (err == CMT_ENOMEM && from->lacks > lacks),
        "n%u dials %s: %s, expected %s", from->index, text, cmt_err_name(err),
        cmt_err_name(expected));
  if (err == CMT_OK) {
    t->once += !for_ever;
    t->for_ever += for_ever;
    t->last_ns = sim_net_now(from->sim->net);
    t->busy_ns = sim_node_busy_ns(from);
  }
}

/* Dials |to| at its own address. */
static void dial_right(sim_node *from, sim_node *to, const char *host,
                       bool for_ever) {
  dial(from, to, host, SIM_PORT, for_ever, to != from);
}

void sim_dial(sim_node *from, sim_node *to, bool for_ever) {
  char host[16];

  sim_host_ip(to->index, host);
  dial_right(from, to, host, for_ever);
}

static void dial_by_name(sim_node *from, sim_node *to, bool for_ever) {
  char host[32];

  snprintf(host, sizeof host, "%s%u.sim",
           sim_one_in(&from->sim->rng, 3) ? "two" : "n", to->index);
  dial_right(from, to, host, for_ever);
}

void sim_dial_somehow(sim *s) {
  sim_node *from = any_node(s), *to = any_node(s), *at = any_node(s);
  bool for_ever = sim_one_in(&s->rng, 4);
  char host[16];

  sim_host_ip(at->index, host);
  switch (sim_below(&s->rng, 12)) {
  case 0: /* Maybe another one's id. */
    dial(from, to, host, SIM_PORT, for_ever, false);
    break;
  case 1:
    dial(from, NULL, host, SIM_PORT, for_ever, false);
    break;
  case 2:
    dial(from, to, host, SIM_PORT + 1, for_ever, false); /* Nobody listens. */
    break;
  case 3:
    dial(from, to, "nowhere.sim", SIM_PORT, for_ever, false);
    break;
  case 4:
  case 5:
  case 6:
  case 7:
    dial_by_name(from, to, for_ever);
    break;
  default:
    sim_dial(from, to, for_ever);
    break;
  }
}
