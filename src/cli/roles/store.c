/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of a file count as they come, so that files under way together
   cannot exceed the quota, and an offer alone uses nothing of it. */

#include "store.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

void cli_store_init(cli_store *s) { *s = (cli_store){.dir_fd = -1}; }

static bool store_measure(cli_store *s, uint64_t quota) {
  struct statvfs free_now;

  if (fstatvfs(s->dir_fd, &free_now) != 0) {
    return false;
  }
  s->bytes_left =
    quota != 0 ? quota
               : (uint64_t)free_now.f_bavail * (uint64_t)free_now.f_frsize / 2;
  s->files_left =
    free_now.f_files == 0 ? UINT64_MAX : (uint64_t)free_now.f_favail / 2;
  return true;
}

bool cli_store_open(cli_store *s, const char *dir, uint64_t quota) {
  if (mkdir(dir, 0777) == 0 || errno == EEXIST) {
    s->dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  }
  return s->dir_fd >= 0 && faccessat(s->dir_fd, ".", W_OK | X_OK, 0) == 0 &&
         store_measure(s, quota);
}

void cli_store_close(cli_store *s) {
  if (s->dir_fd >= 0) {
    close(s->dir_fd);
    s->dir_fd = -1;
  }
}

bool cli_store_begin(cli_store *s, uint64_t size) {
  if (size > s->bytes_left || s->files_left == 0) {
    return false;
  }
  s->files_left--;
  return true;
}

bool cli_store_take(cli_store *s, uint64_t len) {
  if (len > s->bytes_left) {
    return false;
  }
  s->bytes_left -= len;
  return true;
}

void cli_store_release(cli_store *s, uint64_t taken) {
  s->bytes_left += taken;
  s->files_left++;
}
