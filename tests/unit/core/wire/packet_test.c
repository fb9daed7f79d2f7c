/* SPDX-License-Identifier: Apache-2.0 */
/* Packets: the vectors, the limits, every form at every split point.  Generated
   inputs are in packet_generated_test.c. */
#include "packets.h"
#include "parsed.h"

#include <cometp2p/secret_conn.h>
#include <stdlib.h>

/* ---- vectors ---- */

/* The data that a vector describes: hex, or "1024 x 00". */
static uint8_t *vector_data(const json_t *row, size_t *len) {
  const char *text = test_str(row, "data");
  char *after;
  unsigned long n = strtoul(text, &after, 10);

  if (strcmp(after, " x 00") != 0) {
    return test_unhex(text, len);
  }
  *len = n;
  return calloc(1, n);
}

/* Compares |bytes| with hex that may end in "...". */
static void assert_prefix(const char *hex, cmt_bytes bytes) {
  size_t shown = strcspn(hex, ".") / 2;

  if (hex[2 * shown] == '\0' && shown < 12) {
    assert_int_equal(shown, bytes.len);
  }
  assert_true(shown <= bytes.len);
  for (size_t i = 0; i < shown; i++) {
    char byte[3];

    snprintf(byte, sizeof byte, "%02x", bytes.base[i]);
    assert_memory_equal(hex + 2 * i, byte, 2);
  }
}

static void assert_vector_parses(const json_t *row, cmt_bytes stream,
                                 cmt__packet_kind kind, cmt_bytes data) {
  static parsed p;

  for (int bytewise = 0; bytewise < 2; bytewise++) {
    parsed_cut(&p, 1024, stream,
               bytewise ? parsed_next_byte : parsed_next_whole, NULL);
    assert_cmt(CMT_EAGAIN, p.err);
    assert_int_equal(1, p.count);
    assert_int_equal(kind, p.list[0].kind);
    if (kind == CMT__PACKET_MSG) {
      assert_int_equal(json_integer_value(json_object_get(row, "channel")),
                       p.list[0].channel);
      assert_int_equal(json_is_true(json_object_get(row, "eof")),
                       p.list[0].eof);
      assert_int_equal(data.len, p.list[0].data.len);
      assert_memory_equal(data.base, p.list[0].data.base, data.len);
    }
    assert_in_range(p.copied, 0, bytewise ? CMT__PACKET_HEADER_MAX : 0);
  }
}

static void run_vector(const json_t *row) {
  const char *name = test_str(row, "name");
  uint8_t out[1100];
  cmt__batch r = cmt__batch_plain(NULL, out, sizeof out);
  cmt__packet_kind kind = CMT__PACKET_MSG;
  uint8_t *data = NULL;
  size_t len = 0;

  if (strcmp(name, "ping") == 0) {
    kind = CMT__PACKET_PING;
    test_write_ping(&r);
    test_assert_hex(test_str(row, "delimited"), out, r.len);
  } else if (strcmp(name, "pong") == 0) {
    kind = CMT__PACKET_PONG;
    test_write_pong(&r);
    test_assert_hex(test_str(row, "delimited"), out, r.len);
  } else {
    uint8_t channel =
      (uint8_t)json_integer_value(json_object_get(row, "channel"));
    bool eof = json_is_true(json_object_get(row, "eof"));
    size_t packet =
      (size_t)json_integer_value(json_object_get(row, "packet_len"));

    data = vector_data(row, &len);
    test_wire()->write_msg(&r, channel, eof, (cmt_bytes){data, len});
    assert_int_equal(r.len, test_wire()->msg_size(channel, eof, len));
    assert_int_equal(packet + (packet < 128 ? 1 : 2), r.len);
    assert_prefix(test_str(row, "delimited_prefix"), (cmt_bytes){out, r.len});
  }
  size_t prefix = out[0] < 0x80 ? 1 : 2;
  assert_prefix(test_str(row, "packet"),
                (cmt_bytes){out + prefix, r.len - prefix});
  assert_vector_parses(row, (cmt_bytes){out, r.len}, kind,
                       (cmt_bytes){data, len});
  free(data);
}

static void every_packet_vector(void **state) {
  json_t *root = test_vectors("packets.json"), *row;
  json_t *rows = json_object_get(root, "vectors");
  size_t i, used = 0;

  (void)state;
  json_array_foreach(rows, i, row) {
    run_vector(row);
    used++;
  }
  test_used("packets.json: packets", used, 0, json_array_size(rows));
  assert_int_equal(14, used);
  json_decref(root);
}

static void every_maximum_size(void **state) {
  json_t *root = test_vectors("packets.json"), *value;
  json_t *sizes = json_object_get(root, "max_packet_size_by_payload");
  const char *payload;
  size_t used = 0;

  (void)state;
  json_object_foreach(sizes, payload, value) {
    assert_int_equal(json_integer_value(value),
                     test_wire()->limit(strtoul(payload, NULL, 10)));
    used++;
  }
  test_used("packets.json: maximum sizes", used, 0, json_object_size(sizes));
  assert_int_equal(14, used);
  json_decref(root);
}

/* ---- writing into frames ---- */

static void packets_are_written_across_frames(void **state) {
  uint8_t data[1500], plain[2 * CMT_FRAME_DATA];
  uint8_t slots[2 * CMT_FRAME_SLOT];
  cmt__batch r = cmt__batch_frames(NULL, slots, 2);
  cmt__batch flat = cmt__batch_plain(NULL, plain, sizeof plain);

  (void)state;
  memset(slots, 0xee, sizeof slots);
  for (size_t i = 0; i < sizeof data; i++) {
    data[i] = (uint8_t)(i * 7);
  }
  test_write_ping(&r);
  test_write_ping(&flat);
  test_wire()->write_msg(&r, 0x31, true, (cmt_bytes){data, sizeof data});
  test_wire()->write_msg(&flat, 0x31, true, (cmt_bytes){data, sizeof data});
  assert_int_equal(r.len, flat.len);
  assert_int_equal(sizeof plain - r.len, cmt__batch_room(&r));
  for (size_t i = 0; i < r.len; i++) {
    assert_int_equal(plain[i], slots[i / CMT_FRAME_DATA * CMT_FRAME_SLOT +
                                     CMT_FRAME_HEADER + i % CMT_FRAME_DATA]);
  }
  /* Headers, tags and what was not reached are untouched. */
  assert_memory_equal("\xee\xee\xee\xee", slots, 4);
  assert_memory_equal("\xee\xee\xee\xee", slots + CMT_FRAME_SLOT, 4);
  assert_int_equal(0xee, slots[CMT_FRAME_HEADER + CMT_FRAME_DATA]);
  assert_int_equal(0xee, slots[sizeof slots - 1]);
}

static void packet_that_fills_the_last_byte_of_a_frame(void **state) {
  static const uint8_t zeros[CMT_FRAME_DATA];
  uint8_t slots[2 * CMT_FRAME_SLOT];
  cmt__batch r = cmt__batch_frames(NULL, slots, 2);

  (void)state;
  cmt__batch_write(&r, zeros, CMT_FRAME_DATA);
  assert_int_equal(CMT_FRAME_DATA, cmt__batch_room(&r));
  cmt__batch_write(&r, (const uint8_t *)"abc", 3);
  assert_memory_equal("abc", slots + CMT_FRAME_SLOT + CMT_FRAME_HEADER, 3);
  assert_int_equal(CMT_FRAME_DATA - 3, cmt__batch_room(&r));
}

/* ---- limits ---- */

/* The result of a packet of |body| bytes behind its length. */
static cmt_err parse_of_size(size_t payload_max, uint8_t channel, bool eof,
                             size_t body) {
  static uint8_t out[2000], zeros[2000];
  static parsed p;
  size_t whole = body + cmt__varint_size(body), len = body;
  cmt__batch r = cmt__batch_plain(NULL, out, sizeof out);

  while (test_wire()->msg_size(channel, eof, len) != whole) {
    len--;
  }
  test_wire()->write_msg(&r, channel, eof, (cmt_bytes){zeros, len});
  parsed_cut(&p, payload_max, (cmt_bytes){out, r.len}, parsed_next_whole, NULL);
  assert_int_equal(p.err == CMT_EAGAIN ? 1 : 0, p.count);
  return p.err;
}

static void packets_up_to_the_limit_are_accepted(void **state) {
  (void)state;
  assert_cmt(CMT_EAGAIN, parse_of_size(1024, 0x31, true, 1034));
  assert_cmt(CMT_EAGAIN, parse_of_size(1024, 0x31, false, 1034));
  assert_cmt(CMT_EPROTO, parse_of_size(1024, 0x31, true, 1035));
  assert_cmt(CMT_EPROTO, parse_of_size(1024, 0x31, false, 1035));
  assert_cmt(CMT_EPROTO, parse_of_size(1024, 0x7f, true, 1035));
  assert_cmt(CMT_EPROTO, parse_of_size(1024, 0, true, 1035));
  assert_cmt(CMT_EAGAIN, parse_of_size(1024, 0x80, true, 1035));
  assert_cmt(CMT_EAGAIN, parse_of_size(1024, 0xff, false, 1035));
  assert_cmt(CMT_EPROTO, parse_of_size(1024, 0x80, true, 1036));
  assert_cmt(CMT_EAGAIN, parse_of_size(1400, 0x31, true, 1410));
  assert_cmt(CMT_EPROTO, parse_of_size(1400, 0x31, true, 1411));
  assert_cmt(CMT_EAGAIN, parse_of_size(1400, 0x80, true, 1411));
  assert_cmt(CMT_EPROTO, parse_of_size(1400, 0x80, true, 1412));
}

/* Bytes of hex with spaces. */
static uint8_t *form_bytes(const char *hex, size_t *len) {
  char text[128];
  size_t n = 0;

  for (; *hex != '\0'; hex++) {
    if (*hex != ' ') {
      text[n++] = *hex;
    }
  }
  text[n] = '\0';
  return test_unhex(text, len);
}

/* The result of |hex|, which is whole when it contains a packet. */
static cmt_err parse_hex(size_t payload_max, const char *hex) {
  static parsed p;
  size_t len;
  uint8_t *bytes = form_bytes(hex, &len);

  parsed_cut(&p, payload_max, (cmt_bytes){bytes, len}, parsed_next_whole, NULL);
  free(bytes);
  return p.err;
}

/* The limit of payload 1 is 9. */
static void general_forms_keep_the_limit_too(void **state) {
  (void)state;
  assert_cmt(CMT_EAGAIN, parse_hex(1, "09 1a07 1001 0831 1a0161"));
  assert_cmt(CMT_EPROTO, parse_hex(1, "0a 1a08 1001 0831 1a026162"));
  assert_cmt(CMT_EPROTO, parse_hex(1, "0a 1a08 1001 087f 1a026162"));
  assert_cmt(CMT_EAGAIN, parse_hex(1, "0a 1a08 1001 088001 1a0161"));
  assert_cmt(CMT_EPROTO, parse_hex(1, "0b 1a09 1001 088001 1a026162"));
  assert_cmt(CMT_EPROTO, parse_hex(1, "0a 2206 313233343536 0a00"));
}

static void announced_length_is_refused_at_once(void **state) {
  static const char *const bad[] = {
    "00",
    "8c08",
    "ffffffffffffffffff01",
    "80808080808080808002",
    "8080808080808080808001",
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(bad); i++) {
    assert_cmt(CMT_EPROTO, parse_hex(1024, bad[i]));
  }
  assert_cmt(CMT_EAGAIN, parse_hex(1024, "8b08"));
  assert_cmt(CMT_EAGAIN, parse_hex(1024, "82808080808080808000"));
}

/* ---- forms ---- */

typedef struct form {
  const char *hex;
  cmt_err err; /* CMT_OK: |packet| is the result. */
  cmt__packet_kind kind;
  uint8_t channel;
  bool eof;
  const char *data;
  bool usual; /* Goes the fast way: nothing is copied. */
} form;

#define MSG .kind = CMT__PACKET_MSG
static const form forms[] = {
  {"02 0a00", CMT_OK, CMT__PACKET_PING, .data = "", .usual = true},
  {"02 1200", CMT_OK, CMT__PACKET_PONG, .data = "", .usual = true},
  {"0b 1a09 0830 1001 1a03 616263", CMT_OK, MSG, 0x30, true, "616263", true},
  {"09 1a07 0830 1a03 616263", CMT_OK, MSG, 0x30, false, "616263", true},
  {"08 1a06 1001 1a02 0a00", CMT_OK, MSG, 0, true, "0a00", true},
  {"06 1a04 0831 1001", CMT_OK, MSG, 0x31, true, "", true},
  {"07 1a05 088001 1001", CMT_OK, MSG, 0x80, true, "", true},
  {"04 1a02 0831", CMT_OK, MSG, 0x31, false, "", true},
  {"02 1a00", CMT_OK, MSG, 0, false, "", true},
  {"04 1a02 1001", CMT_OK, MSG, 0, true, "", true},
  {"04 1a02 1a00", CMT_OK, MSG, 0, false, "", true},
  {"08 1a06 0831 1000 1a00", CMT_OK, MSG, 0x31, false, "", true},
  /* Overlong varints. */
  {"8200 0a00", CMT_OK, CMT__PACKET_PING, .data = "", .usual = true},
  {.hex = "0c 1a8a00 083110011a0401020304", .err = CMT_EPROTO},
  {"0d 1a8a00 0831 1001 1a0401020304", CMT_OK, MSG, 0x31, true, "01020304",
   true},
  {"0b 1a09 08b100 1001 1a026162", CMT_OK, MSG, 0x31, true, "6162", true},
  {"0b 1a09 0831 108100 1a026162", CMT_OK, MSG, 0x31, true, "6162"},
  {"0b 1a09 0831 1001 1a82006162", CMT_OK, MSG, 0x31, true, "6162", true},
  {"03 0a8000", CMT_OK, CMT__PACKET_PING, .data = ""},
  /* Tags that take two bytes. */
  {"03 8a0000", CMT_OK, CMT__PACKET_PING, .data = ""},
  {"0b 1a09 888000 31 1a03 616263", CMT_OK, MSG, 0x31, false, "616263"},
  /* Other orders, repeated fields. */
  {"0b 1a09 1a03 616263 1001 0830", CMT_OK, MSG, 0x30, true, "616263"},
  {"0b 1a09 1001 0830 1a03 616263", CMT_OK, MSG, 0x30, true, "616263"},
  {"0d 1a0b 0830 0831 1001 1a03 616263", CMT_OK, MSG, 0x31, true, "616263"},
  {"0b 1a09 0831 1a0161 1a0262 63", CMT_OK, MSG, 0x31, false, "6263"},
  {"08 1a06 0831 1001 1000", CMT_OK, MSG, 0x31, false, ""},
  {"06 1a04 0831 1002", CMT_OK, MSG, 0x31, true, ""},
  {"0f 1a0d 0831 10ffffffffffffffffff7f", CMT_OK, MSG, 0x31, true, ""},
  /* Unknown fields, at both levels. */
  {.hex = "05 0a00 2001 00", .err = CMT_EPROTO},
  {"04 0a00 2001", CMT_OK, CMT__PACKET_PING, .data = ""},
  {"04 2001 0a00", CMT_OK, CMT__PACKET_PING, .data = ""},
  {"04 0a02 2001", CMT_OK, CMT__PACKET_PING, .data = ""},
  {"0b 1a09 0831 1001 2201 78 1a00", CMT_OK, MSG, 0x31, true, ""},
  {"0a 1a08 0831 1001 2b0801 2c", CMT_OK, MSG, 0x31, true, ""},
  /* The last member wins. */
  {"04 1200 0a00", CMT_OK, CMT__PACKET_PING, .data = ""},
  {"04 0a00 1200", CMT_OK, CMT__PACKET_PONG, .data = ""},
  {"0f 1a07 0831 1a03 0a0161 1a04 0831 1001", CMT_OK, MSG, 0x31, true, ""},
  {"07 1a03 08b102 0a00", CMT_OK, CMT__PACKET_PING, .data = ""},
  /* Ids. */
  {.hex = "0a 1a08 08b102 1001 1a0178", .err = CMT_EUNKNOWNCHANNEL},
  {"0f 1a0d 08b180808010 1001 1a03 0a0178", CMT_OK, MSG, 0x31, true, "0a0178"},
  {.hex = "0d 1a0b 08ffffffffffffffffff01", .err = CMT_EUNKNOWNCHANNEL},
  {"0d 1a0b 08b1808080808080808002", CMT_OK, MSG, 0x31, false, ""},
  /* No packet. */
  {.hex = "03 4a0178", .err = CMT_EPROTO},
  {.hex = "01 0a", .err = CMT_EPROTO},
  {.hex = "02 0800", .err = CMT_EPROTO},
  {.hex = "03 0a0178", .err = CMT_EPROTO},
  {.hex = "02 1a01", .err = CMT_EPROTO},
  {.hex = "03 1a0108", .err = CMT_EPROTO},
  {.hex = "04 1a02 0880", .err = CMT_EPROTO},
  {.hex = "03 1a0110", .err = CMT_EPROTO},
  {.hex = "03 1a011a", .err = CMT_EPROTO},
  {.hex = "04 1a02 1a01", .err = CMT_EPROTO},
  {.hex = "05 1a03 1a0261", .err = CMT_EPROTO},
  {.hex = "05 1a02 0831 00", .err = CMT_EPROTO},
  {.hex = "05 1a03 0a0161", .err = CMT_EPROTO},
  {.hex = "04 1a02 1801", .err = CMT_EPROTO},
  {.hex = "05 1a01 0831 01", .err = CMT_EPROTO},
  {.hex = "0e 1a0c 08b18080808080808080808001", .err = CMT_EPROTO},
  {.hex = "07 1a03 080161 0a00", .err = CMT_EPROTO},
};

static void assert_form(const form *f, const parsed *p, size_t cut) {
  cmt_err expected = f->err == CMT_OK ? CMT_EAGAIN : f->err;

  if (p->err != expected || p->count != (f->err == CMT_OK ? 1 : 0)) {
    fail_msg("%s cut at %zu: %s and %zu packets", f->hex, cut,
             cmt_err_name(p->err), p->count);
  }
  if (f->err == CMT_OK) {
    assert_int_equal(f->kind, p->list[0].kind);
    assert_int_equal(f->channel, p->list[0].channel);
    assert_int_equal(f->eof, p->list[0].eof);
    test_assert_hex(f->data, p->list[0].data.base, p->list[0].data.len);
  }
}

static void every_form_at_every_split_point(void **state) {
  static parsed p;

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(forms); i++) {
    size_t len;
    uint8_t *bytes = form_bytes(forms[i].hex, &len);
    cmt_bytes in = {bytes, len};

    parsed_cut(&p, 1024, in, parsed_next_whole, NULL);
    assert_form(&forms[i], &p, 0);
    if (forms[i].err == CMT_OK) {
      assert_int_equal(forms[i].usual, p.copied == 0);
    }
    parsed_cut(&p, 1024, in, parsed_next_byte, NULL);
    assert_form(&forms[i], &p, 1);
    for (size_t at = 1; at < len; at++) {
      size_t first = at;

      parsed_cut(&p, 1024, in, parsed_next_split, &first);
      assert_form(&forms[i], &p, at);
      assert_in_range(p.copied, 0, 2 * len);
    }
    free(bytes);
  }
  print_message("# %zu forms of a packet\n", CMT__COUNT(forms));
}

/* ---- copies ---- */

/* Canonical packets of many sizes in one stream. */
static cmt_bytes canonical_stream(uint8_t *out, size_t cap) {
  static const size_t sizes[] = {1024, 0, 1, 100, 120, 127, 128, 1023, 1024};
  static const uint8_t ids[] = {0, 0x31, 0x80, 0xff};
  static uint8_t data[1024];
  cmt__batch r = cmt__batch_plain(NULL, out, cap);

  for (size_t i = 0; i < sizeof data; i++) {
    data[i] = (uint8_t)(i * 31);
  }
  for (size_t i = 0; i < CMT__COUNT(sizes); i++) {
    test_wire()->write_msg(&r, ids[i % 4], i % 3 == 0,
                           (cmt_bytes){data, sizes[i]});
    test_write_ping(&r);
    test_write_pong(&r);
  }
  return (cmt_bytes){out, r.len};
}

static void canonical_packets_are_not_copied(void **state) {
  static uint8_t out[PARSED_BYTES_MAX];
  static parsed whole, cut;
  cmt_bytes in = canonical_stream(out, sizeof out);

  (void)state;
  parsed_cut(&whole, 1024, in, parsed_next_whole, NULL);
  assert_cmt(CMT_EAGAIN, whole.err);
  assert_int_equal(27, whole.count);
  assert_int_equal(0, whole.copied);
  for (size_t at = 1; at < in.len; at++) {
    size_t first = at;

    parsed_cut(&cut, 1024, in, parsed_next_split, &first);
    assert_true(parsed_packets_same(&whole, &cut));
    assert_in_range(cut.copied, 0, CMT__PACKET_HEADER_MAX);
  }
  parsed_cut(&cut, 1024, in, parsed_next_byte, NULL);
  assert_true(parsed_packets_same(&whole, &cut));
  assert_in_range(cut.most_copied, 1, CMT__PACKET_HEADER_MAX);
}

/* Full default packets in a stream of frames: cut at each 1024 bytes. */
static size_t next_frame(void *arg) {
  (void)arg;
  return CMT_FRAME_DATA;
}

static void full_packets_in_frames_copy_headers_only(void **state) {
  static uint8_t out[PARSED_BYTES_MAX], data[1024];
  static parsed p;
  cmt__batch r = cmt__batch_plain(NULL, out, sizeof out);

  (void)state;
  for (int i = 0; i < 60; i++) {
    test_wire()->write_msg(&r, 0x40, i == 59, (cmt_bytes){data, sizeof data});
  }
  parsed_cut(&p, 1024, (cmt_bytes){out, r.len}, next_frame, NULL);
  assert_cmt(CMT_EAGAIN, p.err);
  assert_int_equal(60, p.count);
  assert_in_range(p.most_copied, 0, CMT__PACKET_HEADER_MAX);
  /* A header of 10 bytes is cut by about one frame in a hundred. */
  assert_in_range(p.copied, 0, 60);
}

/* ---- memory ---- */

static void scratch_is_allocated_once_and_its_failure_reported(void **state) {
  static const uint8_t odd[] = {4, 0x12, 0, 0x0a, 0};
  cmt__packet_parser p;
  cmt__packet k;
  test_env t;

  (void)state;
  test_env_init(&t);
  cmt__packet_parser_init(&p, test_wire(), 1024);
  for (int i = 0; i < 3; i++) {
    cmt_bytes in = {odd, sizeof odd};

    assert_cmt(CMT_OK, cmt__packet_next(&p, &t.env, &in, &k));
    assert_int_equal(CMT__PACKET_PING, k.kind);
    assert_cmt(CMT_EAGAIN, cmt__packet_next(&p, &t.env, &in, &k));
  }
  assert_int_equal(1, t.allocs);
  assert_int_equal(1035, t.peak_bytes);
  cmt__packet_parser_fini(&p, &t.env);
  test_env_fini(&t);

  test_env_init(&t);
  t.fail_at = 0;
  cmt__packet_parser_init(&p, test_wire(), 1024);
  cmt_bytes in = {odd, sizeof odd};
  assert_cmt(CMT_ENOMEM, cmt__packet_next(&p, &t.env, &in, &k));
  cmt__packet_parser_fini(&p, &t.env);
  test_env_fini(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_packet_vector),
    cmocka_unit_test(every_maximum_size),
    cmocka_unit_test(packets_are_written_across_frames),
    cmocka_unit_test(packet_that_fills_the_last_byte_of_a_frame),
    cmocka_unit_test(packets_up_to_the_limit_are_accepted),
    cmocka_unit_test(general_forms_keep_the_limit_too),
    cmocka_unit_test(announced_length_is_refused_at_once),
    cmocka_unit_test(every_form_at_every_split_point),
    cmocka_unit_test(canonical_packets_are_not_copied),
    cmocka_unit_test(full_packets_in_frames_copy_headers_only),
    cmocka_unit_test(scratch_is_allocated_once_and_its_failure_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
