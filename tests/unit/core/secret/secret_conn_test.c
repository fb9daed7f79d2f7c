/* SPDX-License-Identifier: Apache-2.0 */
/* What the contract of the secret connection promises.  Vectors, memory and
   peers that break the protocol have files of their own. */
#include "core/secret/secret_conn.h"
#include "secret_peer.h"

#include <sodium.h>
#include <stdlib.h>

static const uint8_t seed_11[32] = {0x11};

static void bad_frame_length_in_handshake_keeps_first_failure(void **state) {
  secret_fixture f;
  secret_sink sink = {0};
  uint8_t slot[CMT_FRAME_SLOT], bytes[35];
  cmt_secret_conn_event e;
  cmt_why why;

  (void)state;
  secret_fixture_init(&f, true);
  secret_peer_meet(&f.peer, f.s);
  secret_peer_write_key(&f.peer, bytes);
  assert_cmt(CMT_OK, secret_feed(f.s, (cmt_bytes){bytes, 35}, &sink));
  secret_peer_seal_as(&f.peer, (cmt_bytes){0}, 1025, slot);
  assert_cmt(CMT_EPROTO,
             secret_feed(f.s, (cmt_bytes){slot, sizeof slot}, &sink));
  assert_true(cmt_secret_conn_has_ended(f.s));
  cmt_secret_conn_get_why(f.s, &why);
  assert_cmt(CMT_EPROTO, why.err);
  assert_int_equal(CMT_STAGE_SECRET_CONNECTION, why.stage);
  assert_string_equal("malformed message of the handshake", why.text);
  assert_cmt(CMT_ECLOSED, cmt_secret_conn_recv(f.s, slot, sizeof slot));
  assert_false(cmt_secret_conn_next_event(f.s, &e)); /* The end comes once. */
  assert_cmt(CMT_ECLOSED, cmt_secret_conn_seal(f.s, slot, 1));
  /* What waited may still be sent: our key and our signature. */
  assert_int_equal(35 + CMT_FRAME_SLOT, cmt_secret_conn_output(f.s).len);
  cmt_secret_conn_consume(f.s, 35);
  assert_int_equal(CMT_FRAME_SLOT, cmt_secret_conn_output(f.s).len);
  cmt_secret_conn_consume(f.s, CMT_FRAME_SLOT);
  assert_int_equal(0, cmt_secret_conn_output(f.s).len);
  assert_null(cmt_secret_conn_id(f.s));
  secret_fixture_fini(&f);
}

/* Draws that do not change from run to run. */
static uint32_t draw(uint64_t *seed, uint32_t below) {
  *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
  return (uint32_t)(*seed >> 33) % below;
}

static void data_of_any_cut_arrives_in_order(void **state) {
  enum { FRAMES = 300 };
  static uint8_t stream[FRAMES * CMT_FRAME_SLOT];
  secret_fixture f;
  uint64_t seed = 7;
  secret_sink sink = {0}, sent = {0};

  (void)state;
  secret_fixture_init(&f, true);
  secret_fixture_up(&f);
  sent.bytes = malloc(FRAMES * CMT_FRAME_DATA);
  assert_non_null(sent.bytes);
  for (size_t i = 0; i < FRAMES; i++) {
    size_t n = i % 3 == 0 ? CMT_FRAME_DATA : 1 + draw(&seed, CMT_FRAME_DATA);
    uint8_t *at = sent.bytes + sent.len;

    for (size_t k = 0; k < n; k++) {
      at[k] = (uint8_t)draw(&seed, 256);
    }
    secret_peer_seal(&f.peer, (cmt_bytes){at, n}, stream + i * CMT_FRAME_SLOT);
    sent.len += n;
  }
  for (size_t at = 0, n; at < sizeof stream; at += n) {
    n = cmt__min(sizeof stream - at, draw(&seed, 40000));
    assert_cmt(CMT_OK, secret_feed(f.s, (cmt_bytes){stream + at, n}, &sink));
  }
  assert_int_equal(sent.len, sink.len);
  assert_memory_equal(sent.bytes, sink.bytes, sent.len);
  secret_sink_fini(&sink);
  secret_sink_fini(&sent);
  secret_fixture_fini(&f);
}

static void whole_frames_are_lent_in_place_without_allocating(void **state) {
  enum { FRAMES = 40 };
  static uint8_t stream[FRAMES * CMT_FRAME_SLOT];
  secret_fixture f;
  cmt_secret_conn_event e;
  size_t allocs;

  (void)state;
  secret_fixture_init(&f, true);
  secret_fixture_up(&f);
  for (size_t i = 0; i < FRAMES; i++) {
    secret_peer_seal(&f.peer, (cmt_bytes){(const uint8_t *)"x", 1},
                     stream + i * CMT_FRAME_SLOT);
  }
  allocs = f.t.allocs;
  assert_cmt(CMT_OK, cmt_secret_conn_recv(f.s, stream, sizeof stream));
  for (size_t i = 0; i < FRAMES; i++) {
    assert_true(cmt_secret_conn_next_event(f.s, &e));
    assert_int_equal(CMT_SECRET_CONN_DATA, e.kind);
    assert_ptr_equal(stream + i * CMT_FRAME_SLOT + CMT_FRAME_HEADER,
                     e.data.base);
    assert_int_equal(1, e.data.len);
  }
  assert_false(cmt_secret_conn_next_event(f.s, &e));
  assert_int_equal(allocs, f.t.allocs);
  secret_fixture_fini(&f);
}

static void cut_frames_share_one_scratch(void **state) {
  secret_fixture f;
  uint8_t slot[CMT_FRAME_SLOT];
  secret_sink sink = {0};
  size_t allocs;

  (void)state;
  secret_fixture_init(&f, true);
  secret_fixture_up(&f);
  allocs = f.t.allocs;
  for (size_t i = 1; i < CMT_FRAME_SLOT; i++) {
    secret_peer_seal(&f.peer, (cmt_bytes){(const uint8_t *)&i, 4}, slot);
    assert_cmt(CMT_OK, secret_feed_pieces(f.s, (cmt_bytes){slot, sizeof slot},
                                          i, CMT_FRAME_SLOT, &sink));
    assert_int_equal(4 * i, sink.len);
    assert_memory_equal(&i, sink.bytes + 4 * (i - 1), 4);
  }
  assert_int_equal(allocs + 1, f.t.allocs);
  secret_sink_fini(&sink);
  secret_fixture_fini(&f);
}

static void frames_before_a_bad_one_are_given(void **state) {
  uint8_t stream[4 * CMT_FRAME_SLOT];
  secret_fixture f;
  secret_sink sink = {0};

  (void)state;
  for (size_t bad = 0; bad < 4; bad++) {
    secret_fixture_init(&f, true);
    secret_fixture_up(&f);
    for (size_t i = 0; i < 4; i++) {
      secret_peer_seal(&f.peer, (cmt_bytes){(const uint8_t *)"abcd" + i, 1},
                       stream + i * CMT_FRAME_SLOT);
    }
    stream[bad * CMT_FRAME_SLOT + 500] ^= 0x10;
    assert_cmt(CMT_EAUTH,
               secret_feed(f.s, (cmt_bytes){stream, sizeof stream}, &sink));
    assert_int_equal(bad, sink.len);
    assert_memory_equal("abcd", sink.bytes == NULL ? stream : sink.bytes, bad);
    assert_non_null(cmt_secret_conn_id(f.s)); /* It was authenticated. */
    secret_sink_fini(&sink);
    secret_fixture_fini(&f);
  }
}

static void empty_frames_are_skipped_and_counted(void **state) {
  uint8_t stream[40 * CMT_FRAME_SLOT];
  secret_fixture f;
  secret_sink sink = {0};

  (void)state;
  secret_fixture_init(&f, true);
  secret_fixture_up(&f);
  for (size_t i = 0; i < 40; i++) {
    secret_peer_seal(&f.peer, (cmt_bytes){(const uint8_t *)"z", i == 39},
                     stream + i * CMT_FRAME_SLOT);
  }
  assert_int_equal(0, cmt_secret_conn_empty_frames(f.s));
  assert_cmt(CMT_OK,
             secret_feed(f.s, (cmt_bytes){stream, sizeof stream}, &sink));
  assert_int_equal(1, sink.len);
  assert_int_equal(39, cmt_secret_conn_empty_frames(f.s));
  assert_int_equal(0, cmt_secret_conn_empty_frames(f.s));
  secret_sink_fini(&sink);
  secret_fixture_fini(&f);
}

/* Seals |len| bytes and opens them as the peer. */
static void check_seal(secret_fixture *f, size_t len) {
  size_t count = (len + CMT_FRAME_DATA - 1) / CMT_FRAME_DATA, at = 0;
  uint8_t *slots = malloc(count * CMT_FRAME_SLOT);

  assert_non_null(slots);
  memset(slots, 0xee, count * CMT_FRAME_SLOT);
  for (size_t i = 0; i < len; i++) {
    slots[i / CMT_FRAME_DATA * CMT_FRAME_SLOT + CMT_FRAME_HEADER +
          i % CMT_FRAME_DATA] = (uint8_t)(i * 131 >> 3);
  }
  assert_cmt(CMT_OK, cmt_secret_conn_seal(f->s, slots, len));
  for (size_t k = 0; k < count; k++) {
    cmt_bytes data = secret_peer_open(&f->peer, slots + k * CMT_FRAME_SLOT);

    for (size_t i = 0; i < data.len; i++, at++) {
      assert_int_equal((uint8_t)(at * 131 >> 3), data.base[i]);
    }
  }
  assert_int_equal(len, at);
  free(slots);
}

static void seal_fills_headers_and_padding(void **state) {
  static const size_t lengths[] = {1,    2,     1023,  1024,  1025,
                                   2048, 16384, 16385, 17000, 65536};
  secret_fixture f;
  size_t allocs;

  (void)state;
  secret_fixture_init(&f, true);
  secret_fixture_up(&f);
  allocs = f.t.allocs;
  for (size_t i = 0; i < CMT__COUNT(lengths); i++) {
    check_seal(&f, lengths[i]);
  }
  assert_int_equal(allocs, f.t.allocs);
  secret_fixture_fini(&f);
}

static void last_nonce_is_never_sent(void **state) {
  uint8_t slots[2 * CMT_FRAME_SLOT] = {0}, before[sizeof slots];
  secret_fixture f;

  (void)state;
  secret_fixture_init(&f, true);
  secret_fixture_up(&f);
  f.s->send_counter = UINT64_MAX - 1;
  memcpy(before, slots, sizeof slots);
  assert_cmt(CMT_ENONCE, cmt_secret_conn_seal(f.s, slots, 1025));
  assert_memory_equal(before, slots, sizeof slots);
  assert_cmt(CMT_ECLOSED, cmt_secret_conn_seal(f.s, slots, 1));
  assert_secret_end(f.s, CMT_ENONCE);
  secret_fixture_fini(&f);

  secret_fixture_init(&f, true);
  secret_fixture_up(&f);
  f.s->send_counter = UINT64_MAX - 2;
  f.peer.recv.counter = UINT64_MAX - 2;
  check_seal(&f, 1025);
  assert_int_equal(UINT64_MAX, f.s->send_counter);
  assert_cmt(CMT_ENONCE, cmt_secret_conn_seal(f.s, slots, 1));
  assert_true(cmt_secret_conn_has_ended(f.s));
  secret_fixture_fini(&f);
}

static void last_nonce_is_never_opened(void **state) {
  uint8_t stream[4 * CMT_FRAME_SLOT];
  secret_fixture f;
  secret_sink sink = {0};

  (void)state;
  secret_fixture_init(&f, true);
  secret_fixture_up(&f);
  f.s->recv_counter = UINT64_MAX - 3;
  f.peer.send.counter = UINT64_MAX - 3;
  for (size_t i = 0; i < 4; i++) {
    secret_peer_seal(&f.peer, (cmt_bytes){(const uint8_t *)"abcd" + i, 1},
                     stream + i * CMT_FRAME_SLOT);
  }
  assert_cmt(CMT_ENONCE,
             secret_feed(f.s, (cmt_bytes){stream, sizeof stream}, &sink));
  assert_int_equal(3, sink.len);
  assert_memory_equal("abc", sink.bytes, 3);
  secret_sink_fini(&sink);
  secret_fixture_fini(&f);
}

static void wrong_calls_are_refused_and_not_final(void **state) {
  uint8_t slot[CMT_FRAME_SLOT] = {0}, two[2 * CMT_FRAME_SLOT];
  secret_fixture f;
  cmt_secret_conn_event e;

  (void)state;
  secret_fixture_init(&f, true);
  assert_cmt(CMT_EINVAL, cmt_secret_conn_seal(f.s, slot, 1));
  secret_fixture_up(&f);
  assert_cmt(CMT_EINVAL, cmt_secret_conn_seal(f.s, slot, 0));
  secret_peer_seal(&f.peer, (cmt_bytes){(const uint8_t *)"a", 1}, two);
  secret_peer_seal(&f.peer, (cmt_bytes){(const uint8_t *)"b", 1},
                   two + CMT_FRAME_SLOT);
  assert_cmt(CMT_OK, cmt_secret_conn_recv(f.s, two, sizeof two));
  assert_cmt(CMT_EINVAL, cmt_secret_conn_recv(f.s, slot, sizeof slot));
  assert_true(cmt_secret_conn_next_event(f.s, &e));
  assert_cmt(CMT_EINVAL, cmt_secret_conn_recv(f.s, slot, sizeof slot));
  assert_true(cmt_secret_conn_next_event(f.s, &e));
  assert_int_equal('b', e.data.base[0]);
  assert_false(cmt_secret_conn_next_event(f.s, &e));
  assert_null(e.data.base);
  assert_int_equal(0, e.data.len);
  assert_cmt(CMT_OK, cmt_secret_conn_recv(f.s, NULL, 0));
  assert_false(cmt_secret_conn_next_event(f.s, &e));
  assert_cmt(CMT_EINVAL, cmt_secret_conn_recv(f.s, NULL, 1));
  assert_cmt(CMT_EINVAL, cmt_secret_conn_recv(NULL, slot, 1));
  assert_false(cmt_secret_conn_next_event(NULL, &e));
  assert_false(cmt_secret_conn_next_event_sized(f.s, NULL, sizeof e));
  assert_false(cmt_secret_conn_next_event_sized(f.s, &e, 0));
  assert_cmt(CMT_EINVAL, cmt_secret_conn_seal(NULL, slot, 1));
  assert_cmt(CMT_EINVAL, cmt_secret_conn_seal(f.s, NULL, 1));
  assert_false(cmt_secret_conn_next_event(f.s, &e));
  secret_fixture_fini(&f);
}

/* The frame of the signature may have data behind it: first it is up, then
   these come, and then what the next frame breaks. */
static void it_is_up_before_the_data_and_the_end(void **state) {
  uint8_t auth[106], bytes[SECRET_HANDSHAKE + CMT_FRAME_SLOT];
  secret_fixture f;
  cmt_secret_conn_event e;
  cmt_why why;

  (void)state;
  secret_fixture_init(&f, true);
  secret_peer_meet(&f.peer, f.s);
  secret_peer_write_key(&f.peer, bytes);
  secret_peer_write_auth(&f.peer, auth);
  memcpy(auth + 103, "abc", 3);
  secret_peer_seal(&f.peer, (cmt_bytes){auth, sizeof auth}, bytes + 35);
  secret_peer_seal_as(&f.peer, (cmt_bytes){0}, 1025, bytes + SECRET_HANDSHAKE);
  assert_cmt(CMT_OK, cmt_secret_conn_recv(f.s, bytes, sizeof bytes));
  assert_null(cmt_secret_conn_id(f.s));
  assert_true(cmt_secret_conn_next_event(f.s, &e));
  assert_int_equal(CMT_SECRET_CONN_UP, e.kind);
  assert_non_null(cmt_secret_conn_id(f.s));
  assert_cmt(CMT_EINVAL, cmt_secret_conn_recv(f.s, bytes, 1));
  cmt_secret_conn_get_why(f.s, &why);
  assert_cmt(CMT_OK, why.err);
  assert_true(cmt_secret_conn_next_event(f.s, &e));
  assert_int_equal(CMT_SECRET_CONN_DATA, e.kind);
  assert_int_equal(3, e.data.len);
  assert_memory_equal("abc", e.data.base, 3);
  assert_secret_end(f.s, CMT_EPROTO);
  cmt_secret_conn_get_why(f.s, &why);
  assert_int_equal(CMT_STAGE_UP, why.stage);
  assert_string_equal("malformed frame", why.text);
  assert_non_null(cmt_secret_conn_id(f.s));
  secret_fixture_fini(&f);
}

/* A frame that ends with the signature leaves nothing, and further bytes may
   come at once. */
static void up_may_be_the_only_event(void **state) {
  uint8_t bytes[SECRET_HANDSHAKE];
  secret_fixture f;
  cmt_secret_conn_event e;

  (void)state;
  secret_fixture_init(&f, true);
  secret_peer_meet(&f.peer, f.s);
  secret_peer_handshake(&f.peer, bytes);
  assert_cmt(CMT_OK, cmt_secret_conn_recv(f.s, bytes, sizeof bytes));
  assert_true(cmt_secret_conn_next_event(f.s, &e));
  assert_int_equal(CMT_SECRET_CONN_UP, e.kind);
  assert_int_equal(0, e.data.len);
  assert_false(cmt_secret_conn_next_event(f.s, &e));
  assert_cmt(CMT_OK, cmt_secret_conn_recv(f.s, NULL, 0));
  secret_fixture_fini(&f);
}

static void output_outlives_the_handshake(void **state) {
  uint8_t bytes[SECRET_HANDSHAKE];
  secret_fixture f;
  secret_sink sink = {0};
  cmt_bytes out;

  (void)state;
  secret_fixture_init(&f, true);
  secret_peer_meet(&f.peer, f.s);
  cmt_secret_conn_consume(f.s, 10);
  assert_int_equal(25, cmt_secret_conn_output(f.s).len);
  secret_peer_handshake(&f.peer, bytes);
  assert_cmt(CMT_OK, secret_feed(f.s, (cmt_bytes){bytes, sizeof bytes}, &sink));
  assert_int_equal(CMT__SECRET_UP, f.s->state);
  out = cmt_secret_conn_output(f.s);
  assert_int_equal(SECRET_HANDSHAKE - 10, out.len);
  memcpy(bytes, out.base + 25, CMT_FRAME_SLOT);
  assert_int_equal(103, secret_peer_open(&f.peer, bytes).len);
  cmt_secret_conn_consume(f.s, 25);
  assert_non_null(f.s->handshake);
  cmt_secret_conn_consume(f.s, CMT_FRAME_SLOT);
  assert_null(f.s->handshake);
  assert_int_equal(0, cmt_secret_conn_output(f.s).len);
  secret_fixture_fini(&f);
}

static void null_environment_means_the_defaults(void **state) {
  cmt_node_key *key = NULL;
  cmt_secret_conn *a = NULL, *b = NULL;
  test_env t, unusable = {.env.size = 8};

  (void)state;
  test_env_init(&t);
  key = secret_node_key(&t, seed_11);
  assert_cmt(CMT_EINVAL, cmt_secret_conn_new(&unusable.env, key, &a));
  assert_null(a);
  assert_cmt(CMT_OK, cmt_secret_conn_new(NULL, key, &a));
  assert_cmt(CMT_OK, cmt_secret_conn_new(NULL, key, &b));
  assert_memory_not_equal(cmt_secret_conn_output(a).base,
                          cmt_secret_conn_output(b).base, 35);
  cmt_secret_conn_delete(a);
  cmt_secret_conn_delete(b);
  cmt_secret_conn_delete(NULL);
  cmt_node_key_delete(key);
  test_env_fini(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(bad_frame_length_in_handshake_keeps_first_failure),
    cmocka_unit_test(data_of_any_cut_arrives_in_order),
    cmocka_unit_test(whole_frames_are_lent_in_place_without_allocating),
    cmocka_unit_test(cut_frames_share_one_scratch),
    cmocka_unit_test(frames_before_a_bad_one_are_given),
    cmocka_unit_test(empty_frames_are_skipped_and_counted),
    cmocka_unit_test(seal_fills_headers_and_padding),
    cmocka_unit_test(last_nonce_is_never_sent),
    cmocka_unit_test(last_nonce_is_never_opened),
    cmocka_unit_test(wrong_calls_are_refused_and_not_final),
    cmocka_unit_test(it_is_up_before_the_data_and_the_end),
    cmocka_unit_test(up_may_be_the_only_event),
    cmocka_unit_test(output_outlives_the_handshake),
    cmocka_unit_test(null_environment_means_the_defaults),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
