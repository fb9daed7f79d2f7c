/* SPDX-License-Identifier: Apache-2.0 */

/* What the next links need is fetched into the cache.  With thousands of links
   nothing of one is there when its turn comes: an iteration would wait for
   memory some forty times, as long as all else that it does.  Addresses lead
   from one object to the next, so a link is fetched in four steps, while the
   four before it run, and each step looks only at what the last one has
   fetched. */

#include "link_impl.h"

enum { TALLY_SIZE = 128 };

/* The link whose task is the next one behind that of |l|, or the first of all
   that wait; NULL: it is that of something else, or there is none. */
static const cmt__link *link_after(const cmt__link *l, const cmt__task *t) {
  return t->next != &l->loop->running && t->next->cb == l->task.cb
           ? (const cmt__link *)((const char *)t->next -
                                 offsetof(cmt__link, task))
           : NULL;
}

static void fetch_conn(const cmt__link *l, unsigned step) {
  if (l->conn != NULL && l->cbs->fetch != NULL) {
    l->cbs->fetch(l->conn, step);
  }
}

static void fetch_last(const cmt__link *l) {
  fetch_conn(l, 2);
  if (l->send_queue != NULL) {
    cmt__send_queue_fetch_parts(l->send_queue);
  }
}

static void fetch_parts(const cmt__link *l) { fetch_conn(l, 1); }

static void fetch_first(const cmt__link *l) {
  fetch_conn(l, 0);
  cmt__send_queue_fetch(l->send_queue);
  cmt__tcp_fetch(l->tcp);
  cmt__fetch(l->tally, TALLY_SIZE);
  cmt__fetch((const char *)l->task.next - offsetof(cmt__link, task), sizeof *l);
}

void cmt__link_fetch_ahead(const cmt__link *l) {
  static void (*const steps[])(const cmt__link *) = {fetch_last, fetch_parts,
                                                     fetch_first};
  const cmt__link *next = link_after(l, &l->loop->running);

  for (size_t i = 0; i < CMT__COUNT(steps) && next != NULL; i++) {
    steps[i](next);
    next = link_after(l, &next->task);
  }
}
