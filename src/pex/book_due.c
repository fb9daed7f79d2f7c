/* SPDX-License-Identifier: Apache-2.0 */

/* Which proofs are to be renewed next. */

#include "book_impl.h"

/* From the first failure to the next dial; each one more doubles it. */
#define RETRY_NS CMT_SECONDS(30)

enum { DOUBLED_MAX = 8 }; /* Up to 128 minutes. */

typedef struct due_entry {
  uint64_t at_ns;
  size_t number;
} due_entry;

/* The entries that are due longest, in that order. */
typedef struct due_list {
  due_entry items[CMT_ADDRBOOK_DUE_MAX];
  size_t count, cap;
} due_list;

/* An entry that was dialed after |now_ns|, by more than the wait, was so before
   the clock was put back, and is due. */
static uint64_t due_ns(const cmt__book_entry *e, uint64_t every_ns,
                       uint64_t now_ns) {
  uint64_t wait_ns = every_ns;

  if (e->attempts > 0) {
    wait_ns = RETRY_NS << cmt__min(e->attempts - 1, DOUBLED_MAX);
  }
  return cmt__since(e->last_attempt_ns, now_ns) > wait_ns
           ? 0
           : cmt__after(e->last_attempt_ns, wait_ns);
}

static void list_add(due_list *l, size_t number, uint64_t at_ns) {
  size_t at = l->count < l->cap ? l->count++ : l->cap - 1;

  for (; at > 0 && l->items[at - 1].at_ns > at_ns; at--) {
    l->items[at] = l->items[at - 1];
  }
  l->items[at] = (due_entry){at_ns, number};
}

size_t cmt_addrbook_due(const cmt_addrbook *b, uint64_t every_ns,
                        cmt_net_addr *out, size_t cap, uint64_t now_ns) {
  due_list l = {.cap = cmt__min(cap, CMT_ADDRBOOK_DUE_MAX)};

  for (size_t i = 0; l.cap > 0 && i < b->count; i++) {
    const cmt__book_entry *e = cmt__book_at(b, i);
    uint64_t at_ns =
      e->proven_ns != 0 ? due_ns(e, every_ns, now_ns) : CMT_NEVER;

    if (at_ns <= now_ns &&
        (l.count < l.cap || at_ns < l.items[l.count - 1].at_ns)) {
      list_add(&l, i, at_ns);
    }
  }
  for (size_t i = 0; i < l.count; i++) {
    cmt__book_addr_write(&cmt__book_at(b, l.items[i].number)->addr, &out[i]);
  }
  return l.count;
}
