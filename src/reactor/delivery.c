/* SPDX-License-Identifier: Apache-2.0 */

/* Delivery.

   Design notes.  An inline reactor is called here, on the loop, and costs
   nothing else.  For every other reactor a peer has an inbox in its mailbox,
   and the loop only adds events.  A worker is a thread that takes events and
   makes the same calls.

   The end of a peer that was added has two halves then.  The loop calls the
   inline reactors and puts peer gone into each inbox.  Whoever does the last of
   these posts to the loop, which takes the peer off the list; until then its id
   is not free, and the switch does not finish.

   Nor does it finish while an event of a source is out, such as that of a
   timer. The sources keep what was not received, so events can still be taken
   after the end of the loop, and the deletion waits for those. */

#include "delivery.h"

#include "sys/cond.h"
#include "sys/thread.h"

#include <errno.h>
#include <stdio.h>

enum { FULL_A_SECOND = 10 /* Lines about full queues, on each loop. */ };

static _Thread_local bool thread_is_worker;

bool cmt__thread_is_worker(void) { return thread_is_worker; }

/* ---- workers ---- */

/* An error of receive ends the peer, and this reactor gets no more of it. */
static void worker_failed(const cmt__worker *w, cmt__run *run, cmt_err err) {
  const cmt_mailbox_event *ev = &run->ev;
  char text[192];

  snprintf(text, sizeof text,
           "reactor %.96s ended the peer on channel 0x%02x: %s",
           w->reactor->name, ev->channel, cmt_err_text(err));
  cmt__mailbox_refuse(w->mailbox, run);
  (void)cmt_peer_explain(ev->peer, err, text);
  cmt_peer_stop(ev->peer, err, 0);
}

static void worker_call(const cmt__worker *w, cmt__run *run) {
  const cmt_mailbox_event *ev = &run->ev;
  const cmt_reactor *r = w->reactor;
  cmt_err err = CMT_OK;

  cmt__assert_unlocked(w->delivery->options.env);
  if (ev->kind == CMT_EVENT_MESSAGE) {
    err = r->receive(r->self, ev->peer, ev->channel, ev->msg);
  } else if (ev->kind == CMT_EVENT_PEER_UP && r->add_peer != NULL) {
    r->add_peer(r->self, ev->peer);
  } else if (ev->kind == CMT_EVENT_PEER_GONE && r->remove_peer != NULL) {
    r->remove_peer(r->self, ev->peer, ev->reason);
  }
  if (err != CMT_OK) {
    worker_failed(w, run, err);
  }
}

static void *worker_run(void *arg) {
  const cmt__worker *w = arg;
  cmt__run run = {.count = 0};

  thread_is_worker = true;
  while (cmt__mailbox_done_and_next(w->mailbox, &run) == CMT_OK) {
    worker_call(w, &run);
  }
  return NULL;
}

static cmt_err workers_run(cmt__delivery *d, size_t count, cmt_why *why) {
  cmt_err err = CMT_OK;

  while (err == CMT_OK && d->worker_count < count) {
    cmt__worker *w = &d->workers[d->worker_count];

    err = cmt__thread_start(&w->thread, worker_run, w, "a thread for a reactor",
                            why);
    d->worker_count += err == CMT_OK;
  }
  return err;
}

static size_t reactor_threads(const cmt_reactor *r) {
  return r->delivery == CMT_DELIVER_WORKERS ? r->threads : 0;
}

static cmt_err workers_start(cmt__delivery *d, cmt_why *why) {
  size_t count = 0, at = 0;

  for (size_t i = 0; i < d->options.reactors->count; i++) {
    count += reactor_threads(&d->options.reactors->list[i]);
  }
  d->workers = cmt__alloc_zero(d->options.env, count * sizeof *d->workers);
  if (d->workers == NULL) {
    return cmt__why_plain(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT);
  }
  for (size_t i = 0; i < d->options.reactors->count; i++) {
    const cmt_reactor *r = &d->options.reactors->list[i];

    for (size_t n = reactor_threads(r); n > 0; n--) {
      d->workers[at++] =
        (cmt__worker){.delivery = d, .reactor = r, .mailbox = d->mailboxes[i]};
    }
  }
  return workers_run(d, count, why);
}

/* ---- of a switch ---- */

static cmt_err mailboxes_new(cmt__delivery *d, cmt_why *why) {
  const cmt_channel *channels = d->options.reactors->channels;
  char text[160];
  cmt_err err = CMT_OK;

  d->mailboxes = cmt__alloc_zero(d->options.env, d->options.reactors->count *
                                                   sizeof(cmt_mailbox *));
  if (d->mailboxes == NULL) {
    err = CMT_ENOMEM;
  }
  for (size_t i = 0; i < d->options.reactors->count && err == CMT_OK; i++) {
    const cmt_reactor *r = &d->options.reactors->list[i];

    if (r->delivery != CMT_DELIVER_INLINE) {
      err = cmt__mailbox_new(d->options.env, r, channels, d->options.peers_max,
                             &d->mailboxes[i]);
    }
    channels += r->channel_count; /* In the order of the reactors. */
  }
  return err == CMT_OK
           ? err
           : cmt__why(why, err, CMT_STAGE_TRANSPORT,
                      "cannot make a mailbox: %s",
                      cmt__loop_fault(err, errno, text, sizeof text));
}

static void inboxes_on_gone(cmt__inbox *b);

static void delivery_on_events_done(cmt__post *post) {
  cmt__delivery *d =
    (cmt__delivery *)((char *)post - offsetof(cmt__delivery, events_done));

  atomic_store(&d->events_done_posted, false);
  d->options.on_events_done(d->options.arg);
}

/* The loop stays until it has run the post. */
static void mailbox_on_sources_done(void *arg) {
  cmt__delivery *d = arg;

  atomic_store(&d->events_done_posted, true);
  cmt__loop_post(d->options.first->loop, &d->events_done);
}

cmt_err cmt__delivery_init(cmt__delivery *d, const cmt__delivery_options *o,
                           cmt_why *why) {
  bool any = false;
  cmt_err err = CMT_OK;

  d->options = *o;
  for (size_t i = 0; i < d->options.reactors->count; i++) {
    any = any || d->options.reactors->list[i].delivery != CMT_DELIVER_INLINE;
  }
  if (any) {
    err = mailboxes_new(d, why);
  }
  if (err != CMT_OK) {
    cmt__delivery_fini(d);
    return err;
  }
  for (size_t i = 0; any && i < d->options.reactors->count; i++) {
    if (d->mailboxes[i] != NULL) {
      d->mailboxes[i]->on_gone = inboxes_on_gone;
      d->mailboxes[i]->on_sources_done = mailbox_on_sources_done;
      d->mailboxes[i]->arg = d;
    }
  }
  d->events_done.cb = delivery_on_events_done;
  return CMT_OK;
}

static void mailboxes_discard(cmt__delivery *d) {
  for (size_t i = 0; i < d->options.reactors->count; i++) {
    if (d->mailboxes[i] != NULL) {
      cmt__mailbox_discard(d->mailboxes[i]);
    }
  }
}

static void delivery_on_timer(cmt__timer *t) {
  mailboxes_discard(
    (cmt__delivery *)(void *)((char *)t - offsetof(cmt__delivery, hurry)));
}

cmt_err cmt__delivery_start(cmt__delivery *d, cmt_why *why) {
  if (d->mailboxes == NULL) {
    return CMT_OK;
  }
  d->hurry.cb = delivery_on_timer;
  if (cmt__loop_reserve_timers(d->options.first->loop, 1) != CMT_OK) {
    return cmt__why_plain(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT);
  }
  d->timed = true;
  return workers_start(d, why);
}

void cmt__delivery_stop(cmt__delivery *d, uint64_t flush_ns) {
  if (d->mailboxes == NULL) {
    return;
  }
  if (flush_ns == 0) {
    mailboxes_discard(d);
  } else {
    cmt__loop_timer(
      d->options.first->loop, &d->hurry,
      cmt__after(cmt__loop_now(d->options.first->loop), flush_ns));
  }
}

void cmt__delivery_give_up(cmt__delivery *d) {

  for (size_t i = 0; d->mailboxes != NULL && i < d->options.reactors->count;
       i++) {
    if (d->mailboxes[i] != NULL) {
      cmt__mailbox_close(d->mailboxes[i]);
    }
  }
}

void cmt__delivery_close(cmt__delivery *d) {

  if (d->timed) {
    cmt__loop_timer(d->options.first->loop, &d->hurry, CMT_NEVER);
    cmt__loop_release_timers(d->options.first->loop, 1);
    d->timed = false;
  }
  cmt__delivery_give_up(d);
}

bool cmt__delivery_holds_events(cmt__delivery *d) {
  for (size_t i = 0; d->mailboxes != NULL && i < d->options.reactors->count;
       i++) {
    if (d->mailboxes[i] != NULL && cmt__mailbox_sources_out(d->mailboxes[i])) {
      return true;
    }
  }
  return atomic_load(&d->events_done_posted);
}

bool cmt__delivery_drain(cmt__delivery *d, uint64_t timeout_ns) {
  struct timespec until = cmt__cond_deadline(timeout_ns);
  bool drained = true;

  for (size_t i = 0; d->mailboxes != NULL && i < d->options.reactors->count;
       i++) {
    drained = (d->mailboxes[i] == NULL ||
               cmt__mailbox_drain(d->mailboxes[i], &until)) &&
              drained;
  }
  return drained;
}

void cmt__delivery_fini(cmt__delivery *d) {

  if (d->mailboxes == NULL) {
    return;
  }
  cmt__delivery_close(d);
  for (size_t i = 0; i < d->worker_count; i++) {
    pthread_join(d->workers[i].thread, NULL);
  }
  for (size_t i = 0; i < d->options.reactors->count; i++) {
    cmt__mailbox_delete(d->mailboxes[i]);
  }
  cmt__free(d->options.env, d->workers);
  cmt__free(d->options.env, d->mailboxes);
  *d = (cmt__delivery){.options = d->options};
}

const char *cmt__delivery_waits_for(const cmt__delivery *d) {

  for (size_t i = 0; d->mailboxes != NULL && i < d->options.reactors->count;
       i++) {
    if (d->mailboxes[i] != NULL && cmt__mailbox_is_used(d->mailboxes[i])) {
      return d->mailboxes[i]->name;
    }
  }
  return NULL;
}

uint64_t cmt__delivery_dropped(const cmt__delivery *d) {
  return atomic_load_explicit(&d->dropped, memory_order_relaxed);
}

uint64_t cmt__delivery_queued(const cmt__delivery *d) {
  uint64_t bytes = 0;

  for (size_t i = 0; d->mailboxes != NULL && i < d->options.reactors->count;
       i++) {
    if (d->mailboxes[i] != NULL) {
      bytes += cmt__mailbox_bytes(d->mailboxes[i]);
    }
  }
  return bytes;
}

cmt_mailbox *cmt__delivery_mailbox(const cmt__delivery *d,
                                   const char *reactor) {
  for (size_t i = 0; reactor != NULL && i < d->options.reactors->count; i++) {
    const cmt_reactor *r = &d->options.reactors->list[i];

    if (r->delivery == CMT_DELIVER_MAILBOX && strcmp(r->name, reactor) == 0) {
      return d->mailboxes[i];
    }
  }
  return NULL;
}

/* ---- of a peer ---- */

/* All inboxes of the peer have ended. */
static void inboxes_on_post(cmt__post *post) {
  struct cmt__inboxes *b =
    (struct cmt__inboxes *)((char *)post - offsetof(struct cmt__inboxes, post));

  b->delivery->departing--;
  b->delivery->options.on_departed(b->delivery->options.arg, b->peer);
}

/* The loop stays as long as a peer is departing, and the peer as long as its
   post was not handled. */
static void inboxes_on_gone(cmt__inbox *b) {
  struct cmt__inboxes *inboxes = b->peer->inboxes;

  if (atomic_fetch_sub(&inboxes->left, 1) == 1) {
    cmt__loop_post(inboxes->delivery->options.first->loop, &inboxes->post);
  }
}

static void inboxes_free(struct cmt__inboxes *b) {
  cmt_env env;

  env = b->peer->group->pool.env;
  for (size_t i = 0; i < b->count; i++) {
    if (b->list[i] != NULL) {
      cmt__inbox_fini(b->list[i], &env);
    }
  }
  cmt__free(&env, b);
}

cmt_err cmt__delivery_admit(cmt__delivery *d, cmt_peer *p) {
  size_t count = d->options.reactors->count;
  size_t at = sizeof *p->inboxes + count * sizeof(cmt__inbox *);
  size_t size = at;
  struct cmt__inboxes *b;

  if (d->mailboxes == NULL) {
    return CMT_OK;
  }
  for (size_t i = 0; i < count; i++) {
    size +=
      d->mailboxes[i] != NULL ? cmt__inbox_size(&d->mailboxes[i]->quota) : 0;
  }
  b = cmt__alloc_zero(d->options.env, size);
  if (b == NULL) {
    return CMT_ENOMEM;
  }
  b->delivery = d;
  b->peer = p;
  b->post.cb = inboxes_on_post;
  b->count = count;
  for (size_t i = 0; i < count; i++) {
    if (d->mailboxes[i] != NULL) {
      b->list[i] = (cmt__inbox *)(void *)((char *)b + at);
      at += cmt__inbox_size(&d->mailboxes[i]->quota);
    }
  }
  p->inboxes = b;
  p->inboxes_free = inboxes_free;
  p->dropped = b->dropped;
  return CMT_OK;
}

/* NULL: the reactor is inline. */
static cmt__inbox *inbox_of(const cmt__delivery *d, cmt_peer *p,
                            const cmt_reactor *r) {
  return r->delivery == CMT_DELIVER_INLINE
           ? NULL
           : p->inboxes->list[r - d->options.reactors->list];
}

void cmt__delivery_add(cmt__delivery *d, cmt_peer *p) {
  for (size_t i = 0; i < d->options.reactors->count; i++) {
    const cmt_reactor *r = &d->options.reactors->list[i];
    cmt__inbox *b = inbox_of(d, p, r);

    if (b != NULL) {
      cmt__mailbox_add_inbox(d->mailboxes[i], b, p);
      cmt__mailbox_peer_up(b);
    } else if (r->add_peer != NULL) {
      cmt__callback_begin(&d->options.first->callbacks, r->name, -1);
      r->add_peer(r->self, p);
      cmt__callback_end(&d->options.first->callbacks);
    }
  }
}

static void count_drop(cmt_peer *p, uint8_t channel) {
  cmt__counter_add(&p->inboxes->dropped[p->group->index[channel]], 1);
  atomic_fetch_add_explicit(&p->inboxes->delivery->dropped, 1,
                            memory_order_relaxed);
}

/* Whether the peer has an urgent channel besides |channel|. */
static bool has_urgent(const cmt__delivery *d, const cmt_peer *p,
                       uint8_t channel) {
  bool any = false;

  for (size_t i = 0; i < d->options.reactors->channel_count; i++) {
    const cmt_channel *c = &d->options.reactors->channels[i];

    any = any || (c->id != channel && c->traffic == CMT_TRAFFIC_URGENT &&
                  cmt_peer_has_channel(p, c->id));
  }
  return any;
}

/* Strangers decide how often they fill a queue. */
static bool log_has_room(cmt__delivery_loop *l) {
  uint64_t missed; /* Each peer has its line with a later message. */

  return cmt__log_limit_take(&l->full_queues, FULL_A_SECOND,
                             cmt__loop_now(l->loop), &missed);
}

/* Logs once for each peer that a full queue delays its urgent channels. */
static void log_full(cmt__delivery_loop *l, cmt_peer *p, const cmt_reactor *r,
                     uint8_t channel) {
  if (p->inboxes->warned || !has_urgent(p->inboxes->delivery, p, channel) ||
      !log_has_room(l)) {
    return;
  }
  p->inboxes->warned = true;
  cmt__log(l->callbacks.env, CMT_LOG_WARN, "switch",
           "the queue of reactor %.96s for channel 0x%02x of node %s is full: "
           "until half of it is done none of the peer's channels is read, also "
           "those that are urgent (recv_queue, recv_queue_bytes)",
           r->name, channel, p->id.text);
}

static cmt_err inbox_receive(cmt__delivery_loop *l, cmt__inbox *b,
                             const cmt_reactor *r, uint8_t channel,
                             cmt_buf *msg) {
  cmt_peer *p = b->peer;
  bool stops;
  cmt_err err = cmt__mailbox_put(b, channel, msg, &stops);

  if (stops) {
    log_full(l, p, r, channel);
  }
  if (err != CMT_EAGAIN) {
    return err;
  }
  count_drop(p, channel);
  return CMT_OK;
}

cmt_err cmt__delivery_receive(cmt__delivery_loop *l, cmt_peer *p,
                              uint8_t channel, cmt_buf *msg, cmt_why *why) {
  const cmt__delivery *d = l->delivery;
  const cmt_reactor *r = d->options.reactors->owners[channel];
  cmt__inbox *b = inbox_of(d, p, r);
  cmt_err err;

  if (r->receive == NULL && r->delivery != CMT_DELIVER_MAILBOX) {
    return CMT_OK;
  }
  if (b != NULL) {
    err = inbox_receive(l, b, r, channel, msg);
    return err == CMT_OK ? err : cmt__why_plain(why, err, CMT_STAGE_UP);
  }
  cmt__callback_begin(&l->callbacks, r->name, channel);
  err = r->receive(r->self, p, channel, msg);
  cmt__callback_end(&l->callbacks);
  return err == CMT_OK
           ? err
           : cmt__why(why, err, CMT_STAGE_UP,
                      "reactor %s ended the peer on channel 0x%02x: %s",
                      r->name, channel, cmt_err_text(err));
}

void cmt__delivery_flush(cmt_peer *p) {
  for (size_t i = 0; p->inboxes != NULL && i < p->inboxes->count; i++) {
    if (p->inboxes->list[i] != NULL) {
      cmt__mailbox_flush(p->inboxes->list[i]);
    }
  }
}

/* Peer gone for each reactor that is not inline. */
static size_t inboxes_remove(cmt__delivery *d, cmt_peer *p, cmt_err reason) {
  size_t count = 0;

  for (size_t i = 0; p->inboxes != NULL && i < d->options.reactors->count;
       i++) {
    count += p->inboxes->list[i] != NULL;
  }
  if (count == 0) {
    return 0;
  }
  d->departing++;
  atomic_store(&p->inboxes->left, count);
  for (size_t i = 0; i < d->options.reactors->count; i++) {
    if (p->inboxes->list[i] != NULL) {
      cmt__mailbox_peer_gone(p->inboxes->list[i], reason);
    }
  }
  return count;
}

static void remove_inline(cmt__delivery *d, const cmt_reactor *r, cmt_peer *p,
                          cmt_err reason) {
  if (r->remove_peer != NULL) {
    cmt__callback_begin(&d->options.first->callbacks, r->name, -1);
    r->remove_peer(r->self, p, reason);
    cmt__callback_end(&d->options.first->callbacks);
  }
}

bool cmt__delivery_remove(cmt__delivery *d, cmt_peer *p, cmt_err reason) {
  size_t count = inboxes_remove(d, p, reason);

  for (size_t i = 0; i < d->options.reactors->count; i++) {
    const cmt_reactor *r = &d->options.reactors->list[i];

    if (r->delivery == CMT_DELIVER_INLINE) {
      remove_inline(d, r, p, reason);
    }
  }
  return count == 0;
}

/* Nothing of a refused peer is left behind in a queue, where strangers could
   gather beside a slow reactor: remove_peer runs where init_peer did. */
void cmt__delivery_refuse(cmt__delivery *d, cmt_peer *p, cmt_err reason,
                          size_t known) {
  for (size_t i = 0; i < known; i++) {
    const cmt_reactor *r = &d->options.reactors->list[i];

    if (r->delivery == CMT_DELIVER_INLINE || r->init_peer != NULL) {
      remove_inline(d, r, p, reason);
    }
  }
}
