/* SPDX-License-Identifier: Apache-2.0 */

/* The strangers.  Each is a connection of the public core over the simulated
   network, driven from the callbacks of its socket and one timer. */

#include "check.h"

#include <stdlib.h>

enum {
  ONE_IN = 3,     /* Seeds with a crowd. */
  HANDSHAKES = 8, /* Limits of the node that a crowd goes to, */
  PLACES = 8,     /* and its inbound peers. */
  /* Each of 80 peers has a floor, and a read of a few strangers is more. */
  QUEUE_TOTAL = 80 * (3 << 10),
  DEAF_QUEUE = 256 << 10, /* Bytes that may wait for one that reads nothing. */
  LIVE_TRIES = 12,        /* Connections of a place while there are faults. */
  EMPTIES = 1500,         /* Messages of a flood, */
  FILLS = 3000,           /* and of all that fill queues, */
  FILL_LEN = 512,         /* of so many bytes. */
  WRITE_MAX = 65536,      /* Bytes of one output. */
  KEY_MESSAGE = 35,
};

const char *sim_crowd_text(sim_crowd_kind k) {
  static const char *const texts[] = {
#define X(name, on, text) text,
    SIM_CROWD_MAP(X)
#undef X
  };

  return texts[k];
}

bool sim_crowd_has_trial(sim_crowd_kind k) {
  static const bool has[] = {
#define X(name, on, text) on,
    SIM_CROWD_MAP(X)
#undef X
  };

  return has[k];
}

static bool has_kind(const sim_crowd *c, sim_crowd_kind k) {
  return c->kind == k;
}

static bool sends_raw(const sim_crowd *c) {
  return has_kind(c, SIM_CROWD_SILENT) || has_kind(c, SIM_CROWD_HALF_KEY) ||
         has_kind(c, SIM_CROWD_KEY);
}

/* ---- the end of a connection ---- */

static void later(sim_stranger *st, uint64_t ns) {
  cmt__loop_timer(st->loop, &st->timer, cmt__loop_now(st->loop) + ns);
}

static void hang_up(sim_stranger *st) {
  if (st->tcp != NULL) {
    cmt__tcp_close(st->tcp);
    st->tcp = NULL;
  }
  cmt_conn_delete(st->conn);
  st->conn = NULL;
  conn_output_fini(&st->out);
  st->out = (conn_output){.base = NULL};
  st->connected = st->up = st->blocked = false;
  if (st->tries > 0) {
    later(st, sim_between(&st->crowd->rng, CMT_MILLISECONDS(2),
                          CMT_MILLISECONDS(40)));
  } else {
    cmt__loop_timer(st->loop, &st->timer, CMT_NEVER);
  }
}

/* ---- what it sends ---- */

static cmt_buf *new_zeros(sim_crowd *c, size_t len) {
  cmt_buf *msg = cmt_buf_new(&c->env.env, len);

  if (len > 0) {
    memset(cmt_buf_data(msg), 0, len);
  }
  return msg;
}

static bool send_zeros(sim_stranger *st, size_t channel, size_t len) {
  cmt_buf *msg = new_zeros(st->crowd, len);
  cmt_err err = cmt_conn_try_send(st->conn, st->crowd->sim->ids[channel], msg,
                                  cmt__loop_now(st->loop));

  if (err != CMT_OK) {
    cmt_buf_unref(msg);
  }
  return err == CMT_OK;
}

/* The longest message of each channel, which its rate never finishes. */
static void send_longest(sim_stranger *st) {
  const sim_node *at = st->crowd->at;

  for (size_t c = 0; c < at->sim->channel_count && st->sends > 0; c++) {
    if (at->has[c]) {
      st->sends -= send_zeros(st, c, at->by_index[c].recv_message_max);
    }
  }
}

/* Who fills queues sends only where there are some. */
static bool takes(const sim_stranger *st, size_t channel) {
  const sim_node *at = st->crowd->at;
  const cmt_reactor *r = &at->reactors[channel % at->sim->reactor_count];

  return at->has[channel] && (!has_kind(st->crowd, SIM_CROWD_FILL) ||
                              r->delivery == CMT_DELIVER_MAILBOX);
}

static void send_short(sim_stranger *st, size_t len) {
  const sim_node *at = st->crowd->at;
  bool any = true;

  while (any && st->sends > 0) {
    any = false;
    for (size_t c = 0; c < at->sim->channel_count && st->sends > 0; c++) {
      size_t max = at->by_index[c].recv_message_max;

      if (takes(st, c) && send_zeros(st, c, cmt__min(len, max))) {
        st->sends--;
        any = true;
      }
    }
  }
}

static void send_more(sim_stranger *st) {
  switch (st->crowd->kind) {
  case SIM_CROWD_DRIP:
    send_longest(st);
    break;
  case SIM_CROWD_FILL:
    send_short(st, FILL_LEN);
    break;
  case SIM_CROWD_EMPTY:
    send_short(st, 0);
    break;
  case SIM_CROWD_SILENT:
  case SIM_CROWD_HALF_KEY:
  case SIM_CROWD_KEY:
  case SIM_CROWD_DEAF:
  case SIM_CROWD_AGAIN:
  case SIM_CROWD_KINDS:
    break;
  }
}

/* ---- a connection ---- */

static void set_deadline(sim_stranger *st) {
  uint64_t at_ns = cmt_conn_deadline(st->conn);

  cmt__loop_timer(st->loop, &st->timer, at_ns);
}

/* False: it has hung up. */
static bool write_out(sim_stranger *st) {
  while (!st->blocked) {
    uint64_t now_ns = cmt__loop_now(st->loop);
    cmt_bytes out = conn_output_lend(&st->out, st->conn, WRITE_MAX, now_ns);
    size_t taken;

    if (out.len == 0) {
      return true;
    }
    if (cmt__tcp_write(st->tcp, out.base, out.len, &taken) != CMT_OK) {
      hang_up(st);
      return false;
    }
    st->blocked = taken < out.len;
    conn_output_consume(&st->out, st->conn, taken, now_ns);
    send_more(st);
  }
  return true;
}

static void on_up(sim_stranger *st) {
  st->up = true;
  st->crowd->lasted++;
  if (has_kind(st->crowd, SIM_CROWD_DEAF)) {
    cmt__tcp_read(st->tcp, false);
  }
  send_more(st);
}

/* False: it has hung up. */
static bool take_events(sim_stranger *st) {
  cmt_conn_event ev;
  cmt_why why;

  while (cmt_conn_next_event(st->conn, &ev)) {
    if (ev.kind == CMT_CONN_UP) {
      on_up(st);
    } else if (ev.kind == CMT_CONN_END) {
      cmt_conn_get_why(st->conn, &why);
      sim_trace(st->crowd->sim->net, "a stranger ends: %s", why.text);
      hang_up(st);
      return false;
    }
  }
  return true;
}

/* The others stay, and fill the node. */
static bool goes_again(const sim_stranger *st) {
  return (st - st->crowd->list) % 2 != 0;
}

static void pump(sim_stranger *st) {
  if (!take_events(st) || !write_out(st)) {
    return;
  }
  if (st->up && has_kind(st->crowd, SIM_CROWD_AGAIN) && goes_again(st)) {
    hang_up(st);
    return;
  }
  set_deadline(st);
}

static cmt_node_info own_info(void) {
  return (cmt_node_info){
    .protocol_p2p = 8,
    .protocol_block = 11,
    .listen_addr = cmt_bytes_of("tcp://10.0.9.1:26656"),
    .network = cmt_bytes_of("sim-net"),
    .version = cmt_bytes_of("0.38.25"),
    .moniker = cmt_bytes_of("stranger"),
  };
}

static void begin_conn(sim_stranger *st) {
  sim_crowd *c = st->crowd;
  cmt_node_info info = own_info();
  cmt_channel channels[SIM_CHANNELS_MAX];
  cmt_conn_options o;

  cmt_conn_options_init(&o);
  for (size_t i = 0; i < c->sim->channel_count; i++) {
    channels[i] = (cmt_channel){
      .id = c->sim->ids[i],
      .priority = 1,
      .send_queue = 32,
      .send_message_max = c->sim->message_max[i],
      .recv_message_max = c->sim->message_max[i],
    };
  }
  o.env = &c->env.env;
  o.key = st->key;
  o.node_info = &info;
  o.channels = channels;
  o.channel_count = c->sim->channel_count;
  o.wire = c->sim->wire;
  o.send_rate = has_kind(c, SIM_CROWD_DRIP) ? 40000 : 0;
  assert_cmt(CMT_OK,
             cmt_conn_new(&o, cmt__loop_now(st->loop), &st->conn, NULL));
}

/* Part of a first message of the handshake that looks right. */
static void send_raw(sim_stranger *st) {
  uint8_t message[KEY_MESSAGE] = {0x22, 0x0a, 0x20};
  size_t len = has_kind(st->crowd, SIM_CROWD_KEY)        ? KEY_MESSAGE
               : has_kind(st->crowd, SIM_CROWD_HALF_KEY) ? KEY_MESSAGE / 2
                                                         : 0;
  size_t taken;

  for (size_t i = 3; i < sizeof message; i++) {
    message[i] = (uint8_t)sim_draw(&st->crowd->entropy);
  }
  if (len > 0 && cmt__tcp_write(st->tcp, message, len, &taken) != CMT_OK) {
    hang_up(st);
  }
}

/* ---- its socket ---- */

/* Little is under way when its reader stops, from its first message on. */
static void make_short(sim_stranger *st) {
  static const sim_weather short_way = {.latency_ns = CMT_MILLISECONDS(1),
                                        .buffer = 4096};
  int side;

  sim_conn_set(st->crowd->sim->net, sim_tcp_conn(st->tcp, &side), &short_way);
}

static void on_connect(void *arg, cmt_err err) {
  sim_stranger *st = arg;

  if (err != CMT_OK) {
    hang_up(st);
    return;
  }
  st->connected = true;
  if (has_kind(st->crowd, SIM_CROWD_DEAF)) {
    make_short(st);
  }
  cmt__tcp_read(st->tcp, true);
  if (sends_raw(st->crowd)) {
    send_raw(st);
  } else {
    begin_conn(st);
    pump(st);
  }
}

static void on_read(void *arg, uint8_t *data, size_t len) {
  sim_stranger *st = arg;

  if (st->conn != NULL) {
    if (cmt_conn_recv(st->conn, data, len, cmt__loop_now(st->loop)) == CMT_OK) {
      pump(st);
    } else {
      hang_up(st);
    }
  }
}

static void on_end(void *arg, cmt_err err) {
  (void)err;
  hang_up(arg);
}

static void on_writable(void *arg) {
  sim_stranger *st = arg;

  st->blocked = false;
  if (st->conn != NULL) {
    pump(st);
  }
}

static void begin(sim_stranger *st) {
  static const cmt__tcp_callbacks callbacks = {.on_connect = on_connect,
                                               .on_read = on_read,
                                               .on_end = on_end,
                                               .on_writable = on_writable};
  cmt_net_addr to = {.port = SIM_PORT};

  if (st->tries == 0) {
    return;
  }
  st->tries--;
  st->crowd->begun++;
  sim_host_ip(st->crowd->at->index, to.host);
  if (cmt__loop_connect(st->loop, &to, &callbacks, st, &st->tcp) != CMT_OK) {
    st->tcp = NULL;
    hang_up(st);
  }
}

static void on_timer(cmt__timer *t) {
  sim_stranger *st =
    (sim_stranger *)((char *)t - offsetof(sim_stranger, timer));

  if (st->conn != NULL) {
    cmt_conn_tick(st->conn, cmt__loop_now(st->loop));
    pump(st);
  } else if (st->tcp == NULL) {
    begin(st);
  }
}

/* ---- the crowd ---- */

static void crowd_entropy(void *arg, void *out, size_t len) {
  sim_crowd *c = arg;
  uint8_t *bytes = out;

  for (size_t i = 0; i < len; i++) {
    bytes[i] = (uint8_t)sim_draw(&c->entropy);
  }
}

static void crowd_panic(void *arg, const char *file, int line,
                        const char *what) {
  sim_crowd *c = arg;

  check_fail(c->sim, CHECK_INVARIANT, "the crowd: %s:%d: %s", file, line, what);
}

static size_t longest(const sim_node *n) {
  size_t len = 0;

  for (size_t c = 0; c < n->sim->channel_count; c++) {
    len = cmt__max(len, n->by_index[c].recv_message_max);
  }
  return len;
}

/* Queues of a channel are wide, for only the total is on trial: a friend that
   fills its own queue delays itself. */
static void fit_channels(sim_node *n, size_t reactor) {
  const cmt_reactor *r = &n->reactors[reactor];

  for (size_t i = 0; i < r->channel_count; i++) {
    cmt_channel *d = &n->channels[reactor][i];

    d->recv_queue = 0;
    d->recv_queue_bytes = 0;
    for (size_t c = 0; c < n->sim->channel_count; c++) {
      if (n->has[c] && n->by_index[c].id == d->id) {
        n->by_index[c] = *d;
      }
    }
  }
}

/* One reactor at least has a mailbox. */
static void fit_queues(const sim_crowd *c) {
  sim_node *n = c->at;

  if (!n->has_mailbox) {
    n->reactors[1].delivery = CMT_DELIVER_MAILBOX;
    n->has_mailbox = true;
  }
  for (size_t i = 0; i < c->sim->reactor_count; i++) {
    if (n->reactors[i].delivery == CMT_DELIVER_MAILBOX) {
      n->reactors[i].recv_queue_bytes_total = QUEUE_TOTAL;
      n->worker_count[i] = 1;
      fit_channels(n, i);
    }
  }
}

/* What a few strangers can fill. */
static void fit_options(sim_crowd *c) {
  cmt_switch_options *o = &c->at->options;

  if (has_kind(c, SIM_CROWD_FILL)) {
    fit_queues(c);
  }
  if (has_kind(c, SIM_CROWD_DRIP)) {
    o->recv_bytes_total_max =
      SIM_FLOORS + longest(c->at) + sim_below(&c->rng, 2 * longest(c->at));
  }
  if (has_kind(c, SIM_CROWD_DEAF)) {
    o->send_bytes_max = cmt__max(o->send_bytes_max, DEAF_QUEUE);
    o->send_bytes_total_max = SIM_FLOORS + longest(c->at) + DEAF_QUEUE;
  }
  o->inbound_peers_max = has_kind(c, SIM_CROWD_AGAIN) ? PLACES : 40;
  o->outbound_peers_max = 40;
  o->inbound_peers_per_ip_max = 0;
  o->handshakes_per_ip_max = CMT_NO_LIMIT;
  o->handshakes_max = sends_raw(c) ? HANDSHAKES : 64;
}

static void stranger_init(sim_stranger *st, sim_crowd *c, size_t i) {
  *st = (sim_stranger){.crowd = c,
                       .loop = c->loops[i % SIM_CROWD_HOSTS],
                       .timer = {.cb = on_timer}};
  if (!sends_raw(c)) {
    assert_cmt(CMT_OK, cmt_node_key_generate(&c->env.env, &st->key));
    cmt_node_key_get_id(st->key, &st->id);
  }
}

static void crowd_env_init(sim_crowd *c) {
  test_env_init(&c->env);
  c->env.env.aead = c->sim->aead;
  c->env.env.entropy = crowd_entropy;
  c->env.env.entropy_arg = c;
  c->env.env.panic = crowd_panic;
  c->env.env.panic_arg = c;
}

/* From numbers of its own, so that a seed without a crowd is what it was before
   there were crowds. */
void sim_crowd_init(sim *s) {
  sim_crowd *c = &s->crowd;

  c->sim = s;
  c->rng = sim_rng_of(s->seed, 3);
  c->entropy = sim_rng_of(s->seed, 4);
  if (!sim_one_in(&c->rng, ONE_IN)) {
    return;
  }
  c->kind = (sim_crowd_kind)sim_below(&c->rng, SIM_CROWD_KINDS);
  if (has_kind(c, SIM_CROWD_FILL) && s->reactor_count < 2) {
    c->kind = SIM_CROWD_EMPTY; /* The only reactor has no queue. */
  }
  if (s->without->crowd[c->kind]) {
    return;
  }
  crowd_env_init(c);
  c->at = &s->nodes[sim_below(&c->rng, s->node_count)];
  c->count = sends_raw(c) || has_kind(c, SIM_CROWD_AGAIN)
               ? SIM_CROWD_MAX
               : sim_between(&c->rng, 2, 12);
  fit_options(c);
  for (unsigned i = 0; i < SIM_CROWD_HOSTS; i++) {
    c->loops[i] = sim_loop_new(s->net, SIM_NODES_MAX + i, &c->env.env);
    assert_cmt(CMT_OK, cmt__loop_reserve_timers(c->loops[i], SIM_CROWD_MAX));
  }
  for (size_t i = 0; i < c->count; i++) {
    stranger_init(&c->list[i], c, i);
  }
  sim_crowd_gather(s, sim_between(&c->rng, 1, LIVE_TRIES));
}

void sim_crowd_gather(sim *s, size_t tries) {
  for (size_t i = 0; i < s->crowd.count; i++) {
    sim_stranger *st = &s->crowd.list[i];

    st->tries = tries;
    st->sends = s->crowd.kind == SIM_CROWD_EMPTY  ? EMPTIES
                : s->crowd.kind == SIM_CROWD_FILL ? FILLS / s->crowd.count
                                                  : SIM_CHANNELS_MAX;
    if (st->tcp == NULL) {
      later(st, sim_below(&s->crowd.rng, CMT_MILLISECONDS(20)));
    }
  }
}

void sim_crowd_last(sim *s) {
  for (size_t i = 0; i < s->crowd.count; i++) {
    s->crowd.list[i].tries = 0;
  }
}

void sim_crowd_greet(sim_crowd *c, cmt_peer *peer) {
  for (size_t i = 0; i < c->sim->channel_count; i++) {
    const cmt_channel *d = &c->at->by_index[i];
    bool more = c->at->has[i] && has_kind(c, SIM_CROWD_DEAF);

    while (more) {
      cmt_buf *msg = cmt_buf_new(NULL, d->send_message_max);

      memset(cmt_buf_data(msg), 0, d->send_message_max);
      more = cmt_peer_try_send(peer, d->id, msg) == CMT_OK;
      if (!more) {
        cmt_buf_unref(msg);
      }
    }
  }
}

void sim_crowd_fill(sim *s) {
  cmt_peer *list[SIM_CROWD_MAX + SIM_NODES_MAX];
  size_t count = cmt_switch_peers(s->crowd.at->sw, list, CMT__COUNT(list));

  for (size_t i = 0; i < cmt__min(count, CMT__COUNT(list)); i++) {
    if (sim_crowd_has(s, cmt_peer_id(list[i]))) {
      sim_crowd_greet(&s->crowd, list[i]);
    }
    cmt_peer_unref(list[i]);
  }
}

void sim_crowd_end(sim *s) {
  for (size_t i = 0; i < s->crowd.count; i++) {
    s->crowd.list[i].tries = 0;
    hang_up(&s->crowd.list[i]);
  }
}

void sim_crowd_fini(sim *s) {
  sim_crowd *c = &s->crowd;

  if (c->count == 0) {
    return;
  }
  sim_crowd_end(s);
  for (size_t i = 0; i < c->count; i++) {
    cmt_node_key_delete(c->list[i].key);
  }
  for (unsigned i = 0; i < SIM_CROWD_HOSTS; i++) {
    cmt__loop_release_timers(c->loops[i], SIM_CROWD_MAX);
    cmt__loop_delete(c->loops[i]);
  }
  CHECK(s, CHECK_LEFT, c->env.live == 0,
        "the crowd: %zu allocations of %zu bytes are left", c->env.live,
        c->env.live_bytes);
}

bool sim_crowd_has(const sim *s, const cmt_node_id *id) {
  for (size_t i = 0; i < s->crowd.count; i++) {
    if (strcmp(s->crowd.list[i].id.text, id->text) == 0) {
      return true;
    }
  }
  return false;
}

bool sim_crowd_begins_anew(const sim_crowd *c) { return sends_raw(c); }

size_t sim_crowd_up(const sim_crowd *c) {
  size_t count = 0;

  for (size_t i = 0; i < c->count; i++) {
    count += c->list[i].up;
  }
  return count;
}
