/* SPDX-License-Identifier: Apache-2.0 */

/* A chat between any number of nodes: each line of the standard input goes to
   all peers, each line of a peer to the standard output.

     chat [ID@HOST:PORT]... */

#include <cometp2p/cometp2p.h>
#include <stdio.h>
#include <string.h>

#define CHAT 0x51
static const cmt_channel channels[] = {{.id = CHAT, .priority = 1}};

static cmt_err receive(void *self, cmt_peer *p, uint8_t channel, cmt_buf *msg) {
  char text[4000];

  (void)self;
  (void)channel;
  cmt_text_escape(cmt_buf_bytes(msg), text, sizeof text);
  printf("%.8s: %s\n", cmt_peer_id(p)->text, text);
  fflush(stdout);
  return CMT_OK;
}

int main(int argc, char **argv) {
  static const cmt_reactor chat = {.name = "chat",
                                   .channels = channels,
                                   .channel_count = 1,
                                   .receive = receive};
  cmt_switch_options o;
  cmt_net_addr at;
  cmt_switch *sw;
  cmt_why why;
  char line[1000], text[CMT_NET_ADDR_TEXT_SIZE];

  cmt_switch_options_init(&o);
  o.network = "my-net";
  o.laddr = "127.0.0.1:0";
  o.reactors = &chat;
  o.reactor_count = 1;
  if (cmt_switch_new(&o, &sw, &why) != CMT_OK ||
      cmt_switch_start(sw, &why) != CMT_OK) {
    fprintf(stderr, "chat: %s\n", why.text);
    return 1;
  }
  if (cmt_switch_laddr(sw, &at) == CMT_OK &&
      cmt_net_addr_format(&at, text, sizeof text) == CMT_OK) {
    fprintf(stderr, "chat: others join with: chat %s\n", text);
  }
  for (int i = 1; i < argc; i++) {
    if (cmt_switch_dial(sw, argv[i], CMT_DIAL_PERSISTENT) != CMT_OK) {
      fprintf(stderr, "chat: not an address: %s\n", argv[i]);
    }
  }
  while (fgets(line, sizeof line, stdin) != NULL) {
    cmt_switch_broadcast_bytes(sw, CHAT, line, strcspn(line, "\n"));
  }
  cmt_switch_stop(sw, CMT_SECONDS(2));
  return cmt_switch_delete(sw) == CMT_OK ? 0 : 1;
}
