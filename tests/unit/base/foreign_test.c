/* SPDX-License-Identifier: Apache-2.0 */
/* A port that was dialed by mistake: what speaks there is named, at whatever
   byte it is cut and however the connection ends. */
#include "base/foreign.h"
#include "conn_peer.h"

typedef struct foreign_row {
  const char *bytes;
  size_t len;
  size_t known;     /* From so many bytes on the protocol is known. */
  const char *text; /* NULL: none of the table. */
} foreign_row;

#define ROW(bytes, ...)                                                        \
  { bytes, sizeof bytes - 1, __VA_ARGS__ }

static const foreign_row rows[] = {
  ROW("HTTP/1.1 400 Bad Request\r\n\r\n", 5,
      "this port speaks HTTP; p2p is usually 26656"),
  ROW("HTTP/1.0 4", 5, "this port speaks HTTP; p2p is usually 26656"),
  ROW("\x15\x03\x01\0\x02\x02\x46", 2,
      "this port speaks TLS; p2p is usually 26656"),
  ROW("\x15\x03\x03\0\x02\x02\x28", 2,
      "this port speaks TLS; p2p is usually 26656"),
  ROW("SSH-2.0-OpenSSH_9.2p1\r\n", 4,
      "this port speaks SSH; p2p is usually 26656"),
  ROW("<!DOCTYPE HTML>", 5, "this port speaks HTTP; p2p is usually 26656"),
  ROW("<html>", 5, "this port speaks HTTP; p2p is usually 26656"),
  ROW("HTTPS", 5, NULL),
  ROW("SSH2", 4, NULL),
  ROW("\x15\x04", 2, NULL),
  ROW("\x22\x0a\x20HTTP/1.1", 11, NULL),
};

/* Whether the bytes can be no handshake of ours. */
static void a_protocol_is_certain_or_likely(void **state) {
  static const struct {
    const char *bytes;
    int certain; /* -1: no protocol. */
  } firsts[] = {
    {"HTTP/", 1}, {"HTTP", -1}, {"\x15\x03", 1}, {"\x15", -1},
    {"SSH-", 0},  {"SSH", -1},  {"<html", 0},    {"<HTML", 0},
    {"<!DOC", 0}, {"<!doc", 0}, {"<htm", -1},    {"<HTM", -1},
    {"<!DO", -1}, {"<!do", -1}, {"", -1},        {"HTTP/1.1 2", 1},
  };

  (void)state;
  for (size_t i = 0; i < CMT__COUNT(firsts); i++) {
    bool certain = firsts[i].certain != 1;
    const char *text = cmt__foreign((const uint8_t *)firsts[i].bytes,
                                    strlen(firsts[i].bytes), &certain);

    assert_int_equal(firsts[i].certain >= 0, text != NULL);
    assert_int_equal(firsts[i].certain == 1, certain);
  }
}

static void assert_end(conn_peer *f, const foreign_row *row, size_t given,
                       cmt_err err) {
  bool known = row->text != NULL && given >= row->known;

  assert_cmt(known ? CMT_EPROTO : err, f->why.err);
  assert_int_equal(CMT_STAGE_SECRET_CONNECTION, f->why.stage);
  if (known) {
    assert_string_equal(row->text, f->why.text);
  } else {
    assert_null(strstr(f->why.text, "this port speaks"));
  }
}

/* |by_time|: nothing more comes; else the other side hangs up. */
static void check_cut(const foreign_row *row, size_t given, size_t first,
                      bool by_time) {
  conn_peer f;

  conn_peer_init(&f, true);
  conn_peer_start(&f);
  conn_peer_raw_cut(&f, (cmt_bytes){(const uint8_t *)row->bytes, given}, first,
                    given);
  if (by_time) {
    conn_peer_tick(&f, CMT_SECONDS(1000));
  } else {
    conn_peer_stop(&f, CMT_EEOF, 0);
  }
  assert_end(&f, row, given, by_time ? CMT_EHANDSHAKE : CMT_EEOF);
  conn_peer_fini(&f);
}

static void other_protocols_are_named(void **state) {
  (void)state;
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    for (size_t given = 1; given <= rows[i].len; given++) {
      check_cut(&rows[i], given, given, false);
      check_cut(&rows[i], given, 1, false);
      check_cut(&rows[i], given, given, true);
    }
  }
}

static void an_end_of_ours_keeps_its_reason(void **state) {
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  conn_peer_start(&f);
  conn_peer_raw(&f, (cmt_bytes){(const uint8_t *)"SSH-2.0", 7});
  conn_peer_stop(&f, CMT_ECANCELED, 0);
  assert_string_equal(cmt_err_text(CMT_ECANCELED), f.why.text);
  conn_peer_fini(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_protocol_is_certain_or_likely),
    cmocka_unit_test(other_protocols_are_named),
    cmocka_unit_test(an_end_of_ours_keeps_its_reason),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
