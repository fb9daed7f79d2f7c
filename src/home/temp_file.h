/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__TEMP_FILE_H
#define CMT__TEMP_FILE_H

/* A file that is written under a temporary name beside the one that it replaces
   in one step: whoever opens that finds the old text or the new one, whole. */

#include "base/base.h"

#include <sys/types.h>

enum { CMT__TEMP_BUFFER = 32 * 1024 };

/* Fields are private. */
typedef struct cmt__temp_file {
  const cmt_env *env;
  int fd, error; /* The first error of a write. */
  char *name;
  size_t len;
  char buffer[CMT__TEMP_BUFFER];
} cmt__temp_file;

/* Opens a new file beside |path|.  Returns 0 or the error of the system; then
   there is nothing to end. */
int cmt__temp_file_open(cmt__temp_file *t, const cmt_env *env, const char *path,
                        mode_t mode);
/* Adds text; errors show at the end. */
void cmt__temp_file_add(cmt__temp_file *t, const char *text, size_t len);
void cmt__temp_file_addf(cmt__temp_file *t, const char *fmt, ...)
  __attribute__((format(printf, 2, 3)));
/* Writes what was added so far.  Returns 0 or the first error. */
int cmt__temp_file_flush(cmt__temp_file *t);
/* Ends |t|: brings it to the disk, and gives it the name |path|.  Returns 0 or
   the error, and then the file |path| is what it was. */
int cmt__temp_file_replace(cmt__temp_file *t, const char *path);
/* Removes what processes that were killed have left beside |path|, if it is
   older than ten minutes. */
void cmt__temp_file_sweep(const char *path);

#endif
