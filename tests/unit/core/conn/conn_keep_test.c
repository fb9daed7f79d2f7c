/* SPDX-License-Identifier: Apache-2.0 */

/* A connection that is up and whose events wait: what was read with the node
   info, and after it, outlives the memory that it was read into. */

#include "conn_peer.h"
#include "core/conn/conn_impl.h"
#include "packets.h"
#include "core/secret/secret_conn.h"

#include <stdlib.h>

enum { STREAM_MAX = 8192, CUT_STEP = 97 };

static const char all[] = "31.3 ff.1000 ff.3 30.1";

static void write_message(cmt__batch *r, uint8_t channel, size_t len) {
  uint8_t data[1000];

  memset(data, channel, sizeof data);
  test_wire()->write_msg(r, channel, true, (cmt_bytes){data, len});
}

/* Their node info and four messages: the frames as they come from the wire. */
static size_t write_frames(conn_peer *f, uint8_t *out) {
  uint8_t plain[STREAM_MAX];
  size_t len = conn_peer_write_info(f, &conn_peer_info, plain, sizeof plain);
  cmt__batch r = cmt__batch_plain(NULL, plain + len, sizeof plain - len);
  size_t at = 0, sealed = 0;

  write_message(&r, 0x31, 3);
  write_message(&r, 0xff, 1000);
  write_message(&r, 0xff, 3);
  test_write_ping(&r);
  write_message(&r, 0x30, 1);
  len += r.len;
  while (at < len) {
    size_t n = cmt__min(len - at, sealed == 0 ? 700 : 100);

    secret_peer_seal(&f->peer, (cmt_bytes){plain + at, n}, out + sealed);
    at += n;
    sealed += CMT_FRAME_SLOT;
  }
  assert_true(sealed <= STREAM_MAX);
  return sealed;
}

/* Polls events until the connection is up. */
static bool take_up(conn_peer *f) {
  cmt_conn_event e;

  while (cmt_conn_next_event(f->c, &e)) {
    assert_true(e.kind == CMT_CONN_NODE_INFO || e.kind == CMT_CONN_UP);
    if (e.kind == CMT_CONN_UP) {
      return true;
    }
  }
  return false;
}

/* A copy that the caller frees. */
static uint8_t *copy_of(const uint8_t *data, size_t len) {
  uint8_t *copy = malloc(len);

  assert_non_null(copy);
  memcpy(copy, data, len);
  return copy;
}

static void handshake(conn_peer *f) {
  conn_peer_init(f, true);
  conn_peer_start(f);
  conn_peer_hello(f);
  conn_peer_auth(f);
}

/* |cut| bytes come at once, the rest in pieces of |piece| while it waits. */
static void run(size_t cut, size_t piece) {
  uint8_t frames[STREAM_MAX], *copy;
  conn_peer f;
  size_t len;

  handshake(&f);
  len = write_frames(&f, frames);
  cut = cmt__min(cut, len);
  copy = copy_of(frames, cut);
  assert_cmt(CMT_OK, cmt_conn_recv(f.c, copy, cut, 0));
  assert_true(take_up(&f));
  assert_cmt(CMT_OK, cmt_conn_standby(f.c, 0));
  assert_false(cmt_conn_borrows(f.c));
  free(copy);
  for (size_t at = cut, n; at < len; at += n) {
    n = cmt__min(piece, len - at);
    copy = copy_of(frames + at, n);
    assert_cmt(CMT_OK, cmt_conn_recv(f.c, copy, n, 0));
    free(copy);
    assert_conn_events(&f, "");
  }
  assert_true(cmt_conn_has_input(f.c));
  cmt_conn_activate(f.c, 0);
  assert_conn_events(&f, "up 31.3 ff.1000 ff.3 30.1");
  assert_false(cmt_conn_has_input(f.c));
  assert_null(f.c->secret->kept); /* It goes with its last byte. */
  conn_peer_send_hex(&f, "0b1a09083110011a03616263");
  assert_conn_events(&f, "31.3");
  conn_peer_fini(&f);
}

static void what_waits_outlives_its_memory_wherever_it_is_cut(void **state) {
  (void)state;
  for (size_t cut = CMT_FRAME_SLOT; cut < STREAM_MAX; cut += CUT_STEP) {
    run(cut, SIZE_MAX);
    run(cut, 1000);
  }
  run(CMT_FRAME_SLOT, 1);
}

static void nothing_to_keep_needs_no_memory(void **state) {
  conn_peer f;
  size_t live;

  (void)state;
  conn_peer_init(&f, true);
  conn_peer_start(&f);
  conn_peer_up(&f);
  live = f.t.live;
  assert_cmt(CMT_OK, cmt_conn_keep(f.c));
  assert_int_equal(live, f.t.live);
  assert_false(cmt_conn_has_input(f.c));
  conn_peer_fini(&f);
}

static void without_memory_nothing_changes(void **state) {
  uint8_t frames[STREAM_MAX];
  conn_peer f;
  size_t len;

  (void)state;
  handshake(&f);
  len = write_frames(&f, frames);
  assert_cmt(CMT_OK, cmt_conn_recv(f.c, frames, len, 0));
  assert_true(take_up(&f));
  f.t.fail_at = f.t.allocs;
  assert_cmt(CMT_ENOMEM, cmt_conn_keep(f.c));
  f.t.fail_at = SIZE_MAX;
  assert_conn_events(&f, all);
  conn_peer_fini(&f);
}

static void an_end_needs_no_memory_kept(void **state) {
  uint8_t frames[STREAM_MAX];
  conn_peer f;
  size_t len;

  (void)state;
  handshake(&f);
  len = write_frames(&f, frames);
  assert_cmt(CMT_OK, cmt_conn_recv(f.c, frames, len, 0));
  assert_true(take_up(&f));
  assert_cmt(CMT_OK, cmt_conn_keep(f.c));
  assert_false(cmt_conn_has_ended(f.c));
  cmt_conn_stop(f.c, CMT_EEOF, 0, 0);
  assert_true(cmt_conn_has_ended(f.c));
  assert_conn_events(&f, "CMT_EEOF(up)");
  conn_peer_fini(&f);
}

/* ---- our node info waits ---- */

static void our_node_info_and_all_behind_it_wait_for_their_time(void **state) {
  conn_peer f;
  cmt_bytes info;
  bool urgent;

  (void)state;
  conn_peer_init(&f, true);
  conn_peer_start(&f);
  f.stalled = true;
  conn_peer_hello(&f);
  conn_peer_auth(&f);
  cmt_conn_delay_node_info(f.c, 1000);
  conn_peer_send_info(&f);
  assert_conn_events(&f, "info up");
  f.stalled = false;
  assert_cmt(CMT_OK, conn_peer_queue(&f, 0x31, 1));
  conn_peer_take(&f); /* Our signature. */
  assert_int_equal(0, f.plain.len);
  assert_false(cmt_conn_wants_write(f.c, 0, &urgent));
  assert_false(cmt__conn_is_drained(f.c));
  assert_int_equal(1000, cmt_conn_deadline(f.c));
  conn_peer_tick(&f, 999);
  assert_int_equal(0, f.plain.len);
  conn_peer_tick(&f, 1000);
  assert_true(conn_peer_next_packet(&f, &info));
  assert_true(info.len > 100);
  assert_conn_sent(&f, "1a07083110011a0131");
  conn_peer_fini(&f);
}

/* A stop flushes it too. */
static void a_graceful_stop_waits_for_it(void **state) {
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  conn_peer_start(&f);
  f.stalled = true;
  conn_peer_hello(&f);
  conn_peer_auth(&f);
  cmt_conn_delay_node_info(f.c, 1000);
  conn_peer_send_info(&f);
  assert_conn_events(&f, "info up");
  f.stalled = false;
  conn_peer_take(&f);
  conn_peer_stop(&f, CMT_ECANCELED, 5000);
  assert_conn_events(&f, "");
  conn_peer_tick(&f, 1000);
  assert_conn_events(&f, "CMT_ECANCELED(up)");
  assert_true(f.plain.len > 100);
  conn_peer_fini(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(what_waits_outlives_its_memory_wherever_it_is_cut),
    cmocka_unit_test(nothing_to_keep_needs_no_memory),
    cmocka_unit_test(without_memory_nothing_changes),
    cmocka_unit_test(an_end_needs_no_memory_kept),
    cmocka_unit_test(our_node_info_and_all_behind_it_wait_for_their_time),
    cmocka_unit_test(a_graceful_stop_waits_for_it),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
