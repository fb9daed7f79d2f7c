/* SPDX-License-Identifier: Apache-2.0 */

/* Events as JSON lines, and the content of messages, which both sides can make
   from a number and a channel.  Events may come from any thread. */

#include "interop_peer.h"

#include <ctype.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pthread_mutex_t emit_lock = PTHREAD_MUTEX_INITIALIZER;

void emit(const char *name, json_t *event) {
  char *line;

  json_object_set_new(event, "event", json_string(name));
  line = json_dumps(event, JSON_COMPACT | JSON_SORT_KEYS);
  json_decref(event);
  if (line == NULL) {
    abort();
  }
  pthread_mutex_lock(&emit_lock);
  if (printf("%s\n", line) < 0 || fflush(stdout) != 0) {
    exit(1);
  }
  pthread_mutex_unlock(&emit_lock);
  free(line);
}

json_t *json_text(cmt_bytes bytes) {
  size_t len = cmt_text_escape(bytes, NULL, 0);
  char *text = malloc(len + 1);
  json_t *string;

  if (text == NULL) {
    abort();
  }
  cmt_text_escape(bytes, text, len + 1);
  string = json_string(text);
  free(text);
  return string;
}

json_t *json_reason(cmt_err err) {
  const char *name = cmt_err_name(err);
  const char *short_name =
    err == CMT_OK ? name + strlen("CMT_") : name + strlen("CMT_E");
  char text[32];
  size_t i;

  for (i = 0; short_name[i] != '\0' && i + 1 < sizeof text; i++) {
    text[i] = (char)tolower((unsigned char)short_name[i]);
  }
  text[i] = '\0';
  return json_string(text);
}

static json_t *json_decimal(uint64_t number) {
  char text[24];

  snprintf(text, sizeof text, "%llu", (unsigned long long)number);
  return json_string(text);
}

json_t *json_node_info(const cmt_node_info *info) {
  char channels[2 * CMT_NODE_INFO_CHANNELS_MAX + 1] = "";

  for (size_t i = 0; i < info->channels.len && i < CMT_NODE_INFO_CHANNELS_MAX;
       i++) {
    snprintf(channels + 2 * i, 3, "%02X", info->channels.base[i]);
  }
  return json_pack(
    "{s:{s:o,s:o,s:o},s:o,s:o,s:o,s:o,s:s,s:o,s:{s:o,s:o}}", "protocol_version",
    "p2p", json_decimal(info->protocol_p2p), "block",
    json_decimal(info->protocol_block), "app", json_decimal(info->protocol_app),
    "id", json_text(info->id), "listen_addr", json_text(info->listen_addr),
    "network", json_text(info->network), "version", json_text(info->version),
    "channels", channels, "moniker", json_text(info->moniker), "other",
    "tx_index", json_text(info->tx_index), "rpc_address",
    json_text(info->rpc_address));
}

void emit_message(const char *name, const cmt_peer *p, uint8_t channel,
                  cmt_bytes data, json_t *more) {
  unsigned char hash[crypto_hash_sha256_BYTES];
  char hex[2 * crypto_hash_sha256_BYTES + 1];
  json_t *event;

  crypto_hash_sha256(hash, data.base, data.len);
  sodium_bin2hex(hex, sizeof hex, hash, sizeof hash);
  event = json_pack("{s:s,s:i,s:I,s:s}", "id", cmt_peer_id(p)->text, "channel",
                    channel, "size", (json_int_t)data.len, "sha256", hex);
  if (more != NULL) {
    json_object_update(event, more);
    json_decref(more);
  }
  emit(name, event);
}

/* Byte j is 31*j.  The period is 256, so that every content is a part of the
   table that may begin again after each 64 KiB. */
enum { PATTERN_PERIOD = 256, PATTERN_RUN = 65536 };
static uint8_t pattern_table[PATTERN_RUN + PATTERN_PERIOD];
static pthread_once_t pattern_once = PTHREAD_ONCE_INIT;

static void pattern_make(void) {
  for (size_t j = 0; j < sizeof pattern_table; j++) {
    pattern_table[j] = (uint8_t)(j * 31);
  }
}

static const uint8_t *pattern_start(uint64_t k, uint8_t channel) {
  enum { INVERSE = 223 }; /* 31 * 223 is 1 modulo 256. */

  pthread_once(&pattern_once, pattern_make);
  return pattern_table + ((k * 7 + channel) * INVERSE) % PATTERN_PERIOD;
}

void pattern_fill(uint8_t *out, size_t len, uint64_t k, uint8_t channel) {
  const uint8_t *run = pattern_start(k, channel);

  for (size_t i = 0; i < len; i += PATTERN_RUN) {
    memcpy(out + i, run, len - i < PATTERN_RUN ? len - i : PATTERN_RUN);
  }
}

bool pattern_equal(const uint8_t *data, size_t len, uint64_t k,
                   uint8_t channel) {
  const uint8_t *run = pattern_start(k, channel);

  for (size_t i = 0; i < len; i += PATTERN_RUN) {
    size_t part = len - i < PATTERN_RUN ? len - i : PATTERN_RUN;

    if (memcmp(data + i, run, part) != 0) {
      return false;
    }
  }
  return true;
}
