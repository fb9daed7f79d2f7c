/* SPDX-License-Identifier: Apache-2.0 */

/* Typed messages.  Their reactor is a plain reactor whose |self| is the
   cmt_protobuf_reactor: each function calls that of the inner reactor with its
   |self|; receive unpacks first.  The message lives in an arena for the length
   of the call, so nothing of it is freed piece by piece. */

#include <cometp2p/protobuf.h>

#include <stdio.h>
#include <string.h>

#include "arena.h"
#include "nesting.h"

/* ---- sending ---- */

cmt_err cmt_protobuf_pack(const cmt_env *env, const ProtobufCMessage *msg,
                          cmt_buf **out) {
  size_t len;

  if (out == NULL) {
    return CMT_EINVAL;
  }
  *out = NULL;
  if (msg == NULL || msg->descriptor == NULL) {
    return CMT_EINVAL;
  }
  len = protobuf_c_message_get_packed_size(msg);
  if (len > CMT_MESSAGE_MAX) {
    return CMT_ETOOBIG;
  }
  *out = cmt_buf_new(env, len);
  if (*out == NULL) {
    return CMT_ENOMEM;
  }
  (void)protobuf_c_message_pack(msg, cmt_buf_data(*out));
  return CMT_OK;
}

/* |msg| as a buffer of the peer's switch. */
static cmt_err pack_for(cmt_peer *p, const ProtobufCMessage *msg,
                        cmt_buf **out) {
  *out = NULL;
  return p == NULL ? CMT_EINVAL : cmt_protobuf_pack(cmt_peer_env(p), msg, out);
}

/* When a send fails the buffer stays with us, and this is its only
   reference. */
static cmt_err sent(cmt_err err, cmt_buf *packed) {
  if (err != CMT_OK) {
    cmt_buf_unref(packed);
  }
  return err;
}

cmt_err cmt_peer_try_send_message(cmt_peer *p, uint8_t channel,
                                  const ProtobufCMessage *msg) {
  cmt_buf *packed;
  cmt_err err = pack_for(p, msg, &packed);

  return err != CMT_OK ? err
                       : sent(cmt_peer_try_send(p, channel, packed), packed);
}

cmt_err cmt_peer_send_message(cmt_peer *p, uint8_t channel,
                              const ProtobufCMessage *msg,
                              uint64_t timeout_ns) {
  cmt_buf *packed;
  cmt_err err = pack_for(p, msg, &packed);

  return err != CMT_OK
           ? err
           : sent(cmt_peer_send(p, channel, packed, timeout_ns), packed);
}

cmt_err cmt_peer_send_async_message(cmt_peer *p, uint8_t channel,
                                    const ProtobufCMessage *msg,
                                    cmt_send_req *req) {
  cmt_buf *packed;
  cmt_err err = pack_for(p, msg, &packed);

  return err != CMT_OK
           ? err
           : sent(cmt_peer_send_async(p, channel, packed, req), packed);
}

cmt_err cmt_switch_broadcast_message(cmt_switch *s, uint8_t channel,
                                     const ProtobufCMessage *msg,
                                     cmt_broadcast *counts) {
  cmt_buf *packed = NULL;
  cmt_err err =
    s == NULL ? CMT_EINVAL : cmt_protobuf_pack(cmt_switch_env(s), msg, &packed);

  if (counts != NULL) {
    *counts = (cmt_broadcast){.queued = 0};
  }
  return err != CMT_OK
           ? err
           : sent(cmt_switch_broadcast(s, channel, packed, counts), packed);
}

/* ---- receiving ---- */

static const cmt_protobuf_type *find_entry(const cmt_protobuf_reactor *r,
                                           uint8_t channel) {
  for (size_t i = 0; i < r->type_count; i++) {
    if (r->types[i].channel == channel) {
      return &r->types[i];
    }
  }
  return NULL;
}

/* The struct is that of the header that the application was compiled with: a
   field that it lacks has its default. */
static bool has_field(const cmt_protobuf_reactor *r, size_t end) {
  return r->size >= end;
}

#define HAS(r, field)                                                          \
  has_field((r), offsetof(cmt_protobuf_reactor, field) + sizeof(r)->field)

/* |growth| * |len| + |extra|, or the most that there is. */
static size_t quota_of(const cmt_protobuf_reactor *r, size_t len) {
  size_t growth = HAS(r, growth) ? r->growth : CMT_PROTOBUF_GROWTH;
  size_t extra = HAS(r, extra) ? r->extra : CMT_PROTOBUF_EXTRA;
  size_t room = SIZE_MAX - extra;

  if (len > 0 && growth > room / len) {
    return SIZE_MAX;
  }
  return growth * len + extra;
}

static cmt_err refuse(cmt_peer *p, uint8_t channel,
                      const ProtobufCMessageDescriptor *type,
                      const char *what) {
  char text[256];

  snprintf(text, sizeof text, "channel 0x%02x: a %s was expected: %s", channel,
           type->name, what);
  return cmt_peer_explain(p, CMT_EPROTO, text);
}

/* Unpacks |packed| into |a| and calls the reactor with it. */
static cmt_err receive_typed(const cmt_protobuf_reactor *r, cmt_peer *p,
                             uint8_t channel, cmt_buf *packed, cmt__arena *a) {
  const ProtobufCMessageDescriptor *type = find_entry(r, channel)->type;
  cmt_bytes b = cmt_buf_bytes(packed);
  ProtobufCMessage *msg;

  switch (cmt__nesting_check(b, type, CMT_PROTOBUF_DEPTH_MAX)) {
  case CMT__NESTING_TOO_DEEP:
    return refuse(p, channel, type, "the message is nested too deep");
  case CMT__NESTING_MALFORMED:
    return refuse(p, channel, type, "the message is malformed");
  case CMT__NESTING_FINE:
    break;
  }
  msg = protobuf_c_message_unpack(type, &a->allocator, b.len, b.base);
  if (msg != NULL) {
    return r->receive(r->base.self, p, channel, msg, packed);
  }
  if (a->no_memory) {
    return CMT_ENOMEM;
  }
  return refuse(p, channel, type,
                a->over_quota ? "the message needs too much memory"
                              : "the message is malformed");
}

static cmt_err on_receive(void *self, cmt_peer *p, uint8_t channel,
                          cmt_buf *packed) {
  const cmt_protobuf_reactor *r = self;
  size_t len = cmt_buf_bytes(packed).len;
  cmt__arena a;
  cmt_err err;

  if (find_entry(r, channel) == NULL) {
    return r->base.receive == NULL
             ? CMT_OK
             : r->base.receive(r->base.self, p, channel, packed);
  }
  cmt__arena_init(&a, cmt_peer_env(p), len, quota_of(r, len));
  err = receive_typed(r, p, channel, packed, &a);
  cmt__arena_fini(&a);
  return err;
}

/* ---- calls of the inner reactor ---- */

static cmt_err on_start(void *self, cmt_switch *sw) {
  const cmt_reactor *r = &((const cmt_protobuf_reactor *)self)->base;

  return r->start(r->self, sw);
}

static cmt_err on_init_peer(void *self, cmt_peer *p) {
  const cmt_reactor *r = &((const cmt_protobuf_reactor *)self)->base;

  return r->init_peer(r->self, p);
}

static void on_add_peer(void *self, cmt_peer *p) {
  const cmt_reactor *r = &((const cmt_protobuf_reactor *)self)->base;

  r->add_peer(r->self, p);
}

static void on_remove_peer(void *self, cmt_peer *p, cmt_err reason) {
  const cmt_reactor *r = &((const cmt_protobuf_reactor *)self)->base;

  r->remove_peer(r->self, p, reason);
}

static void on_stop(void *self) {
  const cmt_reactor *r = &((const cmt_protobuf_reactor *)self)->base;

  r->stop(r->self);
}

/* ---- making ---- */

/* No struct grows by more from one release to a later one, and none is too
   small for receive. */
static bool size_is_known(size_t size) {
  return size >= offsetof(cmt_protobuf_reactor, growth) &&
         size % sizeof(size_t) == 0 &&
         size <= sizeof(cmt_protobuf_reactor) + 4096;
}

void cmt_protobuf_reactor_init_sized(cmt_protobuf_reactor *r, size_t size) {
  cmt_protobuf_reactor full = {
    .size = size,
    .growth = CMT_PROTOBUF_GROWTH,
    .extra = CMT_PROTOBUF_EXTRA,
  };

  if (r == NULL || size < sizeof r->size) {
    return;
  }
  if (!size_is_known(size)) {
    r->size = 0; /* A use of it is refused. */
    return;
  }
  memset(r, 0, size);
  memcpy(r, &full, size < sizeof full ? size : sizeof full);
}

static cmt_err invalid(cmt_why *why, const char *text) {
  if (why != NULL) {
    *why = (cmt_why){.err = CMT_EINVAL, .stage = CMT_STAGE_TRANSPORT};
    snprintf(why->text, sizeof why->text, "%s", text);
  }
  return CMT_EINVAL;
}

static bool has_channel(const cmt_reactor *r, uint8_t channel) {
  for (size_t i = 0; i < r->channel_count; i++) {
    if (r->channels[i].id == channel) {
      return true;
    }
  }
  return false;
}

static cmt_err type_check(const cmt_protobuf_reactor *r, size_t index,
                          cmt_why *why) {
  const cmt_protobuf_type *t = &r->types[index];
  char text[128];

  if (t->type == NULL) {
    snprintf(text, sizeof text, "channel 0x%02x has no type", t->channel);
    return invalid(why, text);
  }
  if (!has_channel(&r->base, t->channel)) {
    snprintf(text, sizeof text, "channel 0x%02x has a type and is not claimed",
             t->channel);
    return invalid(why, text);
  }
  if (find_entry(r, t->channel) != t) {
    snprintf(text, sizeof text, "channel 0x%02x has two types", t->channel);
    return invalid(why, text);
  }
  return CMT_OK;
}

/* Copies the fields of this version; a later one that is set is an error. */
static cmt_err fields_check(const cmt_protobuf_reactor *r, cmt_why *why) {
  const uint8_t *bytes = (const uint8_t *)r;

  if (!size_is_known(r->size)) {
    return invalid(why, "a reactor of an unknown size: use the init macro");
  }
  for (size_t i = sizeof *r; i < r->size; i++) {
    if (bytes[i] != 0) {
      return invalid(why, "a field is set that this version does not have");
    }
  }
  if (r->receive == NULL) {
    return invalid(why, "receive is not set");
  }
  if ((r->types == NULL) != (r->type_count == 0)) {
    return invalid(why, r->types == NULL ? "type_count is set and types is NULL"
                                         : "types is set and type_count is 0");
  }
  if (r->type_count > UINT8_MAX + 1) {
    return invalid(why, "type_count is over 256");
  }
  if (r->base.channels == NULL && r->base.channel_count > 0) {
    return invalid(why, "channel_count is set and channels is NULL");
  }
  if (r->base.channel_count > CMT_CHANNELS_MAX) {
    return invalid(why, "channel_count is over CMT_CHANNELS_MAX");
  }
  return CMT_OK;
}

cmt_err cmt_protobuf_reactor_wrap(const cmt_protobuf_reactor *r,
                                  cmt_reactor *out, cmt_why *why) {
  const cmt_reactor *base;

  if (r == NULL || out == NULL) {
    return invalid(why, r == NULL ? "the reactor is NULL" : "out is NULL");
  }
  if (fields_check(r, why) != CMT_OK) {
    return CMT_EINVAL;
  }
  base = &r->base;
  for (size_t i = 0; i < r->type_count; i++) {
    cmt_err err = type_check(r, i, why);

    if (err != CMT_OK) {
      return err;
    }
  }
  *out = *base;
  out->self = (void *)(uintptr_t)r;
  out->start = base->start != NULL ? on_start : NULL;
  out->init_peer = base->init_peer != NULL ? on_init_peer : NULL;
  out->add_peer = base->add_peer != NULL ? on_add_peer : NULL;
  out->receive = on_receive;
  out->remove_peer = base->remove_peer != NULL ? on_remove_peer : NULL;
  out->stop = base->stop != NULL ? on_stop : NULL;
  return CMT_OK;
}
