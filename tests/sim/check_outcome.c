/* SPDX-License-Identifier: Apache-2.0 */

/* Dials and accepts.  The loop knows how many connections it handed over and
   how many attempts began; each must end as a peer or as a rejection, and a
   rejection must have a cause that happened. */

#include "check.h"

#include "switch/switch.h"

static size_t target_of(const sim_node *n, const char *dialed) {
  size_t i = 0;

  while (i < n->sim->node_count &&
         strncmp(n->sim->nodes[i].id.text, dialed, 40) != 0) {
    i++;
  }
  return i < n->sim->node_count ? i : SIM_NODES_MAX;
}

/* A fault that spoils what is sent may be taken for a fault of the sender. */
static bool may_spoil(const sim *s) {
  return sim_net_fired(s->net)[SIM_FLIP] > 0;
}

static bool has_small_limits(const sim_node *n) {
  const cmt_switch_options *o = &n->options;

  return o->inbound_peers_max < 40 || o->outbound_peers_max < 40 ||
         o->handshakes_per_ip_max < 8 || o->inbound_peers_per_ip_max != 0 ||
         o->handshakes_max < 64;
}

static bool is_possible(sim_node *n, const cmt_rejection *r) {
  const sim *s = n->sim;
  const uint64_t *fired = sim_net_fired(s->net);

  if (sim_hostile_explains(n, r)) {
    return true;
  }
  switch ((int)r->why.err) {
  case CMT_EAUTH:
  case CMT_EPROTO:
    return may_spoil(s);
  case CMT_ESELF:
    return may_spoil(s) || r->id == NULL ||
           strcmp(r->id->text, n->id.text) == 0;
  case CMT_EWRONGID:
    return r->outbound && r->id != NULL &&
           strncmp(r->id->text, r->dialed, 40) != 0;
  case CMT_EREACTOR:
    return s->odds_reactor > 0;
  case CMT_ERESOLVE:
    return r->outbound && (fired[SIM_RESOLVE_FAILS] > 0 ||
                           strstr(r->dialed, "nowhere") != NULL);
  case CMT_EIO:
    return r->outbound && fired[SIM_NO_SOCKET] > 0;
  case CMT_EUNREACH:
    return r->outbound && fired[SIM_UNREACHABLE] > 0;
  case CMT_ENOMEM:
    return n->lacks > 0;
  case CMT_EBANNED:
    return check_ban_explains_rejection(n, r);
  case CMT_EFILTER:
    return check_filter_explains(n);
  case CMT_ELIMIT:
    return check_limit_explains(n, &r->why) &&
           (has_small_limits(n) || n->weak || /* Its kernel accepted many. */
            (!r->outbound && fired[SIM_NO_DESCRIPTOR] > 0));
  case CMT_ECANCELED:
    return n->state == SIM_STOPPING;
  case CMT_EREFUSED:
  case CMT_EDIAL:
    return r->outbound;
  case CMT_EDUPLICATE:
  case CMT_EHANDSHAKE:
  case CMT_EEOF:
  case CMT_ERESET:
    return true;
  default:
    return false;
  }
}

void check_rejected(sim_node *n, const cmt_rejection *r) {
  sim_trace(n->sim->net, "n%u rejects %s %s: %s", n->index,
            r->outbound ? r->dialed : "inbound", r->remote, r->why.text);
  CHECK(n->sim, CHECK_REJECTION, is_possible(n, r), "n%u rejected %s %s: %s",
        n->index, r->outbound ? "outbound" : "inbound", r->remote, r->why.text);
  if (!r->outbound) {
    n->in_rejects++;
    return;
  }
  n->out_rejects++;
  if (strcmp(r->remote, r->dialed) == 0) {
    n->out_refusals +=
      r->why.stage == CMT_STAGE_FILTER && r->why.err != CMT_EBANNED;
    n->out_bans += r->why.err == CMT_EBANNED;
    n->out_lacks += r->why.err == CMT_ENOMEM;
  }
  if (r->redials) {
    n->targets[target_of(n, r->dialed)].again++;
  } else {
    n->targets[target_of(n, r->dialed)].final++;
    if (r->why.err == CMT_ENOMEM) { /* Maybe one that was for ever. */
      n->targets[target_of(n, r->dialed)].wanted = false;
    }
  }
}

static void check_target(sim_node *n, size_t i) {
  const sim_target *t = &n->targets[i];
  size_t dials = t->once + t->for_ever, ends = t->adds + t->final;

  CHECK(n->sim, CHECK_OUTCOME,
        ends >= t->once && (t->for_ever > 0 || ends <= dials + t->cancelled),
        "n%u dialed n%zu %zu times and %zu for ever: %zu peers, %zu rejections",
        n->index, i, t->once, t->for_ever, t->adds, t->final);
}

/* ---- in number and time ---- */

#define HELD_NS                                                                \
  CMT_SECONDS(4) /* The longest that one waits beside another.                 \
     \ */

/* A dial that is not for ever has its outcome before all timeouts passed. */
static void check_dials(sim_node *n) {
  const cmt_switch_options *o = &n->options;
  uint64_t now_ns = sim_net_now(n->sim->net);
  uint64_t most_ns = o->dial_timeout_ns + 2 * o->handshake_timeout_ns +
                     HELD_NS + o->filter_timeout_ns;

  for (size_t i = 0; i <= SIM_NODES_MAX; i++) {
    const sim_target *t = &n->targets[i];
    uint64_t busy_ns = sim_node_busy_ns(n) - t->busy_ns;

    CHECK(n->sim, CHECK_LIVE,
          t->for_ever > 0 || t->adds + t->final >= t->once ||
            now_ns <= t->last_ns + most_ns + busy_ns,
          "n%u dialed n%zu %llu ms ago and knows nothing yet", n->index, i,
          (unsigned long long)(now_ns - t->last_ns) / 1000000);
  }
}

static void check_stalls(sim_node *n) {
  uint64_t now_ns = sim_net_now(n->sim->net);

  for (const sim_peer *p = n->peers; p != NULL; p = p->next) {
    CHECK(n->sim, CHECK_LIVE,
          !sim_peer_is_live(p) || p->pauses == 0 ||
            now_ns - p->paused_at_ns <=
              n->options.stall_max_ns + CMT_SECONDS(1) + sim_node_busy_ns(n),
          "n%u: n%u was not read for longer than it may be", n->index,
          p->remote);
  }
}

/* The next ping is due within an interval, in the legacy profile the output is
   watched after two, and then there is interval and timeout to read it. */
/* A node that hangs answers no more than one whose bytes do not pass. */
static uint64_t vanished_ns(const sim_peer *p) {
  const sim *s = p->node->sim;

  if (s->minority.kind == SIM_HANGING && sim_is_sound(p->node) &&
      !sim_is_of_sound(p)) {
    return s->minority.since_ns;
  }
  return p->conn->vanished_ns;
}

static void check_vanished(sim_node *n) {
  const cmt_switch_options *o = &n->options;
  uint64_t most_ns = 3 * o->ping_interval_ns + 2 * o->pong_timeout_ns +
                     CMT_SECONDS(1) + sim_node_busy_ns(n);
  uint64_t now_ns = sim_net_now(n->sim->net);

  for (const sim_peer *p = n->peers; p != NULL; p = p->next) {
    uint64_t since_ns = cmt__max64(vanished_ns(p), p->up_ns);
    bool is_read =
      p->pauses == 0 && p->paused_ns == 0 && !n->has_mailbox && !n->has_rates;

    CHECK(n->sim, CHECK_LIVE,
          !sim_peer_is_live(p) || vanished_ns(p) == 0 || !is_read ||
            now_ns - since_ns <= most_ns,
          "n%u: that n%u vanished is not noticed on c%u", n->index, p->remote,
          p->conn->id);
  }
}

/* Peers that the limits of inbound or of outbound ones stop; one that took the
   place of another has a place in the other direction. */
static size_t count_places(const sim_node *n, bool outbound, unsigned remote) {
  size_t count = 0;

  for (const sim_peer *p = n->peers; p != NULL; p = p->next) {
    count += sim_peer_is_live(p) &&
             (p->peer->place == CMT__PEER_OUTBOUND) == outbound && !p->exempt &&
             (remote == SIM_NODES_MAX || p->remote == remote);
  }
  return count;
}

void check_limits(sim_node *n) {
  const cmt_switch_options *o = &n->options;
  size_t in = count_places(n, false, SIM_NODES_MAX);
  size_t leaving = o->evict_interval_ns != 0; /* It may take a while. */
  size_t out = count_places(n, true, SIM_NODES_MAX);
  size_t pool = n->sw->places.pool.count;

  for (const sim_peer *p = n->peers; p != NULL; p = p->next) {
    if (sim_peer_is_live(p)) {
      check_exempt(p);
    }
  }
  CHECK(n->sim, CHECK_LIMIT,
        in <= o->inbound_peers_max + leaving && out <= o->outbound_peers_max &&
          pool <= o->handshakes_max,
        "n%u: %zu inbound peers of %u, %zu outbound of %u, %zu inbound "
        "handshakes of %u",
        n->index, in, o->inbound_peers_max, out, o->outbound_peers_max, pool,
        o->handshakes_max);
  for (unsigned i = 0; i < n->sim->node_count; i++) {
    CHECK(n->sim, CHECK_LIMIT,
          o->inbound_peers_per_ip_max == 0 ||
            count_places(n, false, i) <= o->inbound_peers_per_ip_max,
          "n%u: %zu inbound peers of one address", n->index,
          count_places(n, false, i));
  }
  check_dials(n);
  check_stalls(n);
  check_vanished(n);
}

void check_outcomes(sim_node *n) {
  sim *s = n->sim;
  uint64_t accepts = sim_loop_accepts(n->loops[0]) - n->accepts_before;
  uint64_t attempts = sim_loop_resolves(n->loops[0]) - n->resolves_before;
  uint64_t outcomes;
  size_t out_adds = 0;
  cmt_switch_status status;

  for (size_t i = 0; i <= SIM_NODES_MAX; i++) {
    check_target(n, i);
    out_adds += n->targets[i].adds;
  }
  CHECK(s, CHECK_OUTCOME, accepts == n->in_adds + n->in_rejects,
        "n%u accepted %llu: %zu peers, %zu rejections", n->index,
        (unsigned long long)accepts, n->in_adds, n->in_rejects);
  cmt_switch_get_status(n->sw, &status);
  outcomes = out_adds + n->out_rejects + status.cancelled;
  /* Memory may lack before an attempt begins, or in it, and the node may be
     banned. */
  CHECK(s, CHECK_OUTCOME,
        attempts + n->out_refusals <= outcomes &&
          attempts + n->out_refusals + n->out_lacks + n->out_bans >= outcomes,
        "n%u tried %llu dials and refused %zu: %zu peers, %zu rejections, %llu "
        "cancelled",
        n->index, (unsigned long long)attempts, n->out_refusals, out_adds,
        n->out_rejects, (unsigned long long)status.cancelled);
  CHECK(s, CHECK_OUTCOME,
        status.handshakes == 0 && status.added == out_adds + n->in_adds &&
          status.added == status.removed && status.accepted == accepts &&
          status.rejected == n->in_rejects + n->out_rejects,
        "n%u: its status counts otherwise: %llu handshakes, %llu added, %llu "
        "removed, %llu accepted, %llu rejected",
        n->index, (unsigned long long)status.handshakes,
        (unsigned long long)status.added, (unsigned long long)status.removed,
        (unsigned long long)status.accepted,
        (unsigned long long)status.rejected);
}
