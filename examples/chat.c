/* SPDX-License-Identifier: Apache-2.0 */

/* A chat between any number of nodes: each line of the standard input goes to
   all peers, each line of a peer to the standard output.  Input waits until
   there is a peer, and while a peer has no room.

     chat [ID@HOST:PORT]... */

#include <cometp2p/cometp2p.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

enum { CHAT = 0x51, PEERS_MAX = 80 };

static const cmt_channel channels[] = {{.id = CHAT, .priority = 1}};
static sem_t peer_added;

static void add_peer(void *self, cmt_peer *p) {
  (void)self;
  fprintf(stderr, "chat: %s is here\n", cmt_peer_id(p)->text);
  sem_post(&peer_added);
}

static void remove_peer(void *self, cmt_peer *p, cmt_err reason) {
  (void)self;
  fprintf(stderr, "chat: %s is gone: %s\n", cmt_peer_id(p)->text,
          cmt_err_text(reason));
}

static void on_rejected(void *arg, const cmt_rejection *r) {
  (void)arg;
  fprintf(stderr, "chat: no peer at %s: %s\n", r->remote, r->why.text);
}

static cmt_err receive(void *self, cmt_peer *p, uint8_t channel, cmt_buf *msg) {
  char text[4000];

  (void)self;
  (void)channel;
  cmt_text_escape(cmt_buf_bytes(msg), text, sizeof text);
  printf("%.8s: %s\n", cmt_peer_id(p)->text, text);
  fflush(stdout);
  return CMT_OK;
}

/* Blocks until every peer has the line in its send queue or is gone. */
static void say(cmt_switch *sw, const char *line, size_t len) {
  cmt_peer *peers[PEERS_MAX];
  size_t count;

  while ((count = cmt_switch_peers(sw, peers, PEERS_MAX)) == 0) {
    sem_wait(&peer_added);
  }
  for (size_t i = 0; i < count && i < PEERS_MAX; i++) {
    while (cmt_peer_send_bytes(peers[i], CHAT, line, len, CMT_SEND_TIMEOUT) ==
           CMT_ETIMEDOUT) {
      fprintf(stderr, "chat: waiting for %s\n", cmt_peer_id(peers[i])->text);
    }
    cmt_peer_unref(peers[i]);
  }
}

int main(int argc, char **argv) {
  /* On a thread of its own: printing may wait for whoever reads it. */
  static const cmt_reactor chat = CMT_REACTOR(
    "chat", channels, .delivery = CMT_DELIVER_WORKERS, .add_peer = add_peer,
    .receive = receive, .remove_peer = remove_peer);
  static cmt_log_level level = CMT_LOG_WARN;
  cmt_switch_options o;
  cmt_switch *sw;
  cmt_env env;
  cmt_why why;
  char line[1000], text[CMT_NET_ADDR_TEXT_SIZE];

  if (cmt_env_init(&env) != CMT_OK) {
    return 1;
  }
  env.log = cmt_log_stderr; /* Errors, and what an end waits for; */
  env.log_arg = &level;     /* on_rejected() below reports the rest. */
  cmt_switch_options_init(&o);
  o.env = &env;
  o.network = "my-net";
  o.laddr = "127.0.0.1:0";
  o.reactors = &chat;
  o.reactor_count = 1;
  o.on_rejected = on_rejected;
  sem_init(&peer_added, 0, 0);
  if (cmt_switch_open(&o, &sw, &why) != CMT_OK) {
    fprintf(stderr, "chat: %s\n", why.text);
    return 1;
  }
  if (cmt_switch_get_laddr_text(sw, text, sizeof text) == CMT_OK) {
    fprintf(stderr, "chat: others join with: chat %s\n", text);
  }
  for (int i = 1; i < argc; i++) {
    if (cmt_switch_dial_list(sw, argv[i], CMT_DIAL_PERSISTENT, &why) !=
        CMT_OK) {
      fprintf(stderr, "chat: %s\n", why.text);
    }
  }
  while (fgets(line, sizeof line, stdin) != NULL) {
    say(sw, line, strcspn(line, "\n"));
  }
  return cmt_switch_close(sw, CMT_SECONDS(10)) == CMT_OK ? 0 : 1;
}
