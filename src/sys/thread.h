/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__THREAD_H
#define CMT__THREAD_H

/* The threads of this library. */

#include <cometp2p/err.h>
#include <pthread.h>

/* Runs |run|(|arg|) on a thread of its own, which has all signals blocked.
   CMT_EIO: |why| states that |what| cannot be started, and the reason. */
CMT_NODISCARD cmt_err cmt__thread_start(pthread_t *out, void *(*run)(void *),
                                        void *arg, const char *what,
                                        cmt_why *why);
/* As cmt__thread_start(), but without a text: 0, or an errno. */
int cmt__thread_try(pthread_t *out, void *(*run)(void *), void *arg);

#endif
