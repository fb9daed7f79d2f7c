/* SPDX-License-Identifier: Apache-2.0 */

/* Timers and posts of applications: set, set anew and cancelled from their own
   thread, from the middle of an iteration, and from inside their callbacks.
   Where events come to a mailbox, every other one has no callback. */

#include "check.h"

enum { AGAIN_ONE_IN = 3 };

#define AFTER_MAX_NS CMT_SECONDS(4)

static sim_rng *rng_of(const sim_node *n) {
  return &n->sim->habit_rng[SIM_CALLS];
}

static bool is_event(const sim_node *n, size_t index) {
  return index % 2 == 0 && sim_events_come_to(n);
}

/* What the node has worked, without the rest of the tasks that a worker is at:
   an event waits for the rest of those. */
static uint64_t worked_ns(const sim_node *n, bool of_event) {
  uint64_t now_ns = sim_net_now(n->sim->net), end_ns = sim_node_work_end(n);
  uint64_t rest_ns = end_ns > now_ns ? end_ns - now_ns : 0;

  return of_event ? sim_node_slow_ns(n) - cmt__min64(rest_ns, n->slow_ns)
                  : sim_node_busy_ns(n);
}

/* ---- timers ---- */

static void set(sim_timer *t) {
  sim_node *n = t->node;
  uint64_t now_ns = sim_net_now(n->sim->net);
  uint64_t after_ns = sim_one_in(rng_of(n), 8)
                        ? CMT_NEVER
                        : sim_spread(rng_of(n), 0, AFTER_MAX_NS);
  cmt_err err = cmt_switch_timer(n->sw, &t->timer, after_ns);

  sim_trace(n->sim->net, "n%u sets timer %zu to %llu us: %s", n->index,
            t->index, (unsigned long long)after_ns / 1000, cmt_err_name(err));
  CHECK(n->sim, CHECK_TIMER,
        err == CMT_OK ||
          (err == CMT_ECLOSED && n->state == SIM_STOPPING &&
           (!t->set || t->is_event)), /* Its event may still wait. */
        "n%u cannot set timer %zu: %s", n->index, t->index, cmt_err_name(err));
  if (err == CMT_OK) {
    t->set = true;
    t->due_ns = cmt__after(now_ns, after_ns);
    t->busy_ns = worked_ns(n, t->is_event);
  }
}

static void cancel(sim_timer *t) {
  bool was_set = cmt_switch_timer_cancel(t->node->sw, &t->timer);

  sim_trace(t->node->sim->net, "n%u cancels timer %zu", t->node->index,
            t->index);
  CHECK(t->node->sim, CHECK_TIMER, was_set == t->set,
        "n%u cancels timer %zu, which is%s set", t->node->index, t->index,
        t->set ? "" : " not");
  t->set = false;
}

void sim_calls_timer(void *arg, cmt_err status) {
  sim_timer *t = arg;

  sim_trace(t->node->sim->net, "n%u: timer %zu: %s", t->node->index, t->index,
            cmt_err_name(status));
  check_timer(t, status);
  t->set = false;
  if (sim_one_in(rng_of(t->node), AGAIN_ONE_IN) && !t->node->sim->calm) {
    set(t);
  }
}

/* ---- posts ---- */

static void post(sim_post *p) {
  sim_node *n = p->node;
  cmt_err err = p->peer != NULL ? cmt_peer_post(p->peer->peer, &p->post)
                                : cmt_switch_post(n->sw, &p->post);
  bool may_be_over = p->peer != NULL
                       ? p->peer->closed || p->peer->doomed ||
                           p->peer->stopped || !sim_peer_is_live(p->peer) ||
                           p->peer->conn->loop[p->peer->side] != n->loops[0] ||
                           sim_net_other_runs(n->sim->net)
                       : n->state == SIM_STOPPING;

  sim_trace(n->sim->net, "n%u posts %zu%s: %s", n->index, p->index,
            p->peer != NULL ? " of a peer" : "", cmt_err_name(err));
  CHECK(n->sim, CHECK_POST,
        err == CMT_OK ||
          (err == CMT_ECLOSED && may_be_over && (!p->waits || p->is_event)),
        "n%u cannot post %zu%s: %s", n->index, p->index,
        p->peer != NULL ? " of a peer" : "", cmt_err_name(err));
  if (err == CMT_OK && !p->waits) {
    p->waits = true;
    p->number = ++n->habits.post_serial;
    p->posted_ns = sim_net_now(n->sim->net);
    p->busy_ns = worked_ns(n, p->is_event);
  }
}

void sim_calls_post(void *arg, cmt_err status) {
  sim_post *p = arg;

  sim_trace(p->node->sim->net, "n%u: post %zu%s: %s", p->node->index, p->index,
            p->peer != NULL ? " of a peer" : "", cmt_err_name(status));
  check_post(p, status);
  p->waits = false;
  if (status == CMT_ECLOSED) {
    p->peer->closed = true;
  }
  if (sim_one_in(rng_of(p->node), AGAIN_ONE_IN) && !p->node->sim->calm) {
    post(p);
  }
}

/* ---- what applications do ---- */

static sim_peer *any_peer(sim_node *n) {
  sim_peer *found = NULL;
  uint64_t count = 0;

  for (sim_peer *p = n->peers; p != NULL; p = p->next) {
    if (sim_peer_is_live(p) && sim_one_in(rng_of(n), ++count)) {
      found = p;
    }
  }
  return found;
}

static void post_to_peer(sim_node *n) {
  size_t i = sim_below(rng_of(n), SIM_PEER_POSTS);
  sim_peer *p = any_peer(n);

  if (p == NULL) {
    return;
  }
  p->posts[i].node = n;
  p->posts[i].peer = p;
  p->posts[i].index = i;
  p->posts[i].is_event = is_event(n, i);
  p->posts[i].post.cb = p->posts[i].is_event ? NULL : sim_calls_post;
  p->posts[i].post.arg = &p->posts[i];
  post(&p->posts[i]);
}

void sim_calls_act(sim *s) {
  sim_rng *rng = &s->habit_rng[SIM_CALLS];
  sim_node *n = &s->nodes[sim_below(rng, s->node_count)];
  sim_timer *t = &n->habits.timers[sim_below(rng, SIM_TIMERS)];

  if (!s->has_habit[SIM_CALLS] || n->sw == NULL || sim_one_in(rng, 2)) {
    return;
  }
  switch (sim_below(rng, 8)) {
  case 0:
  case 1:
    cancel(t);
    break;
  case 2:
  case 3:
    post(&n->habits.posts[sim_below(rng, SIM_POSTS)]);
    break;
  case 4:
    post_to_peer(n);
    break;
  default:
    set(t);
    break;
  }
}

void sim_calls_init(sim *s) {
  for (size_t i = 0; i < s->node_count; i++) {
    sim_node *n = &s->nodes[i];

    for (size_t k = 0; k < SIM_TIMERS; k++) {
      sim_timer *t = &n->habits.timers[k];

      *t = (sim_timer){.node = n, .index = k, .is_event = is_event(n, k)};
      t->timer.cb = t->is_event ? NULL : sim_calls_timer;
      t->timer.arg = t;
    }
    for (size_t k = 0; k < SIM_POSTS; k++) {
      sim_post *p = &n->habits.posts[k];

      *p = (sim_post){.node = n, .index = k, .is_event = is_event(n, k)};
      p->post.cb = p->is_event ? NULL : sim_calls_post;
      p->post.arg = p;
    }
  }
}
