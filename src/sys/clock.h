/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__CLOCK_H
#define CMT__CLOCK_H

#include <cometp2p/err.h>
#include <time.h>

/* The monotonic clock as of the last tick of the system, a few milliseconds
   ago at most: it is read from memory. */
static inline uint64_t cmt__clock_coarse_ns(void) {
  struct timespec ts;

  clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
  return CMT_SECONDS(ts.tv_sec) + (uint64_t)ts.tv_nsec;
}

#endif
