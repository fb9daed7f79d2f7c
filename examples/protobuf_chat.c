/* SPDX-License-Identifier: Apache-2.0 */

/* The chat of chat.c with messages of protobuf: each line goes out as a Line
   of chat.proto, and arrives as one.

     protobuf_chat AUTHOR [ID@HOST:PORT]... */

#include <cometp2p/cometp2p.h>
#include <cometp2p/protobuf.h>
#include <stdio.h>
#include <string.h>

#include <chat.pb-c.h>

#define CHAT 0x51

static const cmt_channel channels[] = {
  {.id = CHAT, .priority = 1, .recv_message_max = 10000},
};
static const cmt_protobuf_type types[] = {
  {.channel = CHAT, .type = &example__line__descriptor},
};

/* Text of a peer may hold anything but a NUL. */
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

static cmt_switch *start(const cmt_protobuf_reactor *typed) {
  cmt_switch_options o;
  cmt_reactor chat;
  cmt_net_addr at;
  cmt_switch *sw;
  cmt_why why;
  char text[CMT_NET_ADDR_TEXT_SIZE];

  cmt_switch_options_init(&o);
  o.network = "my-net";
  o.laddr = "127.0.0.1:0";
  o.reactors = &chat;
  o.reactor_count = 1;
  if (cmt_protobuf_reactor_wrap(typed, &chat, &why) != CMT_OK ||
      cmt_switch_new(&o, &sw, &why) != CMT_OK ||
      cmt_switch_start(sw, &why) != CMT_OK) {
    fprintf(stderr, "protobuf_chat: %s\n", why.text);
    return NULL;
  }
  if (cmt_switch_laddr(sw, &at) == CMT_OK &&
      cmt_net_addr_format(&at, text, sizeof text) == CMT_OK) {
    fprintf(stderr, "protobuf_chat: others join %s\n", text);
  }
  return sw;
}

int main(int argc, char **argv) {
  cmt_protobuf_reactor typed;
  cmt_switch *sw;
  Example__Line line = EXAMPLE__LINE__INIT;
  char text[1000];

  if (argc < 2) {
    fprintf(stderr, "usage: protobuf_chat AUTHOR [ID@HOST:PORT]...\n");
    return 2;
  }
  cmt_protobuf_reactor_init(&typed);
  typed.base =
    (cmt_reactor){.name = "chat", .channels = channels, .channel_count = 1};
  typed.types = types;
  typed.type_count = 1;
  typed.receive = receive;
  sw = start(&typed);
  if (sw == NULL) {
    return 1;
  }
  for (int i = 2; i < argc; i++) {
    if (cmt_switch_dial(sw, argv[i], CMT_DIAL_PERSISTENT) != CMT_OK) {
      fprintf(stderr, "protobuf_chat: not an address: %s\n", argv[i]);
    }
  }
  line.author = argv[1];
  line.text = text;
  while (fgets(text, sizeof text, stdin) != NULL) {
    text[strcspn(text, "\n")] = '\0';
    line.number++;
    cmt_switch_broadcast_message(sw, CHAT, &line.base, NULL);
  }
  cmt_switch_stop(sw, CMT_SECONDS(2));
  return cmt_switch_delete(sw) == CMT_OK ? 0 : 1;
}
