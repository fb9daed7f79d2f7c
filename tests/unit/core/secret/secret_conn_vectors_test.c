/* SPDX-License-Identifier: Apache-2.0 */
/* The secret connection against the vectors, at every split point. */
#include "core/secret/secret_conn.h"
#include "secret_peer.h"

#include <sodium.h>
#include <stdlib.h>

static void derive_gives_golden_keys(void **state) {
  json_t *root = test_vectors("derive_secrets.json");
  const json_t *rows = json_object_get(root, "vectors"), *row;
  size_t used = 0, i, len;

  (void)state;
  json_array_foreach(rows, i, row) {
    bool least = json_is_true(json_object_get(row, "local_is_least"));
    uint8_t *dh = test_unhex(test_str(row, "dh_secret"), &len);
    uint8_t recv[32], send[32];
    cmt__secret_work w;

    assert_int_equal(32, len);
    memcpy(w.dh, dh, len);
    cmt__secret_derive(&w, least, recv, send);
    test_assert_hex(test_str(row, "recv_key"), recv, 32);
    test_assert_hex(test_str(row, "send_key"), send, 32);
    cmt__secret_derive(&w, !least, recv, send);
    test_assert_hex(test_str(row, "send_key"), recv, 32);
    free(dh);
    used++;
  }
  test_used("derive_secrets.json", used, 0, json_array_size(rows));
  assert_int_equal(32, used);
  json_decref(root);
}

/* The bytes of one side in handshake.json. */
typedef struct vector_side {
  const json_t *row;
  uint8_t *seed, *eph_secret, *hello, *frame;
} vector_side;

static void side_init(vector_side *v, const json_t *vector, const char *name) {
  size_t len;

  v->row = json_object_get(vector, name);
  v->seed = test_unhex(test_str(v->row, "ed25519_seed"), &len);
  assert_int_equal(32, len);
  v->eph_secret = test_unhex(test_str(v->row, "eph_priv"), &len);
  assert_int_equal(32, len);
  v->hello = test_unhex(test_str(v->row, "msg1_plain"), &len);
  assert_int_equal(35, len);
  v->frame =
    test_unhex(test_str(v->row, "authsig_sealed_frame_zero_padding"), &len);
  assert_int_equal(CMT_FRAME_SLOT, len);
}

static void side_fini(vector_side *v) {
  free(v->seed);
  free(v->eph_secret);
  free(v->hello);
  free(v->frame);
}

/* Consumes |n| bytes of output, which must be those of |hex|. */
static void assert_output(cmt_secret_conn *s, const char *hex) {
  cmt_bytes out = cmt_secret_conn_output(s);

  test_assert_hex(hex, out.base, out.len);
  cmt_secret_conn_consume(s, out.len);
  assert_int_equal(0, cmt_secret_conn_output(s).len);
}

/* Compares the secrets that exist once the state is AUTH. */
static void assert_secrets(const cmt_secret_conn *s, const json_t *vector,
                           const json_t *row) {
  const cmt__secret_handshake *h = s->handshake;
  uint8_t auth[103], zero[32] = {0};

  test_assert_hex(test_str(row, "eph_pub"), h->public, 32);
  test_assert_hex(test_str(row, "send_key"), s->keys->send, 32);
  test_assert_hex(test_str(row, "recv_key"), s->keys->recv, 32);
  test_assert_hex(test_str(vector, "challenge"), h->work->challenge, 32);
  assert_memory_equal(zero, h->work->secret, 32);
  test_assert_hex(test_str(row, "ed25519_pub"), cmt__node_key_public(s->key),
                  32);
  cmt__secret_write_auth(s->key, h->work->challenge, auth);
  test_assert_hex(test_str(row, "authsig_delimited"), auth, sizeof auth);
  test_assert_hex(test_str(row, "sig"), auth + 39, 64);
}

/* One role of one vector; all bytes and secrets. */
static void run_role(const json_t *vector, const char *us, const char *them) {
  test_env t;
  vector_side our, their;
  cmt_node_key *key;
  cmt_node_id id;
  cmt_secret_conn *s;
  secret_sink sink = {0};
  uint8_t pub[32];

  test_env_init(&t);
  side_init(&our, vector, us);
  side_init(&their, vector, them);
  key = secret_node_key(&t, our.seed);
  s = secret_conn_with(&t, our.eph_secret, key);
  assert_int_equal(CMT__SECRET_KEYS, s->state);
  assert_output(s, test_str(our.row, "msg1_plain"));
  assert_cmt(CMT_OK, secret_feed(s, (cmt_bytes){their.hello, 35}, &sink));
  assert_int_equal(CMT__SECRET_AUTH, s->state);
  assert_secrets(s, vector, our.row);
  assert_null(cmt_secret_conn_id(s));
  assert_output(s, test_str(our.row, "authsig_sealed_frame_zero_padding"));
  assert_cmt(CMT_OK,
             secret_feed(s, (cmt_bytes){their.frame, CMT_FRAME_SLOT}, &sink));
  assert_int_equal(CMT__SECRET_UP, s->state);
  assert_null(s->handshake);
  assert_int_equal(1, s->send_counter);
  assert_int_equal(1, s->recv_counter);
  crypto_sign_seed_keypair(pub, (uint8_t[64]){0}, their.seed);
  cmt__node_id_of(pub, &id);
  assert_string_equal(id.text, cmt_secret_conn_id(s)->text);
  cmt_secret_conn_delete(s);
  cmt_node_key_delete(key);
  side_fini(&our);
  side_fini(&their);
  test_env_fini(&t);
}

/* The order of the two keys and the shared secret of a vector. */
static void assert_exchange(const json_t *vector) {
  size_t len;
  vector_side a, b;
  uint8_t dh[32];
  uint8_t *pub_a, *pub_b;

  side_init(&a, vector, "a");
  side_init(&b, vector, "b");
  pub_a = test_unhex(test_str(a.row, "eph_pub"), &len);
  pub_b = test_unhex(test_str(b.row, "eph_pub"), &len);
  assert_int_equal(memcmp(pub_a, pub_b, 32) < 0,
                   json_is_true(json_object_get(a.row, "is_least")));
  assert_int_equal(memcmp(pub_a, pub_b, 32) > 0,
                   json_is_true(json_object_get(b.row, "is_least")));
  assert_int_equal(0, crypto_scalarmult_curve25519(dh, a.eph_secret, pub_b));
  test_assert_hex(test_str(vector, "dh_secret"), dh, 32);
  free(pub_a);
  free(pub_b);
  side_fini(&a);
  side_fini(&b);
}

static void handshake_vectors_in_both_roles(void **state) {
  json_t *root = test_vectors("handshake.json");
  const json_t *rows = json_object_get(root, "vectors"), *row;
  size_t used = 0, i;

  (void)state;
  json_array_foreach(rows, i, row) {
    assert_exchange(row);
    run_role(row, "a", "b");
    run_role(row, "b", "a");
    used++;
  }
  test_used("handshake.json", used, 0, json_array_size(rows));
  json_decref(root);
}

/* A whole handshake and two frames of data behind it. */
static void run_split(const json_t *vector, bool swap, size_t first,
                      size_t rest) {
  test_env t;
  vector_side our, their;
  secret_peer p;
  cmt_node_key *key;
  cmt_secret_conn *s;
  secret_sink sink = {0};
  uint8_t bytes[SECRET_HANDSHAKE + 2 * CMT_FRAME_SLOT];

  test_env_init(&t);
  side_init(&our, vector, swap ? "b" : "a");
  side_init(&their, vector, swap ? "a" : "b");
  key = secret_node_key(&t, our.seed);
  s = secret_conn_with(&t, our.eph_secret, key);
  secret_peer_init(&p, their.eph_secret, their.seed);
  secret_peer_meet(&p, s);
  memcpy(bytes, their.hello, 35);
  memcpy(bytes + 35, their.frame, CMT_FRAME_SLOT);
  p.send.counter = 1;
  secret_peer_seal(&p, (cmt_bytes){(const uint8_t *)"hello", 5},
                   bytes + SECRET_HANDSHAKE);
  secret_peer_seal(&p, (cmt_bytes){(const uint8_t *)", world", 7},
                   bytes + SECRET_HANDSHAKE + CMT_FRAME_SLOT);
  assert_cmt(CMT_OK, secret_feed_pieces(s, (cmt_bytes){bytes, sizeof bytes},
                                        first, rest, &sink));
  assert_int_equal(CMT__SECRET_UP, s->state);
  assert_int_equal(12, sink.len);
  assert_memory_equal("hello, world", sink.bytes, 12);
  cmt_secret_conn_delete(s);
  cmt_node_key_delete(key);
  secret_sink_fini(&sink);
  side_fini(&our);
  side_fini(&their);
  test_env_fini(&t);
}

static void handshake_at_every_split(void **state) {
  const size_t whole = SECRET_HANDSHAKE + 2 * CMT_FRAME_SLOT;
  json_t *root = test_vectors("handshake.json");
  const json_t *row = json_array_get(json_object_get(root, "vectors"), 0);

  (void)state;
  for (size_t first = 0; first <= whole; first++) {
    run_split(row, first % 2 == 1, first, whole);
  }
  for (size_t first = 0; first <= SECRET_HANDSHAKE; first++) {
    run_split(row, first % 2 == 0, first, whole);
  }
  for (size_t piece = 1; piece < 70; piece++) {
    run_split(row, false, piece, piece);
    run_split(row, true, piece, piece);
  }
  json_decref(root);
}

static void sealed_frame_vectors_both_ways(void **state) {
  json_t *root = test_vectors("sealed_frames.json");
  const json_t *rows = json_object_get(root, "vectors"), *row;
  size_t used = 0, i, len;
  uint8_t *key = test_unhex(test_str(root, "key"), &len);
  secret_fixture f;

  (void)state;
  secret_fixture_init(&f, true);
  secret_fixture_up(&f);
  memcpy(f.s->keys->send, key, 32);
  memcpy(f.s->keys->recv, key, 32);
  json_array_foreach(rows, i, row) {
    uint8_t slot[CMT_FRAME_SLOT];
    uint8_t *chunk = test_unhex(test_str(row, "chunk"), &len);
    secret_sink sink = {0};

    memset(slot, 0xaa, sizeof slot);
    memcpy(slot + CMT_FRAME_HEADER, chunk, len);
    f.s->send_counter = strtoull(test_str(row, "counter"), NULL, 10);
    f.s->recv_counter = f.s->send_counter;
    assert_cmt(CMT_OK, cmt_secret_conn_seal(f.s, slot, len));
    test_assert_hex(test_str(row, "sealed"), slot, sizeof slot);
    assert_cmt(CMT_OK, secret_feed(f.s, (cmt_bytes){slot, sizeof slot}, &sink));
    test_assert_hex(test_str(row, "chunk"), sink.bytes, sink.len);
    secret_sink_fini(&sink);
    free(chunk);
    used++;
  }
  test_used("sealed_frames.json through a connection", used, 0,
            json_array_size(rows));
  free(key);
  json_decref(root);
  secret_fixture_fini(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(derive_gives_golden_keys),
    cmocka_unit_test(handshake_vectors_in_both_roles),
    cmocka_unit_test(handshake_at_every_split),
    cmocka_unit_test(sealed_frame_vectors_both_ways),
    SECRET_DEFERRED_TEST(handshake_vectors_in_both_roles),
    SECRET_DEFERRED_TEST(handshake_at_every_split),
    SECRET_DEFERRED_TEST(sealed_frame_vectors_both_ways),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
