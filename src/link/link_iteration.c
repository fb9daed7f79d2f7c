/* SPDX-License-Identifier: Apache-2.0 */

/* The task of a link, once per iteration of the loop: it takes over the send
   queue's intake (link_queue.c), does what is due, seals one batch of frames
   and writes it with one call (link_write.c).  A link with little to send does
   that, and what follows in its iteration, behind the tasks of other links. */

#include "link_impl.h"

#include "base/mark.h"

/* The instant at which it was not read for too long. */
static uint64_t link_stall_ns(const cmt__link *l) {
  return l->paused ? cmt__after(l->paused_at_ns, l->options->stall_max_ns)
                   : CMT_NEVER;
}

static void link_stalled(cmt__link *l) {
  cmt_why why;

  CMT__MARK(stall_timeout);
  cmt__why(&why, CMT_ESTALLED, CMT_STAGE_UP, "nothing was read for %llu s: %s",
           (unsigned long long)(l->options->stall_max_ns / CMT_SECONDS(1)),
           l->blocked ? "a reactor's queue is full"
                      : "the application paused the peer");
  cmt__link_say(l, &why);
  cmt__link_stop_conn(l, CMT_ESTALLED);
}

/* Bytes that wait for an operation come before every deadline, and the
   operation makes the task due. */
static bool link_awaits_op(const cmt__link *l) {
  return l->computes && !l->suspended && cmt_conn_has_input(l->conn);
}

static void link_arm(cmt__link *l) {
  uint64_t at_ns = cmt_conn_deadline(l->conn);

  if (link_awaits_op(l)) {
    cmt__loop_timer(l->loop, &l->timer, CMT_NEVER);
    return;
  }

  if (l->send_queue != NULL) {
    at_ns = cmt__min64(at_ns, l->view.deadline_ns);
  }
  if (l->throttled) {
    at_ns = cmt__min64(at_ns, l->flush_at_ns);
  }
  if (l->stopping) {
    at_ns = cmt__min64(at_ns, l->stop_end_ns);
  }
  at_ns = cmt__min64(at_ns, cmt__min64(l->give_up_ns, link_stall_ns(l)));
  at_ns = cmt__min64(at_ns, cmt__link_look_ns(l));
  cmt__loop_timer(l->loop, &l->timer, at_ns);
}

static void link_tick(cmt__link *l) {
  uint64_t now_ns = cmt__loop_now(l->loop);
  bool excused = cmt__link_excuses(l);

  if (l->stopping && now_ns >= l->stop_end_ns) {
    cmt__link_flush(l);
  }
  if (now_ns >= cmt_conn_deadline(l->conn)) {
    if (excused) {
      cmt_conn_tick_excused(l->conn, now_ns);
    } else {
      cmt_conn_tick(l->conn, now_ns);
    }
  }
  if (now_ns >= l->give_up_ns && !excused) {
    cmt__link_stop_conn(l, l->write_err);
  }
  if (now_ns >= link_stall_ns(l)) {
    link_stalled(l);
  }
  if (l->stopping && now_ns >= l->stop_end_ns) {
    cmt__link_stop_conn(l, CMT_ECANCELED); /* The reason of the stop stays. */
  }
  if (l->late_end != CMT_OK && !cmt_conn_has_input(l->conn)) {
    cmt__link_stop_conn(l, l->late_end);
  }
}

/* Messages that are left go on in the next iteration, and the loop does not
   block before it. */
static void link_next_turn(cmt__link *l) {
  if (l->iteration_left == 0 ||
      (!l->suspended && !l->computes && cmt_conn_has_input(l->conn))) {
    cmt__loop_defer(l->loop, &l->task);
  }
  l->iteration_left = CMT__ITERATION_MESSAGES;
}

/* Bytes that were read before and copied are delivered before deadlines
   count. */
static void link_drain_and_tick(cmt__link *l, bool ticked) {
  cmt__link_drain(l);
  if (!ticked && l->state == CMT__LINK_OPEN && !cmt_conn_has_input(l->conn)) {
    link_tick(l);
    cmt__loop_defer(l->loop, &l->task);
    cmt__link_drain(l);
  }
}

/* Sends whose time is over may still be queued if there is room.  There are
   none before the send queue was first attended. */
static void link_serve_waits(cmt__link *l) {
  uint64_t at_ns = l->view.deadline_ns;

  if (at_ns != 0 && cmt__loop_now(l->loop) >= at_ns) {
    cmt__link_write(l);
    cmt__link_answer(l);
  }
}

/* What follows the write in an iteration. */
static void link_finish(cmt__link *l, bool ticked) {
  cmt__link_sample(l);
  link_drain_and_tick(l, ticked);
  if (l->state != CMT__LINK_OPEN || cmt__link_end_is_due(l)) {
    return;
  }
  link_next_turn(l);
  if (l->send_queue != NULL) {
    cmt__link_guard(l);
    cmt__link_answer(l);
    l->cbs->on_iteration(l->arg);
  }
  cmt__link_reading(l);
  link_arm(l);
}

static void on_write(cmt__loop *loop) {
  cmt__link *list[CMT__TOGETHER_MAX];
  size_t count = 0;
  cmt__last *t;

  while (count < CMT__TOGETHER_MAX && (t = cmt__loop_take_last(loop)) != NULL) {
    list[count] = (cmt__link *)((char *)t - offsetof(cmt__link, writes));
    cmt__link_enter(list[count++]);
  }
  cmt__link_write_all(list, count);
  for (size_t i = 0; i < count; i++) {
    if (list[i]->state == CMT__LINK_OPEN) {
      link_finish(list[i], true);
    }
    cmt__link_leave(list[i]);
  }
}

static void link_work(cmt__link *l) {
  bool ticks = l->suspended || !cmt_conn_has_input(l->conn);

  if (l->send_queue != NULL) {
    link_serve_waits(l);
    cmt__link_take_intake(l);
    cmt__link_control(l);
  }
  if (ticks) {
    link_tick(l);
  }
  if (ticks && cmt__link_write_or_wait(l)) {
    cmt__loop_defer_last(l->loop, &l->writes, on_write);
    return;
  }
  if (!ticks) {
    cmt__link_write(l);
  }
  link_finish(l, ticks);
}

void cmt__link_on_iteration(cmt__task *t) {
  cmt__link *l = (cmt__link *)((char *)t - offsetof(cmt__link, task));

  cmt__link_fetch_ahead(l);
  if (l->migration != NULL && cmt__link_departs(l)) {
    return;
  }
  cmt__link_enter(l);
  if (l->state == CMT__LINK_OPEN) {
    link_work(l);
  }
  cmt__link_leave(l);
}
