/* SPDX-License-Identifier: Apache-2.0 */

/* A switch on the caller's libuv loop.  It is the same switch; its loop has no
   thread, closes its handles when the switch has finished, and only then may
   the switch be deleted, so that nothing of it is ever left behind there. */

#include <cometp2p/uv.h>

#include "switch.h"

#include <errno.h>

#include "net/uv/loop_uv.h"

cmt_err cmt_switch_run_on(cmt_switch *s, struct uv_loop_s *loop, cmt_why *why) {
  char text[160];
  cmt_err err = cmt__switch_may_start(s, why);

  if (err == CMT_OK && loop == NULL) {
    err = cmt__why(why, CMT_EINVAL, CMT_STAGE_TRANSPORT, "the loop is NULL");
  }
  if (err == CMT_OK) {
    err = cmt__setup_one_loop(&s->setup.options, why);
  }
  if (err != CMT_OK) {
    return err;
  }
  err = cmt__loop_uv_new_on(&s->env, loop, cmt__thread_set_loop, &s->loop);
  s->threads[0].delivery.loop = s->loop;
  if (err != CMT_OK) {
    s->loop = NULL;
    s->threads[0].delivery.loop = NULL;
    cmt__switch_never_starts(s);
    return cmt__why(why, err, CMT_STAGE_TRANSPORT,
                    "cannot use the given loop: %s",
                    cmt__loop_fault(err, errno, text, sizeof text));
  }
  s->on_caller = true;
  return cmt_switch_start(s, why);
}

/* From here on another thread may delete the switch. */
static void switch_on_closed(void *arg) {
  cmt_switch *s = arg;
  cmt_switch_options o = s->setup.options;

  cmt__lock(&s->lock);
  s->let_go = true;
  cmt__unlock(&s->lock);
  if (o.on_finished != NULL) {
    o.on_finished(o.arg);
  }
}

void cmt__switch_let_go(cmt_switch *s) {
  cmt__loop_uv_close(s->loop, switch_on_closed, s);
}

bool cmt__switch_has_uv_handles(cmt_switch *s) {
  bool has_handles;

  cmt__lock(&s->lock);
  has_handles = s->on_caller && s->started && !s->let_go;
  cmt__unlock(&s->lock);
  return has_handles;
}
