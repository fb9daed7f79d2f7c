/* SPDX-License-Identifier: Apache-2.0 */

/* Descriptors that must be there, or must be free, before libuv starts. */

#include "standard_fds.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

void cmt__standard_fds_hold(void) {
  int error = errno;

  for (int fd = 0; fd <= STDERR_FILENO; fd++) {
    if (fcntl(fd, F_GETFD) < 0) {
      (void)open("/dev/null", O_RDWR | O_CLOEXEC); /* The lowest free one. */
    }
  }
  errno = error;
}

/* A close() that succeeds leaves errno alone. */
unsigned cmt__fds_left(unsigned wanted) {
  int fds[CMT__FDS_MAX];
  unsigned count = 0;

  while (count < wanted && count < CMT__FDS_MAX) {
    fds[count] = eventfd(0, EFD_CLOEXEC); /* Needs no file. */
    if (fds[count] < 0) {
      break;
    }
    count++;
  }
  for (unsigned i = 0; i < count; i++) {
    close(fds[i]);
  }
  return count;
}
