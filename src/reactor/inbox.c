/* SPDX-License-Identifier: Apache-2.0 */

/* Inboxes.  Peer up and peer gone are flags, so that neither needs memory that
   might not be there.

   Room.  A channel that drops refuses the message that does not fit.  Any other
   channel accepts it, since it has been read already, and stops the link.  The
   link reads again when every channel of the inbox is down to half of its
   limits, and the inbox to half of its part of the quota.  What a link had read
   when it stopped is at most 64 KiB of stream.  An inbox whose link is stopped
   has messages, and at the latest when they are done the link reads again: no
   peer waits for what others do with theirs. */

#include "inbox.h"

size_t cmt__inbox_size(const cmt__inbox_quota *q) {
  size_t size =
    sizeof(cmt__inbox) + q->channel_count * sizeof(cmt__inbox_count);

  return (size + _Alignof(cmt__inbox) - 1) & ~(_Alignof(cmt__inbox) - 1);
}

void cmt__inbox_fini(cmt__inbox *b, const cmt_env *env) {
  CMT_ASSERT(env, !b->open && b->queue.count == 0 && b->spent == NULL);
  cmt__entry_queue_fini(&b->queue, env);
}

bool cmt__inbox_has_event(const cmt__inbox *b) {
  return b->out == CMT__OUT_NONE &&
         (b->up_due || b->gone_due || b->queue.count > 0);
}

bool cmt__inbox_has_only_gone(const cmt__inbox *b) {
  return b->out == CMT__OUT_NONE && b->gone_due && b->queue.count == 0;
}

/* ---- room ---- */

static void inbox_resume(cmt__inbox *b, const cmt__inbox_quota *q) {
  if (b->waits && !cmt__inbox_quota_over_half(q, &b->usage)) {
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

/* Gives back what one message was charged. */
static void inbox_release(cmt__inbox *b, cmt__inbox_quota *q,
                          const cmt__entry *entry) {
  cmt__inbox_quota_release(q, &b->usage, entry->channel, entry->cost);
  inbox_resume(b, q);
}

/* ---- events ---- */

cmt_err cmt__inbox_push(cmt__inbox *b, cmt__inbox_quota *q, const cmt_env *env,
                        const cmt__entry *entry, bool drops) {
  uint8_t channel = entry->channel;

  if (drops && !cmt__inbox_quota_fits(q, &b->usage, channel, entry->cost)) {
    return CMT_EAGAIN;
  }
  if (cmt__entry_queue_push(&b->queue, env, entry) != CMT_OK) {
    return CMT_ENOMEM;
  }
  cmt_buf_ref(entry->msg);
  cmt__inbox_quota_charge(q, &b->usage, channel, entry->cost);
  if (!drops && cmt__inbox_quota_is_full(q, &b->usage, channel)) {
    inbox_wait(b);
  }
  return CMT_OK;
}

void cmt__inbox_take(cmt__inbox *b, const cmt_env *env, cmt_mailbox_event *ev) {
  if (b->up_due) {
    b->up_due = false;
    b->out = CMT__OUT_UP;
    ev->kind = CMT_EVENT_PEER_UP;
  } else if (b->queue.count > 0) {
    b->taken = cmt__entry_queue_pop(&b->queue, env);
    b->out = CMT__OUT_MESSAGE;
    ev->kind = CMT_EVENT_MESSAGE;
    ev->msg = b->taken.msg;
  } else {
    b->gone_due = false;
    b->out = CMT__OUT_GONE;
    ev->kind = CMT_EVENT_PEER_GONE;
    ev->reason = b->reason;
  }
}

cmt__inbox_out cmt__inbox_done(cmt__inbox *b, cmt__inbox_quota *q,
                               const cmt_env *env) {
  cmt__inbox_out out = b->out;

  CMT_ASSERT(env, out != CMT__OUT_NONE);
  b->out = CMT__OUT_NONE;
  if (out == CMT__OUT_MESSAGE) {
    inbox_release(b, q, &b->taken);
  }
  return out;
}

void cmt__inbox_done_run(cmt__inbox *b, cmt__inbox_quota *q, const cmt_env *env,
                         const cmt__entry *run, size_t count) {
  CMT_ASSERT(env, b->out != CMT__OUT_NONE);
  b->out = CMT__OUT_NONE;
  for (size_t i = 0; i < count; i++) {
    cmt__inbox_quota_release(q, &b->usage, run[i].channel, run[i].cost);
  }
  inbox_resume(b, q);
}

cmt_buf *cmt__inbox_spent(cmt__inbox *b) {
  cmt_buf *spent = b->spent;

  b->spent = NULL;
  return spent;
}

cmt__entry_queue cmt__inbox_empty(cmt__inbox *b, cmt__inbox_quota *q) {
  cmt__entry_queue queue = b->queue;

  b->queue = (cmt__entry_queue){.list = NULL};
  for (size_t i = 0; i < queue.count; i++) {
    inbox_release(b, q, cmt__entry_queue_at(&queue, i));
  }
  return queue;
}
