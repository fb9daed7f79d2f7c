/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_DIAL_H
#define CMT_DIAL_H

/* Dials: nodes that a switch wants a connection with.  Any thread and any
   callback may call everything here.  docs/guide/dials.md.

   A dial makes attempts.  An attempt goes through at most eight addresses of a
   name and has one outcome.  |dial_timeout_ns| of the switch is for all of them
   together; each handshake has its own time. */

#include <cometp2p/reactor.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cmt_dial cmt_dial;

/** The outcome of one attempt.  Lent for the call. */
typedef struct cmt_dial_outcome {
  size_t size;
  const cmt_node_id *id; /**< Authenticated; NULL before it was. */
  const char *remote;    /**< "IP:PORT", or what was dialed before that. */
  uint64_t attempt;      /**< Its number, from 1. */
  bool redials;          /**< Another attempt follows, now or when the peer is
                              gone. */
  cmt_why why; /**< CMT_OK: cmt_switch_peer() of |id| is the peer, unless the
                    dial is a feeler.  Else the reason that on_rejected of the
                    switch received before. */
  /** CMT_OK: that of the node, validated; NULL otherwise, and in an event. */
  const cmt_node_info *node_info;
  /** How long its last address took to connect, to prove its id, and then until
      it was a peer; 0: it did not get there. */
  uint64_t connect_ns, secret_ns, info_ns;
} cmt_dial_outcome;

/** For |retry_jitter_ns|: no jitter, the delays are exact. */
#define CMT_NO_JITTER UINT64_MAX

/** Fill with cmt_dial_options_init(), then change what should differ. */
typedef struct cmt_dial_options {
  size_t size;
  /** Runs on the first loop, exactly once for each attempt, and not after
      cmt_dial_cancel(); may be NULL. For CMT_OK it runs before add_peer.
      |dial| is NULL when the caller did not ask for a handle. */
  void (*on_outcome)(void *arg, cmt_dial *dial, const cmt_dial_outcome *o);
  void *arg;
  /** From a failure, or the end of the peer, to the next attempt: 5 s; 1 ms to
      366 days.  Each further failure in a row multiplies it by
      |retry_factor_percent| / 100 (100, the default, to 1000), up to
      |retry_delay_max_ns|: 1 h, or |retry_delay_ns| when that is longer. */
  uint64_t retry_delay_ns, retry_delay_max_ns;
  uint64_t retry_jitter_ns; /**< Added to each delay, drawn below this: 3 s; or
                                 CMT_NO_JITTER. */
  uint32_t retry_factor_percent;
  /** Dial again after each failure or lost connection, resolving the name
      again, but never while a peer with the id exists.  If there is no memory
      for its timers, the dial ends with CMT_ENOMEM, and |redials| is false. */
  bool persistent;
  /** As long as the dial has not ended, a node with its id becomes a peer
      whoever dialed it, even when |inbound_peers_max|, |outbound_peers_max| or
      |inbound_peers_per_ip_max| of the switch is reached.  It takes no place of
      others until it ends: cmt_peer_is_unconditional(). */
  bool unconditional;
  /** The node's network (network.h), copied; NULL: that of the switch. */
  const char *network;
  /** Only finds out whether the node is there: the connection ends when both
      sides are authenticated and the node info of the other fits.  There is no
      peer, no reactor learns of it, and no limit of peers nor a filter applies.
      A peer with the id stays as it is.
      Not together with |persistent| or |unconditional|. */
  bool feeler;
} cmt_dial_options;

#define cmt_dial_options_init(o) cmt_dial_options_init_sized((o), sizeof *(o))
CMT_API void cmt_dial_options_init_sized(cmt_dial_options *o, size_t size);

/** Dials |addr|, "ID@HOST:PORT", at once or when the switch starts.  |o| is
    copied; NULL: the defaults.  |*out| (|out| may be NULL) is valid until
    cmt_dial_cancel() or the end of cmt_switch_delete().

    Returns CMT_OK; CMT_EINVAL: |why| (may be NULL) names address or option;
    CMT_EDUPLICATE: a persistent dial of the id exists; CMT_ECLOSED: the switch
    is stopping; CMT_ENOMEM. */
CMT_API CMT_NODISCARD cmt_err cmt_switch_dial_new(cmt_switch *s,
                                                  const char *addr,
                                                  const cmt_dial_options *o,
                                                  cmt_dial **out, cmt_why *why);

/** Ends the dial and releases |d|; NULL is fine.  An attempt under way ends
    without an outcome; an existing peer stays.  On return on_outcome does not
    run and never will: the call waits for one that runs on another thread, and
    returns at once when on_outcome itself makes it. */
CMT_API void cmt_dial_cancel(cmt_dial *d);

enum {
  CMT_DIAL_PERSISTENT = 1,    /**< |persistent| of the options, */
  CMT_DIAL_UNCONDITIONAL = 2, /**< and |unconditional|. */
};

/** cmt_switch_dial_new() with the default options but for |flags|, without a
    handle: cmt_switch_dial_cancel() ends it.  CMT_EINVAL also: an unknown
    flag. */
CMT_API CMT_NODISCARD cmt_err cmt_switch_dial(cmt_switch *s, const char *addr,
                                              unsigned flags, cmt_why *why);

/** Cancels, as cmt_dial_cancel(), each dial of the node |id|, in upper or lower
    case, that has no handle, such as those of cmt_switch_dial() and
    cmt_switch_dial_list().  Returns how many it cancelled; an existing peer
    stays. */
CMT_API size_t cmt_switch_dial_cancel(cmt_switch *s, const cmt_node_id *id);

typedef enum cmt_dial_state {
  CMT_DIAL_QUEUED,     /**< It begins soon, or when the switch starts. */
  CMT_DIAL_WAITING,    /**< Between two attempts. */
  CMT_DIAL_RESOLVING,  /**< In an attempt: the name, */
  CMT_DIAL_CONNECTING, /**< TCP, */
  CMT_DIAL_HANDSHAKE,  /**< or the rest; or the connection is on standby. */
  CMT_DIAL_CONNECTED,  /**< A peer with the id exists; it waits for its end. */
  CMT_DIAL_ENDED,      /**< No attempt follows. */
} cmt_dial_state;

typedef struct cmt_dial_status {
  size_t size;
  cmt_dial_state state;
  bool persistent, unconditional;
  uint64_t attempts; /**< How many were made, with the present one. */
  uint64_t failures; /**< Since the last peer. */
  /** In the state CMT_DIAL_WAITING: the instant of the next attempt, on the
      monotonic clock (uv_hrtime()); else CMT_NEVER. */
  uint64_t next_ns;
  cmt_why last; /**< The last failure; CMT_OK: there was none. */
  cmt_node_id id;
  char addr[CMT_NET_ADDR_TEXT_SIZE];
} cmt_dial_status;

/** Fills in the cmt_dial_status |out| as of now. */
#define cmt_dial_get_status(d, out)                                            \
  cmt_dial_get_status_sized((d), (out), sizeof *(out))
/** See cmt_dial_get_status(). */
CMT_API void cmt_dial_get_status_sized(cmt_dial *d, cmt_dial_status *out,
                                       size_t size);

/** Fills in up to |cap| elements of the array |out| of cmt_dial_status, one for
    each dial that has not ended or has a handle, in no order; returns how many
    dials there are. */
#define cmt_switch_dials(s, out, cap)                                          \
  cmt_switch_dials_sized((s), (out), (cap), sizeof(cmt_dial_status))
/** See cmt_switch_dials(); |size| is that of an element. */
CMT_API size_t cmt_switch_dials_sized(cmt_switch *s, cmt_dial_status *out,
                                      size_t cap, size_t size);

#ifdef __cplusplus
}
#endif
#endif
