/* SPDX-License-Identifier: Apache-2.0 */

/* The writing of new files. */

#include "new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "file_steps.h"

enum { TEMP_MODE = S_IRUSR | S_IWUSR };

/* Writes |f| to |fd|, down to the disk, and closes it. */
static bool fill_file(int fd, const cmt__new_file *f) {
  return cmt__close_synced(fd, fchmod(fd, f->mode) == 0 &&
                                 cmt__write_all(fd, f->text.base, f->text.len));
}

/* Gives the file |temp| the name |path|, which nothing has: by a link, which
   never replaces anything, or by a rename that does not; some file systems have
   only one of them, or none.  There an empty file of ours reserves the name
   first.  Returns 0 or the error. */
static int name_file(const char *temp, const char *path) {
  int fd, error;

  if (link(temp, path) == 0) {
    return 0;
  }
  if (errno == EEXIST) {
    return EEXIST;
  }
  if (renameat2(AT_FDCWD, temp, AT_FDCWD, path, RENAME_NOREPLACE) == 0) {
    return 0;
  }
  if (errno == EEXIST) {
    return EEXIST;
  }
  fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, TEMP_MODE);
  if (fd < 0) {
    return errno;
  }
  close(fd);
  if (rename(temp, path) == 0) {
    return 0;
  }
  error = errno;
  unlink(path);
  return error;
}

/* Writes the file, whose name is |temp| meanwhile. */
static cmt_err write_file(const cmt__new_file *f, int fd, const char *temp,
                          int *error) {
  *error = 0;
  if (!fill_file(fd, f)) {
    *error = errno;
    unlink(temp);
    return CMT_EIO;
  }
  *error = name_file(temp, f->path);
  unlink(temp);
  if (*error != 0) {
    return *error == EEXIST ? CMT_EEXIST : CMT_EIO;
  }
  cmt__folder_sync(f->path);
  return CMT_OK;
}

cmt_err cmt__new_file_write(const cmt_env *env, const cmt__new_file *f,
                            int *error) {
  char *temp;
  int fd = cmt__temp_open(env, f->path, f->kind, TEMP_MODE, &temp);
  cmt_err err;

  if (fd < 0) {
    *error = errno;
    return errno == ENOMEM ? CMT_ENOMEM : CMT_EIO;
  }
  err = write_file(f, fd, temp, error);
  cmt__free(env, temp);
  return err;
}
