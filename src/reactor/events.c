/* SPDX-License-Identifier: Apache-2.0 */

/* Events of a switch. */

#include "events.h"

#include "link/send_queue_req.h"

#include <stdio.h>

enum { ACCEPTED, DIALED }; /* The places in |waiting|. */

struct cmt__report {
  cmt__report *next;
  cmt_mailbox_event_kind kind;
  int origin;
  uint64_t dial; /* The number of the dial; 0: it is a rejection. */
  void *arg;
  cmt_rejection rejection;
  cmt_dial_outcome outcome;
  cmt_node_id id;
  char remote[CMT_NET_ADDR_TEXT_SIZE], dialed[CMT_NET_ADDR_TEXT_SIZE];
};

static const size_t waiting_max[] = {CMT_EVENTS_ACCEPTED_MAX,
                                     CMT_EVENTS_DIALED_MAX};

static cmt__events *of_reports(cmt__event_source *s) {
  return (cmt__events *)(void *)((char *)s - offsetof(cmt__events, reports));
}

static cmt__events *of_sents(cmt__event_source *s) {
  return (cmt__events *)(void *)((char *)s - offsetof(cmt__events, sents));
}

static cmt_peer *peer_of(cmt__send_queue *g) {
  return (cmt_peer *)(void *)((char *)g - offsetof(cmt_peer, send_queue));
}

/* ---- rejections and outcomes ---- */

static void report_take(cmt__event_source *s, cmt_mailbox_event *out) {
  cmt__events *e = of_reports(s);
  cmt__report *r = e->first;

  e->first = r->next;
  e->last = e->first != NULL ? e->last : NULL;
  out->kind = r->kind;
  out->internal = r;
  out->arg = r->arg;
  if (r->kind == CMT_EVENT_REJECTED) {
    out->rejection = &r->rejection;
    out->reason = r->rejection.why.err;
  } else {
    out->outcome = &r->outcome;
    out->reason = r->outcome.why.err;
  }
}

static void report_done(cmt__event_source *s, cmt_mailbox_event *ev) {
  cmt__events *e = of_reports(s);
  cmt__report *r = ev->internal;

  cmt__lock(&e->mailbox->lock);
  e->waiting[r->origin]--;
  cmt__unlock(&e->mailbox->lock);
  cmt__free(e->env, r);
}

/* NULL: there is no room. */
static cmt__report *report_new(cmt__events *e, int origin) {
  cmt__report *r = NULL;
  bool room;

  cmt__lock(&e->mailbox->lock);
  room = !e->mailbox->given_up && e->waiting[origin] < waiting_max[origin];
  e->waiting[origin] += room;
  cmt__unlock(&e->mailbox->lock);
  if (room) {
    r = cmt__alloc_zero(e->env, sizeof *r);
  }
  if (r == NULL) {
    cmt__lock(&e->mailbox->lock);
    e->waiting[origin] -= room;
    e->lost++;
    cmt__unlock(&e->mailbox->lock);
    return NULL;
  }
  r->origin = origin;
  return r;
}

static void report_put(cmt__events *e, cmt__report *r) {
  bool dropped;

  cmt__lock(&e->mailbox->lock);
  dropped = e->mailbox->given_up;
  if (dropped) {
    e->waiting[r->origin]--;
  } else {
    if (e->last != NULL) {
      e->last->next = r;
    } else {
      e->first = r;
    }
    e->last = r;
    cmt__mailbox_offer(e->mailbox, &e->reports);
  }
  cmt__unlock(&e->mailbox->lock);
  if (dropped) {
    cmt__free(e->env, r);
  }
}

static void copy_id(cmt__report *r, const cmt_node_id **id) {
  if (*id != NULL) {
    r->id = **id;
    *id = &r->id;
  }
}

static void copy_text(char out[CMT_NET_ADDR_TEXT_SIZE], const char **text) {
  if (*text != NULL) {
    snprintf(out, CMT_NET_ADDR_TEXT_SIZE, "%s", *text);
    *text = out;
  }
}

void cmt__events_reject(cmt__events *e, const cmt_rejection *rejection) {
  cmt__report *r;

  if (e->mailbox == NULL) {
    return;
  }
  r = report_new(e, rejection->outbound ? DIALED : ACCEPTED);
  if (r != NULL) {
    r->kind = CMT_EVENT_REJECTED;
    r->rejection = *rejection;
    copy_id(r, &r->rejection.id);
    copy_text(r->remote, &r->rejection.remote);
    copy_text(r->dialed, &r->rejection.dialed);
    report_put(e, r);
  }
}

void cmt__events_outcome(cmt__events *e, uint64_t dial, void *arg,
                         const cmt_dial_outcome *o) {
  cmt__report *r;

  if (e->mailbox == NULL) {
    return;
  }
  r = report_new(e, DIALED);
  if (r != NULL) {
    r->kind = CMT_EVENT_OUTCOME;
    r->dial = dial;
    r->arg = arg;
    r->outcome = *o;
    r->outcome.node_info = NULL;
    copy_id(r, &r->outcome.id);
    copy_text(r->remote, &r->outcome.remote);
    report_put(e, r);
  }
}

/* Moves the reports of |dial| to the list that is returned. */
static cmt__report *reports_of(cmt__events *e, uint64_t dial) {
  cmt__report *gone = NULL, *next, *r = e->first;

  e->first = NULL;
  e->last = NULL;
  for (; r != NULL; r = next) {
    next = r->next;
    r->next = NULL;
    if (r->dial == dial) {
      r->next = gone;
      gone = r;
      e->waiting[r->origin]--;
      cmt__mailbox_withdraw(e->mailbox, &e->reports);
    } else if (e->last != NULL) {
      e->last->next = r;
      e->last = r;
    } else {
      e->first = r;
      e->last = r;
    }
  }
  return gone;
}

void cmt__events_forget(cmt__events *e, uint64_t dial) {
  cmt__report *gone;

  if (e->mailbox == NULL) {
    return;
  }
  cmt__lock(&e->mailbox->lock);
  gone = reports_of(e, dial);
  cmt__unlock(&e->mailbox->lock);
  while (gone != NULL) {
    cmt__report *next = gone->next;

    cmt__free(e->env, gone);
    gone = next;
  }
}

/* ---- sends ---- */

/* From here on the request is the application's. */
static void sent_take(cmt__event_source *s, cmt_mailbox_event *out) {
  cmt__events *e = of_sents(s);
  cmt_send_req *req = e->sent_first;
  const cmt__send_queue_wait *w = cmt__send_queue_wait_of(req);
  const char *queue = (const char *)w->send_queue;

  e->sent_first = w->next;
  e->sent_last = e->sent_first != NULL ? e->sent_last : NULL;
  out->kind = CMT_EVENT_SENT;
  out->peer =
    (cmt_peer *)(uintptr_t)(const void *)(queue -
                                          offsetof(cmt_peer, send_queue));
  out->reason = (cmt_err)w->status;
  out->msg = out->reason != CMT_OK ? req->msg : NULL;
  out->arg = req->arg;
  req->msg = NULL;
  cmt__send_queue_release(req);
}

static void peer_done(cmt__event_source *s, cmt_mailbox_event *ev) {
  (void)s;
  cmt_peer_unref(ev->peer);
}

/* Under the lock: offers the event that |s| has got.  A mailbox that was given
   up drops it at once, as |dropped|, whose references are given back without
   the lock. */
static void offer(const cmt__events *e, cmt__event_source *s,
                  cmt_mailbox_event *dropped) {
  *dropped = (cmt_mailbox_event){.peer = NULL};
  if (e->mailbox->given_up) {
    s->take(s, dropped);
  } else {
    cmt__mailbox_offer(e->mailbox, s);
  }
}

static void sent_put(void *arg, cmt__send_queue *g, cmt_send_req *req) {
  cmt__events *e = arg;
  cmt_mailbox_event dropped;

  cmt_peer_ref(peer_of(g));
  cmt__send_queue_wait_of(req)->next = NULL;
  cmt__lock(&e->mailbox->lock);
  if (e->sent_last != NULL) {
    cmt__send_queue_wait_of(e->sent_last)->next = req;
  } else {
    e->sent_first = req;
  }
  e->sent_last = req;
  offer(e, &e->sents, &dropped);
  cmt__unlock(&e->mailbox->lock);
  cmt_buf_unref(dropped.msg);
  cmt_peer_unref(dropped.peer);
}

/* ---- posts to peers ---- */

static cmt__events *of_posts(cmt__event_source *s) {
  return (cmt__events *)(void *)((char *)s - offsetof(cmt__events, posts));
}

/* From here on the post is the application's. */
static void post_take(cmt__event_source *s, cmt_mailbox_event *out) {
  cmt__events *e = of_posts(s);
  cmt_post *p = e->post_first;
  cmt__send_queue *g = p->internal.owner;

  e->post_first = p->internal.next;
  e->post_last = e->post_first != NULL ? e->post_last : NULL;
  out->kind = CMT_EVENT_POST;
  out->peer = peer_of(g);
  out->reason = (cmt_err)p->internal.numbers[0];
  out->arg = p->arg;
  cmt__send_queue_release_post(g, p);
}

static void post_put(void *arg, cmt__send_queue *g, cmt_post *p,
                     cmt_err status) {
  cmt__events *e = arg;
  cmt_mailbox_event dropped;

  cmt_peer_ref(peer_of(g));
  p->internal.numbers[0] = (uint64_t)status;
  p->internal.next = NULL;
  cmt__lock(&e->mailbox->lock);
  if (e->post_last != NULL) {
    e->post_last->internal.next = p;
  } else {
    e->post_first = p;
  }
  e->post_last = p;
  offer(e, &e->posts, &dropped);
  cmt__unlock(&e->mailbox->lock);
  cmt_peer_unref(dropped.peer);
}

void cmt__events_attach(cmt__events *e, cmt_peer *p) {
  if (e->mailbox != NULL) {
    p->send_queue.sink = &e->sink;
  }
}

/* ---- its life ---- */

void cmt__events_init(cmt__events *e, const cmt_env *env, cmt_mailbox *m) {
  *e = (cmt__events){
    .env = env,
    .mailbox = m,
    .sink = {.answer = sent_put, .post = post_put, .arg = e},
  };
  if (m == NULL) {
    return;
  }
  e->reports.take = report_take;
  e->reports.done = report_done;
  e->sents.take = sent_take;
  e->sents.done = peer_done;
  e->posts.take = post_take;
  e->posts.done = peer_done;
  cmt__mailbox_add_source(m, &e->reports);
  cmt__mailbox_add_source(m, &e->sents);
  cmt__mailbox_add_source(m, &e->posts);
}

uint64_t cmt__events_memory(const cmt__events *e) {
  return e->mailbox != NULL ? (waiting_max[ACCEPTED] + waiting_max[DIALED]) *
                                (uint64_t)sizeof(cmt__report)
                            : 0;
}

uint64_t cmt__events_lost(const cmt__events *e) {
  uint64_t lost;

  if (e->mailbox == NULL) {
    return 0;
  }
  cmt__lock(&e->mailbox->lock);
  lost = e->lost;
  cmt__unlock(&e->mailbox->lock);
  return lost;
}
