/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_UV_H
#define CMT_UV_H

/* A switch on the libuv loop of an application, in place of a thread of its
   own.  This header needs no header of libuv. */

#include <cometp2p/switch.h>

#ifdef __cplusplus
extern "C" {
#endif

struct uv_loop_s; /* The uv_loop_t of <uv.h>. */

/**
 * Starts |s| on |loop|, in place of cmt_switch_start(); returns at once, and
 * everything happens while the application runs |loop|.
 *
 * All callbacks of reactors and of the options come from inside uv_run(), on
 * its thread, which counts as the loop of a switch while one runs: there, and
 * only there, what would wait says CMT_EDEADLK.  Nothing of the switch blocks
 * |loop|, stops or closes it, looks at |loop|->data, or can raise SIGPIPE.
 * Any number of switches may share a loop.  cmt_peer_send() from the
 * application's own callbacks on |loop| would wait for itself: use
 * cmt_peer_try_send() or cmt_peer_send_async() on that thread.
 *
 * The handles of the switch keep uv_run() from returning until it has
 * finished.  So the end is:
 *
 *   1. cmt_switch_stop(), on any thread and from any callback.
 *   2. The loop runs on.  Peers are flushed and removed, the reactors are
 *      stopped, and all handles are closed.  Then on_finished of the options
 *      is called; uv_run() returns unless the application has handles of its
 *      own.
 *   3. cmt_switch_delete(), from inside on_finished, or on any thread after
 *      it or after that return of uv_run().  It does not wait; called earlier
 *      it returns CMT_EDEADLK and has changed nothing.
 *
 * Call it on the thread that runs |loop|, or before any does.
 *
 * Returns    as cmt_switch_start(); CMT_EINVAL also when |loops| of its options
 *            is not 1.  After an error, which calls no on_finished,
 *            cmt_switch_delete() succeeds at once; |loop| must
 *            run once more before uv_loop_close(), to let go of what was
 *            begun, and the environment of |s| live until then.
 * Ownership  |loop| is borrowed until |s| is deleted.
 */
CMT_API CMT_NODISCARD cmt_err cmt_switch_run_on(cmt_switch *s,
                                                struct uv_loop_s *loop,
                                                cmt_why *why);

#ifdef __cplusplus
}
#endif
#endif
