/* SPDX-License-Identifier: Apache-2.0 */

#include "world.h"

#include "sim.h"
#include "loop_parts.h"
#include "switch/switch.h"

#include <stdlib.h>

enum { PORT = 26656, SEED_INBOUND = 500 };

#define UTC CMT_SECONDS(1800000000)

static uint64_t now(void *arg) {
  const node *n = arg;

  return sim_net_now(n->world->net);
}

static uint64_t utc(void *arg) { return UTC + now(arg); }

static void entropy(void *arg, void *out, size_t len) {
  node *n = arg;
  uint8_t *bytes = out;

  for (size_t i = 0; i < len; i++) {
    bytes[i] = (uint8_t)sim_draw(&n->rng);
  }
}

/* ---- liars ---- */

/* 250 addresses of 250 groups, which nobody has. */
static cmt_buf *lie(node *n) {
  static uint8_t list[3 + 250 * 64];
  uint8_t *at = list + 3;
  size_t len;

  for (int i = 0; i < 250; i++) {
    char id[41], ip[16];
    int ip_len = snprintf(
      ip, sizeof ip, "%u.%u.%u.%u", (unsigned)sim_between(&n->rng, 11, 99),
      (unsigned)sim_below(&n->rng, 256), (unsigned)sim_below(&n->rng, 256), 7u);

    snprintf(id, sizeof id, "%020llx%020llx",
             (unsigned long long)sim_draw(&n->rng),
             (unsigned long long)sim_draw(&n->rng));
    *at++ = 0x0a;
    *at++ = (uint8_t)(44 + ip_len + 4);
    *at++ = 0x0a;
    *at++ = 40;
    memcpy(at, id, 40);
    at += 40;
    *at++ = 0x12;
    *at++ = (uint8_t)ip_len;
    memcpy(at, ip, (size_t)ip_len);
    at += ip_len;
    memcpy(at, "\x18\xa0\xd0\x01", 4);
    at += 4;
  }
  len = (size_t)(at - list) - 3;
  list[0] = 0x12;
  list[1] = (uint8_t)(len & 0x7f) | 0x80;
  list[2] = (uint8_t)(len >> 7);
  return cmt_buf_copy(&n->env.env, list, len + 3);
}

static cmt_err liar_receive(void *self, cmt_peer *p, uint8_t channel,
                            cmt_buf *msg) {
  node *n = self;
  cmt_bytes b = cmt_buf_bytes(msg);

  if (b.len == 2 && b.base[0] == 0x0a) {
    cmt_buf *answer = lie(n);

    if (cmt_peer_try_send(p, channel, answer) != CMT_OK) {
      cmt_buf_unref(answer);
    }
  }
  return CMT_OK;
}

static const cmt_channel liar_channel = {.id = 0, .recv_message_max = 64000};

static const cmt_reactor liar = {.name = "liar",
                                 .channels = &liar_channel,
                                 .channel_count = 1,
                                 .receive = liar_receive};

/* ---- nodes ---- */

static void pex_new(node *n) {
  cmt_addrbook_options b;
  cmt_pex_options o;

  cmt_addrbook_options_init(&b);
  b.env = &n->env.env;
  b.own_ids = &n->id;
  b.own_id_count = 1;
  if (n->book == NULL) {
    assert_cmt(CMT_OK, cmt_addrbook_new(&b, &n->book, NULL));
  }
  cmt_pex_options_init(&o);
  o.env = &n->env.env;
  o.book = n->book;
  o.now = now;
  o.utc = utc;
  o.clock_arg = n;
  o.outbound_max = n->world->target;
  o.seeds = n->kind == NODE_SEED ? NULL : n->world->nodes[0].seeds;
  o.seed = n->kind == NODE_SEED;
  assert_cmt(CMT_OK, cmt_pex_new(&o, &n->pex, NULL));
}

void node_start(node *n) {
  cmt_switch_options o;
  cmt_reactor r = liar;

  r.self = n;
  if (n->kind != NODE_LIAR) {
    pex_new(n);
    cmt_pex_get_reactor(n->pex, &r);
  }
  cmt_switch_options_init(&o);
  o.env = &n->env.env;
  o.key = n->key;
  o.network = "sim-net";
  o.laddr = n->laddr;
  o.reactors = &r;
  o.reactor_count = 1;
  o.inbound_peers_max = n->kind == NODE_SEED ? SEED_INBOUND : 0;
  assert_cmt(CMT_OK, cmt__switch_new_on_each(&o, &n->loop, &n->sw, NULL));
  assert_cmt(CMT_OK, cmt_switch_start(n->sw, NULL));
  if (n->kind == NODE_LIAR) {
    cmt_ignore(cmt_switch_dial(n->sw, n->world->nodes[0].seeds, 0, NULL));
  }
}

void node_stop(node *n) {
  cmt_switch_stop(n->sw, 0);
  while (!cmt__switch_is_finished(n->sw)) {
    (void)sim_net_step(n->world->net, CMT_NEVER);
  }
  assert_cmt(CMT_OK, cmt_switch_delete(n->sw));
  cmt_pex_delete(n->pex);
  n->sw = NULL;
  n->pex = NULL;
}

static void node_init(node *n, world *w, unsigned host, node_kind kind) {
  char ip[16];

  n->world = w;
  n->host = host;
  n->kind = kind;
  n->rng = sim_rng_of(w->seed, 1000 + host);
  test_env_init(&n->env);
  n->env.env.entropy = entropy;
  n->env.env.entropy_arg = n;
  n->env.env.aead = sim_crypto_use(false);
  sim_host_ip(host, ip);
  snprintf(n->laddr, sizeof n->laddr, "%s:%d", ip, PORT);
  assert_cmt(CMT_OK, cmt_node_key_generate(&n->env.env, &n->key));
  cmt_node_key_get_id(n->key, &n->id);
  snprintf(n->seeds, sizeof n->seeds, "%s@%s", n->id.text, n->laddr);
  n->loop = sim_loop_new(w->net, host, &n->env.env);
}

static void node_fini(node *n) {
  if (n->sw != NULL) {
    node_stop(n);
  }
  cmt_addrbook_delete(n->book);
  cmt__loop_delete(n->loop);
  cmt_node_key_delete(n->key);
  test_env_fini(&n->env);
}

/* ---- the world ---- */

/* Every other connection has a way of up to 150 ms. */
static const sim_weather fair = {.odds = {[SIM_LATENCY] = 32768},
                                 .latency_ns = CMT_MILLISECONDS(150),
                                 .bytes_per_s = 1000000,
                                 .buffer = 65536};

void world_rejoin(world *w) {
  sim_net_rejoin(w->net);
  sim_net_calm(w->net, &fair);
}

void world_init(world *w, uint64_t seed, unsigned count, unsigned liars) {
  *w = (world){.seed = seed, .count = count + 1, .target = 10};
  w->rng = sim_rng_of(seed, 2);
  w->net = sim_net_new(seed);
  sim_net_weather(w->net, &fair);
  w->nodes = calloc(w->count, sizeof *w->nodes);
  assert_non_null(w->nodes);
  for (unsigned i = 0; i < w->count; i++) {
    node_init(&w->nodes[i], w, i,
              i == 0                            ? NODE_SEED
              : sim_below(&w->rng, 100) < liars ? NODE_LIAR
                                                : NODE_HONEST);
  }
}

void world_fini(world *w) {
  for (unsigned i = 0; i < w->count; i++) {
    if (w->nodes[i].sw != NULL) {
      cmt_switch_stop(w->nodes[i].sw, 0);
    }
  }
  for (unsigned i = 0; i < w->count; i++) {
    node_fini(&w->nodes[i]);
  }
  sim_net_delete(w->net);
  free(w->nodes);
}

void world_pass(world *w, uint64_t ns) {
  uint64_t until_ns = sim_net_now(w->net) + ns;

  while (sim_net_step(w->net, until_ns)) {
  }
}

unsigned world_lacking(const world *w) {
  unsigned lacking = 0;

  for (unsigned i = 0; i < w->count; i++) {
    const node *n = &w->nodes[i];
    cmt_switch_status st;

    if (n->kind == NODE_HONEST && n->sw != NULL) {
      cmt_switch_get_status(n->sw, &st);
      lacking +=
        st.outbound_peers < w->target &&
        (w->others == 0 || st.outbound_peers + st.inbound_peers < w->others);
    }
  }
  return lacking;
}

unsigned world_seconds_to_target(world *w, unsigned limit) {
  for (unsigned s = 1; s <= limit; s++) {
    world_pass(w, CMT_SECONDS(1));
    if (world_lacking(w) == 0) {
      return s;
    }
  }
  return limit + 1;
}
