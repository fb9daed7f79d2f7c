/* SPDX-License-Identifier: Apache-2.0 */
/* A peer that is wrong, or merely strange, in its half of the handshake of a
   whole connection: every row of docs/PROTOCOL.md 2.7, with the connection as
   the side of the lower ephemeral key and as the other.  Each prints a line of
   its own.  Node infos are in evil_node_info_test.c. */
#include "evil.h"

#include <stdlib.h>

#include "secret_conn_evil_rows.h"

enum { MESSAGE_MAX = 4200, FRAMES_MAX = 256 };

/* What the connection reports at the end of a row. */
static void row_expected(const evil_row *row, char *out, size_t cap) {
  if (row->expected == CMT_OK && row->rest > 0) {
    /* The bytes behind the signature are read as a node info. */
    snprintf(out, cap, "CMT_EPROTO(node_info)");
  } else if (row->expected == CMT_OK) {
    snprintf(out, cap, "info up");
  } else if (row->expected == CMT_EAGAIN) {
    snprintf(out, cap, "CMT_EHANDSHAKE(secret_connection)");
  } else {
    snprintf(out, cap, "%s(secret_connection)", cmt_err_name(row->expected));
  }
}

/* Puts |message| into frames; the bytes they take. */
static size_t frames_write(conn_peer *f, framing how, cmt_bytes message,
                           uint8_t *out) {
  secret_peer *p = &f->peer;
  size_t piece = how == BYTE_FRAMES    ? 1
                 : how == EMPTY_INSIDE ? 50
                                       : cmt__max(message.len, 1);
  size_t count = 0;

  if (how == NO_FRAME) {
    return 0;
  }
  if (how == REFLECTED) {
    memcpy(out, f->wire.bytes + 35, CMT_FRAME_SLOT);
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
  for (size_t at = 0; at < message.len; at += piece) {
    if ((how == EMPTY_BEFORE && at == 0) || (how == EMPTY_INSIDE && at == 50)) {
      secret_peer_seal(p, (cmt_bytes){0}, out + count++ * CMT_FRAME_SLOT);
    }
    assert_true(count < FRAMES_MAX - 1);
    secret_peer_seal(
      p, (cmt_bytes){message.base + at, cmt__min(piece, message.len - at)},
      out + count++ * CMT_FRAME_SLOT);
  }
  out[1040] ^= how == BAD_TAG;
  return count * CMT_FRAME_SLOT - (how == CUT_FRAME);
}

/* The node info of whoever signed: the connection itself in one row. */
static void info_send(conn_peer *f, const char *row_name) {
  cmt_node_info info = conn_peer_info;
  uint8_t out[512];
  cmt_node_id id;

  if (strcmp(row_name, "the connection's own identity") == 0) {
    cmt_node_key_get_id(f->key, &id);
    info.id = cmt_bytes_of(id.text);
  }
  conn_peer_send(
    f, (cmt_bytes){out, conn_peer_write_info(f, &info, out, sizeof out)});
}

static void run_clear(const evil_row *row, bool least, size_t cut, char *got) {
  uint8_t message[MESSAGE_MAX];
  evil_words w;
  conn_peer f;
  size_t len;

  evil_init(&f, least);
  conn_peer_start(&f);
  evil_words_init(&w, &f.peer, f.key);
  len = evil_words_expand(&w, row->message, message, sizeof message);
  conn_peer_raw_cut(&f, (cmt_bytes){message, len}, cut, cut);
  if (row->expected == CMT_OK) {
    assert_int_equal(35 + CMT_FRAME_SLOT, f.wire.len); /* We have answered. */
    conn_peer_auth(&f);
    conn_peer_send_info(&f);
  } else {
    assert_int_equal(35, f.wire.len);
  }
  if (row->expected == CMT_EAGAIN) {
    evil_wait(&f);
  }
  memcpy(got, f.events, sizeof f.events);
  conn_peer_fini(&f);
}

static void run_sealed(const evil_row *row, bool least, size_t cut, char *got) {
  static uint8_t frames[FRAMES_MAX * CMT_FRAME_SLOT];
  uint8_t message[MESSAGE_MAX];
  evil_words w;
  conn_peer f;
  size_t len;

  evil_init(&f, least);
  conn_peer_start(&f);
  conn_peer_hello(&f);
  evil_words_init(&w, &f.peer, f.key);
  len = evil_words_expand(&w, row->message, message, sizeof message);
  len = frames_write(&f, row->framing, (cmt_bytes){message, len}, frames);
  conn_peer_raw_cut(&f, (cmt_bytes){frames, len}, cut, cut);
  if (row->expected == CMT_OK && f.why.err == CMT_OK) {
    info_send(&f, row->name);
  }
  if (row->expected == CMT_EAGAIN) {
    evil_wait(&f);
  }
  /* No node info was given away to a peer that did not prove its key. */
  assert_int_equal(row->expected == CMT_OK, f.plain.len > 0);
  memcpy(got, f.events, sizeof f.events);
  conn_peer_fini(&f);
}

/* The key is accepted and answered; the peer cannot know more. */
static void run_accepted(const evil_row *row, bool least, size_t cut,
                         char *got) {
  uint8_t message[MESSAGE_MAX];
  evil_words w;
  conn_peer f;
  size_t len;

  evil_init(&f, least);
  conn_peer_start(&f);
  f.blind = true;
  evil_words_init(&w, &f.peer, f.key);
  len = evil_words_expand(&w, row->message, message, sizeof message);
  conn_peer_raw_cut(&f, (cmt_bytes){message, len}, cut, cut);
  assert_int_equal(35 + CMT_FRAME_SLOT, f.wire.len);
  conn_peer_auth(&f); /* Under keys that are not the connection's. */
  memcpy(got, f.events, sizeof f.events);
  conn_peer_fini(&f);
}

static void run_row(const char *part, const evil_row *row, const char *expected,
                    void (*run)(const evil_row *, bool, size_t, char *)) {
  static const size_t cuts[] = {SIZE_MAX, 1, 7, 1044};
  char got[CONN_PEER_TEXT_MAX], name[128];

  snprintf(name, sizeof name, "%s%s", row->name,
           row->intended ? " (an intended difference)" : "");
  for (int least = 1; least >= 0; least--) {
    for (size_t i = 1; i < CMT__COUNT(cuts); i++) {
      run(row, least, cuts[i], got);
      if (strcmp(got, expected) != 0) {
        fail_msg("%s, %s: %s, cut at %zu: '%s' instead of '%s'", part,
                 least ? "least" : "not least", row->name, cuts[i], got,
                 expected);
      }
    }
    run(row, least, cuts[0], got);
    evil_row_done(part, least, name, got, expected);
  }
}

static void every_first_message(void **state) {
  char expected[64];

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(clear_rows); i++) {
    row_expected(&clear_rows[i], expected, sizeof expected);
    run_row("2.7 clear", &clear_rows[i], expected, run_clear);
  }
}

static void every_second_message(void **state) {
  char expected[64];

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(sealed_rows); i++) {
    row_expected(&sealed_rows[i], expected, sizeof expected);
    if (strcmp(sealed_rows[i].name, "the connection's own identity") == 0) {
      snprintf(expected, sizeof expected, "info CMT_ESELF(node_info)");
    }
    run_row("2.7 encrypted", &sealed_rows[i], expected, run_sealed);
  }
}

static void every_key_of_unknown_secret(void **state) {
  (void)state;
  for (size_t i = 0; i < CMT__COUNT(accepted_rows); i++) {
    run_row("2.7 clear, answered, then no frame opens", &accepted_rows[i],
            "CMT_EAUTH(secret_connection)", run_accepted);
  }
}

/* Both keys are equal then, so that there is one role. */
static void reflected_handshake_does_not_open(void **state) {
  conn_peer f;

  (void)state;
  evil_init(&f, true);
  conn_peer_start(&f);
  f.blind = true;
  conn_peer_raw(&f, (cmt_bytes){f.wire.bytes, 35});
  assert_int_equal(35 + CMT_FRAME_SLOT, f.wire.len);
  conn_peer_raw(&f, (cmt_bytes){f.wire.bytes + 35, CMT_FRAME_SLOT});
  evil_row_done("2.3", true, "own key and frame reflected", f.events,
                "CMT_EAUTH(secret_connection)");
  conn_peer_fini(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_first_message),
    cmocka_unit_test(every_key_of_unknown_secret),
    cmocka_unit_test(every_second_message),
    cmocka_unit_test(reflected_handshake_does_not_open),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
