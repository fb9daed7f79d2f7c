/* SPDX-License-Identifier: Apache-2.0 */

/* A node for tests against other implementations, driven by flags and by
   commands on its standard input; see interop_peer.h.  It ends at the end of
   its input.

   Commands: "send CHANNEL SIZE SEED" and "try CHANNEL SIZE SEED" (CHANNEL in
   hex) to every peer, "dial ID@HOST:PORT", "drop" all peers, "status",
   "stop". */

#include "interop_peer.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PEERS_MAX = 64 };

static void log_line(void *arg, cmt_log_level level, const char *module,
                     const char *line) {
  (void)arg;
  fprintf(stderr, "%d %s: %s\n", (int)level, module, line);
}

static void rejected(void *arg, const cmt_rejection *r) {
  (void)arg;
  emit("rejected",
       json_pack("{s:s,s:b,s:s,s:s,s:o,s:s}", "remote",
                 r->remote == NULL ? "" : r->remote, "outbound", r->outbound,
                 "stage", cmt_stage_name(r->why.stage), "class",
                 cmt_err_class_name(cmt_err_class_of(r->why.err)), "reason",
                 json_reason(r->why.err), "text", r->why.text));
}

static void fail(const char *what, const char *text) {
  fprintf(stderr, "interop_peer: %s: %s\n", what, text);
  exit(1);
}

/* A "send" or "try": the message goes to every peer, and each outcome is
   reported. */
static void send_command(cmt_switch *sw, bool wait, const char *arguments) {
  cmt_peer *peers[PEERS_MAX];
  char channel_text[8], size_text[16], seed_text[24];
  uint64_t size, seed;
  uint8_t channel;
  size_t count;

  if (sscanf(arguments, "%7s %15s %23s", channel_text, size_text, seed_text) !=
        3 ||
      !channel_parse(channel_text, &channel) ||
      !number_parse(size_text, SIZE_MAX_BYTES, &size) ||
      !number_parse(seed_text, UINT64_MAX, &seed)) {
    emit("error", json_pack("{s:s}", "text", "bad arguments"));
    return;
  }
  count = cmt_switch_peers(sw, peers, PEERS_MAX);
  for (size_t i = 0; i < count && i < PEERS_MAX; i++) {
    cmt_buf *msg = cmt_buf_new(NULL, (size_t)size);
    cmt_err err;

    if (msg == NULL) {
      fail("send", cmt_err_text(CMT_ENOMEM));
    }
    pattern_fill(cmt_buf_data(msg), (size_t)size, seed, channel);
    cmt_buf_ref(msg);
    err = wait ? cmt_peer_send(peers[i], channel, msg, CMT_SEND_TIMEOUT)
               : cmt_peer_try_send(peers[i], channel, msg);
    if (err != CMT_OK) {
      cmt_buf_unref(msg);
    }
    emit_message("sent", peers[i], channel, cmt_buf_bytes(msg),
                 json_pack("{s:b,s:o}", "accepted", err == CMT_OK, "reason",
                           json_reason(err)));
    cmt_buf_unref(msg);
    cmt_peer_unref(peers[i]);
  }
}

static void status_command(cmt_switch *sw) {
  cmt_peer *peers[PEERS_MAX];
  size_t count = cmt_switch_peers(sw, peers, PEERS_MAX);

  for (size_t i = 0; i < count && i < PEERS_MAX; i++) {
    cmt_peer_status status;

    cmt_peer_get_status(peers[i], &status);
    emit("status",
         json_pack("{s:s,s:I,s:I,s:f,s:f}", "id", cmt_peer_id(peers[i])->text,
                   "pings_sent", (json_int_t)status.pings_sent,
                   "pongs_received", (json_int_t)status.pongs_recv, "rtt_ms",
                   (double)status.rtt_last_ns / 1e6, "read_paused_s",
                   (double)status.read_paused_ns / 1e9));
    cmt_peer_unref(peers[i]);
  }
}

static void drop_command(cmt_switch *sw) {
  cmt_peer *peers[PEERS_MAX];
  size_t count = cmt_switch_peers(sw, peers, PEERS_MAX);

  for (size_t i = 0; i < count && i < PEERS_MAX; i++) {
    cmt_peer_stop(peers[i], CMT_ECANCELED, 0);
    cmt_peer_unref(peers[i]);
  }
}

static void dial_command(cmt_switch *sw, const char *addr) {
  cmt_err err = cmt_switch_dial(sw, addr, 0, NULL);

  if (err != CMT_OK) {
    emit("error",
         json_pack("{s:s,s:o}", "text", addr, "reason", json_reason(err)));
  }
}

static void commands(cmt_switch *sw) {
  char line[512];

  while (fgets(line, sizeof line, stdin) != NULL) {
    line[strcspn(line, "\n")] = '\0';
    if (strcmp(line, "stop") == 0) {
      return;
    }
    if (strncmp(line, "send ", 5) == 0) {
      send_command(sw, true, line + 5);
    } else if (strncmp(line, "try ", 4) == 0) {
      send_command(sw, false, line + 4);
    } else if (strncmp(line, "dial ", 5) == 0) {
      dial_command(sw, line + 5);
    } else if (strcmp(line, "drop") == 0) {
      drop_command(sw);
    } else if (strcmp(line, "status") == 0) {
      status_command(sw);
    } else if (*line != '\0') {
      emit("error", json_pack("{s:s}", "text", "no such command"));
    }
  }
}

static cmt_switch *switch_make(const cmt_env *env, const cmt_node_key *key) {
  cmt_reactor reactor = interop_reactor;
  cmt_switch_options o;
  cmt_switch *sw;
  cmt_why why;

  cmt_switch_options_init(&o);
  reactor.channel_count = opts.channel_count;
  reactor.delivery =
    opts.sleep_ns > 0 ? CMT_DELIVER_WORKERS : CMT_DELIVER_INLINE;
  o.env = env;
  o.key = key;
  o.network = opts.network;
  o.moniker = opts.moniker;
  o.laddr = opts.laddr;
  o.reactors = &reactor;
  o.reactor_count = 1;
  o.on_rejected = rejected;
  o.flush_throttle_ns = opts.flush_throttle_ns;
  if (opts.ping_interval_ns > 0) {
    o.ping_interval_ns = opts.ping_interval_ns;
    o.pong_timeout_ns = opts.ping_interval_ns / 4 * 3;
  }
  if (opts.pong_timeout_ns > 0) {
    o.pong_timeout_ns = opts.pong_timeout_ns;
  }
  if (opts.packet_payload_max > 0) {
    o.send_packet_payload_max = opts.packet_payload_max;
    if (opts.packet_payload_max > o.recv_packet_payload_max) {
      o.recv_packet_payload_max = opts.packet_payload_max;
    }
  }
  if (cmt_switch_new(&o, &sw, &why) != CMT_OK) {
    fail("switch", why.text);
  }
  return sw;
}

static void emit_ready(const cmt_switch *sw) {
  char text[CMT_NET_ADDR_TEXT_SIZE] = "";
  cmt_net_addr laddr;
  cmt_node_id id;

  cmt_switch_get_id(sw, &id);
  if (cmt_switch_get_laddr(sw, &laddr) == CMT_OK) {
    laddr.id.text[0] = '\0';
    if (cmt_net_addr_format(&laddr, text, sizeof text) != CMT_OK) {
      text[0] = '\0';
    }
  }
  emit("ready", json_pack("{s:s,s:s}", "id", id.text, "laddr", text));
}

int main(int argc, char **argv) {
  cmt_node_key *key = NULL;
  cmt_switch *sw;
  cmt_env env;
  cmt_why why;

  options_parse(argc, argv);
  if (cmt_env_init(&env) != CMT_OK || sodium_init() < 0) {
    fail("environment", cmt_err_text(CMT_EIO));
  }
  if (opts.verbose) {
    env.log = log_line;
  }
  if (opts.key_file != NULL &&
      cmt_node_key_load(&env, opts.key_file, &key, &why) != CMT_OK) {
    fail("key", why.text);
  }
  sw = switch_make(&env, key);
  if (cmt_switch_start(sw, &why) != CMT_OK) {
    fail("start", why.text);
  }
  emit_ready(sw);
  if (opts.dial != NULL) {
    dial_command(sw, opts.dial);
  }
  commands(sw);
  cmt_switch_stop(sw, 0);
  roles_join();
  if (cmt_switch_delete(sw) != CMT_OK) {
    fail("stop", "the switch did not end");
  }
  cmt_node_key_delete(key);
  return 0;
}
