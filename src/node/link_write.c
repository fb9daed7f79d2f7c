/* SPDX-License-Identifier: Apache-2.0 */

/* What a link writes.  A new run of frames is sealed only when the last one was
   taken whole; of what a socket does not take, the rest is kept. */

#include "link_impl.h"

#include <cometp2p/secret_conn.h>

enum {
  RUN_MIN = 8,            /* Frames. */
  THROTTLE_BYTES = 65536, /* Queued messages that are not held back. */
};

void cmt__link_free_rest(cmt__link *l) {
  cmt__free(&l->loop->env, l->rest);
  l->rest = NULL;
  l->rest_at = 0;
  l->rest_len = 0;
}

/* The socket takes no more.  What the other side sent before it went is still
   to be read, and the end of that says why. */
static void link_broken(cmt__link *l, cmt_err err) {
  l->write_err = err;
  cmt__link_free_rest(l);
  if (l->eof || (l->paused && !l->blocked)) {
    cmt__link_stop_conn(l, err);
  } else if (!l->blocked) {
    l->give_up_ns = cmt__loop_now(l->loop) + CMT__GIVE_UP_NS;
  }
}

static bool link_write_some(cmt__link *l, const uint8_t *data, size_t len,
                            size_t *taken) {
  cmt_err err = cmt__tcp_write(l->tcp, data, len, taken);

  l->write_calls++;
  if (err != CMT_OK) {
    link_broken(l, err);
    return false;
  }
  l->sent_bytes += *taken;
  if (*taken > 0) {
    cmt_conn_consume(l->conn, *taken, cmt__loop_now(l->loop));
  }
  return true;
}

/* After a short write the next run is as long as what was taken: more would
   only be committed too early. */
static void link_keep_rest(cmt__link *l, const uint8_t *data, size_t len,
                           size_t taken) {
  l->run_frames =
    cmt__min(cmt__max(taken / CMT_FRAME_SLOT, RUN_MIN), CMT__RUN_MAX);
  l->rest = cmt__alloc(&l->loop->env, len - taken);
  if (l->rest == NULL) {
    cmt__link_stop_conn(l, CMT_ENOMEM);
    return;
  }
  memcpy(l->rest, data + taken, len - taken);
  l->rest_len = len - taken;
}

/* Messages alone wait for others to share their frames; never the rest of what
   is being sent, nor for long when there is much. */
static bool link_throttle(cmt__link *l, bool urgent) {
  uint64_t now_ns = cmt__loop_now(l->loop);

  if (l->throttle_ns == 0 || urgent || l->stopping) {
    return false;
  }
  if (l->flush_at_ns == 0) {
    l->flush_at_ns = cmt__after(now_ns, l->throttle_ns);
  }
  l->throttled =
    now_ns < l->flush_at_ns && l->view.queued_bytes < THROTTLE_BYTES;
  return l->throttled;
}

void cmt__link_write_rest(cmt__link *l) {
  size_t taken;

  if (link_write_some(l, l->rest + l->rest_at, l->rest_len, &taken)) {
    l->rest_at += taken;
    l->rest_len -= taken;
    if (l->rest_len == 0) {
      cmt__link_free_rest(l);
    }
  }
}

void cmt__link_write(cmt__link *l) {
  size_t cap =
    cmt__max(l->run_frames * CMT_FRAME_SLOT, cmt__conn_seal_min(l->conn));
  size_t len, taken;
  bool urgent;

  l->throttled = false;
  if (l->rest_len > 0 || l->write_err != CMT_OK ||
      !cmt__conn_wants_write(l->conn, &urgent) || link_throttle(l, urgent)) {
    return;
  }
  len = cmt__conn_seal(l->conn, l->loop->scratch, cap, cmt__loop_now(l->loop));
  if (len == 0 || !link_write_some(l, l->loop->scratch, len, &taken)) {
    return;
  }
  if (taken < len) {
    link_keep_rest(l, l->loop->scratch, len, taken);
    return;
  }
  l->run_frames = cmt__min(2 * l->run_frames, CMT__RUN_MAX);
  l->flush_at_ns = 0;
  if (cmt__conn_wants_write(l->conn, &urgent)) {
    l->flush_at_ns = cmt__loop_now(l->loop);
    cmt__loop_turn(l->loop, &l->turn);
  }
}

bool cmt__link_farewell(cmt__link *l) {
  size_t len, taken = 0;
  bool urgent;

  while (l->rest_len == 0 && l->write_err == CMT_OK &&
         cmt__conn_wants_write(l->conn, &urgent)) {
    len = cmt__conn_seal(l->conn, l->loop->scratch, CMT__SCRATCH,
                         cmt__loop_now(l->loop));
    if (len == 0 ||
        cmt__tcp_write(l->tcp, l->loop->scratch, len, &taken) != CMT_OK ||
        taken < len) {
      return false;
    }
    cmt_conn_consume(l->conn, len, cmt__loop_now(l->loop));
  }
  return l->rest_len == 0 && l->write_err == CMT_OK;
}
