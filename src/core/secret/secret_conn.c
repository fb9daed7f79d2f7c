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

#include "secret_conn.h"

#include <sodium.h>

#include "base/bytes.h"
#include "base/sized.h"
#include "base/trace.h"

enum {
  BATCH = 16, /* Frames per call of the kernel. */
  /* Doubled five times it is CMT_SECRET_CONN_ANNOUNCED. */
  MESSAGE_FIRST = 125,
};

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

/* Ends the connection and wipes what no later call needs. */
static void fail(cmt_secret_conn *s, cmt_err err) {
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

/* Writes the header and the zero padding of |slot|, which has |n| bytes. */
static void slot_finish(uint8_t *slot, size_t n) {
  cmt__store_le32(slot, (uint32_t)n);
  memset(slot + CMT_FRAME_HEADER + n, 0, CMT_FRAME_DATA - n);
}

void cmt__seals_end(cmt__seals *seals) {
  if (seals->count > 0) {
    seals->aead->seal(seals->jobs, seals->count);
    seals->count = 0;
  }
}

/* Seals |count| finished slots; the counter is known to suffice. */
static void slots_seal(cmt_secret_conn *s, uint8_t *slots, size_t count,
                       cmt__seals *seals) {
  if (seals->aead != s->pool->env.aead) {
    cmt__seals_end(seals);
    seals->aead = s->pool->env.aead;
  }
  for (size_t i = 0; i < count; i++) {
    seals->jobs[seals->count++] = (cmt__aead_job){
      .key = s->keys->send,
      .counter = s->send_counter++,
      .slot = slots + i * CMT_FRAME_SLOT,
    };
    if (seals->count == CMT__SEALS_MAX) {
      cmt__seals_end(seals);
    }
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

/* Keeps the frame that the input's end cuts. */
static cmt_err tail_keep(cmt_secret_conn *s) {
  if (s->input_len == 0) {
    return CMT_EAGAIN;
  }
  if (s->scratch == NULL) {
    s->scratch = cmt__alloc(&s->pool->env, CMT_FRAME_SLOT);
    if (s->scratch == NULL) {
      return CMT_ENOMEM;
    }
  }
  memcpy(s->scratch + s->scratch_len, s->input, s->input_len);
  s->scratch_len += (uint32_t)s->input_len;
  s->input_len = 0;
  return CMT_EAGAIN;
}

/* Points |batch| at whole frames.  CMT_EAGAIN: there is none. */
static cmt_err batch_find(cmt_secret_conn *s) {
  size_t lacks = CMT_FRAME_SLOT - s->scratch_len;

  if (s->input_len < lacks) {
    return tail_keep(s);
  }
  if (s->recv_counter == UINT64_MAX) {
    return CMT_ENONCE;
  }
  if (s->scratch_len > 0) {
    memcpy(s->scratch + s->scratch_len, s->input, lacks);
    s->scratch_len = 0;
    s->input += lacks;
    s->input_len -= lacks;
    s->batch = s->scratch;
    s->batch_len = 1;
    return CMT_OK;
  }
  s->batch = s->input;
  s->batch_len = (uint32_t)cmt__min(s->input_len / CMT_FRAME_SLOT, BATCH);
  s->batch_len =
    (uint32_t)cmt__min64(s->batch_len, UINT64_MAX - s->recv_counter);
  s->input += s->batch_len * CMT_FRAME_SLOT;
  s->input_len -= s->batch_len * CMT_FRAME_SLOT;
  return CMT_OK;
}

static cmt_err batch_open(cmt_secret_conn *s) {
  cmt__aead_job jobs[BATCH];
  cmt_err err = batch_find(s);

  if (err != CMT_OK) {
    return err;
  }
  for (size_t i = 0; i < s->batch_len; i++) {
    jobs[i] = (cmt__aead_job){
      .key = s->keys->recv,
      .counter = s->recv_counter++,
      .slot = s->batch + i * CMT_FRAME_SLOT,
    };
  }
  s->pool->env.aead->open(jobs, s->batch_len);
  CMT__TRACE(CMT__TRACE_OPEN, s->batch_len, 0);
  s->batch_ok = 0;
  for (size_t i = 0; i < s->batch_len; i++) {
    s->batch_ok |= (uint32_t)jobs[i].ok << i;
  }
  return CMT_OK;
}

/* The data of the next frame, which may be empty. */
static cmt_err frame_next(cmt_secret_conn *s, cmt_bytes *data) {
  cmt_err err = s->batch_len == 0 ? batch_open(s) : CMT_OK;
  const uint8_t *slot = s->batch;
  uint32_t n;

  if (err != CMT_OK) {
    return err;
  }
  if ((s->batch_ok & 1) == 0) {
    return CMT_EAUTH;
  }
  s->batch += CMT_FRAME_SLOT;
  s->batch_len--;
  s->batch_ok >>= 1;
  /* The other side chose this length and has proved only that it knows the
     key. */
  n = cmt__load_le32(slot);
  if (n > CMT_FRAME_DATA) {
    return CMT_EPROTO;
  }
  s->empty_frames += n == 0;
  *data = (cmt_bytes){.base = slot + CMT_FRAME_HEADER, .len = n};
  return CMT_OK;
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
    err = frame_next(s, data);
  } while (err == CMT_OK && data->len == 0);
  return err;
}

/* ---- public-key operations ---- */

/* The operation that is due; our own key pair comes before all others. */
static cmt__secret_op op_next(const cmt_secret_conn *s) {
  return s->handshake->has_public ? s->handshake->op : CMT__SECRET_KEY_PAIR;
}

/* Our ephemeral public key, and the message that has it. */
static void key_pair_apply(cmt_secret_conn *s, const cmt__computation *x) {
  cmt__secret_handshake *h = s->handshake;

  memcpy(h->public, x->public, sizeof h->public);
  cmt__secret_write_key(h->public, h->output);
  h->output_end = CMT__SECRET_KEY_MSG;
  h->has_public = true;
}

static void agreement_apply(cmt_secret_conn *s, const cmt__computation *x) {
  *s->keys = x->work->keys;
  sodium_memzero(&x->work->keys, sizeof x->work->keys);
  s->handshake->op = CMT__SECRET_SIGNATURE;
}

/* Seals our key and signature into a frame of their own. */
static void signature_apply(cmt_secret_conn *s, const cmt__computation *x) {
  cmt__secret_handshake *h = s->handshake;
  uint8_t *slot = h->output + h->output_end;
  cmt__seals seals;

  CMT_ASSERT(&s->pool->env, h->output_end + CMT_FRAME_SLOT == sizeof h->output);
  memcpy(slot + CMT_FRAME_HEADER, x->ours, sizeof x->ours);
  slot_finish(slot, CMT__SECRET_AUTH_MSG);
  cmt__seals_begin(&seals);
  slots_seal(s, slot, 1, &seals);
  cmt__seals_end(&seals);
  h->output_end += CMT_FRAME_SLOT;
  h->op = CMT__SECRET_NO_OP;
  s->state = CMT__SECRET_AUTH;
}

static void verification_apply(cmt_secret_conn *s, const cmt__computation *x) {
  cmt__secret_handshake *h = s->handshake;

  h->op = CMT__SECRET_NO_OP;
  cmt__node_id_of(x->auth.key, &s->id);
  s->state = CMT__SECRET_UP;
  key_let_go(s);
  work_give(s);
  cmt__delimited_fini(&h->message, &s->pool->env);
  if (h->output_at == h->output_end) {
    handshake_delete(s);
  }
}

void cmt__secret_conn_compute_begin(cmt_secret_conn *s, cmt__computation *x) {
  cmt__secret_handshake *h = s->handshake;

  CMT_ASSERT(&s->pool->env, cmt__secret_conn_wants_compute(s));
  x->conn = s;
  x->pool = cmt__secret_pool_ref(s->pool);
  x->key = cmt__node_key_ref(s->key);
  x->work = h->work;
  x->op = op_next(s);
  x->err = CMT_OK;
  if (x->op == CMT__SECRET_AGREEMENT) {
    memcpy(x->public, h->public, sizeof x->public);
    memcpy(x->theirs, h->theirs, sizeof x->theirs);
  } else if (x->op == CMT__SECRET_VERIFICATION) {
    x->err =
      cmt__secret_parse_auth(cmt__delimited_bytes(&h->message), &x->auth);
  }
  h->computation = x;
}

/* What it has computed goes to |s|, or why it could not. */
static cmt_err computation_apply(cmt_secret_conn *s,
                                 const cmt__computation *x) {
  static void (*const apply[])(cmt_secret_conn * s,
                               const cmt__computation *x) = {
    [CMT__SECRET_KEY_PAIR] = key_pair_apply,
    [CMT__SECRET_AGREEMENT] = agreement_apply,
    [CMT__SECRET_SIGNATURE] = signature_apply,
    [CMT__SECRET_VERIFICATION] = verification_apply,
  };

  s->handshake->computation = NULL;
  if (x->err == CMT_OK) {
    apply[x->op](s, x);
  }
  return x->err;
}

static void computation_let_go(cmt__computation *x) {
  if (x->conn == NULL) {
    cmt__key_slab_give(&x->pool->works, &x->pool->env, x->work);
  }
  cmt_node_key_delete(x->key);
  cmt__secret_pool_unref(x->pool);
}

/* Computes at once. */
static cmt_err op_compute(cmt_secret_conn *s) {
  cmt__computation x;
  cmt_err err;

  cmt__secret_conn_compute_begin(s, &x);
  cmt__computation_run(&x);
  err = computation_apply(s, &x);
  computation_let_go(&x);
  return err;
}

/* Takes what has arrived of the next message. */
static cmt_err message_next(cmt_secret_conn *s) {
  cmt_bytes data;
  cmt_err err;

  if (s->state == CMT__SECRET_KEYS) {
    return keys_next(s);
  }
  err = frame_next(s, &data);
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
      err = s->handshake->defers ? CMT_EAGAIN : op_compute(s);
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
    (void)op_compute(s); /* Our key pair. */
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

/* All of the copy is used up, or never will be.  Opened frames lie in it. */
static void kept_free(cmt_secret_conn *s) {
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
  kept_free(s);
  if (err != CMT_EAGAIN) {
    fail(s, err);
  }
  return end_event(s, out);
}

bool cmt__secret_conn_computes(const cmt_secret_conn *s) {
  return s->state != CMT__SECRET_UP && s->end_err == CMT_OK &&
         (s->handshake->computation != NULL || op_next(s) != CMT__SECRET_NO_OP);
}

bool cmt__secret_conn_wants_compute(const cmt_secret_conn *s) {
  return cmt__secret_conn_computes(s) && s->handshake->computation == NULL;
}

void cmt__computation_end(cmt__computation *x, bool applies) {
  cmt_secret_conn *s = x->conn;
  cmt_err err = CMT_OK;

  if (s != NULL && applies) {
    err = computation_apply(s, x);
  } else if (s != NULL) {
    s->handshake->computation = NULL;
  }
  computation_let_go(x);
  if (err != CMT_OK) {
    kept_free(s);
    fail(s, err);
  }
}

void cmt__secret_conn_compute(cmt_secret_conn *s) {
  cmt__computation x;

  if (cmt__secret_conn_wants_compute(s)) {
    cmt__secret_conn_compute_begin(s, &x);
    cmt__computation_run(&x);
    cmt__computation_end(&x, true);
  }
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
  kept_free(s);
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

cmt_err cmt__secret_conn_seal(cmt_secret_conn *s, uint8_t *slots, size_t len,
                              cmt__seals *seals) {
  size_t count = len / CMT_FRAME_DATA, rest = len % CMT_FRAME_DATA;

  if (s->end_err != CMT_OK) {
    return CMT_ECLOSED;
  }
  if (s->state != CMT__SECRET_UP || len == 0 || slots == NULL) {
    return CMT_EINVAL;
  }
  if (count + (rest > 0) > UINT64_MAX - s->send_counter) {
    fail(s, CMT_ENONCE);
    return CMT_ENONCE;
  }
  for (size_t i = 0; i < count; i++) {
    slot_finish(slots + i * CMT_FRAME_SLOT, CMT_FRAME_DATA);
  }
  if (rest > 0) {
    slot_finish(slots + count * CMT_FRAME_SLOT, rest);
    count++;
  }
  slots_seal(s, slots, count, seals);
  return CMT_OK;
}

cmt_err cmt_secret_conn_seal(cmt_secret_conn *s, uint8_t *slots, size_t len) {
  cmt__seals seals;
  cmt_err err;

  if (s == NULL) {
    return CMT_EINVAL;
  }
  cmt__seals_begin(&seals);
  err = cmt__secret_conn_seal(s, slots, len, &seals);
  cmt__seals_end(&seals);
  return err;
}

uint64_t cmt_secret_conn_empty_frames(cmt_secret_conn *s) {
  uint64_t count = s->empty_frames;

  s->empty_frames = 0;
  return count;
}

static void scratch_free(cmt_secret_conn *s) {
  if (s->scratch != NULL) {
    sodium_memzero(s->scratch, CMT_FRAME_SLOT);
    cmt__free(&s->pool->env, s->scratch);
    s->scratch = NULL;
  }
}

void cmt__secret_conn_trim(cmt_secret_conn *s) {
  if (s->scratch_len == 0 && s->batch_len == 0) {
    scratch_free(s);
  }
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
  kept_free(s);
  scratch_free(s);
  cmt__free(&pool->env, s);
  cmt__secret_pool_unref(pool);
}
