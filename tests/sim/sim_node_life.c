/* SPDX-License-Identifier: Apache-2.0 */

/* A node goes up and down: its switch is made on its loops, stops, and leaves
   nothing behind on any of them. */

#include "check.h"

#include <stdlib.h>

static void check_left(const sim_node *n, const char *when) {
  for (unsigned i = 0; i < n->options.loops; i++) {
    const char *left = sim_loop_left(n->loops[i]);

    CHECK(n->sim, CHECK_LEFT, left == NULL, "n%u: %s on loop %u %s", n->index,
          left, i, when);
  }
}

/* Only memory can lack, and then nothing is left of it. */
static cmt_err switch_make(sim_node *n) {
  size_t lacks = n->lacks;
  cmt_why why;
  cmt_err err = cmt__switch_new_on_each(&n->options, n->loops, &n->sw, &why);

  if (err != CMT_OK) {
    n->sw = NULL;
  } else {
    err = cmt_switch_start(n->sw, &why);
  }
  CHECK(n->sim, CHECK_ANSWER,
        err == CMT_OK || (err == CMT_ENOMEM && n->lacks > lacks),
        "n%u does not start: %s", n->index, why.text);
  if (err != CMT_OK) {
    assert_cmt(CMT_OK, cmt_switch_delete(n->sw));
    n->sw = NULL;
    check_left(n, "after it did not start");
  }
  return err;
}

void sim_node_start(sim_node *n) {
  sim_trace(n->sim->net, "n%u starts", n->index);
  memset(n->targets, 0, sizeof n->targets);
  n->up_ns = sim_net_now(n->sim->net);
  n->recv_bytes = 0;
  n->sent_bytes = 0;
  n->strangers = 0;
  n->in_adds = 0;
  n->in_rejects = 0;
  n->out_rejects = 0;
  n->out_refusals = 0;
  n->out_lacks = 0;
  n->out_bans = 0;
  sim_habits_up(n);
  n->accepts_before = sim_loop_accepts(n->loops[0]);
  n->resolves_before = sim_loop_resolves(n->loops[0]);
  if (switch_make(n) == CMT_OK) {
    n->state = SIM_UP;
    n->memory_max = (size_t)cmt_switch_memory_max(n->sw);
  } else {
    n->start_ns = n->up_ns + CMT_MILLISECONDS(1);
  }
}

static uint64_t time_until(uint64_t at_ns, uint64_t now_ns) {
  return at_ns > now_ns ? at_ns - now_ns : 0;
}

uint64_t sim_node_busy_until(const sim_node *n) {
  uint64_t until_ns = 0;

  for (unsigned i = 0; i < n->options.loops; i++) {
    until_ns = cmt__max64(until_ns, sim_loop_busy_until(n->loops[i]));
  }
  return until_ns;
}

void sim_node_stop(sim_node *n, uint64_t flush_ns) {
  uint64_t now_ns = sim_net_now(n->sim->net);

  sim_trace(n->sim->net, "n%u stops, flush %llu ms", n->index,
            (unsigned long long)flush_ns / 1000000);
  for (sim_peer *p = n->peers; p != NULL; p = p->next) {
    if (p->stopped) {
      p->grace.on = false; /* The stop of the node bounds it anew. */
    } else {
      check_grace_begin(p, flush_ns);
    }
  }
  n->state = SIM_STOPPING;
  n->stop_ns = now_ns;
  n->stop_busy_ns = sim_node_slow_ns(n);
  n->stop_by_ns = now_ns + flush_ns + CMT_MILLISECONDS(10) +
                  time_until(sim_node_busy_until(n), now_ns) +
                  time_until(sim_node_work_end(n), now_ns) +
                  (n->options.handshake_threads > 0 ? SIM_THREAD_MAX_NS : 0);
  cmt_switch_stop(n->sw, flush_ns);
}

/* No send to one of its peers waits any more. */
static void check_requests(sim_node *n) {
  for (const sim_request *r = n->sim->requests; r != NULL; r = r->next) {
    CHECK(n->sim, CHECK_CALLBACK, !r->waits || r->to->node != n,
          "n%u to n%u: a send was never called back", r->to->node->index,
          r->to->remote);
  }
  sim_requests_free(n->sim);
}

/* What they have sent may still be on its way. */
static void end_peers(sim_node *n) {
  while (n->peers != NULL) {
    sim_peer *p = n->peers;

    n->peers = p->next;
    cmt_peer_unref(p->peer);
    p->peer = NULL;
    p->next = n->past;
    n->past = p;
  }
}

uint64_t sim_node_busy_ns(const sim_node *n) {
  uint64_t sum_ns = 0;

  for (unsigned i = 0; i < n->options.loops; i++) {
    sum_ns += sim_loop_busy_ns(n->loops[i]);
  }
  return sum_ns;
}

uint64_t sim_node_slow_ns(const sim_node *n) {
  return sim_node_busy_ns(n) + n->slow_ns;
}

bool sim_node_run_until_idle(sim_node *n) {
  sim *s = n->sim;

  if (n->state != SIM_STOPPING || !cmt__switch_is_finished(n->sw)) {
    return false;
  }
  check_finished(n);
  check_outcomes(n);
  sim_habits_down(n);
  CHECK(s, CHECK_LEFT, atomic_load(&n->sw->send_pool.used) == 0,
        "n%u: %zu bytes of the pool of its send queues are left", n->index,
        atomic_load(&n->sw->send_pool.used));
  sim_trace(s->net, "n%u has stopped", n->index);
  assert_cmt(CMT_OK, cmt_switch_delete(n->sw));
  n->sw = NULL;
  n->state = SIM_DOWN;
  check_requests(n);
  end_peers(n);
  check_left(n, "after its stop");
  return true;
}

void sim_node_fini(sim_node *n) {
  sim_habits_fini(n);
  while (n->past != NULL) {
    sim_peer *p = n->past;

    n->past = p->next;
    check_flow_free(p);
    free(p);
  }
  for (unsigned i = 0; i < n->options.loops; i++) {
    cmt__loop_delete(n->loops[i]);
  }
  cmt_node_key_delete(n->key);
  CHECK(n->sim, CHECK_LEFT, n->values == 0,
        "n%u: %zu values that were kept with peers are left", n->index,
        n->values);
  CHECK(n->sim, CHECK_LEFT, n->env.live == 0,
        "n%u: %zu allocations of %zu bytes are left", n->index, n->env.live,
        n->env.live_bytes);
}
