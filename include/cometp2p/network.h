/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_NETWORK_H
#define CMT_NETWORK_H

/* Networks: what a switch is to nodes of other chains than its own, on the same
   port and with the same id.  Everything here may be called from any thread and
   from any callback.  docs/guide/networks.md, docs/PROTOCOL.md 3.4.

   As soon as a switch has one, its node info on accepted connections waits for
   that of the dialer, at most 1 s and a third of |handshake_timeout_ns|, and
   answers as the network that it names.  A dialer that names none of them, or
   nothing in time, meets the |network| of the switch.  Which one a peer has
   chosen is in cmt_peer_node_info(). */

#include <cometp2p/reactor.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
  CMT_NETWORKS_MAX = 1024,  /**< Networks of one switch. */
  CMT_NETWORK_NAME_MAX = 50 /**< Bytes of a chain id, as in a genesis file. */
};

/** Fill with cmt_network_init(), then set |name|. */
typedef struct cmt_network {
  size_t size;
  const char *name;        /**< The chain id. */
  const char *moniker;     /**< NULL: that of the switch. */
  uint64_t protocol_block; /**< 0: that of the switch. */
  uint64_t protocol_app;   /**< 0: that of the switch. */
  /** The channels that it announces, among those of the reactors.  NULL: all of
      them. */
  const uint8_t *channels;
  size_t channel_count;
  /** Announces the block version of the other side, and of the channels above
      those that it has, so that any node of the network accepts us.  A dial
      waits for the node info of the other side, too: at most 2 s and two thirds
      of |handshake_timeout_ns|. */
  bool mirror;
} cmt_network;

#define cmt_network_init(n) cmt_network_init_sized((n), sizeof *(n))
CMT_API void cmt_network_init_sized(cmt_network *n, size_t size);

/** Adds a copy of |n|, in place of one with its name; connections that are up
    stay as they are.  With the |network| of the switch itself as its name, it
    changes what that announces.

    Returns CMT_OK; CMT_EINVAL: |why| (may be NULL) names the field;
    CMT_ELIMIT: CMT_NETWORKS_MAX others exist; CMT_ENOMEM. */
CMT_API CMT_NODISCARD cmt_err cmt_switch_set_network(cmt_switch *s,
                                                     const cmt_network *n,
                                                     cmt_why *why);

/** Removes the network of that name: it is not answered any more, and attempts
    of its dials fail.  Its peers stay.  Returns whether there was one. */
CMT_API bool cmt_switch_remove_network(cmt_switch *s, const char *name);

/** Writes up to |cap| names, each with its NUL, to |out|; returns how many
    networks there are, without that of the switch itself. */
CMT_API size_t cmt_switch_networks(cmt_switch *s,
                                   char (*out)[CMT_NETWORK_NAME_MAX + 1],
                                   size_t cap);

#ifdef __cplusplus
}
#endif
#endif
