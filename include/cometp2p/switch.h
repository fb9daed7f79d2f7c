/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_SWITCH_H
#define CMT_SWITCH_H

/* The switch: listens, dials, keeps the set of peers, and delivers each message
   to the reactor that owns its channel. docs/guide/first-node.md.  Any thread
   and any callback may call everything here; cmt_switch_new(),
   cmt_switch_start() and cmt_switch_delete() are each for one thread.  After
   fork() the child must not touch a switch or a peer. */

#include <cometp2p/admission.h>
#include <cometp2p/dial.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A dial or an accept that yields no peer.  The log has it too: at info for
    dials, at debug for accepts. */
typedef struct cmt_rejection {
  size_t size;
  const char *remote;    /**< "IP:PORT", or what was dialed before that. */
  const char *dialed;    /**< The text of cmt_switch_dial(); NULL: accepted. */
  const cmt_node_id *id; /**< Authenticated; NULL before it was. */
  bool outbound;
  bool redials; /**< The dial is persistent and tries again. */
  cmt_why why;
} cmt_rejection;

enum {
  CMT_LOOPS_MAX = 64,             /**< Loops of one switch. */
  CMT_HANDSHAKE_THREADS_MAX = 64, /**< Most |handshake_threads|. */
  CMT_PEERS_MAX = 65535, /**< Most inbound peers, and most outbound ones. */
};

enum { CMT_UNCONDITIONAL_MAX = 256 }; /**< Most |unconditional| ids. */

/** For limits that have another default. */
#define CMT_NO_LIMIT UINT32_MAX
/** For |inbound_peers_max| and |outbound_peers_max|: no peers at all. */
#define CMT_NO_PEERS (UINT32_MAX - 1)
/** No handshake leaves the first loop. */
#define CMT_NO_HANDSHAKE_THREADS UINT32_MAX
/** For |queue_delay_target_ns|: fixed sizes at any rate. */
#define CMT_NO_DELAY_TARGET UINT64_MAX

/** Fill with cmt_switch_options_init(), then change what should differ.  0 and
    NULL are the default of every field, which its comment names. */
typedef struct cmt_switch_options {
  size_t size;
  const cmt_env *env;      /**< NULL: the defaults.  Copied. */
  const cmt_node_key *key; /**< The switch has a reference of its own; NULL: a
                                fresh one. */
  const char *network;     /**< Must be set: the chain id. */
  const char *moniker;     /**< "cometp2p". */
  const char *version;     /**< The software's: cmt_version(). */
  /** "HOST:PORT", an IP literal and a port, of which 0 is a free one; a scheme
      such as "tcp://" may stand before it.  "*:PORT", ":PORT" and "[::]:PORT"
      are all addresses of IPv6 and IPv4; "0.0.0.0:PORT" is all of IPv4.  NULL:
      the switch does not listen. */
  const char *laddr;
  /** Advertised in the node info instead of |laddr|; NULL: |laddr| itself, and
      "tcp://0.0.0.0:0" without one. */
  const char *external_address;
  uint64_t protocol_p2p, protocol_block, protocol_app; /**< 8, 11, 0. */
  const cmt_reactor *reactors; /**< Copied with their channels;
                                  names and |self| are borrowed. */
  size_t reactor_count;
  /** 1 to CMT_LOOPS_MAX, each with a thread and 326 KiB; default 1.  With more,
      a peer goes to the loop with the fewest peers, and inline reactors receive
      from different peers at the same time.  The first one also listens, dials
      and does the handshakes.  docs/guide/threads.md. */
  unsigned loops;
  cmt_wire wire; /**< CMT_WIRE_COMETBFT; every peer must speak the same. */
  /** Runs on the first loop, once per dial or accept that yields no peer; may
      be NULL. */
  void (*on_rejected)(void *arg, const cmt_rejection *r);
  /** Runs once, after cmt_switch_run_on() only, as the last callback of all; it
      may delete the switch.  May be NULL. */
  void (*on_finished)(void *arg);
  void *arg;
  uint64_t ping_interval_ns;       /**< 60 s. */
  uint64_t pong_timeout_ns;        /**< 45 s; shorter than the interval.  Once a
                                        ping is due, a peer has both together to
                                        receive 1,024 bytes of what we send; see
                                        cmt_mconn_options. */
  uint64_t flush_throttle_ns;      /**< 0; else messages wait so long for others
                                        to share their frames. */
  uint64_t partial_message_max_ns; /**< 60 s; a message that goes so long
                                        without a packet ends its peer,
                                        CMT_EPARTIAL. */
  uint64_t stall_max_ns;           /**< 10 min; a peer that is not read for so
                                        long, because it is paused or a
                                        reactor's queue is full, ends,
                                        CMT_ESTALLED. */
  /** Target for the time that sealed bytes wait below us on a fast path; 0.5
      ms.  At the measured delivery rate half of it bounds what is unsent in the
      kernel, 16 KiB to 4 MiB, and a fifth one write, 8 to 261 KiB.  Slow paths
      may take ten times as long.  CMT_NO_DELAY_TARGET: 32 KiB and 127 KiB at
      any rate.  docs/guide/channels.md. */
  uint64_t queue_delay_target_ns;
  /** TCP congestion control of all connections, such as "bbr", which keeps the
      queues of routers short; NULL: the system's. */
  const char *congestion;
  uint64_t dial_timeout_ns;         /**< 3 s. */
  uint64_t handshake_timeout_ns;    /**< 3 s for each half. */
  uint32_t send_packet_payload_max; /**< 1024; 16 to 65536. */
  uint32_t recv_packet_payload_max; /**< 1400; 1 to 65536. */
  /** Bytes per second, as cmt_mconn_options; 0, the default: no limit.  Of each
      peer, and of all together.  Each peer may overdraw a total by at most 16
      KiB and then waits until that is repaid, so that all peers progress. */
  uint64_t send_rate, recv_rate, send_rate_total, recv_rate_total;
  /** 40; CMT_NO_PEERS: none; at most CMT_PEERS_MAX. Over it a connection is
      refused after its handshake, CMT_ELIMIT. A standby of a peer does not
      count, nor does who is |unconditional|, and a node with a persistent dial
      counts as outbound when this limit is reached. */
  uint32_t inbound_peers_max;
  /** Inbound peers of one address; 0, the default, or CMT_NO_LIMIT: no
      limit. */
  uint32_t inbound_peers_per_ip_max;
  /** 40, without who is |unconditional|; over it a dial is rejected,
      CMT_ELIMIT.  At most CMT_PEERS_MAX; CMT_NO_PEERS: none. */
  uint32_t outbound_peers_max;
  /** Inbound handshakes at one time; 0: the default, 64.  A newcomer always
      gets a place: when all are occupied, one of those that progressed least,
      of the network and the address with the most, ends with CMT_ELIMIT. Our
      own dials need none. docs/guide/operating.md. */
  uint32_t handshakes_max;
  /** Inbound handshakes of one address; 0: the default, 8; or CMT_NO_LIMIT.
      Over it one of that address ends, by the same rule.  Loopback is
      exempt. */
  uint32_t handshakes_per_ip_max;
  /** Attempts of dials under way at one time, without those of persistent
      addresses, which need no place; 0: the default, 64; or CMT_NO_LIMIT.  Over
      it a dial is rejected, CMT_ELIMIT. */
  uint32_t dials_max;
  /** How many bits of an IPv6 address make one address for the limits above, 1
      to 128; 0: the default, 64, which is what one customer has.  Link-local
      addresses (fe80::/10) count as a whole. */
  uint32_t ip6_prefix_len;
  size_t send_bytes_max; /**< Queued per peer: 32 MiB, or one message. */
  /** Queued for all peers together; 0, the default: 256 MiB, or four times what
      one peer may have when that is more.  Each possible peer has a floor that
      no other can use, 1.6 MiB by default.  Above the floors the peer that has
      most is refused first. */
  size_t send_bytes_total_max;
  size_t recv_bytes_max; /**< Under reassembly per peer, at least the
                              largest message; 0: that + 1 MiB.  Over it
                              the peer ends with CMT_ENOBUFS. */
  /** Under reassembly of all peers together; 0, the default: 512 MiB, or four
      times |recv_bytes_max| when that is more.  Each possible peer has a floor
      that no other can use, 3.2 MiB by default.  Above the floors the peer that
      has most ends with CMT_ENOBUFS.  CMT_EINVAL: less than one largest message
      and 4096 bytes for each other peer. */
  size_t recv_bytes_total_max;
  /** |filter_addr| decides about each accepted connection before its handshake,
      |filter_peer| about each connection that has completed one, whoever
      dialed; NULL admits all.  Until the answer the other side is not read, and
      the connection counts among |handshakes_max|.  docs/guide/admission.md. */
  cmt_filter filter_addr, filter_peer;
  void *filter_arg;
  /** A question without an answer for so long refuses, CMT_EFILTER: 5 s.
      CMT_NEVER: no limit. */
  uint64_t filter_timeout_ns;
  /** Up to CMT_UNCONDITIONAL_MAX ids, copied, to which |unconditional| of a
      dial (dial.h) applies: they pass every limit of peers, and take no place
      of others.  cmt_switch_set_unconditional() (admission.h) changes it. */
  const cmt_node_id *unconditional;
  size_t unconditional_count;
  /** 0, the default: over |inbound_peers_max| the newcomer is refused.  Else at
      most once in this time it replaces the inbound peer that is worth least,
      and not more than 0 (cmt_peer_set_worth()), which ends with CMT_EEVICTED.
      docs/guide/admission.md. */
  uint64_t evict_interval_ns;
  /** The name of a reactor with CMT_DELIVER_MAILBOX, whose mailbox gets as
      events what has no callback: rejections, outcomes of dials, and sends,
      timers and posts without a |cb|.  Rejections and outcomes over
      CMT_EVENTS_ACCEPTED_MAX and CMT_EVENTS_DIALED_MAX are dropped and counted
      in |lost_events|.  NULL, the default: none. */
  const char *event_reactor;
  /** Accepts nodes of any network, block version and set of channels, for a
      program that explores: cmt_peer_node_info() has theirs.  They end the
      connection when our node info does not suit them.  Only for a switch that
      does not listen: CMT_EINVAL with |laddr|. */
  bool any_network;
  /** Threads for public-key operations of handshakes that are over
      |handshake_offload_rate| and have to wait for another one: 1 to
      CMT_HANDSHAKE_THREADS_MAX, which start when they are needed.  0, the
      default: the other loops; with one loop a thread for every two further
      processors, at most 4.  CMT_NO_HANDSHAKE_THREADS: the first loop runs all
      of them.  docs/guide/threads.md. */
  uint32_t handshake_threads;
  /** Handshakes a second, up to 1,000,000, whose operations the first loop runs
      itself; 0: the default, 250, which take 3 % of its time. */
  uint32_t handshake_offload_rate;
} cmt_switch_options;

#define cmt_switch_options_init(o)                                             \
  cmt_switch_options_init_sized((o), sizeof *(o))
CMT_API void cmt_switch_options_init_sized(cmt_switch_options *o, size_t size);

/** A switch that does nothing yet; the caller deletes |*out|, and |o| is not
    kept.  Of the descriptors 0 to 2, those that are closed become /dev/null,
    since libuv aborts when it gets one of them for a socket.

    Returns CMT_OK; CMT_EINVAL: |why| (may be NULL) names the option, what was
    found and what is allowed; CMT_ENOMEM; CMT_EIO. */
CMT_API CMT_NODISCARD cmt_err cmt_switch_new(const cmt_switch_options *o,
                                             cmt_switch **out, cmt_why *why);

/** Listens, starts the reactors and then the threads of the loops.  After an
    error only cmt_switch_delete() makes sense.

    Returns CMT_OK; CMT_EIO: |why| (may be NULL) names the cause, such as that
    it cannot listen; CMT_EINVAL: started before; CMT_ECLOSED: stopped before;
    CMT_ENOMEM; or the error of a reactor's start. */
CMT_API CMT_NODISCARD cmt_err cmt_switch_start(cmt_switch *s, cmt_why *why);

/** The mailbox of the reactor of that name, for as long as the switch lives;
    NULL: there is none, or its delivery is not CMT_DELIVER_MAILBOX. */
CMT_API cmt_mailbox *cmt_switch_mailbox(cmt_switch *s, const char *reactor);

/** cmt_peer_try_send() of one buffer to every peer; a peer without room does
    not get it.  The reference to |msg| moves on CMT_OK only.

    Returns CMT_OK, whatever the result for each peer: |counts| (may be NULL)
    has those, and is all 0 after an error; CMT_ENOCHANNEL; CMT_ETOOBIG;
    CMT_ENOMEM. */
CMT_API cmt_err cmt_switch_broadcast(cmt_switch *s, uint8_t channel,
                                     cmt_buf *msg, cmt_broadcast *counts);
/** cmt_switch_broadcast() of a copy of |len| bytes. */
CMT_API cmt_err cmt_switch_broadcast_bytes(cmt_switch *s, uint8_t channel,
                                           const void *data, size_t len,
                                           cmt_broadcast *counts);

/** Writes up to |cap| peers to |out|, each with a reference for the caller;
    returns how many there are. */
CMT_API size_t cmt_switch_peers(cmt_switch *s, cmt_peer **out, size_t cap);

/** The peer with |id|, in upper or lower case, with a reference for the caller,
    or NULL. */
CMT_API cmt_peer *cmt_switch_peer(cmt_switch *s, const cmt_node_id *id);

/** The environment of the switch, for cmt_buf_new(). */
CMT_API const cmt_env *cmt_switch_env(const cmt_switch *s);

/** The id of this node. */
CMT_API void cmt_switch_get_id(const cmt_switch *s, cmt_node_id *out);

/** The address where the switch listens, with its id and its actual port.
    CMT_EINVAL: it does not listen. */
CMT_API CMT_NODISCARD cmt_err cmt_switch_get_laddr(const cmt_switch *s,
                                                   cmt_net_addr *out);

typedef struct cmt_switch_status {
  size_t size;
  uint64_t inbound_peers, outbound_peers;
  /** Now: inbound ones, those of dials, and standby connections. */
  uint64_t handshakes;
  uint64_t accepted, dialed, added, removed, rejected; /**< Since the start. */
  uint64_t no_descriptors; /**< Accepted and closed for lack of them. */
  /** How many of |rejected| exceeded the limit of that name. */
  uint64_t over_handshakes_max, over_handshakes_per_ip_max;
  uint64_t over_inbound_peers_max, over_inbound_peers_per_ip_max;
  uint64_t over_outbound_peers_max, over_dials_max;
  /** Connections that lingered after their end and were closed early, since
      more than |handshakes_max| of them did. */
  uint64_t over_connections_max;
  uint64_t slow_callbacks;      /**< Over 100 ms on a loop; each is logged. */
  uint64_t send_waits;          /**< Messages that a rate limit delayed. */
  uint64_t recv_pauses;         /**< How often a rate limit stopped reading. */
  uint64_t recv_reserved_bytes; /**< Under reassembly, now. */
  uint64_t recv_queued_bytes;   /**< Waiting for reactors, now. */
  uint64_t send_queued_bytes;   /**< Queued for all peers, now. */
  /** Memory for the keys of connections, now: locked, and not locked because
      the system refused (see RLIMIT_MEMLOCK).  Unlocked memory works as well;
      one line is logged when the first is needed. */
  uint64_t locked_key_bytes, unlocked_key_bytes;
  /** Attempts that ended without an outcome: cmt_dial_cancel(). */
  uint64_t cancelled;
  /** Rejections and outcomes of dials that were dropped: see
      |event_reactor|. */
  uint64_t lost_events;
  /** Attempts of feelers that found their node. */
  uint64_t felt;
  uint64_t dropped_messages; /**< By CMT_ON_FULL_DROP. */
  /** How many of |inbound_peers| and |outbound_peers| take no place of others:
      cmt_peer_is_unconditional(). */
  uint64_t unconditional_peers;
} cmt_switch_status;

/** Fills in the cmt_switch_status |out| as of now. */
#define cmt_switch_get_status(s, out)                                          \
  cmt_switch_get_status_sized((s), (out), sizeof *(out))
/** See cmt_switch_get_status(). */
CMT_API void cmt_switch_get_status_sized(cmt_switch *s, cmt_switch_status *out,
                                         size_t size);

/** How often an error was the reason, since the start. */
typedef struct cmt_reason_counts {
  size_t size;
  cmt_err reason;
  uint64_t rejected; /**< Dials and accepts that yielded no peer. */
  uint64_t removed;  /**< Peers that ended. */
} cmt_reason_counts;

/** Fills in up to |cap| elements of the array |out| of cmt_reason_counts, one
    for each value of cmt_err that was ever the reason; returns how many there
    are.  Reasons that are not of cmt_err are only in |rejected| and |removed|
    of the status. */
#define cmt_switch_reasons(s, out, cap)                                        \
  cmt_switch_reasons_sized((s), (out), (cap), sizeof(cmt_reason_counts))
/** See cmt_switch_reasons(); |size| is that of an element. */
CMT_API size_t cmt_switch_reasons_sized(cmt_switch *s, cmt_reason_counts *out,
                                        size_t cap, size_t size);

/** The most bytes that |s| can have allocated at one time, by its options, the
    addresses that are being dialed and the peers that are unconditional.
    docs/guide/operating.md has its terms, and what is not in it: memory of the
    application, of libuv, of the kernel, of threads and of keys. */
CMT_API uint64_t cmt_switch_memory_max(cmt_switch *s);

/** Ends listening and dialing, and every peer as cmt_peer_stop() with
    CMT_ECANCELED; |flush_ns| bounds flushing and the wait for the other side
    together.  Messages that no reactor has received by then are dropped.
    Returns at once; a second call changes nothing. */
CMT_API void cmt_switch_stop(cmt_switch *s, uint64_t flush_ns);

/** Stops with no flush unless cmt_switch_stop() was called, waits until the
    last peer is removed and the reactors are stopped, and frees; NULL is fine.
    Each 5 s it logs what it waits for.  docs/guide/stopping.md.

    Returns CMT_OK; CMT_EDEADLK, and nothing is freed: the call came from a
    loop, a worker or a function of a reactor, or before the caller's loop has
    finished. */
CMT_API CMT_NODISCARD cmt_err cmt_switch_delete(cmt_switch *s);

/* ---- short forms ---- */

/** Initialises a reactor with a name, an array of channels and further fields:
    static const cmt_reactor chat =
      CMT_REACTOR("chat", channels, .receive = receive);
    For C, and for C++ from C++20 on. */
#define CMT_REACTOR(name_, channels_, ...)                                     \
  {                                                                            \
    .name = (name_), .channels = (channels_),                                  \
    .channel_count = sizeof(channels_) / sizeof *(channels_), __VA_ARGS__      \
  }

/** Options of a network and an array of reactors, and what else there is:
    const cmt_switch_options o =
      CMT_SWITCH_OPTIONS("my-net", reactors, .laddr = "127.0.0.1:0");
    For C, and for C++ from C++20 on. */
#define CMT_SWITCH_OPTIONS(network_, reactors_, ...)                           \
  {                                                                            \
    .size = sizeof(cmt_switch_options), .network = (network_),                 \
    .reactors = (reactors_),                                                   \
    .reactor_count = sizeof(reactors_) / sizeof *(reactors_), __VA_ARGS__      \
  }

/** cmt_switch_new() and cmt_switch_start(), with the errors of both; after an
    error nothing is left to be deleted. */
CMT_API CMT_NODISCARD cmt_err cmt_switch_open(const cmt_switch_options *o,
                                              cmt_switch **out, cmt_why *why);

/** cmt_switch_stop() and cmt_switch_delete(): waits until peers have received
    what is queued, at most |flush_ns|, and for the reactors.  CMT_EDEADLK: on a
    thread where a reactor is called, and nothing happens; or the loop of
    cmt_switch_run_on() has not finished, and the switch is only stopped. */
CMT_API cmt_err cmt_switch_close(cmt_switch *s, uint64_t flush_ns);

/** cmt_switch_get_laddr() as the text that others dial; CMT_NET_ADDR_TEXT_SIZE
   is enough for |cap|.  CMT_EINVAL: it does not listen, and |out| is empty;
    CMT_ETOOBIG: |cap| is too small. */
CMT_API CMT_NODISCARD cmt_err cmt_switch_get_laddr_text(const cmt_switch *s,
                                                        char *out, size_t cap);

/** cmt_switch_dial() of each address of a text such as persistent_peers of
    CometBFT, separated by commas or blanks; it may be empty.  It stops at the
    first error, after dialing those before, and |why| (may be NULL) names the
    address. */
CMT_API CMT_NODISCARD cmt_err cmt_switch_dial_list(cmt_switch *s,
                                                   const char *addrs,
                                                   unsigned flags,
                                                   cmt_why *why);

#ifdef __cplusplus
}
#endif
#endif
