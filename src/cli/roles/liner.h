/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_LINER_H
#define CLI_LINER_H

/* The sending side of the role lines: a thread that reads lines and sends each
   as it comes, and the times until their receipts. */

#include "files.h"
#include "cli/ui/options.h"

typedef struct cli_liner cli_liner;

typedef struct cli_liner_options {
  cli_io *io;
  const cmt_env *env;
  int fd; /* Lines that were read. */
  const cmt_channel *channel;
} cli_liner_options;

typedef struct cli_liner_status {
  uint64_t sent, answered;
  uint64_t last_ns, p50_ns, p99_ns; /* Round trips; 0 before the first. */
  size_t failures;
  bool finished; /* All was read, sent and answered. */
} cli_liner_status;

/* Borrows what |o| points to. */
cli_liner *cli_liner_new(const cli_liner_options *o);

/* Starts the thread, which sends to |p|.  False: no thread. */
bool cli_liner_start(cli_liner *l, cmt_peer *p);

/* The receipt of line |seq|; from the loop. */
void cli_liner_receipt(cli_liner *l, uint64_t seq, cmt_peer *p);

/* Ends the thread, also while it waits for a line. */
void cli_liner_stop(cli_liner *l);

void cli_liner_get_status(cli_liner *l, cli_liner_status *out);

/* Waits for the thread, if it was started; NULL is fine. */
void cli_liner_join(cli_liner *l);

/* After the thread was joined; NULL is fine. */
void cli_liner_delete(cli_liner *l);

#endif
