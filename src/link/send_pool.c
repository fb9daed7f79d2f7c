/* SPDX-License-Identifier: Apache-2.0 */

/* The pool of what is queued above the floors.

   Design notes.  A peer may have at most as much of the pool as is left for all
   others.  One peer that reads nothing gets half of it, two get a third each,
   and whatever their number the next one finds as much as each of them has.  So
   the largest is refused first, without any notification.

   A message that is larger than what is left must pass at some time: the first
   waiter that has nothing above its floor is |next_up|, and no other peer gets
   anything of the pool until |next_up| has progressed.  Within the floors
   nothing changes.

   The thread that makes room serves the waiters.  |next_up| changes as soon as
   there was room for it, so a peer whose loop is busy in a long callback delays
   no other: its message is queued, however late its loop attends to it.  If
   |next_up| needs nothing any more, the next thread that serves the waiters
   passes on to another.

   No wake-up is lost: a waiter enters the list and then tries again; a release
   changes |used| and then checks whether the list is empty.  Both orders are
   sequentially consistent, so one of the two sees the other.

   The lock comes before those of send queues, and is never acquired under
   one. */

#include "send_pool.h"

#include "base/mark.h"

static bool may_take(const cmt__send_pool *p, size_t used, size_t above,
                     size_t more) {
  size_t left = p->max - used;

  return more <= left && above <= left - more;
}

bool cmt__send_pool_take(cmt__send_pool *p, const void *who, size_t above,
                         size_t more) {
  const void *next_up = atomic_load(&p->next_up);
  size_t used = atomic_load(&p->used);

  if (next_up != NULL && next_up != who) {
    CMT__MARK(pool_kept_for_next_up);
    return false;
  }
  do {
    if (!may_take(p, used, above, more)) {
      return false;
    }
  } while (!atomic_compare_exchange_weak(&p->used, &used, used + more));
  return true;
}

void cmt__send_pool_give(cmt__send_pool *p, size_t less) {
  atomic_fetch_sub(&p->used, less);
}

/* ---- waiters ---- */

static void list_append(cmt__send_pool *p, cmt__pool_wait *w) {
  w->listed = true;
  w->next = NULL;
  w->prev = p->last;
  if (p->last != NULL) {
    p->last->next = w;
  } else {
    p->first = w;
  }
  p->last = w;
  atomic_fetch_add(&p->waiting, 1);
}

static void list_remove(cmt__send_pool *p, cmt__pool_wait *w) {
  if (w->prev != NULL) {
    w->prev->next = w->next;
  } else {
    p->first = w->next;
  }
  if (w->next != NULL) {
    w->next->prev = w->prev;
  } else {
    p->last = w->prev;
  }
  w->listed = false;
  atomic_fetch_sub(&p->waiting, 1);
}

/* Under the lock. */
static cmt__pool_wait *find_next_up(cmt__send_pool *p) {
  cmt__pool_wait *w = p->first;

  while (w != NULL && w->above > 0) {
    w = w->next;
  }
  atomic_store(&p->next_up, w != NULL ? w->arg : NULL);
  return w;
}

/* Under the lock: serves |w|, which leaves the list when it lacks nothing any
   more. */
static void let_take(cmt__send_pool *p, cmt__pool_wait *w) {
  w->look(w->arg, &w->above, &w->need);
  if (w->need == 0) {
    list_remove(p, w);
  }
}

/* Under the lock: serves one |next_up| after the other, and without one each
   waiter that can progress. */
static void look_all(cmt__send_pool *p) {
  cmt__pool_wait *w, *next, *last = NULL;

  while ((w = find_next_up(p)) != NULL && w != last) {
    let_take(p, w);
    last = w;
  }
  for (w = w == NULL ? p->first : NULL; w != NULL; w = next) {
    next = w->next;
    if (may_take(p, atomic_load(&p->used), w->above, w->need)) {
      let_take(p, w);
    }
  }
  (void)find_next_up(p);
}

void cmt__send_pool_wake(cmt__send_pool *p) {
  if (atomic_load(&p->waiting) > 0) {
    cmt__lock(&p->lock);
    look_all(p);
    cmt__unlock(&p->lock);
  }
}

bool cmt__send_pool_wait(cmt__send_pool *p, cmt__pool_wait *w) {
  bool still;

  cmt__lock(&p->lock);
  if (!w->listed) {
    list_append(p, w);
  }
  let_take(p, w);
  look_all(p);
  still = w->listed;
  cmt__unlock(&p->lock);
  return still;
}

void cmt__send_pool_leave(cmt__send_pool *p, cmt__pool_wait *w) {
  cmt__lock(&p->lock);
  if (w->listed) {
    list_remove(p, w);
    look_all(p);
  }
  cmt__unlock(&p->lock);
}
