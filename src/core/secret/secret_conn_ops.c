/* SPDX-License-Identifier: Apache-2.0 */
/* The public-key operations of a connection: which one is due, its begin, and
   what its result changes.  secret_conn_compute.c has what they compute. */

#include "secret_conn_impl.h"

#include <sodium.h>

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

  CMT_ASSERT(&s->pool->env, h->output_end + CMT_FRAME_SLOT == sizeof h->output);
  memcpy(slot + CMT_FRAME_HEADER, x->ours, sizeof x->ours);
  cmt__secret_frame_seal(s, slot, CMT__SECRET_AUTH_MSG);
  h->output_end += CMT_FRAME_SLOT;
  h->op = CMT__SECRET_NO_OP;
  s->state = CMT__SECRET_AUTH;
}

static void verification_apply(cmt_secret_conn *s, const cmt__computation *x) {
  s->handshake->op = CMT__SECRET_NO_OP;
  cmt__node_id_of(x->auth.key, &s->id);
  cmt__secret_conn_authenticated(s);
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

cmt_err cmt__secret_op_compute(cmt_secret_conn *s) {
  cmt__computation x;
  cmt_err err;

  cmt__secret_conn_compute_begin(s, &x);
  cmt__computation_run(&x);
  err = computation_apply(s, &x);
  computation_let_go(&x);
  return err;
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
    cmt__secret_conn_kept_free(s);
    cmt__secret_conn_fail(s, err);
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
