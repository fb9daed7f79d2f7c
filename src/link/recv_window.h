/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__RECV_WINDOW_H
#define CMT__RECV_WINDOW_H

/* How many bytes the other side of a connection may have under way to us: what
   this side reads within a target of delay and two round trips of the path.
   Without I/O and without a clock. */

#include "sys/tcp_kernel.h"

typedef struct cmt__recv_window {
  uint64_t rate; /* Bytes per second while it reads; 0: not known yet. */
  /* Since the rate was last computed. */
  uint64_t read_bytes, busy_ns;
} cmt__recv_window;

/* This side was busy for |busy_ns| with reading |bytes|. */
static inline void cmt__recv_window_read(cmt__recv_window *w, uint64_t bytes,
                                         uint64_t busy_ns) {
  w->read_bytes += bytes;
  w->busy_ns += busy_ns;
}

/* Enough was read for another sample. */
bool cmt__recv_window_is_due(const cmt__recv_window *w);

/* The bytes of the window as of |info|, the latest sample of the connection,
   when one is due; 0: what the system finds, because the round trip is not
   known or the path needs much. */
uint32_t cmt__recv_window_note(cmt__recv_window *w, const cmt__tcp_info *info,
                               uint64_t target_ns);

#endif
