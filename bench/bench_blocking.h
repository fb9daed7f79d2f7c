/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_BENCH_BLOCKING_H
#define CMT_BENCH_BLOCKING_H

/* The verbs recv, send, echo and ping of bench_p2p, and serve and load of
   bench_qos, for another library, whose
   sends and receives block. */

#include "bench.h"

/* One connection of the other library.  A call that fails has printed why and
   returns false. */
typedef struct bench_blocking {
  /* Dials |a|->addr, or prints where it listens when that is NULL. */
  bool (*open)(const bench_args *a);
  bool (*send)(const uint8_t *data, size_t len);
  bool (*recv)(size_t *len);     /* Keeps the message for send_back(). */
  bool (*try_recv)(size_t *len); /* |*len| is 0 when there is none yet. */
  bool (*send_back)(void);
  void (*close)(void); /* Waits until the other side has what was sent. */
} bench_blocking;

/* The exit code. */
int bench_blocking_main(int argc, char **argv, const bench_blocking *library);

#endif
