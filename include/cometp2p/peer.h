/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_PEER_H
#define CMT_PEER_H

/* A peer: a node that this node is connected to.  Peers are reference counted.
   Everything here may be called from any thread and from any callback.
   Callbacks lend a peer; cmt_peer_ref() keeps it.  After the peer has gone its
   sends return CMT_ECLOSED.

   Messages of one peer on one channel arrive whole, once, and in the order of
   the successful sends, until remove_peer reports the end of the connection. */

#include <cometp2p/conn.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cmt_peer cmt_peer;

/** Adds a reference; returns |p|.  A call without any reference left panics
    (env.h), if the memory still shows it. */
CMT_API cmt_peer *cmt_peer_ref(cmt_peer *p);
/** Drops a reference; NULL is fine.  One call too many panics, if the memory
    still shows it. */
CMT_API void cmt_peer_unref(cmt_peer *p);

/** The authenticated id; lives as long as the reference. */
CMT_API const cmt_node_id *cmt_peer_id(const cmt_peer *p);
/** The validated node info of the peer; lives as long as the reference. */
CMT_API const cmt_node_info *cmt_peer_node_info(const cmt_peer *p);
/** True when we dialed the peer. */
CMT_API bool cmt_peer_is_outbound(const cmt_peer *p);
/** True when we dialed the peer and dial again after its connection ends. */
CMT_API bool cmt_peer_is_persistent(const cmt_peer *p);
/** True when the peer takes no place of others: since it came its id was on the
    list of cmt_switch_set_unconditional(), or had a dial that is so. */
CMT_API bool cmt_peer_is_unconditional(const cmt_peer *p);
/** True when the node info of the peer lists |channel|. */
CMT_API bool cmt_peer_has_channel(const cmt_peer *p, uint8_t channel);
/** The id and the address of its socket. */
CMT_API void cmt_peer_get_remote(const cmt_peer *p, cmt_net_addr *out);
/** Why the peer ended, in and after remove_peer; CMT_OK before. */
CMT_API void cmt_peer_get_why(const cmt_peer *p, cmt_why *out);
/** The environment of its switch, for cmt_buf_new(); lives as long as the
    reference. */
CMT_API const cmt_env *cmt_peer_env(const cmt_peer *p);

/** Records one line of text for a person that explains |reason|, before a
    callback returns |reason| or cmt_peer_stop() is called with it.  The first
    |text| that is not NULL counts; it is escaped and cut to fit.  Returns
    |reason|.  CMT_OK panics. */
CMT_API cmt_err cmt_peer_explain(cmt_peer *p, cmt_err reason, const char *text);

/** Queues |msg| on |channel|, or refuses it at once; the result is final on any
    thread.  On CMT_OK one reference to |msg| moves to the library; on an error
    it stays with the caller.

    Returns CMT_OK; CMT_EAGAIN: no room, or an earlier send waits;
    CMT_ENOCHANNEL: we lack the channel; CMT_EPEERCHANNEL: the peer lacks it;
    CMT_ETOOBIG; CMT_ECLOSED: the peer is stopping or gone; CMT_ENOMEM. */
CMT_API CMT_NODISCARD cmt_err cmt_peer_try_send(cmt_peer *p, uint8_t channel,
                                                cmt_buf *msg);

/** How long CometBFT's Send waits for room: 10 s. */
#define CMT_SEND_TIMEOUT CMT_SECONDS(10)

/** Blocks until |msg| is queued, the peer is gone, or |timeout_ns| passed, such
    as CMT_SEND_TIMEOUT: 0 does not wait, CMT_NEVER waits without limit.  The
    reference to |msg| moves on CMT_OK only.

    Returns the errors of cmt_peer_try_send() but CMT_EAGAIN; CMT_ETIMEDOUT;
    CMT_EDEADLK: the calling thread is the loop of a switch. */
CMT_API CMT_NODISCARD cmt_err cmt_peer_send(cmt_peer *p, uint8_t channel,
                                            cmt_buf *msg, uint64_t timeout_ns);

/** A request for an asynchronous send, in the memory of the caller.  Set it
    with CMT_SEND_REQ().  It is under way from a cmt_peer_send_async() that
    returned CMT_OK until |cb| or cmt_peer_send_cancel().  Meanwhile it must
    stay where it is, a second send with it fails with CMT_EINVAL, and writing
    to it panics. */
typedef struct cmt_send_req {
  size_t size;
  /** How long the message may wait for room from the call on; 0: not at all,
      CMT_NEVER: without limit. */
  uint64_t timeout_ns;
  /** Runs once, unless the send is cancelled, on the peer's loop.  CMT_OK:
      queued; CMT_ETIMEDOUT, CMT_ECLOSED, CMT_ENOMEM: |msg| is handed back.  The
      request may be used again then.  NULL: CMT_EVENT_SENT reports the result
      if the switch has an |event_reactor|; otherwise nothing does, and a
      message that cannot be queued is dropped. */
  void (*cb)(void *arg, cmt_err status, cmt_buf *msg);
  void *arg;
  cmt_buf *msg; /**< Set by the library: the message while it is under way. */
  void *internal[7]; /**< Used by the library while the request is under way. */
} cmt_send_req;

/** Initialises a request:
    cmt_send_req req = CMT_SEND_REQ(CMT_SEND_TIMEOUT, on_sent, self); */
#define CMT_SEND_REQ(timeout_ns_, cb_, arg_)                                   \
  {                                                                            \
    sizeof(cmt_send_req), (timeout_ns_), (cb_), (arg_), NULL, { NULL }         \
  }

/** Queues |msg| as soon as there is room, in the order of the calls.  On CMT_OK
    one reference to |msg| moves to the library, until |cb| or
    cmt_peer_send_cancel() hands it back.

    Returns CMT_OK: |req|->cb will be called; the errors of cmt_peer_try_send()
    but CMT_EAGAIN; CMT_EINVAL: |req| was not set, or is under way. */
CMT_API CMT_NODISCARD cmt_err cmt_peer_send_async(cmt_peer *p, uint8_t channel,
                                                  cmt_buf *msg,
                                                  cmt_send_req *req);

/** Cancels the send of |req| to |p|, on any thread, without waiting.

    Returns CMT_OK: not sent, and the caller owns |req|->msg again;
    CMT_EALREADY: queued before, and sent; after these two |cb| does not run.
    CMT_EBUSY: |cb| is running, or its event waits; CMT_EINVAL: |req| is not
    under way to |p|. */
CMT_API CMT_NODISCARD cmt_err cmt_peer_send_cancel(cmt_peer *p,
                                                   cmt_send_req *req);

/** cmt_peer_try_send() of a copy of |len| bytes. */
CMT_API CMT_NODISCARD cmt_err cmt_peer_try_send_bytes(cmt_peer *p,
                                                      uint8_t channel,
                                                      const void *data,
                                                      size_t len);
/** cmt_peer_send() of a copy of |len| bytes. */
CMT_API CMT_NODISCARD cmt_err cmt_peer_send_bytes(cmt_peer *p, uint8_t channel,
                                                  const void *data, size_t len,
                                                  uint64_t timeout_ns);

/** The result of a broadcast: how many peers queued the message, had no room,
    or do not have the channel.  The struct never grows. */
typedef struct cmt_broadcast {
  size_t queued, full, no_channel;
  size_t reserved[5]; /**< For later counts; 0. */
} cmt_broadcast;

/** Stops reading from the peer.  Calls are counted: each needs its
    cmt_peer_resume(), and one resume too many panics.  Messages that were read
    already, at most 64 KiB of the stream, may still be delivered. */
CMT_API void cmt_peer_pause(cmt_peer *p);
CMT_API void cmt_peer_resume(cmt_peer *p);

/** Ends the peer with |reason|; CMT_OK panics.  |flush_ns| 0 closes at once;
    otherwise new sends are refused, and what is queued is sent within that
    time.  remove_peer follows.  The first reason stays; a later stop can only
    shorten the time. */
CMT_API void cmt_peer_stop(cmt_peer *p, cmt_err reason, uint64_t flush_ns);

enum {
  CMT_PEER_KEYS_MAX = 16, /**< Values of one peer. */
  CMT_PEER_KEY_MAX = 63,  /**< Bytes of a key, without the NUL. */
};

/** Stores |value| with the peer under |key|, 1 to CMT_PEER_KEY_MAX bytes, in
    place of the value before; NULL only removes that.  |destroy|(|value|),
    unless NULL, runs once: when it is replaced, or with the last reference.

    Returns CMT_OK; CMT_EINVAL: the key is NULL, empty or too long; CMT_ELIMIT:
    CMT_PEER_KEYS_MAX other keys exist; CMT_ENOMEM.  An error leaves |value|
   with the caller. */
CMT_API CMT_NODISCARD cmt_err cmt_peer_set_value(cmt_peer *p, const char *key,
                                                 void *value,
                                                 void (*destroy)(void *));

/** The value of |key|, or NULL.  It lives as long as the reference unless it is
    replaced: the caller that replaces it must know that no thread uses the old
    value. */
CMT_API void *cmt_peer_value(const cmt_peer *p, const char *key);

enum {
  CMT_PEER_TAGS_MAX = 8, /**< Tags of one peer. */
  CMT_PEER_TAG_MAX = 31, /**< Bytes of a tag, without the NUL. */
};

/** Sets the worth of the peer under |tag|, 1 to CMT_PEER_TAG_MAX bytes; 0
    removes the tag.  Eviction (|evict_interval_ns| of the switch) compares the
    sums of all tags.

    Returns CMT_OK; CMT_EINVAL: the tag is NULL, empty or too long; CMT_ELIMIT:
    CMT_PEER_TAGS_MAX other tags exist; CMT_ENOMEM. */
CMT_API CMT_NODISCARD cmt_err cmt_peer_set_worth(cmt_peer *p, const char *tag,
                                                 int32_t value);
/** The sum of the peer's tags; 0 when there is none. */
CMT_API int64_t cmt_peer_worth(const cmt_peer *p);
/** Protects the peer from eviction.  Calls are counted: each needs its
    cmt_peer_unprotect(), and one of these too many panics. */
CMT_API void cmt_peer_protect(cmt_peer *p);
CMT_API void cmt_peer_unprotect(cmt_peer *p);

typedef struct cmt_peer_status {
  size_t size;
  uint64_t up_ns;                   /**< Since it was added. */
  uint64_t rtt_last_ns, rtt_min_ns; /**< 0 before the first pong. */
  uint64_t pings_sent, pongs_recv;
  uint64_t sent_bytes, recv_bytes; /**< On the socket. */
  uint64_t write_calls, read_calls;
  uint64_t read_paused_ns; /**< How long it was not read, for a pause or a full
                                queue. */
  /** Bytes per second on the socket over the last second, or the longer time
      from one iteration to another; at most 2^32 - 1. */
  uint64_t send_rate, recv_rate;
  /** What the kernel last reported about the socket: bytes not sent yet, the
      time that they need at the delivery rate, and bytes in flight.  The
      library queries it at most every 20 ms, after more than 32 KiB were
      written or while some are unsent. 0: never queried, or the connection has
      ended. */
  uint64_t kernel_unsent_bytes, kernel_unsent_ns, in_flight_bytes;
  /** Estimated throughput of the path in bytes per second: the kernel's
      delivery rate, or the rate of the receiver if that is lower. */
  uint64_t delivery_rate;
  uint64_t tcp_rtt_ns; /**< Smoothed; without the time in our queues. */
  size_t channel_count;
  cmt_channel_status channels[CMT_CHANNELS_MAX];
} cmt_peer_status;

/** Fills in a snapshot as of the peer's last loop iteration; counters of
    channels may be newer.  After the end the final values remain. */
#define cmt_peer_get_status(p, out)                                            \
  cmt_peer_get_status_sized((p), (out), sizeof *(out))
CMT_API void cmt_peer_get_status_sized(const cmt_peer *p, cmt_peer_status *out,
                                       size_t size);

#ifdef __cplusplus
}
#endif
#endif
