/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__STANDARD_FDS_H
#define CMT__STANDARD_FDS_H

/* Opens /dev/null on those of the descriptors 0 to 2 that are closed, for the
   rest of the process: libuv aborts when one of them is a socket of its own.  A
   program that is executed later does not inherit them.  errno is kept; what
   cannot be opened is left. */
void cmt__standard_fds_hold(void);

enum {
  /* What a loop of libuv begins with, and two to spare: libuv aborts when it
     gets some of them and not the others. */
  CMT__LOOP_FDS = 8,
  CMT__FDS_MAX = 16, /* The most that can be asked about. */
};

/* How many descriptors the process may open, at most |wanted| of them.  Fewer:
   errno says why. */
unsigned cmt__fds_left(unsigned wanted);

#endif
