/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__STANDARD_FDS_H
#define CMT__STANDARD_FDS_H

#include <stdbool.h>

/* Opens /dev/null on those of the descriptors 0 to 2 that are closed, for the
   rest of the process: libuv aborts when one of them is a socket of its own.  A
   program that is executed later does not inherit them.  errno is kept; what
   cannot be opened is left. */
void cmt__standard_fds_hold(void);

/* Whether the process may open the descriptors that a loop of libuv begins
   with: libuv aborts when it gets some and not the others.  False: errno says
   why. */
bool cmt__loop_fds_are_left(void);

#endif
