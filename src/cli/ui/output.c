/* SPDX-License-Identifier: Apache-2.0 */
/* What waits is a list of parts of at most PART_MAX bytes, each with the peer
   that caused it, so that memory follows what waits and every written part is
   subtracted from its peer's account.  The thread takes over the list whole and
   gathers parts for one write; only the thread waits for the reader, and
   callers of cli_output_wait(). */

#include "output.h"

#include "backlog.h"
#include "cli.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
  OUTPUT_STATUS_SIZE = 256,
  PART_MAX = 16 << 10,
  WRITE_MAX = 64 << 10, /* Gathered for one write. */
};

#define GATHER_NS CMT_MILLISECONDS(CLI_OUTPUT_GATHER_MS)

typedef struct part {
  struct part *next;
  cmt_peer *peer; /* NULL: no peer caused it.  The backlog has a reference. */
  size_t len, cap;
  char data[];
} part;

typedef struct part_list {
  part *first, *last;
} part_list;

struct cli_output {
  int fd;
  bool terminal;
  const cli_waiter *wait;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t more, room;
  pthread_cond_t early; /* Lines are not to be gathered any longer. */
  part_list pending;
  cmt_peer *adding; /* Whose line is being added. */
  cli_backlog backlog;
  char status[OUTPUT_STATUS_SIZE];
  bool status_changed;
  bool closing, busy, hurried;
  bool awaited; /* Somebody saw that lines wait, and looks again once woken. */
  int fault;    /* The errno that broke the stream, or 0. */
};

/* The parts that the thread writes. */
typedef struct output_work {
  part *parts;
  char status[OUTPUT_STATUS_SIZE];
  bool begun;        /* The status that was shown is gone. */
  bool status_shown; /* Not under the lock, so apart from what is. */
  char text[WRITE_MAX];
} output_work;

/* Under the lock: whether the reader should not wait for more lines. */
static bool output_hastes(const cli_output *o) {
  return o->terminal || o->closing || o->hurried || o->awaited ||
         o->status_changed || o->backlog.held > CLI_OUTPUT_MARK / 2;
}

/* Under the lock.  A line after a pause is written at once, and those that come
   soon after it together: a seed has a line for each visit, and to wake a
   thread for each would take longer than the line. */
static void output_gather(cli_output *o, uint64_t until_ns) {
  const struct timespec until = {.tv_sec = (time_t)(until_ns / CMT_SECONDS(1)),
                                 .tv_nsec = (long)(until_ns % CMT_SECONDS(1))};
  int error = 0;

  while (!output_hastes(o) && error == 0) {
    error = pthread_cond_timedwait(&o->early, &o->lock, &until);
  }
}

/* Under the lock. */
static void output_haste(cli_output *o) {
  if (output_hastes(o)) {
    pthread_cond_signal(&o->early);
  }
}

/* Takes over what there is to write.  False: the end. */
static bool output_take(cli_output *o, output_work *w) {
  uint64_t until_ns = cli_now_ns() + GATHER_NS;
  bool more;

  pthread_mutex_lock(&o->lock);
  o->busy = false;
  if (o->awaited && o->pending.first == NULL && !o->status_changed) {
    o->awaited = false;
    cli_waiter_wake(o->wait);
  }
  while (o->pending.first == NULL && !o->status_changed && !o->closing) {
    pthread_cond_wait(&o->more, &o->lock);
  }
  output_gather(o, until_ns);
  more = o->pending.first != NULL || o->status_changed;
  w->parts = o->pending.first;
  w->begun = false;
  o->pending = (part_list){0};
  memcpy(w->status, o->status, sizeof w->status);
  o->status_changed = false;
  o->busy = more;
  pthread_mutex_unlock(&o->lock);
  return more;
}

static void output_put(cli_output *o, const char *text, size_t len) {
  int fault;

  if (o->fault != 0 || cli_write_all(o->fd, text, len)) {
    return;
  }
  fault = errno;
  pthread_mutex_lock(&o->lock);
  o->fault = fault;
  pthread_cond_broadcast(&o->room);
  pthread_mutex_unlock(&o->lock);
  cli_waiter_wake(o->wait);
}

/* Subtracts the parts before |end| from the accounts, and frees them. */
static void output_finish(cli_output *o, part *from, const part *end) {
  pthread_mutex_lock(&o->lock);
  while (from != end) {
    part *next = from->next;

    cli_backlog_sub(&o->backlog, from->len, from->peer);
    free(from);
    from = next;
  }
  if (o->backlog.held <= CLI_OUTPUT_MARK) {
    pthread_cond_broadcast(&o->room);
  }
  pthread_mutex_unlock(&o->lock);
}

/* Writes as many parts as one write may have. */
static void output_write_some(cli_output *o, output_work *w) {
  part *from = w->parts, *p = from;
  size_t len = 0;

  while (p != NULL && p->len <= sizeof w->text - len) {
    memcpy(w->text + len, p->data, p->len);
    len += p->len;
    p = p->next;
  }
  output_put(o, w->text, len);
  w->parts = p;
  output_finish(o, from, p);
}

static void output_write(cli_output *o, output_work *w) {
  if (w->status_shown) {
    output_put(o, "\r\033[K", 4);
  }
  while (w->parts != NULL) {
    output_write_some(o, w);
  }
  output_put(o, w->status, strlen(w->status));
  w->status_shown = w->status[0] != '\0';
}

static void *output_run(void *arg) {
  cli_output *o = arg;
  output_work *w = cli_alloc(1, sizeof *w);

  while (output_take(o, w)) {
    output_write(o, w);
  }
  free(w);
  return NULL;
}

cli_output *cli_output_new(int fd, const cli_waiter *wait) {
  cli_output *o = cli_alloc(1, sizeof *o);
  pthread_condattr_t monotonic;

  o->fd = fd;
  o->terminal = isatty(fd) == 1;
  o->wait = wait;
  o->backlog.mark = CLI_OUTPUT_MARK;
  o->backlog.floor = CLI_OUTPUT_FLOOR;
  pthread_mutex_init(&o->lock, NULL);
  pthread_cond_init(&o->more, NULL);
  pthread_cond_init(&o->room, NULL);
  pthread_condattr_init(&monotonic);
  pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
  pthread_cond_init(&o->early, &monotonic);
  pthread_condattr_destroy(&monotonic);
  if (pthread_create(&o->thread, NULL, output_run, o) != 0) {
    free(o);
    return NULL;
  }
  return o;
}

/* The part that has room for more of the line being added; |len| bytes are to
   come.  The first part of a peer has no room to spare, and each one behind it
   at most as much as all before. */
static part *output_part(cli_output *o, size_t len) {
  part *last = o->pending.last;
  size_t cap = len;
  part *p;

  if (last != NULL && last->peer == o->adding) {
    if (last->len < last->cap) {
      return last;
    }
    cap = len < 2 * last->cap ? 2 * last->cap : len;
  }
  cap = cap < PART_MAX ? cap : PART_MAX;
  p = cli_alloc(1, sizeof *p + cap);
  p->peer = o->adding;
  p->cap = cap;
  if (last == NULL) {
    o->pending.first = p;
  } else {
    last->next = p;
  }
  o->pending.last = p;
  return p;
}

void cli_output_begin(cli_output *o, cmt_peer *p) {
  pthread_mutex_lock(&o->lock);
  o->adding = p;
}

void cli_output_piece(cli_output *o, const char *text, size_t len) {
  if (o->fault != 0) {
    return;
  }
  while (len > 0) {
    part *p = output_part(o, len);
    size_t n = len < p->cap - p->len ? len : p->cap - p->len;

    memcpy(p->data + p->len, text, n);
    p->len += n;
    cli_backlog_add(&o->backlog, n, o->adding);
    text += n;
    len -= n;
  }
}

void cli_output_end(cli_output *o) {
  cli_output_piece(o, "\n", 1);
  o->adding = NULL;
  pthread_cond_signal(&o->more);
  output_haste(o);
  pthread_mutex_unlock(&o->lock);
}

void cli_output_line(cli_output *o, const char *text, size_t len, cmt_peer *p) {
  cli_output_begin(o, p);
  cli_output_piece(o, text, len);
  cli_output_end(o);
}

void cli_output_leave(cli_output *o, const cmt_peer *p) {
  pthread_mutex_lock(&o->lock);
  cli_backlog_leave(&o->backlog, p);
  pthread_mutex_unlock(&o->lock);
}

bool cli_output_extra(cli_output *o, const char *text, size_t len) {
  bool room;

  pthread_mutex_lock(&o->lock);
  room = o->backlog.nobody <= CLI_OUTPUT_FULL;
  o->awaited = o->awaited || !room;
  if (room) {
    cli_output_piece(o, text, len);
    cli_output_piece(o, "\n", 1);
    pthread_cond_signal(&o->more);
  }
  output_haste(o);
  pthread_mutex_unlock(&o->lock);
  return room;
}

bool cli_output_is_full(cli_output *o) {
  bool full;

  pthread_mutex_lock(&o->lock);
  full = o->backlog.nobody > CLI_OUTPUT_FULL;
  pthread_mutex_unlock(&o->lock);
  return full;
}

bool cli_output_is_slow(cli_output *o) {
  return cli_output_waiting(o) > CLI_OUTPUT_MARK;
}

void cli_output_wait(cli_output *o) {
  pthread_mutex_lock(&o->lock);
  while (o->backlog.held > CLI_OUTPUT_MARK && o->fault == 0 && !o->hurried) {
    pthread_cond_wait(&o->room, &o->lock);
  }
  pthread_mutex_unlock(&o->lock);
}

void cli_output_hurry(cli_output *o) {
  pthread_mutex_lock(&o->lock);
  o->hurried = true;
  output_haste(o);
  pthread_cond_broadcast(&o->room);
  pthread_mutex_unlock(&o->lock);
}

size_t cli_output_waiting(cli_output *o) {
  size_t held;

  pthread_mutex_lock(&o->lock);
  held = o->backlog.held;
  o->awaited = o->awaited || held > CLI_OUTPUT_MARK;
  output_haste(o);
  pthread_mutex_unlock(&o->lock);
  return held;
}

void cli_output_status(cli_output *o, const char *line) {
  size_t len = strlen(line);

  pthread_mutex_lock(&o->lock);
  if (len < sizeof o->status && strcmp(o->status, line) != 0) {
    memcpy(o->status, line, len + 1);
    o->status_changed = true;
    pthread_cond_signal(&o->more);
    output_haste(o);
  }
  pthread_mutex_unlock(&o->lock);
}

bool cli_output_is_broken(cli_output *o) { return cli_output_fault(o) != 0; }

int cli_output_fault(cli_output *o) {
  int fault;

  pthread_mutex_lock(&o->lock);
  fault = o->fault;
  pthread_mutex_unlock(&o->lock);
  return fault;
}

bool cli_output_is_terminal(const cli_output *o) { return o->terminal; }

bool cli_output_is_drained(cli_output *o) {
  bool drained;

  pthread_mutex_lock(&o->lock);
  drained = !o->busy && o->pending.first == NULL && !o->status_changed;
  o->awaited = o->awaited || !drained;
  output_haste(o);
  pthread_mutex_unlock(&o->lock);
  return drained;
}

bool cli_output_has_room(const cli_output *o) {
  struct pollfd polled = {.fd = o->fd, .events = POLLOUT};

  return poll(&polled, 1, 0) == 1 && (polled.revents & POLLOUT) != 0;
}

void cli_output_delete(cli_output *o) {
  pthread_mutex_lock(&o->lock);
  o->closing = true;
  pthread_cond_signal(&o->more);
  output_haste(o);
  pthread_mutex_unlock(&o->lock);
  pthread_join(o->thread, NULL);
  cli_backlog_fini(&o->backlog);
  pthread_cond_destroy(&o->more);
  pthread_cond_destroy(&o->room);
  pthread_cond_destroy(&o->early);
  pthread_mutex_destroy(&o->lock);
  free(o);
}
