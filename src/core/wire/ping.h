/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__PING_H
#define CMT__PING_H

/* Pings and pongs of one connection: when they are sent, and when their absence
   ends it.  What both wire profiles have in common is here; what they do not
   is in a table of rules for each.  docs/PROTOCOL.md 4.5 and docs/LEGACY.md,
   "Ping and Pong".  While one ping is under way no other is sent.

   A ping can only be answered once it was taken, and an output that nobody
   takes keeps it back.  So from the instant a ping is due the output is
   watched until that ping was taken: a span of interval and timeout in which
   less than CMT__PROGRESS_MIN bytes of it are taken ends the connection.
   Somebody who does not read by choice may announce it, by pongs that nobody
   asked for: each begins the span anew, but all of them together make it no
   longer than CMT__UNREAD_MAX spans. */

#include "batch.h"

enum {
  /* Bytes of the output that count as progress of the other side, as many as
     one frame has: it can read nothing of less. */
  CMT__PROGRESS_MIN = 1024,
  /* With the times of CometBFT 630 s, which is longer than one of us stops
     reading before it ends the peer by itself. */
  CMT__UNREAD_MAX = 6
};

/* Where our ping stands.  Only when whoever writes the output has taken its
   last byte does the wait for the answer begin, so that time in our own queues
   is not held against the other side. */
typedef enum cmt__ping_state {
  CMT__PING_IDLE,
  CMT__PING_DUE,
  CMT__PING_FILLED,   /* Into the output. */
  CMT__PING_TAKEN,    /* By whoever writes it. */
  CMT__PING_ANSWERED, /* By something else; its pong may still come. */
} cmt__ping_state;

typedef enum cmt__pong_state {
  CMT__PONG_NONE,
  CMT__PONG_OWED, /* Unless a message goes out soon. */
  CMT__PONG_DUE,  /* It goes out before all messages. */
} cmt__pong_state;

typedef struct cmt__ping_rules cmt__ping_rules;

typedef struct cmt__ping {
  const cmt__ping_rules *rules;
  cmt__ping_state state : 8;
  cmt__pong_state pong : 8;
  bool behind;         /* Other bytes come before the output, and wait. */
  uint32_t moved_from; /* The low bits of |taken| at |moved_ns|. */
  uint64_t interval_ns, timeout_ns;
  uint64_t at_ns;    /* When the next ping is due. */
  uint64_t taken_ns; /* When the ping under way was taken. */
  uint64_t wait_ns;  /* When the wait for its answer began. */
  /* Places in the output: of the ping, of all that was taken, and of all. */
  uint64_t end, taken, filled;
  uint64_t watch_ns; /* When the ping under way was due; CMT_NEVER: none is. */
  uint64_t moved_ns; /* When progress was made, or the output was empty. */
  uint64_t
    unsolicited_ns; /* When the last pong came that we did not ask for. */
  uint64_t sent;
  void *rules_state; /* |rules->state_size| bytes, zeroed at first. */
} cmt__ping;

/* What differs between the profiles.  An instant is that of the call.  A
   function that makes no difference is NULL, but for the first three. */
struct cmt__ping_rules {
  cmt_bytes ping, pong; /* Whole packets. */
  /* Whatever comes puts off the next ping, and shows as well as a pong does
     that the other side lives. */
  bool receipts_count;
  /* A node may leave a ping that comes sooner after another without an answer;
     0: it answers each. */
  uint64_t answered_gap_ns;
  size_t state_size; /* Bytes that the rules keep for a connection. */
  /* When tick() has something to do. */
  uint64_t (*deadline)(const cmt__ping *p);
  /* True: a ping is due now, or would be if none were under way. */
  bool (*tick)(cmt__ping *p, uint64_t now_ns);
  /* A ping came.  CMT_EFLOOD: one too many. */
  cmt_err (*ping_came)(cmt__ping *p, uint64_t now_ns);
  /* The clocks start; no packet that we send is longer than |packet_max|. */
  void (*start)(cmt__ping *p, size_t packet_max);
  /* A pong or the end of a msg packet came. */
  void (*came)(cmt__ping *p, uint64_t now_ns);
  /* The output was taken up to |p|->taken. */
  void (*taken)(cmt__ping *p, uint64_t now_ns);
  /* The messages of a batch lie in the output from |begin| to |end|. */
  void (*wrote)(cmt__ping *p, uint64_t begin, uint64_t end);
};

/* Starts the clocks: the first ping is one interval away.  No packet that we
   send is longer than |packet_max|. */
void cmt__ping_start(cmt__ping *p, size_t packet_max, uint64_t now_ns);

/* When the answer to our ping is late; CMT_NEVER: none is waited for.  The
   owner moves |wait_ns| by the time in which nothing is read. */
uint64_t cmt__ping_late_ns(const cmt__ping *p);

/* When the other side is late with taking what we send; CMT_NEVER: nothing
   waits.  The owner begins the watch anew after time in which nothing is read.
 */
uint64_t cmt__ping_stuck_ns(const cmt__ping *p);
/* Since when the other side took too little of that, at the earliest when a
   ping was due. */
uint64_t cmt__ping_stuck_since_ns(const cmt__ping *p);
/* True when the other side has announced, since it last took something, that it
   does not read by choice. */
bool cmt__ping_is_excused(const cmt__ping *p);

/* Progress was made: what watches the output begins anew. */
void cmt__ping_moved(cmt__ping *p, uint64_t now_ns);

/* Makes a ping due now.  CMT_EAGAIN: one is under way. */
CMT_NODISCARD cmt_err cmt__ping_ask(cmt__ping *p, uint64_t now_ns);

/* True when cmt__ping_fill() would write; |messages|: some can be sent. */
static inline bool cmt__ping_wants_write(const cmt__ping *p, bool messages) {
  return p->state == CMT__PING_DUE || p->pong == CMT__PONG_DUE ||
         (p->pong == CMT__PONG_OWED && !messages);
}

/* Writes what is due, at |p->filled|; all that is before was taken. */
void cmt__ping_fill(cmt__ping *p, cmt__batch *r, bool messages,
                    uint64_t now_ns);

/* Notes that the messages of this batch lie from |begin| to |end|, where the
   batch ends. */
static inline void cmt__ping_messages(cmt__ping *p, uint64_t begin,
                                      uint64_t end) {
  p->filled = end;
  if (p->rules->wrote != NULL) {
    p->rules->wrote(p, begin, end);
  }
}

/* Notes that |total| bytes of the output were taken. */
void cmt__ping_taken(cmt__ping *p, uint64_t total, uint64_t now_ns);

/* A pong came; true: for the ping under way, after |*rtt_ns|. */
bool cmt__ping_pong_came(cmt__ping *p, uint64_t now_ns, uint64_t *rtt_ns);

#endif
