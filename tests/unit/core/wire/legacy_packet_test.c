/* SPDX-License-Identifier: Apache-2.0 */
/* Packets of the legacy profile: literal bytes, the limits, and the resumable
   parser, at every place where the input can be cut, against a decoder of whole
   packets that has no code in common with it. */
#include "legacy_user.h"

#include "core/wire/parser.h"
#include "core/wire/wire.h"

#include <stdlib.h>

enum { TEXT_MAX = 4096 };

/* ---- bytes ---- */

static void packets_are_the_bytes_of_the_document(void **state) {
  const cmt__ping_rules *pings = cmt__wire_of(CMT_WIRE_LEGACY)->pings;
  static const struct {
    uint8_t channel;
    bool eof;
    const char *data, *hex;
  } rows[] = {
    {0x30, true, "abc", "0309083010011a03616263"},
    {0x30, false, "abc", "030708301a03616263"},
    {0x00, true, "\x0a", "030510011a010a"},
    {0x31, true, "", "030408311001"},
    {0x00, true, "", "03021001"},
    {0x00, false, "", "0300"},
    {0x00, false, "a", "03031a0161"},
    {0x7f, false, "", "0302087f"},
    {0x80, true, "", "03050880011001"},
    {0xff, true, "a", "030808ff0110011a0161"},
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    size_t len = strlen(rows[i].data);
    uint8_t out[64];
    cmt__batch r = cmt__batch_plain(NULL, out, sizeof out);

    cmt__wire_of(CMT_WIRE_LEGACY)
      ->write_msg(
        &r, rows[i].channel, rows[i].eof,
        (cmt_bytes){.base = (const uint8_t *)rows[i].data, .len = len});
    test_assert_hex(rows[i].hex, out, r.len);
    assert_int_equal(r.len, cmt__wire_of(CMT_WIRE_LEGACY)
                              ->msg_size(rows[i].channel, rows[i].eof, len));
  }
  test_assert_hex("01", pings->ping.base, pings->ping.len);
  test_assert_hex("02", pings->pong.base, pings->pong.len);
}

static void written_packets_are_read_back_by_the_other_decoder(void **state) {
  static const size_t lengths[] = {0, 1, 127, 128, 1023, 1024, 16383, 16384};
  static uint8_t data[16384], out[17000];

  (void)state;
  for (size_t i = 0; i < sizeof data; i++) {
    data[i] = (uint8_t)(i * 7);
  }
  for (unsigned id = 0; id < 256; id++) {
    for (size_t i = 0; i < 2 * CMT__COUNT(lengths); i++) {
      cmt_bytes in = {.base = data, .len = lengths[i / 2]};
      cmt__batch r = cmt__batch_plain(NULL, out, sizeof out);
      legacy_packet k;

      cmt__wire_of(CMT_WIRE_LEGACY)->write_msg(&r, (uint8_t)id, i % 2, in);
      assert_int_equal(
        LEGACY_PACKET,
        legacy_read((cmt_bytes){.base = out, .len = r.len}, 16384, &k));
      assert_int_equal(r.len, k.size);
      assert_int_equal(id, k.channel);
      assert_int_equal(i % 2, k.eof);
      assert_int_equal(in.len, k.data.len);
      assert_true(in.len == 0 || memcmp(data, k.data.base, in.len) == 0);
    }
  }
}

/* ---- the parser against the other decoder ---- */

/* |unsure|: a packet of one byte over the limit, not complete, which a parser
   may refuse at its header. */
static void reference(size_t payload_max, cmt_bytes in, parsed *out,
                      legacy_how *how, bool *unsure) {
  legacy_packet k = {0};

  parsed_init(out);
  *how = LEGACY_MORE;
  while (in.len > 0 &&
         (*how = legacy_read(in, payload_max, &k)) == LEGACY_PACKET) {
    cmt__packet p = {
      .kind = k.type == 1   ? CMT__PACKET_PING
              : k.type == 2 ? CMT__PACKET_PONG
                            : CMT__PACKET_MSG,
      .channel = k.channel,
      .eof = k.eof,
      .first = true,
      .last = true,
      .total = k.data.len,
      .data = k.data,
    };

    parsed_part(out, &p, 0);
    in.base += k.size;
    in.len -= k.size;
  }
  out->err =
    *how == LEGACY_MORE || *how == LEGACY_PACKET ? CMT_EAGAIN : CMT_EPROTO;
  *unsure = *how == LEGACY_MORE && in.len > 0 &&
            k.announced == legacy_limit(payload_max) + 1;
}

static void compare(size_t payload_max, cmt_bytes in, parsed_next next,
                    void *arg) {
  static parsed a, b;
  cmt__packet_parser p;
  legacy_how how;
  bool unsure;

  reference(payload_max, in, &a, &how, &unsure);
  cmt__packet_parser_init(&p, cmt__wire_of(CMT_WIRE_LEGACY), payload_max);
  parsed_run(&b, &p, in, next, arg);
  if (!unsure) {
    assert_cmt(a.err, b.err);
  }
  assert_true(parsed_packets_same(&a, &b));
  assert_int_equal(how == LEGACY_FOREIGN, p.unknown != 0);
}

static void compare_everywhere(size_t payload_max, cmt_bytes in) {
  compare(payload_max, in, parsed_next_whole, NULL);
  compare(payload_max, in, parsed_next_byte, NULL);
  for (size_t at = 1; at < in.len; at++) {
    size_t first = at;

    compare(payload_max, in, parsed_next_split, &first);
  }
}

static const struct {
  const char *hex, *words;
} streams[] = {
  /* Usual ones. */
  {"01", "ping"},
  {"02", "pong"},
  {"0102030408311001", "ping pong 31.0!"},
  {"0309083010011a03616263", "30.3!"},
  {"030708301a03616263030708301a036465660304083010010102",
   "30.3 30.3 30.0! ping pong"},
  {"03021001", "00.0!"},
  {"0300", "00.0"},
  {"0300030003021001", "00.0 00.0 00.0!"},
  {"03050880011001030808ff0110011a0161", "80.0! ff.1!"},
  {"03031a0161", "00.1"},
  /* Unusual, and legal: another order, zeros, data of no bytes. */
  {"03091a0361626310010830", "30.3!"},
  {"0304080010000304100008000308080010001a026162", "00.0 00.0 00.2"},
  {"0306083010011a00", "30.0!"},
  /* Long varints: of the length, of a field, of a tag; 2^32 + 0x31. */
  {"038480808080808000083010010303880031", "30.0! 31.0"},
  {"03848000083010010301088800", "30.0! bad"},
  {"03070882808000100103088800029000011a00", "02.0! 02.0!"},
  {"030808b180808010100101", "31.0! ping"},
  /* Unknown fields of each type, and groups. */
  {"03110830100122036162632801310102030405", "bad"},
  {"030a0830100122026162280103061001350102030403081001390102030405060708",
   "30.0! bad"},
  {"03092d01020304083110010302087f", "31.0! 7f.0"},
  {"030b290102030405060708100102", "00.0! pong"},
  {"0306230801240830", "30.0"},
  {"030a23230824242408301001", "30.0!"},
  /* A field twice: the last one counts. */
  {"030608310832100103081a01611a0162083003041a001001", "32.0! 30.1 00.0!"},
  /* Not complete. */
  {"03", "more"},
  {"0380", "more"},
  {"0309083010011a036162", "more"},
  /* Types that are none. */
  {"00", "bad"},
  {"0100", "ping bad"},
  {"04", "foreign"},
  {"ff", "foreign"},
  {"020a00", "pong foreign"},
  {"0b1a09083010011a03616263", "foreign"},
  {"0309083010011a0361626304", "30.3! foreign"},
  /* ChannelID over 255, EOF over 1. */
  {"03050880021001", "bad"},
  {"0308088080808010100101", "00.0! ping"},
  {"030408301002", "bad"},
  {"03051001083010", "bad"},
  {"030608301080011a", "bad"},
  /* Wrong wire types, field 0, fields that go on behind the end. */
  {"03041a011001", "bad"},
  {"03030a0101", "bad"},
  {"0303120101", "bad"},
  {"03021801", "bad"},
  {"03020001", "bad"},
  {"03021a05", "bad"},
  {"03031a0261", "bad"},
  {"030408301080", "bad"},
  {"03020c01", "bad"},
  /* Lengths: over the limit, of ten bytes, no varint. */
  {"03fb08", "bad"},
  {"03ffffffffffffffffff01", "bad"},
  {"0304083110010380808080808080808002", "31.0! bad"},
};

static void every_split_is_parsed_as_the_whole(void **state) {
  char text[256];
  size_t cuts = 0;

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(streams); i++) {
    size_t len;
    uint8_t *bytes = test_unhex(streams[i].hex, &len);

    legacy_words((cmt_bytes){.base = bytes, .len = len}, 100, text,
                 sizeof text);
    assert_string_equal(streams[i].words, text);
    for (size_t n = 1; n <= len; n++) {
      compare_everywhere(100, (cmt_bytes){.base = bytes, .len = n});
      cuts += n;
    }
    free(bytes);
  }
  print_message("# %zu streams, %zu cuts\n", CMT__COUNT(streams), cuts);
}

/* Three cuts: headers are at most 24 bytes, so nothing depends on more. */
static size_t next_of_three(void *arg) {
  size_t *sizes = arg, n = sizes[0];

  sizes[0] = sizes[1];
  sizes[1] = sizes[2];
  sizes[2] = SIZE_MAX;
  return n;
}

static void three_cuts_are_parsed_as_none(void **state) {
  static const char *const texts[] = {
    "030708301a036162630102030408301001",
    "03860008830010810001030201a00103041a001001",
    "0389808080808080808000088380808080808080800002",
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(texts); i++) {
    size_t len;
    uint8_t *bytes = test_unhex(texts[i], &len);

    for (size_t n = 0; n < len * len * len; n++) {
      size_t sizes[] = {1 + n % len, 1 + n / len % len, 1 + n / len / len};

      compare(100, (cmt_bytes){.base = bytes, .len = len}, next_of_three,
              sizes);
    }
    free(bytes);
  }
}

/* ---- generated ---- */

typedef struct stream {
  uint8_t bytes[TEXT_MAX];
  size_t len;
  uint64_t seed;
} stream;

/* Now and then in more bytes than needed. */
static void put_varint(stream *s, uint64_t v) {
  size_t extra = test_below(&s->seed, 10) == 0 ? test_below(&s->seed, 3) : 0;

  while (v >= 0x80) {
    s->bytes[s->len++] = (uint8_t)(v | 0x80);
    v >>= 7;
  }
  s->bytes[s->len++] = (uint8_t)(v | (extra > 0 ? 0x80 : 0));
  for (; extra > 0; extra--) {
    s->bytes[s->len++] = extra > 1 ? 0x80 : 0;
  }
}

static void put_field(stream *s, size_t which) {
  static const uint64_t ids[] = {0, 0x31, 0x7f, 0x80, 0xff, 0x30, 256};
  size_t len;

  if (which == 0) {
    s->bytes[s->len++] = 0x08;
    put_varint(s, ids[test_below(&s->seed, test_below(&s->seed, 9) ? 6 : 7)]);
  } else if (which == 1) {
    s->bytes[s->len++] = 0x10;
    put_varint(s, test_below(&s->seed, 12) ? 1 : test_below(&s->seed, 3));
  } else {
    len = test_below(&s->seed, 3) ? test_below(&s->seed, 20)
                                  : test_below(&s->seed, 110);
    s->bytes[s->len++] = which == 2 ? 0x1a : 0x2a;
    put_varint(s, len);
    for (; len > 0; len--) {
      s->bytes[s->len++] = (uint8_t)test_draw(&s->seed);
    }
  }
}

static void put_packet(stream *s) {
  stream *body = calloc(1, sizeof *body);

  assert_non_null(body);
  body->seed = test_draw(&s->seed);
  if (test_below(&s->seed, 5) == 0) {
    s->bytes[s->len++] = (uint8_t)(1 + test_below(&s->seed, 2));
  } else {
    bool usual = test_below(&s->seed, 3) > 0;

    for (size_t i = 0; i < 3; i++) {
      if (test_below(&s->seed, 4) > 0) {
        put_field(body, usual ? i : test_below(&s->seed, 4));
      }
    }
    s->bytes[s->len++] = 3;
    put_varint(s, body->len);
    memcpy(s->bytes + s->len, body->bytes, body->len);
    s->len += body->len;
  }
  free(body);
}

static size_t next_drawn(void *arg) {
  uint64_t *seed = arg;

  return 1 + test_below(seed, test_below(seed, 2) ? 4 : 200);
}

static void generated_streams_are_parsed_as_the_whole(void **state) {
  static stream s;

  (void)state;
  for (uint64_t seed = 1; seed <= 4000; seed++) {
    size_t packets;
    uint64_t cuts = seed;

    s.len = 0;
    s.seed = seed;
    packets = 1 + test_below(&s.seed, 8);
    for (size_t i = 0; i < packets; i++) {
      put_packet(&s);
    }
    if (test_below(&s.seed, 2) == 0) {
      s.bytes[test_below(&s.seed, s.len)] ^=
        (uint8_t)(1 << test_below(&s.seed, 8));
    }
    s.len -= test_below(&s.seed, 4) == 0 ? test_below(&s.seed, s.len) : 0;
    compare(100, (cmt_bytes){.base = s.bytes, .len = s.len}, parsed_next_whole,
            NULL);
    for (int i = 0; i < 5; i++) {
      compare(100, (cmt_bytes){.base = s.bytes, .len = s.len}, next_drawn,
              &cuts);
    }
  }
}

/* ---- limits and copies ---- */

/* A packet whose fields take |fields| bytes in all. */
static size_t packet_of(uint8_t *out, uint8_t channel, bool eof,
                        size_t fields) {
  static const uint8_t zeros[70000];
  size_t len = fields - 16;
  cmt__batch r = cmt__batch_plain(NULL, out, fields + 16);

  while (cmt__msg_fields_size(channel, eof, len) < fields) {
    len++;
  }
  assert_int_equal(fields, cmt__msg_fields_size(channel, eof, len));
  cmt__wire_of(CMT_WIRE_LEGACY)
    ->write_msg(&r, channel, eof, (cmt_bytes){.base = zeros, .len = len});
  return r.len;
}

static void limit_is_that_of_a_full_packet(void **state) {
  static const struct {
    size_t payload, limit;
  } rows[] = {{100, 106},   {127, 133},     {128, 135},
              {1024, 1031}, {16384, 16392}, {65536, 65544}};
  static const struct {
    uint8_t channel;
    size_t over;
    cmt_err err;
  } packets[] = {
    {0x30, 0, CMT_EAGAIN}, {0x7f, 0, CMT_EAGAIN}, {0x30, 1, CMT_EPROTO},
    {0x7f, 1, CMT_EPROTO}, {0x80, 1, CMT_EAGAIN}, {0xff, 1, CMT_EAGAIN},
    {0x80, 2, CMT_EPROTO}, {0xff, 2, CMT_EPROTO},
  };
  static uint8_t out[70000];
  static parsed p;

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    assert_int_equal(rows[i].limit,
                     cmt__wire_of(CMT_WIRE_LEGACY)->limit(rows[i].payload));
    assert_int_equal(rows[i].limit, legacy_limit(rows[i].payload));
  }
  for (size_t i = 0; i < CMT__COUNT(packets); i++) {
    size_t len =
      packet_of(out, packets[i].channel, true, 1031 + packets[i].over);
    cmt__packet_parser parser;

    cmt__packet_parser_init(&parser, cmt__wire_of(CMT_WIRE_LEGACY), 1024);
    parsed_run(&p, &parser, (cmt_bytes){.base = out, .len = len},
               parsed_next_byte, NULL);
    assert_cmt(packets[i].err, p.err);
    assert_int_equal(packets[i].err == CMT_EAGAIN, p.count);
    assert_int_equal(0, parser.unknown);
  }
}

/* What is over the limit fails before a byte of it is kept or given out. */
static void too_long_packet_fails_at_its_length(void **state) {
  static parsed p;
  cmt__packet_parser parser;
  size_t len;
  uint8_t *bytes = test_unhex("038908", &len); /* 1033. */

  (void)state;
  cmt__packet_parser_init(&parser, cmt__wire_of(CMT_WIRE_LEGACY), 1024);
  parsed_run(&p, &parser, (cmt_bytes){.base = bytes, .len = len},
             parsed_next_whole, NULL);
  assert_cmt(CMT_EPROTO, p.err);
  assert_null(parser.scratch);
  free(bytes);
}

static void at_most_24_bytes_of_a_packet_are_copied(void **state) {
  static uint8_t out[60000];
  static const uint8_t zeros[1024];
  static parsed p;
  cmt__batch r = cmt__batch_plain(NULL, out, sizeof out);
  uint64_t most = 0;

  (void)state;
  for (int i = 0; i < 40; i++) {
    cmt__wire_of(CMT_WIRE_LEGACY)
      ->write_msg(&r, i % 2 ? 0xff : 0x30, i % 3 == 0,
                  (cmt_bytes){.base = zeros, .len = i % 4 ? sizeof zeros : 3});
  }
  for (size_t first = 1; first < 1100; first++) {
    cmt__packet_parser parser;
    size_t cut = first;

    cmt__packet_parser_init(&parser, cmt__wire_of(CMT_WIRE_LEGACY), 1024);
    parsed_run(&p, &parser, (cmt_bytes){.base = out, .len = r.len},
               parsed_next_split, &cut);
    assert_cmt(CMT_EAGAIN, p.err);
    assert_int_equal(40, p.count);
    most = p.most_copied > most ? p.most_copied : most;
  }
  print_message("# at most %llu\n", (unsigned long long)most);
  assert_in_range(most, 1, CMT__PACKET_HEADER_MAX);
}

static void a_failed_allocation_is_reported(void **state) {
  test_env t;
  cmt__packet_parser p;
  cmt__packet k;
  size_t len;
  uint8_t *bytes = test_unhex("030410010831", &len);
  cmt_bytes in = {.base = bytes, .len = len};

  (void)state;
  test_env_init(&t);
  t.fail_at = 0;
  cmt__packet_parser_init(&p, cmt__wire_of(CMT_WIRE_LEGACY), 1024);
  assert_cmt(CMT_ENOMEM, cmt__packet_next(&p, &t.env, &in, &k));
  cmt__packet_parser_fini(&p, &t.env);
  test_env_fini(&t);
  free(bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(packets_are_the_bytes_of_the_document),
    cmocka_unit_test(written_packets_are_read_back_by_the_other_decoder),
    cmocka_unit_test(every_split_is_parsed_as_the_whole),
    cmocka_unit_test(three_cuts_are_parsed_as_none),
    cmocka_unit_test(generated_streams_are_parsed_as_the_whole),
    cmocka_unit_test(limit_is_that_of_a_full_packet),
    cmocka_unit_test(too_long_packet_fails_at_its_length),
    cmocka_unit_test(at_most_24_bytes_of_a_packet_are_copied),
    cmocka_unit_test(a_failed_allocation_is_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
