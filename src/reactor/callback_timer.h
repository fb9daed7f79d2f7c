/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__CALLBACK_TIMER_H
#define CMT__CALLBACK_TIMER_H

/* Measures the callbacks of the application on one loop, and knows which one
   is running.  Everything belongs to the thread of the loop but
   cmt__callback_running().

   The time is that of the coarse clock, which is read from memory; a tick of it
   takes a few milliseconds.  A call during which that clock steps back took no
   time. */

#include "base/base.h"

#include <stdatomic.h>

typedef struct cmt__callback_timer {
  const cmt_env *env;
  /* A callback took too long; the log has it already. */
  void (*on_slow)(void *arg);
  void *arg;
  const char *_Atomic running; /* Whose function runs now; or NULL. */
  uint64_t began_ns;
  int channel; /* The channel of the message; -1: the callback has none. */
} cmt__callback_timer;

/* Go around each call of a function of the application: |who| names it and
   lives at least as long as the call; |channel| is that of its message, or
   -1. */
void cmt__callback_begin(cmt__callback_timer *t, const char *who, int channel);
void cmt__callback_end(cmt__callback_timer *t);
/* Who is being called; NULL: nobody.  Any thread. */
const char *cmt__callback_running(const cmt__callback_timer *t);

#endif
