/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__GUARD_H
#define CMT__GUARD_H

/* Locking as the core knows it: what several threads may share is changed under
   a guard that its owner brings.  The guard of an owner with one thread locks
   nothing.

   The locks of the library (sys/lock.h) have a rule in common: no code of the
   application runs while a thread holds one.  Releases of buffers, destructors
   of values, callbacks and log lines may call everything and may take locks of
   the application, which another thread may hold while it calls us.  An object
   to be released is moved out under the lock and released afterwards.  The
   hooks of the memory and of a panic are the exceptions (env.h).

   Each thread counts the locks that it holds, and before code of the
   application runs, the count is asserted to be 0. */

#include <stddef.h>

/* How many locks the thread holds.  This TLS model avoids a call into the
   dynamic linker with each lock and unlock. */
extern _Thread_local unsigned cmt__locks_held
  __attribute__((tls_model("initial-exec")));

typedef struct cmt__guard {
  void (*lock)(void *arg); /* NULL: there is one thread. */
  void (*unlock)(void *arg);
  void *arg;
} cmt__guard;

static inline void cmt__guard_lock(const cmt__guard *g) {
  if (g->lock != NULL) {
    g->lock(g->arg);
  }
}

static inline void cmt__guard_unlock(const cmt__guard *g) {
  if (g->lock != NULL) {
    g->unlock(g->arg);
  }
}

#endif
