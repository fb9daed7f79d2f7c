/* SPDX-License-Identifier: Apache-2.0 */

/* A link moves bytes between a socket and a connection.  Every event marks the
   link's task (link_iteration.c).  Every callback may end the link, so the
   state is checked after each; the memory lives until the outermost entry
   leaves. */

#include "link_impl.h"

#include "base/mark.h"
#include "base/trace.h"

#define DISCARD_MAX_NS CMT_SECONDS(1)

static const cmt__tcp_callbacks tcp_callbacks;

void cmt__link_enter(cmt__link *l) { l->busy++; }

void cmt__link_leave(cmt__link *l) {
  if (--l->busy == 0 && l->state == CMT__LINK_CLOSED && !l->computes) {
    l->cbs->on_closed(l->arg);
  }
}

static void link_tasks_cancel(cmt__link *l) {
  cmt__loop_defer_cancel(l->loop, &l->task);
  cmt__loop_cancel_last(l->loop, &l->writes);
}

static void link_shut(cmt__link *l) {
  if (l->state == CMT__LINK_CLOSED) {
    return;
  }
  l->state = CMT__LINK_CLOSED;
  l->send_queue = NULL;
  link_tasks_cancel(l);
  cmt__loop_timer(l->loop, &l->timer, CMT_NEVER);
  if (l->tcp != NULL) {
    cmt__tcp_close(l->tcp);
    l->tcp = NULL;
  }
  cmt__link_conn_delete(l);
  cmt__link_free_rest(l);
  cmt__free(&l->loop->env, l->path);
  l->path = NULL;
  cmt__free(&l->loop->env, l->owner_why);
  l->owner_why = NULL;
  cmt__free(&l->loop->env, l->migration);
  l->migration = NULL;
}

static void link_read(cmt__link *l, bool on) {
  if (on != l->reading && !l->eof) {
    l->reading = on;
    cmt__tcp_read(l->tcp, on);
  }
}

void cmt__link_reading(cmt__link *l) {
  if (l->tcp != NULL) {
    cmt__tcp_read_max(l->tcp, cmt_conn_read_max(l->conn));
  }
  link_read(l, !l->paused && l->iteration_left > 0 &&
                 cmt_conn_wants_read(l->conn));
}

/* ---- the end ---- */

/* Closing with unread input sends a reset, which can overtake our last message
   in the other side's queue.  So after a stop that has sent everything the link
   goes on reading for a while. */
static void link_discard(cmt__link *l) {
  uint64_t now_ns = cmt__loop_now(l->loop);

  l->state = CMT__LINK_DISCARDING;
  l->overdue = false;
  cmt__tcp_shutdown(l->tcp);
  cmt__tcp_read_max(l->tcp, 0);
  link_read(l, true);
  link_tasks_cancel(l);
  cmt__loop_timer(l->loop, &l->timer,
                  cmt__min64(l->stop_end_ns, now_ns + DISCARD_MAX_NS));
  l->cbs->on_linger(l->arg);
}

void cmt__link_end(cmt__link *l, const cmt_conn_event *ev) {
  char text[160];
  cmt_why why;
  bool gentle = l->stopping && !l->eof && l->write_err == CMT_OK &&
                l->rest_len == 0 && cmt__loop_now(l->loop) < l->stop_end_ns;

  if (l->migration != NULL) {
    l->migration->away = false;
  }
  cmt_conn_get_why(l->conn, &why);
  if (l->owner_why != NULL && l->owner_why->err == why.err) {
    memcpy(why.text, l->owner_why->text, sizeof why.text);
  } else if (l->error != 0 && strcmp(why.text, cmt_err_text(why.err)) == 0) {
    cmt__why(&why, why.err, why.stage, "%s",
             cmt__loop_fault(why.err, l->error, text, sizeof text));
  }
  (void)cmt__link_final_flush(l);
  l->cbs->on_end(l->arg, &why, ev->id);
  if (l->state == CMT__LINK_CLOSED) {
    return;
  }
  l->send_queue = NULL;
  cmt__link_conn_delete(l);
  if (gentle) {
    link_discard(l);
  } else {
    link_shut(l);
  }
}

void cmt__link_stop_conn(cmt__link *l, cmt_err err) {
  cmt_conn_stop(l->conn, err, 0, cmt__loop_now(l->loop));
}

void cmt__link_say(cmt__link *l, const cmt_why *why) {
  if (l->owner_why == NULL) {
    l->owner_why = cmt__alloc(&l->loop->env, sizeof *l->owner_why);
    if (l->owner_why != NULL) {
      *l->owner_why = *why;
    }
  }
}

/* ---- events ---- */

static void link_pong(cmt__link *l, uint64_t rtt_ns) {
  cmt__pong *pong = l->pong;

  if (l->send_queue != NULL) {
    cmt__send_queue_trim(l->send_queue);
  }
  l->pongs_recv++;
  l->rtt_last_ns = rtt_ns;
  if (l->pongs_recv == 1 || rtt_ns < l->rtt_min_ns) {
    l->rtt_min_ns = rtt_ns;
  }
  l->pong = NULL;
  if (pong != NULL) {
    pong->cb(pong, rtt_ns);
  }
}

static void link_event(cmt__link *l, const cmt_conn_event *ev) {
  switch (ev->kind) {
  case CMT_CONN_NODE_INFO:
    l->cbs->on_node_info(l->arg, ev->node_info);
    break;
  case CMT_CONN_UP:
    l->cbs->on_up(l->arg, ev);
    break;
  case CMT_CONN_MESSAGE:
    l->iteration_left--;
    CMT__TRACE(CMT__TRACE_DELIVER, ev->channel, 0);
    l->cbs->on_message(l->arg, ev->channel, ev->msg);
    break;
  case CMT_CONN_PONG:
    link_pong(l, ev->rtt_ns);
    break;
  case CMT_CONN_END:
    if (cmt__link_is_home(l)) {
      cmt__link_end(l, ev);
    } else {
      cmt__link_go_home(l);
    }
    break;
  }
}

/* Reports the id of the other side to the owner once it is known. */
static void link_meet(cmt__link *l) {
  const cmt_node_id *id;

  if (l->known) {
    return;
  }
  id = cmt__link_id(l);
  if (id != NULL) {
    l->known = true;
    cmt__link_op_free(l);
    l->cbs->on_id(l->arg, id);
  }
}

/* The iteration has reached its limit of messages.  The end is reported all the
   same. */
static bool link_waits(const cmt__link *l) {
  return l->iteration_left == 0 && !cmt_conn_has_ended(l->conn);
}

void cmt__link_drain(cmt__link *l) {
  uint32_t before = l->iteration_left;
  cmt_conn_event ev;

  while (l->state == CMT__LINK_OPEN && !link_waits(l) &&
         cmt_conn_next_event(l->conn, &ev)) {
    link_meet(l);
    link_event(l, &ev);
    if (l->state == CMT__LINK_OPEN) {
      cmt__link_control(l);
    }
  }
  if (l->state == CMT__LINK_OPEN && l->iteration_left < before) {
    l->cbs->on_messages_end(l->arg);
  }
  link_meet(l);
  cmt__link_compute(l);
  if (l->state == CMT__LINK_OPEN && l->late_end != CMT_OK && !l->suspended) {
    cmt__loop_defer(l->loop, &l->task);
  }
}

/* Copies the bytes that this iteration does not deliver, since the next link
   uses the memory of the loop. */
static void link_put_by(cmt__link *l) {
  cmt_err err;

  if (l->state != CMT__LINK_OPEN || cmt_conn_has_ended(l->conn) ||
      !cmt_conn_borrows(l->conn)) {
    return;
  }
  err = cmt_conn_keep(l->conn);
  if (err != CMT_OK) {
    cmt__link_stop_conn(l, err);
    cmt__link_drain(l);
  }
}

/* ---- the socket and the timer ---- */

static void on_timer(cmt__timer *t) {
  cmt__link *l = (cmt__link *)((char *)t - offsetof(cmt__link, timer));

  cmt__link_enter(l);
  if (l->state != CMT__LINK_DISCARDING) {
    cmt__loop_defer(l->loop, &l->task);
  } else if (cmt__link_reads_first(l, t->at_ns)) {
    cmt__loop_timer(l->loop, t, t->at_ns);
  } else {
    link_shut(l);
  }
  cmt__link_leave(l);
}

static void on_connect(void *arg, cmt_err err) {
  cmt__link *l = arg;

  cmt__link_enter(l);
  l->cbs->on_connect(l->arg, err);
  cmt__link_leave(l);
}

static void on_read(void *arg, uint8_t *data, size_t len) {
  cmt__link *l = arg;
  cmt_err err;

  l->recv_bytes += len;
  CMT__TRACE(CMT__TRACE_READ, l->recv_bytes, cmt__tcp_unread(l->tcp));
  l->overdue_left -= (uint32_t)cmt__min(len, l->overdue_left);
  if (l->state != CMT__LINK_OPEN) {
    return;
  }
  cmt__link_enter(l);
  l->read_calls++;
  if (l->send_queue != NULL) {
    cmt__send_queue_attend(l->send_queue);
  }
  cmt__loop_defer(l->loop, &l->task);
  err = cmt_conn_recv(l->conn, data, len, cmt__loop_now(l->loop));
  CMT_ASSERT(&l->loop->env, err == CMT_OK || err == CMT_ECLOSED);
  cmt__link_drain(l);
  link_put_by(l);
  if (l->state == CMT__LINK_OPEN) {
    cmt__link_reading(l);
  }
  cmt__link_leave(l);
}

static void on_end(void *arg, cmt_err err) {
  cmt__link *l = arg;

  cmt__link_enter(l);
  l->eof = true;
  l->error = err == CMT_EEOF ? 0 : l->loop->error;
  err = cmt__link_reason(l, err);
  if (l->state == CMT__LINK_OPEN && err == CMT_EEOF &&
      !cmt_conn_has_ended(l->conn) && cmt_conn_has_input(l->conn)) {
    l->late_end = err;
  } else if (l->state == CMT__LINK_OPEN) {
    cmt__link_stop_conn(l, err);
    cmt__link_drain(l);
  } else {
    link_shut(l);
  }
  cmt__link_leave(l);
}

static void on_writable(void *arg) {
  cmt__link *l = arg;

  if (l->state != CMT__LINK_OPEN || l->rest_len == 0) {
    return;
  }
  cmt__link_enter(l);
  cmt__link_write_rest(l);
  if (l->send_queue != NULL) {
    cmt__send_queue_attend(l->send_queue);
  }
  cmt__loop_defer(l->loop, &l->task);
  cmt__link_leave(l);
}

static const cmt__tcp_callbacks tcp_callbacks = {
  .on_connect = on_connect,
  .on_read = on_read,
  .on_end = on_end,
  .on_writable = on_writable,
  .on_detached = cmt__link_on_detached,
};

/* ---- for the owner ---- */

const cmt_node_id *cmt__link_id(const cmt__link *l) {
  return l->conn != NULL ? cmt_conn_id(l->conn) : NULL;
}

cmt_conn_progress cmt__link_progress(const cmt__link *l) {
  return l->conn != NULL ? cmt_conn_get_progress(l->conn) : CMT_CONN_SILENT;
}

void cmt__link_init(cmt__link *l, cmt__loop *loop,
                    const cmt__link_options *options,
                    const cmt__link_callbacks *cbs, void *arg) {
  *l = (cmt__link){
    .loop = loop,
    .options = options,
    .cbs = cbs,
    .arg = arg,
    .timer = {.cb = on_timer},
    .task = {.cb = cmt__link_on_iteration},
    .batch_frames = CMT__BATCH_MAX,
    .give_up_ns = CMT_NEVER,
    .iteration_left = CMT__ITERATION_MESSAGES,
  };
}

static void link_connecting(cmt__link *l) {
  l->state = CMT__LINK_CONNECTING;
  if (l->options->congestion != NULL) {
    cmt__tcp_congestion(l->tcp, l->options->congestion);
  }
}

cmt_err cmt__link_connect(cmt__link *l, const cmt_net_addr *to) {
  cmt_err err = cmt__loop_connect(l->loop, to, &tcp_callbacks, l, &l->tcp);

  if (err != CMT_OK) {
    l->tcp = NULL;
    return err;
  }
  link_connecting(l);
  return CMT_OK;
}

void cmt__link_accept(cmt__link *l, cmt__tcp *tcp) {
  cmt__tcp_start(tcp, &tcp_callbacks, l);
  l->tcp = tcp;
  link_connecting(l);
}

void cmt__link_disconnect(cmt__link *l) {
  if (l->tcp != NULL) {
    cmt__tcp_close(l->tcp);
    l->tcp = NULL;
  }
  l->state = CMT__LINK_IDLE;
}

/* Any thread: the loop sees it when it attends to the queue next. */
static void on_gave_way(void *arg) {
  cmt__send_queue_look(((cmt__link *)arg)->send_queue);
}

cmt_err cmt__link_start(cmt__link *l, const cmt_conn_options *o, cmt_why *why) {
  cmt_conn_options own = *o;
  cmt_err err;

  own.wake = on_gave_way;
  own.wake_arg = l;
  own.defer_compute = true;
  err = cmt__link_op_new(l, why);
  if (err == CMT_OK) {
    err = cmt_conn_new(&own, cmt__loop_now(l->loop), &l->conn, why);
  }
  if (err != CMT_OK) {
    return err;
  }
  l->state = CMT__LINK_OPEN;
  cmt__link_reading(l);
  cmt__link_compute(l);
  cmt__loop_defer(l->loop, &l->task);
  return CMT_OK;
}

void cmt__link_wake(cmt__link *l) {
  if (l->state == CMT__LINK_OPEN) {
    cmt__loop_defer(l->loop, &l->task);
  }
}

void cmt__link_stop(cmt__link *l, const cmt_why *why) {
  if (l->state != CMT__LINK_OPEN) {
    return;
  }
  cmt__link_say(l, why);
  cmt__link_stop_conn(l, why->err);
  if (l->busy == 0) {
    cmt__link_enter(l);
    cmt__link_drain(l);
    cmt__link_leave(l);
  } else {
    cmt__loop_defer(l->loop, &l->task);
  }
}

void cmt__link_shorten_linger(cmt__link *l, uint64_t flush_ns) {
  uint64_t end_ns;

  if ((l->migration != NULL && l->migration->away) ||
      l->state != CMT__LINK_DISCARDING) {
    return;
  }
  end_ns = cmt__after(cmt__loop_now(l->loop), flush_ns);
  if (end_ns < l->timer.at_ns) {
    cmt__loop_timer(l->loop, &l->timer, end_ns);
  }
}

void cmt__link_close(cmt__link *l) {
  cmt__link_enter(l);
  link_shut(l);
  cmt__link_leave(l);
}

void cmt__link_close_after_linger(cmt__link *l) {
  cmt__link_enter(l);
  if (l->state == CMT__LINK_OPEN && !l->eof && cmt__link_final_flush(l)) {
    cmt__link_conn_delete(l);
    l->stop_end_ns = CMT_NEVER;
    link_discard(l);
  } else {
    link_shut(l);
  }
  cmt__link_leave(l);
}

cmt_err cmt__link_suspend(cmt__link *l) {
  cmt_err err = cmt_conn_standby(l->conn, cmt__loop_now(l->loop));

  l->suspended = err == CMT_OK;
  return err;
}

void cmt__link_release(cmt__link *l) {
  CMT_ASSERT(&l->loop->env, l->suspended && l->state == CMT__LINK_OPEN);
  l->suspended = false;
  cmt_conn_activate(l->conn, cmt__loop_now(l->loop));
  cmt__link_reading(l);
  cmt__loop_defer(l->loop, &l->task);
}

void cmt__link_ping(cmt__link *l, cmt__pong *pong) {
  l->pong = pong != NULL ? pong : l->pong;
  if (l->state == CMT__LINK_OPEN &&
      cmt_conn_ping(l->conn, cmt__loop_now(l->loop)) ==
        CMT_OK) { /* CMT_EAGAIN: a ping is under way already. */
    cmt__loop_defer(l->loop, &l->task);
  }
}
