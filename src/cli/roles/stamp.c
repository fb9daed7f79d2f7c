/* SPDX-License-Identifier: Apache-2.0 */

#include "stamp.h"

#include "cli/ui/cli.h"

#include <sys/stat.h>

uint64_t cli_stamp_add(uint64_t stamp, const char *path, bool attributes) {
  struct stat at;
  struct timespec changed;

  stamp *= UINT64_C(0x100000001b3); /* The prime of FNV. */
  if (stat(path, &at) != 0) {
    return stamp;
  }
  changed = attributes ? at.st_ctim : at.st_mtim;
  return stamp + (uint64_t)at.st_ino + (uint64_t)at.st_size +
         (uint64_t)changed.tv_sec * CMT_SECONDS(1) + (uint64_t)changed.tv_nsec;
}
