/* SPDX-License-Identifier: Apache-2.0 */
#include "processors.h"

#include <sched.h>

/* The call fails with more processors than the set has room for. */
unsigned cmt__processors(void) {
  cpu_set_t set;

  return sched_getaffinity(0, sizeof set, &set) == 0 ? (unsigned)CPU_COUNT(&set)
                                                     : 0;
}
