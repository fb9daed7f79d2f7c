/* SPDX-License-Identifier: Apache-2.0 */
#include "flag.h"

#include "lock.h"

#include <cometp2p/err.h>
#include <errno.h>

bool cmt__flag_init(cmt__flag *f) {
  f->raised = false;
  if (pthread_mutex_init(&f->lock, NULL) != 0) {
    return false;
  }
  if (!cmt__cond_init(&f->cond)) {
    pthread_mutex_destroy(&f->lock);
    return false;
  }
  return true;
}

void cmt__flag_fini(cmt__flag *f) {
  pthread_cond_destroy(&f->cond);
  pthread_mutex_destroy(&f->lock);
}

/* The condition is signalled under the lock: without it the thread that waits
   could be gone by then, and the flag with it. */
void cmt__flag_raise(cmt__flag *f) {
  cmt__lock(&f->lock);
  f->raised = true;
  pthread_cond_signal(&f->cond);
  cmt__unlock(&f->lock);
}

bool cmt__flag_wait(cmt__flag *f, uint64_t timeout_ns) {
  struct timespec at =
    cmt__cond_deadline(timeout_ns == CMT_NEVER ? 0 : timeout_ns);
  int error = 0;
  bool raised;

  cmt__lock(&f->lock);
  while (!f->raised && error != ETIMEDOUT) {
    error = timeout_ns == CMT_NEVER
              ? pthread_cond_wait(&f->cond, &f->lock)
              : pthread_cond_timedwait(&f->cond, &f->lock, &at);
  }
  raised = f->raised;
  cmt__unlock(&f->lock);
  return raised;
}
