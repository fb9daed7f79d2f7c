/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__BYTES_H
#define CMT__BYTES_H

/* One bounded cursor for reading and one for writing varints and protobuf.
   docs/PROTOCOL.md section 0.  Both remember their first failure, so that a
   sequence of calls needs one check at its end. */

#include "base.h"

typedef struct cmt__reader {
  const uint8_t *at, *end;
  bool failed;
} cmt__reader;

typedef enum cmt__wire_type {
  CMT__WIRE_VARINT = 0,
  CMT__WIRE_FIXED64 = 1,
  CMT__WIRE_BYTES = 2,
  CMT__WIRE_GROUP = 3, /* A whole unknown group, already skipped. */
  CMT__WIRE_FIXED32 = 5,
} cmt__wire_type;

typedef struct cmt__field {
  uint64_t number; /* 1 and up. */
  cmt__wire_type type;
  uint64_t value;  /* The value of a varint. */
  cmt_bytes bytes; /* The content of a length-delimited field. */
} cmt__field;

static inline cmt__reader cmt__reader_of(cmt_bytes b) {
  return (cmt__reader){.at = b.base, .end = b.len ? b.base + b.len : b.base};
}

/* A varint inside a message: at most 10 bytes, surplus bits of the tenth are
   dropped.  False, and |r| failed, when there is none. */
bool cmt__read_varint(cmt__reader *r, uint64_t *out);

/* The next field of a message.  False at the end and on a malformed field;
   |r|->failed distinguishes them. */
bool cmt__read_field(cmt__reader *r, cmt__field *out);

/* The length before a delimited message, from the |len| bytes at |data|: a
   varint of at most 10 bytes whose tenth is at most 1.  Returns the bytes of
   the varint, 0 when |len| bytes are too few, -1 when malformed. */
int cmt__read_prefix(const uint8_t *data, size_t len, uint64_t *out);

typedef struct cmt__writer {
  uint8_t *at, *end;
  bool failed; /* It did not fit; nothing after that was written. */
} cmt__writer;

/* A seventh of the bits, rounded up: exact for up to 64 of them. */
static inline size_t cmt__varint_size(uint64_t v) {
  unsigned bits = 64 - (unsigned)__builtin_clzll(v | 1);

  return (bits * 9 + 64) / 64;
}

/* Writes |v| to |at|, where cmt__varint_size() bytes are free; returns the end
   of them. */
static inline uint8_t *cmt__varint_put(uint8_t *at, uint64_t v) {
  while (v >= 0x80) {
    *at++ = (uint8_t)(v | 0x80);
    v >>= 7;
  }
  *at++ = (uint8_t)v;
  return at;
}

void cmt__write_varint(cmt__writer *w, uint64_t v);
void cmt__write_raw(cmt__writer *w, cmt_bytes b);
void cmt__write_tag(cmt__writer *w, uint32_t number, cmt__wire_type type);
void cmt__write_uint(cmt__writer *w, uint32_t number, uint64_t v);
void cmt__write_bytes(cmt__writer *w, uint32_t number, cmt_bytes b);

/* Sizes of what the two above write, which leave out 0 and empty bytes. */
size_t cmt__uint_size(uint32_t number, uint64_t v);
size_t cmt__bytes_size(uint32_t number, cmt_bytes b);

#endif
