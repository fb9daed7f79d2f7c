/* SPDX-License-Identifier: Apache-2.0 */

/* Timers and posts of the application on the first loop of a switch. */

#include "state.h"

cmt_err cmt_switch_timer(cmt_switch *s, cmt_timer *t, uint64_t after_ns) {
  if (s == NULL || t == NULL) {
    return CMT_EINVAL;
  }
  return cmt__calls_set(&s->calls, t, after_ns);
}

bool cmt_switch_timer_cancel(cmt_switch *s, cmt_timer *t) {
  return s != NULL && t != NULL && cmt__calls_cancel(&s->calls, t);
}

cmt_err cmt_switch_post(cmt_switch *s, cmt_post *p) {
  if (s == NULL || p == NULL) {
    return CMT_EINVAL;
  }
  return cmt__calls_post(&s->calls, p);
}
