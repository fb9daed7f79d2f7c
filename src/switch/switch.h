/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__SWITCH_H
#define CMT__SWITCH_H

/* A switch on given loops, its start and its end. */

#include "state.h"

/* A switch on |loop|, which the caller runs and which outlives it.  No thread
   is made, and cmt_switch_delete() needs cmt__switch_is_finished() once it was
   started.  CMT_EINVAL: |loops| of the options is not 1. */
CMT_NODISCARD cmt_err cmt__switch_new_on(const cmt_switch_options *o,
                                         cmt__loop *loop, cmt_switch **out,
                                         cmt_why *why);
/* Makes a switch on as many loops as |loops| of the options, which may be run
   by one thread or each by its own. */
CMT_NODISCARD cmt_err cmt__switch_new_on_each(const cmt_switch_options *o,
                                              cmt__loop *const *loops,
                                              cmt_switch **out, cmt_why *why);
/* Whether a start makes sense: CMT_EINVAL: there was one; CMT_ECLOSED: it was
   stopped. */
CMT_NODISCARD cmt_err cmt__switch_may_start(cmt_switch *s, cmt_why *why);
/* A start failed: whoever waits for an event is woken. */
void cmt__switch_never_starts(cmt_switch *s);
/* On the thread of the loop. */
bool cmt__switch_is_finished(const cmt_switch *s);
/* Reserves the timer at which bans end, until cmt__switch_bans_stop(). */
CMT_NODISCARD cmt_err cmt__switch_bans_start(cmt_switch *s, cmt_why *why);
/* On the first loop: ends what bans cover now, and begins what waited. */
void cmt__switch_bans_apply(cmt_switch *s);
/* The switch stops, or is deleted without a start. */
void cmt__switch_bans_stop(cmt_switch *s);
/* Closes what lies on the caller's libuv loop; on_finished follows. */
void cmt__switch_let_go(cmt_switch *s);
/* Whether handles of the switch are still on that loop. */
bool cmt__switch_has_uv_handles(cmt_switch *s);

#endif
