/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__LOG_LIMIT_H
#define CMT__LOG_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

/* How many lines of one kind the log has had in the present second, and how
   many were left out.  Zeroed at first. */
typedef struct cmt__log_limit {
  uint64_t end_ns; /* When the second is over. */
  unsigned lines;
  uint64_t left_out;
} cmt__log_limit;

/* Returns whether one more line may be written; false when the second has had
   |lines_max|.  |*missed| counts the lines of the last second that were left
   out; 0: there were none, or it was given before. */
bool cmt__log_limit_take(cmt__log_limit *l, unsigned lines_max, uint64_t now_ns,
                         uint64_t *missed);

#endif
