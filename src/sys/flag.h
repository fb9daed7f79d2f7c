/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__FLAG_H
#define CMT__FLAG_H

/* A flag that one thread waits for and another raises, once.  The waiting
   thread needs no other lock to go on, and may free the flag as soon as its
   wait has returned. */

#include "cond.h"

typedef struct cmt__flag {
  pthread_mutex_t lock;
  pthread_cond_t cond;
  bool raised;
} cmt__flag;

/* False: no memory. */
bool cmt__flag_init(cmt__flag *f);
void cmt__flag_fini(cmt__flag *f);
void cmt__flag_raise(cmt__flag *f);
/* Waits |timeout_ns| at most; CMT_NEVER: as long as it takes.  False: it was
   not raised in time. */
bool cmt__flag_wait(cmt__flag *f, uint64_t timeout_ns);

#endif
