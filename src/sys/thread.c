/* SPDX-License-Identifier: Apache-2.0 */

/* Threads.  A thread inherits the signal mask of its creator. */

#include "thread.h"

#include "base/base.h"

#include <signal.h>
#include <string.h>

int cmt__thread_try(pthread_t *out, void *(*run)(void *), void *arg) {
  sigset_t all, before;
  int error;

  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  error = pthread_create(out, NULL, run, arg);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return error;
}

cmt_err cmt__thread_start(pthread_t *out, void *(*run)(void *), void *arg,
                          const char *what, cmt_why *why) {
  char text[sizeof why->text];
  int error = cmt__thread_try(out, run, arg);

  return error == 0
           ? CMT_OK
           : cmt__why(why, CMT_EIO, CMT_STAGE_TRANSPORT, "cannot start %s: %s",
                      what, strerror_r(error, text, sizeof text));
}
