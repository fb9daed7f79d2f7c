/* SPDX-License-Identifier: Apache-2.0 */
#include "lock.h"

#ifdef PTHREAD_ADAPTIVE_MUTEX_INITIALIZER_NP
enum { BRIEF = PTHREAD_MUTEX_ADAPTIVE_NP };
#else
enum { BRIEF = PTHREAD_MUTEX_NORMAL };
#endif

bool cmt__lock_init_brief(pthread_mutex_t *lock) {
  pthread_mutexattr_t attr;
  bool ok;

  if (pthread_mutexattr_init(&attr) != 0) {
    return false;
  }
  ok = pthread_mutexattr_settype(&attr, BRIEF) == 0 &&
       pthread_mutex_init(lock, &attr) == 0;
  pthread_mutexattr_destroy(&attr);
  return ok;
}

static void guard_lock(void *lock) { cmt__lock(lock); }

static void guard_unlock(void *lock) { cmt__unlock(lock); }

cmt__guard cmt__lock_guard(pthread_mutex_t *lock) {
  return (cmt__guard){.lock = guard_lock, .unlock = guard_unlock, .arg = lock};
}
