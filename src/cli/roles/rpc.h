/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_RPC_H
#define CLI_RPC_H

/* What a node is, in the forms of CometBFT's RPC: /net_info, /status and
   /health by GET and by POST.  docs/PROTOCOL.md 15.  Any thread. */

#include "http.h"

typedef struct cli_rpc {
  cmt_switch *sw;
  const char *network; /* Only its peers are listed, */
  bool all;            /* or those of all networks. */
  const char *moniker, *version;
  const char *listen_addr; /* In the node info, */
  const char *external;    /* and as it was configured; "". */
  const cmt_channel *channels;
  size_t channel_count;
} cli_rpc;

/* The answer; without a body: the path is none of these. */
cli_http_answer cli_rpc_answer(const cli_rpc *r, const cli_http_request *q);

#endif
