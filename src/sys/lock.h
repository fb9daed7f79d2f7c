/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__LOCK_H
#define CMT__LOCK_H

/* The locks of the library.  base/guard.h has the rule for what may run under
   one. */

#include "base/guard.h"

#include <pthread.h>
#include <stdbool.h>

static inline void cmt__lock(pthread_mutex_t *lock) {
  pthread_mutex_lock(lock);
  cmt__locks_held++;
}

static inline void cmt__unlock(pthread_mutex_t *lock) {
  cmt__locks_held--;
  pthread_mutex_unlock(lock);
}

/* A lock that is held for some instructions at a time: whoever finds it held
   spins for a moment before it sleeps, where the system can do that.  False: no
   memory. */
bool cmt__lock_init_brief(pthread_mutex_t *lock);

/* A guard for the core, of a lock that outlives what it guards. */
cmt__guard cmt__lock_guard(pthread_mutex_t *lock);

#endif
