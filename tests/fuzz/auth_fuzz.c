/* SPDX-License-Identifier: Apache-2.0 */
/* The two messages of the handshake, read by a secret connection from a stream
   in pieces and by the plain functions at once.  See fuzz_auth_stream() for
   the input. */

#include "script.h"

#include <sodium.h>
#include <stdlib.h>

#include "base/bytes.h"

typedef struct run {
  fuzz_env e;
  cmt_secret_conn *s;
  cmt_err err;   /* What it ended with; CMT_EAGAIN: it has not. */
  bool up;       /* It has reported that. */
  uint8_t *rest; /* Data behind the handshake. */
  size_t rest_len;
} run;

/* Gives |data| from memory of exactly its length. */
static void run_feed(run *r, cmt_bytes data) {
  uint8_t *copy = fuzz_copy(data);
  cmt_secret_conn_event e;

  FUZZ_CHECK(cmt_secret_conn_recv(r->s, copy, data.len) == CMT_OK);
  while (cmt_secret_conn_next_event(r->s, &e)) {
    FUZZ_CHECK(r->err == CMT_EAGAIN); /* No event follows the end. */
    switch (e.kind) {
    case CMT_SECRET_CONN_UP:
      FUZZ_CHECK(!r->up);
      r->up = true;
      break;
    case CMT_SECRET_CONN_DATA:
      FUZZ_CHECK(r->up && e.data.len > 0 && e.data.len <= CMT_FRAME_DATA);
      memcpy(r->rest + r->rest_len, e.data.base, e.data.len);
      r->rest_len += e.data.len;
      break;
    case CMT_SECRET_CONN_END:
      FUZZ_CHECK(e.err != CMT_OK);
      r->err = e.err;
      break;
    }
  }
  free(copy);
}

static void run_stream(run *r, const fuzz_script *s, cmt_bytes stream,
                       size_t piece) {
  fuzz_env_init(&r->e);
  r->e.env.aead = &fuzz_null_aead;
  memcpy(r->e.entropy, s->our_ephemeral, sizeof r->e.entropy);
  FUZZ_CHECK(cmt_secret_conn_new(&r->e.env, fuzz_node_key(0), &r->s) == CMT_OK);
  r->rest = malloc(stream.len + 1);
  r->rest_len = 0;
  r->err = CMT_EAGAIN;
  r->up = false;
  FUZZ_CHECK(r->rest != NULL);
  while (stream.len > 0 && r->err == CMT_EAGAIN) {
    cmt_bytes part = {.base = stream.base, .len = cmt__min(piece, stream.len)};

    run_feed(r, part);
    stream.base += part.len;
    stream.len -= part.len;
  }
}

static void run_fini(run *r) {
  cmt_bytes out = cmt_secret_conn_output(r->s);

  FUZZ_CHECK(out.len <= CMT__SECRET_KEY_MSG + CMT_FRAME_SLOT);
  cmt_secret_conn_consume(r->s, out.len);
  FUZZ_CHECK(cmt_secret_conn_output(r->s).len == 0);
  FUZZ_CHECK(cmt_secret_conn_has_ended(r->s) == (r->err != CMT_EAGAIN));
  if (r->err != CMT_EAGAIN) {
    uint8_t slot[CMT_FRAME_SLOT] = {0};
    cmt_secret_conn_event e;
    cmt_why why;

    cmt_secret_conn_get_why(r->s, &why);
    FUZZ_CHECK(why.err == r->err);
    FUZZ_CHECK(cmt_secret_conn_recv(r->s, slot, 1) == CMT_ECLOSED);
    FUZZ_CHECK(!cmt_secret_conn_next_event(r->s, &e));
    FUZZ_CHECK(cmt_secret_conn_seal(r->s, slot, 1) == CMT_ECLOSED);
  }
  cmt_secret_conn_delete(r->s);
  fuzz_env_fini(&r->e);
  free(r->rest);
}

/* The message at the start of |in|: CMT_OK, CMT_EAGAIN when it is not whole, or
   CMT_EPROTO; |*rest| is what follows it. */
static cmt_err message_split(cmt_bytes in, cmt_bytes *body, cmt_bytes *rest) {
  uint64_t len;
  int n = cmt__read_prefix(in.base, in.len, &len);

  if (n == 0) {
    return CMT_EAGAIN;
  }
  if (n < 0 || len > CMT_SECRET_CONN_ANNOUNCED) {
    return CMT_EPROTO;
  }
  if (len > in.len - (size_t)n) {
    return CMT_EAGAIN;
  }
  *body = (cmt_bytes){.base = in.base + n, .len = (size_t)len};
  *rest = (cmt_bytes){.base = in.base + n + len,
                      .len = in.len - (size_t)n - (size_t)len};
  return CMT_OK;
}

/* Whether both sides come to the same secret, so that the key is usable. */
static bool key_is_usable(const fuzz_script *s, const uint8_t key[32]) {
  uint8_t dh[32];

  return crypto_scalarmult_curve25519(dh, s->our_ephemeral, key) == 0;
}

static void check_first(const fuzz_script *s, cmt_bytes stream, const run *r) {
  cmt_bytes body, rest = {0};
  uint8_t key[32];
  cmt_err err = message_split(stream, &body, &rest);

  if (err == CMT_OK) {
    err = cmt__secret_read_key(body, key);
    if (err == CMT_OK && !key_is_usable(s, key)) {
      err = CMT_EAUTH;
    }
  }
  if (err == CMT_OK) {
    FUZZ_CHECK(r->s->state != CMT__SECRET_KEYS);
    FUZZ_CHECK(r->err == CMT_EAGAIN || rest.len >= CMT_FRAME_SLOT);
  } else {
    FUZZ_CHECK(r->err == err);
    FUZZ_CHECK(r->s->state == CMT__SECRET_KEYS);
  }
}

static void check_second(const fuzz_script *s, cmt_bytes plain, const run *r) {
  const cmt_node_id *id = cmt_secret_conn_id(r->s);
  cmt_bytes body, rest = {0};
  uint8_t key[32];
  cmt_node_id expected;
  cmt_err err = message_split(plain, &body, &rest);

  if (err == CMT_OK) {
    err = cmt__secret_read_auth(body, s->challenge, key);
  }
  FUZZ_CHECK((id != NULL) == (err == CMT_OK) && r->up == (id != NULL));
  if (err == CMT_OK) {
    cmt__node_id_of(key, &expected);
    FUZZ_CHECK(r->err == CMT_EAGAIN);
    FUZZ_CHECK(strcmp(id->text, expected.text) == 0);
    FUZZ_CHECK(fuzz_same(rest, (cmt_bytes){r->rest, r->rest_len}));
  } else {
    FUZZ_CHECK(r->err == err && r->rest_len == 0);
    FUZZ_CHECK(r->s->state == CMT__SECRET_AUTH);
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static uint8_t stream[FUZZ_AUTH_STREAM];
  const fuzz_script *s = fuzz_script_of(fuzz_auth_least(data, size));
  size_t len, piece;
  cmt_bytes all = {.base = stream};
  run r;

  if (size < 1 || size > FUZZ_AUTH_INPUT) {
    return 0;
  }
  piece = 1 + (size_t)data[size - 1] * 9;
  len = fuzz_auth_stream(data, size, &fuzz_null_aead, stream, sizeof stream);
  all.len = len;
  run_stream(&r, s, all, piece);
  if (fuzz_auth_is_second(data, size)) {
    check_second(s, (cmt_bytes){data + 1, size - 1}, &r);
  } else {
    check_first(s, all, &r);
  }
  run_fini(&r);
  return 0;
}
