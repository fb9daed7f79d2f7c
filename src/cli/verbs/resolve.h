/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_RESOLVE_H
#define CLI_RESOLVE_H

/* Names to addresses, without holding up a signal. */

#include "cli/ui/wait.h"

#include <cometp2p/net_addr.h>

#include <sys/socket.h>

enum { CLI_ADDRESSES_MAX = 16 };

typedef struct cli_address {
  struct sockaddr_storage storage;
  socklen_t len;
  char text[CMT_NET_ADDR_TEXT_SIZE]; /* "IP:PORT" */
} cli_address;

/* Writes the addresses of |addr| to |out|, at most CLI_ADDRESSES_MAX, within
   |timeout_ns|; returns how many; 0: |why| has the reason, or a signal came. */
size_t cli_resolve(const cmt_net_addr *addr, cli_waiter *wait,
                   uint64_t timeout_ns, cli_address *out, cmt_why *why);

#endif
