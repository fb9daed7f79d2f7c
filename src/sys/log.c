/* SPDX-License-Identifier: Apache-2.0 */

/* The ready-made log hook. */

#include "base/base.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* Longer than the library's longest line. */
enum { LINE_SIZE = 1200 };

#define DATE "2026-01-31T23:59:59"

/* Large enough for any value that a compiler assumes for milliseconds. */
typedef struct stamp {
  char text[sizeof DATE ".-9223372036854Z"];
} stamp;

static const char *level_name(cmt_log_level level) {
  switch (level) {
  case CMT_LOG_ERROR:
    return "error";
  case CMT_LOG_WARN:
    return "warn";
  case CMT_LOG_INFO:
    return "info";
  case CMT_LOG_DEBUG:
    return "debug";
  default:
    return "?";
  }
}

/* The time of day in UTC, down to the millisecond. */
static stamp stamp_now(void) {
  char seconds[sizeof DATE];
  struct timespec now;
  struct tm parts;
  stamp out;

  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &parts);
  strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &parts);
  snprintf(out.text, sizeof out.text, "%s.%03ldZ", seconds,
           now.tv_nsec / 1000000);
  return out;
}

void cmt_log_stderr(void *arg, cmt_log_level level, const char *module,
                    const char *line) {
  cmt_log_level most = arg != NULL ? *(const cmt_log_level *)arg : CMT_LOG_INFO;
  char text[LINE_SIZE];
  int error = errno;
  ssize_t put;
  size_t len;

  if (level > most) {
    return;
  }
  len = cmt__line_end(text, sizeof text,
                      snprintf(text, sizeof text, "%s %-5s %s: %s\n",
                               stamp_now().text, level_name(level),
                               module != NULL ? module : "?",
                               line != NULL ? line : ""));
  /* One write call per line keeps lines of other threads apart. */
  put = write(STDERR_FILENO, text, len);
  (void)put; /* A failure of the log has nowhere to be reported. */
  errno = error;
}
