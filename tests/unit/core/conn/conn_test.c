/* SPDX-License-Identifier: Apache-2.0 */
/* The handshake of a whole connection and its checks, in virtual time.  How a
   connection ends is in conn_end_test.c, what it carries in conn_up_test.c. */
#include "conn_peer.h"

#include "core/conn/conn_impl.h"
#include "core/secret/secret_conn.h"

#include <stdlib.h>

#define S(n) CMT_SECONDS(n)
#define MS(n) CMT_MILLISECONDS(n)

/* ---- the whole handshake, cut anywhere ---- */

enum { STREAM = 35 + 2 * CMT_FRAME_SLOT };

/* The bytes of the peer: key, signature, and in one frame its node info, a
   ping and a message. */
static void stream_write(conn_peer *f, uint8_t out[STREAM]) {
  uint8_t auth[103], data[512];
  size_t len = conn_peer_write_info(f, &conn_peer_info, data, sizeof data);

  memcpy(data + len, "\x02\x0a\x00\x0b\x1a\x09\x08\x31\x10\x01\x1a\x03xyz", 15);
  secret_peer_write_key(&f->peer, out);
  secret_peer_write_auth(&f->peer, auth);
  secret_peer_seal(&f->peer, (cmt_bytes){auth, sizeof auth}, out + 35);
  secret_peer_seal(&f->peer, (cmt_bytes){data, len + 15},
                   out + 35 + CMT_FRAME_SLOT);
}

/* The node info and the pong, and nothing else, were sent. */
static void assert_answer(conn_peer *f) {
  cmt_bytes info;

  assert_conn_events(f, "info up 31.3");
  assert_int_equal(3, f->messages.len);
  assert_memory_equal("xyz", f->messages.bytes, 3);
  assert_true(conn_peer_next_packet(f, &info));
  assert_conn_sent(f, "1200");
}

static void run_split(bool least, size_t first, size_t rest) {
  uint8_t stream[STREAM];
  conn_peer f;

  conn_peer_init(&f, least);
  conn_peer_start(&f);
  stream_write(&f, stream);
  conn_peer_raw_cut(&f, (cmt_bytes){stream, sizeof stream}, first, rest);
  assert_answer(&f);
  conn_peer_fini(&f);
}

static void handshake_works_at_every_split_point(void **state) {
  (void)state;
  for (size_t at = 1; at <= STREAM; at++) {
    run_split(true, at, STREAM);
    run_split(false, at, STREAM);
  }
  print_message("# %d split points in each role\n", STREAM);
}

static void handshake_works_in_pieces_of_any_size(void **state) {
  static const size_t sizes[] = {1, 2, 7, 34, 35, 36, 1043, 1045};

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(sizes); i++) {
    run_split(true, sizes[i], sizes[i]);
    run_split(false, sizes[i], sizes[i]);
  }
}

/* Our half of the handshake leaves in pieces as small as the link accepts. */
static void own_handshake_leaves_in_pieces(void **state) {
  conn_peer f;

  (void)state;
  for (size_t max = 1; max < 1200; max += 13) {
    size_t total = 0;
    uint8_t stream[STREAM];

    conn_peer_init(&f, true);
    conn_peer_start(&f);
    stream_write(&f, stream);
    f.stalled = true;
    conn_peer_raw(&f, (cmt_bytes){stream, sizeof stream});
    while (true) {
      cmt_bytes out = conn_peer_output(&f, max, 0);
      size_t taken = (out.len + 1) / 2;

      if (out.len == 0) {
        break;
      }
      assert_in_range(out.len, 1, max);
      conn_peer_consume(&f, taken, 0);
      total += taken;
    }
    /* The signature, the node info, the pong. */
    assert_int_equal(3 * CMT_FRAME_SLOT, total);
    assert_conn_events(&f, "info up 31.3");
    conn_peer_fini(&f);
  }
}

static void packed_behind_auth_is_answered(void **state) {
  uint8_t data[1024];
  conn_peer f;

  (void)state;
  for (int least = 0; least < 2; least++) {
    size_t len = 103;

    conn_peer_init(&f, least);
    conn_peer_start(&f);
    conn_peer_hello(&f);
    secret_peer_write_auth(&f.peer, data);
    len +=
      conn_peer_write_info(&f, &conn_peer_info, data + len, sizeof data - len);
    memcpy(data + len, "\x02\x0a\x00\x0b\x1a\x09\x08\x31\x10\x01\x1a\x03xyz",
           15);
    conn_peer_frame(&f, (cmt_bytes){data, len + 15});
    assert_answer(&f);
    conn_peer_fini(&f);
  }
}

/* A Rust implementation in use panics otherwise. */
static void signature_stands_alone_in_its_frame(void **state) {
  uint8_t stream[STREAM], info[512];
  size_t info_len;
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  conn_peer_start(&f);
  f.stalled = true;
  stream_write(&f, stream);
  /* All is there before anything is polled, and a message waits besides. */
  conn_peer_raw(&f, (cmt_bytes){stream, sizeof stream});
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0x30, 5));
  conn_peer_take(&f);
  assert_int_equal(3, f.frames);
  assert_int_equal(103, f.frame_len[0]);
  /* The node info starts a frame. */
  info_len = conn_peer_write_info(&f, &conn_peer_info, info, sizeof info);
  assert_int_equal(info_len, f.frame_len[1]);
  assert_int_equal(info[0], f.plain.bytes[0]);
  assert_int_equal(3 + 14, f.frame_len[2]);
  conn_peer_fini(&f);
}

static void node_info_may_come_a_byte_a_frame(void **state) {
  uint8_t info[512];
  conn_peer f;

  (void)state;
  conn_peer_init(&f, false);
  conn_peer_start(&f);
  conn_peer_hello(&f);
  conn_peer_auth(&f);
  size_t len = conn_peer_write_info(&f, &conn_peer_info, info, sizeof info);
  for (size_t i = 0; i < len; i++) {
    assert_conn_events(&f, "");
    conn_peer_frame(&f, (cmt_bytes){0}); /* Empty frames do not matter. */
    conn_peer_frame(&f, (cmt_bytes){info + i, 1});
  }
  assert_conn_events(&f, "info up");
  conn_peer_fini(&f);
}

/* A node info of |size| bytes, filled with an unknown field. */
static void run_info_size(size_t size, const char *expected) {
  static uint8_t out[10300], body[10300];
  cmt__writer w = {.at = out, .end = out + sizeof out};
  size_t len, filler;
  conn_peer f;

  conn_peer_init(&f, true);
  conn_peer_start(&f);
  conn_peer_hello(&f);
  conn_peer_auth(&f);
  len = conn_peer_write_info(&f, &conn_peer_info, body, sizeof body);
  filler = size - (len - 1) - 3;
  cmt__write_varint(&w, size);
  cmt__write_raw(&w, (cmt_bytes){body + 1, len - 1});
  cmt__write_tag(&w, 15, CMT__WIRE_BYTES);
  cmt__write_varint(&w, filler);
  memset(body, 0, sizeof body);
  cmt__write_raw(&w, (cmt_bytes){body, filler});
  assert_false(w.failed);
  assert_int_equal(size + 2, w.at - out);
  conn_peer_send(&f, (cmt_bytes){out, (size_t)(w.at - out)});
  assert_conn_events(&f, expected);
  conn_peer_fini(&f);
}

static void node_info_of_10240_bytes_is_the_longest(void **state) {
  (void)state;
  run_info_size(10240, "info up");
  run_info_size(10241, "CMT_EPROTO(node_info)");
}

/* ---- deadlines ---- */

static void first_half_has_three_seconds(void **state) {
  conn_peer f;

  (void)state;
  for (int said = 0; said < 2; said++) {
    conn_peer_init(&f, true);
    f.now_ns = S(100);
    conn_peer_start(&f);
    assert_int_equal(S(103), cmt_conn_deadline(f.c));
    f.now_ns = S(102);
    if (said) {
      conn_peer_hello(&f);
    }
    assert_int_equal(S(103), cmt_conn_deadline(f.c));
    conn_peer_tick(&f, S(103) - 1);
    assert_conn_events(&f, "");
    conn_peer_tick(&f, S(103));
    assert_conn_events(&f, "CMT_EHANDSHAKE(secret_connection)");
    assert_int_equal(CMT_NEVER, cmt_conn_deadline(f.c));
    conn_peer_fini(&f);
  }
}

static void second_half_has_three_seconds_of_its_own(void **state) {
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  conn_peer_start(&f);
  f.now_ns = MS(2900);
  conn_peer_hello(&f);
  conn_peer_auth(&f);
  assert_int_equal(MS(5900), cmt_conn_deadline(f.c));
  conn_peer_tick(&f, MS(5900) - 1);
  assert_conn_events(&f, "");
  conn_peer_tick(&f, MS(5900));
  assert_conn_events(&f, "CMT_EHANDSHAKE(node_info)");
  conn_peer_fini(&f);
}

static void pauses_within_the_deadline_are_fine(void **state) {
  conn_peer f;

  (void)state;
  conn_peer_init(&f, false);
  conn_peer_start(&f);
  conn_peer_tick(&f, MS(2500));
  conn_peer_hello(&f);
  conn_peer_auth(&f);
  conn_peer_tick(&f, MS(5000));
  conn_peer_send_info(&f);
  assert_conn_events(&f, "info up");
  conn_peer_tick(&f, S(59)); /* No handshake deadline is left. */
  assert_conn_events(&f, "");
  conn_peer_fini(&f);
}

static void handshake_timeout_is_an_option(void **state) {
  conn_peer f;

  (void)state;
  conn_peer_init(&f, false);
  f.o.handshake_timeout_ns = MS(10);
  conn_peer_start(&f);
  conn_peer_tick(&f, MS(9));
  conn_peer_hello(&f);
  conn_peer_auth(&f);
  assert_int_equal(MS(19), cmt_conn_deadline(f.c));
  conn_peer_tick(&f, MS(19));
  assert_conn_events(&f, "CMT_EHANDSHAKE(node_info)");
  conn_peer_fini(&f);

  conn_peer_init(&f, false);
  f.o.handshake_timeout_ns = CMT_NEVER;
  f.now_ns = S(1);
  conn_peer_start(&f);
  assert_int_equal(CMT_NEVER, cmt_conn_deadline(f.c));
  conn_peer_fini(&f);
}

/* ---- identities ---- */

static void dialed_id_that_matches_is_accepted(void **state) {
  cmt_node_id id = {.text = "1325b850c2871916eae203f0efc3c8987f64e5e3"};
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  f.o.expect_id = &id;
  conn_peer_start(&f);
  memset(&id, 0, sizeof id); /* It was copied. */
  conn_peer_up(&f);
  conn_peer_fini(&f);
}

static void dialed_id_in_capitals_is_the_same(void **state) {
  cmt_node_id id = {.text = "1325B850C2871916EAE203F0EFC3C8987F64E5E3"};
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  f.o.expect_id = &id;
  conn_peer_start(&f);
  conn_peer_up(&f);
  conn_peer_fini(&f);
}

static void wrong_dialed_id_ends_before_any_node_info(void **state) {
  cmt_node_id id = {.text = "10ba682c8ad13513971e8b56881aab8bd702bb80"};
  conn_peer f;

  (void)state;
  for (int least = 0; least < 2; least++) {
    conn_peer_init(&f, least);
    f.o.expect_id = &id;
    conn_peer_start(&f);
    conn_peer_hello(&f);
    conn_peer_auth(&f);
    assert_conn_events(&f, "CMT_EWRONGID(secret_connection)");
    assert_string_equal(
      "dialed node 10ba682c8ad13513971e8b56881aab8bd702bb80, found node "
      "1325b850c2871916eae203f0efc3c8987f64e5e3",
      f.why.text);
    assert_int_equal(35 + CMT_FRAME_SLOT, f.wire.len);
    assert_int_equal(0, f.plain.len);
    conn_peer_fini(&f);
  }
}

/* The other side has our own key: dialed by mistake, or a thief. */
static void own_key_is_refused_after_node_info(void **state) {
  uint8_t ours[32];
  conn_peer f;

  (void)state;
  memset(ours, 0x11, sizeof ours);
  for (int least = 0; least < 2; least++) {
    conn_peer_init(&f, least);
    secret_peer_init(&f.peer, least ? secret_eph_high : secret_eph_low, ours);
    conn_peer_start(&f);
    conn_peer_hello(&f);
    conn_peer_auth(&f);
    conn_peer_send_info(&f);
    assert_conn_events(&f, "info CMT_ESELF(node_info)");
    conn_peer_fini(&f);
  }
}

/* ---- compatible or not ---- */

typedef struct fit {
  const char *name;
  cmt_node_info info;
  const char *text;
} fit;

#define BYTES(text)                                                            \
  { .base = (const uint8_t *)(text), .len = sizeof(text) - 1 }
#define LIKE                                                                   \
  .protocol_block = 11, .listen_addr = BYTES("1.2.3.4:5"), .moniker = BYTES("m")

static const fit misfits[] = {
  {"network",
   {LIKE, .network = BYTES("other\n"), .channels = BYTES("\x30")},
   "network differs: theirs 'other\\x0a', ours 'test-net'"},
  {"block version",
   {.protocol_block = 12,
    .listen_addr = BYTES("1.2.3.4:5"),
    .moniker = BYTES("m"),
    .network = BYTES("test-net"),
    .channels = BYTES("\x30")},
   "block version differs: theirs 12, ours 11"},
  {"channels",
   {LIKE, .network = BYTES("test-net"), .channels = BYTES("\x40\x50")},
   "no common channel: theirs 4050, ours 003031ff"},
};

static void run_fit(const fit *m, bool any_network, const char *events) {
  uint8_t out[512];
  conn_peer f;

  conn_peer_init(&f, true);
  f.o.any_network = any_network;
  conn_peer_start(&f);
  conn_peer_hello(&f);
  conn_peer_auth(&f);
  conn_peer_send(
    &f, (cmt_bytes){out, conn_peer_write_info(&f, &m->info, out, sizeof out)});
  assert_conn_events(&f, events);
  if (!any_network) {
    assert_string_equal(m->text, f.why.text);
  }
  conn_peer_fini(&f);
}

static void misfits_are_refused_unless_anything_goes(void **state) {
  const fit invalid = {.info = {.protocol_block = 11}};

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(misfits); i++) {
    run_fit(&misfits[i], false,
            strstr(misfits[i].text, "network") != NULL
              ? "info CMT_ENETWORK(node_info)"
              : "info CMT_EINCOMPATIBLE(node_info)");
    run_fit(&misfits[i], true, "info up");
  }
  /* What is invalid stays so. */
  run_fit(&invalid, true, "info CMT_ENODEINFO(node_info)");
}

static void node_without_channels_accepts_any(void **state) {
  cmt_node_info info = conn_peer_info;
  conn_peer f;

  (void)state;
  info.channels = (cmt_bytes){0};
  conn_peer_init(&f, true);
  f.o.node_info = &info;
  f.o.channels = NULL;
  f.o.channel_count = 0;
  conn_peer_start(&f);
  conn_peer_up(&f);
  conn_peer_fini(&f);
}

/* What |node_info| leaves out follows from key and channels. */
static void id_and_channels_are_filled_in(void **state) {
  cmt_node_info info = conn_peer_info, read;
  cmt_bytes body;
  conn_peer f;

  (void)state;
  info.channels = (cmt_bytes){0};
  info.listen_addr = (cmt_bytes){0};
  conn_peer_init(&f, true);
  f.o.node_info = &info;
  conn_peer_start(&f);
  conn_peer_hello(&f);
  conn_peer_auth(&f);
  assert_true(conn_peer_next_packet(&f, &body));
  assert_true(cmt__node_info_decode(body, &read));
  assert_int_equal(15, read.listen_addr.len);
  assert_memory_equal("tcp://0.0.0.0:0", read.listen_addr.base, 15);
  assert_int_equal(40, read.id.len);
  assert_memory_equal("10ba682c8ad13513971e8b56881aab8bd702bb80", read.id.base,
                      40);
  test_assert_hex("003031ff", read.channels.base, read.channels.len);
  conn_peer_fini(&f);
}

/* CometBFT compares the text of an id, so that only small letters go out. */
static void own_id_in_capitals_goes_out_in_small_letters(void **state) {
  cmt_node_info info = conn_peer_info, read;
  cmt_bytes body;
  conn_peer f;

  (void)state;
  info.id = cmt_bytes_of("10BA682C8AD13513971E8B56881AAB8BD702BB80");
  conn_peer_init(&f, true);
  f.o.node_info = &info;
  conn_peer_start(&f);
  conn_peer_hello(&f);
  conn_peer_auth(&f);
  assert_true(conn_peer_next_packet(&f, &body));
  assert_true(cmt__node_info_decode(body, &read));
  assert_int_equal(40, read.id.len);
  assert_memory_equal("10ba682c8ad13513971e8b56881aab8bd702bb80", read.id.base,
                      40);
  conn_peer_fini(&f);
}

/* ---- options ---- */

static void assert_refused(conn_peer *f, cmt_conn_options *o,
                           const char *text) {
  cmt_conn *c = NULL;
  cmt_why why = {0};
  size_t live = f->t.live;

  assert_cmt(CMT_EINVAL, cmt_conn_new(o, 0, &c, &why));
  assert_int_equal(CMT_EINVAL, why.err);
  assert_string_equal(text, why.text);
  assert_cmt(CMT_EINVAL, cmt_conn_new(o, 0, &c, NULL));
  assert_null(c);
  assert_int_equal(live, f->t.live);
  *o = f->o;
}

static void bad_options_are_refused_by_name(void **state) {
  static uint8_t moniker[10240];
  const cmt_env unusable = {.size = 8};
  cmt_node_info info = conn_peer_info;
  cmt_conn_options o;
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  o = f.o;
  o.size = 8;
  assert_refused(&f, &o, "options of an unknown size: use the init macro");
  o.env = &unusable;
  assert_refused(&f, &o, "env: argument out of its documented range");
  o.key = NULL;
  assert_refused(&f, &o, "key is not set");
  o.node_info = NULL;
  assert_refused(&f, &o, "node_info is not set");
  o.channel_count = 17;
  assert_refused(&f, &o, "17 channels, allowed are 16");
  o.recv_packet_payload_max = 65537;
  assert_refused(&f, &o,
                 "recv_packet_payload_max is 65537, allowed is 1 to 65536");
  memset(moniker, 'm', sizeof moniker);
  info.moniker = (cmt_bytes){moniker, sizeof moniker};
  o.node_info = &info;
  assert_refused(&f, &o, "our node info takes 10346 bytes, allowed are 10240");
  conn_peer_fini(&f);
}

/* Everything but the fields of the handshake is gone once it is over. */
/* Each term of it, to the byte: what lives as long as the connection, and what
   the handshake has besides. */
static void memory_is_this_sum(void **state) {
  enum { INFO = 10240, SEALED = INFO + 10 };
  cmt_mconn_options m;
  cmt_conn_options o;

  (void)state;
  cmt_mconn_options_init(&m);
  cmt_conn_options_init(&o);
  assert_int_equal(sizeof(cmt_conn) + cmt__mconn_memory(&m) +
                     sizeof(cmt_secret_conn) + CMT_FRAME_SLOT +
                     sizeof(cmt_node_info) + INFO,
                   cmt__conn_memory(&o));
  assert_int_equal(sizeof(cmt__conn_handshake) + sizeof(cmt_node_info) +
                     SEALED + cmt__grow_max(SEALED, 512) + SEALED +
                     sizeof(cmt__secret_handshake) +
                     cmt__grow_max(CMT_SECRET_CONN_ANNOUNCED, 1),
                   cmt__conn_handshake_memory(&o) - cmt__conn_memory(&o));
}

static void memory_of_the_handshake_goes_when_it_is_over(void **state) {
  size_t before;
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  conn_peer_start(&f);
  before = f.t.live_bytes;
  conn_peer_up(&f);
  /* Our signature's frame and two encoded node infos at least. */
  assert_in_range(f.t.live_bytes, 1, before - CMT_FRAME_SLOT);
  conn_peer_fini(&f);
}

/* Our node info leaves after theirs was checked. */
static void memory_of_the_handshake_goes_with_our_node_info(void **state) {
  size_t before;
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  conn_peer_start(&f);
  conn_peer_hello(&f);
  f.stalled = true;
  conn_peer_auth(&f);
  conn_peer_send_info(&f);
  assert_conn_events(&f, "info up");
  before = f.t.live_bytes;
  conn_peer_take(&f);
  assert_int_equal(2, f.frames);
  assert_in_range(f.t.live_bytes, 1, before - sizeof(cmt_node_info));
  conn_peer_fini(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(handshake_works_at_every_split_point),
    cmocka_unit_test(handshake_works_in_pieces_of_any_size),
    cmocka_unit_test(own_handshake_leaves_in_pieces),
    cmocka_unit_test(packed_behind_auth_is_answered),
    cmocka_unit_test(signature_stands_alone_in_its_frame),
    cmocka_unit_test(node_info_may_come_a_byte_a_frame),
    cmocka_unit_test(node_info_of_10240_bytes_is_the_longest),
    cmocka_unit_test(first_half_has_three_seconds),
    cmocka_unit_test(second_half_has_three_seconds_of_its_own),
    cmocka_unit_test(pauses_within_the_deadline_are_fine),
    cmocka_unit_test(handshake_timeout_is_an_option),
    cmocka_unit_test(dialed_id_that_matches_is_accepted),
    cmocka_unit_test(dialed_id_in_capitals_is_the_same),
    cmocka_unit_test(wrong_dialed_id_ends_before_any_node_info),
    cmocka_unit_test(own_key_is_refused_after_node_info),
    cmocka_unit_test(misfits_are_refused_unless_anything_goes),
    cmocka_unit_test(node_without_channels_accepts_any),
    cmocka_unit_test(id_and_channels_are_filled_in),
    cmocka_unit_test(own_id_in_capitals_goes_out_in_small_letters),
    cmocka_unit_test(bad_options_are_refused_by_name),
    cmocka_unit_test(memory_is_this_sum),
    cmocka_unit_test(memory_of_the_handshake_goes_when_it_is_over),
    cmocka_unit_test(memory_of_the_handshake_goes_with_our_node_info),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
