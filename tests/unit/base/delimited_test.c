/* SPDX-License-Identifier: Apache-2.0 */
/* Messages behind their lengths, from pieces of any size. */
#include "base/delimited.h"
#include "test.h"

#include <stdlib.h>

enum { MAX = 300, FIRST = 16 };

/* Two messages, of 3 and of 200 bytes, and one byte more. */
enum { STREAM = 1 + 3 + 2 + 200 + 1 };

static void stream_write(uint8_t out[STREAM]) {
  memset(out, 'x', STREAM);
  memcpy(out,
         "\x03"
         "abc\xc8\x01",
         6);
}

/* Reads one message from |*in| in pieces of |piece| bytes. */
static cmt_err take(cmt__delimited *d, test_env *t, cmt_bytes *in,
                    size_t piece) {
  cmt_err err = CMT_EAGAIN;

  while (err == CMT_EAGAIN && in->len > 0) {
    cmt_bytes part = {.base = in->base, .len = cmt__min(piece, in->len)};
    size_t len = part.len;

    err = cmt__delimited_take(d, &t->env, &part);
    assert_true(err != CMT_EAGAIN || part.len == 0);
    in->base += len - part.len;
    in->len -= len - part.len;
  }
  return err;
}

static void a_message_of_any_cut_is_whole(void **state) {
  uint8_t stream[STREAM];
  test_env t;

  (void)state;
  test_env_init(&t);
  stream_write(stream);
  for (size_t piece = 1; piece <= STREAM; piece++) {
    cmt__delimited d = {.max = MAX, .first = FIRST};
    cmt_bytes in = {stream, STREAM};

    assert_cmt(CMT_OK, take(&d, &t, &in, piece));
    assert_int_equal(3, cmt__delimited_bytes(&d).len);
    assert_memory_equal("abc", cmt__delimited_bytes(&d).base, 3);
    cmt__delimited_next(&d);
    assert_cmt(CMT_OK, take(&d, &t, &in, piece));
    assert_int_equal(200, cmt__delimited_bytes(&d).len);
    assert_memory_equal(stream + 6, cmt__delimited_bytes(&d).base, 200);
    assert_int_equal(1, in.len); /* What follows is not consumed. */
    cmt__delimited_fini(&d, &t.env);
  }
  test_env_fini(&t);
}

static void an_empty_message_needs_no_memory(void **state) {
  cmt__delimited d = {.max = MAX, .first = FIRST};
  cmt_bytes in = {(const uint8_t *)"\0", 1};
  test_env t;

  (void)state;
  test_env_init(&t);
  assert_cmt(CMT_OK, cmt__delimited_take(&d, &t.env, &in));
  assert_int_equal(0, cmt__delimited_bytes(&d).len);
  assert_int_equal(0, t.allocs);
  cmt__delimited_fini(&d, &t.env);
  test_env_fini(&t);
}

static void a_length_over_the_limit_is_refused(void **state) {
  static const struct {
    const char *hex;
    cmt_err err;
  } rows[] = {
    {"ac02", CMT_EAGAIN},                 /* 300 */
    {"ad02", CMT_EPROTO},                 /* 301 */
    {"ffffffffffffffffff01", CMT_EPROTO}, /* 2^64 - 1 */
    {"ffffffffffffffffff02", CMT_EPROTO}, /* Malformed. */
    {"80808080808080808000", CMT_OK},     /* 0 in ten bytes. */
    {"ffffffffffffffffff", CMT_EAGAIN},   /* One byte is missing. */
  };
  test_env t;

  (void)state;
  test_env_init(&t);
  for (size_t i = 0; i < CMT__COUNT(rows); i++) {
    cmt__delimited d = {.max = MAX, .first = FIRST};
    size_t len;
    uint8_t *bytes = test_unhex(rows[i].hex, &len);
    cmt_bytes in = {bytes, len};
    cmt_err err = cmt__delimited_take(&d, &t.env, &in);

    assert_cmt(rows[i].err, err);
    assert_int_equal(0, t.allocs); /* Announcing costs nothing. */
    cmt__delimited_fini(&d, &t.env);
    free(bytes);
  }
  test_env_fini(&t);
}

static void memory_grows_with_the_bytes(void **state) {
  uint8_t bytes[2 + MAX] = {0xac, 0x02};
  cmt__delimited d = {.max = MAX, .first = FIRST};
  cmt_bytes in = {bytes, 3};
  test_env t;

  (void)state;
  test_env_init(&t);
  assert_cmt(CMT_EAGAIN, cmt__delimited_take(&d, &t.env, &in));
  assert_int_equal(FIRST, d.cap);
  t.fail_at = t.allocs;
  in = (cmt_bytes){bytes + 3, MAX - 1};
  assert_cmt(CMT_ENOMEM, cmt__delimited_take(&d, &t.env, &in));
  assert_int_equal(MAX - 1, in.len);
  assert_cmt(CMT_OK, cmt__delimited_take(&d, &t.env, &in));
  assert_int_equal(MAX, cmt__delimited_bytes(&d).len);
  cmt__delimited_fini(&d, &t.env);
  test_env_fini(&t);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(a_message_of_any_cut_is_whole),
    cmocka_unit_test(an_empty_message_needs_no_memory),
    cmocka_unit_test(a_length_over_the_limit_is_refused),
    cmocka_unit_test(memory_grows_with_the_bytes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
