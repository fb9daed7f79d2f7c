/* SPDX-License-Identifier: Apache-2.0 */

/* Varints and protobuf fields.  A cursor never passes its end; once it has
   failed, every later call fails too. */

#include "bytes.h"

enum {
  VARINT_MAX = 10,
  GROUP_DEPTH_MAX = 64, /* No message nests; bounds a hostile one. */
  WIRE_GROUP_END = 4,
  FIELD_NUMBER_MAX = INT32_MAX,
};

static bool reader_fail(cmt__reader *r) {
  r->failed = true;
  return false;
}

static size_t reader_left(const cmt__reader *r) {
  return r->at == r->end ? 0 : (size_t)(r->end - r->at);
}

static bool read_run(cmt__reader *r, uint64_t len, cmt_bytes *out) {
  if (r->failed || len > reader_left(r)) {
    return reader_fail(r);
  }
  *out = (cmt_bytes){.base = r->at, .len = (size_t)len};
  if (len > 0) {
    r->at += len;
  }
  return true;
}

/* Reads the value of a field of any type but the group's two. */
static bool read_plain(cmt__reader *r, unsigned type, cmt__field *out) {
  cmt_bytes fixed;
  uint64_t len;

  switch (type) {
  case CMT__WIRE_VARINT:
    return cmt__read_varint(r, &out->value);
  case CMT__WIRE_FIXED64:
    return read_run(r, 8, &fixed);
  case CMT__WIRE_BYTES:
    return cmt__read_varint(r, &len) && read_run(r, len, &out->bytes);
  case CMT__WIRE_FIXED32:
    return read_run(r, 4, &fixed);
  default:
    return reader_fail(r);
  }
}

/* Skips the rest of a group whose start has been read.  As in the reference,
   numbers of starts and ends are not compared. */
static bool skip_group(cmt__reader *r) {
  cmt__field ignored;
  unsigned depth = 1;
  uint64_t tag;

  while (depth > 0) {
    if (!cmt__read_varint(r, &tag)) {
      return false;
    }
    if ((tag & 7) == CMT__WIRE_GROUP) {
      depth++;
    } else if ((tag & 7) == WIRE_GROUP_END) {
      depth--;
    } else if (!read_plain(r, tag & 7, &ignored)) {
      return false;
    }
    if (depth > GROUP_DEPTH_MAX) {
      return reader_fail(r);
    }
  }
  return true;
}

bool cmt__read_varint(cmt__reader *r, uint64_t *out) {
  uint64_t value = 0;
  uint8_t byte;

  for (unsigned i = 0; i < VARINT_MAX; i++) {
    if (r->failed || r->at == r->end) {
      return reader_fail(r);
    }
    byte = *r->at++;
    value |= (uint64_t)(byte & 0x7f) << 7 * i;
    if (byte < 0x80) {
      *out = value;
      return true;
    }
  }
  return reader_fail(r);
}

bool cmt__read_field(cmt__reader *r, cmt__field *out) {
  uint64_t tag;

  if (r->failed || r->at == r->end || !cmt__read_varint(r, &tag)) {
    return false;
  }
  *out = (cmt__field){.number = tag >> 3, .type = (cmt__wire_type)(tag & 7)};
  if (out->number == 0 || out->number > FIELD_NUMBER_MAX) {
    return reader_fail(r);
  }
  if (out->type == CMT__WIRE_GROUP) {
    return skip_group(r);
  }
  return read_plain(r, out->type, out);
}

int cmt__read_prefix(const uint8_t *data, size_t len, uint64_t *out) {
  uint64_t value = 0;

  for (unsigned i = 0; i < len && i < VARINT_MAX - 1; i++) {
    value |= (uint64_t)(data[i] & 0x7f) << 7 * i;
    if (data[i] < 0x80) {
      *out = value;
      return (int)i + 1;
    }
  }
  if (len < VARINT_MAX) {
    return 0;
  }
  if (data[VARINT_MAX - 1] > 1) {
    return -1;
  }
  *out = value | (uint64_t)data[VARINT_MAX - 1] << 7 * (VARINT_MAX - 1);
  return VARINT_MAX;
}

static bool writer_has(cmt__writer *w, size_t len) {
  if (w->failed || len > (size_t)(w->end - w->at)) {
    w->failed = true;
    return false;
  }
  return true;
}

static uint64_t tag_of(uint32_t number, cmt__wire_type type) {
  return (uint64_t)number << 3 | (uint64_t)type;
}

void cmt__write_varint(cmt__writer *w, uint64_t v) {
  if (writer_has(w, cmt__varint_size(v))) {
    w->at = cmt__varint_put(w->at, v);
  }
}

void cmt__write_raw(cmt__writer *w, cmt_bytes b) {
  if (b.len > 0 && writer_has(w, b.len)) {
    memcpy(w->at, b.base, b.len);
    w->at += b.len;
  }
}

void cmt__write_tag(cmt__writer *w, uint32_t number, cmt__wire_type type) {
  cmt__write_varint(w, tag_of(number, type));
}

void cmt__write_uint(cmt__writer *w, uint32_t number, uint64_t v) {
  if (v != 0) {
    cmt__write_tag(w, number, CMT__WIRE_VARINT);
    cmt__write_varint(w, v);
  }
}

void cmt__write_bytes(cmt__writer *w, uint32_t number, cmt_bytes b) {
  if (b.len > 0) {
    cmt__write_tag(w, number, CMT__WIRE_BYTES);
    cmt__write_varint(w, b.len);
    cmt__write_raw(w, b);
  }
}

size_t cmt__uint_size(uint32_t number, uint64_t v) {
  if (v == 0) {
    return 0;
  }
  return cmt__varint_size(tag_of(number, CMT__WIRE_VARINT)) +
         cmt__varint_size(v);
}

size_t cmt__bytes_size(uint32_t number, cmt_bytes b) {
  if (b.len == 0) {
    return 0;
  }
  return cmt__varint_size(tag_of(number, CMT__WIRE_BYTES)) +
         cmt__varint_size(b.len) + b.len;
}
