/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_CONN_H
#define CMT_CONN_H

/* The whole of one connection to a CometBFT node, without I/O, clock or
   threads: secret connection, node infos, multiplexer.  TCP bytes go in, events
   and TCP bytes come out.  An object belongs to one thread at a time.  Instants
   should rise from call to call, on one clock of any origin.

   docs/guide/event-loop.md has the order of the calls, back pressure and the
   end; examples/conn_poll.c is a whole program. */

#include <cometp2p/mconn.h>
#include <cometp2p/node_info.h>
#include <cometp2p/node_key.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cmt_conn cmt_conn;

/** Fill with cmt_conn_options_init(); |key|, |node_info| must be set.  0 is the
    default of every other field. */
typedef struct cmt_conn_options {
  size_t size;
  const cmt_env *env;      /**< NULL: the defaults.  Copied. */
  const cmt_node_key *key; /**< The connection has a reference of its own. */
  /** Our node info, encoded at once.  |id| and |channels| are filled in from
      |key| and the channels below when they are empty, |listen_addr| is
      "tcp://0.0.0.0:0" then.  The rest must pass cmt_node_info_validate(), or
      no node would accept us: above all |moniker| must not be empty. */
  const cmt_node_info *node_info;
  const cmt_node_id *expect_id; /**< Copied.  NULL: any. */
  /** Accept another network, block version or set of channels; the caller
      checks the node info itself. */
  bool any_network;
  cmt_wire wire;               /**< As cmt_mconn_options. */
  const cmt_channel *channels; /**< Copied. */
  size_t channel_count;        /**< 0 to CMT_CHANNELS_MAX. */
  /** For the secret connection, and anew for the node infos; default 3 s. */
  uint64_t handshake_timeout_ns;
  uint64_t ping_interval_ns, pong_timeout_ns; /**< As cmt_mconn_options. */
  uint32_t send_packet_payload_max, recv_packet_payload_max; /**< As there. */
  size_t recv_bytes_max; /**< 0: the default of cmt_mconn_options. */
  uint64_t partial_message_max_ns, send_rate, recv_rate; /**< As there. */
  cmt_conn_group *group;                                 /**< As there. */
  void (*wake)(void *arg);                               /**< As there. */
  void *wake_arg;
  /** The public-key operations of the handshake run in cmt_conn_compute()
      alone, and in no other call. */
  bool defer_compute;
  /** How long our node info waits for the other side's, from when that has
      proved its key; 0, the default: not at all.  Shorter than
      |handshake_timeout_ns|: at most 2 s when the other side does not wait, and
      1 s when it may.  docs/PROTOCOL.md 3.4. */
  uint64_t info_wait_ns;
} cmt_conn_options;

#define cmt_conn_options_init(o) cmt_conn_options_init_sized((o), sizeof *(o))
CMT_API void cmt_conn_options_init_sized(cmt_conn_options *o, size_t size);

typedef enum cmt_conn_event_kind {
  /** The other side is authenticated and has sent its node info, which is
      decoded and not yet checked: CMT_CONN_UP or CMT_CONN_END follows. */
  CMT_CONN_NODE_INFO,
  /** All checks passed; messages may flow.  Once more after
      cmt_conn_activate(). */
  CMT_CONN_UP,
  CMT_CONN_MESSAGE, /**< |channel| and |msg|. */
  CMT_CONN_PONG,    /**< |rtt_ns|. */
  CMT_CONN_END,     /**< |err|, and cmt_conn_get_why(); the last event. */
} cmt_conn_event_kind;

/** Pointers are lent until the next call on the connection, but for |id| and
    |node_info|, which live as long as it (but cmt_conn_take_node_info()). */
typedef struct cmt_conn_event {
  size_t size;
  cmt_conn_event_kind kind;
  const cmt_node_id *id; /**< NULL before the other side is authenticated. */
  const cmt_node_info *node_info; /**< NULL before it was received. */
  uint8_t channel;
  cmt_buf *msg; /**< cmt_buf_ref() keeps it. */
  uint64_t rtt_ns;
  cmt_err err;
} cmt_conn_event;

/** A connection over a stream that has just been made, at |now_ns|; both sides
    do the same.  The caller deletes |*out|; |o| is not kept.

    Returns CMT_OK; CMT_EINVAL: |why| (may be NULL) names the option;
    CMT_ENOMEM; CMT_EIO: no default environment. */
CMT_API CMT_NODISCARD cmt_err cmt_conn_new(const cmt_conn_options *o,
                                           uint64_t now_ns, cmt_conn **out,
                                           cmt_why *why);

/** Hands over |len| bytes read from the stream at |now_ns|, cut anywhere.
    |data| is lent, and changed, until cmt_conn_next_event() was false; call
    that before the next recv.

    Returns CMT_OK; CMT_EINVAL: events of the bytes before are left;
    CMT_ECLOSED: the connection has ended. */
CMT_API CMT_NODISCARD cmt_err cmt_conn_recv(cmt_conn *c, uint8_t *data,
                                            size_t len, uint64_t now_ns);

/** False: do not read.  Events are left, it is paused, it has ended, or a
    receive limit is used up: then call cmt_conn_tick() at the deadline. */
CMT_API bool cmt_conn_wants_read(const cmt_conn *c);

/** How many bytes to read at most next, 1 or more.  A receive limit lets no
    more through, and before the connection is up cmt_conn_keep() may have to
    copy them. */
CMT_API size_t cmt_conn_read_max(cmt_conn *c);

/** True while bytes of cmt_conn_recv() are left whose events were not
    pulled. */
CMT_API bool cmt_conn_has_input(const cmt_conn *c);

/** True while these bytes lie in the memory of the caller. */
CMT_API bool cmt_conn_borrows(const cmt_conn *c);

/** Copies the bytes that are left, so that the memory passed to cmt_conn_recv()
    may be reused before their events are pulled.  CMT_OK; CMT_ENOMEM: nothing
    changed; CMT_EINVAL: it is not up, and no public-key operation waits. */
CMT_API CMT_NODISCARD cmt_err cmt_conn_keep(cmt_conn *c);

/** True while a public-key operation of a connection with |defer_compute|
   waits; what the bytes behind it cause comes after it. */
CMT_API bool cmt_conn_wants_compute(const cmt_conn *c);

/** Runs one public-key operation, if one waits: the ephemeral key pair, the key
    agreement, the signature or the verification; docs/PERFORMANCE.md has how
    long each takes.  Events and output may follow. */
CMT_API void cmt_conn_compute(cmt_conn *c);

/** Declares that the stream is not read by choice from |now_ns| on; calls are
    not counted.  Meanwhile no timeout of the other side runs, and an
    unsolicited pong goes out each third of the pong timeout: go on with
    cmt_conn_tick() and output. */
CMT_API void cmt_conn_pause(cmt_conn *c, uint64_t now_ns);
CMT_API void cmt_conn_resume(cmt_conn *c, uint64_t now_ns);

/** Bytes that a connection on standby reads at most. */
enum { CMT_CONN_STANDBY_MAX = 4096 };

/**
 * Puts a connection that is up on standby from |now_ns| on: it stays alive as
 * if paused, sends no pings of its own, gives no event but CMT_CONN_END, and
 * copies up to CMT_CONN_STANDBY_MAX bytes that arrive, so that an end is seen.
 *
 * Returns    CMT_OK; CMT_ECLOSED: not up, or ended; CMT_ENOMEM: nothing
 *            changed.
 */
CMT_API CMT_NODISCARD cmt_err cmt_conn_standby(cmt_conn *c, uint64_t now_ns);

/** Ends the standby: CMT_CONN_UP comes again, then what came meanwhile. */
CMT_API void cmt_conn_activate(cmt_conn *c, uint64_t now_ns);

/** Takes the next event; false: there is none now.  What fails shows as
    CMT_CONN_END after the events that came before it. */
#define cmt_conn_next_event(c, out)                                            \
  cmt_conn_next_event_sized((c), (out), sizeof *(out))
/** See cmt_conn_next_event(). */
CMT_API bool cmt_conn_next_event_sized(cmt_conn *c, cmt_conn_event *out,
                                       size_t size);

/**
 * Queues |msg| at |now_ns|, as cmt_mconn_try_send().
 *
 * Returns    also CMT_ECLOSED: not up, stopping, or ended; CMT_EPEERCHANNEL:
 *            the other side's node info lacks the channel.
 */
CMT_API CMT_NODISCARD cmt_err cmt_conn_try_send(cmt_conn *c, uint8_t channel,
                                                cmt_buf *msg, uint64_t now_ns);
/** cmt_conn_try_send() on the channel at |at| of the options, as in
   cmt_credits, for callers that have looked it up already. */
CMT_API CMT_NODISCARD cmt_err cmt_conn_try_send_at(cmt_conn *c, size_t at,
                                                   cmt_buf *msg,
                                                   uint64_t now_ns);

/** The messages that were packetized to their end since the last call; false:
    none. */
CMT_API bool cmt_conn_take_credits(cmt_conn *c, cmt_credits *out);

/** How many more messages cmt_conn_try_send() accepts on |channel| now; 0 also
    when it would refuse them for another reason than their length. */
CMT_API uint32_t cmt_conn_room(const cmt_conn *c, uint8_t channel);

/** As cmt_mconn_ping(); CMT_ECLOSED: not up, or ended. */
CMT_API CMT_NODISCARD cmt_err cmt_conn_ping(cmt_conn *c, uint64_t now_ns);

/** Pings written since it was up. */
CMT_API uint64_t cmt_conn_pings_sent(const cmt_conn *c);

/** Room for cmt_conn_write() that is enough for any connection, at any time. */
enum { CMT_CONN_WRITE_ROOM = 68 << 10 };

/** The least room for the next cmt_conn_write(), by default 2,088 bytes once it
    is up and 11,484 before. */
CMT_API size_t cmt_conn_write_min(const cmt_conn *c);

/** Seals what is to be sent at |now_ns| into |dest|, at most |cap| bytes, best
    as many as the socket accepts at once.  Nothing more is sealed before
    cmt_conn_consume() has reported all of them.  A |cap| below
    cmt_conn_write_min() panics.

    Returns how many bytes; 0: nothing now, or the bytes before are left. */
CMT_API size_t cmt_conn_write(cmt_conn *c, uint8_t *dest, size_t cap,
                              uint64_t now_ns);

/** cmt_conn_write() in parts: as long as nothing of a batch was consumed, each
    call seals one part more, into |dest| right behind the part before.
    |filled|(|arg|) runs when the last frames are still to be sealed, so that
    senders go on meanwhile; it may only call cmt_conn_take_credits().

    Returns as cmt_conn_write(); for a further part a small |cap| is 0. */
CMT_API size_t cmt_conn_write_part(cmt_conn *c, uint8_t *dest, size_t cap,
                                   uint64_t now_ns, void (*filled)(void *arg),
                                   void *arg);

/** A connection of cmt_conn_write_many(), and what it wrote. */
typedef struct cmt_conn_batch {
  cmt_conn *conn;
  size_t max; /**< As |cap| of cmt_conn_write(). */
  uint8_t *base;
  size_t len; /**< 0: nothing now. */
} cmt_conn_batch;

/** cmt_conn_write() of |count| connections of one thread into |dest|, one after
    another: few frames of each are sealed faster together.  Sets |base| and
    |len| of those that it wrote.

    Returns how many these are, at least the first; for the next one less than
    its cmt_conn_write_min() of |cap| was left. */
CMT_API size_t cmt_conn_write_many(cmt_conn_batch *list, size_t count,
                                   uint8_t *dest, size_t cap, uint64_t now_ns);

/** Reports that the socket accepted |len| more of the written bytes at
    |now_ns|; more than there were panics (env.h). */
CMT_API void cmt_conn_consume(cmt_conn *c, size_t len, uint64_t now_ns);

/** True when cmt_conn_write() has something at |now_ns|, once the bytes before
    are consumed.  |*urgent| (may be NULL): it should not wait for more, as
    handshakes, pings, pongs and messages of urgent channels. */
CMT_API bool cmt_conn_wants_write(cmt_conn *c, uint64_t now_ns, bool *urgent);

/** When cmt_conn_tick() should be called; CMT_NEVER: no need. */
CMT_API uint64_t cmt_conn_deadline(const cmt_conn *c);

/** Does what is due at |now_ns|; early calls are harmless.  Events and output
    may follow.  After a delay read what has arrived first: only then is the
    other side late. */
CMT_API void cmt_conn_tick(cmt_conn *c, uint64_t now_ns);

/** The instants at which the other side is late: with what it has to send (its
    part of the handshake, a pong, the rest of a message), and with receiving
    what we send.  CMT_NEVER: it owes nothing. */
CMT_API uint64_t cmt_conn_recv_deadline(const cmt_conn *c);
CMT_API uint64_t cmt_conn_send_deadline(const cmt_conn *c);

/** As cmt_conn_tick(), but the other side is not late: bytes that arrived
    before its deadlines may not have been read, or ours not have been
    written. */
CMT_API void cmt_conn_tick_excused(cmt_conn *c, uint64_t now_ns);

/** Reports at |now_ns| that the other side has acknowledged 1,024 bytes or
    more, although the socket made no room: its deadline for receiving moves
    on. */
CMT_API void cmt_conn_acked(cmt_conn *c, uint64_t now_ns);

/** True when an unsolicited pong of the other side stated that it does not read
    by choice, and it has received nothing since. */
CMT_API bool cmt_conn_peer_is_paused(const cmt_conn *c);

/** Delays our node info, if it was not sent yet, and all that follows it until
    |at_ns|. */
CMT_API void cmt_conn_delay_node_info(cmt_conn *c, uint64_t at_ns);

/** Replaces our node info, with |id|, |channels| and |listen_addr| filled in as
    from the options; |info| is copied.  With |info_wait_ns| this answers what
    CMT_CONN_NODE_INFO reports, when it comes before the next
    cmt_conn_next_event(): theirs is compared with |info| then.

    Returns CMT_OK; CMT_ECLOSED: ours was sent, or the connection has ended;
    CMT_EINVAL: |why| (may be NULL) names the field; CMT_ENOMEM. */
CMT_API CMT_NODISCARD cmt_err cmt_conn_set_node_info(cmt_conn *c,
                                                     const cmt_node_info *info,
                                                     cmt_why *why);
/** Ends the connection with |reason|; CMT_OK panics.  Without |flush_ns|, or
    before it is up, CMT_CONN_END is the next event; else it comes when all that
    was queued is consumed, or at |now_ns| + |flush_ns|.  The first reason
    stays. */
CMT_API void cmt_conn_stop(cmt_conn *c, cmt_err reason, uint64_t flush_ns,
                           uint64_t now_ns);

/** True once it has ended: CMT_CONN_END is the next event, or was the last. */
CMT_API bool cmt_conn_has_ended(const cmt_conn *c);

/** Why it has ended; |out|->err is CMT_OK before. */
CMT_API void cmt_conn_get_why(const cmt_conn *c, cmt_why *out);

/** How far the other side has come in the handshake. */
typedef enum cmt_conn_progress {
  CMT_CONN_SILENT,        /**< Its key has not arrived whole, or was wrong. */
  CMT_CONN_KEYED,         /**< Its key has arrived, */
  CMT_CONN_AUTHENTICATED, /**< and so has its signature. */
} cmt_conn_progress;
CMT_API cmt_conn_progress cmt_conn_get_progress(const cmt_conn *c);

/** As in events: NULL before the other side is authenticated, or has sent
    it. */
CMT_API const cmt_node_id *cmt_conn_id(const cmt_conn *c);
CMT_API const cmt_node_info *cmt_conn_node_info(const cmt_conn *c);

/** Moves the node info of the other side to the caller: one block, for |free|
    of the environment.  Later events have none.  NULL: it is not up, or it was
    moved before. */
CMT_API cmt_node_info *cmt_conn_take_node_info(cmt_conn *c);

/** As cmt_mconn_get_status(); 0 before the connection was up. */
CMT_API size_t cmt_conn_get_status(const cmt_conn *c, cmt_channel_status *out,
                                   size_t cap);

/** Wipes keys and frees; NULL is fine. */
CMT_API void cmt_conn_delete(cmt_conn *c);

#ifdef __cplusplus
}
#endif
#endif
