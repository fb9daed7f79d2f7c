/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_BACKLOG_H
#define CLI_BACKLOG_H

/* How much waits in a queue, and which peers were paused for it.  The owner's
   lock covers every call. */

#include <cometp2p/peer.h>

typedef struct cli_backlog {
  size_t held; /* Bytes that wait. */
  size_t mark; /* Over it the peer that adds is paused. */
  cmt_peer **paused;
  size_t count, cap;
} cli_backlog;

/* |p| (may be NULL) gave the bytes; it is paused once, however often it comes
   here over the mark. */
void cli_backlog_add(cli_backlog *b, size_t len, cmt_peer *p);

/* Resumes all when half the mark is reached. */
void cli_backlog_sub(cli_backlog *b, size_t len);

void cli_backlog_fini(cli_backlog *b);

#endif
