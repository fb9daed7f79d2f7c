/* SPDX-License-Identifier: Apache-2.0 */
/* send: dials one node, runs a thread for the files and one for the lines, and
   ends when both have all their answers, when the peer is gone, or at a
   signal.  The main thread waits and shows how it goes. */

#include "cli/ui/events.h"
#include "cli/roles/liner.h"
#include "cli/roles/node.h"
#include "cli/roles/progress.h"
#include "cli/roles/sender.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FLUSH_MS = 500 };

typedef struct send_run {
  const cli_options *o;
  cli_io *io;
  cli_node node;
  cli_sender *sender; /* NULL: no files. */
  cli_liner *liner;   /* NULL: no lines. */
  bool started;
  uint64_t begin_ns, end_ns;
  pthread_mutex_t lock; /* Guards what the loop reports. */
  cmt_peer *peer;
  bool gone;   /* The peer was removed, or never came. */
  cmt_why why; /* Why. */
} send_run;

static void on_added(void *arg, cli_session *s) {
  send_run *r = arg;

  pthread_mutex_lock(&r->lock);
  r->peer = cmt_peer_ref(s->peer);
  pthread_mutex_unlock(&r->lock);
  cli_waiter_wake(&r->io->wait);
}

static void run_gone(send_run *r, const cmt_why *why) {
  pthread_mutex_lock(&r->lock);
  r->gone = true;
  r->why = *why;
  pthread_mutex_unlock(&r->lock);
  if (r->sender != NULL) {
    cli_sender_stop(r->sender, why);
  }
  if (r->liner != NULL) {
    cli_liner_stop(r->liner);
  }
  cli_waiter_wake(&r->io->wait);
}

static void on_removed(void *arg, cli_session *s, const cmt_why *why) {
  (void)s;
  run_gone(arg, why);
}

static void on_rejected(void *arg, const cmt_rejection *rejection) {
  run_gone(arg, &rejection->why);
}

static void on_answer(void *arg, const cli_file_message *m) {
  send_run *r = arg;

  if (r->sender != NULL) {
    cli_sender_answer(r->sender, m);
  }
}

static void on_receipt(void *arg, uint64_t seq, cmt_peer *p) {
  send_run *r = arg;

  if (r->liner != NULL) {
    cli_liner_receipt(r->liner, seq, p);
  }
}

static bool run_is_gone(send_run *r, cmt_peer **peer, cmt_why *why) {
  bool gone;

  pthread_mutex_lock(&r->lock);
  gone = r->gone;
  *peer = r->peer;
  *why = r->why;
  pthread_mutex_unlock(&r->lock);
  return gone;
}

/* NULL: there is no peer, and an error was printed. */
static cmt_peer *run_connect(send_run *r) {
  cmt_peer *peer = NULL;
  cmt_why why;
  bool gone = false;

  while (peer == NULL && !gone && !r->io->wait.interrupted) {
    cli_waiter_wait(&r->io->wait, CMT_NEVER);
    gone = run_is_gone(r, &peer, &why);
  }
  if (peer != NULL) {
    return peer;
  }
  cli_io_error(r->io, "%s: %s", r->o->args[0], gone ? why.text : "interrupted");
  return NULL;
}

static bool peer_takes(send_run *r, cmt_peer *p, const void *wanted,
                       cli_role role) {
  uint8_t id;

  if (wanted == NULL) {
    return true;
  }
  id = r->o->channels[cli_options_find(r->o, role)].id;
  if (cmt_peer_has_channel(p, id)) {
    return true;
  }
  cli_io_error(r->io, "%s: the node has no channel 0x%02x", r->o->args[0], id);
  return false;
}

static bool run_start(send_run *r, cmt_peer *p) {
  if (!peer_takes(r, p, r->sender, CLI_ROLE_FILES) ||
      !peer_takes(r, p, r->liner, CLI_ROLE_LINES)) {
    return false;
  }
  r->started = true;
  if ((r->sender != NULL && !cli_sender_start(r->sender, p)) ||
      (r->liner != NULL && !cli_liner_start(r->liner, p))) {
    cli_io_error(r->io, "cannot start a thread");
    return false;
  }
  return true;
}

static bool run_look(send_run *r, cli_sender_status *files,
                     cli_liner_status *lines) {
  memset(files, 0, sizeof *files);
  memset(lines, 0, sizeof *lines);
  if (r->sender != NULL) {
    cli_sender_get_status(r->sender, files);
  }
  if (r->liner != NULL) {
    cli_liner_get_status(r->liner, lines);
  }
  return (r->sender == NULL || files->finished) &&
         (r->liner == NULL || lines->finished);
}

/* The lines come from the terminal that would show the bar. */
static bool is_typing(const send_run *r) {
  return r->o->lines != NULL && strcmp(r->o->lines, "-") == 0 &&
         isatty(STDIN_FILENO) == 1;
}

/* True: everything was sent and answered. */
static bool run_transfer(send_run *r, cmt_peer *peer) {
  cli_progress progress = {.io = r->io, .id = cmt_peer_id(peer)->text};
  cli_sender_status files;
  cli_liner_status lines;
  cmt_why why;
  bool done;

  while (!(done = run_look(r, &files, &lines)) &&
         !run_is_gone(r, &peer, &why) && !r->io->wait.interrupted &&
         !cli_output_is_broken(r->io->out)) {
    if (!is_typing(r)) {
      cli_progress_show(&progress, r->sender == NULL ? NULL : &files,
                        r->liner == NULL ? NULL : &lines);
    }
    cli_waiter_wait(&r->io->wait, CMT_MILLISECONDS(100));
  }
  cli_progress_clear(&progress);
  return done && files.failures == 0 && lines.failures == 0;
}

/* Why all ended early, unless a thread has reported an error of its own. */
static void report_early_end(send_run *r, const cli_liner_status *lines) {
  cmt_peer *peer;
  cmt_why why;
  char text[sizeof why.text + 64];

  if (!run_is_gone(r, &peer, &why) || r->io->wait.interrupted) {
    why.err = CMT_ECANCELED;
    snprintf(why.text, sizeof why.text, "interrupted");
  }
  snprintf(text, sizeof text, "%s", why.text);
  if (r->liner != NULL) {
    snprintf(text, sizeof text, "%s (%llu of %llu lines answered)", why.text,
             (unsigned long long)lines->answered,
             (unsigned long long)lines->sent);
  }
  cli_report_error(r->io,
                   &(cli_failure){
                     .id = cmt_peer_id(peer)->text,
                     .err = why.err,
                     .text = text,
                   },
                   NULL);
}

/* Both threads have ended. */
static void report_summary(send_run *r, bool done) {
  cli_sender_status files;
  cli_liner_status lines;
  bool answered;

  (void)run_look(r, &files, &lines);
  answered = lines.answered > 0;
  if (!done && files.failures == 0 && lines.failures == 0) {
    report_early_end(r, &lines);
  }
  cli_event_summary(r->io,
                    &(cli_summary_event){
                      .files = files.files,
                      .bytes = files.bytes,
                      .seconds = (double)(r->end_ns - r->begin_ns) / 1e9,
                      .lines = lines.sent,
                      .answered = lines.answered,
                      .p50_ms = answered ? (double)lines.p50_ns / 1e6 : -1,
                      .p99_ms = answered ? (double)lines.p99_ns / 1e6 : -1,
                    });
}

/* Ends the threads, once the switch has let go of their sends. */
static void run_stop(send_run *r) {
  static const cmt_why interrupted = {
    .err = CMT_ECANCELED, .stage = CMT_STAGE_UP, .text = "interrupted"};

  cli_output_hurry(r->io->out);
  cli_output_hurry(r->io->err);
  if (r->sender != NULL) {
    cli_sender_stop(r->sender, &interrupted);
  }
  if (r->liner != NULL) {
    cli_liner_stop(r->liner);
  }
}

static bool run_send(send_run *r) {
  cmt_peer *peer;
  cmt_why why;
  bool done;

  if (cmt_switch_dial(r->node.sw, r->o->args[0], 0, &why) != CMT_OK) {
    cli_io_error(r->io, "%s: %s", r->o->args[0], why.text);
    return false;
  }
  peer = run_connect(r);
  if (peer == NULL || !run_start(r, peer)) {
    return false;
  }
  r->begin_ns = cli_now_ns();
  done = run_transfer(r, peer);
  r->end_ns = cli_now_ns();
  return done;
}

static bool run_all(send_run *r) {
  cli_node_hooks hooks = {
    .arg = r,
    .quiet = true,
    .added = on_added,
    .removed = on_removed,
    .rejected = on_rejected,
    .file_answer = on_answer,
    .receipt = on_receipt,
  };
  bool done;

  pthread_mutex_init(&r->lock, NULL);
  done = cli_node_open(&r->node, r->o, r->io, &hooks) && run_send(r);
  run_stop(r);
  cli_node_close(&r->node, done ? CMT_MILLISECONDS(FLUSH_MS) : 0,
                 done ? CLI_OK : CLI_FAILED);
  if (r->started) {
    cli_sender_join(r->sender);
    cli_liner_join(r->liner);
    report_summary(r, done);
  }
  cmt_peer_unref(r->peer);
  pthread_mutex_destroy(&r->lock);
  return done;
}

/* So that a name that cannot be sent is known before anything is. */
static bool files_are_fine(const cli_options *o, cli_io *io) {
  struct stat st;

  for (size_t i = 1; i < o->arg_count; i++) {
    const char *path = o->args[i];
    const char *fault = NULL;

    if (stat(path, &st) != 0 || access(path, R_OK) != 0) {
      fault = strerror(errno);
    } else if (cli_file_fault(st.st_mode) != NULL) {
      fault = cli_file_fault(st.st_mode);
    } else if (!cli_file_name_is_fine(cmt_bytes_of(cli_file_base(path)))) {
      fault = "no node would store a file of this name";
    }
    if (fault != NULL) {
      cli_io_error(io, "%s: %s", path, fault);
      return false;
    }
  }
  return true;
}

static bool make_sender(send_run *r) {
  if (r->o->arg_count < 2) {
    return true;
  }
  if (!files_are_fine(r->o, r->io)) {
    return false;
  }
  r->sender = cli_sender_new(&(cli_sender_options){
    .io = r->io,
    .env = &r->node.env,
    .paths = r->o->args + 1,
    .path_count = r->o->arg_count - 1,
    .channel = &r->o->channels[cli_options_find(r->o, CLI_ROLE_FILES)],
  });
  return true;
}

/* Opens a file of lines; -1: an error was printed.  The liner waits with
   poll(), so a FIFO without a writer, which open() would wait for, holds up
   neither the connection nor a signal. */
static int open_lines(const char *path, cli_io *io) {
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
  struct stat st;

  if (fd < 0 || fstat(fd, &st) != 0) {
    cli_io_error(io, "--lines %s: %s", path, strerror(errno));
  } else if (S_ISDIR(st.st_mode)) {
    cli_io_error(io, "--lines %s: it is a directory", path);
  } else {
    return fd;
  }
  if (fd >= 0) {
    close(fd);
  }
  return -1;
}

static bool make_liner(send_run *r) {
  int fd = STDIN_FILENO;

  if (r->o->lines == NULL) {
    return true;
  }
  if (strcmp(r->o->lines, "-") != 0) {
    fd = open_lines(r->o->lines, r->io);
    if (fd < 0) {
      return false;
    }
  }
  r->liner = cli_liner_new(&(cli_liner_options){
    .io = r->io,
    .env = &r->node.env,
    .fd = fd,
    .channel = &r->o->channels[cli_options_find(r->o, CLI_ROLE_LINES)],
  });
  return true;
}

static int send_verb(const cli_options *o) {
  cli_io io;
  send_run r = {.o = o, .io = &io};
  bool done;

  if (!cli_io_open(&io, o->json, o->log_level)) {
    return CLI_FAILED;
  }
  done = make_sender(&r) && make_liner(&r) && run_all(&r);
  cli_sender_delete(r.sender);
  cli_liner_delete(r.liner);
  return cli_io_close(&io, done ? CLI_OK : CLI_FAILED);
}

/* Everything that is wrong with the arguments; -1: nothing. */
static int check_usage(const cli_options *o) {
  cmt_net_addr addr;
  cmt_why why;

  if (o->arg_count == 0) {
    return cli_options_usage(o, "ID@HOST:PORT is missing");
  }
  if (cmt_net_addr_parse(o->args[0], 0, &addr, &why) != CMT_OK) {
    return cli_options_usage(o, "%s", why.text);
  }
  if (o->arg_count == 1 && o->lines == NULL) {
    return cli_options_usage(o, "nothing to send: name files or --lines");
  }
  if (o->arg_count > 1 &&
      cli_options_find(o, CLI_ROLE_FILES) == o->channel_count) {
    return cli_options_usage(o, "--channel: files need one with =files");
  }
  if (o->lines != NULL &&
      cli_options_find(o, CLI_ROLE_LINES) == o->channel_count) {
    return cli_options_usage(o, "--channel: --lines needs one with =lines");
  }
  return -1;
}

int cli_send(const cli_verb *verb, int argc, char **argv) {
  cli_options o;
  int code = cli_options_parse(&o, verb, argc, argv);

  if (code != -1) {
    return code;
  }
  code = check_usage(&o);
  if (code == -1) {
    code = send_verb(&o);
  }
  cli_options_fini(&o);
  return code;
}
