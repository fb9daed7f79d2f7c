/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__COND_H
#define CMT__COND_H

/* Conditions with deadlines on the monotonic clock. */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* False: no memory. */
bool cmt__cond_init(pthread_cond_t *cond);
/* The deadline |delay_ns| from now for pthread_cond_timedwait(). */
struct timespec cmt__cond_deadline(uint64_t delay_ns);

#endif
