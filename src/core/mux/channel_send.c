/* SPDX-License-Identifier: Apache-2.0 */
/* The sending side of channels.  The scheduler gives the next packet to the
   channel with the lowest ratio of recently sent bytes to priority, compared by
   cross-multiplication: recently_sent stays below 2^47 and a priority below
   2^16, so a product fits in 64 bits.

   Urgent channels come before it, as long as the bucket that they share lasts.
   One bucket and not one for each, so that what they can take from the others
   does not grow with their number; among themselves the lowest ratio is first,
   so that one that floods does not cost the others their place.  What they send
   counts as recently sent like any other packet. */

#include "channel_impl.h"

#include "base/trace.h"

enum {
  DECAY_NS = 2000000000, /* As CometBFT: times 0.8 each 2 s. */
  /* How far a channel that wakes may lag behind the others.  Without a floor
     it would hold the link until it has caught up with all that they sent. */
  FLOOR_LAG = 65536,
  /* Packets of one batch.  The longest has room for 50,000 empty ones, and
     other links wait meanwhile; so many take less than a millisecond. */
  RUN_PACKETS_MAX = 4096,
  /* A batch is sealed as a whole before its first byte is written, so one with
     urgent messages takes no packets of others beyond this: about eight frames,
     which the kernels of the encryption seal at once. */
  URGENT_BATCH = 7000,
};

#define RECENTLY_SENT_MAX (UINT64_C(1) << 47)

/* ---- limits ---- */

static bool may_send(const cmt__channels *cs, size_t i) {
  return cs->rates == NULL || cmt__rate_is_open(&cs->rates[i].send, cs->now_ns);
}

uint64_t cmt__channels_open_ns(const cmt__channels *cs) {
  uint64_t at_ns = CMT_NEVER;
  uint32_t left = cs->ready;

  if (left != 0 && cs->rates == NULL) {
    return 0;
  }
  for (; left != 0; left = cmt__channels_rest_of(left)) {
    at_ns =
      cmt__min64(at_ns, cs->rates[cmt__channels_first(left)].send.open_ns);
  }
  return at_ns;
}

static uint16_t channel_bit(const cmt__channels *cs, const cmt__channel *c) {
  return (uint16_t)(1U << (c - cs->list));
}

static bool is_urgent(const cmt__channels *cs, const cmt__channel *c) {
  return cmt__channel_desc(cs, c)->traffic == CMT_TRAFFIC_URGENT;
}

/* When the buckets of urgent channels open, that of the group included. */
static uint64_t urgent_open_ns(const cmt__channels *cs) {
  uint64_t at_ns = cmt__rate_open_ns(cs->urgent);

  return cs->quota == NULL ? at_ns
                           : cmt__max64(at_ns, cmt__quota_urgent_ns(cs->quota));
}

uint64_t cmt__channels_urgent_ns(const cmt__channels *cs) {
  uint64_t at_ns = CMT_NEVER;
  uint32_t left = cs->urgent_ready;

  if (left != 0 && cs->rates == NULL) {
    at_ns = 0;
  }
  for (; at_ns > 0 && left != 0; left = cmt__channels_rest_of(left)) {
    at_ns =
      cmt__min64(at_ns, cs->rates[cmt__channels_first(left)].send.open_ns);
  }
  return cmt__max64(at_ns, cmt__rate_open_ns(cs->urgent));
}

/* ---- scheduler ---- */

static uint64_t priority_of(const cmt__channels *cs, const cmt__channel *c) {
  return cmt__channel_desc(cs, c)->priority;
}

static bool ratio_less(const cmt__channels *cs, const cmt__channel *a,
                       const cmt__channel *b) {
  return cmt__counter_get(&a->recently_sent) * priority_of(cs, b) <
         cmt__counter_get(&b->recently_sent) * priority_of(cs, a);
}

/* Among those of |set| that may send, finds the one with the lowest ratio; the
   first listed of equals; NULL: there is none. */
static inline cmt__channel *channel_lowest(const cmt__channels *cs,
                                           uint32_t set) {
  cmt__channel *best = NULL;

  for (; set != 0; set = cmt__channels_rest_of(set)) {
    size_t i = cmt__channels_first(set);
    cmt__channel *c = &cs->list[i];

    if ((best == NULL || ratio_less(cs, c, best)) && may_send(cs, i)) {
      best = c;
    }
  }
  return best;
}

/* The channel that is due. */
static cmt__channel *channel_pick(const cmt__channels *cs) {
  return channel_lowest(cs, cs->ready);
}

/* The urgent one that comes before all others now. */
static cmt__channel *urgent_pick(const cmt__channels *cs) {
  return cs->urgent_ready != 0 && cs->now_ns >= urgent_open_ns(cs)
           ? channel_lowest(cs, cs->urgent_ready)
           : NULL;
}

/* The level of the scheduler is the highest ratio that a channel had when it
   was due: those that are ready have at least that, but for what is left of
   their lag.  It stays while none is ready, so that a queue which runs empty
   for a moment is not at a disadvantage afterwards. */
static void level_note(cmt__channels *cs, const cmt__channel *c) {
  uint64_t sent = cmt__counter_get(&c->recently_sent);

  if (sent * cs->level_priority > cs->level_sent * priority_of(cs, c)) {
    cs->level_sent = sent;
    cs->level_priority = (uint32_t)priority_of(cs, c);
  }
}

/* A channel that becomes ready starts at most FLOOR_LAG bytes, weighed by its
   priority, behind the level. */
static void channel_wake(cmt__channels *cs, cmt__channel *c) {
  uint64_t level = cs->level_sent * priority_of(cs, c) / cs->level_priority;
  uint16_t bit = channel_bit(cs, c);

  level = cmt__min64(level, RECENTLY_SENT_MAX);
  if (level > FLOOR_LAG &&
      level - FLOOR_LAG > cmt__counter_get(&c->recently_sent)) {
    cmt__counter_set(&c->recently_sent, level - FLOOR_LAG);
    cs->fading |= bit;
  }
  cs->ready |= bit;
  cs->urgent_ready |= is_urgent(cs, c) ? bit : 0;
}

static uint64_t decayed(uint64_t sent) {
  return sent / 5 * 4 + sent % 5 * 4 / 5;
}

/* Lets what was sent fade once.  True: some is left. */
static bool channels_fade(cmt__channels *cs) {
  uint32_t left = cs->fading;

  for (; left != 0; left = cmt__channels_rest_of(left)) {
    cmt__channel *c = &cs->list[cmt__channels_first(left)];
    uint64_t after = decayed(cmt__counter_get(&c->recently_sent));

    cmt__counter_set(&c->recently_sent, after);
    if (after == 0) {
      cs->fading &= (uint16_t)~channel_bit(cs, c);
    }
  }
  return cs->fading != 0;
}

void cmt__channels_decay(cmt__channels *cs, uint64_t now_ns) {
  while (now_ns >= cs->decay_at_ns) {
    bool any = cs->level_sent > 0;

    cs->decay_at_ns = cmt__after(cs->decay_at_ns, DECAY_NS);
    cs->level_sent = decayed(cs->level_sent);
    any = channels_fade(cs) || any;
    if (!any) { /* Nothing is left to fade, however long it was. */
      cs->decay_at_ns +=
        cmt__since(now_ns, cs->decay_at_ns) / DECAY_NS * DECAY_NS;
    }
  }
}

/* ---- sending ---- */

static bool queue_grow(cmt__channels *cs, cmt__channel *c) {
  uint32_t cap = c->queue_cap ? 2 * c->queue_cap : CMT__QUEUE_FIRST;
  cmt__queued *queue = cmt__alloc(&cs->group->pool.env, cap * sizeof *queue);

  if (queue == NULL) {
    return false;
  }
  for (uint32_t i = 0; i < c->queue_cap; i++) {
    queue[i] = *cmt__channel_queued(c, i);
  }
  cmt__free(&cs->group->pool.env, c->queue);
  c->queue = queue;
  c->queue_cap = cap;
  c->queue_head = 0;
  return true;
}

cmt_err cmt__channel_queue(cmt__channels *cs, size_t at, cmt_buf *msg) {
  cmt__channel *c = &cs->list[at];
  uint32_t count = cmt__counter32_get(&c->queue_count);

  if (!cmt__channel_has_room(&cs->group->list[at], count)) {
    return CMT_EAGAIN;
  }
  if (count == c->queue_cap && !queue_grow(cs, c)) {
    return CMT_ENOMEM;
  }
  if (count == 0) {
    channel_wake(cs, c);
  }
  *cmt__channel_queued(c, count) =
    (cmt__queued){.msg = msg, .at_ns = cs->now_ns};
  cmt__counter32_set(&c->queue_count, count + 1);
  cmt__counter_add(&c->queued_bytes, cmt_buf_bytes(msg).len);
  return CMT_OK;
}

/* Notes how long the first message waited; 71 minutes count as the most. */
static void wait_note(cmt__channel *c, uint64_t wait_ns) {
  uint32_t wait_us = (uint32_t)cmt__min64(wait_ns / 1000, UINT32_MAX);

  if (wait_us > cmt__counter32_get(&c->wait_max_us)) {
    cmt__counter32_set(&c->wait_max_us, wait_us);
  }
  cmt__counter32_release(&c->wait_last_us, wait_us);
}

static void message_cut(cmt__channels *cs, cmt__channel *c) {
  cmt__queued cut = c->queue[c->queue_head];
  uint32_t left = cmt__counter32_get(&c->queue_count) - 1;
  uint16_t bit = channel_bit(cs, c);

  wait_note(c, cmt__since(cs->now_ns, cut.at_ns));
  cs->cut_bytes += cmt_buf_bytes(cut.msg).len;
  c->cut_messages++;
  cs->cut |= bit;
  cmt__counter_add(&c->sent_messages, 1);
  c->queue_head = (c->queue_head + 1) & (c->queue_cap - 1);
  cmt__counter32_set(&c->queue_count, left);
  c->offset = 0;
  if (left == 0) {
    cs->ready &= (uint16_t)~bit;
    cs->urgent_ready &= (uint16_t)~bit;
  }
  cmt_buf_unref(cut.msg);
}

/* Cuts one packet of |c|; false: it does not fit any more. */
static bool packet_cut(cmt__channels *cs, cmt__channel *c, cmt__batch *r) {
  uint8_t id = cmt__channel_desc(cs, c)->id;
  cmt_bytes msg = cmt_buf_bytes(c->queue[c->queue_head].msg);
  size_t left = msg.len - c->offset;
  size_t n = cmt__min(left, cs->payload_max);
  /* Ids from 0x80 up cost one byte more, which the eof takes from the data:
     an equal peer's limit would refuse a full last packet. */
  bool eof = left <= cs->payload_max - (id >= 0x80);
  size_t size = cs->wire->msg_size(id, eof, n);

  if (size > cmt__batch_room(r)) {
    return false;
  }
  cs->wire->write_msg(
    r, id, eof,
    (cmt_bytes){.base = n > 0 ? msg.base + c->offset : NULL, .len = n});
  c->offset += (uint32_t)n;
  cmt__counter_set(&c->queued_bytes, cmt__counter_get(&c->queued_bytes) - n);
  cmt__counter_add(&c->sent_bytes, size);
  cmt__counter_set(
    &c->recently_sent,
    cmt__min64(cmt__counter_get(&c->recently_sent) + size, RECENTLY_SENT_MAX));
  cs->fading |= channel_bit(cs, c);
  if (cs->rates != NULL) {
    cmt__rate_charge(&cs->rates[c - cs->list].send, size, cs->now_ns);
  }
  if (eof) {
    CMT__TRACE(CMT__TRACE_CUT, id, r->len);
    message_cut(cs, c);
  }
  return true;
}

/* False: no other packet goes into the batch. */
static bool urgent_fill(cmt__channels *cs, cmt__batch *r, size_t *left) {
  cmt__channel *c;

  while ((c = urgent_pick(cs)) != NULL) {
    size_t before = r->len;

    if (*left == 0 || !packet_cut(cs, c, r)) {
      return false;
    }
    --*left;
    cmt__rate_charge(cs->urgent, r->len - before, cs->now_ns);
    if (cs->quota != NULL) {
      cmt__quota_urgent_charge(cs->quota, r->len - before, cs->now_ns);
    }
  }
  return true;
}

void cmt__channels_fill(cmt__channels *cs, cmt__batch *r) {
  size_t before = r->len, left = RUN_PACKETS_MAX;
  uint64_t cut_max;
  cmt__channel *c;

  if (!urgent_fill(cs, r, &left)) {
    return;
  }
  cut_max =
    r->len > before ? cmt__min64(cs->cut_max, URGENT_BATCH) : cs->cut_max;
  while (left > 0 && r->len - before < cut_max &&
         (c = channel_pick(cs)) != NULL) {
    level_note(cs, c);
    if (!packet_cut(cs, c, r)) {
      return;
    }
    left--;
  }
}
