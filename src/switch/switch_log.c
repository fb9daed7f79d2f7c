/* SPDX-License-Identifier: Apache-2.0 */

/* What the log says of dials and accepts that yield no peer.  Our own dials are
   few and spaced, so that each has its line.  Strangers decide how often they
   are refused, so their lines have a limit, and those over it are counted. */

#include "switch.h"

enum { STRANGERS_A_SECOND = 50 };

static void log_dial(cmt_switch *s, const cmt_rejection *r) {
  bool same = strcmp(r->remote, r->dialed) == 0;

  /* A stop of our own is no news. */
  cmt__log(&s->env, r->why.err == CMT_ECANCELED ? CMT_LOG_DEBUG : CMT_LOG_INFO,
           "switch", "dial of %s%s%s failed in stage %s%s%s: %s%s", r->dialed,
           same ? "" : " at ", same ? "" : r->remote,
           cmt_stage_name(r->why.stage), r->id != NULL ? ", node " : "",
           r->id != NULL ? r->id->text : "", r->why.text,
           r->redials ? "; it is dialed again later" : "");
}

static void log_accept(cmt_switch *s, const cmt_rejection *r) {
  uint64_t missed;

  if (!cmt__log_limit_take(&s->strangers, STRANGERS_A_SECOND,
                           cmt__loop_now(s->loop), &missed)) {
    return;
  }
  if (missed > 0) {
    cmt__log(&s->env, CMT_LOG_DEBUG, "switch",
             "%llu more connections from strangers failed and had no line",
             (unsigned long long)missed);
  }
  cmt__log(&s->env, CMT_LOG_DEBUG, "switch",
           "connection from %s failed in stage %s%s%s: %s", r->remote,
           cmt_stage_name(r->why.stage), r->id != NULL ? ", node " : "",
           r->id != NULL ? r->id->text : "", r->why.text);
}

void cmt__switch_log_rejection(cmt_switch *s, const cmt_rejection *r) {
  if (s->env.log == NULL) {
    return;
  }
  if (r->outbound) {
    log_dial(s, r);
  } else {
    log_accept(s, r);
  }
}
