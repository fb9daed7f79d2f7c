/* SPDX-License-Identifier: Apache-2.0 */
/* Lines are numbered from 1, and at most LINES_UNANSWERED of them are under
   way: |begin_ns| has a place for each.  Receipts come in the order of the
   lines; one that does not is ignored. */

#include "liner.h"

#include "cli/ui/events.h"
#include "rtt.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { LINES_UNANSWERED = 4096, READ_SIZE = 65536 };

struct cli_liner {
  cli_liner_options o;
  size_t text_max;
  int stop_fd;
  cmt_peer *peer;
  pthread_t thread;
  bool started;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  uint64_t sent, answered;
  uint64_t begin_ns[LINES_UNANSWERED];
  cli_rtt rtt;
  size_t failures;
  bool ended, stopped;
};

/* The line being gathered; the thread's.  |skip|: it is too long, and the rest
   of it is not kept. */
typedef struct partial {
  char *text;
  size_t len, cap;
  bool skip;
} partial;

/* There can be as many errors as lines, so this waits for the reader. */
static void liner_error(cli_liner *l, cmt_err err, const char *text) {
  cli_output_wait(l->o.io->out);
  cli_output_wait(l->o.io->err);
  cli_report_error(l->o.io,
                   &(cli_failure){
                     .id = cmt_peer_id(l->peer)->text,
                     .err = err,
                     .text = text,
                   },
                   l->peer);
  pthread_mutex_lock(&l->lock);
  l->failures++;
  pthread_mutex_unlock(&l->lock);
}

/* Allocates a number and a place for the next line; 0: stopped. */
static uint64_t next_seq(cli_liner *l) {
  uint64_t seq = 0;

  pthread_mutex_lock(&l->lock);
  while (!l->stopped && l->sent - l->answered == LINES_UNANSWERED) {
    pthread_cond_wait(&l->changed, &l->lock);
  }
  if (!l->stopped) {
    seq = ++l->sent;
    l->begin_ns[seq % LINES_UNANSWERED] = cli_now_ns();
  }
  pthread_mutex_unlock(&l->lock);
  return seq;
}

/* False: the peer is gone or we are stopped. */
static bool send_line(cli_liner *l, cmt_bytes text) {
  uint64_t seq = next_seq(l);
  cmt_buf *msg;

  if (seq == 0) {
    return false;
  }
  msg = cli_line_encode(l->o.env, &(cli_line_message){
                                    .type = CLI_LINE_TEXT,
                                    .seq = seq,
                                    .text = text,
                                  });
  if (msg == NULL ||
      cmt_peer_send(l->peer, l->o.channel->id, msg, CMT_NEVER) != CMT_OK) {
    cmt_buf_unref(msg);
    return false;
  }
  return true;
}

static void too_long(cli_liner *l) {
  char text[128];

  snprintf(text, sizeof text,
           "a line is too long for channel 0x%02x: at most %zu bytes",
           l->o.channel->id, l->text_max);
  liner_error(l, CMT_ETOOBIG, text);
}

static void partial_add(cli_liner *l, partial *p, const char *data,
                        size_t len) {
  if (p->skip) {
    return;
  }
  if (len > l->text_max - p->len) {
    p->skip = true;
    too_long(l);
    return;
  }
  if (len > p->cap - p->len) {
    p->cap = p->len + len + READ_SIZE;
    p->text = cli_realloc(p->text, p->cap);
  }
  memcpy(p->text + p->len, data, len);
  p->len += len;
}

/* The end of a line. */
static bool partial_send(cli_liner *l, partial *p) {
  bool going =
    p->skip || send_line(l, (cmt_bytes){(const uint8_t *)p->text, p->len});

  p->len = 0;
  p->skip = false;
  return going;
}

static bool take_text(cli_liner *l, partial *p, const char *data, size_t len) {
  while (len > 0) {
    const char *end = memchr(data, '\n', len);
    size_t part = end == NULL ? len : (size_t)(end - data);

    partial_add(l, p, data, part);
    if (end == NULL) {
      return true;
    }
    if (!partial_send(l, p)) {
      return false;
    }
    data += part + 1;
    len -= part + 1;
  }
  return true;
}

/* What can be read now, once there is something; 0: the end, or stopped. */
static size_t liner_read(cli_liner *l, char *out, size_t cap) {
  struct pollfd polled[2] = {{.fd = l->stop_fd, .events = POLLIN},
                             {.fd = l->o.fd, .events = POLLIN}};
  ssize_t n;

  do {
    if (poll(polled, 2, -1) < 0 && errno != EINTR) {
      return 0;
    }
    if (polled[0].revents != 0) {
      return 0;
    }
    n = polled[1].revents == 0 ? -1 : read(l->o.fd, out, cap);
  } while (n < 0 &&
           (polled[1].revents == 0 || errno == EINTR || errno == EAGAIN));
  if (n < 0) {
    char text[128];

    snprintf(text, sizeof text, "cannot read lines: %s", strerror(errno));
    liner_error(l, CMT_EIO, text);
    return 0;
  }
  return (size_t)n;
}

static void *liner_run(void *arg) {
  cli_liner *l = arg;
  partial line = {0};
  char *data = cli_alloc(READ_SIZE, 1);
  bool going = true;
  size_t len;

  while (going && (len = liner_read(l, data, READ_SIZE)) > 0) {
    going = take_text(l, &line, data, len);
  }
  if (going && line.len > 0) {
    (void)partial_send(l, &line);
  }
  free(data);
  free(line.text);
  pthread_mutex_lock(&l->lock);
  l->ended = true;
  pthread_mutex_unlock(&l->lock);
  cli_waiter_wake(&l->o.io->wait);
  return NULL;
}

cli_liner *cli_liner_new(const cli_liner_options *o) {
  cli_liner *l = cli_alloc(1, sizeof *l);

  l->o = *o;
  l->text_max = o->channel->recv_message_max - CLI_LINE_HEADER;
  if (l->text_max > CLI_LINE_MAX) {
    l->text_max = CLI_LINE_MAX;
  }
  l->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  pthread_mutex_init(&l->lock, NULL);
  pthread_cond_init(&l->changed, NULL);
  return l;
}

bool cli_liner_start(cli_liner *l, cmt_peer *p) {
  l->peer = p;
  l->started = pthread_create(&l->thread, NULL, liner_run, l) == 0;
  return l->started;
}

void cli_liner_receipt(cli_liner *l, uint64_t seq, cmt_peer *p) {
  uint64_t rtt_ns = 0;
  bool expected, last;

  pthread_mutex_lock(&l->lock);
  expected = seq == l->answered + 1 && seq <= l->sent;
  if (expected) {
    l->answered = seq;
    rtt_ns = cli_now_ns() - l->begin_ns[seq % LINES_UNANSWERED];
    cli_rtt_add(&l->rtt, rtt_ns);
    pthread_cond_signal(&l->changed);
  }
  last = l->ended && l->answered == l->sent;
  pthread_mutex_unlock(&l->lock);
  if (expected) {
    cli_event_receipt(l->o.io, seq, (double)rtt_ns / 1e6, p);
  }
  if (last) {
    cli_waiter_wake(&l->o.io->wait);
  }
}

void cli_liner_stop(cli_liner *l) {
  uint64_t one = 1;

  pthread_mutex_lock(&l->lock);
  l->stopped = true;
  pthread_cond_signal(&l->changed);
  pthread_mutex_unlock(&l->lock);
  if (write(l->stop_fd, &one, sizeof one) != sizeof one) {
    return; /* It was stopped before. */
  }
}

void cli_liner_get_status(cli_liner *l, cli_liner_status *out) {
  pthread_mutex_lock(&l->lock);
  *out = (cli_liner_status){
    .sent = l->sent,
    .answered = l->answered,
    .last_ns = l->rtt.last_ns,
    .p50_ns = cli_rtt_percentile(&l->rtt, 50),
    .p99_ns = cli_rtt_percentile(&l->rtt, 99),
    .failures = l->failures,
    .finished = l->ended && !l->stopped && l->answered == l->sent,
  };
  pthread_mutex_unlock(&l->lock);
}

void cli_liner_join(cli_liner *l) {
  if (l != NULL && l->started) {
    pthread_join(l->thread, NULL);
    l->started = false;
  }
}

void cli_liner_delete(cli_liner *l) {
  if (l == NULL) {
    return;
  }
  if (l->o.fd > STDERR_FILENO) {
    close(l->o.fd);
  }
  close(l->stop_fd);
  pthread_cond_destroy(&l->changed);
  pthread_mutex_destroy(&l->lock);
  free(l);
}
