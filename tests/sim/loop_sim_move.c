/* SPDX-License-Identifier: Apache-2.0 */

/* An end on its way from one loop to another.  From its detachment on nothing
   is done for it; an iteration later its old loop has let go of it, and until
   it is attached no loop has it.  What its connection goes through meanwhile is
   found by the new loop. */

#include "loop_sim_impl.h"

static void on_let_go(cmt__task *task) {
  sim_end *e = (sim_end *)((char *)task - offsetof(sim_end, let_go));
  sim_loop *l = sim_loop_of(e->base.loop);

  sim_end_unlink(l, e);
  sim_other_thread(l->net);
  e->cbs->on_detached(e->arg);
}

static void tcp_detach(cmt__tcp *t) {
  sim_end *e = (sim_end *)t;

  CMT_ASSERT(&t->loop->env, !e->connecting && !e->closed && !e->detached);
  e->detached = true;
  e->let_go.cb = on_let_go;
  cmt__loop_defer(t->loop, &e->let_go);
}

static cmt_err tcp_attach(cmt__tcp *t, cmt__loop *to) {
  sim_end *e = (sim_end *)t;
  sim_loop *l = sim_loop_of(to);
  sim_net *net = l->net;
  sim_conn *c = &e->wire->facts;
  void *entry = cmt__alloc(&to->env, 1);
  cmt_err err = entry == NULL ? CMT_ENOMEM : CMT_OK;

  CMT_ASSERT(&to->env, e->detached && c->loop[e->side] == NULL &&
                         sim_loop_of(t->loop)->host == l->host);
  cmt__free(&to->env, entry);
  e->detached = false;
  sim_end_link(l, e);
  sim_other_thread(net);
  sim_trace(net, "n%u has c%u on loop %zu", l->host, c->id,
            l->place % SIM_LOOPS_MAX);
  if (l->place % SIM_LOOPS_MAX == 0) {
    net->moves.home++;
  } else {
    net->moves.away++;
  }
  if (err == CMT_OK && sim_fault_now(net, SIM_NO_ATTACH)) {
    c->unattached[e->side] = true;
    err = CMT_EIO;
  }
  if (err != CMT_OK) {
    sim_trace(net, "n%u cannot attach c%u", l->host, c->id);
    cmt__tcp_close(t);
    return err;
  }
  sim_loop_stale(l);
  return CMT_OK;
}

void sim_move_ops(cmt__loop_ops *ops) {
  ops->tcp_detach = tcp_detach;
  ops->tcp_attach = tcp_attach;
}
