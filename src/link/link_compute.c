/* SPDX-License-Identifier: Apache-2.0 */

/* The public-key operations of a link in its handshake.  Each is a costly call
   of the loop, which may run it elsewhere.  A link that ends meanwhile is
   closed at once, but its memory stays until the call has returned. */

#include "link_impl.h"

#include "base/mark.h"
#include "core/secret/secret_conn.h"

typedef struct cmt__link_op {
  cmt__costly costly;
  cmt__link *link;
  cmt__computation computation;
} link_op;

static link_op *op_of(cmt__costly *c) {
  return (link_op *)((char *)c - offsetof(link_op, costly));
}

static void on_run(cmt__costly *c) {
  cmt__computation_run(&op_of(c)->computation);
}

static void on_done(cmt__costly *c) {
  link_op *op = op_of(c);
  cmt__link *l = op->link;

  cmt__link_enter(l);
  l->computes = false;
  l->options->compute.end(l->conn, &op->computation);
  if (l->conn == NULL) {
    CMT__MARK(ended_while_computed_elsewhere);
    cmt__link_op_free(l);
  } else {
    cmt__loop_defer(l->loop, &l->task);
    cmt__link_drain(l);
  }
  cmt__link_leave(l);
}

cmt_err cmt__link_op_new(cmt__link *l, cmt_why *why) {
  l->op = cmt__alloc_zero(&l->loop->env, sizeof *l->op);
  if (l->op == NULL) {
    return cmt__why_plain(why, CMT_ENOMEM, CMT_STAGE_TRANSPORT);
  }
  l->op->link = l;
  l->op->costly = (cmt__costly){.run = on_run, .done = on_done};
  return CMT_OK;
}

size_t cmt__link_op_memory(void) { return sizeof(link_op); }

void cmt__link_op_free(cmt__link *l) {
  cmt__free(&l->loop->env, l->op);
  l->view = (cmt__send_queue_view){0};
}

void cmt__link_compute(cmt__link *l) {
  if (l->state == CMT__LINK_OPEN && !l->computes &&
      cmt_conn_wants_compute(l->conn)) {
    l->computes = true;
    l->options->compute.begin(l->conn, &l->op->computation);
    cmt__loop_defer_costly(l->loop, &l->op->costly);
  }
}

void cmt__link_conn_delete(cmt__link *l) {
  cmt_conn_delete(l->conn);
  l->conn = NULL;
  if (l->computes && cmt__loop_cancel_costly(l->loop, &l->op->costly)) {
    l->computes = false;
    l->options->compute.end(NULL, &l->op->computation);
  }
  if (!l->known && !l->computes) {
    cmt__link_op_free(l);
  }
}
