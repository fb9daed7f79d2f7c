/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__DIALER_H
#define CMT__DIALER_H

/* The dialer: makes the attempts of dials.  Of the first loop alone. */

#include "dial.h"

/* |first| and what follows it by |begin_next| make their first attempts. */
void cmt__dialer_begin(cmt_dial *first);
/* Ends and frees those by |cancel_next|, without outcomes. */
void cmt__dialer_cancel(cmt_dial *first);
/* Attempts that a ban covers end, and dials that waited for one begin. */
void cmt__dialer_bans_changed(cmt_switch *s);
/* The switch stops: no dial goes on, now or soon. */
void cmt__dialer_stop(cmt_switch *s);

#endif
