/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_PROTOBUF_H
#define CMT_PROTOBUF_H

/* protobuf-c messages on channels that name their type: the optional library
   libcometp2p-protobuf.  Include <protobuf-c/protobuf-c.h>, or a header that
   protoc-c made, beside this one.  docs/guide/protobuf.md.

   A reactor of typed messages is a plain reactor inside another that unpacks,
   under limits of memory and depth.  The messages of CometBFT are in
   share/cometp2p/proto. */

#include <cometp2p/switch.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ProtobufCMessage;
struct ProtobufCMessageDescriptor;

/** The type of a channel's messages. */
typedef struct cmt_protobuf_type {
  uint8_t channel;
  const struct ProtobufCMessageDescriptor *type;
} cmt_protobuf_type;

enum {
  CMT_PROTOBUF_GROWTH = 24,     /**< Default of |growth|. */
  CMT_PROTOBUF_EXTRA = 65536,   /**< Default of |extra|. */
  CMT_PROTOBUF_DEPTH_MAX = 100, /**< Messages inside each other. */
};

/** Fill with cmt_protobuf_reactor_init(), then set the fields that apply. */
typedef struct cmt_protobuf_reactor {
  size_t size;
  /** The reactor as it would be without this library: name, channels, |self|,
      and all functions.  Its receive gets the messages of channels without a
      type. */
  cmt_reactor base;
  const cmt_protobuf_type *types; /**< At most one of each channel. */
  size_t type_count;
  /** Receives a message on a channel with a type.  |msg| is lent for the call,
      with all that it points to; |packed|, lent too, is the message as it was
      received, for forwarding: cmt_buf_ref() keeps it.  An error ends the peer
      with that reason. */
  cmt_err (*receive)(void *self, cmt_peer *p, uint8_t channel,
                     const struct ProtobufCMessage *msg, cmt_buf *packed);
  /** A message of n bytes may use |growth| * n + |extra| bytes of memory while
      it is unpacked and read; lists of short elements need a larger
      |growth|. */
  size_t growth, extra;
} cmt_protobuf_reactor;

#define cmt_protobuf_reactor_init(r)                                           \
  cmt_protobuf_reactor_init_sized((r), sizeof *(r))
/** See cmt_protobuf_reactor_init(). */
CMT_API void cmt_protobuf_reactor_init_sized(cmt_protobuf_reactor *r,
                                             size_t size);

/** Fills in |out|, the reactor for the switch in place of |r|->base.  |r| is
    borrowed until the switch is deleted.  A message that cannot be unpacked
    within its limits ends its peer with CMT_EPROTO and a text that names
    channel and type.  |out|->receive may also be called directly, on any
    thread.

    Returns CMT_OK; CMT_EINVAL: |why| (may be NULL) names what is wrong. */
CMT_API CMT_NODISCARD cmt_err cmt_protobuf_reactor_wrap(
  const cmt_protobuf_reactor *r, cmt_reactor *out, cmt_why *why);

/**
 * Packs |msg| into a buffer of |env|, for calls that need a buffer.
 *
 * Returns    CMT_OK; CMT_ETOOBIG: over CMT_MESSAGE_MAX bytes; CMT_ENOMEM.
 * Ownership  the caller owns the one reference to |*out|.
 */
CMT_API CMT_NODISCARD cmt_err cmt_protobuf_pack(
  const cmt_env *env, const struct ProtobufCMessage *msg, cmt_buf **out);

/** cmt_peer_try_send() of |msg|, packed. */
CMT_API CMT_NODISCARD cmt_err cmt_peer_try_send_message(
  cmt_peer *p, uint8_t channel, const struct ProtobufCMessage *msg);
/** cmt_peer_send() of |msg|, packed. */
CMT_API CMT_NODISCARD cmt_err
cmt_peer_send_message(cmt_peer *p, uint8_t channel,
                      const struct ProtobufCMessage *msg, uint64_t timeout_ns);
/** cmt_peer_send_async() of |msg|, packed; the callback hands back the
    buffer. */
CMT_API CMT_NODISCARD cmt_err cmt_peer_send_async_message(
  cmt_peer *p, uint8_t channel, const struct ProtobufCMessage *msg,
  cmt_send_req *req);
/** cmt_switch_broadcast() of |msg|, packed once for all peers. */
CMT_API cmt_err cmt_switch_broadcast_message(cmt_switch *s, uint8_t channel,
                                             const struct ProtobufCMessage *msg,
                                             cmt_broadcast *counts);

#ifdef __cplusplus
}
#endif
#endif
