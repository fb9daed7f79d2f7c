/* SPDX-License-Identifier: Apache-2.0 */
/* What the recorder of sessions and their replay have in common. */

#include "session.h"

#include <sodium.h>
#include <string.h>

#include "crypto/node_key.h"

const cmt_channel session_channels[3] = {
  {.id = 0x40, .priority = 1, .send_queue = 10},
  {.id = 0x50, .priority = 10, .send_queue = 10},
  {.id = 0x81, .priority = 5, .send_queue = 10},
};

static void entropy(void *arg, void *out, size_t len) {
  const session_keys *k = arg;

  CMT_ASSERT(NULL, len == sizeof k->ephemeral);
  memcpy(out, k->ephemeral, len);
}

static bool unhex32(const char *hex, uint8_t out[32]) {
  size_t len;

  return sodium_hex2bin(out, 32, hex, strlen(hex), NULL, &len, NULL) == 0 &&
         len == 32;
}

bool session_keys_init(session_keys *k, const char *seed_hex,
                       const char *ephemeral_hex) {
  uint8_t seed[32], public_key[32], secret[64];

  *k = (session_keys){.key = NULL};
  if (cmt_env_init(&k->env) != CMT_OK || !unhex32(seed_hex, seed) ||
      !unhex32(ephemeral_hex, k->ephemeral) ||
      crypto_sign_seed_keypair(public_key, secret, seed) != 0) {
    return false;
  }
  k->env.entropy = entropy;
  k->env.entropy_arg = k;
  return cmt__node_key_from_secret(NULL, secret, &k->key) == CMT_OK;
}

void session_keys_fini(session_keys *k) { cmt_node_key_delete(k->key); }

cmt_err session_conn_new(const session_keys *k, cmt_conn **out, cmt_why *why) {
  const cmt_node_info info = {
    .protocol_p2p = 8,
    .protocol_block = 11,
    .listen_addr = cmt_bytes_of("tcp://0.0.0.0:0"),
    .network = cmt_bytes_of("cometp2p"),
    .version = cmt_bytes_of("session"),
    .moniker = cmt_bytes_of("session"),
  };
  cmt_conn_options o;

  cmt_conn_options_init(&o);
  o.env = &k->env;
  o.key = k->key;
  o.node_info = &info;
  o.channels = session_channels;
  o.channel_count = CMT__COUNT(session_channels);
  return cmt_conn_new(&o, 0, out, why);
}

static void message_text(const cmt_conn_event *e, char out[SESSION_TEXT]) {
  uint8_t hash[crypto_hash_sha256_BYTES];
  char hex[2 * sizeof hash + 1];
  cmt_bytes msg = cmt_buf_bytes(e->msg);

  crypto_hash_sha256(hash, msg.base, msg.len);
  sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
  snprintf(out, SESSION_TEXT, "message 0x%02x %zu %s", e->channel, msg.len,
           hex);
}

void session_event_text(const cmt_conn *c, const cmt_conn_event *e,
                        char out[SESSION_TEXT]) {
  cmt_why why;

  switch (e->kind) {
  case CMT_CONN_NODE_INFO:
    snprintf(
      out, SESSION_TEXT, "node info %s %.*s %.*s", e->id->text,
      (int)e->node_info->moniker.len, (const char *)e->node_info->moniker.base,
      (int)e->node_info->version.len, (const char *)e->node_info->version.base);
    break;
  case CMT_CONN_UP:
    snprintf(out, SESSION_TEXT, "up");
    break;
  case CMT_CONN_MESSAGE:
    message_text(e, out);
    break;
  case CMT_CONN_PONG:
    snprintf(out, SESSION_TEXT, "pong %llu", (unsigned long long)e->rtt_ns);
    break;
  case CMT_CONN_END:
    cmt_conn_get_why(c, &why);
    snprintf(out, SESSION_TEXT, "end %s %s", cmt_err_name(e->err),
             cmt_stage_name(why.stage));
    break;
  }
}

cmt_buf *session_message(size_t size, uint8_t fill) {
  cmt_buf *b = cmt_buf_new(NULL, size);

  if (b != NULL && size > 0) {
    memset(cmt_buf_data(b), fill, size);
  }
  return b;
}
