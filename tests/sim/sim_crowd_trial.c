/* SPDX-License-Identifier: Apache-2.0 */

/* The trial of a crowd.  It is at its work and nothing else is wrong; an honest
   node comes in as a friend of the node that the crowd goes to, is dialed by
   it, and sends to it.  Each of these has its time, whatever the crowd does. */

#include "check.h"

#define AT_WORK_NS CMT_MILLISECONDS(400)
#define WAKE_NS CMT_MILLISECONDS(50)
#define READ_NS CMT_MILLISECONDS(15)
#define FULL_NS CMT_MILLISECONDS(40)
#define COME_IN_NS CMT_SECONDS(1)
#define BACK_NS                                                                \
  CMT_SECONDS(4) /* Three seconds for a ping that has no answer. */
#define BESIDE_NS CMT_MILLISECONDS(100)
#define ARRIVE_NS CMT_SECONDS(2)
#define SLOW_ARRIVE_NS CMT_SECONDS(20)

enum {
  DRIP_FLOOR = 4096, /* Each peer's, of what is not finished. */
  TRIES = 8,
  DEAF_ROUNDS = 32,
  PEERS_MAX = 128,
  SHORT = 100,
  HALF_PART = 900, /* Half of a friend's part of a reactor's total. */
};

static uint64_t now(const sim *s) { return sim_net_now(s->net); }

static sim_peer *peer_of(const sim_node *n, const sim_node *remote) {
  for (sim_peer *p = n->peers; p != NULL; p = p->next) {
    if (sim_peer_is_live(p) && p->remote == remote->index) {
      return p;
    }
  }
  return NULL;
}

/* Both have the same connection. */
static bool are_friends(const sim_node *a, const sim_node *b) {
  const sim_peer *p = peer_of(a, b);

  return p != NULL && sim_peer_other(p) != NULL &&
         sim_peer_other(p) == peer_of(b, a);
}

static bool wait_for(sim *s,
                     bool (*holds)(const sim_node *a, const sim_node *b),
                     const sim_node *a, const sim_node *b, uint64_t ns) {
  uint64_t end_ns = now(s) + ns;

  while (!holds(a, b) && now(s) < end_ns) {
    sim_pass(s, now(s) + CMT_MILLISECONDS(20));
  }
  return holds(a, b);
}

/* The id is free: all reactors have let it go. */
static bool has_left(const sim_node *a, const sim_node *b) {
  cmt_peer *p = cmt_switch_peer(a->sw, &b->id);

  cmt_peer_unref(p);
  return p == NULL;
}

static bool are_apart(const sim_node *a, const sim_node *b) {
  return has_left(a, b) && has_left(b, a);
}

static void part(sim_node *a, sim_node *b) {
  sim_peer *p = peer_of(a, b), *q = peer_of(b, a);

  if (p != NULL) {
    sim_stop_peer(p, 0);
  }
  if (q != NULL) {
    sim_stop_peer(q, 0);
  }
}

/* A slow reactor has an event of each stranger between two of a friend. */
static uint64_t arrive_ns(const sim *s) {
  return s->crowd.slow ? SLOW_ARRIVE_NS : ARRIVE_NS;
}

static void try_dial(sim *s, sim_node *from, sim_node *to) {
  part(from, to);
  (void)wait_for(s, are_apart, from, to, arrive_ns(s));
  if (sim_crowd_begins_anew(&s->crowd)) {
    sim_crowd_gather(s, TRIES);
    sim_pass(s, now(s) + FULL_NS);
  }
  sim_dial(from, to, false);
  CHECK(s, CHECK_CROWD, wait_for(s, are_friends, from, to, COME_IN_NS),
        "strangers %s at n%u: n%u dials n%u and is no friend after %llu ms",
        sim_crowd_text(s->crowd.kind), s->crowd.at->index, from->index,
        to->index, (unsigned long long)COME_IN_NS / 1000000);
}

static bool has_come(const sim_flow *f) {
  for (size_t i = f->first; i < f->count; i++) {
    if (f->list[i].state != SIM_MAYBE && !f->list[i].may_drop) {
      return false;
    }
  }
  return true;
}

static bool all_came(const sim_node *from, const sim_node *to) {
  const sim_peer *p = peer_of(from, to);

  for (size_t c = 0; p != NULL && c < from->sim->channel_count; c++) {
    if (!has_come(&p->flow[c])) {
      return false;
    }
  }
  return p != NULL;
}

/* Beside messages that are not finished a friend has its floor alone. */
static size_t long_max(const sim *s) {
  return s->crowd.kind == SIM_CROWD_DRIP ? DRIP_FLOOR / s->channel_count
                                         : SIZE_MAX;
}

/* What can be missed, and is too short to be distinguished from the next, is
   not sent. */
static bool is_distinct(const sim_node *to, size_t channel, size_t max) {
  return to->by_index[channel].on_full != CMT_ON_FULL_DROP ||
         max >= SIM_DISTINCT;
}

/* One short message and a long one of each channel. */
static void try_messages(sim *s, sim_node *from, sim_node *to) {
  sim_peer *p = peer_of(from, to);

  for (size_t c = 0; c < s->channel_count; c++) {
    size_t max = cmt__min(from->by_index[c].send_message_max,
                          to->by_index[c].recv_message_max);

    max = cmt__min(max, long_max(s));
    if (is_distinct(to, c, max)) {
      (void)sim_try_send(p, c, cmt__min(SHORT, max));
      (void)sim_try_send(p, c, max);
    }
  }
  CHECK(s, CHECK_CROWD, wait_for(s, all_came, from, to, arrive_ns(s)),
        "strangers %s at n%u: messages of n%u to n%u have not arrived after "
        "%llu ms",
        sim_crowd_text(s->crowd.kind), s->crowd.at->index, from->index,
        to->index, (unsigned long long)arrive_ns(s) / 1000000);
}

/* ---- full queues ---- */

static bool first_came(const sim_node *from, const sim_node *to) {
  const sim_peer *p = peer_of(from, to);

  return p != NULL && has_come(&p->flow[0]);
}

/* A channel of a reactor with a queue, which has no small limits of its own; or
   the count of channels. */
static size_t queued_channel(const sim_node *from, const sim_node *to) {
  const sim *s = to->sim;
  size_t c = 0;

  while (c < s->channel_count &&
         (!from->has[c] || !to->has[c] ||
          to->by_index[c].recv_message_max < HALF_PART ||
          to->by_index[c].recv_queue != 0 ||
          to->reactors[c % s->reactor_count].delivery == CMT_DELIVER_INLINE)) {
    c++;
  }
  return c;
}

/* Within its part of a total that is full a friend is read, so that what comes
   behind for a reactor that is called inline is not late. */
static void try_beside(sim *s, sim_node *from, sim_node *to) {
  sim_peer *p = peer_of(from, to);
  size_t queued = queued_channel(from, to);

  if (queued == s->channel_count) {
    return;
  }
  (void)wait_for(s, all_came, from, to, arrive_ns(s));
  (void)sim_try_send(p, queued, HALF_PART);
  (void)sim_try_send(p, queued, HALF_PART);
  sim_pass(s, now(s) + READ_NS); /* What comes later is another read. */
  (void)sim_try_send(p, 0, SHORT);
  CHECK(s, CHECK_CROWD, wait_for(s, first_came, from, to, BESIDE_NS),
        "strangers %s at n%u: a message of n%u to a fast reactor of n%u has "
        "not arrived after %llu ms",
        sim_crowd_text(s->crowd.kind), s->crowd.at->index, from->index,
        to->index, (unsigned long long)BESIDE_NS / 1000000);
}

/* ---- a full node ---- */

/* The connection is dead and the node that is left does not know. */
static void try_again(sim *s, sim_node *from, sim_node *to) {
  sim_peer *p = peer_of(from, to);

  sim_conn_vanish(s->net, p->conn);
  sim_stop_peer(p, 0);
  sim_pass(s, now(s) + CMT_MILLISECONDS(100));
  sim_dial(from, to, false);
  CHECK(s, CHECK_CROWD, wait_for(s, are_friends, from, to, BACK_NS),
        "strangers %s at n%u: n%u is not back after %llu ms",
        sim_crowd_text(s->crowd.kind), to->index, from->index,
        (unsigned long long)BACK_NS / 1000000);
}

/* The friend has its place before the others come. */
static void try_full(sim *s, sim_node *at, sim_node *friend) {
  sim_crowd_end(s);
  sim_pass(s, now(s) + CMT_MILLISECONDS(100));
  try_dial(s, friend, at);
  sim_crowd_gather(s, TRIES);
  sim_pass(s, now(s) + AT_WORK_NS);
  if (sim_waits_long(friend, at)) {
    try_again(s, friend, at);
  }
  try_messages(s, friend, at);
}

/* ---- peers that read nothing ---- */

/* What waits for strangers leaves a friend its floor. */
static void try_send(sim *s, sim_node *at, sim_node *friend) {
  size_t len = cmt__min(SHORT, friend->by_index[0].recv_message_max);

  (void)wait_for(s, all_came, at, friend, ARRIVE_NS);
  CHECK(s, CHECK_CROWD,
        peer_of(at, friend) != NULL &&
          sim_try_send(peer_of(at, friend), 0, len),
        "n%u has no room for a message to n%u, beside peers that read nothing",
        at->index, friend->index);
}

static bool no_strangers(const sim_node *a, const sim_node *b) {
  (void)b;
  return a->strangers == 0;
}

/* Bytes that the sockets of strangers took at |at|. */
static uint64_t taken(const sim_node *at) {
  cmt_peer *peers[PEERS_MAX];
  size_t count = cmt_switch_peers(at->sw, peers, PEERS_MAX);
  uint64_t sum = 0;

  for (size_t i = 0; i < count && i < PEERS_MAX; i++) {
    cmt_peer_status st;

    cmt_peer_get_status(peers[i], &st);
    if (sim_crowd_has(at->sim, cmt_peer_id(peers[i]))) {
      sum += st.sent_bytes;
    }
    cmt_peer_unref(peers[i]);
  }
  return sum;
}

static bool one_is_gone_or_took_more(const sim_node *a, const sim_node *b) {
  const sim_crowd *c = &a->sim->crowd;

  (void)b;
  return a->strangers < c->left || taken(a) > c->taken;
}

/* Whoever takes a little more has its time once more: sockets have room now and
   then, and whoever goes makes room on the path of those that are left. */
static void try_deaf(sim *s, sim_node *at) {
  uint64_t most_ns =
    2 * (at->options.ping_interval_ns + at->options.pong_timeout_ns) +
    CMT_SECONDS(1);

  sim_crowd_last(s); /* Who comes later has as long from then on. */
  for (unsigned i = 0; at->strangers > 0; i++) {
    s->crowd.left = at->strangers;
    s->crowd.taken = taken(at);
    CHECK(s, CHECK_CROWD,
          i < DEAF_ROUNDS &&
            wait_for(s, one_is_gone_or_took_more, at, at, most_ns),
          "n%u: %zu peers that read nothing are there after %u times %llu ms",
          at->index, at->strangers, i, (unsigned long long)most_ns / 1000000);
  }
}

/* The longest message that |from| may send to |to|; its channel, or the count
   of channels. */
static size_t longest_channel(const sim_node *from, const sim_node *to,
                              size_t *len) {
  size_t best = from->sim->channel_count;

  *len = 0;
  for (size_t c = 0; c < from->sim->channel_count; c++) {
    size_t max = cmt__min(from->by_index[c].send_message_max,
                          to->by_index[c].recv_message_max);

    if (from->has[c] && to->has[c] && max > *len) {
      best = c;
      *len = max;
    }
  }
  return best;
}

static bool no_sends_wait(const sim_node *a, const sim_node *b) {
  for (const sim_request *r = a->sim->requests; r != NULL; r = r->next) {
    if (r->waits && r->to->node == a && r->to->remote == b->index) {
      return false;
    }
  }
  return true;
}

/* What waits for their memory has it when they go, whatever else happens on its
   connection: nothing does. */
static void try_wake(sim *s, sim_node *at, sim_node *friend) {
  size_t len, channel = longest_channel(at, friend, &len);
  sim_peer *p = peer_of(at, friend);

  if (p == NULL || channel == s->channel_count) {
    return;
  }
  sim_crowd_end(s); /* They have not read that their connections ended. */
  sim_crowd_gather(s, 1);
  sim_pass(s, now(s) + AT_WORK_NS);
  sim_crowd_fill(s);
  sim_pass(s, now(s) + READ_NS);
  sim_send(p, channel, len, CMT_NEVER);
  sim_pass(s, now(s) + READ_NS);
  sim_crowd_end(s);
  (void)wait_for(s, no_strangers, at, friend, COME_IN_NS);
  CHECK(s, CHECK_CROWD, wait_for(s, no_sends_wait, at, friend, WAKE_NS),
        "n%u: a send to n%u waits %llu ms after those that read nothing went",
        at->index, friend->index, (unsigned long long)WAKE_NS / 1000000);
}

/* ---- the trial ---- */

static bool is_limited(const sim_node *n) {
  return n->options.outbound_peers_max < 40 ||
         n->options.inbound_peers_max < 8 || n->options.handshakes_max < 8 ||
         n->options.inbound_peers_per_ip_max != 0 ||
         n->options.handshakes_per_ip_max < 8 || n->has_rates;
}

/* The longest message on each channel at once may be more than it receives. */
static bool takes_little(const sim *s, const sim_node *n) {
  return n->options.recv_bytes_max != 0 ||
         (n->options.recv_bytes_total_max != 0 &&
          s->crowd.kind != SIM_CROWD_DRIP);
}

static sim_node *find_friend(sim *s, const sim_node *at) {
  unsigned first = (unsigned)sim_below(&s->crowd.rng, s->node_count);

  for (unsigned i = 0; i < s->node_count; i++) {
    sim_node *n = &s->nodes[(first + i) % s->node_count];

    if (n != at && sim_is_sound(n) && !is_limited(n) && !at->has_rates &&
        !takes_little(s, at)) {
      return n;
    }
  }
  return NULL;
}

static void try_all(sim *s, sim_node *at, sim_node *friend) {
  sim_crowd_gather(s, s->crowd.kind == SIM_CROWD_DEAF ? 1 : TRIES);
  sim_pass(s, now(s) + AT_WORK_NS);
  try_dial(s, friend, at);
  if (s->crowd.kind == SIM_CROWD_FILL) {
    try_beside(s, friend, at);
  }
  try_messages(s, friend, at);
  try_dial(s, at, friend);
  try_messages(s, friend, at);
  if (s->crowd.kind == SIM_CROWD_DEAF) {
    sim_crowd_fill(s);
    try_send(s, at, friend);
    try_deaf(s, at);
    try_wake(s, at, friend);
  }
}

void sim_crowd_try(sim *s) {
  sim_node *at = s->crowd.at, *friend;

  if (s->crowd.count == 0) {
    return;
  }
  friend = find_friend(s, at);
  if (sim_crowd_has_trial(s->crowd.kind) && friend != NULL) {
    sim_trace(s->net, "the trial of strangers that %s, n%u and n%u",
              sim_crowd_text(s->crowd.kind), at->index, friend->index);
    s->crowd.slow = s->crowd.kind == SIM_CROWD_FILL;
    if (s->crowd.kind == SIM_CROWD_AGAIN) {
      try_full(s, at, friend);
    } else {
      try_all(s, at, friend);
    }
    s->crowd.slow = false;
  }
  sim_crowd_end(s);
  sim_pass(s, now(s) + CMT_SECONDS(1));
}
