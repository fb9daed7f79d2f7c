/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_TEST_MARKS_H
#define CMT_TEST_MARKS_H

/* How often the marked lines of the sources were reached.  A build without
   marks has none, and asserts nothing here. */

#include "test.h"

#include "base/mark.h"

size_t test_marks_count(void);
/* The name of the |i|th; |*reached|: how often. */
const char *test_marks_at(size_t i, uint64_t *reached);
/* How often it was reached so far; fails when no line has the mark. */
uint64_t test_mark(const char *name);
/* It was reached |times| times since it was |before|; once or more often. */
void assert_mark(const char *name, uint64_t before, uint64_t times);
void assert_mark_reached(const char *name, uint64_t before);

#endif
