/* SPDX-License-Identifier: Apache-2.0 */

/* Timers and posts of the application.

   Design notes.  A timer that was set lies in the list |fresh| until the loop
   has seen it, since only the loop knows the instant from which it counts. Then
   it is in |heap|, a pairing heap, which needs no memory but that of its
   elements and from which any of them can be taken.  Other threads take timers
   out and never touch the timer of the loop: that comes too early then, finds
   nothing due, and is set again.

   A callback runs without the lock.  |running| is the timer that it belongs to,
   for whoever cancels that timer and must wait for it.  The timer itself is the
   application's again as soon as its callback is entered, and is only compared
   from then on.

   One without a callback becomes an event.  It stays here until that is taken,
   so that it can be moved and cancelled, and since the mailbox takes it under
   its own lock, that is the lock of everything here then. */

#include "calls.h"

#include "base/mark.h"

/* The places in |links|; a first child has its parent as PREV. */
enum { CHILD, NEXT, PREV };
/* The places in |numbers|; a fresh timer has its delay as INSTANT. */
enum { INSTANT, ORDER, STATE, STATUS };
enum { UNSET, FRESH, IN_HEAP, IS_EVENT }; /* A STATE. */

#define LINK(t, which) ((t)->internal.links[which])
#define NUMBER(t, which) ((t)->internal.numbers[which])

/* ---- the heap ---- */

static bool is_before(const cmt_timer *a, const cmt_timer *b) {
  return NUMBER(a, INSTANT) != NUMBER(b, INSTANT)
           ? NUMBER(a, INSTANT) < NUMBER(b, INSTANT)
           : NUMBER(a, ORDER) < NUMBER(b, ORDER);
}

/* Makes one heap of two, neither of which is empty. */
static cmt_timer *heap_merge(cmt_timer *a, cmt_timer *b) {
  cmt_timer *root = is_before(b, a) ? b : a;
  cmt_timer *child = root == a ? b : a;

  LINK(child, PREV) = root;
  LINK(child, NEXT) = LINK(root, CHILD);
  if (LINK(child, NEXT) != NULL) {
    LINK(LINK(child, NEXT), PREV) = child;
  }
  LINK(root, CHILD) = child;
  return root;
}

/* Makes one heap of |first| and its siblings: of pairs from the left, which are
   then put together from the right. */
static cmt_timer *heap_merge_all(cmt_timer *first) {
  cmt_timer *pairs = NULL, *root = NULL;

  while (first != NULL) {
    cmt_timer *a = first, *b = LINK(a, NEXT);

    first = b != NULL ? LINK(b, NEXT) : NULL;
    a = b != NULL ? heap_merge(a, b) : a;
    LINK(a, NEXT) = pairs;
    pairs = a;
  }
  while (pairs != NULL) {
    cmt_timer *next = LINK(pairs, NEXT);

    root = root != NULL ? heap_merge(root, pairs) : pairs;
    pairs = next;
  }
  if (root != NULL) {
    LINK(root, NEXT) = NULL;
    LINK(root, PREV) = NULL;
  }
  return root;
}

static void heap_insert(cmt__calls *c, cmt_timer *t) {
  LINK(t, CHILD) = NULL;
  LINK(t, NEXT) = NULL;
  LINK(t, PREV) = NULL;
  c->heap = c->heap != NULL ? heap_merge(c->heap, t) : t;
}

static void heap_remove(cmt__calls *c, cmt_timer *t) {
  cmt_timer *below = heap_merge_all(LINK(t, CHILD));
  cmt_timer *prev = LINK(t, PREV), *next = LINK(t, NEXT);

  if (t == c->heap) {
    c->heap = below;
    return;
  }
  if (LINK(prev, CHILD) == t) {
    LINK(prev, CHILD) = next;
  } else {
    LINK(prev, NEXT) = next;
  }
  if (next != NULL) {
    LINK(next, PREV) = prev;
  }
  if (below != NULL) {
    c->heap = heap_merge(c->heap, below);
  }
}

/* ---- lists ---- */

static void list_append(cmt__timer_list *l, cmt_timer *t) {
  LINK(t, NEXT) = NULL;
  LINK(t, PREV) = l->last;
  if (l->last != NULL) {
    LINK(l->last, NEXT) = t;
  } else {
    l->first = t;
  }
  l->last = t;
}

static void list_remove(cmt__timer_list *l, cmt_timer *t) {
  if (LINK(t, PREV) != NULL) {
    LINK(LINK(t, PREV), NEXT) = LINK(t, NEXT);
  } else {
    l->first = LINK(t, NEXT);
  }
  if (LINK(t, NEXT) != NULL) {
    LINK(LINK(t, NEXT), PREV) = LINK(t, PREV);
  } else {
    l->last = LINK(t, PREV);
  }
}

static void posts_append(cmt__post_list *l, cmt_post *p) {
  p->internal.next = NULL;
  if (l->last != NULL) {
    l->last->internal.next = p;
  } else {
    l->first = p;
  }
  l->last = p;
}

/* NULL: there is none. */
static cmt_post *posts_take(cmt__post_list *l) {
  cmt_post *p = l->first;

  if (p != NULL) {
    l->first = p->internal.next;
    l->last = l->first != NULL ? l->last : NULL;
  }
  return p;
}

/* Moves fresh ones to the heap, now that there is an instant. */
static void fresh_schedule(cmt__calls *c, uint64_t now_ns) {
  cmt_timer *t;

  while ((t = c->fresh.first) != NULL) {
    list_remove(&c->fresh, t);
    NUMBER(t, INSTANT) = cmt__after(now_ns, NUMBER(t, INSTANT));
    NUMBER(t, STATE) = IN_HEAP;
    heap_insert(c, t);
  }
}

/* ---- any thread ---- */

static void calls_wake(cmt__calls *c) {
  if (c->loop != NULL && !c->posted) {
    c->posted = true;
    cmt__loop_post(c->loop, &c->wake);
  }
}

/* Removes the timer |t|; a timer that is not set is fine. */
static void timer_unset(cmt__calls *c, cmt_timer *t) {
  if (NUMBER(t, STATE) == UNSET) {
    return;
  }
  if (NUMBER(t, STATE) == FRESH) {
    list_remove(&c->fresh, t);
  } else if (NUMBER(t, STATE) == IN_HEAP) {
    heap_remove(c, t);
  } else {
    list_remove(&c->event_timers, t);
    cmt__mailbox_withdraw(c->mailbox, &c->timer_events);
  }
  NUMBER(t, STATE) = UNSET;
  t->internal.owner = NULL;
}

cmt_err cmt__calls_set(cmt__calls *c, cmt_timer *t, uint64_t after_ns) {
  cmt_err err = CMT_OK;

  cmt__lock(c->lock);
  if ((t->internal.owner != NULL && t->internal.owner != c) ||
      (t->cb == NULL && c->mailbox == NULL)) {
    err = CMT_EINVAL;
  } else if (c->closed) {
    err = CMT_ECLOSED;
  } else {
    timer_unset(c, t);
    t->internal.owner = c;
    NUMBER(t, INSTANT) = after_ns;
    NUMBER(t, ORDER) = c->order++;
    NUMBER(t, STATE) = FRESH;
    list_append(&c->fresh, t);
    calls_wake(c);
  }
  cmt__unlock(c->lock);
  return err;
}

bool cmt__calls_cancel(cmt__calls *c, cmt_timer *t) {
  bool was_set;

  cmt__lock(c->lock);
  was_set = t->internal.owner == c;
  if (was_set) {
    CMT__MARK_IF(NUMBER(t, STATE) == IN_HEAP, timer_cancelled);
    timer_unset(c, t);
  }
  while (c->running == t && !pthread_equal(c->runner, pthread_self())) {
    pthread_cond_wait(&c->returned, c->lock);
    if (t->internal.owner == c) { /* Its callback has set it. */
      timer_unset(c, t);
      was_set = true;
    }
  }
  cmt__unlock(c->lock);
  return was_set;
}

cmt_err cmt__calls_post(cmt__calls *c, cmt_post *p) {
  cmt_err err = CMT_OK;

  cmt__lock(c->lock);
  if ((p->internal.owner != NULL && p->internal.owner != c) ||
      (p->cb == NULL && c->mailbox == NULL)) {
    err = CMT_EINVAL;
  } else if (c->closed) {
    err = CMT_ECLOSED;
  } else if (p->internal.owner == NULL) {
    p->internal.owner = c;
    posts_append(&c->posts, p);
    c->post_count++;
    calls_wake(c);
  }
  cmt__unlock(c->lock);
  return err;
}

/* ---- the loop ---- */

static void timer_run(cmt__calls *c, cmt_timer *t, cmt_err status) {
  cmt__assert_unlocked(c->env);
  cmt__callback_begin(c->callbacks, "a timer", -1);
  t->cb(t->arg, status);
  cmt__callback_end(c->callbacks);
  cmt__lock(c->lock);
  c->running = NULL;
  pthread_cond_broadcast(&c->returned);
  cmt__unlock(c->lock);
}

/* Under the lock: |t|, which is set, is about to be called; false: it has no
   callback, and is an event now. */
static bool timer_enter(cmt__calls *c, cmt_timer *t, cmt_err status) {
  timer_unset(c, t);
  if (t->cb != NULL) {
    c->running = t;
    c->runner = pthread_self();
    return true;
  }
  if (!c->mailbox->given_up) {
    t->internal.owner = c;
    NUMBER(t, STATE) = IS_EVENT;
    NUMBER(t, STATUS) = (uint64_t)status;
    CMT__MARK_IF(c->event_timers.first != NULL, timer_events_wait);
    list_append(&c->event_timers, t);
    cmt__mailbox_offer(c->mailbox, &c->timer_events);
  }
  return false;
}

/* The next that is due at |now_ns|, about to be called; NULL: there is none. */
static cmt_timer *timer_next(cmt__calls *c, uint64_t now_ns) {
  cmt_timer *t;

  cmt__lock(c->lock);
  do {
    t = c->heap;
    t = t != NULL && NUMBER(t, INSTANT) <= now_ns ? t : NULL;
  } while (t != NULL && !timer_enter(c, t, CMT_OK));
  cmt__unlock(c->lock);
  return t;
}

/* Sets the timer of the loop to the earliest. */
static void timer_arm(cmt__calls *c) {
  uint64_t at_ns;

  cmt__lock(c->lock);
  at_ns = c->heap != NULL ? NUMBER(c->heap, INSTANT) : CMT_NEVER;
  cmt__unlock(c->lock);
  cmt__loop_timer(c->reserved, &c->timer, at_ns);
}

/* What callbacks set meanwhile is fresh, so this ends. */
static void calls_on_timer(cmt__timer *timer) {
  cmt__calls *c = (cmt__calls *)((char *)timer - offsetof(cmt__calls, timer));
  cmt_timer *t;

  while ((t = timer_next(c, cmt__loop_polled(c->reserved))) != NULL) {
    timer_run(c, t, CMT_OK);
  }
  timer_arm(c);
}

/* Under the lock: |p| is about to be called; false: it has no callback, and is
   an event now. */
static bool post_enter(cmt__calls *c, cmt_post *p, cmt_err status) {
  p->internal.owner = NULL;
  if (p->cb == NULL && !c->mailbox->given_up) {
    p->internal.owner = c;
    p->internal.numbers[0] = (uint64_t)status;
    posts_append(&c->event_posts, p);
    cmt__mailbox_offer(c->mailbox, &c->post_events);
  }
  return p->cb != NULL;
}

/* The next post, about to be called with |status|; NULL: there is none. */
static cmt_post *post_next(cmt__calls *c, cmt_err status) {
  cmt_post *p;

  cmt__lock(c->lock);
  do {
    p = posts_take(&c->posts);
    c->post_count -= p != NULL;
  } while (p != NULL && !post_enter(c, p, status));
  cmt__unlock(c->lock);
  return p;
}

static void post_run(cmt__calls *c, cmt_post *p, cmt_err status) {
  cmt__assert_unlocked(c->env);
  cmt__callback_begin(c->callbacks, "a post", -1);
  p->cb(p->arg, status);
  cmt__callback_end(c->callbacks);
}

static void calls_on_wake(cmt__post *wake) {
  cmt__calls *c = (cmt__calls *)((char *)wake - offsetof(cmt__calls, wake));
  cmt_post *p;
  size_t left;
  bool closed;

  cmt__lock(c->lock);
  c->posted = false;
  closed = c->closed;
  fresh_schedule(c, cmt__loop_now(c->reserved));
  left = c->post_count;
  cmt__unlock(c->lock);
  if (closed) {
    c->on_drained(c->arg);
    return;
  }
  timer_arm(c);
  for (; left > 0 && (p = post_next(c, CMT_OK)) != NULL; left--) {
    post_run(c, p, CMT_OK);
  }
}

/* ---- events ---- */

static void timer_take(cmt__event_source *s, cmt_mailbox_event *out) {
  cmt__calls *c =
    (cmt__calls *)(void *)((char *)s - offsetof(cmt__calls, timer_events));
  cmt_timer *t = c->event_timers.first;

  list_remove(&c->event_timers, t);
  NUMBER(t, STATE) = UNSET;
  t->internal.owner = NULL;
  out->kind = CMT_EVENT_TIMER;
  out->reason = (cmt_err)NUMBER(t, STATUS);
  out->arg = t->arg;
}

static void post_take(cmt__event_source *s, cmt_mailbox_event *out) {
  cmt__calls *c =
    (cmt__calls *)(void *)((char *)s - offsetof(cmt__calls, post_events));
  cmt_post *p = posts_take(&c->event_posts);

  p->internal.owner = NULL;
  out->kind = CMT_EVENT_POST;
  out->reason = (cmt_err)p->internal.numbers[0];
  out->arg = p->arg;
}

void cmt__calls_set_mailbox(cmt__calls *c, cmt_mailbox *m) {
  CMT_ASSERT(c->env,
             c->event_timers.first == NULL && c->event_posts.first == NULL);
  c->mailbox = m;
  c->lock = m != NULL ? &m->lock : &c->own_lock;
  if (m != NULL) {
    c->timer_events.take = timer_take;
    c->post_events.take = post_take;
    cmt__mailbox_add_source(m, &c->timer_events);
    cmt__mailbox_add_source(m, &c->post_events);
  }
}

/* ---- beginning and end ---- */

cmt_err cmt__calls_init(cmt__calls *c, const cmt_env *env) {
  *c = (cmt__calls){
    .env = env, .timer.cb = calls_on_timer, .wake.cb = calls_on_wake};
  c->lock = &c->own_lock;
  if (!cmt__cond_init(&c->returned)) {
    return CMT_ENOMEM;
  }
  if (pthread_mutex_init(&c->own_lock, NULL) != 0) {
    pthread_cond_destroy(&c->returned);
    return CMT_ENOMEM;
  }
  return CMT_OK;
}

cmt_err cmt__calls_reserve(cmt__calls *c, cmt__loop *loop, cmt_why *why) {
  cmt_err err = cmt__loop_reserve_timers(loop, 1);

  c->reserved = err == CMT_OK ? loop : NULL;
  return err == CMT_OK ? err : cmt__why_plain(why, err, CMT_STAGE_TRANSPORT);
}

void cmt__calls_start(cmt__calls *c) {
  cmt__lock(c->lock);
  c->loop = c->reserved;
  if (c->fresh.first != NULL || c->posts.first != NULL) {
    calls_wake(c);
  }
  cmt__unlock(c->lock);
}

/* Any timer, about to be called; NULL: there is none. */
static cmt_timer *timer_last(cmt__calls *c) {
  cmt_timer *t;

  cmt__lock(c->lock);
  do {
    t = c->heap != NULL ? c->heap : c->fresh.first;
  } while (t != NULL && !timer_enter(c, t, CMT_ECANCELED));
  cmt__unlock(c->lock);
  return t;
}

bool cmt__calls_close(cmt__calls *c) {
  cmt_timer *t;
  cmt_post *p;
  bool posted;

  cmt__lock(c->lock);
  c->closed = true;
  posted = c->posted;
  cmt__unlock(c->lock);
  while ((p = post_next(c, CMT_ECANCELED)) != NULL) {
    post_run(c, p, CMT_ECANCELED);
  }
  while ((t = timer_last(c)) != NULL) {
    CMT__MARK(timer_ended_by_switch);
    timer_run(c, t, CMT_ECANCELED);
  }
  if (c->reserved != NULL) {
    cmt__loop_timer(c->reserved, &c->timer, CMT_NEVER);
    if (!posted) {
      cmt__loop_release_timers(c->reserved, 1);
      c->reserved = NULL;
    }
  }
  return !posted;
}

void cmt__calls_fini(cmt__calls *c) {
  CMT_ASSERT(c->env, c->heap == NULL && c->fresh.first == NULL);
  CMT_ASSERT(c->env, c->event_timers.first == NULL && c->posts.first == NULL);
  pthread_mutex_destroy(&c->own_lock);
  pthread_cond_destroy(&c->returned);
}
