/* SPDX-License-Identifier: Apache-2.0 */

/* Filters.  A connection that waits for an answer is not read: before its
   handshake nothing was read at all, and after it the link is suspended, as on
   standby.  filter_peer is asked once, before a newcomer is put on standby
   beside a peer with its id. */

#include "session_filter.h"

#include "base/mark.h"

/* ---- asking ---- */

static void on_deadline(cmt__timer *t);

static void set_timer(cmt__session *s, uint64_t at_ns) {
  s->question->timer.cb = on_deadline;
  cmt__loop_timer(s->sw->loop, &s->question->timer, at_ns);
}

static cmt_err question_new(cmt__session *s) {
  s->question = cmt__alloc_zero(&s->sw->env, sizeof *s->question);
  if (s->question == NULL) {
    return CMT_ENOMEM;
  }
  s->question->owner = s;
  return CMT_OK;
}

static cmt_err refused(const char *filter, cmt_stage stage, cmt_why *why) {
  return cmt__why(why, CMT_EFILTER, stage, "%s refused it", filter);
}

static cmt_err ask(cmt__session *s, const char *name, cmt_filter filter,
                   cmt_newcomer *who) {
  cmt_switch *sw = s->sw;
  const cmt_switch_options *o = &sw->setup.options;
  cmt__callback_timer *timer = &sw->threads[0].delivery.callbacks;
  cmt_admission request = {.sw = sw};
  char remote[CMT_NET_ADDR_TEXT_SIZE];
  cmt_verdict verdict;

  if (question_new(s) != CMT_OK) {
    return CMT_ENOMEM;
  }
  request.number = cmt__question_open(&sw->questions, s->question);
  who->size = sizeof *who;
  who->remote = cmt__remote_text(&s->remote, remote, sizeof remote);
  who->outbound = s->outbound;
  cmt__callback_begin(timer, name, -1);
  verdict = filter(o->filter_arg, who, &request);
  cmt__callback_end(timer);
  if (verdict == CMT_LATER) {
    set_timer(s, cmt__after(cmt__loop_now(sw->loop), o->filter_timeout_ns));
    return CMT_EAGAIN;
  }
  cmt__filter_end(s);
  return verdict == CMT_ADMIT ? CMT_OK : CMT_EFILTER;
}

/* Fills in the reason |why| of an error. */
static cmt_err explained(cmt_err err, const char *filter, cmt_stage stage,
                         cmt_why *why) {
  if (err == CMT_EFILTER) {
    return refused(filter, stage, why);
  }
  return err == CMT_ENOMEM ? cmt__why_plain(why, err, stage) : err;
}

cmt_err cmt__filter_address(cmt__session *s, cmt_why *why) {
  cmt_filter filter = s->sw->setup.options.filter_addr;
  cmt_newcomer who = {.id = NULL};
  cmt_err err = filter != NULL ? ask(s, "filter_addr", filter, &who) : CMT_OK;

  return explained(err, "filter_addr", CMT_STAGE_TRANSPORT, why);
}

cmt_err cmt__filter_peer(cmt__session *s, const cmt_conn_event *ev,
                         cmt_why *why) {
  cmt_filter filter = s->sw->setup.options.filter_peer;
  cmt_newcomer who = {.id = ev->id, .node_info = ev->node_info};
  cmt_err err = CMT_OK;

  if (filter != NULL && !s->filtered) {
    err = ask(s, "filter_peer", filter, &who);
    s->filtered = err == CMT_OK;
  }
  if (err == CMT_EAGAIN && cmt__link_suspend(&s->link) != CMT_OK) {
    cmt__filter_end(s);
    err = CMT_ENOMEM;
  }
  return explained(err, "filter_peer", CMT_STAGE_FILTER, why);
}

void cmt__filter_end(cmt__session *s) {
  if (s->question != NULL) {
    cmt__question_close(&s->sw->questions, s->question);
    set_timer(s, CMT_NEVER);
    cmt__free(&s->sw->env, s->question);
    s->question = NULL;
  }
}

/* ---- what comes of it ---- */

static bool is_of_address(const cmt__session *s) {
  return s->link.state == CMT__LINK_CONNECTING;
}

static void go_on(cmt__session *s) {
  if (is_of_address(s)) {
    cmt__session_start(s, NULL, NULL);
  } else {
    s->filtered = true;
    cmt__link_release(&s->link);
  }
}

/* |why| has its text; the other side of a finished handshake is to have our
   node info. */
static void give_up(cmt__session *s, cmt_why *why) {
  const cmt_node_id *id = cmt__link_id(&s->link);

  if (is_of_address(s)) {
    cmt__session_end(s, why);
  } else {
    cmt__session_refuse(s, why, id);
  }
}

static const char *filter_of(const cmt__session *s) {
  return is_of_address(s) ? "filter_addr" : "filter_peer";
}

static cmt_stage stage_of(const cmt__session *s) {
  return is_of_address(s) ? CMT_STAGE_TRANSPORT : CMT_STAGE_FILTER;
}

/* An answer that came before counts. */
static void on_deadline(cmt__timer *t) {
  cmt__question *q =
    (cmt__question *)((char *)t - offsetof(cmt__question, timer));
  cmt__session *s = q->owner;
  uint64_t timeout_ns = s->sw->setup.options.filter_timeout_ns;
  cmt_why why;

  if (cmt__question_expire(&s->sw->questions, q)) {
    CMT__MARK(filter_timeout);
    cmt__why(&why, CMT_EFILTER, stage_of(s), "%s gave no answer within %llu ms",
             filter_of(s),
             (unsigned long long)(timeout_ns / CMT_MILLISECONDS(1)));
    give_up(s, &why);
  }
}

void cmt__filter_answers(cmt_switch *sw) {
  cmt__question *q;
  cmt_why why;

  while ((q = cmt__questions_take(&sw->questions)) != NULL) {
    cmt__session *s = q->owner;
    cmt_verdict verdict = q->verdict;

    CMT__MARK(filter_answered_later);
    cmt__filter_end(s);
    if (verdict == CMT_ADMIT) {
      go_on(s);
    } else {
      (void)refused(filter_of(s), stage_of(s), &why);
      give_up(s, &why);
    }
  }
}

cmt_err cmt_admission_answer(const cmt_admission *request,
                             cmt_verdict verdict) {
  cmt_switch *sw = request != NULL ? request->sw : NULL;

  if (sw == NULL || (verdict != CMT_ADMIT && verdict != CMT_REFUSE)) {
    return CMT_EINVAL;
  }
  if (!cmt__question_answer(&sw->questions, request->number, verdict)) {
    return CMT_ECLOSED;
  }
  cmt__lock(&sw->lock);
  cmt__switch_wake(sw);
  cmt__unlock(&sw->lock);
  return CMT_OK;
}
