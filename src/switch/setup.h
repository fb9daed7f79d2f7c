/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__SETUP_H
#define CMT__SETUP_H

/* The options of a switch, checked and copied. */

#include "floors.h"
#include "link/link.h"
#include "reactor/reactor_list.h"

#include <cometp2p/switch.h>

/* Copies of what the options point to, and what follows from them. */
typedef struct cmt__switch_setup {
  cmt_switch_options options; /* For its numbers and callbacks. */
  cmt__reactor_list reactors; /* And their channels. */
  cmt__floors floors;         /* What peers share of the memory. */
  cmt_conn_group *group;      /* What all connections have in common. */
  cmt__link_options link;     /* Common to all links. */
  char *network, *moniker, *version, *external_address, *congestion;
  /* In small letters.  The list changes under the lock of the switch, and its
     length does for whoever only asks how many there are. */
  cmt_node_id *unconditional;
  _Atomic size_t unconditional_count;
  cmt_node_key *key; /* A reference of ours. */
  cmt_node_id id;
  bool listens;       /* An address was given, */
  bool bound;         /* and is in use: |laddr| is final.  Under the lock. */
  cmt_net_addr laddr; /* As asked for, then as bound. */
  char listen_addr[8 + CMT_NET_ADDR_TEXT_SIZE]; /* For the node info. */
} cmt__switch_setup;

/* Checks |o|; everything that a connection will be made with is known to be
   good then.  |loop| is the first loop; NULL: it will be one on libuv. */
CMT_NODISCARD cmt_err cmt__setup_init(cmt__switch_setup *s, const cmt_env *env,
                                      const cmt_switch_options *o,
                                      cmt__loop *loop, cmt_why *why);
/* Copies a list of those that pass every cap.  CMT_EINVAL; CMT_ENOMEM. */
CMT_NODISCARD cmt_err cmt__unconditional_copy(const cmt_env *env,
                                              const cmt_node_id *ids,
                                              size_t count, cmt_node_id **out,
                                              cmt_why *why);
void cmt__setup_fini(cmt__switch_setup *s, const cmt_env *env);
/* CMT_EINVAL unless |o| asks for one loop. */
CMT_NODISCARD cmt_err cmt__setup_one_loop(const cmt_switch_options *o,
                                          cmt_why *why);
/* Where it listens, after port 0 was replaced. */
void cmt__setup_set_laddr(cmt__switch_setup *s, const cmt_net_addr *at);
/* What connections are made with; |info| is theirs for the call. */
void cmt__setup_conn_options(const cmt__switch_setup *s, const cmt_env *env,
                             cmt_node_info *info, cmt_conn_options *out);

#endif
