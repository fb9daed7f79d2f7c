/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_MCONN_H
#define CMT_MCONN_H

/* The multiplexer alone, without I/O, clock or threads: channels with a byte id
   and a priority over any reliable stream.  docs/PROTOCOL.md section 4.

   Bytes of the other side go in with cmt_mconn_recv() and come out as events.
   Messages go in with cmt_mconn_try_send() and come out as bytes of
   cmt_mconn_write().  The first failure ends it.  An object belongs to one
   thread at a time; instants should rise from call to call. */

#include <cometp2p/buf.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  CMT_CHANNELS_MAX = 16, /**< Channels of one connection. */
  CMT_PRIORITY_DEFAULT = 1,
  CMT_PRIORITY_MAX = 65535,     /**< So that ratios compare in 64 bits. */
  CMT_SEND_QUEUE_MAX = 1000000, /**< Waiting messages of a channel. */
  CMT_SEND_QUEUE_DEFAULT = 100,
  CMT_RECV_QUEUE_MAX = 1000000, /**< Received messages. */
  CMT_RECV_QUEUE_DEFAULT = 10000,
  CMT_RECV_QUEUE_BYTES_DEFAULT = 16 << 20,
  CMT_MESSAGE_MAX = 1 << 30,      /**< Bytes of any message. */
  CMT_MESSAGE_DEFAULT = 22020096, /**< As CometBFT: 21 MiB. */
  CMT_PACKET_PAYLOAD_MAX = 65536, /**< Data bytes of any packet. */
  /** Least bound on what is sent: packets with fewer data bytes that do not end
      their message count as a flood. */
  CMT_PACKET_PAYLOAD_MIN = 16,
  CMT_PACKET_PAYLOAD_SEND = 1024, /**< Default of what is sent. */
  CMT_PACKET_PAYLOAD_RECV = 1400, /**< Default of what is accepted. */
};

/** Most bytes per second of a rate limit. */
#define CMT_RATE_MAX UINT64_C(10000000000)

/** What packets look like and which rules pings follow; both sides must agree.
    Secret connection and node infos are the same for all. */
typedef enum cmt_wire {
  CMT_WIRE_COMETBFT, /**< As CometBFT v0.34 to v0.40 and v1. */
  /** docs/LEGACY.md: a ping goes out when nothing came for the ping interval,
      and a message answers it as well as a pong.  Pings closer than half the
      interval (60 s when that is CMT_NEVER) stay unanswered; ten of them within
      one interval end the connection with CMT_EFLOOD. */
  CMT_WIRE_LEGACY,
} cmt_wire;

/** How the messages of a channel that we send stand to those of others. */
typedef enum cmt_traffic {
  CMT_TRAFFIC_NORMAL, /**< They share the link by priority. */
  /** For a few small messages that must not wait, such as votes: sent before
      all other channels, in a short write, and past the send limits of
      connection and switch, within a bucket that the urgent channels share: 256
      KiB/s, burst 64 KiB, at most half of a |send_rate|.  Beyond it the channel
      competes by its priority.  docs/guide/channels.md. */
  CMT_TRAFFIC_URGENT,
} cmt_traffic;

/** What happens to a message when a reactor's queue has no room for it. */
typedef enum cmt_on_full {
  /** The peer is not read, on any of its channels, until half of the queue is
      done. */
  CMT_ON_FULL_WAIT,
  /** It is dropped and counted; for messages that may be lost, such as
      gossip. */
  CMT_ON_FULL_DROP,
} cmt_on_full;

/** A channel. 0 is the default of every field, which its comment names.  The
    struct never grows: later fields take the place of |reserved|. */
typedef struct cmt_channel {
  uint8_t id;
  /** Up to CMT_PRIORITY_MAX, default 1: the channel's share of a full link,
      relative to those of the other channels with something to send. */
  uint32_t priority;
  cmt_traffic traffic; /**< Default CMT_TRAFFIC_NORMAL. */
  /** Messages that may wait besides the one that is being packetized; default
      CMT_SEND_QUEUE_DEFAULT, 100, at most CMT_SEND_QUEUE_MAX.  Choose 1 where
      only the newest message is of use. */
  uint32_t send_queue;
  /** Longest message accepted for sending; default |recv_message_max|. */
  size_t send_message_max;
  /** Longest message accepted from the other side, at most CMT_MESSAGE_MAX;
      default CMT_MESSAGE_DEFAULT.  A longer one ends the connection. */
  size_t recv_message_max;
  /** Bytes per second of its packets with their prefixes, at most CMT_RATE_MAX;
      0: no limit.  See cmt_mconn_options. */
  uint64_t send_rate, recv_rate;
  /** Workers and mailboxes: bounds on one peer's messages that are not done, by
      count (default 10,000, at most CMT_RECV_QUEUE_MAX) and by memory (default
      16 MiB, at most CMT_MESSAGE_MAX; 192 bytes for each besides its own).  One
      message always fits.  With CMT_ON_FULL_WAIT reading stops at the bound; up
      to 64 KiB that were read already may still be queued.
      docs/guide/back-pressure.md. */
  uint32_t recv_queue;
  size_t recv_queue_bytes;
  cmt_on_full on_full;  /**< Default CMT_ON_FULL_WAIT. */
  const char *name;     /**< For people; may be NULL. */
  uint64_t reserved[4]; /**< 0. */
} cmt_channel;

/** Counters of one channel of one connection.  The struct never grows. */
typedef struct cmt_channel_status {
  uint8_t id;
  uint32_t queued_messages;     /**< Waiting or being packetized. */
  uint64_t queued_bytes;        /**< Their bytes that are not packetized yet. */
  uint64_t sent_messages;       /**< Packetized to the end. */
  uint64_t sent_bytes;          /**< Encoded packets with their prefixes. */
  uint64_t recently_sent_bytes; /**< With decay: the scheduler's. */
  uint64_t recv_messages, recv_bytes; /**< Complete messages. */
  uint64_t dropped_messages;          /**< By CMT_ON_FULL_DROP. */
  /** How long a sent message waited on our side, from the iteration that took
      it over (of a connection without a switch: from the send) to the output
      that has its last byte: the last message, and the longest of all.  In
      whole microseconds, below 2^32. */
  uint64_t wait_last_ns, wait_max_ns;
  uint64_t reserved[5]; /**< For later counters; 0. */
} cmt_channel_status;

/** Messages that were packetized to their end, whose credits come back. */
typedef struct cmt_credits {
  uint32_t messages[CMT_CHANNELS_MAX]; /**< By channel, as in the options. */
  size_t bytes;                        /**< The bytes of all these messages. */
} cmt_credits;

typedef struct cmt_mconn cmt_mconn;
typedef struct cmt_conn_group cmt_conn_group; /**< See conn_group.h. */

/** Fill with cmt_mconn_options_init(), then set at least the channels.  0 is
   the default of every field, which its comment names. */
typedef struct cmt_mconn_options {
  size_t size;
  const cmt_env *env;          /**< NULL: the defaults.  Copied. */
  cmt_wire wire;               /**< Default CMT_WIRE_COMETBFT. */
  const cmt_channel *channels; /**< Copied. */
  size_t channel_count;        /**< 0 to CMT_CHANNELS_MAX. */
  /** A ping is sent this long after the start and so on, whatever the traffic
      (but see CMT_WIRE_LEGACY); default 60 s.  CMT_NEVER: only cmt_mconn_ping()
      sends them. */
  uint64_t ping_interval_ns;
  /** Longest wait for a pong after the last byte of a ping was consumed;
      shorter than the interval; default 45 s.  A side that receives less than
      1,024 bytes in interval and timeout together, from the instant a ping is
      due, does not read: CMT_EPONG too.  Time in which the caller does not read
      counts for neither. */
  uint64_t pong_timeout_ns;
  /** Maximum payload of a packet: sent, 16 to 65536, by default 1024; accepted,
      1 to 65536, by default 1400. */
  uint32_t send_packet_payload_max, recv_packet_payload_max;
  /** Bytes under reassembly over all channels, without messages that are whole
      in a packet; at least the largest |recv_message_max|, by default 1 MiB
      more.  A packet over it ends the connection. */
  size_t recv_bytes_max;
  /** How long a message may go without a packet before it is complete; longer
      ends the connection.  Default 60 s; CMT_NEVER: for ever. */
  uint64_t partial_message_max_ns;
  /** Bytes per second, at most CMT_RATE_MAX; 0, the default: no limit.  A limit
      allows a burst of a tenth of a second's worth, and what exceeds it is
      repaid.  |send_rate| delays messages, |recv_rate| stops reading for at
      most 250 ms at a time: see cmt_mconn_wants_read(). */
  uint64_t send_rate, recv_rate;
  /** What it shares with others; NULL: nothing.  With a group |env| and
      |channels| are those of the group, and what is set here is not used. */
  cmt_conn_group *group;
  /** Called when the group ended it for its memory under reassembly: pull its
      events soon.  Runs on any thread, under the lock of the group, so it must
      only wake the thread of the connection.  NULL: not reported. */
  void (*wake)(void *arg);
  void *wake_arg;
} cmt_mconn_options;

#define cmt_mconn_options_init(o) cmt_mconn_options_init_sized((o), sizeof *(o))
CMT_API void cmt_mconn_options_init_sized(cmt_mconn_options *o, size_t size);

typedef enum cmt_mconn_event_kind {
  CMT_MCONN_MESSAGE, /**< |channel| and |msg|, which may be empty. */
  CMT_MCONN_PONG,    /**< |rtt_ns|: a ping of ours was answered. */
  CMT_MCONN_END,     /**< |err|, and cmt_mconn_get_why(); the last event. */
} cmt_mconn_event_kind;

typedef struct cmt_mconn_event {
  size_t size;
  cmt_mconn_event_kind kind;
  uint8_t channel;
  cmt_buf *msg; /**< Lent until the next call; cmt_buf_ref() keeps it. */
  uint64_t rtt_ns;
  cmt_err err;
} cmt_mconn_event;

/**
 * A multiplexer that starts at |now_ns|.
 *
 * Returns    CMT_OK; CMT_EINVAL: |why| (may be NULL) names the option, what
 *            was found and what is allowed; CMT_ENOMEM; CMT_EIO: no defaults.
 * Ownership  the caller deletes |*out|; |o| is not kept.
 */
CMT_API CMT_NODISCARD cmt_err cmt_mconn_new(const cmt_mconn_options *o,
                                            uint64_t now_ns, cmt_mconn **out,
                                            cmt_why *why);

/**
 * Queues |msg| on |channel|, or refuses it at once.
 *
 * A channel has room for |send_queue| messages besides the one being
 * packetized.
 *
 * Returns    CMT_OK; CMT_EAGAIN: no room; CMT_ENOCHANNEL; CMT_ETOOBIG;
 * CMT_ENOMEM; CMT_ECLOSED: the multiplexer has ended.  Ownership  the reference
 * to |msg| moves on CMT_OK only.
 */
CMT_API CMT_NODISCARD cmt_err cmt_mconn_try_send(cmt_mconn *m, uint8_t channel,
                                                 cmt_buf *msg);

/**
 * Sends a ping besides those of the interval.
 *
 * Returns    CMT_OK; CMT_EAGAIN: a ping is under way already; CMT_ECLOSED: the
 *            multiplexer has ended.
 */
CMT_API CMT_NODISCARD cmt_err cmt_mconn_ping(cmt_mconn *m);

/** Hands over |len| bytes of the other side, cut anywhere, as seen at |now_ns|.
    |data| is lent until cmt_mconn_next_event() was false; call that before the
    next recv.

    Returns CMT_OK; CMT_EINVAL: events of the bytes before are left;
    CMT_ECLOSED: the multiplexer has ended. */
CMT_API CMT_NODISCARD cmt_err cmt_mconn_recv(cmt_mconn *m, const uint8_t *data,
                                             size_t len, uint64_t now_ns);

/** Takes the next event; false: there is none now.  What fails shows as
    CMT_MCONN_END after the events that came before it.  Received bytes may
    cause CMT_EPROTO: a malformed or too long packet; CMT_EUNKNOWNCHANNEL;
    CMT_EMSGSIZE; CMT_ENOBUFS: over |recv_bytes_max|; CMT_EFLOOD: more than 500
    useless packets and 50 a second; CMT_ENOMEM. */
#define cmt_mconn_next_event(m, out)                                           \
  cmt_mconn_next_event_sized((m), (out), sizeof *(out))
/** See cmt_mconn_next_event(). */
CMT_API bool cmt_mconn_next_event_sized(cmt_mconn *m, cmt_mconn_event *out,
                                        size_t size);

/** False: do not read.  It has ended, or a receive limit is used up: then call
    cmt_mconn_tick() at the deadline. */
CMT_API bool cmt_mconn_wants_read(const cmt_mconn *m);

/** The least room for cmt_mconn_write(): a packet is never cut in two. */
CMT_API size_t cmt_mconn_write_min(const cmt_mconn *m);

/** Writes what is to be sent at |now_ns| into |dest|, at most |cap| bytes: a
   pong that is owed, a ping that is due, then packets, each of the channel with
   the lowest ratio of recently sent bytes to priority.  Nothing more is written
   before cmt_mconn_consume() has reported all of it as sent.  A |cap| below
   cmt_mconn_write_min() panics.  Returns how many bytes; 0: nothing now. */
CMT_API size_t cmt_mconn_write(cmt_mconn *m, uint8_t *dest, size_t cap,
                               uint64_t now_ns);

/** Reports that |len| more of the written bytes were sent at |now_ns|; more
    than there were panics (env.h). */
CMT_API void cmt_mconn_consume(cmt_mconn *m, size_t len, uint64_t now_ns);

/** True when cmt_mconn_write() has something at |now_ns|, once the bytes before
    are consumed.  |*urgent| (may be NULL): it should not wait for more, as
    pings, pongs and messages of urgent channels. */
CMT_API bool cmt_mconn_wants_write(cmt_mconn *m, uint64_t now_ns, bool *urgent);

/** When cmt_mconn_tick() should be called; CMT_NEVER: no need. */
CMT_API uint64_t cmt_mconn_deadline(const cmt_mconn *m);

/** Does what is due at |now_ns|; early calls are harmless.  Events and output
    may follow.  First hand over what has come before, and consume what was
    sent: only then is the other side late.  CMT_EPONG: no pong came in time, or
    nothing was consumed; CMT_EPARTIAL: the rest of a message did not come. */
CMT_API void cmt_mconn_tick(cmt_mconn *m, uint64_t now_ns);

/** True once it has ended: CMT_MCONN_END is the next event, or was the last. */
CMT_API bool cmt_mconn_has_ended(const cmt_mconn *m);

/** Why it has ended; |out|->err is CMT_OK before. */
CMT_API void cmt_mconn_get_why(const cmt_mconn *m, cmt_why *out);

/** Writes the status of up to |cap| channels, in the order they were given;
    returns how many there are. */
CMT_API size_t cmt_mconn_get_status(const cmt_mconn *m, cmt_channel_status *out,
                                    size_t cap);

/** Drops whatever is queued and frees; NULL is fine. */
CMT_API void cmt_mconn_delete(cmt_mconn *m);

#ifdef __cplusplus
}
#endif
#endif
