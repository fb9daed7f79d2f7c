/* SPDX-License-Identifier: Apache-2.0 */

/* Who may be a peer: nodes ban others for a while, ask filters that admit,
   refuse, answer later or never, and let newcomers replace peers, some of which
   are protected or worth something. */

#include "check.h"

#include "peer/peer.h"
#include "switch/session.h"

#include "loop_parts.h"

enum {
  PROTECTED_ONE_IN = 4,
  WORTH_MIN = -4,
  WORTH_MAX = 2,
  EVICTING_PEERS_MAX = 2,
};

#define BAN_MAX_NS CMT_SECONDS(10)
#define ANSWER_MAX_NS CMT_SECONDS(3)
#define EVICT_MAX_NS CMT_SECONDS(3)

static sim_rng *rng_of(sim *s, sim_habit h) { return &s->habit_rng[h]; }

static sim_node *any_node(sim *s, sim_rng *rng) {
  return &s->nodes[sim_below(rng, s->node_count)];
}

/* ---- bans ---- */

static bool is_same(const sim_ban *a, const sim_ban *b) {
  return a->ids == b->ids && a->hosts == b->hosts;
}

/* The ban of the same subject, or room for it; NULL: there is none. */
static sim_ban *place_of(sim_node *n, const sim_ban *b) {
  sim_habits *h = &n->habits;
  size_t i = 0;

  while (i < h->ban_count && !is_same(&h->bans[i], b)) {
    i++;
  }
  return i < SIM_BANS_MAX ? &h->bans[i] : NULL;
}

/* A node, its address in one of two forms, or a range of two addresses. */
static sim_ban draw_subject(sim *s, unsigned index) {
  sim_rng *rng = rng_of(s, SIM_BANS);
  unsigned even = index & ~1u;
  sim_ban b = {.ended = false};

  switch (sim_below(rng, 4)) {
  case 0:
    b.hosts = 1u << index;
    snprintf(b.subject, sizeof b.subject, "10.0.%u.1", index);
    break;
  case 1:
    b.hosts = 1u << index;
    snprintf(b.subject, sizeof b.subject, "::ffff:10.0.%u.1", index);
    break;
  case 2:
    b.hosts = 3u << even;
    snprintf(b.subject, sizeof b.subject, "10.0.%u.77/23", even);
    break;
  default:
    b.ids = 1u << index;
    snprintf(b.subject, sizeof b.subject, "%s", s->nodes[index].id.text);
    break;
  }
  return b;
}

/* Peers that it covers end as soon as the first loop looks. */
static void doom(sim_node *n, const sim_ban *b) {
  for (sim_peer *p = n->peers; p != NULL; p = p->next) {
    if (!p->gone && check_ban_covers(b, p->remote)) {
      p->doomed = true;
      p->grace.on = false;
    }
  }
}

static void ban(sim_node *n, const sim_ban *b, sim_ban *place) {
  sim *s = n->sim;
  sim_rng *rng = rng_of(s, SIM_BANS);
  size_t lacks = n->lacks;
  cmt_ban drawn;
  cmt_err err;

  cmt_ban_init(&drawn);
  drawn.duration_ns = sim_one_in(rng, 6)
                        ? CMT_NEVER
                        : sim_spread(rng, CMT_MILLISECONDS(1), BAN_MAX_NS);
  memcpy(drawn.subject, b->subject, sizeof drawn.subject);
  err = cmt_switch_ban(n->sw, &drawn, NULL);
  sim_trace(s->net, "n%u bans %s for %llu ms: %s", n->index, b->subject,
            (unsigned long long)drawn.duration_ns / 1000000, cmt_err_name(err));
  CHECK(s, CHECK_BAN, err == CMT_OK || (err == CMT_ENOMEM && n->lacks > lacks),
        "n%u cannot ban %s: %s", n->index, b->subject, cmt_err_name(err));
  if (err != CMT_OK) {
    return;
  }
  n->habits.ban_count += place == &n->habits.bans[n->habits.ban_count];
  *place = *b;
  place->from_ns = sim_net_now(s->net);
  place->busy_ns = sim_node_busy_ns(n);
  place->until_ns = cmt__after(place->from_ns, drawn.duration_ns);
  doom(n, b);
}

static void unban(sim_node *n, sim_ban *b) {
  uint64_t now_ns = sim_net_now(n->sim->net);

  sim_trace(n->sim->net, "n%u bans %s no more", n->index, b->subject);
  CHECK(n->sim, CHECK_BAN, cmt_switch_unban(n->sw, b->subject, NULL) == CMT_OK,
        "n%u cannot end the ban of %s", n->index, b->subject);
  if (!b->ended && b->until_ns > now_ns) {
    b->until_ns = now_ns;
    b->ended = true;
  }
}

static void act_on_bans(sim *s) {
  sim_rng *rng = rng_of(s, SIM_BANS);
  sim_node *n = any_node(s, rng);
  sim_ban b = draw_subject(s, any_node(s, rng)->index), *place;

  place = place_of(n, &b);
  if (n->sw == NULL || place == NULL || s->calm) {
    return;
  }
  if (place < &n->habits.bans[n->habits.ban_count] && sim_one_in(rng, 2)) {
    unban(n, place);
  } else {
    ban(n, &b, place);
  }
}

/* ---- filters ---- */

/* The loop has the question in its list. */
static const cmt__session *session_of(const cmt_admission *request) {
  const cmt__question *q = request->sw->questions.list;

  while (q->number != request->number) {
    q = q->next;
  }
  return q->owner;
}

static sim_question *question_new(sim_node *n, const cmt_newcomer *who,
                                  const cmt_admission *request) {
  sim_question *q = test_resize(NULL, sizeof *q);
  uint64_t now_ns = sim_net_now(n->sim->net);
  int side;
  sim_conn *conn = sim_tcp_conn(session_of(request)->link.tcp, &side);

  *q = (sim_question){
    .next = n->habits.questions,
    .request = *request,
    .conn = conn,
    .side = side,
    .of_peer = who->id != NULL,
    .verdict = CMT_LATER,
    .deadline_ns = now_ns + n->options.filter_timeout_ns,
    .busy_ns = sim_node_busy_ns(n),
  };
  check_question(n, q, who);
  n->habits.questions = q;
  return q;
}

static cmt_verdict draw_verdict(sim_rng *rng) {
  return sim_one_in(rng, 3) ? CMT_REFUSE : CMT_ADMIT;
}

static void answer(sim_node *n, sim_question *q, cmt_verdict v) {
  cmt_err err = cmt_admission_answer(&q->request, v);

  sim_trace(n->sim->net, "n%u: the answer for c%u is %s: %s", n->index,
            q->conn->id, v == CMT_ADMIT ? "yes" : "no", cmt_err_name(err));
  check_filter_answer(n, q, err);
  q->verdict = err == CMT_OK ? v : q->verdict;
}

static cmt_verdict ask(void *arg, const cmt_newcomer *who,
                       const cmt_admission *request) {
  sim_node *n = arg;
  sim_rng *rng = rng_of(n->sim, SIM_FILTERS);
  sim_question *q = question_new(n, who, request);
  bool is_honest = q->conn->host[1 - q->side] < n->sim->node_count;
  uint64_t way = n->sim->calm || !is_honest ? 0 : sim_below(rng, 12);

  sim_trace(n->sim->net, "n%u: a filter is asked for c%u", n->index,
            q->conn->id);
  if (way < 6) {
    q->verdict = CMT_ADMIT;
  } else if (way < 7) {
    q->verdict = CMT_REFUSE;
    return sim_one_in(rng, 2) ? CMT_REFUSE : (cmt_verdict)7;
  } else {
    q->conn->filtering[q->side] = q->conn->filtering[q->side] || q->of_peer;
    if (way < 9) {
      answer(n, q, draw_verdict(rng));
    }
    return CMT_LATER;
  }
  return CMT_ADMIT;
}

/* A question that is not answered, if there is one, or any; NULL: there is
   none. */
static sim_question *any_question(sim_node *n) {
  sim_rng *rng = rng_of(n->sim, SIM_FILTERS);
  bool open = !sim_one_in(rng, 8);
  sim_question *found = NULL;
  uint64_t count = 0;

  for (sim_question *q = n->habits.questions; q != NULL && count < 16;
       q = q->next) {
    if (q->request.sw != NULL && (!open || q->verdict == CMT_LATER) &&
        sim_one_in(rng, ++count)) {
      found = q;
    }
  }
  return found;
}

static void act_on_filters(sim *s) {
  sim_rng *rng = rng_of(s, SIM_FILTERS);
  sim_node *n = any_node(s, rng);
  sim_question *q = any_question(n);

  if (q != NULL) {
    answer(n, q, draw_verdict(rng));
  }
}

/* ---- evictions ---- */

/* Two tags, so that it is their sum that counts. */
static void set_worth(sim_peer *p, int64_t worth) {
  sim_rng *rng = rng_of(p->node->sim, SIM_EVICTION);
  int32_t part = (int32_t)sim_between(rng, 0, 6) - 3;

  (void)!cmt_peer_set_worth(p->peer, "part", part);
  (void)!cmt_peer_set_worth(p->peer, "rest", (int32_t)worth - part);
}

static void greet_evictable(sim_peer *p) {
  sim_rng *rng = rng_of(p->node->sim, SIM_EVICTION);
  size_t lacks = p->node->lacks;
  int64_t worth =
    (int64_t)sim_below(rng, WORTH_MAX - WORTH_MIN + 1) + WORTH_MIN;

  set_worth(p, worth);
  p->worth = p->node->lacks > lacks ? cmt_peer_worth(p->peer) : worth;
  CHECK(p->node->sim, CHECK_EVICTION, cmt_peer_worth(p->peer) == p->worth,
        "n%u: n%u is worth %lld, its tags say %lld", p->node->index, p->remote,
        (long long)cmt_peer_worth(p->peer), (long long)p->worth);
  if (sim_one_in(rng, PROTECTED_ONE_IN)) {
    cmt_peer_protect(p->peer);
    p->protections = 1;
  }
  p->doomed =
    p->doomed || (p->peer->place == CMT__PEER_INBOUND && !check_is_kept(p));
}

void sim_admission_greet(sim_peer *p) {
  check_admitted(p);
  check_exempt_begin(p);
  for (size_t i = 0; i < p->node->habits.ban_count; i++) {
    p->doomed =
      p->doomed || check_ban_covers(&p->node->habits.bans[i], p->remote);
  }
  if (p->node->options.evict_interval_ns != 0) {
    greet_evictable(p);
  }
}

/* One protection stays, so that it may not go at any time. */
static void protect_more(sim_node *n) {
  sim_rng *rng = rng_of(n->sim, SIM_EVICTION);

  for (sim_peer *p = n->peers; p != NULL; p = p->next) {
    if (p->protections > 0 && sim_one_in(rng, 3)) {
      bool more = p->protections == 1 || sim_one_in(rng, 2);

      (more ? cmt_peer_protect : cmt_peer_unprotect)(p->peer);
      p->protections = more ? p->protections + 1 : p->protections - 1;
    }
    if (p->worth > 0 && p->inited != 0 && sim_one_in(rng, 3)) {
      (void)!cmt_peer_set_worth(p->peer, "more", (int32_t)sim_below(rng, 3));
    }
  }
}

/* Somebody wants a place. */
static void come(sim_node *n) {
  sim_node *from = any_node(n->sim, rng_of(n->sim, SIM_EVICTION));

  if (from != n && from->state == SIM_UP && n->state == SIM_UP) {
    sim_dial(from, n, false);
  }
}

/* The friend leaves the list, or comes onto it again. */
static void change_list(sim_node *n) {
  sim_habits *h = &n->habits;

  if (n->options.unconditional_count == 0 || n->state != SIM_UP ||
      !sim_one_in(rng_of(n->sim, SIM_EVICTION), 3) ||
      cmt_switch_set_unconditional(n->sw, &h->unconditional, !h->is_listed,
                                   NULL) != CMT_OK) {
    return; /* It may lack memory. */
  }
  h->is_listed = !h->is_listed;
  if (h->is_listed) {
    check_exempt_listed(n);
  }
}

static void act_on_evictions(sim *s) {
  sim_node *n = any_node(s, rng_of(s, SIM_EVICTION));

  if (n->options.evict_interval_ns != 0) {
    protect_more(n);
    change_list(n);
    come(n);
  }
}

/* ---- drawing ---- */

static void init_filters(sim_node *n) {
  sim_rng *rng = rng_of(n->sim, SIM_FILTERS);
  cmt_switch_options *o = &n->options;

  o->filter_addr = sim_one_in(rng, 2) ? ask : NULL;
  o->filter_peer = sim_one_in(rng, 2) ? ask : NULL;
  o->filter_arg = n;
  o->filter_timeout_ns = sim_spread(rng, CMT_MILLISECONDS(1), ANSWER_MAX_NS);
}

/* The first two are what the end of a world looks at, and crowds and hostile
   nodes have a trial of their own. */
static void init_eviction(sim_node *n) {
  sim *s = n->sim;
  sim_rng *rng = rng_of(s, SIM_EVICTION);
  cmt_switch_options *o = &n->options;
  bool any = !sim_one_in(rng, 4);
  const sim_node *friend = any_node(s, rng);

  if (!any || n->index < 2 || n == s->crowd.at || n == s->hostile.at) {
    return;
  }
  o->evict_interval_ns = sim_spread(rng, CMT_MILLISECONDS(1), EVICT_MAX_NS);
  o->inbound_peers_max = (uint32_t)sim_between(rng, 1, EVICTING_PEERS_MAX);
  if (sim_one_in(rng, 4)) {
    n->habits.unconditional = friend->id;
    o->unconditional = &n->habits.unconditional;
    o->unconditional_count = 1;
  }
}

void sim_admission_init(sim *s) {
  for (size_t i = 0; i < s->node_count; i++) {
    if (s->has_habit[SIM_FILTERS]) {
      init_filters(&s->nodes[i]);
    }
    if (s->has_habit[SIM_EVICTION]) {
      init_eviction(&s->nodes[i]);
    }
  }
}

void sim_admission_act(sim *s) {
  if (s->has_habit[SIM_BANS] && sim_one_in(rng_of(s, SIM_BANS), 8)) {
    act_on_bans(s);
  }
  if (s->has_habit[SIM_FILTERS] && sim_one_in(rng_of(s, SIM_FILTERS), 2)) {
    act_on_filters(s);
  }
  if (s->has_habit[SIM_EVICTION] && !s->calm &&
      sim_one_in(rng_of(s, SIM_EVICTION), 2)) {
    act_on_evictions(s);
  }
}

/* Other bans end by themselves, and so do questions. */
void sim_admission_calm(sim *s) {
  for (size_t i = 0; i < s->node_count; i++) {
    sim_node *n = &s->nodes[i];

    for (size_t b = 0; n->sw != NULL && b < n->habits.ban_count; b++) {
      if (n->habits.bans[b].until_ns == CMT_NEVER) {
        unban(n, &n->habits.bans[b]);
      }
    }
  }
}
