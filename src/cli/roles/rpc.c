/* SPDX-License-Identifier: Apache-2.0 */
/* CometBFT writes integers of 64 bits as strings, those of 32 and 8 as numbers,
   and the characters <, > and & by their code. */

#include "rpc.h"

#include "cli/ui/events.h"
#include "cli/ui/go_json.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The clock of CometBFT's monitors ticks so long. */
#define TICK_NS CMT_MILLISECONDS(20)
#define NO_TIME "1970-01-01T00:00:00Z"

/* ---- values ---- */

static json_t *number(uint64_t value) {
  char text[24];

  snprintf(text, sizeof text, "%llu", (unsigned long long)value);
  return json_string(text);
}

/* The UTC time |ago_ns| before now. */
static json_t *time_before(uint64_t ago_ns) {
  struct timespec now;
  struct tm parts;
  char text[48], fraction[8] = "";
  uint64_t at_ns;
  time_t seconds;
  unsigned hundredths;

  clock_gettime(CLOCK_REALTIME, &now);
  at_ns = (uint64_t)now.tv_sec * CMT_SECONDS(1) + (uint64_t)now.tv_nsec;
  at_ns -= ago_ns < at_ns ? ago_ns : at_ns;
  seconds = (time_t)(at_ns / CMT_SECONDS(1));
  hundredths = (unsigned)(at_ns % CMT_SECONDS(1) / TICK_NS * 2);
  gmtime_r(&seconds, &parts);
  if (hundredths % 10 != 0) {
    snprintf(fraction, sizeof fraction, ".%02u", hundredths);
  } else if (hundredths != 0) {
    snprintf(fraction, sizeof fraction, ".%u", hundredths / 10);
  }
  snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d%sZ",
           parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
           parts.tm_min, parts.tm_sec, fraction);
  return json_string(text);
}

static json_t *hex(cmt_bytes bytes) {
  char text[2 * CMT_NODE_INFO_MAX + 1];
  size_t at = 0;

  text[0] = '\0';
  for (size_t i = 0; i < bytes.len && at + 3 <= sizeof text; i++) {
    at += (size_t)snprintf(text + at, sizeof text - at, "%02X", bytes.base[i]);
  }
  return json_string(text);
}

/* ---- node infos ---- */

static json_t *node_info(const cmt_node_info *i) {
  return json_pack(
    "{s:{s:o, s:o, s:o}, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:o, "
    "s:o}}",
    "protocol_version", "p2p", number(i->protocol_p2p), "block",
    number(i->protocol_block), "app", number(i->protocol_app), "id",
    cli_json_text(i->id), "listen_addr", cli_json_text(i->listen_addr),
    "network", cli_json_text(i->network), "version", cli_json_text(i->version),
    "channels", hex(i->channels), "moniker", cli_json_text(i->moniker), "other",
    "tx_index", cli_json_text(i->tx_index), "rpc_address",
    cli_json_text(i->rpc_address));
}

static cmt_bytes bytes_of(const char *text) {
  return (cmt_bytes){.base = (const uint8_t *)text, .len = strlen(text)};
}

static json_t *own_node_info(const cli_rpc *r) {
  uint8_t channels[CMT_CHANNELS_MAX];
  cmt_node_id id;
  cmt_node_info i = {
    .protocol_p2p = 8,
    .protocol_block = 11,
    .listen_addr = bytes_of(r->listen_addr),
    .network = bytes_of(r->network),
    .version = bytes_of(r->version),
    .channels = {.base = channels, .len = r->channel_count},
    .moniker = bytes_of(r->moniker),
    .tx_index = bytes_of("off"),
    .rpc_address = bytes_of(""),
  };

  cmt_switch_get_id(r->sw, &id);
  i.id = bytes_of(id.text);
  for (size_t at = 0; at < r->channel_count; at++) {
    channels[at] = r->channels[at].id;
  }
  return node_info(&i);
}

/* ---- net_info ---- */

/* |rate| is that of the last second. */
static json_t *monitor(uint64_t up_ns, uint64_t bytes, uint64_t samples,
                       uint64_t rate) {
  uint64_t ticks_ns = up_ns / TICK_NS * TICK_NS;
  double seconds = (double)up_ns / 1e9;
  uint64_t average = seconds > 0 ? (uint64_t)((double)bytes / seconds) : 0;

  return json_pack(
    "{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:s, s:o, s:s, s:s, s:i, s:b}",
    "Start", time_before(up_ns), "Bytes", number(bytes), "Samples",
    number(samples), "InstRate", number(rate), "CurRate", number(rate),
    "AvgRate", number(average), "PeakRate",
    number(average > rate ? average : rate), "BytesRem", "0", "Duration",
    number(ticks_ns), "Idle", "0", "TimeRem", "0", "Progress", 0, "Active", 1);
}

static json_t *channel(const cmt_channel *c, const cmt_peer_status *status) {
  uint64_t queued = 0, recently = 0;

  for (size_t i = 0; i < status->channel_count; i++) {
    if (status->channels[i].id == c->id) {
      queued = status->channels[i].queued_messages;
      recently = status->channels[i].recently_sent_bytes;
    }
  }
  return json_pack("{s:i, s:o, s:o, s:o, s:o}", "ID", c->id,
                   "SendQueueCapacity", number(c->send_queue), "SendQueueSize",
                   number(queued), "Priority", number(c->priority),
                   "RecentlySent", number(recently));
}

static json_t *connection(const cli_rpc *r, const cmt_peer *p) {
  json_t *channels = json_array();
  cmt_peer_status s;

  cmt_peer_get_status(p, &s);
  for (size_t i = 0; i < r->channel_count; i++) {
    json_array_append_new(channels, channel(&r->channels[i], &s));
  }
  return json_pack(
    "{s:o, s:o, s:o, s:o}", "Duration", number(s.up_ns), "SendMonitor",
    monitor(s.up_ns, s.sent_bytes, s.write_calls, s.send_rate), "RecvMonitor",
    monitor(s.up_ns, s.recv_bytes, s.read_calls, s.recv_rate), "Channels",
    channels);
}

static bool is_listed(const cli_rpc *r, const cmt_peer *p) {
  return r->all || cmt_bytes_equal(cmt_peer_node_info(p)->network,
                                   cmt_bytes_of(r->network));
}

static json_t *peer(const cli_rpc *r, const cmt_peer *p) {
  cmt_net_addr remote;

  cmt_peer_get_remote(p, &remote);
  return json_pack("{s:o, s:b, s:o, s:s}", "node_info",
                   node_info(cmt_peer_node_info(p)), "is_outbound",
                   cmt_peer_is_outbound(p), "connection_status",
                   connection(r, p), "remote_ip", remote.host);
}

static json_t *peers(const cli_rpc *r) {
  size_t cap = cmt_switch_peers(r->sw, NULL, 0) + 16, count;
  cmt_peer **list = malloc(cap * sizeof *list);
  json_t *out = json_array();

  if (list == NULL) {
    return out;
  }
  count = cmt_switch_peers(r->sw, list, cap);
  for (size_t i = 0; i < count && i < cap; i++) {
    if (is_listed(r, list[i])) {
      json_array_append_new(out, peer(r, list[i]));
    }
    cmt_peer_unref(list[i]);
  }
  free(list);
  return out;
}

static json_t *net_info(const cli_rpc *r) {
  json_t *list = peers(r);
  char listener[CMT_NET_ADDR_TEXT_SIZE + sizeof "Listener(@tcp://)"];

  snprintf(listener, sizeof listener, "Listener(@%s)", r->external);
  return json_pack("{s:b, s:[s], s:o, s:o}", "listening", 1, "listeners",
                   listener, "n_peers", number(json_array_size(list)), "peers",
                   list);
}

/* ---- status ---- */

/* There are no blocks, and no validator. */
static json_t *status(const cli_rpc *r) {
  return json_pack(
    "{s:o, s:{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b}, s:{s:s, s:n, s:s}}",
    "node_info", own_node_info(r), "sync_info", "latest_block_hash", "",
    "latest_app_hash", "", "latest_block_height", "0", "latest_block_time",
    NO_TIME, "earliest_block_hash", "", "earliest_app_hash", "",
    "earliest_block_height", "0", "earliest_block_time", NO_TIME, "catching_up",
    0, "validator_info", "address", "", "pub_key", "voting_power", "0");
}

static json_t *health(const cli_rpc *r) {
  (void)r;
  return json_object();
}

/* ---- requests ---- */

static const struct {
  const char *name;
  json_t *(*result)(const cli_rpc *r);
} methods[] = {
  {"net_info", net_info},
  {"status", status},
  {"health", health},
};

static json_t *(*method_find(const char *name))(const cli_rpc *r) {
  for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++) {
    if (name != NULL && strcmp(methods[i].name, name) == 0) {
      return methods[i].result;
    }
  }
  return NULL;
}

static cmt_buf *body_of(json_t *all) {
  char *text = cli_go_json(all, 0);
  cmt_buf *body = cli_http_body(text);

  free(text);
  return body;
}

static cli_http_answer reply(json_t *id, const char *key, json_t *value) {
  return (cli_http_answer){
    .status = 200,
    .type = "application/json",
    .body = body_of(
      json_pack("{s:s, s:o, s:o}", "jsonrpc", "2.0", "id", id, key, value)),
  };
}

static cli_http_answer fault(json_t *id, int code, const char *text) {
  return reply(id, "error",
               json_pack("{s:i, s:s}", "code", code, "message", text));
}

/* A number or a string comes back; without one there is none. */
static json_t *id_of(const json_t *request) {
  json_t *id = json_object_get(request, "id");

  return json_is_integer(id) || json_is_string(id) ? json_incref(id)
                                                   : json_integer(-1);
}

static cli_http_answer post_answer(const cli_rpc *r, cmt_bytes body) {
  json_t *request =
    json_loadb((const char *)body.base, body.len, JSON_REJECT_DUPLICATES, NULL);
  json_t *(*method)(const cli_rpc *r);
  cli_http_answer a;

  if (!json_is_object(request)) {
    json_decref(request);
    return fault(json_integer(-1), -32700, "Parse error. Invalid JSON");
  }
  method = method_find(json_string_value(json_object_get(request, "method")));
  a = method != NULL ? reply(id_of(request), "result", method(r))
                     : fault(id_of(request), -32601, "Method not found");
  json_decref(request);
  return a;
}

cli_http_answer cli_rpc_answer(const cli_rpc *r, const cli_http_request *q) {
  json_t *(*method)(const cli_rpc *r) = method_find(q->path + 1);

  if (strcmp(q->path, "/") == 0 && q->body.len > 0) {
    return post_answer(r, q->body);
  }
  return method != NULL ? reply(json_integer(-1), "result", method(r))
                        : (cli_http_answer){.status = 404};
}
