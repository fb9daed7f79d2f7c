/* SPDX-License-Identifier: Apache-2.0 */

/* What a hostile peer could send, given straight to the wrapped reactor. */

#include "protobuf_node.h"

/* ---- straight into the wrapped reactor ---- */

static cmt_err give(fixture *f, const void *data, size_t len) {
  cmt_buf *msg = cmt_buf_copy(NULL, data, len);
  cmt_err err;

  err = f->wrapped.receive(f->wrapped.self, test_node_peer(f->b), SHAPE, msg);
  cmt_buf_unref(msg);
  f->log[0] = '\0';
  return err;
}

/* |levels| messages inside each other, the innermost empty. */
static uint8_t *nest(size_t levels, size_t *len) {
  size_t cap = 6 * levels + 1, at = cap;
  uint8_t *bytes = malloc(cap);

  assert_non_null(bytes);
  for (size_t i = 1; i < levels; i++) {
    uint64_t inner = cap - at;
    uint8_t size[10];
    size_t n = 0;

    for (; inner > 127; inner >>= 7) {
      size[n++] = (uint8_t)(inner | 0x80);
    }
    size[n++] = (uint8_t)inner;
    at -= n;
    memcpy(bytes + at, size, n);
    bytes[--at] = 0x0a;
  }
  *len = cap - at;
  memmove(bytes, bytes + at, *len);
  return bytes;
}

static void a_deep_message_ends_the_peer(void **state) {
  fixture *f = *state;
  cmt_peer *p;
  uint8_t *bytes;
  size_t len;

  f->types[2].type = &shapes__nested__descriptor;
  p = connect_nodes(f);
  bytes = nest(101, &len);
  assert_cmt(CMT_OK, cmt_peer_try_send_bytes(p, SHAPE, bytes, len));
  free(bytes);
  run_until_idle(f);
  assert_log(f, "CMT_EPROTO\npeer\nchannel 0x32: a shapes.Nested was "
                "expected: the message is nested too deep\n");
}

static void messages_nest_to_a_depth_of_100(void **state) {
  static const struct {
    size_t levels;
    cmt_err expected;
  } rows[] = {
    {1, CMT_OK},         {2, CMT_OK},       {100, CMT_OK},
    {101, CMT_EPROTO},   {127, CMT_EPROTO}, {20000, CMT_EPROTO},
    {500000, CMT_EPROTO} /* Two and a half MB. */
  };
  fixture *f = *state;

  f->types[2].type = &shapes__nested__descriptor;
  connect_nodes(f);
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    size_t len;
    uint8_t *bytes = nest(rows[i].levels, &len);

    assert_cmt(rows[i].expected, give(f, bytes, len));
    free(bytes);
  }
}

/* A piece of a message, repeated; the row states how much memory it needs. */
typedef struct growth_row {
  const char *what;
  const ProtobufCMessageDescriptor *type;
  const char *piece;
  size_t piece_len;
  cmt_err expected;
} growth_row;

#define PIECE(text) text, sizeof text - 1

static const growth_row growth_rows[] = {
  {"chunks of 32 bytes", &shapes__lists__descriptor,
   PIECE("\x1a\x20"
         "0123456789abcdef0123456789abcdef"),
   CMT_OK},
  {"chunks of 10 bytes", &shapes__lists__descriptor,
   PIECE("\x1a\x0a"
         "0123456789"),
   CMT_OK},
  {"short messages", &shapes__lists__descriptor,
   PIECE("\x22\x06\x08\xff\xff\x01\x10\x01"), CMT_OK},
  {"numbers, one by one", &shapes__lists__descriptor, PIECE("\x08\x01"),
   CMT_EPROTO},
  {"unknown numbers", &shapes__lists__descriptor, PIECE("\x78\x01"),
   CMT_EPROTO},
  {"empty bytes", &shapes__lists__descriptor, PIECE("\x1a\x00"), CMT_EPROTO},
  {"empty short messages", &shapes__lists__descriptor, PIECE("\x22\x00"),
   CMT_EPROTO},
  {"empty wide messages", &shapes__lists__descriptor, PIECE("\x2a\x00"),
   CMT_EPROTO},
  {"a list merged again and again", &shapes__merged__descriptor,
   PIECE("\x0a\x02\x08\x01"), CMT_EPROTO},
};

/* Counts what one message allocates when nothing fails. */
static size_t whole_growth(fixture *f, const uint8_t *bytes, size_t len) {
  size_t growth = f->typed.growth, extra = f->typed.extra, before, taken;

  f->typed.growth = 0;
  f->typed.extra = (size_t)256 << 20;
  before = f->w->env.live_bytes;
  f->w->env.peak_bytes = before;
  (void)give(f, bytes, len);
  taken = f->w->env.peak_bytes - before;
  f->typed.growth = growth;
  f->typed.extra = extra;
  return taken;
}

static void memory_is_within_what_was_allowed(void **state) {
  enum { LEN = 100000 };
  fixture *f = *state;
  uint8_t *bytes = malloc(LEN);

  assert_non_null(bytes);
  connect_nodes(f);
  /* The first explanation is kept, and no later one allocates. */
  (void)cmt_peer_explain(test_node_peer(f->b), CMT_EPROTO, "the first");
  for (size_t i = 0; i < CMT__COUNT(growth_rows); i++) {
    const growth_row *row = &growth_rows[i];
    size_t len = LEN / row->piece_len * row->piece_len, before, taken;

    for (size_t at = 0; at < len; at += row->piece_len) {
      memcpy(bytes + at, row->piece, row->piece_len);
    }
    f->types[2].type = row->type;
    before = f->w->env.live_bytes;
    f->w->env.peak_bytes = before;
    assert_cmt(row->expected, give(f, bytes, len));
    taken = f->w->env.peak_bytes - before;
    assert_int_equal(before, f->w->env.live_bytes);
    /* And the headers of a few blocks. */
    assert_in_range(taken, 1, CMT_PROTOBUF_GROWTH * len + 65536 + 1024);
    printf("# %s: %.1f bytes of memory a byte\n", row->what,
           (double)whole_growth(f, bytes, len) / (double)len);
  }
  free(bytes);
}

static void the_limits_are_the_applications(void **state) {
  fixture *f = *state;
  uint8_t bytes[2000];

  connect_nodes(f);
  for (size_t i = 0; i < sizeof bytes; i += 2) {
    bytes[i] = 0x08;
    bytes[i + 1] = 1;
  }
  assert_cmt(CMT_OK, give(f, bytes, sizeof bytes));
  f->typed.growth = 1;
  f->typed.extra = 1000;
  assert_cmt(CMT_EPROTO, give(f, bytes, sizeof bytes));
  f->typed.growth = SIZE_MAX;
  assert_cmt(CMT_OK, give(f, bytes, sizeof bytes));
  f->typed.growth = SIZE_MAX / 2 + 1; /* Whose product would be 0. */
  f->typed.extra = 0;
  assert_cmt(CMT_OK, give(f, bytes, sizeof bytes));
  f->typed.growth = 0;
  assert_cmt(CMT_EPROTO, give(f, bytes, sizeof bytes));
  f->typed.extra = SIZE_MAX;
  assert_cmt(CMT_OK, give(f, bytes, sizeof bytes));
}

static void a_short_message_needs_one_allocation(void **state) {
  fixture *f = *state;
  size_t before;

  connect_nodes(f);
  before = f->w->env.allocs;
  assert_cmt(CMT_OK, give(f, "\x1a\x03xyz\x08\x01\x22\x02\x08\x05", 11));
  assert_int_equal(1, f->w->env.allocs - before);
}

static void a_required_field_must_be_there(void **state) {
  fixture *f = *state;

  f->types[2].type = &shapes__required__descriptor;
  connect_nodes(f);
  assert_cmt(CMT_EPROTO, give(f, "", 0));
  assert_cmt(CMT_OK, give(f, "\x08\x01", 2));
}

static void without_memory_it_reports_so(void **state) {
  enum { LEN = 1000 };
  fixture *f = *state;
  uint8_t bytes[LEN];
  cmt_err err = CMT_ENOMEM;
  size_t failed = 0;

  connect_nodes(f);
  for (size_t i = 0; i < LEN; i += 2) {
    bytes[i] = 0x22; /* Empty short messages: four blocks. */
    bytes[i + 1] = 0;
  }
  for (; err != CMT_OK; failed++) {
    f->w->env.fail_at = f->w->env.allocs + failed;
    err = give(f, bytes, LEN);
    if (err != CMT_OK) {
      assert_cmt(CMT_ENOMEM, err);
    }
  }
  f->w->env.fail_at = SIZE_MAX;
  assert_true(failed > 3);
}

/* ---- against protobuf-c alone ---- */

static uint32_t draw(uint64_t *seed) {
  *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
  return (uint32_t)(*seed >> 33);
}

/* Pieces that are fields of one type or another, and a few changes. */
static size_t draw_message(uint64_t *seed, uint8_t *out, size_t cap) {
  static const struct {
    const char *bytes;
    size_t len;
  } pieces[] = {
    {PIECE("\x08\x07")},
    {PIECE("\x0a\x00")},
    {PIECE("\x0a\x02\x10\x07")},
    {PIECE("\x10\xff\x01")},
    {PIECE("\x12\x03\x01\x80\x02")},
    {PIECE("\x12\x04\x0a\x02\x0a\x00")},
    {PIECE("\x1a\x02xy")},
    {PIECE("\x22\x82\x80\x80\x80\x00\x08\x05")}, /* A length of 5 bytes, */
    {PIECE("\xa2\x80\x80\x80\x00\x02\x08\x05")}, /* and a tag. */
    {PIECE("\x10\x85\x80\x80\x80\x80\x80\x80\x80\x80\x00")},
    {PIECE("\x22\x04\x08\x05\x10\x01")},
    {PIECE("\x2a\x03\x0a\x01z")},
    {PIECE("\x79\x01\x02\x03\x04\x05\x06\x07\x08")},
  };
  size_t len = 0;

  for (uint32_t left = draw(seed) % 12; left > 0; left--) {
    uint32_t i = draw(seed) % CMT__COUNT(pieces);

    if (pieces[i].len <= cap - len) {
      memcpy(out + len, pieces[i].bytes, pieces[i].len);
      len += pieces[i].len;
    }
  }
  for (uint32_t left = draw(seed) % 3; left > 0 && len > 0; left--) {
    static const uint8_t odd[] = {0x00, 0x7f, 0x80, 0xff, 0x0b, 0x08, 0x0a};
    uint32_t kind = draw(seed);

    out[draw(seed) % len] =
      kind % 2 == 0 ? odd[kind / 2 % sizeof odd] : (uint8_t)draw(seed);
  }
  return draw(seed) % 8 == 0 ? draw(seed) % (len + 1) : len;
}

static void drawn_messages_get_the_verdict_of_protobuf_c(void **state) {
  static const ProtobufCMessageDescriptor *const drawn[] = {
    &shapes__lists__descriptor, &shapes__nested__descriptor,
    &shapes__merged__descriptor, &shapes__required__descriptor,
    &cometbft__pex__message__descriptor};
  fixture *f = *state;
  uint64_t seed = 4;
  unsigned accepted = 0;

  connect_nodes(f);
  for (int i = 0; i < 40000; i++) {
    uint8_t bytes[100];
    size_t len = draw_message(&seed, bytes, sizeof bytes);
    ProtobufCMessage *plain;

    f->types[2].type = drawn[draw(&seed) % CMT__COUNT(drawn)];
    plain = protobuf_c_message_unpack(f->types[2].type, NULL, len, bytes);
    assert_cmt(plain != NULL ? CMT_OK : CMT_EPROTO, give(f, bytes, len));
    accepted += plain != NULL;
    if (plain != NULL) {
      protobuf_c_message_free_unpacked(plain, NULL);
    }
  }
  printf("# 40000 drawn messages, %u of them accepted\n", accepted);
  assert_in_range(accepted, 4000, 36000);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
  const struct CMUnitTest tests[] = {
    TEST(a_deep_message_ends_the_peer),
    TEST(messages_nest_to_a_depth_of_100),
    TEST(memory_is_within_what_was_allowed),
    TEST(the_limits_are_the_applications),
    TEST(a_short_message_needs_one_allocation),
    TEST(a_required_field_must_be_there),
    TEST(without_memory_it_reports_so),
    TEST(drawn_messages_get_the_verdict_of_protobuf_c),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
