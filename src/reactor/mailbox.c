/* SPDX-License-Identifier: Apache-2.0 */

/* Mailboxes.

   Design notes.  A box holds the events of one peer for one reactor: peer up,
   messages in their order, peer gone.  It is in the list of those that are
   ready exactly when it has an event and none of it is out, so no peer ever has
   two events out at one time, and what one takes next is of the peer that has
   waited longest.  An event is out from cmt_mailbox_next() to
   cmt_mailbox_done(); a message counts until then, since its memory is in use.

   Peer up and peer gone are flags of the box, so that neither needs memory that
   might not be there.  Peer gone is the last event of a box, and with its end
   the box is nobody's: |on_gone| tells the loop, which alone knows what
   follows.

   Room.  A channel that drops refuses the message that does not fit.  One that
   waits takes it, for it was read already, and stops the link; the link reads
   on when every channel of the box is down to half of its limits, and the box
   to half of what it may have of the mailbox.  What a link had read when it
   stopped is at most 64 KiB of stream.

   Of the mailbox's total a box may have its share, an equal part for each peer
   that there can be, and above that as much as is left.  So the box that holds
   most is the first to be stopped, while there is still room for the others,
   and no number of full boxes stops one under its share.  A box that is stopped
   has messages, and at the latest when they are done it reads on: nobody waits
   for what others do with theirs.  What waits in all is less than twice the
   total: the last box above its share that took a message left the total
   unreached, and since then only boxes under their shares have grown.

   The lock comes before that of a gate.  Under it nothing of the application
   runs: messages are let go after it, and so is |on_gone| called. */

#include "mailbox.h"

#include "base/buf.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { QUEUE_FIRST = 8, QUEUE_KEPT = 64 };

/* What was in a box and is to be let go outside the lock. */
typedef struct purged {
  cmt__mail *queue;
  size_t first, count, cap;
} purged;

static void mailbox_lock(cmt_mailbox *m) { cmt__lock(&m->lock); }

static void mailbox_unlock(cmt_mailbox *m) { cmt__unlock(&m->lock); }

/* Makes |fd| say whether there is something to take, or nothing ever again. */
static void mailbox_show(cmt_mailbox *m) {
  bool lit = m->ready_first != NULL || m->closed;
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

static bool box_has_event(const cmt__box *b) {
  return b->out == CMT__OUT_NONE && (b->up_due || b->gone_due || b->count > 0);
}

static void ready_append(cmt_mailbox *m, cmt__box *b) {
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

static void ready_remove(cmt_mailbox *m, cmt__box *b) {
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

static bool box_is_ready(const cmt_mailbox *m, const cmt__box *b) {
  return b->prev != NULL || m->ready_first == b;
}

/* Puts the box where it belongs after a change. */
static void box_settle(cmt_mailbox *m, cmt__box *b) {
  bool has = box_has_event(b), is = box_is_ready(m, b);

  if (has && !is) {
    ready_append(m, b);
  } else if (!has && is) {
    ready_remove(m, b);
  }
  mailbox_show(m);
}

/* ---- room ---- */

/* How much a box may have in all. */
static size_t box_bytes_max(const cmt_mailbox *m) {
  size_t left = m->bytes < m->bytes_max ? m->bytes_max - m->bytes : 0;

  return cmt__max(m->share, left);
}

static bool over_half(const cmt_mailbox *m, const cmt__box *b) {
  for (size_t i = 0; i < m->limit_count; i++) {
    if (b->counts[i].messages > m->limits[i].messages_max / 2 ||
        b->counts[i].bytes > m->limits[i].bytes_max / 2) {
      return true;
    }
  }
  return b->bytes > box_bytes_max(m) / 2;
}

static void box_resume(cmt_mailbox *m, cmt__box *b) {
  if (b->waits && !over_half(m, b)) {
    b->waits = false;
    cmt__gate_unblock(&b->peer->gate);
  }
}

static void box_wait(cmt__box *b) {
  if (!b->waits) {
    b->waits = true;
    cmt__gate_block(&b->peer->gate);
  }
}

/* Whether a message of |cost| stays within the limits; the first one of a peer
   always does, and the first one of a channel within its own. */
static bool box_fits(const cmt_mailbox *m, const cmt__box *b, uint8_t channel,
                     size_t cost) {
  const cmt__mail_limit *l = &m->limits[channel];
  const cmt__mail_count *c = &b->counts[channel];

  return (c->messages == 0 ||
          (c->messages < l->messages_max && c->bytes < l->bytes_max &&
           cost <= l->bytes_max - c->bytes)) &&
         (b->bytes == 0 || b->bytes + cost <= m->share ||
          (m->bytes < m->bytes_max &&
           b->bytes + cost <= m->bytes_max - m->bytes));
}

static bool box_is_full(const cmt_mailbox *m, const cmt__box *b,
                        uint8_t channel) {
  const cmt__mail_limit *l = &m->limits[channel];
  const cmt__mail_count *c = &b->counts[channel];

  return c->messages >= l->messages_max || c->bytes >= l->bytes_max ||
         b->bytes >= box_bytes_max(m);
}

/* Gives back what one message took. */
static void box_release(cmt_mailbox *m, cmt__box *b, const cmt__mail *mail) {
  b->counts[mail->channel].messages--;
  b->counts[mail->channel].bytes -= mail->cost;
  b->bytes -= mail->cost;
  m->bytes -= mail->cost;
  box_resume(m, b);
}

/* ---- the messages of a box ---- */

static bool queue_reserve(const cmt_mailbox *m, cmt__box *b) {
  size_t cap = cmt__max(QUEUE_FIRST, 2 * b->cap);
  cmt__mail *grown;

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

static void queue_take(const cmt_mailbox *m, cmt__box *b) {
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
static purged queue_detach(cmt_mailbox *m, cmt__box *b) {
  purged p = {
    .queue = b->queue, .first = b->first, .count = b->count, .cap = b->cap};

  for (size_t i = 0; i < p.count; i++) {
    box_release(m, b, &p.queue[(p.first + i) % p.cap]);
  }
  b->queue = NULL;
  b->first = 0;
  b->count = 0;
  b->cap = 0;
  box_settle(m, b);
  return p;
}

static void queue_purged(const cmt_mailbox *m, const purged *p) {
  for (size_t i = 0; i < p->count; i++) {
    cmt_buf_unref(p->queue[(p->first + i) % p->cap].msg);
  }
  cmt__free(m->env, p->queue);
}

/* ---- for the loop ---- */

size_t cmt__box_size(const cmt_mailbox *m) {
  size_t size = sizeof(cmt__box) + m->limit_count * sizeof(cmt__mail_count);

  return (size + _Alignof(cmt__box) - 1) & ~(_Alignof(cmt__box) - 1);
}

void cmt__box_fini(cmt__box *b, const cmt_env *env) {
  CMT_ASSERT(env, !b->open && b->count == 0);
  cmt__free(env, b->queue);
}

void cmt__box_open(cmt__box *b, cmt_mailbox *m, cmt_peer *p) {
  b->mailbox = m;
  b->peer = p;
  b->open = true;
  mailbox_lock(m);
  b->all_next = m->boxes;
  if (m->boxes != NULL) {
    m->boxes->all_prev = b;
  }
  m->boxes = b;
  mailbox_unlock(m);
}

void cmt__box_up(cmt__box *b) {
  mailbox_lock(b->mailbox);
  b->up_due = true;
  box_settle(b->mailbox, b);
  mailbox_unlock(b->mailbox);
}

void cmt__box_gone(cmt__box *b, cmt_err reason) {
  mailbox_lock(b->mailbox);
  b->gone_due = true;
  b->reason = reason;
  box_settle(b->mailbox, b);
  mailbox_unlock(b->mailbox);
}

/* cmt__box_put() under the lock. */
static cmt_err box_push(cmt_mailbox *m, cmt__box *b, const cmt__mail *mail) {
  bool drops = m->limits[mail->channel].drops;

  if (drops && !box_fits(m, b, mail->channel, mail->cost)) {
    return CMT_EAGAIN;
  }
  if (!queue_reserve(m, b)) {
    return CMT_ENOMEM;
  }
  b->queue[(b->first + b->count++) % b->cap] = *mail;
  cmt_buf_ref(mail->msg);
  b->counts[mail->channel].messages++;
  b->counts[mail->channel].bytes += mail->cost;
  b->bytes += mail->cost;
  m->bytes += mail->cost;
  if (!drops && box_is_full(m, b, mail->channel)) {
    box_wait(b);
  }
  box_settle(m, b);
  return CMT_OK;
}

cmt_err cmt__box_put(cmt__box *b, uint8_t channel, cmt_buf *msg, bool *stops) {
  cmt_mailbox *m = b->mailbox;
  cmt__mail mail = {
    .msg = msg,
    .cost = cmt__buf_cap(msg) + CMT__MAIL_COST,
    .channel = m->places[channel],
  };
  cmt_err err = CMT_OK;

  mailbox_lock(m);
  *stops = !b->waits;
  if (!b->refuses && !m->hurries) {
    err = box_push(m, b, &mail);
  }
  *stops = *stops && b->waits;
  mailbox_unlock(m);
  return err;
}

/* ---- for whoever takes the events ---- */

static void box_take(cmt_mailbox *m, cmt_event *out) {
  cmt__box *b = m->ready_first;

  ready_remove(m, b);
  *out = (cmt_event){.peer = b->peer, .internal = b};
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

/* Waits until there is an event, or |timeout_ns| has passed. */
static cmt_err mailbox_wait(cmt_mailbox *m, uint64_t timeout_ns) {
  struct timespec at;
  int error = 0;

  if (m->ready_first == NULL && !m->closed && timeout_ns > 0) {
    at = cmt__cond_deadline(timeout_ns == CMT_NEVER ? 0 : timeout_ns);
    m->idle++;
    while (m->ready_first == NULL && !m->closed && error != ETIMEDOUT) {
      error = timeout_ns == CMT_NEVER
                ? pthread_cond_wait(&m->more, &m->lock)
                : pthread_cond_timedwait(&m->more, &m->lock, &at);
    }
    m->idle--;
    if (m->closed && m->idle == 0) {
      pthread_cond_broadcast(&m->more); /* For cmt__mailbox_delete(). */
    }
  }
  if (m->ready_first != NULL) {
    return CMT_OK;
  }
  return m->closed ? CMT_ECLOSED : CMT_ETIMEDOUT;
}

cmt_err cmt_mailbox_next(cmt_mailbox *m, cmt_event *out, uint64_t timeout_ns) {
  cmt_err err;

  if (m == NULL || out == NULL) {
    return CMT_EINVAL;
  }
  if (timeout_ns > 0 && cmt__thread_is_loop()) {
    return CMT_EDEADLK;
  }
  mailbox_lock(m);
  err = mailbox_wait(m, timeout_ns);
  if (err == CMT_OK) {
    box_take(m, out);
  }
  mailbox_unlock(m);
  return err;
}

/* Takes the box out of the mailbox. */
static void box_close(cmt_mailbox *m, cmt__box *b) {
  b->waits = false;
  if (b->all_prev != NULL) {
    b->all_prev->all_next = b->all_next;
  } else {
    m->boxes = b->all_next;
  }
  if (b->all_next != NULL) {
    b->all_next->all_prev = b->all_prev;
  }
  b->open = false;
}

/* The end of an event that is out; true: the box has ended. */
static bool box_done(cmt_mailbox *m, cmt__box *b) {
  cmt__box_out out = b->out;

  CMT_ASSERT(m->env, out != CMT__OUT_NONE);
  b->out = CMT__OUT_NONE;
  if (out == CMT__OUT_MESSAGE) {
    box_release(m, b, &b->taken);
  }
  if (out == CMT__OUT_GONE) {
    box_close(m, b);
  } else {
    box_settle(m, b);
  }
  return out == CMT__OUT_GONE;
}

void cmt_mailbox_done(cmt_mailbox *m, cmt_event *ev) {
  cmt__box *b = ev->internal;
  cmt__box_out out;
  bool ended;

  CMT_REQUIRE(m->env, b != NULL, "cmt_mailbox_done: the event is done already");
  CMT_REQUIRE(m->env, b->mailbox == m,
              "cmt_mailbox_done: the event is of another mailbox");
  cmt_buf_unref(ev->msg);
  *ev = (cmt_event){.kind = ev->kind};
  mailbox_lock(m);
  out = b->out;
  ended = out != CMT__OUT_NONE && box_done(m, b);
  mailbox_unlock(m);
  CMT_REQUIRE(m->env, out != CMT__OUT_NONE,
              "cmt_mailbox_done: the event is done already");
  if (ended) {
    m->on_gone(b);
  }
}

cmt_err cmt__mailbox_turn(cmt_mailbox *m, cmt_event *ev) {
  cmt__box *b = ev->internal;
  cmt_err err;

  if (ev->kind == CMT_EVENT_PEER_GONE && b != NULL) {
    cmt_mailbox_done(m, ev);
    b = NULL;
  }
  cmt_buf_unref(ev->msg);
  mailbox_lock(m);
  if (b != NULL) {
    (void)box_done(m, b);
  }
  err = mailbox_wait(m, CMT_NEVER);
  if (err == CMT_OK) {
    box_take(m, ev);
  }
  mailbox_unlock(m);
  return err;
}

int cmt_mailbox_fd(const cmt_mailbox *m) { return m->fd; }

/* ---- for the end ---- */

void cmt__mailbox_refuse(cmt_mailbox *m, const cmt_event *ev) {
  cmt__box *b = ev->internal;
  purged p;

  mailbox_lock(m);
  b->refuses = true;
  p = queue_detach(m, b);
  mailbox_unlock(m);
  queue_purged(m, &p);
}

void cmt__mailbox_hurry(cmt_mailbox *m) {
  bool any = true;

  while (any) {
    purged p = {.queue = NULL};

    mailbox_lock(m);
    m->hurries = true;
    any = false;
    for (cmt__box *b = m->boxes; b != NULL && !any; b = b->all_next) {
      if (b->count > 0) {
        p = queue_detach(m, b);
        any = true;
      }
    }
    mailbox_unlock(m);
    queue_purged(m, &p);
  }
}

void cmt__mailbox_close(cmt_mailbox *m) {
  mailbox_lock(m);
  CMT_ASSERT(m->env, m->boxes == NULL);
  m->closed = true;
  mailbox_show(m);
  pthread_cond_broadcast(&m->more);
  mailbox_unlock(m);
}

bool cmt__mailbox_is_used(cmt_mailbox *m) {
  bool used;

  mailbox_lock(m);
  used = m->boxes != NULL;
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

    m->limits[i] = (cmt__mail_limit){
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
  if (r->delivery == CMT_MAILBOX) {
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
  CMT_ASSERT(m->env, m->boxes == NULL && m->bytes == 0);
  mailbox_lock(m);
  CMT_ASSERT(m->env, m->closed || m->idle == 0);
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
