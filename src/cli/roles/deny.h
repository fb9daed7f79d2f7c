/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_DENY_H
#define CLI_DENY_H

/* A list of ids, addresses and ranges that are kept out: a line each, and what
   follows a '#' is a comment. */

#include "cli/ui/cli.h"

/* Bans for ever, with canonical subjects. */
typedef struct cli_deny {
  cmt_ban *list;
  size_t count;
} cli_deny;

/* Reads |path| and bans all of it on |sw| for ever, in place of what |d| has.
   What only |d| has is let in again, once all of the new list is banned.
   False: |why| has the reason in its text, and nothing has changed. */
bool cli_deny_load(cli_deny *d, const char *path, cmt_switch *sw, cmt_why *why);
void cli_deny_fini(cli_deny *d);

#endif
