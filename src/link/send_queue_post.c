/* SPDX-License-Identifier: Apache-2.0 */

/* Posts of the application to the loop of a peer.  They wait in the send queue,
   which moves with the peer, and run with the answers of sends. */

#include "send_queue_impl.h"

#include "base/mark.h"

cmt_err cmt__send_queue_post(cmt__send_queue *g, cmt_post *p) {
  cmt_err err = CMT_OK;

  cmt__send_queue_lock(g);
  if ((p->internal.owner != NULL && p->internal.owner != g) ||
      (p->cb == NULL && g->sink == NULL)) {
    err = CMT_EINVAL;
  } else if (g->state == CMT__SEND_QUEUE_GONE) {
    err = CMT_ECLOSED;
  } else if (p->internal.owner == NULL) {
    p->internal.owner = g;
    p->internal.next = NULL;
    if (g->posts_last != NULL) {
      g->posts_last->internal.next = p;
    } else {
      g->posts = p;
    }
    g->posts_last = p;
    g->post_count++;
    atomic_store_explicit(&g->answers, true, memory_order_relaxed);
    cmt__send_queue_wake(g);
  }
  cmt__send_queue_unlock(g);
  return err;
}

void cmt__send_queue_release_post(cmt__send_queue *g, cmt_post *p) {
  cmt__lock(&g->lock);
  p->internal.owner = NULL;
  cmt__unlock(&g->lock);
}

/* Removes the first post, which belongs to the caller then; without a callback
   it stays under way. */
static cmt_post *post_take(cmt__send_queue *g, cmt_err *status) {
  cmt_post *p;

  cmt__send_queue_lock(g);
  p = g->posts;
  g->posts = p->internal.next;
  g->posts_last = g->posts != NULL ? g->posts_last : NULL;
  g->post_count--;
  p->internal.owner = p->cb != NULL ? NULL : g;
  CMT__MARK_IF(g->state == CMT__SEND_QUEUE_GONE, post_outlives_its_peer);
  *status = g->state == CMT__SEND_QUEUE_GONE ? CMT_ECLOSED : CMT_OK;
  cmt__send_queue_unlock(g);
  return p;
}

void cmt__send_queue_run_posts(cmt__send_queue *g, size_t count) {
  for (; count > 0; count--) {
    cmt_err status;
    cmt_post *p = post_take(g, &status);

    cmt__assert_unlocked(g->env);
    if (p->cb != NULL) {
      p->cb(p->arg, status);
    } else {
      g->sink->post(g->sink->arg, g, p, status);
    }
  }
}
