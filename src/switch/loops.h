/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__LOOPS_H
#define CMT__LOOPS_H

/* The loops of a switch, each with its thread. */

#include "state.h"

/* Where the next peer should live: an index of |threads|. */
unsigned cmt__loops_pick(const cmt_switch *s);
/* Makes the loop threads, on |loops| unless that is NULL. */
CMT_NODISCARD cmt_err cmt__loops_init(cmt_switch *s, cmt__loop *const *loops);
/* Makes the loops that are not there, then starts the threads. */
CMT_NODISCARD cmt_err cmt__loops_open(cmt_switch *s, cmt_why *why);
CMT_NODISCARD cmt_err cmt__loops_start(cmt_switch *s, cmt_why *why);
/* How many public-key operations of handshakes others than the first loop may
   have at one time. */
size_t cmt__loops_help_max(const cmt_switch *s);
/* Ends all threads, from one of them. */
void cmt__loops_stop(cmt_switch *s);
/* Waits until they have ended, and logs now and then what for. */
void cmt__loops_join(cmt_switch *s);
/* Drops the events that wait in mailboxes and waits for those that are out;
   logs now and then what for. */
void cmt__loops_await_events(cmt_switch *s);
/* Deletes the loops that are the switch's own. */
void cmt__loops_fini(cmt_switch *s);

#endif
