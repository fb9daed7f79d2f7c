/* SPDX-License-Identifier: Apache-2.0 */

/* What the parts of a switch report.  In the log our own dials are few and
   spaced, so that each that fails has its line.  Strangers decide how often
   they are refused, so their lines have a limit, and the log counts those over
   it. */

#include "state.h"

#include "base/sized.h"

enum { STRANGERS_A_SECOND = 50 };

/* ---- ids that pass every cap ---- */

bool cmt__switch_is_unconditional(cmt_switch *s, const cmt_node_id *id) {
  size_t i = 0, count;

  if (atomic_load(&s->setup.unconditional_count) == 0) {
    return false;
  }
  cmt__lock(&s->lock);
  count = atomic_load(&s->setup.unconditional_count);
  while (i < count && !cmt_node_id_equal(&s->setup.unconditional[i], id)) {
    i++;
  }
  cmt__unlock(&s->lock);
  return i < count;
}

/* ---- counters ---- */

void cmt__switch_count(cmt_switch *s, uint64_t *counter) {
  cmt__lock(&s->lock);
  *counter += 1;
  cmt__unlock(&s->lock);
}

void cmt__switch_exceeds(cmt_switch *s, uint64_t *counter) {
  s->exceeded = counter;
}

/* A reason of the application's own is in no table. */
static void count_reason(uint64_t table[CMT__ERR_COUNT], cmt_err err) {
  size_t i = cmt__err_index(err);

  if (i < CMT__ERR_COUNT) {
    table[i]++;
  }
}

void cmt__switch_removed(cmt_switch *s, cmt_err err) {
  cmt__lock(&s->lock);
  s->status.removed++;
  count_reason(s->removed_by, err);
  cmt__unlock(&s->lock);
}

void cmt__switch_handshakes(cmt_switch *s, int change) {
  s->handshakes += (size_t)change;
  cmt__lock(&s->lock);
  s->status.handshakes = s->handshakes;
  cmt__unlock(&s->lock);
}

size_t cmt_switch_reasons_sized(cmt_switch *s, cmt_reason_counts *out,
                                size_t cap, size_t size) {
  uint8_t *to = (uint8_t *)out;
  size_t count = 0;

  cap = out != NULL ? cap : 0;
  cmt__lock(&s->lock);
  for (size_t i = 0; i < CMT__ERR_COUNT; i++) {
    cmt_reason_counts full = {
      .reason = cmt__err_at(i),
      .rejected = s->rejected_by[i],
      .removed = s->removed_by[i],
    };

    if (full.rejected + full.removed > 0) {
      if (count < cap) {
        cmt__sized_write(to + count * size, size, &full, sizeof full);
      }
      count++;
    }
  }
  cmt__unlock(&s->lock);
  return count;
}

/* ---- rejections ---- */

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

static void log_rejection(cmt_switch *s, const cmt_rejection *r) {
  if (s->env.log == NULL) {
    return;
  }
  if (r->outbound) {
    log_dial(s, r);
  } else {
    log_accept(s, r);
  }
}

void cmt__switch_reject(cmt_switch *s, cmt_rejection *r) {
  const cmt_switch_options *o = &s->setup.options;

  r->size = sizeof *r;
  cmt__lock(&s->lock);
  s->status.rejected++;
  count_reason(s->rejected_by, r->why.err);
  if (s->exceeded != NULL) {
    *s->exceeded += 1;
  }
  cmt__unlock(&s->lock);
  s->exceeded = NULL;
  log_rejection(s, r);
  if (o->on_rejected != NULL) {
    cmt__callback_begin(&s->threads[0].delivery.callbacks, "on_rejected", -1);
    o->on_rejected(o->arg, r);
    cmt__callback_end(&s->threads[0].delivery.callbacks);
  } else {
    cmt__events_reject(&s->events, r);
  }
}

void cmt__switch_wake(cmt_switch *s) {
  if (s->started && !s->over && !s->posted) {
    s->posted = true;
    cmt__loop_post(s->loop, &s->post);
  }
}

void cmt__switch_look(cmt_switch *s) {
  if (s->closing) {
    cmt__loop_defer(s->loop, &s->task);
  }
}
