/* SPDX-License-Identifier: Apache-2.0 */
/* The encrypted stream as a state machine over bytes.  docs/PROTOCOL.md
   section 2.  The bytes of the other side are, in this order: the frames
   opened and not yet given (|batch|), the frame cut by the end of the input
   before (|scratch|), and the rest of the input (|input|).  While an opened
   frame stands in |scratch|, |scratch_len| is 0.  The input is the caller's
   memory, or a copy in |kept| when the caller needed that memory before the
   input was used up.  Bytes behind those that require a public-key operation
   wait for it.  Each frame counter seals or opens one frame, and none
   does after the end. */

#include "secret_conn_impl.h"

#include <sodium.h>

#include "base/sized.h"

/* Doubled five times it is CMT_SECRET_CONN_ANNOUNCED. */
enum { MESSAGE_FIRST = 125 };

/* The secrets of the handshake are not needed any more.  A computation that is
   under way has them until its end. */
static void work_give(cmt_secret_conn *s) {
  cmt__secret_handshake *h = s->handshake;

  if (h->computation != NULL) {
    h->computation->conn = NULL;
    h->computation = NULL;
  } else {
    cmt__key_slab_give(&s->pool->works, &s->pool->env, h->work);
  }
  h->work = NULL;
}

static void keys_give(cmt_secret_conn *s) {
  cmt__key_slab_give(&s->pool->keys, &s->pool->env, s->keys);
  s->keys = NULL;
}

static void key_let_go(cmt_secret_conn *s) {
  cmt_node_key_delete(s->key);
  s->key = NULL;
}

static void handshake_delete(cmt_secret_conn *s) {
  cmt__secret_handshake *h = s->handshake;

  if (h == NULL) {
    return;
  }
  work_give(s);
  s->handshake = NULL;
  cmt__delimited_fini(&h->message, &s->pool->env);
  cmt__free(&s->pool->env, h);
}

/* After a failure our own bytes that wait may still be sent: with our signature
   the other side learns that it was the authentication that failed. */
static void handshake_wipe(cmt_secret_conn *s) {
  cmt__secret_handshake *h = s->handshake;

  if (h == NULL || h->output_at == h->output_end) {
    handshake_delete(s);
    return;
  }
  h->op = CMT__SECRET_NO_OP;
  work_give(s);
  cmt__delimited_fini(&h->message, &s->pool->env);
}

void cmt__secret_conn_fail(cmt_secret_conn *s, cmt_err err) {
  CMT_ASSERT(&s->pool->env, err != CMT_OK && err != CMT_EAGAIN);
  CMT_ASSERT(&s->pool->env, s->end_err == CMT_OK);
  s->end_err = err;
  key_let_go(s);
  keys_give(s);
  handshake_wipe(s);
  s->input_len = 0;
  s->batch_len = 0;
  s->scratch_len = 0;
  s->rest.len = 0;
}

void cmt__secret_conn_authenticated(cmt_secret_conn *s) {
  cmt__secret_handshake *h = s->handshake;

  s->state = CMT__SECRET_UP;
  key_let_go(s);
  work_give(s);
  cmt__delimited_fini(&h->message, &s->pool->env);
  if (h->output_at == h->output_end) {
    handshake_delete(s);
  }
}

/* Their key has arrived. */
static cmt_err keys_finish(cmt_secret_conn *s) {
  cmt__secret_handshake *h = s->handshake;
  cmt_err err =
    cmt__secret_read_key(cmt__delimited_bytes(&h->message), h->theirs);

  if (err == CMT_OK) {
    cmt__delimited_next(&h->message);
    h->op = CMT__SECRET_AGREEMENT;
  }
  return err;
}

static cmt_err keys_next(cmt_secret_conn *s) {
  cmt_bytes in = {.base = s->input, .len = s->input_len};
  cmt_err err;

  if (in.len == 0) {
    return CMT_EAGAIN; /* Before the first bytes there is no memory either. */
  }
  err = cmt__delimited_take(&s->handshake->message, &s->pool->env, &in);
  s->input += s->input_len - in.len;
  s->input_len = in.len;
  return err == CMT_OK ? keys_finish(s) : err;
}

/* Appends |data| of a frame to the second message; when that is complete, what
   follows it is the first data of the stream. */
static cmt_err auth_take(cmt_secret_conn *s, cmt_bytes data) {
  cmt__secret_handshake *h = s->handshake;
  cmt_err err = cmt__delimited_take(&h->message, &s->pool->env, &data);

  if (err == CMT_OK) {
    h->op = CMT__SECRET_VERIFICATION;
    s->rest = data;
  }
  return err == CMT_EAGAIN ? CMT_OK : err;
}

/* The data of the next frame that has some. */
static cmt_err data_next(cmt_secret_conn *s, cmt_bytes *data) {
  cmt_err err;

  if (s->rest.len > 0) {
    *data = s->rest;
    s->rest.len = 0;
    return CMT_OK;
  }
  do {
    err = cmt__secret_frame_next(s, data);
  } while (err == CMT_OK && data->len == 0);
  return err;
}

/* Takes what has arrived of the next message. */
static cmt_err message_next(cmt_secret_conn *s) {
  cmt_bytes data;
  cmt_err err;

  if (s->state == CMT__SECRET_KEYS) {
    return keys_next(s);
  }
  err = cmt__secret_frame_next(s, &data);
  return err == CMT_OK ? auth_take(s, data) : err;
}

/* Goes through the handshake as far as the input and the operations do; CMT_OK:
   it is done. */
static cmt_err handshake_next(cmt_secret_conn *s) {
  cmt_err err = CMT_OK;

  while (err == CMT_OK && s->state != CMT__SECRET_UP) {
    if (!cmt__secret_conn_op_waits(s)) {
      err = message_next(s);
    } else {
      err = s->handshake->defers ? CMT_EAGAIN : cmt__secret_op_compute(s);
    }
  }
  return err;
}

/* Memory for the keys and for the handshake; what is missing shows. */
static bool parts_new(cmt_secret_conn *s) {
  const cmt_env *env = &s->pool->env;

  s->keys = cmt__key_slab_take(&s->pool->keys, env);
  s->handshake = cmt__alloc_zero(env, sizeof *s->handshake);
  if (s->handshake != NULL) {
    s->handshake->work = cmt__key_slab_take(&s->pool->works, env);
  }
  return s->keys != NULL && s->handshake != NULL && s->handshake->work != NULL;
}

cmt_err cmt__secret_conn_new(cmt__secret_pool *pool, const cmt_node_key *key,
                             bool defers, cmt_secret_conn **out) {
  const cmt_env *env = &pool->env;
  cmt_secret_conn *s = cmt__alloc_zero(env, sizeof *s);
  cmt__secret_handshake *h;

  if (s == NULL) {
    return CMT_ENOMEM;
  }
  s->pool = cmt__secret_pool_ref(pool);
  if (!parts_new(s)) {
    cmt_secret_conn_delete(s);
    return CMT_ENOMEM;
  }
  h = s->handshake;
  env->entropy(env->entropy_arg, h->work->secret, sizeof h->work->secret);
  h->message =
    (cmt__delimited){.max = CMT_SECRET_CONN_ANNOUNCED, .first = MESSAGE_FIRST};
  h->defers = defers;
  s->key = cmt__node_key_ref(key);
  if (!defers) {
    (void)cmt__secret_op_compute(s); /* Our key pair. */
  }
  *out = s;
  return CMT_OK;
}

cmt_err cmt_secret_conn_new(const cmt_env *env, const cmt_node_key *key,
                            cmt_secret_conn **out) {
  cmt__secret_pool *pool;
  cmt_env copy;
  cmt_err err;

  if (out == NULL) {
    return CMT_EINVAL;
  }
  *out = NULL;
  if (key == NULL) {
    return CMT_EINVAL;
  }
  err = cmt__env_copy(env, &copy);
  if (err != CMT_OK) {
    return err;
  }
  pool = cmt__secret_pool_new(&copy, sizeof *pool);
  if (pool == NULL) {
    return CMT_ENOMEM;
  }
  err = cmt__secret_conn_new(pool, key, false, out);
  cmt__secret_pool_unref(pool); /* The connection has its own. */
  return err;
}

void cmt__secret_conn_kept_free(cmt_secret_conn *s) {
  if (s->kept != NULL) {
    sodium_memzero(s->kept, s->kept_len);
    cmt__free(&s->pool->env, s->kept);
    s->kept = NULL;
  }
}

cmt_err cmt_secret_conn_recv(cmt_secret_conn *s, uint8_t *data, size_t len) {
  if (s == NULL) {
    return CMT_EINVAL;
  }
  if (s->end_err != CMT_OK) {
    return CMT_ECLOSED;
  }
  if (cmt__secret_conn_has_input(s) || (data == NULL && len > 0)) {
    return CMT_EINVAL;
  }
  s->input = data;
  s->input_len = len;
  return CMT_OK;
}

static bool end_event(cmt_secret_conn *s, cmt_secret_conn_event *out) {
  if (s->end_err == CMT_OK || s->end_reported) {
    return false;
  }
  s->end_reported = true;
  out->kind = CMT_SECRET_CONN_END;
  out->err = s->end_err;
  return true;
}

static bool next_event(cmt_secret_conn *s, cmt_secret_conn_event *out) {
  cmt_err err;

  *out =
    (cmt_secret_conn_event){.size = sizeof *out, .kind = CMT_SECRET_CONN_DATA};
  if (s->end_err != CMT_OK) {
    return end_event(s, out);
  }
  if (s->up_reported) {
    err = data_next(s, &out->data);
  } else {
    out->kind = CMT_SECRET_CONN_UP;
    err = handshake_next(s);
    s->up_reported = err == CMT_OK;
  }
  if (err == CMT_OK) {
    return true;
  }
  if (err == CMT_EAGAIN && cmt__secret_conn_op_waits(s)) {
    return false; /* The rest of the input comes after it. */
  }
  cmt__secret_conn_kept_free(s);
  if (err != CMT_EAGAIN) {
    cmt__secret_conn_fail(s, err);
  }
  return end_event(s, out);
}

/* The caller was compiled with another header, so its event has another size.
 */
CMT__COLD static bool next_event_convert(cmt_secret_conn *s,
                                         cmt_secret_conn_event *out,
                                         size_t size) {
  cmt_secret_conn_event full;

  if (!cmt__size_is_known(size, sizeof full) || !next_event(s, &full)) {
    return false;
  }
  cmt__sized_write(out, size, &full, sizeof full);
  return true;
}

bool cmt_secret_conn_next_event_sized(cmt_secret_conn *s,
                                      cmt_secret_conn_event *out, size_t size) {
  if (s == NULL || out == NULL) {
    return false;
  }
  return size == sizeof *out ? next_event(s, out)
                             : next_event_convert(s, out, size);
}

bool cmt_secret_conn_has_ended(const cmt_secret_conn *s) {
  return s->end_err != CMT_OK;
}

void cmt_secret_conn_get_why(const cmt_secret_conn *s, cmt_why *out) {
  bool up = s->state == CMT__SECRET_UP;
  cmt_stage stage = up ? CMT_STAGE_UP : CMT_STAGE_SECRET_CONNECTION;

  if (s->end_err == CMT_EPROTO) {
    cmt__why(out, s->end_err, stage, "%s",
             up ? "malformed frame" : "malformed message of the handshake");
  } else if (s->end_err != CMT_OK) {
    cmt__why_plain(out, s->end_err, stage);
  } else {
    *out = (cmt_why){.err = CMT_OK, .stage = stage};
  }
}

static uint8_t *put(uint8_t *at, const uint8_t *data, size_t len) {
  if (len > 0) {
    memcpy(at, data, len);
  }
  return at + len;
}

/* An opened frame in |scratch| was given, so |batch| is a part of the input. */
cmt_err cmt__secret_conn_keep(cmt_secret_conn *s, cmt_bytes *data,
                              cmt_bytes more) {
  size_t batch_len = s->batch_len * CMT_FRAME_SLOT;
  size_t len = data->len + s->rest.len + batch_len + s->input_len + more.len;
  uint8_t *kept, *rest, *batch, *input, *end;

  if (len == 0) {
    return CMT_OK;
  }
  kept = cmt__alloc(&s->pool->env, len);
  if (kept == NULL) {
    return CMT_ENOMEM;
  }
  rest = put(kept, data->base, data->len);
  batch = put(rest, s->rest.base, s->rest.len);
  input = put(batch, s->batch, batch_len);
  end = put(put(input, s->input, s->input_len), more.base, more.len);
  CMT_ASSERT(&s->pool->env, end == kept + len);
  cmt__secret_conn_kept_free(s);
  s->kept = kept;
  s->kept_len = len;
  data->base = kept;
  s->rest.base = rest;
  s->batch = batch;
  s->input = input;
  s->input_len += more.len;
  return CMT_OK;
}

cmt_bytes cmt_secret_conn_output(cmt_secret_conn *s) {
  const cmt__secret_handshake *h = s->handshake;

  if (h == NULL) {
    return (cmt_bytes){0};
  }
  return (cmt_bytes){
    .base = h->output + h->output_at,
    .len = h->output_end - h->output_at,
  };
}

void cmt_secret_conn_consume(cmt_secret_conn *s, size_t len) {
  cmt__secret_handshake *h = s->handshake;

  if (h == NULL) {
    CMT_REQUIRE(&s->pool->env, len == 0,
                "cmt_secret_conn_consume: more than the output that was lent");
    return;
  }
  CMT_REQUIRE(&s->pool->env, len <= h->output_end - h->output_at,
              "cmt_secret_conn_consume: more than the output that was lent");
  h->output_at += len;
  if ((s->state == CMT__SECRET_UP || s->end_err != CMT_OK) &&
      h->output_at == h->output_end) {
    handshake_delete(s);
  }
}

const cmt_node_id *cmt_secret_conn_id(const cmt_secret_conn *s) {
  return s->state == CMT__SECRET_UP ? &s->id : NULL;
}

void cmt_secret_conn_delete(cmt_secret_conn *s) {
  cmt__secret_pool *pool;

  if (s == NULL) {
    return;
  }
  pool = s->pool;
  key_let_go(s);
  handshake_delete(s);
  keys_give(s);
  cmt__secret_conn_kept_free(s);
  cmt__secret_scratch_free(s);
  cmt__free(&pool->env, s);
  cmt__secret_pool_unref(pool);
}
