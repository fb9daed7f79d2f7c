/* SPDX-License-Identifier: Apache-2.0 */
#include "ready_fd.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

bool cmt__ready_fd_open(cmt__ready_fd *r) {
  *r = (cmt__ready_fd){.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)};
  return r->fd >= 0;
}

void cmt__ready_fd_set(cmt__ready_fd *r, const cmt_env *env, bool readable) {
  uint64_t value = 1;
  ssize_t done;

  if (r->fd < 0 || readable == r->readable) {
    return;
  }
  r->readable = readable;
  do {
    done = readable ? write(r->fd, &value, sizeof value)
                    : read(r->fd, &value, sizeof value);
  } while (done < 0 && errno == EINTR);
  CMT_ASSERT(env, done == sizeof value);
}

void cmt__ready_fd_close(cmt__ready_fd *r) {
  if (r->fd >= 0) {
    close(r->fd);
    r->fd = -1;
  }
}
