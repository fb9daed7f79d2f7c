/* SPDX-License-Identifier: Apache-2.0 */
/* Packets of the legacy profile: one type byte, and after that of a message its
   fields with their length before them.  docs/LEGACY.md, "MConnection". */

#include "wire.h"

enum { TYPE_PING = 1, TYPE_PONG = 2, TYPE_MSG = 3 };

static const uint8_t ping[] = {TYPE_PING};
static const uint8_t pong[] = {TYPE_PONG};

static size_t legacy_msg_size(uint8_t channel, bool eof, size_t len) {
  size_t fields = cmt__msg_fields_size(channel, eof, len);

  return 1 + cmt__varint_size(fields) + fields;
}

static void legacy_write_msg(cmt__batch *r, uint8_t channel, bool eof,
                             cmt_bytes data) {
  uint8_t header[CMT__PACKET_HEADER_MAX] = {TYPE_MSG};
  cmt__writer w = {.at = header + 1, .end = header + sizeof header};

  cmt__write_varint(&w, cmt__msg_fields_size(channel, eof, data.len));
  cmt__msg_fields_write(&w, channel, eof, data.len);
  CMT_ASSERT(r->env, !w.failed);
  cmt__batch_write(r, header, (size_t)(w.at - header));
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
    return type > TYPE_MSG ? CMT__HEADER_FOREIGN : CMT__HEADER_BAD;
  }
  *out = (cmt__header){
    .size = 1,
    .packet.kind = type == TYPE_PING ? CMT__PACKET_PING : CMT__PACKET_PONG,
  };
  return CMT__HEADER_PACKET;
}

const cmt__wire cmt__wire_legacy = {
  .ping = {.base = ping, .len = sizeof ping},
  .pong = {.base = pong, .len = sizeof pong},
  .parting = {.base = ping, .len = sizeof ping},
  .msg_size = legacy_msg_size,
  .write_msg = legacy_write_msg,
  .limit = legacy_limit,
  .decode = legacy_decode,
  .header = legacy_header,
  .pings = &cmt__ping_legacy_rules,
};

const cmt__wire *cmt__wire_of(cmt_wire wire) {
  switch (wire) {
  case CMT_WIRE_COMETBFT:
    return &cmt__wire_cometbft;
  case CMT_WIRE_LEGACY:
    return &cmt__wire_legacy;
  }
  return NULL;
}
