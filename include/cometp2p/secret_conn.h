/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_SECRET_CONN_H
#define CMT_SECRET_CONN_H

/* The encrypted, authenticated byte stream alone, without I/O, clock or
   threads.  docs/PROTOCOL.md section 2.  An object belongs to one thread at a
   time.

   Bytes of the other side go in with cmt_secret_conn_recv() and come out as
   events.  cmt_secret_conn_output() has the bytes of the handshake to send;
   after the event CMT_SECRET_CONN_UP the caller seals frames.  The first
   failure ends it.  Deadlines are the caller's: CometBFT grants 3 s. */

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
                                        longer ones would occupy memory for a
                                        stranger (CometBFT accepts 1 MiB). */
};

typedef struct cmt_secret_conn cmt_secret_conn;

typedef enum cmt_secret_conn_event_kind {
  CMT_SECRET_CONN_UP,   /**< Authenticated: frames may be sealed. */
  CMT_SECRET_CONN_DATA, /**< |data|: decrypted bytes, never empty. */
  CMT_SECRET_CONN_END,  /**< |err|, and cmt_secret_conn_get_why(); the last
                             event. */
} cmt_secret_conn_event_kind;

typedef struct cmt_secret_conn_event {
  size_t size;
  cmt_secret_conn_event_kind kind;
  cmt_bytes data; /**< Lent until the next call. */
  cmt_err err;
} cmt_secret_conn_event;

/** Starts a connection: draws an ephemeral key, and has its 35 bytes ready for
    cmt_secret_conn_output().  It has a reference to |key| of its own until it
    is up or has ended.

    Returns CMT_OK; CMT_EINVAL: |key| or |out| is NULL, or |env| was not filled;
    CMT_ENOMEM; CMT_EIO: no default environment. */
CMT_API CMT_NODISCARD cmt_err cmt_secret_conn_new(const cmt_env *env,
                                                  const cmt_node_key *key,
                                                  cmt_secret_conn **out);

/** Hands over |len| bytes of the other side, cut anywhere.  |data| is lent, and
    changed, until cmt_secret_conn_next_event() was false; call that before the
    next recv.

    Returns CMT_OK; CMT_EINVAL: events of the bytes before are left;
    CMT_ECLOSED: the connection has ended. */
CMT_API CMT_NODISCARD cmt_err cmt_secret_conn_recv(cmt_secret_conn *s,
                                                   uint8_t *data, size_t len);

/** Takes the next event; false: there is none now.  What fails shows as
    CMT_SECRET_CONN_END after the events that came before it.  Received bytes
    may cause CMT_EPROTO: a malformed or too long handshake message or frame;
    CMT_EAUTH: a key, signature or tag does not verify; CMT_ENONCE;
    CMT_ENOMEM. */
#define cmt_secret_conn_next_event(s, out)                                     \
  cmt_secret_conn_next_event_sized((s), (out), sizeof *(out))
/** See cmt_secret_conn_next_event(). */
CMT_API bool cmt_secret_conn_next_event_sized(cmt_secret_conn *s,
                                              cmt_secret_conn_event *out,
                                              size_t size);

/**
 * The handshake bytes that wait to be sent; empty when there are none.
 *
 * Our signature stands in a frame of its own.  After the end what waits may
 * still be sent, so that the other side sees more than an end of file.
 *
 * Ownership  lent until the next call on |s|.
 */
CMT_API cmt_bytes cmt_secret_conn_output(cmt_secret_conn *s);

/** Reports that the first |len| bytes of cmt_secret_conn_output() were sent;
    more than were lent panics (env.h). */
CMT_API void cmt_secret_conn_consume(cmt_secret_conn *s, size_t len);

/** The id of the authenticated other side; NULL before CMT_SECRET_CONN_UP. */
CMT_API const cmt_node_id *cmt_secret_conn_id(const cmt_secret_conn *s);

/** Seals |len| bytes in place: byte i stands at |slots|[i / 1024 *
    CMT_FRAME_SLOT + CMT_FRAME_HEADER + i % 1024].  |slots| has ceil(len / 1024)
    slots, of which each is sent once, in order.  Lengths, padding and tags are
    written here.

    Returns CMT_OK; CMT_EINVAL: it is not up, or |len| is 0; CMT_ENONCE: the
    frame counter is used up, which ends it; CMT_ECLOSED: it has ended. */
CMT_API CMT_NODISCARD cmt_err cmt_secret_conn_seal(cmt_secret_conn *s,
                                                   uint8_t *slots, size_t len);

/** How many empty frames arrived since the last call; they carry nothing and
    CometBFT never sends one. */
CMT_API uint64_t cmt_secret_conn_empty_frames(cmt_secret_conn *s);

/** True once it has ended: CMT_SECRET_CONN_END is the next event, or was the
    last. */
CMT_API bool cmt_secret_conn_has_ended(const cmt_secret_conn *s);

/** Why it has ended; |out|->err is CMT_OK before. */
CMT_API void cmt_secret_conn_get_why(const cmt_secret_conn *s, cmt_why *out);

/** Wipes the keys and frees; NULL is fine. */
CMT_API void cmt_secret_conn_delete(cmt_secret_conn *s);

#ifdef __cplusplus
}
#endif
#endif
