/* SPDX-License-Identifier: Apache-2.0 */

/* The send queue of a peer.

   Design notes.  A send is decided under the lock, on the caller's thread, and
   the decision is final: the send consumes one of the channel's credits and its
   message lies in the intake, or it is refused, or it waits.  A credit comes
   back when the message is packetized, so the counts here are those of the
   connection plus the intake, and the connection, which has the same limits,
   can never refuse for lack of room.

   The loop learns of the intake by a wake-up: one post for any number of sends.

     attended  posted
     no        no      Nothing was queued since the loop attended; a send posts.
     yes       yes     A wake-up is under way.
     yes       no      The loop works on this peer, and attends at the end.
     no        yes     It attended before the wake-up; a send posts no other.

   |attended| is cleared in the same critical section that takes over the
   intake, so no message can be missed in between.  The wake-up is posted under
   the lock on purpose: once cmt__send_queue_close() has returned no thread can
   post any more, and the loop may be deleted.  Posting acquires only the mutex
   of the post queue, inside this one.

   Sends that wait stand in one FIFO per channel, and a free credit goes to the
   head that waited longest among those whose channel has one.  No send
   overtakes another on a channel, since a try_send is refused while a send
   waits.  Bytes are shared by all channels: when that head lacks only them, no
   other send gets any until it has them, since otherwise small messages of
   other channels could keep a large one waiting for ever.  When it lacks room
   in the pool of all peers, which may last long, sends that need nothing of the
   pool go on.  A request is the caller's memory, so waiting sends cost the send
   queue nothing.  A thread that blocks is a request on its stack with a flag,
   and has its own deadline.  The loop answers all others outside the lock, and
   never from inside a send.

   To wake a thread costs more than to send a small message, so threads are
   woken for a burst of messages rather than for each.  A thread whose send is
   over stands in the list of those that are asleep.  Whenever the loop attends,
   it wakes the first of them, if half of its channel is free, and it attends
   again as long as there are some: one thread fills the queue while the others
   sleep.  When the loop would wait for something else, a socket that is full
   for one, it wakes them all.  A thread whose time is over takes itself out of
   the list.

   Before it blocks, a thread spins for some microseconds as long as that pays,
   one thread at a time.  It does not wait in the sense of what is said above:
   when credits came back it tries once more under the lock, like any new send,
   and only then goes to the end of the FIFO.  While it spins it fills the queue
   as soon as there is room, so of those that are asleep only one is woken in
   each ROUSE_NS: more of them would find the queue full again, and would take
   the processor from the thread that spins and from the loop.

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

enum { INTAKE_FIRST = 4 };

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

cmt_err cmt__send_queue_check(cmt__send_queue *g, size_t at, cmt_buf *msg) {
  cmt_err err = cmt__channel_refuses(g->descs, g->channel_count, g->theirs, at,
                                     cmt_buf_bytes(msg).len);

  if (err != CMT_OK) {
    cmt__send_queue_lock(g);
    err = g->state == CMT__SEND_QUEUE_OPEN ? err : CMT_ECLOSED;
    cmt__send_queue_unlock(g);
  }
  return err;
}

/* False: no memory. */
static bool intake_grow(cmt__send_queue *g) {
  cmt__send_queue_items *in = &g->intake;
  void *list = in->list;
  size_t cap = in->cap;

  if (cap > UINT32_MAX / 2 ||
      !cmt__grow(g->env, &list, &cap, sizeof *in->list, INTAKE_FIRST)) {
    return false;
  }
  in->list = list;
  in->cap = (uint32_t)cap;
  return true;
}

cmt_err cmt__send_queue_put(cmt__send_queue *g, size_t at, cmt_buf *msg) {
  cmt__send_queue_items *in = &g->intake;

  if (in->count == in->cap && !intake_grow(g)) {
    g->gave = cmt__send_queue_drop_room(g, cmt_buf_bytes(msg).len) || g->gave;
    cmt__send_queue_wake(g);
    return CMT_ENOMEM;
  }
  in->list[in->count++] = (cmt__send_queue_item){.msg = msg, .at = (uint8_t)at};
  g->queued[at]++;
  g->messages++;
  g->bytes += cmt_buf_bytes(msg).len;
  return CMT_OK;
}

cmt_err cmt__send_queue_try(cmt__send_queue *g, size_t at, cmt_buf *msg) {
  size_t len = cmt_buf_bytes(msg).len;
  cmt_err err;

  if (g->state != CMT__SEND_QUEUE_OPEN) {
    return CMT_ECLOSED;
  }
  if (cmt__send_queue_first(g, at) != NULL ||
      !cmt__send_queue_has_room(g, at) || g->starved ||
      !cmt__send_queue_fits(g, len) ||
      (cmt__send_queue_lacks(g) && cmt__send_queue_needs_pool(g, len)) ||
      !cmt__send_queue_take_room(g, len)) {
    return CMT_EAGAIN;
  }
  err = cmt__send_queue_put(g, at, msg);
  if (err == CMT_OK) {
    cmt__send_queue_wake(g);
  }
  return err;
}

cmt_err cmt__send_queue_try_send(cmt__send_queue *g, size_t at, cmt_buf *msg) {
  cmt_err err = cmt__send_queue_check(g, at, msg);

  if (err == CMT_OK) {
    cmt__send_queue_lock(g);
    err = cmt__send_queue_try(g, at, msg);
    cmt__send_queue_unlock(g);
  }
  return err;
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

void cmt__send_queue_take(cmt__send_queue *g, uint64_t now_ns,
                          cmt__send_queue_view *out) {
  cmt__send_queue_items items;
  size_t lacks;
  bool gave;

  CMT_ASSERT(g->env, g->taken_over.count == 0);
  cmt__send_queue_lock(g);
  g->attended = false;
  items = g->intake;
  g->intake = g->taken_over;
  g->taken_over = items;
  cmt__send_queue_expire(g, now_ns);
  /* The send that expired may have blocked one that fits. */
  if (cmt__send_queue_admit(g)) {
    cmt__send_queue_wake(g);
  }
  out->queued_bytes = g->bytes;
  out->deadline_ns = g->deadline_ns;
  g->rouses = cmt__send_queue_sleeper(g) != NULL;
  g->roused = false;
  g->relies = false;
  lacks = g->lacks;
  gave = g->gave;
  g->gave = false;
  cmt__send_queue_unlock(g);
  if (gave) {
    cmt__send_pool_wake(g->pool);
  }
  cmt__send_queue_pool_look(g, lacks);
}

bool cmt__send_queue_has_intake(cmt__send_queue *g) {
  bool has;

  cmt__send_queue_lock(g);
  has = g->intake.count > 0;
  cmt__send_queue_unlock(g);
  return has;
}

void cmt__send_queue_trim(cmt__send_queue *g) {
  CMT_ASSERT(g->env, g->taken_over.count == 0);
  cmt__free(g->env, g->taken_over.list);
  g->taken_over = (cmt__send_queue_items){.list = NULL};
  cmt__send_queue_lock(g);
  if (g->intake.count == 0) {
    g->taken_over = g->intake;
    g->intake = (cmt__send_queue_items){.list = NULL};
  }
  cmt__send_queue_unlock(g);
  cmt__free(g->env, g->taken_over.list);
  g->taken_over = (cmt__send_queue_items){.list = NULL};
}

bool cmt__send_queue_credit(cmt__send_queue *g, const cmt_credits *c,
                            uint64_t now_ns) {
  cmt_send_req *woken;
  bool any, wakes;

  cmt__send_queue_lock(g);
  for (size_t i = 0; i < g->channel_count; i++) {
    if (c->messages[i] > 0) { /* What is idle is not looked at. */
      CMT_ASSERT(g->env, c->messages[i] <= g->queued[i]);
      g->queued[i] -= c->messages[i];
      g->messages -= c->messages[i];
    }
  }
  CMT_ASSERT(g->env, c->bytes <= g->bytes);
  wakes = cmt__send_queue_give_room(g, c->bytes);
  atomic_fetch_add_explicit(&g->freed, 1, memory_order_release);
  any = cmt__send_queue_admit(g) || cmt__send_queue_lacks(g);
  g->attended = g->attended || any;
  woken = cmt__send_queue_wake_next(g, now_ns);
  cmt__send_queue_unlock(g);
  cmt__send_queue_raise(woken);
  if (wakes) {
    cmt__send_pool_wake(g->pool);
  }
  return any;
}

/* ---- requests to the link ---- Any thread makes a request under the lock;
   |control| makes the loop read it, so that an iteration without requests costs
   one load of an atomic. */

/* The first stop has the reason; a later one can only shorten the flush. */
void cmt__send_queue_stop_with(cmt__send_queue *g, cmt_err reason,
                               uint64_t flush_ns) {
  cmt_send_req *woken;

  cmt__send_queue_lock(g);
  if (g->state == CMT__SEND_QUEUE_OPEN) {
    g->state = CMT__SEND_QUEUE_STOPPING;
    g->stop = (cmt__send_queue_stop){
      .wanted = true, .reason = reason, .flush_ns = flush_ns};
    cmt__send_queue_fail_waits(g);
  } else if (g->state == CMT__SEND_QUEUE_STOPPING) {
    g->stop.flush_ns =
      g->stop.wanted ? cmt__min64(g->stop.flush_ns, flush_ns) : flush_ns;
    g->stop.wanted = true;
  }
  atomic_store(&g->control, true);
  cmt__send_queue_wake(g);
  woken = cmt__send_queue_wake_all(g);
  cmt__send_queue_unlock(g);
  cmt__send_queue_raise(woken);
}

static void queue_pause_pool(cmt__send_queue *g, unsigned *count) {
  cmt__send_queue_lock(g);
  if ((*count)++ == 0) {
    atomic_store(&g->control, true);
    cmt__send_queue_wake(g);
  }
  cmt__send_queue_unlock(g);
}

/* The panic hook is called without the lock. */
static void queue_resume_pool(cmt__send_queue *g, unsigned *count,
                              const char *too_many) {
  bool suspended;

  cmt__send_queue_lock(g);
  suspended = *count > 0;
  if (suspended && --*count == 0) {
    atomic_store(&g->control, true);
    cmt__send_queue_wake(g);
  }
  cmt__send_queue_unlock(g);
  CMT_REQUIRE(g->env, suspended, too_many);
}

void cmt__send_queue_pause(cmt__send_queue *g) {
  queue_pause_pool(g, &g->pauses);
}

void cmt__send_queue_resume(cmt__send_queue *g) {
  queue_resume_pool(g, &g->pauses,
                    "cmt_peer_resume: one call more than of cmt_peer_pause");
}

void cmt__send_queue_block(cmt__send_queue *g) {
  queue_pause_pool(g, &g->blocks);
}

void cmt__send_queue_unblock(cmt__send_queue *g) {
  queue_resume_pool(g, &g->blocks, "one unblock too many");
}

void cmt__send_queue_ping(cmt__send_queue *g) {
  cmt__send_queue_lock(g);
  g->ping = true;
  atomic_store(&g->control, true);
  cmt__send_queue_wake(g);
  cmt__send_queue_unlock(g);
}

void cmt__send_queue_look(cmt__send_queue *g) {
  cmt__send_queue_lock(g);
  cmt__send_queue_wake(g);
  cmt__send_queue_unlock(g);
}

bool cmt__send_queue_take_ping(cmt__send_queue *g) {
  bool ping;

  cmt__send_queue_lock(g);
  ping = g->ping;
  g->ping = false;
  cmt__send_queue_unlock(g);
  return ping;
}

cmt__send_queue_stop cmt__send_queue_take_stop(cmt__send_queue *g) {
  cmt__send_queue_stop stop;

  cmt__send_queue_lock(g);
  stop = g->stop;
  g->stop.wanted = false;
  cmt__send_queue_unlock(g);
  return stop;
}

size_t cmt__send_queue_queued(cmt__send_queue *g) {
  size_t bytes;

  cmt__send_queue_lock(g);
  bytes = g->bytes;
  cmt__send_queue_unlock(g);
  return bytes;
}

bool cmt__send_queue_is_paused(cmt__send_queue *g, bool *full) {
  bool paused;

  cmt__send_queue_lock(g);
  *full = g->blocks > 0;
  paused = *full || g->pauses > 0;
  cmt__send_queue_unlock(g);
  return paused;
}

/* ---- its life ---- */

bool cmt__send_queue_close(cmt__send_queue *g) {
  cmt__send_queue_items items;
  cmt_send_req *woken;
  bool posted;

  cmt__send_queue_lock(g);
  g->state = CMT__SEND_QUEUE_GONE;
  cmt__send_queue_fail_waits(g);
  woken = cmt__send_queue_wake_all(g);
  items = g->intake;
  g->intake = (cmt__send_queue_items){.list = NULL};
  posted = g->posted;
  cmt__send_queue_unlock(g);
  cmt__send_queue_raise(woken);
  for (size_t i = 0; i < items.count; i++) {
    cmt_buf_unref(items.list[i].msg);
  }
  cmt__free(g->env, items.list);
  cmt__free(g->env, g->taken_over.list);
  g->taken_over = (cmt__send_queue_items){.list = NULL};
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
  atomic_init(&g->freed, 0);
  return CMT_OK;
}

/* No thread may be in a call of the queue any more. */
void cmt__send_queue_fini(cmt__send_queue *g) {
  CMT_ASSERT(g->env, g->done.first == NULL && g->intake.count == 0);
  CMT_ASSERT(g->env, g->post_count == 0);
  cmt__free(g->env, g->intake.list);
  cmt__free(g->env, g->taken_over.list);
  cmt__free(g->env, g->queued);
  cmt__free(g->env, g->waits);
  pthread_mutex_destroy(&g->lock);
}
