/* SPDX-License-Identifier: Apache-2.0 */
/* A queue that another thread empties never refuses: what a paused peer had
   already sent, at most 64 KiB of stream, still comes.  So the most that waits
   is the mark, one message, and those 64 KiB of each peer. */

#include "backlog.h"

#include "cli.h"

#include <stdlib.h>

static bool backlog_has(const cli_backlog *b, const cmt_peer *p) {
  for (size_t i = 0; i < b->count; i++) {
    if (b->paused[i] == p) {
      return true;
    }
  }
  return false;
}

void cli_backlog_add(cli_backlog *b, size_t len, cmt_peer *p) {
  b->held += len;
  if (b->held <= b->mark || p == NULL || backlog_has(b, p)) {
    return;
  }
  if (b->count == b->cap) {
    b->cap = b->cap == 0 ? 8 : b->cap * 2;
    b->paused = cli_realloc(b->paused, b->cap * sizeof *b->paused);
  }
  b->paused[b->count++] = cmt_peer_ref(p);
  cmt_peer_pause(p);
}

static void backlog_resume(cli_backlog *b) {
  for (size_t i = 0; i < b->count; i++) {
    cmt_peer_resume(b->paused[i]);
    cmt_peer_unref(b->paused[i]);
  }
  b->count = 0;
}

void cli_backlog_sub(cli_backlog *b, size_t len) {
  b->held -= len;
  if (b->held <= b->mark / 2) {
    backlog_resume(b);
  }
}

void cli_backlog_fini(cli_backlog *b) {
  backlog_resume(b);
  free(b->paused);
}
