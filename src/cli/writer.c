/* SPDX-License-Identifier: Apache-2.0 */
/* One queue for all peers.  A session's receivers are touched by this thread
   alone, and its job CLI_JOB_GONE is the last of that session. */

#include "writer.h"

#include "backlog.h"
#include "events.h"
#include "node.h"
#include "receiver.h"

#include <pthread.h>
#include <stdlib.h>

enum { WRITER_MARK = 8 << 20, JOB_COST = 64 };

typedef struct job {
  struct job *next;
  cli_job what;
  cli_session *session;
  uint8_t channel;
  cmt_buf *msg;
} job;

/* The place of a receiver's hooks. */
typedef struct seat {
  cli_session *session;
  uint8_t channel;
} seat;

struct cli_writer {
  pthread_t thread;
  pthread_mutex_t lock;
  pthread_cond_t more;
  job *first, **end;
  cli_backlog backlog;
  bool closing, hurry;
};

static void hook_reply(void *arg, const cli_file_message *m) {
  const seat *at = arg;
  cmt_buf *msg = cli_file_encode(&at->session->node->env, m);

  if (msg == NULL) {
    cmt_peer_stop(at->session->peer, CMT_ENOMEM, 0);
    return;
  }
  cli_session_answer(at->session, at->channel, msg);
}

static cli_file_event file_event(const seat *at, const cli_incoming *f) {
  double seconds = (double)(cli_now_ns() - f->begin_ns) / 1e9;
  double rate = seconds > 0 ? (double)f->received / seconds : 0;

  return (cli_file_event){
    .id = at->session->id,
    .file = f->name,
    .done = f->received,
    .size = f->size,
    .rate = rate,
    .eta_s = rate > 0 ? (double)(f->size - f->received) / rate : -1,
    .seconds = seconds,
  };
}

/* At most ten a second for each file. */
static void hook_progress(void *arg, const cli_incoming *f) {
  const seat *at = arg;
  cli_node *n = at->session->node;
  uint64_t *last_ns = &at->session->progress_ns[n->index[at->channel]];
  uint64_t now_ns = cli_now_ns();
  cli_file_event event;

  if (!n->io->json || now_ns - *last_ns < CMT_MILLISECONDS(100)) {
    return;
  }
  *last_ns = now_ns;
  event = file_event(at, f);
  cli_event_progress(n->io, &event);
}

static void hook_done(void *arg, const cli_incoming *f) {
  const seat *at = arg;
  cli_file_event event = file_event(at, f);
  char hash[CLI_HASH_TEXT];

  cli_hash_text(f->hash, hash);
  event.hash = hash;
  cli_event_done(at->session->node->io, &event);
}

static void hook_failed(void *arg, const cli_incoming *f, cmt_err err,
                        const char *text) {
  const seat *at = arg;

  cli_event_error(at->session->node->io, &(cli_failure){
                                           .id = at->session->id,
                                           .file = f->name,
                                           .err = err,
                                           .text = text,
                                         });
}

static cli_receiver *session_receiver(cli_session *s, seat *at) {
  cli_receiver **place = &s->receivers[s->node->index[at->channel]];
  cli_receiver_hooks hooks = {
    .arg = at,
    .reply = hook_reply,
    .progress = hook_progress,
    .done = hook_done,
    .failed = hook_failed,
  };

  if (*place == NULL) {
    *place = cli_receiver_new(s->node->dir_fd, &hooks);
  } else {
    cli_receiver_set_hooks(*place, &hooks);
  }
  return *place;
}

static void do_file(const job *j) {
  seat at = {.session = j->session, .channel = j->channel};
  cli_receiver *r = session_receiver(j->session, &at);
  cli_file_message m;

  if (!cli_file_decode(cmt_buf_bytes(j->msg), &m) ||
      cli_receiver_feed(r, &m, cli_now_ns()) != CMT_OK) {
    cmt_peer_stop(j->session->peer, CMT_EPROTO, 0);
  }
}

static void do_echo(const job *j) {
  cmt_bytes bytes = cmt_buf_bytes(j->msg);
  uint8_t hash[CLI_HASH_SIZE] = {0};
  char text[CLI_HASH_TEXT];

  if (j->session->node->io->json) {
    crypto_hash_sha256(hash, bytes.len == 0 ? hash : bytes.base, bytes.len);
  }
  cli_hash_text(hash, text);
  cli_event_message(j->session->node->io,
                    &(cli_message_event){
                      .id = j->session->id,
                      .channel = j->channel,
                      .size = bytes.len,
                      .hash = text,
                    },
                    j->session->peer);
}

static void do_gone(const job *j) {
  const cli_options *o = j->session->node->options;
  cmt_why why;

  cmt_peer_get_why(j->session->peer, &why);
  for (size_t i = 0; i < o->channel_count; i++) {
    seat at = {.session = j->session, .channel = o->channels[i].id};

    if (j->session->receivers[i] != NULL) {
      cli_receiver_delete(session_receiver(j->session, &at), why.err, why.text);
      j->session->receivers[i] = NULL;
    }
  }
}

static void job_run(const job *j, bool hurry) {
  switch (j->what) {
  case CLI_JOB_FILE:
    if (!hurry) {
      do_file(j);
    }
    break;
  case CLI_JOB_ECHO:
    do_echo(j);
    break;
  case CLI_JOB_GONE:
    do_gone(j);
    break;
  }
}

static size_t job_cost(const job *j) {
  return JOB_COST + (j->msg == NULL ? 0 : cmt_buf_bytes(j->msg).len);
}

/* Waits for the next job; NULL: the end. */
static job *writer_take(cli_writer *w, bool *hurry) {
  job *j;

  pthread_mutex_lock(&w->lock);
  while (w->first == NULL && !w->closing) {
    pthread_cond_wait(&w->more, &w->lock);
  }
  j = w->first;
  if (j != NULL) {
    w->first = j->next;
    if (w->first == NULL) {
      w->end = &w->first;
    }
  }
  *hurry = w->hurry;
  pthread_mutex_unlock(&w->lock);
  return j;
}

static void *writer_run(void *arg) {
  cli_writer *w = arg;
  bool hurry;

  for (job *j; (j = writer_take(w, &hurry)) != NULL;) {
    size_t cost = job_cost(j);

    job_run(j, hurry);
    pthread_mutex_lock(&w->lock);
    cli_backlog_sub(&w->backlog, cost);
    pthread_mutex_unlock(&w->lock);
    cmt_buf_unref(j->msg);
    cli_session_unref(j->session);
    free(j);
  }
  return NULL;
}

cli_writer *cli_writer_new(void) {
  cli_writer *w = cli_alloc(1, sizeof *w);

  w->end = &w->first;
  w->backlog.mark = WRITER_MARK;
  pthread_mutex_init(&w->lock, NULL);
  pthread_cond_init(&w->more, NULL);
  if (pthread_create(&w->thread, NULL, writer_run, w) != 0) {
    free(w);
    return NULL;
  }
  return w;
}

void cli_writer_put(cli_writer *w, cli_job what, cli_session *s,
                    uint8_t channel, cmt_buf *msg) {
  job *j = cli_alloc(1, sizeof *j);

  j->what = what;
  j->session = cli_session_ref(s);
  j->channel = channel;
  j->msg = msg == NULL ? NULL : cmt_buf_ref(msg);
  pthread_mutex_lock(&w->lock);
  *w->end = j;
  w->end = &j->next;
  cli_backlog_add(&w->backlog, job_cost(j), s->peer);
  pthread_cond_signal(&w->more);
  pthread_mutex_unlock(&w->lock);
}

void cli_writer_delete(cli_writer *w, bool hurry) {
  if (w == NULL) {
    return;
  }
  pthread_mutex_lock(&w->lock);
  w->closing = true;
  w->hurry = hurry;
  pthread_cond_signal(&w->more);
  pthread_mutex_unlock(&w->lock);
  pthread_join(w->thread, NULL);
  cli_backlog_fini(&w->backlog);
  pthread_cond_destroy(&w->more);
  pthread_mutex_destroy(&w->lock);
  free(w);
}
