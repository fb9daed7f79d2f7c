/* SPDX-License-Identifier: Apache-2.0 */
/* Varints and cursors: what is read against a slow reading of the same bytes,
   and what is written against what was read. */

#include "fuzz.h"

#include <stdlib.h>

#include "base/bytes.h"

/* The varint at |b| by its definition: the bytes it takes, 0 for none. */
static size_t slow_varint(cmt_bytes b, uint64_t *out) {
  uint64_t value = 0;

  for (size_t i = 0; i < b.len && i < 10; i++) {
    for (unsigned bit = 0; bit < 7; bit++) {
      if ((b.base[i] >> bit & 1) != 0 && 7 * i + bit < 64) {
        value += UINT64_C(1) << (7 * i + bit);
      }
    }
    if (b.base[i] < 128) {
      *out = value;
      return i + 1;
    }
  }
  return 0;
}

static void check_varint(cmt_bytes b) {
  cmt__reader r = cmt__reader_of(b);
  uint64_t fast = 0, slow = 0, prefix = 0;
  size_t taken = slow_varint(b, &slow);
  bool ok = cmt__read_varint(&r, &fast);
  int n = cmt__read_prefix(b.base, b.len, &prefix);

  FUZZ_CHECK(ok == (taken > 0) && r.failed == !ok);
  if (ok) {
    FUZZ_CHECK(fast == slow && (size_t)(r.at - b.base) == taken);
  }
  /* A prefix is stricter in its tenth byte, and knows an unfinished one. */
  if (n > 0) {
    FUZZ_CHECK(ok && prefix == slow && (size_t)n == taken);
  } else if (n == 0) {
    FUZZ_CHECK(!ok && b.len < 10);
  } else {
    FUZZ_CHECK(b.len >= 10 && b.base[9] > 1);
  }
}

static void check_write(uint64_t v) {
  uint8_t room[10];
  size_t size = cmt__varint_size(v);
  uint64_t back = 0;

  for (size_t cap = 0; cap <= sizeof room; cap++) {
    cmt__writer w = {.at = room, .end = room + cap};

    cmt__write_varint(&w, v);
    FUZZ_CHECK(w.failed == (cap < size));
    FUZZ_CHECK((size_t)(w.at - room) == (w.failed ? 0 : size));
  }
  FUZZ_CHECK(slow_varint((cmt_bytes){room, size}, &back) == size && back == v);
}

static void write_field(cmt__writer *w, const cmt__field *f) {
  if (f->type == CMT__WIRE_VARINT) {
    cmt__write_uint(w, (uint32_t)f->number, f->value);
  } else if (f->type == CMT__WIRE_BYTES) {
    cmt__write_bytes(w, (uint32_t)f->number, f->bytes);
  }
}

/* Writes a field and reads it again. */
static void check_field(const cmt__field *f) {
  size_t size = f->type == CMT__WIRE_VARINT
                  ? cmt__uint_size((uint32_t)f->number, f->value)
                : f->type == CMT__WIRE_BYTES
                  ? cmt__bytes_size((uint32_t)f->number, f->bytes)
                  : 0;
  uint8_t *room = malloc(size + 1);
  cmt__writer w = {.at = room, .end = room + size};
  cmt__reader r;
  cmt__field back;

  FUZZ_CHECK(room != NULL);
  write_field(&w, f);
  FUZZ_CHECK(!w.failed && w.at == w.end);
  r = cmt__reader_of((cmt_bytes){room, size});
  if (size > 0) {
    FUZZ_CHECK(cmt__read_field(&r, &back) && r.at == r.end);
    FUZZ_CHECK(back.number == f->number && back.type == f->type);
    FUZZ_CHECK(back.value == f->value && fuzz_same(back.bytes, f->bytes));
    w = (cmt__writer){.at = room, .end = room + size - 1};
    write_field(&w, f);
    FUZZ_CHECK(w.failed && w.at <= w.end);
  }
  free(room);
}

static void check_fields(cmt_bytes in) {
  cmt__reader r = cmt__reader_of(in);
  const uint8_t *before = r.at;
  cmt__field f;

  while (cmt__read_field(&r, &f)) {
    FUZZ_CHECK(r.at > before && r.at <= r.end);
    FUZZ_CHECK(f.number >= 1 && f.number <= INT32_MAX);
    FUZZ_CHECK(f.bytes.len == 0 || (f.bytes.base >= in.base &&
                                    f.bytes.base + f.bytes.len <= r.end));
    check_field(&f);
    before = r.at;
  }
  FUZZ_CHECK(r.failed || r.at == r.end);
  FUZZ_CHECK(!cmt__read_field(&r, &f));
}

/* The escaped text is printable, returns its whole length, and is never cut
   inside an escape. */
static void check_escape(cmt_bytes in, size_t cap) {
  char *text = malloc(cap + 1), *whole;
  size_t len = cmt_text_escape(in, text, cap), shown;

  FUZZ_CHECK(text != NULL && len >= in.len && len <= 4 * in.len);
  whole = malloc(len + 1);
  FUZZ_CHECK(whole != NULL && cmt_text_escape(in, whole, len + 1) == len);
  FUZZ_CHECK(strlen(whole) == len);
  if (cap > 0) {
    shown = strlen(text);
    FUZZ_CHECK(shown < cap && memcmp(text, whole, shown) == 0);
    FUZZ_CHECK(len < cap ? shown == len : shown + 4 >= cap);
  }
  free(text);
  free(whole);
}

static void check_buf(cmt_bytes in) {
  fuzz_env e;
  cmt_buf *b, *again;

  fuzz_env_init(&e);
  b = cmt_buf_copy(&e.env, in.base, in.len);
  FUZZ_CHECK(b != NULL && fuzz_same(cmt_buf_bytes(b), in));
  again = cmt_buf_ref(b);
  cmt_buf_unref(b);
  FUZZ_CHECK(again == b && fuzz_same(cmt_buf_bytes(again), in));
  cmt_buf_unref(again);
  e.fail_at = e.allocs;
  FUZZ_CHECK(cmt_buf_new(&e.env, in.len) == NULL);
  fuzz_env_fini(&e);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  uint8_t *copy = fuzz_copy((cmt_bytes){data, size});
  cmt_bytes in = {.base = copy, .len = size};
  uint64_t v = 0;

  for (size_t i = 0; i <= size && i < 32; i++) {
    check_varint((cmt_bytes){copy + i, size - i});
  }
  (void)slow_varint(in, &v);
  check_write(v);
  check_fields(in);
  check_escape(in, size > 0 ? copy[0] : 0);
  check_buf(in);
  free(copy);
  return 0;
}
