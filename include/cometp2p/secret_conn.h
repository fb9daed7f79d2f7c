/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_SECRET_CONN_H
#define CMT_SECRET_CONN_H

/* The encrypted, authenticated byte stream alone, without I/O, clock or
   threads.  docs/PROTOCOL.md section 2.  An object belongs to one thread at a
   time.

   Bytes of the other side go in with cmt_secret_conn_recv() and come out of
   cmt_secret_conn_next().  Until the state is CMT_SECRET_CONN_UP,
   cmt_secret_conn_output() has bytes to send; from then on the caller seals
   frames.  The first failure is final.  Deadlines are the caller's: CometBFT
   grants 3 s. */

#include <cometp2p/buf.h>
#include <cometp2p/node_key.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  CMT_FRAME_DATA = 1024,           /**< Data bytes of a full frame. */
  CMT_FRAME_HEADER = 4,            /**< Length, little endian, before them. */
  CMT_FRAME_PLAIN = 1028,          /**< Header and data. */
  CMT_FRAME_SLOT = 1044,           /**< A sealed frame on the wire. */
  CMT_SECRET_CONN_ANNOUNCED = 4000 /**< Longest handshake message accepted;
                                        longer ones would hold memory of a
                                        stranger (CometBFT waits for 1 MiB). */
};

typedef struct cmt_secret_conn cmt_secret_conn;

typedef enum cmt_secret_conn_state {
  CMT_SECRET_CONN_KEYS, /**< Waiting for the other side's ephemeral key. */
  CMT_SECRET_CONN_AUTH, /**< Waiting for its key and signature. */
  CMT_SECRET_CONN_UP,   /**< Authenticated: frames may be sealed. */
  CMT_SECRET_CONN_FAILED,
} cmt_secret_conn_state;

/** Starts a connection: draws an ephemeral key, and has its 35 bytes ready for
    cmt_secret_conn_output().  It has a reference to |key| of its own until the
    state is UP or FAILED.

    Returns CMT_OK; CMT_EINVAL: |key| or |out| is NULL, or |env| was not filled;
    CMT_ENOMEM; CMT_EIO: no default environment. */
CMT_API CMT_NODISCARD cmt_err cmt_secret_conn_new(const cmt_env *env,
                                                  const cmt_node_key *key,
                                                  cmt_secret_conn **out);

/** Hands over |len| bytes of the other side, cut anywhere.  |data| is lent, and
    changed, until cmt_secret_conn_next() said CMT_EAGAIN or failed; call that
    before the next recv.

    Returns CMT_OK; CMT_EINVAL: the bytes before are not used up; or the first
    failure. */
CMT_API CMT_NODISCARD cmt_err cmt_secret_conn_recv(cmt_secret_conn *s,
                                                   uint8_t *data, size_t len);

/** The next batch of decrypted bytes, never empty, lent until the next call on
    |s|.  Before the state is UP the bytes are those of the handshake, which
    gives none.

    Returns CMT_OK; CMT_EAGAIN: all bytes are used up; CMT_EPROTO: a malformed
    or too long handshake message or frame; CMT_EAUTH: what does not verify;
    CMT_ENONCE; CMT_ENOMEM; or the first failure. */
CMT_API CMT_NODISCARD cmt_err cmt_secret_conn_next(cmt_secret_conn *s,
                                                   cmt_bytes *out);

/**
 * The handshake bytes that wait to be sent; empty when there are none.
 *
 * Our signature stands in a frame of its own.  After a failure what waits may
 * still be sent, so that the other side sees more than an end of file.
 *
 * Ownership  lent until the next call on |s|.
 */
CMT_API cmt_bytes cmt_secret_conn_output(cmt_secret_conn *s);

/** Tells that the first |len| bytes of cmt_secret_conn_output() were sent; more
    than were lent is a mistake that panics (env.h). */
CMT_API void cmt_secret_conn_consume(cmt_secret_conn *s, size_t len);

/** How far the handshake has come. */
CMT_API cmt_secret_conn_state
cmt_secret_conn_get_state(const cmt_secret_conn *s);

/** The id of the authenticated other side; NULL before the state was UP. */
CMT_API const cmt_node_id *cmt_secret_conn_id(const cmt_secret_conn *s);

/** Seals |len| bytes in place: byte i stands at |slots|[i / 1024 *
    CMT_FRAME_SLOT + CMT_FRAME_HEADER + i % 1024].  |slots| has ceil(len / 1024)
    slots, of which each is sent once, in order.  Lengths, padding and tags are
    written here.

    Returns CMT_OK; CMT_EINVAL: the state is not UP, or |len| is 0; CMT_ENONCE:
    the frame counter is used up, which is final; or the first failure. */
CMT_API CMT_NODISCARD cmt_err cmt_secret_conn_seal(cmt_secret_conn *s,
                                                   uint8_t *slots, size_t len);

/** How many empty frames arrived since the last call; they carry nothing and
    CometBFT never sends one. */
CMT_API uint64_t cmt_secret_conn_empty_frames(cmt_secret_conn *s);

/** Wipes the keys and frees; NULL is fine. */
CMT_API void cmt_secret_conn_delete(cmt_secret_conn *s);

#ifdef __cplusplus
}
#endif
#endif
