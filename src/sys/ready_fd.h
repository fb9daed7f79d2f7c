/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__READY_FD_H
#define CMT__READY_FD_H

/* A descriptor for poll() that is readable as long as its owner wants: an
   eventfd, which only Linux has. */

#include "base/base.h"

typedef struct cmt__ready_fd {
  int fd; /* -1: no descriptor, and setting it does nothing. */
  bool readable;
} cmt__ready_fd;

/* False, and errno: it cannot be opened. */
CMT_NODISCARD bool cmt__ready_fd_open(cmt__ready_fd *r);
/* The caller serializes calls for one descriptor. */
void cmt__ready_fd_set(cmt__ready_fd *r, const cmt_env *env, bool readable);
void cmt__ready_fd_close(cmt__ready_fd *r);

#endif
