/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__NEW_FILE_H
#define CMT__NEW_FILE_H

/* A new file, which is always complete: it is written under a temporary name
   and then gets its own, without replacing another file. */

#include "base/base.h"

#include <sys/types.h>

typedef struct cmt__new_file {
  const char *path;
  const char *kind; /* In the name that it has meanwhile; at most 16
                       characters. */
  mode_t mode;
  cmt_bytes text;
} cmt__new_file;

/* Writes |f|, down to the disk.  CMT_EEXIST: something has its name; CMT_EIO:
   |*error| is that of the system; CMT_ENOMEM. */
CMT_NODISCARD cmt_err cmt__new_file_write(const cmt_env *env,
                                          const cmt__new_file *f, int *error);

#endif
