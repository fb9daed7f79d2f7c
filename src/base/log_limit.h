/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__LOG_LIMIT_H
#define CMT__LOG_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

/* How many lines of one kind were logged in the present second, and how many
   were suppressed.  Zeroed at first. */
typedef struct cmt__log_limit {
  uint64_t end_ns; /* When the second is over. */
  unsigned lines;
  uint64_t left_out;
} cmt__log_limit;

/* Returns whether one more line may be written; false when |lines_max| were
   written in this second.  |*missed| counts the lines of the last second that
   were suppressed; 0: there were none, or their number was returned before. */
bool cmt__log_limit_take(cmt__log_limit *l, unsigned lines_max, uint64_t now_ns,
                         uint64_t *missed);

#endif
