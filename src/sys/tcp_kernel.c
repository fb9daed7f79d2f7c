/* SPDX-License-Identifier: Apache-2.0 */

/* Calls on TCP sockets that need the kernel's own header: it has more in its
   tcp_info than that of the C library, and the two exclude each other. */

#include "tcp_kernel.h"

#include "base/base.h"

#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

/* What a kernel is too old to report stays 0. */
bool cmt__tcp_kernel_info(int fd, cmt__tcp_info *out) {
  struct tcp_info info;
  socklen_t len = sizeof info;
  uint64_t sent;

  memset(&info, 0, sizeof info);
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) != 0) {
    return false;
  }
  sent = info.tcpi_bytes_sent - info.tcpi_bytes_retrans;
  *out = (cmt__tcp_info){
    .unsent_bytes = info.tcpi_notsent_bytes,
    .in_flight_bytes = sent - cmt__min64(sent, info.tcpi_bytes_acked),
    .delivery_rate = info.tcpi_delivery_rate,
    .app_limited = info.tcpi_delivery_rate_app_limited,
    .rtt_ns = info.tcpi_rtt * UINT64_C(1000),
    .acked_bytes = info.tcpi_bytes_acked,
    .busy_ns = info.tcpi_busy_time * 1000,
    .no_room_ns = info.tcpi_rwnd_limited * 1000,
  };
  return true;
}

void cmt__tcp_kernel_unsent_max(int fd, size_t max) {
  int value = (int)cmt__min(max, INT32_MAX);

  (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &value, sizeof value);
}

void cmt__tcp_kernel_user_timeout(int fd, unsigned ms) {
  (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof ms);
}

int cmt__tcp_kernel_congestion(int fd, const char *name) {
  return setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name,
                    (socklen_t)strlen(name)) == 0
           ? 0
           : errno;
}

int cmt__tcp_kernel_congestion_check(const char *name) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  int error;

  if (fd < 0) {
    return errno;
  }
  error = cmt__tcp_kernel_congestion(fd, name);
  close(fd);
  return error;
}
