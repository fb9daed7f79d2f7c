/* SPDX-License-Identifier: Apache-2.0 */
#include "lock.h"

static void guard_lock(void *lock) { cmt__lock(lock); }

static void guard_unlock(void *lock) { cmt__unlock(lock); }

cmt__guard cmt__lock_guard(pthread_mutex_t *lock) {
  return (cmt__guard){.lock = guard_lock, .unlock = guard_unlock, .arg = lock};
}
