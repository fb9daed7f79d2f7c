/* SPDX-License-Identifier: Apache-2.0 */
/* The options of a multiplexer: their defaults, their ranges, and the memory
   that a multiplexer made with them takes. */

#include "mconn_impl.h"

#include "base/sized.h"

void cmt_mconn_options_init_sized(cmt_mconn_options *o, size_t size) {
  cmt_mconn_options defaults = {
    .size = sizeof defaults,
    .ping_interval_ns = CMT_SECONDS(60),
    .pong_timeout_ns = CMT_SECONDS(45),
    .send_packet_payload_max = CMT_PACKET_PAYLOAD_SEND,
    .recv_packet_payload_max = CMT_PACKET_PAYLOAD_RECV,
    .partial_message_max_ns = CMT_SECONDS(60),
  };

  cmt__sized_write(o, size, &defaults, sizeof defaults);
}

static void options_default(cmt_mconn_options *o) {
  cmt_mconn_options d;

  cmt_mconn_options_init(&d);
  cmt__or_default(o, &d, ping_interval_ns);
  cmt__or_default(o, &d, pong_timeout_ns);
  cmt__or_default(o, &d, send_packet_payload_max);
  cmt__or_default(o, &d, recv_packet_payload_max);
  cmt__or_default(o, &d, partial_message_max_ns);
}

cmt_err cmt__mconn_options_read(const cmt_mconn_options *o,
                                cmt_mconn_options *full, cmt_why *why) {
  cmt_err err;

  cmt_mconn_options_init(full);
  err = cmt__sized_read(full, sizeof *full, o, "options", why);
  options_default(full);
  return err;
}

static cmt_err payload_check(const char *name, uint32_t found, uint32_t least,
                             cmt_why *why) {
  if (found >= least && found <= CMT_PACKET_PAYLOAD_MAX) {
    return CMT_OK;
  }
  return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                  "%s is %u, allowed is %u to %d", name, found, least,
                  CMT_PACKET_PAYLOAD_MAX);
}

static cmt_err pings_check(const cmt_mconn_options *o, cmt_why *why) {
  if (o->pong_timeout_ns < o->ping_interval_ns) {
    return CMT_OK;
  }
  return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                  "ping_interval_ns is %llu, pong_timeout_ns is %llu: the "
                  "timeout must be shorter than the interval",
                  (unsigned long long)o->ping_interval_ns,
                  (unsigned long long)o->pong_timeout_ns);
}

static cmt_err limits_check(const cmt_mconn_options *o, cmt_why *why) {
  if (o->send_rate > CMT_RATE_MAX || o->recv_rate > CMT_RATE_MAX) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "%s is %llu, allowed is 0 to %llu bytes per second",
                    o->send_rate > CMT_RATE_MAX ? "send_rate" : "recv_rate",
                    (unsigned long long)cmt__max64(o->send_rate, o->recv_rate),
                    (unsigned long long)CMT_RATE_MAX);
  }
  return CMT_OK;
}

/* A message longer than recv_bytes_max could never be received. */
static cmt_err recv_bytes_check(const cmt_mconn_options *o,
                                const cmt_conn_group *group, cmt_why *why) {
  for (size_t i = 0; o->recv_bytes_max > 0 && i < group->count; i++) {
    const cmt_channel *c = &group->list[i];

    if (c->recv_message_max > o->recv_bytes_max) {
      return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                      "channel 0x%02x: recv_message_max is %zu, and "
                      "recv_bytes_max is only %zu",
                      c->id, c->recv_message_max, o->recv_bytes_max);
    }
  }
  return CMT_OK;
}

cmt_err cmt__mconn_options_check(const cmt_mconn_options *o,
                                 const cmt_conn_group *group, cmt_why *why) {
  cmt_err err =
    payload_check("send_packet_payload_max", o->send_packet_payload_max,
                  CMT_PACKET_PAYLOAD_MIN, why);
  if (err == CMT_OK) {
    err = payload_check("recv_packet_payload_max", o->recv_packet_payload_max,
                        1, why);
  }
  if (err == CMT_OK) {
    err = pings_check(o, why);
  }
  if (err == CMT_OK && cmt__wire_of(o->wire) == NULL) {
    err = cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                   "wire is %d, which is none of enum cmt_wire", (int)o->wire);
  }
  if (err == CMT_OK) {
    err = limits_check(o, why);
  }
  return err == CMT_OK ? recv_bytes_check(o, group, why) : err;
}

size_t cmt__mconn_recv_bytes_max(const cmt_mconn_options *o,
                                 const cmt_conn_group *group) {
  size_t largest = 0;

  for (size_t i = 0; i < group->count; i++) {
    largest = cmt__max(largest, group->list[i].recv_message_max);
  }
  return o->recv_bytes_max ? o->recv_bytes_max : largest + (1 << 20);
}

size_t cmt__mconn_size(const cmt_mconn_options *o) {
  size_t rates = (size_t)(o->send_rate > 0) + (o->recv_rate > 0);

  return sizeof(cmt_mconn) + rates * sizeof(cmt__rate) +
         cmt__wire_of(o->wire)->pings->state_size;
}

size_t cmt__mconn_memory(const cmt_mconn_options *o) {
  return cmt__mconn_size(o) + o->recv_packet_payload_max +
         2 * CMT__PACKET_HEADER_MAX +
         cmt__channels_memory(o->channels, o->channel_count);
}
