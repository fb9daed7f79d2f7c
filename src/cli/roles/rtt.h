/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_RTT_H
#define CLI_RTT_H

/* Round-trip times in fixed memory: a histogram whose steps are under one
   percent of the value.  One thread at a time. */

#include <stddef.h>
#include <stdint.h>

enum { CLI_RTT_SLOTS = 128 * 40 };

typedef struct cli_rtt {
  uint64_t count;
  uint64_t last_ns;
  uint64_t slots[CLI_RTT_SLOTS];
} cli_rtt;

void cli_rtt_add(cli_rtt *r, uint64_t rtt_ns);

/* The time that |percent| of all do not exceed; 0 without any. */
uint64_t cli_rtt_percentile(const cli_rtt *r, unsigned percent);

#endif
