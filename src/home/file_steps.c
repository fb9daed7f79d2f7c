/* SPDX-License-Identifier: Apache-2.0 */

/* Steps of writing a file. */

#include "file_steps.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#define TEMP_FORMAT "%.*s.%s-%016llx.tmp"

enum { TEMP_TRIES = 8, TEMP_EXTRA = sizeof ".-.tmp" + CMT__TEMP_DIGITS };

size_t cmt__folder_len(const char *path) {
  const char *slash = strrchr(path, '/');

  return slash != NULL ? (size_t)(slash - path) + 1 : 0;
}

void cmt__folder_of(const char *path, char *out, size_t cap) {
  size_t len = cmt__folder_len(path);

  if (len == 0) {
    path = ".";
    len = strlen(path);
  }
  snprintf(out, cap, "%.*s", (int)len, path);
}

int cmt__temp_open(const cmt_env *env, const char *path, const char *kind,
                   mode_t mode, char **name) {
  size_t folder = cmt__folder_len(path);
  size_t cap = folder + strlen(kind) + TEMP_EXTRA;
  uint64_t number;
  int fd = -1, error;

  *name = cmt__alloc(env, cap);
  if (*name == NULL) {
    errno = ENOMEM;
    return -1;
  }
  for (int i = 0; i < TEMP_TRIES && fd < 0; i++) {
    env->entropy(env->entropy_arg, &number, sizeof number);
    snprintf(*name, cap, TEMP_FORMAT, (int)folder, path, kind,
             (unsigned long long)number);
    fd = open(*name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0 && errno != EEXIST) {
      break;
    }
  }
  if (fd < 0) {
    error = errno;
    cmt__free(env, *name);
    *name = NULL;
    errno = error;
  }
  return fd;
}

bool cmt__write_all(int fd, const void *text, size_t len) {
  const uint8_t *at = text;

  while (len > 0) {
    ssize_t put = write(fd, at, len);

    if (put < 0 && errno != EINTR) {
      return false;
    }
    if (put > 0) {
      at += put;
      len -= (size_t)put;
    }
  }
  return true;
}

bool cmt__close_synced(int fd, bool ok) {
  int error;

  ok = ok && fsync(fd) == 0;
  error = errno;
  if (close(fd) != 0 && ok) {
    return false;
  }
  errno = error;
  return ok;
}

void cmt__folder_sync(const char *path) {
  char folder[PATH_MAX];
  int fd;

  cmt__folder_of(path, folder, sizeof folder);
  fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) {
    (void)fsync(fd);
    close(fd);
  }
}
