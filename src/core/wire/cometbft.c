/* SPDX-License-Identifier: Apache-2.0 */
/* The profile of CometBFT, v0.34 and later: packets are protobuf messages with
   their length before them.  A ping goes out each interval whatever the
   traffic, and a pong answers every ping; pings that wait for one batch share
   it. */

#include "profile.h"

/* Tags of Packet. */
enum { TAG_PING = 0x0a, TAG_PONG = 0x12, TAG_MSG = 0x1a };

/* ---- writing ---- */

static size_t cometbft_msg_size(uint8_t channel, bool eof, size_t len) {
  size_t inner = cmt__msg_fields_size(channel, eof, len);
  size_t body = 1 + cmt__varint_size(inner) + inner;

  return cmt__varint_size(body) + body;
}

static void cometbft_write_msg(cmt__batch *r, uint8_t channel, bool eof,
                               cmt_bytes data) {
  uint8_t header[CMT__MSG_HEADER_MAX], *at = header;
  size_t inner = cmt__msg_fields_size(channel, eof, data.len);

  CMT_ASSERT(r->env, data.len < CMT__MSG_DATA_LIMIT);
  at = cmt__varint_put(at, 1 + cmt__varint_size(inner) + inner);
  *at++ = TAG_MSG;
  at = cmt__varint_put(at, inner);
  at = cmt__msg_fields_put(at, channel, eof, data.len);
  cmt__batch_write(r, header, (size_t)(at - header));
  cmt__batch_write(r, data.base, data.len);
}

static size_t cometbft_limit(size_t payload_max) {
  size_t inner = cmt__msg_fields_size(1, true, payload_max);

  return 1 + cmt__varint_size(inner) + inner;
}

/* ---- the general form ---- */

/* True when |in| is a well-formed message of unknown fields only. */
static bool fields_skip(cmt_bytes in) {
  cmt__reader r = cmt__reader_of(in);
  cmt__field f;

  while (cmt__read_field(&r, &f)) {
  }
  return !r.failed;
}

static cmt_err msg_decode(cmt_bytes in, cmt__packet *out) {
  uint32_t channel, eof;

  if (!cmt__msg_fields_decode(in, out, &channel, &eof)) {
    return CMT_EPROTO;
  }
  return channel > UINT8_MAX ? CMT_EUNKNOWNCHANNEL : CMT_OK;
}

/* The last member of the oneof wins, and a malformed one before it counts; an
   id over 255 counts only in the one that wins. */
static cmt_err cometbft_decode(cmt_bytes body, cmt__packet *out) {
  cmt__reader r = cmt__reader_of(body);
  cmt_err err = CMT_EPROTO; /* Without a member. */
  cmt__field f;

  while (cmt__read_field(&r, &f)) {
    if (f.number < 1 || f.number > 3) {
      continue;
    }
    if (f.type != CMT__WIRE_BYTES) {
      return CMT_EPROTO;
    }
    if (f.number == 3) {
      err = msg_decode(f.bytes, out);
    } else {
      *out = (cmt__packet){.kind = f.number == 1 ? CMT__PACKET_PING
                                                 : CMT__PACKET_PONG};
      err = fields_skip(f.bytes) ? CMT_OK : CMT_EPROTO;
    }
    if (err == CMT_EPROTO) {
      return err;
    }
  }
  return r.failed ? CMT_EPROTO : err;
}

/* ---- headers in the usual form ---- */

static cmt__header_kind header_member(cmt__peek *k, size_t body,
                                      cmt__packet *out) {
  uint64_t inner;
  int n;

  if (k->end - k->at < 2) {
    return CMT__HEADER_MORE;
  }
  if (body == 2 && k->at[1] == 0 &&
      (k->at[0] == TAG_PING || k->at[0] == TAG_PONG)) {
    *out = (cmt__packet){.kind = k->at[0] == TAG_PING ? CMT__PACKET_PING
                                                      : CMT__PACKET_PONG};
    k->at += 2;
    return CMT__HEADER_PACKET;
  }
  if (k->at[0] != TAG_MSG) {
    return CMT__HEADER_GENERAL;
  }
  n = cmt__read_prefix(k->at + 1, (size_t)(k->end - k->at - 1), &inner);
  if (n == 0) {
    return CMT__HEADER_MORE;
  }
  if (n < 0 || body < (size_t)n + 1 || inner != body - (size_t)n - 1) {
    return CMT__HEADER_GENERAL;
  }
  k->at += 1 + n;
  return cmt__peek_fields(k, (size_t)inner, out);
}

static cmt__header_kind cometbft_header(cmt_bytes in, size_t limit,
                                        cmt__header *out) {
  cmt__peek k;
  uint64_t body;
  int n = cmt__read_prefix(in.base, in.len, &body);

  if (n == 0) {
    return CMT__HEADER_MORE;
  }
  /* One byte is a tag without what it announces. */
  if (n < 0 || body < 2 || body > limit + 1) {
    return CMT__HEADER_BAD;
  }
  out->size = (size_t)n;
  out->body = (size_t)body;
  k = cmt__peek_body(in, out);
  return cmt__peek_done(in, &k, header_member(&k, out->body, &out->packet),
                        out);
}

/* ---- pings ---- */

static uint64_t cometbft_deadline(const cmt__ping *p) { return p->at_ns; }

static bool cometbft_tick(cmt__ping *p, uint64_t now_ns) {
  if (now_ns < p->at_ns) {
    return false;
  }
  p->at_ns = cmt__after(now_ns, p->interval_ns);
  if (p->state == CMT__PING_IDLE) {
    p->state = CMT__PING_DUE;
    p->watch_ns = now_ns;
  }
  return true;
}

static cmt_err cometbft_ping_came(cmt__ping *p, uint64_t now_ns) {
  (void)now_ns;
  p->pong = CMT__PONG_DUE;
  return CMT_OK;
}

/* ---- the table ---- */

/* A ping, an unsolicited pong, or a message of at least four bytes.  First byte
   1 is a legacy ping; here it would announce a packet of one byte, which is
   never valid.  First byte 3 is a legacy message; a packet of three bytes can
   be valid here, but no node begins with one. */
static bool cometbft_opens(uint8_t first) { return first == 2 || first > 3; }

static const uint8_t ping[] = {2, TAG_PING, 0};
static const uint8_t pong[] = {2, TAG_PONG, 0};
/* A ping with an unknown field.  It is longer than the usual one, whose first
   byte may be a whole packet elsewhere. */
static const uint8_t parting[] = {4, TAG_PING, 2, 0x08, 0};

static const cmt__ping_rules pings = {
  .ping = {.base = ping, .len = sizeof ping},
  .pong = {.base = pong, .len = sizeof pong},
  .deadline = cometbft_deadline,
  .tick = cometbft_tick,
  .ping_came = cometbft_ping_came,
};

const cmt__wire cmt__wire_cometbft = {
  .msg_size = cometbft_msg_size,
  .write_msg = cometbft_write_msg,
  .limit = cometbft_limit,
  .decode = cometbft_decode,
  .header = cometbft_header,
  .opens = cometbft_opens,
  .parting = {.base = parting, .len = sizeof parting},
  .pings = &pings,
};
