/* SPDX-License-Identifier: Apache-2.0 */
/* Whole connections of the legacy profile, and of two profiles that meet: both
   sides report it, whoever speaks first and whatever is sent. */
#include "conn_peer.h"

#include <stdlib.h>

static const char foreign[] = "peer seems to speak another wire profile";

/* ---- two connections ---- */

typedef struct side {
  test_env t;
  cmt_node_key *key;
  cmt_conn *c;
  conn_output out;
  bool up;
  size_t pongs, messages;
  uint64_t sum; /* Over channels, lengths and contents, in their order. */
  cmt_why end;
} side;

static uint64_t sum_of(uint64_t sum, uint8_t channel, cmt_bytes data) {
  sum = (sum ^ channel) * UINT64_C(1099511628211) + data.len;
  for (size_t i = 0; i < data.len; i++) {
    sum = (sum ^ data.base[i]) * UINT64_C(1099511628211);
  }
  return sum;
}

static void side_init(side *s, uint8_t seed, cmt_wire wire) {
  uint8_t secret[32];
  cmt_conn_options o;

  memset(s, 0, sizeof *s);
  memset(secret, seed, sizeof secret);
  test_env_init(&s->t);
  s->t.seed = seed;
  s->key = secret_node_key(&s->t, secret);
  cmt_conn_options_init(&o);
  o.env = &s->t.env;
  o.key = s->key;
  o.node_info = &conn_peer_info;
  o.wire = wire;
  o.channels = conn_peer_channels;
  o.channel_count = CONN_PEER_CHANNELS;
  assert_cmt(CMT_OK, cmt_conn_new(&o, 0, &s->c, NULL));
}

static void side_fini(side *s) {
  cmt_conn_delete(s->c);
  conn_output_fini(&s->out);
  cmt_node_key_delete(s->key);
  test_env_fini(&s->t);
}

static void side_events(side *s) {
  cmt_conn_event e;

  while (cmt_conn_next_event(s->c, &e)) {
    s->up = s->up || e.kind == CMT_CONN_UP;
    s->pongs += e.kind == CMT_CONN_PONG;
    if (e.kind == CMT_CONN_END) {
      assert_int_equal(CMT_OK, s->end.err);
      cmt_conn_get_why(s->c, &s->end);
    } else if (e.kind == CMT_CONN_MESSAGE) {
      s->messages++;
      s->sum = sum_of(s->sum, e.channel, cmt_buf_bytes(e.msg));
    }
  }
}

/* Moves up to |most| bytes, in pieces of |piece|; how many there were. */
static size_t carry(side *from, side *to, size_t most, size_t piece) {
  cmt_bytes out = conn_output_lend(&from->out, from->c, most, 1);
  uint8_t *copy = malloc(out.len + 1);

  if (out.len > 0) {
    memcpy(copy, out.base, out.len);
    conn_output_consume(&from->out, from->c, out.len, 1);
  }
  for (size_t at = 0, n; at < out.len; at += n) {
    n = cmt__min(piece, out.len - at);
    if (cmt_conn_recv(to->c, copy + at, n, 1) != CMT_OK) {
      break;
    }
    side_events(to);
  }
  free(copy);
  return out.len;
}

static void run_until_idle(side *a, side *b, size_t piece) {
  while (carry(a, b, 65536, piece) + carry(b, a, 65536, piece) > 0) {
  }
  side_events(a);
  side_events(b);
}

static cmt_err say(side *s, uint8_t channel, size_t len, uint64_t *sum) {
  cmt_buf *msg = cmt_buf_new(&s->t.env, len);
  cmt_err err;

  for (size_t i = 0; i < len; i++) {
    cmt_buf_data(msg)[i] = (uint8_t)(i * 13 + i / 251);
  }
  *sum = sum_of(*sum, channel, cmt_buf_bytes(msg));
  err = cmt_conn_try_send(s->c, channel, msg, 0);
  if (err != CMT_OK) {
    cmt_buf_unref(msg);
  }
  return err;
}

/* ---- the same profile on both sides ---- */

static void legacy_messages_arrive_whatever_the_link_does(void **state) {
  static const size_t lengths[] = {0,    1,    1022, 1023,  1024,
                                   1025, 2048, 4999, 65536, 99999};
  static const size_t pieces[] = {1, 7, 1043, 1044, 5000, 65536};

  (void)state;
  for (size_t p = 0; p < CMT__COUNT(pieces); p++) {
    uint64_t sum_a = 0, sum_b = 0;
    size_t count = pieces[p] == 1 ? 8 : CMT__COUNT(lengths);
    side a, b;

    side_init(&a, 0x11, CMT_WIRE_LEGACY);
    side_init(&b, 0x22, CMT_WIRE_LEGACY);
    run_until_idle(&a, &b, pieces[p]);
    for (size_t i = 0; i < count; i++) {
      assert_cmt(CMT_OK, say(&a, 0xff, lengths[i], &sum_a));
      assert_cmt(CMT_OK, say(&b, i % 2 ? 0x00 : 0x30, lengths[i], &sum_b));
      run_until_idle(&a, &b, pieces[p]);
    }
    assert_cmt(CMT_OK, cmt_conn_ping(a.c, 0));
    run_until_idle(&a, &b, pieces[p]);
    assert_int_equal(count, a.messages);
    assert_int_equal(count, b.messages);
    assert_int_equal(sum_a, b.sum);
    assert_int_equal(sum_b, a.sum);
    assert_int_equal(1, a.pongs);
    assert_cmt(CMT_OK, a.end.err);
    assert_cmt(CMT_OK, b.end.err);
    /* A header of at most 12 bytes that a frame's end cuts. */
    assert_in_range(cmt__conn_copied(b.c), 0, 4 * count * 24);
    side_fini(&a);
    side_fini(&b);
  }
}

static void legacy_stop_sends_what_was_queued(void **state) {
  uint64_t sum = 0;
  side a, b;

  (void)state;
  side_init(&a, 0x11, CMT_WIRE_LEGACY);
  side_init(&b, 0x22, CMT_WIRE_LEGACY);
  run_until_idle(&a, &b, 65536);
  assert_cmt(CMT_OK, say(&a, 0xff, 90000, &sum));
  cmt_conn_stop(a.c, CMT_ECANCELED, CMT_SECONDS(1), 1);
  run_until_idle(&a, &b, 777);
  assert_cmt(CMT_ECANCELED, a.end.err);
  assert_int_equal(1, b.messages);
  assert_int_equal(sum, b.sum);
  side_fini(&a);
  side_fini(&b);
}

/* ---- two profiles ---- */

static void assert_foreign(const side *s) {
  assert_cmt(CMT_EPROTO, s->end.err);
  assert_int_equal(CMT_CLASS_PEER, cmt_err_class_of(s->end.err));
  assert_string_equal(foreign, s->end.text);
  assert_int_equal(CMT_STAGE_UP, s->end.stage);
  assert_int_equal(0, s->messages);
  assert_int_equal(0, s->pongs);
}

typedef enum word { PINGS, EMPTY, ONE, SHORT, LONG, NO_CHANNEL_ID } word;

static void speak(side *s, word w) {
  static const uint8_t ids[] = {0, 0x31, 0x31, 0x31, 0xff, 0x00};
  static const size_t lens[] = {0, 0, 1, 120, 50000, 0};
  uint64_t ignored = 0;

  assert_cmt(CMT_OK, w == PINGS ? cmt_conn_ping(s->c, 0)
                                : say(s, ids[w], lens[w], &ignored));
}

/* |who| speaks: 1 for a, which has |wire|, 2 for b, 3 for both. */
static void both_report_it(cmt_wire wire, unsigned who, word w, size_t piece) {
  side a, b;

  side_init(&a, 0x11, wire);
  side_init(&b, 0x22,
            wire == CMT_WIRE_LEGACY ? CMT_WIRE_COMETBFT : CMT_WIRE_LEGACY);
  run_until_idle(&a, &b, piece);
  assert_true(a.up && b.up);
  if ((who & 1) != 0) {
    speak(&a, w);
  }
  if ((who & 2) != 0) {
    speak(&b, w);
  }
  run_until_idle(&a, &b, piece);
  assert_foreign(&a);
  assert_foreign(&b);
  side_fini(&a);
  side_fini(&b);
}

/* Both are distinguished before a message or a pong of the other is
   believed. */
static void mixed_profiles_are_reported_on_both_sides(void **state) {
  (void)state;
  for (word w = PINGS; w <= NO_CHANNEL_ID; w++) {
    for (unsigned who = 1; who <= 3; who++) {
      both_report_it(CMT_WIRE_COMETBFT, who, w, 65536);
      both_report_it(CMT_WIRE_LEGACY, who, w, 65536);
    }
  }
  both_report_it(CMT_WIRE_COMETBFT, 1, LONG, 3);
  both_report_it(CMT_WIRE_LEGACY, 1, LONG, 3);
}

/* ---- byte by byte, against a peer driven by hand ---- */

typedef struct row {
  cmt_wire wire;
  const char *hex;    /* What the peer sends after the node infos. */
  const char *events; /* What the connection gives out. */
  bool foreign;       /* Its end reports that. */
} row;

static void check_row(const row *r, bool by_byte) {
  size_t len;
  uint8_t *bytes = test_unhex(r->hex, &len);
  conn_peer f;

  conn_peer_init(&f, true);
  f.o.wire = r->wire;
  conn_peer_start(&f);
  conn_peer_up(&f);
  for (size_t at = 0, n; at < len; at += n) {
    n = by_byte ? 1 : len;
    if (f.why.err == CMT_OK) {
      conn_peer_send(&f, (cmt_bytes){bytes + at, n});
    }
  }
  assert_conn_events(&f, r->events);
  if (f.why.err != CMT_OK) {
    assert_string_equal(r->foreign ? foreign : "malformed packet", f.why.text);
  }
  /* A parting ping, by which the other side knows at once. */
  if (r->foreign) {
    test_assert_hex(r->wire == CMT_WIRE_LEGACY ? "01" : "040a020800",
                    f.plain.bytes + f.read, f.plain.len - f.read);
  } else {
    for (; f.read < f.plain.len; f.read += 3) { /* Pongs. */
      assert_memory_equal("\x02\x12\x00", f.plain.bytes + f.read, 3);
    }
  }
  conn_peer_fini(&f);
  free(bytes);
}

static void first_bytes_give_the_profile_away(void **state) {
  static const row rows[] = {
    /* A legacy ping needs no second byte. */
    {CMT_WIRE_COMETBFT, "01", "CMT_EPROTO(up)", true},
    {CMT_WIRE_COMETBFT, "0309083010011a03616263", "CMT_EPROTO(up)", true},
    {CMT_WIRE_COMETBFT, "03021001", "CMT_EPROTO(up)", true},
    {CMT_WIRE_COMETBFT, "03870808301001", "CMT_EPROTO(up)", true},
    /* A packet of three bytes in a strange form is one all the same. */
    {CMT_WIRE_COMETBFT, "030a8000", "", false},
    {CMT_WIRE_COMETBFT, "030a80000308", "", false},
    {CMT_WIRE_COMETBFT, "030a8000030800ff", "CMT_EPROTO(up)", false},
    /* Behind the first packet a bad one is a bad one. */
    {CMT_WIRE_COMETBFT, "030a800001", "CMT_EPROTO(up)", false},
    {CMT_WIRE_COMETBFT, "061a0408311001010a", "31.0 CMT_EPROTO(up)", false},
    {CMT_WIRE_COMETBFT, "061a040831100103091001", "31.0 CMT_EPROTO(up)", false},
    {CMT_WIRE_COMETBFT, "00", "CMT_EPROTO(up)", false},
    {CMT_WIRE_COMETBFT, "020b00", "CMT_EPROTO(up)", false},
    /* CometBFT's ping and pong begin with a legacy pong. */
    {CMT_WIRE_LEGACY, "02", "", false},
    {CMT_WIRE_LEGACY, "020a00", "CMT_EPROTO(up)", true},
    {CMT_WIRE_LEGACY, "021200", "CMT_EPROTO(up)", true},
    {CMT_WIRE_LEGACY, "040a020800", "CMT_EPROTO(up)", true},
    {CMT_WIRE_LEGACY, "061a0408311001", "CMT_EPROTO(up)", true},
    {CMT_WIRE_LEGACY, "8b081a", "CMT_EPROTO(up)", true},
    /* Any byte over 3 where a type should be. */
    {CMT_WIRE_LEGACY, "03040831100104", "31.0 CMT_EPROTO(up)", true},
    {CMT_WIRE_LEGACY, "030408311001ff", "31.0 CMT_EPROTO(up)", true},
    {CMT_WIRE_LEGACY, "03040831100100", "31.0 CMT_EPROTO(up)", false},
    {CMT_WIRE_LEGACY, "030408311002", "CMT_EPROTO(up)", false},
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    check_row(&rows[i], false);
    check_row(&rows[i], true);
  }
}

/* The parting ping stands in a frame of its own: behind half a batch it would
   be no frame, so it is left out. */
static void no_parting_ping_in_the_middle_of_a_run(void **state) {
  conn_peer f;
  cmt_bytes out;

  (void)state;
  conn_peer_init(&f, true);
  f.o.wire = CMT_WIRE_LEGACY;
  conn_peer_start(&f);
  conn_peer_up(&f);
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0xff, 5000));
  out = conn_peer_output(&f, 65536, 1);
  assert_int_equal(5 * CMT_FRAME_SLOT, out.len);
  f.now_ns = 1;
  conn_peer_consume(&f, CMT_FRAME_SLOT + 1, 1);
  f.stalled = true;
  conn_peer_send_hex(&f, "061a0408311001");
  assert_conn_events(&f, "CMT_EPROTO(up)");
  assert_false(cmt_conn_wants_write(f.c, 1, NULL));
  conn_peer_fini(&f);
}

/* The reason of a stop that is under way stays. */
static void stop_under_way_keeps_its_reason(void **state) {
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  f.o.wire = CMT_WIRE_LEGACY;
  conn_peer_start(&f);
  conn_peer_up(&f);
  f.stalled = true;
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0xff, 5000));
  conn_peer_stop(&f, CMT_ECANCELED, CMT_SECONDS(1));
  conn_peer_send_hex(&f, "061a0408311001");
  assert_conn_events(&f, "CMT_ECANCELED(up)");
  conn_peer_fini(&f);
}

static void unknown_profile_is_refused(void **state) {
  conn_peer f;
  cmt_conn *c;
  cmt_why why;

  (void)state;
  conn_peer_init(&f, true);
  f.o.wire = (cmt_wire)2;
  assert_cmt(CMT_EINVAL, cmt_conn_new(&f.o, 0, &c, &why));
  assert_string_equal("wire is 2, which is none of enum cmt_wire", why.text);
  conn_peer_fini(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(legacy_messages_arrive_whatever_the_link_does),
    cmocka_unit_test(legacy_stop_sends_what_was_queued),
    cmocka_unit_test(mixed_profiles_are_reported_on_both_sides),
    cmocka_unit_test(first_bytes_give_the_profile_away),
    cmocka_unit_test(no_parting_ping_in_the_middle_of_a_run),
    cmocka_unit_test(stop_under_way_keeps_its_reason),
    cmocka_unit_test(unknown_profile_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
