/* SPDX-License-Identifier: Apache-2.0 */

/* Where the points of a trace go, in a build that has them. */

#include "trace.h"

#ifdef CMT_TRACE

#include <stddef.h>

void (*cmt__trace_note)(cmt__trace_point point, uint64_t a, uint64_t b);

#endif
