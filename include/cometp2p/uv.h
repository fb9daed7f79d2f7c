/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_UV_H
#define CMT_UV_H

/* A switch on the libuv loop of an application, in place of a thread of its
   own.  This header needs no header of libuv. */

#include <cometp2p/switch.h>

#ifdef __cplusplus
extern "C" {
#endif

struct uv_loop_s; /* uv_loop_t of <uv.h>. */

/** Starts |s| on |loop|, borrowed until |s| is deleted, in place of
    cmt_switch_start().  All callbacks come from inside uv_run(); on_finished of
    the options is the last one, and from then on cmt_switch_delete() does not
    wait.  docs/guide/event-loop.md.

    Returns as cmt_switch_start(); CMT_EINVAL also when |loops| is not 1. */
CMT_API CMT_NODISCARD cmt_err cmt_switch_run_on(cmt_switch *s,
                                                struct uv_loop_s *loop,
                                                cmt_why *why);

#ifdef __cplusplus
}
#endif
#endif
