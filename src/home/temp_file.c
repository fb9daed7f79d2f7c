/* SPDX-License-Identifier: Apache-2.0 */

/* Files that replace another one. */

#include "temp_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TEMP_FORMAT "%.*s.%s-%016llx.tmp"

enum {
  TEMP_TRIES = 8,
  TEMP_DIGITS = 16,
  TEMP_EXTRA = sizeof ".-.tmp" + TEMP_DIGITS,
  LINE_MAX_SIZE = 1024, /* The longest text of one cmt__temp_file_addf(). */
  STALE_S = 600,
};

/* The length of the folder in |path|, with its final slash. */
static size_t folder_len(const char *path) {
  const char *slash = strrchr(path, '/');

  return slash != NULL ? (size_t)(slash - path) + 1 : 0;
}

int cmt__temp_file_open(cmt__temp_file *t, const cmt_env *env, const char *path,
                        mode_t mode) {
  size_t cap = strlen(path) + TEMP_EXTRA, folder = folder_len(path);
  uint64_t number;

  t->env = env;
  t->fd = -1;
  t->error = 0;
  t->len = 0;
  t->name = cmt__alloc(env, cap);
  if (t->name == NULL) {
    return ENOMEM;
  }
  for (int i = 0; i < TEMP_TRIES && t->fd < 0; i++) {
    env->entropy(env->entropy_arg, &number, sizeof number);
    snprintf(t->name, cap, TEMP_FORMAT, (int)folder, path, path + folder,
             (unsigned long long)number);
    t->fd = open(t->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    t->error = t->fd < 0 ? errno : 0;
    if (t->error != EEXIST) {
      break;
    }
  }
  if (t->fd < 0) {
    cmt__free(env, t->name);
    return t->error;
  }
  /* The mask of the process does not count. */
  t->error = fchmod(t->fd, mode) == 0 ? 0 : errno;
  return 0;
}

int cmt__temp_file_flush(cmt__temp_file *t) {
  const char *at = t->buffer;

  while (t->len > 0 && t->error == 0) {
    ssize_t put = write(t->fd, at, t->len);

    if (put > 0) {
      at += put;
      t->len -= (size_t)put;
    } else if (put < 0 && errno != EINTR) {
      t->error = errno;
    }
  }
  t->len = 0;
  return t->error;
}

void cmt__temp_file_add(cmt__temp_file *t, const char *text, size_t len) {
  while (len > 0) {
    size_t some = cmt__min(len, sizeof t->buffer - t->len);

    memcpy(t->buffer + t->len, text, some);
    t->len += some;
    text += some;
    len -= some;
    if (t->len == sizeof t->buffer) {
      (void)cmt__temp_file_flush(t);
    }
  }
}

void cmt__temp_file_addf(cmt__temp_file *t, const char *fmt, ...) {
  char line[LINE_MAX_SIZE];
  va_list args;
  int len;

  va_start(args, fmt);
  len = vsnprintf(line, sizeof line, fmt, args);
  va_end(args);
  CMT_ASSERT(t->env, len >= 0 && len < LINE_MAX_SIZE);
  cmt__temp_file_add(t, line, (size_t)len);
}

/* Makes the new name last.  Some file systems refuse this on a folder; the file
   is whole all the same. */
static void sync_folder(cmt__temp_file *t) {
  size_t len = folder_len(t->name);
  int fd;

  t->name[len] = '\0';
  fd = open(len > 0 ? t->name : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0) {
    (void)fsync(fd);
    close(fd);
  }
}

int cmt__temp_file_replace(cmt__temp_file *t, const char *path) {
  if (cmt__temp_file_flush(t) == 0 && fsync(t->fd) != 0) {
    t->error = errno;
  }
  if (close(t->fd) != 0 && t->error == 0) {
    t->error = errno;
  }
  if (t->error == 0 && rename(t->name, path) != 0) {
    t->error = errno;
  }
  if (t->error == 0) {
    sync_folder(t);
  } else {
    unlink(t->name);
  }
  cmt__free(t->env, t->name);
  return t->error;
}

/* Whether |name| is a temporary name of the file |of|. */
static bool is_temp_of(const char *name, const char *of) {
  size_t len = strlen(of);
  const char *digits = name + len + 2;

  return strlen(name) == len + TEMP_EXTRA - 1 && name[0] == '.' &&
         strncmp(name + 1, of, len) == 0 && name[len + 1] == '-' &&
         strspn(digits, "0123456789abcdef") == TEMP_DIGITS &&
         strcmp(digits + TEMP_DIGITS, ".tmp") == 0;
}

static void remove_stale(int folder, const char *name) {
  struct stat st;

  if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
      S_ISREG(st.st_mode) && time(NULL) - st.st_mtime > STALE_S) {
    (void)unlinkat(folder, name, 0);
  }
}

void cmt__temp_file_sweep(const char *path) {
  size_t len = folder_len(path);
  char folder[4096];
  struct dirent *entry;
  DIR *dir;

  if (len >= sizeof folder) {
    return;
  }
  snprintf(folder, sizeof folder, "%.*s", (int)len, path);
  dir = opendir(len > 0 ? folder : ".");
  while (dir != NULL && (entry = readdir(dir)) != NULL) {
    if (is_temp_of(entry->d_name, path + len)) {
      remove_stale(dirfd(dir), entry->d_name);
    }
  }
  if (dir != NULL) {
    closedir(dir);
  }
}
