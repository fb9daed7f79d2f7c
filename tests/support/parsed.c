/* SPDX-License-Identifier: Apache-2.0 */
#include "parsed.h"

#include <stdlib.h>

void parsed_init(parsed *p) {
  memset(p, 0, offsetof(parsed, bytes));
  p->len = p->begun = 0;
  p->err = CMT_EAGAIN;
  p->copied = p->most_copied = 0;
}

static bool packet_same(const cmt__packet *a, const cmt__packet *b) {
  return a->kind == b->kind && a->channel == b->channel && a->eof == b->eof &&
         a->data.len == b->data.len &&
         (a->data.len == 0 ||
          memcmp(a->data.base, b->data.base, a->data.len) == 0);
}

bool parsed_packets_same(const parsed *a, const parsed *b) {
  if (a->count != b->count) {
    return false;
  }
  for (size_t i = 0; i < a->count; i++) {
    if (!packet_same(&a->list[i], &b->list[i])) {
      return false;
    }
  }
  return true;
}

void parsed_part(parsed *p, const cmt__packet *k, uint64_t copied) {
  if (k->kind == CMT__PACKET_MSG && k->first) {
    p->begun = p->len;
  }
  if (k->kind != CMT__PACKET_MSG) {
    p->begun = p->len;
    assert_int_equal(0, k->data.len);
  }
  assert_true(p->len + k->data.len <= PARSED_BYTES_MAX);
  if (k->data.len > 0) {
    memcpy(p->bytes + p->len, k->data.base, k->data.len);
  }
  p->len += k->data.len;
  if (k->kind == CMT__PACKET_MSG && !k->last) {
    return;
  }
  assert_true(p->count < PARSED_PACKETS_MAX);
  p->list[p->count] = *k;
  p->list[p->count].data =
    (cmt_bytes){.base = p->bytes + p->begun, .len = p->len - p->begun};
  if (k->kind == CMT__PACKET_MSG) {
    assert_int_equal(k->total, p->len - p->begun);
  }
  p->count++;
  p->most_copied = cmt__max(p->most_copied, copied - p->copied);
  p->copied = copied;
}

void parsed_run(parsed *out, cmt__packet_parser *p, cmt_bytes in,
                parsed_next next, void *arg) {
  parsed_init(out);
  while (in.len > 0 && out->err == CMT_EAGAIN) {
    size_t n = cmt__min(next(arg), in.len);
    uint8_t *piece = malloc(n);
    cmt_bytes left = {.base = piece, .len = n};
    cmt__packet k;

    memcpy(piece, in.base, n);
    while ((out->err = cmt__packet_next(p, NULL, &left, &k)) == CMT_OK) {
      parsed_part(out, &k, p->copied);
    }
    if (out->err == CMT_EAGAIN) {
      assert_int_equal(0, left.len);
    }
    free(piece);
    in.base += n;
    in.len -= n;
  }
  cmt__packet_parser_fini(p, NULL);
}

void parsed_cut(parsed *out, size_t payload_max, cmt_bytes in, parsed_next next,
                void *arg) {
  cmt__packet_parser p;

  cmt__packet_parser_init(&p, test_wire(), payload_max);
  parsed_run(out, &p, in, next, arg);
}

size_t parsed_next_whole(void *arg) {
  (void)arg;
  return SIZE_MAX;
}

size_t parsed_next_byte(void *arg) {
  (void)arg;
  return 1;
}

size_t parsed_next_split(void *arg) {
  size_t first = *(size_t *)arg;

  *(size_t *)arg = SIZE_MAX;
  return first;
}
