/* SPDX-License-Identifier: Apache-2.0 */

/* Names on threads of our own.

   Design notes.  getaddrinfo() cannot be interrupted, and takes 20 s and more
   for a name whose servers are silent.  So each lookup has a thread, which is
   started when it is needed, and ends when nothing waits.  A name has one
   lookup at a time for all its questions, so that a name whose servers are
   silent occupies one thread.

   A lookup whose last question was cancelled is slow, and so is its name until
   a later lookup of it answers in time.  Lookups that are slow do not count
   against the others: of these CMT__LOOKUPS_FAST are under way whatever the
   slow ones do, up to CMT__LOOKUPS_MAX in all, and a name that is known to be
   slow waits when there are CMT__LOOKUPS_SLOW.  What waits is in a queue, in
   the order of the questions, of which there are no more than dials.

   The end waits for no lookup.  The resolver is reference counted: the loop has
   one reference and each thread has one.  Memory that a thread may have to free
   after the loop is gone belongs to no environment, since that may be gone with
   its application; it comes from malloc(), as the system's own list of
   addresses does.

   Only |queue|, |done|, the counts and |loop| are shared with the threads,
   under the lock.  The questions, the list of lookups and the names belong to
   the loop alone. */

#include "resolver.h"

#include "sys/thread.h"

#include "sys/lock.h"

#include <errno.h>
#include <netdb.h>
#include <strings.h>
#include <sys/socket.h>

typedef enum lookup_state { QUEUED, RUNNING, DONE } lookup_state;

struct cmt__lookup {
  cmt__resolver *resolver;
  cmt__lookup *next; /* In |lookups|. */
  cmt__lookup *link; /* In |queue| or |done|. */
  cmt__question *questions;
  uint64_t name; /* Its hash. */
  /* Under the lock: */
  lookup_state state;
  bool slow;
  int error;
  struct addrinfo *list;
  char host[256];
};

typedef struct fifo {
  cmt__lookup *first, *last;
} fifo;

struct cmt__resolver {
  pthread_mutex_t lock;
  cmt__post post; /* Signals that |done| has a lookup. */
  cmt__task task; /* A lookup has become slow, so that others may begin. */
  cmt__lookup *lookups;
  uint64_t slow_names[CMT__SLOW_NAMES]; /* Hashes; a wake-up. */
  size_t slow_next;
  /* Under the lock: */
  cmt__loop *loop; /* NULL: closed. */
  unsigned refs, running, running_slow;
  fifo queue, done;
};

/* ---- lists ---- */

static void fifo_add(fifo *f, cmt__lookup *k) {
  k->link = NULL;
  if (f->first == NULL) {
    f->first = k;
  } else {
    f->last->link = k;
  }
  f->last = k;
}

static void fifo_remove(fifo *f, cmt__lookup *k) {
  cmt__lookup **at = &f->first, *before = NULL;

  while (*at != k) {
    before = *at;
    at = &before->link;
  }
  *at = k->link;
  if (f->last == k) {
    f->last = before;
  }
}

static void lookups_remove(cmt__resolver *r, cmt__lookup *k) {
  cmt__lookup **at = &r->lookups;

  while (*at != k) {
    at = &(*at)->next;
  }
  *at = k->next;
}

static void lookup_free(cmt__lookup *k) {
  if (k->list != NULL) {
    freeaddrinfo(k->list);
  }
  cmt__free(NULL, k);
}

/* ---- names that are slow ---- */

static uint64_t name_hash(const char *host) {
  uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a. */

  for (; *host != '\0'; host++) {
    char c = *host >= 'A' && *host <= 'Z' ? (char)(*host - 'A' + 'a') : *host;

    hash = (hash ^ (uint8_t)c) * UINT64_C(1099511628211);
  }
  return hash != 0 ? hash : 1; /* 0 is an empty place. */
}

/* The place of |name|; NULL: it is not slow. */
static uint64_t *slow_find(cmt__resolver *r, uint64_t name) {
  for (size_t i = 0; i < CMT__SLOW_NAMES; i++) {
    if (r->slow_names[i] == name) {
      return &r->slow_names[i];
    }
  }
  return NULL;
}

static void slow_note(cmt__resolver *r, uint64_t name, bool slow) {
  uint64_t *at = slow_find(r, name);

  if (slow && at == NULL) {
    r->slow_names[r->slow_next++ % CMT__SLOW_NAMES] = name;
  } else if (!slow && at != NULL) {
    *at = 0;
  }
}

/* ---- threads ---- */

/* Under the lock: whether one more such lookup may begin. */
static bool may_begin(const cmt__resolver *r, bool slow) {
  return r->running < CMT__LOOKUPS_MAX &&
         (slow ? r->running_slow < CMT__LOOKUPS_SLOW
               : r->running - r->running_slow < CMT__LOOKUPS_FAST);
}

/* Under the lock: removes the first lookup that may begin from the queue. */
static cmt__lookup *queue_take(cmt__resolver *r) {
  cmt__lookup *k = r->queue.first;

  while (k != NULL && !may_begin(r, k->slow)) {
    k = k->link;
  }
  if (k != NULL) {
    fifo_remove(&r->queue, k);
    k->state = RUNNING;
    r->running++;
    r->running_slow += k->slow;
  }
  return k;
}

static void resolver_unref(cmt__resolver *r) {
  unsigned refs;

  cmt__lock(&r->lock);
  refs = --r->refs;
  cmt__unlock(&r->lock);
  if (refs == 0) {
    pthread_mutex_destroy(&r->lock);
    cmt__free(NULL, r);
  }
}

/* The lookup has its answer; what the thread does next, or NULL.  The post is
   under the lock, for the loop is there as long as |loop| is. */
static cmt__lookup *lookup_end(cmt__resolver *r, cmt__lookup *k, int error,
                               struct addrinfo *list) {
  cmt__lookup *next;
  bool closed;

  cmt__lock(&r->lock);
  k->error = error;
  k->list = list;
  k->state = DONE;
  r->running--;
  r->running_slow -= k->slow;
  closed = r->loop == NULL;
  if (!closed) {
    fifo_add(&r->done, k);
    cmt__loop_post(r->loop, &r->post);
  }
  next = queue_take(r);
  cmt__unlock(&r->lock);
  if (closed) {
    lookup_free(k);
  }
  return next;
}

static void *thread_run(void *arg) {
  static const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                        .ai_socktype = SOCK_STREAM};
  cmt__lookup *k = arg;
  cmt__resolver *r = k->resolver;

  while (k != NULL) {
    struct addrinfo *list = NULL;
    int error = getaddrinfo(k->host, NULL, &hints, &list);

    k = lookup_end(r, k, error, error == 0 ? list : NULL);
  }
  resolver_unref(r);
  return NULL;
}

/* Starts a thread for the running |k|, which has a reference then.  0, or an
   errno. */
static int thread_start(cmt__resolver *r, cmt__lookup *k) {
  pthread_t thread;
  int error;

  cmt__lock(&r->lock);
  r->refs++;
  cmt__unlock(&r->lock);
  error = cmt__thread_try(&thread, thread_run, k);
  if (error == 0) {
    pthread_detach(thread);
    return 0;
  }
  cmt__lock(&r->lock);
  r->refs--;
  r->running--;
  r->running_slow -= k->slow;
  fifo_add(&r->queue, k);
  k->state = QUEUED;
  cmt__unlock(&r->lock);
  return error;
}

/* Starts what may begin.  0, or the errno of the thread that could not be
   started; a thread that finishes a lookup continues with the queue. */
static int queue_start(cmt__resolver *r) {
  int error = 0;

  while (error == 0) {
    cmt__lookup *k;

    cmt__lock(&r->lock);
    k = queue_take(r);
    cmt__unlock(&r->lock);
    if (k == NULL) {
      break;
    }
    error = thread_start(r, k);
  }
  return error;
}

/* ---- answers ---- */

static void answer(cmt__resolver *r, cmt__lookup *k) {
  lookups_remove(r, k);
  if (k->questions != NULL) {
    slow_note(r, k->name, false);
  }
  while (k->questions != NULL) {
    cmt__question *q = k->questions;

    k->questions = q->next;
    q->lookup = NULL;
    q->cb(q, k->error, k->list);
  }
  lookup_free(k);
}

/* A callback may ask again, but must not close the resolver, which happens only
   at the end of the loop. */
static void on_post(cmt__post *post) {
  cmt__resolver *r =
    (cmt__resolver *)((char *)post - offsetof(cmt__resolver, post));

  for (;;) {
    cmt__lookup *k;

    cmt__lock(&r->lock);
    k = r->done.first;
    if (k != NULL) {
      fifo_remove(&r->done, k);
    }
    cmt__unlock(&r->lock);
    if (k == NULL) {
      return;
    }
    answer(r, k);
  }
}

/* Runs at the end of the iteration, since questions are often cancelled
   together: a lookup that waits begins only if it still has a question. */
static void on_iteration(cmt__task *task) {
  (void)queue_start(
    (cmt__resolver *)((char *)task - offsetof(cmt__resolver, task)));
}

/* ---- for the loop ---- */

cmt__resolver *cmt__resolver_new(cmt__loop *l) {
  cmt__resolver *r = cmt__alloc_zero(NULL, sizeof *r);

  if (r == NULL) {
    return NULL;
  }
  if (pthread_mutex_init(&r->lock, NULL) != 0) {
    cmt__free(NULL, r);
    return NULL;
  }
  r->post.cb = on_post;
  r->task.cb = on_iteration;
  r->loop = l;
  r->refs = 1;
  return r;
}

void cmt__resolver_close(cmt__resolver *r) {
  fifo done;

  if (r == NULL) {
    return;
  }
  cmt__loop_defer_cancel(r->loop, &r->task);
  cmt__lock(&r->lock);
  CMT_ASSERT(&r->loop->env, r->queue.first == NULL);
  r->loop = NULL;
  done = r->done;
  r->done = (fifo){.first = NULL};
  cmt__unlock(&r->lock);
  while (done.first != NULL) {
    cmt__lookup *k = done.first;

    fifo_remove(&done, k);
    lookup_free(k);
  }
  resolver_unref(r);
}

static cmt__lookup *lookup_find(const cmt__resolver *r, const char *host) {
  cmt__lookup *k = r->lookups;

  while (k != NULL && strcasecmp(k->host, host) != 0) {
    k = k->next;
  }
  return k;
}

static cmt__lookup *lookup_new(cmt__resolver *r, const char *host) {
  cmt__lookup *k = cmt__alloc_zero(NULL, sizeof *k);

  if (k == NULL) {
    return NULL;
  }
  k->resolver = r;
  k->name = name_hash(host);
  k->slow = slow_find(r, k->name) != NULL;
  memcpy(k->host, host, strlen(host) + 1);
  k->next = r->lookups;
  r->lookups = k;
  cmt__lock(&r->lock);
  fifo_add(&r->queue, k);
  cmt__unlock(&r->lock);
  return k;
}

static void question_remove(cmt__question *q) {
  cmt__question **at = &q->lookup->questions;

  while (*at != q) {
    at = &(*at)->next;
  }
  *at = q->next;
  q->lookup = NULL;
}

/* |k| has no question any more.  A lookup that has begun goes on, as a slow
   one. */
static void lookup_leave(cmt__resolver *r, cmt__lookup *k) {
  lookup_state state;

  cmt__lock(&r->lock);
  state = k->state;
  if (state == QUEUED) {
    fifo_remove(&r->queue, k);
  } else if (state == RUNNING && !k->slow) {
    k->slow = true;
    r->running_slow++;
  }
  cmt__unlock(&r->lock);
  if (state == QUEUED) {
    lookups_remove(r, k);
    lookup_free(k);
  } else if (state == RUNNING) {
    slow_note(r, k->name, true);
    cmt__loop_defer(r->loop, &r->task);
  }
}

cmt_err cmt__resolver_ask(cmt__resolver *r, const char *host,
                          cmt__question *q) {
  cmt__lookup *k = lookup_find(r, host);
  bool stuck;
  int error = 0;

  CMT_ASSERT(&r->loop->env, strlen(host) < sizeof k->host);
  if (k == NULL) {
    k = lookup_new(r, host);
    if (k == NULL) {
      return CMT_ENOMEM;
    }
    error = queue_start(r);
  }
  q->lookup = k;
  q->next = k->questions;
  k->questions = q;
  if (error == 0) {
    return CMT_OK;
  }
  cmt__lock(&r->lock);
  stuck = r->running == 0 && k->state == QUEUED;
  cmt__unlock(&r->lock);
  if (stuck) { /* No thread will ever start it. */
    cmt__resolver_leave(r, q);
    errno = error;
    return CMT_EIO;
  }
  return CMT_OK;
}

void cmt__resolver_leave(cmt__resolver *r, cmt__question *q) {
  cmt__lookup *k = q->lookup;

  question_remove(q);
  if (k->questions == NULL) {
    lookup_leave(r, k);
  }
}
