/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_REACTOR_H
#define CMT_REACTOR_H

/* A reactor: the part of an application that owns some channels.  One struct of
   functions; each may be NULL.  docs/guide/delivery.md, docs/guide/threads.md.

   For one peer the order is init_peer, add_peer, receive any number of times,
   remove_peer, and calls of one reactor never overlap.  Each reactor whose
   init_peer returned CMT_OK sees exactly one remove_peer.  init_peer and stop
   run on the first loop, whatever the delivery is, and must not block. */

#include <cometp2p/peer.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cmt_switch cmt_switch;

/** The events of all peers for one reactor, until the application receives
    them. */
typedef struct cmt_mailbox cmt_mailbox;

typedef enum cmt_delivery {
  /** The functions are called on a loop of the switch, with no queue between:
      for work of microseconds.  They must not block; a callback over 100 ms is
      counted and logged. cmt_peer_pause() slows a sender down. */
  CMT_DELIVER_INLINE,
  /** The functions are called on threads of the reactor, and may block.  While
      a peer's queue for a channel is full (|recv_queue|, |recv_queue_bytes| of
      cmt_channel), nothing of that peer is read, for any reactor:
      docs/guide/back-pressure.md. */
  CMT_DELIVER_WORKERS,
  /** The application receives events on its own thread or event loop, with
      cmt_mailbox_next(); add_peer and receive are not called, and remove_peer
      only for a peer that a later init_peer refused.  Each CMT_EVENT_PEER_UP
      has one CMT_EVENT_PEER_GONE. */
  CMT_DELIVER_MAILBOX,
} cmt_delivery;

enum {
  CMT_THREADS_MAX = 256,  /**< Most threads of one reactor. */
  CMT_REACTORS_MAX = 256, /**< Most reactors of one switch. */
};

/** Zero it, as an initialiser of any field does (in C++: cmt_reactor r{}), then
    set the fields that apply.  The struct never grows: later fields take the
    place of |reserved|. */
typedef struct cmt_reactor {
  const char *name; /**< Not NULL; of no other reactor of the switch. */
  /** Each id belongs to one reactor of a switch; at most CMT_CHANNELS_MAX over
      all.  Copied by cmt_switch_new(). */
  const cmt_channel *channels;
  size_t channel_count;
  cmt_delivery delivery; /**< Default CMT_DELIVER_INLINE. */
  unsigned threads;      /**< For CMT_DELIVER_WORKERS: 0, the default, is 1. */
  /** Memory of the messages of all peers that wait, as |recv_queue_bytes| of a
      channel counts it; 0, the default, is 128 MiB.  Each peer has an equal
      share that no other can take.  Above the shares whoever holds most is
      stopped first, and all together may hold up to twice as much. */
  size_t recv_queue_bytes_total;
  void *self; /**< Passed to each function. */
  /** In cmt_switch_start(), on its thread; an error ends the start. */
  cmt_err (*start)(void *self, cmt_switch *sw);
  /** Before any traffic; an error refuses the peer with that reason. */
  cmt_err (*init_peer)(void *self, cmt_peer *p);
  void (*add_peer)(void *self, cmt_peer *p);
  /** A complete message on a channel of this reactor, maybe empty.  |msg| is
      lent; cmt_buf_ref() keeps it.  An error ends the peer with that reason,
      and no further message of it is delivered here. */
  cmt_err (*receive)(void *self, cmt_peer *p, uint8_t channel, cmt_buf *msg);
  /** cmt_peer_get_why() has the reason in full. */
  void (*remove_peer)(void *self, cmt_peer *p, cmt_err reason);
  /** After the last remove_peer, once for each start that returned CMT_OK. */
  void (*stop)(void *self);
  uint64_t reserved[8]; /**< 0. */
} cmt_reactor;

typedef enum cmt_mailbox_event_kind {
  CMT_EVENT_PEER_UP,   /**< In place of add_peer. */
  CMT_EVENT_MESSAGE,   /**< In place of receive. */
  CMT_EVENT_PEER_GONE, /**< In place of remove_peer; the peer's last. */
  /* Only for the reactor that |event_reactor| of the switch names: */
  CMT_EVENT_REJECTED, /**< In place of on_rejected of the switch. */
  CMT_EVENT_OUTCOME,  /**< In place of on_outcome of a dial. */
  CMT_EVENT_SENT,     /**< In place of |cb| of a cmt_send_req. */
  CMT_EVENT_TIMER,    /**< In place of |cb| of a cmt_timer, */
  CMT_EVENT_POST,     /**< and of a cmt_post. */
} cmt_mailbox_event_kind;

enum {
  CMT_EVENTS_ACCEPTED_MAX = 256, /**< Rejections of accepts that wait, */
  CMT_EVENTS_DIALED_MAX = 1024,  /**< those of dials and outcomes. */
};

/** What cmt_mailbox_next() returns.  All that it points to is lent until
    cmt_mailbox_done(); cmt_peer_ref() and cmt_buf_ref() keep a peer and a
    buffer. */
typedef struct cmt_mailbox_event {
  size_t size;
  cmt_mailbox_event_kind kind;
  cmt_peer *peer;  /**< NULL: the event does not belong to a peer.  The event of
                        a send or a post does not delay other events of the
                        peer. */
  uint8_t channel; /**< The message's. */
  cmt_buf *msg;    /**< The message; or one that could not be sent. */
  cmt_err reason;  /**< Why the peer is gone, or the status that a callback
                        would receive. */
  void *internal;
  void *source;
  void *arg; /**< The |arg| of the dial, send, timer or post. */
  const struct cmt_rejection *rejection;
  const struct cmt_dial_outcome *outcome;
} cmt_mailbox_event;

/** Receives the next event, of the peer that has waited longest; waits up to
    |timeout_ns| (0: not at all, CMT_NEVER: without limit).  Until its
    cmt_mailbox_done() no other event of that peer is returned.  Any thread.

    Returns CMT_OK; CMT_ETIMEDOUT; CMT_ECLOSED: nothing will come any more;
    CMT_EDEADLK: a timeout on the loop of a switch. */
#define cmt_mailbox_next(m, out, timeout_ns)                                   \
  cmt_mailbox_next_sized((m), (out), sizeof *(out), (timeout_ns))
/** See cmt_mailbox_next(). */
CMT_API CMT_NODISCARD cmt_err cmt_mailbox_next_sized(cmt_mailbox *m,
                                                     cmt_mailbox_event *out,
                                                     size_t size,
                                                     uint64_t timeout_ns);

/**
 * Receives all events that are ready, at most |cap|, into the array |out|;
 * waits for the first as cmt_mailbox_next().
 *
 * They belong to different peers, since a peer has one event out at a time.
 *
 * Returns    how many, each of which needs its cmt_mailbox_done(); 0: none, and
 *            cmt_mailbox_next() returns the reason.
 */
#define cmt_mailbox_next_many(m, out, cap, timeout_ns)                         \
  cmt_mailbox_next_many_sized((m), (out), (cap), sizeof *(out), (timeout_ns))
/** See cmt_mailbox_next_many(); |size| is that of an element. */
CMT_API CMT_NODISCARD size_t cmt_mailbox_next_many_sized(cmt_mailbox *m,
                                                         cmt_mailbox_event *out,
                                                         size_t cap,
                                                         size_t size,
                                                         uint64_t timeout_ns);

/** Closes the mailbox: drops all events that wait in it and all later ones.
    From now on cmt_mailbox_next() returns CMT_ECLOSED, and a stop and
    cmt_switch_delete() wait only for events that are out.  The peers stay.  Any
    thread, any number of times. */
CMT_API void cmt_mailbox_close(cmt_mailbox *m);

/** Ends an event: exactly once for each, from any thread.  |ev| is wiped.  An
    event that is done already, or of another mailbox, panics (env.h).
    cmt_switch_delete() waits until each event that was received is done. */
CMT_API void cmt_mailbox_done(cmt_mailbox *m, cmt_mailbox_event *ev);

/** A descriptor for poll() and the like: readable while an event is ready, and
    when no event will come any more.  Never read or close it. */
CMT_API int cmt_mailbox_fd(const cmt_mailbox *m);

#ifdef __cplusplus
}
#endif
#endif
