/* SPDX-License-Identifier: Apache-2.0 */

/* What is called back: outcomes of dials, timers and posts.  Each comes once,
   on the loop that it belongs to, as soon as that is not busy; and not after it
   was cancelled.  What comes as an event is received on no loop, as soon as a
   worker has ended its task. */

#include "check.h"

#include "peer/peer.h"

#define NEAR_NS CMT_MILLISECONDS(1)

/* Where a callback of the switch runs; NULL: on no loop. */
static const cmt__loop *first_loop(const sim_node *n, bool is_event) {
  return is_event ? NULL : n->loops[0];
}

/* ---- dials ---- */

/* Without memory, or room for more, an outcome does not become an event. */
static bool may_lose(const sim_dialed *d) {
  cmt_switch_status st;

  cmt_switch_get_status(d->node->sw, &st);
  return d->is_event && st.lost_events > 0;
}

void check_dial_outcome(const sim_dialed *d, const cmt_dial_outcome *o) {
  const sim_node *n = d->node;
  cmt_peer *peer = o->why.err == CMT_OK ? cmt_switch_peer(n->sw, o->id) : NULL;
  bool is_next =
    o->attempt == d->attempts + 1 || (o->attempt > d->attempts && may_lose(d));

  CHECK(n->sim, CHECK_DIAL, d->dial != NULL,
        "n%u hears of a dial that was cancelled", n->index);
  CHECK(n->sim, CHECK_DIAL, !d->ended && is_next,
        "n%u hears of attempt %llu after %llu of a dial%s", n->index,
        (unsigned long long)o->attempt, (unsigned long long)d->attempts,
        d->ended ? ", which has ended" : "");
  CHECK(n->sim, CHECK_DIAL,
        (d->for_ever || !o->redials) &&
          (o->why.err != CMT_OK || peer != NULL || d->is_event) &&
          sim_net_running(n->sim->net) == first_loop(n, d->is_event),
        "n%u: the outcome of a dial, %s, is not what happened", n->index,
        cmt_err_name(o->why.err));
  cmt_peer_unref(peer);
}

/* Dials that the application can still cancel one by one. */
static size_t count_handles(const sim_node *n, size_t target) {
  const cmt_dial *last = n->targets[target].dial;
  size_t count = last != NULL;

  for (const sim_dialed *d = n->habits.dialed; d != NULL; d = d->next) {
    count += d->target == target && d->dial != NULL && d->dial != last;
  }
  return count;
}

void check_forgotten(sim_node *n, size_t target, size_t listed, size_t count,
                     size_t left) {
  CHECK(n->sim, CHECK_DIAL,
        left == count_handles(n, target) && listed == left + count,
        "n%u cancels %zu dials of n%zu without a handle: %zu were listed, %zu "
        "are left, and it has %zu handles",
        n->index, count, target, listed, left, count_handles(n, target));
}

void check_dial_over(const sim_dialed *d) {
  CHECK(d->node->sim, CHECK_DIAL,
        d->for_ever || d->dial == NULL || d->ended || may_lose(d),
        "n%u never hears what came of a dial", d->node->index);
}

/* ---- timers ---- */

/* The first loop, and for an event the workers, were busy for as long since
   |busy_ns|. */
static uint64_t late_ns(const sim_node *n, bool is_event, uint64_t busy_ns) {
  uint64_t now_ns = is_event ? sim_node_slow_ns(n) : sim_node_busy_ns(n);

  return NEAR_NS + now_ns - busy_ns;
}

void check_timer(sim_timer *t, cmt_err status) {
  sim_node *n = t->node;
  uint64_t now_ns = sim_net_now(n->sim->net);
  uint64_t last_ns = cmt__after(t->due_ns, late_ns(n, t->is_event, t->busy_ns));

  CHECK(n->sim, CHECK_TIMER, t->set, "n%u: timer %zu is not set, and comes",
        n->index, t->index);
  CHECK(n->sim, CHECK_TIMER,
        sim_net_running(n->sim->net) == first_loop(n, t->is_event),
        "n%u: timer %zu comes on another loop", n->index, t->index);
  CHECK(n->sim, CHECK_TIMER,
        status == CMT_OK
          ? t->due_ns <= now_ns && (now_ns <= last_ns || !sim_is_sound(n))
          : status == CMT_ECANCELED && n->state == SIM_STOPPING,
        "n%u: timer %zu comes %lld us late: %s", n->index, t->index,
        (long long)(now_ns - t->due_ns) / 1000, cmt_err_name(status));
}

/* ---- posts ---- */

static const cmt__loop *loop_of(const sim_post *p, cmt_err status) {
  return p->peer != NULL && status == CMT_OK && !p->is_event
           ? p->peer->conn->loop[p->peer->side]
           : first_loop(p->node, p->is_event);
}

static cmt_err end_of(const sim_post *p) {
  return p->peer != NULL ? CMT_ECLOSED : CMT_ECANCELED;
}

static bool may_end(const sim_post *p) {
  return p->peer != NULL ? p->peer->removed == 0 || p->is_event
                         : p->node->state == SIM_STOPPING;
}

void check_post(sim_post *p, cmt_err status) {
  sim_node *n = p->node;
  uint64_t now_ns = sim_net_now(n->sim->net);

  CHECK(n->sim, CHECK_POST, p->waits, "n%u: post %zu runs twice", n->index,
        p->index);
  CHECK(n->sim, CHECK_POST, sim_net_running(n->sim->net) == loop_of(p, status),
        "n%u: post %zu%s runs on another loop", n->index, p->index,
        p->peer != NULL ? " of a peer" : "");
  CHECK(n->sim, CHECK_POST,
        status == CMT_OK || (status == end_of(p) && may_end(p)),
        "n%u: post %zu%s says %s", n->index, p->index,
        p->peer != NULL ? " of a peer" : "", cmt_err_name(status));
  CHECK(n->sim, CHECK_POST,
        now_ns <= p->posted_ns + late_ns(n, p->is_event, p->busy_ns) ||
          !sim_is_sound(n),
        "n%u: post %zu%s runs %llu us late", n->index, p->index,
        p->peer != NULL ? " of a peer" : "",
        (unsigned long long)(now_ns - p->posted_ns) / 1000);
  if (p->peer == NULL) {
    uint64_t *last =
      p->is_event ? &n->habits.post_event_last : &n->habits.post_last;

    CHECK(n->sim, CHECK_POST, p->number > *last,
          "n%u: post %zu runs before an earlier one", n->index, p->index);
    *last = p->number;
  }
}

void check_peer_posts(const sim_peer *p) {
  for (size_t i = 0; i < SIM_PEER_POSTS; i++) {
    CHECK(p->node->sim, CHECK_POST, !p->posts[i].waits || p->posts[i].is_event,
          "n%u removes n%u, and post %zu has not run", p->node->index,
          p->remote, i);
  }
}

void check_calls_over(sim_node *n) {
  for (size_t i = 0; i < SIM_TIMERS; i++) {
    CHECK(n->sim, CHECK_TIMER, !n->habits.timers[i].set,
          "n%u has finished, and timer %zu is set", n->index, i);
  }
  for (size_t i = 0; i < SIM_POSTS; i++) {
    CHECK(n->sim, CHECK_POST, !n->habits.posts[i].waits,
          "n%u has finished, and post %zu waits", n->index, i);
  }
  for (const sim_peer *p = n->peers; p != NULL; p = p->next) {
    for (size_t i = 0; i < SIM_PEER_POSTS; i++) {
      CHECK(n->sim, CHECK_POST, !p->posts[i].waits,
            "n%u has finished, and post %zu to n%u waits", n->index, i,
            p->remote);
    }
  }
}
