/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__LOOP_UV_H
#define CMT__LOOP_UV_H

/* The production loop, on libuv; the only caller of uv_*. */

#include "net/loop.h"

struct uv_loop_s;

/* CMT_EIO of these two has an errno. */
CMT_NODISCARD cmt_err cmt__loop_uv_new(const cmt_env *env, cmt__loop **out);

/* A loop on |uv|, which is the caller's and which the caller runs:
   cmt__loop_run() and cmt__loop_stop() are not for it.  |inside| is called when
   callbacks begin and end on that thread. */
CMT_NODISCARD cmt_err cmt__loop_uv_new_on(const cmt_env *env,
                                          struct uv_loop_s *uv,
                                          void (*inside)(bool is_inside),
                                          cmt__loop **out);

/* cmt__loop_congestion_check() of any such loop, also before there is one. */
int cmt__loop_uv_congestion_check(const char *name);

/* Closes the handles of a loop on the caller's; every tcp, listener and resolve
   was closed before.  |cb| is called once libuv has released them all, and may
   delete the loop.  Deleted earlier, the loop frees itself at that time, and
   |cb| never comes. */
void cmt__loop_uv_close(cmt__loop *l, void (*cb)(void *arg), void *arg);

/* Bytes of memory for a connection. */
size_t cmt__loop_uv_tcp_bytes(void);

#endif
