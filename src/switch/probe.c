/* SPDX-License-Identifier: Apache-2.0 */

/* Probes.  Each has a switch of its own, which takes any network and listens
   nowhere.  It dials once, and its filter copies the node info.  Without pings
   the filter refuses the peer, so nothing follows the handshake; else the node
   becomes a peer of the one reactor, which pings it.  All callbacks are on the
   loop of that switch, and the first of them that has an answer reports it. */

#include "base/sized.h"
#include "core/wire/wire.h"
#include "core/conn/node_info.h"
#include "dial.h"
#include "link/link.h"
#include "peer/peer.h"
#include "reactor/delivery.h"
#include "sys/cond.h"
#include "sys/standard_fds.h"

#include <cometp2p/probe.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

/* What a loop takes, and what a name and a connection take: without them the
   resolver of the system tries for seconds, and says that the name has no
   address. */
enum { PROBE_FDS = CMT__LOOP_FDS + 3 };

#define TIMEOUT_DEFAULT CMT_SECONDS(10)
#define PONG_TIMEOUT_DEFAULT CMT_SECONDS(10)
#define PING_GAP_DEFAULT CMT_MILLISECONDS(200)
#define BLOCK_DEFAULT 11
#define NAME_DEFAULT "cometp2p"

/* A result and what it has its memory from. */
typedef struct result_block {
  cmt_probe_result result;
  cmt_env env;
  cmt_node_info *node_info; /* NULL: there is none. */
  uint64_t rtts_ns[];       /* Room for every ping. */
} result_block;

/* What the timer waits for. */
typedef enum probe_phase {
  PHASE_NODE_INFO,
  PHASE_PONG,
  PHASE_GAP, /* The next ping. */
} probe_phase;

struct cmt_prober {
  cmt_env env;
  cmt_switch *sw;
  cmt_dial *dial;
  cmt_net_addr addr;
  cmt_probe_options options; /* Its pointers are of the call that began it. */
  cmt_timer timer;
  probe_phase phase;
  cmt_peer *peer; /* While it is pinged. */
  cmt__pong pong;
  void (*on_done)(void *arg, cmt_probe_result *r);
  void *arg;
  atomic_bool deleted;
  result_block *result; /* NULL: the result was delivered. */
};

/* ---- results ---- */

static result_block *result_new(const cmt_env *env, const char *dialed,
                                size_t pings) {
  result_block *b =
    cmt__alloc_zero(env, sizeof *b + pings * sizeof *b->rtts_ns);

  if (b != NULL) {
    b->env = *env;
    b->result.size = sizeof b->result;
    b->result.rtts_ns = b->rtts_ns;
    snprintf(b->result.remote, sizeof b->result.remote, "%s", dialed);
  }
  return b;
}

void cmt_probe_result_delete(cmt_probe_result *r) {
  result_block *b = (result_block *)r;

  if (b != NULL) {
    cmt_env env = b->env;

    cmt__free(&env, b->node_info);
    cmt__free(&env, b);
  }
}

/* ---- on the loop ---- */

static void report(cmt_prober *p, const cmt_why *why) {
  result_block *b = p->result;

  if (b == NULL || atomic_load(&p->deleted)) {
    return;
  }
  p->result = NULL;
  b->result.why = *why;
  if (why->err == CMT_ECANCELED) {
    cmt__why(&b->result.why, CMT_ECANCELED, why->stage,
             "the probe was cancelled");
  }
  p->on_done(p->arg, &b->result);
}

static void report_ok(cmt_prober *p, cmt_stage stage) {
  const cmt_why why = {.err = CMT_OK, .stage = stage};

  report(p, &why);
}

/* Keeps what a filter is asked about; without memory nothing is kept. */
static cmt_verdict on_newcomer(void *arg, const cmt_newcomer *who,
                               const cmt_admission *request) {
  cmt_prober *p = arg;
  result_block *b = p->result;

  (void)request;
  if (b == NULL) {
    return CMT_REFUSE;
  }
  b->node_info = cmt__node_info_clone(&b->env, who->node_info);
  if (b->node_info == NULL) {
    return CMT_REFUSE;
  }
  b->result.node_info = *b->node_info;
  b->result.handshake_ns = cmt__loop_now(p->sw->loop) - p->dial->connected_ns;
  return p->options.pings > 0 ? CMT_ADMIT : CMT_REFUSE;
}

/* A peer was refused by the filter, which is what was wanted when it has kept
   the node info, or is pinged next. */
static void on_outcome(void *arg, cmt_dial *dial, const cmt_dial_outcome *o) {
  cmt_prober *p = arg;
  result_block *b = p->result;
  cmt_why why = o->why;

  (void)dial;
  if (b != NULL) {
    snprintf(b->result.remote, sizeof b->result.remote, "%s", o->remote);
    b->result.id = o->id != NULL ? *o->id : b->result.id;
  }
  if (why.err == CMT_OK) {
    return;
  }
  if (why.err == CMT_EFILTER && b != NULL && b->node_info != NULL) {
    report_ok(p, CMT_STAGE_NODE_INFO);
    return;
  }
  if (why.err == CMT_EFILTER) {
    cmt__why_plain(&why, CMT_ENOMEM, CMT_STAGE_NODE_INFO);
  }
  report(p, &why);
}

/* ---- pings ---- */

/* The end of the switch reports in place of a timer that cannot be set. */
static void wait_for(cmt_prober *p, probe_phase phase, uint64_t after_ns) {
  p->phase = phase;
  cmt_ignore(cmt_switch_timer(p->sw, &p->timer, after_ns));
}

static void ping(cmt_prober *p) {
  cmt__link_ping(p->peer->link, &p->pong);
  wait_for(p, PHASE_PONG, p->options.pong_timeout_ns);
}

static void on_pong(cmt__pong *pong, uint64_t rtt_ns) {
  cmt_prober *p = (cmt_prober *)((char *)pong - offsetof(cmt_prober, pong));
  result_block *b = p->result;

  if (b == NULL) {
    return;
  }
  b->rtts_ns[b->result.rtt_count++] = rtt_ns;
  if (b->result.rtt_count < p->options.pings) {
    wait_for(p, PHASE_GAP, p->options.ping_gap_ns);
    return;
  }
  cmt_peer_stop(p->peer, CMT_ECANCELED, 0);
  report_ok(p, CMT_STAGE_UP);
}

static void on_peer(void *self, cmt_peer *peer) {
  cmt_prober *p = self;

  p->peer = peer;
  ping(p);
}

static void on_peer_end(void *self, cmt_peer *peer, cmt_err reason) {
  cmt_prober *p = self;
  cmt_why why;

  (void)reason;
  p->peer = NULL;
  cmt_peer_get_why(peer, &why);
  report(p, &why);
}

/* When the switch has ended all is reported, but for a dial that had not
   begun. */
static void on_timer(void *arg, cmt_err status) {
  cmt_prober *p = arg;
  cmt_why why;

  if (status != CMT_OK) {
    cmt__why_plain(&why, status, CMT_STAGE_TRANSPORT);
    report(p, &why);
  } else if (p->phase == PHASE_NODE_INFO) {
    cmt__why(&why, CMT_ETIMEDOUT, CMT_STAGE_TRANSPORT,
             "no node info within %llu ms",
             (unsigned long long)(p->options.timeout_ns / CMT_MILLISECONDS(1)));
    report(p, &why);
  } else if (p->peer != NULL && p->phase == PHASE_GAP) {
    ping(p);
  } else if (p->peer != NULL) {
    cmt_peer_stop(p->peer, CMT_EPONG, 0);
  }
}

/* ---- beginning and end ---- */

void cmt_probe_options_init_sized(cmt_probe_options *o, size_t size) {
  const cmt_probe_options full = {.protocol_block = BLOCK_DEFAULT,
                                  .timeout_ns = TIMEOUT_DEFAULT};

  cmt__sized_write(o, size, &full, sizeof full);
}

static cmt_err options_take(const cmt_probe_options *given,
                            cmt_probe_options *out, cmt_why *why) {
  cmt_probe_options d = {.network = NAME_DEFAULT,
                         .moniker = NAME_DEFAULT,
                         .protocol_block = BLOCK_DEFAULT,
                         .timeout_ns = TIMEOUT_DEFAULT,
                         .ping_gap_ns = PING_GAP_DEFAULT,
                         .pong_timeout_ns = PONG_TIMEOUT_DEFAULT};
  const cmt__wire *wire;
  cmt_err err = CMT_OK;

  cmt_probe_options_init(out);
  if (given != NULL) {
    err = cmt__sized_read(out, sizeof *out, given, "options", why);
  }
  wire = cmt__wire_of(out->wire); /* The switch refuses one that is unknown. */
  if (wire != NULL) {
    d.ping_gap_ns = cmt__max64(d.ping_gap_ns, wire->pings->answered_gap_ns);
  }
  cmt__or_default(out, &d, network);
  cmt__or_default(out, &d, moniker);
  cmt__or_default(out, &d, protocol_block);
  cmt__or_default(out, &d, timeout_ns);
  cmt__or_default(out, &d, ping_gap_ns);
  cmt__or_default(out, &d, pong_timeout_ns);
  if (err == CMT_OK && out->pings > CMT_PROBE_PINGS_MAX) {
    err = cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                   "pings is %u, allowed is 0 to %d", out->pings,
                   CMT_PROBE_PINGS_MAX);
  }
  return err;
}

static cmt_err fds_check(cmt_why *why) {
  unsigned left = cmt__fds_left(PROBE_FDS);

  return left == PROBE_FDS
           ? CMT_OK
           : cmt__why(why, CMT_EIO, CMT_STAGE_TRANSPORT,
                      "a probe needs %d free descriptors, there are %u: %s",
                      PROBE_FDS, left, strerror(errno));
}

static cmt_err switch_new(cmt_prober *p, cmt_why *why) {
  const cmt_probe_options *o = &p->options;
  const cmt_reactor pinger = {.name = "probe",
                              .channels = o->channels,
                              .channel_count = o->channel_count,
                              .self = p,
                              .add_peer = on_peer,
                              .remove_peer = on_peer_end};
  cmt_switch_options so;

  cmt_switch_options_init(&so);
  so.env = &p->env;
  so.key = o->key;
  so.network = o->network;
  so.moniker = o->moniker;
  so.protocol_block = o->protocol_block;
  so.reactors = &pinger;
  so.reactor_count = 1;
  so.wire = o->wire;
  so.ping_interval_ns = CMT_NEVER;
  so.pong_timeout_ns = o->pong_timeout_ns;
  so.send_rate = o->send_rate;
  so.recv_rate = o->recv_rate;
  so.recv_packet_payload_max = o->recv_packet_payload_max;
  so.any_network = true;
  so.inbound_peers_max = CMT_NO_PEERS;
  so.filter_peer = on_newcomer;
  so.filter_arg = p;
  return cmt_switch_new(&so, &p->sw, why);
}

static cmt_err switch_begin(cmt_prober *p, cmt_why *why) {
  cmt_err err = switch_new(p, why);
  cmt_dial_options d;

  if (err != CMT_OK) {
    return err;
  }
  cmt_dial_options_init(&d);
  d.on_outcome = on_outcome;
  d.arg = p;
  err = cmt__switch_dial_at(p->sw, &p->addr, &d, &p->dial, why);
  if (err == CMT_OK) {
    p->pong.cb = on_pong;
    p->timer = (cmt_timer){.cb = on_timer, .arg = p};
    err = cmt_switch_timer(p->sw, &p->timer, p->options.timeout_ns);
  }
  return err == CMT_OK ? cmt_switch_start(p->sw, why) : err;
}

static cmt_err prober_begin(cmt_prober *p, const char *addr, cmt_why *why) {
  char dialed[CMT_NET_ADDR_TEXT_SIZE] = "";
  cmt_err err = cmt_net_addr_parse(addr, CMT_ADDR_ID_OPTIONAL, &p->addr, why);

  if (err == CMT_OK) {
    err = cmt_net_addr_format(&p->addr, dialed, sizeof dialed);
  }
  if (err == CMT_OK) {
    err = fds_check(why);
  }
  if (err != CMT_OK) {
    return err;
  }
  p->result = result_new(&p->env, dialed, p->options.pings);
  if (p->result == NULL) {
    return cmt__why_plain(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT);
  }
  return switch_begin(p, why);
}

cmt_err cmt_prober_new(const cmt_probe_options *o, const char *addr,
                       cmt_prober **out, cmt_why *why,
                       void (*on_done)(void *arg, cmt_probe_result *r),
                       void *arg) {
  cmt_probe_options full;
  cmt_prober *p;
  cmt_env env;
  cmt_err err = cmt__out_clear(out, why);

  if (err == CMT_OK && on_done == NULL) {
    err = cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT, "on_done is NULL");
  }
  if (err == CMT_OK) {
    err = options_take(o, &full, why);
  }
  if (err != CMT_OK) {
    return err;
  }
  err = cmt__env_copy(full.env, &env);
  if (err != CMT_OK) {
    return cmt__why_plain(why, err, CMT_STAGE_TRANSPORT);
  }
  p = cmt__alloc_zero(&env, sizeof *p);
  if (p == NULL) {
    return cmt__why_plain(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT);
  }
  p->env = env;
  p->on_done = on_done;
  p->arg = arg;
  p->options = full;
  err = prober_begin(p, addr, why);
  if (err != CMT_OK) {
    cmt_prober_delete(p);
    return err;
  }
  *out = p;
  return CMT_OK;
}

void cmt_prober_cancel(cmt_prober *p) { cmt_switch_stop(p->sw, 0); }

void cmt_prober_delete(cmt_prober *p) {
  cmt_env env;

  if (p == NULL) {
    return;
  }
  env = p->env;
  atomic_store(&p->deleted, true);
  CMT_REQUIRE(&env, cmt_switch_close(p->sw, 0) == CMT_OK,
              "cmt_prober_delete: on a thread where a reactor or on_done is "
              "called");
  cmt_probe_result_delete(p->result != NULL ? &p->result->result : NULL);
  cmt__free(&env, p);
}

/* ---- waiting ---- */

typedef struct waiter {
  pthread_mutex_t lock;
  pthread_cond_t done;
  cmt_probe_result *result;
} waiter;

static void waiter_on_done(void *arg, cmt_probe_result *r) {
  waiter *w = arg;

  cmt__lock(&w->lock);
  w->result = r;
  pthread_cond_broadcast(&w->done);
  cmt__unlock(&w->lock);
}

static bool waiter_init(waiter *w) {
  w->result = NULL;
  if (pthread_mutex_init(&w->lock, NULL) != 0) {
    return false;
  }
  if (!cmt__cond_init(&w->done)) {
    pthread_mutex_destroy(&w->lock);
    return false;
  }
  return true;
}

static void waiter_fini(waiter *w) {
  pthread_cond_destroy(&w->done);
  pthread_mutex_destroy(&w->lock);
}

static void waiter_wait(waiter *w) {
  cmt__lock(&w->lock);
  while (w->result == NULL) {
    pthread_cond_wait(&w->done, &w->lock);
  }
  cmt__unlock(&w->lock);
}

cmt_err cmt_probe(const cmt_probe_options *o, const char *addr,
                  cmt_probe_result **out, cmt_why *why) {
  cmt_prober *p;
  waiter w;
  cmt_err err = cmt__out_clear(out, why);

  if (err == CMT_OK && (cmt__thread_is_loop() || cmt__thread_is_worker())) {
    err = cmt__why_plain(why, CMT_EDEADLK, CMT_STAGE_TRANSPORT);
  }
  if (err == CMT_OK && !waiter_init(&w)) {
    err = cmt__why_plain(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT);
  }
  if (err != CMT_OK) {
    return err;
  }
  err = cmt_prober_new(o, addr, &p, why, waiter_on_done, &w);
  if (err == CMT_OK) {
    waiter_wait(&w);
    cmt_prober_delete(p);
    *out = w.result;
    err = w.result->why.err;
    if (why != NULL) {
      *why = w.result->why;
    }
  }
  waiter_fini(&w);
  return err;
}
