/* SPDX-License-Identifier: Apache-2.0 */

/* The memory for messages under reassembly that the connections of a switch
   share.

   Design notes.  Each connection has a floor, which is its own: up to there it
   asks nobody, and nothing that others do takes it away.  What lies above the
   floors is one pool.  When it is used up, the connection that reserves most of
   it gives way: its unfinished messages are freed at once, by whoever needs the
   memory, and its owner is notified and ends.  So nobody waits for memory,
   and it is never whoever asks last that pays for what others reserve.

   Those that stand still come first: for ten seconds less than 1/64 of what
   they reserve arrived, and time in which we do not read is none.  A crowd that
   keeps equal parts of the pool and sends a packet a minute would otherwise end
   whoever sends a message longer than such a part.

   Only those above their floor are in the list, and only for them is the lock
   taken when there are several threads: an unfinished message of theirs may be
   freed by another thread, so they touch it under the lock alone. */

#include "quota.h"

#include "base/mark.h"

#define STAND_NS CMT_SECONDS(10)
enum { STAND_PART = 64 };

static size_t above(const cmt__quota *b, size_t reserved) {
  return reserved > b->floor ? reserved - b->floor : 0;
}

static void list_append(cmt__quota *b, cmt__holder *h) {
  h->next = NULL;
  h->prev = b->last;
  if (b->last != NULL) {
    b->last->next = h;
  } else {
    b->first = h;
  }
  b->last = h;
}

static void list_remove(cmt__quota *b, cmt__holder *h) {
  if (h->prev != NULL) {
    h->prev->next = h->next;
  } else {
    b->first = h->next;
  }
  if (h->next != NULL) {
    h->next->prev = h->prev;
  } else {
    b->last = h->prev;
  }
  h->next = NULL;
  h->prev = NULL;
}

/* ---- what stands still ---- */

/* As of |now_ns|, which may be another's instant. */
static bool stands(const cmt__holder *h, uint64_t now_ns) {
  return !h->unread && cmt__since(now_ns, h->moved_ns) >= STAND_NS;
}

void cmt__holder_came(cmt__holder *h, size_t len) {
  h->came += len;
  if (h->came >= h->reserved / STAND_PART) {
    h->came = 0;
    h->moved_ns = h->now_ns;
  }
}

void cmt__holder_unread(cmt__quota *b, cmt__holder *h, bool on) {
  bool locks = cmt__quota_enter(b, h);

  if (on && !h->unread) {
    h->stopped_ns = h->now_ns;
  } else if (!on && h->unread) {
    h->moved_ns +=
      cmt__since(h->now_ns, cmt__max64(h->moved_ns, h->stopped_ns));
  }
  h->unread = on;
  cmt__quota_leave(b, locks);
}

/* ---- the pool ---- */

/* Under the lock: changes what |h| has of the pool. */
static void pool_set(cmt__quota *b, cmt__holder *h, size_t bytes) {
  b->pool_used = b->pool_used - h->above + bytes;
  if (h->above == 0 && bytes > 0) {
    list_append(b, h);
    h->moved_ns = h->now_ns;
  } else if (h->above > 0 && bytes == 0) {
    list_remove(b, h);
  }
  h->above = bytes;
}

/* Under the lock: what |h| holds is freed, and it holds nothing ever again. */
static void give_way(cmt__quota *b, cmt__holder *h) {
  CMT__MARK(largest_partial_gives_way);
  pool_set(b, h, 0);
  cmt__quota_add(b, &b->reserved, (size_t)0 - h->reserved);
  atomic_store_explicit(&h->gave_way, true, memory_order_release);
  h->drop(h->owner);
}

/* Whether |x| gives way rather than |y|. */
static bool goes_before(const cmt__holder *x, const cmt__holder *y,
                        uint64_t now_ns) {
  bool x_stands = stands(x, now_ns), y_stands = stands(y, now_ns);

  return x_stands != y_stands ? x_stands : x->above > y->above;
}

/* Under the lock: the one that holds most gives way, of those that stand still
   if there are any; of equals the one that has been above its floor for
   longest, and |asker| last.  False: that is |asker|. */
static bool largest_gives_way(cmt__quota *b, cmt__holder *asker) {
  cmt__holder *first = NULL;

  for (cmt__holder *h = b->first; h != NULL; h = h->next) {
    if (h != asker && (first == NULL || goes_before(h, first, asker->now_ns))) {
      first = h;
    }
  }
  if (first == NULL || goes_before(asker, first, asker->now_ns)) {
    give_way(b, asker);
    return false;
  }
  give_way(b, first);
  if (first->on_gave_way != NULL) {
    first->on_gave_way(first->arg);
  }
  return true;
}

/* cmt__quota_take() under the lock, beyond the floor. */
static bool pool_take(cmt__quota *b, cmt__holder *h, size_t least, size_t most,
                      size_t *taken) {
  size_t need = above(b, h->reserved + least) - h->above;
  size_t want = above(b, h->reserved + most) - h->above;
  size_t left;

  while (need > b->pool_max - b->pool_used) {
    if (!largest_gives_way(b, h)) {
      return false;
    }
  }
  left = b->pool_max - b->pool_used;
  want = cmt__max(need, cmt__min(want, left / 4));
  *taken = b->floor - cmt__min(b->floor, h->reserved) + want;
  pool_set(b, h, h->above + want);
  return true;
}

static void take_note(cmt__quota *b, cmt__holder *h, size_t taken) {
  h->reserved += taken;
  cmt__quota_add(b, &b->reserved, taken);
}

/* Above the floor it is noted under the lock: once that is free, another thread
   may take all of it away again. */
bool cmt__quota_take(cmt__quota *b, cmt__holder *h, size_t least, size_t most,
                     size_t *taken) {
  bool ok;

  *taken = most;
  if (most <= b->floor && h->reserved <= b->floor - most) {
    take_note(b, h, most);
    return true;
  }
  cmt__quota_lock(b);
  ok = !cmt__holder_gave_way(h) && pool_take(b, h, least, most, taken);
  if (ok) {
    take_note(b, h, *taken);
  }
  cmt__quota_unlock(b);
  return ok;
}

void cmt__quota_give(cmt__quota *b, cmt__holder *h, size_t len) {
  bool locks = cmt__quota_enter(b, h);

  if (!cmt__holder_gave_way(h)) {
    h->reserved -= len;
    if (h->above > 0) {
      pool_set(b, h, above(b, h->reserved));
    }
    cmt__quota_add(b, &b->reserved, (size_t)0 - len);
  }
  cmt__quota_leave(b, locks);
}
