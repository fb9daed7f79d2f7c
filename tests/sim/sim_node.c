/* SPDX-License-Identifier: Apache-2.0 */

/* A node: what it is made with is drawn, and each call of its reactors goes to
   the checkers first. */

#include "check.h"

#include "peer/peer.h"

#include <stdlib.h>

#include "loop_parts.h"

enum { OFFLOAD_THREADS = 3 }; /* For handshakes, at most. */
#define COMPUTING_MAX_NS CMT_MILLISECONDS(20)

/* ---- memory and chance of a node ---- */

static void *node_alloc(void *arg, size_t len) {
  sim_node *n = (sim_node *)((char *)arg - offsetof(sim_node, env));
  void *p = n->alloc(arg, len);

  if (p == NULL) {
    n->lacks++;
    sim_fault_fired(n->sim->net, SIM_NO_MEMORY);
    sim_trace(n->sim->net, "n%u: no memory for %zu bytes", n->index, len);
  }
  return p;
}

static void node_entropy(void *arg, void *out, size_t len) {
  sim_node *n = arg;
  uint8_t *bytes = out;

  for (size_t i = 0; i < len; i++) {
    bytes[i] = (uint8_t)sim_draw(&n->entropy);
  }
}

static void node_panic(void *arg, const char *file, int line,
                       const char *what) {
  sim_node *n = arg;
  const char *name = strrchr(file, '/');

  check_fail(n->sim, CHECK_INVARIANT, "n%u: %s:%d: %s", n->index,
             name != NULL ? name + 1 : file, line, what);
}

/* ---- peers ---- */

sim_peer *sim_peer_other(const sim_peer *p) {
  return p->conn->user[1 - p->side];
}

uint64_t sim_peer_busy_ns(const sim_peer *p) {
  return sim_node_busy_ns(p->node) +
         sim_node_busy_ns(&p->node->sim->nodes[p->remote]);
}

static unsigned node_of(const sim *s, const cmt_node_id *id) {
  for (unsigned i = 0; i < s->node_count; i++) {
    if (strcmp(s->nodes[i].id.text, id->text) == 0) {
      return i;
    }
  }
  return SIM_NODES_MAX;
}

static sim_peer *find_peer(sim_node *n, const cmt_peer *peer) {
  sim_peer *p = n->peers;

  while (p != NULL && p->peer != peer) {
    p = p->next;
  }
  return p;
}

static sim_peer *new_peer(sim_node *n, cmt_peer *peer) {
  sim *s = n->sim;
  sim_peer *p = test_resize(NULL, sizeof *p);

  *p = (sim_peer){
    .next = n->peers,
    .node = n,
    .peer = cmt_peer_ref(peer),
    .number = s->peer_serial++,
    .remote = node_of(s, cmt_peer_id(peer)),
    .up_ns = sim_net_now(s->net),
  };
  if (p->remote == SIM_NODES_MAX) {
    check_fail(s, CHECK_ONE, "n%u has a peer with an id of nobody", n->index);
  }
  p->conn = sim_tcp_conn(peer->link->tcp, &p->side);
  p->conn->user[p->side] = p;
  p->busy_ns = sim_peer_busy_ns(p);
  p->other_busy_ns = sim_node_busy_ns(&s->nodes[p->remote]);
  n->peers = p;
  CHECK(s, CHECK_ONE,
        p->conn->host[1 - p->side] == p->remote &&
          cmt_peer_is_outbound(peer) == (p->side == 0),
        "n%u, c%u: the peer is n%u, the other end n%u", n->index, p->conn->id,
        p->remote, p->conn->host[1 - p->side]);
  return p;
}

/* ---- reactors ---- */

static bool is_stranger(const sim_reactor *r, const cmt_peer *peer) {
  return sim_is_stranger(r->node->sim, cmt_peer_id(peer));
}

static bool reactor_acts(sim_node *n) {
  return sim_chance(&n->sim->rng, n->sim->odds_reactor);
}

static void on_value_gone(void *value) { ((sim_peer *)value)->node->values--; }

/* Keeps what is known of the peer with the peer, too. */
static void keep_value(sim_peer *p) {
  if (cmt_peer_value(p->peer, "sim") == NULL &&
      cmt_peer_set_value(p->peer, "sim", p, on_value_gone) == CMT_OK) {
    p->node->values++;
  }
}

static cmt_err on_init(void *self, cmt_peer *peer) {
  const sim_reactor *r = self;
  sim_node *n = r->node;
  bool refuse = sim_one_in(&n->sim->rng, 4) && reactor_acts(n);
  sim_peer *p = find_peer(n, peer);

  if (is_stranger(r, peer)) {
    return CMT_OK;
  }
  if (p == NULL) {
    p = new_peer(n, peer);
    keep_value(p);
    sim_admission_greet(p);
  }
  check_init(p, r->index, !refuse);
  return refuse ? CMT_EREACTOR : CMT_OK;
}

/* Right after the first add_peer nothing is queued. */
static void check_room(sim_peer *p, size_t channel) {
  sim *s = p->node->sim;
  size_t room = p->node->by_index[channel].send_queue + 1, len = 40, took = 0;

  if (len > p->node->by_index[channel].send_message_max ||
      len > s->nodes[p->remote].by_index[channel].recv_message_max ||
      room * len > p->node->options.send_bytes_max ||
      (p->node->options.send_bytes_total_max != 0 && room * len > SIM_FLOOR) ||
      p->stopped || !s->nodes[p->remote].has[channel] ||
      !p->node->has[channel] || sim_node_may_lack(p->node)) {
    return;
  }
  while (sim_try_send(p, channel, len)) {
    took++;
  }
  CHECK(s, CHECK_ROOM,
        took == room || (p->node->state == SIM_STOPPING && took == 0),
        "n%u to n%u, channel %zu: %zu messages were queued at once, %zu have "
        "room",
        p->node->index, p->remote, channel, took, room);
}

static void on_add(void *self, cmt_peer *peer) {
  const sim_reactor *r = self;
  sim_peer *p = find_peer(r->node, peer);
  sim *s = r->node->sim;

  if (is_stranger(r, peer)) {
    r->node->strangers += r->index == 0;
    r->node->in_adds += r->index == 0;
    if (r->index == 0 && sim_crowd_has(s, cmt_peer_id(peer))) {
      sim_crowd_greet(&s->crowd, peer);
    }
    return;
  }
  check_add(p, r->index);
  if (r->index == 0) {
    sim_trace(s->net, "n%u adds n%u on c%u", p->node->index, p->remote,
              p->conn->id);
    sim_note(s->net, p->number);
    if (p->side == 0) {
      p->node->targets[p->remote].adds++;
    } else {
      p->node->in_adds++;
    }
    if (sim_one_in(&s->rng, 3)) {
      check_room(p, sim_below(&s->rng, s->channel_count));
    }
  }
  if (reactor_acts(p->node)) {
    sim_act_in_reactor(p);
  }
}

static size_t channel_of(const sim *s, uint8_t id) {
  size_t c = 0;

  while (s->ids[c] != id) {
    c++;
  }
  return c;
}

static cmt_err on_receive(void *self, cmt_peer *peer, uint8_t id,
                          cmt_buf *msg) {
  const sim_reactor *r = self;
  sim_peer *p = find_peer(r->node, peer);
  sim *s = r->node->sim;
  size_t channel = channel_of(s, id);

  if (is_stranger(r, peer)) {
    return CMT_OK;
  }
  check_receive(p, r->index, channel);
  check_rates(p, channel, cmt_buf_bytes(msg).len);
  sim_note(s->net, cmt_buf_bytes(msg).len);
  sim_trace(s->net, "n%u receives %zu bytes of n%u, channel %zu",
            p->node->index, cmt_buf_bytes(msg).len, p->remote, channel);
  check_flow_receive(p, channel, cmt_buf_bytes(msg));
  if (!s->calm && sim_one_in(&s->rng, 64) && reactor_acts(p->node)) {
    if (r->node->reactors[r->index].delivery == CMT_DELIVER_MAILBOX) {
      sim_stop_peer(p, 0);
      return CMT_OK;
    }
    p->fail_reason = CMT_EREACTOR;
    return CMT_EREACTOR;
  }
  if (sim_one_in(&s->rng, 8) && reactor_acts(p->node)) {
    sim_act_in_reactor(p);
  }
  return CMT_OK;
}

void sim_peer_end_broadcasts(sim_peer *p) {
  sim *s = p->node->sim;

  for (size_t c = 0; c < s->channel_count; c++) {
    const sim_flow *f = &p->flow[c];

    for (size_t i = f->first; i < f->count; i++) {
      if (f->list[i].state == SIM_MAYBE) {
        s->broadcasts[f->list[i].broadcast].unsure = true;
      }
    }
  }
}

static void on_remove(void *self, cmt_peer *peer, cmt_err reason) {
  const sim_reactor *r = self;
  sim_peer *p = find_peer(r->node, peer);
  sim *s = r->node->sim;

  if (is_stranger(r, peer)) {
    r->node->strangers -= r->index == 0;
    if (r->index == 0 && !sim_crowd_has(s, cmt_peer_id(peer))) {
      check_hostile_end(s, reason);
    }
    return;
  }
  if (p == NULL) {
    check_fail(s, CHECK_LIFE, "n%u: remove_peer of an unknown one",
               r->node->index);
  }
  if (r->index == 0 && p->added != 0) {
    sim_trace(s->net, "n%u removes n%u on c%u: %s", p->node->index, p->remote,
              p->conn->id, cmt_err_name(reason));
    sim_note(s->net, (uint64_t)reason);
    p->end_reason = reason;
    p->removed_ns = sim_net_now(s->net);
    check_reason(p, reason);
    check_peer_posts(p);
    sim_peer_end_broadcasts(p);
    if (sim_peer_other(p) != NULL) {
      sim_peer_end_broadcasts(sim_peer_other(p));
    }
  }
  check_remove(p, r->index);
  if (p->gone && p->added != 0) {
    check_grace(p, p->end_reason);
  }
}

static void on_rejected(void *arg, const cmt_rejection *r) {
  sim_node *n = arg;

  sim_note(n->sim->net, (uint64_t)r->why.err);
  check_rejected(n, r);
}

/* ---- what it is made with ---- */

static uint64_t draw_rate(sim_node *n) {
  n->has_rates = true;
  return sim_spread(&n->sim->rng, 60000, 4000000);
}

static void draw_channel(sim_node *n, size_t c) {
  sim *s = n->sim;
  sim_rng *rng = &s->rng;
  size_t reactor = c % s->reactor_count;
  cmt_reactor *r = &n->reactors[reactor];
  size_t max = s->message_max[c];
  cmt_channel *out = &n->channels[reactor][r->channel_count];

  n->has[c] = c < 2 || !sim_one_in(rng, 4);
  if (!n->has[c]) {
    return;
  }
  *out = (cmt_channel){
    .id = s->ids[c],
    .priority =
      (uint32_t)(c > 1 && sim_one_in(rng, 8) ? CMT_PRIORITY_MAX
                                             : sim_between(rng, 1, 10)),
    .traffic = (c > 1 && sim_one_in(rng, 3)) || n->all_urgent
                 ? CMT_TRAFFIC_URGENT
                 : CMT_TRAFFIC_NORMAL,
    .send_queue = (uint32_t)(n->index == 0 && c < 2 ? sim_between(rng, 12, 32)
                                                    : sim_spread(rng, 1, 32)),
    .send_message_max = max,
    .recv_message_max = s->mismatch && c > 1 && sim_one_in(rng, 3)
                          ? sim_between(rng, 1, max)
                          : max,
    .send_rate = n->index > 1 && sim_one_in(rng, 10) ? draw_rate(n) : 0,
    .recv_rate = n->index > 1 && sim_one_in(rng, 10) ? draw_rate(n) : 0,
  };
  if (r->delivery == CMT_DELIVER_MAILBOX && sim_one_in(rng, 2)) {
    out->recv_queue = (uint32_t)sim_spread(rng, 1, 100);
    out->recv_queue_bytes = sim_spread(rng, 500, 1 << 20);
    out->on_full =
      c > 1 && sim_one_in(rng, 2) ? CMT_ON_FULL_DROP : CMT_ON_FULL_WAIT;
  }
  n->by_index[c] = *out;
  r->channel_count++;
}

static void draw_reactors(sim_node *n) {
  sim_rng rng = sim_rng_of(n->sim->seed, 3000 + n->index);

  n->all_urgent = n->index > 1 && sim_one_in(&rng, 6);
  for (size_t i = 0; i < n->sim->reactor_count; i++) {
    n->selves[i] = (sim_reactor){.node = n, .index = i};
    snprintf(n->names[i], sizeof n->names[i], "reactor %zu", i);
    n->reactors[i] = (cmt_reactor){
      .name = n->names[i],
      .channels = n->channels[i],
      .self = &n->selves[i],
      .init_peer = on_init,
      .add_peer = on_add,
      .receive = on_receive,
      .remove_peer = on_remove,
      .delivery = i > 0 && sim_one_in(&n->sim->rng, 3) ? CMT_DELIVER_MAILBOX
                                                       : CMT_DELIVER_INLINE,
    };
    if (n->reactors[i].delivery == CMT_DELIVER_MAILBOX) {
      n->has_mailbox = true;
      n->worker_count[i] = sim_between(&n->sim->rng, 1, SIM_WORKERS_MAX);
    }
  }
  for (size_t c = 0; c < n->sim->channel_count; c++) {
    draw_channel(n, c);
  }
  for (size_t i = 0; i < n->sim->reactor_count; i++) {
    if (n->reactors[i].channel_count == 0) {
      n->reactors[i].channels = NULL;
    }
  }
}

static void draw_limits(sim_node *n) {
  sim_rng *rng = &n->sim->rng;
  cmt_switch_options *o = &n->options;
  size_t largest = 0;

  if (n->index > 1 && sim_one_in(rng, 6)) {
    o->inbound_peers_max = (uint32_t)sim_between(rng, 1, 3);
  }
  if (n->index > 1 && sim_one_in(rng, 6)) {
    o->inbound_peers_per_ip_max = (uint32_t)sim_between(rng, 1, 2);
  }
  if (n->index > 1 && sim_one_in(rng, 6)) {
    o->outbound_peers_max = (uint32_t)sim_between(rng, 1, 2);
  }
  if (sim_one_in(rng, 8)) {
    o->handshakes_per_ip_max = (uint32_t)sim_between(rng, 1, 2);
  }
  if (sim_one_in(rng, 8)) {
    o->handshakes_max = (uint32_t)sim_between(rng, 1, 4);
  }
  o->send_bytes_max = sim_spread(rng, n->index == 0 ? 300000 : 1024, 4 << 20);
  for (size_t c = 0; c < n->sim->channel_count; c++) {
    largest = cmt__max(largest, n->by_index[c].recv_message_max);
  }
  if (n->index > 1 && sim_one_in(rng, 8)) {
    o->recv_bytes_max = largest + sim_below(rng, 100000);
  }
  if (n->index > 1 && sim_one_in(rng, 8)) {
    o->recv_bytes_total_max = largest + SIM_FLOORS + sim_below(rng, 300000);
  }
}

/* Without a draw of its own, so that the seeds are what they were before. */
static void draw_send_total(sim_node *n) {
  cmt_switch_options *o = &n->options;
  size_t largest = 0;

  for (size_t c = 0; c < n->sim->channel_count; c++) {
    largest = cmt__max(largest, n->by_index[c].send_message_max);
  }
  if (n->index > 1 && o->send_bytes_max % 8 == 3) {
    o->send_bytes_total_max =
      largest + SIM_FLOORS + o->send_bytes_max / 8 % 300000;
  }
}

/* The link between the first two is filled, and must not be limited. */
static void draw_rates(sim_node *n) {
  uint64_t *rates[] = {&n->options.send_rate, &n->options.recv_rate,
                       &n->options.send_rate_total,
                       &n->options.recv_rate_total};

  for (size_t i = 0; i < CMT__COUNT(rates); i++) {
    if (n->index > 1 && sim_one_in(&n->sim->rng, 8)) {
      *rates[i] = draw_rate(n);
    }
  }
}

/* From numbers of its own, so that a seed of nodes with one loop is what it was
   before there were several. */
static void draw_loops(sim_node *n) {
  sim_rng rng = sim_rng_of(n->sim->seed, 2000 + n->index);

  if (n->sim->several) {
    n->options.loops = (uint32_t)sim_between(&rng, 1, SIM_LOOPS_MAX);
  }
}

/* How long operations of handshakes take, and who has them; as draw_loops(). */
static void draw_offload(sim_node *n) {
  sim_rng rng = sim_rng_of(n->sim->seed, 4000 + n->index);
  cmt_switch_options *o = &n->options;

  if (!n->sim->computes || sim_one_in(&rng, 2)) {
    return;
  }
  n->computing_ns = sim_spread(&rng, 15000, COMPUTING_MAX_NS);
  o->handshake_offload_rate = (uint32_t)sim_spread(&rng, 1, 100);
  if (o->loops == 1 || sim_one_in(&rng, 3)) {
    o->handshake_threads = (uint32_t)sim_between(&rng, 1, OFFLOAD_THREADS);
  }
}

static void draw_options(sim_node *n) {
  sim_rng *rng = &n->sim->rng;
  cmt_switch_options *o = &n->options;
  uint64_t pong_ns = sim_between(rng, CMT_MILLISECONDS(600), CMT_SECONDS(3));

  cmt_switch_options_init(o);
  o->env = &n->env.env;
  o->key = n->key;
  o->network = "sim-net";
  o->laddr = n->laddr;
  o->reactors = n->reactors;
  o->reactor_count = n->sim->reactor_count;
  o->on_rejected = on_rejected;
  o->arg = n;
  o->pong_timeout_ns = pong_ns;
  o->ping_interval_ns = pong_ns + sim_spread(rng, 1000, CMT_SECONDS(3));
  o->flush_throttle_ns =
    sim_one_in(rng, 2) ? 0 : sim_spread(rng, 1000, CMT_MILLISECONDS(50));
  o->dial_timeout_ns = sim_spread(rng, CMT_MILLISECONDS(200), CMT_SECONDS(3));
  o->handshake_timeout_ns =
    sim_spread(rng, CMT_MILLISECONDS(300), CMT_SECONDS(3));
  o->send_packet_payload_max = (uint32_t)sim_between(rng, 64, 1400);
  o->wire = n->sim->wire;
  if (o->wire == CMT_WIRE_LEGACY) { /* Which pings are too often is its own. */
    o->pong_timeout_ns = CMT_SECONDS(1);
    o->ping_interval_ns = CMT_SECONDS(2);
  }
  if (sim_one_in(rng, 6)) {
    o->stall_max_ns = sim_spread(rng, CMT_SECONDS(1), CMT_SECONDS(20));
  }
  draw_limits(n);
  draw_send_total(n);
  draw_rates(n);
  draw_loops(n);
  draw_offload(n);
}

void sim_node_init(sim_node *n, sim *s, unsigned index) {
  char ip[16];

  n->sim = s;
  n->index = index;
  n->entropy = sim_rng_of(s->seed, 1000 + index);
  test_env_init(&n->env);
  n->alloc = n->env.env.alloc;
  n->env.env.alloc = node_alloc;
  n->env.env.aead = s->aead;
  n->env.env.entropy = node_entropy;
  n->env.env.entropy_arg = n;
  n->env.env.panic = node_panic;
  n->env.env.panic_arg = n;
  sim_host_ip(index, ip);
  snprintf(n->laddr, sizeof n->laddr, "%s:%d", ip, SIM_PORT);
  assert_cmt(CMT_OK, cmt_node_key_generate(&n->env.env, &n->key));
  cmt_node_key_get_id(n->key, &n->id);
  draw_reactors(n);
  draw_options(n);
  for (unsigned i = 0; i < n->options.loops; i++) {
    n->loops[i] = sim_loop_new(s->net, index, &n->env.env);
    sim_loop_computes(n->loops[i], n->computing_ns);
  }
}
