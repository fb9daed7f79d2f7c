/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_BENCH_BLOCKING_H
#define CMT_BENCH_BLOCKING_H

/* The verbs recv, send, echo and ping of bench_p2p for another library, whose
   sends and receives block. */

#include "bench.h"

/* One connection of the other library.  A call that fails has printed why and
   returns false. */
typedef struct bench_blocking {
  /* Prints where it listens, or dials |addr| when that is not NULL. */
  bool (*open)(const char *addr);
  bool (*send)(const uint8_t *data, size_t len);
  bool (*recv)(size_t *len); /* Keeps the message for send_back(). */
  bool (*send_back)(void);
  void (*close)(void); /* Waits until the other side has what was sent. */
} bench_blocking;

/* The exit code. */
int bench_blocking_main(int argc, char **argv, const bench_blocking *library);

#endif
