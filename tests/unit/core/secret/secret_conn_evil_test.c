/* SPDX-License-Identifier: Apache-2.0 */
/* A peer that is wrong, or merely strange, at one chosen step: every row of
   docs/PROTOCOL.md 2.7 and of handshake_behaviour.json, with the connection as
   the side of the lower ephemeral key and as the other. */
#include "evil.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>

#include "secret_conn_evil_rows.h"

enum { MESSAGE_MAX = 4200, FRAMES_MAX = 256 };

typedef struct evil {
  test_env t;
  cmt_node_key *key;
  cmt_secret_conn *s;
  secret_peer peer;
  evil_words w;
  uint8_t own_frame[CMT_FRAME_SLOT];
} evil;

static void fixture_init(evil *e, bool least) {
  static const uint8_t seed[32] = {0x11};

  test_env_init(&e->t);
  e->key = secret_node_key(&e->t, seed);
  e->s = secret_conn_with(&e->t, secret_eph_high, e->key);
  evil_peer_init(&e->peer, least);
  secret_peer_meet(&e->peer, e->s);
  evil_words_init(&e->w, &e->peer, e->key);
}

static void fixture_fini(evil *e) {
  cmt_secret_conn_delete(e->s);
  cmt_node_key_delete(e->key);
  test_env_fini(&e->t);
}

static void assert_row(const evil_row *row, const char *phase, bool least,
                       cmt_err got) {
  if (got != row->expected) {
    fail_msg("2.7 %s: %s (%s): %s instead of %s", phase, row->name,
             least ? "least" : "not least", cmt_err_name(got),
             cmt_err_name(row->expected));
  }
}

/* CMT_OK once |s| is at |state|, CMT_EAGAIN before, or |err|, its end. */
static cmt_err outcome_of(const cmt_secret_conn *s, cmt__secret_state state,
                          cmt_err err) {
  assert_int_equal(err != CMT_OK, cmt_secret_conn_has_ended(s));
  return err == CMT_OK && s->state != state ? CMT_EAGAIN : err;
}

/* Puts |message| into frames; returns the bytes they take. */
static size_t frame_message(evil *e, framing how, cmt_bytes message,
                            uint8_t *out) {
  secret_peer *p = &e->peer;
  size_t count = 0, at = 0, piece = message.len;

  if (how == NO_FRAME) {
    return 0;
  }
  if (how == REFLECTED) {
    memcpy(out, e->own_frame, CMT_FRAME_SLOT);
    return CMT_FRAME_SLOT;
  }
  if (how == ANNOUNCE_1025 || how == ANNOUNCE_MAX) {
    secret_peer_seal_as(p, message, how == ANNOUNCE_MAX ? UINT32_MAX : 1025,
                        out);
    return CMT_FRAME_SLOT;
  }
  if (how == WRONG_KEY) {
    memcpy(p->send.key, p->recv.key, sizeof p->send.key);
  }
  if (how == EMPTY_BEFORE) {
    secret_peer_seal(p, (cmt_bytes){0}, out);
    count++;
  }
  piece = how == BYTE_FRAMES ? 1 : how == EMPTY_INSIDE ? 50 : message.len;
  for (; at < message.len; at += piece, count++) {
    if (how == EMPTY_INSIDE && at == 50) {
      secret_peer_seal(p, (cmt_bytes){0}, out + count++ * CMT_FRAME_SLOT);
    }
    assert_true(count < FRAMES_MAX - 1);
    secret_peer_seal(
      p, (cmt_bytes){message.base + at, cmt__min(piece, message.len - at)},
      out + count * CMT_FRAME_SLOT);
  }
  out[1040] ^= how == BAD_TAG;
  return count * CMT_FRAME_SLOT - (how == CUT_FRAME);
}

/* Sends |bytes| as the second message, with data behind it where the handshake
   is to complete. */
static cmt_err finish_handshake(evil *e, const evil_row *row, cmt_bytes message,
                                size_t cut) {
  static uint8_t frames[FRAMES_MAX * CMT_FRAME_SLOT];
  secret_sink sink = {0};
  size_t len = frame_message(e, row->framing, message, frames);
  cmt_err err;

  if (row->expected == CMT_OK) {
    secret_peer_seal(&e->peer, (cmt_bytes){(const uint8_t *)"node info", 9},
                     frames + len);
    len += CMT_FRAME_SLOT;
  }
  err = secret_feed_pieces(e->s, (cmt_bytes){frames, len}, cut, cut, &sink);
  err = outcome_of(e->s, CMT__SECRET_UP, err);
  if (err == CMT_OK) {
    assert_int_equal(row->rest + 9, sink.len);
    assert_memory_equal(message.base + message.len - row->rest, sink.bytes,
                        row->rest);
    assert_memory_equal("node info", sink.bytes + row->rest, 9);
    assert_int_equal(row->empty, cmt_secret_conn_empty_frames(e->s));
  } else {
    assert_int_equal(0, sink.len);
    assert_null(cmt_secret_conn_id(e->s));
  }
  secret_sink_fini(&sink);
  return err;
}

static void take_own_frame(evil *e) {
  cmt_bytes out = cmt_secret_conn_output(e->s);

  assert_int_equal(SECRET_HANDSHAKE, out.len);
  memcpy(e->own_frame, out.base + 35, CMT_FRAME_SLOT);
}

static cmt_err run_clear(const evil_row *row, bool least, size_t cut) {
  static const evil_row plain = {ROW("", AUTH, CMT_OK)};
  evil e;
  uint8_t message[MESSAGE_MAX], auth[103];
  size_t len;
  secret_sink sink = {0};
  cmt_err err;

  fixture_init(&e, least);
  len = evil_words_expand(&e.w, row->message, message, sizeof message);
  err = secret_feed_pieces(e.s, (cmt_bytes){message, len}, cut, cut, &sink);
  err = outcome_of(e.s, CMT__SECRET_AUTH, err);
  if (err == CMT_OK) {
    take_own_frame(&e);
    secret_peer_write_auth(&e.peer, auth);
    err = finish_handshake(&e, &plain, (cmt_bytes){auth, sizeof auth}, cut);
  }
  fixture_fini(&e);
  return err;
}

static cmt_err run_sealed(const evil_row *row, bool least, size_t cut) {
  evil e;
  uint8_t message[MESSAGE_MAX], key[35];
  size_t len;
  secret_sink sink = {0};
  cmt_err err;

  fixture_init(&e, least);
  len = evil_words_expand(&e.w, row->message, message, sizeof message);
  secret_peer_write_key(&e.peer, key);
  assert_cmt(CMT_OK, secret_feed(e.s, (cmt_bytes){key, 35}, &sink));
  take_own_frame(&e);
  err = finish_handshake(&e, row, (cmt_bytes){message, len}, cut);
  fixture_fini(&e);
  return err;
}

/* Runs |row| in both roles, its bytes whole and cut. */
static void run_row(const evil_row *row, const char *phase,
                    cmt_err (*run)(const evil_row *, bool, size_t)) {
  static const size_t cuts[] = {1 << 20, 1, 7, 1044};

  for (size_t i = 0; i < CMT__COUNT(cuts); i++) {
    assert_row(row, phase, true, run(row, true, cuts[i]));
    assert_row(row, phase, false, run(row, false, cuts[i]));
  }
  printf("# 2.7 %s: %s: %s (least, not least)%s\n", phase, row->name,
         row->expected == CMT_OK ? "ok" : cmt_err_name(row->expected),
         row->intended ? " - intended difference" : "");
}

static void every_first_message(void **state) {
  (void)state;
  for (size_t i = 0; i < CMT__COUNT(clear_rows); i++) {
    run_row(&clear_rows[i], "clear", run_clear);
  }
}

static void every_second_message(void **state) {
  (void)state;
  for (size_t i = 0; i < CMT__COUNT(sealed_rows); i++) {
    run_row(&sealed_rows[i], "encrypted", run_sealed);
  }
}

/* CMT_OK: the key is accepted and answered. */
static cmt_err run_accepted(const evil_row *row, bool least, size_t cut) {
  evil e;
  uint8_t message[MESSAGE_MAX];
  secret_sink sink = {0};
  size_t len;
  cmt_err err;

  fixture_init(&e, least);
  len = evil_words_expand(&e.w, row->message, message, sizeof message);
  err = secret_feed_pieces(e.s, (cmt_bytes){message, len}, cut, cut, &sink);
  err = outcome_of(e.s, CMT__SECRET_AUTH, err);
  if (err == CMT_OK) {
    take_own_frame(&e);
  }
  fixture_fini(&e);
  return err;
}

static void every_key_of_unknown_secret(void **state) {
  (void)state;
  for (size_t i = 0; i < CMT__COUNT(accepted_rows); i++) {
    run_row(&accepted_rows[i], "clear, accepted at this step", run_accepted);
  }
}

/* The connection talks to its own echo.  Both keys are equal, so that there is
   one role. */
static void reflected_handshake_does_not_open(void **state) {
  uint8_t bytes[SECRET_HANDSHAKE];
  secret_sink sink = {0};
  evil e;

  (void)state;
  fixture_init(&e, true);
  memcpy(bytes, cmt_secret_conn_output(e.s).base, 35);
  assert_cmt(CMT_OK, secret_feed(e.s, (cmt_bytes){bytes, 35}, &sink));
  take_own_frame(&e);
  assert_cmt(CMT_EAUTH,
             secret_feed(e.s, (cmt_bytes){e.own_frame, CMT_FRAME_SLOT}, &sink));
  printf("# 2.3: own key and frame reflected: CMT_EAUTH\n");
  fixture_fini(&e);
}

/* Rows of handshake_behaviour.json that need a whole connection. */

static void whole_packed(conn_peer *f, bool least) {
  uint8_t data[1024];
  size_t len = 103;
  cmt_bytes info;

  (void)least;
  conn_peer_start(f);
  conn_peer_hello(f);
  secret_peer_write_auth(&f->peer, data);
  len +=
    conn_peer_write_info(f, &conn_peer_info, data + len, sizeof data - len);
  memcpy(data + len, "\x02\x0a\x00", 3);
  conn_peer_frame(f, (cmt_bytes){data, len + 3});
  assert_true(conn_peer_next_packet(f, &info));
  assert_conn_sent(f, "1200"); /* The pong. */
}

static void whole_own_key(conn_peer *f, bool least) {
  uint8_t ours[32];

  memset(ours, 0x11, sizeof ours);
  secret_peer_init(&f->peer, least ? secret_eph_high : secret_eph_low, ours);
  conn_peer_start(f);
  conn_peer_hello(f);
  conn_peer_auth(f);
  conn_peer_send_info(f);
}

static void whole_paused(conn_peer *f, bool least) {
  (void)least;
  conn_peer_start(f);
  conn_peer_tick(f, CMT_MILLISECONDS(2500));
  conn_peer_hello(f);
  conn_peer_auth(f);
  conn_peer_tick(f, CMT_MILLISECONDS(5000));
  conn_peer_send_info(f);
}

static const struct {
  const char *input;
  void (*run)(conn_peer *f, bool least);
  const char *events; /* What the connection reports. */
} wholes[] = {
  {"AuthSig + NodeInfo + ping in one frame", whole_packed, "info up"},
  {"the node's own key", whole_own_key, "info CMT_ESELF(node_info)"},
  {"2.5 s pause before each phase", whole_paused, "info up"},
};

/* What proves a row of handshake_behaviour.json. */
typedef enum proof { CLEAR, ACCEPTED, SEALED, REFLECTION, WHOLE } proof;

typedef struct behaviour {
  const char *input;
  proof proof;
  const char *name; /* The name of the row. */
} behaviour;

static const behaviour behaviours[] = {
  {"all-zero key", CLEAR, "all-zero key"},
  {"key e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
   CLEAR, "low-order key e0eb..b800"},
  {"key p-1 (ecff..7f)", CLEAR, "low-order key p-1"},
  {"key p+1 (eeff..7f)", CLEAR, "low-order key p+1"},
  {"key 4c9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7",
   ACCEPTED, "key 4c9c..11d7"},
  {"zero-length message (00)", CLEAR, "empty message"},
  {"length 1048576, then nothing", CLEAR, "length 1048576"},
  {"varint ffffffffffffffffff01", CLEAR, "ten-byte varint of 2^64 - 1"},
  {"truncated field", CLEAR, "truncated field"},
  {"33-byte value, first 32 used", CLEAR, "33-byte value"},
  {"length as a2 00", CLEAR, "overlong length varint"},
  {"31-byte value, zero padded", CLEAR, "31-byte value"},
  {"own key reflected and frames reflected", REFLECTION, NULL},
  {"wrong signature", SEALED, "bad signature"},
  {"signature missing", SEALED, "signature missing"},
  {"public key missing", SEALED, "no key"},
  {"ed25519 key of 31 bytes", SEALED, "key of 31 bytes"},
  {"oneof field 3, 96 bytes", SEALED, "unknown oneof member 3, 96 bytes"},
  {"frame sealed with wrong key", SEALED, "frame sealed with wrong key"},
  {"chunk length ffffffff", SEALED, "frame length ffffffff"},
  {"empty frame inside the message body", SEALED,
   "empty frame inside the message"},
  {"AuthSig + NodeInfo + ping in one frame", WHOLE, NULL},
  {"the node's own key", WHOLE, NULL},
  {"2.5 s pause before each phase", WHOLE, NULL},
  {"non-canonical identity y = p+1", SEALED, "non-canonical identity y = p+1"},
  {"valid signature with S + L", SEALED, "signature with S + L"},
};

static const evil_row *find_row(const evil_row *rows, size_t count,
                                const char *name) {
  for (size_t i = 0; i < count; i++) {
    if (strcmp(rows[i].name, name) == 0) {
      return &rows[i];
    }
  }
  fail_msg("no row '%s'", name);
  return NULL;
}

static void prove_whole(const char *input, bool closes) {
  size_t i = 0;

  while (i < CMT__COUNT(wholes) && strcmp(wholes[i].input, input) != 0) {
    i++;
  }
  assert_in_range(i, 0, CMT__COUNT(wholes) - 1);
  for (int least = 1; least >= 0; least--) {
    conn_peer f;

    conn_peer_init(&f, least);
    wholes[i].run(&f, least);
    evil_row_done("whole connection", least, input, f.events, wholes[i].events);
    assert_int_equal(closes, f.why.err != CMT_OK);
    conn_peer_fini(&f);
  }
}

/* Runs what proves |b|; true when the answer differs from CometBFT's on
   purpose. */
static bool prove(const behaviour *b, const char *outcome) {
  const evil_row *row = NULL;
  bool closes = strncmp(outcome, "close", 5) == 0;

  if (b->proof == REFLECTION) {
    reflected_handshake_does_not_open(NULL);
    assert_true(closes);
    return false;
  }
  if (b->proof == WHOLE) {
    prove_whole(b->input, closes);
    return false;
  }
  if (b->proof == CLEAR) {
    row = find_row(clear_rows, CMT__COUNT(clear_rows), b->name);
    run_row(row, "clear", run_clear);
  } else if (b->proof == ACCEPTED) {
    row = find_row(accepted_rows, CMT__COUNT(accepted_rows), b->name);
    run_row(row, "clear, accepted at this step", run_accepted);
  } else {
    row = find_row(sealed_rows, CMT__COUNT(sealed_rows), b->name);
    run_row(row, "encrypted", run_sealed);
  }
  if (!row->intended) {
    assert_int_equal(closes, row->expected != CMT_OK);
  }
  return row->intended;
}

static const behaviour *find_behaviour(const char *input) {
  for (size_t i = 0; i < CMT__COUNT(behaviours); i++) {
    if (strcmp(behaviours[i].input, input) == 0) {
      return &behaviours[i];
    }
  }
  fail_msg("handshake_behaviour.json has a row that nothing proves: %s", input);
  return NULL;
}

static void handshake_behaviour_rows(void **state) {
  static const char *const phases[] = {"phase1_clear", "phase2_encrypted"};
  json_t *root = test_vectors("handshake_behaviour.json");
  size_t used = 0, intended = 0, total = 0, i;
  const json_t *row;

  (void)state;
  for (size_t k = 0; k < CMT__COUNT(phases); k++) {
    json_array_foreach(json_object_get(root, phases[k]), i, row) {
      const behaviour *b = find_behaviour(test_str(row, "input"));

      total++;
      printf("# handshake_behaviour.json: %s: there: %s; here:\n", b->input,
             test_str(row, "outcome"));
      if (prove(b, test_str(row, "outcome"))) {
        intended++;
      } else {
        used++;
      }
    }
  }
  test_used("handshake_behaviour.json", used, intended, total);
  assert_int_equal(total, CMT__COUNT(behaviours));
  json_decref(root);
}

static int start(void **state) {
  (void)state;
  return sodium_init() < 0;
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_first_message),
    cmocka_unit_test(every_key_of_unknown_secret),
    cmocka_unit_test(every_second_message),
    cmocka_unit_test(reflected_handshake_does_not_open),
    cmocka_unit_test(handshake_behaviour_rows),
    SECRET_DEFERRED_TEST(every_first_message),
    SECRET_DEFERRED_TEST(every_key_of_unknown_secret),
    SECRET_DEFERRED_TEST(every_second_message),
    SECRET_DEFERRED_TEST(reflected_handshake_does_not_open),
    SECRET_DEFERRED_TEST(handshake_behaviour_rows),
  };
  return cmocka_run_group_tests(tests, start, NULL);
}
