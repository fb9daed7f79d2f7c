/* SPDX-License-Identifier: Apache-2.0 */

/* Mailboxes.

   Design notes.  An inbox holds the events of one peer for one reactor: peer
   up, messages in their order, peer gone.  It is in the list of those that are
   ready exactly when it has an event and none of it is out, so no peer ever has
   two events out at one time, and what one takes next is of the peer that has
   waited longest.  An event is out from cmt_mailbox_next() to
   cmt_mailbox_done(); a message counts until then, since its memory is in use.

   Peer up and peer gone are flags of the inbox, so that neither needs memory
   that might not be there.  Peer gone is the last event of an inbox, and with
   its end the inbox is nobody's: |on_gone| tells the loop, which alone knows
   what follows.

   Room.  A channel that drops refuses the message that does not fit.  One that
   waits takes it, for it was read already, and stops the link; the link reads
   on when every channel of the inbox is down to half of its limits, and the
   inbox to half of what it may have of the mailbox.  What a link had read when
   it stopped is at most 64 KiB of stream.

   Of the mailbox's total an inbox may have its share, an equal part for each
   peer that there can be, and above that as much as is left.  So the inbox that
   holds most is the first to be stopped, while there is still room for the
   others, and no number of full inboxes stops one under its share.  An inbox
   that is stopped has messages, and at the latest when they are done it reads
   on: nobody waits for what others do with theirs.  What waits in all is less
   than twice the total: the last inbox above its share that took a message left
   the total unreached, and since then only inboxes under their shares have
   grown.

   The lock comes before that of a send queue.  Under it nothing of the
   application runs: messages are let go after it, and so is |on_gone| called.
 */

#include "mailbox.h"

#include "base/buf.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { QUEUE_FIRST = 8, QUEUE_KEPT = 64 };

/* What was in an inbox and is to be let go outside the lock. */
typedef struct purged {
  cmt__inbox_entry *queue;
  size_t first, count, cap;
} purged;

static void mailbox_lock(cmt_mailbox *m) { cmt__lock(&m->lock); }

static void mailbox_unlock(cmt_mailbox *m) { cmt__unlock(&m->lock); }

/* Nothing will ever be there to take. */
static bool is_over(const cmt_mailbox *m) { return m->closed || m->given_up; }

static bool mailbox_has_event(const cmt_mailbox *m) {
  return !m->given_up && (m->ready_first != NULL || m->extra > 0);
}

/* Makes |fd| say whether there is something to take, or nothing ever again. */
static void mailbox_show(cmt_mailbox *m) {
  bool lit = mailbox_has_event(m) || is_over(m);
  uint64_t value = 1;
  ssize_t done;

  if (m->fd < 0 || lit == m->lit) {
    return;
  }
  m->lit = lit;
  do {
    done = lit ? write(m->fd, &value, sizeof value)
               : read(m->fd, &value, sizeof value);
  } while (done < 0 && errno == EINTR);
  CMT_ASSERT(m->env, done == sizeof value);
}

/* ---- the list of those that are ready ---- */

static bool inbox_has_event(const cmt__inbox *b) {
  return b->out == CMT__OUT_NONE && (b->up_due || b->gone_due || b->count > 0);
}

static void ready_append(cmt_mailbox *m, cmt__inbox *b) {
  b->next = NULL;
  b->prev = m->ready_last;
  if (m->ready_last != NULL) {
    m->ready_last->next = b;
  } else {
    m->ready_first = b;
  }
  m->ready_last = b;
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
  bool has = inbox_has_event(b), is = inbox_is_ready(m, b);

  if (has && !is) {
    ready_append(m, b);
  } else if (!has && is) {
    ready_remove(m, b);
  }
  mailbox_show(m);
}

/* ---- room ---- */

/* How much an inbox may have in all. */
static size_t inbox_bytes_max(const cmt_mailbox *m) {
  size_t left = m->bytes < m->bytes_max ? m->bytes_max - m->bytes : 0;

  return cmt__max(m->share, left);
}

static bool over_half(const cmt_mailbox *m, const cmt__inbox *b) {
  for (size_t i = 0; i < m->limit_count; i++) {
    if (b->counts[i].messages > m->limits[i].messages_max / 2 ||
        b->counts[i].bytes > m->limits[i].bytes_max / 2) {
      return true;
    }
  }
  return b->bytes > inbox_bytes_max(m) / 2;
}

static void inbox_resume(cmt_mailbox *m, cmt__inbox *b) {
  if (b->waits && !over_half(m, b)) {
    b->waits = false;
    cmt__send_queue_unblock(&b->peer->send_queue);
  }
}

static void inbox_wait(cmt__inbox *b) {
  if (!b->waits) {
    b->waits = true;
    cmt__send_queue_block(&b->peer->send_queue);
  }
}

/* Whether a message of |cost| stays within the limits; the first one of a peer
   always does, and the first one of a channel within its own. */
static bool inbox_fits(const cmt_mailbox *m, const cmt__inbox *b,
                       uint8_t channel, size_t cost) {
  const cmt__inbox_limit *l = &m->limits[channel];
  const cmt__inbox_count *c = &b->counts[channel];

  return (c->messages == 0 ||
          (c->messages < l->messages_max && c->bytes < l->bytes_max &&
           cost <= l->bytes_max - c->bytes)) &&
         (b->bytes == 0 || b->bytes + cost <= m->share ||
          (m->bytes < m->bytes_max &&
           b->bytes + cost <= m->bytes_max - m->bytes));
}

static bool inbox_is_full(const cmt_mailbox *m, const cmt__inbox *b,
                          uint8_t channel) {
  const cmt__inbox_limit *l = &m->limits[channel];
  const cmt__inbox_count *c = &b->counts[channel];

  return c->messages >= l->messages_max || c->bytes >= l->bytes_max ||
         b->bytes >= inbox_bytes_max(m);
}

/* Gives back what one message took. */
static void inbox_release(cmt_mailbox *m, cmt__inbox *b,
                          const cmt__inbox_entry *entry) {
  b->counts[entry->channel].messages--;
  b->counts[entry->channel].bytes -= entry->cost;
  b->bytes -= entry->cost;
  m->bytes -= entry->cost;
  inbox_resume(m, b);
}

/* ---- the messages of an inbox ---- */

static bool queue_reserve(const cmt_mailbox *m, cmt__inbox *b) {
  size_t cap = cmt__max(QUEUE_FIRST, 2 * b->cap);
  cmt__inbox_entry *grown;

  if (b->count < b->cap) {
    return true;
  }
  grown = cmt__alloc(m->env, cap * sizeof *grown);
  if (grown == NULL) {
    return false;
  }
  for (size_t i = 0; i < b->count; i++) {
    grown[i] = b->queue[(b->first + i) % b->cap];
  }
  cmt__free(m->env, b->queue);
  b->queue = grown;
  b->first = 0;
  b->cap = cap;
  return true;
}

static void queue_take(const cmt_mailbox *m, cmt__inbox *b) {
  b->taken = b->queue[b->first];
  b->first = (b->first + 1) % b->cap;
  b->count--;
  if (b->count == 0 && b->cap > QUEUE_KEPT) {
    cmt__free(m->env, b->queue);
    b->queue = NULL;
    b->cap = 0;
    b->first = 0;
  }
}

/* Takes all messages of |b| out for queue_purged(). */
static purged queue_detach(cmt_mailbox *m, cmt__inbox *b) {
  purged p = {
    .queue = b->queue, .first = b->first, .count = b->count, .cap = b->cap};

  for (size_t i = 0; i < p.count; i++) {
    inbox_release(m, b, &p.queue[(p.first + i) % p.cap]);
  }
  b->queue = NULL;
  b->first = 0;
  b->count = 0;
  b->cap = 0;
  inbox_requeue(m, b);
  return p;
}

static void queue_purged(const cmt_mailbox *m, const purged *p) {
  for (size_t i = 0; i < p->count; i++) {
    cmt_buf_unref(p->queue[(p->first + i) % p->cap].msg);
  }
  cmt__free(m->env, p->queue);
}

/* ---- for the loop ---- */

size_t cmt__inbox_size(const cmt_mailbox *m) {
  size_t size = sizeof(cmt__inbox) + m->limit_count * sizeof(cmt__inbox_count);

  return (size + _Alignof(cmt__inbox) - 1) & ~(_Alignof(cmt__inbox) - 1);
}

void cmt__inbox_fini(cmt__inbox *b, const cmt_env *env) {
  CMT_ASSERT(env, !b->open && b->count == 0);
  cmt__free(env, b->queue);
}

void cmt__inbox_open(cmt__inbox *b, cmt_mailbox *m, cmt_peer *p) {
  b->mailbox = m;
  b->peer = p;
  b->open = true;
  mailbox_lock(m);
  b->all_next = m->inboxes;
  if (m->inboxes != NULL) {
    m->inboxes->all_prev = b;
  }
  m->inboxes = b;
  mailbox_unlock(m);
}

void cmt__inbox_up(cmt__inbox *b) {
  mailbox_lock(b->mailbox);
  b->up_due = true;
  inbox_requeue(b->mailbox, b);
  mailbox_unlock(b->mailbox);
}

/* Takes the inbox out of the mailbox. */
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
  if (!m->given_up || b->out != CMT__OUT_NONE || !b->gone_due || b->count > 0) {
    return false;
  }
  b->up_due = false;
  b->gone_due = false;
  inbox_requeue(m, b);
  inbox_close(m, b);
  return true;
}

void cmt__inbox_gone(cmt__inbox *b, cmt_err reason) {
  cmt_mailbox *m = b->mailbox;
  bool ended;

  mailbox_lock(m);
  b->gone_due = true;
  b->reason = reason;
  inbox_requeue(m, b);
  ended = inbox_give_up(m, b);
  mailbox_unlock(m);
  if (ended) {
    m->on_gone(b);
  }
}

/* cmt__inbox_put() under the lock. */
static cmt_err inbox_push(cmt_mailbox *m, cmt__inbox *b,
                          const cmt__inbox_entry *entry) {
  bool drops = m->limits[entry->channel].drops;

  if (drops && !inbox_fits(m, b, entry->channel, entry->cost)) {
    return CMT_EAGAIN;
  }
  if (!queue_reserve(m, b)) {
    return CMT_ENOMEM;
  }
  b->queue[(b->first + b->count++) % b->cap] = *entry;
  cmt_buf_ref(entry->msg);
  b->counts[entry->channel].messages++;
  b->counts[entry->channel].bytes += entry->cost;
  b->bytes += entry->cost;
  m->bytes += entry->cost;
  if (!drops && inbox_is_full(m, b, entry->channel)) {
    inbox_wait(b);
  }
  inbox_requeue(m, b);
  return CMT_OK;
}

cmt_err cmt__inbox_put(cmt__inbox *b, uint8_t channel, cmt_buf *msg,
                       bool *stops) {
  cmt_mailbox *m = b->mailbox;
  cmt__inbox_entry entry = {
    .msg = msg,
    .cost = cmt__buf_cap(msg) + CMT__ENTRY_COST,
    .channel = m->places[channel],
  };
  cmt_err err = CMT_OK;

  mailbox_lock(m);
  *stops = !b->waits;
  if (!b->refuses && !m->hurries) {
    err = inbox_push(m, b, &entry);
  }
  *stops = *stops && b->waits;
  mailbox_unlock(m);
  return err;
}

/* ---- for whoever takes the events ---- */

static void inbox_take(cmt_mailbox *m, cmt_mailbox_event *out) {
  cmt__inbox *b = m->ready_first;

  ready_remove(m, b);
  *out = (cmt_mailbox_event){.peer = b->peer, .internal = b};
  if (b->up_due) {
    b->up_due = false;
    b->out = CMT__OUT_UP;
    out->kind = CMT_EVENT_PEER_UP;
  } else if (b->count > 0) {
    queue_take(m, b);
    b->out = CMT__OUT_MESSAGE;
    out->kind = CMT_EVENT_MESSAGE;
    out->channel = m->limits[b->taken.channel].id;
    out->msg = b->taken.msg;
  } else {
    b->gone_due = false;
    b->out = CMT__OUT_GONE;
    out->kind = CMT_EVENT_PEER_GONE;
    out->reason = b->reason;
  }
  mailbox_show(m);
}

/* The first of the next source that has one. */
static void source_take(cmt_mailbox *m, cmt_mailbox_event *out) {
  cmt__event_source *s;

  do {
    s = m->sources[m->source_next];
    m->source_next = (m->source_next + 1) % m->source_count;
  } while (s->count == 0);
  *out = (cmt_mailbox_event){.internal = s, .source = s};
  s->count--;
  m->extra--;
  s->take(s, out);
  mailbox_show(m);
}

/* Inboxes and sources take turns. */
static void mailbox_take(cmt_mailbox *m, cmt_mailbox_event *out) {
  bool extra = m->extra > 0 && (m->extra_next || m->ready_first == NULL);

  m->extra_next = !extra;
  if (extra) {
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

/* An element of the caller's array may have another size than ours, but not
   less than the first event had. */
enum { EVENT_SIZE_MIN = offsetof(cmt_mailbox_event, outcome) + sizeof(void *) };

static void event_write(void *at, size_t size, const cmt_mailbox_event *ev) {
  memset(at, 0, size);
  memcpy(at, ev, cmt__min(size, sizeof *ev));
}

static cmt_err next_check(const cmt_mailbox *m, const cmt_mailbox_event *out,
                          size_t size, uint64_t timeout_ns) {
  if (m == NULL || out == NULL || size < EVENT_SIZE_MIN) {
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
    event_write((char *)out + count * size, size, &ev);
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
    event_write(out, size, &ev);
  }
  mailbox_unlock(m);
  return err;
}

/* The end of an event that is out; true: the inbox has ended. */
static bool inbox_done(cmt_mailbox *m, cmt__inbox *b) {
  cmt__inbox_out out = b->out;

  CMT_ASSERT(m->env, out != CMT__OUT_NONE);
  b->out = CMT__OUT_NONE;
  if (out == CMT__OUT_MESSAGE) {
    inbox_release(m, b, &b->taken);
  }
  if (out == CMT__OUT_GONE) {
    inbox_close(m, b);
    return true;
  }
  inbox_requeue(m, b);
  return inbox_give_up(m, b);
}

static void source_done(cmt_mailbox *m, cmt_mailbox_event *ev) {
  cmt__event_source *s = ev->source;
  size_t i = 0;

  while (i < m->source_count && m->sources[i] != s) {
    i++;
  }
  CMT_REQUIRE(m->env, i < m->source_count,
              "cmt_mailbox_done: the event is of another mailbox");
  cmt_buf_unref(ev->msg);
  if (s->done != NULL) {
    s->done(s, ev);
  }
  *ev = (cmt_mailbox_event){.kind = ev->kind};
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
  *ev = (cmt_mailbox_event){.kind = ev->kind};
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

cmt_err cmt__mailbox_done_and_next(cmt_mailbox *m, cmt_mailbox_event *ev) {
  cmt__inbox *b = ev->internal;
  cmt_err err;

  if (ev->kind == CMT_EVENT_PEER_GONE && b != NULL) {
    cmt_mailbox_done(m, ev);
    b = NULL;
  }
  cmt_buf_unref(ev->msg);
  mailbox_lock(m);
  if (b != NULL) {
    (void)inbox_done(m, b);
  }
  err = mailbox_wait(m, CMT_NEVER);
  if (err == CMT_OK) {
    inbox_take(m, ev);
  }
  mailbox_unlock(m);
  return err;
}

int cmt_mailbox_fd(const cmt_mailbox *m) { return m->fd; }

/* ---- for the end ---- */

void cmt__mailbox_refuse(cmt_mailbox *m, const cmt_mailbox_event *ev) {
  cmt__inbox *b = ev->internal;
  purged p;

  mailbox_lock(m);
  b->refuses = true;
  p = queue_detach(m, b);
  mailbox_unlock(m);
  queue_purged(m, &p);
}

void cmt__mailbox_discard(cmt_mailbox *m) {
  bool any = true;

  while (any) {
    purged p = {.queue = NULL};

    mailbox_lock(m);
    m->hurries = true;
    any = false;
    for (cmt__inbox *b = m->inboxes; b != NULL && !any; b = b->all_next) {
      if (b->count > 0) {
        p = queue_detach(m, b);
        any = true;
      }
    }
    mailbox_unlock(m);
    queue_purged(m, &p);
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
    any = m->extra > 0;
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
  CMT_ASSERT(m->env, m->source_count < CMT__EVENT_SOURCES);
  m->sources[m->source_count++] = s;
}

void cmt__mailbox_offer(cmt_mailbox *m, cmt__event_source *s) {
  s->count++;
  m->extra++;
  if (m->idle > 0) {
    pthread_cond_signal(&m->more);
  }
  mailbox_show(m);
}

void cmt__mailbox_withdraw(cmt_mailbox *m, cmt__event_source *s) {
  s->count--;
  m->extra--;
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
  used = m->inboxes != NULL;
  mailbox_unlock(m);
  return used;
}

size_t cmt__mailbox_bytes(cmt_mailbox *m) {
  size_t bytes;

  mailbox_lock(m);
  bytes = m->bytes;
  mailbox_unlock(m);
  return bytes;
}

/* ---- making ---- */

static void limits_set(cmt_mailbox *m, const cmt_channel *channels,
                       size_t count) {
  for (size_t i = 0; i < count; i++) {
    const cmt_channel *c = &channels[i];

    m->limits[i] = (cmt__inbox_limit){
      .id = c->id,
      .drops = c->on_full == CMT_ON_FULL_DROP,
      .messages_max = c->recv_queue,
      .bytes_max = c->recv_queue_bytes,
    };
    m->places[c->id] = (uint8_t)i;
  }
  m->limit_count = count;
}

static cmt_err locks_new(cmt_mailbox *m) {
  if (!cmt__cond_init(&m->more)) {
    return CMT_ENOMEM;
  }
  if (pthread_mutex_init(&m->lock, NULL) != 0) {
    pthread_cond_destroy(&m->more);
    return CMT_ENOMEM;
  }
  return CMT_OK;
}

static size_t total_of(const cmt_reactor *r) {
  return r->recv_queue_bytes_total != 0 ? r->recv_queue_bytes_total
                                        : CMT__RECV_TOTAL;
}

uint64_t cmt__mailbox_memory(const cmt_reactor *r, size_t peers) {
  return total_of(r) + peers * (uint64_t)(total_of(r) / cmt__max(peers, 1));
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
  m->bytes_max = total_of(r);
  m->share = m->bytes_max / cmt__max(peers, 1);
  m->fd = -1;
  limits_set(m, channels, r->channel_count);
  if (r->delivery == CMT_DELIVER_MAILBOX) {
    m->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (m->fd < 0) {
      int error = errno;

      cmt__free(env, m);
      errno = error;
      return CMT_EIO;
    }
  }
  if (locks_new(m) != CMT_OK) {
    if (m->fd >= 0) {
      close(m->fd);
    }
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
  CMT_ASSERT(m->env, m->inboxes == NULL && m->bytes == 0);
  sources_drop(m);
  mailbox_lock(m);
  CMT_ASSERT(m->env, is_over(m) || m->idle == 0);
  while (m->idle > 0) {
    pthread_cond_wait(&m->more, &m->lock);
  }
  mailbox_unlock(m);
  if (m->fd >= 0) {
    close(m->fd);
  }
  pthread_mutex_destroy(&m->lock);
  pthread_cond_destroy(&m->more);
  cmt__free(m->env, m);
}
