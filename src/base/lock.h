/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__LOCK_H
#define CMT__LOCK_H

/* The locks of the library, and the rule that they have in common: no code of
   the application runs while a thread holds one.  Releases of buffers,
   destructors of values, callbacks and log lines may call everything and may
   take locks of the application, which another thread may hold while it calls
   us.  What is to be let go is moved out under the lock and let go after it.
   Hooks of the allocator and of a panic are the exceptions (env.h).

   Each thread counts the locks that it holds, and whatever is about to run code
   of the application looks at the count. */

#include <pthread.h>

/* How many locks the thread holds.  The model of access spares each lock and
   each release a call into the dynamic linker. */
extern _Thread_local unsigned cmt__locks_held
  __attribute__((tls_model("initial-exec")));

static inline void cmt__lock(pthread_mutex_t *lock) {
  pthread_mutex_lock(lock);
  cmt__locks_held++;
}

static inline void cmt__unlock(pthread_mutex_t *lock) {
  cmt__locks_held--;
  pthread_mutex_unlock(lock);
}

#endif
