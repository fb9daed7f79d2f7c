/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT_BENCH_CROWD_H
#define CMT_BENCH_CROWD_H

/* Nodes that are connections without a switch, so that one thread has
   thousands of them. */

#include "bench.h"

#define BENCH_CROWD_NETWORK "bench-crowd"
/* With these both node infos take about 200 bytes. */
#define BENCH_CROWD_MONIKER                                                    \
  "an-operator-of-a-validator-with-a-long-name-0123456789-abcdef"
#define BENCH_CROWD_VERSION "0.40.0-bench-0123456789abcdef"

enum { BENCH_CROWD_CHANNELS = 11 };

/* The channels of a CometBFT node, and one more. */
const cmt_channel *bench_crowd_channels(void);

typedef struct bench_member {
  cmt_conn *conn;
  int fd;
  bool up, spoken;
  uint64_t messages; /* How many came. */
} bench_member;

/* For members and their keys. */
const cmt_env *bench_crowd_env(void);

/* Dials |addr| and sends the first message of the handshake.  |key| is
   borrowed until the member stops. */
void bench_member_start(bench_member *m, const cmt_node_key *key,
                        const char *addr);

/* Reads once, and writes what there is to answer; false: the other side is
   gone. */
bool bench_member_read(bench_member *m);

/* Sends a message of |len| bytes on each channel; exits when it is refused. */
void bench_member_speak(bench_member *m, size_t len);

void bench_member_stop(bench_member *m);

#endif
