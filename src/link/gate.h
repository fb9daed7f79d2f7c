/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__GATE_H
#define CMT__GATE_H

/* The gate of a peer: where sends of any thread meet its loop.  One short mutex
   over the state, each channel's count of queued messages, the sends that wait
   and the intake, which the loop takes out whole. */

#include "sys/cond.h"
#include "send_pool.h"

#include "core/conn/conn.h"

#include <cometp2p/peer.h>
#include <stdatomic.h>

typedef enum cmt__gate_state {
  CMT__GATE_OPEN,
  CMT__GATE_STOPPING, /* New sends are refused; what is queued may go out. */
  CMT__GATE_GONE,     /* Nothing reaches the loop any more. */
} cmt__gate_state;

/* Sends that wait for a channel, the earliest first. */
typedef struct cmt__gate_fifo {
  cmt_send_req *first, *last;
} cmt__gate_fifo;

typedef struct cmt__gate_item {
  cmt_buf *msg;
  uint8_t channel;
} cmt__gate_item;

typedef struct cmt__gate_items {
  cmt__gate_item *list;
  size_t count, cap;
} cmt__gate_items;

typedef struct cmt__gate_stop {
  bool wanted;
  cmt_err reason;
  uint64_t flush_ns;
} cmt__gate_stop;

/* |ring|, |ring_arg|, |bytes_max| and |pool| are set after cmt__gate_init().
   |ring| is called under the lock when the loop should come: it posts, and the
   loop answers with cmt__gate_woken(). */
typedef struct cmt__gate {
  const cmt_env *env;
  void (*ring)(void *arg);
  void *ring_arg;
  const cmt_channel *descs; /* The connection's. */
  uint16_t theirs;          /* Bit i: the peer has channel i. */
  uint16_t channel_count;
  atomic_bool control; /* |stop|, |pauses|, |blocks| or |ping| changed since it
                          was looked at. */
  pthread_mutex_t lock;
  /* Under the lock: */
  cmt__gate_state state;
  bool attended;    /* The loop is sure to look at the gate once more. */
  bool posted;      /* A ring was not answered yet. */
  bool ping;        /* Somebody wants to know whether the peer lives. */
  uint32_t *queued; /* By channel: in the intake, behind it, or being cut. */
  size_t bytes, bytes_max, messages; /* Queued on all channels. */
  cmt__gate_fifo *waits; /* By channel, and a cmt__pool_wait behind them; NULL:
                            no send has ever waited. */
  bool starved; /* A waiting send has its credit, and lacks only bytes. */
  bool gave;    /* What was taken of the pool for one that had no memory. */
  size_t lacks; /* Bytes of one that has both, and lacks only the pool; or 0. */
  uint64_t sequence;    /* The number of the next send that waits. */
  uint64_t deadline_ns; /* No waiting send is due before. */
  bool fresh;           /* Some have no deadline yet. */
  cmt_send_req *done_first, *done_last; /* Callbacks that are due, */
  size_t done_count;                    /* and how many. */
  cmt__gate_items intake;
  cmt__gate_stop stop;
  unsigned pauses;      /* By the application. */
  unsigned blocks;      /* By mailboxes that are full. */
  cmt__send_pool *pool; /* NULL: none. */
  /* Of the loop alone: */
  cmt__gate_items taken;
  bool listed; /* It waits for the pool, or did until others let it in. */
} cmt__gate;

/* What the loop finds when it looks. */
typedef struct cmt__gate_view {
  size_t queued_bytes;
  uint64_t deadline_ns; /* When it must look again. */
} cmt__gate_view;

/* For |channels| with their defaults filled in, which outlive it; |theirs| are
   the ids that the peer has.  The gate begins attended. */
CMT_NODISCARD cmt_err cmt__gate_init(cmt__gate *g, const cmt_env *env,
                                     const cmt_channel *channels, size_t count,
                                     cmt_bytes theirs);
void cmt__gate_fini(cmt__gate *g);

/* Any thread; see peer.h. */
cmt_err cmt__gate_try_send(cmt__gate *g, uint8_t channel, cmt_buf *msg);
cmt_err cmt__gate_send(cmt__gate *g, uint8_t channel, cmt_buf *msg,
                       cmt_send_req *req);
cmt_err cmt__gate_send_wait(cmt__gate *g, uint8_t channel, cmt_buf *msg,
                            uint64_t timeout_ns);
void cmt__gate_stop_with(cmt__gate *g, cmt_err reason, uint64_t flush_ns);
void cmt__gate_pause(cmt__gate *g);
void cmt__gate_resume(cmt__gate *g);
/* The same for a mailbox that is full, and has room again. */
void cmt__gate_block(cmt__gate *g);
void cmt__gate_unblock(cmt__gate *g);
/* Asks for a ping. */
void cmt__gate_ping(cmt__gate *g);
/* Makes the loop look at the peer. */
void cmt__gate_look(cmt__gate *g);

/* The loop alone. */

/* Answers a ring.  False: the gate is gone. */
bool cmt__gate_woken(cmt__gate *g);
/* Promises cmt__gate_take() in this turn, so nobody needs to ring. */
void cmt__gate_attend(cmt__gate *g);
/* Promises it for the turn of another loop, which goes on with the gate.
   False: a ring is still to be answered on this one. */
bool cmt__gate_leave(cmt__gate *g);
/* Keeps the promise: moves the intake to |taken|, whose messages are the
   caller's then, gives waiting sends their deadlines, and ends those that are
   due. */
void cmt__gate_take(cmt__gate *g, uint64_t now_ns, cmt__gate_view *out);
/* Returns credits and lets waiting sends in.  True: some came in, and the
   caller attends. */
bool cmt__gate_credit(cmt__gate *g, const cmt__credits *c);
/* Runs the callbacks that are due.  True: there were any, and the caller
   attends. */
bool cmt__gate_answer(cmt__gate *g);
/* Gives back the memory of intakes that are empty. */
void cmt__gate_trim(cmt__gate *g);
/* The stop that is wanted now; taken. */
cmt__gate_stop cmt__gate_take_stop(cmt__gate *g);
/* Whether a ping was asked for; taken. */
bool cmt__gate_take_ping(cmt__gate *g);
/* True: do not read.  |*full|: a mailbox wants it so. */
bool cmt__gate_is_paused(cmt__gate *g, bool *full);
/* Bytes queued on all channels.  Any thread. */
size_t cmt__gate_queued(cmt__gate *g);
/* Gives back what it has of the pool: it is closed, and all that was queued has
   been let go. */
void cmt__gate_forget(cmt__gate *g);
/* The end: every send that waits becomes due with CMT_ECLOSED, the intake is
   dropped.  True: a ring is still to be answered. */
bool cmt__gate_close(cmt__gate *g);

#endif
