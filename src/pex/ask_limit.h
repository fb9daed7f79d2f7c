/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__ASK_LIMIT_H
#define CMT__ASK_LIMIT_H

/* How often one peer may ask us, and we ask it: no I/O and no clock, the
   present instant is an argument.  docs/PROTOCOL.md 7.2.

   Several releases of CometBFT ask again as soon as they have an answer, and
   one that is never answered never asks again.  So an early request is held,
   one of a peer, and answered when it is due. */

#include <cometp2p/err.h>

enum { CMT__ASK_DROPS_MAX = 10 }; /* Dropped requests of a peer in a minute. */

#define CMT__ASK_GAP_NS CMT_SECONDS(10) /* From one request to the next. */
#define CMT__ASK_DROPS_NS CMT_SECONDS(60)
/* Our own requests are later than CMT__ASK_GAP_NS by less than this. */
#define CMT__ASK_JITTER_NS CMT_SECONDS(2)

typedef struct cmt__ask_limit {
  uint64_t answer_ns;                 /* The earliest of the next answer. */
  uint64_t ask_ns;                    /* The earliest of our next request. */
  uint64_t drops[CMT__ASK_DROPS_MAX]; /* When the last ones were dropped. */
  uint64_t dropped;                   /* In all. */
  bool held;                          /* A request waits for |answer_ns|. */
  bool outstanding;                   /* We asked, and no answer has come. */
} cmt__ask_limit;

typedef enum cmt__ask_verdict {
  CMT__ASK_ANSWER, /* Now. */
  CMT__ASK_HOLD,   /* When it is due: cmt__ask_due_ns(). */
  CMT__ASK_DROP,
  CMT__ASK_END, /* The peer has had too many of them. */
} cmt__ask_verdict;

/* The limit of a new peer has all fields 0. */

/* A request has come. */
cmt__ask_verdict cmt__ask_request_came(cmt__ask_limit *l, uint64_t now_ns);
/* A request that was to be answered is held until |until_ns|. */
void cmt__ask_hold(cmt__ask_limit *l, uint64_t until_ns);
/* When the held request is to be answered; CMT_NEVER: none is held. */
uint64_t cmt__ask_due_ns(const cmt__ask_limit *l);
/* True when a held request is due; it counts as answered then. */
bool cmt__ask_take_due(cmt__ask_limit *l, uint64_t now_ns);

/* Whether a request of ours may go out. */
bool cmt__ask_may_ask(const cmt__ask_limit *l, uint64_t now_ns);
void cmt__ask_asked(cmt__ask_limit *l);
/* A list has come.  False: nobody asked for it.  The gap to our next request
   begins here, since the peer counts from when it received the last one, which
   may have been long after we sent it.  |jitter_ns| is drawn. */
bool cmt__ask_list_came(cmt__ask_limit *l, uint64_t now_ns, uint64_t jitter_ns);
#endif
