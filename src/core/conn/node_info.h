/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__NODE_INFO_H
#define CMT__NODE_INFO_H

/* Encoding of node infos.  docs/PROTOCOL.md 3.1. */

#include "base/bytes.h"

#include <cometp2p/node_info.h>

/* The listening address of a node that does not listen. */
#define CMT__NOT_LISTENING "tcp://0.0.0.0:0"

/* The bytes of |i| without a prefix. */
size_t cmt__node_info_size(const cmt_node_info *i);
void cmt__node_info_encode(const cmt_node_info *i, cmt__writer *w);

/* Points |out| into |in|.  False when |in| is malformed. */
bool cmt__node_info_decode(cmt_bytes in, cmt_node_info *out);

/* A copy in one allocation that cmt__free() of |env| frees; NULL when it
   fails. */
cmt_node_info *cmt__node_info_clone(const cmt_env *env, const cmt_node_info *i);

#endif
