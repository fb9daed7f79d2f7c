/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__SECRET_MEMORY_H
#define CMT__SECRET_MEMORY_H

/* The system's memory for secrets, as the hooks of an environment: pages of
   their own with guard pages around them, which stay out of core dumps and are
   locked, so that they never reach the disk.  A refusal of the system to lock
   so much memory is no error. */

#include <stdbool.h>
#include <stddef.h>

void *cmt__secret_memory_alloc(void *arg, size_t len, bool *locked);
void cmt__secret_memory_free(void *arg, void *p, size_t len);
void cmt__secret_memory_protect(void *arg, void *p, size_t len, bool on);

#endif
