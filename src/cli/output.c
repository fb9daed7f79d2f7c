/* SPDX-License-Identifier: Apache-2.0 */
/* Two buffers: callers append to one while the thread writes the other, and
   they are swapped whole.  |backlog| counts both.  Nothing here waits for the
   reader but the thread. */

#include "output.h"

#include "backlog.h"
#include "cli.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
  OUTPUT_MARK = 1 << 20,  /* Peers are paused over it. */
  OUTPUT_FULL = 16 << 20, /* Lines without a peer are counted over it. */
  OUTPUT_STATUS_SIZE = 256,
  OUTPUT_KEEP = 256 << 10, /* A larger empty buffer is given back. */
};

typedef struct text {
  char *base;
  size_t len, cap;
} text;

struct cli_output {
  int fd;
  bool terminal;
  const cli_waiter *wait;
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t more;
  text pending;
  cli_backlog backlog;
  size_t lost;
  char status[OUTPUT_STATUS_SIZE];
  bool status_changed, status_shown; /* The second is the thread's. */
  bool closing, busy;
  int fault; /* The errno that broke the stream, or 0. */
};

static void text_add(text *t, const char *data, size_t len) {
  if (len == 0) {
    return;
  }
  if (len > t->cap - t->len) {
    while (len > t->cap - t->len) {
      t->cap = t->cap == 0 ? 4096 : t->cap * 2;
    }
    t->base = cli_realloc(t->base, t->cap);
  }
  memcpy(t->base + t->len, data, len);
  t->len += len;
}

static void text_clear(text *t) {
  t->len = 0;
  if (t->cap > OUTPUT_KEEP) {
    free(t->base);
    *t = (text){0};
  }
}

/* Takes what there is to write into |out|; |*lines| is how much of it counts
   in the backlog.  False: the end. */
static bool output_take(cli_output *o, text *out, text *status, size_t *lines) {
  pthread_mutex_lock(&o->lock);
  o->busy = false;
  if (o->pending.len == 0 && !o->status_changed) {
    cli_waiter_wake(o->wait);
  }
  while (o->pending.len == 0 && !o->status_changed && !o->closing) {
    pthread_cond_wait(&o->more, &o->lock);
  }
  if (o->pending.len == 0 && !o->status_changed) {
    pthread_mutex_unlock(&o->lock);
    return false;
  }
  text swap = *out;

  *out = o->pending;
  o->pending = swap;
  *lines = out->len;
  status->len = 0;
  text_add(status, o->status, strlen(o->status));
  o->status_changed = false;
  o->busy = true;
  pthread_mutex_unlock(&o->lock);
  return true;
}

static void output_write(cli_output *o, const text *out, const text *status) {
  bool ok = true;

  if (o->fault != 0) {
    return;
  }
  if (o->status_shown) {
    ok = cli_write_all(o->fd, "\r\033[K", 4);
  }
  ok = ok && cli_write_all(o->fd, out->base, out->len);
  ok = ok && cli_write_all(o->fd, status->base, status->len);
  o->status_shown = status->len > 0;
  if (!ok) {
    int fault = errno;

    pthread_mutex_lock(&o->lock);
    o->fault = fault;
    pthread_mutex_unlock(&o->lock);
    cli_waiter_wake(o->wait);
  }
}

static void *output_run(void *arg) {
  cli_output *o = arg;
  text out = {0}, status = {0};
  size_t lines;

  while (output_take(o, &out, &status, &lines)) {
    output_write(o, &out, &status);
    text_clear(&out);
    pthread_mutex_lock(&o->lock);
    cli_backlog_sub(&o->backlog, lines);
    pthread_mutex_unlock(&o->lock);
  }
  free(out.base);
  free(status.base);
  return NULL;
}

cli_output *cli_output_new(int fd, const cli_waiter *wait) {
  cli_output *o = cli_alloc(1, sizeof *o);

  o->fd = fd;
  o->terminal = isatty(fd) == 1;
  o->wait = wait;
  o->backlog.mark = OUTPUT_MARK;
  pthread_mutex_init(&o->lock, NULL);
  pthread_cond_init(&o->more, NULL);
  if (pthread_create(&o->thread, NULL, output_run, o) != 0) {
    free(o);
    return NULL;
  }
  return o;
}

static void output_append(cli_output *o, const char *data, size_t len,
                          cmt_peer *p) {
  if (o->fault != 0) {
    return;
  }
  text_add(&o->pending, data, len);
  text_add(&o->pending, "\n", 1);
  cli_backlog_add(&o->backlog, len + 1, p);
  pthread_cond_signal(&o->more);
}

void cli_output_line(cli_output *o, const char *data, size_t len, cmt_peer *p) {
  pthread_mutex_lock(&o->lock);
  output_append(o, data, len, p);
  pthread_mutex_unlock(&o->lock);
}

bool cli_output_extra(cli_output *o, const char *data, size_t len) {
  bool room;

  pthread_mutex_lock(&o->lock);
  room = o->backlog.held <= OUTPUT_FULL;
  if (room) {
    output_append(o, data, len, NULL);
  } else {
    o->lost++;
  }
  pthread_mutex_unlock(&o->lock);
  return room;
}

bool cli_output_is_full(cli_output *o) {
  bool full;

  pthread_mutex_lock(&o->lock);
  full = o->backlog.held > OUTPUT_FULL;
  pthread_mutex_unlock(&o->lock);
  return full;
}

size_t cli_output_take_lost(cli_output *o) {
  size_t lost = 0;

  pthread_mutex_lock(&o->lock);
  if (o->backlog.held <= OUTPUT_MARK) {
    lost = o->lost;
    o->lost = 0;
  }
  pthread_mutex_unlock(&o->lock);
  return lost;
}

void cli_output_status(cli_output *o, const char *line) {
  size_t len = strlen(line);

  pthread_mutex_lock(&o->lock);
  if (len < sizeof o->status && strcmp(o->status, line) != 0) {
    memcpy(o->status, line, len + 1);
    o->status_changed = true;
    pthread_cond_signal(&o->more);
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
  drained = !o->busy && o->pending.len == 0 && !o->status_changed;
  pthread_mutex_unlock(&o->lock);
  return drained;
}

void cli_output_delete(cli_output *o) {
  pthread_mutex_lock(&o->lock);
  o->closing = true;
  pthread_cond_signal(&o->more);
  pthread_mutex_unlock(&o->lock);
  pthread_join(o->thread, NULL);
  cli_backlog_fini(&o->backlog);
  free(o->pending.base);
  pthread_cond_destroy(&o->more);
  pthread_mutex_destroy(&o->lock);
  free(o);
}
