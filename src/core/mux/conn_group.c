/* SPDX-License-Identifier: Apache-2.0 */
/* What connections have in common.  A switch makes one for all of them; a
   connection or a multiplexer that is made alone has its own. */

#include "conn_group.h"

#include "base/sized.h"

#include "base/sized.h"

cmt_channel cmt__channel_defaults(const cmt_channel *c) {
  cmt_channel out = *c;

  out.priority = c->priority ? c->priority : CMT_PRIORITY_DEFAULT;
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

static size_t group_size(size_t count) {
  return sizeof(cmt_conn_group) + count * sizeof(cmt_channel);
}

size_t cmt__conn_group_memory(size_t count, size_t connections,
                              size_t handshakes) {
  return group_size(count) + cmt__secret_pool_memory(connections, handshakes);
}

void cmt_conn_group_options_init_sized(cmt_conn_group_options *o, size_t size) {
  cmt_conn_group_options defaults = {.size = sizeof defaults, .threads = 1};

  cmt__sized_write(o, size, &defaults, sizeof defaults);
}

static cmt_err limits_check(const cmt_conn_group_options *o, cmt_why *why) {
  const uint64_t rates[] = {o->send_rate_total, o->recv_rate_total};

  for (size_t i = 0; i < CMT__COUNT(rates); i++) {
    if (rates[i] > CMT_RATE_MAX) {
      return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                      "%s is %llu, allowed is 0 to %llu bytes per second",
                      i == 0 ? "send_rate_total" : "recv_rate_total",
                      (unsigned long long)rates[i],
                      (unsigned long long)CMT_RATE_MAX);
    }
  }
  if (o->threads == 0) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "threads is 0, allowed is 1 and up");
  }
  if (o->threads > 1 && (o->lock == NULL || o->unlock == NULL)) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "threads is %u, and %s is not set", o->threads,
                    o->lock == NULL ? "lock" : "unlock");
  }
  return CMT_OK;
}

static cmt_conn_group *group_make(const cmt_env *env, const cmt_channel *list,
                                  size_t count) {
  cmt_conn_group *s =
    (cmt_conn_group *)cmt__secret_pool_new(env, group_size(count));

  if (s == NULL) {
    return NULL;
  }
  s->count = count;
  memset(s->index, CMT_CHANNELS_MAX, sizeof s->index);
  for (size_t i = 0; i < count; i++) {
    s->list[i] = cmt__channel_defaults(&list[i]);
    s->list[i].name = NULL; /* Only the caller needs it. */
    s->index[list[i].id] = (uint8_t)i;
  }
  return s;
}

void cmt__conn_group_limit(cmt_conn_group *s, const cmt_conn_group_options *o,
                           const cmt__guard *guard, uint64_t now_ns) {
  s->limited = true;
  cmt__quota_init(&s->quota, o->recv_bytes_floor, o->recv_bytes_total_max);
  s->quota.threads = o->threads;
  s->quota.guard = *guard;
  cmt__quota_limit(&s->quota, o->send_rate_total, o->recv_rate_total, now_ns);
}

/* Fills the limits of |o|, if it has any. */
static void limits_take(cmt_conn_group *s, const cmt_conn_group_options *o,
                        uint64_t now_ns) {
  const cmt__guard guard = {
    .lock = o->lock, .unlock = o->unlock, .arg = o->lock_arg};
  cmt_conn_group_options full = *o;

  if (o->recv_bytes_total_max == 0) {
    full.recv_bytes_total_max = SIZE_MAX;
  }
  if (o->threads > 1) {
    cmt__secret_pool_share(&s->pool, &guard);
  }
  if (o->recv_bytes_floor > 0 || o->recv_bytes_total_max > 0 ||
      o->send_rate_total > 0 || o->recv_rate_total > 0) {
    cmt__conn_group_limit(s, &full, &guard, now_ns);
  }
}

cmt_err cmt_conn_group_new(const cmt_conn_group_options *o, uint64_t now_ns,
                           cmt_conn_group **out, cmt_why *why) {
  cmt_conn_group_options full;
  cmt_env env;
  cmt_err err = cmt__out_clear(out, why);

  cmt_conn_group_options_init(&full);
  if (err == CMT_OK) {
    err = cmt__sized_read(&full, sizeof full, o, "options", why);
  }
  if (err != CMT_OK) {
    return err;
  }
  err = cmt__env_copy(full.env, &env);
  if (err != CMT_OK) {
    return cmt__why(why, err, CMT_STAGE_TRANSPORT, "env: %s",
                    cmt_err_text(err));
  }
  err = cmt__channels_check(full.channels, full.channel_count, why);
  if (err == CMT_OK) {
    err = limits_check(&full, why);
  }
  if (err != CMT_OK) {
    return err;
  }
  *out = group_make(&env, full.channels, full.channel_count);
  if (*out == NULL) {
    return cmt__why_plain(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT);
  }
  limits_take(*out, &full, now_ns);
  return cmt__why_plain(why, CMT_OK, CMT_STAGE_TRANSPORT);
}

void cmt_conn_group_delete(cmt_conn_group *g) { cmt__conn_group_unref(g); }

cmt_conn_group_options cmt__conn_group_options(const cmt_env *env,
                                               const cmt_channel *list,
                                               size_t count) {
  cmt_conn_group_options o;

  cmt_conn_group_options_init(&o);
  o.env = env;
  o.channels = list;
  o.channel_count = count;
  return o;
}

cmt_err cmt__conn_group_of(cmt_conn_group *given,
                           const cmt_conn_group_options *o,
                           cmt_conn_group **out, cmt_why *why) {
  if (given != NULL) {
    *out = cmt__conn_group_ref(given);
    return CMT_OK;
  }
  return cmt_conn_group_new(o, 0, out, why);
}

cmt_conn_group *cmt__conn_group_ref(cmt_conn_group *s) {
  (void)cmt__secret_pool_ref(&s->pool);
  return s;
}

void cmt__conn_group_unref(cmt_conn_group *s) {
  cmt__secret_pool_unref((cmt__secret_pool *)s);
}
