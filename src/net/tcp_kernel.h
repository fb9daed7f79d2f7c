/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__TCP_KERNEL_H
#define CMT__TCP_KERNEL_H

/* What the kernel tells of a TCP socket, and how it sends. */

#include "loop.h"

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
