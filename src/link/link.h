/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__LINK_H
#define CMT__LINK_H

/* A link: a socket under a connection.  It moves bytes between the two, once
   per iteration of the loop, and events to its owner.  All of it belongs to the
   thread of its loop: that of its owner, and another one only between
   cmt__link_move() and its end. */

#include "delivery_rate.h"
#include "send_queue.h"

#include "base/counter.h"
#include "net/loop.h"

typedef struct cmt__link_callbacks {
  /* The outcome of cmt__link_connect(). */
  void (*on_connect)(void *arg, cmt_err err);
  /* The other side is authenticated; nothing was sent to it after that. */
  void (*on_id)(void *arg, const cmt_node_id *id);
  /* The other side has sent its node info, which is not checked yet. */
  void (*on_node_info)(void *arg, const cmt_node_info *theirs);
  /* All checks passed.  The owner sets the send queue of the link, suspends the
     link, or closes it. */
  void (*on_up)(void *arg, const cmt_conn_event *ev);
  void (*on_message)(void *arg, uint8_t channel, cmt_buf *msg);
  /* After one or more messages: the link has no more of them now. */
  void (*on_messages_end)(void *arg);
  /* Once, unless the owner closed the link.  |id| is NULL when the other side
     was not authenticated.  The send queue is not used after that. */
  void (*on_end)(void *arg, const cmt_why *why, const cmt_node_id *id);
  /* Fetches what the connection needs into the cache, in three steps from 0
     on, each of which reads what the one before has fetched; or NULL. */
  void (*fetch)(const cmt_conn *c, unsigned step);
  /* The end of an iteration of a link with a send queue. */
  void (*on_iteration)(void *arg);
  /* The link belongs to |loop| from here on; the last call on its old loop. */
  void (*on_move)(void *arg);
  /* It has ended, and stays open for a while so that the other side can read
     what was sent last. */
  void (*on_linger)(void *arg);
  /* The last call: the memory belongs to the owner again. */
  void (*on_closed)(void *arg);
} cmt__link_callbacks;

enum {
  /* Messages that a link hands to its owner in one iteration of the loop.  A
     read of 64 KiB can have 13,000 empty ones, and each is a call of a reactor;
     at a few microseconds a call this many last about a millisecond, and then
     the other links of the loop run. */
  CMT__ITERATION_MESSAGES = 512,
};

typedef enum cmt__link_state {
  CMT__LINK_IDLE,       /* No connection. */
  CMT__LINK_CONNECTING, /* Or connected and not started. */
  CMT__LINK_OPEN,
  CMT__LINK_MOVING,     /* From one loop to another. */
  CMT__LINK_DISCARDING, /* Ended; waits for the other side to read. */
  CMT__LINK_CLOSED,
} cmt__link_state;

/* Whoever waits for the answer to a ping; in the waiting one's memory. */
typedef struct cmt__pong {
  void (*cb)(struct cmt__pong *p, uint64_t rtt_ns);
} cmt__pong;

struct cmt__computation;

/* The parts of cmt_conn_compute(), for a connection that wants it, which only
   the owner of links knows: see cmt__computation. */
typedef struct cmt__link_compute_parts {
  void (*begin)(cmt_conn *c, struct cmt__computation *x);
  /* |c| is NULL when it was deleted meanwhile. */
  void (*end)(const cmt_conn *c, struct cmt__computation *x);
} cmt__link_compute_parts;

/* What links are made with; see cmt_switch_options. */
typedef struct cmt__link_options {
  cmt__link_compute_parts compute;
  uint64_t ping_interval_ns, pong_timeout_ns;
  uint64_t stall_max_ns, flush_throttle_ns, queue_delay_target_ns;
  const char *congestion; /* NULL: that of the system. */
} cmt__link_options;

/* What a link that writes much has measured of its path. */
typedef struct cmt__link_path {
  uint64_t sample_at_ns;  /* When the socket may be sampled again. */
  uint64_t ask_at_ns;     /* When acknowledgements are sampled next, */
  uint64_t asked_bytes;   /* and the last sample. */
  uint64_t sampled_bytes; /* |sent_bytes| at the last sample. */
  uint32_t batch_max;     /* Frames that are worth the target of delay. */
  uint32_t unsent_max;    /* The limit that the socket was given. */
  cmt__delivery_rate delivery;
  uint64_t urgent_messages; /* Urgent ones, both ways, at last. */
  uint64_t urgent_until_ns; /* Until then the target is halved for them. */
  /* What it reported; any thread may read. */
  cmt__counter unsent_bytes, in_flight_bytes, rtt_ns;
  cmt__counter rate;
} cmt__link_path;

/* The state of a link that moves to another loop. */
typedef struct cmt__link_migration {
  struct cmt__link *link;
  cmt__loop *home; /* The home loop, where it begins and ends. */
  cmt__loop *to;   /* The target of a pending move; NULL: none. */
  bool away;       /* It has left loop 0, which alone uses this. */
  bool end_due;    /* It has ended, and moves home to report it. */
  cmt__post arrival;
  uint64_t left_ns; /* The last instant on its old loop. */
} cmt__link_migration;

typedef struct cmt__link {
  /* What each iteration needs comes first, in few lines of the cache. */
  cmt__loop *loop; /* Changed while it is moving. */
  cmt__task task;
  cmt__last writes; /* Due: it writes behind the tasks of the iteration. */
  cmt__link_state state;
  uint16_t busy;         /* Entries from the loop or the owner under way. */
  uint16_t batch_frames; /* The longest batch that is sealed. */
  cmt__link_migration *migration; /* NULL: it never leaves its loop. */
  cmt__send_queue *send_queue;    /* From on_up to the end. */
  cmt_conn *conn;
  cmt__tcp *tcp;
  const cmt__link_options *options;
  const cmt__link_callbacks *cbs;
  void *arg;
  const void *tally; /* What on_iteration() changes first; NULL: nothing. */
  bool known;        /* on_id was called. */
  bool reading;
  bool paused;    /* The owner does not want to read. */
  bool blocked;   /* Because a reactor's queue is full. */
  bool suspended; /* Up, and suspended by the owner. */
  bool throttled;
  bool stopping;
  bool guarded;  /* The kernel has a timeout of its own. */
  bool overdue;  /* A deadline has passed, and bytes that arrived before it are
                    read. */
  bool eof;      /* Nothing more can be read. */
  bool computes; /* A public-key operation waits or is under way. */
  /* The end that is reported once the bytes that were read before it are
     delivered; CMT_OK: there is none. */
  cmt_err late_end;
  cmt_err write_err;       /* Nothing more can be written. */
  uint32_t iteration_left; /* Messages that this iteration may still deliver. */
  union {
    struct cmt__link_op *op;   /* Until |known|; NULL: no connection. */
    cmt__send_queue_view view; /* From then on; zero at first. */
  };
  uint64_t flush_at_ns; /* Messages wait until then; 0: none do. */
  uint64_t give_up_ns;  /* When a write error ends the link although reading
                           goes on. */
  size_t rest_len;      /* How long |rest| is. */
  _Atomic(cmt__link_path *) path; /* NULL: it did not write much yet. */
  cmt__timer timer;
  uint64_t sent_bytes, recv_bytes, write_calls, read_calls;
  uint64_t rtt_last_ns, rtt_min_ns, pongs_recv;
  uint64_t paused_at_ns, paused_ns; /* Not read since, and the total before. */
  /* What few iterations need. */
  uint8_t *rest; /* The rest of a short write. */
  size_t rest_at;
  uint32_t overdue_left; /* Bytes that arrived before it and are left. */
  int error; /* The errno behind the end of reading or writing, or 0. */
  uint64_t stop_end_ns; /* When flushing and discarding are over. */
  cmt_why *owner_why;   /* Why the owner stopped it; or NULL. */
  cmt__pong *pong;      /* NULL: nobody waits for one. */
} cmt__link;

/* Room for one timer must be reserved in |loop|; |options| outlive the link. */
void cmt__link_init(cmt__link *l, cmt__loop *loop,
                    const cmt__link_options *options,
                    const cmt__link_callbacks *cbs, void *arg);
CMT_NODISCARD cmt_err cmt__link_connect(cmt__link *l, const cmt_net_addr *to);
void cmt__link_accept(cmt__link *l, cmt__tcp *tcp);
/* Back to IDLE after a connect that failed or timed out. */
void cmt__link_disconnect(cmt__link *l);
/* Begins the handshake on the connection made, as cmt_conn_new(). */
CMT_NODISCARD cmt_err cmt__link_start(cmt__link *l, const cmt_conn_options *o,
                                      cmt_why *why);
/* The id of the other side; NULL: not known, or it has ended. */
const cmt_node_id *cmt__link_id(const cmt__link *l);
/* How far the other side has come in the handshake. */
cmt_conn_progress cmt__link_progress(const cmt__link *l);
/* Attends to the send queue at the end of this iteration. */
void cmt__link_wake(cmt__link *l);
/* Moves a link with a send queue to |to| soon: on_message, on_iteration and all
   its work happen there from then on.  It returns by itself when it ends, so
   that on_end and what follows are reported on its home loop.  If |to| cannot
   accept it, the link ends.  CMT_ENOMEM: it stays. */
CMT_NODISCARD cmt_err cmt__link_move(cmt__link *l, cmt__loop *to);
/* Suspends the link, inside of on_up: until cmt__link_release(), which has
   on_up called again, only on_end is called.  Up to CMT__SUSPENDED_MAX bytes
   are still read and kept, so that a close is noticed; on_end then waits until
   they are delivered.  CMT_ENOMEM: the link is not suspended. */
CMT_NODISCARD cmt_err cmt__link_suspend(cmt__link *l);
void cmt__link_release(cmt__link *l);
/* Asks the other side for a pong; |pongs_recv| counts them.  |pong| (may be
   NULL) is called with the next one, unless the link ends before. */
void cmt__link_ping(cmt__link *l, cmt__pong *pong);
/* Ends the connection at once with |why|->err and |why|->text.  on_end follows
   inside the call or, when the link is at work, soon after. */
void cmt__link_stop(cmt__link *l, const cmt_why *why);
/* Shortens the linger after a graceful end to |flush_ns|.  A link on another
   loop gets it through its send queue. */
void cmt__link_shorten_linger(cmt__link *l, uint64_t flush_ns);
/* Closes without on_end; on_closed follows as above. */
void cmt__link_close(cmt__link *l);
/* As cmt__link_close(), but our part of the handshake is sent first if the
   socket accepts it, and the other side has a second to read it. */
void cmt__link_close_after_linger(cmt__link *l);
/* Bytes that it has for the public-key operations of its handshake. */
size_t cmt__link_op_memory(void);

#endif
