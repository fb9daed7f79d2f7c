/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__SEND_QUEUE_H
#define CMT__SEND_QUEUE_H

/* The send queue of a peer: where sends of any thread meet its loop.  One short
   mutex over the state, each channel's count of queued messages, the sends that
   wait and the intake, which the loop takes over whole. */

#include "send_pool.h"

#include "sys/spin.h"

#include <cometp2p/conn.h>
#include <cometp2p/timer.h>
#include <stdatomic.h>

typedef enum cmt__send_queue_state {
  CMT__SEND_QUEUE_OPEN,
  CMT__SEND_QUEUE_STOPPING, /* New sends are refused; what is queued may go out.
                             */
  CMT__SEND_QUEUE_GONE,     /* Nothing reaches the loop any more. */
} cmt__send_queue_state;

/* Requests, the earliest first: those that wait for a channel, and those whose
   callback is due. */
typedef struct cmt__send_queue_fifo {
  cmt_send_req *first, *last;
} cmt__send_queue_fifo;

typedef struct cmt__send_queue_item {
  cmt_buf *msg;
  uint8_t at; /* The place of its channel. */
} cmt__send_queue_item;

typedef struct cmt__send_queue_items {
  cmt__send_queue_item *list;
  uint32_t count, cap;
} cmt__send_queue_items;

typedef struct cmt__send_queue_stop {
  bool wanted;
  cmt_err reason;
  uint64_t flush_ns;
} cmt__send_queue_stop;

struct cmt__send_queue;

/* Receives what has no callback of its own: a send, which is under way until
   then, and a post.  Called without the lock, on the loop.  One for all queues
   of a switch. */
typedef struct cmt__send_queue_sink {
  void (*answer)(void *arg, struct cmt__send_queue *g, cmt_send_req *req);
  void (*post)(void *arg, struct cmt__send_queue *g, cmt_post *p,
               cmt_err status);
  void *arg;
} cmt__send_queue_sink;

/* |wake|, |wake_arg|, |bytes_max| and |pool| are set after
   cmt__send_queue_init(). |wake| is called under the lock when the loop must
   attend to the queue: it posts, and the loop calls
   cmt__send_queue_on_wake(). */
typedef struct cmt__send_queue {
  /* What each message needs comes first, in few lines of the cache: whoever
     sends to thousands of peers finds none of it there. */
  pthread_mutex_t lock;
  /* Under the lock: */
  cmt__send_queue_state state;
  bool attended;    /* The loop will attend to the send queue once more. */
  bool posted;      /* A wake-up was not answered yet. */
  bool ping;        /* A ping was requested. */
  bool roused;      /* A thread was woken since the loop attended. */
  uint32_t *queued; /* By channel: in the intake, in the connection, or being
                       packetized. */
  cmt__send_queue_fifo *waits; /* By channel; behind them the threads that are
                            asleep: their send is done, and they were not woken
                            yet; and a cmt__pool_wait.  NULL: no send has ever
                            waited. */
  size_t bytes, bytes_max, messages; /* Queued on all channels. */
  cmt__send_queue_items intake;
  const cmt_channel *descs; /* The connection's. */
  cmt__send_pool *pool;     /* NULL: none. */
  uint16_t theirs;          /* Bit i: the peer has channel i. */
  uint16_t channel_count;
  bool starved; /* A waiting send has its credit, and lacks only bytes. */
  bool gave;    /* Reserved in the pool for a send that then had no memory. */
  bool fresh;   /* Some waiting sends have no deadline yet. */
  bool spins;   /* A thread spins until there is room. */
  size_t lacks; /* Bytes of one that has both, and lacks only the pool; or 0. */
  void (*wake)(void *arg);
  void *wake_arg;
  uint64_t deadline_ns; /* No waiting send is due earlier. */
  uint32_t post_count;  /* How many |posts| there are, */
  uint32_t done_count;  /* and |done|. */
  cmt__spin spin;
  /* The loop changes or reads these for each batch, and threads that send do
     not: */
  atomic_bool answers; /* |done| or |posts| may have something. */
  atomic_bool control; /* |stop|, |pauses|, |blocks| or |ping| changed since the
                          loop read them. */
  bool listed;       /* It waits for the pool, or did until others let it in. */
  bool rouses;       /* Threads were asleep when the loop attended. */
  bool relies;       /* Since then there was room for one that spins. */
  atomic_uint freed; /* How often the loop returned credits, for a thread that
                        spins. */
  uint32_t roused_at; /* When one was woken, in ns modulo 2^32: once in 4 s that
                         may seem to be lately. */
  cmt__send_queue_items taken_over;
  /* What few messages need. */
  cmt__send_queue_fifo done;    /* Callbacks that are due. */
  cmt_post *posts, *posts_last; /* Posts of the application. */
  const cmt_env *env;
  const cmt__send_queue_sink *sink; /* NULL: what has no callback is not
                                       reported. */
  uint64_t sequence;             /* The number of the next send that waits. */
  const cmt_send_req *answering; /* The callback of this one is running. */
  cmt__send_queue_stop stop;
  unsigned pauses; /* By the application. */
  unsigned blocks; /* By mailboxes that are full. */
} cmt__send_queue;

/* What the loop takes over. */
typedef struct cmt__send_queue_view {
  size_t queued_bytes;
  uint64_t deadline_ns; /* When it must attend to the queue again. */
} cmt__send_queue_view;

/* For |channels| with their defaults filled in, which outlive it.  Bit i of
   |theirs|: the peer has channel i.  The send queue begins attended. */
CMT_NODISCARD cmt_err cmt__send_queue_init(cmt__send_queue *g,
                                           const cmt_env *env,
                                           const cmt_channel *channels,
                                           size_t count, uint16_t theirs);
void cmt__send_queue_fini(cmt__send_queue *g);

/* Any thread; see peer.h.  |at| is the place of the channel, |count| or more:
   there is none.  The caller has looked it up, once for each message. */
cmt_err cmt__send_queue_try_send(cmt__send_queue *g, size_t at, cmt_buf *msg);
cmt_err cmt__send_queue_send(cmt__send_queue *g, size_t at, cmt_buf *msg,
                             uint64_t timeout_ns);
cmt_err cmt__send_queue_send_async(cmt__send_queue *g, size_t at, cmt_buf *msg,
                                   cmt_send_req *req);
cmt_err cmt__send_queue_cancel(cmt__send_queue *g, cmt_send_req *req);
void cmt__send_queue_stop_with(cmt__send_queue *g, cmt_err reason,
                               uint64_t flush_ns);
void cmt__send_queue_pause(cmt__send_queue *g);
void cmt__send_queue_resume(cmt__send_queue *g);
/* As above for a mailbox that is full, and has room again. */
void cmt__send_queue_block(cmt__send_queue *g);
void cmt__send_queue_unblock(cmt__send_queue *g);
/* See timer.h. */
CMT_NODISCARD cmt_err cmt__send_queue_post(cmt__send_queue *g, cmt_post *p);
/* A post that the sink took over is the application's again. */
void cmt__send_queue_release_post(cmt__send_queue *g, cmt_post *p);
/* Asks for a ping. */
void cmt__send_queue_ping(cmt__send_queue *g);
/* Makes the loop attend to the queue. */
void cmt__send_queue_look(cmt__send_queue *g);

/* Fetches into the cache what each message needs: of the queue itself, and once
   that is there what it points to. */
static inline void cmt__send_queue_fetch(const cmt__send_queue *g) {
  cmt__fetch(g, offsetof(cmt__send_queue, done));
}
static inline void cmt__send_queue_fetch_parts(const cmt__send_queue *g) {
  cmt__fetch(g->queued, g->channel_count * sizeof *g->queued);
}

/* The loop alone. */

/* Answers a wake-up.  False: the send queue is gone. */
bool cmt__send_queue_on_wake(cmt__send_queue *g);
/* Promises cmt__send_queue_take() in this iteration, so that no thread needs to
   wake the loop. */
void cmt__send_queue_attend(cmt__send_queue *g);
/* Promises it for the iteration of another loop, which continues with the send
   queue.  False: a wake-up is still under way on this one. */
bool cmt__send_queue_leave(cmt__send_queue *g);
/* Fulfils the promise: moves the intake to |taken|, whose messages belong to
   the caller then, sets the deadlines of waiting sends, and ends those that are
   due. */
void cmt__send_queue_take(cmt__send_queue *g, uint64_t now_ns,
                          cmt__send_queue_view *out);
/* Whether messages were queued since then. */
bool cmt__send_queue_has_intake(cmt__send_queue *g);
/* Returns credits and queues waiting sends.  True: some were queued, and the
   caller attends to the queue again. */
bool cmt__send_queue_credit(cmt__send_queue *g, const cmt_credits *c,
                            uint64_t now_ns);
/* After cmt__send_queue_take() found threads asleep: wakes the first one if
   half of its channel is free, and all of them unless the caller |attends|
   anyway.  While another thread spins and has room, it wakes none shortly after
   the one before.  True: some are left, and the caller attends to the queue
   again. */
bool cmt__send_queue_rouse(cmt__send_queue *g, bool attends, uint64_t now_ns);
/* Runs the callbacks that are due, and the posts.  True: there were any, and
   the caller attends to the queue again. */
bool cmt__send_queue_answer(cmt__send_queue *g);
/* Frees the memory of empty intakes. */
void cmt__send_queue_trim(cmt__send_queue *g);
/* The stop that was requested; clears the request. */
cmt__send_queue_stop cmt__send_queue_take_stop(cmt__send_queue *g);
/* Whether a ping was requested; clears the request. */
bool cmt__send_queue_take_ping(cmt__send_queue *g);
/* True: do not read.  |*full|: because a mailbox is full. */
bool cmt__send_queue_is_paused(cmt__send_queue *g, bool *full);
/* Bytes queued on all channels.  Any thread. */
size_t cmt__send_queue_queued(cmt__send_queue *g);
/* Releases its part of the pool: the queue is closed, and all that was queued
   was released. */
void cmt__send_queue_forget(cmt__send_queue *g);
/* The end: every send that waits becomes due with CMT_ECLOSED, the intake is
   dropped.  True: a wake-up is still under way. */
bool cmt__send_queue_close(cmt__send_queue *g);

#endif
