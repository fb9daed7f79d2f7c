/* SPDX-License-Identifier: Apache-2.0 */

/* The descriptors of the standard streams of a process. */

#include "standard_fds.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

void cmt__standard_fds_hold(void) {
  int error = errno;
  int fd = 0;

  while (fd >= 0 && fd <= STDERR_FILENO) {
    /* The lowest free one. */
    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  }
  if (fd > STDERR_FILENO) {
    close(fd);
  }
  errno = error;
}
