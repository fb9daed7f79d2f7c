/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_NODE_INFO_H
#define CMT_NODE_INFO_H

/* The node info: how a node describes itself once a connection is
   authenticated.  docs/PROTOCOL.md section 3.  A node info is plain data; every
   function may be called from any thread. */

#include <cometp2p/buf.h>
#include <cometp2p/net_addr.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  CMT_NODE_INFO_MAX = 10240,      /**< Encoded bytes, without the prefix. */
  CMT_NODE_INFO_CHANNELS_MAX = 16 /**< Channels that a node may have. */
};

/** The fields of docs/PROTOCOL.md 3.1.  Text may hold any byte until
    cmt_node_info_validate() has passed.  The creator of the struct owns the
    bytes; a node info of a connection lives as long as the connection
    object. */
typedef struct cmt_node_info {
  uint64_t protocol_p2p, protocol_block, protocol_app;
  cmt_bytes id; /**< 40 lower-case hex digits in a valid one. */
  cmt_bytes listen_addr;
  cmt_bytes network;
  cmt_bytes version;
  cmt_bytes channels; /**< One byte a channel. */
  cmt_bytes moniker;
  cmt_bytes tx_index; /**< "", "on" or "off". */
  cmt_bytes rpc_address;
} cmt_node_info;

/**
 * The checks of docs/PROTOCOL.md 3.3 item 3 in their order.  |listen_addr| is
 * checked for syntax and never resolved.
 *
 * Returns    CMT_OK; CMT_ENODEINFO: |why| (may be NULL) names the field, what
 *            was found and what is allowed; CMT_EINVAL: |i| is NULL, or a field
 *            has a length and no bytes.
 */
CMT_API CMT_NODISCARD cmt_err cmt_node_info_validate(const cmt_node_info *i,
                                                     cmt_why *why);

/**
 * The checks of docs/PROTOCOL.md 3.3 item 6: block version, network, and a
 * common channel unless ours has none.
 *
 * Returns    CMT_OK; CMT_ENETWORK: another network; CMT_EINCOMPATIBLE: another
 *            block version, or no common channel; CMT_EINVAL: as above, for
 *            either of them.  |why| (may be NULL) has both values.
 */
CMT_API CMT_NODISCARD cmt_err cmt_node_info_compatible(
  const cmt_node_info *theirs, const cmt_node_info *ours, cmt_why *why);

#ifdef __cplusplus
}
#endif
#endif
