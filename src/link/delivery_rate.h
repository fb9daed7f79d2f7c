/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__DELIVERY_RATE_H
#define CMT__DELIVERY_RATE_H

/* Estimates how fast the network and the other side consume the bytes of a TCP
   connection, from samples of the kernel's counters, and so how many bytes may
   be queued ahead of the network.  It has no I/O and no clock. */

#include "sys/tcp_kernel.h"

/* More bytes ahead of the network are useful at no rate. */
enum { CMT__DELIVERY_BYTES_MAX = 4 << 20 };

typedef struct cmt__delivery_rate {
  uint64_t path;   /* The rate of the path; 0: not known yet. */
  uint64_t reader; /* The rate of a slow reader; UINT64_MAX: it is not slow. */
  /* The totals of the sample that |reader| was last computed from. */
  uint64_t acked_bytes, busy_ns, no_room_ns;
} cmt__delivery_rate;

void cmt__delivery_rate_init(cmt__delivery_rate *r);

/* Updates the estimate with |info|, the latest sample of the connection. */
void cmt__delivery_rate_note(cmt__delivery_rate *r, const cmt__tcp_info *info);

/* Bytes per second; 0: not known yet. */
uint64_t cmt__delivery_rate_get(const cmt__delivery_rate *r);

/* What is delivered within |target_ns| (at most a second of it) at |rate| bytes
   per second; at most CMT__DELIVERY_BYTES_MAX. */
uint32_t cmt__delivery_bytes(uint64_t rate, uint64_t target_ns);

/* The bytes that may lie unsent in the kernel: what is delivered within half of
   |target_ns|, or an eighth of the path's |rtt_ns|, since a shorter queue
   changes little there.  Up to 128 KiB may be worth ten targets, which a loop
   needs to come round before a fast path runs dry; no more is worth more. */
uint32_t cmt__delivery_unsent(uint64_t rate, uint64_t target_ns,
                              uint64_t rtt_ns);

/* The bytes of a batch: what is delivered within a fifth of |target_ns|.  Up to
   60 frames may be worth ten targets. */
uint32_t cmt__delivery_batch(uint64_t rate, uint64_t target_ns);

/* True when |bytes| differs from |before| by more than a quarter of it: smaller
   changes are not worth a system call. */
bool cmt__delivery_bytes_changed(uint32_t before, uint32_t bytes);

#endif
