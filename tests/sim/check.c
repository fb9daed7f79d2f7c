/* SPDX-License-Identifier: Apache-2.0 */

#include "check.h"

#include <stdarg.h>

const char *check_name(check_kind k) {
  static const char *const names[] = {
#define X(name, text, promise) text,
    CHECK_MAP(X)
#undef X
  };

  return names[k];
}

const char *check_promise(check_kind k) {
  static const char *const promises[] = {
#define X(name, text, promise) promise,
    CHECK_MAP(X)
#undef X
  };

  return promises[k];
}

void check_held(sim *s, check_kind k) { s->checks[k]++; }

void check_fail(sim *s, check_kind k, const char *fmt, ...) {
  char text[512];
  va_list args;

  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  sim_failed(s->seed, check_name(k), text);
}
