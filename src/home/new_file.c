/* SPDX-License-Identifier: Apache-2.0 */

/* The writing of new files. */

#include "new_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TEMP_TRIES = 8, TEMP_MODE = S_IRUSR | S_IWUSR };

#define TEMP_FORMAT "%.*s.%s-%016llx.tmp"
/* The longest name of a temporary file, without its folder. */
#define TEMP_NAME ".0123456789abcdef-0123456789abcdef.tmp"

/* The length of the folder in |path|, with its final slash. */
static size_t folder_len(const char *path) {
  const char *slash = strrchr(path, '/');

  return slash != NULL ? (size_t)(slash - path) + 1 : 0;
}

void cmt__folder_of(const char *path, char *out, size_t cap) {
  size_t len = folder_len(path);

  if (len == 0) {
    path = ".";
    len = strlen(path);
  }
  snprintf(out, cap, "%.*s", (int)len, path);
}

/* A file in the making, and its name meanwhile. */
typedef struct new_file {
  const cmt_env *env;
  const cmt__new_file *wanted;
  char *temp;
  size_t cap; /* What |temp| has room for. */
} new_file;

static bool write_all(int fd, const uint8_t *text, size_t len) {
  ssize_t put;

  while (len > 0) {
    put = write(fd, text, len);
    if (put < 0 && errno != EINTR) {
      return false;
    }
    if (put > 0) {
      text += put;
      len -= (size_t)put;
    }
  }
  return true;
}

/* Opens a new file in the folder of |f| and leaves its name in |f->temp|. */
static int open_temp(const new_file *f) {
  uint64_t number;
  int fd = -1;

  for (int i = 0; i < TEMP_TRIES && fd < 0; i++) {
    f->env->entropy(f->env->entropy_arg, &number, sizeof number);
    snprintf(f->temp, f->cap, TEMP_FORMAT, (int)folder_len(f->wanted->path),
             f->wanted->path, f->wanted->kind, (unsigned long long)number);
    fd = open(f->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, TEMP_MODE);
    if (fd < 0 && errno != EEXIST) {
      break;
    }
  }
  return fd;
}

/* Writes |text| to |fd|, down to the disk, and closes it. */
static bool fill_file(int fd, mode_t mode, cmt_bytes text) {
  bool ok = fchmod(fd, mode) == 0 && write_all(fd, text.base, text.len) &&
            fsync(fd) == 0;
  int error = errno;

  if (close(fd) != 0 && ok) {
    return false;
  }
  errno = error;
  return ok;
}

/* Makes the new name last.  Some file systems refuse this on a folder; the
   file is whole all the same. */
static void sync_folder(const char *path, char *name, size_t cap) {
  int fd;

  cmt__folder_of(path, name, cap);
  fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) {
    (void)fsync(fd);
    close(fd);
  }
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

static cmt_err write_file(const new_file *f, int *error) {
  const char *path = f->wanted->path;
  int fd = open_temp(f);

  *error = errno;
  if (fd < 0) {
    return CMT_EIO;
  }
  *error = 0;
  if (!fill_file(fd, f->wanted->mode, f->wanted->text)) {
    *error = errno;
    unlink(f->temp);
    return CMT_EIO;
  }
  *error = name_file(f->temp, path);
  unlink(f->temp);
  if (*error != 0) {
    return *error == EEXIST ? CMT_EEXIST : CMT_EIO;
  }
  sync_folder(path, f->temp, f->cap);
  return CMT_OK;
}

cmt_err cmt__new_file_write(const cmt_env *env, const cmt__new_file *f,
                            int *error) {
  new_file n = {
    .env = env, .wanted = f, .cap = strlen(f->path) + sizeof TEMP_NAME};
  cmt_err err;

  n.temp = cmt__alloc(env, n.cap);
  *error = ENOMEM;
  if (n.temp == NULL) {
    return CMT_ENOMEM;
  }
  err = write_file(&n, error);
  cmt__free(env, n.temp);
  return err;
}
