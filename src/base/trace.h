/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__TRACE_H
#define CMT__TRACE_H

/* Points that a message passes on its way, for a bench that notes when each was
   reached: bench/bench_trace.c.  They are compiled in with -DCMT_TRACE=ON, and
   are nothing in all other builds.  The bench has one connection, so a point
   does not say whose it is. */

#include <stdint.h>

typedef enum cmt__trace_point {
  CMT__TRACE_TAKE,    /* The loop took a message over; its channel. */
  CMT__TRACE_CUT,     /* The last packet of a message was written; its channel,
                         and the place in the batch. */
  CMT__TRACE_SEAL,    /* A batch was sealed: its place in the stream, its
                         length. */
  CMT__TRACE_WRITE,   /* The kernel took what precedes this place. */
  CMT__TRACE_READ,    /* What precedes this place was read, and so much more
                         waits in the socket. */
  CMT__TRACE_OPEN,    /* Frames were opened. */
  CMT__TRACE_DELIVER, /* A message is handed to its reactor; its channel. */
} cmt__trace_point;

#ifdef CMT_TRACE

/* The program that is measured sets it before it makes a switch. */
extern void (*cmt__trace_note)(cmt__trace_point point, uint64_t a, uint64_t b);

#define CMT__TRACE(point, a, b)                                                \
  (cmt__trace_note != NULL ? cmt__trace_note((point), (a), (b)) : (void)0)

#else

#define CMT__TRACE(point, a, b) ((void)0)

#endif

#endif
