/* SPDX-License-Identifier: Apache-2.0 */

/* What all loops have in common: the heap of timers, the list of due tasks, and
   the scratch memory.  The invariant of the heap: no timer is due before its
   parent, and each timer knows its own place, counted from 1. */

#include "loop.h"

#include <errno.h>
#include <netdb.h>

static void heap_put(cmt__loop *l, size_t slot, cmt__timer *t) {
  l->heap[slot - 1] = t;
  t->slot = slot;
}

/* Moves |t| up from the free place |slot| to where it belongs. */
static void heap_up(cmt__loop *l, size_t slot, cmt__timer *t) {
  while (slot > 1 && l->heap[slot / 2 - 1]->at_ns > t->at_ns) {
    heap_put(l, slot, l->heap[slot / 2 - 1]);
    slot /= 2;
  }
  heap_put(l, slot, t);
}

/* Moves |t| down from the free place |slot| to where it belongs. */
static void heap_down(cmt__loop *l, size_t slot, cmt__timer *t) {
  for (;;) {
    size_t child = 2 * slot;

    if (child > l->heap_count) {
      break;
    }
    if (child < l->heap_count &&
        l->heap[child]->at_ns < l->heap[child - 1]->at_ns) {
      child++;
    }
    if (l->heap[child - 1]->at_ns >= t->at_ns) {
      break;
    }
    heap_put(l, slot, l->heap[child - 1]);
    slot = child;
  }
  heap_put(l, slot, t);
}

/* The last timer fills the gap; it may belong above or below it. */
static void heap_remove(cmt__loop *l, cmt__timer *t) {
  size_t slot = t->slot;
  cmt__timer *last = l->heap[--l->heap_count];

  t->slot = 0;
  if (last == t) {
    return;
  }
  if (slot > 1 && l->heap[slot / 2 - 1]->at_ns > last->at_ns) {
    heap_up(l, slot, last);
  } else {
    heap_down(l, slot, last);
  }
}

static void ring_append(cmt__task *head, cmt__task *t) {
  t->prev = head->prev;
  t->next = head;
  head->prev->next = t;
  head->prev = t;
}

static void ring_remove(cmt__task *t) {
  t->prev->next = t->next;
  t->next->prev = t->prev;
  t->next = NULL;
}

/* Moves all of |from| to the empty |to|. */
static void ring_move(cmt__task *from, cmt__task *to) {
  *to = (cmt__task){.next = to, .prev = to};
  if (from->next == from) {
    return;
  }
  to->next = from->next;
  to->prev = from->prev;
  to->next->prev = to;
  to->prev->next = to;
  from->next = from;
  from->prev = from;
}

static bool ring_is_empty(const cmt__task *head) { return head->next == head; }

/* The task is due only to keep the loop from blocking. */
static void on_costly_due(cmt__task *t) { (void)t; }

cmt_err cmt__loop_init(cmt__loop *l, const cmt__loop_ops *ops,
                       const cmt_env *env) {
  cmt_err err;

  *l = (cmt__loop){.ops = ops};
  l->tasks.next = &l->tasks;
  l->tasks.prev = &l->tasks;
  l->running.next = &l->running;
  l->costly = (cmt__costly){.next = &l->costly, .prev = &l->costly};
  l->costly_due.cb = on_costly_due;
  l->last.next = &l->last;
  l->last_end = &l->last;
  err = cmt__env_copy(env, &l->env);
  if (err != CMT_OK) {
    return err;
  }
  l->scratch = cmt__alloc(&l->env, CMT__SCRATCH);
  return l->scratch == NULL ? CMT_ENOMEM : CMT_OK;
}

void cmt__loop_fini(cmt__loop *l) {
  cmt__free(&l->env, l->heap);
  cmt__free(&l->env, l->scratch);
  cmt__free(&l->env, l->help);
  l->help = NULL;
  l->heap = NULL;
  l->scratch = NULL;
}

uint64_t cmt__loop_next_timer(const cmt__loop *l) {
  return l->heap_count == 0 ? CMT_NEVER : l->heap[0]->at_ns;
}

/* A callback may set its timer to the present instant again; the count keeps
   such a timer from keeping the loop here for ever. */
void cmt__loop_run_timers(cmt__loop *l) {
  for (size_t left = l->heap_count; left > 0; left--) {
    cmt__timer *t;

    if (cmt__loop_next_timer(l) > cmt__loop_polled(l)) {
      return;
    }
    t = l->heap[0];
    heap_remove(l, t);
    t->cb(t);
  }
}

bool cmt__loop_run_tasks(cmt__loop *l) {
  cmt__costly_run(l);
  ring_move(&l->tasks, &l->running);
  while (!ring_is_empty(&l->running)) {
    cmt__task *t = l->running.next;

    ring_remove(t);
    t->cb(t);
    if (l->last_count >= CMT__LAST_MAX) {
      l->last_cb(l);
    }
  }
  while (l->last.next != &l->last) {
    l->last_cb(l);
  }
  if (l->costly.next != &l->costly) {
    cmt__loop_defer(l, &l->costly_due);
  }
  return !ring_is_empty(&l->tasks);
}

const char *cmt__loop_fault(cmt_err err, int error, char *out, size_t cap) {
  char text[100];
  const char *words = error == ENODEV ? "no such network interface"
                                      : strerror_r(error, text, sizeof text);

  if (err == CMT_ERESOLVE && error < 0 && error != EAI_NONAME &&
      error != EAI_SYSTEM) {
    return gai_strerror(error);
  }
  if (error == 0 || (err != CMT_EIO && err != CMT_EUNREACH)) {
    return cmt_err_text(err);
  }
  if (err == CMT_EIO) {
    snprintf(out, cap, "%s", words);
  } else {
    snprintf(out, cap, "%s (%s)", cmt_err_text(err), words);
  }
  return out;
}

void cmt__loop_timer(cmt__loop *l, cmt__timer *t, uint64_t at_ns) {
  uint64_t before = cmt__loop_next_timer(l);

  if (t->slot != 0) {
    if (at_ns == t->at_ns) {
      return;
    }
    heap_remove(l, t);
  }
  /* A timer that is due when it is set need not wait for a poll. */
  t->at_ns =
    at_ns <= l->now_ns ? cmt__min64(at_ns, cmt__loop_polled(l)) : at_ns;
  if (at_ns != CMT_NEVER) {
    CMT_ASSERT(&l->env, l->heap_count < l->heap_cap);
    heap_up(l, ++l->heap_count, t);
  }
  if (cmt__loop_next_timer(l) != before) {
    l->ops->rearm(l);
  }
}

cmt_err cmt__loop_reserve_timers(cmt__loop *l, size_t count) {
  size_t wanted = l->reserved + count;
  void *heap = l->heap;

  if (wanted > l->heap_cap) {
    if (!cmt__grow(&l->env, &heap, &l->heap_cap, sizeof *l->heap, wanted)) {
      return CMT_ENOMEM;
    }
    l->heap = heap;
  }
  l->reserved = wanted;
  return CMT_OK;
}

void cmt__loop_release_timers(cmt__loop *l, size_t count) {
  CMT_ASSERT(&l->env, count <= l->reserved);
  l->reserved -= count;
}

void cmt__loop_defer(cmt__loop *l, cmt__task *t) {
  if (t->next != NULL) {
    return;
  }
  ring_append(&l->tasks, t);
  if (l->tasks.next == t) {
    l->ops->rearm(l);
  }
}

void cmt__loop_defer_last(cmt__loop *l, cmt__last *t, cmt__last_cb cb) {
  CMT_ASSERT(&l->env, t->next == NULL);
  l->last_cb = cb;
  t->next = &l->last;
  l->last_end->next = t;
  l->last_end = t;
  l->last_count++;
}

cmt__last *cmt__loop_take_last(cmt__loop *l) {
  cmt__last *t = l->last.next;

  if (t == &l->last) {
    return NULL;
  }
  cmt__loop_cancel_last(l, t);
  return t;
}

void cmt__loop_cancel_last(cmt__loop *l, cmt__last *t) {
  cmt__last *before = &l->last;

  if (t->next == NULL) {
    return;
  }
  while (before->next != t) {
    before = before->next;
  }
  before->next = t->next;
  if (l->last_end == t) {
    l->last_end = before;
  }
  t->next = NULL;
  l->last_count--;
}

void cmt__loop_defer_cancel(cmt__loop *l, cmt__task *t) {
  (void)l;
  if (t->next != NULL) {
    ring_remove(t);
  }
}
