/* SPDX-License-Identifier: Apache-2.0 */
/* What connections have in common.  A switch makes one for all of them; a
   connection or a multiplexer that is made alone has its own. */

#include "conn_config.h"

#include "base/sized.h"

cmt_channel cmt__channel_defaults(const cmt_channel *c) {
  cmt_channel out = *c;

  out.send_queue = c->send_queue ? c->send_queue : CMT_SEND_QUEUE_DEFAULT;
  out.recv_message_max =
    c->recv_message_max ? c->recv_message_max : CMT_MESSAGE_DEFAULT;
  out.send_message_max =
    c->send_message_max ? c->send_message_max : out.recv_message_max;
  out.recv_queue = c->recv_queue ? c->recv_queue : CMT_RECV_QUEUE_DEFAULT;
  out.recv_queue_bytes =
    c->recv_queue_bytes ? c->recv_queue_bytes : CMT_RECV_QUEUE_BYTES_DEFAULT;
  return out;
}

/* A number of a channel and its range. */
typedef struct number {
  const char *name;
  uint64_t found, min, max;
} number;

static cmt_err number_check(uint8_t id, const number *n, cmt_why *why) {
  if (n->found >= n->min && n->found <= n->max) {
    return CMT_OK;
  }
  return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                  "channel 0x%02x: %s is %llu, allowed is %llu to %llu", id,
                  n->name, (unsigned long long)n->found,
                  (unsigned long long)n->min, (unsigned long long)n->max);
}

_Static_assert(CMT_CHANNELS_MAX <= 16, "channels fit the bits");

uint16_t cmt__channels_among(const cmt_channel *list, size_t count,
                             cmt_bytes ids) {
  uint16_t among = 0;

  for (size_t i = 0; i < count; i++) {
    among |= (uint16_t)(cmt__bytes_have(ids, list[i].id) << i);
  }
  return among;
}

static cmt_err channel_check(const cmt_channel *c, cmt_why *why) {
  cmt_channel full = cmt__channel_defaults(c);
  const number checks[] = {
    {"priority", full.priority, 1, CMT_PRIORITY_MAX},
    {"traffic", full.traffic, CMT_TRAFFIC_NORMAL, CMT_TRAFFIC_URGENT},
    {"send_queue", full.send_queue, 1, CMT_SEND_QUEUE_MAX},
    {"send_message_max", full.send_message_max, 1, CMT_MESSAGE_MAX},
    {"recv_message_max", full.recv_message_max, 1, CMT_MESSAGE_MAX},
    {"send_rate", full.send_rate, 0, CMT_RATE_MAX},
    {"recv_rate", full.recv_rate, 0, CMT_RATE_MAX},
    {"recv_queue", full.recv_queue, 1, CMT_RECV_QUEUE_MAX},
    {"recv_queue_bytes", full.recv_queue_bytes, 1, CMT_MESSAGE_MAX},
    {"on_full", full.on_full, CMT_ON_FULL_WAIT, CMT_ON_FULL_DROP},
  };

  for (size_t i = 0; i < CMT__COUNT(checks); i++) {
    cmt_err err = number_check(c->id, &checks[i], why);
    if (err != CMT_OK) {
      return err;
    }
  }
  if (!cmt__reserved_are_zero(c->reserved, CMT__COUNT(c->reserved))) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "channel 0x%02x: a field is set that this version of the "
                    "library does not have",
                    c->id);
  }
  return CMT_OK;
}

cmt_err cmt__channels_check(const cmt_channel *list, size_t count,
                            cmt_why *why) {
  bool seen[256] = {false};

  if ((list == NULL) != (count == 0)) {
    return list == NULL
             ? cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                        "channel_count is %zu and channels is NULL", count)
             : cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                        "channels is set and channel_count is 0");
  }
  if (count > CMT_CHANNELS_MAX) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "%zu channels, allowed are %d", count, CMT_CHANNELS_MAX);
  }
  for (size_t i = 0; i < count; i++) {
    cmt_err err = channel_check(&list[i], why);

    if (err != CMT_OK) {
      return err;
    }
    if (seen[list[i].id]) {
      return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                      "channel 0x%02x is listed twice", list[i].id);
    }
    seen[list[i].id] = true;
  }
  return CMT_OK;
}

static size_t shared_size(size_t count) {
  return sizeof(cmt__conn_config) + count * sizeof(cmt_channel);
}

size_t cmt__conn_config_memory(size_t count, size_t connections,
                               size_t handshakes) {
  return shared_size(count) + cmt__secret_pool_memory(connections, handshakes);
}

cmt_err cmt__conn_config_new(const cmt_env *env, const cmt_channel *list,
                             size_t count, cmt__conn_config **out,
                             cmt_why *why) {
  cmt_env copy;
  cmt_err err = cmt__env_copy(env, &copy);
  cmt__conn_config *s;

  if (err != CMT_OK) {
    return cmt__why(why, err, CMT_STAGE_TRANSPORT, "env: %s",
                    cmt_err_text(err));
  }
  err = cmt__channels_check(list, count, why);
  if (err != CMT_OK) {
    return err;
  }
  s = (cmt__conn_config *)cmt__secret_pool_new(&copy, shared_size(count));
  if (s == NULL) {
    return cmt__why(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT, "%s",
                    cmt_err_text(CMT_ENOMEM));
  }
  s->count = count;
  memset(s->index, CMT_CHANNELS_MAX, sizeof s->index);
  for (size_t i = 0; i < count; i++) {
    s->list[i] = cmt__channel_defaults(&list[i]);
    s->list[i].name = NULL; /* Only the caller needs it. */
    s->index[list[i].id] = (uint8_t)i;
  }
  *out = s;
  return CMT_OK;
}

cmt__conn_config *cmt__conn_config_ref(cmt__conn_config *s) {
  (void)cmt__secret_pool_ref(&s->pool);
  return s;
}

void cmt__conn_config_unref(cmt__conn_config *s) {
  cmt__secret_pool_unref((cmt__secret_pool *)s);
}
