/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__DELIVERY_H
#define CMT__DELIVERY_H

/* How what happens to peers reaches the reactors: inline, through worker
   threads, or through a mailbox that the application empties. */

#include "mailbox.h"
#include "reactor_list.h"

#include "base/log_limit.h"
#include "net/loop.h"

typedef struct cmt__worker {
  struct cmt__delivery *delivery;
  const cmt_reactor *reactor;
  cmt_mailbox *mailbox;
  pthread_t thread;
} cmt__worker;

/* What delivery needs on each loop. */
typedef struct cmt__delivery_loop {
  struct cmt__delivery *delivery;
  cmt__loop *loop;
  cmt__callback_timer callbacks;
  cmt__log_limit full_queues; /* Lines about them. */
} cmt__delivery_loop;

/* What a delivery works with.  All of it is borrowed. */
typedef struct cmt__delivery_options {
  const cmt_env *env;
  const cmt__reactor_list *reactors;
  size_t peers_max;
  cmt__delivery_loop *first; /* Loop 0, which adds and removes peers. */
  /* The last remove_peer of a peer returned after cmt__delivery_remove() did;
     the caller's reference comes back. */
  void (*on_departed)(void *arg, cmt_peer *p);
  /* cmt__delivery_holds_events() was true and may not be any more; on loop 0.
   */
  void (*on_events_done)(void *arg);
  void *arg;
} cmt__delivery_options;

typedef struct cmt__delivery {
  cmt__delivery_options options;
  cmt_mailbox **mailboxes; /* By reactor, NULL: inline.  NULL: all are. */
  cmt__worker *workers;
  size_t worker_count;
  cmt__timer hurry; /* When what waits is dropped. */
  bool timed;       /* There is room for it in the loop. */
  size_t departing; /* Peers whose last remove_peer is still to return. */
  cmt__post events_done;
  atomic_bool events_done_posted;
  _Atomic uint64_t dropped; /* Messages, by any loop. */
} cmt__delivery;

/* The inboxes of a peer: one for each reactor that is not inline. */
struct cmt__inboxes {
  cmt__delivery *delivery;
  cmt_peer *peer;
  atomic_size_t left; /* Boxes whose peer gone is still to be done. */
  cmt__post post;     /* None is. */
  cmt__counter dropped[CMT_CHANNELS_MAX]; /* Messages, by channel. */
  bool warned; /* The log has a warning that a full queue delays urgent
                  channels. */
  size_t count;
  cmt__inbox *list[]; /* By reactor; NULL: inline. */
};

/* Copies |o| and makes the mailboxes.  CMT_EINVAL: |why| names what is
   wrong. */
CMT_NODISCARD cmt_err cmt__delivery_init(cmt__delivery *d,
                                         const cmt__delivery_options *o,
                                         cmt_why *why);
/* Starts the workers; the first loop exists. */
CMT_NODISCARD cmt_err cmt__delivery_start(cmt__delivery *d, cmt_why *why);
/* Drops the events that wait in mailboxes and gives none out any more; waits
   |timeout_ns| for those that are out.  False: one still is. */
CMT_NODISCARD bool cmt__delivery_drain(cmt__delivery *d, uint64_t timeout_ns);
/* Ends the workers and frees; no event is out. */
void cmt__delivery_fini(cmt__delivery *d);
/* No peer will ever come: the switch did not start, and never will. */
void cmt__delivery_give_up(cmt__delivery *d);
/* The reactor that has events to take or a call to return from; NULL: none. */
const char *cmt__delivery_waits_for(const cmt__delivery *d);
/* Messages that full queues have dropped, of all peers so far. */
uint64_t cmt__delivery_dropped(const cmt__delivery *d);
/* Bytes that wait for reactors. */
uint64_t cmt__delivery_queued(const cmt__delivery *d);
/* The mailbox of |reactor|; NULL: no reactor of that name has one. */
cmt_mailbox *cmt__delivery_mailbox(const cmt__delivery *d, const char *reactor);
/* Whether the calling thread is a worker. */
bool cmt__thread_is_worker(void);

/* The first loop alone calls the rest, but for cmt__delivery_receive(). */

/* The switch stops: what reactors have not taken after |flush_ns| is dropped,
   but for peers that are gone. */
void cmt__delivery_stop(cmt__delivery *d, uint64_t flush_ns);
/* Whether an event is out that belongs to no inbox. */
bool cmt__delivery_holds_events(cmt__delivery *d);
/* The last peer is gone. */
void cmt__delivery_close(cmt__delivery *d);

/* Gives a new peer its inboxes. */
CMT_NODISCARD cmt_err cmt__delivery_admit(cmt__delivery *d, cmt_peer *p);
/* Calls add_peer of each reactor. */
void cmt__delivery_add(cmt__delivery *d, cmt_peer *p);
/* Hands |msg| to the reactor of |channel|, on the loop |l|, where the peer
   lives.  An error is to end the peer with the reason |why|. */
CMT_NODISCARD cmt_err cmt__delivery_receive(cmt__delivery_loop *l, cmt_peer *p,
                                            uint8_t channel, cmt_buf *msg,
                                            cmt_why *why);
/* After one or more of those: wakes the workers. */
void cmt__delivery_flush(cmt_peer *p);
/* Calls remove_peer of each reactor, for a peer that was added.  True: all have
   returned; false: on_departed follows, with the caller's reference. */
CMT_NODISCARD bool cmt__delivery_remove(cmt__delivery *d, cmt_peer *p,
                                        cmt_err reason);
/* Calls remove_peer of the first |known| reactors, for a peer that was refused
   after their init_peer. */
void cmt__delivery_refuse(cmt__delivery *d, cmt_peer *p, cmt_err reason,
                          size_t known);

#endif
