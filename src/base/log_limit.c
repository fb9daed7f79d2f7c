/* SPDX-License-Identifier: Apache-2.0 */
#include "log_limit.h"

#include "base.h"

bool cmt__log_limit_take(cmt__log_limit *l, unsigned lines_max, uint64_t now_ns,
                         uint64_t *missed) {
  *missed = 0;
  if (now_ns >= l->end_ns) {
    *missed = l->left_out;
    *l = (cmt__log_limit){.end_ns = cmt__after(now_ns, CMT_SECONDS(1))};
  }
  if (l->lines == lines_max) {
    l->left_out++;
    return false;
  }
  l->lines++;
  return true;
}
