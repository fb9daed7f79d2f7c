/* SPDX-License-Identifier: Apache-2.0 */

#include "msg_reader.h"

enum { VARINT_MAX = 10, GROUP_DEPTH_MAX = 64 };

/* Surplus bits of the tenth byte are dropped, as in the reference. */
static bool read_varint(cmt_bytes *r, uint64_t *out) {
  *out = 0;
  for (unsigned i = 0; i < VARINT_MAX && r->len > 0; i++) {
    uint8_t byte = *r->base++;

    r->len--;
    *out |= (uint64_t)(byte & 0x7f) << 7 * i;
    if (byte < 0x80) {
      return true;
    }
  }
  return false;
}

static bool read_run(cmt_bytes *r, uint64_t len, cmt_bytes *out) {
  if (len > r->len) {
    return false;
  }
  *out = (cmt_bytes){.base = r->base, .len = (size_t)len};
  if (len > 0) {
    r->base += len;
    r->len -= (size_t)len;
  }
  return true;
}

static bool read_value(cmt_bytes *r, cmt__msg_member *out) {
  uint64_t len;

  switch (out->type) {
  case CMT__MSG_VARINT:
    return read_varint(r, &out->value);
  case CMT__MSG_FIXED64:
    return read_run(r, 8, &out->bytes);
  case CMT__MSG_BYTES:
    return read_varint(r, &len) && read_run(r, len, &out->bytes);
  case CMT__MSG_FIXED32:
    return read_run(r, 4, &out->bytes);
  default:
    return false;
  }
}

/* Skips the rest of a group.  As in the reference, numbers of starts and ends
   are not compared. */
static bool skip_group(cmt_bytes *r) {
  unsigned depth = 1;

  while (depth > 0) {
    cmt__msg_member inner;
    uint64_t tag;

    if (!read_varint(r, &tag)) {
      return false;
    }
    inner = (cmt__msg_member){.type = (unsigned)(tag & 7)};
    if (inner.type == CMT__MSG_GROUP) {
      depth++;
    } else if (inner.type == CMT__MSG_GROUP_END) {
      depth--;
    } else if (!read_value(r, &inner)) {
      return false;
    }
    if (depth > GROUP_DEPTH_MAX) {
      return false;
    }
  }
  return true;
}

bool cmt__msg_field(cmt_bytes *r, cmt__msg_member *out) {
  uint64_t tag;

  if (!read_varint(r, &tag)) {
    return false;
  }
  *out = (cmt__msg_member){.number = tag >> 3, .type = (unsigned)(tag & 7)};
  if (out->number == 0 || out->number > INT32_MAX) {
    return false;
  }
  return out->type == CMT__MSG_GROUP ? skip_group(r) : read_value(r, out);
}

bool cmt__msg_known(cmt_bytes *r, const unsigned *types, unsigned known,
                    cmt__msg_member *out) {
  return cmt__msg_field(r, out) &&
         (out->number > known || out->type == types[out->number - 1]);
}
