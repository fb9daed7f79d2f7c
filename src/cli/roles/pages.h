/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_PAGES_H
#define CLI_PAGES_H

/* The pages of a node and a seed, from snapshots: the loop is not involved. */

#include "station.h"

/* /metrics, and any other path; |station| is a cli_station. */
cli_http_answer cli_pages_metrics(void *station, const cli_http_request *r);
/* /addrbook.json, /live_peers, /live_peers.csv, /seed, /net_info, /status,
   /health and /healthz of the first chain, or behind /CHAIN_ID of that one, and
   a list of them at /. */
cli_http_answer cli_pages_answer(void *station, const cli_http_request *r);

#endif
