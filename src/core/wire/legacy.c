/* SPDX-License-Identifier: Apache-2.0 */
/* The legacy profile: a packet is one type byte, and after that of a message
   its fields with their length before them.  docs/LEGACY.md, "MConnection".

   Pings follow "Ping and Pong" there.  Whatever comes whole counts as a
   receipt, and a ping goes out only when none came for a while.  A message
   answers a ping as well as a pong does, both ways: we stop waiting when one
   comes, and a pong is owed only until a message, or the pong itself, was
   handed to the kernel.  A pong that waits for messages which do not move goes
   out all the same after a quarter of the timeout, well before the other side
   gives up. */

#include "profile.h"

enum { TYPE_PING = 1, TYPE_PONG = 2, TYPE_MSG = 3 };

/* ---- packets ---- */

static size_t legacy_msg_size(uint8_t channel, bool eof, size_t len) {
  size_t fields = cmt__msg_fields_size(channel, eof, len);

  return 1 + cmt__varint_size(fields) + fields;
}

static void legacy_write_msg(cmt__batch *r, uint8_t channel, bool eof,
                             cmt_bytes data) {
  uint8_t header[CMT__MSG_HEADER_MAX], *at = header;

  CMT_ASSERT(r->env, data.len < CMT__MSG_DATA_LIMIT);
  *at++ = TYPE_MSG;
  at = cmt__varint_put(at, cmt__msg_fields_size(channel, eof, data.len));
  at = cmt__msg_fields_put(at, channel, eof, data.len);
  cmt__batch_write(r, header, (size_t)(at - header));
  cmt__batch_write(r, data.base, data.len);
}

static size_t legacy_limit(size_t payload_max) {
  return cmt__msg_fields_size(1, true, payload_max);
}

/* ChannelID is a byte, and EOF is 1 or not there. */
static cmt_err legacy_decode(cmt_bytes body, cmt__packet *out) {
  uint32_t channel, eof;

  return cmt__msg_fields_decode(body, out, &channel, &eof) &&
             channel <= UINT8_MAX && eof <= 1
           ? CMT_OK
           : CMT_EPROTO;
}

static cmt__header_kind msg_header(cmt_bytes in, size_t limit,
                                   cmt__header *out) {
  cmt__peek k;
  uint64_t body;
  int n = cmt__read_prefix(in.base + 1, in.len - 1, &body);

  if (n == 0) {
    return CMT__HEADER_MORE;
  }
  if (n < 0 || body > limit + 1) {
    return CMT__HEADER_BAD;
  }
  out->size = 1 + (size_t)n;
  out->body = (size_t)body;
  k = cmt__peek_body(in, out);
  return cmt__peek_done(in, &k, cmt__peek_fields(&k, out->body, &out->packet),
                        out);
}

static cmt__header_kind legacy_header(cmt_bytes in, size_t limit,
                                      cmt__header *out) {
  uint8_t type = in.base[0];

  if (type == TYPE_MSG) {
    return msg_header(in, limit, out);
  }
  if (type != TYPE_PING && type != TYPE_PONG) {
    return type > TYPE_MSG ? CMT__HEADER_UNKNOWN : CMT__HEADER_BAD;
  }
  *out = (cmt__header){
    .size = 1,
    .packet.kind = type == TYPE_PING ? CMT__PACKET_PING : CMT__PACKET_PONG,
  };
  return CMT__HEADER_PACKET;
}

/* ---- pings ---- */

enum { OFTEN_MAX = 10 }; /* Pings that are too often, within one interval. */

/* What these rules keep for a connection. */
typedef struct legacy_state {
  size_t packet_max; /* The longest packet that we send. */
  /* Places in the output: of the messages of the last batch, and how far it was
     taken when the pong began to be owed. */
  uint64_t messages_begin, messages_end, owed_from;
  uint64_t owed_ns;
  uint64_t came_ns; /* When the last ping came; CMT_NEVER: none did. */
  /* When the last pings came that were too often. */
  uint64_t often_ns[OFTEN_MAX - 1];
  uint8_t often_count, often_at;
} legacy_state;

static legacy_state *of(const cmt__ping *p) { return p->rules_state; }

static void legacy_start(cmt__ping *p, size_t packet_max) {
  of(p)->packet_max = packet_max;
  of(p)->came_ns = CMT_NEVER;
}

static void legacy_wrote(cmt__ping *p, uint64_t begin, uint64_t end) {
  of(p)->messages_begin = begin;
  of(p)->messages_end = end;
}

/* Pings of ours may be switched off; those of others are still measured. */
static uint64_t interval(const cmt__ping *p) {
  return p->interval_ns == CMT_NEVER ? CMT_SECONDS(60) : p->interval_ns;
}

/* When a pong that is owed goes out whatever is queued. */
static uint64_t owed_until(const cmt__ping *p) {
  return p->pong == CMT__PONG_OWED
           ? cmt__after(of(p)->owed_ns, p->timeout_ns / 4)
           : CMT_NEVER;
}

static bool ping_may_begin(const cmt__ping *p) {
  return p->state == CMT__PING_IDLE || p->state == CMT__PING_ANSWERED;
}

static uint64_t legacy_deadline(const cmt__ping *p) {
  return cmt__min64(owed_until(p), ping_may_begin(p) ? p->at_ns : CMT_NEVER);
}

static bool legacy_tick(cmt__ping *p, uint64_t now_ns) {
  if (now_ns >= owed_until(p)) {
    p->pong = CMT__PONG_DUE;
  }
  if (now_ns < p->at_ns || !ping_may_begin(p)) {
    return false;
  }
  return cmt__ping_ask(p, now_ns) == CMT_OK;
}

static void receipt(cmt__ping *p, uint64_t now_ns) {
  p->at_ns = cmt__after(now_ns, p->interval_ns);
}

/* Notes a ping that is too often; true: so were nine within one interval. */
static bool often(cmt__ping *p, uint64_t now_ns) {
  legacy_state *l = of(p);
  uint64_t oldest_ns = l->often_ns[l->often_at];

  if (l->often_count == OFTEN_MAX - 1 &&
      cmt__since(now_ns, oldest_ns) <= interval(p)) {
    return true;
  }
  l->often_ns[l->often_at] = now_ns;
  l->often_at = (uint8_t)((l->often_at + 1) % (OFTEN_MAX - 1));
  l->often_count = (uint8_t)cmt__min(l->often_count + 1u, OFTEN_MAX - 1);
  return false;
}

static cmt_err legacy_ping_came(cmt__ping *p, uint64_t now_ns) {
  legacy_state *l = of(p);
  bool close =
    l->came_ns != CMT_NEVER && cmt__since(now_ns, l->came_ns) < interval(p) / 2;

  receipt(p, now_ns);
  l->came_ns = now_ns;
  if (close) {
    return often(p, now_ns) ? CMT_EFLOOD : CMT_OK;
  }
  if (p->pong == CMT__PONG_NONE) {
    p->pong = CMT__PONG_OWED;
    l->owed_ns = now_ns;
    l->owed_from = p->taken;
  }
  return CMT_OK;
}

static void legacy_came(cmt__ping *p, uint64_t now_ns) {
  receipt(p, now_ns);
  if (p->state == CMT__PING_TAKEN) {
    p->state = CMT__PING_ANSWERED;
  }
}

/* Messages lie in packets end to end, so one of them ends within any
   |packet_max| bytes; the last one ends where they all do. */
static bool message_was_taken(const cmt__ping *p) {
  const legacy_state *l = of(p);
  uint64_t from =
    l->messages_begin > l->owed_from ? l->messages_begin : l->owed_from;

  return p->taken >= l->messages_end ? l->messages_end > from
                                     : p->taken >= from + l->packet_max;
}

static void legacy_taken(cmt__ping *p, uint64_t now_ns) {
  if (p->pong == CMT__PONG_OWED && now_ns < owed_until(p) &&
      message_was_taken(p)) {
    p->pong = CMT__PONG_NONE;
  }
}

/* ---- the table ---- */

/* A ping or a message: nothing is there that a pong could answer. */
static bool legacy_opens(uint8_t first) {
  return first == TYPE_PING || first == TYPE_MSG;
}

static const uint8_t ping[] = {TYPE_PING};
static const uint8_t pong[] = {TYPE_PONG};

static const cmt__ping_rules pings = {
  .ping = {.base = ping, .len = sizeof ping},
  .pong = {.base = pong, .len = sizeof pong},
  .receipts_count = true,
  .answered_gap_ns = CMT_SECONDS(30), /* Half of the default interval. */
  .state_size = sizeof(legacy_state),
  .start = legacy_start,
  .deadline = legacy_deadline,
  .tick = legacy_tick,
  .ping_came = legacy_ping_came,
  .came = legacy_came,
  .taken = legacy_taken,
  .wrote = legacy_wrote,
};

const cmt__wire cmt__wire_legacy = {
  .msg_size = legacy_msg_size,
  .write_msg = legacy_write_msg,
  .limit = legacy_limit,
  .decode = legacy_decode,
  .header = legacy_header,
  .opens = legacy_opens,
  .parting = {.base = ping, .len = sizeof ping},
  .pings = &pings,
};
