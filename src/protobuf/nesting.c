/* SPDX-License-Identifier: Apache-2.0 */

/* A walk over the tags of a message. protobuf-c calls itself for each message
   inside a message and has no limit: 20 KB of a recursive type would use up a
   stack of 8 MiB.

   What is refused here protobuf-c would refuse as well, and what protobuf-c
   reads as a message is one here; otherwise the two could disagree about the
   depth.  In protobuf-c a tag has at most 5 bytes, a length too, a varint
   10. */

#include "nesting.h"

#include <string.h>

enum {
  WIRE_VARINT = 0,
  WIRE_64 = 1,
  WIRE_BYTES = 2,
  WIRE_32 = 5,
  SHORT_VARINT = 5, /* Bytes of a tag or a length. */
  LONG_VARINT = 10,
};

typedef struct cursor {
  const uint8_t *at;
  size_t left;
} cursor;

static bool skip(cursor *c, size_t len) {
  if (len > c->left) {
    return false;
  }
  c->at += len;
  c->left -= len;
  return true;
}

/* The value is only needed where the varint has at most SHORT_VARINT bytes. */
static bool read_varint(cursor *c, size_t size_max, uint64_t *out) {
  *out = 0;
  for (size_t i = 0; i < size_max && i < c->left; i++) {
    if (i < SHORT_VARINT) {
      *out |= (uint64_t)(c->at[i] & 0x7f) << 7 * i;
    }
    if ((c->at[i] & 0x80) == 0) {
      return skip(c, i + 1);
    }
  }
  return false;
}

/* The bytes of a field; empty unless it is length-delimited. */
static bool read_value(cursor *c, unsigned wire, cmt_bytes *out) {
  uint64_t value;

  *out = (cmt_bytes){.len = 0};
  switch (wire) {
  case WIRE_VARINT:
    return read_varint(c, LONG_VARINT, &value);
  case WIRE_64:
    return skip(c, 8);
  case WIRE_32:
    return skip(c, 4);
  case WIRE_BYTES:
    if (!read_varint(c, SHORT_VARINT, &value) || value > c->left) {
      return false;
    }
    *out = (cmt_bytes){.base = c->at, .len = (size_t)value};
    return skip(c, (size_t)value);
  default:
    return false;
  }
}

static bool holds_messages(const ProtobufCMessageDescriptor *type) {
  for (unsigned i = 0; i < type->n_fields; i++) {
    if (type->fields[i].type == PROTOBUF_C_TYPE_MESSAGE) {
      return true;
    }
  }
  return false;
}

/* The type of the message that the field |number| is; NULL: it is none. */
static const ProtobufCMessageDescriptor *
message_type(const ProtobufCMessageDescriptor *type, uint64_t number) {
  const ProtobufCFieldDescriptor *f =
    protobuf_c_message_descriptor_get_field(type, (unsigned)number);

  return f != NULL && f->type == PROTOBUF_C_TYPE_MESSAGE ? f->descriptor : NULL;
}

cmt__nesting cmt__nesting_check(cmt_bytes packed,
                                const ProtobufCMessageDescriptor *type,
                                unsigned depth_max) {
  cursor c = {.at = packed.base, .left = packed.len};

  if (depth_max == 0) {
    return CMT__NESTING_TOO_DEEP;
  }
  if (!holds_messages(type)) {
    return CMT__NESTING_FINE; /* protobuf-c checks the rest. */
  }
  while (c.left > 0) {
    const ProtobufCMessageDescriptor *inner;
    cmt__nesting found;
    cmt_bytes value;
    uint64_t tag;

    if (!read_varint(&c, SHORT_VARINT, &tag) ||
        !read_value(&c, (unsigned)tag & 7, &value)) {
      return CMT__NESTING_MALFORMED;
    }
    inner = (tag & 7) == WIRE_BYTES ? message_type(type, tag >> 3) : NULL;
    found = inner != NULL ? cmt__nesting_check(value, inner, depth_max - 1)
                          : CMT__NESTING_FINE;
    if (found != CMT__NESTING_FINE) {
      return found;
    }
  }
  return CMT__NESTING_FINE;
}
