/* SPDX-License-Identifier: Apache-2.0 */

/* What the first bytes of a packet are parsed as, as soon as that can be known,
   and how much of a packet that is cut in its header is kept. */

#include "core/wire/parser.h"
#include "core/wire/wire.h"
#include "test.h"

#include <stdlib.h>

enum { LIMIT = 1000 };

typedef struct header_row {
  cmt_wire wire;
  const char *hex;
  cmt__header_kind kind;
  size_t size, body; /* Unless there are too few bytes, or no packet. */
} header_row;

#define GO CMT_WIRE_COMETBFT
#define OLD CMT_WIRE_LEGACY

static const header_row rows[] = {
  /* Pings and pongs. */
  {GO, "02", CMT__HEADER_MORE, 0, 0},
  {GO, "020a", CMT__HEADER_MORE, 0, 0},
  {GO, "020a00", CMT__HEADER_PACKET, 3, 2},
  {GO, "021200", CMT__HEADER_PACKET, 3, 2},
  {GO, "020a01", CMT__HEADER_GENERAL, 1, 2},
  {GO, "030a00", CMT__HEADER_GENERAL, 1, 3},
  {GO, "040a020800", CMT__HEADER_GENERAL, 1, 4},
  {OLD, "01", CMT__HEADER_PACKET, 1, 0},
  {OLD, "02", CMT__HEADER_PACKET, 1, 0},
  {OLD, "00", CMT__HEADER_BAD, 0, 0},
  {OLD, "04", CMT__HEADER_UNKNOWN, 0, 0},
  /* Lengths: none has one byte, and the last may be over the limit by one. */
  {GO, "00", CMT__HEADER_BAD, 0, 0},
  {GO, "01", CMT__HEADER_BAD, 0, 0},
  {GO, "80", CMT__HEADER_MORE, 0, 0},
  {GO, "e907", CMT__HEADER_MORE, 0, 0},
  {GO, "ea07", CMT__HEADER_BAD, 0, 0},
  {GO, "ffffffffffffffffff02", CMT__HEADER_BAD, 0, 0},
  {OLD, "03", CMT__HEADER_MORE, 0, 0},
  {OLD, "0380", CMT__HEADER_MORE, 0, 0},
  {OLD, "03e907", CMT__HEADER_MORE, 0, 0},
  {OLD, "03ea07", CMT__HEADER_BAD, 0, 0},
  {OLD, "0300", CMT__HEADER_PACKET, 2, 0},
  /* A length within the packet that is not that of the rest. */
  {GO, "021a00", CMT__HEADER_PACKET, 3, 2},
  {GO, "031a", CMT__HEADER_MORE, 0, 0},
  {GO, "031a0000", CMT__HEADER_GENERAL, 1, 3},
  {GO, "031a0208", CMT__HEADER_GENERAL, 1, 3},
  {GO, "0a1affffffffffffffffff01", CMT__HEADER_GENERAL, 1, 10},
  {GO, "0b1affffffffffffffffff02", CMT__HEADER_GENERAL, 1, 11},
  {GO, "042200", CMT__HEADER_GENERAL, 1, 4},
  /* Fields: a channel, */
  {GO, "031a0108", CMT__HEADER_GENERAL, 1, 3},
  {GO, "041a0208", CMT__HEADER_MORE, 0, 0},
  {GO, "041a020805", CMT__HEADER_PACKET, 5, 4},
  {GO, "051a0308ff01", CMT__HEADER_PACKET, 6, 5},
  {GO, "051a03088002", CMT__HEADER_GENERAL, 1, 5},
  {GO, "051a020880", CMT__HEADER_GENERAL, 1, 5},
  {GO, "041a020880", CMT__HEADER_GENERAL, 1, 4},
  {OLD, "030108", CMT__HEADER_GENERAL, 2, 1},
  {OLD, "03020805", CMT__HEADER_PACKET, 4, 2},
  /* an end of a message, */
  {OLD, "030110", CMT__HEADER_GENERAL, 2, 1},
  {OLD, "030210", CMT__HEADER_MORE, 0, 0},
  {OLD, "03021001", CMT__HEADER_PACKET, 4, 2},
  {OLD, "03021000", CMT__HEADER_PACKET, 4, 2},
  {OLD, "03021002", CMT__HEADER_GENERAL, 2, 2},
  {OLD, "0304080510", CMT__HEADER_MORE, 0, 0},
  {OLD, "030408051001", CMT__HEADER_PACKET, 6, 4},
  {OLD, "0303080510", CMT__HEADER_GENERAL, 2, 3},
  /* and data, which end the packet and may be empty. */
  {OLD, "0303", CMT__HEADER_MORE, 0, 0},
  {OLD, "03031a", CMT__HEADER_MORE, 0, 0},
  {OLD, "03031a01", CMT__HEADER_PACKET, 4, 3},
  {OLD, "03021a00", CMT__HEADER_PACKET, 4, 2},
  {OLD, "03031a02", CMT__HEADER_GENERAL, 2, 3},
  {OLD, "03031a00", CMT__HEADER_GENERAL, 2, 3},
  {OLD, "03031b01", CMT__HEADER_GENERAL, 2, 3},
  {OLD, "03011a", CMT__HEADER_GENERAL, 2, 1},
  {OLD, "03021a80", CMT__HEADER_GENERAL, 2, 2},
  {OLD, "03061a8100", CMT__HEADER_GENERAL, 2, 6},
  {OLD, "03041a8100", CMT__HEADER_PACKET, 5, 4},
  {OLD, "030b1affffffffffffffffff02", CMT__HEADER_GENERAL, 2, 11},
};

static void each_beginning_is_taken_for_one_thing(void **state) {
  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    const header_row *row = &rows[i];
    cmt__header h = {.size = 0};
    cmt__header_kind kind;
    size_t len;
    uint8_t *padded = test_unhex(row->hex, &len), *exact = malloc(len);

    assert_non_null(exact);
    memcpy(exact, padded, len); /* A read behind it shows. */
    kind = cmt__wire_of(row->wire)->header((cmt_bytes){exact, len}, LIMIT, &h);
    if (kind != row->kind) {
      fail_msg("%s is %d and not %d", row->hex, (int)kind, (int)row->kind);
    }
    if (kind == CMT__HEADER_PACKET || kind == CMT__HEADER_GENERAL) {
      if (row->size != h.size || row->body != h.body) {
        fail_msg("%s: %zu bytes before %zu, not %zu before %zu", row->hex,
                 h.size, h.body, row->size, row->body);
      }
    }
    free(exact);
    free(padded);
  }
}

/* In a packet of nine bytes, whose data are five, one byte and more come
   first. */
static void a_header_that_is_cut_is_kept_once(void **state) {
  static const uint8_t bytes[] = {0x0b, 0x1a, 9,   0x08, 0x05, 0x1a,
                                  5,    'a',  'b', 'c',  'd',  'e'};
  enum { HEADER = 7 };

  (void)state;
  for (size_t cut = 0; cut < HEADER; cut++) {
    cmt__packet_parser p;
    cmt__packet out;
    cmt_bytes in = {.base = bytes, .len = cut};

    cmt__packet_parser_init(&p, cmt__wire_of(CMT_WIRE_COMETBFT), LIMIT);
    assert_cmt(CMT_EAGAIN, cmt__packet_next(&p, NULL, &in, &out));
    assert_int_equal(0, in.len);
    assert_int_equal(cut, p.copied);
    in = (cmt_bytes){.base = bytes + cut, .len = sizeof bytes - cut};
    assert_cmt(CMT_OK, cmt__packet_next(&p, NULL, &in, &out));
    assert_int_equal(cut > 0 ? HEADER : 0, p.copied);
    assert_int_equal(5, out.channel);
    assert_int_equal(5, out.data.len);
    assert_memory_equal("abcde", out.data.base, 5);
    assert_true(out.first && out.last && !out.eof);
    cmt__packet_parser_fini(&p, NULL);
  }
}

/* There may be nothing to go on with at any point. */
static void no_bytes_are_no_progress(void **state) {
  /* A ping with an unknown field, and a message. */
  static const uint8_t bytes[] = {4,    0x0a, 2,    0x08, 0,  5,
                                  0x1a, 3,    0x1a, 1,    'a'};
  cmt__packet_parser p;
  cmt__packet out;
  size_t packets = 0;

  (void)state;
  cmt__packet_parser_init(&p, cmt__wire_of(CMT_WIRE_COMETBFT), LIMIT);
  for (size_t i = 0; i < sizeof bytes; i++) {
    cmt_bytes none = {.base = NULL}, one = {.base = bytes + i, .len = 1};

    assert_cmt(CMT_EAGAIN, cmt__packet_next(&p, NULL, &none, &out));
    packets += cmt__packet_next(&p, NULL, &one, &out) == CMT_OK;
    assert_int_equal(0, one.len);
  }
  assert_int_equal(2, packets);
  cmt__packet_parser_fini(&p, NULL);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(each_beginning_is_taken_for_one_thing),
    cmocka_unit_test(a_header_that_is_cut_is_kept_once),
    cmocka_unit_test(no_bytes_are_no_progress),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
