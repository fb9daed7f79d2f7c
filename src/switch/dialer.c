/* SPDX-License-Identifier: Apache-2.0 */

/* The dialer.  A dial makes attempts, each with one outcome; one that is not
   persistent goes with the outcome of its first.  A persistent one makes no
   attempt while a peer with its id exists, whoever dialed that, and none while
   another dial is at work on the same id. */

#include "dialer.h"

#include "attempt.h"
#include "limits.h"

enum { TIMERS = 2 }; /* Of the dial and of its attempt. */

static void on_timer(cmt__timer *t);

static void dial_delete(cmt_dial *d) {
  cmt_switch *sw = d->sw;

  CMT_ASSERT(&sw->env, d->attempt == NULL);
  cmt__reserve_end(&sw->places, &d->reserve, !sw->closing);
  cmt__loop_timer(sw->loop, &d->timer, CMT_NEVER);
  cmt__loop_release_timers(sw->loop, TIMERS);
  cmt__dial_unlist(d);
  cmt__dial_free(d);
  cmt__switch_look(sw);
}

/* ---- outcomes ---- */

static bool redials(const cmt_dial *d, cmt_err err) {
  return d->persistent && err != CMT_ESELF && !d->sw->closing;
}

static void dial_on_outcome(cmt_dial *d, const cmt__outcome *o) {
  cmt_err err = o->why->err;
  cmt_rejection r = {
    .remote = o->remote,
    .dialed = d->text,
    .id = o->id,
    .outbound = true,
    .redials = redials(d, err),
    .why = *o->why,
  };

  if (err != CMT_OK) {
    cmt__switch_reject(d->sw, &r);
  }
  if (!redials(d, err)) {
    dial_delete(d);
  } else if (err == CMT_OK || cmt__dial_has_peer(d)) {
    d->state = CMT__DIAL_PEER;
  } else {
    cmt__dial_wait(d);
  }
}

/* The outcome of an attempt that does not begin. */
static void refuse(cmt_dial *d, const cmt_why *why) {
  dial_on_outcome(d, &(cmt__outcome){.why = why, .remote = d->text});
}

/* ---- attempts ---- */

static void dial_try(cmt_dial *d) {
  cmt_why why;
  cmt_err err = cmt__limits_dial(d->sw, d->persistent, &why);

  if (err == CMT_OK) {
    d->state = CMT__DIAL_TRYING;
    err = cmt__attempt_begin(d, dial_on_outcome);
    if (err == CMT_OK) {
      return;
    }
    cmt__why(&why, err, CMT_STAGE_TRANSPORT, "%s", cmt_err_text(err));
  }
  refuse(d, &why);
}

static void on_timer(cmt__timer *t) {
  cmt_dial *d = (cmt_dial *)((char *)t - offsetof(cmt_dial, timer));

  if (cmt__dial_has_peer(d)) {
    d->state = CMT__DIAL_PEER;
  } else if (cmt__dial_has_rival(d)) {
    cmt__dial_wait(d);
  } else {
    dial_try(d);
  }
}

/* ---- for the switch ---- */

/* An address that is dialed for ever already is not kept twice. */
static bool is_known(const cmt_dial *d) {
  for (const cmt_dial *o = d->sw->dials; o != NULL; o = o->next) {
    if (o != d && o->persistent && strcmp(o->text, d->text) == 0) {
      return true;
    }
  }
  return false;
}

/* There is no memory for its timers. */
static void drop(cmt_dial *d) {
  cmt_rejection r = {.remote = d->text, .dialed = d->text, .outbound = true};

  cmt__why(&r.why, CMT_ENOMEM, CMT_STAGE_TRANSPORT, "%s",
           cmt_err_text(CMT_ENOMEM));
  cmt__switch_reject(d->sw, &r);
  cmt__dial_free(d);
}

void cmt__dialer_begin(cmt_dial *d) {
  cmt_why why = {.err = CMT_OK};

  if (cmt__loop_reserve_timers(d->sw->loop, TIMERS) != CMT_OK) {
    drop(d);
    return;
  }
  d->timer.cb = on_timer;
  cmt__dial_list(d);
  if (cmt__dial_has_peer(d)) {
    cmt__why(&why, CMT_EDUPLICATE, CMT_STAGE_FILTER,
             "a connection with node %s exists", d->addr.id.text);
  } else if (cmt__dial_has_rival(d)) {
    cmt__why(&why, CMT_EDUPLICATE, CMT_STAGE_FILTER,
             "node %s is being dialed already", d->addr.id.text);
  }
  d->persistent = d->persistent && !is_known(d);
  if (why.err != CMT_OK) {
    refuse(d, &why);
  } else {
    dial_try(d);
  }
}

void cmt__dialer_stop(cmt_switch *sw) {
  cmt_dial *next;

  for (cmt_dial *d = sw->dials; d != NULL; d = next) {
    next = d->next;
    if (d->attempt != NULL) {
      cmt__attempt_stop(d->attempt);
    } else {
      dial_delete(d);
    }
  }
}
