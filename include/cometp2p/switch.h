/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_SWITCH_H
#define CMT_SWITCH_H

/* The switch: listens, dials, keeps the set of peers, and gives each message
   to the reactor that owns its channel.  docs/PROTOCOL.md section 6.
   Everything here but cmt_switch_new(), cmt_switch_start() and
   cmt_switch_delete() may be called from any thread and from any callback;
   those three each from one thread.

   After fork() the child must not touch a switch or a peer. */

#include <cometp2p/reactor.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A dial or an accept that yields no peer. */
typedef struct cmt_rejection {
  size_t size;
  const char *remote;    /**< "IP:PORT", or what was dialed before that. */
  const char *dialed;    /**< The text of cmt_switch_dial(); NULL: accepted. */
  const cmt_node_id *id; /**< Authenticated; NULL before it was. */
  bool outbound;
  bool redials; /**< A persistent address that is tried again. */
  cmt_why why;
} cmt_rejection;

/** Fill with cmt_switch_options_init(), then change what should differ. */
typedef struct cmt_switch_options {
  size_t size;
  const cmt_env *env;      /**< NULL: the defaults.  Copied. */
  const cmt_node_key *key; /**< Borrowed until the end; NULL: a fresh one. */
  const char *network;     /**< Must be set: the chain id. */
  const char *moniker;     /**< "cometp2p". */
  const char *version;     /**< Of the software: cmt_version(). */
  const char *laddr;       /**< "HOST:PORT", an IP literal; NULL: none. */
  /** Said in the node info instead of |laddr|; NULL: |laddr| itself, and
      "tcp://0.0.0.0:0" without one. */
  const char *external_address;
  uint64_t protocol_p2p, protocol_block, protocol_app; /**< 8, 11, 0. */
  const cmt_reactor *reactors; /**< Copied; what they point to is borrowed. */
  size_t reactor_count;
  /** On the loop, once per dial or accept that yields no peer; may be NULL. */
  void (*on_rejected)(void *arg, const cmt_rejection *r);
  void *arg;
  uint64_t ping_interval_ns;     /**< 60 s. */
  uint64_t pong_timeout_ns;      /**< 45 s; shorter than the interval. */
  uint64_t flush_throttle_ns;    /**< 0; else messages wait so long for others
                                      to share their frames. */
  uint64_t dial_timeout_ns;      /**< 3 s. */
  uint64_t handshake_timeout_ns; /**< 3 s for each half. */
  uint32_t send_packet_payload_max;  /**< 1024. */
  uint32_t recv_packet_payload_max;  /**< 1400. */
  uint32_t inbound_peers_max;        /**< 40. */
  uint32_t inbound_peers_per_ip_max; /**< 0: no limit. */
  uint32_t handshakes_max; /**< 64 at one time, both directions; over it an
                                accepted connection is closed and a dial is
                                rejected. */
  size_t send_bytes_max;   /**< Queued per peer: 32 MiB, or one message. */
  size_t recv_bytes_max;   /**< Under reassembly per peer; 0: the largest
                                message + 1 MiB. */
} cmt_switch_options;

#define cmt_switch_options_init(o)                                             \
  cmt_switch_options_init_sized((o), sizeof *(o))
CMT_API void cmt_switch_options_init_sized(cmt_switch_options *o, size_t size);

/**
 * A switch that does nothing yet.
 *
 * Returns    CMT_OK; CMT_EINVAL: |why| (may be NULL) names the option, what
 *            was found and what is allowed, such as "reactors chat and files
 *            both claim channel 0x51"; CMT_ENOMEM; CMT_EIO.
 * Ownership  the caller deletes |*out|; |o| is not kept.
 */
CMT_API CMT_NODISCARD cmt_err cmt_switch_new(const cmt_switch_options *o,
                                             cmt_switch **out, cmt_why *why);

/**
 * Listens, starts the reactors and then the thread of the loop, which has all
 * signals blocked.
 *
 * Returns    CMT_OK; CMT_EIO: |why| (may be NULL) has for example "cannot
 *            listen on 127.0.0.1:26656: address already in use";
 *            CMT_EINVAL: started before; CMT_ENOMEM; or the error of a
 *            reactor's start.
 *            After an error only cmt_switch_delete() makes sense.
 */
CMT_API CMT_NODISCARD cmt_err cmt_switch_start(cmt_switch *s, cmt_why *why);

enum {
  /** Dial again for ever when the attempt or the connection ends, 5 s + up to
      3 s apart, the host name resolved anew each time. */
  CMT_DIAL_PERSISTENT = 1
};

/**
 * Dials |addr|, "ID@HOST:PORT".
 *
 * The outcome comes as add_peer or on_rejected, exactly one of them for each
 * attempt.  Dials before cmt_switch_start() wait for it.
 *
 * Returns    CMT_OK; CMT_EINVAL: not such an address; CMT_ECLOSED: the switch
 *            is stopping; CMT_ENOMEM.
 */
CMT_API CMT_NODISCARD cmt_err cmt_switch_dial(cmt_switch *s, const char *addr,
                                              unsigned flags);

/** What became of a broadcast: peers that queued the message, had no room, or
    do not have the channel. */
typedef struct cmt_broadcast {
  size_t queued, full, no_channel;
} cmt_broadcast;

/**
 * cmt_peer_try_send() of one buffer to every peer.
 *
 * Returns    CMT_OK, whatever each peer said: |counts| (may be NULL) tells;
 *            CMT_ENOCHANNEL; CMT_ETOOBIG; CMT_ENOMEM.
 * Ownership  CMT_OK takes one reference to |msg|, an error leaves it.
 */
CMT_API cmt_err cmt_switch_broadcast(cmt_switch *s, uint8_t channel,
                                     cmt_buf *msg, cmt_broadcast *counts);
/** The same with a copy of |len| bytes. */
CMT_API cmt_err cmt_switch_broadcast_bytes(cmt_switch *s, uint8_t channel,
                                           const void *data, size_t len);

/** Writes up to |cap| peers to |out|, each with a reference for the caller;
    returns how many there are. */
CMT_API size_t cmt_switch_peers(cmt_switch *s, cmt_peer **out, size_t cap);

/** The peer with |id| with a reference for the caller, or NULL. */
CMT_API cmt_peer *cmt_switch_peer(cmt_switch *s, const cmt_node_id *id);

/** The id of this node. */
CMT_API void cmt_switch_id(const cmt_switch *s, cmt_node_id *out);

/** Where it listens, with its id, after port 0 was replaced.  CMT_EINVAL: it
    does not listen. */
CMT_API CMT_NODISCARD cmt_err cmt_switch_laddr(const cmt_switch *s,
                                               cmt_net_addr *out);

typedef struct cmt_switch_status {
  size_t size;
  uint64_t inbound_peers, outbound_peers;
  uint64_t handshakes;                                 /**< In flight. */
  uint64_t accepted, dialed, added, removed, rejected; /**< Since the start. */
  uint64_t no_descriptors; /**< Accepted and closed for want of them. */
} cmt_switch_status;

/** Fills in the cmt_switch_status |out| as of now. */
#define cmt_switch_get_status(s, out)                                          \
  cmt_switch_get_status_sized((s), (out), sizeof *(out))
/** See cmt_switch_get_status(). */
CMT_API void cmt_switch_get_status_sized(cmt_switch *s, cmt_switch_status *out,
                                         size_t size);

/**
 * Ends listening and dialing at once, and every peer as cmt_peer_stop() with
 * CMT_ECANCELED: |flush_ns| bounds flushing and the wait for the other side
 * together.  Returns at once; a second call changes nothing.
 */
CMT_API void cmt_switch_stop(cmt_switch *s, uint64_t flush_ns);

/**
 * Stops with no flush unless cmt_switch_stop() was called, waits until the
 * last peer is removed and the reactors are stopped, and frees.  NULL is fine.
 *
 * Every 5 s it logs what it waits for, such as the reactor whose function does
 * not return.  A host name that is being resolved cannot be interrupted: the
 * call also waits until the system's resolver gives up.
 *
 * Returns    CMT_OK; CMT_EDEADLK: on the loop of a switch; nothing is freed.
 */
CMT_API CMT_NODISCARD cmt_err cmt_switch_delete(cmt_switch *s);

#ifdef __cplusplus
}
#endif
#endif
