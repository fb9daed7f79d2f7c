/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__FILE_STEPS_H
#define CMT__FILE_STEPS_H

/* The steps of writing a file under a temporary name, down to the disk. */

#include "base/base.h"

#include <sys/types.h>

enum { CMT__TEMP_DIGITS = 16 };

/* The length of the folder in |path|, with its final slash. */
size_t cmt__folder_len(const char *path);
/* The folder of |path|, in |out|, which has room for |path| and ".". */
void cmt__folder_of(const char *path, char *out, size_t cap);

/* Opens a new file ".KIND-DIGITS.tmp" in the folder of |path|; |*name|, which
   the caller frees, is its path.  Returns the descriptor, or -1 with errno, and
   then there is no name. */
int cmt__temp_open(const cmt_env *env, const char *path, const char *kind,
                   mode_t mode, char **name);
/* False: errno has the reason. */
bool cmt__write_all(int fd, const void *text, size_t len);
/* Brings what was written to the disk if |ok|, and closes |fd|.  False: |ok| is
   false, or errno has the reason. */
bool cmt__close_synced(int fd, bool ok);
/* Makes a name in the folder of |path| last.  Some file systems refuse this;
   the file is whole all the same. */
void cmt__folder_sync(const char *path);

#endif
