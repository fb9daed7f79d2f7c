/* SPDX-License-Identifier: Apache-2.0 */
/* The thread reads straight into the messages that will be sent, sixteen with
   one call, and hashes them there.  It sends at most the window beyond what
   the receiver has acknowledged, so that progress is real and a receiver with
   a slow disk is not made to pause the whole connection. */

#include "sender.h"

#include "cli/ui/cli.h"
#include "cli/ui/events.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BATCH = 16 };

typedef enum answer {
  ANSWER_NONE,
  ANSWER_ACCEPTED,
  ANSWER_DONE,
  ANSWER_REFUSED,
} answer;

struct cli_sender {
  cli_sender_options o;
  size_t chunk; /* Data of one message. */
  cmt_peer *peer;
  pthread_t thread;
  bool started;
  pthread_mutex_t lock;
  pthread_cond_t changed;
  cli_sender_status status;
  uint32_t id;   /* Names the file under way. */
  uint64_t sent; /* Data handed to the peer. */
  answer answer;
  uint8_t code; /* Why the offer was refused, and its text. */
  char text[4 * CLI_FILE_TEXT_MAX + 1];
  bool stopped;
  cmt_why why;
};

/* One file on its way; the thread's. */
typedef struct upload {
  int fd;
  uint64_t size, left;
  uint64_t offset;
  const char *fault; /* Why reading ended early; NULL: it did not. */
  cmt_err put_err;   /* Why a send failed; CMT_OK: none did. */
  crypto_hash_sha256_state hash;
  uint8_t digest[CLI_HASH_SIZE];
} upload;

const char *cli_file_base(const char *path) {
  const char *slash = strrchr(path, '/');

  return slash == NULL ? path : slash + 1;
}

const char *cli_file_fault(mode_t mode) {
  static const struct {
    mode_t type;
    const char *text;
  } rows[] = {
    {S_IFDIR, "not a regular file but a directory"},
    {S_IFIFO, "not a regular file but a FIFO"},
    {S_IFCHR, "not a regular file but a device"},
    {S_IFBLK, "not a regular file but a device"},
    {S_IFSOCK, "not a regular file but a socket"},
  };

  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    if ((mode & S_IFMT) == rows[i].type) {
      return rows[i].text;
    }
  }
  return S_ISREG(mode) ? NULL : "not a regular file";
}

static void sender_error(cli_sender *s, cmt_err err, const char *text) {
  cli_report_error(s->o.io,
                   &(cli_failure){
                     .id = cmt_peer_id(s->peer)->text,
                     .file = s->status.name,
                     .err = err,
                     .text = text,
                   },
                   s->peer);
  pthread_mutex_lock(&s->lock);
  s->status.failures++;
  pthread_mutex_unlock(&s->lock);
}

/* Sends |msg|, which moves. */
static bool sender_put(cli_sender *s, upload *u, cmt_buf *msg) {
  u->put_err = msg == NULL
                 ? CMT_ENOMEM
                 : cmt_peer_send(s->peer, s->o.channel->id, msg, CMT_NEVER);
  if (u->put_err != CMT_OK) {
    cmt_buf_unref(msg);
  }
  return u->put_err == CMT_OK;
}

/* Waits for another answer than |before|, or until stopped; returns it. */
static answer sender_wait(cli_sender *s, answer before) {
  answer now;

  pthread_mutex_lock(&s->lock);
  while (s->answer == before && !s->stopped) {
    pthread_cond_wait(&s->changed, &s->lock);
  }
  now = s->answer;
  pthread_mutex_unlock(&s->lock);
  return now;
}

/* Waits until |len| more bytes are within the window; false: refused or
   stopped. */
static bool window_wait(cli_sender *s, size_t len) {
  bool going;

  pthread_mutex_lock(&s->lock);
  while (s->answer == ANSWER_ACCEPTED && !s->stopped &&
         s->sent + len - s->status.acked > CLI_FILE_WINDOW) {
    pthread_cond_wait(&s->changed, &s->lock);
  }
  going = s->answer == ANSWER_ACCEPTED && !s->stopped;
  if (going) {
    s->sent += len;
  }
  pthread_mutex_unlock(&s->lock);
  return going;
}

static ssize_t read_batch(int fd, const struct iovec *parts, int count) {
  ssize_t n;

  do {
    n = readv(fd, parts, count);
  } while (n < 0 && errno == EINTR);
  return n;
}

/* Messages for the next data, as many as one read may fill; 0: no memory. */
static int make_batch(const cli_sender *s, const upload *u, cmt_buf **out,
                      struct iovec *parts) {
  uint64_t left = u->left;
  int count = 0;

  while (count < BATCH && left > 0) {
    size_t len = left < s->chunk ? (size_t)left : s->chunk;
    cmt_buf *msg = cmt_buf_new(s->o.env, CLI_FILE_DATA_HEADER + len);

    if (msg == NULL) {
      break;
    }
    parts[count].iov_base = cmt_buf_data(msg) + CLI_FILE_DATA_HEADER;
    parts[count].iov_len = len;
    out[count++] = msg;
    left -= len;
  }
  return count;
}

/* A message that the read filled only in part, cut to |len| bytes of data. */
static cmt_buf *cut_message(const cli_sender *s, cmt_buf *msg, size_t len) {
  cmt_buf *out =
    cmt_buf_copy(s->o.env, cmt_buf_bytes(msg).base, CLI_FILE_DATA_HEADER + len);

  cmt_buf_unref(msg);
  return out;
}

/* Hashes and sends one message with |len| bytes of data. */
static bool send_part(cli_sender *s, upload *u, cmt_buf *msg, size_t len) {
  uint8_t *at = cmt_buf_data(msg);

  cli_file_data_header(at, s->id, u->offset);
  crypto_hash_sha256_update(&u->hash, at + CLI_FILE_DATA_HEADER, len);
  if (len + CLI_FILE_DATA_HEADER < cmt_buf_bytes(msg).len) {
    msg = cut_message(s, msg, len);
  }
  u->offset += len;
  u->left -= len;
  if (!window_wait(s, len)) {
    cmt_buf_unref(msg);
    return false;
  }
  return sender_put(s, u, msg);
}

static void note_read(upload *u, int count, ssize_t got) {
  if (count == 0) {
    u->fault = "out of memory";
  } else if (got < 0) {
    u->fault = strerror(errno);
  } else if (got == 0) {
    u->fault = "it became shorter while it was read";
  }
}

/* Behind the last byte there must be the end of the file: files of /proc have a
   size of 0 and bytes all the same, and a file may grow.  False: |u->fault|. */
static bool file_ends(upload *u) {
  struct iovec part = {.iov_base = &(uint8_t){0}, .iov_len = 1};
  ssize_t got = read_batch(u->fd, &part, 1);

  if (got < 0) {
    u->fault = strerror(errno);
  } else if (got > 0) {
    u->fault = u->size == 0
                 ? "its size is 0 but it has bytes, as files of /proc have"
                 : "it became longer while it was read";
  }
  return got == 0;
}

/* Reads and sends up to sixteen messages.  False: the file gives no more, or
   the receiver wants no more. */
static bool send_batch(cli_sender *s, upload *u) {
  struct iovec parts[BATCH];
  cmt_buf *messages[BATCH];
  int count = make_batch(s, u, messages, parts);
  ssize_t got = count == 0 ? 0 : read_batch(u->fd, parts, count);
  bool going = got > 0;

  note_read(u, count, got);
  if (going && (uint64_t)got == u->left) {
    going = file_ends(u);
  }
  for (int i = 0; i < count; i++) {
    size_t len = parts[i].iov_len;

    if (got < (ssize_t)len) {
      len = got > 0 ? (size_t)got : 0;
    }
    got -= (ssize_t)len;
    if (going && len > 0) {
      going = send_part(s, u, messages[i], len);
    } else {
      cmt_buf_unref(messages[i]);
    }
  }
  return going;
}

static answer send_offer(cli_sender *s, upload *u, const char *name) {
  cmt_buf *msg = cli_file_encode(s->o.env, &(cli_file_message){
                                             .type = CLI_FILE_OFFER,
                                             .id = s->id,
                                             .number = u->left,
                                             .bytes = cmt_bytes_of(name),
                                           });

  if (!sender_put(s, u, msg)) {
    return ANSWER_NONE;
  }
  return sender_wait(s, ANSWER_NONE);
}

/* A file that gives too little or too much is ended early: the receiver refuses
   it then and drops what it has. */
static answer send_data(cli_sender *s, upload *u) {
  answer now;

  while (u->left > 0 && send_batch(s, u)) {
  }
  crypto_hash_sha256_final(&u->hash, u->digest);
  pthread_mutex_lock(&s->lock);
  now = s->stopped ? ANSWER_NONE : s->answer;
  pthread_mutex_unlock(&s->lock);
  if (now != ANSWER_ACCEPTED || u->put_err != CMT_OK) {
    return now == ANSWER_REFUSED ? now : ANSWER_NONE;
  }
  if (!sender_put(
        s, u,
        cli_file_encode(s->o.env, &(cli_file_message){
                                    .type = CLI_FILE_END,
                                    .id = s->id,
                                    .bytes = {u->digest, CLI_HASH_SIZE},
                                  }))) {
    return ANSWER_NONE;
  }
  return sender_wait(s, ANSWER_ACCEPTED);
}

static cli_file_event status_event(const cli_sender *s) {
  return (cli_file_event){
    .id = cmt_peer_id(s->peer)->text,
    .file = s->status.name,
    .done = s->status.acked,
    .size = s->status.size,
    .seconds = (double)(cli_now_ns() - s->status.begin_ns) / 1e9,
  };
}

static void file_done(cli_sender *s, const upload *u) {
  char hash[CLI_HASH_TEXT];
  cli_file_event event;

  cli_hash_text(u->digest, hash);
  pthread_mutex_lock(&s->lock);
  s->status.acked = s->status.size;
  s->status.files++;
  s->status.bytes += s->status.size;
  event = status_event(s);
  pthread_mutex_unlock(&s->lock);
  event.hash = hash;
  event.rate = event.seconds > 0 ? (double)event.size / event.seconds : 0;
  cli_event_progress(s->o.io, &event, s->peer);
  cli_event_done(s->o.io, &event, s->peer);
}

static void file_refused(cli_sender *s, const upload *u) {
  char text[sizeof s->text + 32];

  if (u->fault != NULL) {
    sender_error(s, CMT_EIO, u->fault);
    return;
  }
  snprintf(text, sizeof text, "the receiver refused it: %s",
           s->text[0] == '\0' ? cli_refusal_text(s->code) : s->text);
  sender_error(s, cli_refusal_err(s->code), text);
}

/* A refused send comes before the report that the peer is gone, which has the
   reason. */
static void file_lost(cli_sender *s, const upload *u) {
  cmt_why why = {.err = u->put_err};

  if (u->put_err == CMT_OK || u->put_err == CMT_ECLOSED) {
    pthread_mutex_lock(&s->lock);
    while (!s->stopped) {
      pthread_cond_wait(&s->changed, &s->lock);
    }
    why = s->why;
    pthread_mutex_unlock(&s->lock);
  } else {
    snprintf(why.text, sizeof why.text, "%s", cmt_err_text(why.err));
  }
  sender_error(s, why.err, why.text);
}

static void begin_file(cli_sender *s, const char *name, uint64_t size) {
  pthread_mutex_lock(&s->lock);
  cmt_text_escape(cmt_bytes_of(name), s->status.name, sizeof s->status.name);
  s->status.acked = 0;
  s->status.size = size;
  s->status.begin_ns = cli_now_ns();
  s->id++;
  s->sent = 0;
  s->answer = ANSWER_NONE;
  pthread_mutex_unlock(&s->lock);
}

static void end_file(cli_sender *s) {
  pthread_mutex_lock(&s->lock);
  s->status.name[0] = '\0';
  pthread_mutex_unlock(&s->lock);
}

static int open_file(const char *path, struct stat *st, const char **fault) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

  if (fd < 0 || fstat(fd, st) != 0) {
    *fault = strerror(errno);
  } else {
    *fault = cli_file_fault(st->st_mode);
  }
  if (*fault == NULL) {
    return fd;
  }
  if (fd >= 0) {
    close(fd);
  }
  return -1;
}

/* False: the peer is gone. */
static bool send_file(cli_sender *s, const char *path) {
  upload u = {0};
  struct stat st = {0};
  answer now;

  u.fd = open_file(path, &st, &u.fault);
  u.size = u.left = (uint64_t)st.st_size;
  begin_file(s, cli_file_base(path), u.size);
  if (u.fd < 0 || (u.size == 0 && !file_ends(&u))) {
    sender_error(s, CMT_EIO, u.fault);
    end_file(s);
    if (u.fd >= 0) {
      close(u.fd);
    }
    return true;
  }
  crypto_hash_sha256_init(&u.hash);
  now = send_offer(s, &u, cli_file_base(path));
  if (now == ANSWER_ACCEPTED) {
    now = send_data(s, &u);
  }
  if (now == ANSWER_DONE) {
    file_done(s, &u);
  } else if (now == ANSWER_REFUSED) {
    file_refused(s, &u);
  } else {
    file_lost(s, &u);
  }
  end_file(s);
  close(u.fd);
  return now == ANSWER_DONE || now == ANSWER_REFUSED;
}

static void *sender_run(void *arg) {
  cli_sender *s = arg;

  for (size_t i = 0; i < s->o.path_count; i++) {
    if (!send_file(s, s->o.paths[i])) {
      break;
    }
  }
  pthread_mutex_lock(&s->lock);
  s->status.finished = true;
  pthread_mutex_unlock(&s->lock);
  cli_waiter_wake(&s->o.io->wait);
  return NULL;
}

cli_sender *cli_sender_new(const cli_sender_options *o) {
  cli_sender *s = cli_alloc(1, sizeof *s);
  size_t room = o->channel->recv_message_max - CLI_FILE_DATA_HEADER;

  s->o = *o;
  s->chunk = room < CLI_FILE_CHUNK ? room : CLI_FILE_CHUNK;
  pthread_mutex_init(&s->lock, NULL);
  pthread_cond_init(&s->changed, NULL);
  return s;
}

bool cli_sender_start(cli_sender *s, cmt_peer *p) {
  s->peer = p;
  s->started = pthread_create(&s->thread, NULL, sender_run, s) == 0;
  return s->started;
}

static void take_answer(cli_sender *s, const cli_file_message *m) {
  if (m->type == CLI_FILE_ACK) {
    if (s->answer == ANSWER_NONE) {
      s->answer = ANSWER_ACCEPTED;
    }
    /* What was never sent cannot have arrived. */
    if (m->number > s->status.acked && m->number <= s->sent) {
      s->status.acked = m->number;
    }
  } else if (m->type == CLI_FILE_DONE && s->answer == ANSWER_ACCEPTED &&
             s->sent == s->status.size) {
    s->answer = ANSWER_DONE;
  } else if (m->type == CLI_FILE_REFUSED) {
    s->answer = ANSWER_REFUSED;
    s->code = m->code;
    cmt_text_escape(m->bytes, s->text, sizeof s->text);
  }
}

void cli_sender_answer(cli_sender *s, const cli_file_message *m) {
  pthread_mutex_lock(&s->lock);
  if (m->id == s->id && s->answer != ANSWER_DONE) {
    take_answer(s, m);
    pthread_cond_signal(&s->changed);
  }
  pthread_mutex_unlock(&s->lock);
}

void cli_sender_stop(cli_sender *s, const cmt_why *why) {
  pthread_mutex_lock(&s->lock);
  if (!s->stopped) {
    s->stopped = true;
    s->why = *why;
    pthread_cond_signal(&s->changed);
  }
  pthread_mutex_unlock(&s->lock);
}

void cli_sender_get_status(cli_sender *s, cli_sender_status *out) {
  pthread_mutex_lock(&s->lock);
  *out = s->status;
  pthread_mutex_unlock(&s->lock);
}

void cli_sender_join(cli_sender *s) {
  if (s != NULL && s->started) {
    pthread_join(s->thread, NULL);
    s->started = false;
  }
}

void cli_sender_delete(cli_sender *s) {
  if (s == NULL) {
    return;
  }
  pthread_cond_destroy(&s->changed);
  pthread_mutex_destroy(&s->lock);
  free(s);
}
