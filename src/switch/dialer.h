/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__DIALER_H
#define CMT__DIALER_H

/* The dialer: makes the attempts of dials.  Of the first loop alone. */

#include "dial.h"

/* Makes the first attempt; takes |d|. */
void cmt__dialer_begin(cmt_dial *d);
/* The switch stops: no dial is left, now or soon. */
void cmt__dialer_stop(cmt_switch *s);

#endif
