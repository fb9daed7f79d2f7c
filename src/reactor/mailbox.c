/* SPDX-License-Identifier: Apache-2.0 */

/* Mailboxes.

   Design notes.  An inbox is in the list of those that are ready exactly when
   it has an event and none of it is out, so no peer ever has two events out at
   one time, and the next event is of the peer that has waited longest.  An
   event is out from cmt_mailbox_next() to cmt_mailbox_done(); a message counts
   until then, since its memory is in use.  Peer gone is the last event of an
   inbox, and with its end the mailbox has the inbox no more: |on_gone| notifies
   the loop, which alone knows what follows.

   Runs.  While no other peer has an event, a worker takes several short
   messages of a peer under one lock.  The loop takes that lock for each
   message, so a worker often finds it held, and spins until it is free: to
   sleep, and to be woken by the loop, takes longer than all that is done under
   it.  The loop allocates the buffers that a worker releases, for which
   allocators have locks of their own.  So while more of the peer waits, the
   buffers of a run return to the loop (|spent|), which releases one of them
   with each message: allocators keep a few buffers of a size for the thread
   that released them, and the next message gets the last one.  They are at most
   those of one run for each inbox, and none when nothing waits.

   A thread that waits for events is woken for the messages of a whole read,
   with cmt__mailbox_flush(), and for other events at once.

   The lock comes before that of a send queue.  Under it nothing of the
   application runs: messages are released after it, and |on_gone| is called
   after it.
 */

#include "mailbox.h"

#include "base/buf.h"
#include "base/sized.h"
#include "sys/cond.h"

#include <errno.h>

static void mailbox_lock(cmt_mailbox *m) { cmt__lock(&m->lock); }

static void mailbox_unlock(cmt_mailbox *m) { cmt__unlock(&m->lock); }

/* Nothing will ever be there to take. */
static bool is_over(const cmt_mailbox *m) { return m->closed || m->given_up; }

static bool mailbox_has_event(const cmt_mailbox *m) {
  return !m->given_up && (m->ready_first != NULL || m->sources.events > 0);
}

/* Makes the descriptor readable while there is something to take, or will never
   be anything again. */
static void mailbox_show(cmt_mailbox *m) {
  cmt__ready_fd_set(&m->ready_fd, m->env, mailbox_has_event(m) || is_over(m));
}

/* ---- the list of those that are ready ---- */

static void ready_append(cmt_mailbox *m, cmt__inbox *b) {
  b->next = NULL;
  b->prev = m->ready_last;
  if (m->ready_last != NULL) {
    m->ready_last->next = b;
  } else {
    m->ready_first = b;
  }
  m->ready_last = b;
}

/* Wakes one of those that wait, if there are any. */
static void mailbox_ring(cmt_mailbox *m) {
  if (m->idle > 0) {
    pthread_cond_signal(&m->more);
  }
}

static void ready_remove(cmt_mailbox *m, cmt__inbox *b) {
  if (b->prev != NULL) {
    b->prev->next = b->next;
  } else {
    m->ready_first = b->next;
  }
  if (b->next != NULL) {
    b->next->prev = b->prev;
  } else {
    m->ready_last = b->prev;
  }
  b->next = NULL;
  b->prev = NULL;
}

static bool inbox_is_ready(const cmt_mailbox *m, const cmt__inbox *b) {
  return b->prev != NULL || m->ready_first == b;
}

/* Puts the inbox where it belongs after a change. */
static void inbox_requeue(cmt_mailbox *m, cmt__inbox *b) {
  bool has = cmt__inbox_has_event(b), is = inbox_is_ready(m, b);

  if (has && !is) {
    ready_append(m, b);
    b->rings = true;
  } else if (!has && is) {
    ready_remove(m, b);
  }
  mailbox_show(m);
}

/* Moves all messages out of |b|, for queue_release() without the lock, and
   |*spent|. */
static cmt__entry_queue inbox_empty(cmt_mailbox *m, cmt__inbox *b,
                                    cmt_buf **spent) {
  cmt__entry_queue queue = cmt__inbox_empty(b, &m->quota);

  *spent = cmt__inbox_spent(b);
  inbox_requeue(m, b);
  return queue;
}

static void queue_release(const cmt_mailbox *m, cmt__entry_queue *queue) {
  for (size_t i = 0; i < queue->count; i++) {
    cmt_buf_unref(cmt__entry_queue_at(queue, i)->msg);
  }
  cmt__entry_queue_fini(queue, m->env);
}

/* ---- for the loop ---- */

void cmt__mailbox_add_inbox(cmt_mailbox *m, cmt__inbox *b, cmt_peer *p) {
  b->mailbox = m;
  b->peer = p;
  b->usage.counts = b->counts;
  b->open = true;
  mailbox_lock(m);
  b->all_next = m->inboxes;
  if (m->inboxes != NULL) {
    m->inboxes->all_prev = b;
  }
  m->inboxes = b;
  mailbox_unlock(m);
}

void cmt__mailbox_peer_up(cmt__inbox *b) {
  mailbox_lock(b->mailbox);
  b->up_due = true;
  inbox_requeue(b->mailbox, b);
  mailbox_ring(b->mailbox);
  mailbox_unlock(b->mailbox);
}

/* The mailbox has the inbox no more. */
static void inbox_close(cmt_mailbox *m, cmt__inbox *b) {
  b->waits = false;
  if (b->all_prev != NULL) {
    b->all_prev->all_next = b->all_next;
  } else {
    m->inboxes = b->all_next;
  }
  if (b->all_next != NULL) {
    b->all_next->all_prev = b->all_prev;
  }
  b->open = false;
}

/* Ends an inbox in a mailbox that was given up.  False: it does not end yet. */
static bool inbox_give_up(cmt_mailbox *m, cmt__inbox *b) {
  if (!m->given_up || !cmt__inbox_has_only_gone(b)) {
    return false;
  }
  b->up_due = false;
  b->gone_due = false;
  inbox_requeue(m, b);
  inbox_close(m, b);
  return true;
}

void cmt__mailbox_peer_gone(cmt__inbox *b, cmt_err reason) {
  cmt_mailbox *m = b->mailbox;
  bool ended;

  mailbox_lock(m);
  b->gone_due = true;
  b->reason = reason;
  inbox_requeue(m, b);
  mailbox_ring(m);
  ended = inbox_give_up(m, b);
  mailbox_unlock(m);
  if (ended) {
    m->on_gone(b);
  }
}

cmt_err cmt__mailbox_put(cmt__inbox *b, uint8_t channel, cmt_buf *msg,
                         bool *stops) {
  cmt_mailbox *m = b->mailbox;
  cmt__entry entry = {
    .msg = msg,
    .cost = cmt__buf_cap(msg) + CMT__ENTRY_COST,
    .channel = m->places[channel],
  };
  cmt_err err = CMT_OK;
  cmt_buf *spent;

  mailbox_lock(m);
  spent = cmt__buf_pop(&b->spent);
  *stops = !b->waits;
  if (!b->refuses && !m->hurries) {
    err = cmt__inbox_push(b, &m->quota, m->env, &entry,
                          m->channels[entry.channel].drops);
    inbox_requeue(m, b);
  }
  *stops = *stops && b->waits;
  mailbox_unlock(m);
  cmt_buf_unref(spent);
  return err;
}

void cmt__mailbox_flush(cmt__inbox *b) {
  cmt_mailbox *m = b->mailbox;
  bool rings;

  mailbox_lock(m);
  rings = b->rings && inbox_is_ready(m, b) && m->idle > 0;
  b->rings = false;
  mailbox_unlock(m);
  if (rings) { /* Whoever is woken takes the lock first of all. */
    pthread_cond_signal(&m->more);
  }
}

/* ---- for whoever takes the events ---- */

static void inbox_take(cmt_mailbox *m, cmt_mailbox_event *out) {
  cmt__inbox *b = m->ready_first;

  ready_remove(m, b);
  *out =
    (cmt_mailbox_event){.size = sizeof *out, .peer = b->peer, .internal = b};
  cmt__inbox_take(b, m->env, out);
  if (out->kind == CMT_EVENT_MESSAGE) {
    out->channel = m->channels[b->taken.channel].id;
  }
  mailbox_show(m);
}

static void source_take(cmt_mailbox *m, cmt_mailbox_event *out) {
  cmt__event_sources_take(&m->sources, out);
  m->sources_out++;
  mailbox_show(m);
}

/* Inboxes and sources take turns. */
static void mailbox_take(cmt_mailbox *m, cmt_mailbox_event *out) {
  bool of_source =
    m->sources.events > 0 && (m->sources_next || m->ready_first == NULL);

  m->sources_next = !of_source;
  if (of_source) {
    source_take(m, out);
  } else {
    inbox_take(m, out);
  }
}

/* Waits until there is an event, or |timeout_ns| has passed. */
static cmt_err mailbox_wait(cmt_mailbox *m, uint64_t timeout_ns) {
  struct timespec at;
  int error = 0;

  if (!mailbox_has_event(m) && !is_over(m) && timeout_ns > 0) {
    at = cmt__cond_deadline(timeout_ns == CMT_NEVER ? 0 : timeout_ns);
    m->idle++;
    while (!mailbox_has_event(m) && !is_over(m) && error != ETIMEDOUT) {
      error = timeout_ns == CMT_NEVER
                ? pthread_cond_wait(&m->more, &m->lock)
                : pthread_cond_timedwait(&m->more, &m->lock, &at);
    }
    m->idle--;
    if (is_over(m) && m->idle == 0) {
      pthread_cond_broadcast(&m->more); /* For cmt__mailbox_delete(). */
    }
  }
  if (mailbox_has_event(m)) {
    return CMT_OK;
  }
  return is_over(m) ? CMT_ECLOSED : CMT_ETIMEDOUT;
}

/* The event of the caller may have another size than ours, but not less than
   the first one had. */
enum { EVENT_SIZE_MIN = offsetof(cmt_mailbox_event, outcome) + sizeof(void *) };

static cmt_err next_check(const cmt_mailbox *m, const cmt_mailbox_event *out,
                          size_t size, uint64_t timeout_ns) {
  if (m == NULL || out == NULL || size < EVENT_SIZE_MIN ||
      !cmt__size_is_known(size, sizeof *out)) {
    return CMT_EINVAL;
  }
  return timeout_ns > 0 && cmt__thread_is_loop() ? CMT_EDEADLK : CMT_OK;
}

size_t cmt_mailbox_next_many_sized(cmt_mailbox *m, cmt_mailbox_event *out,
                                   size_t cap, size_t size,
                                   uint64_t timeout_ns) {
  size_t count = 0;

  if (cap == 0 || next_check(m, out, size, timeout_ns) != CMT_OK) {
    return 0;
  }
  mailbox_lock(m);
  (void)mailbox_wait(m, timeout_ns);
  for (; count < cap && mailbox_has_event(m); count++) {
    cmt_mailbox_event ev;

    mailbox_take(m, &ev);
    cmt__sized_write((char *)out + count * size, size, &ev, sizeof ev);
  }
  mailbox_unlock(m);
  return count;
}

cmt_err cmt_mailbox_next_sized(cmt_mailbox *m, cmt_mailbox_event *out,
                               size_t size, uint64_t timeout_ns) {
  cmt_err err = next_check(m, out, size, timeout_ns);
  cmt_mailbox_event ev;

  if (err != CMT_OK) {
    return err;
  }
  mailbox_lock(m);
  err = mailbox_wait(m, timeout_ns);
  if (err == CMT_OK) {
    mailbox_take(m, &ev);
    cmt__sized_write(out, size, &ev, sizeof ev);
  }
  mailbox_unlock(m);
  return err;
}

/* The end of an event that is out; true: the inbox has ended. */
static bool inbox_done(cmt_mailbox *m, cmt__inbox *b) {
  if (cmt__inbox_done(b, &m->quota, m->env) == CMT__OUT_GONE) {
    inbox_close(m, b);
    return true;
  }
  inbox_requeue(m, b);
  mailbox_ring(m);
  return inbox_give_up(m, b);
}

/* The event is as large as it was when it was taken. */
static void event_wipe(cmt_mailbox_event *ev) {
  const cmt_mailbox_event done = {.kind = ev->kind};

  cmt__sized_write(ev, ev->size, &done, sizeof done);
}

/* The last thing that is done with an event: a deletion may go on now. */
static void source_return(cmt_mailbox *m) {
  mailbox_lock(m);
  m->sources_out--;
  if (m->sources_out == 0) {
    if (m->sources_wanted) {
      m->sources_wanted = false;
      m->on_sources_done(m->arg);
    }
    if (is_over(m)) {
      pthread_cond_broadcast(&m->more); /* For cmt__mailbox_drain(). */
    }
  }
  mailbox_unlock(m);
}

static void source_done(cmt_mailbox *m, cmt_mailbox_event *ev) {
  cmt__event_source *s = ev->source;

  CMT_REQUIRE(m->env, cmt__event_sources_have(&m->sources, s),
              "cmt_mailbox_done: the event is of another mailbox");
  cmt_buf_unref(ev->msg);
  if (s->done != NULL) {
    s->done(s, ev);
  }
  event_wipe(ev);
  source_return(m);
}

void cmt_mailbox_done(cmt_mailbox *m, cmt_mailbox_event *ev) {
  cmt__inbox *b = ev->internal;
  cmt__inbox_out out;
  bool ended;

  CMT_REQUIRE(m->env, b != NULL, "cmt_mailbox_done: the event is done already");
  if (ev->source != NULL) {
    source_done(m, ev);
    return;
  }
  CMT_REQUIRE(m->env, b->mailbox == m,
              "cmt_mailbox_done: the event is of another mailbox");
  cmt_buf_unref(ev->msg);
  event_wipe(ev);
  mailbox_lock(m);
  out = b->out;
  ended = out != CMT__OUT_NONE && inbox_done(m, b);
  mailbox_unlock(m);
  CMT_REQUIRE(m->env, out != CMT__OUT_NONE,
              "cmt_mailbox_done: the event is done already");
  if (ended) {
    m->on_gone(b);
  }
}

/* ---- runs ---- */

/* Releases the message that |r| is at, or keeps it with those that are spent.
 */
static void run_release(cmt__run *r) {
  cmt_buf *msg = r->list[r->at++].msg;

  if (cmt__buf_link(msg, r->spent)) {
    r->spent = msg;
  } else {
    cmt_buf_unref(msg);
  }
}

/* Ends the message that |r| is at.  True: it is at the next one. */
static bool run_goes_on(const cmt_mailbox *m, cmt__run *r) {
  run_release(r);
  while (r->at < r->end && atomic_load(&m->hurries)) {
    run_release(r);
  }
  if (r->at == r->end) {
    return false;
  }
  r->ev.channel = m->channels[r->list[r->at].channel].id;
  r->ev.msg = r->list[r->at].msg;
  return true;
}

/* Takes the next event, and with a message those that may go with it. */
static void run_take(cmt_mailbox *m, cmt__run *r) {
  cmt__inbox *b;
  size_t bytes;

  inbox_take(m, &r->ev);
  b = r->ev.internal;
  r->at = 0;
  r->count = r->ev.kind == CMT_EVENT_MESSAGE;
  r->list[0] = b->taken;
  bytes = b->taken.cost;
  while (r->count > 0 && r->count < CMT__RUN_MESSAGES && b->queue.count > 0 &&
         m->ready_first == NULL) {
    bytes += cmt__entry_queue_at(&b->queue, 0)->cost;
    if (bytes > CMT__RUN_BYTES) {
      break;
    }
    r->list[r->count++] = cmt__entry_queue_pop(&b->queue, m->env);
  }
  r->end = r->count;
}

/* Ends |r| under the lock.  The loop gets its buffers, if it is sure to come;
   otherwise they stay in |r|, and those that the loop had are returned. */
static cmt_buf *run_done(cmt_mailbox *m, cmt__run *r) {
  cmt__inbox *b = r->ev.internal;
  bool is_short = r->count > 1 || b->taken.cost <= CMT__RUN_BYTES;

  cmt__inbox_done_run(b, &m->quota, m->env, r->list, r->count);
  inbox_requeue(m, b);
  mailbox_ring(m);
  if (b->queue.count == 0) {
    return cmt__inbox_spent(b);
  }
  if (b->spent == NULL && is_short) {
    b->spent = r->spent;
    r->spent = NULL;
  }
  return NULL;
}

static void run_end(cmt_mailbox *m, cmt__run *r) {
  cmt_buf *spent;

  if (r->ev.kind == CMT_EVENT_PEER_GONE) {
    cmt_mailbox_done(m, &r->ev);
    return;
  }
  mailbox_lock(m);
  spent = run_done(m, r);
  mailbox_unlock(m);
  cmt__buf_unref_list(spent);
  cmt__buf_unref_list(r->spent);
  r->spent = NULL;
}

cmt_err cmt__mailbox_done_and_next(cmt_mailbox *m, cmt__run *run) {
  cmt_err err;

  if (run->count > 0 && run_goes_on(m, run)) {
    return CMT_OK;
  }
  if (run->ev.internal != NULL) {
    run_end(m, run);
  }
  mailbox_lock(m);
  err = mailbox_wait(m, CMT_NEVER);
  if (err == CMT_OK) {
    run_take(m, run);
  }
  mailbox_unlock(m);
  return err;
}

int cmt_mailbox_fd(const cmt_mailbox *m) { return m->ready_fd.fd; }

/* ---- for the end ---- */

void cmt__mailbox_refuse(cmt_mailbox *m, cmt__run *run) {
  cmt__inbox *b = run->ev.internal;
  cmt__entry_queue dropped;
  cmt_buf *spent;

  mailbox_lock(m);
  b->refuses = true;
  dropped = inbox_empty(m, b, &spent);
  mailbox_unlock(m);
  queue_release(m, &dropped);
  cmt__buf_unref_list(spent);
  while (run->end > run->at + 1) {
    cmt_buf_unref(run->list[--run->end].msg);
  }
}

void cmt__mailbox_discard(cmt_mailbox *m) {
  bool any = true;

  while (any) {
    cmt__entry_queue dropped = {.list = NULL};
    cmt_buf *spent = NULL;

    mailbox_lock(m);
    atomic_store(&m->hurries, true);
    any = false;
    for (cmt__inbox *b = m->inboxes; b != NULL && !any; b = b->all_next) {
      if (b->queue.count > 0) {
        dropped = inbox_empty(m, b, &spent);
        any = true;
      }
    }
    mailbox_unlock(m);
    queue_release(m, &dropped);
    cmt__buf_unref_list(spent);
  }
}

/* The next inbox that only waits for its peer gone to be taken. */
static cmt__inbox *inbox_left(cmt_mailbox *m) {
  cmt__inbox *b;

  mailbox_lock(m);
  b = m->inboxes;
  while (b != NULL && !inbox_give_up(m, b)) {
    b = b->all_next;
  }
  mailbox_unlock(m);
  return b;
}

/* Drops what waits there. */
static void sources_drop(cmt_mailbox *m) {
  bool any = true;

  while (any) {
    cmt_mailbox_event ev;

    mailbox_lock(m);
    any = m->sources.events > 0;
    if (any) {
      source_take(m, &ev);
    }
    mailbox_unlock(m);
    if (any) {
      source_done(m, &ev);
    }
  }
}

void cmt_mailbox_close(cmt_mailbox *m) {
  cmt__inbox *b;

  if (m == NULL) {
    return;
  }
  mailbox_lock(m);
  m->given_up = true;
  mailbox_show(m);
  pthread_cond_broadcast(&m->more);
  mailbox_unlock(m);
  cmt__mailbox_discard(m);
  sources_drop(m);
  while ((b = inbox_left(m)) != NULL) {
    m->on_gone(b);
  }
}

void cmt__mailbox_add_source(cmt_mailbox *m, cmt__event_source *s) {
  cmt__event_sources_add(&m->sources, m->env, s);
}

void cmt__mailbox_offer(cmt_mailbox *m, cmt__event_source *s) {
  s->count++;
  m->sources.events++;
  if (m->idle > 0) {
    pthread_cond_signal(&m->more);
  }
  mailbox_show(m);
}

void cmt__mailbox_withdraw(cmt_mailbox *m, cmt__event_source *s) {
  s->count--;
  m->sources.events--;
  mailbox_show(m);
}

void cmt__mailbox_close(cmt_mailbox *m) {
  mailbox_lock(m);
  CMT_ASSERT(m->env, m->inboxes == NULL);
  m->closed = true;
  mailbox_show(m);
  pthread_cond_broadcast(&m->more);
  mailbox_unlock(m);
}

bool cmt__mailbox_is_used(cmt_mailbox *m) {
  bool used;

  mailbox_lock(m);
  used = m->inboxes != NULL || m->sources_out > 0;
  mailbox_unlock(m);
  return used;
}

bool cmt__mailbox_sources_out(cmt_mailbox *m) {
  bool out;

  mailbox_lock(m);
  out = m->sources_out > 0;
  m->sources_wanted = out;
  mailbox_unlock(m);
  return out;
}

bool cmt__mailbox_drain(cmt_mailbox *m, const struct timespec *until) {
  int error = 0;
  bool drained;

  cmt_mailbox_close(m);
  mailbox_lock(m);
  while (m->sources_out > 0 && error != ETIMEDOUT) {
    error = pthread_cond_timedwait(&m->more, &m->lock, until);
  }
  drained = m->sources_out == 0;
  mailbox_unlock(m);
  return drained;
}

size_t cmt__mailbox_bytes(cmt_mailbox *m) {
  size_t bytes;

  mailbox_lock(m);
  bytes = m->quota.bytes;
  mailbox_unlock(m);
  return bytes;
}

/* ---- making ---- */

static void channels_set(cmt_mailbox *m, const cmt_channel *channels,
                         size_t count) {
  for (size_t i = 0; i < count; i++) {
    m->channels[i].id = channels[i].id;
    m->channels[i].drops = channels[i].on_full == CMT_ON_FULL_DROP;
    m->places[channels[i].id] = (uint8_t)i;
  }
}

static cmt_err locks_new(cmt_mailbox *m) {
  if (!cmt__cond_init(&m->more)) {
    return CMT_ENOMEM;
  }
  if (!cmt__lock_init_brief(&m->lock)) {
    pthread_cond_destroy(&m->more);
    return CMT_ENOMEM;
  }
  return CMT_OK;
}

uint64_t cmt__mailbox_memory(const cmt_reactor *r, size_t peers) {
  return cmt__inbox_quota_memory(r->recv_queue_bytes_total, peers) +
         (uint64_t)peers * CMT__RUN_BYTES;
}

cmt_err cmt__mailbox_new(const cmt_env *env, const cmt_reactor *r,
                         const cmt_channel *channels, size_t peers,
                         cmt_mailbox **out) {
  cmt_mailbox *m = cmt__alloc_zero(env, sizeof *m);

  if (m == NULL) {
    return CMT_ENOMEM;
  }
  m->env = env;
  m->name = r->name;
  m->ready_fd.fd = -1;
  channels_set(m, channels, r->channel_count);
  cmt__inbox_quota_init(&m->quota, channels, r->channel_count,
                        r->recv_queue_bytes_total, peers);
  if (r->delivery == CMT_DELIVER_MAILBOX && !cmt__ready_fd_open(&m->ready_fd)) {
    int error = errno;

    cmt__free(env, m);
    errno = error;
    return CMT_EIO;
  }
  if (locks_new(m) != CMT_OK) {
    cmt__ready_fd_close(&m->ready_fd);
    cmt__free(env, m);
    return CMT_ENOMEM;
  }
  *out = m;
  return CMT_OK;
}

void cmt__mailbox_delete(cmt_mailbox *m) {
  if (m == NULL) {
    return;
  }
  CMT_ASSERT(m->env, m->inboxes == NULL && m->quota.bytes == 0);
  CMT_ASSERT(m->env, m->sources.events == 0 && m->sources_out == 0);
  mailbox_lock(m);
  CMT_ASSERT(m->env, is_over(m) || m->idle == 0);
  while (m->idle > 0) {
    pthread_cond_wait(&m->more, &m->lock);
  }
  mailbox_unlock(m);
  cmt__ready_fd_close(&m->ready_fd);
  pthread_mutex_destroy(&m->lock);
  pthread_cond_destroy(&m->more);
  cmt__free(m->env, m);
}
