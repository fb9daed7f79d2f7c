/* SPDX-License-Identifier: Apache-2.0 */

/* Bans, filters, unconditional peers and evictions.  A ban begins when the
   first loop has seen it, which takes as long as the loops of its node are
   busy, and lasts from then on: so it is known when somebody is banned for
   certain, and when nobody can be any more. */

#include "check.h"

#include "peer/peer.h"

#define NEAR_NS CMT_MILLISECONDS(1)

/* ---- bans ---- */

bool check_ban_covers(const sim_ban *b, unsigned remote) {
  return ((b->ids | b->hosts) >> remote & 1) != 0;
}

/* The loops of its node may not have seen what came at |at_ns|. */
static bool may_be_unseen(const sim_node *n, uint64_t at_ns, uint64_t busy_ns) {
  return sim_net_now(n->sim->net) - at_ns <= sim_node_busy_ns(n) - busy_ns;
}

static bool is_certain(const sim_node *n, const sim_ban *b) {
  return sim_net_now(n->sim->net) < b->until_ns &&
         !may_be_unseen(n, b->from_ns, b->busy_ns);
}

/* It has not ended for certain. */
static bool is_likely(const sim_node *n, const sim_ban *b, uint64_t late_ns) {
  uint64_t end_ns =
    cmt__after(b->until_ns, late_ns + sim_node_busy_ns(n) - b->busy_ns);

  return sim_net_now(n->sim->net) <= end_ns;
}

static bool may_be_banned(const sim_node *n, unsigned remote,
                          uint64_t late_ns) {
  for (size_t i = 0; i < n->habits.ban_count; i++) {
    if (check_ban_covers(&n->habits.bans[i], remote) &&
        is_likely(n, &n->habits.bans[i], late_ns)) {
      return true;
    }
  }
  return false;
}

bool check_ban_explains(const sim_peer *p) {
  return may_be_banned(p->node, p->remote, NEAR_NS);
}

/* The address of a host, or SIM_NODES_MAX. */
static unsigned host_of(const char *remote) {
  unsigned host;

  return sscanf(remote, "10.0.%u.1:", &host) == 1 && host < SIM_NODES_MAX
           ? host
           : SIM_NODES_MAX;
}

static unsigned node_of(const sim *s, const char *id) {
  unsigned i = 0;

  while (i < s->node_count && strncmp(s->nodes[i].id.text, id, 40) != 0) {
    i++;
  }
  return i;
}

/* An attempt at several addresses reports the first one late. */
bool check_ban_explains_rejection(const sim_node *n, const cmt_rejection *r) {
  const cmt_switch_options *o = &n->options;
  uint64_t late_ns =
    r->outbound
      ? o->dial_timeout_ns + 3 * o->handshake_timeout_ns + CMT_SECONDS(8)
      : NEAR_NS;
  const char *id = r->id != NULL ? r->id->text : r->dialed;
  const char *at = strchr(r->remote, '@');
  unsigned host = host_of(at != NULL ? at + 1 : r->remote);

  return (host < SIM_NODES_MAX && may_be_banned(n, host, late_ns)) ||
         (id != NULL && may_be_banned(n, node_of(n->sim, id), late_ns));
}

static void check_banned_peer(const sim_peer *p, const sim_ban *b) {
  CHECK(p->node->sim, CHECK_BAN,
        !sim_peer_is_live(p) || !check_ban_covers(b, p->remote) ||
          !is_certain(p->node, b),
        "n%u bans %s, and n%u is its peer on c%u", p->node->index, b->subject,
        p->remote, p->conn->id);
}

void check_bans(sim_node *n) {
  size_t listed = cmt_switch_bans(n->sw, NULL, 0), least = 0, most = 0;

  if (!sim_is_sound(n) || n->state != SIM_UP) {
    return; /* What stops is at its end anyway. */
  }
  for (size_t i = 0; i < n->habits.ban_count; i++) {
    const sim_ban *b = &n->habits.bans[i];

    least += !b->ended && sim_net_now(n->sim->net) < b->until_ns;
    most += !b->ended && is_likely(n, b, NEAR_NS);
    for (const sim_peer *p = n->peers; p != NULL; p = p->next) {
      check_banned_peer(p, b);
    }
  }
  CHECK(n->sim, CHECK_BAN, least <= listed && listed <= most,
        "n%u lists %zu bans, of %zu to %zu", n->index, listed, least, most);
}

/* ---- filters ---- */

void check_question(sim_node *n, const sim_question *q,
                    const cmt_newcomer *who) {
  unsigned host = q->conn->host[1 - q->side];
  const cmt_filter filter =
    q->of_peer ? n->options.filter_peer : n->options.filter_addr;
  bool is_known = who->id == NULL || host >= n->sim->node_count ||
                  cmt_node_id_equal(who->id, &n->sim->nodes[host].id);

  CHECK(n->sim, CHECK_FILTER,
        filter != NULL && (who->node_info != NULL) == q->of_peer && is_known &&
          who->outbound == (q->side == 0) && (q->of_peer || q->side == 1) &&
          sim_net_running(n->sim->net) == n->loops[0],
        "n%u: the wrong filter is asked for c%u, or about another node",
        n->index, q->conn->id);
  for (const sim_question *o = n->habits.questions; o != NULL; o = o->next) {
    CHECK(n->sim, CHECK_FILTER,
          o->conn != q->conn || o->side != q->side || o->of_peer != q->of_peer,
          "n%u: a filter is asked twice for c%u", n->index, q->conn->id);
  }
}

/* Whether nobody can have answered in time. */
static bool has_expired(const sim_node *n, const sim_question *q) {
  return q->verdict == CMT_LATER && sim_net_now(n->sim->net) >= q->deadline_ns;
}

/* The first answer counts, as long as the connection and the time last.  A node
   that ended the connection itself, for instance since it had no memory to
   wait with it, has shut its side. */
void check_filter_answer(sim_node *n, const sim_question *q, cmt_err err) {
  uint64_t end_ns = q->deadline_ns + sim_node_busy_ns(n) - q->busy_ns;
  bool may_count = q->verdict == CMT_LATER && q->conn->open[q->side] &&
                   !q->conn->shut[q->side] &&
                   sim_net_now(n->sim->net) <= end_ns;
  bool must_count = may_count && !has_expired(n, q) && !q->conn->cut &&
                    !q->conn->shut[1 - q->side] &&
                    !q->conn->half_closed[1 - q->side] && n->state == SIM_UP &&
                    n->habits.ban_count == 0;

  CHECK(n->sim, CHECK_FILTER,
        err == CMT_OK ? may_count : err == CMT_ECLOSED && !must_count,
        "n%u: an answer of a filter for c%u says %s", n->index, q->conn->id,
        cmt_err_name(err));
}

static const sim_question *find_question(const sim_peer *p, bool of_peer) {
  const sim_question *q = p->node->habits.questions;

  while (q != NULL &&
         (q->conn != p->conn || q->side != p->side || q->of_peer != of_peer)) {
    q = q->next;
  }
  return q;
}

static void check_filter(const sim_peer *p, bool of_peer) {
  const cmt_switch_options *o = &p->node->options;
  const sim_question *q = find_question(p, of_peer);
  bool is_asked =
    of_peer ? o->filter_peer != NULL : o->filter_addr != NULL && p->side == 1;

  CHECK(p->node->sim, CHECK_FILTER,
        is_asked ? q != NULL && q->verdict == CMT_ADMIT : q == NULL,
        "n%u: no filter has admitted n%u on c%u", p->node->index, p->remote,
        p->conn->id);
}

void check_admitted(const sim_peer *p) {
  for (size_t i = 0; i < p->node->habits.ban_count; i++) {
    const sim_ban *b = &p->node->habits.bans[i];

    CHECK(p->node->sim, CHECK_BAN,
          !check_ban_covers(b, p->remote) || !is_certain(p->node, b),
          "n%u bans %s, and n%u becomes its peer on c%u", p->node->index,
          b->subject, p->remote, p->conn->id);
  }
  check_filter(p, false);
  check_filter(p, true);
}

/* Each refusal is that of one question. */
bool check_filter_explains(sim_node *n) {
  uint64_t refused = 0;

  for (const sim_question *q = n->habits.questions; q != NULL; q = q->next) {
    refused += q->verdict == CMT_REFUSE || has_expired(n, q);
  }
  return ++n->habits.refusals <= refused;
}

/* ---- unconditional peers ---- */

static bool is_friend(const sim_peer *p) {
  return p->remote < p->node->sim->node_count &&
         cmt_node_id_equal(&p->node->sim->nodes[p->remote].id,
                           &p->node->habits.unconditional);
}

static bool is_listed(const sim_peer *p) {
  return p->node->habits.is_listed && is_friend(p);
}

/* Its place may be kept for its standby. */
static bool may_have_place(const sim_peer *p) {
  uint64_t now_ns = sim_net_now(p->node->sim->net);

  return !p->refused &&
         (!p->gone || p->node->has_mailbox ||
          now_ns - p->removed_ns <= CMT_SECONDS(1) + sim_node_busy_ns(p->node));
}

/* A standby has what the first had. */
static bool may_inherit(const sim_peer *p) {
  const sim_peer *o = p->node->peers;

  while (o != NULL && (o == p || o->remote != p->remote || !o->exempt ||
                       !may_have_place(o))) {
    o = o->next;
  }
  return o != NULL;
}

void check_exempt_begin(sim_peer *p) {
  bool is = cmt_peer_is_unconditional(p->peer);

  CHECK(p->node->sim, CHECK_LIMIT, !is || is_listed(p) || may_inherit(p),
        "n%u: n%u takes no place, and is on no list", p->node->index,
        p->remote);
  p->exempt = is || is_listed(p);
}

void check_exempt(const sim_peer *p) {
  CHECK(p->node->sim, CHECK_LIMIT,
        p->exempt == cmt_peer_is_unconditional(p->peer),
        "n%u: n%u %s a place on c%u", p->node->index, p->remote,
        p->exempt ? "has" : "has not", p->conn->id);
}

void check_exempt_listed(sim_node *n) {
  for (sim_peer *p = n->peers; p != NULL; p = p->next) {
    p->exempt = p->exempt || (is_friend(p) && (p->added & 1) != 0 && !p->gone);
  }
}

/* Peers that may have one of the places there; at most. */
static size_t places_most(const sim_node *n, cmt__peer_place where) {
  size_t count = 0;

  for (const sim_peer *p = n->peers; p != NULL; p = p->next) {
    count += !p->exempt && p->peer->place == where && may_have_place(p);
  }
  return count;
}

bool check_limit_explains(const sim_node *n, const cmt_why *why) {
  const cmt_switch_options *o = &n->options;

  if (n == n->sim->crowd.at || n == n->sim->hostile.at) {
    return true; /* Strangers have places there. */
  }
  if (strncmp(why->text, "inbound peers are", 17) == 0) {
    return places_most(n, CMT__PEER_INBOUND) >= o->inbound_peers_max;
  }
  return strncmp(why->text, "outbound peers are", 18) != 0 ||
         places_most(n, CMT__PEER_OUTBOUND) >= o->outbound_peers_max;
}

/* ---- evictions ---- */

bool check_is_kept(const sim_peer *p) {
  return p->protections > 0 || p->worth > 0 || p->exempt;
}

/* Since before the eviction can have been decided on. */
static bool is_dialed_for_ever(const sim_peer *p) {
  const sim_target *t = &p->node->targets[p->remote];
  cmt_dial_status st = {.state = CMT_DIAL_ENDED};

  if (t->dial != NULL) {
    cmt_dial_get_status(t->dial, &st);
  }
  return st.state != CMT_DIAL_ENDED && t->for_ever_ns < p->up_ns;
}

/* Its loops were never busy since, so all that happens now was decided on
   now. */
static bool is_exact(const sim_peer *p) {
  return sim_node_busy_ns(p->node) == p->busy_ns - p->other_busy_ns;
}

static bool had_place_now(const sim_peer *p) {
  return !p->exempt && p->peer->place == CMT__PEER_INBOUND &&
         (p->added & 1) != 0 &&
         ((p->removed & 1) == 0 ||
          p->removed_ns == sim_net_now(p->node->sim->net));
}

/* It might have gone in place of |p|. */
static bool was_choice(const sim_peer *o, const sim_peer *p) {
  const sim_conn *c = o->conn;

  return o != p && had_place_now(o) && !check_is_kept(o) && !o->stopped &&
         !o->closed && o->up_ns < sim_net_now(o->node->sim->net) &&
         is_exact(o) && !may_be_banned(o->node, o->remote, 0) &&
         o->node->targets[o->remote].for_ever == 0 && !c->cut && c->open[0] &&
         c->open[1] && !c->shut[0] && !c->shut[1] && !c->half_closed[0] &&
         !c->half_closed[1] && !c->flipped[1 - o->side] &&
         (o->removed & 1) == 0 && o->fail_reason == CMT_OK;
}

/* Where a reactor has a mailbox, a peer has its place until that is empty. */
static void check_choice(const sim_peer *p) {
  const sim_node *n = p->node;
  size_t places = 0;

  for (const sim_peer *o = n->peers; o != NULL; o = o->next) {
    places += had_place_now(o);
    CHECK(n->sim, CHECK_EVICTION, !was_choice(o, p) || o->worth >= p->worth,
          "n%u evicts n%u, which is worth %lld, and n%u is worth %lld",
          n->index, p->remote, (long long)p->worth, o->remote,
          (long long)o->worth);
  }
  CHECK(n->sim, CHECK_EVICTION,
        !is_exact(p) || n->has_mailbox || places > n->options.inbound_peers_max,
        "n%u evicts n%u with %zu peers in %u places", n->index, p->remote,
        places, n->options.inbound_peers_max);
}

void check_evicted(sim_peer *p) {
  sim_node *n = p->node;
  sim_habits *h = &n->habits;
  uint64_t now_ns = sim_net_now(n->sim->net);
  uint64_t interval_ns = n->options.evict_interval_ns;

  CHECK(n->sim, CHECK_EVICTION,
        interval_ns != 0 && p->peer->place == CMT__PEER_INBOUND &&
          !check_is_kept(p) && !is_dialed_for_ever(p),
        "n%u evicts n%u on c%u, which may not go: worth %lld, protected %u "
        "times",
        n->index, p->remote, p->conn->id, (long long)p->worth, p->protections);
  CHECK(n->sim, CHECK_EVICTION,
        h->evicted_ns == 0 || now_ns - h->evicted_ns >= interval_ns ||
          sim_node_busy_ns(n) > 0,
        "n%u evicts two peers within %llu us", n->index,
        (unsigned long long)(now_ns - h->evicted_ns) / 1000);
  check_choice(p);
  h->evicted_ns = now_ns;
}
