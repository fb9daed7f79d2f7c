/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__CONN_H
#define CMT__CONN_H

/* What a switch and its peers use of a connection besides the public calls: its
   options checked ahead, its memory, and its last numbers. */

#include "core/mux/channel.h"
#include "core/secret/secret_conn.h"

#include <cometp2p/conn.h>

/* All that can be wrong with options whose channels are those of |group|;
   CMT_EINVAL, and |why| names the option. */
CMT_NODISCARD cmt_err cmt__conn_options_check(const cmt_conn_options *o,
                                              const cmt_conn_group *group,
                                              cmt_why *why);

/* cmt_conn_compute() in parts, for a connection that wants it: see
   cmt__computation.  |c| is NULL when it was deleted meanwhile. */
void cmt__conn_compute_begin(cmt_conn *c, cmt__computation *x);
void cmt__conn_compute_end(const cmt_conn *c, cmt__computation *x);

/* The last status of its channels, and |rest|, as cmt__channels_retire().  The
   connection has ended, or is refused: no message goes either way any more. */
cmt__channel_last *cmt__conn_retire(cmt_conn *c, cmt__channels_rest *rest);

/* Fetches into the cache what an iteration that writes needs: the connection
   itself, once that is there its parts, and then what these point to. */
enum { CMT__CONN_STEP_ITSELF, CMT__CONN_STEP_PARTS, CMT__CONN_STEP_REST };
void cmt__conn_fetch(const cmt_conn *c, unsigned step);

/* cmt_conn_read_max() before the connection is up. */
enum { CMT__HANDSHAKE_READ_MAX = 8192 };

/* Most bytes that a connection made with |o| takes, without messages: once it
   is up, and in its handshake. */
size_t cmt__conn_memory(const cmt_conn_options *o);
size_t cmt__conn_handshake_memory(const cmt_conn_options *o);

/* Our node info as it was sent, or is to be sent; NULL: it is not known any
   more. */
const cmt_node_info *cmt__conn_own_node_info(const cmt_conn *c);

/* Bytes of payload that the packet parser copied anywhere but into a message,
   since the start. */
uint64_t cmt__conn_copied(const cmt_conn *c);

#endif
