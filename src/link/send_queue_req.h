/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__SEND_QUEUE_REQ_H
#define CMT__SEND_QUEUE_REQ_H

/* What a send queue keeps in the memory of a send that waits, which belongs to
   the application.  A mark in it means that the request is under way, so that a
   second use is refused, whichever peer it is for.  The mark depends on the
   address: memory that was never written, or is a copy of another request, does
   not match it.  A program that writes to a request under way destroys the mark
   and the links.  Each step along a list checks both, so that a damaged list
   causes a panic with a text and not an endless loop. */

#include "send_queue.h"

typedef struct __attribute__((may_alias)) cmt__send_queue_wait {
  uint64_t deadline_ns; /* While fresh: how long it may wait. */
  uint64_t sequence;
  cmt_send_req *next, *prev;
  const cmt__send_queue *send_queue;
  int16_t status; /* Once done. */
  uint8_t channel, flags;
} cmt__send_queue_wait;

enum { CMT__SEND_QUEUE_MARK_AT = 6 /* The place of the mark. */ };

_Static_assert(sizeof(cmt__send_queue_wait) <=
                 CMT__SEND_QUEUE_MARK_AT * sizeof(void *),
               "a waiting send and its mark fit its request");
_Static_assert(CMT__COUNT(((cmt_send_req *)0)->internal) ==
                 CMT__SEND_QUEUE_MARK_AT + 1,
               "the mark is the last of what is ours");

static inline cmt__send_queue_wait *cmt__send_queue_wait_of(cmt_send_req *req) {
  return (cmt__send_queue_wait *)req->internal;
}

/* The mark of |req| while it is under way. */
static inline void *cmt__send_queue_mark(const cmt_send_req *req) {
  return (void *)((uintptr_t)req ^ (uintptr_t)UINT64_C(0x5e4d9a3cb1f07d26));
}

/* Marks |req| as under way.  False: it is already, here or with another
   peer. */
static inline bool cmt__send_queue_claim(cmt_send_req *req) {
  void *mark = cmt__send_queue_mark(req);

  return __atomic_exchange_n(&req->internal[CMT__SEND_QUEUE_MARK_AT], mark,
                             __ATOMIC_ACQ_REL) != mark;
}

/* Marks |req| as free for another use.  It names no send queue any more, so
   that a cancel does not confuse this use with a later one that is not in a
   list yet. */
static inline void cmt__send_queue_release(cmt_send_req *req) {
  cmt__send_queue_wait_of(req)->send_queue = NULL;
  __atomic_store_n(&req->internal[CMT__SEND_QUEUE_MARK_AT], NULL,
                   __ATOMIC_RELEASE);
}

static inline bool cmt__send_queue_owns(const cmt__send_queue *g,
                                        cmt_send_req *req) {
  return __atomic_load_n(&req->internal[CMT__SEND_QUEUE_MARK_AT],
                         __ATOMIC_RELAXED) == cmt__send_queue_mark(req) &&
         cmt__send_queue_wait_of(req)->send_queue == g;
}

_Noreturn static inline void
cmt__send_queue_req_panic(const cmt__send_queue *g) {
  cmt__panic(g->env, __FILE__, __LINE__,
             "a cmt_send_req was written to, or used again, before its "
             "callback came");
}

/* Checks that |req|, which |c| of |g| leads to, is as the send queue left
 it. */
static inline void cmt__send_queue_check_req(const cmt__send_queue *g,
                                             const cmt__send_queue_fifo *c,
                                             cmt_send_req *req) {
  const cmt__send_queue_wait *w = cmt__send_queue_wait_of(req);

  if (!cmt__send_queue_owns(g, req) || (w->prev == NULL) != (c->first == req) ||
      (w->next == NULL) != (c->last == req) ||
      (w->prev != NULL && cmt__send_queue_wait_of(w->prev)->next != req) ||
      (w->next != NULL && cmt__send_queue_wait_of(w->next)->prev != req)) {
    cmt__send_queue_req_panic(g);
  }
}

#endif
