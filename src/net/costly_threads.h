/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__COSTLY_THREADS_H
#define CMT__COSTLY_THREADS_H

/* Threads that run costly calls of one loop. */

#include "loop.h"

typedef struct cmt__costly_threads cmt__costly_threads;

/* At most |max| threads, none of which is started yet.  NULL: no memory. */
cmt__costly_threads *cmt__costly_threads_new(const cmt_env *env, unsigned max);
/* Runs |c| on one of them, then returns it.  False: not one can be started. */
CMT_NODISCARD bool cmt__costly_threads_add(cmt__costly_threads *t,
                                           cmt__costly *c);
/* Waits for the threads.  All calls were returned.  NULL is fine. */
void cmt__costly_threads_delete(cmt__costly_threads *t);

#endif
