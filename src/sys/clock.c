/* SPDX-License-Identifier: Apache-2.0 */
#include "clock.h"

#include <cometp2p/err.h>

#include <time.h>

uint64_t cmt__clock_coarse_ns(void) {
  struct timespec ts;

  clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
  return CMT_SECONDS(ts.tv_sec) + (uint64_t)ts.tv_nsec;
}
