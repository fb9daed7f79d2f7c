/* SPDX-License-Identifier: Apache-2.0 */

/* Questions.  There are no more than handshakes and connections that wait, so a
   list is enough. */

#include "question.h"

cmt_err cmt__questions_init(cmt__questions *qs) {
  *qs = (cmt__questions){.list = NULL};
  return pthread_mutex_init(&qs->lock, NULL) == 0 ? CMT_OK : CMT_ENOMEM;
}

void cmt__questions_fini(cmt__questions *qs) {
  pthread_mutex_destroy(&qs->lock);
}

/* ---- the list; under the lock ---- */

static void put_first(cmt__questions *qs, cmt__question *q) {
  q->prev = NULL;
  q->next = qs->list;
  if (q->next != NULL) {
    q->next->prev = q;
  }
  qs->list = q;
}

/* Adds the question behind the answered ones. */
static void put_open(cmt__questions *qs, cmt__question *q) {
  cmt__question *before = NULL;

  for (cmt__question *o = qs->list; o != NULL && o->verdict != CMT_LATER;
       o = o->next) {
    before = o;
  }
  if (before == NULL) {
    put_first(qs, q);
    return;
  }
  q->prev = before;
  q->next = before->next;
  before->next = q;
  if (q->next != NULL) {
    q->next->prev = q;
  }
}

static void take_out(cmt__questions *qs, cmt__question *q) {
  *(q->prev != NULL ? &q->prev->next : &qs->list) = q->next;
  if (q->next != NULL) {
    q->next->prev = q->prev;
  }
}

static void shut(cmt__questions *qs, cmt__question *q) {
  if (q->number != 0) {
    take_out(qs, q);
    q->number = 0;
  }
}

/* ---- for the loop ---- */

uint64_t cmt__question_open(cmt__questions *qs, cmt__question *q) {
  cmt__lock(&qs->lock);
  q->number = ++qs->count;
  q->verdict = CMT_LATER;
  put_open(qs, q);
  cmt__unlock(&qs->lock);
  return q->number;
}

void cmt__question_close(cmt__questions *qs, cmt__question *q) {
  cmt__lock(&qs->lock);
  shut(qs, q);
  cmt__unlock(&qs->lock);
}

bool cmt__question_expire(cmt__questions *qs, cmt__question *q) {
  bool expired;

  cmt__lock(&qs->lock);
  expired = q->verdict == CMT_LATER;
  if (expired) {
    shut(qs, q);
  }
  cmt__unlock(&qs->lock);
  return expired;
}

cmt__question *cmt__questions_take(cmt__questions *qs) {
  cmt__question *q;

  cmt__lock(&qs->lock);
  q = qs->list;
  if (q != NULL && q->verdict == CMT_LATER) {
    q = NULL;
  }
  if (q != NULL) {
    shut(qs, q);
  }
  cmt__unlock(&qs->lock);
  return q;
}

/* ---- for any thread ---- */

bool cmt__question_answer(cmt__questions *qs, uint64_t number,
                          cmt_verdict verdict) {
  cmt__question *q;
  bool open;

  cmt__lock(&qs->lock);
  q = qs->list;
  while (q != NULL && q->number != number) {
    q = q->next;
  }
  open = q != NULL && q->verdict == CMT_LATER;
  if (open) {
    take_out(qs, q);
    q->verdict = verdict;
    put_first(qs, q);
  }
  cmt__unlock(&qs->lock);
  return open;
}
