/* SPDX-License-Identifier: Apache-2.0 */
#include "fields.h"

/* Tags of PacketMsg. */
enum { TAG_CHANNEL = 0x08, TAG_EOF = 0x10, TAG_DATA = 0x1a };

/* ---- whole ---- */

uint8_t *cmt__msg_fields_put(uint8_t *at, uint8_t channel, bool eof,
                             size_t len) {
  if (channel != 0) {
    *at++ = TAG_CHANNEL;
    at = cmt__varint_put(at, channel);
  }
  if (eof) {
    *at++ = TAG_EOF;
    *at++ = 1;
  }
  if (len > 0) {
    *at++ = TAG_DATA;
    at = cmt__varint_put(at, len);
  }
  return at;
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

/* ---- as a header ---- */

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
