/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__CLOCK_H
#define CMT__CLOCK_H

#include <stdint.h>

/* The monotonic clock as of the last tick of the system, a few milliseconds
   ago at most: it is read from memory. */
uint64_t cmt__clock_coarse_ns(void);

#endif
