/* SPDX-License-Identifier: Apache-2.0 */

/* The log hook that is ready to use. */

#include <cometp2p/env.h>

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum {
  LINE_SIZE = 1200, /* More than the library's longest line. */
  STAMP_SIZE = 40,
};

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
static void stamp_write(char out[STAMP_SIZE]) {
  struct timespec now = {0};
  struct tm parts = {0};
  char seconds[24];

  clock_gettime(CLOCK_REALTIME, &now);
  gmtime_r(&now.tv_sec, &parts);
  strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &parts);
  snprintf(out, STAMP_SIZE, "%s.%03ldZ", seconds, now.tv_nsec / 1000000);
}

void cmt_log_stderr(void *arg, cmt_log_level level, const char *module,
                    const char *line) {
  cmt_log_level most = arg != NULL ? *(const cmt_log_level *)arg : CMT_LOG_INFO;
  char stamp[STAMP_SIZE], text[LINE_SIZE];
  int error = errno;
  int len;

  if (level > most) {
    return;
  }
  stamp_write(stamp);
  len =
    snprintf(text, sizeof text, "%s %-5s %s: %s\n", stamp, level_name(level),
             module != NULL ? module : "?", line != NULL ? line : "");
  if (len >= (int)sizeof text) {
    len = (int)sizeof text - 1;
    text[len - 1] = '\n';
  }
  /* One write is one line also beside other threads.  A log that cannot be
     written cannot be told to anybody. */
  cmt_ignore(write(STDERR_FILENO, text, (size_t)len) == len ? CMT_OK : CMT_EIO);
  errno = error;
}
