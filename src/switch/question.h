/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CMT__QUESTION_H
#define CMT__QUESTION_H

/* Questions to a filter of the application that are answered later.  The first
   loop opens and closes them; any thread answers by number.  A number is used
   once, so an answer that comes too late finds nothing. */

#include "net/loop.h"
#include "sys/lock.h"

#include <cometp2p/admission.h>

/* A question, part of whoever waits for the answer; zeroed at first. */
typedef struct cmt__question {
  struct cmt__question *next, *prev;
  uint64_t number;     /* 0: it is not open.  Only loop 0 uses it. */
  cmt_verdict verdict; /* CMT_LATER: there is no answer yet. */
  cmt__timer timer;    /* The deadline, which the owner sets. */
  void *owner;
} cmt__question;

typedef struct cmt__questions {
  pthread_mutex_t lock;
  cmt__question *list; /* Open questions, the answered ones first. */
  uint64_t count;      /* How many were ever opened. */
} cmt__questions;

CMT_NODISCARD cmt_err cmt__questions_init(cmt__questions *qs);
void cmt__questions_fini(cmt__questions *qs); /* None is open. */

/* Returns its number. */
uint64_t cmt__question_open(cmt__questions *qs, cmt__question *q);
/* Removes the question, if it is open. */
void cmt__question_close(cmt__questions *qs, cmt__question *q);
/* Closes it unless there is an answer; false: there is one. */
bool cmt__question_expire(cmt__questions *qs, cmt__question *q);
/* Closes an answered question and returns it; NULL: there is none. */
cmt__question *cmt__questions_take(cmt__questions *qs);
/* From any thread.  False: no question of that number waits for an answer. */
bool cmt__question_answer(cmt__questions *qs, uint64_t number,
                          cmt_verdict verdict);

#endif
