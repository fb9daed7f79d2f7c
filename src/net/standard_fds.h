/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__STANDARD_FDS_H
#define CMT__STANDARD_FDS_H

/* Opens /dev/null on those of the descriptors 0 to 2 that are closed, for the
   rest of the process: libuv aborts when one of them is a socket of its own.  A
   program that is executed later does not inherit them.  errno is kept; what
   cannot be opened is left. */
void cmt__standard_fds_hold(void);

#endif
