/* SPDX-License-Identifier: Apache-2.0 */
/* Channels: what they are, and messages under reassembly.  The sending side is
   in channel_send.c. */

#include "channel_impl.h"

enum {
  RECV_FIRST_MIN = 1024,
  RECV_FIRST_MAX = 65536,
  URGENT_RATE = 262144, /* Bytes per second, a quarter of them at once. */
};

cmt_channel cmt__channel_defaults(const cmt_channel *c) {
  cmt_channel out = *c;

  out.send_queue = c->send_queue ? c->send_queue : CMT_SEND_QUEUE_DEFAULT;
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

_Static_assert(CMT_CHANNELS_MAX <= 16, "channels fit the bits");

uint16_t cmt__channels_among(const cmt_channel *list, size_t count,
                             cmt_bytes ids) {
  uint16_t among = 0;

  for (size_t i = 0; i < count; i++) {
    among |= (uint16_t)(cmt__bytes_have(ids, list[i].id) << i);
  }
  return among;
}

static cmt_err channel_check(const cmt_channel *c, cmt_why *why) {
  cmt_channel full = cmt__channel_defaults(c);
  const number checks[] = {
    {"priority", full.priority, 1, CMT_PRIORITY_MAX},
    {"traffic", full.traffic, CMT_TRAFFIC_NORMAL, CMT_TRAFFIC_URGENT},
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

void cmt__channels_start(cmt__channels *cs, uint64_t send_rate,
                         uint64_t now_ns) {
  uint64_t urgent_rate =
    send_rate == 0 ? URGENT_RATE
                   : cmt__min64(URGENT_RATE, cmt__urgent_rate(send_rate));

  if (cs->urgent != NULL) {
    cmt__rate_init(cs->urgent, urgent_rate, urgent_rate / 4, now_ns);
  }
  for (size_t i = 0; cs->rates != NULL && i < cs->count; i++) {
    const cmt_channel *c = &cs->shared->list[i];

    cmt__rate_init_bytes(&cs->rates[2 * i], c->send_rate, now_ns);
    cmt__rate_init_bytes(&cs->rates[2 * i + 1], c->recv_rate, now_ns);
  }
}

/* Memory for the limits, if any channel has one. */
static cmt_err rates_new(cmt__channels *cs) {
  bool any = false, urgent = false;

  for (size_t i = 0; i < cs->count; i++) {
    const cmt_channel *c = &cs->shared->list[i];

    any = any || c->send_rate > 0 || c->recv_rate > 0;
    urgent = urgent || c->traffic == CMT_TRAFFIC_URGENT;
  }
  if (any) {
    cs->rates =
      cmt__alloc_zero(&cs->shared->env, 2 * cs->count * sizeof *cs->rates);
  }
  if (urgent) {
    cs->urgent = cmt__alloc_zero(&cs->shared->env, sizeof *cs->urgent);
  }
  return (any && cs->rates == NULL) || (urgent && cs->urgent == NULL)
           ? CMT_ENOMEM
           : CMT_OK;
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

cmt_err cmt__channels_init(cmt__channels *cs, cmt__shared *shared) {
  *cs = (cmt__channels){
    .shared = shared,
    .wire = &cmt__wire_cometbft,
    .cut_max = UINT64_MAX,
    .partial_max_ns = CMT_NEVER,
    .partial_check_ns = CMT_NEVER,
  };
  if (shared->count == 0) {
    return CMT_OK;
  }
  cs->list = cmt__alloc_zero(&shared->env, shared->count * sizeof *cs->list);
  if (cs->list == NULL) {
    return CMT_ENOMEM;
  }
  cs->count = shared->count;
  for (size_t i = 0; i < cs->count; i++) {
    cs->list[i].desc = &shared->list[i];
  }
  if (rates_new(cs) != CMT_OK) {
    cmt__channels_fini(cs);
    return CMT_ENOMEM;
  }
  return CMT_OK;
}

/* Moves what is queued and what is under reassembly to |rest|. */
static void channels_empty(cmt__channels *cs, cmt__channels_rest *rest) {
  rest->count = cs->count;
  for (size_t i = 0; i < cs->count; i++) {
    const cmt__channel *c = &cs->list[i];

    rest->list[i].queue = c->queue;
    rest->list[i].cap = c->queue_cap;
    rest->list[i].head = c->queue_head;
    rest->list[i].count = cmt__counter32_get(&c->queue_count);
    rest->list[i].partial = c->partial;
  }
  if (cs->budget != NULL) {
    cmt__budget_give(cs->budget, cs->recv_held);
  }
  cmt__free(&cs->shared->env, cs->rates);
  cmt__free(&cs->shared->env, cs->urgent);
  cs->rates = NULL;
  cs->urgent = NULL;
  cs->count = 0;
  cs->ready = 0;
  cs->urgent_ready = 0;
  cs->recv_held = 0;
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
  cmt__free(&cs->shared->env, cs->list);
  cs->list = NULL;
  cmt__channels_let_go(&cs->shared->env, &rest);
}

_Static_assert(sizeof(cmt_channel_status) <= sizeof(cmt__channel),
               "the status of channels fits their memory");

cmt_channel_status *cmt__channels_retire(cmt__channels *cs,
                                         cmt__channels_rest *rest) {
  cmt_channel_status last[CMT_CHANNELS_MAX];
  size_t count = cs->count;
  void *memory = cs->list;

  for (size_t i = 0; i < count; i++) {
    cmt__channel_get_status(&cs->list[i], &last[i]);
  }
  channels_empty(cs, rest);
  cs->list = NULL;
  if (count > 0) {
    memcpy(memory, last, count * sizeof *last);
  }
  return memory;
}

void cmt__channels_trim(cmt__channels *cs) {
  for (size_t i = 0; i < cs->count; i++) {
    cmt__channel *c = &cs->list[i];

    if (cmt__counter32_get(&c->queue_count) == 0) {
      cmt__free(&cs->shared->env, c->queue);
      c->queue = NULL;
      c->queue_cap = 0;
      c->queue_head = 0;
    }
  }
}

/* ---- receiving ---- */

/* Takes up to |most| more bytes of what may still be held, by this connection
   and by all that share; false: that is less than |least|. */
static bool partial_hold(cmt__channels *cs, size_t least, size_t most,
                         size_t *more) {
  *more = cmt__min(most, cs->recv_held_max - cs->recv_held);
  if (*more < least || (cs->budget != NULL &&
                        !cmt__budget_take(cs->budget, least, *more, more))) {
    return false;
  }
  cs->recv_held += *more;
  return true;
}

static void partial_give(cmt__channels *cs, size_t less) {
  cs->recv_held -= less;
  if (cs->budget != NULL) {
    cmt__budget_give(cs->budget, less);
  }
}

static void partial_drop(cmt__channels *cs, cmt__channel *c) {
  partial_give(cs, cmt__buf_cap(c->partial));
  c->partial = NULL;
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

    *at_ns += cmt__since(now_ns, cmt__max64(*at_ns, stopped_ns));
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
  size_t more;
  cmt_buf *grown;

  if (c->partial != NULL && need <= have) {
    return CMT_OK;
  }
  cap = cmt__min(cmt__max(cap, need), c->desc->recv_message_max);
  if (whole && c->partial == NULL) {
    cap = need;
  }
  if (!partial_hold(cs, need - have, cap - have, &more)) {
    return CMT_ENOBUFS;
  }
  grown = cmt__buf_new_cap(&cs->shared->env, have + more);
  if (grown == NULL) {
    partial_give(cs, more);
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
  if (k->total > c->desc->recv_message_max - len) {
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
  cmt__channel *c = cmt__channel_find(cs, k->channel);
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
    c->recv_hint = (uint32_t)len;
    cmt__counter_add(&c->recv_messages, 1);
    cmt__counter_add(&c->recv_bytes, len);
  }
  return CMT_OK;
}

size_t cmt__channels_memory(const cmt_channel *list, size_t count) {
  size_t bytes =
    count * (sizeof(cmt__channel) + 2 * sizeof(cmt__rate)) + sizeof(cmt__rate);

  for (size_t i = 0; i < count; i++) {
    size_t messages = cmt__channel_defaults(&list[i]).send_queue + (size_t)1;

    bytes += cmt__grow_max(messages, CMT__QUEUE_FIRST) * sizeof(cmt__queued);
  }
  return bytes;
}

void cmt__channel_get_status(const cmt__channel *c, cmt_channel_status *out) {
  *out = (cmt_channel_status){
    .id = c->desc->id,
    .queued_messages = cmt__counter32_get(&c->queue_count),
    .queued_bytes = cmt__counter_get(&c->queued_bytes),
    .sent_messages = cmt__counter_get(&c->sent_messages),
    .sent_bytes = cmt__counter_get(&c->sent_bytes),
    .recently_sent_bytes = cmt__counter_get(&c->recently_sent),
    .recv_messages = cmt__counter_get(&c->recv_messages),
    .recv_bytes = cmt__counter_get(&c->recv_bytes),
    .wait_last_ns = cmt__counter32_get(&c->wait_last_us) * UINT64_C(1000),
    .wait_max_ns = cmt__counter32_get(&c->wait_max_us) * UINT64_C(1000),
  };
}
