/* SPDX-License-Identifier: Apache-2.0 */
/* A queue that another thread empties never refuses: what a paused peer had
   already sent, at most 64 KiB of stream and what waits for a reactor, still
   comes.  So the most that waits is the mark, and for each peer its floor and
   what becomes of those. */

#include "backlog.h"

#include "cli.h"

#include <stdlib.h>

/* NULL: nothing of |p| waits. */
static cli_backlog_part *backlog_find(const cli_backlog *b, const cmt_peer *p) {
  for (size_t i = 0; i < b->count; i++) {
    if (b->parts[i].peer == p) {
      return &b->parts[i];
    }
  }
  return NULL;
}

static cli_backlog_part *backlog_part(cli_backlog *b, cmt_peer *p) {
  cli_backlog_part *part = backlog_find(b, p);

  if (part != NULL) {
    return part;
  }
  if (b->count == b->cap) {
    b->cap = b->cap == 0 ? 8 : b->cap * 2;
    b->parts = cli_realloc(b->parts, b->cap * sizeof *b->parts);
  }
  part = &b->parts[b->count++];
  *part = (cli_backlog_part){.peer = cmt_peer_ref(p)};
  return part;
}

void cli_backlog_add(cli_backlog *b, size_t len, cmt_peer *p) {
  cli_backlog_part *part;

  b->held += len;
  if (p == NULL) {
    b->nobody += len;
    return;
  }
  part = backlog_part(b, p);
  part->held += len;
  if (part->gone) {
    b->nobody += len;
  }
  if (!part->paused && b->held > b->mark && part->held > b->floor) {
    part->paused = true;
    cmt_peer_pause(p);
  }
}

static void part_resume(cli_backlog_part *part) {
  if (part->paused) {
    part->paused = false;
    cmt_peer_resume(part->peer);
  }
}

/* Forgets the peer at |i|, of which nothing waits. */
static void backlog_drop(cli_backlog *b, size_t i) {
  part_resume(&b->parts[i]);
  cmt_peer_unref(b->parts[i].peer);
  b->parts[i] = b->parts[--b->count];
}

void cli_backlog_sub(cli_backlog *b, size_t len, cmt_peer *p) {
  cli_backlog_part *part = p == NULL ? NULL : backlog_find(b, p);

  b->held -= len;
  if (part == NULL || part->gone) {
    b->nobody -= len;
  }
  if (part != NULL) {
    part->held -= len;
    if (part->held <= b->floor / 2) {
      part_resume(part);
    }
    if (part->held == 0) {
      backlog_drop(b, (size_t)(part - b->parts));
    }
  }
  if (b->held <= b->mark / 2) {
    for (size_t i = 0; i < b->count; i++) {
      part_resume(&b->parts[i]);
    }
  }
}

void cli_backlog_leave(cli_backlog *b, const cmt_peer *p) {
  cli_backlog_part *part = backlog_find(b, p);

  if (part != NULL && !part->gone) {
    part->gone = true;
    b->nobody += part->held;
  }
}

void cli_backlog_fini(cli_backlog *b) {
  while (b->count > 0) {
    backlog_drop(b, b->count - 1);
  }
  free(b->parts);
}
