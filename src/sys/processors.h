/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__PROCESSORS_H
#define CMT__PROCESSORS_H

/* On how many processors this thread may run; 0: unknown. */
unsigned cmt__processors(void);

#endif
