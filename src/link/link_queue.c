/* SPDX-License-Identifier: Apache-2.0 */

/* How a link serves its send queue: it takes over accepted messages, carries
   out the requests of other threads and of callbacks, and returns the
   credits. */

#include "link_impl.h"

#include "base/trace.h"

void cmt__link_take_intake(cmt__link *l) {
  cmt__send_queue_items *taken = &l->send_queue->taken_over;
  uint64_t now_ns = cmt__loop_now(l->loop);

  cmt__send_queue_take(l->send_queue, now_ns, &l->view);
  for (size_t i = 0; i < taken->count; i++) {
    cmt__send_queue_item *item = &taken->list[i];
    cmt_err err = cmt_conn_try_send_at(l->conn, item->at, item->msg, now_ns);

    if (err == CMT_OK) {
      CMT__TRACE(CMT__TRACE_TAKE, l->send_queue->descs[item->at].id, 0);
      continue;
    }
    /* The send queue has the same limits as the connection. */
    CMT_ASSERT(&l->loop->env, err == CMT_ENOMEM || err == CMT_ECLOSED);
    cmt_buf_unref(item->msg);
    if (err == CMT_ENOMEM) {
      cmt__link_stop_conn(l, err);
    }
  }
  taken->count = 0;
}

/* A later stop only shortens the time; link_tick() checks it. */
static void link_stop_by(cmt__link *l, const cmt__send_queue_stop *stop) {
  uint64_t now_ns = cmt__loop_now(l->loop);
  uint64_t end_ns = cmt__after(now_ns, stop->flush_ns);

  cmt__link_take_intake(l);
  cmt__loop_defer(l->loop, &l->task);
  l->stop_end_ns = l->stopping ? cmt__min64(l->stop_end_ns, end_ns) : end_ns;
  l->stopping = true;
  cmt_conn_stop(l->conn, stop->reason, stop->flush_ns, now_ns);
}

/* Reads whether a pause, or a full queue of a reactor, prevents reading.  What
   arrived before a write failed is read even then. */
static void link_pause(cmt__link *l) {
  uint64_t now_ns = cmt__loop_now(l->loop);
  bool before = l->paused;

  l->paused = cmt__send_queue_is_paused(l->send_queue, &l->blocked);
  if (!before && l->paused) {
    l->paused_at_ns = now_ns;
  } else if (before && !l->paused) {
    l->paused_ns += cmt__since(now_ns, l->paused_at_ns);
  }
  if (l->write_err != CMT_OK && l->blocked) {
    l->give_up_ns = CMT_NEVER;
  } else if (l->write_err != CMT_OK && l->give_up_ns == CMT_NEVER) {
    l->give_up_ns = now_ns + CMT__GIVE_UP_NS;
  }
  if (l->paused) {
    cmt_conn_pause(l->conn, now_ns);
  } else {
    cmt_conn_resume(l->conn, now_ns);
  }
  cmt__link_reading(l);
}

void cmt__link_control(cmt__link *l) {
  cmt__send_queue_stop stop;

  if (l->send_queue == NULL || cmt__link_end_is_due(l) ||
      !atomic_load(&l->send_queue->control) ||
      !atomic_exchange(&l->send_queue->control, false)) {
    return;
  }
  link_pause(l);
  if (cmt__send_queue_take_ping(l->send_queue)) {
    cmt__link_ping(l, NULL);
  }
  stop = cmt__send_queue_take_stop(l->send_queue);
  if (stop.wanted) {
    link_stop_by(l, &stop);
  }
}

void cmt__link_credit(cmt__link *l) {
  cmt_credits credits;

  if (l->send_queue != NULL && cmt_conn_take_credits(l->conn, &credits) &&
      cmt__send_queue_credit(l->send_queue, &credits, cmt__loop_now(l->loop))) {
    cmt__loop_defer(l->loop, &l->task);
  }
}

void cmt__link_answer(cmt__link *l) {
  cmt__link_credit(l);
  if (cmt__send_queue_answer(l->send_queue)) {
    cmt__loop_defer(l->loop, &l->task);
  }
  if (l->send_queue->rouses &&
      cmt__send_queue_rouse(l->send_queue, cmt__loop_is_deferred(&l->task),
                            cmt__loop_now(l->loop))) {
    cmt__loop_defer(l->loop, &l->task);
  }
}
