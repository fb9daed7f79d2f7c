/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__MAILBOX_H
#define CMT__MAILBOX_H

/* The mailbox of a reactor: events of many peers that wait for whoever takes
   them.  Each peer has an inbox in it, which keeps the order of its events; the
   loop puts them in, any thread takes them out. */

#include "entry_queue.h"
#include "event_source.h"
#include "inbox_quota.h"
#include "peer/peer.h"
#include "sys/ready_fd.h"

#include <cometp2p/reactor.h>

/* What of an inbox is with somebody who takes events. */
typedef enum cmt__inbox_out {
  CMT__OUT_NONE,
  CMT__OUT_UP,
  CMT__OUT_MESSAGE,
  CMT__OUT_GONE,
} cmt__inbox_out;

/* The events of one peer.  Zeroed at first; all of it is under the lock of the
   mailbox. */
typedef struct cmt__inbox {
  struct cmt_mailbox *mailbox; /* NULL: the reactor is called inline. */
  cmt_peer *peer;
  struct cmt__inbox *next,
    *prev; /* The list of inboxes with an event to take. */
  struct cmt__inbox *all_next, *all_prev; /* All of the mailbox. */
  cmt__entry_queue queue;
  cmt__entry taken;       /* The message that is out. */
  cmt__inbox_usage usage; /* Counts the message that is out, too. */
  cmt__inbox_out out;
  bool open;     /* From cmt__inbox_open() to the end. */
  bool up_due;   /* Peer up is still to be taken. */
  bool gone_due; /* So is peer gone. */
  bool refuses;  /* Messages are dropped, for the reactor ended the peer. */
  bool waits;    /* The link does not read until there is room here. */
  cmt_err reason;
  cmt__inbox_count counts[]; /* By the place of the channel. */
} cmt__inbox;

struct cmt_mailbox {
  const cmt_env *env;
  const char *name; /* The name of the reactor. */
  /* A peer gone was done; any thread, no lock.  Nothing of |b| is used after
     the call. */
  void (*on_gone)(cmt__inbox *b);
  struct {
    uint8_t id;
    bool drops;
  } channels[CMT_CHANNELS_MAX];
  uint8_t places[256]; /* The place of each channel in |channels|. */
  pthread_mutex_t lock;
  pthread_cond_t more;
  /* Under the lock: */
  cmt__inbox *ready_first, *ready_last;
  cmt__inbox *inboxes;
  cmt__inbox_quota quota;     /* Counts the messages that are out, too. */
  cmt__ready_fd ready_fd;     /* For cmt_mailbox_fd(). */
  cmt__event_sources sources; /* Added before anything is in it. */
  bool sources_next;          /* An event of a source comes next. */
  unsigned idle;              /* Threads that wait for |more|. */
  bool hurries;               /* All messages that are not out are dropped. */
  bool closed;                /* Nothing will come any more. */
  bool given_up;              /* Nobody will take anything any more. */
};

/* |channels| are those of |r| with their defaults; up to |peers| share it.
   CMT_ENOMEM; CMT_EIO with an errno: no descriptor. */
CMT_NODISCARD cmt_err cmt__mailbox_new(const cmt_env *env, const cmt_reactor *r,
                                       const cmt_channel *channels,
                                       size_t peers, cmt_mailbox **out);
/* Most bytes that may wait in it for |peers| before any is stopped, besides
   what is read with the message that stops it. */
uint64_t cmt__mailbox_memory(const cmt_reactor *r, size_t peers);
/* All inboxes have ended, and it is closed or nobody waits for it; waits until
   whoever was woken by that has left.  NULL is fine. */
void cmt__mailbox_delete(cmt_mailbox *m);

/* The bytes of an inbox. */
size_t cmt__inbox_size(const cmt_mailbox *m);
/* Frees what an inbox still has, with its peer; the mailbox may be gone. */
void cmt__inbox_fini(cmt__inbox *b, const cmt_env *env);

/* The loop alone. */

/* From here on the inbox is one of |m| until its peer gone is done. */
void cmt__inbox_open(cmt__inbox *b, cmt_mailbox *m, cmt_peer *p);
void cmt__inbox_up(cmt__inbox *b);
/* Puts a message in, with a reference of its own; the link is stopped when that
   fills the inbox, and |*stops| is whether it has just been.  CMT_EAGAIN:
   dropped, the channel wants it; CMT_ENOMEM. */
CMT_NODISCARD cmt_err cmt__inbox_put(cmt__inbox *b, uint8_t channel,
                                     cmt_buf *msg, bool *stops);
void cmt__inbox_gone(cmt__inbox *b, cmt_err reason);

/* Before anything is in it. */
void cmt__mailbox_add_source(cmt_mailbox *m, cmt__event_source *s);

/* Under the lock of the mailbox. */

/* One more event of |s|. */
void cmt__mailbox_offer(cmt_mailbox *m, cmt__event_source *s);
/* One less, and not by take. */
void cmt__mailbox_withdraw(cmt_mailbox *m, cmt__event_source *s);

/* Any thread. */

/* Drops what waits in the inbox of |ev|, and whatever comes. */
void cmt__mailbox_refuse(cmt_mailbox *m, const cmt_mailbox_event *ev);
/* Drops what waits in all inboxes, and whatever comes. */
void cmt__mailbox_discard(cmt_mailbox *m);
/* Nothing comes any more: whoever waits for it is woken. */
void cmt__mailbox_close(cmt_mailbox *m);
/* Whether peers are not gone for the reactor yet. */
bool cmt__mailbox_is_used(cmt_mailbox *m);
/* What its messages count for. */
size_t cmt__mailbox_bytes(cmt_mailbox *m);
/* cmt_mailbox_done() of |ev|, unless its |internal| is NULL, and
   cmt_mailbox_next() without end. */
CMT_NODISCARD cmt_err cmt__mailbox_done_and_next(cmt_mailbox *m,
                                                 cmt_mailbox_event *ev);

#endif
