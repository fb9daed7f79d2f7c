/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__FLAG_H
#define CMT__FLAG_H

/* A flag that one thread waits for and another raises, once.  Raising it wakes
   the thread once, and only if it sleeps.  The waiting thread needs no lock to
   go on, and may free the flag as soon as its wait has returned: whoever raises
   it does not touch it after that. */

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct cmt__flag {
  atomic_uint state; /* 0 at first. */
} cmt__flag;

void cmt__flag_raise(cmt__flag *f);
/* Waits |timeout_ns| at most; CMT_NEVER: as long as it takes.  False: it was
   not raised in time. */
bool cmt__flag_wait(cmt__flag *f, uint64_t timeout_ns);

#endif
