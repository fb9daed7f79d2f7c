/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__MARK_H
#define CMT__MARK_H

/* Coverage marks on lines that are rarely reached, so that a test can assert
   that the line ran which it means to test: tests/support/marks.h.  Only builds
   with sanitizers contain them.  Each name marks one line. */

#ifdef CMT_MARKS

#include <stdatomic.h>
#include <stdint.h>

typedef struct cmt__mark {
  const char *name;
  _Atomic uint64_t reached;
} cmt__mark;

/* Its address lies in a section from which the linker makes a list. */
#define CMT__MARK(name_)                                                       \
  do {                                                                         \
    static cmt__mark mark_ = {.name = #name_};                                 \
    static cmt__mark *const listed_                                            \
      __attribute__((used, section("cmt_marks"))) = &mark_;                    \
                                                                               \
    atomic_fetch_add_explicit(&listed_->reached, 1, memory_order_relaxed);     \
  } while (0)

/* |when_| is not evaluated without marks. */
#define CMT__MARK_IF(when_, name_)                                             \
  do {                                                                         \
    if (when_) {                                                               \
      CMT__MARK(name_);                                                        \
    }                                                                          \
  } while (0)

#else

#define CMT__MARK(name_) ((void)0)
#define CMT__MARK_IF(when_, name_) ((void)0)

#endif

#endif
