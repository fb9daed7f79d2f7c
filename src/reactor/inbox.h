/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__INBOX_H
#define CMT__INBOX_H

/* An inbox: the events of one peer for one reactor, in the order peer up,
   messages, peer gone.  At most one event is out at a time, with whoever took
   it.  Its mailbox has the lock under which all calls but the first two are
   made, and the quota that its inboxes share. */

#include "entry_queue.h"
#include "inbox_quota.h"
#include "peer/peer.h"

#include <cometp2p/reactor.h>

/* The event of an inbox that is out. */
typedef enum cmt__inbox_out {
  CMT__OUT_NONE,
  CMT__OUT_UP,
  CMT__OUT_MESSAGE,
  CMT__OUT_GONE,
} cmt__inbox_out;

/* Zeroed at first. */
typedef struct cmt__inbox {
  struct cmt_mailbox *mailbox; /* NULL: the reactor is called inline. */
  cmt_peer *peer;
  /* For the mailbox: its list of inboxes with an event to take, and of all. */
  struct cmt__inbox *next, *prev;
  struct cmt__inbox *all_next, *all_prev;
  cmt__entry_queue queue;
  cmt__entry taken;       /* The message that is out. */
  cmt__inbox_usage usage; /* Counts the message that is out, too. */
  cmt__inbox_out out;
  cmt_buf *spent; /* A list of buffers that the loop releases. */
  bool open;      /* The mailbox has it. */
  bool up_due;    /* Peer up is still to be taken. */
  bool gone_due;  /* So is peer gone. */
  bool refuses;   /* Messages are dropped, for the reactor ended the peer. */
  bool waits;     /* The link does not read until there is room here. */
  bool rings;     /* A wake-up is due, once the loop has put in what it read. */
  cmt_err reason;
  cmt__inbox_count counts[]; /* By the place of the channel. */
} cmt__inbox;

/* The bytes of an inbox within |q|. */
size_t cmt__inbox_size(const cmt__inbox_quota *q);
/* Frees the memory of an inbox that no mailbox has any more. */
void cmt__inbox_fini(cmt__inbox *b, const cmt_env *env);

/* Whether there is an event to take. */
bool cmt__inbox_has_event(const cmt__inbox *b);
/* Whether peer gone is all that is left, and nothing is out. */
bool cmt__inbox_has_only_gone(const cmt__inbox *b);

/* Adds a message, with a reference of its own.  One that does not fit is
   refused with CMT_EAGAIN when the channel |drops|, and else stops the link.
   CMT_ENOMEM. */
CMT_NODISCARD cmt_err cmt__inbox_push(cmt__inbox *b, cmt__inbox_quota *q,
                                      const cmt_env *env,
                                      const cmt__entry *entry, bool drops);
/* Moves the next event, of which there must be one, to |ev|: |kind|, and |msg|
   or |reason|. */
void cmt__inbox_take(cmt__inbox *b, const cmt_env *env, cmt_mailbox_event *ev);
/* Ends the event that is out, and returns which one it was.  The link reads
   again when that makes room. */
cmt__inbox_out cmt__inbox_done(cmt__inbox *b, cmt__inbox_quota *q,
                               const cmt_env *env);
/* As cmt__inbox_done() for a run of |count| messages, of which |taken| was the
   first; other events are runs of none. */
void cmt__inbox_done_run(cmt__inbox *b, cmt__inbox_quota *q, const cmt_env *env,
                         const cmt__entry *run, size_t count);
/* Moves |spent| out, which is the caller's to release. */
cmt_buf *cmt__inbox_spent(cmt__inbox *b);
/* Moves all messages out, whose references are the caller's then. */
cmt__entry_queue cmt__inbox_empty(cmt__inbox *b, cmt__inbox_quota *q);

#endif
