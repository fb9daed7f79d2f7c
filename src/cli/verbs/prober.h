/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_PROBER_H
#define CLI_PROBER_H

/* One connection of probe: a socket under a cmt_conn, driven by poll(). */

#include "cli/ui/options.h"
#include "resolve.h"

/* What we say of ourselves on this connection. */
typedef struct cli_claim {
  char network[CMT_NODE_INFO_MAX];
  uint64_t block;
  cmt_channel channels[CMT_CHANNELS_MAX];
  size_t channel_count;
} cli_claim;

typedef struct cli_prober {
  const cli_options *o;
  cli_io *io;
  const cmt_env *env;
  const cmt_node_key *key;
  const cmt_node_id *expect_id; /* NULL: any. */
  const cli_claim *claim;
  bool learn;   /* End as soon as the node info is there. */
  size_t first; /* The address to begin with: where it was met last. */
} cli_prober;

/* What came of it.  The node info lives until cli_probe_result_fini(). */
typedef struct cli_probe_result {
  cmt_conn *conn; /* NULL: there was none. */
  char remote[CMT_NET_ADDR_TEXT_SIZE];
  const cmt_node_id *id;          /* NULL: not authenticated. */
  const cmt_node_info *node_info; /* NULL: not received. */
  bool up;
  uint64_t handshake_ns;
  uint64_t *rtt_ns; /* One for each ping that was answered. */
  size_t rtt_count;
  bool ok;     /* All that was wanted. */
  cmt_why why; /* Else why not. */
} cli_probe_result;

/* Connects to one of |addresses| and goes through it all; to the next where
   nobody proves an id, or another than was expected.  Of several failures it
   tells the one that came furthest. */
void cli_prober_run(cli_prober *p, const cli_address *addresses, size_t count,
                    cli_probe_result *out);
void cli_probe_result_fini(cli_probe_result *r);

/* The node info that |p| sends; borrows from |p|, and |channels|, of
   CMT_CHANNELS_MAX bytes. */
cmt_node_info cli_prober_node_info(const cli_prober *p, uint8_t *channels);

#endif
