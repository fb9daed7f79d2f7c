/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__EVENTS_H
#define CMT__EVENTS_H

/* Events of a switch for the mailbox of one reactor, in place of callbacks:
   rejections, outcomes of dials, answers of sends and posts to peers.  A send
   and a post wait in their own memory.  The others are copied and bounded:
   connections of strangers have a bound of their own, so that they take no room
   from our own dials. */

#include "mailbox.h"

#include <cometp2p/switch.h>

/* A rejection or an outcome. */
typedef struct cmt__report cmt__report;

typedef struct cmt__events {
  const cmt_env *env;
  cmt_mailbox *mailbox;      /* NULL: there are none. */
  cmt__send_queue_sink sink; /* The send queues of peers point to it. */
  cmt__event_source reports, sents, posts;
  /* Under the lock of the mailbox: */
  cmt__report *first, *last;
  size_t waiting[2]; /* How many wait or are out: of accepts, of dials. */
  uint64_t lost;
  cmt_send_req *sent_first, *sent_last;
  cmt_post *post_first, *post_last;
} cmt__events;

/* |m| NULL: nothing is reported. */
void cmt__events_init(cmt__events *e, const cmt_env *env, cmt_mailbox *m);
/* The most bytes that it allocates. */
uint64_t cmt__events_memory(const cmt__events *e);
uint64_t cmt__events_lost(const cmt__events *e);

/* Report copies of the arguments that a callback would get. */
void cmt__events_reject(cmt__events *e, const cmt_rejection *r);
void cmt__events_outcome(cmt__events *e, uint64_t dial, void *arg,
                         const cmt_dial_outcome *o);
/* Drops the outcomes of the dial of that number that wait. */
void cmt__events_forget(cmt__events *e, uint64_t dial);
/* From here on sends and posts to |p| without a callback are reported. */
void cmt__events_attach(cmt__events *e, cmt_peer *p);

#endif
