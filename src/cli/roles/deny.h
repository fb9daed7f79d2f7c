/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_DENY_H
#define CLI_DENY_H

/* A list of ids, addresses and ranges that are kept out: a line each, and what
   follows a '#' is a comment. */

#include "cli/ui/cli.h"

typedef struct cli_deny {
  char (*list)[CMT_BAN_TEXT_SIZE];
  size_t count;
} cli_deny;

/* Reads |path| and bans all of it on |sw| for ever, in place of what |d| has,
   which is let in again.  False: a line was printed, and nothing has
   changed. */
bool cli_deny_load(cli_deny *d, const char *path, cmt_switch *sw);
void cli_deny_fini(cli_deny *d);

#endif
