/* SPDX-License-Identifier: Apache-2.0 */
#include "secret_peer.h"

#include <sodium.h>
#include <stdlib.h>

void secret_peer_init(secret_peer *p, const uint8_t eph_secret[32],
                      const uint8_t identity_seed[32]) {
  memset(p, 0, sizeof *p);
  memcpy(p->eph_secret, eph_secret, 32);
  assert_int_equal(
    0, crypto_scalarmult_curve25519_base(p->eph_public, p->eph_secret));
  assert_int_equal(0, crypto_sign_seed_keypair(
                        p->identity_public, p->identity_secret, identity_seed));
}

void secret_peer_derive(secret_peer *p, const uint8_t theirs[32]) {
  bool least = memcmp(p->eph_public, theirs, 32) <= 0;
  cmt__secret_work w;

  assert_int_equal(0,
                   crypto_scalarmult_curve25519(p->dh, p->eph_secret, theirs));
  memcpy(w.dh, p->dh, sizeof w.dh);
  cmt__secret_challenge(&w, least ? p->eph_public : theirs,
                        least ? theirs : p->eph_public);
  memcpy(p->challenge, w.challenge, sizeof p->challenge);
  cmt__secret_derive(&w, least, p->recv.key, p->send.key);
  sodium_memzero(&w, sizeof w);
  assert_int_equal(0, crypto_sign_detached(p->signature, NULL, p->challenge,
                                           sizeof p->challenge,
                                           p->identity_secret));
}

void secret_peer_write_key(const secret_peer *p, uint8_t out[35]) {
  memcpy(out, "\x22\x0a\x20", 3);
  memcpy(out + 3, p->eph_public, 32);
}

void secret_peer_write_auth(const secret_peer *p, uint8_t out[103]) {
  memcpy(out, "\x66\x0a\x22\x0a\x20", 5);
  memcpy(out + 5, p->identity_public, 32);
  memcpy(out + 37, "\x12\x40", 2);
  memcpy(out + 39, p->signature, 64);
}

void secret_peer_seal_as(secret_peer *p, cmt_bytes data, uint32_t announced,
                         uint8_t slot[CMT_FRAME_SLOT]) {
  cmt__aead_job job = {
    .key = p->send.key, .counter = p->send.counter++, .slot = slot};

  assert_true(data.len <= CMT_FRAME_DATA);
  /* Padding is whatever was there, as CometBFT's is. */
  memset(slot, 0x5a, CMT_FRAME_SLOT);
  cmt__store_le32(slot, announced);
  if (data.len > 0) {
    memcpy(slot + CMT_FRAME_HEADER, data.base, data.len);
  }
  cmt__aead_libsodium.seal(&job, 1);
}

void secret_peer_seal(secret_peer *p, cmt_bytes data,
                      uint8_t slot[CMT_FRAME_SLOT]) {
  secret_peer_seal_as(p, data, (uint32_t)data.len, slot);
}

cmt_bytes secret_peer_open(secret_peer *p, uint8_t slot[CMT_FRAME_SLOT]) {
  cmt__aead_job job = {
    .key = p->recv.key, .counter = p->recv.counter++, .slot = slot};
  uint32_t n;

  cmt__aead_libsodium.open(&job, 1);
  assert_true(job.ok);
  n = cmt__load_le32(slot);
  assert_in_range(n, 1, CMT_FRAME_DATA);
  for (size_t i = CMT_FRAME_HEADER + n; i < CMT_FRAME_PLAIN; i++) {
    assert_int_equal(0, slot[i]);
  }
  return (cmt_bytes){.base = slot + CMT_FRAME_HEADER, .len = n};
}

static void sink_append(secret_sink *sink, cmt_bytes data) {
  if (sink->len + data.len > sink->cap) {
    sink->cap = 2 * (sink->len + data.len);
    sink->bytes = realloc(sink->bytes, sink->cap);
    assert_non_null(sink->bytes);
  }
  memcpy(sink->bytes + sink->len, data.base, data.len);
  sink->len += data.len;
}

static cmt_err events_gather(cmt_secret_conn *s, secret_sink *sink) {
  cmt_secret_conn_event e;
  cmt_err ended = CMT_OK;

  while (cmt_secret_conn_next_event(s, &e)) {
    assert_cmt(CMT_OK, ended);
    ended = e.err;
    assert_int_equal(e.kind == CMT_SECRET_CONN_END, ended != CMT_OK);
    assert_int_equal(e.kind == CMT_SECRET_CONN_DATA, e.data.len > 0);
    if (e.kind == CMT_SECRET_CONN_DATA) {
      sink_append(sink, e.data);
    }
  }
  return ended;
}

cmt_err secret_feed(cmt_secret_conn *s, cmt_bytes data, secret_sink *sink) {
  uint8_t *copy = malloc(data.len > 0 ? data.len : 1);
  cmt_bytes none = {0};
  cmt_err ended;

  assert_non_null(copy);
  if (data.len > 0) {
    memcpy(copy, data.base, data.len);
  }
  assert_cmt(CMT_OK, cmt_secret_conn_recv(s, copy, data.len));
  ended = events_gather(s, sink);
  while (cmt__secret_conn_wants_compute(s)) {
    assert_true(secret_conn_defers);
    if (cmt__secret_conn_keep(s, &none, (cmt_bytes){0}) == CMT_OK) {
      memset(copy, 0xee, data.len);
    }
    cmt__secret_conn_compute(s);
    ended = events_gather(s, sink);
  }
  free(copy);
  return ended;
}

void secret_sink_fini(secret_sink *sink) {
  free(sink->bytes);
  *sink = (secret_sink){0};
}

static void entropy_fixed(void *arg, void *out, size_t len) {
  assert_int_equal(32, len);
  memcpy(out, arg, len);
}

bool secret_conn_defers;

int secret_conn_defer(void **state) {
  (void)state;
  secret_conn_defers = true;
  return 0;
}

int secret_conn_do_not_defer(void **state) {
  (void)state;
  secret_conn_defers = false;
  return 0;
}

static cmt_err conn_new_deferring(const cmt_env *env, const cmt_node_key *key,
                                  cmt_secret_conn **out) {
  cmt__secret_pool *pool = cmt__secret_pool_new(env, sizeof *pool);
  cmt_err err;

  if (pool == NULL) {
    return CMT_ENOMEM;
  }
  err = cmt__secret_conn_new(pool, key, true, out);
  cmt__secret_pool_unref(pool);
  if (err == CMT_OK) {
    assert_int_equal(0, cmt_secret_conn_output(*out).len);
    assert_true(cmt__secret_conn_wants_compute(*out));
    cmt__secret_conn_compute(*out);
    assert_false(cmt__secret_conn_wants_compute(*out));
  }
  return err;
}

cmt_secret_conn *secret_conn_with(test_env *t, const uint8_t eph_secret[32],
                                  const cmt_node_key *key) {
  uint8_t copy[32];
  cmt_env env = t->env;
  cmt_secret_conn *s = NULL;
  cmt_err err;

  memcpy(copy, eph_secret, sizeof copy);
  env.entropy = entropy_fixed;
  env.entropy_arg = copy;
  err = secret_conn_defers ? conn_new_deferring(&env, key, &s)
                           : cmt_secret_conn_new(&env, key, &s);
  assert_cmt(s != NULL ? CMT_OK : CMT_ENOMEM, err);
  return s;
}

cmt_node_key *secret_node_key(test_env *t, const uint8_t seed[32]) {
  uint8_t secret[64], public[32];
  cmt_node_key *key = NULL;

  assert_int_equal(0, crypto_sign_seed_keypair(public, secret, seed));
  assert_cmt(CMT_OK, cmt__node_key_from_secret(&t->env, secret, &key));
  return key;
}

void secret_peer_meet(secret_peer *p, cmt_secret_conn *s) {
  cmt_bytes out = cmt_secret_conn_output(s);

  assert_true(out.len >= CMT__SECRET_KEY_MSG);
  assert_memory_equal("\x22\x0a\x20", out.base, 3);
  secret_peer_derive(p, out.base + 3);
}

void secret_peer_handshake(secret_peer *p, uint8_t out[SECRET_HANDSHAKE]) {
  uint8_t auth[103];

  secret_peer_write_key(p, out);
  secret_peer_write_auth(p, auth);
  secret_peer_seal(p, (cmt_bytes){auth, sizeof auth},
                   out + CMT__SECRET_KEY_MSG);
}

cmt_err secret_feed_pieces(cmt_secret_conn *s, cmt_bytes data, size_t first,
                           size_t rest, secret_sink *sink) {
  cmt_err err = CMT_OK;

  for (size_t at = 0, n = first; at < data.len && err == CMT_OK;
       at += n, n = rest) {
    n = cmt__min(n, data.len - at);
    err = secret_feed(s, (cmt_bytes){data.base + at, n}, sink);
  }
  return err;
}

const uint8_t secret_eph_low[32] = {
  0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b,
  0x0c, 0x0d, 0x0e, 0x0f, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16,
  0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f, 0x20,
};
const uint8_t secret_eph_high[32] = {
  0x21, 0x22, 0x23, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2a, 0x2b,
  0x2c, 0x2d, 0x2e, 0x2f, 0x30, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36,
  0x37, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x40,
};

void secret_fixture_init(secret_fixture *f, bool least) {
  static const uint8_t our_seed[32] = {0x11}, their_seed[32] = {0x22};

  test_env_init(&f->t);
  f->key = secret_node_key(&f->t, our_seed);
  f->s =
    secret_conn_with(&f->t, least ? secret_eph_low : secret_eph_high, f->key);
  assert_non_null(f->s);
  secret_peer_init(&f->peer, least ? secret_eph_high : secret_eph_low,
                   their_seed);
}

void secret_fixture_up(secret_fixture *f) {
  uint8_t bytes[SECRET_HANDSHAKE];
  secret_sink sink = {0};

  secret_peer_meet(&f->peer, f->s);
  secret_peer_handshake(&f->peer, bytes);
  assert_cmt(CMT_OK,
             secret_feed(f->s, (cmt_bytes){bytes, sizeof bytes}, &sink));
  assert_int_equal(CMT__SECRET_UP, f->s->state);
  assert_int_equal(0, sink.len);
  cmt_secret_conn_consume(f->s, cmt_secret_conn_output(f->s).len);
  f->peer.recv.counter = 1; /* The frame with the connection's signature. */
}

void secret_fixture_fini(secret_fixture *f) {
  cmt_secret_conn_delete(f->s);
  cmt_node_key_delete(f->key);
  test_env_fini(&f->t);
}

void assert_secret_end(cmt_secret_conn *s, cmt_err err) {
  cmt_secret_conn_event e;
  cmt_why why;

  assert_true(cmt_secret_conn_next_event(s, &e));
  assert_int_equal(CMT_SECRET_CONN_END, e.kind);
  assert_cmt(err, e.err);
  cmt_secret_conn_get_why(s, &why);
  assert_cmt(err, why.err);
  assert_false(cmt_secret_conn_next_event(s, &e));
}
