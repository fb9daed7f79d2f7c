/* SPDX-License-Identifier: Apache-2.0 */
/* What the secret connection allocates, bounds and wipes. */
#include "core/secret/secret_conn.h"
#include "secret_peer.h"

#include <sodium.h>
#include <stdlib.h>

static const uint8_t seed_11[32] = {0x11};

static void idle_connection_is_small(void **state) {
  secret_fixture f;
  size_t before;

  (void)state;
  secret_fixture_init(&f, true);
  before = f.t.live_bytes - sizeof *f.s - sizeof *f.s->handshake;
  secret_fixture_up(&f);
  print_message("# an idle connection takes %zu bytes\n",
                f.t.live_bytes - before);
  assert_in_range(f.t.live_bytes - before, 1, 512);
  secret_fixture_fini(&f);
}

/* A first message of |length| bytes: an unknown field, then the key. */
static size_t long_key(const secret_peer *p, size_t length, uint8_t *out) {
  cmt__store_le32(out, 0);
  out[0] = (uint8_t)(length | 0x80);
  out[1] = (uint8_t)(length >> 7);
  out[2] = 0x12;
  out[3] = (uint8_t)((length - 37) | 0x80);
  out[4] = (uint8_t)((length - 37) >> 7);
  memset(out + 5, 0x77, length - 37);
  memcpy(out + 2 + length - 34, "\x0a\x20", 2);
  memcpy(out + 2 + length - 32, p->eph_public, 32);
  return 2 + length;
}

static void announced_length_is_bounded(void **state) {
  uint8_t bytes[4100];
  secret_fixture f;
  secret_sink sink = {0};
  size_t len, before;

  (void)state;
  secret_fixture_init(&f, true);
  before = f.t.live_bytes;
  len = long_key(&f.peer, 4000, bytes);
  assert_cmt(CMT_OK, secret_feed(f.s, (cmt_bytes){bytes, 2}, &sink));
  assert_int_equal(before, f.t.live_bytes); /* Announcing costs nothing. */
  assert_cmt(CMT_OK, secret_feed(f.s, (cmt_bytes){bytes + 2, 1}, &sink));
  assert_in_range(f.t.live_bytes, before, before + 125);
  assert_cmt(CMT_OK, secret_feed(f.s, (cmt_bytes){bytes + 3, len - 3}, &sink));
  assert_int_equal(CMT__SECRET_AUTH, f.s->state);
  assert_int_equal(before + 4000, f.t.live_bytes);
  secret_fixture_fini(&f);

  secret_fixture_init(&f, true);
  len = long_key(&f.peer, 4001, bytes);
  assert_cmt(CMT_EPROTO, secret_feed(f.s, (cmt_bytes){bytes, 2}, &sink));
  secret_fixture_fini(&f);
}

/* A whole handshake, byte by byte, and a cut frame; CMT_OK or the failure. */
static cmt_err oom_scenario(test_env *t, const cmt_node_key *key) {
  uint8_t bytes[SECRET_HANDSHAKE], slot[CMT_FRAME_SLOT];
  secret_peer p;
  secret_sink sink = {0};
  cmt_secret_conn *s = secret_conn_with(t, secret_eph_low, key);
  cmt_err err;

  if (s == NULL) {
    return CMT_ENOMEM;
  }
  secret_peer_init(&p, secret_eph_high, seed_11);
  secret_peer_meet(&p, s);
  secret_peer_handshake(&p, bytes);
  err = secret_feed_pieces(s, (cmt_bytes){bytes, sizeof bytes}, 1, 1, &sink);
  if (err == CMT_OK) {
    secret_peer_seal(&p, (cmt_bytes){(const uint8_t *)"a", 1}, slot);
    err = secret_feed_pieces(s, (cmt_bytes){slot, sizeof slot}, 9, 2000, &sink);
  }
  if (err != CMT_OK) {
    assert_cmt(CMT_ECLOSED, cmt_secret_conn_recv(s, NULL, 0));
  }
  secret_sink_fini(&sink);
  cmt_secret_conn_delete(s);
  return err;
}

static void every_failed_allocation_is_reported(void **state) {
  test_env t;
  cmt_node_key *key;
  size_t before, total, live;

  (void)state;
  test_env_init(&t);
  key = secret_node_key(&t, seed_11);
  before = t.allocs;
  live = t.live;
  assert_cmt(CMT_OK, oom_scenario(&t, key));
  total = t.allocs - before;
  assert_in_range(total, 4, 20);
  for (size_t i = 0; i < total; i++) {
    t.allocs = 0;
    t.fail_at = i;
    assert_cmt(CMT_ENOMEM, oom_scenario(&t, key));
    assert_int_equal(live, t.live);
  }
  t.fail_at = SIZE_MAX;
  cmt_node_key_delete(key);
  test_env_fini(&t);
}

static void secret_memory_may_fail_too(void **state) {
  cmt_node_key *key;
  size_t live;
  test_env t;

  (void)state;
  test_env_init(&t);
  key = secret_node_key(&t, seed_11);
  live = t.live;
  for (size_t i = 0; i < 2; i++) { /* For the session, for the handshake. */
    t.secret_allocs = 0;
    t.secret_fail_at = i;
    assert_cmt(CMT_ENOMEM, oom_scenario(&t, key));
    assert_int_equal(live, t.live);
    assert_int_equal(1, t.secret_live);
  }
  t.secret_allocs = 0;
  t.secret_fail_at = 2;
  assert_cmt(CMT_OK, oom_scenario(&t, key));
  cmt_node_key_delete(key);
  test_env_fini(&t);
}

/* Looks for secrets in what is allocated and in what is freed. */
typedef struct spy {
  test_env *t;
  void *(*alloc)(void *arg, size_t len);
  void (*free)(void *arg, void *p);
  struct {
    const void *p;
    size_t len;
  } blocks[32];
  size_t count, scanned;
  uint8_t secrets[5][32];
} spy;

static void *spy_alloc(void *arg, size_t len) {
  spy *y = arg;
  void *p = y->alloc(y->t, len);

  assert_true(y->count < CMT__COUNT(y->blocks));
  y->blocks[y->count].p = p;
  y->blocks[y->count++].len = len;
  return p;
}

/* Half of a secret is one too. */
static bool has_secret(const spy *y, const void *p, size_t len) {
  bool any = false;

  for (size_t k = 0; k < CMT__COUNT(y->secrets); k++) {
    any = any || memmem(p, len, y->secrets[k], 16) != NULL ||
          memmem(p, len, y->secrets[k] + 16, 16) != NULL;
  }
  return any;
}

/* Whether anything that is allocated now has one. */
static bool live_has_secret(const spy *y) {
  bool any = false;

  for (size_t i = 0; i < y->count; i++) {
    any = any || (y->blocks[i].p != NULL &&
                  has_secret(y, y->blocks[i].p, y->blocks[i].len));
  }
  return any;
}

static void spy_free(void *arg, void *p) {
  spy *y = arg;

  for (size_t i = 0; i < y->count; i++) {
    if (y->blocks[i].p != p) {
      continue;
    }
    assert_false(has_secret(y, p, y->blocks[i].len));
    y->blocks[i].p = NULL;
    y->scanned++;
  }
  y->free(y->t, p);
}

static void spy_init(spy *y, secret_fixture *f) {
  *y = (spy){.t = &f->t, .alloc = f->t.env.alloc, .free = f->t.env.free};
  f->t.env.alloc = spy_alloc;
  f->t.env.free = spy_free;
  f->t.env.alloc_arg = y;
  memcpy(y->secrets[0], secret_eph_low, 32);
  memcpy(y->secrets[1], f->peer.dh, 32);
  memcpy(y->secrets[2], f->peer.challenge, 32);
  memcpy(y->secrets[3], f->peer.send.key, 32);
  memcpy(y->secrets[4], f->peer.recv.key, 32);
}

static void spy_fini(const spy *y, secret_fixture *f) {
  f->t.env.alloc = y->alloc;
  f->t.env.free = y->free;
  f->t.env.alloc_arg = &f->t;
}

/* Ends a connection after |stop| bytes of the other side, of which byte |flip|
   is wrong, and looks at all that it frees. */
static void run_spied(size_t stop, size_t flip) {
  uint8_t bytes[SECRET_HANDSHAKE + CMT_FRAME_SLOT];
  secret_fixture f;
  spy y;
  secret_sink sink = {0};
  cmt_secret_conn *s;

  secret_fixture_init(&f, true);
  secret_peer_meet(&f.peer, f.s);
  secret_peer_handshake(&f.peer, bytes);
  secret_peer_seal(&f.peer, (cmt_bytes){f.peer.challenge, 32},
                   bytes + SECRET_HANDSHAKE);
  bytes[flip] ^= flip < sizeof bytes - 1;
  spy_init(&y, &f);
  s = secret_conn_with(&f.t, secret_eph_low, f.key);
  (void)secret_feed_pieces(s, (cmt_bytes){bytes, stop}, 100, 100, &sink);
  cmt_secret_conn_delete(s);
  assert_true(y.scanned >= 2);
  assert_int_equal(y.count, y.scanned);
  secret_sink_fini(&sink);
  spy_fini(&y, &f);
  secret_fixture_fini(&f);
}

static void freed_memory_holds_no_secret(void **state) {
  const size_t whole = SECRET_HANDSHAKE + CMT_FRAME_SLOT;

  (void)state;
  run_spied(0, whole - 1);
  run_spied(20, whole - 1);
  run_spied(35, whole - 1);
  run_spied(700, whole - 1);
  run_spied(SECRET_HANDSHAKE, whole - 1);
  run_spied(SECRET_HANDSHAKE + 500, whole - 1);
  run_spied(whole, whole - 1);
  run_spied(whole, 1);                    /* Malformed first message. */
  run_spied(whole, 60);                   /* The frame of the second one. */
  run_spied(whole, SECRET_HANDSHAKE + 9); /* A frame of data. */
}

static bool is_wiped(const void *p, size_t len) {
  const uint8_t *bytes = p;
  uint8_t any = 0;

  for (size_t i = 0; i < len; i++) {
    any |= bytes[i];
  }
  return any == 0;
}

/* Byte by byte, so that every instant of a handshake is looked at. */
static void secrets_lie_in_locked_memory_and_nowhere_else(void **state) {
  uint8_t bytes[SECRET_HANDSHAKE];
  secret_sink sink = {0};
  const cmt__secret_work *work;
  cmt_secret_conn *s;
  secret_fixture f;
  spy y;

  (void)state;
  secret_fixture_init(&f, true);
  secret_peer_meet(&f.peer, f.s);
  secret_peer_handshake(&f.peer, bytes);
  spy_init(&y, &f);
  s = secret_conn_with(&f.t, secret_eph_low, f.key);
  work = s->handshake->work;
  assert_memory_equal(secret_eph_low, work->secret, 32);
  for (size_t i = 0; i < sizeof bytes; i++) {
    assert_cmt(CMT_OK, secret_feed(s, (cmt_bytes){bytes + i, 1}, &sink));
    assert_false(live_has_secret(&y));
    if (i == CMT__SECRET_KEY_MSG - 1) {
      assert_memory_equal(f.peer.challenge, work->challenge, 32);
      assert_true(is_wiped(work->secret, 64)); /* And the shared one. */
      assert_true(is_wiped(work->okm, sizeof *work - 96));
    }
  }
  assert_memory_equal(f.peer.recv.key, s->keys->send, 32);
  assert_memory_equal(f.peer.send.key, s->keys->recv, 32);
  assert_null(s->handshake->work);
  assert_true(is_wiped(work, sizeof *work)); /* Its page stays for a while. */
  cmt_secret_conn_delete(s);
  secret_sink_fini(&sink);
  spy_fini(&y, &f);
  secret_fixture_fini(&f);
}

static void a_failure_gives_the_secrets_back(void **state) {
  uint8_t slot[CMT_FRAME_SLOT] = {1};
  secret_sink sink = {0};
  const uint8_t *keys;
  secret_fixture f;

  (void)state;
  secret_fixture_init(&f, true);
  secret_fixture_up(&f);
  keys = f.s->keys->recv;
  assert_memory_equal(f.peer.send.key, keys, 32);
  assert_cmt(CMT_EAUTH,
             secret_feed(f.s, (cmt_bytes){slot, sizeof slot}, &sink));
  assert_null(f.s->keys);
  assert_true(is_wiped(keys, sizeof(cmt__secret_keys)));
  secret_fixture_fini(&f);
}

/* A computation has its secrets to itself until its end. */
static void a_computation_outlives_its_connection(void **state) {
  test_env t;
  cmt__secret_pool *pool;
  cmt_node_key *key;
  cmt_secret_conn *s;
  cmt__computation x;
  const cmt__secret_work *work;

  (void)state;
  test_env_init(&t);
  pool = cmt__secret_pool_new(&t.env, sizeof *pool);
  assert_non_null(pool);
  assert_cmt(CMT_OK, cmt_node_key_generate(&t.env, &key));
  assert_cmt(CMT_OK, cmt__secret_conn_new(pool, key, true, &s));
  work = s->handshake->work;
  cmt__secret_conn_compute_begin(s, &x);
  assert_false(cmt__secret_conn_wants_compute(s));
  assert_true(cmt__secret_conn_computes(s));
  cmt_secret_conn_delete(s);
  cmt_node_key_delete(key);
  assert_false(is_wiped(work->secret, sizeof work->secret));
  cmt__computation_run(&x);
  assert_cmt(CMT_OK, x.err);
  cmt__computation_end(&x, true);
  assert_true(is_wiped(work, sizeof *work)); /* Its page stays for a while. */
  cmt__secret_pool_unref(pool);
  test_env_fini(&t);
}

/* Their message cannot be read while our key pair is computed. */
static void a_computation_outlives_a_failure(void **state) {
  static uint8_t bytes[] = {0xff, 0x7f}; /* Announces 16,383 bytes. */
  cmt_secret_conn_event e;
  test_env t;
  cmt__secret_pool *pool;
  cmt_node_key *key;
  cmt_secret_conn *s;
  cmt__computation x;

  (void)state;
  test_env_init(&t);
  pool = cmt__secret_pool_new(&t.env, sizeof *pool);
  assert_non_null(pool);
  assert_cmt(CMT_OK, cmt_node_key_generate(&t.env, &key));
  assert_cmt(CMT_OK, cmt__secret_conn_new(pool, key, true, &s));
  cmt__secret_conn_compute_begin(s, &x);
  cmt__computation_run(&x);
  assert_cmt(CMT_OK, cmt_secret_conn_recv(s, bytes, sizeof bytes));
  assert_true(cmt_secret_conn_next_event(s, &e));
  assert_int_equal(CMT_SECRET_CONN_END, e.kind);
  assert_false(is_wiped(x.work->secret, sizeof x.work->secret));
  cmt__computation_end(&x, true);
  assert_int_equal(0, cmt_secret_conn_output(s).len);
  cmt_secret_conn_delete(s);
  cmt_node_key_delete(key);
  cmt__secret_pool_unref(pool);
  test_env_fini(&t);
}

/* Our signature still goes out then; the secrets of the handshake are gone. */
static void a_failure_with_output_leaves_no_secret(void **state) {
  uint8_t bytes[SECRET_HANDSHAKE];
  secret_sink sink = {0};
  const cmt__secret_work *work;
  secret_fixture f;

  (void)state;
  secret_fixture_init(&f, true);
  secret_peer_meet(&f.peer, f.s);
  secret_peer_handshake(&f.peer, bytes);
  bytes[60] ^= 1;
  work = f.s->handshake->work;
  assert_cmt(CMT_EAUTH,
             secret_feed(f.s, (cmt_bytes){bytes, sizeof bytes}, &sink));
  assert_true(cmt_secret_conn_output(f.s).len > 0);
  assert_null(f.s->handshake->work);
  assert_null(f.s->handshake->message.base);
  assert_true(is_wiped(work, sizeof *work));
  assert_false(cmt__secret_conn_has_input(f.s));
  cmt_secret_conn_consume(f.s, cmt_secret_conn_output(f.s).len);
  assert_null(f.s->handshake);
  assert_null(cmt_secret_conn_output(f.s).base);
  secret_fixture_fini(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(idle_connection_is_small),
    cmocka_unit_test(announced_length_is_bounded),
    cmocka_unit_test(every_failed_allocation_is_reported),
    cmocka_unit_test(secret_memory_may_fail_too),
    cmocka_unit_test(freed_memory_holds_no_secret),
    cmocka_unit_test(secrets_lie_in_locked_memory_and_nowhere_else),
    cmocka_unit_test(a_failure_gives_the_secrets_back),
    cmocka_unit_test(a_failure_with_output_leaves_no_secret),
    cmocka_unit_test(a_computation_outlives_its_connection),
    cmocka_unit_test(a_computation_outlives_a_failure),
    SECRET_DEFERRED_TEST(every_failed_allocation_is_reported),
    SECRET_DEFERRED_TEST(secret_memory_may_fail_too),
    SECRET_DEFERRED_TEST(freed_memory_holds_no_secret),
    SECRET_DEFERRED_TEST(secrets_lie_in_locked_memory_and_nowhere_else),
    SECRET_DEFERRED_TEST(a_failure_gives_the_secrets_back),
    SECRET_DEFERRED_TEST(a_failure_with_output_leaves_no_secret),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
