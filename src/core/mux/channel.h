/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__CHANNEL_H
#define CMT__CHANNEL_H

/* The channels of one connection: queues of messages to send, the scheduler
   that chooses whose packet is next, and messages under reassembly.
   docs/PROTOCOL.md 4.3 and 4.4. */

#include "quota.h"
#include "base/counter.h"
#include "conn_group.h"
#include "core/wire/wire.h"

/* A message to send, and since when. */
typedef struct cmt__queued {
  cmt_buf *msg;
  uint64_t at_ns;
} cmt__queued;

typedef struct cmt__channel {
  /* To send: a wake-up whose first message is the one being cut. */
  cmt__queued *queue;
  uint32_t queue_cap, queue_head;
  uint32_t offset;       /* Bytes of the first message that were cut. */
  uint32_t cut_messages; /* Cut to their end since the credits were taken. */
  /* What the status has; its owner changes it, any thread may read. */
  cmt__counter32 queue_count;
  /* From queueing to the cut of the last byte: of the last message that was
     cut, and the most of all. */
  cmt__counter32 wait_last_us, wait_max_us;
  uint32_t recv_hint; /* Length of the last message that came. */
  cmt__counter queued_bytes, sent_messages, sent_bytes, recently_sent;
  cmt__counter recv_messages, recv_bytes;
  /* To receive. */
  cmt_buf *partial;       /* NULL between messages. */
  uint64_t partial_at_ns; /* When |partial| got its last packet. */
} cmt__channel;

typedef struct cmt__channel_rates {
  cmt__rate send, recv;
} cmt__channel_rates;

typedef struct cmt__channels {
  cmt_conn_group *group;
  cmt__channel *list;
  size_t count; /* As of what is shared, until they are retired. */
  const cmt__wire *wire;
  uint32_t payload_max; /* Data bytes of one packet. */
  /* The level of the scheduler, bytes by priority. */
  uint32_t level_priority;
  uint64_t level_sent;
  uint64_t decay_at_ns;
  size_t cut_bytes; /* As cut_messages, over all channels. */
  /* Channels with something to send, the urgent ones of them, channels with
     |cut_messages|, and with |recently_sent|.  Bit i is channel i, so that idle
     ones are not looked at. */
  uint16_t ready, urgent_ready, cut, fading;
  cmt__rate *urgent; /* What these may send before all others; NULL: none is
                        urgent. */
  cmt__channel_rates *rates; /* NULL: no channel has a limit. */
  cmt__quota *quota;         /* NULL: shares with nobody. */
  uint64_t now_ns;  /* Set by the owner before messages are queued, and packets
                       cut or taken. */
  uint64_t cut_max; /* Bytes, after which no further packet is cut. */
  /* What is reserved, for all that share |quota|; NULL: it was never more than
     the floor. */
  cmt__holder *holder;
  /* No partial message is overdue before; CMT_NEVER: there is none. */
  uint64_t partial_check_ns, partial_max_ns;
  size_t recv_reserved;     /* Capacity under reassembly, */
  size_t recv_reserved_max; /* which is at most so much. */
  /* Whose message is whole in the packet that is under way: it counts for
     nothing, since it is complete with that; NULL: none. */
  cmt__channel *whole;
  void (*on_gave_way)(void *arg);
  void *share_arg;
  bool unread; /* The stream is not read by our own choice. */
} cmt__channels;

_Static_assert(CMT_CHANNELS_MAX <= 16, "a channel is a bit");

/* The first channel of |set|, which is not empty. */
static inline size_t cmt__channels_first(uint32_t set) {
  return (size_t)__builtin_ctz(set);
}
/* The rest of |set| without its first channel. */
static inline uint32_t cmt__channels_rest_of(uint32_t set) {
  return set & (set - 1);
}

/* Makes the channels of |group|, which outlives them.  CMT_ENOMEM. */
CMT_NODISCARD cmt_err cmt__channels_init(cmt__channels *cs,
                                         cmt_conn_group *group,
                                         const cmt__wire *wire);
void cmt__channels_fini(cmt__channels *cs);

/* Messages that channels no longer have: what was queued, and what was under
   reassembly.  Letting them go calls release functions of the application. */
typedef struct cmt__channels_rest {
  struct {
    cmt__queued *queue;
    uint32_t cap, head, count;
    cmt_buf *partial;
  } list[CMT_CHANNELS_MAX];
  size_t count;
} cmt__channels_rest;

/* A status of a channel without what is reserved in it. */
typedef struct cmt__channel_last {
  uint64_t words[offsetof(cmt_channel_status, reserved) / sizeof(uint64_t)];
} cmt__channel_last;

/* As cmt__channels_fini(), but returns their last status, in the order of the
   list, in memory that is the caller's; NULL: there are none.  Cannot fail.
   Their messages go to |rest|, for cmt__channels_let_go(): the caller may hold
   a lock. */
cmt__channel_last *cmt__channels_retire(cmt__channels *cs,
                                        cmt__channels_rest *rest);
cmt_channel_status cmt__channel_last_status(const cmt__channel_last *l);
/* Lets go of messages, in the order of the channels and of the sends.  No lock
   is held. */
void cmt__channels_let_go(const cmt_env *env, const cmt__channels_rest *rest);

/* Gives back the memory of queues that are empty. */
void cmt__channels_trim(cmt__channels *cs);

/* Queues |msg|, which cmt__channel_refuses() lets pass, on the channel at |at|.
   CMT_EAGAIN: no room; CMT_ENOMEM. */
CMT_NODISCARD cmt_err cmt__channel_queue(cmt__channels *cs, size_t at,
                                         cmt_buf *msg);

/* Writes packets into |r| as long as a whole one fits: of urgent channels first
   as long as their bucket lasts, whatever |cut_max| is; then, while less than
   |cut_max| was written, each from the channel that is due.  At most 4096
   packets go into one batch, and with urgent ones no others once it has 7000
   bytes. */
void cmt__channels_fill(cmt__channels *cs, cmt__batch *r);

/* The first instant at which a channel with something to send may, as far as
   its own limit goes; CMT_NEVER: none has something. */
uint64_t cmt__channels_open_ns(const cmt__channels *cs);
/* As above for an urgent channel before all others, without the bucket that the
   connections of a group share. */
uint64_t cmt__channels_urgent_ns(const cmt__channels *cs);
/* The first instant at which all channels may receive. */
uint64_t cmt__channels_read_ns(const cmt__channels *cs);
/* Bytes that each channel may receive until then. */
uint64_t cmt__channels_read_left(cmt__channels *cs);
/* Fills the limits of all channels, and the bucket of the urgent ones beside
   the |send_rate| of the connection. */
void cmt__channels_start(cmt__channels *cs, uint64_t send_rate,
                         uint64_t now_ns);

/* Starts the timeout of partial messages, once all input was parsed. */
static inline void cmt__channels_note(cmt__channels *cs) {
  if ((cs->recv_reserved > 0 || cs->whole != NULL) &&
      cs->partial_check_ns == CMT_NEVER) {
    cs->partial_check_ns = cmt__after(cs->now_ns, cs->partial_max_ns);
  }
}
/* Makes the channels draw on |b|.  When their unfinished messages had to go for
   those of others, |on_gave_way|(|arg|) is called on any thread; see
   cmt__channels_gave_way(). */
void cmt__channels_attach_quota(cmt__channels *cs, cmt__quota *b,
                                void (*on_gave_way)(void *arg), void *arg);
/* Notes that the stream is not read by our own choice, or is read again. */
void cmt__channels_unread(cmt__channels *cs, bool on);
/* Ends the use of the quota; what is under reassembly is not to be taken
   further. */
void cmt__channels_detach_quota(cmt__channels *cs);
/* True when the unfinished messages are gone, since they reserved most of what
   all connections share. */
static inline bool cmt__channels_gave_way(const cmt__channels *cs) {
  return cs->holder != NULL && cmt__holder_gave_way(cs->holder);
}
/* False: a message has waited too long for its next packet.  Time from
   |stopped_ns| on was none in which it could come. */
bool cmt__channels_tick(cmt__channels *cs, uint64_t now_ns);
void cmt__channels_resume(cmt__channels *cs, uint64_t stopped_ns,
                          uint64_t now_ns);

/* Lets recently sent bytes fade: by a fifth each 2 s. */
void cmt__channels_decay(cmt__channels *cs, uint64_t now_ns);

/* Takes a part of a msg packet's data.  |*done| is the complete message, with
   its reference, or NULL. */
CMT_NODISCARD cmt_err cmt__channel_take(cmt__channels *cs, const cmt__packet *k,
                                        cmt_buf **done);

/* Most bytes that |count| channels take, without messages. */
size_t cmt__channels_memory(const cmt_channel *list, size_t count);

/* What the channel at |c| is. */
static inline const cmt_channel *cmt__channel_desc(const cmt__channels *cs,
                                                   const cmt__channel *c) {
  return &cs->group->list[c - cs->list];
}

/* Fills in the status of the channel at |i|.  Any thread, as long as they are
   not retired. */
void cmt__channel_get_status(const cmt__channels *cs, size_t i,
                             cmt_channel_status *out);

#endif
