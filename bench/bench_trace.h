/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_BENCH_TRACE_H
#define CMT_BENCH_TRACE_H

/* What a traced bench notes of the way of its messages; see trace.py, which
   reads it.  Nothing is kept without -DCMT_TRACE=ON. */

#include <stdint.h>

/* Notes the points that the loop passes from here on. */
void bench_trace_start(void);
/* The application sent a small message at |at_ns|. */
void bench_trace_ask(uint64_t at_ns);
/* Writes all that was noted to |path|; NULL: nothing. */
void bench_trace_write(const char *path);

#endif
