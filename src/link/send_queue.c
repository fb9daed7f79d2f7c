/* SPDX-License-Identifier: Apache-2.0 */

/* The send queue of a peer.

   Design notes.  A send is decided under the lock, on the caller's thread, and
   the decision is final: it takes one of the channel's credits and its message
   lies in the intake, or it is refused, or it waits.  A credit comes back when
   the message was cut to its end, so the counts here are those of the
   connection plus the intake, and the connection, which has the same limits,
   can never refuse for want of room.

   The loop learns of the intake by a wake-up: one post for any number of sends.

     attended  posted
     no        no      Nothing has come since the last look; a send posts.
     yes       yes     A wake-up is under way.
     yes       no      The loop is at work on this peer and ends with a look.
     no        yes     A look came before the wake-up; a send posts no other.

   |attended| is cleared in the same locked section that takes the intake, so no
   message can slip in between unseen.  The wake-up is posted under the lock on
   purpose: once cmt__send_queue_close() has returned nobody can post any more,
   and the loop may be deleted.  Posting takes only the mutex of the post queue,
   inside this one.

   Sends that wait stand in one FIFO per channel, and a free credit goes to the
   head that waited longest among those whose channel has one.  Nobody overtakes
   on a channel, since a try_send finds a waiting send in its way.  Bytes are
   shared by all channels: when that head lacks only them, nobody else gets any
   until it has them, or the small messages of other channels would keep a large
   one waiting for ever.  When it lacks room in the pool of all peers, which may
   take long, those that need nothing of that go on.  A request is the
   caller's memory, so waiting sends cost the send queue nothing.  A thread that
   blocks is a request on its stack with a condition; it is answered under the
   lock and watches its own deadline, so a loop that is held up by a callback
   does not hold it.  All others are answered by the loop outside the lock,
   and never from inside a send.

   A request is under way from its send until the loop takes it out of |done|,
   one at a time and under the lock, and calls back.  So whoever cancels it
   finds it waiting, or done with its callback still to come, and takes it out
   of either list; or finds that its callback is running, or has run.

   Deadlines need a clock, and the loop has it: a request notes how long it may
   wait, and becomes an instant at the loop's next look.  |deadline_ns| is a
   lower bound, looked up anew only when it is reached.

   Under the lock nothing is sealed, no message is let go (its release is the
   application's), and no callback runs. */

#include "send_queue_impl.h"
#include "send_queue_req.h"

#include "core/mux/channel.h"

#include <errno.h>

enum { INTAKE_FIRST = 4 };

enum {
  WAIT_FRESH = 1,  /* It has no deadline yet. */
  WAIT_BLOCKS = 2, /* It is that of a thread that blocks. */
  WAIT_DONE = 4,   /* It waits no more: its callback is due. */
};

typedef cmt__send_queue_wait queue_wait;

/* A request on the stack of the thread that waits for it. */
typedef struct blocked {
  cmt_send_req req;
  pthread_cond_t cond;
  bool done;
  cmt_err status;
} blocked;

static queue_wait *wait_of(cmt_send_req *req) {
  return cmt__send_queue_wait_of(req);
}

void cmt__send_queue_wake(cmt__send_queue *g) {
  if (g->attended || g->state == CMT__SEND_QUEUE_GONE) {
    return;
  }
  g->attended = true;
  if (!g->posted) {
    g->posted = true;
    g->wake(g->wake_arg);
  }
}

/* ---- sends ---- */

/* Whether |msg| may be sent there at all.  Without the lock, which is needed
   only to tell that the peer is closed, whatever is wrong besides. */
static cmt_err queue_check(cmt__send_queue *g, size_t at, cmt_buf *msg) {
  cmt_err err = cmt__channel_refuses(g->descs, g->channel_count, g->theirs, at,
                                     cmt_buf_bytes(msg).len);

  if (err != CMT_OK) {
    cmt__send_queue_lock(g);
    err = g->state == CMT__SEND_QUEUE_OPEN ? err : CMT_ECLOSED;
    cmt__send_queue_unlock(g);
  }
  return err;
}

/* One more message may be queued on the channel. */
static bool has_room(const cmt__send_queue *g, size_t at) {
  return cmt__channel_has_room(&g->descs[at], g->queued[at]);
}

static cmt_send_req *waits_first(const cmt__send_queue *g, size_t at) {
  return g->waits != NULL ? g->waits[at].first : NULL;
}

/* A message over |bytes_max| goes alone, and one for which the pool is too
   small when there are others. */
static bool bytes_fit(const cmt__send_queue *g, size_t len) {
  return g->messages == 0 ||
         (g->bytes <= g->bytes_max && len <= g->bytes_max - g->bytes &&
          cmt__send_queue_pool_has(g, len));
}

/* Takes a credit and puts |msg| into the intake.  Its room in the pool was
   taken; without memory it goes back. */
static cmt_err queue_put(cmt__send_queue *g, size_t at, cmt_buf *msg) {
  cmt__send_queue_items *in = &g->intake;
  void *list = in->list;

  if (in->count == in->cap) {
    if (!cmt__grow(g->env, &list, &in->cap, sizeof *in->list, INTAKE_FIRST)) {
      g->gave = cmt__send_queue_drop_room(g, cmt_buf_bytes(msg).len) || g->gave;
      cmt__send_queue_wake(g);
      return CMT_ENOMEM;
    }
    in->list = list;
  }
  in->list[in->count++] = (cmt__send_queue_item){.msg = msg, .at = (uint8_t)at};
  g->queued[at]++;
  g->messages++;
  g->bytes += cmt_buf_bytes(msg).len;
  return CMT_OK;
}

/* cmt__send_queue_try_send() under the lock. */
static cmt_err queue_try(cmt__send_queue *g, size_t at, cmt_buf *msg) {
  size_t len = cmt_buf_bytes(msg).len;
  cmt_err err;

  if (g->state != CMT__SEND_QUEUE_OPEN) {
    return CMT_ECLOSED;
  }
  if (waits_first(g, at) != NULL || !has_room(g, at) || g->starved ||
      !bytes_fit(g, len) ||
      (g->lacks > 0 && cmt__send_queue_needs_pool(g, len)) ||
      !cmt__send_queue_take_room(g, len)) {
    return CMT_EAGAIN;
  }
  err = queue_put(g, at, msg);
  if (err == CMT_OK) {
    cmt__send_queue_wake(g);
  }
  return err;
}

cmt_err cmt__send_queue_try_send(cmt__send_queue *g, size_t at, cmt_buf *msg) {
  cmt_err err = queue_check(g, at, msg);

  if (err == CMT_OK) {
    cmt__send_queue_lock(g);
    err = queue_try(g, at, msg);
    cmt__send_queue_unlock(g);
  }
  return err;
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

  if (c->first == NULL && has_room(g, w->channel)) {
    size_t len = cmt_buf_bytes(req->msg).len;

    if (g->lacks == 0 && bytes_fit(g, len)) {
      g->lacks = len;
    }
    g->starved = g->starved || !bytes_fit(g, len);
  }
  w->sequence = g->sequence++;
  fifo_append(g, c, req);
}

static void wait_remove(cmt__send_queue *g, cmt_send_req *req) {
  fifo_remove(g, &g->waits[wait_of(req)->channel], req);
}

/* Ends the wait of |req|, which is in no FIFO any more.  A blocked thread may
   leave, and take |req| with it, once the lock is free. */
static void wait_finish(cmt__send_queue *g, cmt_send_req *req, cmt_err status) {
  if ((wait_of(req)->flags & WAIT_BLOCKS) != 0) {
    blocked *b = (blocked *)req;

    b->done = true;
    b->status = status;
    pthread_cond_signal(&b->cond);
  } else {
    done_append(g, req, status);
  }
}

/* Whether the head |r| of channel |at| may be looked at: it has a credit, and
   for |small| fits without the pool. */
static bool head_is_ready(const cmt__send_queue *g, const cmt_send_req *r,
                          size_t at, bool small) {
  size_t len;

  if (r == NULL || !has_room(g, at)) {
    return false;
  }
  len = cmt_buf_bytes(r->msg).len;
  return !small || (bytes_fit(g, len) && !cmt__send_queue_needs_pool(g, len));
}

/* The head that waited longest among those; NULL: there is none. */
static cmt_send_req *waits_longest(cmt__send_queue *g, bool small) {
  cmt_send_req *best = NULL;

  for (size_t i = 0; i < g->channel_count; i++) {
    cmt_send_req *r = waits_first(g, i);

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

/* The next to come in, whose room in the pool is taken.  One that lacks bytes
   of its peer holds up all others; one that lacks only the pool, those that
   need it too. */
static cmt_send_req *waits_pick(cmt__send_queue *g) {
  cmt_send_req *best = waits_longest(g, false);
  size_t len = best != NULL ? cmt_buf_bytes(best->msg).len : 0;

  g->lacks = 0;
  g->starved = best != NULL && !bytes_fit(g, len);
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

  while ((r = waits_pick(g)) != NULL) {
    queue_wait *w = wait_of(r);

    wait_remove(g, r);
    wait_finish(g, r, queue_put(g, w->channel, r->msg));
    any = true;
  }
  return any;
}

/* cmt__send_queue_send_async() under the lock, of a request that was claimed.
 */
static cmt_err queue_begin(cmt__send_queue *g, size_t at, cmt_buf *msg,
                           cmt_send_req *req) {
  cmt_err err = queue_try(g, at, msg);
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
    w->flags = req->timeout_ns == CMT_NEVER ? 0 : WAIT_FRESH;
    g->fresh = g->fresh || w->flags != 0;
    wait_append(g, req);
  }
  cmt__send_queue_wake(g);
  return CMT_OK;
}

cmt_err cmt__send_queue_send_async(cmt__send_queue *g, size_t at, cmt_buf *msg,
                                   cmt_send_req *req) {
  cmt_err err = queue_check(g, at, msg);

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

/* Ends the wait of |req|; nothing of it was queued, and nobody is told. */
static void wait_leave(cmt__send_queue *g, cmt_send_req *req) {
  bool lacked = g->lacks > 0;

  wait_remove(g, req);
  /* It may have stood before one that fits, or in the list of the pool. */
  if (cmt__send_queue_admit(g) || lacked) {
    cmt__send_queue_wake(g);
  }
}

/* |req| is under way here, and its callback has not begun. */
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
    err = queue_withdraw(g, req);
  } else if (g->answering == req) {
    err = CMT_EBUSY;
  }
  cmt__send_queue_unlock(g);
  return err;
}

/* ---- blocking ---- */

/* Waits under the lock until |b| is done or its time has passed. */
static void blocked_wait(cmt__send_queue *g, blocked *b, uint64_t timeout_ns) {
  struct timespec at = cmt__cond_deadline(timeout_ns);
  int error = 0;

  while (!b->done && error != ETIMEDOUT) {
    error = timeout_ns == CMT_NEVER
              ? pthread_cond_wait(&b->cond, &g->lock)
              : pthread_cond_timedwait(&b->cond, &g->lock, &at);
  }
  if (!b->done) {
    wait_leave(g, &b->req);
    b->status = CMT_ETIMEDOUT;
  }
}

cmt_err cmt__send_queue_send(cmt__send_queue *g, size_t at, cmt_buf *msg,
                             uint64_t timeout_ns) {
  blocked b = {.req.msg = msg};
  cmt_err err = queue_check(g, at, msg);

  if (err != CMT_OK) {
    return err;
  }
  cmt__send_queue_lock(g);
  err = queue_try(g, at, msg);
  if (err == CMT_EAGAIN && timeout_ns == 0) {
    err = CMT_ETIMEDOUT;
  } else if (err == CMT_EAGAIN &&
             (!waits_reserve(g) || !cmt__cond_init(&b.cond))) {
    err = CMT_ENOMEM;
  } else if (err == CMT_EAGAIN) {
    (void)cmt__send_queue_claim(&b.req);
    *wait_of(&b.req) = (queue_wait){.send_queue = g,
                                    .deadline_ns = CMT_NEVER,
                                    .channel = (uint8_t)at,
                                    .flags = WAIT_BLOCKS};
    wait_append(g, &b.req);
    if (g->lacks > 0) {
      cmt__send_queue_wake(g);
    }
    blocked_wait(g, &b, timeout_ns);
    cmt__send_queue_release(&b.req);
    pthread_cond_destroy(&b.cond);
    err = b.status;
  }
  cmt__send_queue_unlock(g);
  return err;
}

void cmt__send_queue_fail_waits(cmt__send_queue *g) {
  g->starved = false;
  g->lacks = 0;
  for (size_t i = 0; i < g->channel_count; i++) {
    cmt_send_req *req;

    while ((req = waits_first(g, i)) != NULL) {
      wait_remove(g, req);
      wait_finish(g, req, CMT_ECLOSED);
    }
  }
}

/* ---- the loop ---- */

bool cmt__send_queue_on_wake(cmt__send_queue *g) {
  bool here;

  cmt__send_queue_lock(g);
  g->posted = false;
  g->attended = true;
  here = g->state != CMT__SEND_QUEUE_GONE;
  cmt__send_queue_unlock(g);
  return here;
}

void cmt__send_queue_attend(cmt__send_queue *g) {
  cmt__send_queue_lock(g);
  g->attended = true;
  cmt__send_queue_unlock(g);
}

bool cmt__send_queue_leave(cmt__send_queue *g) {
  bool answered;

  cmt__send_queue_lock(g);
  g->attended = true;
  answered = !g->posted;
  cmt__send_queue_unlock(g);
  return answered;
}

/* Fresh sends are the last of their FIFO, but for those that never expire. */
static void waits_set_deadlines(cmt__send_queue *g, uint64_t now_ns) {
  for (size_t i = 0; g->fresh && i < g->channel_count; i++) {
    for (cmt_send_req *r = g->waits[i].last; r != NULL; r = wait_of(r)->prev) {
      queue_wait *w = wait_of(r);

      cmt__send_queue_check_req(g, &g->waits[i], r);
      if ((w->flags & WAIT_FRESH) != 0) {
        w->flags &= (uint8_t)~WAIT_FRESH;
        w->deadline_ns = cmt__after(now_ns, w->deadline_ns);
        g->deadline_ns = cmt__min64(g->deadline_ns, w->deadline_ns);
      } else if ((w->flags & WAIT_BLOCKS) == 0 && w->deadline_ns != CMT_NEVER) {
        break;
      }
    }
  }
  g->fresh = false;
}

static void waits_expire(cmt__send_queue *g, uint64_t now_ns) {
  if (now_ns < g->deadline_ns) {
    return;
  }
  g->deadline_ns = CMT_NEVER;
  for (size_t i = 0; i < g->channel_count; i++) {
    cmt_send_req *next;

    for (cmt_send_req *r = waits_first(g, i); r != NULL; r = next) {
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

void cmt__send_queue_take(cmt__send_queue *g, uint64_t now_ns,
                          cmt__send_queue_view *out) {
  cmt__send_queue_items items;
  size_t lacks;
  bool gave;

  cmt__send_queue_lock(g);
  g->attended = false;
  items = g->intake;
  g->intake = g->taken;
  g->intake.count = 0;
  g->taken = items;
  waits_set_deadlines(g, now_ns);
  waits_expire(g, now_ns);
  /* The send that expired may have stood before one that fits. */
  if (cmt__send_queue_admit(g)) {
    cmt__send_queue_wake(g);
  }
  out->queued_bytes = g->bytes;
  out->deadline_ns = g->deadline_ns;
  lacks = g->lacks;
  gave = g->gave;
  g->gave = false;
  cmt__send_queue_unlock(g);
  if (gave) {
    cmt__send_pool_wake(g->pool);
  }
  cmt__send_queue_pool_look(g, lacks);
}

void cmt__send_queue_trim(cmt__send_queue *g) {
  CMT_ASSERT(g->env, g->taken.count == 0);
  cmt__free(g->env, g->taken.list);
  g->taken = (cmt__send_queue_items){.list = NULL};
  cmt__send_queue_lock(g);
  if (g->intake.count == 0) {
    g->taken = g->intake;
    g->intake = (cmt__send_queue_items){.list = NULL};
  }
  cmt__send_queue_unlock(g);
  cmt__free(g->env, g->taken.list);
  g->taken = (cmt__send_queue_items){.list = NULL};
}

bool cmt__send_queue_credit(cmt__send_queue *g, const cmt__credits *c) {
  bool any, wakes;

  cmt__send_queue_lock(g);
  for (size_t i = 0; i < g->channel_count; i++) {
    CMT_ASSERT(g->env, c->messages[i] <= g->queued[i]);
    g->queued[i] -= c->messages[i];
    g->messages -= c->messages[i];
  }
  CMT_ASSERT(g->env, c->bytes <= g->bytes);
  wakes = cmt__send_queue_give_room(g, c->bytes);
  any = cmt__send_queue_admit(g) || g->lacks > 0;
  g->attended = g->attended || any;
  cmt__send_queue_unlock(g);
  if (wakes) {
    cmt__send_pool_wake(g->pool);
  }
  return any;
}

/* Ends |r|, which may be used again from its callback on.  Gives the lock away
   for the callback, and notes which one is running. */
static void answer(cmt__send_queue *g, cmt_send_req *r) {
  void (*cb)(void *arg, cmt_err status, cmt_buf *msg) = r->cb;
  cmt_err status = (cmt_err)wait_of(r)->status;
  cmt_buf *msg = r->msg;
  void *arg = r->arg;

  done_remove(g, r);
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

/* A callback may send again, so only as many run as are due now. */
bool cmt__send_queue_answer(cmt__send_queue *g) {
  uint32_t due;

  cmt__send_queue_lock(g);
  due = g->done_count;
  g->attended = g->attended || due > 0;
  for (uint32_t i = 0; i < due && g->done.first != NULL; i++) {
    answer(g, g->done.first);
  }
  cmt__send_queue_unlock(g);
  return due > 0;
}

bool cmt__send_queue_close(cmt__send_queue *g) {
  cmt__send_queue_items items;
  bool posted;

  cmt__send_queue_lock(g);
  g->state = CMT__SEND_QUEUE_GONE;
  cmt__send_queue_fail_waits(g);
  items = g->intake;
  g->intake = (cmt__send_queue_items){.list = NULL};
  posted = g->posted;
  cmt__send_queue_unlock(g);
  for (size_t i = 0; i < items.count; i++) {
    cmt_buf_unref(items.list[i].msg);
  }
  cmt__free(g->env, items.list);
  cmt__free(g->env, g->taken.list);
  g->taken = (cmt__send_queue_items){.list = NULL};
  return posted;
}

cmt_err cmt__send_queue_init(cmt__send_queue *g, const cmt_env *env,
                             const cmt_channel *channels, size_t count,
                             uint16_t theirs) {
  *g = (cmt__send_queue){
    .env = env,
    .descs = channels,
    .channel_count = (uint16_t)count,
    .theirs = theirs,
    .attended = true,
    .deadline_ns = CMT_NEVER,
  };
  g->queued = cmt__alloc_zero(env, count * sizeof *g->queued);
  if (g->queued == NULL) {
    return CMT_ENOMEM;
  }
  if (pthread_mutex_init(&g->lock, NULL) != 0) {
    cmt__free(env, g->queued);
    return CMT_ENOMEM;
  }
  atomic_init(&g->control, false);
  return CMT_OK;
}

/* Nobody may be inside any more. */
void cmt__send_queue_fini(cmt__send_queue *g) {
  CMT_ASSERT(g->env, g->done.first == NULL && g->intake.count == 0);
  cmt__free(g->env, g->intake.list);
  cmt__free(g->env, g->taken.list);
  cmt__free(g->env, g->queued);
  cmt__free(g->env, g->waits);
  pthread_mutex_destroy(&g->lock);
}
