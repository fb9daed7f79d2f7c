/* SPDX-License-Identifier: Apache-2.0 */

/* Conditions with deadlines.  The clock is the monotonic one, which cannot be
   set. */

#include "cond.h"

#include <cometp2p/err.h>

bool cmt__cond_init(pthread_cond_t *cond) {
  pthread_condattr_t attr;
  bool ok;

  if (pthread_condattr_init(&attr) != 0) {
    return false;
  }
  ok = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 &&
       pthread_cond_init(cond, &attr) == 0;
  pthread_condattr_destroy(&attr);
  return ok;
}

struct timespec cmt__cond_deadline(uint64_t delay_ns) {
  struct timespec ts;
  uint64_t ns;

  clock_gettime(CLOCK_MONOTONIC, &ts);
  ns = (uint64_t)ts.tv_nsec + delay_ns % CMT_SECONDS(1);
  ts.tv_sec += (time_t)(delay_ns / CMT_SECONDS(1) + ns / CMT_SECONDS(1));
  ts.tv_nsec = (long)(ns % CMT_SECONDS(1));
  return ts;
}
