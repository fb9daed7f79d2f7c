/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_BACKLOG_H
#define CLI_BACKLOG_H

/* How many bytes wait in a queue, for which peer, and who is paused for it.
   The queue's lock covers every call.

   Each peer has a floor: while less than that of it waits it is never paused,
   whatever the others do.  Above the mark of the whole queue each peer that has
   more than its floor is paused as soon as it adds something, until its own
   part is down to half of the floor or the queue to half of the mark. */

#include <cometp2p/peer.h>

typedef struct cli_backlog_part {
  cmt_peer *peer; /* Holds a reference. */
  size_t held;
  bool paused;
  bool gone; /* Its waiting bytes belong to no peer that could be paused. */
} cli_backlog_part;

typedef struct cli_backlog {
  size_t held; /* Bytes that wait, in all. */
  size_t
    nobody; /* How many of them belong to no peer, or to one that is gone. */
  size_t mark, floor;
  cli_backlog_part *parts; /* One for each peer of which bytes wait. */
  size_t count, cap;
} cli_backlog;

/* |len| bytes more wait, which |p| caused; NULL: no peer did. */
void cli_backlog_add(cli_backlog *b, size_t len, cmt_peer *p);

/* |len| of them are gone. */
void cli_backlog_sub(cli_backlog *b, size_t len, cmt_peer *p);

/* |p| is gone: a peer that replaces it has a floor of its own. */
void cli_backlog_leave(cli_backlog *b, const cmt_peer *p);

/* Resumes everybody and frees. */
void cli_backlog_fini(cli_backlog *b);

#endif
