/* SPDX-License-Identifier: Apache-2.0 */
/* The metrics of the process, under the names that Prometheus's clients use.
   Where the system has no /proc they are missing. */

#include "metrics_impl.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
  /* Fields of /proc/self/stat, counted from the one behind the state. */
  STAT_USER = 10,
  STAT_SYSTEM,
  STAT_START = 18,
  STAT_VIRTUAL,
  STAT_RESIDENT,
  STAT_FIELDS,
};

typedef struct metric {
  const char *name, *help, *type;
} metric;

static const metric cpu = {"cpu_seconds_total",
                           "Total user and system CPU time spent in seconds.",
                           "counter"};
static const metric resident = {"resident_memory_bytes",
                                "Resident memory size in bytes.", "gauge"};
static const metric started = {
  "start_time_seconds",
  "Start time of the process since unix epoch in seconds.", "gauge"};
static const metric mapped = {"virtual_memory_bytes",
                              "Virtual memory size in bytes.", "gauge"};
static const metric descriptors_max = {
  "max_fds", "Maximum number of open file descriptors.", "gauge"};
static const metric descriptors = {"open_fds",
                                   "Number of open file descriptors.", "gauge"};

static void put(cmt__page *p, const metric *m, uint64_t value, uint64_t unit) {
  const cmt__series s = {
    .prefix = "process_", .name = m->name, .suffix = "", .unit = unit};

  cmt__page_family(p, s.prefix, m->name, m->help, m->type);
  cmt__page_series(p, &s, value);
}

/* Reads the start of |path| as a text; "": it cannot be read. */
static void file_read(const char *path, char *text, size_t cap) {
  FILE *file = fopen(path, "re");
  size_t len = file != NULL ? fread(text, 1, cap - 1, file) : 0;

  text[len] = '\0';
  if (file != NULL) {
    (void)fclose(file);
  }
}

/* The name of the process may have spaces and brackets; behind its last bracket
   are the state, which is a letter, and numbers. */
static bool stat_read(uint64_t fields[STAT_FIELDS]) {
  static const char state[] = ") S";
  char text[1024], *at;

  file_read("/proc/self/stat", text, sizeof text);
  at = strrchr(text, ')');
  if (at == NULL || strlen(at) < strlen(state)) {
    return false;
  }
  at += strlen(state);
  for (unsigned i = 0; i < STAT_FIELDS; i++) {
    fields[i] = strtoull(at, &at, 10);
  }
  return true;
}

/* Seconds since 1970 at which the system started; 0: not known. */
static uint64_t boot_read(void) {
  static const char name[] = "btime ";
  char text[16 << 10], *at;

  file_read("/proc/stat", text, sizeof text);
  at = strstr(text, name);
  return at != NULL ? strtoull(at + strlen(name), NULL, 10) : 0;
}

static bool descriptors_count(uint64_t *out) {
  DIR *folder = opendir("/proc/self/fd");

  *out = 0;
  if (folder == NULL) {
    return false;
  }
  while (readdir(folder) != NULL) {
    ++*out;
  }
  (void)closedir(folder);
  *out -= 3; /* "." and "..", and the one of the folder itself. */
  return true;
}

static void put_stat(cmt__page *p) {
  uint64_t f[STAT_FIELDS];
  uint64_t ticks = (uint64_t)sysconf(_SC_CLK_TCK);
  uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
  uint64_t boot = boot_read();

  if (!stat_read(f)) {
    return;
  }
  put(p, &cpu, f[STAT_USER] + f[STAT_SYSTEM], ticks);
  put(p, &resident, f[STAT_RESIDENT] * page, 1);
  if (boot > 0) {
    put(p, &started, boot * ticks + f[STAT_START], ticks);
  }
  put(p, &mapped, f[STAT_VIRTUAL], 1);
}

void cmt__metrics_page_process(cmt__page *p) {
  struct rlimit limit;
  uint64_t open;

  put_stat(p);
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    put(p, &descriptors_max, limit.rlim_cur, 1);
  }
  if (descriptors_count(&open)) {
    put(p, &descriptors, open, 1);
  }
}
