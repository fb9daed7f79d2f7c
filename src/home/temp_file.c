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

#include "file_steps.h"

enum {
  TEMP_EXTRA = sizeof ".-.tmp" + CMT__TEMP_DIGITS,
  LINE_MAX_SIZE = 1024, /* The longest text of one cmt__temp_file_addf(). */
  STALE_S = 600,
};

int cmt__temp_file_open(cmt__temp_file *t, const cmt_env *env, const char *path,
                        mode_t mode) {
  t->env = env;
  t->error = 0;
  t->len = 0;
  t->fd =
    cmt__temp_open(env, path, path + cmt__folder_len(path), mode, &t->name);
  if (t->fd < 0) {
    return errno;
  }
  /* The mask of the process does not count. */
  t->error = fchmod(t->fd, mode) == 0 ? 0 : errno;
  return 0;
}

int cmt__temp_file_flush(cmt__temp_file *t) {
  if (t->error == 0 && !cmt__write_all(t->fd, t->buffer, t->len)) {
    t->error = errno;
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

int cmt__temp_file_replace(cmt__temp_file *t, const char *path) {
  bool ok = cmt__temp_file_flush(t) == 0;

  if (!cmt__close_synced(t->fd, ok) && ok) {
    t->error = errno;
  }
  if (t->error == 0 && rename(t->name, path) != 0) {
    t->error = errno;
  }
  if (t->error == 0) {
    cmt__folder_sync(path);
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
         strspn(digits, "0123456789abcdef") == CMT__TEMP_DIGITS &&
         strcmp(digits + CMT__TEMP_DIGITS, ".tmp") == 0;
}

static void remove_stale(int folder, const char *name) {
  struct stat st;

  if (fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
      S_ISREG(st.st_mode) && time(NULL) - st.st_mtime > STALE_S) {
    (void)unlinkat(folder, name, 0);
  }
}

void cmt__temp_file_sweep(const char *path) {
  size_t len = cmt__folder_len(path);
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
