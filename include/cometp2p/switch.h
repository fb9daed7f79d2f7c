/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_SWITCH_H
#define CMT_SWITCH_H

/* The switch: listens, dials, keeps the set of peers, and gives each message
   to the reactor that owns its channel.  docs/PROTOCOL.md section 6.
   Everything here but cmt_switch_new(), cmt_switch_start() and
   cmt_switch_delete() may be called from any thread and from any callback;
   those three each from one thread.

   After fork() the child must not touch a switch or a peer. */

#include <cometp2p/admission.h>
#include <cometp2p/dial.h>

#ifdef __cplusplus
extern "C" {
#endif

/** A dial or an accept that yields no peer.  The log says the same: at info for
    dials, at debug for accepts. */
typedef struct cmt_rejection {
  size_t size;
  const char *remote;    /**< "IP:PORT", or what was dialed before that. */
  const char *dialed;    /**< The text of cmt_switch_dial(); NULL: accepted. */
  const cmt_node_id *id; /**< Authenticated; NULL before it was. */
  bool outbound;
  bool redials; /**< A persistent address that is tried again. */
  cmt_why why;
} cmt_rejection;

enum {
  CMT_LOOPS_MAX = 64,    /**< Loops of one switch. */
  CMT_PEERS_MAX = 65535, /**< Most inbound peers, and most outbound ones. */
};

enum { CMT_UNCONDITIONAL_MAX = 256 }; /**< Most |unconditional| ids. */

/** For limits that have another default. */
#define CMT_NO_LIMIT UINT32_MAX

/** Fill with cmt_switch_options_init(), then change what should differ. */
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
      are all addresses, of IPv6 and IPv4 together whatever the system's
      default is (of IPv4 alone where the system has no IPv6); "0.0.0.0:PORT"
      is all of IPv4.  A zone as in "[fe80::1%eth0]:PORT" is no part of what the
      node info says.  NULL: none. */
  const char *laddr;
  /** Said in the node info instead of |laddr|; NULL: |laddr| itself, and
      "tcp://0.0.0.0:0" without one. */
  const char *external_address;
  uint64_t protocol_p2p, protocol_block, protocol_app; /**< 8, 11, 0. */
  const cmt_reactor *reactors; /**< Copied; what they point to is borrowed. */
  size_t reactor_count;
  /** 1 to CMT_LOOPS_MAX, each with a thread and 326 KiB; default 1.  With more,
      a peer goes to the one with the fewest peers, and inline reactors hear
      different peers at the same time: reactor.h says which functions.  The
      first loop has its share of the peers, and besides listens, dials and does
      the handshakes. */
  unsigned loops;
  cmt_wire wire; /**< CMT_WIRE_COMETBFT; every peer must speak the same. */
  /** On the first loop, once per dial or accept that yields no peer; may be
   * NULL. */
  void (*on_rejected)(void *arg, const cmt_rejection *r);
  /** Only after cmt_switch_run_on(): the last callback of all, once; the switch
      may be deleted inside.  May be NULL. */
  void (*on_finished)(void *arg);
  void *arg;
  uint64_t ping_interval_ns;       /**< 60 s. */
  uint64_t pong_timeout_ns;        /**< 45 s; shorter than the interval.
                                        Once a ping is due, a peer has both
                                        together to take 1,024 bytes of what we
                                        send; see cmt_mconn_options. */
  uint64_t flush_throttle_ns;      /**< 0; else messages wait so long for others
                                        to share their frames. */
  uint64_t partial_message_max_ns; /**< 60 s; a message that goes so long
                                        without a packet ends its peer,
                                        CMT_EPARTIAL. */
  uint64_t stall_max_ns;           /**< 10 min; a peer that is not read for so
                                        long, because it is paused or a
                                        reactor's queue is full, ends,
                                        CMT_ESTALLED. */
  /** 5 ms: what is written may wait so long in the kernel before it is sent,
      and what is sealed for one write so long to be written, at the rate at
      which the network takes it; until that is known, and with 0 always, 32 KiB
      and 261 KiB.  Shorter is better for messages of high priority, but a loop
      that takes longer for one iteration leaves the network idle.  The former
     is at least 16 KiB and at most 4 MiB, the latter at least 8 KiB.  Queues in
     the network are not in it; see |congestion|. */
  uint64_t queue_delay_target_ns;
  /** TCP congestion control of all connections, such as "bbr"; NULL: the
      system's.  Under "cubic" a router's queue fills up whatever a sender does,
      and every message waits in it; "bbr" keeps it short. */
  const char *congestion;
  uint64_t dial_timeout_ns;         /**< 3 s. */
  uint64_t handshake_timeout_ns;    /**< 3 s for each half. */
  uint32_t send_packet_payload_max; /**< 1024; 16 to 65536. */
  uint32_t recv_packet_payload_max; /**< 1400; 1 to 65536. */
  /** Bytes per second, as cmt_mconn_options; 0, the default: no limit.  Of each
      peer, and of all together.  Of a total each peer may overdraw a piece of
      at most 16 KiB; then it waits until all is repaid, so they take turns. */
  uint64_t send_rate, recv_rate, send_rate_total, recv_rate_total;
  /** 40; over it a connection is refused after its handshake, CMT_ELIMIT: the
      other side gets our node info and then the end.  A second connection of a
      node that is a peer needs no place: see dial.h.  A node of a
      persistent dial has the place among the outbound peers that the dial would
      have, when there is none here.  0: no inbound peer at all; at most
      CMT_PEERS_MAX, with as many outbound peers 512 MiB of floors for
     unfinished messages and as much for queued ones. */
  uint32_t inbound_peers_max;
  /** Inbound peers of one address; 0, the default, or CMT_NO_LIMIT: no limit.
   */
  uint32_t inbound_peers_per_ip_max;
  uint32_t outbound_peers_max; /**< 40; over it a dial is rejected,
                                    CMT_ELIMIT.  At most CMT_PEERS_MAX. */
  /** Inbound handshakes at one time; 0: the default, 64.  A newcomer always
      gets a place.  When all are taken another one ends with CMT_ELIMIT: of
      those whose key has not arrived, if they have more than a quarter of the
      places, or else of those that are not authenticated, if they have, it is
      the oldest of the address with the most places in the network (/24 or /64)
      with the most.  In no iteration of the loop more than an eighth of the
     places, and no more than 16, are given away, so that what has arrived is
     read before.

      None of these places is taken by our own dials, nor by a connection from
      an address at which a persistent one of them was last found: it keeps a
      place for that.  With fewer than four places there is no quarter to keep,
      so a crowd that sends keys may keep others out. */
  uint32_t handshakes_max;
  /** Inbound handshakes of one address; 0: the default, 8; or CMT_NO_LIMIT.
      Over it one of that address ends, by the same rule.  Loopback is exempt.
   */
  uint32_t handshakes_per_ip_max;
  /** Attempts of dials under way at one time, without those of persistent
      addresses, which need no place; 0: the default, 64; or CMT_NO_LIMIT.  Over
      it a dial is rejected, CMT_ELIMIT. */
  uint32_t dials_max;
  /** How many bits of an IPv6 address make one address for the limits above,
      1 to 128; 0: the default, 64, which is what one customer has.  Link-local
      addresses (fe80::/10) count as a whole. */
  uint32_t ip6_prefix_len;
  size_t send_bytes_max; /**< Queued per peer: 32 MiB, or one message. */
  /** Queued for all peers together; 0, the default: 256 MiB, or four times what
      one peer may have when that is more.

      Each possible peer has a floor as for |recv_bytes_total_max|, 1.6 MiB by
      default.  A send within it never waits for others.  Above the floors a
      peer may have as much as is left for all others, so whoever has most is
      refused first, and a newcomer finds room.  One that has no more than its
      floor may take as much as there is. */
  size_t send_bytes_total_max;
  size_t recv_bytes_max; /**< Under reassembly per peer, at least the
                              largest message; 0: that + 1 MiB.  Over it
                              the peer ends with CMT_ENOBUFS. */
  /** Under reassembly of all peers together; 0, the default: 512 MiB, or four
      times |recv_bytes_max| when that is more.  Messages that are whole in a
      packet do not count.

      Each possible peer, |inbound_peers_max| + |outbound_peers_max| of them,
      has a floor that is its own: an even part of half of the total (3.2 MiB by
      default), or less if one largest message has no room in what is left then,
      but at least 4096 bytes, and never more than it can use.  Up to there it
      takes nothing of what others share.

      Above the floors, when the total is used up, the peer that holds most ends
      with CMT_ENOBUFS, and not the one that asks; before the others goes one
      of which for ten seconds less than 1/64 of what it holds came.
      CMT_EINVAL: less than one largest message and 4096 bytes for each other
      peer. */
  size_t recv_bytes_total_max;
  /** Asked for each connection that is accepted, before its handshake, and for
      each that has completed one, whoever dialed; NULL: all may come.  See
      admission.h.  Until an answer comes the other side is not read, and the
      connection counts among |handshakes_max|, where it may have to give way
      to a newcomer. */
  cmt_filter filter_addr, filter_peer;
  void *filter_arg;
  /** Without an answer for so long it is refused, CMT_EFILTER: 5 s.  CMT_NEVER:
      no limit. */
  uint64_t filter_timeout_ns;
  /** Up to CMT_UNCONDITIONAL_MAX ids, copied: as with |unconditional| of a dial
      (dial.h), for as long as the switch lives. */
  const cmt_node_id *unconditional;
  size_t unconditional_count;
  /** 0, the default: over |inbound_peers_max| the newcomer is refused.  Else at
      most once in this time a newcomer replaces the inbound peer that is worth
      least (cmt_peer_set_worth()), which ends with CMT_EEVICTED; of several one
      from the network (/24 or /64) with the most, the youngest first.  Never
      one that is worth more than 0, is protected, or is of a persistent dial or
      unconditional. */
  uint64_t evict_interval_ns;
  /** The name of a reactor with CMT_DELIVER_MAILBOX.  What has no callback
     comes to its mailbox as an event, so that a program needs no call from a
     thread of the library: rejections without |on_rejected|, outcomes of dials
     without on_outcome, and sends, timers and posts without a |cb|.

      Sends, timers and posts wait in their own memory, so none of these is
      lost.  Of rejections and outcomes up to CMT_EVENTS_ACCEPTED_MAX and
      CMT_EVENTS_DIALED_MAX wait or are out; over that, and without memory, the
      newest is dropped and counted in |lost_events| of the status.  What nobody
      has taken is dropped by cmt_switch_delete().  NULL, the default: none. */
  const char *event_reactor;
  /** Takes nodes of any network, block version and set of channels, for a
      program that learns what there is: cmt_peer_node_info() tells.  They end
      the connection when ours does not suit them.  Only a switch that dials
     may: CMT_EINVAL with |laddr|. */
  bool any_network;
} cmt_switch_options;

#define cmt_switch_options_init(o)                                             \
  cmt_switch_options_init_sized((o), sizeof *(o))
CMT_API void cmt_switch_options_init_sized(cmt_switch_options *o, size_t size);

/**
 * A switch that does nothing yet.
 *
 * Of the descriptors 0 to 2, those that are closed are /dev/null afterwards and
 * for the rest of the process, since libuv takes none of them for a socket.
 *
 * Returns    CMT_OK; CMT_EINVAL: |why| (may be NULL) names the option, what
 *            was found and what is allowed, such as "reactors chat and files
 *            both claim channel 0x51"; CMT_ENOMEM; CMT_EIO.
 * Ownership  the caller deletes |*out|; |o| is not kept.
 */
CMT_API CMT_NODISCARD cmt_err cmt_switch_new(const cmt_switch_options *o,
                                             cmt_switch **out, cmt_why *why);

/**
 * Listens, starts the reactors and then the threads of the loops, which have
 * all signals blocked.
 *
 * Returns    CMT_OK; CMT_EIO: |why| (may be NULL) has for example "cannot
 *            listen on 127.0.0.1:26656: Address already in use";
 *            CMT_EINVAL: started before; CMT_ECLOSED: stopped before;
 *            CMT_ENOMEM; or the error of a reactor's start.
 *            After an error only cmt_switch_delete() makes sense.
 */
CMT_API CMT_NODISCARD cmt_err cmt_switch_start(cmt_switch *s, cmt_why *why);

/** The mailbox of the reactor of that name, for as long as the switch lives;
    NULL: there is none, or its delivery is not CMT_DELIVER_MAILBOX. */
CMT_API cmt_mailbox *cmt_switch_mailbox(cmt_switch *s, const char *reactor);

/**
 * cmt_peer_try_send() of one buffer to every peer.
 *
 * A broadcast waits for nobody: a peer without room goes without the message.
 * Call cmt_peer_send() for each of cmt_switch_peers() to wait for room.
 *
 * Returns    CMT_OK, whatever each peer said: |counts| (may be NULL) tells, and
 *            is all 0 after an error; CMT_ENOCHANNEL; CMT_ETOOBIG; CMT_ENOMEM.
 * Ownership  CMT_OK takes one reference to |msg|, an error leaves it.
 */
CMT_API cmt_err cmt_switch_broadcast(cmt_switch *s, uint8_t channel,
                                     cmt_buf *msg, cmt_broadcast *counts);
/** cmt_switch_broadcast() of a copy of |len| bytes. */
CMT_API cmt_err cmt_switch_broadcast_bytes(cmt_switch *s, uint8_t channel,
                                           const void *data, size_t len,
                                           cmt_broadcast *counts);

/** Writes up to |cap| peers to |out|, each with a reference for the caller;
    returns how many there are. */
CMT_API size_t cmt_switch_peers(cmt_switch *s, cmt_peer **out, size_t cap);

/** The peer with |id|, in capitals or small letters, with a reference for the
    caller, or NULL. */
CMT_API cmt_peer *cmt_switch_peer(cmt_switch *s, const cmt_node_id *id);

/** The environment that it was made with, for cmt_buf_new(). */
CMT_API const cmt_env *cmt_switch_env(const cmt_switch *s);

/** The id of this node. */
CMT_API void cmt_switch_id(const cmt_switch *s, cmt_node_id *out);

/** Where it listens, with its id, after port 0 was replaced.  CMT_EINVAL: it
    does not listen. */
CMT_API CMT_NODISCARD cmt_err cmt_switch_laddr(const cmt_switch *s,
                                               cmt_net_addr *out);

typedef struct cmt_switch_status {
  size_t size;
  uint64_t inbound_peers, outbound_peers;
  /** In flight: inbound ones, those of dials, and connections that are held. */
  uint64_t handshakes;
  uint64_t accepted, dialed, added, removed, rejected; /**< Since the start. */
  uint64_t no_descriptors; /**< Accepted and closed for want of them. */
  /** How many of |rejected| were for a limit: the option of that name. */
  uint64_t over_handshakes_max, over_handshakes_per_ip_max;
  uint64_t over_inbound_peers_max, over_inbound_peers_per_ip_max;
  uint64_t over_outbound_peers_max, over_dials_max;
  /** Connections that had ended, and were closed before the other side had read
      what was sent last, since more than |handshakes_max| of them waited for
      that.  The oldest goes first, and those that never were peers before those
      that were. */
  uint64_t over_connections_max;
  uint64_t slow_callbacks;    /**< Over 100 ms on a loop; each is logged. */
  uint64_t send_waits;        /**< Messages that a rate limit held back. */
  uint64_t recv_pauses;       /**< How often a rate limit stopped reading. */
  uint64_t recv_held_bytes;   /**< Under reassembly, now. */
  uint64_t recv_queued_bytes; /**< Waiting for reactors, now. */
  uint64_t send_queued_bytes; /**< Queued for all peers, now. */
  /** |rejected| and |removed| by the reason, which is at cmt_err_index(). */
  uint64_t rejected_by[CMT_ERR_COUNT], removed_by[CMT_ERR_COUNT];
  /** Memory for the keys of connections, now: locked, and what the system did
      not lock (see RLIMIT_MEMLOCK), which works all the same.  The log has one
      line when that begins. */
  uint64_t locked_key_bytes, unlocked_key_bytes;
  /** Attempts that ended without an outcome: cmt_dial_cancel(). */
  uint64_t cancelled;
  /** Rejections and outcomes of dials that found no room: |event_reactor|. */
  uint64_t lost_events;
} cmt_switch_status;

/** Fills in the cmt_switch_status |out| as of now. */
#define cmt_switch_get_status(s, out)                                          \
  cmt_switch_get_status_sized((s), (out), sizeof *(out))
/** See cmt_switch_get_status(). */
CMT_API void cmt_switch_get_status_sized(cmt_switch *s, cmt_switch_status *out,
                                         size_t size);

/**
 * The most bytes that |s| can have allocated at one time, by its options.
 *
 * It is the sum of
 * - its own: the switch, each of its |loops| with two buffers (326 KiB), copies
 *   of the options' texts, the list of peers, CMT_BANS_MAX bans (40 KiB);
 * - for each connection, of which there are at most twice the sum of
 *   |inbound_peers_max|, |outbound_peers_max| and |handshakes_max|, and one
 *   more: the session and the socket;
 * - for each of |handshakes_max| + |inbound_peers_max| + |outbound_peers_max|,
 *   and one more: a connection in its handshake, or held beside a peer, with
 *   both node infos, ours also sealed;
 * - for each peer, |inbound_peers_max| + |outbound_peers_max| of them: the
 *   connection, its node info, a batch of 256 frames (261 KiB) that the
 *   socket did not take, what it read and has not handed over (66 KiB), room
 * for CMT_PEER_KEYS_MAX values, and a header for each message that may be
 * queued;
 * - queued messages: for each peer |send_bytes_max| or one message of the
 *   largest |send_message_max|, but no more than its channels can queue, and in
 *   all no more than |send_bytes_total_max|;
 * - messages under reassembly: |recv_bytes_max| for each peer, but no more than
 *   |recv_bytes_total_max|, a header for each channel of each peer, one packet
 *   of each peer, and for each loop twice the largest |recv_message_max|, for
 *   one that grows and one that is being delivered;
 * - for each reactor that is not called inline: twice |recv_queue_bytes_total|,
 *   and for each peer one largest message and what 64 KiB of the stream may
 *   hold besides; with |event_reactor| also 1.7 MB, for rejections and
 *   outcomes of dials that wait;
 * - for each address that is being dialed, or will be again, as of now: 7 KiB,
 *   and twice the same as for a handshake: for its attempt, and for an inbound
 *   connection that its place is kept for; and for one that is unconditional,
 *   until it is freed, a peer more, with its floors besides the totals.
 *
 * Bytes are as asked of the environment.  Not in it: what the application
 * allocates or keeps a reference to, sends that wait in cmt_peer_send_async(),
 * stacks of threads, host names that are being resolved (at most 64 at one
 * time, under 1 KiB each and what the system's resolver needs), memory of libuv
 * itself and of the kernel, and the keys in locked memory: 64 bytes for each
 * connection and 688 for each handshake, in pieces of 4 to 64 KiB with guard
 * pages around them, and one page for the node key.
 */
CMT_API uint64_t cmt_switch_memory_max(cmt_switch *s);

/**
 * Ends listening and dialing at once, and every peer as cmt_peer_stop() with
 * CMT_ECANCELED: |flush_ns| bounds flushing and the wait for the other side
 * together; messages that no reactor has taken by then are dropped.  Returns at
 * once; a second call changes nothing.
 */
CMT_API void cmt_switch_stop(cmt_switch *s, uint64_t flush_ns);

/**
 * Stops with no flush unless cmt_switch_stop() was called, waits until the
 * last peer is removed and the reactors are stopped, and frees.  NULL is fine.
 *
 * Every 5 s it logs what it waits for, such as the reactor whose function does
 * not return, or that does not empty its mailbox.  Threads that wait in
 * cmt_mailbox_next() get CMT_ECLOSED and have left before this frees the
 * mailbox; no call for it may begin then.  A host name that is being resolved
 * holds up nothing: its thread ends by itself when the system's resolver gives
 * up, and touches nothing of the switch or its environment then.  Until then
 * the library must not be unloaded from the process.
 *
 * Returns    CMT_OK; CMT_EDEADLK: on a loop or a worker of a switch, in a
 *            function of one of its reactors, or the switch is on the caller's
 *            loop and has not finished; nothing is freed.
 */
CMT_API CMT_NODISCARD cmt_err cmt_switch_delete(cmt_switch *s);

/* ---- short forms ---- */

/** A reactor of a name and an array of channels, and what else there is:
    static const cmt_reactor chat =
      CMT_REACTOR("chat", channels, .receive = receive);
    For C, and for C++ from C++20 on. */
#define CMT_REACTOR(name_, channels_, ...)                                     \
  {                                                                            \
    .name = (name_), .channels = (channels_),                                  \
    .channel_count = sizeof(channels_) / sizeof *(channels_), __VA_ARGS__      \
  }

/** cmt_switch_new() and cmt_switch_start(), with the errors of both; after an
    error nothing is left to be deleted. */
CMT_API CMT_NODISCARD cmt_err cmt_switch_open(const cmt_switch_options *o,
                                              cmt_switch **out, cmt_why *why);

/** cmt_switch_stop() and cmt_switch_delete(): waits until peers have taken what
    is queued, at most |flush_ns|, and for the reactors.  CMT_EDEADLK: on a
    thread where a reactor is called, and nothing happens; or the loop of
    cmt_switch_run_on() has not finished, and the switch is only stopped. */
CMT_API cmt_err cmt_switch_close(cmt_switch *s, uint64_t flush_ns);

/** cmt_switch_laddr() as the text that others dial; CMT_NET_ADDR_TEXT_SIZE is
    enough for |cap|.  CMT_EINVAL: it does not listen, and |out| is empty;
    CMT_ETOOBIG: |cap| is too small. */
CMT_API CMT_NODISCARD cmt_err cmt_switch_laddr_text(const cmt_switch *s,
                                                    char *out, size_t cap);

/** cmt_switch_dial() of each address of a text such as persistent_peers of
    CometBFT, with commas or blanks between them; it may be empty.  The first
    error ends it, with those before it dialed, and |why| (may be NULL) names
    the address. */
CMT_API CMT_NODISCARD cmt_err cmt_switch_dial_list(cmt_switch *s,
                                                   const char *addrs,
                                                   unsigned flags,
                                                   cmt_why *why);

#ifdef __cplusplus
}
#endif
#endif
