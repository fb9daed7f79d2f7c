/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__SECRET_CONN_H
#define CMT__SECRET_CONN_H

/* The inside of a secret connection, and the handshake's messages and secrets
   as plain functions.  docs/PROTOCOL.md section 2. */

#include "base/delimited.h"
#include "crypto/aead.h"
#include "crypto/node_key.h"
#include "secret_pool.h"

#include <cometp2p/secret_conn.h>

/* How far the handshake has come. */
typedef enum cmt__secret_state {
  CMT__SECRET_KEYS, /* Waiting for the other side's ephemeral key. */
  CMT__SECRET_AUTH, /* Waiting for its key and signature. */
  CMT__SECRET_UP,   /* Authenticated: frames may be sealed. */
} cmt__secret_state;

/* The public-key operations of a handshake, in their order. */
typedef enum cmt__secret_op {
  CMT__SECRET_NO_OP,
  CMT__SECRET_KEY_PAIR,     /* Our ephemeral public key. */
  CMT__SECRET_AGREEMENT,    /* The shared secret, and the keys made of it. */
  CMT__SECRET_SIGNATURE,    /* Ours. */
  CMT__SECRET_VERIFICATION, /* The other side's signature. */
} cmt__secret_op;

enum { CMT__SECRET_OPERATIONS = CMT__SECRET_VERIFICATION };

/* A public key, and its signature of the challenge. */
typedef struct cmt__secret_auth {
  uint8_t key[CMT__NODE_KEY_PUBLIC], sig[CMT__SECRET_SIGNATURE_SIZE];
} cmt__secret_auth;

/* What only the handshake needs.  It goes when the connection is up and
   everything was sent, so that an idle connection is small. */
typedef struct cmt__secret_handshake {
  cmt__secret_work *work; /* NULL: nothing of it is needed any more. */
  uint8_t public[CMT__SECRET_KEY];
  uint8_t theirs[CMT__SECRET_KEY]; /* Once their key has arrived. */
  bool defers;     /* Operations wait for cmt__secret_conn_compute(). */
  bool has_public; /* |public| is made, and was put into |output|. */
  struct cmt__computation *computation; /* The one under way; or NULL. */
  /* What the bytes that have arrived require; none is used before it is
     done. */
  cmt__secret_op op;

  cmt__delimited message; /* The one being received, or verified next. */

  uint8_t output[CMT__SECRET_KEY_MSG + CMT_FRAME_SLOT];
  size_t output_at, output_end;
} cmt__secret_handshake;

struct cmt_secret_conn {
  cmt__secret_pool *pool;
  cmt__secret_keys *keys; /* NULL after the end. */
  uint64_t send_counter,
    recv_counter;                   /* Number the next frame of each direction;
                                       UINT64_MAX is never used. */
  cmt__secret_handshake *handshake; /* NULL when nothing needs it. */
  cmt__secret_state state;
  cmt_err end_err; /* CMT_OK until it has ended. */
  size_t input_len;
  uint32_t batch_len;
  uint32_t batch_ok; /* Bit 0: the tag of the first of them is right. */
  cmt_bytes rest;    /* Data behind the signature, in the same frame. */
  uint8_t *input;    /* The caller's bytes that are not used up. */
  uint8_t *scratch;  /* The frame that the input's end cuts; NULL before. */
  uint8_t *batch;    /* Frames opened and not yet given. */
  uint8_t *kept;     /* What cmt__secret_conn_keep() copied; else NULL. */
  size_t kept_len;
  uint64_t empty_frames;
  uint32_t scratch_len; /* Bytes in |scratch|. */
  bool up_reported, end_reported;
  cmt_node_id id;    /* The id of the other side, once up. */
  cmt_node_key *key; /* Ours; NULL once up, or ended. */
};

/* As cmt_secret_conn_new(), with the environment of |pool|, of which it takes
   a reference.  |defers|: no other call than cmt__secret_conn_compute() runs a
   public-key operation. */
CMT_NODISCARD cmt_err cmt__secret_conn_new(cmt__secret_pool *pool,
                                           const cmt_node_key *key, bool defers,
                                           cmt_secret_conn **out);

enum { CMT__SEALS_MAX = 16 }; /* As many as the kernels work on at a time. */

/* Frames that are finished and not sealed yet, perhaps of several connections.
   None of these may be used, nor their frames, before cmt__seals_end(). */
typedef struct cmt__seals {
  const struct cmt_aead *aead; /* Seals all |jobs|. */
  size_t count;
  cmt__aead_job jobs[CMT__SEALS_MAX];
} cmt__seals;

/* Nothing waits.  The jobs, which take most of it, are not written. */
static inline void cmt__seals_begin(cmt__seals *seals) {
  seals->aead = NULL;
  seals->count = 0;
}
/* As cmt_secret_conn_seal(), by |seals|: frames that do not fill a list wait
   for more. */
CMT_NODISCARD cmt_err cmt__secret_conn_seal(cmt_secret_conn *s, uint8_t *slots,
                                            size_t len, cmt__seals *seals);
/* Seals what waits. */
void cmt__seals_end(cmt__seals *seals);

/* Fetches into the cache what sealing needs. */
static inline void cmt__secret_conn_fetch(const cmt_secret_conn *s) {
  cmt__fetch(s, offsetof(cmt_secret_conn, input));
}
/* Once that is there. */
static inline void cmt__secret_conn_fetch_keys(const cmt_secret_conn *s) {
  cmt__fetch(s->keys, sizeof *s->keys);
}

/* A public-key operation under way.  From its begin to its end all that it
   works on is its own, so any thread may run it while the connection goes on,
   ends or is deleted. */
typedef struct cmt__computation {
  cmt_secret_conn *conn;  /* NULL: that has ended or is gone. */
  cmt__secret_pool *pool; /* A reference, as |key| is. */
  cmt_node_key *key;      /* Ours. */
  cmt__secret_work *work; /* Belongs to the connection, while there is one. */
  cmt__secret_op op;
  cmt_err err;
  uint8_t public[CMT__SECRET_KEY], theirs[CMT__SECRET_KEY];
  cmt__secret_auth auth;              /* Theirs, which is to be verified. */
  uint8_t ours[CMT__SECRET_AUTH_MSG]; /* Our second message. */
} cmt__computation;

/* True while a public-key operation waits.  Events of the bytes behind it come
   after it. */
bool cmt__secret_conn_wants_compute(const cmt_secret_conn *s);
/* True also while it is under way. */
bool cmt__secret_conn_computes(const cmt_secret_conn *s);
/* Runs the next public-key operation, if one waits; events and output may
   follow. */
void cmt__secret_conn_compute(cmt_secret_conn *s);
/* Begins the public-key operation that waits.  |x| stays where it is until
   cmt__computation_end(). */
void cmt__secret_conn_compute_begin(cmt_secret_conn *s, cmt__computation *x);
/* Any thread, once. */
void cmt__computation_run(cmt__computation *x);
/* |applies|: it was run, and the connection uses what it has computed; events
   and output may follow. */
void cmt__computation_end(cmt__computation *x, bool applies);

/* Gives back memory that only a cut frame needs.  All data of frames was used
   up. */
void cmt__secret_conn_trim(cmt_secret_conn *s);

/* Copies what is left of the caller's bytes, so that they may go, and puts
   |more|, which came after them, behind them.  |*data|, the rest of the data of
   the last event, moves along.  CMT_ENOMEM: nothing changed. */
CMT_NODISCARD cmt_err cmt__secret_conn_keep(cmt_secret_conn *s, cmt_bytes *data,
                                            cmt_bytes more);

/* True while an operation waits that bytes given to it require. */
static inline bool cmt__secret_conn_op_waits(const cmt_secret_conn *s) {
  return s->handshake != NULL && s->handshake->op != CMT__SECRET_NO_OP;
}

/* True while bytes given to |s| are not used up. */
static inline bool cmt__secret_conn_has_input(const cmt_secret_conn *s) {
  return s->input_len > 0 || s->batch_len > 0 || s->rest.len > 0 ||
         cmt__secret_conn_op_waits(s);
}

/* The keys of a side out of the shared secret |w|->dh; |least|: the side's
   ephemeral key is the lower one. */
void cmt__secret_derive(cmt__secret_work *w, bool least, uint8_t recv_key[32],
                        uint8_t send_key[32]);

/* Fills in |w|->challenge from |w|->dh and the public keys. */
void cmt__secret_challenge(cmt__secret_work *w, const uint8_t lower[32],
                           const uint8_t upper[32]);

void cmt__secret_write_key(const uint8_t public_key[32],
                           uint8_t out[CMT__SECRET_KEY_MSG]);

/* The key of a first message without its length: a shorter value is padded
   with zeros, a longer one is cut, as CometBFT does. */
CMT_NODISCARD cmt_err cmt__secret_read_key(cmt_bytes message,
                                           uint8_t public_key[32]);

void cmt__secret_write_auth(const cmt_node_key *key,
                            const uint8_t challenge[32],
                            uint8_t out[CMT__SECRET_AUTH_MSG]);

/* The key and signature of a second message without its length.  CMT_EPROTO:
   malformed; CMT_EAUTH: no usable key or signature. */
CMT_NODISCARD cmt_err cmt__secret_parse_auth(cmt_bytes message,
                                             cmt__secret_auth *out);
/* CMT_EAUTH: the signature of |challenge| is wrong. */
CMT_NODISCARD cmt_err cmt__secret_verify_auth(const cmt__secret_auth *auth,
                                              const uint8_t challenge[32]);
/* Does both, and copies the public key. */
CMT_NODISCARD cmt_err cmt__secret_read_auth(cmt_bytes message,
                                            const uint8_t challenge[32],
                                            uint8_t public_key[32]);

#endif
