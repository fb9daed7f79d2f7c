/* SPDX-License-Identifier: Apache-2.0 */
/* Packets on the stream.  The parser never looks at a byte twice unless a
   header was cut by the end of the input: then at most 24 bytes are kept.
   Data goes from the input to the caller without a stop.  Only packets in an
   unusual, legal form are gathered whole before they are decoded. */

#include "packet.h"

#include "wire.h"

#include <cometp2p/secret_conn.h>

/* Tags of Packet and PacketMsg. */
enum {
  TAG_PING = 0x0a,
  TAG_PONG = 0x12,
  TAG_MSG = 0x1a,
  TAG_CHANNEL = 0x08,
  TAG_EOF = 0x10,
  TAG_DATA = 0x1a,
};

/* ---- writing ---- */

cmt__batch cmt__batch_frames(const cmt_env *env, uint8_t *base, size_t slots) {
  return (cmt__batch){.at = base + CMT_FRAME_HEADER,
                      .left = CMT_FRAME_DATA,
                      .segment = CMT_FRAME_DATA,
                      .gap = CMT_FRAME_SLOT - CMT_FRAME_DATA,
                      .cap = slots * CMT_FRAME_DATA,
                      .env = env};
}

cmt__batch cmt__batch_plain(const cmt_env *env, uint8_t *base, size_t cap) {
  return (cmt__batch){
    .at = base, .left = cap, .segment = cap, .cap = cap, .env = env};
}

void cmt__batch_write(cmt__batch *r, const uint8_t *data, size_t len) {
  CMT_ASSERT(r->env, len <= cmt__batch_room(r));
  r->len += len;
  while (len > 0) {
    size_t n;

    if (r->left == 0) {
      r->at += r->gap;
      r->left = r->segment;
    }
    n = cmt__min(len, r->left);
    memcpy(r->at, data, n);
    r->at += n;
    r->left -= n;
    data += n;
    len -= n;
  }
}

size_t cmt__msg_fields_size(uint8_t channel, bool eof, size_t len) {
  return cmt__uint_size(1, channel) + (eof ? 2 : 0) +
         (len > 0 ? 1 + cmt__varint_size(len) + len : 0);
}

void cmt__msg_fields_write(cmt__writer *w, uint8_t channel, bool eof,
                           size_t len) {
  cmt__write_uint(w, 1, channel);
  cmt__write_uint(w, 2, eof);
  if (len > 0) {
    cmt__write_tag(w, 3, CMT__WIRE_BYTES);
    cmt__write_varint(w, len);
  }
}

size_t cmt__packet_msg_size(uint8_t channel, bool eof, size_t len) {
  size_t inner = cmt__msg_fields_size(channel, eof, len);
  size_t body = 1 + cmt__varint_size(inner) + inner;

  return cmt__varint_size(body) + body;
}

void cmt__packet_write_msg(cmt__batch *r, uint8_t channel, bool eof,
                           cmt_bytes data) {
  uint8_t header[CMT__PACKET_HEADER_MAX];
  cmt__writer w = {.at = header, .end = header + sizeof header};
  size_t inner = cmt__msg_fields_size(channel, eof, data.len);

  cmt__write_varint(&w, 1 + cmt__varint_size(inner) + inner);
  cmt__write_tag(&w, 3, CMT__WIRE_BYTES);
  cmt__write_varint(&w, inner);
  cmt__msg_fields_write(&w, channel, eof, data.len);
  CMT_ASSERT(r->env, !w.failed);
  cmt__batch_write(r, header, (size_t)(w.at - header));
  cmt__batch_write(r, data.base, data.len);
}

static const uint8_t ping[CMT__PACKET_PING_SIZE] = {2, TAG_PING, 0};
static const uint8_t pong[CMT__PACKET_PING_SIZE] = {2, TAG_PONG, 0};

void cmt__packet_write_ping(cmt__batch *r) {
  cmt__batch_write(r, ping, sizeof ping);
}

void cmt__packet_write_pong(cmt__batch *r) {
  cmt__batch_write(r, pong, sizeof pong);
}

size_t cmt__packet_limit(size_t payload_max) {
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

bool cmt__msg_fields_decode(cmt_bytes in, cmt__packet *out, uint32_t *channel,
                            uint32_t *eof) {
  cmt__reader r = cmt__reader_of(in);
  cmt__field f;

  *channel = *eof = 0;
  *out = (cmt__packet){.kind = CMT__PACKET_MSG, .first = true, .last = true};
  while (cmt__read_field(&r, &f)) {
    if (f.number < 1 || f.number > 3) {
      continue;
    }
    if (f.type != (f.number == 3 ? CMT__WIRE_BYTES : CMT__WIRE_VARINT)) {
      return false;
    }
    if (f.number == 1) {
      *channel = (uint32_t)f.value; /* 32 bits take the low ones. */
    } else if (f.number == 2) {
      out->eof = f.value != 0;
      *eof = (uint32_t)f.value;
    } else {
      out->data = f.bytes;
    }
  }
  out->channel = (uint8_t)*channel;
  out->total = out->data.len;
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
cmt_err cmt__packet_decode(cmt_bytes body, cmt__packet *out) {
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

/* ---- the resumable parser ---- */

void cmt__wire_parser_init(cmt__packet_parser *p, const cmt__wire *wire,
                           size_t payload_max) {
  *p = (cmt__packet_parser){.wire = wire, .limit = wire->limit(payload_max)};
}

void cmt__packet_parser_init(cmt__packet_parser *p, size_t payload_max) {
  cmt__wire_parser_init(p, &cmt__wire_cometbft, payload_max);
}

void cmt__packet_parser_fini(cmt__packet_parser *p, const cmt_env *env) {
  cmt__free(env, p->scratch);
  p->scratch = NULL;
}

static bool peek_is(const cmt__peek *k, uint8_t byte) {
  return k->at < k->end && *k->at == byte;
}

cmt__header_kind cmt__peek_fields(cmt__peek *k, size_t inner,
                                  cmt__packet *out) {
  const uint8_t *start = k->at;
  uint64_t v = 0;
  int n;

  *out = (cmt__packet){.kind = CMT__PACKET_MSG, .first = true};
  if (peek_is(k, TAG_CHANNEL) && inner > 1) {
    n = cmt__read_prefix(k->at + 1, (size_t)(k->end - k->at - 1), &v);
    if (n == 0) {
      return CMT__HEADER_MORE;
    }
    if (n < 0 || v > UINT8_MAX) {
      return CMT__HEADER_GENERAL;
    }
    out->channel = (uint8_t)v;
    k->at += 1 + n;
  }
  if (peek_is(k, TAG_EOF) && inner > (size_t)(k->at - start) + 1) {
    if (k->end - k->at < 2) {
      return CMT__HEADER_MORE;
    }
    if (k->at[1] > 1) {
      return CMT__HEADER_GENERAL;
    }
    out->eof = k->at[1] == 1;
    k->at += 2;
  }
  if ((size_t)(k->at - start) == inner) {
    return CMT__HEADER_PACKET; /* No data. */
  }
  if ((size_t)(k->at - start) > inner) {
    return CMT__HEADER_GENERAL;
  }
  if (k->at == k->end) {
    return CMT__HEADER_MORE;
  }
  if (*k->at != TAG_DATA) {
    return CMT__HEADER_GENERAL;
  }
  n = cmt__read_prefix(k->at + 1, (size_t)(k->end - k->at - 1), &v);
  if (n == 0) {
    return CMT__HEADER_MORE;
  }
  k->at += 1 + (n > 0 ? n : 0);
  if (n < 0 || (size_t)(k->at - start) > inner ||
      v != inner - (size_t)(k->at - start)) {
    return CMT__HEADER_GENERAL;
  }
  out->total = (size_t)v;
  return CMT__HEADER_PACKET;
}

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

cmt__peek cmt__peek_body(cmt_bytes in, const cmt__header *h) {
  const uint8_t *at = in.base + h->size;

  return (cmt__peek){.at = at, .end = at + cmt__min(in.len - h->size, h->body)};
}

/* A header that the whole packet or 24 bytes do not settle is none of the usual
   form. */
cmt__header_kind cmt__peek_done(cmt_bytes in, const cmt__peek *k,
                                cmt__header_kind kind, cmt__header *h) {
  if (kind == CMT__HEADER_PACKET) {
    h->size = (size_t)(k->at - in.base);
  }
  if (kind == CMT__HEADER_MORE &&
      (in.len - h->size >= h->body || in.len >= CMT__PACKET_HEADER_MAX)) {
    return CMT__HEADER_GENERAL;
  }
  return kind;
}

static cmt__header_kind header_parse(cmt_bytes in, size_t limit,
                                     cmt__header *out) {
  cmt__peek k;
  uint64_t body;
  int n = cmt__read_prefix(in.base, in.len, &body);

  if (n == 0) {
    return CMT__HEADER_MORE;
  }
  if (n < 0 || body == 0 || body > limit + 1) {
    return CMT__HEADER_BAD;
  }
  out->size = (size_t)n;
  out->body = (size_t)body;
  k = cmt__peek_body(in, out);
  return cmt__peek_done(in, &k, header_member(&k, out->body, &out->packet),
                        out);
}

/* One byte over the limit is right only for the ids that cost one more. */
static bool packet_fits(const cmt__packet *k, size_t body, size_t limit) {
  return body <= limit || (k->kind == CMT__PACKET_MSG && k->channel >= 0x80);
}

static void bytes_skip(cmt_bytes *in, size_t n) {
  in->base += n;
  in->len -= n;
}

/* Gives out the part of the msg packet's data that is here. */
static cmt_err data_next(cmt__packet_parser *p, cmt_bytes *in,
                         cmt__packet *out) {
  size_t n = cmt__min(p->data_left, in->len);

  if (n == 0 && p->data_left > 0) {
    return CMT_EAGAIN;
  }
  p->data_left -= n;
  *out = p->msg;
  out->data = (cmt_bytes){.base = in->base, .len = n};
  out->last = p->data_left == 0;
  p->msg.first = false;
  p->in_data = !out->last;
  bytes_skip(in, n);
  return CMT_OK;
}

/* Begins to gather a packet of |h->body| bytes.  |head| is what was read of it
   so far, with the prefix. */
static cmt_err gather_start(cmt__packet_parser *p, const cmt_env *env,
                            const cmt__header *h, cmt_bytes head) {
  if (p->scratch == NULL) {
    p->scratch = cmt__alloc(env, p->limit + 1);
    if (p->scratch == NULL) {
      return CMT_ENOMEM;
    }
  }
  p->scratch_need = h->body;
  p->scratch_len = cmt__min(head.len - h->size, h->body);
  memcpy(p->scratch, head.base + h->size, p->scratch_len);
  return CMT_OK;
}

static cmt_err gather_next(cmt__packet_parser *p, cmt_bytes *in,
                           cmt__packet *out) {
  size_t n = cmt__min(p->scratch_need - p->scratch_len, in->len);
  cmt_err err;

  if (n > 0) {
    memcpy(p->scratch + p->scratch_len, in->base, n);
    p->copied += n;
    p->scratch_len += n;
    bytes_skip(in, n);
  }
  if (p->scratch_len < p->scratch_need) {
    return CMT_EAGAIN;
  }
  err = p->wire->decode((cmt_bytes){.base = p->scratch, .len = p->scratch_len},
                        out);
  if (err == CMT_OK && !packet_fits(out, p->scratch_need, p->limit)) {
    err = CMT_EPROTO;
  }
  p->scratch_need = 0;
  return err;
}

/* Acts on a header of |head|, whose first |kept| bytes were taken from the
   input before. */
static cmt_err header_done(cmt__packet_parser *p, cmt__header_kind kind,
                           const cmt__header *h, size_t kept, cmt_bytes *in) {
  p->header_len = 0;
  p->foreign = kind == CMT__HEADER_FOREIGN;
  if (kind == CMT__HEADER_BAD || kind == CMT__HEADER_FOREIGN ||
      (kind == CMT__HEADER_PACKET &&
       !packet_fits(&h->packet, h->body, p->limit))) {
    return CMT_EPROTO;
  }
  bytes_skip(in, h->size - kept);
  p->msg = h->packet;
  p->data_left = h->packet.total;
  p->in_data = h->packet.kind == CMT__PACKET_MSG;
  return CMT_OK;
}

/* Reads a header, from the input alone or with the bytes kept before it. */
static cmt_err header_next(cmt__packet_parser *p, const cmt_env *env,
                           cmt_bytes *in) {
  size_t kept = p->header_len;
  size_t n = cmt__min(sizeof p->header - kept, in->len);
  cmt_bytes head = *in;
  cmt__header_kind kind;
  cmt__header h;

  if (kept > 0) {
    memcpy(p->header + kept, in->base, n);
    head = (cmt_bytes){.base = p->header, .len = kept + n};
  }
  kind = p->wire->header(head, p->limit, &h);
  if (kind == CMT__HEADER_MORE) {
    /* Fewer than 24 bytes are here, or 24 would have settled it. */
    if (kept == 0) {
      memcpy(p->header, in->base, n);
    }
    p->copied += n;
    p->header_len = kept + n;
    bytes_skip(in, in->len);
    return CMT_EAGAIN;
  }
  if (kind != CMT__HEADER_GENERAL) {
    p->copied += kept > 0 && kind == CMT__HEADER_PACKET ? h.size - kept : 0;
    return header_done(p, kind, &h, kept, in);
  }
  /* Only what is kept counts as read: the input still has the rest. */
  if (kept < h.size) {
    bytes_skip(in, h.size - kept);
    head.len = h.size;
  } else {
    head.len = kept;
  }
  p->copied += head.len;
  p->header_len = 0;
  return gather_start(p, env, &h, head);
}

cmt_err cmt__packet_next(cmt__packet_parser *p, const cmt_env *env,
                         cmt_bytes *in, cmt__packet *out) {
  while (true) {
    cmt_err err;

    if (p->in_data) {
      return data_next(p, in, out);
    }
    if (p->scratch_need > 0) {
      return gather_next(p, in, out);
    }
    if (in->len == 0) {
      return CMT_EAGAIN;
    }
    err = header_next(p, env, in);
    if (err != CMT_OK) {
      return err;
    }
    if (p->scratch_need == 0 && !p->in_data) {
      *out = p->msg; /* A ping or a pong. */
      return CMT_OK;
    }
  }
}

/* ---- CometBFT's profile ---- */

/* A legacy ping is a packet of one byte, of which there are none; a legacy
   message would be one of three bytes, of which there are strange ones. */
static bool cometbft_is_foreign(uint8_t first, bool bad) {
  return first == 1 || (first == 3 && bad);
}

/* The usual ping would begin with a legacy pong; in this one the ping has an
   unknown field. */
static const uint8_t parting[] = {4, TAG_PING, 2, 0x08, 0};

const cmt__wire cmt__wire_cometbft = {
  .ping = {.base = ping, .len = sizeof ping},
  .pong = {.base = pong, .len = sizeof pong},
  .parting = {.base = parting, .len = sizeof parting},
  .msg_size = cmt__packet_msg_size,
  .write_msg = cmt__packet_write_msg,
  .limit = cmt__packet_limit,
  .decode = cmt__packet_decode,
  .header = header_parse,
  .is_foreign = cometbft_is_foreign,
  .pings = &cmt__ping_cometbft,
};
