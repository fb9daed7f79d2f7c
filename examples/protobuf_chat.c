/* SPDX-License-Identifier: Apache-2.0 */

/* The chat of chat.c with messages of protobuf: each line goes out as a Line
   of chat.proto, and arrives as one.

     protobuf_chat AUTHOR [ID@HOST:PORT]... */

#include <cometp2p/cometp2p.h>
#include <cometp2p/protobuf.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>

#include <chat.pb-c.h>

enum { CHAT = 0x51, PEERS_MAX = 80 };

static sem_t peer_added;
static const cmt_channel channels[] = {
  {.id = CHAT, .priority = 1, .recv_message_max = 10000},
};
static const cmt_protobuf_type types[] = {
  {.channel = CHAT, .type = &example__line__descriptor},
};

/* Text of a peer may contain anything but a NUL. */
static void print_text(const char *text) {
  char escaped[4000];

  cmt_text_escape(cmt_bytes_of(text), escaped, sizeof escaped);
  printf("%s", escaped);
}

static cmt_err receive(void *self, cmt_peer *p, uint8_t channel,
                       const ProtobufCMessage *msg, cmt_buf *packed) {
  const Example__Line *line = (const Example__Line *)msg;

  (void)self;
  (void)p;
  (void)channel;
  (void)packed;
  print_text(line->author);
  printf(" %llu: ", (unsigned long long)line->number);
  print_text(line->text);
  printf("\n");
  fflush(stdout);
  return CMT_OK;
}

static void add_peer(void *self, cmt_peer *p) {
  (void)self;
  fprintf(stderr, "protobuf_chat: %s is here\n", cmt_peer_id(p)->text);
  sem_post(&peer_added);
}

static void on_rejected(void *arg, const cmt_rejection *r) {
  (void)arg;
  fprintf(stderr, "protobuf_chat: no peer at %s: %s\n", r->remote, r->why.text);
}

/* Blocks until every peer has the line in its send queue or is gone. */
static void say(cmt_switch *sw, const Example__Line *line) {
  cmt_peer *peers[PEERS_MAX];
  size_t count;

  while ((count = cmt_switch_peers(sw, peers, PEERS_MAX)) == 0) {
    sem_wait(&peer_added);
  }
  for (size_t i = 0; i < count && i < PEERS_MAX; i++) {
    while (cmt_peer_send_message(peers[i], CHAT, &line->base,
                                 CMT_SEND_TIMEOUT) == CMT_ETIMEDOUT) {
      fprintf(stderr, "protobuf_chat: waiting for %s\n",
              cmt_peer_id(peers[i])->text);
    }
    cmt_peer_unref(peers[i]);
  }
}

static cmt_switch *start(const cmt_protobuf_reactor *typed) {
  cmt_switch_options o;
  cmt_reactor chat;
  cmt_net_addr at;
  cmt_switch *sw;
  cmt_env env;
  cmt_why why;
  char text[CMT_NET_ADDR_TEXT_SIZE];

  if (cmt_env_init(&env) != CMT_OK) {
    return NULL;
  }
  env.log = cmt_log_stderr; /* Errors, and what an end waits for. */
  cmt_switch_options_init(&o);
  o.env = &env;
  o.network = "my-net";
  o.laddr = "127.0.0.1:0";
  o.reactors = &chat;
  o.reactor_count = 1;
  o.on_rejected = on_rejected;
  if (cmt_protobuf_reactor_wrap(typed, &chat, &why) != CMT_OK ||
      cmt_switch_new(&o, &sw, &why) != CMT_OK ||
      cmt_switch_start(sw, &why) != CMT_OK) {
    fprintf(stderr, "protobuf_chat: %s\n", why.text);
    return NULL;
  }
  if (cmt_switch_get_laddr(sw, &at) == CMT_OK &&
      cmt_net_addr_format(&at, text, sizeof text) == CMT_OK) {
    fprintf(stderr, "protobuf_chat: others join %s\n", text);
  }
  return sw;
}

int main(int argc, char **argv) {
  cmt_protobuf_reactor typed;
  cmt_switch *sw;
  Example__Line line = EXAMPLE__LINE__INIT;
  cmt_why why;
  char text[1000];

  if (argc < 2) {
    fprintf(stderr, "usage: protobuf_chat AUTHOR [ID@HOST:PORT]...\n");
    return 2;
  }
  cmt_protobuf_reactor_init(&typed);
  typed.base = (cmt_reactor){.name = "chat",
                             .channels = channels,
                             .channel_count = 1,
                             .delivery = CMT_DELIVER_WORKERS,
                             .add_peer = add_peer};
  typed.types = types;
  typed.type_count = 1;
  typed.receive = receive;
  sem_init(&peer_added, 0, 0);
  sw = start(&typed);
  if (sw == NULL) {
    return 1;
  }
  for (int i = 2; i < argc; i++) {
    if (cmt_switch_dial(sw, argv[i], CMT_DIAL_PERSISTENT, &why) != CMT_OK) {
      fprintf(stderr, "protobuf_chat: %s\n", why.text);
    }
  }
  line.author = argv[1];
  line.text = text;
  while (fgets(text, sizeof text, stdin) != NULL) {
    text[strcspn(text, "\n")] = '\0';
    line.number++;
    say(sw, &line);
  }
  cmt_switch_stop(sw, CMT_SECONDS(10));
  return cmt_switch_delete(sw) == CMT_OK ? 0 : 1;
}
