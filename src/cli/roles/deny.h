/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_DENY_H
#define CLI_DENY_H

/* A list of ids, addresses and ranges that are kept out: a line each, and what
   follows a '#' is a comment. */

#include "cli/ui/cli.h"

enum { CLI_DENY_ID = 255, CLI_DENY_BYTES = 20 };

/* One line. */
typedef struct cli_denied {
  char text[CMT_BAN_TEXT_SIZE];
  uint8_t bits; /* CLI_DENY_ID, or how many of an IPv6 address count. */
  uint8_t bytes[CLI_DENY_BYTES]; /* IPv4 is mapped to IPv6. */
} cli_denied;

typedef struct cli_deny {
  cli_denied *list;
  size_t count;
} cli_deny;

/* Reads |path| and bans all of it on |sw| for ever, in place of what |d| has.
   What only |d| has is let in again, once all of the new list is banned.
   False: |why| has the reason in its text, and nothing has changed. */
bool cli_deny_load(cli_deny *d, const char *path, cmt_switch *sw, cmt_why *why);
/* Whether a line names the id of |a|, or covers its address. */
bool cli_deny_covers(const cli_deny *d, const cmt_net_addr *a);
void cli_deny_fini(cli_deny *d);

#endif
