/* SPDX-License-Identifier: Apache-2.0 */

/* What the next links need is fetched into the cache.  With thousands of links
   nothing of one is there when its turn comes: an iteration would wait for
   memory some forty times, as long as all else that it does.  Addresses lead
   from one object to the next, so a link is fetched in three steps, while the
   three before it run, and each step looks only at what the last one has
   fetched. */

#include "link_impl.h"

#include "core/conn/conn.h"

enum { TALLY_SIZE = 128 };

/* The link whose task is the next one behind |t|; NULL: it is that of something
   else, or there is none. */
static cmt__link *link_after(const cmt__link *l, const cmt__task *t) {
  return t->next != &l->loop->running && t->next->cb == l->task.cb
           ? (cmt__link *)((char *)t->next - offsetof(cmt__link, task))
           : NULL;
}

void cmt__link_fetch_ahead(const cmt__link *l) {
  const cmt__link *first = link_after(l, &l->loop->running);
  const cmt__link *second = first != NULL ? link_after(l, &first->task) : NULL;

  if (first != NULL && first->conn != NULL) {
    cmt__conn_fetch_parts(first->conn);
  }
  if (second != NULL) {
    const cmt__task *third = second->task.next;

    cmt__conn_fetch(second->conn);
    cmt__send_queue_fetch(second->send_queue);
    cmt__tcp_fetch(second->tcp);
    cmt__fetch(second->tally, TALLY_SIZE);
    cmt__fetch((const char *)third - offsetof(cmt__link, task),
               sizeof(cmt__link));
  }
}
