/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_PRELOAD_PAIR_H
#define CMT_PRELOAD_PAIR_H

/* Two whole switches on the production loop, over loopback: one dials the other
   for ever, each sends the other a hundred messages of drawn sizes whenever
   they have become peers, and both stop when all have arrived.  Each message
   has a hash over all before it, so that a loss, a change, a double or another
   order is seen with the next.  Whatever fails meanwhile, pair_run() comes back
   with both switches deleted, or the program ends and states why. */

#include "test.h"

#include <cometp2p/switch.h>

enum { PAIR_ENDS_MAX = 8 };

/* A rejection or the end of a peer, before the switches were asked to stop. */
typedef struct pair_end {
  bool rejected;
  cmt_why why;
} pair_end;

typedef struct pair_side {
  unsigned added;
  size_t end_count;
  pair_end ends[PAIR_ENDS_MAX];
  cmt_switch_status status; /* The last. */
} pair_side;

typedef struct pair_options {
  bool threads;      /* A loop of its own for each; else both have one. */
  const char *host;  /* Dialed; NULL: 127.0.0.1. */
  unsigned messages; /* 0: 100. */
} pair_options;

typedef struct pair_report {
  size_t fds_left;    /* Descriptors that are open and were not before. */
  cmt_why start;      /* CMT_OK: both have started. */
  bool done;          /* All messages have arrived. */
  pair_side sides[2]; /* The dialing side, then the other. */
  uint64_t took_ns;   /* On the clock that jumps. */
} pair_report;

/* Between two pair_run(): makes the keys, and frees them. */
void pair_init(void);
void pair_fini(void);

void pair_run(const pair_options *o, pair_report *r);

/* True from the moment that both are asked to stop. */
bool pair_is_stopping(void);

#endif
