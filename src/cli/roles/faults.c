/* SPDX-License-Identifier: Apache-2.0 */

#include "faults.h"

#include "stamp.h"

#include <stdlib.h>
#include <string.h>

enum { LOOKS_AGAIN = 30 }; /* From one try to the next. */

uint64_t cli_faults_stamp(const char *dir, const char *config) {
  const char *const files[] = {
    ".",
    "config",
    "config.toml",
    "config/config.toml",
    "config/genesis.json",
    "config/node_key.json",
    "config/client.toml",
    "config/addrbook.json",
    "data/addrbook.json",
    config != NULL ? config : ".",
  };
  uint64_t stamp = 0;

  for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
    char path[4096];
    int len = snprintf(path, sizeof path, "%s/%s",
                       files[i][0] == '/' ? "" : dir, files[i]);

    stamp = cli_stamp_add(
      stamp, len > 0 && (size_t)len < sizeof path ? path : "", true);
  }
  return stamp;
}

static cli_fault *find(const cli_faults *f, const char *dir) {
  for (size_t i = 0; i < f->count; i++) {
    if (strcmp(f->list[i].dir, dir) == 0) {
      return &f->list[i];
    }
  }
  return NULL;
}

bool cli_faults_note(cli_faults *f, const char *dir, uint64_t stamp,
                     const cmt_why *why) {
  cli_fault *one = find(f, dir);
  bool again;

  if (one == NULL) {
    f->list = cli_realloc(f->list, (f->count + 1) * sizeof *f->list);
    one = &f->list[f->count++];
    *one = (cli_fault){.dir = cli_copy(dir), .text = cli_copy("")};
  }
  again = strcmp(one->text, why->text) == 0;
  free(one->text);
  one->text = cli_copy(why->text);
  one->stamp = stamp;
  one->looks = 0;
  one->twin = why->err == CMT_EDUPLICATE;
  return !again;
}

bool cli_faults_hold(cli_faults *f, const char *dir, uint64_t stamp) {
  cli_fault *one = find(f, dir);

  return one != NULL && one->stamp == stamp &&
         (one->twin || ++one->looks % LOOKS_AGAIN != 0);
}

void cli_faults_fini(cli_faults *f) {
  for (size_t i = 0; i < f->count; i++) {
    free(f->list[i].dir);
    free(f->list[i].text);
  }
  free(f->list);
}
