/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__CHANNEL_H
#define CMT__CHANNEL_H

/* The channels of one connection: queues of messages to send, the scheduler
   that chooses whose packet is next, and messages under reassembly.
   docs/PROTOCOL.md 4.3 and 4.4. */

#include "packet.h"

#include <cometp2p/mconn.h>

typedef struct cmt__channel {
  cmt_channel desc; /* Defaults filled in. */
  /* To send: a ring whose first message is the one being cut. */
  cmt_buf **queue;
  size_t queue_cap, queue_head, queue_count;
  size_t offset; /* Bytes of the first message that were cut. */
  uint64_t queued_bytes, sent_messages, sent_bytes, recently_sent;
  uint32_t cut_messages; /* Cut to their end since the credits were taken. */
  /* To receive. */
  cmt_buf *partial; /* NULL between messages. */
  size_t recv_hint; /* Length of the last message. */
  uint64_t recv_messages, recv_bytes;
} cmt__channel;

typedef struct cmt__channels {
  cmt_env env;
  cmt__channel *list;
  size_t count;
  uint8_t index[256]; /* By id; CMT_CHANNELS_MAX: none. */
  size_t payload_max; /* Data bytes of one packet. */
  uint64_t decay_at_ns;
  size_t cut_bytes;                /* As cut_messages, over all channels. */
  size_t ready;                    /* Channels with something to send. */
  size_t recv_held, recv_held_max; /* Capacity under reassembly. */
} cmt__channels;

/* Checks |list| and copies it.  CMT_EINVAL names the fault in |why|. */
CMT_NODISCARD cmt_err cmt__channels_init(cmt__channels *cs, const cmt_env *env,
                                         const cmt_channel *list, size_t count,
                                         cmt_why *why);
void cmt__channels_fini(cmt__channels *cs);

/* The checks of cmt__channels_init() alone. */
CMT_NODISCARD cmt_err cmt__channels_check(const cmt_channel *list, size_t count,
                                          cmt_why *why);
/* |c| with its defaults filled in. */
cmt_channel cmt__channel_defaults(const cmt_channel *c);

CMT_NODISCARD cmt_err cmt__channel_queue(cmt__channels *cs, uint8_t id,
                                         cmt_buf *msg);

/* Writes packets into |r| as long as a whole one fits, each from the channel
   that is due. */
void cmt__channels_fill(cmt__channels *cs, cmt__run *r);

/* Lets recently sent bytes fade: by a fifth each 2 s. */
void cmt__channels_decay(cmt__channels *cs, uint64_t now_ns);

/* Takes a part of a msg packet's data.  |*done| is the complete message, with
   its reference, or NULL. */
CMT_NODISCARD cmt_err cmt__channel_take(cmt__channels *cs, const cmt__packet *k,
                                        cmt_buf **done);

void cmt__channel_get_status(const cmt__channel *c, cmt_channel_status *out);

#endif
