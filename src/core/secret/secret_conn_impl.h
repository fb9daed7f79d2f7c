/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__SECRET_CONN_IMPL_H
#define CMT__SECRET_CONN_IMPL_H

/* What the files of a secret connection share. */

#include "secret_conn.h"

/* ---- secret_conn.c ---- */

/* Ends the connection and wipes what no later call needs. */
void cmt__secret_conn_fail(cmt_secret_conn *s, cmt_err err);
/* The other side is authenticated: what only the handshake needs goes, once its
   output was sent. */
void cmt__secret_conn_authenticated(cmt_secret_conn *s);
/* All of the copy is used up, or never will be.  Opened frames lie in it. */
void cmt__secret_conn_kept_free(cmt_secret_conn *s);

/* ---- secret_conn_frames.c ---- */

/* Finishes the frame at |slot|, which has |n| bytes of data, and seals it; the
   counter is known to suffice. */
void cmt__secret_frame_seal(cmt_secret_conn *s, uint8_t *slot, size_t n);
/* The data of the next frame, which may be empty. */
CMT_NODISCARD cmt_err cmt__secret_frame_next(cmt_secret_conn *s,
                                             cmt_bytes *data);
void cmt__secret_scratch_free(cmt_secret_conn *s);

/* ---- secret_conn_ops.c ---- */

/* Runs the operation that is due at once. */
cmt_err cmt__secret_op_compute(cmt_secret_conn *s);

#endif
