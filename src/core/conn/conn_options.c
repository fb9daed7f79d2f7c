/* SPDX-License-Identifier: Apache-2.0 */
/* The options of a connection: their defaults, their ranges, those that its
   multiplexer gets, and the memory that a connection made with them takes. */

#include "conn_impl.h"

#include "net_addr.h"
#include "crypto/node_key.h"
#include "core/secret/secret_conn.h"
#include "base/sized.h"

void cmt_conn_options_init_sized(cmt_conn_options *o, size_t size) {
  cmt_mconn_options m;
  cmt_conn_options defaults;

  cmt_mconn_options_init(&m);
  defaults = (cmt_conn_options){
    .handshake_timeout_ns = CMT_SECONDS(3),
    .ping_interval_ns = m.ping_interval_ns,
    .pong_timeout_ns = m.pong_timeout_ns,
    .send_packet_payload_max = m.send_packet_payload_max,
    .recv_packet_payload_max = m.recv_packet_payload_max,
    .partial_message_max_ns = m.partial_message_max_ns,
  };
  cmt__sized_write(o, size, &defaults, sizeof defaults);
}

static void options_default(cmt_conn_options *o) {
  cmt_conn_options d;

  cmt_conn_options_init(&d);
  cmt__or_default(o, &d, handshake_timeout_ns);
  cmt__or_default(o, &d, ping_interval_ns);
  cmt__or_default(o, &d, pong_timeout_ns);
  cmt__or_default(o, &d, send_packet_payload_max);
  cmt__or_default(o, &d, recv_packet_payload_max);
  cmt__or_default(o, &d, partial_message_max_ns);
}

cmt_err cmt__conn_options_read(const cmt_conn_options *o,
                               cmt_conn_options *full, cmt_why *why) {
  cmt_err err;

  cmt_conn_options_init(full);
  err = cmt__sized_read(full, sizeof *full, o, "options", why);
  options_default(full);
  return err;
}

void cmt__conn_ours_fill(const cmt_conn_options *o, cmt__conn_ours *out) {
  cmt_node_info *info = &out->info;
  cmt_node_id given;

  *info = *o->node_info;
  cmt_node_key_get_id(o->key, &out->id);
  if (info->id.len == 0 || (cmt__node_id_read(info->id, &given) &&
                            cmt_node_id_equal(&given, &out->id))) {
    info->id = cmt_bytes_of(out->id.text); /* CometBFT refuses capitals. */
  }
  for (size_t i = 0; i < o->channel_count; i++) {
    out->channels[i] = o->channels[i].id;
  }
  if (info->channels.len == 0) {
    info->channels =
      (cmt_bytes){.base = out->channels, .len = o->channel_count};
  }
  if (info->listen_addr.len == 0) {
    info->listen_addr = cmt_bytes_of(CMT__NOT_LISTENING);
  }
}

/* A fault of our own node info is one of the options. */
cmt_err cmt__conn_node_info_check(const cmt_conn_options *o, cmt_why *why) {
  char quoted[64];
  cmt__conn_ours x;

  cmt__conn_ours_fill(o, &x);
  if (cmt_node_info_validate(&x.info, why) != CMT_OK) {
    if (why != NULL) {
      why->err = CMT_EINVAL;
    }
    return CMT_EINVAL;
  }
  if (x.info.id.len != strlen(x.id.text) ||
      memcmp(x.info.id.base, x.id.text, x.info.id.len) != 0) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_NODE_INFO,
                    "id is '%s', that of the key is %s",
                    cmt__quote(x.info.id, quoted, sizeof quoted), x.id.text);
  }
  if (cmt__node_info_size(&x.info) > CMT_NODE_INFO_MAX) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_NODE_INFO,
                    "our node info takes %zu bytes, allowed are %d",
                    cmt__node_info_size(&x.info), CMT_NODE_INFO_MAX);
  }
  return CMT_OK;
}

cmt_err cmt__conn_options_check_own(const cmt_conn_options *o, cmt_why *why) {
  const char *fault = NULL;

  if (o->key == NULL) {
    fault = "key is not set";
  } else if (o->node_info == NULL) {
    fault = "node_info is not set";
  } else if (!cmt__is_bool(&o->any_network)) {
    fault = "any_network is neither true nor false";
  } else if (!cmt__is_bool(&o->defer_compute)) {
    fault = "defer_compute is neither true nor false";
  }
  if (fault != NULL) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT, "%s", fault);
  }
  if (o->info_wait_ns >= o->handshake_timeout_ns) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "info_wait_ns is %llu, allowed is less than "
                    "handshake_timeout_ns, %llu",
                    (unsigned long long)o->info_wait_ns,
                    (unsigned long long)o->handshake_timeout_ns);
  }
  return cmt__conn_node_info_check(o, why);
}

cmt_mconn_options cmt__conn_mconn_options(const cmt_conn_options *o) {
  return (cmt_mconn_options){
    .size = sizeof(cmt_mconn_options),
    .wire = o->wire,
    .channels = o->channels,
    .channel_count = o->channel_count,
    .ping_interval_ns = o->ping_interval_ns,
    .pong_timeout_ns = o->pong_timeout_ns,
    .send_packet_payload_max = o->send_packet_payload_max,
    .recv_packet_payload_max = o->recv_packet_payload_max,
    .recv_bytes_max = o->recv_bytes_max,
    .partial_message_max_ns = o->partial_message_max_ns,
    .send_rate = o->send_rate,
    .recv_rate = o->recv_rate,
    .wake = o->wake,
    .wake_arg = o->wake_arg,
  };
}

cmt_err cmt__conn_options_check(const cmt_conn_options *o,
                                const cmt_conn_group *group, cmt_why *why) {
  cmt_mconn_options m = cmt__conn_mconn_options(o);
  cmt_err err = cmt__mconn_options_check(&m, group, why);

  return err == CMT_OK ? cmt__conn_options_check_own(o, why) : err;
}

size_t cmt__conn_memory(const cmt_conn_options *o) {
  cmt_mconn_options m = cmt__conn_mconn_options(o);

  return sizeof(cmt_conn) + cmt__mconn_memory(&m) + sizeof(cmt_secret_conn) +
         CMT_FRAME_SLOT + sizeof(cmt_node_info) + CMT_NODE_INFO_MAX;
}

/* Our node info, theirs as it comes, ours as it is sealed; and of the secret
   connection what it gathers. */
size_t cmt__conn_handshake_memory(const cmt_conn_options *o) {
  const size_t info = CMT_NODE_INFO_MAX + 10;

  return cmt__conn_memory(o) + sizeof(cmt__conn_handshake) +
         sizeof(cmt_node_info) + info + cmt__grow_max(info, CMT__INFO_FIRST) +
         info + sizeof(cmt__secret_handshake) +
         cmt__grow_max(CMT_SECRET_CONN_ANNOUNCED, 1);
}
