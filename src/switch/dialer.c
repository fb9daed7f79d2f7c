/* SPDX-License-Identifier: Apache-2.0 */

/* The dialer.  A dial makes attempts, each with one outcome; one that is not
   persistent goes with the outcome of its first.  A persistent one makes no
   attempt while a peer with its id exists, whoever dialed that, and none while
   another dial is at work on the same id. */

#include "dialer.h"

#include "base/mark.h"

#include "attempt.h"
#include "limits.h"

static void on_timer(cmt__timer *t);

/* No attempt follows.  One that the application has stays until it is
   cancelled. */
static void dial_end(cmt_dial *d) {
  cmt_switch *sw = d->sw;

  CMT_ASSERT(&sw->env, d->attempt == NULL);
  cmt__reserve_end(&sw->places, &d->reserve, !sw->closing);
  if (d->has_timers) {
    cmt__loop_timer(sw->loop, &d->timer, CMT_NEVER);
    cmt__loop_release_timers(sw->loop, CMT__DIAL_TIMERS);
  }
  cmt__dial_set_state(d, CMT_DIAL_ENDED);
  sw->dial_count--;
  if (!d->owned) {
    cmt__dial_drop(d);
  }
  cmt__switch_look(sw);
}

/* ---- outcomes ---- */

static bool redials(const cmt_dial *d, cmt_err err) {
  return d->options.persistent && d->has_timers && err != CMT_ESELF &&
         !d->sw->closing;
}

/* cmt_dial_cancel() waits for it.  |*handle|: what the application has. */
static bool call_begin(cmt_dial *d, cmt_dial **handle) {
  cmt_switch *sw = d->sw;
  bool calls;

  cmt__lock(&sw->lock);
  calls = (d->options.on_outcome != NULL || sw->events.mailbox != NULL) &&
          !d->cancelled;
  if (calls) {
    *handle = d->owned ? d : NULL;
    sw->calling = d;
    sw->caller = pthread_self();
  }
  cmt__unlock(&sw->lock);
  return calls;
}

static void call_end(cmt_dial *d) {
  cmt_switch *sw = d->sw;

  cmt__lock(&sw->lock);
  sw->calling = NULL;
  pthread_cond_broadcast(&sw->called_cond);
  cmt__unlock(&sw->lock);
}

static void report(cmt_dial *d, const cmt__outcome *o, bool again) {
  cmt__callback_timer *timer = &d->sw->threads[0].delivery.callbacks;
  cmt_dial_outcome outcome = {
    .size = sizeof outcome,
    .id = o->id,
    .node_info = o->node_info,
    .remote = o->remote,
    .attempt = d->attempts,
    .redials = again,
    .why = *o->why,
    .connect_ns = o->connect_ns,
    .secret_ns = o->secret_ns,
    .info_ns = o->info_ns,
  };
  cmt_dial *handle = NULL;

  if (!call_begin(d, &handle)) {
    return;
  }
  if (d->options.on_outcome != NULL) {
    cmt__callback_begin(timer, "on_outcome", -1);
    d->options.on_outcome(d->options.arg, handle, &outcome);
    cmt__callback_end(timer);
  } else {
    cmt__events_outcome(&d->sw->events, d->number, d->options.arg, &outcome);
  }
  call_end(d);
}

static void reject(cmt_dial *d, const cmt__outcome *o, bool again) {
  cmt_rejection r = {
    .remote = o->remote,
    .dialed = d->text,
    .id = o->id,
    .outbound = true,
    .redials = again,
    .why = *o->why,
  };

  cmt__switch_reject(d->sw, &r);
}

static void dial_on_outcome(cmt_dial *d, const cmt__outcome *o) {
  cmt_err err = o->why->err;
  bool again = redials(d, err);

  if (err != CMT_OK) {
    cmt__dial_failed(d, o->why);
  }
  if (err == CMT_OK || (again && cmt__dial_has_peer(d))) {
    cmt__dial_met(d);
  } else if (again) {
    cmt__dial_wait(d);
  }
  if (err != CMT_OK) {
    reject(d, o, again);
  }
  report(d, o, again);
  if (!again) {
    dial_end(d);
  }
}

/* The outcome of an attempt that does not begin. */
static void refuse(cmt_dial *d, const cmt_why *why) {
  dial_on_outcome(d, &(cmt__outcome){.why = why, .remote = d->text});
}

/* ---- attempts ---- */

static void count_attempt(cmt_dial *d) {
  cmt__lock(&d->sw->lock);
  d->attempts++;
  cmt__unlock(&d->sw->lock);
}

static void dial_try(cmt_dial *d) {
  cmt_why why;
  cmt_err err = cmt__limits_dial(d->sw, d, &why);

  if (err == CMT_OK) {
    err = cmt__attempt_begin(d, dial_on_outcome);
    if (err == CMT_OK) {
      return;
    }
    cmt__why_plain(&why, err, CMT_STAGE_TRANSPORT);
  }
  refuse(d, &why);
}

static void on_timer(cmt__timer *t) {
  cmt_dial *d = (cmt_dial *)((char *)t - offsetof(cmt_dial, timer));
  cmt__ban ban;

  d->barred = false;
  if (cmt__dial_has_peer(d)) {
    cmt__dial_met(d);
  } else if (cmt__dial_is_banned(d, &ban)) {
    cmt__dial_bar(d, &ban);
  } else if (cmt__dial_has_rival(d)) {
    cmt__dial_wait(d);
  } else {
    count_attempt(d);
    dial_try(d);
  }
}

/* ---- for the switch ---- */

/* A persistent one waits for the end of a ban. */
static void dial_begin(cmt_dial *d) {
  cmt_why why = {.err = CMT_OK};
  cmt__ban ban;
  bool banned = cmt__dial_is_banned(d, &ban);

  d->timer.cb = on_timer;
  d->has_timers =
    cmt__loop_reserve_timers(d->sw->loop, CMT__DIAL_TIMERS) == CMT_OK;
  if (banned && d->options.persistent && d->has_timers) {
    cmt__dial_bar(d, &ban);
    return;
  }
  count_attempt(d);
  if (!d->has_timers) {
    cmt__why_plain(&why, CMT_ENOMEM, CMT_STAGE_TRANSPORT);
  } else if (banned) {
    cmt__ban_why(&ban, CMT_STAGE_FILTER, &why);
  } else if (cmt__dial_has_peer(d) && !d->options.feeler) {
    cmt__why(&why, CMT_EDUPLICATE, CMT_STAGE_FILTER,
             "a connection with node %s exists", d->addr.id.text);
  } else if (cmt__dial_has_rival(d)) {
    cmt__why(&why, CMT_EDUPLICATE, CMT_STAGE_FILTER,
             "node %s is being dialed already", d->addr.id.text);
  }
  if (why.err != CMT_OK) {
    refuse(d, &why);
  } else {
    dial_try(d);
  }
}

void cmt__dialer_begin(cmt_dial *first) {
  cmt_dial *next;

  for (cmt_dial *d = first; d != NULL; d = next) {
    next = d->begin_next;
    dial_begin(d);
  }
}

void cmt__dialer_cancel(cmt_dial *first) {
  cmt_dial *next;

  for (cmt_dial *d = first; d != NULL; d = next) {
    next = d->cancel_next;
    if (d->attempt != NULL) {
      CMT__MARK(attempt_cancelled);
      cmt__attempt_abandon(d->attempt);
    }
    if (d->state != CMT_DIAL_ENDED) {
      dial_end(d);
    }
    cmt__dial_drop(d);
  }
}

void cmt__dialer_bans_changed(cmt_switch *sw) {
  cmt_dial *next;
  cmt__ban ban;
  cmt_why why;

  for (cmt_dial *d = sw->dials; d != NULL; d = next) {
    next = d->next;
    if (d->barred) {
      cmt__loop_timer(sw->loop, &d->timer, cmt__loop_now(sw->loop));
    } else if (d->attempt != NULL && cmt__dial_is_banned(d, &ban)) {
      cmt__ban_why(&ban, CMT_STAGE_FILTER, &why);
      cmt__attempt_end(d->attempt, &why);
    }
  }
}

void cmt__dialer_stop(cmt_switch *sw) {
  cmt_dial *next;

  for (cmt_dial *d = sw->dials; d != NULL; d = next) {
    next = d->next;
    if (d->attempt != NULL) {
      cmt__attempt_stop(d->attempt);
    } else if (d->state != CMT_DIAL_ENDED) {
      dial_end(d);
    }
  }
}
