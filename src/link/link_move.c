/* SPDX-License-Identifier: Apache-2.0 */

/* A link on its way from one loop to another.

   Design notes.  A link moves at the beginning of an iteration.  There nothing
   of the stream is borrowed from the memory of the loop: bytes that were read
   before are used up, and what was packetized, sealed or half received lies in
   the connection.  The send queue is attended, so no thread wakes it until the
   new loop has attended to it; if a wake-up is under way, the move waits for
   the iteration after it.  Then the timer and the task are removed, the loop
   releases the socket, and the last action on the old loop is the post to the
   new one.  So the link always belongs to one thread, and each post orders all
   that was done before it.

   What the other side sends meanwhile waits in the socket, what is sent to it
   in the send queue, and a stop or a pause there too.

   An end that is seen away from home is not reported there.  The link moves
   home with it, in the same way, and everything that follows from an end
   happens on the loop of the owner. */

#include "link_impl.h"

#include "base/mark.h"

/* The last of the link on its old loop. */
void cmt__link_on_detached(void *arg) {
  cmt__link *l = arg;
  cmt__link_migration *migration = l->migration;

  if (l->loop != migration->home && l->tcp != NULL) {
    cmt__loop_release_timers(l->loop, 1);
  }
  migration->left_ns = cmt__loop_now(l->loop);
  l->loop = migration->to;
  migration->to = NULL;
  l->cbs->on_move(l->arg);
  cmt__loop_post(l->loop, &migration->arrival);
}

bool cmt__link_departs(cmt__link *l) {
  if (l->migration->to == NULL || l->state != CMT__LINK_OPEN) {
    return false;
  }
  if (!cmt__send_queue_leave(l->send_queue)) {
    return l->migration->end_due;
  }
  CMT_ASSERT(&l->loop->env,
             cmt_conn_has_ended(l->conn) || !cmt_conn_borrows(l->conn));
  l->state = CMT__LINK_MOVING;
  cmt__loop_defer_cancel(l->loop, &l->task);
  cmt__loop_timer(l->loop, &l->timer, CMT_NEVER);
  if (l->tcp != NULL) {
    cmt__tcp_detach(l->tcp);
  } else {
    cmt__link_on_detached(l);
  }
  return true;
}

void cmt__link_go_home(cmt__link *l) {
  l->migration->end_due = true;
  l->migration->to = l->migration->home;
  cmt__loop_defer(l->loop, &l->task);
}

/* On the home loop the room of its timer stayed reserved. */
static cmt_err link_attach(cmt__link *l) {
  cmt_err err = CMT_OK;

  if (l->tcp != NULL) {
    err = cmt__tcp_attach(l->tcp, l->loop);
    if (err != CMT_OK) {
      l->tcp = NULL;
    }
  }
  if (err == CMT_OK && l->loop != l->migration->home) {
    err = cmt__loop_reserve_timers(l->loop, 1);
    if (err != CMT_OK) {
      cmt__tcp_close(l->tcp);
      l->tcp = NULL;
    }
  }
  return err;
}

/* A stop after the end can still shorten the flush. */
static void link_end_at_home(cmt__link *l) {
  cmt__send_queue_stop stop = cmt__send_queue_take_stop(l->send_queue);
  cmt_conn_event ev = {.kind = CMT_CONN_END, .id = cmt_conn_id(l->conn)};

  CMT__MARK(ended_away_from_home);
  if (l->stopping && stop.wanted) {
    l->stop_end_ns = cmt__min64(
      l->stop_end_ns, cmt__after(cmt__loop_now(l->loop), stop.flush_ns));
  }
  cmt__link_end(l, &ev);
}

static void on_arrival(cmt__post *p) {
  cmt__link_migration *migration =
    (cmt__link_migration *)((char *)p - offsetof(cmt__link_migration, arrival));
  cmt__link *l = migration->link;
  cmt_err err;

  cmt__link_enter(l);
  CMT__MARK_IF(!migration->end_due && cmt__send_queue_queued(l->send_queue) > 0,
               moved_with_something_queued);
  cmt__loop_catch_up(l->loop, migration->left_ns);
  l->state = CMT__LINK_OPEN;
  err = link_attach(l);
  if (err != CMT_OK) {
    l->eof = true;
    l->write_err = err;
    l->error = l->loop->error;
    cmt__link_stop_conn(l, err);
  }
  if (migration->end_due) {
    link_end_at_home(l);
  } else {
    cmt__loop_defer(l->loop, &l->task);
    cmt__link_drain(l);
  }
  cmt__link_leave(l);
}

cmt_err cmt__link_move(cmt__link *l, cmt__loop *to) {
  cmt__link_migration *migration =
    cmt__alloc_zero(&l->loop->env, sizeof *migration);

  CMT_ASSERT(&l->loop->env, l->send_queue != NULL && l->migration == NULL);
  if (migration == NULL) {
    return CMT_ENOMEM;
  }
  migration->link = l;
  migration->home = l->loop;
  migration->to = to;
  migration->away = true;
  migration->arrival.cb = on_arrival;
  l->migration = migration;
  cmt__loop_defer(l->loop, &l->task);
  return CMT_OK;
}
