/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__TCP_KERNEL_H
#define CMT__TCP_KERNEL_H

/* What the kernel reports about a TCP socket, and how it sends. */

#include <cometp2p/err.h>

/* What the system reports about a TCP connection. */
typedef struct cmt__tcp_info {
  uint64_t unsent_bytes;    /* Accepted by a write, and not sent yet. */
  uint64_t in_flight_bytes; /* Sent, and not acknowledged. */
  uint64_t delivery_rate;   /* Recent delivery rate, bytes per second; 0: not
                               known. */
  bool app_limited;         /* The sender was the limit: the socket was
                               empty. */
  uint64_t rtt_ns;          /* Smoothed. */
  /* Since the start: what was acknowledged, how long there was something to
     send or to be acknowledged, and for how much of that time the other side
     had no room. */
  uint64_t acked_bytes, busy_ns, no_room_ns;
} cmt__tcp_info;

/* False: the descriptor is not a TCP socket. */
CMT_NODISCARD bool cmt__tcp_kernel_info(int fd, cmt__tcp_info *out);
void cmt__tcp_kernel_unsent_max(int fd, size_t max);
/* How long sent data may stay unacknowledged; 0: the default of the system. */
void cmt__tcp_kernel_user_timeout(int fd, unsigned ms);
/* Changes the congestion control; 0 or an errno. */
int cmt__tcp_kernel_congestion(int fd, const char *name);
/* 0 when sockets of this process may use the one of that name, else an errno.
 */
int cmt__tcp_kernel_congestion_check(const char *name);

#endif
