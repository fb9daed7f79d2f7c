/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__TCP_KERNEL_H
#define CMT__TCP_KERNEL_H

/* What the kernel reports about a TCP socket, and how it sends. */

#include <cometp2p/err.h>

/* What the system knows of a TCP connection. */
typedef struct cmt__tcp_info {
  uint64_t unsent_bytes;    /* Taken by a write, and still here. */
  uint64_t in_flight_bytes; /* Sent, and not acknowledged. */
  uint64_t delivery_rate;   /* Bytes per second lately; 0: not known. */
  bool app_limited;         /* The sender was the limit: the socket ran dry. */
  uint64_t rtt_ns;          /* Smoothed. */
  /* Since the start: what was acknowledged, how long there was something to
     send or to be acknowledged, and how much of that the other side had no
     room. */
  uint64_t acked_bytes, busy_ns, no_room_ns;
} cmt__tcp_info;

/* False: it is no such socket. */
CMT_NODISCARD bool cmt__tcp_kernel_info(int fd, cmt__tcp_info *out);
void cmt__tcp_kernel_unsent_max(int fd, size_t max);
/* How long what was sent may lie there and not be taken; 0: the system's. */
void cmt__tcp_kernel_user_timeout(int fd, unsigned ms);
/* Changes the congestion control; 0 or an errno. */
int cmt__tcp_kernel_congestion(int fd, const char *name);
/* 0 when sockets of this process may use the one of that name, else an errno.
 */
int cmt__tcp_kernel_congestion_check(const char *name);

#endif
