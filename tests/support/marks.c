/* SPDX-License-Identifier: Apache-2.0 */
#include "marks.h"

#include <inttypes.h>

#ifdef CMT_MARKS

/* The linker defines them where there is a mark. */
extern cmt__mark *const __start_cmt_marks[] __attribute__((weak));
extern cmt__mark *const __stop_cmt_marks[] __attribute__((weak));

size_t test_marks_count(void) {
  return __start_cmt_marks == NULL
           ? 0
           : (size_t)(__stop_cmt_marks - __start_cmt_marks);
}

const char *test_marks_at(size_t i, uint64_t *reached) {
  cmt__mark *m = __start_cmt_marks[i];

  *reached = atomic_load(&m->reached);
  return m->name;
}

#else

size_t test_marks_count(void) { return 0; }

const char *test_marks_at(size_t i, uint64_t *reached) {
  (void)i;
  *reached = 0;
  return "";
}

#endif

uint64_t test_mark(const char *name) {
  size_t count = test_marks_count();
  uint64_t reached = 0;

  for (size_t i = 0; i < count; i++) {
    if (strcmp(test_marks_at(i, &reached), name) == 0) {
      return reached;
    }
  }
  if (count > 0) {
    fail_msg("no line has the mark %s", name);
  }
  return 0;
}

void assert_mark(const char *name, uint64_t before, uint64_t times) {
  uint64_t reached = test_mark(name) - before;

  if (test_marks_count() > 0 && reached != times) {
    fail_msg("%s was reached %" PRIu64 " times, not %" PRIu64, name, reached,
             times);
  }
}

void assert_mark_reached(const char *name, uint64_t before) {
  if (test_marks_count() > 0 && test_mark(name) == before) {
    fail_msg("%s was not reached", name);
  }
}
