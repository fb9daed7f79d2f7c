/* SPDX-License-Identifier: Apache-2.0 */
/* One worker serves all peers, so only one thread uses the receivers of a
   session. */

#include "writer.h"

#include "cli/ui/events.h"
#include "node.h"
#include "receiver.h"

/* The place of a receiver's hooks. */
typedef struct seat {
  cli_session *session;
  uint8_t channel;
} seat;

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
  cli_event_progress(n->io, &event, at->session->peer);
}

static void hook_done(void *arg, const cli_incoming *f) {
  const seat *at = arg;
  cli_file_event event = file_event(at, f);
  char hash[CLI_HASH_TEXT];

  cli_hash_text(f->hash, hash);
  event.hash = hash;
  cli_event_done(at->session->node->io, &event, at->session->peer);
}

static void hook_failed(void *arg, const cli_incoming *f, cmt_err err,
                        const char *text) {
  const seat *at = arg;

  cli_event_error(at->session->node->io,
                  &(cli_failure){
                    .id = at->session->id,
                    .file = f->name,
                    .err = err,
                    .text = text,
                  },
                  at->session->peer);
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
    *place = cli_receiver_new(&s->node->store, &hooks);
  } else {
    cli_receiver_set_hooks(*place, &hooks);
  }
  return *place;
}

static cmt_err take_file(const seat *at, cmt_buf *msg) {
  cli_node *n = at->session->node;
  cli_file_message m;
  seat place = *at;

  if (!cli_file_decode(cmt_buf_bytes(msg), &m)) {
    return CMT_EPROTO;
  }
  if (m.type == CLI_FILE_OFFER || m.type == CLI_FILE_DATA ||
      m.type == CLI_FILE_END) {
    return cli_receiver_feed(session_receiver(at->session, &place), &m,
                             cli_now_ns());
  }
  if (n->hooks.file_answer != NULL) { /* A receiver answers the sender. */
    n->hooks.file_answer(n->hooks.arg, &m);
  }
  return CMT_OK;
}

static void take_echo(const seat *at, cmt_buf *msg) {
  cmt_bytes bytes = cmt_buf_bytes(msg);
  uint8_t hash[CLI_HASH_SIZE] = {0};
  char text[CLI_HASH_TEXT];

  cli_session_answer(at->session, at->channel, cmt_buf_ref(msg));
  if (at->session->node->io->json) {
    crypto_hash_sha256(hash, bytes.len == 0 ? hash : bytes.base, bytes.len);
  }
  cli_hash_text(hash, text);
  cli_event_message(at->session->node->io,
                    &(cli_message_event){
                      .id = at->session->id,
                      .channel = at->channel,
                      .size = bytes.len,
                      .hash = text,
                    },
                    at->session->peer);
}

cmt_err cli_writer_receive(void *self, cmt_peer *p, uint8_t channel,
                           cmt_buf *msg) {
  const cli_node *n = self;
  seat at = {.session = cli_session_of(p), .channel = channel};

  if (n->options->roles[n->index[channel]] == CLI_ROLE_FILES) {
    return take_file(&at, msg);
  }
  take_echo(&at, msg);
  return CMT_OK;
}

void cli_writer_remove_peer(void *self, cmt_peer *p, cmt_err reason) {
  const cli_node *n = self;
  cli_session *s = cli_session_of(p);
  cmt_why why;

  (void)reason;
  cmt_peer_get_why(p, &why);
  for (size_t i = 0; i < n->options->channel_count; i++) {
    seat at = {.session = s, .channel = n->options->channels[i].id};

    if (s->receivers[i] != NULL) {
      cli_receiver_delete(session_receiver(s, &at), why.err, why.text);
      s->receivers[i] = NULL;
    }
  }
  cli_session_leave(s);
}
