/* SPDX-License-Identifier: Apache-2.0 */
/* probe: what a node says of itself, and how long it takes to answer.  A node
   closes without a word when it does not like what we claim, so a first probe
   learns what to claim, and a second one claims it and pings. */

#include "cli/ui/events.h"
#include "cli/roles/node.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

enum {
  FIRST_FOR_S = 3, /* Another probe is over by then. */
  RETRY_FOR_S = 5,
  RETRY_GAP_MS = 250,
};

/* What we say of ourselves. */
typedef struct claim {
  char network[CMT_NODE_INFO_MAX];
  uint64_t block;
  cmt_channel channels[CMT_CHANNELS_MAX];
  size_t channel_count;
} claim;

typedef struct probe {
  const cli_options *o;
  cli_io *io;
  cmt_env env;
  cmt_node_key *key;
  cmt_net_addr addr;
  char dialed[CMT_NET_ADDR_TEXT_SIZE]; /* What is probed next. */
  claim claim;
  uint32_t pings; /* How many the next probe sends. */
  cmt_why why;    /* Why the last one was none, without a result. */
  cmt_probe_result *result;
  pthread_mutex_t lock; /* Over |done|, which the prober's thread sets. */
  cmt_probe_result *done;
} probe;

static void claim_channels(claim *c, const cli_options *o) {
  memcpy(c->channels, o->channels, sizeof c->channels);
  c->channel_count = o->channel_count;
}

static void claim_own(claim *c, const cli_options *o) {
  snprintf(c->network, sizeof c->network, "%s", o->network);
  c->block = 11;
  claim_channels(c, o);
}

/* Claims what the node said of itself, but channels that were given; a text
   that is not one C string can be claimed only up to its NUL. */
static void claim_theirs(claim *c, const cli_options *o,
                         const cmt_node_info *info) {
  memset(c, 0, sizeof *c);
  c->block = info->protocol_block;
  if (info->network.len > 0 && info->network.len < sizeof c->network) {
    memcpy(c->network, info->network.base, info->network.len);
  }
  if (o->channels_given) {
    claim_channels(c, o);
    return;
  }
  c->channel_count = info->channels.len < CMT_CHANNELS_MAX ? info->channels.len
                                                           : CMT_CHANNELS_MAX;
  for (size_t i = 0; i < c->channel_count; i++) {
    c->channels[i] = (cmt_channel){
      .id = info->channels.base[i],
      .priority = 1,
      .recv_message_max = CMT_MESSAGE_DEFAULT,
    };
  }
}

/* ---- one probe ---- */

/* A node of the legacy profile answers pings that are half an interval
   apart. */
static void options_of(const probe *p, cmt_probe_options *out) {
  const cli_options *o = p->o;

  cmt_probe_options_init(out);
  out->env = &p->env;
  out->key = p->key;
  out->network = p->claim.network;
  out->moniker = o->moniker;
  out->protocol_block = p->claim.block;
  out->wire = o->wire;
  out->timeout_ns = CMT_NEVER; /* Each of its steps has its own. */
  out->channels = p->claim.channel_count > 0 ? p->claim.channels : NULL;
  out->channel_count = p->claim.channel_count;
  out->pings = p->pings;
  out->ping_gap_ns = o->wire == CMT_WIRE_LEGACY ? o->ping_interval_ns / 2 : 0;
  out->pong_timeout_ns = o->pong_timeout_ns;
  out->send_rate = o->send_rate;
  out->recv_rate = o->recv_rate;
  out->recv_packet_payload_max =
    o->packet_payload > CMT_PACKET_PAYLOAD_RECV ? o->packet_payload : 0;
}

static void probe_on_done(void *arg, cmt_probe_result *r) {
  probe *p = arg;

  pthread_mutex_lock(&p->lock);
  p->done = r;
  pthread_mutex_unlock(&p->lock);
  cli_waiter_wake(&p->io->wait);
}

static cmt_probe_result *probe_done(probe *p) {
  cmt_probe_result *r;

  pthread_mutex_lock(&p->lock);
  r = p->done;
  pthread_mutex_unlock(&p->lock);
  return r;
}

/* A signal ends the probe, which reports how far it came. */
static void probe_wait(probe *p, cmt_prober *prober) {
  bool cancelled = false;

  while (probe_done(p) == NULL) {
    if (p->io->wait.interrupted && !cancelled) {
      cancelled = true;
      cmt_prober_cancel(prober);
    }
    cli_waiter_wait(&p->io->wait, CMT_NEVER);
  }
}

static bool probe_once(probe *p) {
  cmt_probe_options o;
  cmt_prober *prober;

  cmt_probe_result_delete(p->result);
  p->result = p->done = NULL;
  options_of(p, &o);
  if (cmt_prober_new(&o, p->dialed, &prober, &p->why, probe_on_done, p) !=
      CMT_OK) {
    return false;
  }
  probe_wait(p, prober);
  cmt_prober_delete(prober);
  p->result = p->done;
  p->why = p->result->why;
  if (p->why.err == CMT_ECANCELED) {
    snprintf(p->why.text, sizeof p->why.text, "interrupted");
  }
  return p->why.err == CMT_OK;
}

static bool is_known(const probe *p) {
  return p->result != NULL && p->result->node_info.id.len > 0;
}

static bool is_hang_up(const cmt_why *why) {
  return why->err == CMT_EEOF || why->err == CMT_ERESET;
}

/* When the node hung up in silence after it had our node info, compares the
   two as it did.  True: that gave a reason, in |*why|. */
static bool infer(const probe *p, cmt_why *why) {
  uint8_t channels[CMT_CHANNELS_MAX];
  cmt_node_info ours = {
    .protocol_p2p = 8,
    .protocol_block = p->claim.block,
    .network = cmt_bytes_of(p->claim.network),
    .channels = {channels, p->claim.channel_count},
  };
  cmt_why seen_by_them;

  if (!is_known(p) || p->result->rtt_count > 0 || !is_hang_up(why)) {
    return false;
  }
  for (size_t i = 0; i < p->claim.channel_count; i++) {
    channels[i] = p->claim.channels[i].id;
  }
  if (cmt_node_info_compatible(&ours, &p->result->node_info, &seen_by_them) ==
      CMT_OK) {
    return false;
  }
  if (cmt_node_info_compatible(&p->result->node_info, &ours, why) == CMT_OK) {
    *why = seen_by_them;
  }
  return true;
}

/* ---- probes until there is an answer ---- */

/* The node may hold the first connection for a moment, and then refuses the
   second one for its address: it hangs up at once. */
static bool is_held(const probe *p) {
  cmt_why why = p->why;

  return is_hang_up(&why) && p->result != NULL && p->result->rtt_count == 0 &&
         !infer(p, &why) && !p->io->wait.interrupted;
}

/* Tries until the node no longer holds another connection of ours, or of
   somebody else here: one that takes one connection of an address hangs up at
   once on any other. */
static bool probe_free(probe *p, unsigned for_s) {
  uint64_t until_ns = cli_now_ns() + CMT_SECONDS(for_s);

  while (!probe_once(p)) {
    if (!is_held(p) || cli_now_ns() >= until_ns) {
      return false;
    }
    cli_waiter_wait(&p->io->wait, CMT_MILLISECONDS(RETRY_GAP_MS));
  }
  return true;
}

/* The next probe is of the same node, at the address of the name where it was
   found. */
static void aim(probe *p) {
  cmt_net_addr at;

  if (cmt_net_addr_parse(p->result->remote, CMT_ADDR_ID_OPTIONAL, &at, NULL) ==
      CMT_OK) {
    at.id = p->result->id;
    cmt_ignore(cmt_net_addr_format(&at, p->dialed, sizeof p->dialed));
  }
}

static bool probe_learned(probe *p) {
  p->claim.channel_count = 0;
  p->pings = 0;
  if (!probe_free(p, FIRST_FOR_S)) {
    return false;
  }
  claim_theirs(&p->claim, p->o, &p->result->node_info);
  aim(p);
  p->pings = p->o->pings;
  return probe_free(p, RETRY_FOR_S);
}

/* ---- output ---- */

static json_t *number_text(uint64_t number) {
  char text[24];

  snprintf(text, sizeof text, "%llu", (unsigned long long)number);
  return json_string(text);
}

static json_t *channels_json(cmt_bytes channels) {
  char text[2 * CMT_NODE_INFO_MAX + 1] = "";

  for (size_t i = 0; i < channels.len && i < CMT_NODE_INFO_MAX; i++) {
    snprintf(text + 2 * i, 3, "%02X", channels.base[i]);
  }
  return json_string(text);
}

static json_t *node_info_json(const cmt_node_info *i) {
  return json_pack(
    "{s:{s:o, s:o, s:o}, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o}}",
    "protocol_version", "p2p", number_text(i->protocol_p2p), "block",
    number_text(i->protocol_block), "app", number_text(i->protocol_app), "id",
    cli_json_text(i->id), "listen_addr", cli_json_text(i->listen_addr),
    "network", cli_json_text(i->network), "version", cli_json_text(i->version),
    "channels", channels_json(i->channels), "moniker",
    cli_json_text(i->moniker), "other", "tx_index", cli_json_text(i->tx_index),
    "rpc_address", cli_json_text(i->rpc_address));
}

static bool is_verified(const probe *p) { return p->addr.id.text[0] != '\0'; }

static double to_ms(uint64_t ns) { return (double)(ns / 1000) / 1000; }

static void print_json(const probe *p) {
  const cmt_probe_result *r = p->result;
  json_t *times = json_array();

  for (size_t i = 0; i < r->rtt_count; i++) {
    json_array_append_new(times, json_real(to_ms(r->rtts_ns[i])));
  }
  cli_print_json(p->io,
                 json_pack("{s:s, s:s, s:b, s:s, s:o, s:f, s:o}", "event",
                           "probe", "id", r->id.text, "verified",
                           is_verified(p), "remote", r->remote, "node_info",
                           node_info_json(&r->node_info), "handshake_ms",
                           to_ms(r->handshake_ns), "rtt_ms", times),
                 NULL);
}

static void print_row(const probe *p, const char *name, const char *value) {
  char line[1200];
  int len = snprintf(line, sizeof line, "%-12s %s", name, value);

  cli_output_line(p->io->out, line,
                  (size_t)len < sizeof line ? (size_t)len : sizeof line - 1,
                  NULL);
}

static void print_field(const probe *p, const char *name, cmt_bytes value) {
  char text[1100];

  cmt_text_escape(value, text, sizeof text);
  if (value.len > 0) {
    print_row(p, name, text);
  }
}

static void print_node_info(const probe *p, const cmt_node_info *i) {
  char text[128] = "";

  print_field(p, "moniker", i->moniker);
  print_field(p, "network", i->network);
  print_field(p, "version", i->version);
  snprintf(text, sizeof text, "p2p %llu, block %llu, app %llu",
           (unsigned long long)i->protocol_p2p,
           (unsigned long long)i->protocol_block,
           (unsigned long long)i->protocol_app);
  print_row(p, "protocol", text);
  text[0] = '\0';
  for (size_t c = 0; c < i->channels.len && c < CMT_CHANNELS_MAX; c++) {
    snprintf(text + strlen(text), sizeof text - strlen(text), "%s0x%02x",
             c == 0 ? "" : " ", i->channels.base[c]);
  }
  print_row(p, "channels", text);
  print_field(p, "listens at", i->listen_addr);
  print_field(p, "tx index", i->tx_index);
  print_field(p, "rpc", i->rpc_address);
}

static void print_text(const probe *p) {
  const cmt_probe_result *r = p->result;
  char text[256];

  snprintf(text, sizeof text, "%s (%s)", r->id.text,
           is_verified(p) ? "verified" : "unverified: no id was given");
  print_row(p, "node", text);
  print_row(p, "address", r->remote);
  print_node_info(p, &r->node_info);
  snprintf(text, sizeof text, "%.3f ms", to_ms(r->handshake_ns));
  print_row(p, "handshake", text);
  for (size_t i = 0; i < r->rtt_count; i++) {
    snprintf(text, sizeof text, "%.3f ms", to_ms(r->rtts_ns[i]));
    print_row(p, "ping", text);
  }
}

static void report_failure(const probe *p) {
  const cmt_probe_result *r = p->result;
  cmt_why why = p->why;
  bool inferred = infer(p, &why);
  char dialed[CMT_NET_ADDR_TEXT_SIZE];

  if (cmt_net_addr_format(&p->addr, dialed, sizeof dialed) != CMT_OK) {
    dialed[0] = '\0';
  }
  if (p->io->json) {
    (void)cli_event_rejected(
      p->io,
      &(cmt_rejection){
        .remote = r != NULL ? r->remote : dialed,
        .dialed = dialed,
        .id = r != NULL && r->id.text[0] != '\0' ? &r->id : NULL,
        .outbound = true,
        .why = why,
      },
      inferred);
  }
  cli_io_error(p->io, "%s: %s%s", p->o->args[0], why.text,
               inferred ? " (inferred: the node hung up in silence)" : "");
}

/* ---- the verb ---- */

static bool probe_open(probe *p) {
  if (!cli_env_init(&p->env, p->io) ||
      !cli_load_key(p->o, p->io, &p->env, &p->key)) {
    return false;
  }
  if (p->key == NULL && cmt_node_key_generate(&p->env, &p->key) != CMT_OK) {
    cli_io_error(p->io, "cannot make a key: out of memory");
    return false;
  }
  snprintf(p->dialed, sizeof p->dialed, "%s", p->o->args[0]);
  p->pings = p->o->pings;
  claim_own(&p->claim, p->o);
  return true;
}

static int probe_verb(probe *p) {
  bool ok;

  if (!probe_open(p)) {
    return CLI_FAILED;
  }
  pthread_mutex_init(&p->lock, NULL);
  ok = p->o->network_given ? probe_free(p, FIRST_FOR_S) : probe_learned(p);
  if (!ok) {
    report_failure(p);
  } else if (p->io->json) {
    print_json(p);
  } else {
    print_text(p);
  }
  cmt_probe_result_delete(p->result);
  cmt_node_key_delete(p->key);
  pthread_mutex_destroy(&p->lock);
  return ok ? CLI_OK : CLI_FAILED;
}

static int probe_usage(const cli_options *o, cmt_net_addr *addr) {
  cmt_why why;

  if (o->arg_count != 1) {
    return cli_options_usage(o, "it takes one [ID@]HOST:PORT");
  }
  if (cmt_net_addr_parse(o->args[0], CMT_ADDR_ID_OPTIONAL, addr, &why) !=
      CMT_OK) {
    return cli_options_usage(o, "%s", why.text);
  }
  return -1;
}

int cli_probe(const cli_verb *verb, int argc, char **argv) {
  cli_options o;
  cli_io io;
  probe p = {.o = &o, .io = &io};
  int code = cli_options_parse(&o, verb, argc, argv);

  if (code != -1) {
    return code;
  }
  code = probe_usage(&o, &p.addr);
  if (code == -1) {
    code = cli_io_open(&io, o.json, o.log_level)
             ? cli_io_close(&io, probe_verb(&p))
             : CLI_FAILED;
  }
  cli_options_fini(&o);
  return code;
}
