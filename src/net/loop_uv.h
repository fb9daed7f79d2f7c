/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__LOOP_UV_H
#define CMT__LOOP_UV_H

/* The production loop, on libuv; the only caller of uv_*. */

#include "loop.h"

CMT_NODISCARD cmt_err cmt__loop_uv_new(const cmt_env *env, cmt__loop **out);

#endif
