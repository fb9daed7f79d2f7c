/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__CHANNEL_IMPL_H
#define CMT__CHANNEL_IMPL_H

/* Channels from the inside, for the two files that make them up: channel.c,
   and channel_send.c, which queues messages and cuts them into packets. */

#include "channel.h"

#include "base/buf.h"

/* Messages that a queue has room for at first. */
enum { CMT__QUEUE_FIRST = 4 };

/* NULL: no channel has this id. */
static inline cmt__channel *cmt__channel_find(cmt__channels *cs, uint8_t id) {
  uint8_t at = cs->group->index[id];

  return at < cs->count ? &cs->list[at] : NULL;
}

/* The message |i| places behind the one being cut. */
static inline cmt__queued *cmt__channel_queued(const cmt__channel *c,
                                               uint32_t i) {
  return &c->queue[(c->queue_head + i) & (c->queue_cap - 1)];
}

#endif
