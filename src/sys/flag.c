/* SPDX-License-Identifier: Apache-2.0 */

/* A condition of POSIX is signalled under its mutex when the thread that waits
   may free both, and then that thread wakes up only to wait for the mutex: two
   more context switches where both threads share a processor. */

#include "flag.h"

#include "cond.h"

#include <cometp2p/err.h>
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { DOWN, AWAITED, RAISED };

/* With times of the size of a time_t, which the older call does not have on
   32-bit machines. */
#ifdef SYS_futex_time64
enum {
  CALL = sizeof(time_t) > sizeof(long) ? SYS_futex_time64 : SYS_futex,
};
#else
enum { CALL = SYS_futex };
#endif

/* The futex is only an address for the system, so it does not matter that the
   flag may be gone by then. */
void cmt__flag_raise(cmt__flag *f) {
  atomic_uint *state = &f->state;

  if (atomic_exchange_explicit(state, RAISED, memory_order_acq_rel) ==
      AWAITED) {
    (void)syscall(CALL, state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
  }
}

/* False: |at| has passed. */
static bool flag_sleep(cmt__flag *f, const struct timespec *at) {
  return syscall(CALL, &f->state, FUTEX_WAIT_BITSET_PRIVATE, AWAITED, at, NULL,
                 FUTEX_BITSET_MATCH_ANY) == 0 ||
         errno != ETIMEDOUT;
}

static bool flag_is_raised(cmt__flag *f) {
  return atomic_load_explicit(&f->state, memory_order_acquire) == RAISED;
}

bool cmt__flag_wait(cmt__flag *f, uint64_t timeout_ns) {
  struct timespec at =
    cmt__cond_deadline(timeout_ns == CMT_NEVER ? 0 : timeout_ns);
  unsigned before = DOWN;

  (void)atomic_compare_exchange_strong(&f->state, &before, AWAITED);
  while (!flag_is_raised(f)) {
    if (!flag_sleep(f, timeout_ns == CMT_NEVER ? NULL : &at)) {
      break;
    }
  }
  return flag_is_raised(f);
}
