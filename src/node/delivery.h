/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__DELIVERY_H
#define CMT__DELIVERY_H

/* How what happens to peers reaches the reactors: inline, through worker
   threads, or through a mailbox that the application empties. */

#include "mailbox.h"

#include "net/loop.h"

typedef struct cmt__worker {
  cmt_switch *sw;
  const cmt_reactor *reactor;
  cmt_mailbox *mailbox;
  pthread_t thread;
} cmt__worker;

struct cmt__lane; /* Of switch.h: one of its loops. */

/* That of a switch. */
typedef struct cmt__delivery {
  cmt_mailbox **mailboxes; /* By reactor, NULL: inline.  NULL: all are. */
  cmt__worker *workers;
  size_t worker_count;
  cmt__timer hurry; /* When what waits is dropped. */
  bool timed;       /* There is room for it in the loop. */
  size_t departing; /* Peers whose last remove_peer is still to return. */
} cmt__delivery;

/* That of a peer: a box for each reactor that is not inline. */
struct cmt__boxes {
  cmt_switch *sw;
  cmt_peer *peer;
  atomic_size_t left; /* Boxes whose peer gone is still to be done. */
  cmt__post post;     /* None is. */
  cmt__counter dropped[CMT_CHANNELS_MAX]; /* Messages, by channel. */
  bool told; /* The log has said that a full queue delays urgent channels. */
  size_t count;
  cmt__box *list[]; /* By reactor; NULL: inline. */
};

/* Makes the mailboxes.  CMT_EINVAL: |why| names what is wrong. */
CMT_NODISCARD cmt_err cmt__delivery_init(cmt_switch *s, cmt_why *why);
/* Starts the workers; the loop exists. */
CMT_NODISCARD cmt_err cmt__delivery_start(cmt_switch *s, cmt_why *why);
/* Ends the workers and frees. */
void cmt__delivery_fini(cmt_switch *s);
/* No peer will ever come: the switch did not start, and never will. */
void cmt__delivery_give_up(cmt_switch *s);
/* The reactor that has events to take or a call to return from; NULL: none. */
const char *cmt__delivery_waits_for(cmt_switch *s);
/* Waiting for reactors, in bytes. */
uint64_t cmt__delivery_held(cmt_switch *s);
/* Whether the calling thread is a worker. */
bool cmt__thread_is_worker(void);

void cmt__boxes_free(struct cmt__boxes *b);

/* The first loop alone. */

/* The switch stops: what reactors have not taken after |flush_ns| is dropped,
   but for peers that are gone. */
void cmt__delivery_stop(cmt_switch *s, uint64_t flush_ns);
/* The last peer is gone. */
void cmt__delivery_close(cmt_switch *s);

/* Gives a new peer its boxes. */
CMT_NODISCARD cmt_err cmt__delivery_admit(cmt_switch *s, cmt_peer *p);
/* add_peer of each reactor. */
void cmt__delivery_add(cmt_switch *s, cmt_peer *p);
/* receive of the reactor of |channel|, on the loop of |lane|, which is that of
   the peer.  An error is to end the peer, with what |why| says. */
CMT_NODISCARD cmt_err cmt__delivery_receive(struct cmt__lane *lane, cmt_peer *p,
                                            uint8_t channel, cmt_buf *msg,
                                            cmt_why *why);
/* remove_peer of each reactor, for a peer that was added.  True: all have
   returned; false: cmt__session_departed() follows, with the caller's
   reference. */
CMT_NODISCARD bool cmt__delivery_remove(cmt_switch *s, cmt_peer *p,
                                        cmt_err reason);
/* Calls remove_peer of the first |known| reactors, for a peer that was refused
   after their init_peer. */
void cmt__delivery_refuse(cmt_switch *s, cmt_peer *p, cmt_err reason,
                          size_t known);

#endif
