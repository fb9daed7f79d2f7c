/* SPDX-License-Identifier: Apache-2.0 */

/* The options of a switch: their defaults, their checks, and copies that live
   as long as it.  What passes here cannot be refused later, when a connection
   is made. */

#include "setup.h"

#include "core/conn/conn.h"
#include "core/conn/net_addr.h"
#include "core/conn/node_info.h"
#include "crypto/node_key.h"
#include "base/sized.h"
#include "net/uv/loop_uv.h"

#include <cometp2p/version.h>

#include <errno.h>
#include <stdio.h>

/* The defaults of the options of these names. */
enum {
  HANDSHAKES_MAX = 64,
  HANDSHAKES_PER_IP_MAX = 8,
  DIALS_MAX = 64,
  IP6_PREFIX_LEN = 64,
  HANDSHAKE_OFFLOAD_RATE = 250,
  OFFLOAD_RATE_MAX = 1000000,
};
#define FILTER_TIMEOUT CMT_SECONDS(5)

void cmt_switch_options_init_sized(cmt_switch_options *o, size_t size) {
  cmt_conn_options c;
  cmt_switch_options full;

  cmt_conn_options_init(&c);
  full = (cmt_switch_options){
    .moniker = "cometp2p",
    .loops = 1,
    .version = cmt_version(),
    .protocol_p2p = 8,
    .protocol_block = 11,
    .ping_interval_ns = c.ping_interval_ns,
    .pong_timeout_ns = c.pong_timeout_ns,
    .dial_timeout_ns = CMT_SECONDS(3),
    .handshake_timeout_ns = c.handshake_timeout_ns,
    .send_packet_payload_max = c.send_packet_payload_max,
    .recv_packet_payload_max = c.recv_packet_payload_max,
    .partial_message_max_ns = c.partial_message_max_ns,
    .stall_max_ns = CMT_SECONDS(600),
    .queue_delay_target_ns = CMT_MILLISECONDS(1) / 2,
    .inbound_peers_max = 40,
    .outbound_peers_max = 40,
    .handshakes_max = HANDSHAKES_MAX,
    .handshakes_per_ip_max = HANDSHAKES_PER_IP_MAX,
    .dials_max = DIALS_MAX,
    .ip6_prefix_len = IP6_PREFIX_LEN,
    .filter_timeout_ns = FILTER_TIMEOUT,
    .send_bytes_max = (size_t)32 << 20,
    .handshake_offload_rate = HANDSHAKE_OFFLOAD_RATE,
  };
  cmt__sized_write(o, size, &full, sizeof full);
}

static cmt_err refuse(cmt_why *why, const char *text) {
  return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT, "%s", text);
}

static cmt_err no_memory(cmt_why *why) {
  return cmt__why_plain(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT);
}

/* Only some may be used by a process without privileges. */
static cmt_err congestion_check(const cmt_switch_options *o, cmt__loop *loop,
                                cmt_why *why) {
  int error = o->congestion == NULL ? 0
              : loop == NULL ? cmt__loop_uv_congestion_check(o->congestion)
                             : cmt__loop_congestion_check(loop, o->congestion);
  const char *reason = error == ENOENT  ? "the system has none of that name"
                       : error == EPERM ? "only a privileged process may"
                                        : strerror(error);
  char name[64];

  if (error == 0) {
    return CMT_OK;
  }
  cmt__quote(cmt_bytes_of(o->congestion), name, sizeof name);
  return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                  "congestion: cannot use \"%s\": %s", name, reason);
}

/* ---- texts, key and addresses ---- */

static bool copy_text(const cmt_env *env, const char *text, char **out) {
  size_t size = text != NULL ? strlen(text) + 1 : 1;

  *out = cmt__alloc(env, size);
  if (*out != NULL) {
    memcpy(*out, text != NULL ? text : "", size);
  }
  return *out != NULL;
}

static cmt_err texts_take(cmt__switch_setup *s, const cmt_env *env,
                          const cmt_switch_options *o, cmt_why *why) {
  if (o->network == NULL || o->network[0] == '\0') {
    return refuse(why, "network is not set: it is the chain id of the nodes "
                       "to meet");
  }
  if (!copy_text(env, o->network, &s->network) ||
      !copy_text(env, o->moniker, &s->moniker) ||
      !copy_text(env, o->version, &s->version) ||
      (o->external_address != NULL &&
       !copy_text(env, o->external_address, &s->external_address)) ||
      (o->congestion != NULL &&
       !copy_text(env, o->congestion, &s->congestion))) {
    return no_memory(why);
  }
  s->options.congestion = s->congestion;
  s->link = (cmt__link_options){
    .compute = {.begin = cmt__conn_compute_begin, .end = cmt__conn_compute_end},
    .ping_interval_ns = o->ping_interval_ns,
    .pong_timeout_ns = o->pong_timeout_ns,
    .stall_max_ns = o->stall_max_ns,
    .flush_throttle_ns = o->flush_throttle_ns,
    .queue_delay_target_ns = o->queue_delay_target_ns,
    .congestion = s->congestion,
  };
  return CMT_OK;
}

static cmt_err unconditional_check(const cmt_node_id *ids, size_t count,
                                   cmt_why *why) {
  if (count > CMT_UNCONDITIONAL_MAX) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "unconditional_count is %zu, allowed is 0 to %d", count,
                    CMT_UNCONDITIONAL_MAX);
  }
  if (count > 0 && ids == NULL) {
    return refuse(why, "unconditional_count is set and unconditional is not");
  }
  return CMT_OK;
}

static cmt_err ids_read(const cmt_node_id *ids, size_t count, cmt_node_id *out,
                        cmt_why *why) {
  for (size_t i = 0; i < count; i++) {
    cmt_node_id id = ids[i];

    id.text[sizeof id.text - 1] = '\0';
    if (!cmt__node_id_read(cmt_bytes_of(id.text), &out[i])) {
      return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                      "unconditional: element %zu is not 40 hex digits", i);
    }
  }
  return CMT_OK;
}

cmt_err cmt__unconditional_copy(const cmt_env *env, const cmt_node_id *ids,
                                size_t count, cmt_node_id **out, cmt_why *why) {
  cmt_err err = unconditional_check(ids, count, why);

  *out = NULL;
  if (err != CMT_OK || count == 0) {
    return err;
  }
  *out = cmt__alloc(env, count * sizeof **out);
  if (*out == NULL) {
    return no_memory(why);
  }
  err = ids_read(ids, count, *out, why);
  if (err != CMT_OK) {
    cmt__free(env, *out);
    *out = NULL;
  }
  return err;
}

static cmt_err key_take(cmt__switch_setup *s, const cmt_env *env,
                        const cmt_switch_options *o, cmt_why *why) {
  if (o->key != NULL) {
    s->key = cmt__node_key_ref(o->key);
  } else {
    cmt_err err = cmt_node_key_generate(env, &s->key);

    if (err != CMT_OK) {
      return cmt__why(why, err, CMT_STAGE_TRANSPORT, "cannot make a key: %s",
                      cmt_err_text(err));
    }
  }
  cmt_node_key_get_id(s->key, &s->id);
  return CMT_OK;
}

void cmt__setup_set_laddr(cmt__switch_setup *s, const cmt_net_addr *at) {
  static const char scheme[] = "tcp://";
  size_t len = strlen(scheme);
  cmt_net_addr bare = *at, announced;

  bare.id.text[0] = '\0';
  announced = bare;
  cmt__net_addr_drop_zone(&announced);
  memcpy(s->listen_addr, scheme, len);
  if (cmt_net_addr_format(&announced, s->listen_addr + len,
                          sizeof s->listen_addr - len) != CMT_OK) {
    memcpy(s->listen_addr, CMT__NOT_LISTENING, sizeof CMT__NOT_LISTENING);
  }
  s->laddr = bare;
  s->laddr.id = s->id;
}

static cmt_err laddr_take(cmt__switch_setup *s, const cmt_switch_options *o,
                          cmt_why *why) {
  char canonical[sizeof s->laddr.host];
  cmt_net_addr at;
  cmt_err err;

  memcpy(s->listen_addr, CMT__NOT_LISTENING, sizeof CMT__NOT_LISTENING);
  if (o->laddr == NULL) {
    return CMT_OK;
  }
  err = cmt_net_addr_parse(o->laddr, CMT_ADDR_LISTEN, &at, why);
  if (err != CMT_OK) {
    return err;
  }
  if (!cmt__ip_canonical(cmt_bytes_of(at.host), canonical, sizeof canonical)) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "laddr: %.128s is not an IP address", at.host);
  }
  s->listens = true;
  cmt__setup_set_laddr(s, &at);
  return CMT_OK;
}

/* ---- what connections are made with ---- */

void cmt__setup_conn_options(const cmt__switch_setup *s, const cmt_env *env,
                             cmt_node_info *info, cmt_conn_options *out) {
  const cmt_switch_options *o = &s->options;

  *info = (cmt_node_info){
    .protocol_p2p = o->protocol_p2p,
    .protocol_block = o->protocol_block,
    .protocol_app = o->protocol_app,
    .id = cmt_bytes_of(s->id.text),
    .listen_addr = cmt_bytes_of(
      s->external_address != NULL ? s->external_address : s->listen_addr),
    .network = cmt_bytes_of(s->network),
    .version = cmt_bytes_of(s->version),
    .channels = {.base = s->reactors.channel_ids,
                 .len = s->reactors.channel_count},
    .moniker = cmt_bytes_of(s->moniker),
    .tx_index = cmt_bytes_of("off"),
  };
  cmt_conn_options_init(out);
  out->env = env;
  out->key = s->key;
  out->node_info = info;
  out->any_network = o->any_network;
  out->wire = o->wire;
  out->channels = s->reactors.channels;
  out->channel_count = s->reactors.channel_count;
  out->group = s->group;
  out->handshake_timeout_ns = o->handshake_timeout_ns;
  out->ping_interval_ns = o->ping_interval_ns;
  out->pong_timeout_ns = o->pong_timeout_ns;
  out->send_packet_payload_max = o->send_packet_payload_max;
  out->recv_packet_payload_max = o->recv_packet_payload_max;
  out->recv_bytes_max = o->recv_bytes_max;
  out->partial_message_max_ns = o->partial_message_max_ns;
  out->send_rate = o->send_rate;
  out->recv_rate = o->recv_rate;
}

/* What every connection is made with is checked here, once; |expect_id| comes
   later.  A port that is picked at the start has up to five digits. */
static cmt_err conn_check(cmt__switch_setup *s, const cmt_env *env,
                          cmt_why *why) {
  cmt_net_addr at = s->laddr, longest = at;
  bool picked = s->listens && at.port == 0;
  cmt_conn_options o;
  cmt_node_info info;
  cmt_err err;

  longest.port = UINT16_MAX;
  if (picked) {
    cmt__setup_set_laddr(s, &longest);
  }
  cmt__setup_conn_options(s, env, &info, &o);
  err = cmt__conn_options_check(&o, s->group, why);
  if (picked) {
    cmt__setup_set_laddr(s, &at);
  }
  return err;
}

cmt_err cmt__setup_one_loop(const cmt_switch_options *o, cmt_why *why) {
  if (o->loops == 1) {
    return CMT_OK;
  }
  return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                  "loops is %u, and a switch on the caller's loop has 1",
                  o->loops);
}

/* ---- all of them ---- */

static cmt_err rate_check(const char *name, uint64_t found, cmt_why *why) {
  if (found <= CMT_RATE_MAX) {
    return CMT_OK;
  }
  return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                  "%s is %llu, allowed is 0 to %llu bytes per second", name,
                  (unsigned long long)found, (unsigned long long)CMT_RATE_MAX);
}

static cmt_err peers_check(const char *name, uint32_t found, cmt_why *why) {
  if (found <= CMT_PEERS_MAX) {
    return CMT_OK;
  }
  return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                  "%s is %lu, allowed is 1 to %d, or CMT_NO_PEERS", name,
                  (unsigned long)found, CMT_PEERS_MAX);
}

static cmt_err offload_check(const cmt_switch_options *o, cmt_why *why) {
  if (o->handshake_threads > CMT_HANDSHAKE_THREADS_MAX &&
      o->handshake_threads != CMT_NO_HANDSHAKE_THREADS) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "handshake_threads is %lu, allowed is 0 to %d, or "
                    "CMT_NO_HANDSHAKE_THREADS",
                    (unsigned long)o->handshake_threads,
                    CMT_HANDSHAKE_THREADS_MAX);
  }
  if (o->handshake_offload_rate > OFFLOAD_RATE_MAX) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "handshake_offload_rate is %lu, allowed is 0 to %d "
                    "handshakes per second",
                    (unsigned long)o->handshake_offload_rate, OFFLOAD_RATE_MAX);
  }
  return CMT_OK;
}

static cmt_err limits_check(const cmt_switch_options *o, cmt_why *why) {
  cmt_err err = peers_check("inbound_peers_max", o->inbound_peers_max, why);

  if (err == CMT_OK) {
    err = peers_check("outbound_peers_max", o->outbound_peers_max, why);
  }
  if (err == CMT_OK) {
    err = rate_check("send_rate_total", o->send_rate_total, why);
  }
  if (err == CMT_OK) {
    err = rate_check("recv_rate_total", o->recv_rate_total, why);
  }
  if (err == CMT_OK && o->ip6_prefix_len > 128) {
    err = cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                   "ip6_prefix_len is %lu, allowed is 0 to 128",
                   (unsigned long)o->ip6_prefix_len);
  }
  return err;
}

/* What is 0 has its default, and what is nothing is 0 from here on. */
static void options_default(cmt_switch_options *o) {
  cmt_switch_options d;

  cmt_switch_options_init(&d);
  cmt__or_default(o, &d, moniker);
  cmt__or_default(o, &d, version);
  cmt__or_default(o, &d, protocol_p2p);
  cmt__or_default(o, &d, protocol_block);
  cmt__or_default(o, &d, loops);
  cmt__or_default(o, &d, ping_interval_ns);
  cmt__or_default(o, &d, pong_timeout_ns);
  cmt__or_default(o, &d, partial_message_max_ns);
  cmt__or_default(o, &d, stall_max_ns);
  cmt__or_default(o, &d, queue_delay_target_ns);
  cmt__or_default(o, &d, dial_timeout_ns);
  cmt__or_default(o, &d, handshake_timeout_ns);
  cmt__or_default(o, &d, send_packet_payload_max);
  cmt__or_default(o, &d, recv_packet_payload_max);
  cmt__or_default(o, &d, inbound_peers_max);
  cmt__or_default(o, &d, outbound_peers_max);
  cmt__or_default(o, &d, handshakes_max);
  cmt__or_default(o, &d, handshakes_per_ip_max);
  cmt__or_default(o, &d, dials_max);
  cmt__or_default(o, &d, ip6_prefix_len);
  cmt__or_default(o, &d, send_bytes_max);
  cmt__or_default(o, &d, filter_timeout_ns);
  cmt__or_default(o, &d, handshake_offload_rate);
  if (o->inbound_peers_per_ip_max == 0) {
    o->inbound_peers_per_ip_max = CMT_NO_LIMIT;
  }
  if (o->inbound_peers_max == CMT_NO_PEERS) {
    o->inbound_peers_max = 0;
  }
  if (o->outbound_peers_max == CMT_NO_PEERS) {
    o->outbound_peers_max = 0;
  }
  if (o->queue_delay_target_ns == CMT_NO_DELAY_TARGET) {
    o->queue_delay_target_ns = 0;
  }
}

static cmt_err numbers_check(const cmt_switch_options *o, cmt__loop *loop,
                             cmt_why *why) {
  if (o->loops > CMT_LOOPS_MAX) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "loops is %u, allowed is 1 to %d", o->loops, CMT_LOOPS_MAX);
  }
  if (offload_check(o, why) != CMT_OK) {
    return CMT_EINVAL;
  }
  if (congestion_check(o, loop, why) != CMT_OK) {
    return CMT_EINVAL;
  }
  return limits_check(o, why);
}

static cmt_err any_network_check(const cmt_switch_options *o, cmt_why *why) {
  if (!cmt__is_bool(&o->any_network)) {
    return refuse(why, "any_network is neither true nor false: use the init "
                       "macro");
  }
  if (o->any_network && o->laddr != NULL) {
    return refuse(why, "any_network and laddr are both set: only a switch that "
                       "does not listen may take any network");
  }
  return CMT_OK;
}

/* The limits of all connections together come at the start. */
static cmt_err group_take(cmt__switch_setup *s, const cmt_env *env,
                          cmt_why *why) {
  const cmt_conn_group_options o = cmt__conn_group_options(
    env, s->reactors.channel_count > 0 ? s->reactors.channels : NULL,
    s->reactors.channel_count);

  return cmt_conn_group_new(&o, 0, &s->group, why);
}

cmt_err cmt__setup_init(cmt__switch_setup *s, const cmt_env *env,
                        const cmt_switch_options *o, cmt__loop *loop,
                        cmt_why *why) {
  cmt_err err;

  memset(s, 0, sizeof *s);
  s->options = *o;
  o = &s->options;
  options_default(&s->options);
  err = numbers_check(o, loop, why);
  if (err == CMT_OK) {
    err = any_network_check(o, why);
  }
  if (err == CMT_OK) {
    err = texts_take(s, env, o, why);
  }
  if (err == CMT_OK) {
    err = cmt__reactor_list_init(&s->reactors, env, o->reactors,
                                 o->reactor_count, why);
  }
  if (err == CMT_OK) {
    err = group_take(s, env, why);
  }
  if (err == CMT_OK) {
    err = cmt__floors_compute(&s->options, s->reactors.channels,
                              s->reactors.channel_count, &s->floors, why);
  }
  if (err == CMT_OK) {
    err = key_take(s, env, o, why);
  }
  if (err == CMT_OK) {
    err = cmt__unconditional_copy(env, o->unconditional, o->unconditional_count,
                                  &s->unconditional, why);
    s->unconditional_count = o->unconditional_count;
  }
  if (err == CMT_OK) {
    err = laddr_take(s, o, why);
  }
  if (err == CMT_OK) {
    err = conn_check(s, env, why);
  }
  if (err != CMT_OK) {
    cmt__setup_fini(s, env);
  }
  return err;
}

void cmt__setup_fini(cmt__switch_setup *s, const cmt_env *env) {
  cmt__free(env, s->network);
  cmt__free(env, s->moniker);
  cmt__free(env, s->version);
  cmt__free(env, s->external_address);
  cmt__free(env, s->congestion);
  cmt__free(env, s->unconditional);
  cmt__reactor_list_fini(&s->reactors, env);
  cmt__conn_group_unref(s->group);
  cmt_node_key_delete(s->key);
}
