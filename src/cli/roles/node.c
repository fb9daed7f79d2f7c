/* SPDX-License-Identifier: Apache-2.0 */
/* Callbacks on the loop only look at short messages; files and hashes are on
   the writer's thread, answers in the peer's own queue, lines of output with
   the output's thread.  Each of these stops the reading of the peer when it is
   full, so nothing is dropped and nothing blocks. */

#include "node.h"

#include "cli/ui/events.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How long the end of the switch may last after the flush. */
enum { END_MS = 1000 };

#define SESSION_KEY "cometp2p.session"

static cli_session *session_ref(cli_session *s) {
  pthread_mutex_lock(&s->lock);
  s->refs++;
  pthread_mutex_unlock(&s->lock);
  return s;
}

static void session_unref(cli_session *s) {
  unsigned refs;

  pthread_mutex_lock(&s->lock);
  refs = --s->refs;
  pthread_mutex_unlock(&s->lock);
  if (refs == 0) {
    cmt_peer_unref(s->peer);
    pthread_mutex_destroy(&s->lock);
    free(s);
  }
}

/* An answer that waits for room. */
typedef struct answer {
  cmt_send_req req;
  cli_session *session;
} answer;

/* Counts the answers that wait; the first one pauses, the last one resumes. */
static void session_wait(cli_session *s, bool begin) {
  size_t waiting;

  pthread_mutex_lock(&s->lock);
  waiting = begin ? ++s->waiting : --s->waiting;
  pthread_mutex_unlock(&s->lock);
  if (begin && waiting == 1) {
    cmt_peer_pause(s->peer);
  } else if (!begin && waiting == 0) {
    cmt_peer_resume(s->peer);
  }
}

static void answer_sent(void *arg, cmt_err status, cmt_buf *msg) {
  answer *a = arg;

  if (status != CMT_OK) {
    cmt_buf_unref(msg);
  }
  session_wait(a->session, false);
  session_unref(a->session);
  free(a);
}

void cli_session_answer(cli_session *s, uint8_t channel, cmt_buf *msg) {
  cmt_err err = cmt_peer_try_send(s->peer, channel, msg);
  answer *a;

  if (err == CMT_OK) {
    return;
  }
  if (err != CMT_EAGAIN) {
    cmt_buf_unref(msg); /* The peer is gone, or lacks the channel. */
    return;
  }
  a = cli_alloc(1, sizeof *a);
  a->req = (cmt_send_req)CMT_SEND_REQ(CMT_NEVER, answer_sent, a);
  a->session = session_ref(s);
  session_wait(s, true);
  if (cmt_peer_send_async(s->peer, channel, msg, &a->req) != CMT_OK) {
    answer_sent(a, CMT_ECLOSED, msg);
  }
}

cli_session *cli_session_of(const cmt_peer *p) {
  return cmt_peer_value(p, SESSION_KEY);
}

static bool node_reports(const cli_node *n) {
  return n->io->json || !n->hooks.quiet;
}

static cmt_err session_new(cli_node *n, cmt_peer *p, cli_session **out) {
  cli_session *s = cli_alloc(1, sizeof *s);
  cmt_err err = cmt_peer_set_value(p, SESSION_KEY, s, NULL);

  if (err != CMT_OK) {
    free(s);
    return err;
  }
  s->node = n;
  s->peer = cmt_peer_ref(p);
  s->refs = 1;
  memcpy(s->id, cmt_peer_id(p)->text, sizeof s->id);
  pthread_mutex_init(&s->lock, NULL);
  *out = s;
  return CMT_OK;
}

/* Runs for each reactor.  Without room for a line about it, a peer could
   connect and disconnect unseen, as often as it likes. */
static cmt_err node_init_peer(void *self, cmt_peer *p) {
  cli_node *n = self;
  cli_session *s = cli_session_of(p);
  cmt_err err = CMT_OK;

  if (s == NULL && !cli_options_allow(n->options, cmt_peer_id(p))) {
    return cmt_peer_explain(p, CMT_EREACTOR,
                            "the node's id is not one of those of --allow");
  }
  if (s == NULL &&
      (cli_output_is_full(n->io->out) || cli_output_is_full(n->io->err))) {
    return cmt_peer_explain(p, CMT_ELIMIT, "our output is not read");
  }
  if (s == NULL) {
    err = session_new(n, p, &s);
  }
  if (err == CMT_OK) {
    s->reactors++;
  }
  return err;
}

static void node_add_peer(void *self, cmt_peer *p) {
  cli_node *n = self;
  cli_session *s = cli_session_of(p);

  s->added = true;
  if (node_reports(n)) {
    cli_event_peer_added(n->io, p);
  }
  if (n->hooks.added != NULL) {
    n->hooks.added(n->hooks.arg, s);
  }
}

static void session_end(cli_session *s) {
  cli_node *n = s->node;
  cmt_why why;

  cmt_peer_get_why(s->peer, &why);
  if (s->added && node_reports(n)) {
    cli_event_peer_removed(n->io, s->peer, &why);
  }
  cli_output_leave(n->io->out, s->peer);
  cli_output_leave(n->io->err, s->peer);
  if (s->added && n->hooks.removed != NULL) {
    n->hooks.removed(n->hooks.arg, s, &why);
  }
  session_unref(s);
}

void cli_session_leave(cli_session *s) {
  unsigned left;

  pthread_mutex_lock(&s->lock);
  left = --s->reactors;
  pthread_mutex_unlock(&s->lock);
  if (left == 0) {
    session_end(s);
  }
}

static void node_remove_peer(void *self, cmt_peer *p, cmt_err reason) {
  (void)self;
  (void)reason;
  cli_session_leave(cli_session_of(p));
}

static cmt_err take_line(cli_node *n, cli_session *s, uint8_t channel,
                         cmt_buf *msg) {
  cli_line_message m;
  cmt_buf *receipt;

  if (!cli_line_decode(cmt_buf_bytes(msg), &m)) {
    return CMT_EPROTO;
  }
  if (m.type == CLI_LINE_RECEIPT) {
    if (n->hooks.receipt != NULL) {
      n->hooks.receipt(n->hooks.arg, m.seq, s->peer);
    }
    return CMT_OK;
  }
  receipt = cli_line_encode(
    &n->env, &(cli_line_message){.type = CLI_LINE_RECEIPT, .seq = m.seq});
  if (receipt == NULL) {
    return CMT_ENOMEM;
  }
  cli_event_line(n->io, m.text, s->peer);
  cli_session_answer(s, channel, receipt);
  return CMT_OK;
}

static cmt_err node_receive(void *self, cmt_peer *p, uint8_t channel,
                            cmt_buf *msg) {
  cli_node *n = self;

  return n->options->roles[n->index[channel]] == CLI_ROLE_LINES
           ? take_line(n, cli_session_of(p), channel, msg)
           : CMT_OK; /* To be discarded. */
}

static void more_rejected(cli_node *n, uint64_t count, uint64_t now_ns) {
  if (count > 0 && !cli_event_more_rejected(n->io, count)) {
    cli_rejections_give_back(&n->rejections, count, now_ns);
  }
}

uint64_t cli_node_report_rejections(cli_node *n, bool all) {
  uint64_t now_ns = cli_now_ns();

  more_rejected(
    n, cli_rejections_take(&n->rejections, all ? CMT_NEVER : now_ns), now_ns);
  return cli_rejections_due(&n->rejections);
}

/* Rejections of strangers are gathered; of our own dials there are few. */
static void report_rejected(cli_node *n, const cmt_rejection *r) {
  uint64_t now_ns = cli_now_ns(), before = 0;
  bool tell =
    r->outbound || cli_rejections_add(&n->rejections, now_ns, &before);

  more_rejected(n, before, now_ns);
  if (tell && !cli_event_rejected(n->io, r, false)) {
    cli_rejections_give_back(&n->rejections, 1, now_ns);
    tell = false;
  }
  if (!tell) {
    cli_waiter_wake(&n->io->wait); /* The main thread prints them when it is
                                      time. */
  }
}

static void node_rejected(void *arg, const cmt_rejection *r) {
  cli_node *n = arg;

  if (node_reports(n)) {
    report_rejected(n, r);
  }
  if (n->hooks.rejected != NULL) {
    n->hooks.rejected(n->hooks.arg, r);
  }
}

static void log_line(void *arg, cmt_log_level level, const char *module,
                     const char *line) {
  static const char *const levels[] = {"error", "warn", "info", "debug"};
  cli_io *io = arg;

  if (level <= io->log_level) {
    cli_io_error(io, "%s: %s: %s", levels[level], module, line);
  }
}

bool cli_env_init(cmt_env *env, cli_io *io) {
  cmt_why why;

  if (cli_env_system(env, &why) != CMT_OK) {
    cli_io_error(io, "%s", why.text);
    return false;
  }
  env->log = log_line;
  env->log_arg = io;
  return true;
}

bool cli_load_key(const cli_options *o, cli_io *io, const cmt_env *env,
                  cmt_node_key **out) {
  cmt_why why;

  *out = NULL;
  if (o->key_file != NULL &&
      cli_options_key(o, env, o->key_file, out, &why) != CMT_OK) {
    cli_io_error(io, "%s", why.text);
    return false;
  }
  return true;
}

static bool open_store(cli_node *n) {
  const char *dir = n->options->out_dir;

  if (dir == NULL) {
    return true;
  }
  n->store.dotfiles = n->options->dotfiles;
  if (!cli_store_open(&n->store, dir, n->options->quota)) {
    cli_io_error(n->io, "--out %s: %s", dir, strerror(errno));
    return false;
  }
  return true;
}

static void switch_options(cli_node *n, cmt_switch_options *to) {
  const cli_options *o = n->options;

  cmt_switch_options_init(to);
  to->env = &n->env;
  to->key = n->key;
  to->network = o->network;
  to->moniker = o->moniker;
  to->laddr = o->laddr;
  to->on_rejected = node_rejected;
  to->arg = n;
  to->flush_throttle_ns = o->flush_throttle_ns;
  to->send_rate = o->send_rate;
  to->recv_rate = o->recv_rate;
  to->inbound_peers_max = o->inbound_max > 0 ? o->inbound_max : CMT_NO_PEERS;
  if (o->dial_count > to->outbound_peers_max) {
    to->outbound_peers_max = (uint32_t)o->dial_count;
  }
  to->inbound_peers_per_ip_max = o->inbound_per_ip_max;
  to->handshakes_per_ip_max =
    o->handshakes_per_ip_max != 0 ? o->handshakes_per_ip_max : CMT_NO_LIMIT;
  to->ip6_prefix_len = o->ip6_prefix_len;
  if (o->ping_interval_ns != 0) {
    to->ping_interval_ns = o->ping_interval_ns;
  }
  if (o->pong_timeout_ns != 0) {
    to->pong_timeout_ns = o->pong_timeout_ns;
  }
  to->wire = o->wire;
  if (o->packet_payload != 0) {
    to->send_packet_payload_max = o->packet_payload;
  }
  if (o->packet_payload > to->recv_packet_payload_max) {
    to->recv_packet_payload_max = o->packet_payload;
  }
}

/* Gives each channel to the reactor of its role. */
static void split_channels(const cli_options *o, cmt_reactor reactors[2],
                           cmt_channel lists[2][CMT_CHANNELS_MAX]) {
  for (size_t i = 0; i < o->channel_count; i++) {
    bool writes = o->roles[i] == CLI_ROLE_FILES || o->roles[i] == CLI_ROLE_ECHO;
    cmt_reactor *r = &reactors[writes ? 0 : 1];
    cmt_channel *c = &lists[writes ? 0 : 1][r->channel_count++];

    *c = o->channels[i];
    c->recv_queue = CLI_WRITER_MESSAGES;
    c->recv_queue_bytes = CLI_WRITER_BYTES;
  }
  for (size_t i = 0; i < 2; i++) {
    reactors[i].channels = reactors[i].channel_count > 0 ? lists[i] : NULL;
  }
}

static bool node_start(cli_node *n) {
  cmt_channel lists[2][CMT_CHANNELS_MAX];
  cmt_reactor reactors[2] = {
    {
      .name = "writer",
      .delivery = CMT_DELIVER_WORKERS,
      .recv_queue_bytes_total = 2 * CLI_WRITER_BYTES,
      .self = n,
      .init_peer = node_init_peer,
      .receive = cli_writer_receive,
      .remove_peer = cli_writer_remove_peer,
    },
    {
      .name = "cometp2p",
      .self = n,
      .init_peer = node_init_peer,
      .add_peer = node_add_peer,
      .receive = node_receive,
      .remove_peer = node_remove_peer,
    },
  };
  cmt_switch_options o;
  cmt_why why;
  bool writes;

  split_channels(n->options, reactors, lists);
  writes = reactors[0].channel_count > 0;
  switch_options(n, &o);
  o.reactors = &reactors[writes ? 0 : 1];
  o.reactor_count = writes ? 2 : 1;
  if (cmt_switch_new(&o, &n->sw, &why) != CMT_OK ||
      cmt_switch_start(n->sw, &why) != CMT_OK) {
    cli_io_error(n->io, "%s", why.text);
    return false;
  }
  return true;
}

bool cli_node_open(cli_node *n, const cli_options *o, cli_io *io,
                   const cli_node_hooks *hooks) {
  *n = (cli_node){.options = o, .io = io};
  cli_store_init(&n->store);
  cli_rejections_init(&n->rejections);
  if (hooks != NULL) {
    n->hooks = *hooks;
  }
  for (size_t i = 0; i < o->channel_count; i++) {
    n->index[o->channels[i].id] = (uint8_t)i;
  }
  if (!cli_env_init(&n->env, io) || !open_store(n) ||
      !cli_load_key(o, io, &n->env, &n->key)) {
    return false;
  }
  return node_start(n);
}

static void *delete_switch(void *arg) {
  cli_node *n = arg;

  if (cmt_switch_delete(n->sw) != CMT_OK) {
    cli_io_error(n->io, "the switch cannot stop");
  }
  atomic_store(&n->sw_ended, true);
  cli_waiter_wake(&n->io->wait);
  return NULL;
}

/* False: it does not end in time. */
static bool end_switch(cli_node *n, uint64_t flush_ns) {
  uint64_t now_ns = cli_now_ns();
  uint64_t until_ns = now_ns + flush_ns + CMT_MILLISECONDS(END_MS);
  pthread_t thread;

  cmt_switch_stop(n->sw, flush_ns);
  if (pthread_create(&thread, NULL, delete_switch, n) != 0) {
    return false;
  }
  while (!atomic_load(&n->sw_ended) && now_ns < until_ns) {
    cli_waiter_wait(&n->io->wait, until_ns - now_ns);
    now_ns = cli_now_ns();
  }
  return atomic_load(&n->sw_ended) && pthread_join(thread, NULL) == 0;
}

void cli_node_close(cli_node *n, uint64_t flush_ns, int code) {
  if (n->sw != NULL && !end_switch(n, flush_ns)) {
    cli_io_leave(n->io, code);
  }
  (void)cli_node_report_rejections(n, true);
  cli_rejections_fini(&n->rejections);
  cmt_node_key_delete(n->key);
  cli_store_close(&n->store);
}
