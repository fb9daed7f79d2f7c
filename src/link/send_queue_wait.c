/* SPDX-License-Identifier: Apache-2.0 */

/* Sends that wait, and requests whose callback is due; the design notes are
   those of send_queue.c.  Each request that is under way stands in one list,
   under the lock: that of its channel, or |done|. */

#include "send_queue_impl.h"
#include "send_queue_req.h"

#include "sys/flag.h"

enum {
  WAIT_FRESH = 1,    /* It has no deadline yet. */
  WAIT_BLOCKS = 2,   /* The request of a blocked thread. */
  WAIT_DONE = 4,     /* Its wait is over: its callback is due. */
  WAIT_REPORTED = 8, /* The sink has it. */
  WAIT_WOKEN = 16,   /* Its thread is being woken. */
};

/* While a thread spins, one of those that are asleep is woken in this time.  It
   finds the queue full and takes the processor of the loop or of the one that
   spins for some ten microseconds. */
enum { ROUSE_NS = 8 * CMT__SPIN_NS };

typedef cmt__send_queue_wait queue_wait;

/* A request on the stack of the thread that waits for it. */
typedef struct blocked {
  cmt_send_req req;
  cmt__flag woken;
} blocked;

static queue_wait *wait_of(cmt_send_req *req) {
  return cmt__send_queue_wait_of(req);
}

/* ---- lists of requests ---- */

static void fifo_append(cmt__send_queue *g, cmt__send_queue_fifo *f,
                        cmt_send_req *req) {
  queue_wait *w = wait_of(req);

  if (f->last == req) {
    cmt__send_queue_req_panic(g);
  }
  if (f->last != NULL) {
    cmt__send_queue_check_req(g, f, f->last);
  }
  w->next = NULL;
  w->prev = f->last;
  if (f->last == NULL) {
    f->first = req;
  } else {
    wait_of(f->last)->next = req;
  }
  f->last = req;
}

static void fifo_remove(cmt__send_queue *g, cmt__send_queue_fifo *f,
                        cmt_send_req *req) {
  const queue_wait *w = wait_of(req);

  cmt__send_queue_check_req(g, f, req);
  if (w->prev != NULL) {
    wait_of(w->prev)->next = w->next;
  } else {
    f->first = w->next;
  }
  if (w->next != NULL) {
    wait_of(w->next)->prev = w->prev;
  } else {
    f->last = w->prev;
  }
}

static void done_append(cmt__send_queue *g, cmt_send_req *req, cmt_err status) {
  queue_wait *w = wait_of(req);

  fifo_append(g, &g->done, req);
  atomic_store_explicit(&g->answers, true, memory_order_relaxed);
  w->status = (int16_t)status;
  w->flags = WAIT_DONE;
  g->done_count++;
}

static void done_remove(cmt__send_queue *g, cmt_send_req *req) {
  fifo_remove(g, &g->done, req);
  g->done_count--;
}

/* Memory for the sends that wait; few peers ever have one. */
static bool waits_reserve(cmt__send_queue *g) {
  if (g->waits == NULL) {
    g->waits = cmt__alloc_zero(g->env, cmt__send_queue_waits_size(g));
  }
  return g->waits != NULL;
}

static void wait_append(cmt__send_queue *g, cmt_send_req *req) {
  queue_wait *w = wait_of(req);
  cmt__send_queue_fifo *c = &g->waits[w->channel];

  if (c->first == NULL && cmt__send_queue_has_room(g, w->channel)) {
    size_t len = cmt_buf_bytes(req->msg).len;

    if (!cmt__send_queue_fits(g, len)) {
      g->starved = true;
    } else if (!cmt__send_queue_lacks(g)) {
      g->lacks = len;
    }
  }
  w->sequence = g->sequence++;
  fifo_append(g, c, req);
}

static void wait_remove(cmt__send_queue *g, cmt_send_req *req) {
  fifo_remove(g, &g->waits[wait_of(req)->channel], req);
}

/* Ends the wait of |req|, which is in no FIFO any more. */
static void wait_finish(cmt__send_queue *g, cmt_send_req *req, cmt_err status) {
  queue_wait *w = wait_of(req);

  if ((w->flags & WAIT_BLOCKS) != 0) {
    w->status = (int16_t)status;
    w->flags |= WAIT_DONE;
    fifo_append(g, cmt__send_queue_asleep(g), req);
  } else {
    done_append(g, req, status);
  }
}

static bool fits_without_pool(const cmt__send_queue *g, size_t len) {
  return cmt__send_queue_fits(g, len) && !cmt__send_queue_needs_pool(g, len);
}

/* Whether the head |r| of channel |at| is a candidate: it has a credit, and for
   |small| fits without the pool. */
static bool head_is_ready(const cmt__send_queue *g, const cmt_send_req *r,
                          size_t at, bool small) {
  return r != NULL && cmt__send_queue_has_room(g, at) &&
         (!small || fits_without_pool(g, cmt_buf_bytes(r->msg).len));
}

/* The head that waited longest among those; NULL: there is none. */
static cmt_send_req *waits_longest(cmt__send_queue *g, bool small) {
  cmt_send_req *best = NULL;

  for (size_t i = 0; i < g->channel_count; i++) {
    cmt_send_req *r = cmt__send_queue_first(g, i);

    if (r != NULL) {
      cmt__send_queue_check_req(g, &g->waits[i], r);
    }
    if (head_is_ready(g, r, i, small) &&
        (best == NULL || wait_of(r)->sequence < wait_of(best)->sequence)) {
      best = r;
    }
  }
  return best;
}

/* The next send to be queued, whose room in the pool is reserved.  A send that
   lacks bytes of its peer blocks all others; one that lacks only the pool
   blocks those that need it too. */
static cmt_send_req *waits_pick(cmt__send_queue *g) {
  cmt_send_req *best = waits_longest(g, false);
  size_t len = best != NULL ? cmt_buf_bytes(best->msg).len : 0;

  g->lacks = 0;
  g->starved = best != NULL && !cmt__send_queue_fits(g, len);
  if (best == NULL || g->starved) {
    return NULL;
  }
  if (cmt__send_queue_take_room(g, len)) {
    return best;
  }
  g->lacks = len;
  return waits_longest(g, true);
}

bool cmt__send_queue_admit(cmt__send_queue *g) {
  bool any = false;
  cmt_send_req *r;

  if (g->waits == NULL) {
    return false;
  }
  while ((r = waits_pick(g)) != NULL) {
    queue_wait *w = wait_of(r);

    wait_remove(g, r);
    wait_finish(g, r, cmt__send_queue_put(g, w->channel, r->msg));
    any = true;
  }
  return any;
}

/* cmt__send_queue_send_async() under the lock, of a request that was claimed.
 */
static cmt_err queue_begin(cmt__send_queue *g, size_t at, cmt_buf *msg,
                           cmt_send_req *req) {
  cmt_err err = cmt__send_queue_try(g, at, msg);
  queue_wait *w = wait_of(req);

  if (err == CMT_EAGAIN && !waits_reserve(g)) {
    return CMT_ENOMEM;
  }
  if (err != CMT_OK && err != CMT_EAGAIN) {
    return err;
  }
  req->msg = msg;
  *w = (queue_wait){
    .send_queue = g, .deadline_ns = req->timeout_ns, .channel = (uint8_t)at};
  if (err == CMT_OK) {
    done_append(g, req, CMT_OK);
  } else if (req->timeout_ns == 0) {
    done_append(g, req, CMT_ETIMEDOUT);
  } else {
    w->flags = WAIT_FRESH;
    g->fresh = true;
    wait_append(g, req);
  }
  cmt__send_queue_wake(g);
  return CMT_OK;
}

cmt_err cmt__send_queue_send_async(cmt__send_queue *g, size_t at, cmt_buf *msg,
                                   cmt_send_req *req) {
  cmt_err err = cmt__send_queue_check(g, at, msg);

  if (err != CMT_OK) {
    return err;
  }
  cmt__send_queue_lock(g);
  if (!cmt__send_queue_claim(req)) {
    err = CMT_EINVAL;
  } else {
    err = queue_begin(g, at, msg, req);
    if (err != CMT_OK) {
      cmt__send_queue_release(req);
    }
  }
  cmt__send_queue_unlock(g);
  return err;
}

/* Ends the wait of |req|; nothing of it was queued, and its callback does not
   run. */
static void wait_leave(cmt__send_queue *g, cmt_send_req *req) {
  bool lacked = cmt__send_queue_lacks(g);

  wait_remove(g, req);
  /* It may have blocked one that fits, or be in the list of the pool. */
  if (cmt__send_queue_admit(g) || lacked) {
    cmt__send_queue_wake(g);
  }
}

/* True when |req| is under way here, and its callback has not begun. */
static cmt_err queue_withdraw(cmt__send_queue *g, cmt_send_req *req) {
  const queue_wait *w = wait_of(req);
  bool is_queued = false;

  if ((w->flags & WAIT_DONE) == 0) {
    wait_leave(g, req);
  } else {
    is_queued = w->status == CMT_OK;
    done_remove(g, req);
  }
  cmt__send_queue_release(req);
  if (is_queued) {
    req->msg = NULL;
  }
  return is_queued ? CMT_EALREADY : CMT_OK;
}

cmt_err cmt__send_queue_cancel(cmt__send_queue *g, cmt_send_req *req) {
  cmt_err err = CMT_EINVAL;

  cmt__send_queue_lock(g);
  if (cmt__send_queue_owns(g, req)) {
    err = (wait_of(req)->flags & WAIT_REPORTED) != 0 ? CMT_EBUSY
                                                     : queue_withdraw(g, req);
  } else if (g->answering == req) {
    err = CMT_EBUSY;
  }
  cmt__send_queue_unlock(g);
  return err;
}

/* ---- blocking ---- */

/* The time of |b| is over.  True: it is done for that reason, or was before.
   False: it is just being woken. */
static bool blocked_leave(cmt__send_queue *g, blocked *b) {
  queue_wait *w = wait_of(&b->req);
  bool left = true;

  cmt__send_queue_lock(g);
  if ((w->flags & WAIT_WOKEN) != 0) {
    left = false;
  } else if ((w->flags & WAIT_DONE) != 0) {
    fifo_remove(g, cmt__send_queue_asleep(g), &b->req);
  } else {
    w->status = CMT_ETIMEDOUT;
    wait_leave(g, &b->req);
  }
  cmt__send_queue_unlock(g);
  return left;
}

/* Waits until |b| is done or its time has passed. */
static cmt_err blocked_wait(cmt__send_queue *g, blocked *b,
                            uint64_t timeout_ns) {
  cmt_err status;

  if (!cmt__flag_wait(&b->woken, timeout_ns) && !blocked_leave(g, b)) {
    (void)cmt__flag_wait(&b->woken, CMT_NEVER);
  }
  status = (cmt_err)wait_of(&b->req)->status;
  cmt__send_queue_release(&b->req);
  return status;
}

/* Under the lock: puts |b| behind those that wait.  CMT_ENOMEM. */
static cmt_err blocked_begin(cmt__send_queue *g, blocked *b, size_t at) {
  if (!waits_reserve(g)) {
    return CMT_ENOMEM;
  }
  (void)cmt__send_queue_claim(&b->req);
  *wait_of(&b->req) = (queue_wait){.send_queue = g,
                                   .deadline_ns = CMT_NEVER,
                                   .channel = (uint8_t)at,
                                   .flags = WAIT_BLOCKS};
  wait_append(g, &b->req);
  if (cmt__send_queue_lacks(g)) {
    cmt__send_queue_wake(g);
  }
  return CMT_OK;
}

/* Under the lock, which is given up meanwhile: spins until there is room for
   |msg|.  CMT_EAGAIN: it has to wait. */
static cmt_err spin_and_try(cmt__send_queue *g, size_t at, cmt_buf *msg,
                            uint64_t timeout_ns) {
  uint64_t end_ns;
  cmt_err err;
  bool freed;

  if (g->spins || cmt__send_queue_first(g, at) != NULL ||
      !cmt__spin_is_due(&g->spin)) {
    return CMT_EAGAIN;
  }
  g->spins = true;
  end_ns = cmt__spin_end_ns(timeout_ns);
  do {
    unsigned before = atomic_load_explicit(&g->freed, memory_order_relaxed);

    cmt__send_queue_unlock(g);
    freed = cmt__spin_while(&g->freed, before, end_ns);
    cmt__send_queue_lock(g);
    err = cmt__send_queue_try(g, at, msg);
  } while (freed && err == CMT_EAGAIN && cmt__send_queue_first(g, at) == NULL);
  g->spins = false;
  cmt__spin_note(&g->spin, err != CMT_EAGAIN);
  return err;
}

cmt_err cmt__send_queue_send(cmt__send_queue *g, size_t at, cmt_buf *msg,
                             uint64_t timeout_ns) {
  blocked b = {.req.msg = msg};
  bool blocks = false;
  cmt_err err = cmt__send_queue_check(g, at, msg);

  if (err != CMT_OK) {
    return err;
  }
  cmt__send_queue_lock(g);
  err = cmt__send_queue_try(g, at, msg);
  if (err == CMT_EAGAIN && timeout_ns > 0) {
    err = spin_and_try(g, at, msg, timeout_ns);
  }
  if (err == CMT_EAGAIN && timeout_ns == 0) {
    err = CMT_ETIMEDOUT;
  } else if (err == CMT_EAGAIN) {
    err = blocked_begin(g, &b, at);
    blocks = err == CMT_OK;
  }
  cmt__send_queue_unlock(g);
  return blocks ? blocked_wait(g, &b, timeout_ns) : err;
}

/* ---- waking ---- */

/* The channel takes |send_queue| + 1 messages. */
static bool half_is_free(const cmt__send_queue *g, size_t at) {
  return g->queued[at] <= (g->descs[at].send_queue + 1) / 2;
}

/* Whether a thread was woken just before. */
static bool roused_lately(const cmt__send_queue *g, uint64_t now_ns) {
  return (uint32_t)now_ns - g->roused_at < ROUSE_NS;
}

cmt_send_req *cmt__send_queue_wake_next(cmt__send_queue *g, uint64_t now_ns) {
  cmt_send_req *req = cmt__send_queue_sleeper(g);

  if (req == NULL || g->roused || !half_is_free(g, wait_of(req)->channel)) {
    return NULL;
  }
  if (g->spins && roused_lately(g, now_ns)) {
    g->relies = true;
    return NULL;
  }
  g->roused = true;
  g->roused_at = (uint32_t)now_ns;
  fifo_remove(g, cmt__send_queue_asleep(g), req);
  wait_of(req)->flags |= WAIT_WOKEN;
  wait_of(req)->next = NULL;
  return req;
}

cmt_send_req *cmt__send_queue_wake_all(cmt__send_queue *g) {
  cmt_send_req *first = cmt__send_queue_sleeper(g);

  for (cmt_send_req *r = first; r != NULL; r = wait_of(r)->next) {
    cmt__send_queue_check_req(g, cmt__send_queue_asleep(g), r);
    wait_of(r)->flags |= WAIT_WOKEN;
  }
  if (first != NULL) {
    *cmt__send_queue_asleep(g) = (cmt__send_queue_fifo){.first = NULL};
  }
  return first;
}

/* A thread that is woken takes its request with it. */
void cmt__send_queue_raise(cmt_send_req *req) {
  while (req != NULL) {
    cmt_send_req *next = wait_of(req)->next;

    cmt__flag_raise(&((blocked *)req)->woken);
    req = next;
  }
}

bool cmt__send_queue_rouse(cmt__send_queue *g, bool attends, uint64_t now_ns) {
  cmt_send_req *woken;
  bool any;

  cmt__send_queue_lock(g);
  woken = cmt__send_queue_wake_next(g, now_ns);
  if (!attends && !g->roused && !g->relies) {
    woken = cmt__send_queue_wake_all(g);
  }
  any = cmt__send_queue_sleeper(g) != NULL;
  g->attended = g->attended || any;
  cmt__send_queue_unlock(g);
  cmt__send_queue_raise(woken);
  return any;
}

void cmt__send_queue_fail_waits(cmt__send_queue *g) {
  g->lacks = 0;
  for (size_t i = 0; i < g->channel_count; i++) {
    cmt_send_req *req;

    while ((req = cmt__send_queue_first(g, i)) != NULL) {
      wait_remove(g, req);
      wait_finish(g, req, CMT_ECLOSED);
    }
  }
}

/* ---- the loop ---- */

/* Fresh sends are the last of their FIFO, except those of blocked threads. */
static void waits_set_deadlines(cmt__send_queue *g, uint64_t now_ns) {
  for (size_t i = 0; g->fresh && i < g->channel_count; i++) {
    for (cmt_send_req *r = g->waits[i].last; r != NULL; r = wait_of(r)->prev) {
      queue_wait *w = wait_of(r);

      cmt__send_queue_check_req(g, &g->waits[i], r);
      if ((w->flags & WAIT_FRESH) != 0) {
        w->flags &= (uint8_t)~WAIT_FRESH;
        w->deadline_ns = cmt__after(now_ns, w->deadline_ns);
        g->deadline_ns = cmt__min64(g->deadline_ns, w->deadline_ns);
      } else if ((w->flags & WAIT_BLOCKS) == 0) {
        break;
      }
    }
  }
  g->fresh = false;
}

static void waits_end_due(cmt__send_queue *g, uint64_t now_ns) {
  if (now_ns < g->deadline_ns) {
    return;
  }
  g->deadline_ns = CMT_NEVER;
  for (size_t i = 0; i < g->channel_count; i++) {
    cmt_send_req *next;

    for (cmt_send_req *r = cmt__send_queue_first(g, i); r != NULL; r = next) {
      queue_wait *w = wait_of(r);

      cmt__send_queue_check_req(g, &g->waits[i], r);
      next = w->next;
      if (now_ns >= w->deadline_ns) {
        wait_remove(g, r);
        wait_finish(g, r, CMT_ETIMEDOUT);
      } else {
        g->deadline_ns = cmt__min64(g->deadline_ns, w->deadline_ns);
      }
    }
  }
}

void cmt__send_queue_expire(cmt__send_queue *g, uint64_t now_ns) {
  waits_set_deadlines(g, now_ns);
  waits_end_due(g, now_ns);
}

/* Ends |r|, which may be used again from its callback on.  Unlocks for the
   callback, and records which one is running. */
static void answer(cmt__send_queue *g, cmt_send_req *r) {
  void (*cb)(void *arg, cmt_err status, cmt_buf *msg) = r->cb;
  cmt_err status = (cmt_err)wait_of(r)->status;
  cmt_buf *msg = r->msg;
  void *arg = r->arg;

  done_remove(g, r);
  if (cb == NULL && g->sink != NULL) {
    wait_of(r)->flags |= WAIT_REPORTED;
    cmt__send_queue_unlock(g);
    g->sink->answer(g->sink->arg, g, r);
    cmt__send_queue_lock(g);
    return;
  }
  r->msg = NULL;
  cmt__send_queue_release(r);
  g->answering = r;
  cmt__send_queue_unlock(g);
  if (cb != NULL) {
    cmt__assert_unlocked(g->env);
    cb(arg, status, status == CMT_OK ? NULL : msg);
  } else if (status != CMT_OK) {
    cmt_buf_unref(msg);
  }
  cmt__send_queue_lock(g);
  g->answering = NULL;
}

/* A callback may send or post again, so only as many run as are due now.  What
   came before the loop took the intake over is seen without the lock; the loop
   attends again for what comes later. */
bool cmt__send_queue_answer(cmt__send_queue *g) {
  uint32_t due, posts;
  bool any;

  if (!atomic_load_explicit(&g->answers, memory_order_relaxed)) {
    return false;
  }
  cmt__send_queue_lock(g);
  atomic_store_explicit(&g->answers, false, memory_order_relaxed);
  due = g->done_count;
  posts = g->post_count;
  any = due > 0 || posts > 0;
  g->attended = g->attended || any;
  for (uint32_t i = 0; i < due && g->done.first != NULL; i++) {
    answer(g, g->done.first);
  }
  cmt__send_queue_unlock(g);
  cmt__send_queue_run_posts(g, posts);
  return any;
}
