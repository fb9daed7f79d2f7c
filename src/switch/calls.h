/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__CALLS_H
#define CMT__CALLS_H

/* The calls that the application wants of the first loop: its timers and its
   posts.  All of them lie in the caller's memory, behind one timer and one post
   of the loop. */

#include "net/loop.h"
#include "reactor/callback_timer.h"
#include "reactor/mailbox.h"
#include "sys/cond.h"
#include "sys/lock.h"

#include <cometp2p/timer.h>

typedef struct cmt__timer_list {
  cmt_timer *first, *last;
} cmt__timer_list;

typedef struct cmt__post_list {
  cmt_post *first, *last;
} cmt__post_list;

typedef struct cmt__calls {
  const cmt_env *env;
  cmt__callback_timer *callbacks; /* They belong to the first loop. */
  /* The wake-up that was under way at the end has come. */
  void (*on_drained)(void *arg);
  void *arg;
  cmt__timer timer; /* Set to the earliest of the heap, or earlier. */
  cmt__post wake;
  cmt__loop *reserved; /* The loop with room for |timer|; or NULL. */
  /* It gets what has no callback as events; or NULL. */
  cmt_mailbox *mailbox;
  cmt__event_source timer_events, post_events;
  pthread_mutex_t own_lock;
  pthread_mutex_t *lock;   /* The mailbox has it, or it is the own one. */
  pthread_cond_t returned; /* With |running|. */
  /* Under the lock: */
  cmt__loop *loop;              /* NULL before the start. */
  bool posted;                  /* |wake| is under way. */
  bool closed;                  /* Nothing is taken any more. */
  cmt__timer_list fresh;        /* Set, and not seen by the loop yet, */
  cmt__timer_list event_timers; /* and those that are events now. */
  cmt_timer *heap;              /* The others; the root is the earliest. */
  uint64_t order;               /* The number of the next one. */
  cmt__post_list posts;
  cmt__post_list event_posts;
  size_t post_count;
  const cmt_timer *running; /* Whose callback runs, */
  pthread_t runner;         /* and where. */
} cmt__calls;

CMT_NODISCARD cmt_err cmt__calls_init(cmt__calls *c, const cmt_env *env);
/* Calls without a callback become events of |m| from now on; NULL: they are
   refused, as at first.  Nobody uses it meanwhile, and nothing is there. */
void cmt__calls_set_mailbox(cmt__calls *c, cmt_mailbox *m);
/* Before any other thread runs |loop|. */
CMT_NODISCARD cmt_err cmt__calls_reserve(cmt__calls *c, cmt__loop *loop,
                                         cmt_why *why);
/* From here on calls wake the loop. */
void cmt__calls_start(cmt__calls *c);
/* Accepts nothing more, and answers all that is there with CMT_ECANCELED.
   False: on_drained will come.  May be called again; on the loop, or without
   one. */
bool cmt__calls_close(cmt__calls *c);
/* It was closed, or nothing was ever set or posted. */
void cmt__calls_fini(cmt__calls *c);

/* Any thread; see timer.h. */
CMT_NODISCARD cmt_err cmt__calls_set(cmt__calls *c, cmt_timer *t,
                                     uint64_t after_ns);
bool cmt__calls_cancel(cmt__calls *c, cmt_timer *t);
CMT_NODISCARD cmt_err cmt__calls_post(cmt__calls *c, cmt_post *p);

#endif
