/* SPDX-License-Identifier: Apache-2.0 */

/* A connection that defers its public-key operations: no call but
   cmt_conn_compute() runs one, that call runs exactly one, and the bytes behind
   it wait. */

#include "conn_peer.h"
#include "public_key_ops.h"

#include <stdlib.h>

enum { INFO_MAX = 1024, BYTES_MAX = SECRET_HANDSHAKE + CMT_FRAME_SLOT };

/* Makes the connection; the allocation after |fail_after| others fails. */
static cmt_err start_failing(conn_peer *f, size_t fail_after) {
  cmt_err err;

  conn_peer_init(f, true);
  f->o.defer_compute = true;
  if (fail_after != SIZE_MAX) {
    f->t.fail_at = f->t.allocs + fail_after;
  }
  public_key_ops = 0;
  err = cmt_conn_new(&f->o, 0, &f->c, &f->why);
  assert_int_equal(0, public_key_ops);
  return err;
}

static void start(conn_peer *f) {
  assert_cmt(CMT_OK, start_failing(f, SIZE_MAX));
}

/* The peer's key, signature and node info, once it knows our key. */
static void bytes_write(conn_peer *f, uint8_t out[BYTES_MAX]) {
  uint8_t info[INFO_MAX];
  size_t len = conn_peer_write_info(f, &conn_peer_info, info, sizeof info);

  secret_peer_handshake(&f->peer, out);
  secret_peer_seal(&f->peer, (cmt_bytes){info, len}, out + SECRET_HANDSHAKE);
}

/* Runs one operation, and then none however it is asked. */
static void compute(conn_peer *f) {
  size_t before = public_key_ops;

  assert_true(cmt_conn_wants_compute(f->c));
  cmt_conn_compute(f->c);
  assert_int_equal(before + 1, public_key_ops);
}

static void our_key_is_the_first(conn_peer *f) {
  assert_false(cmt_conn_wants_write(f->c, 0, NULL));
  assert_true(cmt_conn_wants_read(f->c));
  assert_false(cmt_conn_has_input(f->c));
  compute(f);
  assert_false(cmt_conn_wants_compute(f->c));
  conn_peer_take(f);
  assert_int_equal(35, f->wire.len);
  secret_peer_derive(&f->peer, f->wire.bytes + 3);
  f->opened = 35;
}

static void each_step_runs_one_and_the_bytes_wait(void **state) {
  uint8_t bytes[BYTES_MAX];
  conn_peer f;
  cmt_conn_event e;

  (void)state;
  start(&f);
  our_key_is_the_first(&f);
  assert_int_equal(CMT_CONN_SILENT, cmt_conn_get_progress(f.c));
  bytes_write(&f, bytes);
  public_key_ops = 0;
  assert_cmt(CMT_OK, cmt_conn_recv(f.c, bytes, sizeof bytes, 0));
  for (int i = 0; i < 3; i++) { /* Agreement, signature, verification. */
    assert_false(cmt_conn_next_event(f.c, &e));
    assert_false(cmt_conn_wants_read(f.c));
    assert_true(cmt_conn_has_input(f.c));
    assert_int_equal(CMT_CONN_KEYED, cmt_conn_get_progress(f.c));
    assert_null(cmt_conn_id(f.c));
    assert_int_equal(i, public_key_ops);
    compute(&f);
    assert_int_equal(i >= 1, cmt_conn_wants_write(f.c, 0, NULL));
  }
  assert_false(cmt_conn_wants_compute(f.c));
  cmt_conn_compute(f.c); /* None waits. */
  assert_int_equal(3, public_key_ops);
  assert_conn_events(&f, "info up");
  conn_peer_take(&f);
  assert_int_equal(3, public_key_ops);
  assert_true(f.frames > 1);
  conn_peer_fini(&f);
}

/* Each byte of the key may come before ours is made. */
static void their_key_may_arrive_before_ours_is_made(void **state) {
  uint8_t key[35];
  conn_peer f;
  cmt_conn_event e;

  (void)state;
  start(&f);
  secret_peer_write_key(&f.peer, key);
  assert_cmt(CMT_OK, cmt_conn_recv(f.c, key, sizeof key, 0));
  assert_false(cmt_conn_next_event(f.c, &e));
  assert_int_equal(CMT_CONN_KEYED, cmt_conn_get_progress(f.c));
  compute(&f);
  assert_true(cmt_conn_wants_write(f.c, 0, NULL));
  compute(&f);
  compute(&f);
  assert_false(cmt_conn_wants_compute(f.c));
  conn_peer_take(&f);
  assert_int_equal(35 + CMT_FRAME_SLOT, f.wire.len);
  conn_peer_fini(&f);
}

/* A handshake whose bytes are kept; CMT_OK or the failure. */
static cmt_err keeping(conn_peer *f, size_t fail_after) {
  uint8_t bytes[BYTES_MAX];
  cmt_err err = start_failing(f, fail_after);
  cmt_conn_event e;

  if (err != CMT_OK) {
    return err;
  }
  our_key_is_the_first(f);
  bytes_write(f, bytes);
  assert_cmt(CMT_OK, cmt_conn_recv(f->c, bytes, sizeof bytes, 0));
  while (cmt_conn_wants_compute(f->c)) {
    err = cmt_conn_keep(f->c);
    assert_int_equal(err != CMT_OK, cmt_conn_borrows(f->c));
    if (err != CMT_OK) {
      return err;
    }
    compute(f);
    if (cmt_conn_next_event(f->c, &e) && e.kind == CMT_CONN_END) {
      return e.err;
    }
  }
  return CMT_OK;
}

static void what_waits_outlives_its_memory(void **state) {
  uint8_t *bytes = malloc(BYTES_MAX);
  conn_peer f;

  (void)state;
  assert_non_null(bytes);
  start(&f);
  our_key_is_the_first(&f);
  bytes_write(&f, bytes);
  assert_cmt(CMT_OK, cmt_conn_recv(f.c, bytes, BYTES_MAX, 0));
  assert_conn_events(&f, "");
  assert_cmt(CMT_OK, cmt_conn_keep(f.c));
  assert_false(cmt_conn_borrows(f.c));
  free(bytes);
  compute(&f);
  compute(&f);
  assert_conn_events(&f, "");
  compute(&f);
  assert_conn_events(&f, "info up");
  conn_peer_fini(&f);
}

static void a_stop_drops_what_waits(void **state) {
  conn_peer f;

  (void)state;
  start(&f);
  assert_true(cmt_conn_wants_compute(f.c));
  conn_peer_stop(&f, CMT_ECANCELED, 0);
  assert_false(cmt_conn_wants_compute(f.c));
  cmt_conn_compute(f.c);
  assert_int_equal(0, public_key_ops);
  assert_conn_events(&f, "CMT_ECANCELED(secret_connection)");
  conn_peer_fini(&f);
}

static void a_wrong_signature_ends_it_in_its_turn(void **state) {
  uint8_t bytes[BYTES_MAX];
  conn_peer f;

  (void)state;
  start(&f);
  our_key_is_the_first(&f);
  f.peer.signature[7] ^= 1;
  bytes_write(&f, bytes);
  assert_cmt(CMT_OK, cmt_conn_recv(f.c, bytes, sizeof bytes, 0));
  assert_conn_events(&f, "");
  compute(&f);
  assert_conn_events(&f, "");
  compute(&f);
  assert_conn_events(&f, "");
  compute(&f);
  assert_conn_events(&f, "CMT_EAUTH(secret_connection)");
  conn_peer_take(&f); /* Our signature goes out all the same. */
  assert_int_equal(35 + CMT_FRAME_SLOT, f.wire.len);
  conn_peer_fini(&f);
}

static void every_failed_allocation_is_reported(void **state) {
  cmt_err err = CMT_ENOMEM;
  size_t failed = 0;

  (void)state;
  while (err != CMT_OK) {
    conn_peer f;

    err = keeping(&f, failed);
    if (err != CMT_OK) {
      assert_cmt(CMT_ENOMEM, err);
      failed++;
    }
    conn_peer_fini(&f);
  }
  assert_in_range(failed, 5, 40);
}

static void without_the_option_none_waits(void **state) {
  conn_peer f;

  (void)state;
  conn_peer_init(&f, true);
  conn_peer_start(&f);
  public_key_ops = 0;
  assert_false(cmt_conn_wants_compute(f.c));
  cmt_conn_compute(f.c);
  assert_int_equal(0, public_key_ops);
  conn_peer_hello(&f);
  assert_int_equal(2, public_key_ops);
  assert_false(cmt_conn_wants_compute(f.c));
  conn_peer_fini(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(each_step_runs_one_and_the_bytes_wait),
    cmocka_unit_test(their_key_may_arrive_before_ours_is_made),
    cmocka_unit_test(what_waits_outlives_its_memory),
    cmocka_unit_test(a_stop_drops_what_waits),
    cmocka_unit_test(a_wrong_signature_ends_it_in_its_turn),
    cmocka_unit_test(every_failed_allocation_is_reported),
    cmocka_unit_test(without_the_option_none_waits),
  };

  return cmocka_run_group_tests(tests, NULL, NULL);
}
