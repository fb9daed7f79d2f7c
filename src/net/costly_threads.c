/* SPDX-License-Identifier: Apache-2.0 */

/* Threads for costly calls.  One is started when a call comes and all that are
   there have one, up to the most that there may be; each takes the first call
   of the queue.  The threads of libuv are not used: they are the application's
   too, and a handshake would wait for what that does there. */

#include "costly_threads.h"

#include "sys/lock.h"
#include "sys/thread.h"

struct cmt__costly_threads {
  cmt_env env;
  pthread_mutex_t lock;
  pthread_cond_t cond;
  unsigned max, count;
  /* Under the lock: */
  unsigned idle;
  size_t queued;
  cmt__costly *first, *last;
  bool closing;
  pthread_t threads[];
};

cmt__costly_threads *cmt__costly_threads_new(const cmt_env *env, unsigned max) {
  cmt__costly_threads *t =
    cmt__alloc_zero(env, sizeof *t + max * sizeof *t->threads);

  if (t == NULL) {
    return NULL;
  }
  t->env = *env;
  t->max = max;
  if (pthread_mutex_init(&t->lock, NULL) != 0) {
    cmt__free(env, t);
    return NULL;
  }
  if (pthread_cond_init(&t->cond, NULL) != 0) {
    pthread_mutex_destroy(&t->lock);
    cmt__free(env, t);
    return NULL;
  }
  return t;
}

/* The next call; NULL: there are none, and none will come. */
static cmt__costly *take(cmt__costly_threads *t) {
  cmt__costly *c;

  cmt__lock(&t->lock);
  while (t->first == NULL && !t->closing) {
    t->idle++;
    pthread_cond_wait(&t->cond, &t->lock);
    t->idle--;
  }
  c = t->first;
  if (c != NULL) {
    t->first = c->next;
    c->next = NULL;
    t->queued--;
  }
  cmt__unlock(&t->lock);
  return c;
}

static void *thread_run(void *arg) {
  cmt__costly_threads *t = arg;
  cmt__costly *c;

  while ((c = take(t)) != NULL) {
    c->run(c);
    cmt__costly_return(c);
  }
  return NULL;
}

/* One more thread when all that are there have a call. */
static void grow(cmt__costly_threads *t) {
  bool all_busy;

  cmt__lock(&t->lock);
  all_busy = t->idle <= t->queued;
  cmt__unlock(&t->lock);
  if (all_busy && t->count < t->max &&
      cmt__thread_try(&t->threads[t->count], thread_run, t) == 0) {
    t->count++;
  }
}

bool cmt__costly_threads_add(cmt__costly_threads *t, cmt__costly *c) {
  bool wakes;

  grow(t);
  if (t->count == 0) {
    return false;
  }
  c->next = NULL;
  cmt__lock(&t->lock);
  if (t->first == NULL) {
    t->first = c;
  } else {
    t->last->next = c;
  }
  t->last = c;
  t->queued++;
  wakes = t->idle >= t->queued; /* The others were woken before. */
  cmt__unlock(&t->lock);
  if (wakes) {
    pthread_cond_signal(&t->cond);
  }
  return true;
}

void cmt__costly_threads_delete(cmt__costly_threads *t) {
  cmt_env env;

  if (t == NULL) {
    return;
  }
  cmt__lock(&t->lock);
  t->closing = true;
  cmt__unlock(&t->lock);
  pthread_cond_broadcast(&t->cond);
  for (unsigned i = 0; i < t->count; i++) {
    pthread_join(t->threads[i], NULL);
  }
  CMT_ASSERT(&t->env, t->first == NULL);
  env = t->env;
  pthread_cond_destroy(&t->cond);
  pthread_mutex_destroy(&t->lock);
  cmt__free(&env, t);
}
