/* SPDX-License-Identifier: Apache-2.0 */

/* Growing arrays, the count of locks, and every text that the library makes for
   a person: escaped bytes, reasons and log lines.  Such a text is printable
   ASCII on one line, whatever went into it. */

#include "base.h"

#include "lock.h"

#include <stdarg.h>
#include <stdio.h>

/* Room for two addresses, an id and a reason. */
enum { LOG_LINE_SIZE = 1024 };

_Thread_local unsigned cmt__locks_held
  __attribute__((tls_model("initial-exec")));

void cmt__assert_unlocked(const cmt_env *env) {
  CMT_ASSERT(env, cmt__locks_held == 0);
}

/* Callers escape what a peer sent; this keeps the promise of one printable
   line even for one that forgot to. */
static void line_clean(char *text) {
  for (; *text != '\0'; text++) {
    if (*text < 32 || *text > 126) {
      *text = '?';
    }
  }
}

bool cmt__grow(const cmt_env *env, void **items, size_t *cap, size_t item,
               size_t first) {
  size_t wanted;
  void *grown;

  if (*cap > SIZE_MAX / 2) {
    return false;
  }
  wanted = cmt__max(first, 2 * *cap);
  if (item > 0 && wanted > SIZE_MAX / item) {
    return false;
  }
  grown = cmt__alloc(env, wanted * item);
  if (grown == NULL) {
    return false;
  }
  if (*cap > 0) {
    memcpy(grown, *items, *cap * item);
  }
  cmt__free(env, *items);
  *items = grown;
  *cap = wanted;
  return true;
}

size_t cmt__grow_max(size_t count, size_t first) {
  size_t cap = first;

  while (cap < count) {
    cap *= 2;
  }
  return cap > first ? cap + cap / 2 : cap;
}

cmt_err cmt__why(cmt_why *why, cmt_err err, cmt_stage stage, const char *fmt,
                 ...) {
  va_list args;

  if (why == NULL) {
    return err;
  }
  why->err = err;
  why->stage = stage;
  va_start(args, fmt);
  vsnprintf(why->text, sizeof why->text, fmt, args);
  va_end(args);
  line_clean(why->text);
  return err;
}

const char *cmt__quote(cmt_bytes in, char *out, size_t cap) {
  static const char dots[] = "...";

  if (cmt_text_escape(in, out, cap) >= cap && cap > sizeof dots) {
    cmt_text_escape(in, out, cap - strlen(dots));
    memcpy(out + strlen(out), dots, sizeof dots);
  }
  return out;
}

void cmt__log(const cmt_env *env, cmt_log_level level, const char *module,
              const char *fmt, ...) {
  char line[LOG_LINE_SIZE];
  va_list args;

  if (env == NULL || env->log == NULL) {
    return;
  }
  va_start(args, fmt);
  vsnprintf(line, sizeof line, fmt, args);
  va_end(args);
  line_clean(line);
  cmt__assert_unlocked(env);
  env->log(env->log_arg, level, module, line);
}
