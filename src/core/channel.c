/* SPDX-License-Identifier: Apache-2.0 */
/* Channels.  The scheduler gives the next packet to the channel with the
   lowest ratio of recently sent bytes to priority, compared by
   cross-multiplication: recently_sent stays below 2^47 and a priority below
   2^16, so a product fits in 64 bits. */

#include "channel.h"

#include "buf.h"

enum {
  DECAY_NS = 2000000000, /* As CometBFT: times 0.8 each 2 s. */
  /* How far a channel that wakes may lag behind the others.  Without a floor
     it would hold the link until it has caught up with all that they sent. */
  FLOOR_LAG = 65536,
  QUEUE_FIRST = 4,
  RECV_FIRST_MIN = 1024,
  RECV_FIRST_MAX = 65536,
};

#define RECENTLY_SENT_MAX (UINT64_C(1) << 47)

cmt_channel cmt__channel_defaults(const cmt_channel *c) {
  cmt_channel out = *c;

  out.send_queue = c->send_queue ? c->send_queue : 1;
  out.recv_message_max =
    c->recv_message_max ? c->recv_message_max : CMT_MESSAGE_DEFAULT;
  out.send_message_max =
    c->send_message_max ? c->send_message_max : out.recv_message_max;
  out.recv_queue = c->recv_queue ? c->recv_queue : CMT_RECV_QUEUE_DEFAULT;
  out.recv_queue_bytes =
    c->recv_queue_bytes ? c->recv_queue_bytes : CMT_RECV_QUEUE_BYTES_DEFAULT;
  return out;
}

/* A number of a channel and its range. */
typedef struct number {
  const char *name;
  uint64_t found, min, max;
} number;

static cmt_err number_check(uint8_t id, const number *n, cmt_why *why) {
  if (n->found >= n->min && n->found <= n->max) {
    return CMT_OK;
  }
  return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                  "channel 0x%02x: %s is %llu, allowed is %llu to %llu", id,
                  n->name, (unsigned long long)n->found,
                  (unsigned long long)n->min, (unsigned long long)n->max);
}

static cmt_err channel_check(const cmt_channel *c, cmt_why *why) {
  cmt_channel full = cmt__channel_defaults(c);
  const number checks[] = {
    {"priority", full.priority, 1, CMT_PRIORITY_MAX},
    {"send_queue", full.send_queue, 1, CMT_SEND_QUEUE_MAX},
    {"send_message_max", full.send_message_max, 1, CMT_MESSAGE_MAX},
    {"recv_message_max", full.recv_message_max, 1, CMT_MESSAGE_MAX},
    {"send_rate", full.send_rate, 0, CMT_RATE_MAX},
    {"recv_rate", full.recv_rate, 0, CMT_RATE_MAX},
    {"recv_queue", full.recv_queue, 1, CMT_RECV_QUEUE_MAX},
    {"recv_queue_bytes", full.recv_queue_bytes, 1, CMT_MESSAGE_MAX},
    {"on_full", full.on_full, CMT_ON_FULL_WAIT, CMT_ON_FULL_DROP},
  };

  for (size_t i = 0; i < CMT__COUNT(checks); i++) {
    cmt_err err = number_check(c->id, &checks[i], why);
    if (err != CMT_OK) {
      return err;
    }
  }
  return CMT_OK;
}

cmt_err cmt__channels_check(const cmt_channel *list, size_t count,
                            cmt_why *why) {
  bool seen[256] = {false};

  if (count > CMT_CHANNELS_MAX) {
    return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                    "%zu channels, allowed are %d", count, CMT_CHANNELS_MAX);
  }
  for (size_t i = 0; i < count; i++) {
    cmt_err err = channel_check(&list[i], why);

    if (err != CMT_OK) {
      return err;
    }
    if (seen[list[i].id]) {
      return cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT,
                      "channel 0x%02x is listed twice", list[i].id);
    }
    seen[list[i].id] = true;
  }
  return CMT_OK;
}

/* ---- limits of channels ---- */

void cmt__channels_start(cmt__channels *cs, uint64_t now_ns) {
  for (size_t i = 0; cs->rates != NULL && i < cs->count; i++) {
    const cmt_channel *c = &cs->list[i].desc;

    cmt__rate_init_bytes(&cs->rates[2 * i], c->send_rate, now_ns);
    cmt__rate_init_bytes(&cs->rates[2 * i + 1], c->recv_rate, now_ns);
  }
}

static cmt_err rates_new(cmt__channels *cs) {
  bool any = false;

  for (size_t i = 0; i < cs->count; i++) {
    const cmt_channel *c = &cs->list[i].desc;

    any = any || c->send_rate > 0 || c->recv_rate > 0;
  }
  if (!any) {
    return CMT_OK;
  }
  cs->rates = cmt__alloc_zero(&cs->env, 2 * cs->count * sizeof *cs->rates);
  return cs->rates != NULL ? CMT_OK : CMT_ENOMEM;
}

static bool may_send(const cmt__channels *cs, size_t i) {
  return cs->rates == NULL || cmt__rate_is_open(&cs->rates[2 * i], cs->now_ns);
}

uint64_t cmt__channels_open_ns(const cmt__channels *cs) {
  uint64_t at_ns = CMT_NEVER;

  if (cs->ready > 0 && cs->rates == NULL) {
    return 0;
  }
  for (size_t i = 0; cs->ready > 0 && i < cs->count; i++) {
    if (cs->list[i].queue_count > 0) {
      at_ns = cmt__min64(at_ns, cs->rates[2 * i].open_ns);
    }
  }
  return at_ns;
}

uint64_t cmt__channels_read_ns(const cmt__channels *cs) {
  uint64_t at_ns = 0;

  for (size_t i = 0; cs->rates != NULL && i < cs->count; i++) {
    at_ns = cmt__max64(at_ns, cs->rates[2 * i + 1].open_ns);
  }
  return at_ns;
}

uint64_t cmt__channels_read_left(cmt__channels *cs) {
  uint64_t left = UINT64_MAX;

  for (size_t i = 0; cs->rates != NULL && i < cs->count; i++) {
    left = cmt__min64(left, cmt__rate_left(&cs->rates[2 * i + 1], cs->now_ns));
  }
  return left;
}

/* ---- making ---- */

cmt_err cmt__channels_init(cmt__channels *cs, const cmt_env *env,
                           const cmt_channel *list, size_t count,
                           cmt_why *why) {
  cmt_err err = cmt__channels_check(list, count, why);

  *cs = (cmt__channels){
    .env = *env,
    .wire = &cmt__wire_cometbft,
    .cut_max = UINT64_MAX,
    .partial_max_ns = CMT_NEVER,
    .partial_check_ns = CMT_NEVER,
  };
  memset(cs->index, CMT_CHANNELS_MAX, sizeof cs->index);
  if (err != CMT_OK || count == 0) {
    return err;
  }
  cs->list = cmt__alloc_zero(env, count * sizeof *cs->list);
  if (cs->list == NULL) {
    return cmt__why(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT, "%s",
                    cmt_err_text(CMT_ENOMEM));
  }
  cs->count = count;
  for (size_t i = 0; i < count; i++) {
    cs->list[i].desc = cmt__channel_defaults(&list[i]);
    cs->list[i].desc.name = NULL; /* Of the caller, for the caller. */
    cs->index[list[i].id] = (uint8_t)i;
  }
  if (rates_new(cs) != CMT_OK) {
    cmt__channels_fini(cs);
    return cmt__why(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT, "%s",
                    cmt_err_text(CMT_ENOMEM));
  }
  return CMT_OK;
}

static size_t ring_at(const cmt__channel *c, size_t i) {
  return (c->queue_head + i) & (c->queue_cap - 1);
}

void cmt__channels_fini(cmt__channels *cs) {
  for (size_t i = 0; i < cs->count; i++) {
    cmt__channel *c = &cs->list[i];

    for (size_t k = 0; k < c->queue_count; k++) {
      cmt_buf_unref(c->queue[ring_at(c, k)]);
    }
    cmt__free(&cs->env, c->queue);
    cmt_buf_unref(c->partial);
  }
  if (cs->budget != NULL) {
    cmt__budget_hold(cs->budget, 0, cs->recv_held);
  }
  cmt__free(&cs->env, cs->rates);
  cmt__free(&cs->env, cs->list);
  cs->rates = NULL;
  cs->list = NULL;
  cs->count = 0;
}

/* NULL: no channel has this id. */
static cmt__channel *channel_find(cmt__channels *cs, uint8_t id) {
  return cs->index[id] < cs->count ? &cs->list[cs->index[id]] : NULL;
}

/* ---- scheduler ---- */

static bool ratio_less(const cmt__channel *a, const cmt__channel *b) {
  return a->recently_sent * b->desc.priority <
         b->recently_sent * a->desc.priority;
}

/* The channel that is due; the first listed of equals; NULL: none is ready, or
   none that is may send. */
static cmt__channel *channel_pick(const cmt__channels *cs) {
  cmt__channel *best = NULL;

  if (cs->ready == 0) {
    return NULL;
  }
  for (size_t i = 0; i < cs->count; i++) {
    cmt__channel *c = &cs->list[i];

    if (c->queue_count > 0 && (best == NULL || ratio_less(c, best)) &&
        may_send(cs, i)) {
      best = c;
    }
  }
  return best;
}

/* A channel that becomes ready starts at most FLOOR_LAG bytes, weighed by its
   priority, behind the lowest of those that are. */
static void channel_wake(cmt__channels *cs, cmt__channel *c) {
  const cmt__channel *lowest = channel_pick(cs);
  uint64_t level;

  if (lowest != NULL) {
    level = lowest->recently_sent * c->desc.priority / lowest->desc.priority;
    level = cmt__min64(level, RECENTLY_SENT_MAX);
    if (level > FLOOR_LAG && level - FLOOR_LAG > c->recently_sent) {
      c->recently_sent = level - FLOOR_LAG;
    }
  }
  cs->ready++;
}

void cmt__channels_decay(cmt__channels *cs, uint64_t now_ns) {
  while (now_ns >= cs->decay_at_ns) {
    bool any = false;

    cs->decay_at_ns += DECAY_NS;
    for (size_t i = 0; i < cs->count; i++) {
      cs->list[i].recently_sent = cs->list[i].recently_sent / 5 * 4 +
                                  cs->list[i].recently_sent % 5 * 4 / 5;
      any = any || cs->list[i].recently_sent > 0;
    }
    if (!any && now_ns >= cs->decay_at_ns) {
      /* Nothing is left to fade, however long it was. */
      cs->decay_at_ns += (now_ns - cs->decay_at_ns) / DECAY_NS * DECAY_NS;
    }
  }
}

/* ---- sending ---- */

static bool queue_grow(cmt__channels *cs, cmt__channel *c) {
  size_t cap = c->queue_cap ? 2 * c->queue_cap : QUEUE_FIRST;
  cmt_buf **queue = cmt__alloc(&cs->env, cap * sizeof *queue);

  if (queue == NULL) {
    return false;
  }
  for (size_t i = 0; i < c->queue_count; i++) {
    queue[i] = c->queue[ring_at(c, i)];
  }
  cmt__free(&cs->env, c->queue);
  c->queue = queue;
  c->queue_cap = cap;
  c->queue_head = 0;
  return true;
}

cmt_err cmt__channel_queue(cmt__channels *cs, uint8_t id, cmt_buf *msg) {
  cmt__channel *c = channel_find(cs, id);
  size_t len = cmt_buf_bytes(msg).len;

  if (c == NULL) {
    return CMT_ENOCHANNEL;
  }
  if (len > c->desc.send_message_max) {
    return CMT_ETOOBIG;
  }
  if (c->queue_count > c->desc.send_queue) {
    return CMT_EAGAIN;
  }
  if (c->queue_count == c->queue_cap && !queue_grow(cs, c)) {
    return CMT_ENOMEM;
  }
  if (c->queue_count == 0) {
    channel_wake(cs, c);
  }
  c->queue[ring_at(c, c->queue_count++)] = msg;
  c->queued_bytes += len;
  return CMT_OK;
}

static void message_cut(cmt__channels *cs, cmt__channel *c) {
  cmt_buf *msg = c->queue[c->queue_head];

  cs->cut_bytes += cmt_buf_bytes(msg).len;
  c->cut_messages++;
  c->sent_messages++;
  c->queue_head = ring_at(c, 1);
  c->queue_count--;
  c->offset = 0;
  cs->ready -= c->queue_count == 0;
  cmt_buf_unref(msg);
}

/* Cuts one packet of |c|; false: it does not fit any more. */
static bool packet_cut(cmt__channels *cs, cmt__channel *c, cmt__run *r) {
  cmt_bytes msg = cmt_buf_bytes(c->queue[c->queue_head]);
  size_t left = msg.len - c->offset;
  size_t n = cmt__min(left, cs->payload_max);
  /* Ids from 0x80 up cost one byte more, which the eof takes from the data:
     an equal peer's limit would refuse a full last packet. */
  bool eof = left <= cs->payload_max - (c->desc.id >= 0x80);
  size_t size = cs->wire->msg_size(c->desc.id, eof, n);

  if (size > cmt__run_room(r)) {
    return false;
  }
  cs->wire->write_msg(
    r, c->desc.id, eof,
    (cmt_bytes){.base = n > 0 ? msg.base + c->offset : NULL, .len = n});
  c->offset += n;
  c->queued_bytes -= n;
  c->sent_bytes += size;
  c->recently_sent = cmt__min64(c->recently_sent + size, RECENTLY_SENT_MAX);
  if (cs->rates != NULL) {
    cmt__rate_charge(&cs->rates[2 * (c - cs->list)], size, cs->now_ns);
  }
  if (eof) {
    message_cut(cs, c);
  }
  return true;
}

void cmt__channels_fill(cmt__channels *cs, cmt__run *r) {
  size_t before = r->len;
  cmt__channel *c;

  while (r->len - before < cs->cut_max && (c = channel_pick(cs)) != NULL &&
         packet_cut(cs, c, r)) {
  }
}

/* ---- receiving ---- */

static void partial_hold(cmt__channels *cs, size_t more, size_t less) {
  cs->recv_held += more - less;
  if (cs->budget != NULL) {
    cmt__budget_hold(cs->budget, more, less);
  }
}

static void partial_drop(cmt__channels *cs, cmt__channel *c) {
  partial_hold(cs, 0, cmt__buf_cap(c->partial));
  c->partial = NULL;
}

/* What may still be held, by this connection and by all that share. */
static size_t partial_room(const cmt__channels *cs) {
  size_t room = cs->recv_held_max - cs->recv_held;

  return cs->budget != NULL ? cmt__min(room, cmt__budget_room(cs->budget))
                            : room;
}

bool cmt__channels_tick(cmt__channels *cs, uint64_t now_ns) {
  uint64_t earliest_ns = CMT_NEVER;

  if (now_ns < cs->partial_check_ns) {
    return true;
  }
  for (size_t i = 0; i < cs->count; i++) {
    const cmt__channel *c = &cs->list[i];

    if (c->partial != NULL) {
      earliest_ns = cmt__min64(
        earliest_ns, cmt__after(c->partial_at_ns, cs->partial_max_ns));
    }
  }
  cs->partial_check_ns = earliest_ns;
  return now_ns < earliest_ns;
}

void cmt__channels_resume(cmt__channels *cs, uint64_t stopped_ns,
                          uint64_t now_ns) {
  for (size_t i = 0; i < cs->count; i++) {
    uint64_t *at_ns = &cs->list[i].partial_at_ns;

    *at_ns += now_ns - cmt__max64(*at_ns, stopped_ns);
  }
}

/* Makes room for |need| bytes in all.  The first buffer is as large as the
   channel's last message was, within limits, and doubles from there; only what
   is needed counts against the memory that is left. */
static cmt_err partial_reserve(cmt__channels *cs, cmt__channel *c, size_t need,
                               bool whole) {
  size_t have = c->partial != NULL ? cmt__buf_cap(c->partial) : 0;
  size_t cap =
    have > 0 ? 2 * have
             : cmt__min(cmt__max(c->recv_hint, RECV_FIRST_MIN), RECV_FIRST_MAX);
  cmt_buf *grown;

  if (c->partial != NULL && need <= have) {
    return CMT_OK;
  }
  cap = cmt__min(cmt__max(cap, need), c->desc.recv_message_max);
  if (whole && c->partial == NULL) {
    cap = need;
  }
  cap = cmt__min(cap, have + partial_room(cs));
  if (cap < need) {
    return CMT_ENOBUFS;
  }
  grown = cmt__buf_new_cap(&cs->env, cap);
  if (grown == NULL) {
    return CMT_ENOMEM;
  }
  if (c->partial != NULL) {
    cmt_bytes old = cmt_buf_bytes(c->partial);

    if (old.len > 0) {
      memcpy(cmt__buf_base(grown), old.base, old.len);
    }
    cmt__buf_set_len(grown, old.len);
    cmt_buf_unref(c->partial);
  }
  partial_hold(cs, cap, have);
  c->partial = grown;
  return CMT_OK;
}

/* The capacity is checked on each packet, before a byte of it is kept. */
static cmt_err packet_begin(cmt__channels *cs, cmt__channel *c,
                            const cmt__packet *k) {
  size_t len = c->partial != NULL ? cmt_buf_bytes(c->partial).len : 0;

  if (cs->rates != NULL) {
    cmt__rate_charge(&cs->rates[2 * (c - cs->list) + 1],
                     cs->wire->msg_size(k->channel, k->eof, k->total),
                     cs->now_ns);
  }
  if (k->total > c->desc.recv_message_max - len) {
    return CMT_EMSGSIZE;
  }
  if (k->total == 0 && !k->eof) {
    return CMT_OK; /* Neither data nor an end: nothing to keep. */
  }
  c->partial_at_ns = cs->now_ns;
  return partial_reserve(cs, c, len + k->total, k->eof);
}

cmt_err cmt__channel_take(cmt__channels *cs, const cmt__packet *k,
                          cmt_buf **done) {
  cmt__channel *c = channel_find(cs, k->channel);
  size_t len;

  *done = NULL;
  if (c == NULL) {
    return CMT_EUNKNOWNCHANNEL;
  }
  if (k->first) {
    cmt_err err = packet_begin(cs, c, k);
    if (err != CMT_OK) {
      return err;
    }
  }
  if (k->data.len > 0) {
    len = cmt_buf_bytes(c->partial).len;
    memcpy(cmt__buf_base(c->partial) + len, k->data.base, k->data.len);
    cmt__buf_set_len(c->partial, len + k->data.len);
  }
  if (k->last && k->eof) {
    *done = c->partial;
    partial_drop(cs, c);
    len = cmt_buf_bytes(*done).len;
    c->recv_hint = len;
    c->recv_messages++;
    c->recv_bytes += len;
  }
  return CMT_OK;
}

size_t cmt__channels_memory(const cmt_channel *list, size_t count) {
  size_t bytes = count * (sizeof(cmt__channel) + 2 * sizeof(cmt__rate));

  for (size_t i = 0; i < count; i++) {
    size_t messages = cmt__channel_defaults(&list[i]).send_queue + (size_t)1;

    bytes += cmt__grow_max(messages, QUEUE_FIRST) * sizeof(cmt_buf *);
  }
  return bytes;
}

void cmt__channel_get_status(const cmt__channel *c, cmt_channel_status *out) {
  *out = (cmt_channel_status){
    .id = c->desc.id,
    .queued_messages = (uint32_t)c->queue_count,
    .queued_bytes = c->queued_bytes,
    .sent_messages = c->sent_messages,
    .sent_bytes = c->sent_bytes,
    .recently_sent_bytes = c->recently_sent,
    .recv_messages = c->recv_messages,
    .recv_bytes = c->recv_bytes,
  };
}
