/* SPDX-License-Identifier: Apache-2.0 */

/* The public-key operations of a handshake as such.  Each works on the memory
   of its computation alone, so that any thread may run it. */

#include "secret_conn.h"

#include <sodium.h>

#include "crypto/x25519.h"

static cmt_err key_pair_run(cmt__computation *x) {
  cmt__x25519_base(x->public, x->work->secret);
  return CMT_OK;
}

/* The keys of both directions and the challenge. */
static cmt_err agreement_run(cmt__computation *x) {
  cmt__secret_work *w = x->work;
  bool least;

  if (crypto_scalarmult_curve25519(w->dh, w->secret, x->theirs) != 0) {
    return CMT_EAUTH; /* A point of low order: the result is all zero. */
  }
  sodium_memzero(w->secret, sizeof w->secret);
  /* Equal keys make both sides the lower one, and then no frame opens. */
  least = memcmp(x->public, x->theirs, CMT__SECRET_KEY) <= 0;
  cmt__secret_challenge(w, least ? x->public : x->theirs,
                        least ? x->theirs : x->public);
  cmt__secret_derive(w, least, w->keys.recv, w->keys.send);
  sodium_memzero(w->dh, sizeof w->dh);
  return CMT_OK;
}

static cmt_err signature_run(cmt__computation *x) {
  cmt__secret_write_auth(x->key, x->work->challenge, x->ours);
  return CMT_OK;
}

static cmt_err verification_run(cmt__computation *x) {
  return cmt__secret_verify_auth(&x->auth, x->work->challenge);
}

void cmt__computation_run(cmt__computation *x) {
  static cmt_err (*const run[])(cmt__computation * x) = {
    [CMT__SECRET_KEY_PAIR] = key_pair_run,
    [CMT__SECRET_AGREEMENT] = agreement_run,
    [CMT__SECRET_SIGNATURE] = signature_run,
    [CMT__SECRET_VERIFICATION] = verification_run,
  };

  if (x->err == CMT_OK) {
    x->err = run[x->op](x);
  }
}
