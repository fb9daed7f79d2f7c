/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__MAILBOX_H
#define CMT__MAILBOX_H

/* The mailbox of a reactor: events of many peers that wait for whoever takes
   them.  Each peer has an inbox in it, which keeps the order of its events; the
   loop puts them in, any thread takes them out. */

#include "event_source.h"
#include "inbox.h"
#include "sys/ready_fd.h"

#include <cometp2p/reactor.h>
#include <stdatomic.h>

struct cmt_mailbox {
  const cmt_env *env;
  const char *name; /* The name of the reactor. */
  /* A peer gone was done; any thread, no lock.  Nothing of |b| is used after
     the call. */
  void (*on_gone)(cmt__inbox *b);
  /* The last event of a source that was out is done, after
     cmt__mailbox_sources_out() said that one is; any thread, under the lock. */
  void (*on_sources_done)(void *arg);
  void *arg;
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
  size_t sources_out;         /* Events of sources that are out. */
  bool sources_wanted;        /* |on_sources_done| is called for the last. */
  unsigned idle;              /* Threads that wait for |more|. */
  atomic_bool hurries;        /* All messages that are not out are dropped;
                                 changed under the lock. */
  bool closed;                /* Nothing will come any more. */
  bool given_up;              /* Events are no longer given out. */
};

/* The longest run of messages that a worker takes at once, and the most bytes
   of one that is more than a message. */
enum { CMT__RUN_MESSAGES = 32, CMT__RUN_BYTES = 16384 };

/* The event that a worker handles, or a run of messages of one peer, which are
   out together.  Zeroed at first. */
typedef struct cmt__run {
  cmt_mailbox_event ev; /* The event that is handled now. */
  cmt__entry list[CMT__RUN_MESSAGES];
  size_t at, end; /* The message that is handled now; where the run ends. */
  size_t count;   /* Messages taken; 0: the event is no message. */
  cmt_buf *spent; /* A list of buffers that are done. */
} cmt__run;

/* |channels| are those of |r| with their defaults; up to |peers| share it.
   CMT_ENOMEM; CMT_EIO with an errno: no descriptor. */
CMT_NODISCARD cmt_err cmt__mailbox_new(const cmt_env *env, const cmt_reactor *r,
                                       const cmt_channel *channels,
                                       size_t peers, cmt_mailbox **out);
/* Most bytes that may wait in it for |peers| before any is stopped, besides
   what is read with the message that stops it. */
uint64_t cmt__mailbox_memory(const cmt_reactor *r, size_t peers);
/* All inboxes have ended, no event is out, and it is closed or nobody waits for
   it; waits until whoever was woken by that has left.  NULL is fine. */
void cmt__mailbox_delete(cmt_mailbox *m);

/* The loop alone. */

/* Adds the inbox |b| of |p|; the mailbox has it until its peer gone is done. */
void cmt__mailbox_add_inbox(cmt_mailbox *m, cmt__inbox *b, cmt_peer *p);
/* Adds peer up to |b|. */
void cmt__mailbox_peer_up(cmt__inbox *b);
/* Adds a message to |b|, with a reference of its own; the link is stopped when
   that fills the inbox, and |*stops| is whether it has just been.  CMT_EAGAIN:
   dropped, as the channel wants it; CMT_ENOMEM. */
CMT_NODISCARD cmt_err cmt__mailbox_put(cmt__inbox *b, uint8_t channel,
                                       cmt_buf *msg, bool *stops);
/* After one or more messages: wakes whoever waits for them. */
void cmt__mailbox_flush(cmt__inbox *b);
/* Adds peer gone to |b|, its last event. */
void cmt__mailbox_peer_gone(cmt__inbox *b, cmt_err reason);

/* Before anything is in it. */
void cmt__mailbox_add_source(cmt_mailbox *m, cmt__event_source *s);

/* Under the lock of the mailbox. */

/* One more event of |s|. */
void cmt__mailbox_offer(cmt_mailbox *m, cmt__event_source *s);
/* One less, and not by take. */
void cmt__mailbox_withdraw(cmt_mailbox *m, cmt__event_source *s);

/* Any thread. */

/* Drops what waits in the inbox of |run|, and whatever comes. */
void cmt__mailbox_refuse(cmt_mailbox *m, cmt__run *run);
/* Drops what waits in all inboxes, and whatever comes. */
void cmt__mailbox_discard(cmt_mailbox *m);
/* Nothing comes any more: whoever waits for it is woken. */
void cmt__mailbox_close(cmt_mailbox *m);
/* Whether peers are not gone for the reactor yet, or an event is out. */
bool cmt__mailbox_is_used(cmt_mailbox *m);
/* Whether an event of a source is out; then |on_sources_done| follows. */
bool cmt__mailbox_sources_out(cmt_mailbox *m);
/* Drops what waits there, gives no event out any more, and waits until none of
   a source is out, at most until |until|; false: one still is. */
CMT_NODISCARD bool cmt__mailbox_drain(cmt_mailbox *m,
                                      const struct timespec *until);
/* What its messages count for. */
size_t cmt__mailbox_bytes(cmt_mailbox *m);
/* Ends the event of |run|, if any, and goes on to the next, for which it waits
   without end.  It takes several messages at once only while no other peer has
   an event. */
CMT_NODISCARD cmt_err cmt__mailbox_done_and_next(cmt_mailbox *m, cmt__run *run);

#endif
