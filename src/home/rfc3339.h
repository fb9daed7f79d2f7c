/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__RFC3339_H
#define CMT__RFC3339_H

/* Instants as the files of CometBFT have them, such as
   "2026-11-22T05:45:38.203814737Z". */

#include "base/base.h"

enum { CMT__TIME_TEXT_SIZE = 40 };

/* Nanoseconds since 1970; 0 for anything earlier, such as the zero time of Go
   in the year 1, and the last instant of 64 bits for anything later.  False:
   |text| is no instant. */
bool cmt__time_read(cmt_bytes text, uint64_t *out);
/* Writes the instant in UTC without final zeros; 0 as Go's zero time. */
void cmt__time_write(uint64_t ns, char out[CMT__TIME_TEXT_SIZE]);

#endif
