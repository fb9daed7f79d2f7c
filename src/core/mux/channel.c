/* SPDX-License-Identifier: Apache-2.0 */
/* Channels: what they are, and messages under reassembly.  The sending side is
   in channel_send.c. */

#include "channel_impl.h"

enum {
  RECV_FIRST_MIN = 1024,
  RECV_FIRST_MAX = 65536,
  URGENT_RATE = 262144, /* Bytes per second, a quarter of them at once. */
};

/* ---- limits of channels ---- */

void cmt__channels_start(cmt__channels *cs, uint64_t send_rate,
                         uint64_t now_ns) {
  uint64_t urgent_rate =
    send_rate == 0 ? URGENT_RATE
                   : cmt__min64(URGENT_RATE, cmt__urgent_rate(send_rate));

  if (cs->urgent != NULL) {
    cmt__rate_init(cs->urgent, urgent_rate, urgent_rate / 4, now_ns);
  }
  for (size_t i = 0; cs->rates != NULL && i < cs->count; i++) {
    const cmt_channel *c = &cs->group->list[i];

    cmt__rate_init_bytes(&cs->rates[i].send, c->send_rate, now_ns);
    cmt__rate_init_bytes(&cs->rates[i].recv, c->recv_rate, now_ns);
  }
}

/* Memory for the limits, if any channel has one. */
static cmt_err rates_new(cmt__channels *cs) {
  bool any = false, urgent = false;

  for (size_t i = 0; i < cs->count; i++) {
    const cmt_channel *c = &cs->group->list[i];

    any = any || c->send_rate > 0 || c->recv_rate > 0;
    urgent = urgent || c->traffic == CMT_TRAFFIC_URGENT;
  }
  if (any) {
    cs->rates =
      cmt__alloc_zero(&cs->group->pool.env, cs->count * sizeof *cs->rates);
  }
  if (urgent) {
    cs->urgent = cmt__alloc_zero(&cs->group->pool.env, sizeof *cs->urgent);
  }
  return (any && cs->rates == NULL) || (urgent && cs->urgent == NULL)
           ? CMT_ENOMEM
           : CMT_OK;
}

uint64_t cmt__channels_read_ns(const cmt__channels *cs) {
  uint64_t at_ns = 0;

  for (size_t i = 0; cs->rates != NULL && i < cs->count; i++) {
    at_ns = cmt__max64(at_ns, cs->rates[i].recv.open_ns);
  }
  return at_ns;
}

uint64_t cmt__channels_read_left(cmt__channels *cs) {
  uint64_t left = UINT64_MAX;

  for (size_t i = 0; cs->rates != NULL && i < cs->count; i++) {
    left = cmt__min64(left, cmt__rate_left(&cs->rates[i].recv, cs->now_ns));
  }
  return left;
}

/* ---- making ---- */

cmt_err cmt__channels_init(cmt__channels *cs, cmt_conn_group *group,
                           const cmt__wire *wire) {
  *cs = (cmt__channels){
    .group = group,
    .wire = wire,
    .cut_max = UINT64_MAX,
    .level_priority = 1,
    .partial_max_ns = CMT_NEVER,
    .partial_check_ns = CMT_NEVER,
  };
  if (group->count == 0) {
    return CMT_OK;
  }
  cs->list = cmt__alloc_zero(&group->pool.env, group->count * sizeof *cs->list);
  if (cs->list == NULL) {
    return CMT_ENOMEM;
  }
  cs->count = group->count;
  if (rates_new(cs) != CMT_OK) {
    cmt__channels_fini(cs);
    return CMT_ENOMEM;
  }
  return CMT_OK;
}

/* Moves what is queued and what is under reassembly to |rest|. */
static void channels_empty(cmt__channels *cs, cmt__channels_rest *rest) {
  cmt__channels_detach_quota(cs);
  rest->count = cs->count;
  for (size_t i = 0; i < cs->count; i++) {
    const cmt__channel *c = &cs->list[i];

    rest->list[i].queue = c->queue;
    rest->list[i].cap = c->queue_cap;
    rest->list[i].head = c->queue_head;
    rest->list[i].count = cmt__counter32_get(&c->queue_count);
    rest->list[i].partial = c->partial;
  }
  cmt__free(&cs->group->pool.env, cs->rates);
  cmt__free(&cs->group->pool.env, cs->urgent);
  cs->rates = NULL;
  cs->urgent = NULL;
  cs->count = 0;
  cs->ready = 0;
  cs->urgent_ready = 0;
  cs->cut = 0;
  cs->fading = 0;
  cs->recv_reserved = 0;
  cs->whole = NULL;
  cs->partial_check_ns = CMT_NEVER;
}

void cmt__channels_let_go(const cmt_env *env, const cmt__channels_rest *rest) {
  for (size_t i = 0; i < rest->count; i++) {
    const cmt__queued *queue = rest->list[i].queue;
    uint32_t head = rest->list[i].head, mask = rest->list[i].cap - 1;

    for (uint32_t k = 0; k < rest->list[i].count; k++) {
      cmt_buf_unref(queue[(head + k) & mask].msg);
    }
    cmt__free(env, rest->list[i].queue);
    cmt_buf_unref(rest->list[i].partial);
  }
}

void cmt__channels_fini(cmt__channels *cs) {
  cmt__channels_rest rest;

  channels_empty(cs, &rest);
  cmt__free(&cs->group->pool.env, cs->list);
  cs->list = NULL;
  cmt__channels_let_go(&cs->group->pool.env, &rest);
}

_Static_assert(sizeof(cmt__channel_last) <= sizeof(cmt__channel),
               "the status of channels fits their memory");

cmt__channel_last *cmt__channels_retire(cmt__channels *cs,
                                        cmt__channels_rest *rest) {
  cmt__channel_last last[CMT_CHANNELS_MAX];
  size_t count = cs->count;
  void *memory = cs->list;

  for (size_t i = 0; i < count; i++) {
    cmt_channel_status status;

    cmt__channel_get_status(cs, i, &status);
    memcpy(&last[i], &status, sizeof last[i]);
  }
  channels_empty(cs, rest);
  cs->list = NULL;
  if (count > 0) {
    memcpy(memory, last, count * sizeof *last);
  }
  return memory;
}

cmt_channel_status cmt__channel_last_status(const cmt__channel_last *l) {
  cmt_channel_status status = {.id = 0};

  memcpy(&status, l, sizeof *l);
  return status;
}

void cmt__channels_trim(cmt__channels *cs) {
  for (size_t i = 0; i < cs->count; i++) {
    cmt__channel *c = &cs->list[i];

    if (cmt__counter32_get(&c->queue_count) == 0) {
      cmt__free(&cs->group->pool.env, c->queue);
      c->queue = NULL;
      c->queue_cap = 0;
      c->queue_head = 0;
    }
  }
}

/* ---- receiving ---- */

/* Called around all that is done with unfinished messages: another thread may
   free those of a connection above its floor. */
static inline bool partials_enter(const cmt__channels *cs) {
  return cs->holder != NULL && cmt__quota_enter(cs->quota, cs->holder);
}

static void partials_leave(const cmt__channels *cs, bool locks) {
  cmt__quota_leave(cs->quota, locks);
}

/* The thread that needs the memory calls this; it may be that of another
   connection. */
static void partials_drop(void *owner) {
  cmt__channels *cs = owner;

  for (size_t i = 0; i < cs->count; i++) {
    cmt_buf_unref(cs->list[i].partial);
    cs->list[i].partial = NULL;
  }
}

/* Makes the holder of a connection that comes above its floor.  False: no
   memory. */
static bool holder_new(cmt__channels *cs) {
  cs->holder = cmt__alloc_zero(&cs->group->pool.env, sizeof *cs->holder);
  if (cs->holder != NULL) {
    cs->holder->reserved = cs->recv_reserved;
    cs->holder->unread = cs->unread;
    cs->holder->owner = cs;
    cs->holder->drop = partials_drop;
    cs->holder->on_gave_way = cs->on_gave_way;
    cs->holder->arg = cs->share_arg;
  }
  return cs->holder != NULL;
}

static void reserved_add(cmt__channels *cs, size_t more) {
  cs->recv_reserved += more;
  if (cs->quota != NULL) {
    cmt__quota_add(cs->quota, &cs->quota->reserved, more);
  }
}

/* Takes up to |most| more bytes of what may still be held, by this connection
   and by all that share.  CMT_ENOBUFS: that is less than |least|; CMT_ENOMEM.
 */
static cmt_err partial_charge(cmt__channels *cs, size_t least, size_t most,
                              size_t *more) {
  *more = cmt__min(most, cs->recv_reserved_max - cs->recv_reserved);
  if (*more < least) {
    return CMT_ENOBUFS;
  }
  if (cs->quota == NULL ||
      (cs->holder == NULL && cs->recv_reserved + *more <= cs->quota->floor)) {
    reserved_add(cs, *more);
    return CMT_OK;
  }
  if (cs->holder == NULL && !holder_new(cs)) {
    return CMT_ENOMEM;
  }
  cs->holder->now_ns = cs->now_ns;
  if (!cmt__quota_take(cs->quota, cs->holder, least, *more, more)) {
    return CMT_ENOBUFS;
  }
  cs->recv_reserved += *more;
  return CMT_OK;
}

static void partial_give(cmt__channels *cs, size_t less) {
  if (cs->holder == NULL) {
    reserved_add(cs, (size_t)0 - less);
  } else {
    cmt__quota_give(cs->quota, cs->holder, less);
    cs->recv_reserved -= less;
  }
}

void cmt__channels_attach_quota(cmt__channels *cs, cmt__quota *b,
                                void (*on_gave_way)(void *arg), void *arg) {
  cs->quota = b;
  cs->on_gave_way = on_gave_way;
  cs->share_arg = arg;
}

void cmt__channels_unread(cmt__channels *cs, bool on) {
  cs->unread = on;
  if (cs->holder != NULL) {
    cs->holder->now_ns = cs->now_ns;
    cmt__holder_unread(cs->quota, cs->holder, on);
  }
}

void cmt__channels_detach_quota(cmt__channels *cs) {
  partial_give(cs, cs->recv_reserved);
  cmt__free(&cs->group->pool.env, cs->holder);
  cs->holder = NULL;
  cs->quota = NULL;
}

bool cmt__channels_tick(cmt__channels *cs, uint64_t now_ns) {
  uint64_t earliest_ns = CMT_NEVER;
  bool locks;

  if (now_ns < cs->partial_check_ns) {
    return true;
  }
  locks = partials_enter(cs);
  for (size_t i = 0; i < cs->count; i++) {
    const cmt__channel *c = &cs->list[i];

    if (c->partial != NULL) {
      earliest_ns = cmt__min64(
        earliest_ns, cmt__after(c->partial_at_ns, cs->partial_max_ns));
    }
  }
  partials_leave(cs, locks);
  cs->partial_check_ns = earliest_ns;
  return now_ns < earliest_ns;
}

void cmt__channels_resume(cmt__channels *cs, uint64_t stopped_ns,
                          uint64_t now_ns) {
  for (size_t i = 0; i < cs->count; i++) {
    uint64_t *at_ns = &cs->list[i].partial_at_ns;

    *at_ns += cmt__since(now_ns, cmt__max64(*at_ns, stopped_ns));
  }
}

/* The message under reassembly; |*cap| is that of its buffer.  0: there is
   none. */
static size_t partial_look(cmt__channels *cs, const cmt__channel *c,
                           size_t *cap) {
  bool locks = partials_enter(cs);
  size_t len = c->partial != NULL ? cmt_buf_bytes(c->partial).len : 0;

  *cap = c->partial != NULL ? cmt__buf_cap(c->partial) : 0;
  partials_leave(cs, locks);
  return len;
}

/* Puts |grown| in place of the buffer that is too small. */
static cmt_err partial_replace(cmt__channels *cs, cmt__channel *c,
                               cmt_buf *grown) {
  bool locks = partials_enter(cs);
  cmt_buf *before = grown;

  if (!cmt__channels_gave_way(cs)) {
    before = c->partial;
    c->partial = grown;
    if (before != NULL) {
      cmt_bytes old = cmt_buf_bytes(before);

      if (old.len > 0) {
        memcpy(cmt__buf_base(grown), old.base, old.len);
      }
      cmt__buf_set_len(grown, old.len);
    }
  }
  partials_leave(cs, locks);
  cmt_buf_unref(before);
  return before != grown ? CMT_OK : CMT_ENOBUFS;
}

/* Makes room for |need| bytes in all, where there are |have|.  The first buffer
   is as large as the channel's last message was, within limits, and doubles
   from there, unless the message |ends|. */
static cmt_err partial_reserve(cmt__channels *cs, cmt__channel *c, size_t have,
                               size_t need, bool ends) {
  size_t cap =
    have > 0 ? 2 * have
             : cmt__min(cmt__max(c->recv_hint, RECV_FIRST_MIN), RECV_FIRST_MAX);
  cmt_buf *grown;
  size_t more;
  cmt_err err;

  cap = ends ? need
             : cmt__min(cmt__max(cap, need),
                        cmt__channel_desc(cs, c)->recv_message_max);
  err = partial_charge(cs, need - have, cap - have, &more);
  if (err != CMT_OK) {
    return err;
  }
  grown = cmt__buf_new_cap(&cs->group->pool.env, have + more);
  if (grown == NULL) {
    partial_give(cs, more);
    return CMT_ENOMEM;
  }
  return partial_replace(cs, c, grown);
}

/* A message that is whole in its packet has a buffer of exactly its length,
   which is delivered with the packet's last byte. */
static cmt_err whole_begin(cmt__channels *cs, cmt__channel *c, size_t len) {
  c->partial = cmt__buf_new_cap(&cs->group->pool.env, len);
  cs->whole = c->partial != NULL ? c : NULL;
  return c->partial != NULL ? CMT_OK : CMT_ENOMEM;
}

/* The capacity is checked on each packet, before a byte of it is kept. */
static cmt_err packet_begin(cmt__channels *cs, cmt__channel *c,
                            const cmt__packet *k) {
  size_t cap, len = partial_look(cs, c, &cap);

  if (cs->rates != NULL) {
    cmt__rate_charge(&cs->rates[c - cs->list].recv,
                     cs->wire->msg_size(k->channel, k->eof, k->total),
                     cs->now_ns);
  }
  if (k->total > cmt__channel_desc(cs, c)->recv_message_max - len) {
    return CMT_EMSGSIZE;
  }
  if (k->total == 0 && !k->eof) {
    return CMT_OK; /* Neither data nor an end: nothing to keep. */
  }
  c->partial_at_ns = cs->now_ns;
  if (cap == 0 && k->eof) {
    return whole_begin(cs, c, k->total);
  }
  return len + k->total <= cap
           ? CMT_OK
           : partial_reserve(cs, c, cap, len + k->total, k->eof);
}

/* Puts the data of |k| behind what is there; |*done|: the message is
   complete. */
static void partial_fill(cmt__channel *c, const cmt__packet *k,
                         cmt_buf **done) {
  if (k->data.len > 0) {
    size_t len = cmt_buf_bytes(c->partial).len;

    memcpy(cmt__buf_base(c->partial) + len, k->data.base, k->data.len);
    cmt__buf_set_len(c->partial, len + k->data.len);
  }
  if (k->last && k->eof) {
    *done = c->partial;
    c->partial = NULL;
  }
}

static void message_came(cmt__channels *cs, cmt__channel *c,
                         const cmt_buf *msg) {
  size_t len = cmt_buf_bytes(msg).len;

  if (cs->whole == c) {
    cs->whole = NULL;
  } else {
    partial_give(cs, cmt__buf_cap(msg));
  }
  c->recv_hint = (uint32_t)len;
  cmt__counter_add(&c->recv_messages, 1);
  cmt__counter_add(&c->recv_bytes, len);
}

cmt_err cmt__channel_take(cmt__channels *cs, const cmt__packet *k,
                          cmt_buf **done) {
  cmt__channel *c = cmt__channel_find(cs, k->channel);
  cmt_err err = CMT_OK;
  bool locks;

  *done = NULL;
  if (c == NULL) {
    return CMT_EUNKNOWNCHANNEL;
  }
  if (k->first) {
    err = packet_begin(cs, c, k);
    if (err != CMT_OK) {
      return err;
    }
  }
  locks = partials_enter(cs);
  if (cmt__channels_gave_way(cs)) {
    err = CMT_ENOBUFS;
  } else {
    partial_fill(c, k, done);
    if (cs->holder != NULL) {
      cs->holder->now_ns = cs->now_ns;
      cmt__holder_came(cs->holder, k->data.len);
    }
  }
  partials_leave(cs, locks);
  if (*done != NULL) {
    message_came(cs, c, *done);
  }
  return err;
}

size_t cmt__channels_memory(const cmt_channel *list, size_t count) {
  size_t bytes = count * (sizeof(cmt__channel) + sizeof(cmt__channel_rates)) +
                 sizeof(cmt__rate) + sizeof(cmt__holder);

  for (size_t i = 0; i < count; i++) {
    size_t messages = cmt__channel_defaults(&list[i]).send_queue + (size_t)1;

    bytes += cmt__grow_max(messages, CMT__QUEUE_FIRST) * sizeof(cmt__queued);
  }
  return bytes;
}

void cmt__channel_get_status(const cmt__channels *cs, size_t i,
                             cmt_channel_status *out) {
  const cmt__channel *c = &cs->list[i];
  /* The longest wait is not read before the last one, which it bounds. */
  uint32_t wait_last_us = cmt__counter32_acquire(&c->wait_last_us);

  *out = (cmt_channel_status){
    .id = cs->group->list[i].id,
    .queued_messages = cmt__counter32_get(&c->queue_count),
    .queued_bytes = cmt__counter_get(&c->queued_bytes),
    .sent_messages = cmt__counter_get(&c->sent_messages),
    .sent_bytes = cmt__counter_get(&c->sent_bytes),
    .recently_sent_bytes = cmt__counter_get(&c->recently_sent),
    .recv_messages = cmt__counter_get(&c->recv_messages),
    .recv_bytes = cmt__counter_get(&c->recv_bytes),
    .wait_last_ns = wait_last_us * UINT64_C(1000),
    .wait_max_ns = cmt__counter32_get(&c->wait_max_us) * UINT64_C(1000),
  };
}
