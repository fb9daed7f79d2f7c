/* SPDX-License-Identifier: Apache-2.0 */

/* Timers and posts of the application.

   Design notes.  A timer that was set lies in the list |fresh| until the loop
   has seen it, since only the loop knows the instant from which it counts. Then
   it is in |heap|, a pairing heap, which needs no memory but that of its
   elements and from which any of them can be taken.  Other threads take timers
   out and never touch the timer of the loop: that comes too early then, finds
   nothing due, and is set again.

   A callback runs without the lock.  |running| says which timer it belongs to,
   for whoever cancels that timer and must wait for it.  The timer itself is the
   application's again as soon as its callback is entered, and is only compared
   from then on. */

#include "calls.h"

/* The places in |links|; a first child has its parent as PREV. */
enum { CHILD, NEXT, PREV };
/* The places in |numbers|; a fresh timer has its delay as INSTANT. */
enum { INSTANT, ORDER, STATE };
enum { UNSET, FRESH, IN_HEAP }; /* A STATE. */

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

/* ---- the list of those that the loop has not seen ---- */

static void fresh_append(cmt__calls *c, cmt_timer *t) {
  LINK(t, NEXT) = NULL;
  LINK(t, PREV) = c->fresh_last;
  if (c->fresh_last != NULL) {
    LINK(c->fresh_last, NEXT) = t;
  } else {
    c->fresh = t;
  }
  c->fresh_last = t;
}

static void fresh_remove(cmt__calls *c, cmt_timer *t) {
  if (LINK(t, PREV) != NULL) {
    LINK(LINK(t, PREV), NEXT) = LINK(t, NEXT);
  } else {
    c->fresh = LINK(t, NEXT);
  }
  if (LINK(t, NEXT) != NULL) {
    LINK(LINK(t, NEXT), PREV) = LINK(t, PREV);
  } else {
    c->fresh_last = LINK(t, PREV);
  }
}

/* Moves them to the heap, now that there is an instant. */
static void fresh_settle(cmt__calls *c, uint64_t now_ns) {
  while (c->fresh != NULL) {
    cmt_timer *t = c->fresh;

    fresh_remove(c, t);
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

/* Takes |t| out; false: it was not set. */
static bool timer_unset(cmt__calls *c, cmt_timer *t) {
  if (NUMBER(t, STATE) == UNSET) {
    return false;
  }
  if (NUMBER(t, STATE) == FRESH) {
    fresh_remove(c, t);
  } else {
    heap_remove(c, t);
  }
  NUMBER(t, STATE) = UNSET;
  t->internal.owner = NULL;
  return true;
}

cmt_err cmt__calls_set(cmt__calls *c, cmt_timer *t, uint64_t after_ns) {
  cmt_err err = CMT_OK;

  cmt__lock(&c->lock);
  if (t->internal.owner != NULL && t->internal.owner != c) {
    err = CMT_EINVAL;
  } else if (c->closed) {
    err = CMT_ECLOSED;
  } else {
    (void)timer_unset(c, t);
    t->internal.owner = c;
    NUMBER(t, INSTANT) = after_ns;
    NUMBER(t, ORDER) = c->order++;
    NUMBER(t, STATE) = FRESH;
    fresh_append(c, t);
    calls_wake(c);
  }
  cmt__unlock(&c->lock);
  return err;
}

bool cmt__calls_cancel(cmt__calls *c, cmt_timer *t) {
  bool was_set = false;

  cmt__lock(&c->lock);
  if (t->internal.owner == c) {
    was_set = timer_unset(c, t);
  }
  while (c->running == t && !pthread_equal(c->runner, pthread_self())) {
    pthread_cond_wait(&c->returned, &c->lock);
    if (t->internal.owner == c) {
      was_set = timer_unset(c, t) || was_set; /* By its callback. */
    }
  }
  cmt__unlock(&c->lock);
  return was_set;
}

cmt_err cmt__calls_post(cmt__calls *c, cmt_post *p) {
  cmt_err err = CMT_OK;

  cmt__lock(&c->lock);
  if (p->internal.owner != NULL && p->internal.owner != c) {
    err = CMT_EINVAL;
  } else if (c->closed) {
    err = CMT_ECLOSED;
  } else if (p->internal.owner == NULL) {
    p->internal.owner = c;
    p->internal.next = NULL;
    if (c->posts_last != NULL) {
      c->posts_last->internal.next = p;
    } else {
      c->posts = p;
    }
    c->posts_last = p;
    c->post_count++;
    calls_wake(c);
  }
  cmt__unlock(&c->lock);
  return err;
}

/* ---- the loop ---- */

static void timer_run(cmt__calls *c, cmt_timer *t, cmt_err status) {
  cmt__assert_unlocked(c->env);
  cmt__callback_begin(c->callbacks, "a timer", -1);
  t->cb(t->arg, status);
  cmt__callback_end(c->callbacks);
  cmt__lock(&c->lock);
  c->running = NULL;
  pthread_cond_broadcast(&c->returned);
  cmt__unlock(&c->lock);
}

/* Under the lock: |t|, which is set, is about to be called. */
static void timer_enter(cmt__calls *c, cmt_timer *t) {
  (void)timer_unset(c, t);
  c->running = t;
  c->runner = pthread_self();
}

/* The next that is due at |now_ns|, about to be called; NULL: there is none. */
static cmt_timer *timer_next(cmt__calls *c, uint64_t now_ns) {
  cmt_timer *t;

  cmt__lock(&c->lock);
  t = c->heap;
  if (t != NULL && NUMBER(t, INSTANT) <= now_ns) {
    timer_enter(c, t);
  } else {
    t = NULL;
  }
  cmt__unlock(&c->lock);
  return t;
}

/* Sets the timer of the loop to the earliest. */
static void timer_arm(cmt__calls *c) {
  uint64_t at_ns;

  cmt__lock(&c->lock);
  at_ns = c->heap != NULL ? NUMBER(c->heap, INSTANT) : CMT_NEVER;
  cmt__unlock(&c->lock);
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

/* The first post, which is the caller's; NULL: there is none. */
static cmt_post *post_next(cmt__calls *c) {
  cmt_post *p;

  cmt__lock(&c->lock);
  p = c->posts;
  if (p != NULL) {
    c->posts = p->internal.next;
    c->posts_last = c->posts != NULL ? c->posts_last : NULL;
    c->post_count--;
    p->internal.owner = NULL;
  }
  cmt__unlock(&c->lock);
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
  size_t left;
  bool closed;

  cmt__lock(&c->lock);
  c->posted = false;
  closed = c->closed;
  fresh_settle(c, cmt__loop_now(c->reserved));
  left = c->post_count;
  cmt__unlock(&c->lock);
  if (closed) {
    c->on_drained(c->arg);
    return;
  }
  timer_arm(c);
  for (; left > 0; left--) {
    post_run(c, post_next(c), CMT_OK);
  }
}

/* ---- beginning and end ---- */

cmt_err cmt__calls_init(cmt__calls *c, const cmt_env *env) {
  *c = (cmt__calls){
    .env = env, .timer.cb = calls_on_timer, .wake.cb = calls_on_wake};
  if (!cmt__cond_init(&c->returned)) {
    return CMT_ENOMEM;
  }
  if (pthread_mutex_init(&c->lock, NULL) != 0) {
    pthread_cond_destroy(&c->returned);
    return CMT_ENOMEM;
  }
  return CMT_OK;
}

cmt_err cmt__calls_reserve(cmt__calls *c, cmt__loop *loop, cmt_why *why) {
  cmt_err err = cmt__loop_reserve_timers(loop, 1);

  c->reserved = err == CMT_OK ? loop : NULL;
  return err == CMT_OK
           ? err
           : cmt__why(why, err, CMT_STAGE_TRANSPORT, "%s", cmt_err_text(err));
}

void cmt__calls_start(cmt__calls *c) {
  cmt__lock(&c->lock);
  c->loop = c->reserved;
  if (c->fresh != NULL || c->posts != NULL) {
    calls_wake(c);
  }
  cmt__unlock(&c->lock);
}

/* Any timer, about to be called; NULL: there is none. */
static cmt_timer *timer_last(cmt__calls *c) {
  cmt_timer *t;

  cmt__lock(&c->lock);
  t = c->heap != NULL ? c->heap : c->fresh;
  if (t != NULL) {
    timer_enter(c, t);
  }
  cmt__unlock(&c->lock);
  return t;
}

bool cmt__calls_close(cmt__calls *c) {
  cmt_timer *t;
  cmt_post *p;
  bool posted;

  cmt__lock(&c->lock);
  c->closed = true;
  posted = c->posted;
  cmt__unlock(&c->lock);
  while ((p = post_next(c)) != NULL) {
    post_run(c, p, CMT_ECANCELED);
  }
  while ((t = timer_last(c)) != NULL) {
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
  CMT_ASSERT(c->env, c->heap == NULL && c->fresh == NULL && c->posts == NULL);
  pthread_mutex_destroy(&c->lock);
  pthread_cond_destroy(&c->returned);
}
