/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__DIALER_H
#define CMT__DIALER_H

/* The dialer: makes the attempts of dials.  Only loop 0 uses it. */

#include "dial.h"

/* Begins the first attempt of |first| and of each dial linked by
   |begin_next|. */
void cmt__dialer_begin(cmt_dial *first);
/* Ends and frees |first| and each dial linked by |cancel_next|, without an
   outcome. */
void cmt__dialer_cancel(cmt_dial *first);
/* Ends attempts that a ban covers, and begins dials whose ban has ended. */
void cmt__dialer_bans_changed(cmt_switch *s);
/* The switch stops: no dial goes on, now or soon. */
void cmt__dialer_stop(cmt_switch *s);

#endif
