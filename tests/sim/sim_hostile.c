/* SPDX-License-Identifier: Apache-2.0 */

/* In a part of the worlds one more node, which no honest one dials, goes to one
   of them, proves who it is, and then does one thing that is wrong, again and
   again while there are faults and once more without them.  It has to end for
   that reason and no other, and no other peer of the node may notice. */

#include "check.h"

#include "packets.h"

#include <stdlib.h>

enum {
  ONE_IN = 3,
  HOST = SIM_NODES_MAX + SIM_CROWD_HOSTS,
  FLOOD = 1500, /* Packets of a flood, */
  FEW = 20,     /* and of what is none. */
  PIECE = 1000, /* Bytes of a packet of a long message. */
  SHORT = 100,
};

#define COME_IN_NS CMT_SECONDS(2)
#define STAY_NS CMT_MILLISECONDS(300)
#define END_NS CMT_SECONDS(2)
#define PONG_NS CMT_MILLISECONDS(200)
#define PARTIAL_MIN_NS CMT_SECONDS(9)
#define PARTIAL_MAX_NS CMT_SECONDS(12)

const char *sim_hostile_text(sim_hostile_kind k) {
  static const char *const texts[] = {
#define X(name, err, text) text,
    SIM_HOSTILE_MAP(X)
#undef X
  };

  return texts[k];
}

/* What it ends with, which states whom to blame. */
static cmt_err expected(const sim_hostile *h) {
  static const cmt_err errs[] = {
#define X(name, err, text) err,
    SIM_HOSTILE_MAP(X)
#undef X
  };

  return errs[h->kind];
}

static bool has_kind(const sim_hostile *h, sim_hostile_kind k) {
  return h->kind == k;
}

/* Its node info is what is wrong. */
static bool is_refused(const sim_hostile *h) {
  return has_kind(h, SIM_HOSTILE_OTHER_NETWORK) ||
         has_kind(h, SIM_HOSTILE_OTHER_ID);
}

/* ---- drawing ---- */

static void hostile_entropy(void *arg, void *out, size_t len) {
  sim_hostile *h = arg;
  uint8_t *bytes = out;

  for (size_t i = 0; i < len; i++) {
    bytes[i] = (uint8_t)sim_draw(&h->entropy);
  }
}

static void hostile_panic(void *arg, const char *file, int line,
                          const char *what) {
  sim_hostile *h = arg;

  check_fail(h->sim, CHECK_INVARIANT, "the hostile node: %s:%d: %s", file, line,
             what);
}

/* It has room for one more peer and for all that this may send.  Crowds and
   what is broken have a trial of their own. */
static bool may_be_met(const sim *s, const sim_node *n) {
  return n != s->crowd.at && !n->weak && !n->has_rates &&
         n->options.inbound_peers_max >= 40 && n->options.recv_bytes_max == 0 &&
         n->options.recv_bytes_total_max == 0;
}

static sim_node *draw_at(sim *s, sim_rng *rng) {
  size_t first = sim_below(rng, s->node_count);

  for (size_t i = 0; i < s->node_count; i++) {
    sim_node *n = &s->nodes[(first + i) % s->node_count];

    if (may_be_met(s, n)) {
      return n;
    }
  }
  return NULL;
}

static void env_init(sim_hostile *h) {
  test_env_init(&h->env);
  h->env.env.aead = h->sim->aead;
  h->env.env.entropy = hostile_entropy;
  h->env.env.entropy_arg = h;
  h->env.env.panic = hostile_panic;
  h->env.env.panic_arg = h;
}

static void peer_init(sim_hostile *h) {
  sim *s = h->sim;

  assert_cmt(CMT_OK, cmt_node_key_generate(&h->env.env, &h->peer.key));
  cmt_node_key_get_id(h->peer.key, &h->id);
  h->peer.network =
    has_kind(h, SIM_HOSTILE_OTHER_NETWORK) ? "other-net" : "sim-net";
  h->peer.says_id = has_kind(h, SIM_HOSTILE_OTHER_ID)
                      ? s->nodes[h->at->index != 0 ? 0 : 1].id.text
                      : NULL;
  h->peer.channels = (cmt_bytes){.base = s->ids, .len = s->channel_count};
}

void sim_hostile_init(sim *s) {
  sim_hostile *h = &s->hostile;

  h->sim = s;
  h->rng = sim_rng_of(s->seed, 7);
  h->entropy = sim_rng_of(s->seed, 8);
  if (!sim_one_in(&h->rng, ONE_IN) || s->wire == CMT_WIRE_LEGACY) {
    return;
  }
  h->kind = (sim_hostile_kind)sim_below(&h->rng, SIM_HOSTILE_KINDS);
  h->at = draw_at(s, &h->rng);
  if (h->at == NULL || s->without->hostile[h->kind]) {
    h->at = NULL;
    return;
  }
  if (has_kind(h, SIM_HOSTILE_PARTIAL)) {
    h->at->options.partial_message_max_ns =
      sim_between(&h->rng, PARTIAL_MIN_NS, PARTIAL_MAX_NS);
  }
  env_init(h);
  h->loop = sim_loop_new(s->net, HOST, &h->env.env);
  peer_init(h);
}

void sim_hostile_fini(sim *s) {
  sim_hostile *h = &s->hostile;

  if (h->at == NULL) {
    return;
  }
  hostile_fini(&h->peer);
  cmt__loop_delete(h->loop);
  CHECK(s, CHECK_LEFT, h->env.live == 0,
        "the hostile node: %zu allocations are left", h->env.live);
}

bool sim_is_stranger(const sim *s, const cmt_node_id *id) {
  return sim_crowd_has(s, id) ||
         (s->hostile.at != NULL && cmt_node_id_equal(&s->hostile.id, id));
}

/* ---- what it does ---- */

static void dial(sim_hostile *h) {
  char addr[CMT_NET_ADDR_TEXT_SIZE];

  snprintf(addr, sizeof addr, "%s@%s", h->at->id.text, h->at->laddr);
  h->did = false;
  sim_trace(h->sim->net, "a hostile node dials n%u", h->at->index);
  hostile_dial_on(&h->peer, h->loop, addr);
}

static void hang_up(sim_hostile *h) {
  hostile_hang_up(&h->peer);
  h->peer.spoils = false;
}

static void send_bytes(sim_hostile *h, const uint8_t *data, size_t len) {
  hostile_send(&h->peer, (cmt_bytes){.base = data, .len = len});
}

static void send_packet(sim_hostile *h, uint8_t channel, size_t len, bool eof) {
  hostile_packet(&h->peer, channel, len, eof);
}

static void send_too_long(sim_hostile *h) {
  size_t max = h->at->by_index[0].recv_message_max;

  for (size_t sent = 0; sent <= max; sent += PIECE) {
    send_packet(h, h->sim->ids[0], PIECE, false);
  }
}

static void send_flood(sim_hostile *h, size_t count) {
  static const uint8_t pong[] = {2, 0x12, 0};
  uint8_t all[FLOOD * 16];
  cmt__batch r = cmt__batch_plain(NULL, all, sizeof all);

  for (size_t i = 0; i < count; i++) {
    if (has_kind(h, SIM_HOSTILE_EMPTY_FLOOD)) {
      test_wire()->write_msg(&r, h->sim->ids[0], false, (cmt_bytes){.len = 0});
    } else if (has_kind(h, SIM_HOSTILE_PING_FLOOD)) {
      test_write_ping(&r);
    } else {
      cmt__batch_write(&r, pong, sizeof pong);
    }
  }
  send_bytes(h, all, r.len);
}

static uint8_t unknown_channel(const sim *s) {
  uint8_t id = 0;

  while (memchr(s->ids, id, s->channel_count) != NULL) {
    id++;
  }
  return id;
}

static void do_wrong(sim_hostile *h) {
  static const uint8_t garbage[] = {2, 0x0f, 0xff};

  sim_trace(h->sim->net, "the hostile node %s", sim_hostile_text(h->kind));
  h->did = true;
  h->did_once = true;
  switch (h->kind) {
  case SIM_HOSTILE_UNKNOWN_CHANNEL:
    send_packet(h, unknown_channel(h->sim), SHORT, true);
    break;
  case SIM_HOSTILE_TOO_LONG:
    send_too_long(h);
    break;
  case SIM_HOSTILE_GARBAGE:
    send_bytes(h, garbage, sizeof garbage);
    break;
  case SIM_HOSTILE_BAD_SEAL:
    h->peer.spoils = true;
    send_packet(h, h->sim->ids[0], SHORT, true);
    break;
  case SIM_HOSTILE_EMPTY_FLOOD:
  case SIM_HOSTILE_PING_FLOOD:
  case SIM_HOSTILE_PONG_FLOOD:
    send_flood(h, FLOOD);
    break;
  case SIM_HOSTILE_FEW_PONGS:
    send_flood(h, FEW);
    break;
  case SIM_HOSTILE_PARTIAL:
    send_packet(h, h->sim->ids[0], SHORT, false);
    break;
  case SIM_HOSTILE_HANGS_UP:
    send_packet(h, h->sim->ids[0], SHORT, false);
    hang_up(h);
    break;
  case SIM_HOSTILE_MUTE:
  case SIM_HOSTILE_OTHER_NETWORK:
  case SIM_HOSTILE_OTHER_ID:
  case SIM_HOSTILE_KINDS:
    break;
  }
}

void sim_hostile_act(sim *s) {
  sim_hostile *h = &s->hostile;

  if (h->at == NULL || !sim_one_in(&h->rng, 4)) {
    return;
  }
  if (h->peer.tcp == NULL) {
    dial(h);
  } else if (h->peer.ended || sim_one_in(&h->rng, 8)) {
    hang_up(h);
  } else if (h->peer.up && !h->did) {
    do_wrong(h);
  } else if (has_kind(h, SIM_HOSTILE_PARTIAL) && h->peer.up) {
    send_flood(h, 1);
  }
}

/* ---- how it ends ---- */

/* While there are faults: the network, the node itself, and that it answers no
   ping; or what it did on an earlier connection, whose end took time. */
static bool may_end(const sim_hostile *h, cmt_err reason) {
  const uint64_t *fired = sim_net_fired(h->sim->net);

  if (h->did_once && reason == expected(h)) {
    return true;
  }
  switch ((int)reason) {
  case CMT_EEOF:
  case CMT_ERESET:
  case CMT_EPONG:
    return true;
  case CMT_ECANCELED:
    return h->at->state == SIM_STOPPING;
  case CMT_EAUTH:
    return fired[SIM_FLIP] > 0;
  case CMT_EIO:
    return fired[SIM_NO_ATTACH] > 0;
  case CMT_ENOMEM:
    return h->at->lacks > 0;
  case CMT_ESTALLED:
    return h->at->has_mailbox;
  default:
    return false;
  }
}

void check_hostile_end(sim *s, cmt_err reason) {
  sim_hostile *h = &s->hostile;

  sim_trace(s->net, "n%u removes the hostile node: %s", h->at->index,
            cmt_err_name(reason));
  sim_note(s->net, (uint64_t)reason);
  h->end = reason;
  CHECK(
    s, CHECK_HOSTILE,
    (h->did && reason == expected(h)) || (!h->trial && may_end(h, reason)) ||
      (has_kind(h, SIM_HOSTILE_HANGS_UP) && reason == CMT_ERESET),
    "n%u, a hostile node that %s: ended with %s, expected %s", h->at->index,
    sim_hostile_text(h->kind), cmt_err_name(reason), cmt_err_name(expected(h)));
}

bool sim_hostile_explains(const sim_node *n, const cmt_rejection *r) {
  sim_hostile *h = &n->sim->hostile;
  char ip[16];

  sim_host_ip(HOST, ip);
  if (h->at != n || strncmp(r->remote, ip, strlen(ip)) != 0 ||
      r->remote[strlen(ip)] != ':') {
    return false;
  }
  h->refusal = r->why.err;
  return is_refused(h) && r->why.err == expected(h);
}

/* ---- the trial ---- */

static bool is_peer(const sim_hostile *h) { return h->at->strangers > 0; }

static bool is_none(const sim_hostile *h) { return h->at->strangers == 0; }

static bool is_rejected(const sim_hostile *h) { return h->refusal != CMT_OK; }

/* A message that is never complete stays on its way although all pings are
   answered. */
static bool wait_for(sim_hostile *h, bool (*done)(const sim_hostile *h),
                     uint64_t ns) {
  sim *s = h->sim;
  uint64_t end_ns = sim_net_now(s->net) + ns;

  while (!done(h) && sim_net_now(s->net) < end_ns) {
    sim_pass(s, sim_net_now(s->net) + PONG_NS);
    if (has_kind(h, SIM_HOSTILE_PARTIAL) && h->peer.up && !h->peer.ended) {
      send_flood(h, 1);
    }
  }
  return done(h);
}

static uint64_t end_within_ns(const sim_hostile *h) {
  const cmt_switch_options *o = &h->at->options;

  return expected(h) == CMT_EPONG
           ? 2 * (o->ping_interval_ns + o->pong_timeout_ns) + CMT_SECONDS(1)
         : expected(h) == CMT_EPARTIAL ? 2 * o->partial_message_max_ns
                                       : END_NS;
}

static bool is_friend(const sim_peer *p) {
  return sim_peer_is_live(p) && sim_is_of_sound(p) &&
         sim_peer_other(p) != NULL && sim_peer_is_live(sim_peer_other(p));
}

static void send_to_friends(sim_hostile *h) {
  for (sim_peer *p = h->at->peers; p != NULL; p = p->next) {
    p->watched = is_friend(p);
    if (p->watched) {
      (void)sim_try_send(p, 0, SHORT);
      (void)sim_try_send(sim_peer_other(p), 0, SHORT);
    }
  }
}

static bool flow_has_come(const sim_peer *p) {
  const sim_flow *f = &p->flow[0];

  for (size_t i = f->first; i < f->count; i++) {
    if (f->list[i].state == SIM_ACCEPTED) {
      return false;
    }
  }
  return true;
}

/* Either side may replace the other by a newcomer; check_evicted() looks at
   whether it might. */
static bool was_evicted(const sim_peer *p) {
  const sim_peer *other = sim_peer_other(p);

  return p->end_reason == CMT_EEVICTED ||
         (other != NULL && other->end_reason == CMT_EEVICTED);
}

static bool friends_have_all(const sim_hostile *h) {
  for (const sim_peer *p = h->at->peers; p != NULL; p = p->next) {
    if (p->watched && !was_evicted(p) &&
        !(flow_has_come(p) && flow_has_come(sim_peer_other(p)))) {
      return false;
    }
  }
  return true;
}

static void check_friends(sim_hostile *h) {
  CHECK(h->sim, CHECK_HOSTILE, wait_for(h, friends_have_all, CMT_SECONDS(5)),
        "n%u, beside a hostile node that %s: messages have not arrived",
        h->at->index, sim_hostile_text(h->kind));
  for (const sim_peer *p = h->at->peers; p != NULL; p = p->next) {
    CHECK(h->sim, CHECK_HOSTILE, !p->watched || is_friend(p) || was_evicted(p),
          "n%u, beside a hostile node that %s: n%u ended with %s", h->at->index,
          sim_hostile_text(h->kind), p->remote, cmt_err_name(p->end_reason));
  }
}

static void try_wrong(sim_hostile *h) {
  CHECK(h->sim, CHECK_HOSTILE, wait_for(h, is_peer, COME_IN_NS),
        "n%u: a hostile node that did nothing wrong yet is no peer",
        h->at->index);
  do_wrong(h);
  send_to_friends(h);
  if (has_kind(h, SIM_HOSTILE_FEW_PONGS)) {
    sim_pass(h->sim, sim_net_now(h->sim->net) + STAY_NS);
    CHECK(h->sim, CHECK_HOSTILE, is_peer(h),
          "n%u: a few pongs that nobody asked for ended a peer", h->at->index);
  }
  CHECK(h->sim, CHECK_HOSTILE, wait_for(h, is_none, end_within_ns(h)),
        "n%u: a hostile node that %s is a peer after %llu ms", h->at->index,
        sim_hostile_text(h->kind),
        (unsigned long long)end_within_ns(h) / 1000000);
}

static void try_refused(sim_hostile *h) {
  send_to_friends(h);
  CHECK(h->sim, CHECK_HOSTILE,
        wait_for(h, is_rejected, COME_IN_NS) && h->refusal == expected(h),
        "n%u, a hostile node that %s: rejected with %s, expected %s",
        h->at->index, sim_hostile_text(h->kind), cmt_err_name(h->refusal),
        cmt_err_name(expected(h)));
}

void sim_hostile_leave(sim *s) {
  if (s->hostile.at != NULL) {
    hang_up(&s->hostile);
  }
}

void sim_hostile_try(sim *s) {
  sim_hostile *h = &s->hostile;

  if (h->at == NULL) {
    return;
  }
  CHECK(s, CHECK_HOSTILE, wait_for(h, is_none, COME_IN_NS),
        "n%u: a hostile node that hung up is a peer", h->at->index);
  h->trial = true;
  h->refusal = CMT_OK;
  dial(h);
  if (is_refused(h)) {
    try_refused(h);
  } else {
    try_wrong(h);
  }
  check_friends(h);
  hang_up(h);
  sim_pass(s, sim_net_now(s->net) + CMT_SECONDS(1));
  h->trial = false;
}
