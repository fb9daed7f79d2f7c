/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_BENCH_BLOCKING_H
#define CMT_BENCH_BLOCKING_H

/* The verbs recv, send, echo and ping of bench_p2p, serve and load of
   bench_qos, and those of a crowd, for another library, whose sends and
   receives block:

     crowd-hub --count N --rounds B    sends B broadcasts to N who subscribed
     crowd --addr A --count N --rounds B
                                       as many who subscribe */

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
  /* A socket whose sends go to all; returns once |a|->count have subscribed. */
  bool (*hub_open)(const bench_args *a);
  /* As many subscribers, and what the |i|th of them gets next. */
  bool (*crowd_open)(const bench_args *a);
  bool (*crowd_recv)(size_t i, size_t *len);
  void (*crowd_close)(size_t count);
} bench_blocking;

/* The exit code. */
int bench_blocking_main(int argc, char **argv, const bench_blocking *library);

#endif
